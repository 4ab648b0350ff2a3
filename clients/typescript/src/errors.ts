/** What can go wrong, and who is to blame. */

import type { RpcError } from "./session/words.js";
import type { Gap } from "./types.js";

/** The server's errors: the rows of the table in docs/protocol.md. */
export type ServerCode =
  | "bad_request"
  | "channel_name"
  | "event_type"
  | "invalid_json"
  | "invalid_text"
  | "invalid_parameter"
  | "invalid_item"
  | "unauthorized"
  | "token_expired"
  | "token_revoked"
  | "forbidden"
  | "forbidden_origin"
  | "not_found"
  | "method_not_allowed"
  | "request_timeout"
  | "channel_ended"
  | "gap"
  | "too_large"
  | "expectation_failed"
  | "unsupported_encoding"
  | "misdirected"
  | "idempotency_key_reused"
  | "upgrade_required"
  | "head_too_large"
  | "rate_limited"
  | "too_many"
  | "internal"
  | "not_implemented"
  | "application_failed"
  | "overloaded"
  | "draining"
  | "version_not_supported"
  | "ended"
  | "websocket_protocol"
  | "websocket_unsupported"
  | "unresponsive"
  | "parse_error"
  | "invalid_request"
  | "method_not_found"
  | "invalid_params"
  | "stale_attempt"
  | "call_timeout"
  | "out_of_order"
  | "session_ended"
  | "session_full";

/** The client's own. */
export type ClientCode =
  /** The call was not answered in time. It may have been worked on all the same. */
  | "timeout"
  /** The session was lost while the call was under way: it may have been worked on or not. */
  | "session_lost"
  /** More waits to be sent than the client keeps. */
  | "queue_full"
  /** The client is closed. */
  | "closed"
  /** No server could be reached, or the connection was lost. */
  | "unreachable"
  /** There is no token to show. */
  | "no_token"
  /** What the server said cannot be. */
  | "broken"
  /** No transport can be used: there is none of that name, or the platform lacks what it needs. */
  | "unsupported"
  /** An error of the application's own: `rpc` is its number, and `data` what it says. */
  | "application";

/** Every code that an error can have. */
export type ErrorCode = ServerCode | ClientCode;

/**
 * Rows by their status: the number of JSON-RPC is the status and two digits that count from 00, and the close code of a
 * WebSocket 4000 and the status, unless the row says others; `+` where the same may succeed later.
 */
const TABLE =
  "400 bad_request channel_name event_type invalid_json invalid_text=1007 invalid_parameter invalid_item " +
  "websocket_protocol=1002 websocket_unsupported=1003 parse_error:-32700 invalid_request:-32600 invalid_params:-32602 " +
  "401 unauthorized token_expired token_revoked 403 forbidden forbidden_origin 404 not_found method_not_found:-32601 " +
  "405 method_not_allowed 408 request_timeout+ unresponsive+ 409 channel_ended stale_attempt out_of_order " +
  "410 gap+ session_full+ session_ended=1000 413 too_large=1009 415 unsupported_encoding 417 expectation_failed " +
  "421 misdirected 422 idempotency_key_reused 426 upgrade_required 429 rate_limited+ too_many+ 431 head_too_large " +
  "500 internal+:-32603=1011 501 not_implemented 502 application_failed+ 503 overloaded+=1013 draining+=1012 " +
  "504 call_timeout+ 505 version_not_supported 204 ended=1000";

export interface Row {
  readonly name: ServerCode;
  readonly rpc: number;
  readonly close: number;
  /** Whether the same may succeed later. */
  readonly again: boolean;
}

function read(table: string): Row[] {
  let status = 0;
  let next = 0;
  return table.split(" ").flatMap((word) => {
    if (/^\d/.test(word)) {
      status = Number(word);
      next = status * 100;
      return [];
    }
    const [, name, again, rpc, close] = /^(\w+)(\+)?(?::(-\d+))?(?:=(\d+))?$/.exec(word)!;
    return {
      name: name as ServerCode,
      rpc: rpc ? Number(rpc) : next++,
      close: Number(close ?? 4000 + status),
      again: again !== undefined,
    };
  });
}

/** Every row there is. */
export const ROWS: readonly Row[] = /* @__PURE__ */ read(TABLE);

export const rowNamed = (name: unknown) => ROWS.find((row) => row.name === name);
export const rowOfClose = (code: number) => ROWS.find((row) => row.close === code);

export interface ErrorDetails {
  /** The number of JSON-RPC. */
  rpc?: number | undefined;
  data?: unknown;
  /** The status, where it came over HTTP. */
  status?: number | undefined;
  gap?: Gap | undefined;
  cause?: unknown;
}

/** The one error of this client. `code` says which. */
export class SwitchboardError extends Error {
  override readonly name = "SwitchboardError";
  declare readonly code: ErrorCode;
  /** The number of JSON-RPC, where the error has one. */
  declare readonly rpc: number | undefined;
  /** What the server or the application says besides. */
  declare readonly data: unknown;
  /** The status, where it came over HTTP. */
  declare readonly status: number | undefined;
  /** With code `gap`: what is lost. */
  declare readonly gap: Gap | undefined;

  constructor(code: ErrorCode, message?: string, { rpc, data, status, gap, cause }: ErrorDetails = {}) {
    super(message || code.replaceAll("_", " "), cause === undefined ? undefined : { cause });
    this.code = code;
    this.rpc = rpc ?? rowNamed(code)?.rpc;
    this.data = data;
    this.status = status;
    this.gap = gap;
  }

  /** Whether the same may succeed later. */
  get again(): boolean {
    return rowNamed(this.code)?.again ?? ["timeout", "session_lost", "queue_full", "unreachable"].includes(this.code);
  }

  /** An error for a {@link Handler} to answer with: a number and a message of your own. */
  static application(rpc: number, message: string, data?: unknown): SwitchboardError {
    return new SwitchboardError("application", message, { rpc, data });
  }
}

export const closed = () => new SwitchboardError("closed");
export const full = () => new SwitchboardError("queue_full");
export const unreachable = (why?: string, cause?: unknown) => new SwitchboardError("unreachable", why, { cause });

/** The error that an answer has. */
export function errorOf({ code, message, data }: RpcError): SwitchboardError {
  const row = ROWS.find(({ rpc }) => rpc === code);
  const detail = data?.detail;
  const sentence = typeof detail === "string" ? detail : message;
  return new SwitchboardError(row?.name ?? "application", sentence, { rpc: code, data });
}

/** What a handler's failure is answered with. What is not an error for others to read says nothing of itself. */
export function answerOf(error: unknown): RpcError {
  const isOurs = error instanceof SwitchboardError;
  const { rpc = -32603, message, data } = isOurs ? error : new SwitchboardError("internal", "Internal error");
  return { code: rpc, message, data };
}
