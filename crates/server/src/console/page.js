// The page at `/`: one channel, read over every transport at once, each reader with a cursor of its own.

import { access, buildAccess, denied, forgetDenial, headline } from "./access.js";
import { channelInAddress, wrongWith } from "./address.js";
import { Wire, buildScale } from "./figures.js";
import { Log } from "./log.js";
import { $, element, paintWith, plural, setText, soon } from "./parts.js";
import { deleteChannel, endChannel, makeGap, publishMany, publishOne, refuse } from "./publish.js";
import { Reader } from "./reader.js";
import { Heard, Row } from "./show.js";
import { buildSnippets, showSnippetsFor, showToken } from "./snippets.js";
import { longPoll, poll, sse, stream, websocket } from "./transports.js";

// `reading`: whether this window may hold connections. A browser opens six to one server, so one window reads at a time.
// `settings` are those of transports: the interval of polling in milliseconds, the types of events there are, and the token.
const settings = { interval: 2000, types: new Set(), token: "" };
const shared = { channel: "", start: null, log: new Log(), reading: false, settings };
const wire = new Wire();
const readers = [poll, longPoll, stream, sse, websocket].map((transport) => new Reader(transport, shared));
const rows = readers.map((reader) => new Row(reader, reader.transport === poll ? [intervals()] : []));
const lists = readers.map((reader) => new Heard(reader));
const HIDDEN = "paused while the tab is hidden";
const ELSEWHERE = "paused: another window reads";

/** How often the polling reader polls. */
function intervals() {
  const label = element("label", "interval", "every ");
  const select = element("select");
  for (const seconds of [1, 2, 5, 15]) select.add(new Option(`${seconds} s`, seconds * 1000, false, seconds * 1000 === settings.interval));
  select.addEventListener("change", () => {
    settings.interval = Number(select.value);
    // The wait that runs is of the old length.
    reading(poll).rehear();
  });
  label.append(select);
  return label;
}

const reading = (transport) => readers.find((reader) => reader.transport === transport);

/** A type that an EventSource was deaf to: what came of it, it is to read again. */
function learn(type, reader) {
  const { types } = settings;
  if (!type || type === "message" || types.has(type)) return;
  types.add(type);
  // With a token it is no EventSource, and hears every type.
  if (reader.transport !== sse && !settings.token) reading(sse).rehear();
}

/** Reads a channel from its start: every reader forgets what it had. */
async function read(name) {
  const wrong = wrongWith(name);
  // A WebSocket is not told why its handshake was refused, so no reader is sent to find out.
  $("channel").setCustomValidity(wrong && `Not a channel name: ${wrong}.`);
  if (wrong) {
    refuse(`Not a channel name: ${wrong}.`);
    return $("channel").reportValidity();
  }
  $("channel").value = name;
  const start = $("start").value;
  Object.assign(shared, { channel: name, start: start === "latest" ? null : start, log: new Log() });
  document.title = `${name} · Switchboard`;
  history.replaceState(null, "", "#" + encodeURI(name));
  for (const reader of readers) reader.reset();
  forgetDenial();
  showSnippetsFor(name);
  await restart();
}

/** Counts from nothing, then connects. */
async function restart() {
  const name = shared.channel;
  await wire.begin();
  if (name === shared.channel) connectAll();
}

/** A token was given, or forgotten: what is asked from now on shows it, and all go on where they were. */
async function present() {
  settings.token = access.token;
  await wire.present();
  for (const reader of readers) reader.present();
}

function connectAll() {
  for (const reader of readers) if (!reader.isOpen) reader.connect();
}

function pauseAll(why) {
  for (const reader of readers) reader.pause(why);
}

// One window reads at a time. The one that a person turned to last takes over.

function claim() {
  shared.reading = true;
  $("elsewhere").hidden = true;
  // Only where the page is not from this machine and not over TLS are there no locks.
  navigator.locks?.request("switchboard-reads", { steal: true }, () => new Promise(() => {})).catch(() => {
    shared.reading = false;
    pauseAll(ELSEWHERE);
    $("elsewhere").hidden = false;
  });
}

$("read-here").addEventListener("click", () => (claim(), connectAll()));

document.addEventListener("visibilitychange", () => {
  if (document.hidden) pauseAll(HIDDEN);
  else connectAll();
});

// What a person does:

const onSubmit = (form, act) => $(form).addEventListener("submit", (submit) => (submit.preventDefault(), act()));
onSubmit("channel-form", () => read($("channel").value));
onSubmit("publish-form", () => publishOne(shared.channel, $("publish-data").value));
$("channel").addEventListener("input", () => $("channel").setCustomValidity(""));
$("burst").addEventListener("click", () => publishMany(shared.channel, 10));
$("gap").addEventListener("click", () => makeGap(shared.channel, dropped() ?? readers[2]));
$("end").addEventListener("click", () => endChannel(shared.channel));
$("delete").addEventListener("click", () => deleteChannel(shared.channel, readAgain));
// What is behind the # is a channel, so a link within the page goes there by itself.
$("skip").addEventListener("click", (click) => (click.preventDefault(), $("publish-data").focus()));
addEventListener("hashchange", () => channelInAddress() !== shared.channel && read(channelInAddress()));

/** A reader that a person dropped and that has a cursor to come back to. */
const dropped = () => readers.find((reader) => reader.state === "dropped" && reader.cursor);

/** The name of a channel that had ended is free again. */
function readAgain() {
  for (const reader of readers.filter(({ state }) => state === "ended")) reader.resume();
}

// What a person sees:

function paint() {
  const counts = readers.map((reader) => wire.of(reader.transport.key));
  const most = Math.max(...counts.map((each) => each?.each ?? 0)) || 1;
  rows.forEach((row, i) => row.paint(shared.log, readers, counts[i], most));
  for (const list of lists) list.paint();
  const [state, text] = status();
  $("status").dataset.state = state;
  setText($("status"), text);
}

/** The state of all readers, and what there is to do. */
function status() {
  const inState = (wanted) => readers.filter(({ state }) => state === wanted).length;
  const [live, lost, denial] = [inState("live"), inState("waiting"), readers.find(({ denial }) => denial)?.denial];
  if (live > 0) return ["live", `${plural(live, "reader")} live`];
  if (denial) return ["waiting", headline(denial)];
  return lost > 0 ? ["waiting", "The server does not answer. Readers resume by themselves."] : ["paused", "0 readers live"];
}

for (const reader of readers) {
  reader.addEventListener("denied", ({ detail }) => denied(detail.denial, detail.why));
  for (const type of ["answered", "event", "state"]) reader.addEventListener(type, () => wire.stale());
  reader.addEventListener("event", ({ detail }) => learn(detail.event.event, reader));
}

// Heartbeats are on the wire too, though no reader hears them.
setInterval(() => wire.stale(), 10_000);

$("rows").append(...rows.map(({ row }) => row));
$("heard").append(...lists.map(({ card }) => card));
$("latency-head").append(buildScale());
for (const node of document.querySelectorAll("[data-origin]")) node.textContent = location.host;
buildSnippets();
buildAccess({ asked: showToken, given: present });
paintWith(paint);
claim();
read(channelInAddress());
soon();
