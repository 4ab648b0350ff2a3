// The log as this page knows it: the events in their order, found out without looking into any position, and for each
// reader how far it has come. Drawn as a row of cells for each reader, the newest event on the right.

import { element, plural, setText } from "./parts.js";

/** Events kept in sight, at most. */
const COLUMNS = 64;
/** Events remembered after they went out of sight. */
const PAST = 20_000;

export class Log {
  /** Cells from the oldest to the newest: an event's id, and for each reader what became of it. */
  columns = [];
  // Events whose cells went out at the left: a reader that catches up on them must not bring them back at the right.
  past = new Set();

  find(id) {
    return this.columns.findLastIndex((column) => column.id === id);
  }

  /**
   * Where an event is that a reader heard right after another; -1 if it is out of sight. `after` null: nobody knows
   * after what. Then it is new, since whoever was further would have heard it.
   */
  place(id, after) {
    const known = this.find(id);
    if (known >= 0 || this.past.has(id)) return known;
    if (this.past.has(after)) return this.forget(id);
    const before = after ? this.find(after) : -1;
    this.columns.splice(before >= 0 ? before + 1 : this.columns.length, 0, { id, marks: {} });
    if (this.columns.length > COLUMNS) this.forget(this.columns.shift().id);
    return this.find(id);
  }

  forget(id) {
    this.past.add(id);
    if (this.past.size > PAST) this.past.delete(this.past.values().next().value);
    return -1;
  }

  /** A reader has received an event, after another. `lost`: a gap was told in between. */
  received(key, id, after, lost) {
    const at = this.place(id, lost ? null : after);
    if (at >= 0) this.columns[at].marks[key] = "got";
    if (lost) this.lose(key, at);
  }

  /** What a reader has not received before a place is lost to it. */
  lose(key, before) {
    for (let i = before - 1; i >= 0 && !this.columns[i].marks[key]; i--) this.columns[i].marks[key] = "lost";
  }

  /** A reader begins here: what was before it is none of its business. */
  begins(key) {
    for (const column of this.columns) column.marks[key] ??= "none";
  }
}

/** The cells of a reader's row. */
export function buildLane() {
  const lane = element("div", "lane");
  lane.setAttribute("aria-hidden", "true");
  const cells = element("div", "cells");
  for (let i = 0; i < COLUMNS; i++) cells.append(element("span", "cell"));
  lane.append(element("span", "beyond"), cells);
  return lane;
}

/** Paints a row. A loss is one wide cell, or stands at the left if it is out of sight. */
export function paintLane(lane, log, reader, readers) {
  const lost = lostBy(reader, readers);
  const [beyond, { children: cells }] = lane.children;
  const key = reader.transport.key;
  const shown = runs(log.columns, key);
  let lossInSight = false;
  for (let i = 0; i < COLUMNS; i++) {
    const run = shown[shown.length - 1 - i];
    const cell = cells[i];
    const kind = run ? run.mark : "none";
    const isCursor = run !== undefined && run.ids.includes(reader.lastId);
    lossInSight ||= kind === "lost";
    const length = kind === "lost" ? run.ids.length : 1;
    put(cell, `cell ${kind}${isCursor ? " cursor" : ""}`, kind === "lost" && length > 3 ? String(lost || length) : "");
    const wide = String(Math.min(length, 8));
    if (cell.dataset.run !== wide) {
      cell.dataset.run = wide;
      cell.style.setProperty("--run", wide);
    }
  }
  const isBeyond = reader.loss !== null && !lossInSight;
  beyond.hidden = !isBeyond;
  setText(beyond, !isBeyond ? "" : lost ? `${plural(lost, "event")} lost` : "lost");
}

/** How many events a reader's last gap took: a reader that heard them all can tell. 0 if there is none. */
function lostBy({ loss }, readers) {
  for (const { heard } of loss ? readers : []) {
    const [from, to] = [heard.get(loss.after), heard.get(loss.until)];
    if (from && to && from.gaps === to.gaps) return to.number - from.number - 1;
  }
  return 0;
}

function put(cell, kind, text) {
  if (cell.className !== kind) cell.className = kind;
  setText(cell, text);
}

/** The cells of one reader from the oldest on, with losses in a row taken together. */
function runs(columns, key) {
  const found = [];
  for (const column of columns) {
    const mark = column.marks[key] ?? "ahead";
    const last = found.at(-1);
    if (mark === "lost" && last?.mark === "lost") last.ids.push(column.id);
    else found.push({ mark, ids: [column.id] });
  }
  return found;
}
