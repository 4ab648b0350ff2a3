/** Drives a session, and keeps a connection for it. What is due when is decided here; the clock is given. */

import { Backoff } from "./backoff.js";
import type { Engine, EngineEvents } from "./engine.js";
import { type ErrorCode, rowOfClose, SwitchboardError } from "./errors.js";
import { Choice } from "./choice.js";
import { Connection, type Owner, Race, type Runner } from "./race.js";
import { type Done, Session } from "./session/session.js";
import type { Sink } from "./session/subscriptions.js";
import type { Closing } from "./session/words.js";
import type { Cut, Link, Posted, Transport, Way } from "./transport.js";
import type { Clock, CoreOptions, State, StateChange, TokenReason } from "./types.js";

/** A connection whose server does not say how often to expect something says so at least so often. Milliseconds, as all times here. */
const HEARTBEAT = 15_000;
/** How long the answer to a sign of life may take; and where there is reason to believe that the connection is dead. */
const PATIENCE = 10_000;
const DOUBT = 4_000;
/** How long no transport may get through before all are tried again. */
const FIRST = 15_000;
/** How long a better transport has to show itself, while what the present one brings waits. */
const UPGRADE = 3_000;
/** The longest that a server is given the word on how long to stay away. */
const WAIT_MAX = 60_000;
/** A token that ends again so soon after it was renewed is renewed without haste. */
const RENEWAL = 10_000;
/** How long a client that is closed takes to send what was said before. */
const FAREWELL = 2_000;
/** How long a frame waits that the socket has no room for. */
const ROOM = 50;
/** How often in a row the server may refuse a token. */
const DENIALS = 3;

export interface DriverOptions extends CoreOptions {
  transports: readonly Transport[];
  clock: Clock;
}

export class Driver implements Engine, Owner, Runner {
  readonly #url: string;
  readonly #options: DriverOptions;
  readonly #events: EngineEvents;
  readonly #clock: Clock;
  readonly #session: Session;
  readonly #choice: Choice;
  readonly #backoff = new Backoff();
  #state: State = "idle";
  /** What is read from. */
  #current: Connection | undefined;
  #race: Race | undefined;
  /** Until when the race may last. */
  #raceUntil = 0;
  /** What the present connection brings while a better one is tried. */
  #held: (() => void)[] | undefined;
  #retryAt: number | undefined;
  #upgradeAt: number | undefined;
  #timer: unknown;
  /** What the server said as it closed. */
  #closing: Closing | undefined;
  /** When a sign of life was asked for, and how long it may take. */
  #probe: { at: number; patience: number; sounds: number } | undefined;
  /** The number of the next frame. */
  #frame = 0;
  /** The server closed because of a message: the first that it has not applied. */
  #tooLarge = false;
  #posting: Connection | undefined;
  #postAt = 0;
  readonly #postBackoff = new Backoff();
  #token: string | undefined;
  #tokenRequest: AbortController | undefined;
  /** How often in a row the server refused one. */
  #denied = 0;
  #renewAt: number | undefined;
  #renewed = -RENEWAL;
  #leaving: { until: number; done: () => void; isDone: Promise<void> } | undefined;

  constructor(url: string, options: DriverOptions, events: EngineEvents) {
    this.#url = url;
    this.#options = options;
    this.#events = events;
    this.#clock = options.clock;
    this.#token = options.token;
    this.#choice = new Choice(options.transports, this.#clock, url, options.storage);
    this.#session = new Session(() => this.#clock.now(), {
      called: (method, params, answer) =>
        events.called(method, params, (message) => {
          answer(message);
          this.#flow();
        }),
      notified: (...notice) => events.notified(...notice),
      began: (said) => events.began(said),
      expiring: (expires) => this.#expiring(expires),
      closing: (closing) => (this.#closing = closing),
    });
  }

  // What the application wants.

  connect(): void {
    if (this.#state === "idle") this.#connect();
  }

  call(method: string, params: unknown, repeats: boolean, timeout: number, done: Done): () => void {
    if (this.#session.isFull) {
      done(new SwitchboardError("queue_full", "more waits to be sent than the client keeps"));
      return () => {};
    }
    const call = this.#session.call(method, params, repeats, timeout, done);
    this.#flow();
    return () => this.#session.abandon(call);
  }

  notify(method: string, params: unknown): void {
    if (this.#session.isFull) throw new SwitchboardError("queue_full", "more waits to be sent than the client keeps");
    this.#session.notify(method, params);
    this.#flow();
  }

  listen(channel: string, since: string | undefined, presence: boolean, sink: Sink): () => void {
    const listener = this.#session.listen(channel, since, presence, sink);
    this.#flow();
    return () => {
      this.#session.leave(listener);
      this.#flow();
    };
  }

  close(): Promise<void> {
    if (this.#state === "closed") return Promise.resolve();
    if (!this.#leaving) {
      let done = () => {};
      const isDone = new Promise<void>((resolve) => (done = resolve));
      this.#leaving = { until: this.#clock.now() + FAREWELL, done, isDone };
      this.#flow();
    }
    return this.#leaving.isDone;
  }

  /** The page goes: there is no time to say anything. */
  leave(): void {
    this.#end(new SwitchboardError("closed", "the page is gone"));
  }

  /** The page or the network is back: nothing is waited for any more. */
  wake(): void {
    this.#backoff.reset();
    if (this.#state === "waiting") this.#retryAt = this.#clock.now();
    this.doubt();
    this.#flow();
  }

  /** There is reason to believe that the connection is dead. */
  doubt(): void {
    if (!this.#current || this.#held) return;
    this.#sound(DOUBT);
    this.#flow();
  }

  /** The network is another: what did not get through may now. */
  rethink(): void {
    this.#choice.forget();
    if (this.#current && this.#choice.above(this.#current.transport).length > 0) this.#upgradeAt = this.#clock.now();
    this.wake();
  }

  // Time.

  /** After anything has happened: sends what there is to send, and sees to it that the next that is due is done. */
  #flow(): void {
    if (this.#state === "closed") return;
    this.#send();
    if (this.#leaving && this.#hasLeft()) return this.#end(new SwitchboardError("closed", "the client is closed"));
    this.#clock.clear(this.#timer);
    const at = Math.min(...this.#deadlines());
    if (at < Infinity) this.#timer = this.#clock.set(() => this.#tick(), Math.max(0, at - this.#clock.now()));
  }

  #deadlines(): number[] {
    const all = [this.#session.deadline(), this.#retryAt, this.#renewAt, this.#leaving?.until];
    if (this.#race) all.push(this.#race.deadline, this.#raceUntil);
    else all.push(this.#upgradeAt);
    if (this.#current) all.push(this.#quietUntil(), this.#postAt || undefined);
    return all.map((at) => at ?? Infinity);
  }

  /** When the present connection has been silent for too long. */
  #quietUntil(): number | undefined {
    if (this.#held) return undefined;
    const { heard } = this.#current!;
    if (this.#probe) return this.#probe.at + this.#probe.patience;
    return heard + Math.min(this.#choice.idle, (this.#session.said?.heartbeat ?? HEARTBEAT) * 1.5);
  }

  #tick(): void {
    const now = this.#clock.now();
    const isDue = (at: number | undefined) => at !== undefined && at <= now;
    this.#session.tick();
    if (isDue(this.#postAt)) this.#postAt = 0;
    if (isDue(this.#retryAt)) this.#connect();
    if (isDue(this.#renewAt)) this.#renew();
    if (this.#race) {
      this.#race.tick();
      if (this.#race && isDue(this.#raceUntil)) {
        this.#race.stop();
        this.lost({ kind: "lost", error: unreachable("no transport got through in time") }, undefined);
      }
    } else if (isDue(this.#upgradeAt)) this.#upgrade();
    if (this.#current && isDue(this.#quietUntil())) this.#isQuiet();
    this.#flow();
  }

  #isQuiet(): void {
    const connection = this.#current!;
    if (!this.#probe) return this.#sound(PATIENCE);
    const { sounds } = this.#probe;
    this.#probe = undefined;
    if (connection.sounds !== sounds) return;
    this.#choice.fails(connection);
    connection.cut({ kind: "lost", error: unreachable("nothing was heard from the server for too long") });
  }

  #sound(patience: number): void {
    this.#session.ping();
    this.#probe = { at: this.#clock.now(), patience, sounds: this.#current!.sounds };
  }

  // Connections.

  #connect(): void {
    this.#retryAt = undefined;
    this.#become("connecting");
    if (this.#session.said) return this.#compete(this.#choice.order);
    this.#ask(this.#denied > 0 ? "refused" : "connect").then(
      () => this.#state === "connecting" && this.#compete(this.#choice.order),
      (cause) => {
        if (this.#state !== "connecting") return;
        const error = new SwitchboardError("no_token", "there is no token to show", { cause });
        this.lost({ kind: "lost", error }, undefined);
        this.#flow();
      },
    );
  }

  /** Asks for the token to show, if there is one to be had. */
  async #ask(reason: TokenReason): Promise<void> {
    const { token, getToken } = this.#options;
    if (!getToken || (reason === "connect" && token !== undefined && this.#token === token)) return;
    this.#tokenRequest?.abort();
    const { signal } = (this.#tokenRequest = new AbortController());
    const got = await getToken({ reason, signal });
    if (signal.aborted) throw signal.reason;
    this.#token = got;
  }

  #compete(transports: readonly Transport[], patience: number = FIRST): void {
    const { fetch, WebSocket } = this.#way();
    const fitting = transports.filter((transport) => transport.fits({ fetch, WebSocket }));
    if (fitting.length === 0 && !this.#current) {
      return this.#end(new SwitchboardError("unsupported", "no transport fits this platform"));
    }
    const now = () => this.#clock.now();
    this.#raceUntil = now() + patience;
    this.#race = new Race(fitting, this.#options.headStart ?? 1_000, now, this);
    this.#race.next();
    this.#flow();
  }

  #upgrade(): void {
    this.#upgradeAt = undefined;
    const above = this.#choice.above(this.#current!.transport);
    if (above.length === 0) return;
    // The better one begins where the present one is now: what comes meanwhile counts only if it does not get through.
    this.#held = [];
    this.#compete(above, UPGRADE);
  }

  open(connection: Connection): Link {
    try {
      return connection.transport.open(this.#way(connection), connection);
    } catch (cause) {
      queueMicrotask(() => connection.cut({ kind: "unfit", error: unreachable("the connection cannot be made", cause) }));
      return { close() {} };
    }
  }

  #way(connection?: Connection): Way {
    const { fetch = globalThis.fetch, WebSocket = globalThis.WebSocket, credentials = "same-origin" } = this.#options;
    const said = this.#session.said;
    const query = () => {
      // A session of its own is not the client's yet.
      const own = connection?.said && connection.said.id !== this.#session.said?.id ? connection.said : undefined;
      return own ? `?since=${own.place}&attempt=1` : `?since=${this.#session.place}&attempt=${this.#session.attempt()}`;
    };
    return {
      location: said?.location,
      token: this.#token,
      query,
      url: (path) => this.#url + path,
      fetch: (...request) => fetch(...request),
      credentials,
      WebSocket,
    };
  }

  won(connection: Connection): void {
    this.#current?.close(false);
    this.#held = this.#race = this.#probe = undefined;
    this.#current = connection;
    connection.owner = this;
    this.#denied = 0;
    this.#session.reads();
    const { said } = connection;
    if (said && said.id !== this.#session.said?.id) this.#session.opened(said);
  }

  lost(cut: Cut, closing: Closing | undefined): void {
    this.#race = undefined;
    if (this.#current) {
      // What it held goes on, its end too.
      const held = this.#held ?? [];
      this.#held = undefined;
      this.#upgradeAt = this.#choice.later();
      for (const each of held) each();
      return this.#flow();
    }
    if (cut.kind === "unfit" || cut.kind === "lost") this.#choice.rotate();
    this.#closing = closing;
    this.#after(cut);
    this.#flow();
  }

  // What the present connection brings.

  message(connection: Connection, text: string, place?: string): void {
    this.#take(connection, () => this.#session.received(text, place));
  }

  page(connection: Connection, text: string): void {
    this.#take(connection, () => {
      this.#session.receivedPage(text);
      connection.link?.ask?.();
    });
  }

  #take(connection: Connection, read: () => void): void {
    if (this.#held) {
      this.#held.push(() => this.#take(connection, read));
      return;
    }
    if (connection !== this.#current) return;
    try {
      read();
    } catch (error) {
      if (!(error instanceof SwitchboardError)) throw error;
      // Its session is not understood any more.
      this.#session.lost();
      return connection.cut({ kind: "lost", error });
    }
    if (connection === this.#current) this.#greeted(connection);
    this.#flow();
  }

  /** The first of a connection has come: it works, and the way up goes on with the number that it says. */
  #greeted(connection: Connection): void {
    const { said } = this.#session;
    if (this.#choice.current === connection) {
      // There is progress, and not a farewell alone.
      if (!this.#closing) this.#backoff.reset();
      return;
    }
    if (!said) return;
    this.#frame = said.seq ?? 1;
    this.#choice.works(connection);
    this.#upgradeAt = this.#choice.above(connection.transport).length > 0 ? this.#choice.later() : undefined;
    if (this.#tooLarge && connection.link?.send) {
      this.#session.refused(this.#frame, new SwitchboardError("too_large", "the message is larger than the server takes"));
    }
    this.#tooLarge = false;
    this.#become("connected", { transport: connection.transport.name });
  }

  cut(connection: Connection, cut: Cut): void {
    if (this.#held) {
      this.#held.push(() => this.cut(connection, cut));
      return;
    }
    if (connection !== this.#current) return;
    this.#current = this.#probe = this.#upgradeAt = undefined;
    if (this.#choice.hasLasted) this.#backoff.reset();
    if (!this.#closing && cut.kind !== "gone") this.#choice.broke(connection);
    this.#after(cut);
    this.#flow();
  }

  /** What to do after a connection is no more, or never was. */
  #after(cut: Cut): void {
    const { kind } = cut;
    const closing = this.#closing;
    this.#closing = undefined;
    if (closing) return this.#sentAway(closing);
    if (kind === "gone") this.#session.lost();
    if (kind === "refused") return this.#refused(cut.error);
    if (kind !== "closed") return this.#wait(kind === "gone" ? undefined : cut.error, kind === "lost" ? cut.wait : 0);
    const row = rowOfClose(cut.code);
    this.#tooLarge ||= cut.code === 1009;
    if (!row || row.again || this.#tooLarge) return this.#wait(unreachable(cut.reason || "the connection was lost"));
    this.#sentAway({ code: row.name, reason: cut.reason, reconnect: row.name === "not_found" });
  }

  /** Tries again after a while, and after what the server asked for. */
  #wait(error: SwitchboardError | undefined, asked = 0): void {
    const wait = this.#backoff.next(this.#clock.random()) + Math.min(asked, WAIT_MAX);
    this.#retryAt = this.#clock.now() + wait;
    this.#become("waiting", { wait, ...(error ? { error } : {}) });
  }

  #refused(error: SwitchboardError): void {
    const isOfSession = this.#session.said !== undefined;
    this.#session.lost();
    const mayBeRenewed = error.status === 401 && this.#options.getToken && this.#denied < DENIALS;
    if (!isOfSession && !mayBeRenewed) return this.#end(error);
    if (!isOfSession) this.#denied++;
    this.#wait(error);
  }

  /** The server said why it closes. */
  #sentAway({ code, reason, reconnect }: Closing): void {
    const error = new SwitchboardError(code as ErrorCode, reason);
    const isOfToken = code === "token_expired" || code === "token_revoked";
    // Of a session that another connection took over, the next one is told what becomes of it.
    if (reconnect || code === "stale_attempt") return this.#wait(error);
    if (!isOfToken || !this.#options.getToken) return this.#end(error);
    this.#session.lost();
    this.#wait(error);
  }

  // The way up.

  #send(): void {
    const { link } = this.#current ?? {};
    if (!link || this.#state !== "connected") return;
    if (!link.send) return void this.#post(this.#current!);
    if (this.#held) return;
    while (!link.isFull) {
      const message = this.#session.nextUp();
      if (!message) return;
      if (message.seq !== this.#frame++) {
        this.#session.lost();
        return this.#current!.cut({ kind: "lost", error: new SwitchboardError("broken", "the server counts otherwise") });
      }
      link.send(message.text);
    }
    this.#postAt = this.#clock.now() + ROOM;
  }

  async #post(connection: Connection): Promise<void> {
    const location = this.#session.said?.location;
    if (this.#posting === connection || this.#postAt > this.#clock.now() || location === undefined) return;
    const message = this.#session.nextUp();
    if (!message && this.#session.acknowledgement() === undefined) return;
    this.#posting = connection;
    const { control } = this.#session;
    const posted = await connection.link!.post!(location, message?.seq, message?.text ?? "", control);
    if (this.#posting === connection) this.#posting = undefined;
    if (connection !== this.#current) return;
    try {
      this.#posted(posted, message?.seq, control);
    } catch (error) {
      this.#session.lost();
      connection.cut({ kind: "lost", error: error as SwitchboardError });
    }
    this.#flow();
  }

  #posted(posted: Posted, seq: number | undefined, control: number): void {
    switch (posted.kind) {
      case "applied":
        this.#postBackoff.reset();
        this.#session.acknowledged(control);
        if (seq !== undefined) this.#session.applied(seq);
        return;
      case "expected":
        return this.#session.expected(posted.seq);
      case "refused":
        // What was acknowledged is acknowledged with the next message, or when the session is taken up again.
        if (seq === undefined) this.#session.acknowledged(control);
        else this.#session.refused(seq, posted.error);
        return;
      case "gone":
        return this.#current!.cut({ kind: "gone" });
      case "lost":
        this.#session.rewind();
        this.#postAt = this.#clock.now() + this.#postBackoff.next(this.#clock.random()) + Math.min(posted.wait ?? 0, WAIT_MAX);
    }
  }

  // Tokens.

  /** The token ends: another is asked for. Where that was done a moment ago, its time is used up to the half first. */
  #expiring(expires: number): void {
    if (!this.#options.getToken) return;
    const now = this.#clock.now();
    const isHasty = now - this.#renewed < RENEWAL;
    this.#renewed = now;
    this.#renewAt = now + (isHasty ? Math.max(0, Math.min(RENEWAL, (expires - Date.now()) / 2)) : 0);
  }

  #renew(): void {
    this.#renewAt = undefined;
    this.#ask("expiring").then(
      () => {
        // One that is not taken is not the end: when the session ends, another is opened with what there is then.
        this.#session.refresh(this.#token!, () => {});
        this.#flow();
      },
      () => {
        if (this.#session.said) this.#renewAt = this.#clock.now() + RENEWAL / 2;
        this.#flow();
      },
    );
  }

  // The end.

  /** Whether the client was closed, and has said what it had to say or tried for long enough. */
  #hasLeft(): boolean {
    const hasSaid = this.#session.hasSentAll && this.#posting === undefined;
    return !this.#current || hasSaid || this.#leaving!.until <= this.#clock.now();
  }

  #end(error: SwitchboardError): void {
    if (this.#state === "closed") return;
    const location = this.#session.said?.location;
    this.#clock.clear(this.#timer);
    this.#race?.stop();
    this.#tokenRequest?.abort();
    this.#current?.close(true, location);
    this.#current = this.#race = undefined;
    this.#become("closed", error.code === "closed" ? {} : { error });
    this.#session.end(error);
    this.#leaving?.done();
  }

  #become(state: State, change: Partial<StateChange> = {}): void {
    this.#state = state;
    this.#events.changed({ ...change, state });
  }
}

const unreachable = (why: string, cause?: unknown) => new SwitchboardError("unreachable", why, { cause });
