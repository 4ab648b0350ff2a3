// What each transport costs, as the server counts it in /metrics: everything since this page began to read.

import { access, denied } from "./access.js";
import { bytes, count, element, plural, setText, shape, soon, time } from "./parts.js";
import { median } from "./reader.js";
import { bearer, problemOf } from "./token.js";

/** The server is asked for its counts at most this often, in milliseconds. */
const PACE = 1000;

const FIELDS = ["reads", "read_events", "read_request_bytes", "read_head_bytes", "read_body_bytes"];
const LINE = new RegExp(`^switchboard_(${FIELDS.join("|")})_total\\{transport="(\\w+)"\\} (\\d+)$`, "gm");

/** The counts in a text of metrics, by transport and field. */
function parse(text) {
  const counts = {};
  for (const [, field, transport, value] of text.matchAll(LINE)) (counts[transport] ??= {})[field] = Number(value);
  return counts;
}

/** The server's counts, less what they were when this page began to read. */
export class Wire {
  start = null;
  now = null;
  // The same would be refused again, so nobody asks until there is another token.
  isDenied = false;

  /** Begins anew. */
  async begin() {
    this.start = this.now = null;
    this.isDenied = false;
    this.start = this.now = await this.fetch();
  }

  /** The token has become another, or none: counts that were there go on. */
  async present() {
    this.isDenied = false;
    if (!this.start) await this.begin();
  }

  /** Something happened, so the counts are to be looked at again before long. */
  stale() {
    if (this.timer || !this.start || this.isDenied || document.hidden) return;
    this.timer = setTimeout(async () => {
      const counts = await this.fetch();
      this.timer = null;
      if (!counts || !this.start) return;
      // A server that was started again counts from nothing.
      const restarted = Object.keys(counts).some((key) => counts[key].reads < this.now[key].reads);
      if (restarted) this.start = Object.fromEntries(Object.keys(counts).map((key) => [key, {}]));
      this.now = counts;
      soon();
    }, PACE);
  }

  async fetch() {
    try {
      const response = await fetch("/metrics", { cache: "no-store", headers: bearer(access.token) });
      if (response.ok) return parse(await response.text());
      const { why, denial } = await problemOf(response);
      this.isDenied = Boolean(denial);
      if (denial) denied(denial, `no figures, since ${why}`);
      return null;
    } catch {
      return null;
    }
  }

  /** What a transport cost so far, or null if that is not known. */
  of(key) {
    if (!this.start?.[key] || !this.now?.[key]) return null;
    const since = (field) => this.now[key][field] - (this.start[key][field] ?? 0);
    const [reads, events, requests, heads, bodies] = FIELDS.map(since);
    const all = requests + heads + bodies;
    return { reads, events, requests, heads, bodies, all, each: events > 0 ? all / events : null };
  }
}

// Latency, on a scale from a millisecond to twenty seconds on which each tenfold is as wide.

const [SHORTEST, LONGEST] = [1, 20000];
const scale = (milliseconds) =>
  (100 * Math.log(Math.min(Math.max(milliseconds, SHORTEST), LONGEST) / SHORTEST)) / Math.log(LONGEST / SHORTEST);

/** The place on the scale of a latency, with room for a dot at either end. */
const across = (milliseconds) => `${(2 + scale(milliseconds) * 0.96).toFixed(2)}%`;

/** The marks of the scale. */
export function buildScale() {
  const marks = element("div", "scale");
  marks.setAttribute("aria-hidden", "true");
  for (const [at, text] of [[1, "1 ms"], [10, "10"], [100, "100"], [1000, "1 s"], [10000, "10 s"]]) {
    const mark = element("span", "", text);
    mark.style.left = across(at);
    marks.append(mark);
  }
  return marks;
}

export function buildLatency() {
  const cell = element("div", "latency");
  const strip = shape("svg", { class: "strip", "aria-hidden": "true" });
  for (const at of [1, 10, 100, 1000, 10000]) strip.append(shape("line", { x1: across(at), x2: across(at), y1: "0", y2: "100%" }));
  strip.append(shape("g", {}));
  cell.append(element("b", "", "–"), strip, element("small"));
  return cell;
}

export function paintLatency(cell, reader) {
  const [middle, strip, more] = cell.children;
  const { latencies } = reader;
  setText(middle, latencies.length ? time(median(latencies)) : "–");
  setText(more, latencies.length ? `at most ${time(Math.max(...latencies))}` : "of live events");
  const dots = strip.lastChild;
  // An event more at the end, and one less in front, is a dot more and less.
  while (dots.children.length > latencies.length) dots.lastChild.remove();
  while (dots.children.length < latencies.length) dots.append(shape("circle", { cy: "50%", r: "3.5" }));
  latencies.forEach((latency, i) => {
    dots.children[i].setAttribute("cx", across(latency));
    dots.children[i].classList.toggle("newest", i === latencies.length - 1);
  });
}

// Bytes for each event: what readers asked, the heads of the answers, and the events in their framing.

const PARTS = [["requests", "asked"], ["heads", "heads"], ["bodies", "events"]];

export function buildCost() {
  const cell = element("div", "cost");
  const bar = element("div", "bar");
  bar.setAttribute("aria-hidden", "true");
  for (const [, kind] of PARTS) bar.append(element("span", kind));
  cell.append(element("b", "", "–"), bar, element("small"));
  return cell;
}

export function paintCost(cell, counts, most) {
  const [each, bar, more] = cell.children;
  setText(each, counts?.each ? bytes(counts.each) : "–");
  PARTS.forEach(([part], i) => {
    bar.children[i].style.width = counts?.each ? `${(100 * counts[part]) / counts.events / most}%` : "0";
  });
  setText(more, counts ? `${bytes(counts.all)} in all, ${plural(counts.reads, "request")}` : "not counted");
  const inWords = ({ requests, heads, bodies, events, reads }) =>
    `${plural(reads, "request")} of ${count(requests)} bytes, answered by heads of ${count(heads)} bytes ` +
    `and ${count(bodies)} bytes of bodies with ${plural(events, "event")}`;
  cell.title = counts ? inWords(counts) : "";
}
