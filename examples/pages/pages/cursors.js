import { client, hash, make, me, members } from "/common.js";

const field = document.getElementById("field");
const channel = client.channel("cursors/field");
const cursors = new Map();
let names = new Map();
let [sent, heard] = [0, 0];

// Who is on the channel is known by presence, and an event has no more than the hash of a name.
const subscription = channel.subscribe({ presence: true });
members(channel, subscription, (present) => {
  names = new Map([...present].map((name) => [hash(name), name]));
  for (const [id, cursor] of cursors) {
    if (id !== hash(me.name) && !names.has(id)) {
      cursor.remove();
      cursors.delete(id);
    }
  }
  const others = names.size - 1;
  document.getElementById("people").textContent = others > 1 ? `${others} others are here` : others === 1 ? "1 other is here" : "Nobody else is here yet";
});
// A gap is no loss here: the next move says all there is to know. `members` hears it and asks again.
subscription.on("event", ({ data }) => {
  const bytes = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (bytes.byteLength !== 8) return;
  heard += 1;
  place(bytes.getUint32(0), bytes.getUint16(4) / 65535, bytes.getUint16(6) / 65535);
});

/** Eight bytes: who, and where as parts of the field's width and height. Its own moves are not heard again. */
async function tell(x, y) {
  const bytes = new DataView(new ArrayBuffer(8));
  bytes.setUint32(0, hash(me.name));
  bytes.setUint16(4, Math.round(x * 65535));
  bytes.setUint16(6, Math.round(y * 65535));
  sent += 1;
  await channel.publish(new Uint8Array(bytes.buffer), { echo: false });
}

function place(id, x, y) {
  if (!cursors.has(id)) cursors.set(id, field.appendChild(arrow(id)));
  const cursor = cursors.get(id);
  cursor.style.transform = `translate(${x * field.clientWidth}px, ${y * field.clientHeight}px)`;
  cursor.classList.toggle("left", x > 0.75);
  cursor.querySelector("b").textContent = id === hash(me.name) ? `${me.name} (you)` : (names.get(id) ?? "…");
  document.getElementById("rate").textContent = `${sent.toLocaleString()} moves sent, ${heard.toLocaleString()} heard`;
}

function arrow(id) {
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  shape.setAttribute("viewBox", "0 0 24 24");
  path.setAttribute("d", "M2 2l6 19 4-8 8-3Z");
  shape.append(path);
  const cursor = make("div", { className: "cursor" }, shape, make("span", {}, make("b")));
  cursor.style.setProperty("--hue", id % 360);
  return cursor;
}

let at = { x: 0.5, y: 0.5 };
let isTelling = false;
let isStale = false;

/** Shows the move at once, and tells it; while one is on its way only the newest waits. */
async function move(x, y) {
  at = { x: Math.min(1, Math.max(0, x)), y: Math.min(1, Math.max(0, y)) };
  document.getElementById("hint").hidden = true;
  place(hash(me.name), at.x, at.y);
  isStale = true;
  if (isTelling) return;
  isTelling = true;
  while (isStale) {
    isStale = false;
    await Promise.all([tell(at.x, at.y).catch(console.error), new Promise(requestAnimationFrame)]);
  }
  isTelling = false;
}

field.addEventListener("pointermove", ({ clientX, clientY }) => {
  const { left, top, width, height } = field.getBoundingClientRect();
  move((clientX - left) / width, (clientY - top) / height);
});
field.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: [-0.02, 0], ArrowRight: [0.02, 0], ArrowUp: [0, -0.03], ArrowDown: [0, 0.03] }[event.key];
  if (!step) return;
  event.preventDefault();
  move(at.x + step[0], at.y + step[1]);
});
