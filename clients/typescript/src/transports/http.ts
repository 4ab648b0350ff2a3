/** What the transports over HTTP share: how a session is opened, the way up, and what refusals mean. */

import { Backoff } from "../backoff.js";
import { rowNamed, SwitchboardError, unreachable } from "../errors.js";
import { FIRST, WAIT_MAX } from "../limits.js";
import type { Said } from "../session/words.js";
import type { Cut, Hearing, Link, Up, Way } from "../transport.js";

/** Control messages and their length that may come before the server is told that they did. */
const UNACKNOWLEDGED = [32, 16 << 10] as const;

type Request = (path: string, init?: RequestInit) => Promise<Response>;

/** What came of a message that was sent by `POST`. */
type Posted =
  | { kind: "applied" }
  /** The server goes on with this number. */
  | { kind: "expected"; seq: number }
  /** It does not take the message. */
  | { kind: "refused"; error: SwitchboardError }
  | { kind: "gone" }
  | { kind: "lost"; wait?: number };

/** A refusal, as RFC 9457 has it, with what the server adds. */
interface Problem {
  code?: string;
  title?: string;
  detail?: string;
  expected?: number;
}

/**
 * Opens the way down of a session, and the session first if there is none. `read` reads until it ends; `query` is what is
 * asked for besides.
 */
export function openHttp(
  way: Way,
  hearing: Hearing,
  accept: string,
  read: (response: Response) => Promise<void>,
  query: () => string = () => "",
): Link {
  const stop = new AbortController();
  const request: Request = (path, init = {}) =>
    way.fetch(way.url + path, { credentials: way.credentials, cache: "no-store", signal: stop.signal, ...init });
  const poster = new Poster(request, way, hearing, stop.signal);
  let { location } = way;

  const open = async (): Promise<Said> => {
    const headers: Record<string, string> = way.token === undefined ? {} : { Authorization: `Bearer ${way.token}` };
    const response = await request("/session", { method: "POST", headers });
    if (response.status !== 201) throw await refusal(response, false);
    const said: Said = await response.json();
    hearing.opened(said);
    return said;
  };

  const ask = async () => {
    try {
      // A session that was opened for this link alone is not the client's before it is greeted.
      const own = location === undefined ? await open() : undefined;
      location ??= own!.location;
      const place = own ? `?since=${own.place}&attempt=1` : way.query();
      const response = await request(location + place + query(), { headers: { Accept: accept } });
      if (response.status !== 200) return hearing.cut(await refusal(response, true));
      if (!response.headers.get("content-type")?.startsWith(accept)) {
        return hearing.cut({ kind: "unfit", error: unreachable(`what answers is not ${accept}`) });
      }
      await read(response);
    } catch (error) {
      hearing.cut(typeof (error as Cut).kind === "string" ? (error as Cut) : lost(error));
    }
  };

  // Nothing is heard before the link is known.
  queueMicrotask(ask);
  return {
    ask,
    pump: (up) => void poster.pump(up),
    get isBusy() {
      return poster.isBusy;
    },
    close(end) {
      stop.abort();
      poster.abort?.();
      // If it cannot be reached, it ends by itself after a while.
      if (end && location !== undefined) {
        request(location, { method: "DELETE", keepalive: true, signal: null }).catch(() => {});
      }
    },
  };
}

/** The way up: one `POST` after the other. */
class Poster {
  isBusy = false;
  /** Gives up what is on its way. */
  abort?: () => void;
  readonly #request: Request;
  readonly #way: Way;
  readonly #hearing: Hearing;
  readonly #stopped: AbortSignal;
  readonly #backoff = new Backoff();
  /** The control messages that the server knows to have come: those before the connection, and those acknowledged since. */
  #known: Pick<Up, "control" | "controlLength"> | undefined;

  constructor(request: Request, way: Way, hearing: Hearing, stopped: AbortSignal) {
    this.#request = request;
    this.#way = way;
    this.#hearing = hearing;
    this.#stopped = stopped;
  }

  async pump(up: Up): Promise<void> {
    if (this.isBusy || !up.said) return;
    const { control, controlLength } = up;
    const known = (this.#known ??= { control, controlLength });
    const isDue = control - known.control >= UNACKNOWLEDGED[0] || controlLength - known.controlLength >= UNACKNOWLEDGED[1];
    const message = up.nextUp();
    if (!message && !isDue) return;
    this.isBusy = true;
    const { clock } = this.#way;
    const stop = new AbortController();
    // What is long may take longer, as on a slow line.
    const timer = clock.set((this.abort = () => stop.abort()), FIRST + (message?.text.length ?? 0));
    const posted = await post(this.#request, up.said.location, message, control, stop.signal);
    clock.clear(timer);
    if (posted.kind === "lost") {
      await new Promise<void>((done) => {
        clock.set(done, this.#backoff.next(clock.random()) + Math.min(posted.wait ?? 0, WAIT_MAX));
      });
    }
    // What became of one that was given up, the server says when the session is taken up.
    if (this.#stopped.aborted) return;
    this.isBusy = false;
    // One that is refused may be refused before it is read.
    if (posted.kind === "applied" || (posted.kind === "refused" && !message)) this.#known = { control, controlLength };
    try {
      this.#settle(up, posted, message?.seq);
    } catch (cause) {
      return this.#hearing.cut({ kind: "gone", error: new SwitchboardError("broken", undefined, { cause }) });
    }
    this.#hearing.ready();
  }

  #settle(up: Up, posted: Posted, seq: number | undefined): void {
    switch (posted.kind) {
      case "applied":
        this.#backoff.reset();
        if (seq !== undefined) up.applied(seq);
        return;
      case "expected":
        return up.expected(posted.seq);
      case "refused":
        // What was acknowledged is acknowledged with the next message, or when the session is taken up again.
        if (seq !== undefined) up.refused(seq, posted.error);
        return;
      case "gone":
        return this.#hearing.cut({ kind: "gone" });
      case "lost":
        up.rewind();
    }
  }
}

/** Sends a message up; without one, only what is acknowledged. */
async function post(
  request: Request,
  location: string,
  message: { seq: number; text: string } | undefined,
  acknowledged: number,
  signal: AbortSignal,
): Promise<Posted> {
  const headers: Record<string, string> = { "Session-Ack": String(acknowledged) };
  if (message) {
    headers["Session-Seq"] = String(message.seq);
    headers["Content-Type"] = "application/json";
  }
  try {
    const response = await request(location, { method: "POST", headers, body: message?.text ?? "", signal });
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

export const lost = (cause: unknown): Cut => ({ kind: "lost", error: unreachable(undefined, cause) });

/** Reads a body as text until it ends, which is that of the connection. */
export async function readText(response: Response, hearing: Hearing, feed: (text: string) => void): Promise<void> {
  const reader = response.body!.getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return hearing.cut(lost(undefined));
    hearing.alive();
    feed(decoder.decode(value, { stream: true }));
  }
}
