// What a person sees of the readers: a row of the board, with the log and the figures, and a list of what was heard.

import { buildCost, buildLatency, paintCost, paintLatency } from "./figures.js";
import { buildLane, paintLane } from "./log.js";
import { bytes, element, plural, setText, soon, time, warn, say } from "./parts.js";
import { REASONS } from "./reader.js";

/** Rows of a list, at most. */
const ROWS = 80;
/** Characters of an event's data that are shown. */
const SHOWN = 320;
/** Bytes of binary data that are shown. */
const HEX = 24;

/** A row of the board: who, the log and the cursor, latency, cost, and the switch. */
export class Row {
  constructor(reader, extra) {
    this.reader = reader;
    const { name, key } = reader.transport;
    this.row = element("tr", `hue-${key}`);
    this.row.setAttribute("role", "row");
    this.state = element("span", "state");
    this.state.id = `state-${key}`;
    const head = this.cell("th", "who", element("span", "name", name), this.state, ...extra);
    head.scope = "row";
    this.lane = buildLane();
    this.where = element("p", "where");
    this.cell("td", "reach", this.lane, this.where);
    this.latency = buildLatency();
    this.cell("td", "", this.latency);
    this.cost = buildCost();
    this.cell("td", "", this.cost);
    this.toggle = element("button", "toggle");
    this.toggle.type = "button";
    this.toggle.setAttribute("aria-describedby", this.state.id);
    this.toggle.addEventListener("click", () => (reader.wanted ? reader.drop() : reader.resume()));
    this.cell("td", "switch", this.toggle);
  }

  cell(tag, kind, ...inside) {
    const cell = element(tag, kind);
    cell.setAttribute("role", tag === "th" ? "rowheader" : "cell");
    cell.append(...inside);
    this.row.append(cell);
    return cell;
  }

  paint(log, readers, counts, most) {
    const { reader } = this;
    this.row.dataset.state = reader.state;
    setText(this.state, reader.text);
    const verb = reader.wanted ? "Drop" : reader.cursor ? "Resume" : "Start";
    setText(this.toggle, verb);
    const label = `${verb} ${reader.transport.name}`;
    if (this.toggle.ariaLabel !== label) this.toggle.ariaLabel = label;
    paintLane(this.lane, log, reader, readers);
    const gaps = reader.gaps ? `, ${plural(reader.gaps, "gap")} told` : "";
    this.where.replaceChildren("cursor ", element("code", "", reader.cursor ?? "none yet"), ` · ${plural(reader.events, "event")}${gaps}`);
    paintLatency(this.latency, reader);
    paintCost(this.cost, counts, most);
  }
}

/** The list of what a reader heard, newest first. */
export class Heard {
  rows = [];

  constructor(reader) {
    this.reader = reader;
    const { key, name } = reader.transport;
    this.card = element("article", `heard hue-${key}`);
    this.request = element("code");
    this.how = element("span");
    const request = element("p", "request");
    request.append(this.how, this.request);
    this.gap = element("p", "told");
    this.list = element("ol", "items");
    this.list.tabIndex = 0;
    this.list.setAttribute("aria-label", `Received over ${name}, newest first`);
    this.card.append(element("h3", "", name), request, this.gap, this.list);
    this.listen();
  }

  listen() {
    const { reader } = this;
    const on = (type, hear) => reader.addEventListener(type, ({ detail }) => hear(detail));
    on("reset", () => ((this.rows = []), this.list.replaceChildren()));
    on("event", ({ event, latency }) => this.add(() => eventRow(event, latency)));
    on("note", ({ kind, text }) => this.add(() => element("li", `note ${kind}`, text)));
    on("twice", (event) => this.add(() => gapRow("Delivered twice. This is a bug: please report it.", event.id)));
    on("gap", (gap) => {
      this.add(() => gapRow(...gapInWords(gap)));
      warn(`${reader.transport.name} was told of a gap: ${REASONS[gap.reason] ?? gap.reason}`);
    });
    on("state", (state) => {
      if (state === "live" || state === "dropped" || state === "ended") say(`${reader.transport.name}: ${reader.text}`);
      if (state === "waiting" || state === "refused") say(`${reader.transport.name}: ${reader.text}`);
    });
  }

  add(row) {
    this.rows.push(row);
    if (this.rows.length > ROWS) this.rows.shift();
    soon();
  }

  paint() {
    const { reader } = this;
    this.card.dataset.state = reader.state;
    setText(this.how, `${reader.how} `);
    setText(this.request, decodeURIComponent(reader.path));
    this.gap.hidden = !reader.lastGap;
    if (reader.lastGap && this.shownGap !== reader.lastGap) {
      this.shownGap = reader.lastGap;
      const [text, where] = gapInWords(reader.lastGap);
      this.gap.replaceChildren(text, element("small", "", where));
    }
    if (this.rows.length === 0) return;
    this.list.prepend(...this.rows.map((row) => row()).reverse());
    this.rows = [];
    while (this.list.children.length > ROWS) this.list.lastChild.remove();
  }
}

const gapInWords = (gap) => [`Gap: ${REASONS[gap.reason] ?? gap.reason}`, `after ${gap.from} up to ${gap.to}`];

function gapRow(text, where) {
  const row = element("li", "gap", text);
  row.append(element("small", "", where));
  return row;
}

function eventRow(event, latency) {
  const row = element("li", "event");
  const data = "base64" in event ? binary(event) : words(event.data);
  if (event.event) data.prepend(element("b", "type", event.event));
  row.append(data, element("span", "late", latency === null ? "caught up" : time(latency)), element("span", "at", event.id));
  return row;
}

/** Text and JSON, in whichever direction their script runs. */
function words(data) {
  const isText = typeof data === "string";
  const text = isText ? data : JSON.stringify(data);
  const shown = text.length > SHOWN ? cut(text) : text;
  const made = element("span", `data ${isText ? "text" : "json"}`, shown);
  if (isText) made.dir = "auto";
  if (text === "") made.append(element("i", "", "empty"));
  if (shown !== text) made.append(element("i", "", ` … ${bytes(new TextEncoder().encode(text).length)} in all`));
  return made;
}

/** The beginning of a text, without half a character at its end. */
function cut(text) {
  const high = text.charCodeAt(SHOWN - 1);
  return text.slice(0, high >= 0xd800 && high < 0xdc00 ? SHOWN - 1 : SHOWN);
}

function binary({ base64, type }) {
  const padding = base64.endsWith("==") ? 2 : base64.endsWith("=") ? 1 : 0;
  const length = (base64.length / 4) * 3 - padding;
  const first = atob(base64.slice(0, (HEX / 3) * 4));
  const hex = Array.from(first.slice(0, HEX), (byte) => byte.charCodeAt(0).toString(16).padStart(2, "0")).join(" ");
  const made = element("span", "data binary", length > HEX ? `${hex} …` : hex);
  made.prepend(element("i", "", `${type ?? "application/octet-stream"}, ${bytes(length)} `));
  return made;
}
