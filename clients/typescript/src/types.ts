/** What the client takes and gives. */

import type { SwitchboardError } from "./errors.js";
import type { Transport, TransportName } from "./transport.js";

/** Where reading begins: a position that the server gave, or a word for the oldest event held or the newest. */
export type Since = "earliest" | "latest" | (string & {});

/**
 * The data of a channel's events, by their types. `message` stands for events without a type:
 *
 * ```ts
 * type Chat = { said: { text: string }; typing: { user: string } };
 * const room = client.channel<Chat>("chat/lobby");
 * ```
 */
export type EventMap = Record<string, any>;

/** The types of events that there are. */
export type EventName<Events extends EventMap> = keyof Events & string;

/** An event, as the server named it. */
export interface ChannelEvent<Data = any, Name extends string = string> {
  /** Names it for ever. */
  readonly id: string;
  readonly channel: string;
  /** Its type, if it was given one. */
  readonly event: string extends Name ? string | undefined : Name extends "message" ? undefined : Name;
  /** JSON as it was published, text as a string, and anything else as a `Uint8Array`. */
  readonly data: Data;
  /** Milliseconds since the Unix epoch, by the server's clock. */
  readonly time: number;
  /** The content type, where the data does not imply it. */
  readonly type?: string;
  /** The position after it: what `since` takes. */
  readonly position: string;
}

/** Any of the events that `Events` lists. `event.event` tells which. */
export type AnyEvent<Events extends EventMap> = string extends keyof Events
  ? ChannelEvent<Events[string], string>
  : { [Name in EventName<Events>]: ChannelEvent<Events[Name], Name> }[EventName<Events>];

/** Why events are no longer held. */
export type GapReason =
  | "trimmed"
  | "expired"
  | "deleted"
  | "epoch"
  | "ahead"
  | "unknown"
  | "skipped"
  | "forgotten"
  | (string & {});

/** What lay after `from` and up to `to` is no longer held. Reading goes on after `to`. */
export interface Gap {
  /** Absent where it concerns all that is subscribed to. */
  readonly channel?: string;
  readonly from: string;
  readonly to: string;
  readonly reason: GapReason;
}

/** Who is on a channel: a user, with however many sessions, or a session without a user. */
export interface Member {
  readonly session: string;
  readonly user?: string;
  /** What it shows of itself. */
  readonly info?: any;
}

/** Somebody comes or goes. */
export interface PresenceChange {
  readonly channel: string;
  readonly event: "join" | "leave";
  readonly member: Member;
}

/** Who is on a channel now. */
export interface Present {
  /** How many there are, also where they are not all listed. */
  readonly count: number;
  readonly members?: readonly Member[];
}

/** Where a subscription begins. */
export interface Subscribed {
  readonly position: string;
  /** `false` where a gap is told, and `true` where nothing was lost since the position that was asked for. */
  readonly recovered?: boolean;
  readonly gap?: Gap;
}

/** A page of what a channel holds. */
export interface Page<Events extends EventMap = EventMap> {
  /** Oldest first. */
  readonly events: readonly AnyEvent<Events>[];
  /** After the last of them: where the next page begins. */
  readonly position: string;
  readonly gap?: Gap;
  /** The channel has ended, and everything was read. */
  readonly ended?: boolean;
}

/** What the server says of an event that it took. */
export interface Published {
  readonly id?: string;
  readonly channel: string;
  readonly position: string;
}

export interface ConnectOptions {
  signal?: AbortSignal;
}

export interface CallOptions {
  /** Gives the call up. The server may have worked on it all the same. */
  signal?: AbortSignal;
  /** Milliseconds; 30,000 unless told. */
  timeout?: number;
  /** It is safe to repeat: where the session is lost in the middle, it is called again in the next one. */
  repeat?: boolean;
}

export interface PublishOptions<Name extends string = string> extends CallOptions {
  /** The event's type. */
  event?: Name;
  /** The content type, where the data does not imply it. */
  type?: string;
  /**
   * A key for idempotency: the event is published once, however often this is repeated, and it is repeated where the
   * session is lost in the middle.
   */
  key?: string;
  /** `false`: the client's own subscriptions do not hear it. */
  echo?: boolean;
}

export interface HistoryOptions extends CallOptions {
  /** `earliest` unless told. */
  since?: Since;
  /** 100 unless told. */
  limit?: number;
}

export interface SubscribeOptions {
  /** Where to begin. Without it: at the present, or, of a `state` channel, with its state. */
  since?: Since;
  /** Ends the subscription. */
  signal?: AbortSignal;
  /** Hear also who comes and goes, where the server keeps track of that. */
  presence?: boolean;
  /**
   * How many items may wait for who takes them; 256 unless told. A reader that is slower than that reads on from the log
   * once it has taken these, so it costs no more memory and keeps nobody waiting.
   */
  queue?: number;
}

/** What a subscription tells its listeners. */
export type SubscriptionEvents<Events extends EventMap = EventMap> = {
  /** Any event. */
  event: AnyEvent<Events>;
  /**
   * Events were lost. A gap that nobody listens for ends the subscription with an error, and is thrown by its loop: it is
   * not missed by accident.
   */
  gap: Gap;
  /**
   * Somebody comes or goes: only with `presence`. Where some of that was lost, a `gap` says so, whose channel begins with
   * `$presence` or is left out: ask {@link Channel.presence} again.
   */
  presence: PresenceChange;
  /** A channel has ended. Of a subscription to one channel it is the last. */
  end: { readonly channel: string };
  /** The subscription is served from here on: for the first time, or again in a new session. */
  subscribed: Subscribed;
  /** The subscription has ended for this reason. */
  error: SwitchboardError;
} & {
  /** Events of one type; `event:message` are those without. */
  [Name in EventName<Events> as `event:${Name}`]: ChannelEvent<Events[Name], Name>;
};

/**
 * - `idle`: not asked to connect yet.
 * - `connecting`: a connection is being made.
 * - `connected`: a session is open, and its connection lives.
 * - `waiting`: for the next attempt.
 * - `closed`: by {@link Switchboard.close}, or because the server does not let the client in.
 */
export type State = "idle" | "connecting" | "connected" | "waiting" | "closed";

export interface StateChange {
  readonly state: State;
  readonly previous: State;
  /** What the connection is over, while there is one. */
  readonly transport?: TransportName;
  /** Why the connection was lost, or the client is closed. */
  readonly error?: SwitchboardError | undefined;
  /** In `waiting`: milliseconds until the next attempt. */
  readonly wait?: number;
}

/** A notification of the application's. */
export interface ApplicationNotice {
  readonly method: string;
  readonly params: any;
}

/** What a client tells its listeners. */
export type ClientEvents = {
  statechange: StateChange;
  notification: ApplicationNotice;
  /** A session was opened. Of one that comes after another, the subscriptions go on by position. */
  session: { readonly id: string };
};

/** Removes the listener that was added. */
export type Undo = () => void;

/**
 * Why a token is asked for: `connect`, for a new session; `expiring`, because the one that the session has ends soon;
 * `refused`, because the server did not take the last one, or takes it no longer.
 */
export type TokenReason = "connect" | "expiring" | "refused";

export interface TokenRequest {
  readonly reason: TokenReason;
  /** Aborted where the token is not waited for any more: after 15 seconds, and where the client is closed. */
  readonly signal: AbortSignal;
}

/** Answers what the server calls. What it throws is the answer, if it is a {@link SwitchboardError}. */
export type Handler<Params = any, Result = any> = (params: Params) => Result | Promise<Result>;

/** What is needed of a WebSocket: the platform's has it, and so has that of `ws`. */
export interface SocketLike {
  onopen: ((event: any) => any) | null;
  onmessage: ((event: any) => any) | null;
  onerror: ((event: any) => any) | null;
  onclose: ((event: any) => any) | null;
  readonly bufferedAmount: number;
  send(data: string): void;
  close(code?: number): void;
}

export type WebSocketLike = new (url: string, protocols?: string[]) => SocketLike;

/** What is needed of `localStorage`. */
export interface StorageLike {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

/** The clock and the chance of the client's decisions, for tests. */
export interface Clock {
  /** Milliseconds, of any clock that does not go back. */
  now(): number;
  set(callback: () => void, milliseconds: number): unknown;
  clear(timer: unknown): void;
  /** From 0 up to 1. */
  random(): number;
}

export interface CoreOptions {
  /** The token or API key to show. */
  token?: string;
  /**
   * Gives the token to show: when a session is opened, before the token ends, which is then renewed without a new
   * connection, and when the server refused the last one. If it fails, or takes longer than 15 seconds, it is asked again
   * after a while.
   */
  getToken?: (request: TokenRequest) => string | Promise<string>;
  /** Milliseconds that a call may take: 30,000 unless told. */
  timeout?: number;
  /** Cookies are sent along as `fetch` has it: `same-origin` unless told. */
  credentials?: RequestCredentials;
  /** In place of the platform's. Node.js 20 has none: `import WebSocket from "ws"`. */
  WebSocket?: WebSocketLike;
  /** In place of the platform's. */
  fetch?: typeof fetch;
  clock?: Clock;
}

export type { Transport, TransportName };
