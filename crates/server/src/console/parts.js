// Small parts that everything else on this page is made of.

export const $ = (id) => document.getElementById(id);

export function element(tag, kind, text) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** A piece of SVG, with its attributes. */
export function shape(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

export function setText(node, text) {
  // What does not change is left alone: a screen reader or a selection may be in it.
  if (node.textContent !== String(text)) node.textContent = text;
}

/** For screen readers, when they next pause. */
export const say = (text) => setText($("said"), text);
/** For screen readers, at once. */
export const warn = (text) => setText($("warned"), text);

export const count = (number) => number.toLocaleString("en");

/** So many things, in words: `plural(2, "event")`. */
export const plural = (number, thing) => `${count(number)} ${thing}${number === 1 ? "" : "s"}`;

const UNITS = [["B", 1], ["kB", 1e3], ["MB", 1e6], ["GB", 1e9]];

/** An amount of bytes in three digits or so. */
export function bytes(amount) {
  const [unit, size] = UNITS.findLast(([, size]) => amount >= size * 0.9995) ?? UNITS[0];
  const scaled = amount / size;
  return `${size === 1 || scaled >= 100 ? count(Math.round(scaled)) : scaled.toFixed(scaled >= 10 ? 1 : 2)} ${unit}`;
}

/** A time in milliseconds, in three digits or so. */
export const time = (milliseconds) =>
  milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(milliseconds < 10000 ? 2 : 1)} s`;

let painters = [];
let asked = false;

/** The frames painted so far. */
export const screen = { frame: 0 };

/** Paints at most once a frame, however much arrives. */
export function soon() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    screen.frame += 1;
    for (const paint of painters) paint();
  });
}

export function paintWith(...more) {
  painters = [...painters, ...more];
}
