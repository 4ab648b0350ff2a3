// The page at `/`: one channel, read over every transport at once, each reader with a cursor of its own.
// Nothing here is needed to use the server; it is what a program of yours would do, in the open.
"use strict";

const EVENTS_SHOWN = 80;
const COLUMNS = 72;
const LATENCIES = 50;
const IDS_KEPT = 4000;
const $ = (id) => document.getElementById(id);

// ---- The server's addresses ----

const TYPE_STREAM = "application/x-ndjson";
let channel = "hello";

/** The channel in a path: slashes stay, the rest is encoded. */
const pathOf = (name) => "/channels/" + name.split("/").map(encodeURIComponent).join("/").replaceAll("'", "%27");

/** What the naming rules say against a channel's name; empty if nothing. */
function wrongWith(name) {
  const segments = name.split("/");
  if (!name) return "it is empty";
  if (new TextEncoder().encode(name).length > 255) return "it has more than 255 bytes";
  if (segments.includes("")) return "a segment is empty: look for a slash at either end, or two in a row";
  if (segments.some((segment) => segment === "." || segment === "..")) return "a segment is . or ..";
  if (segments.some((segment) => segment === "*" || segment === "**")) return "* and ** select several channels and name none";
  if (/\p{Cc}/u.test(name)) return "it holds a control character";
  if (name.startsWith("$")) return "names that begin with $ are the system's own";
  return "";
}

/** A path with the parameters that have a value. */
function withQuery(path, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined);
  if (given.length === 0) return path;
  return path + "?" + given.map(([key, value]) => `${key}=${encodeURIComponent(value)}`).join("&");
}

// ---- Transports: each is told a cursor and says what it hears ----
// `open(since, hear)` returns a function that closes. `hear` has: opening(path), live(), item(object, cursor?),
// ended(), lost(why, wait?) and refused(why).

const sse = {
  key: "sse",
  name: "Server-Sent Events",
  how: "EventSource",
  open(since, hear) {
    // Event form, because the raw form of this transport leaves out the time that latency is taken from.
    const path = withQuery(pathOf(channel), { form: "event", since });
    const source = new EventSource(path);
    hear.opening(path);
    const event = (message) => hear.item(JSON.parse(message.data), message.lastEventId || undefined);
    source.onopen = () => hear.live();
    source.onmessage = event;
    for (const type of typesHeard) source.addEventListener(type, event);
    this.listen = (type) => source.addEventListener(type, event);
    for (const name of ["$open", "$gap", "$position", "$end", "$closing"]) {
      source.addEventListener(name, (message) => {
        hear.item({ [name]: JSON.parse(message.data) }, message.lastEventId || undefined);
        if (name === "$end") source.close();
      });
    }
    source.onerror = () => {
      // It comes back by itself with Last-Event-ID, unless the server answered something other than 200.
      if (source.readyState === EventSource.CLOSED) hear.refused("the server said stop");
      else hear.lost("connection lost", null);
    };
    return () => source.close();
  },
};

// Close codes after which the same request may succeed: going away, no close at all, and the table's rows that say so.
const CLOSED_FOR_NOW = new Set([1001, 1006, 1011, 1012, 1013, 4408, 4410]);

const websocket = {
  key: "websocket",
  name: "WebSocket",
  how: "WebSocket, event form",
  open(since, hear) {
    const path = withQuery("/channels", { channel, since });
    const socket = new WebSocket(location.origin.replace(/^http/, "ws") + path);
    hear.opening(path);
    socket.onopen = () => hear.live();
    socket.onmessage = (message) => hear.item(JSON.parse(message.data));
    socket.onclose = (close) => {
      if (close.code === 1000) hear.ended();
      else if (CLOSED_FOR_NOW.has(close.code)) hear.lost(close.reason || `code ${close.code}`);
      else hear.refused(close.reason || `code ${close.code}`);
    };
    return () => {
      socket.onclose = socket.onmessage = null;
      socket.close();
    };
  },
};

const stream = {
  key: "stream",
  name: "HTTP stream",
  how: "fetch, NDJSON",
  open(since, hear) {
    const path = withQuery(pathOf(channel), { since });
    const abort = new AbortController();
    hear.opening(path);
    (async () => {
      const response = await fetch(path, { headers: { Accept: TYPE_STREAM }, signal: abort.signal });
      if (response.status === 204) return hear.ended();
      if (!response.ok) return refusedBy(response, hear);
      hear.live();
      for await (const line of lines(response.body)) hear.item(JSON.parse(line));
      hear.lost("the response ended");
    })().catch((error) => abort.signal.aborted || hear.lost(String(error.message || error)));
    return () => abort.abort();
  },
};

const poll = {
  key: "poll",
  name: "Long poll",
  how: "fetch, one request after another",
  open(since, hear) {
    const abort = new AbortController();
    (async () => {
      let position = since;
      for (let wait; ; wait = 20) {
        const path = withQuery(pathOf(channel), { since: position ?? "latest", wait });
        hear.opening(path);
        const response = await fetch(path, { headers: { Accept: "application/json" }, signal: abort.signal });
        if (!response.ok) return refusedBy(response, hear);
        hear.live();
        const page = await response.json();
        if (page.gap) hear.item({ $gap: page.gap });
        for (const event of page.events) hear.item(event);
        if (page.position !== position) hear.item({ $position: { position: page.position } });
        if (page.ended) return hear.ended();
        position = page.position;
      }
    })().catch((error) => abort.signal.aborted || hear.lost(String(error.message || error)));
    return () => abort.abort();
  },
};

async function refusedBy(response, hear) {
  const problem = await response.json().catch(() => ({}));
  const why = problem.detail || problem.title || `status ${response.status}`;
  if (response.status === 503 || response.status === 429) hear.lost(why);
  else hear.refused(why);
}

/** The lines of a body that are not empty: an empty one is a heartbeat. */
async function* lines(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + decoder.decode(value, { stream: true })).split("\n");
    rest = parts.pop();
    for (const line of parts) if (line.trim()) yield line;
  }
}

// An EventSource is deaf to types it has no listener for. Those that other transports hear are added as they appear.
const typesHeard = new Set();
function learnType(type) {
  if (!type || typesHeard.has(type)) return;
  typesHeard.add(type);
  sse.listen?.(type);
}

// ---- The log as this page knows it: columns in order, found out without looking into any position ----

const columns = [];
// Events whose columns went out at the left: a reader that catches up on them must not bring them back at the right.
const past = new Set();

/** The column of an event that a reader heard right after another; -1 if it went out of sight. */
function columnOf(id, after) {
  const known = columns.findIndex((column) => column.id === id);
  if (known >= 0 || past.has(id)) return known;
  const previous = after ? columns.findIndex((column) => column.id === after) : -1;
  columns.splice(previous >= 0 ? previous + 1 : columns.length, 0, { id, marks: {} });
  if (columns.length > COLUMNS) past.add(columns.shift().id);
  if (past.size > IDS_KEPT) past.delete(past.values().next().value);
  return columns.findIndex((column) => column.id === id);
}

/** How many events that this page knows of lie between two; 0 if it cannot tell. */
function countBetween(before, id) {
  const known = [...past, ...columns.map((column) => column.id)];
  const [from, to] = [known.indexOf(before), known.indexOf(id)];
  return from >= 0 && to > from ? to - from - 1 : 0;
}

// ---- A reader: a transport, a cursor, and what it has heard ----

class Reader {
  constructor(transport, begins) {
    this.transport = transport;
    this.wanted = begins;
    this.begins = begins;
    this.card = $("reader").content.firstElementChild.cloneNode(true);
    this.card.classList.add("hue-" + transport.key);
    this.card.querySelector("h3").textContent = transport.name;
    this.toggle = this.card.querySelector(".toggle");
    this.toggle.addEventListener("click", () => (this.wanted ? this.drop() : this.resume()));
    this.list = this.card.querySelector(".events");
    this.list.setAttribute("aria-label", `Events received by ${transport.name}, newest first`);
    this.lastGap = this.card.querySelector(".last-gap");
    $("readers").append(this.card);
    this.reset();
  }

  /** Forgets everything, as for another channel. */
  reset() {
    this.disconnect();
    Object.assign(this, { cursor: null, lastId: null, count: 0, gaps: 0, latencies: [], gapPending: false, loss: null, tries: 0, rows: [] });
    this.ids = new Set();
    this.wanted = this.begins;
    this.list.replaceChildren();
    this.lastGap.hidden = true;
    this.show("dropped", this.begins ? "not started" : "off: start it to compare");
  }

  connect() {
    this.disconnect();
    if (!this.wanted || document.hidden) return;
    this.show("connecting", this.cursor ? `resuming from ${this.cursor}` : "connecting");
    this.openedAt = Infinity;
    // What a connection says after it was closed is nobody's business.
    const mine = (this.connection = {});
    const hear = {};
    for (const name of ["opening", "live", "item", "ended", "lost", "refused"]) {
      hear[name] = (...said) => this.connection === mine && this[name](...said);
    }
    const start = $("start").value;
    this.close = this.transport.open(this.cursor ?? (start === "latest" ? null : start), hear);
  }

  disconnect() {
    clearTimeout(this.timer);
    this.connection = null;
    this.close?.();
    this.close = null;
  }

  drop() {
    this.wanted = false;
    this.disconnect();
    this.show("dropped", this.cursor ? `dropped at ${this.cursor}` : "dropped");
    say(`${this.transport.name} dropped`);
  }

  resume() {
    this.wanted = true;
    this.tries = 0;
    this.connect();
  }

  // What a transport says:

  opening(path) {
    this.card.querySelector(".request code").textContent = `${this.transport.how} ${decodeURIComponent(path)}`;
  }

  live() {
    this.openedAt = Math.min(this.openedAt, Date.now());
    this.tries = 0;
    if (this.state !== "live") {
      this.show("live", "live");
      say(`${this.transport.name} is live`);
    }
  }

  ended() {
    this.disconnect();
    this.wanted = false;
    this.show("ended", "the channel has ended");
  }

  refused(why) {
    this.disconnect();
    this.wanted = false;
    this.show("refused", `refused: ${why}`);
  }

  /** `wait` null: the transport comes back by itself. */
  lost(why, wait) {
    this.openedAt = Infinity;
    if (wait === null) return this.show("waiting", this.cursor ? `${why}; resumes from ${this.cursor}` : why);
    this.disconnect();
    const milliseconds = Math.min(15000, 500 * 2 ** this.tries++) * (0.5 + Math.random());
    this.show("waiting", `${why}; trying again`);
    this.timer = setTimeout(() => this.connect(), milliseconds);
  }

  item(item, cursor) {
    const name = Object.keys(item)[0];
    if (name?.startsWith("$")) this.notice(name, item[name], cursor);
    else this.event(item, cursor);
    soon();
  }

  notice(name, data, cursor) {
    // A reader that begins now is not behind on what was there before it.
    if (!this.cursor && data.position) for (const column of columns) column.marks[this.transport.key] ??= "none";
    if (name === "$open") {
      if (!data.gap) this.cursor = data.position;
      if (data.recovered) this.row("notice recovered", "resumed: nothing was lost");
      else if (!data.gap) this.row("notice", "reading starts here");
    } else if (name === "$gap") {
      this.gap(data);
    } else if (name === "$position") {
      this.cursor = data.position;
    } else if (name === "$end") {
      this.row("notice", "the channel has ended");
      this.ended();
    } else if (name === "$closing") {
      this.row("notice", `the server closes: ${data.reason}`);
      if (!data.reconnect) this.refused(data.reason);
    }
    if (cursor) this.cursor = cursor;
  }

  gap(gap) {
    this.gaps += 1;
    this.gapPending = true;
    this.cursor = gap.to;
    const text = `Gap: ${REASONS[gap.reason] ?? gap.reason}`;
    const where = `after ${gap.from} up to ${gap.to}`;
    this.row("gap", text, where);
    // The list moves on; the newest gap stays in sight.
    this.lastGap.replaceChildren(text, element("small", "", where));
    this.lastGap.hidden = false;
    alerted(`Gap on ${this.transport.name}: ${gap.reason}`);
  }

  event(event, cursor) {
    if (this.ids.has(event.id)) this.row("gap", "Delivered twice. This is a bug: please report it.", event.id);
    this.ids.add(event.id);
    if (this.ids.size > IDS_KEPT) this.ids.delete(this.ids.values().next().value);
    learnType(event.event);
    this.count += 1;
    this.cursor = cursor ?? event.position ?? event.id;
    const isLive = event.time >= this.openedAt;
    const latency = Date.now() - event.time;
    if (isLive) {
      this.latencies.push(latency);
      if (this.latencies.length > LATENCIES) this.latencies.shift();
    }
    this.mark(event.id);
    this.rows.push(() => eventRow(event, isLive ? `${latency} ms` : "caught up"));
    if (this.rows.length > EVENTS_SHOWN) this.rows.shift();
  }

  mark(id) {
    const at = columnOf(id, this.lastId);
    const key = this.transport.key;
    if (at >= 0) columns[at].marks[key] = "got";
    for (let i = at - 1; this.gapPending && i >= 0 && !columns[i].marks[key]; i--) columns[i].marks[key] = "lost";
    if (this.gapPending) this.loss = countBetween(this.lastId, id);
    this.gapPending = false;
    this.lastId = id;
  }

  row(kind, text, small) {
    this.rows.push(() => noticeRow(kind, text, small));
    soon();
  }

  // What a person sees:

  show(state, text) {
    this.state = this.card.dataset.state = state;
    this.card.querySelector(".state").textContent = text;
    const verb = this.wanted ? "Drop" : this.cursor ? "Resume" : "Start";
    this.toggle.textContent = verb;
    this.toggle.setAttribute("aria-label", `${verb} ${this.transport.name}`);
    soon();
  }

  paint() {
    const put = (name, text) => (this.card.querySelector(name).textContent = text);
    put(".position", this.cursor ?? "none yet");
    put(".count", this.count.toLocaleString("en"));
    put(".gaps", this.gaps);
    put(".latency", this.latencies.length ? `${median(this.latencies)} ms` : "–");
    if (this.rows.length) {
      this.list.prepend(...this.rows.map((row) => row()).reverse());
      this.rows = [];
      while (this.list.children.length > EVENTS_SHOWN) this.list.lastChild.remove();
    }
  }
}

const REASONS = {
  trimmed: "newer events took the place of older ones",
  expired: "events grew older than the channel keeps",
  deleted: "the channel was deleted",
  epoch: "the log this cursor is from is gone",
  ahead: "the cursor is ahead of the log",
  unknown: "the cursor cannot be read",
  skipped: "an ephemeral channel keeps nothing for those who are away",
  forgotten: "the channel's record was dropped",
};

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

function element(tag, kind, text) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  made.textContent = text;
  return made;
}

function eventRow(event, late) {
  const row = document.createElement("li");
  const type = event.event ? `${event.event}: ` : "";
  const data = "base64" in event ? `binary, base64 ${event.base64}` : typeof event.data === "string" ? event.data : JSON.stringify(event.data);
  row.append(element("span", "data", type + data), element("span", "late", late), element("span", "at", event.id));
  return row;
}

function noticeRow(kind, text, small) {
  const row = element("li", kind, text);
  if (small) row.append(element("small", "", small));
  return row;
}

// ---- Painting: at most once a frame, however much arrives ----

let painting = false;
function soon() {
  if (painting) return;
  painting = true;
  requestAnimationFrame(() => {
    painting = false;
    for (const reader of readers) reader.paint();
    paintLanes();
  });
}

function buildLanes() {
  for (const { transport } of readers) {
    const lane = element("div", `lane hue-${transport.key}`, "");
    const cells = element("div", "cells", "");
    for (let i = 0; i < COLUMNS; i++) cells.append(element("span", "cell", ""));
    lane.append(element("b", "", transport.name), element("span", "beyond", ""), cells);
    $("lanes").append(lane);
  }
}

/** Cells run from the newest, on the right, to the oldest. A loss is one wide cell, at the left if it is out of sight. */
function paintLanes() {
  readers.forEach((reader, row) => {
    const [, beyond, strip] = $("lanes").children[row].children;
    const column = (i) => columns[columns.length - 1 - i];
    const markOf = (i) => column(i)?.marks[reader.transport.key] ?? "";
    let isSeen = false;
    for (let i = 0; i < COLUMNS; i++) {
      const cell = strip.children[i];
      const cursor = column(i)?.id === reader.lastId ? " cursor" : "";
      cell.className = column(i) ? `cell ${markOf(i)}${cursor}` : "cell none";
      cell.textContent = "";
      cell.hidden = false;
      if (markOf(i) !== "lost") continue;
      cell.hidden = i > 0 && markOf(i - 1) === "lost";
      if (cell.hidden) continue;
      let run = 1;
      while (markOf(i + run) === "lost") run += 1;
      cell.style.setProperty("--run", run);
      // Within sight, or reaching out of it at the left: then the reader knows how many there were.
      const reaches = i + run >= columns.length;
      cell.textContent = reaches ? Math.max(run, reader.loss ?? 0) : run;
      isSeen ||= cell.offsetLeft + cell.offsetWidth > strip.offsetLeft + 40;
    }
    beyond.hidden = reader.loss === null || isSeen;
    beyond.textContent = reader.loss ? `${reader.loss.toLocaleString("en")} lost` : "gap";
  });
}

// ---- For those who listen rather than look ----

const say = (text) => ($("said").textContent = text);
const alerted = (text) => ($("alerted").textContent = text);

function result(kind, text) {
  $("result").className = kind;
  $("result").textContent = text;
}

// ---- Publishing ----

async function request(method, path, type, body) {
  const response = await fetch(path, { method, headers: type ? { "Content-Type": type } : {}, body });
  if (response.ok) return response.status === 204 ? {} : response.json();
  const problem = await response.json().catch(() => ({}));
  throw new Error(`${response.status} ${problem.code ?? ""}: ${problem.detail || problem.title || response.statusText}`);
}

async function publishing(what) {
  const begun = performance.now();
  try {
    const text = await what();
    result("good", `${text}, answered in ${Math.round(performance.now() - begun)} ms`);
  } catch (error) {
    result("bad", error.message);
    alerted(error.message);
  }
}

function publishOne() {
  const data = $("publish-data").value;
  const type = /^\s*[[{]/.test(data) ? "application/json" : "text/plain;charset=utf-8";
  return publishing(async () => `201, position ${(await request("POST", pathOf(channel), type, data)).position}`);
}

/** Many events in one request: a body of lines, each appended as it arrives. */
function publishMany(count) {
  const body = Array.from({ length: count }, (_, i) => JSON.stringify({ data: `event ${i + 1} of ${count}` }) + "\n").join("");
  return publishing(async () => {
    const answer = await request("POST", pathOf(channel), TYPE_STREAM, body);
    return `201, ${answer.count.toLocaleString("en")} events up to ${answer.last}`;
  });
}

// ---- Snippets, for the address this page came from ----

const SNIPPETS = [
  ["curl: subscribe", () => `curl -N -H 'Accept: text/event-stream' '${location.origin}${pathOf(channel)}'`],
  ["curl: publish", () => `curl -d 'Hello!' '${location.origin}${pathOf(channel)}'`],
  ["Browser", () => `const source = new EventSource("${location.origin}${pathOf(channel)}");
source.onmessage = (message) => console.log(message.lastEventId, message.data);
source.addEventListener("$gap", (message) => console.warn("lost", message.data));
source.addEventListener("$end", () => source.close());`],
  ["Python", () => `import json
import urllib.request

url = "${location.origin}${pathOf(channel)}"
request = urllib.request.Request(url, headers={"Accept": "application/x-ndjson"})
with urllib.request.urlopen(request) as stream:
    for line in stream:
        if line.strip():  # an empty line is a heartbeat
            print(json.loads(line))`],
];
let snippet = 0;

function buildTabs() {
  SNIPPETS.forEach(([name], i) => {
    const tab = element("button", "", name);
    Object.assign(tab, { type: "button", id: `tab-${i}` });
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", "snippet-panel");
    tab.addEventListener("click", () => showSnippet(i));
    $("tabs").append(tab);
  });
  $("tabs").addEventListener("keydown", (key) => {
    const last = SNIPPETS.length - 1;
    const to = { ArrowRight: snippet < last ? snippet + 1 : 0, ArrowLeft: snippet > 0 ? snippet - 1 : last, Home: 0, End: last }[key.key];
    if (to === undefined) return;
    key.preventDefault();
    showSnippet(to);
    $("tabs").children[to].focus();
  });
  $("copy").addEventListener("click", copy);
}

function showSnippet(which) {
  snippet = which;
  [...$("tabs").children].forEach((tab, i) => {
    tab.setAttribute("aria-selected", String(i === which));
    tab.tabIndex = i === which ? 0 : -1;
  });
  $("snippet-panel").setAttribute("aria-labelledby", `tab-${which}`);
  $("snippet").textContent = SNIPPETS[which][1]();
}

async function copy() {
  try {
    await navigator.clipboard.writeText($("snippet").textContent);
    $("copy").textContent = "Copied";
    say("Copied");
    setTimeout(() => ($("copy").textContent = "Copy"), 1500);
  } catch {
    // Without the permission, the text is selected so that one key copies it.
    getSelection().selectAllChildren($("snippet"));
    say("Selected: copy it with your keyboard");
  }
}

// ---- All together ----

const readers = [sse, websocket, stream].map((transport) => new Reader(transport, true));
readers.push(new Reader(poll, false));

function read(name) {
  $("channel").value = name;
  const wrong = wrongWith(name);
  // A WebSocket is not told why its handshake was refused, so no reader is sent to find out.
  $("channel").setCustomValidity(wrong && `Not a channel name: ${wrong}.`);
  if (wrong) {
    result("bad", `Not a channel name: ${wrong}.`);
    alerted(`Not a channel name: ${wrong}.`);
    $("channel").reportValidity();
    return false;
  }
  channel = name;
  document.title = `${name} · Switchboard`;
  history.replaceState(null, "", "#" + encodeURI(name));
  columns.length = 0;
  past.clear();
  for (const reader of readers) reader.reset();
  for (const reader of readers) reader.connect();
  showSnippet(snippet);
  soon();
  return true;
}

function nameInAddress() {
  try {
    return decodeURI(location.hash.slice(1)) || "hello";
  } catch {
    return "hello";
  }
}

$("channel-form").addEventListener("submit", (submit) => {
  submit.preventDefault();
  read($("channel").value);
});
$("publish-form").addEventListener("submit", (submit) => {
  submit.preventDefault();
  publishOne();
});
$("burst").addEventListener("click", () => publishMany(10));
$("flood").addEventListener("click", () => publishMany(1100));
$("delete").addEventListener("click", () =>
  publishing(async () => (await request("DELETE", pathOf(channel)), "204, deleted")));
window.addEventListener("hashchange", () => nameInAddress() !== channel && read(nameInAddress()));
document.addEventListener("visibilitychange", () => {
  for (const reader of readers.filter((reader) => reader.wanted)) {
    if (!document.hidden) reader.connect();
    else {
      reader.disconnect();
      reader.show("connecting", "paused while the tab is hidden");
    }
  }
});

buildLanes();
buildTabs();
$("channel").addEventListener("input", () => $("channel").setCustomValidity(""));
read(nameInAddress());
