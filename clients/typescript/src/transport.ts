/** What a transport is: how a session travels. */

import type { Said } from "./session/words.js";
import type { SwitchboardError } from "./errors.js";

export type TransportName = "websocket" | "sse" | "stream" | "poll";

/** Why a connection is no more, or never was. */
export type Cut =
  /** Connect again, perhaps after so many milliseconds. */
  | { kind: "lost"; error: SwitchboardError; wait?: number }
  /** There is no such session any more. */
  | { kind: "gone" }
  /** The server does not let this client in. */
  | { kind: "refused"; error: SwitchboardError }
  /** This transport does not get through. */
  | { kind: "unfit"; error: SwitchboardError }
  /** A WebSocket was closed with this code. */
  | { kind: "closed"; code: number; reason: string };

/** What a link tells. After `cut` it says nothing more. */
export interface Hearing {
  /** A session was opened by a request of its own. */
  opened(said: Said): void;
  /** A message, with the place after it where the transport says one. */
  message(text: string, place?: string): void;
  /** A page of a long poll. */
  page(text: string): void;
  /** Something came, if it is but a heartbeat. */
  alive(): void;
  cut(cut: Cut): void;
}

/** What came of a message that was sent by `POST`. */
export type Posted =
  | { kind: "applied" }
  /** The server goes on with this number. */
  | { kind: "expected"; seq: number }
  /** It does not take the message. */
  | { kind: "refused"; error: SwitchboardError }
  | { kind: "gone" }
  | { kind: "lost"; wait?: number };

/** Where and how to connect. */
export interface Way {
  /** The session's location, as the server said it; none for a new session. */
  readonly location: string | undefined;
  readonly token: string | undefined;
  /** The query with which the session is taken up where it is now. Each call numbers a connection of its own. */
  query(): string;
  /** The address of a path of the server's. */
  url(path: string): string;
  readonly fetch: typeof fetch;
  readonly credentials: RequestCredentials;
  readonly WebSocket: (new (url: string, protocols?: string[]) => WebSocket) | undefined;
}

/** A connection, or one that is being made. */
export interface Link {
  /** Sends a frame, where the way up is the same connection, */
  send?(text: string): void;
  /** and whether it had better wait. */
  readonly isFull?: boolean;
  /** Sends a message up, or, without one, only what is acknowledged. */
  post?(location: string, seq: number | undefined, text: string, acknowledged: number): Promise<Posted>;
  /** Asks for the next page, where the session is read by pages. */
  ask?(): void;
  /** Nothing more is heard. With `end`, the session ends too. */
  close(end: boolean, location?: string): void;
}

export interface Transport {
  readonly name: TransportName;
  /** Whether the platform has what it takes. */
  fits(way: Pick<Way, "fetch" | "WebSocket">): boolean;
  open(way: Way, hearing: Hearing): Link;
}
