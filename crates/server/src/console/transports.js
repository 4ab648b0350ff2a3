// The five ways to read. Each is told a channel and a cursor, and says what it hears. Nothing here is needed to use the
// server: it is what a program of yours would do, in the open.
//
// `open(channel, since, hear, settings)` returns a function that closes. `hear` has: asking(path), live(),
// item(object, cursor?), ended(), lost(why, wait?) and refused(why, denial?). `settings.token` is shown with every request,
// unless it is empty.

import { NDJSON, pathOf, withQuery } from "./address.js";
import { NO_PLACE, bearer, denialOf, isApiKey, problemOf } from "./token.js";

/** Seconds for which a long poll asks the server to hold back an empty answer. */
const WAIT = 20;

// What is asked for is to come from the server and to be counted there, so no cache is to answer in its place.
const get = (path, accept, token, signal) => fetch(path, { headers: { Accept: accept, ...bearer(token) }, cache: "no-store", signal });

/** Runs an asynchronous reader until it is closed; what it throws is a lost connection. */
function run(hear, read) {
  const abort = new AbortController();
  read(abort).catch((error) => abort.signal.aborted || hear.lost(reasonOf(error)));
  return () => abort.abort();
}

/** Browsers say little about a failed request, and each in its own words. */
const reasonOf = (error) => (error instanceof TypeError ? "the server cannot be reached" : String(error.message || error));

/** Reads one page after another; `pause` is waited for after a page that left nothing unread. */
async function readPages(channel, since, hear, abort, token, wait, pause) {
  let position = since ?? "latest";
  // The first page is not waited for, so that it is known where reading starts.
  for (let seconds = wait && 0; ; seconds = wait) {
    const path = withQuery(pathOf(channel), { since: position, wait: seconds });
    hear.asking(path);
    const response = await get(path, "application/json", token, abort.signal);
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
  open(channel, since, hear, { interval, token }) {
    return run(hear, (abort) => readPages(channel, since, hear, abort, token, undefined, (signal) => after(interval, signal)));
  },
};

export const longPoll = {
  key: "long_poll",
  name: "Long polling",
  how: "fetch, one page after another",
  open(channel, since, hear, { token }) {
    return run(hear, (abort) => readPages(channel, since, hear, abort, token, WAIT, async () => {}));
  },
};

export const stream = {
  key: "stream",
  name: "HTTP streaming",
  how: "fetch, a line for each event",
  open(channel, since, hear, { token }) {
    const path = withQuery(pathOf(channel), { since });
    return run(hear, (abort) => readStream(path, NDJSON, token, hear, abort, items));
  },
};

/** Reads a body that does not end. `understand(body)` gives its items, each with a cursor if it has one of its own. */
async function readStream(path, accept, token, hear, abort, understand) {
  hear.asking(path);
  const response = await get(path, accept, token, abort.signal);
  if (response.status === 204) return hear.ended();
  if (!response.ok) return refusedBy(response, hear);
  hear.live();
  for await (const [item, cursor] of understand(response.body)) hear.item(item, cursor);
  hear.lost("the response ended");
}

/** A line is an item; an empty one is a heartbeat. */
async function* items(body) {
  for await (const line of lines(body)) if (line) yield [JSON.parse(line)];
}

/** What an EventSource makes of a body, with as much of the standard as this server's bodies need. */
async function* blocks(body) {
  let block = {};
  let last;
  for await (const line of lines(body)) {
    const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    if (name) block[name] = name === "data" && "data" in block ? `${block.data}\n${value}` : value;
    if (line) continue;
    last = block.id ?? last;
    // Whatever has no data is nothing, as the standard says.
    if (block.data) yield [block.event?.startsWith("$") ? { [block.event]: JSON.parse(block.data) } : JSON.parse(block.data), last];
    block = {};
  }
}

/** The lines of a body. */
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
      yield parts.join("");
      parts = [next];
    }
  }
}

export const sse = {
  key: "sse",
  name: "Server-Sent Events",
  how: "EventSource",
  howWithToken: "fetch, which can keep a token out of the address",
  // An EventSource is deaf to types it has no listener for, so it is told which there are.
  open(channel, since, hear, { types, token }) {
    // Event form, because the raw form of this transport leaves out the time that latency is taken from.
    const path = withQuery(pathOf(channel), { form: "event", since });
    // An EventSource sets no header. On the wire it is the same.
    if (token) return run(hear, (abort) => readStream(path, "text/event-stream", token, hear, abort, blocks));
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

const NO_KEY = "an API key is shown in Authorization alone, which a browser's WebSocket cannot set: give a token";

export const websocket = {
  key: "websocket",
  name: "WebSocket",
  how: "WebSocket",
  howWithToken: "WebSocket, with the token in a subprotocol",
  open(channel, since, hear, { token }) {
    const path = withQuery(pathOf(channel), { form: "event", since });
    hear.asking(path);
    if (isApiKey(token)) return hear.refused(NO_KEY, NO_PLACE), () => {};
    // A browser gives up where none of those that it offers is selected: the first one is, and never the token.
    const protocols = token ? ["switchboard.event.v1", `switchboard.token.${token}`] : [];
    const socket = new WebSocket(location.origin.replace(/^http/, "ws") + path, protocols);
    let isOpen = false;
    socket.onopen = () => ((isOpen = true), hear.live());
    socket.onmessage = (message) => hear.item(JSON.parse(message.data));
    socket.onclose = (close) => {
      if (!isOpen) unshaken(channel, token, hear);
      else if (close.code === 1000) hear.ended();
      else if (CLOSED_FOR_NOW.has(close.code)) hear.lost(close.reason || "the connection was lost");
      else hear.refused(close.reason || `close code ${close.code}`, denialOf(close.code));
    };
    return () => {
      socket.onopen = socket.onclose = socket.onmessage = null;
      socket.close();
    };
  },
};

/** A page of the channel, for what its status says. */
const probe = (channel, token) => get(withQuery(pathOf(channel), { since: "latest", limit: 1 }), "application/json", token);

/** An EventSource is not told why it is to stop. A page says whether the channel has ended. */
async function stopped(channel, hear) {
  const response = await probe(channel, "").catch(() => null);
  if (response && !response.ok) return refusedBy(response, hear);
  const page = await response?.json().catch(() => ({}));
  if (page?.ended) hear.ended();
  else hear.refused("the server said stop");
}

/** Nor is a WebSocket told why its handshake failed. A page is refused to whom the handshake is refused. */
async function unshaken(channel, token, hear) {
  const response = await probe(channel, token).catch(() => null);
  if (!response) hear.lost("the server cannot be reached");
  else if (response.ok) hear.lost("the handshake failed, though a page is answered: a proxy may stop WebSockets");
  else await refusedBy(response, hear);
}

async function refusedBy(response, hear) {
  const { why, denial } = await problemOf(response);
  if (response.status >= 500 || response.status === 429) hear.lost(why);
  else hear.refused(why, denial);
}

export const transports = Object.fromEntries([poll, longPoll, stream, sse, websocket].map((one) => [one.key, one]));
