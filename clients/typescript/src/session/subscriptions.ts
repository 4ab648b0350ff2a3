/**
 * Who listens to what, and from where on.
 *
 * The server keeps one subscription for a channel or pattern, however many listeners there are:
 *
 *          asked            answered           caught up
 *  wanted ----------> asked ----------> catching ----------> live
 *    ^                                                        |
 *    '--------------- the session is lost --------------------'
 *
 * One subscription catches up at a time, or several that were asked for in one call. What comes meanwhile is for their
 * listeners alone, and those that are live wait.
 */

import type { Gap, PresenceChange, ChannelEvent, Subscribed } from "../types.js";
import type { SwitchboardError } from "../errors.js";
import { TOGETHER } from "../limits.js";
import { isPattern, matches } from "./pattern.js";


/** What a subscription brings. */
export type Item =
  | { kind: "event"; event: ChannelEvent }
  | { kind: "gap"; gap: Gap }
  | { kind: "presence"; change: PresenceChange }
  | { kind: "end"; channel: string };

/** Who listens. */
export interface Sink {
  /** It is served from here on: for the first time, or in a new session. */
  granted(said: Subscribed): void;
  item(item: Item): void;
  /** It is over: the server refuses it, or it has heard everything. */
  over(error?: SwitchboardError): void;
}

export interface Listener {
  readonly channel: string;
  readonly isPattern: boolean;
  readonly presence: boolean;
  readonly sink: Sink;
  state: "wanted" | "asked" | "catching" | "live" | "gone";
  since: string | undefined;
  /** It is to be asked for at this time. */
  at: number;
  /** The server has granted it once. */
  granted: boolean;
  /** It is to be asked for alone: together with others it was refused. */
  alone: boolean;
}

/** What to ask the server for in one call. */
export interface Ask {
  channels: string[];
  since: string | undefined;
  presence: boolean;
}

export class Subscriptions {
  #listeners = new Set<Listener>();
  /** The subscription that is being made. */
  #current: { channels: string[]; call: number; answered: boolean } | undefined;
  /** While one catches up: where the others are. */
  #liveAt: string | undefined;

  add(channel: string, since: string | undefined, presence: boolean, sink: Sink): Listener {
    const listener: Listener = {
      channel, since, presence, sink, isPattern: isPattern(channel), state: "wanted", at: 0, granted: false, alone: false,
    };
    this.#listeners.add(listener);
    return listener;
  }

  /** Nobody listens there any more. Gives the channel that the server need not send from now on. */
  remove(listener: Listener): string | undefined {
    const { channel, state } = listener;
    this.#listeners.delete(listener);
    listener.state = "gone";
    const isServed = this.#of(channel).some((other) => other.state !== "wanted");
    return state === "wanted" || state === "gone" || isServed ? undefined : channel;
  }

  #of(channel: string): Listener[] {
    return [...this.#listeners].filter((listener) => listener.channel === channel);
  }

  /** What to ask for next. What is wanted from the same position on is asked for together, as all is after a session was lost. */
  nextAsk(call: number, now: number): Ask | undefined {
    if (this.#current) return undefined;
    const due = [...this.#listeners].filter(({ state, at }) => state === "wanted" && at <= now);
    const [first] = due;
    if (!first) return undefined;
    const { since, channel, alone } = first;
    const presence = this.#withPresence(channel);
    const channels = new Set([channel]);
    if (since !== undefined && !alone) {
      for (const other of due) {
        const isSame = other.since === since && !other.alone && this.#withPresence(other.channel) === presence;
        if (isSame && channels.size < TOGETHER) channels.add(other.channel);
      }
    }
    for (const listener of this.#listeners) {
      if (channels.has(listener.channel) && listener.state === "wanted" && listener.since === since) listener.state = "asked";
    }
    this.#current = { channels: [...channels], call, answered: false };
    return { channels: [...channels], since, presence };
  }

  #withPresence(channel: string): boolean {
    return this.#of(channel).some(({ presence }) => presence);
  }

  /** When one is to be asked for that has to wait until then; `Infinity` if there is none. */
  deadline(now: number): number {
    const waits = [...this.#listeners].filter(({ state, at }) => state === "wanted" && at > now);
    return this.#current ? Infinity : Math.min(...waits.map(({ at }) => at));
  }

  /** The call is answered: catching up begins, while the others stay at `live`. Gives who is served from now on. */
  granted(call: number, live: string): Listener[] {
    if (this.#current?.call !== call) return [];
    this.#current.answered = true;
    this.#liveAt = live;
    const asked = this.#asked();
    for (const listener of asked) {
      listener.state = "catching";
      listener.granted = true;
    }
    return asked;
  }

  /** The call is refused. Gives who is to be told; those that had it before ask again at `again`, if there is a point. */
  refused(call: number, again: number | undefined): Listener[] {
    if (this.#current?.call !== call) return [];
    const asked = this.#asked();
    const wereSeveral = this.#current.channels.length > 1;
    this.#current = undefined;
    return asked.filter((listener) => {
      if (!wereSeveral && (again === undefined || !listener.granted)) return true;
      listener.alone ||= wereSeveral;
      listener.state = "wanted";
      listener.at = again ?? 0;
      return false;
    });
  }

  #asked(): Listener[] {
    return [...this.#listeners].filter(({ state }) => state === "asked");
  }

  /** What is catching up. */
  get catching(): readonly string[] {
    return this.#current?.answered ? this.#current.channels : [];
  }

  /** Catching up with these is over: those who did are live. Nothing happens if it is not these that catch up. */
  caughtUp(channels: readonly string[]): void {
    const catching = this.catching;
    if (catching.length === 0 || !catching.every((channel) => channels.includes(channel))) return;
    this.#current = this.#liveAt = undefined;
    for (const listener of this.#listeners) {
      if (listener.state === "catching") {
        listener.state = "live";
        listener.alone = false;
      }
    }
  }

  /** Who is to hear what the server says of a channel, or of all; or of who comes and goes there. */
  hearing(channel: string | undefined, presence = false): Listener[] {
    const state = this.catching.length > 0 ? "catching" : "live";
    return [...this.#listeners].filter(
      (listener) =>
        listener.state === state &&
        (listener.presence || !presence) &&
        (channel === undefined ||
          listener.channel === channel ||
          (listener.isPattern && matches(listener.channel, channel))),
    );
  }

  /** The session is lost, at this position: everything is to be asked for again. */
  lost(position: string): void {
    const live = this.#liveAt ?? position;
    this.#current = this.#liveAt = undefined;
    for (const listener of this.#listeners) {
      if (listener.state === "catching") listener.since = position || undefined;
      if (listener.state === "live") listener.since = live || undefined;
      listener.state = "wanted";
    }
  }

  /** The client is over. */
  clear(error: SwitchboardError): void {
    const all = [...this.#listeners];
    this.#listeners.clear();
    this.#current = this.#liveAt = undefined;
    for (const listener of all) {
      listener.state = "gone";
      listener.sink.over(error);
    }
  }
}
