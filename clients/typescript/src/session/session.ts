/**
 * The client's side of a session, pure: it is given what arrives, and tells what has happened and what is to be sent.
 *
 * A session of the server's may be lost; this one is not. What it knows of the server's comes with `opened` and goes with
 * `lost`: then every subscription is made again where it was, calls that are safe to repeat are repeated, and the others
 * fail.
 */

import { errorOf, SwitchboardError } from "../errors.js";
import { AGAIN, UNCONFIRMED } from "../limits.js";
import type { ChannelEvent, Gap } from "../types.js";
import { bytesOf } from "./base64.js";
import { Outbox } from "./outbox.js";
import { type Item, type Listener, type Sink, Subscriptions } from "./subscriptions.js";
import type { Closing, Granted, Id, Message, Said } from "./words.js";

/** Messages that may wait to be applied, and their length, before no more are taken. */
const WAITING = [1024, 4 << 20] as const;

/** What the name of the system's own channel begins with that tells of another who comes and goes. */
export const PRESENCE = "$presence/";

/** What has happened, for the driver to act on. */
export interface Happenings {
  /** The server calls: `answer` answers it, unless its session is gone by then. */
  called(method: string, params: any, answer: (message: Pick<Message, "result" | "error">) => void): void;
  notified(method: string, params: unknown): void;
  /** A session was opened. */
  began(said: Said): void;
  /** The token ends at this time (Unix epoch, milliseconds): `refresh`. */
  expiring(expires: number): void;
  closing(closing: Closing): void;
}

export type Done = (error: SwitchboardError | undefined, result?: any) => void;

/**
 * What becomes of a call with its session: one of our `own` is about it, and ends with it; one that `repeats` is sent again in
 * the next; and any other fails, if the server may have known of it.
 */
type Fate = "own" | "repeats" | "fails";

interface Call {
  done: Done;
  fate: Fate;
  text: string;
}

/** The server says what cannot be. */
const broken = (what: string) => new SwitchboardError("broken", what);

export class Session {
  /** What the server said of its session, while there is one. */
  said: Said | undefined;
  readonly #now: () => number;
  readonly #happenings: Happenings;
  #attempt = 0;
  /** The number of the last control message, and the position that was said last. */
  #control = 0;
  #position = "";
  /** The number of the last control message of this connection, which may be one that came before. */
  #counted = 0;
  /** The length of all control messages that came, of this session and others. */
  controlLength = 0;
  readonly #outbox = new Outbox();
  readonly #subscriptions = new Subscriptions();
  readonly #calls = new Map<number, Call>();
  #lastCall = 0;
  #pinged = false;

  constructor(now: () => number, happenings: Happenings) {
    this.#now = now;
    this.#happenings = happenings;
  }

  /** How far the client has got in both lanes: what it goes on with after a cut. */
  get place(): string {
    return `${this.#control}.${this.#position}`;
  }

  get control(): number {
    return this.#control;
  }

  // Sessions of the server's come and go, and connections with them.

  opened(said: Said): void {
    this.lost();
    const [control, position] = placeOf(said.place);
    this.#control = this.#counted = control;
    this.#position = position;
    this.#attempt = 1;
    this.#outbox.begin(said.seq || 1);
    this.said = said;
    this.#happenings.began(said);
  }

  /** A connection of the session begins: its `attempt`, which is higher than all before. */
  attempt(): number {
    return ++this.#attempt;
  }

  /** A connection is read from now on. The server's control messages begin after the place that it was given. */
  reads(): void {
    this.#counted = this.#control;
    this.rewind();
  }

  /** A message was lost on its way up: what is not known to be applied is sent again. */
  rewind(): void {
    this.#outbox.rewind();
  }

  /** The server has no such session any more. */
  lost(): void {
    if (!this.said) return;
    this.said = undefined;
    this.#pinged = false;
    this.#subscriptions.lost(this.#position);
    const untried = this.#outbox.clear();
    const kinds = new Set(untried.map(({ kind }) => kind));
    for (const [number, call] of this.#calls) {
      if (call.fate === "own") this.#calls.delete(number);
      else if (kinds.has(number)) continue;
      else if (call.fate === "repeats") this.#outbox.push(number, call.text);
      else this.#settle(number, new SwitchboardError("session_lost"));
    }
    for (const { kind, text } of untried) {
      // The server's calls are gone with its session, and so are ours about it.
      if (kind === "notification" || (typeof kind === "number" && this.#calls.has(kind))) this.#outbox.push(kind, text);
    }
  }

  /** When there is something to send that waits for its time; `Infinity` if there is not. */
  deadline(): number {
    return this.said ? this.#subscriptions.deadline(this.#now()) : Infinity;
  }

  /** The client is over: whoever waits is told. */
  end(error: SwitchboardError): void {
    this.said = undefined;
    this.#outbox.clear();
    this.#subscriptions.clear(error);
    for (const number of [...this.#calls.keys()]) this.#settle(number, error);
  }

  // What the application wants.

  /** Calls a method, and gives the call's number. One that is safe to repeat is repeated in a new session, should this one be lost. */
  call(method: string, params: unknown, repeats: boolean, done: Done): number {
    return this.#open(method, params, done, repeats ? "repeats" : "fails");
  }

  /** Nobody waits for the answer any more. */
  abandon(call: number): void {
    if (this.#calls.delete(call)) this.#outbox.forget(call);
  }

  /** Says something that is not answered. */
  notify(method: string, params: unknown): void {
    this.#outbox.push("notification", written({ method, params }));
  }

  listen(channel: string, since: string | undefined, presence: boolean, sink: Sink): Listener {
    return this.#subscriptions.add(channel, since, presence, sink);
  }

  leave(listener: Listener): void {
    const channel = this.#subscriptions.remove(listener);
    if (channel !== undefined && this.said) this.#open("unsubscribe", { channel }, () => {});
  }

  /** Shows a new token. */
  refresh(token: string, done: Done): void {
    if (this.said) this.#open("refresh", { token }, done);
  }

  /** Asks for a sign of life, unless one was asked for. */
  ping(): void {
    if (!this.said || this.#pinged) return;
    this.#pinged = true;
    this.#open("ping", undefined, () => (this.#pinged = false));
  }

  #open(method: string, params: unknown, done: Done, fate: Fate = "own"): number {
    const id = ++this.#lastCall;
    const text = written({ id, method, params });
    this.#calls.set(id, { done, fate, text });
    this.#outbox.push(id, text);
    return id;
  }

  // The way up.

  /** Whether so much waits that no more should be taken for now. */
  get isFull(): boolean {
    return this.#outbox.count >= WAITING[0] || this.#outbox.length >= WAITING[1];
  }

  /** The next message to send on this connection, with its number, if there is a session. */
  nextUp(): { seq: number; text: string } | undefined {
    if (!this.said) return undefined;
    for (let ask; (ask = this.#subscriptions.nextAsk(this.#lastCall + 1, this.#now())); ) {
      const { channels, since, presence } = ask;
      const params = { channel: channels.length > 1 ? channels : channels[0], since, presence: presence || undefined };
      const call: number = this.#open("subscribe", params, (error, result) => this.#granted(call, error, result));
    }
    if (this.#outbox.count >= UNCONFIRMED) this.ping();
    return this.#outbox.next();
  }

  /** Whether everything that was said has been given out to be sent. */
  get hasSentAll(): boolean {
    return !this.#outbox.hasNext;
  }

  /** The message of this number was applied, and those before it. */
  applied(seq: number): void {
    this.#outbox.confirm(seq);
  }

  /** The server goes on with this number. */
  expected(seq: number): void {
    if (!this.#outbox.goOn(seq)) throw broken(`seq ${seq}`);
  }

  /** The message of this number was refused as it came, and takes no number. */
  refused(seq: number, error: SwitchboardError): void {
    const kind = this.#outbox.refuse(seq);
    if (typeof kind === "number") this.#settle(kind, error);
  }

  // The way down.

  /**
   * A message arrived; with the place after it, where the transport says one. Or a page ends without one, and the way up
   * goes on with `seq`.
   */
  received(text: string | undefined, place?: string, seq?: number): void {
    const at = place ? placeOf(place) : undefined;
    if (text !== undefined) {
      const said = parsed(text);
      const isControl = Array.isArray(said) || "id" in said || !this.#told(said);
      if (isControl && this.#count(at?.[0], text.length)) for (const message of [said].flat()) this.#controlled(message);
    } else if (at?.[0] !== this.#counted) throw broken(`place ${place}`);
    if (at?.[1]) this.#position = at[1];
    if (seq) this.applied(seq - 1);
  }

  /** One more control message. `false` if it came on an earlier connection. */
  #count(control = this.#counted + 1, length: number): boolean {
    this.#counted = control;
    if (control <= this.#control) return false;
    if (control > this.#control + 1) throw broken(`control ${control}`);
    this.#control = control;
    this.controlLength += length;
    return true;
  }

  /** What is not numbered: `false` if it is. */
  #told({ method, params = {} }: Message): boolean {
    switch (method) {
      case "session":
        this.#begins(params);
        break;
      case "event": {
        const event = eventOf(params);
        this.#position = event.position;
        this.#heard({ kind: "event", event }, event.channel);
        break;
      }
      case "gap": {
        // What is lost of the system's own channel of presence concerns those who hear who comes and goes.
        const { channel, to } = params as Gap;
        const isOfPresence = channel?.startsWith(PRESENCE) ?? false;
        this.#position = to;
        const of = isOfPresence ? channel!.slice(PRESENCE.length) : channel;
        this.#heard({ kind: "gap", gap: params }, of, isOfPresence);
        break;
      }
      case "presence":
        this.#heard({ kind: "presence", change: params }, params.channel, true);
        break;
      case "caught_up":
        this.#subscriptions.caughtUp([params.channel].flat());
        this.#position = params.position;
        break;
      case "position":
        this.#position = params.position;
        break;
      case "end":
        this.#ended(params.channel);
        break;
      case "closing":
        this.#happenings.closing(params);
        break;
      default:
        return false;
    }
    return true;
  }

  /** Tells it, and gives who was to hear it. */
  #heard(item: Item, channel: string | undefined, isOfPresence?: boolean): Listener[] {
    const listeners = this.#subscriptions.hearing(channel, isOfPresence);
    // One that hears may have another leave.
    for (const listener of listeners) if (listener.state !== "gone") listener.sink.item(item);
    return listeners;
  }

  /** A channel has ended: who listens to it alone has heard everything. */
  #ended(channel: string): void {
    for (const listener of this.#heard({ kind: "end", channel }, channel)) {
      if (listener.channel !== channel || listener.state === "gone") continue;
      // The server stays subscribed, should the channel be made anew.
      this.leave(listener);
      listener.sink.over();
    }
  }

  /** `session`: a connection begins, of the session that was taken up or of a new one. */
  #begins(said: Said): void {
    if (said.id !== this.said?.id) return this.opened(said);
    const [control] = placeOf(said.place);
    if (control > this.#control) throw broken(`control ${control}`);
    this.#counted = control;
    this.expected(said.seq ?? 1);
    this.said = said;
  }

  #controlled(message: Message): void {
    const { id, method, params, result, error } = message;
    if (method === undefined) {
      if (typeof id !== "number") return;
      // What was sent before it was then applied, too.
      this.applied(this.#outbox.seqOf(id) ?? 0);
      return this.#settle(id, error && errorOf(error), result);
    }
    if (id !== undefined) return this.#called(id, method, params);
    if (method === "expiring") return this.#happenings.expiring(params.expires);
    if (method === "subscribed") this.#position = params.position;
    this.#happenings.notified(method, params);
  }

  #called(id: Id, method: string, params: unknown): void {
    const { said } = this;
    let isAnswered = false;
    this.#happenings.called(method, params, (answer) => {
      if (this.said?.id === said?.id && !isAnswered) this.#outbox.push("answer", written({ id, ...answer }));
      isAnswered = true;
    });
  }

  /** A second answer, or one that nobody waits for, does no harm. */
  #settle(number: number, error: SwitchboardError | undefined, result?: unknown): void {
    const call = this.#calls.get(number);
    this.#calls.delete(number);
    call?.done(error, result);
  }

  /** `subscribe` was answered. */
  #granted(call: number, error: SwitchboardError | undefined, said: Granted): void {
    if (error) {
      for (const listener of this.#subscriptions.refused(call, error.again ? this.#now() + AGAIN : undefined)) {
        this.#subscriptions.remove(listener);
        listener.sink.over(error);
      }
      return;
    }
    const listeners = this.#subscriptions.granted(call, this.#position);
    this.#position = said.position;
    const { ended, ...where } = said;
    for (const { sink } of listeners) sink.granted(where);
    const { gap } = where;
    if (gap) this.#heard({ kind: "gap", gap }, gap.channel);
    if (ended) for (const channel of [...this.#subscriptions.catching]) this.#ended(channel);
  }
}

const written = (message: object): string => JSON.stringify({ jsonrpc: "2.0", ...message });

function parsed(text: string): Message | Message[] {
  try {
    const message = JSON.parse(text);
    if (typeof message === "object" && message) return message;
  } catch {
    // Said below.
  }
  throw broken(text.slice(0, 80));
}

/** A place is a number, a dot and a position. It goes into addresses as it is. */
function placeOf(text: unknown): [control: number, position: string] {
  const parts = /^(\d{1,15})\.([a-z\d.]*)$/i.exec(String(text));
  if (!parts) throw broken(`place ${text}`);
  return [Number(parts[1]), parts[2]!];
}

/** An event as applications see it. */
export function eventOf({ base64, ...event }: any): ChannelEvent {
  if (typeof event.id !== "string" || typeof event.channel !== "string") throw broken("event");
  if (base64 !== undefined) event.data = bytesOf(base64);
  event.position ??= event.id;
  return event;
}
