/** What is said in a session. */

import type { Gap } from "../types.js";

/** What `session` says, and the answer to `POST /session`. */
export interface Said {
  readonly id: string;
  readonly location: string;
  readonly place: string;
  /** The number of the next message up. */
  readonly seq?: number;
  readonly linger?: number;
  /** How often something is heard of a connection that lives, in milliseconds. */
  readonly heartbeat?: number;
  readonly expires?: number;
}

/** Why the server closes a connection. */
export interface Closing {
  /** A name of the table of errors. */
  readonly code: string;
  readonly reason: string;
  /** Whether there is a point in coming back. */
  readonly reconnect: boolean;
}

/** What `closing` says, if that is what this message is. */
export function closingOf(text: string | undefined): Closing | undefined {
  try {
    const { method, params } = JSON.parse(text!);
    if (method === "closing") return params;
  } catch {
    // What is no message is told where it is read.
  }
  return undefined;
}

/** The answer to `subscribe`. */
export interface Granted {
  readonly position: string;
  readonly recovered?: boolean;
  readonly gap?: Gap;
  readonly ended?: boolean;
}

/** An error of JSON-RPC. */
export interface RpcError {
  readonly code: number;
  readonly message: string;
  readonly data?: any;
}

export type Id = number | string | null;

/** A message of JSON-RPC 2.0, or what claims to be one. */
export interface Message {
  readonly id?: Id;
  readonly method?: string;
  readonly params?: any;
  readonly result?: any;
  readonly error?: RpcError;
}
