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
  /** The platform lacks what every transport needs. */
  | "unsupported"
  /** An error of the application's own: `rpc` is its number, and `data` what it says. */
  | "application";

/** Every code that an error can have. */
export type ErrorCode = ServerCode | ClientCode;

/** name, number of JSON-RPC, close code of a WebSocket, and `+` where the same may succeed later. */
const TABLE =
  "bad_request,40000,4400, channel_name,40001,4400, event_type,40002,4400, " +
  "invalid_json,40003,4400, invalid_text,40004,1007, invalid_parameter,40005,4400, " +
  "invalid_item,40006,4400, unauthorized,40100,4401, token_expired,40101,4401, " +
  "token_revoked,40102,4401, forbidden,40300,4403, forbidden_origin,40301,4403, " +
  "not_found,40400,4404, method_not_allowed,40500,4405, request_timeout,40800,4408,+ " +
  "channel_ended,40900,4409, gap,41000,4410,+ too_large,41300,1009, " +
  "expectation_failed,41700,4417, unsupported_encoding,41500,4415, misdirected,42100,4421, " +
  "idempotency_key_reused,42200,4422, upgrade_required,42600,4426, head_too_large,43100,4431, " +
  "rate_limited,42900,4429,+ too_many,42901,4429,+ internal,-32603,1011,+ " +
  "not_implemented,50100,4501, application_failed,50200,4502,+ overloaded,50300,1013,+ " +
  "draining,50301,1012,+ version_not_supported,50500,4505, ended,20400,1000, " +
  "websocket_protocol,40007,1002, websocket_unsupported,40008,1003, unresponsive,40801,4408,+ " +
  "parse_error,-32700,4400, invalid_request,-32600,4400, method_not_found,-32601,4404, " +
  "invalid_params,-32602,4400, stale_attempt,40901,4409, call_timeout,50400,4504,+ " +
  "out_of_order,40902,4409, session_ended,41002,1000, session_full,41001,4410,+";

interface Row {
  readonly name: ServerCode;
  readonly rpc: number;
  readonly close: number;
  /** Whether the same may succeed later. */
  readonly again: boolean;
}

const ROWS: readonly Row[] = /* @__PURE__ */ TABLE.split(" ").map((row) => {
  const [name, rpc, close, again] = row.split(",");
  return { name: name as ServerCode, rpc: Number(rpc), close: Number(close), again: again === "+" };
});

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
  readonly code: ErrorCode;
  /** The number of JSON-RPC, where the error has one. */
  readonly rpc: number | undefined;
  /** What the server or the application says besides. */
  readonly data: unknown;
  /** The status, where it came over HTTP. */
  readonly status: number | undefined;
  /** With code `gap`: what is lost. */
  readonly gap: Gap | undefined;

  constructor(code: ErrorCode, message: string = code, { rpc, data, status, gap, cause }: ErrorDetails = {}) {
    super(message, cause === undefined ? undefined : { cause });
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

/** The error that an answer has. */
export function errorOf({ code, message, data }: RpcError): SwitchboardError {
  const row = ROWS.find(({ rpc }) => rpc === code);
  const detail = data?.detail;
  const sentence = typeof detail === "string" ? detail : message;
  return new SwitchboardError(row?.name ?? "application", sentence, { rpc: code, data });
}

/** What a handler's failure is answered with. What is not an error for others to read says nothing of itself. */
export function answerOf(error: unknown): RpcError {
  if (!(error instanceof SwitchboardError)) return { code: -32603, message: "Internal error" };
  const { rpc, message, data } = error;
  return { code: rpc ?? -32603, message, ...(data === undefined ? {} : { data }) };
}
