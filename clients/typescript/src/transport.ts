/** What a transport is: how a session travels. */

import type { SwitchboardError } from "./errors.js";
import type { Session } from "./session/session.js";
import type { Said } from "./session/words.js";
import type { Clock, WebSocketLike } from "./types.js";

export type TransportName = "websocket" | "sse" | "stream" | "poll";

/** Why a connection is no more, or never was. */
export type Cut =
  /** Connect again, perhaps after so many milliseconds. */
  | { kind: "lost"; error: SwitchboardError; wait?: number }
  /** There is no such session any more, or it is not understood. */
  | { kind: "gone"; error?: SwitchboardError }
  /** The server does not let this client in. */
  | { kind: "refused"; error: SwitchboardError }
  /** This transport does not get through. `why` asks over HTTP for the reason, where no other transport finds it out. */
  | { kind: "unfit"; error: SwitchboardError; why?: () => Promise<Cut | undefined> }
  /** So it was, but there is a session to take up. */
  | { kind: "opened"; said: Said; error?: undefined }
  /** A WebSocket was closed with this code. */
  | { kind: "closed"; code: number; reason: string };

/** What a link tells, after `open` has given it. After `cut` it says nothing more. */
export interface Hearing {
  /** A session was opened by a request of its own. */
  opened(said: Said): void;
  /** What comes now comes by another connection, over this transport; perhaps of a session that was opened for it. */
  over(name: TransportName, said: Said | undefined): void;
  /**
   * A message, with the place after it where the transport says one. At the end of a page, none, with the number that the
   * way up goes on with: `ask` asks for the next.
   */
  message(text: string | undefined, place?: string, seq?: number): void;
  /** Something came, if it is but a heartbeat. */
  alive(): void;
  /** There may be room again for what is to be sent. */
  ready(): void;
  cut(cut: Cut): void;
}

/** What is to be sent: the session's messages up, and what became of them. */
export type Up = Pick<
  Session,
  "said" | "control" | "controlLength" | "nextUp" | "applied" | "expected" | "refused" | "rewind"
>;

/** Where and how to connect. */
export interface Way {
  /** The session's location, as the server said it; none for a new session. */
  readonly location: string | undefined;
  readonly token: string | undefined;
  /** The query with which the session is taken up where it is now. Each call numbers a connection of its own. */
  query(): string;
  /** The address of the server, without a path. */
  readonly url: string;
  readonly fetch: typeof fetch;
  readonly credentials: RequestCredentials;
  readonly WebSocket: WebSocketLike | undefined;
  readonly clock: Clock;
}

/** A connection, or one that is being made. */
export interface Link {
  /** Sends what there is to send, as far as there is room. */
  pump(up: Up): void;
  /** Whether something is on its way up. */
  readonly isBusy?: boolean;
  /** Asks for the next page, where the session is read by pages. */
  ask?(): void;
  /** The network is another: what did not get through may now. */
  rethink?(): void;
  /** Nothing more is heard. With `end`, the session ends too. */
  close(end: boolean): void;
}

export interface Transport {
  readonly name: TransportName;
  /** Whether the platform has what it takes. */
  fits(way: Way): boolean;
  open(way: Way, hearing: Hearing): Link;
}
