// A reader: a transport, a cursor of its own, and what it has heard. It resumes from its cursor and knows nothing else.

import { open } from "./connections.js";
import { screen, soon } from "./parts.js";
import { denialOf } from "./token.js";

/** Latencies kept, for the newest arrivals. */
const LATENCIES = 60;
/** Events remembered, to notice one that comes twice and to tell others what they lost. */
const HEARD = 20_000;
/** Longest wait before a connection is tried again, in milliseconds. */
const PATIENCE = 15000;

export const REASONS = {
  trimmed: "newer events took the place of older ones",
  expired: "events grew older than the channel keeps",
  deleted: "the channel was deleted",
  epoch: "the log that this cursor is from is gone",
  ahead: "the cursor is ahead of the log",
  unknown: "the cursor cannot be read",
  skipped: "an ephemeral channel keeps nothing for those who are away",
  forgotten: "the channel's record was dropped",
};

export class Reader extends EventTarget {
  /** `shared`: what all readers have in common, `{channel, start, log, reading, settings}`. */
  constructor(transport, shared) {
    super();
    this.transport = transport;
    this.shared = shared;
    this.reset();
  }

  /** Forgets everything, as for another channel. */
  reset() {
    this.disconnect();
    Object.assign(this, { cursor: null, lastId: null, events: 0, gaps: 0, lastGap: null, loss: null, gapPending: false });
    Object.assign(this, { latencies: [], tries: 0, path: "", wanted: true, denial: null });
    // By id: the how manieth event it was here, and the gaps before it.
    this.heard = new Map();
    this.tell("reset");
    this.show("idle", "not started");
  }

  connect() {
    this.disconnect();
    if (!this.wanted) return;
    this.denial = null;
    if (!this.shared.reading || document.hidden) return this.show("paused", "paused");
    this.show("connecting", this.cursor ? "resuming" : "connecting");
    this.openedAt = Infinity;
    const { channel, start, settings } = this.shared;
    this.close = open(this.transport.key, channel, this.cursor ?? start, settings, (name, said, at) => {
      this.now = at;
      this[name](...said);
    });
  }

  disconnect() {
    clearTimeout(this.timer);
    this.close?.();
    this.close = null;
  }

  /** A person lets go. */
  drop() {
    Object.assign(this, { wanted: false, denial: null });
    this.disconnect();
    this.show("dropped", "dropped");
  }

  resume() {
    this.wanted = true;
    this.tries = 0;
    this.connect();
  }

  /** Lets go for a while, by itself. */
  pause(why) {
    if (!this.wanted) return;
    this.disconnect();
    this.show("paused", why);
  }

  /** Whether it holds or makes a connection. */
  get isOpen() {
    return Boolean(this.close);
  }

  // What a transport says, at the time that is `now`:

  asking(path) {
    this.path = path;
  }

  live() {
    this.openedAt = Math.min(this.openedAt, this.now);
    this.tries = 0;
    if (this.state !== "live") this.show("live", "live");
    this.tell("answered");
  }

  ended() {
    // Where an end is told and the connection then closes, that is one end.
    if (this.state !== "ended") this.tell("note", { kind: "plain", text: "The channel has ended" });
    this.disconnect();
    this.wanted = false;
    this.show("ended", "ended");
  }

  /** `denial`: the code, where it was refused for who asks. */
  refused(why, denial = null) {
    this.disconnect();
    Object.assign(this, { wanted: false, denial });
    this.show("refused", `refused: ${why}`);
    if (denial) this.tell("denied", { denial, why });
  }

  /** `wait` null: the transport comes back by itself. */
  lost(why, wait) {
    this.openedAt = Infinity;
    if (wait === null) return this.show("waiting", `${why}; it comes back`);
    this.disconnect();
    const milliseconds = Math.min(PATIENCE, 500 * 2 ** this.tries++) * (0.5 + Math.random());
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
    if (!this.cursor && data.position) this.shared.log.begins(this.transport.key);
    if (name === "$open") this.opened(data);
    else if (name === "$gap") this.gap(data);
    else if (name === "$position") this.cursor = data.position;
    else if (name === "$end") this.ended();
    else if (name === "$closing") this.closing(data);
    if (cursor) this.cursor = cursor;
  }

  opened(data) {
    if (data.gap) return;
    this.cursor = data.position;
    if (data.recovered) this.tell("note", { kind: "good", text: "Resumed: nothing was lost" });
    else this.tell("note", { kind: "plain", text: "Reading starts here" });
  }

  closing(data) {
    this.tell("note", { kind: "plain", text: `The server closes: ${data.reason}` });
    if (!data.reconnect) this.refused(data.reason, denialOf(0, data));
  }

  gap(gap) {
    this.gaps += 1;
    this.gapPending = true;
    this.cursor = gap.to;
    this.lastGap = gap;
    this.tell("gap", gap);
  }

  event(event, cursor) {
    if (this.heard.has(event.id)) this.tell("twice", event);
    this.events += 1;
    this.heard.set(event.id, { number: this.events, gaps: this.gaps });
    if (this.heard.size > HEARD) this.heard.delete(this.heard.keys().next().value);
    this.cursor = cursor ?? event.position ?? event.id;
    const latency = event.time >= this.openedAt ? Math.max(0, this.now - event.time) : null;
    if (latency !== null) this.arrived(latency);
    this.shared.log.received(this.transport.key, event.id, this.lastId, this.gapPending);
    if (this.gapPending) this.loss = { after: this.lastId, until: event.id };
    this.gapPending = false;
    this.lastId = event.id;
    this.tell("event", { event, latency });
  }

  /** What arrives within one frame of the screen arrives together, and counts once: by its first event. */
  arrived(latency) {
    const { frame } = screen;
    if (this.frame === frame) return;
    this.frame = frame;
    this.latencies.push(latency);
    if (this.latencies.length > LATENCIES) this.latencies.shift();
  }

  /** Reads anew from the cursor. */
  rehear() {
    if (this.isOpen) this.connect();
  }

  /** The token has become another, or none. Whoever was refused for it asks again; who was dropped stays so. */
  present() {
    if (this.denial) this.resume();
    else this.rehear();
  }

  /** What a program does to read like this. */
  get how() {
    const { how, howWithToken } = this.transport;
    return (this.shared.settings.token && howWithToken) || how;
  }

  // What others are told:

  show(state, text) {
    const was = this.state;
    Object.assign(this, { state, text });
    if (was !== state) this.tell("state", state);
    soon();
  }

  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** The middle of some numbers. */
export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}
