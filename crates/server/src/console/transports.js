// The five ways to read. Each is told a channel and a cursor, and says what it hears. Nothing here is needed to use the
// server: it is what a program of yours would do, in the open.
//
// `open(channel, since, hear, settings)` returns a function that closes. `hear` has: asking(path), live(),
// item(object, cursor?), ended(), lost(why, wait?) and refused(why).

import { NDJSON, pathOf, withQuery } from "./address.js";

/** Seconds for which a long poll asks the server to hold back an empty answer. */
const WAIT = 20;

// What is asked for is to come from the server and to be counted there, so no cache is to answer in its place.
const get = (path, accept, abort) => fetch(path, { headers: { Accept: accept }, cache: "no-store", signal: abort.signal });

/** Runs an asynchronous reader until it is closed; what it throws is a lost connection. */
function run(hear, read) {
  const abort = new AbortController();
  read(abort).catch((error) => abort.signal.aborted || hear.lost(reasonOf(error)));
  return () => abort.abort();
}

/** Browsers say little about a failed request, and each in its own words. */
const reasonOf = (error) => (error instanceof TypeError ? "the server cannot be reached" : String(error.message || error));

/** Reads one page after another; `pause` is waited for after a page that left nothing unread. */
async function readPages(channel, since, hear, abort, wait, pause) {
  let position = since ?? "latest";
  // The first page is not waited for, so that it is known where reading starts.
  for (let seconds = wait && 0; ; seconds = wait) {
    const path = withQuery(pathOf(channel), { since: position, wait: seconds });
    hear.asking(path);
    const response = await get(path, "application/json", abort);
    if (!response.ok) return refusedBy(response, hear);
    const page = await response.json();
    hear.live();
    if (page.gap) hear.item({ $gap: page.gap });
    for (const event of page.events) hear.item(event);
    if (page.position !== position) hear.item({ $position: { position: page.position } });
    if (page.ended) return hear.ended();
    position = page.position;
    if (page.events.length === 0) await pause(abort.signal);
  }
}

/** Resolves after a time, or rejects when aborted. */
const after = (milliseconds, signal) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
  });

export const poll = {
  key: "poll",
  name: "Polling",
  how: "fetch, a page at an interval",
  open(channel, since, hear, { interval }) {
    return run(hear, (abort) => readPages(channel, since, hear, abort, undefined, (signal) => after(interval, signal)));
  },
};

export const longPoll = {
  key: "long_poll",
  name: "Long polling",
  how: "fetch, one page after another",
  open(channel, since, hear) {
    return run(hear, (abort) => readPages(channel, since, hear, abort, WAIT, async () => {}));
  },
};

export const stream = {
  key: "stream",
  name: "HTTP streaming",
  how: "fetch, a line for each event",
  open(channel, since, hear) {
    return run(hear, async (abort) => {
      const path = withQuery(pathOf(channel), { since });
      hear.asking(path);
      const response = await get(path, NDJSON, abort);
      if (response.status === 204) return hear.ended();
      if (!response.ok) return refusedBy(response, hear);
      hear.live();
      for await (const line of lines(response.body)) hear.item(JSON.parse(line));
      hear.lost("the response ended");
    });
  },
};

/** The lines of a body that are not empty: an empty one is a heartbeat. */
async function* lines(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let parts = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const [rest, ...begun] = decoder.decode(value, { stream: true }).split("\n");
    parts.push(rest);
    for (const next of begun) {
      const line = parts.join("");
      if (line) yield line;
      parts = [next];
    }
  }
}

export const sse = {
  key: "sse",
  name: "Server-Sent Events",
  how: "EventSource",
  // An EventSource is deaf to types it has no listener for, so it is told which there are.
  open(channel, since, hear, { types }) {
    // Event form, because the raw form of this transport leaves out the time that latency is taken from.
    const path = withQuery(pathOf(channel), { form: "event", since });
    const source = new EventSource(path);
    hear.asking(path);
    const event = (message) => hear.item(JSON.parse(message.data), message.lastEventId || undefined);
    source.onopen = () => hear.live();
    source.onmessage = event;
    for (const type of types) source.addEventListener(type, event);
    for (const name of ["$open", "$gap", "$position", "$end", "$closing"]) {
      source.addEventListener(name, (message) => {
        hear.item({ [name]: JSON.parse(message.data) }, message.lastEventId || undefined);
        if (name === "$end") source.close();
      });
    }
    source.onerror = () => {
      // It comes back by itself with Last-Event-ID, unless the server answered something other than 200.
      if (source.readyState === EventSource.CLOSED) stopped(channel, hear);
      else hear.lost("the connection was lost", null);
    };
    return () => source.close();
  },
};

// Close codes after which the same request may succeed: going away, no close at all, and the table's rows that say so.
const CLOSED_FOR_NOW = new Set([1001, 1006, 1011, 1012, 1013, 4408, 4410]);

export const websocket = {
  key: "websocket",
  name: "WebSocket",
  how: "WebSocket",
  open(channel, since, hear) {
    const path = withQuery(pathOf(channel), { form: "event", since });
    const socket = new WebSocket(location.origin.replace(/^http/, "ws") + path);
    hear.asking(path);
    socket.onopen = () => hear.live();
    socket.onmessage = (message) => hear.item(JSON.parse(message.data));
    socket.onclose = (close) => {
      if (close.code === 1000) hear.ended();
      else if (CLOSED_FOR_NOW.has(close.code)) hear.lost(close.reason || "the connection was lost");
      else hear.refused(close.reason || `close code ${close.code}`);
    };
    return () => {
      socket.onopen = socket.onclose = socket.onmessage = null;
      socket.close();
    };
  },
};

/** An EventSource is not told why it is to stop. A page says whether the channel has ended. */
async function stopped(channel, hear) {
  const page = await fetch(withQuery(pathOf(channel), { since: "latest", limit: 1 }), { cache: "no-store" })
    .then((response) => response.json())
    .catch(() => ({}));
  if (page.ended) hear.ended();
  else hear.refused(page.detail || "the server said stop");
}

async function refusedBy(response, hear) {
  const problem = await response.json().catch(() => ({}));
  const why = problem.detail || problem.title || `status ${response.status}`;
  if (response.status === 503 || response.status === 429) hear.lost(why);
  else hear.refused(why);
}

export const transports = Object.fromEntries([poll, longPoll, stream, sse, websocket].map((one) => [one.key, one]));
