// What all pages share: one client, and a word at the top about how it is connected.

import { Switchboard } from "/client/index.js";

/** Who this window's visitor is. Another window may be somebody else. */
export const me = {
  get name() {
    return (sessionStorage.name ||= invented());
  },
  set name(name) {
    sessionStorage.name = name;
  },
};

function invented() {
  const pick = (words) => words[Math.floor(Math.random() * words.length)];
  return `${pick(["Amber", "Brisk", "Clever", "Dapper", "Early", "Gentle", "Merry", "Quick"])} ${pick(["Badger", "Crane", "Fox", "Heron", "Lynx", "Otter", "Robin", "Wren"])}`;
}

/** The server with the pages signs a token. The client asks for the next before one ends. */
async function getToken() {
  const headers = { "Content-Type": "application/json" };
  const response = await fetch("/token", { method: "POST", headers, body: JSON.stringify({ name: me.name }) });
  if (!response.ok) throw new Error(await response.text());
  return (await response.json()).token;
}

export const client = new Switchboard(`http://${location.hostname}:${document.body.dataset.port}`, { getToken });

const link = document.querySelector(".link");
const NAMES = { websocket: "WebSocket", sse: "Server-Sent Events", stream: "HTTP stream", poll: "long polls" };
client.on("statechange", ({ state, transport }) => {
  link.dataset.state = state;
  link.textContent = state === "connected" ? `live over ${NAMES[transport]}` : state === "waiting" ? "connecting again" : state;
});
client.connect().catch((error) => (link.textContent = error.message));

/** An element with these properties and children. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** A number that is the same for a name wherever it is made. */
export function hash(name) {
  let hash = 2166136261;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 16777619) >>> 0;
  return hash;
}

/** A name in its own colour. */
export function person(name) {
  const element = make("span", { className: "person", textContent: name });
  element.style.setProperty("--hue", hash(name) % 360);
  return element;
}

/**
 * Keeps the members of a channel as they come and go, and calls `changed` with their names. Notices are lost while there
 * is no connection: then a gap says so, and the list is fetched again.
 */
export function members(channel, subscription, changed) {
  let names = new Set();
  const ask = async () => {
    const { members } = await channel.presence();
    names = new Set(members.map(({ user }) => user));
    changed(names);
  };
  subscription.on("presence", ({ event, member }) => {
    if (event === "join") names.add(member.user);
    else names.delete(member.user);
    changed(names);
  });
  subscription.on("subscribed", () => ask().catch(console.error));
  subscription.on("gap", () => ask().catch(console.error));
}
