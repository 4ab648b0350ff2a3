// What the tests share.

import { fileURLToPath } from "node:url";
import WebSocket from "ws";
import { Server } from "../../../../conformance/support/index.mjs";
import { Switchboard } from "../../dist/index.js";
import { Relay } from "./relay.mjs";

export { Relay, Server, Switchboard, WebSocket };
export { Inbox, within } from "../../../../conformance/support/index.mjs";

export const ALL = ["websocket", "sse", "stream", "poll"];

/** A file of the project's vectors, read. */
export const vectors = (path) => new URL(`../../../../vectors/${path}`, import.meta.url);
export const project = (path) => fileURLToPath(new URL(`../../../../${path}`, import.meta.url));

/** A server and a way to it, gone when the test ends. */
export async function stage(test, settings, { seed, flags } = {}) {
  const server = await Server.start(settings, flags);
  test.after(() => server.stop());
  const relay = await Relay.to(server.port, seed);
  test.after(() => relay.close());
  return { server, relay };
}

/** A client that is gone when the test ends. A transport by its name is the only one. */
export function client(test, url, { transport, ...options } = {}) {
  const made = new Switchboard(url, { WebSocket, ...(transport ? { transports: [transport] } : {}), ...options });
  test.after(() => made.close());
  return made;
}

/** A clock that runs so many times as fast. */
export function fast(times) {
  return {
    now: () => performance.now() * times,
    set: (callback, milliseconds) => setTimeout(callback, milliseconds / times),
    clear: (timer) => clearTimeout(timer),
    random: Math.random,
  };
}

/** Waits for what comes about elsewhere. Only a failure reaches the deadline. */
export async function eventually(what, isSo) {
  const end = performance.now() + 20_000;
  while (!(await isSo())) {
    if (performance.now() > end) throw new Error(`it never became true that ${what}`);
    await new Promise((done) => setTimeout(done, 5));
  }
}

/** The data of the next so many events of a loop. */
export async function take(events, count) {
  const taken = [];
  while (taken.length < count) {
    const { value, done } = await events.next();
    if (done) throw new Error(`it ended after ${JSON.stringify(taken)}`);
    taken.push(value.data);
  }
  return taken;
}
