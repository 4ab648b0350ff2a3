// What a page tells the client of itself, and of its network.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Switchboard as Core } from "../dist/core.js";
import { HandMade, settled, VirtualClock } from "./support/virtual.mjs";

const page = new EventTarget();
const document = Object.assign(new EventTarget(), { visibilityState: "hidden" });
globalThis.addEventListener = page.addEventListener.bind(page);
globalThis.document = document;

const tells = (target, type, rest) => target.dispatchEvent(Object.assign(new Event(type), rest));

/** A client that waits to try again. */
async function waiting() {
  const clock = new VirtualClock();
  const transport = new HandMade("websocket");
  const client = new Core("http://server.example", { transport, clock });
  client.connect().catch(() => {});
  await settled();
  transport.last.lose();
  assert.equal(client.state, "waiting");
  return { client, clock, transport };
}

const COMES_BACK = {
  "the network is there again": () => tells(page, "online"),
  "a page is shown again that was put aside": () => tells(page, "pageshow", { persisted: true }),
  "a page is seen again": () => {
    document.visibilityState = "visible";
    tells(document, "visibilitychange");
  },
  "a frozen page goes on": () => {
    document.visibilityState = "visible";
    tells(document, "resume");
  },
};

for (const [name, happens] of Object.entries(COMES_BACK)) {
  test(`${name}: it connects at once`, async () => {
    const { client, clock, transport } = await waiting();
    happens();
    await clock.pass(0);
    assert.deepEqual([client.state, transport.opened.length], ["connecting", 2]);
    client.close();
  });
}

const CHANGES_NOTHING = {
  "a page is shown for the first time": () => tells(page, "pageshow", { persisted: false }),
  "a page goes out of sight": () => {
    document.visibilityState = "hidden";
    tells(document, "visibilitychange");
  },
};

for (const [name, happens] of Object.entries(CHANGES_NOTHING)) {
  test(`${name}: it waits on`, async () => {
    const { client, clock, transport } = await waiting();
    happens();
    await clock.pass(249);
    assert.deepEqual([client.state, transport.opened.length], ["waiting", 1]);
    client.close();
  });
}

test("a client that is closed hears of the page no more", async () => {
  const { client, clock, transport } = await waiting();
  client.close();
  tells(page, "online");
  await clock.pass(20_000);
  assert.deepEqual([client.state, transport.opened.length], ["closed", 1]);
});
