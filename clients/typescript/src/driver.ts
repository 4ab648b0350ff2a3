/** Drives a session, and keeps a connection for it. What is due when is decided here; the clock is given. */

import { Backoff } from "./backoff.js";
import type { Engine, EngineEvents } from "./engine.js";
import { closed, type ErrorCode, full, rowNamed, rowOfClose, SwitchboardError, unreachable } from "./errors.js";
import {
  DENIALS, DOUBT, FAREWELL, FIRST, HEARTBEAT, IDLE, OLD, PATIENCE, RENEWAL, UNAUTHORIZED, WAIT_MAX, WORKED,
} from "./limits.js";
import { type Done, Session } from "./session/session.js";
import type { Sink } from "./session/subscriptions.js";
import { type Closing, closingOf, type Said } from "./session/words.js";
import type { Cut, Hearing, Link, Transport, TransportName, Way } from "./transport.js";
import type { Clock, CoreOptions, State, StateChange, TokenReason } from "./types.js";

export interface DriverOptions extends CoreOptions {
  transport: Transport;
  clock: Clock;
}

/** What is known of the connection. */
interface Connection {
  /** None while the token is asked for. */
  link?: Link;
  name: TransportName;
  /** The session that was opened for it. */
  said?: Said | undefined;
  isGreeted: boolean;
  /** When it began, and when something was heard of it last. */
  since: number;
  heard: number;
  /** Until when a sign of life is to come that was asked for. */
  asked?: number | undefined;
}

export class Driver implements Engine {
  readonly #url: string;
  readonly #options: DriverOptions;
  readonly #events: EngineEvents;
  readonly #clock: Clock;
  readonly #session: Session;
  readonly #backoff = new Backoff();
  #state: State = "idle";
  #connection: Connection | undefined;
  /** What the server said as it closed. */
  #closing: Closing | undefined;
  /** The server closed because of a message: the first that it has not applied. */
  #tooLarge = false;
  /** When to connect, to renew the token, and to be gone. */
  #retryAt = Infinity;
  #renewAt = Infinity;
  #leaveAt = Infinity;
  #timer: unknown;
  /** How long a connection may be silent before something is said, lest something on the way takes it for dead, */
  #idle = Infinity;
  /** and the silence after which the last one was cut. */
  #silence = 0;
  #token: string | undefined;
  #asking: AbortController | undefined;
  /** How often in a row the server refused a token. */
  #denied = 0;
  #renewed = -RENEWAL;
  #expires = 0;
  #hasEnded!: () => void;
  readonly #ended = new Promise<void>((done) => (this.#hasEnded = done));

  constructor(url: string, options: DriverOptions, events: EngineEvents) {
    this.#url = url;
    this.#options = options;
    this.#events = events;
    this.#clock = options.clock;
    this.#token = options.token;
    this.#session = new Session(() => this.#clock.now(), {
      ...events,
      called: (method, params, answer) =>
        events.called(method, params, (message) => {
          answer(message);
          this.#flow();
        }),
      expiring: (expires) => this.#expiring(expires),
      closing: (closing) => (this.#closing = closing),
    });
  }

  // What the application wants.

  connect(): void {
    if (this.#state === "idle") this.#connect();
  }

  call(method: string, params: unknown, repeats: boolean, done: Done): () => void {
    if (this.#session.isFull) {
      done(full());
      return () => {};
    }
    const call = this.#session.call(method, params, repeats, done);
    this.#flow();
    return () => this.#session.abandon(call);
  }

  notify(method: string, params: unknown): void {
    if (this.#session.isFull) throw full();
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
    this.#leaveAt = Math.min(this.#leaveAt, this.#clock.now() + FAREWELL);
    this.#flow();
    return this.#ended;
  }

  /** The page goes: there is no time to say anything. */
  leave(): void {
    this.#end(closed());
  }

  /** The page is back: nothing is waited for any more. */
  wake(): void {
    if (this.#state === "connecting" && this.#clock.now() - this.#connection!.since > OLD) this.#giveUp();
    this.#backoff.reset();
    if (this.#state === "waiting") this.#retryAt = this.#clock.now();
    this.doubt();
  }

  /** There is reason to believe that the connection is dead. */
  doubt(): void {
    if (this.#state === "connected") this.#askForLife(DOUBT);
    this.#flow();
  }

  /** The network is back, or is another. */
  rethink(): void {
    this.#idle = Infinity;
    this.#connection?.link?.rethink?.();
    this.wake();
  }

  // Time.

  /** After anything has happened: sends what there is to send, and sees to it that what is due next is done. */
  #flow(): void {
    if (this.#state === "closed") return;
    if (this.#state === "connected") this.#connection?.link?.pump(this.#session);
    const hasSaid = this.#session.hasSentAll && !this.#connection?.link?.isBusy;
    // The client was closed, and has said what it had to say or tried for long enough.
    if (this.#leaveAt < Infinity && (hasSaid || this.#leaveAt <= this.#clock.now())) return this.#end(closed());
    this.#clock.clear(this.#timer);
    const at = Math.min(this.#session.deadline(), this.#retryAt, this.#renewAt, this.#leaveAt, this.#quietUntil());
    if (at < Infinity) this.#timer = this.#clock.set(() => this.#tick(), at - this.#clock.now());
  }

  #tick(): void {
    const now = this.#clock.now();
    if (this.#retryAt <= now) this.#connect();
    if (this.#renewAt <= now) this.#renew();
    if (this.#quietUntil() <= now) this.#isQuiet();
    this.#flow();
  }

  /** When the connection has been silent for too long. */
  #quietUntil(): number {
    if (!this.#connection?.link) return Infinity;
    const { isGreeted, since, heard, asked } = this.#connection;
    if (!isGreeted) return since + FIRST;
    if (asked) return asked;
    return heard + Math.min(this.#idle, (this.#session.said?.heartbeat ?? HEARTBEAT) * 1.5);
  }

  #isQuiet(): void {
    const connection = this.#connection!;
    if (connection.isGreeted && !connection.asked) this.#askForLife(PATIENCE);
    else this.#giveUp();
  }

  #giveUp(): void {
    // A session that was opened for it alone is ended.
    this.#connection!.link?.close(!this.#session.said);
    this.#cut({ kind: "lost", error: unreachable("the server fell silent") });
  }

  /** Asks for a sign of life. */
  #askForLife(patience: number): void {
    this.#session.ping();
    this.#connection!.asked = this.#clock.now() + patience;
  }

  // Connections.

  #connect(): void {
    const now = this.#clock.now();
    const { name } = this.#options.transport;
    const connection: Connection = { name, isGreeted: false, since: now, heard: now };
    const isOurs = () => connection === this.#connection;
    this.#connection = connection;
    this.#retryAt = Infinity;
    this.#become("connecting");
    // Whoever has a session needs no token.
    const hasToken = this.#session.said ? Promise.resolve() : this.#ask(this.#denied > 0 ? "refused" : "connect");
    hasToken.then(
      () => isOurs() && this.#open(connection),
      (cause) => isOurs() && this.#cut({ kind: "lost", error: new SwitchboardError("no_token", undefined, { cause }) }),
    );
  }

  #open(connection: Connection): void {
    const { transport } = this.#options;
    const way = this.#way();
    if (!transport.fits(way)) return this.#end(new SwitchboardError("unsupported"));
    connection.since = this.#clock.now();
    try {
      connection.link = transport.open(way, this.#listenTo(connection));
    } catch (cause) {
      return this.#cut({ kind: "lost", error: unreachable(undefined, cause) });
    }
    this.#flow();
  }

  #way(): Way {
    const session = this.#session;
    const { fetch = globalThis.fetch, WebSocket = globalThis.WebSocket, credentials = "same-origin" } = this.#options;
    return {
      get location() {
        return session.said?.location;
      },
      token: this.#token,
      query: () => `?since=${session.place}&attempt=${session.attempt()}`,
      url: this.#url,
      fetch: (...request) => fetch(...request),
      credentials,
      WebSocket,
      clock: this.#clock,
    };
  }

  #listenTo(connection: Connection): Hearing {
    const isOurs = () => connection === this.#connection;
    const alive = () => {
      connection.heard = this.#clock.now();
      connection.asked = undefined;
    };
    return {
      alive,
      opened: (said) => (connection.said = said),
      over: (name, said) => {
        Object.assign(connection, { name, said, isGreeted: false });
      },
      ready: () => isOurs() && this.#flow(),
      message: (...message) => {
        alive();
        if (isOurs()) this.#message(connection, ...message);
      },
      cut: (cut) => {
        const found = (why = cut) => isOurs() && this.#cut(why);
        if (isOurs() && cut.kind === "unfit" && cut.why) cut.why().then(found, () => found());
        else found();
      },
    };
  }

  #message(connection: Connection, text: string | undefined, place?: string, seq?: number): void {
    const isFirst = !connection.isGreeted && !closingOf(text);
    try {
      if (isFirst) {
        this.#session.reads();
        const { said } = connection;
        if (said && said.id !== this.#session.said?.id) this.#session.opened(said);
      }
      this.#session.received(text, place, seq);
    } catch (cause) {
      connection.link?.close(false);
      return this.#cut({ kind: "gone", error: new SwitchboardError("broken", undefined, { cause }) });
    }
    if (isFirst) this.#greeted(connection);
    // There is progress, and not a farewell alone.
    else if (!this.#closing) this.#works();
    if (text === undefined) connection.link?.ask?.();
    this.#flow();
  }

  /** The first has come: the connection works. */
  #greeted(connection: Connection): void {
    connection.isGreeted = true;
    connection.since = this.#clock.now();
    if (this.#tooLarge) {
      this.#tooLarge = false;
      this.#session.refused(this.#session.said?.seq ?? 1, new SwitchboardError("too_large"));
    }
    this.#become("connected", { transport: connection.name });
  }

  #works(): void {
    this.#backoff.reset();
    this.#denied = 0;
  }

  /** The connection is no more, or never was. */
  #cut(cut: Cut): void {
    const { isGreeted, since, heard } = this.#connection!;
    const now = this.#clock.now();
    this.#connection = undefined;
    this.#session.rewind();
    if (isGreeted && now - since >= WORKED) this.#works();
    const closing = this.#closing;
    this.#closing = undefined;
    if (closing) this.#sentAway(closing);
    else if (cut.kind === "refused") this.#refused(cut.error);
    else if (cut.kind === "closed") this.#closed(cut.code, cut.reason);
    else {
      if (cut.kind === "gone") this.#session.lost();
      if (cut.kind === "opened") this.#session.opened(cut.said);
      this.#wait(cut.error, cut.kind === "lost" ? cut.wait : 0);
    }
    if (isGreeted && !closing) this.#broke(now - heard);
    this.#flow();
  }

  /** The connection broke in silence. Twice after the same is no chance: something on the way cuts what is idle. */
  #broke(silence: number): void {
    if (silence < IDLE) return;
    if (Math.abs(silence / this.#silence - 1) < 0.25) this.#idle = Math.min(this.#idle, silence / 2);
    this.#silence = silence;
  }

  /** Tries again after a while, and after what the server asked for. */
  #wait(error: SwitchboardError | undefined, asked = 0): void {
    const wait = this.#backoff.next(this.#clock.random()) + Math.min(asked, WAIT_MAX);
    this.#retryAt = this.#clock.now() + wait;
    this.#become("waiting", { wait, error });
  }

  /** The server does not let the client in, or no longer. With another token it may. */
  #refused(error: SwitchboardError, isOver = !this.#session.said): void {
    const { getToken } = this.#options;
    const mayBeRenewed = rowNamed(error.code)?.close === UNAUTHORIZED && getToken && this.#denied++ < DENIALS;
    if (isOver && !mayBeRenewed) return this.#end(error);
    this.#session.lost();
    this.#wait(error);
  }

  /** The server closed a WebSocket without a word before. */
  #closed(code: number, reason: string): void {
    const row = rowOfClose(code);
    this.#tooLarge = code === 1009;
    if (row && !row.again && !this.#tooLarge) this.#sentAway({ code: row.name, reason, reconnect: false });
    else this.#wait(unreachable(reason));
  }

  /** The server said why it closes. */
  #sentAway({ code, reason, reconnect }: Closing): void {
    const error = new SwitchboardError(code as ErrorCode, reason);
    // Of a session that another connection took over, or that is gone, the next one is told what becomes of it.
    if (reconnect || ["stale_attempt", "not_found"].includes(code)) this.#wait(error);
    else this.#refused(error, true);
  }

  // Tokens.

  /** Asks for the token to show, if there is one to be had. */
  async #ask(reason: TokenReason): Promise<void> {
    const { token, getToken } = this.#options;
    if (!getToken || (reason === "connect" && token !== undefined && this.#token === token)) return;
    this.#asking?.abort();
    const asking = (this.#asking = new AbortController());
    const { signal } = asking;
    const timer = this.#clock.set(() => asking.abort(new SwitchboardError("timeout")), FIRST);
    try {
      const isGivenUp = () => new Promise<never>((_, fail) => (signal.onabort = () => fail(signal.reason)));
      this.#token = await Promise.race([getToken({ reason, signal }), isGivenUp()]);
    } finally {
      this.#clock.clear(timer);
    }
  }

  /** The token ends: another is asked for. Where that was done a moment ago, its time is used up to the half first. */
  #expiring(expires: number): void {
    if (!this.#options.getToken) return;
    const now = this.#clock.now();
    const isHasty = now - this.#renewed < RENEWAL;
    this.#expires = expires;
    this.#renewed = now;
    // Its clock may be ahead of the server's.
    this.#renewAt = now + (isHasty ? Math.min(RENEWAL, Math.max(1_000, (expires - Date.now()) / 2)) : 0);
  }

  #renew(): void {
    const expires = this.#expires;
    this.#renewAt = Infinity;
    this.#ask("expiring").then(
      () => {
        // One that is not taken is not the end: when the session ends, another is opened with what there is then.
        this.#session.refresh(this.#token!, (_, said) => {
          // The server tells once of each end: one that is the same is not told of again.
          if (said?.expires === expires) this.#expiring(expires);
        });
        this.#flow();
      },
      () => {
        if (this.#session.said) this.#renewAt = this.#clock.now() + RENEWAL / 2;
        this.#flow();
      },
    );
  }

  // The end.

  #end(error: SwitchboardError): void {
    if (this.#state === "closed") return;
    this.#clock.clear(this.#timer);
    this.#asking?.abort();
    this.#connection?.link?.close(true);
    this.#connection = undefined;
    this.#become("closed", { error: error.code === "closed" ? undefined : error });
    this.#session.end(error);
    this.#hasEnded();
  }

  #become(state: State, change: Partial<StateChange> = {}): void {
    this.#state = state;
    this.#events.changed({ ...change, state });
  }
}
