/** What the transports over HTTP share: how a session is opened, the way up, and what refusals mean. */

import { rowNamed, SwitchboardError } from "../errors.js";
import type { Said } from "../session/words.js";
import type { Cut, Hearing, Link, Posted, Way } from "../transport.js";

/** A refusal, as RFC 9457 has it, with what the server adds. */
interface Problem {
  code?: string;
  title?: string;
  detail?: string;
  expected?: number;
}

/** Opens the way down of a session, and the session first if there is none. `read` reads until it ends. */
export function openHttp(
  way: Way,
  hearing: Hearing,
  accept: string,
  read: (response: Response) => Promise<void>,
  query: () => string = () => "",
): Link & { ask(): void } {
  const stop = new AbortController();
  let { location } = way;
  const request = (path: string, init: RequestInit = {}) =>
    way.fetch(way.url(path), { credentials: way.credentials, cache: "no-store", signal: stop.signal, ...init });

  const run = async () => {
    try {
      location ??= await open();
      const response = await request(location + way.query() + query(), { headers: { Accept: accept } });
      if (response.status !== 200) return hearing.cut(await refusal(response, true));
      if (!response.headers.get("content-type")?.startsWith(accept)) {
        return hearing.cut({ kind: "unfit", error: unreachable(`what answers is not ${accept}`) });
      }
      await read(response);
    } catch (error) {
      hearing.cut(typeof (error as Cut).kind === "string" ? (error as Cut) : lost(error));
    }
  };

  const open = async (): Promise<string> => {
    const headers: Record<string, string> = way.token === undefined ? {} : { Authorization: `Bearer ${way.token}` };
    const response = await request("/session", { method: "POST", headers });
    if (response.status !== 201) throw await refusal(response, false);
    const said: Said = await response.json();
    hearing.opened(said);
    return said.location;
  };

  // Nothing is heard before the link is known.
  queueMicrotask(run);
  return {
    ask: run,
    close(end, at) {
      stop.abort();
      // If it cannot be reached, it ends by itself after a while.
      if (end && at !== undefined) request(at, { method: "DELETE", keepalive: true, signal: null }).catch(() => {});
    },
    post: (at, seq, text, acknowledged) => post(request, at, seq, text, acknowledged),
  };
}

async function post(
  request: (path: string, init: RequestInit) => Promise<Response>,
  location: string,
  seq: number | undefined,
  text: string,
  acknowledged: number,
): Promise<Posted> {
  const headers: Record<string, string> = { "Session-Ack": String(acknowledged) };
  if (seq !== undefined) {
    headers["Session-Seq"] = String(seq);
    headers["Content-Type"] = "application/json";
  }
  try {
    const response = await request(location, { method: "POST", headers, body: text });
    if (response.ok) {
      await response.text();
      return { kind: "applied" };
    }
    const problem = await problemOf(response);
    if (response.status === 404) return { kind: "gone" };
    if (response.status === 409 && problem.expected) return { kind: "expected", seq: problem.expected };
    if (passes(response, problem)) return { kind: "lost", ...waitOf(response) };
    return { kind: "refused", error: errorOf(response, problem) };
  } catch {
    return { kind: "lost" };
  }
}

/** What an answer that is not the one hoped for means. */
async function refusal(response: Response, isKnown: boolean): Promise<Cut> {
  const problem = await problemOf(response);
  const error = errorOf(response, problem);
  const { code } = problem;
  if (isKnown && (code === "not_found" || code === "session_full")) return { kind: "gone" };
  if (code === "stale_attempt" || passes(response, problem)) return { kind: "lost", error, ...waitOf(response) };
  // What answers may be a proxy that knows no better.
  const isOurs = rowNamed(code) && !["bad_request", "upgrade_required", "not_implemented"].includes(code!);
  return { kind: isOurs ? "refused" : "unfit", error };
}

async function problemOf(response: Response): Promise<Problem> {
  try {
    return (await response.json()) ?? {};
  } catch {
    return {};
  }
}

function passes({ status }: Response, { code }: Problem): boolean {
  return rowNamed(code)?.again ?? (status === 429 || status >= 500);
}

function waitOf(response: Response): { wait?: number } {
  const seconds = Number(response.headers.get("retry-after"));
  return seconds > 0 ? { wait: seconds * 1000 } : {};
}

function errorOf({ status }: Response, { code, title, detail, ...data }: Problem): SwitchboardError {
  const name = rowNamed(code)?.name ?? "unreachable";
  return new SwitchboardError(name, detail ?? title ?? `the server answers with status ${status}`, { status, data });
}

const unreachable = (why: string, cause?: unknown) => new SwitchboardError("unreachable", why, { cause });

export const lost = (cause: unknown): Cut => ({ kind: "lost", error: unreachable("the connection was lost", cause) });

/** Reads a body as text until it ends, which is that of the connection. */
export async function readText(response: Response, hearing: Hearing, feed: (text: string) => void): Promise<void> {
  const reader = response.body!.getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return hearing.cut(lost("the server ended the stream"));
    hearing.alive();
    feed(decoder.decode(value, { stream: true }));
  }
}
