// What a tab wants while no tab leads, with virtual time for the connection.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Switchboard as Core } from "../dist/core.js";
import { shared } from "../dist/tabs/index.js";
import { Locks } from "./support/locks.mjs";
import { HandMade, settled, VirtualClock } from "./support/virtual.mjs";

/** Letters that nobody else gets. */
class Silence {
  postMessage() {}
  close() {}
}

function tab(test, locks = new Locks()) {
  const transport = new HandMade("websocket");
  const engine = shared({ locks, BroadcastChannel: Silence });
  const client = new Core("http://server.example", { transport, clock: new VirtualClock(), engine });
  test.after(() => client.close());
  return { client, transport };
}

test("what is said before a tab leads is said as it was meant, in its order", async (t) => {
  const { client, transport } = tab(t);
  client.call("first").catch(() => {});
  client.notify("second", { n: 2 });
  client.call("third").catch(() => {});
  await settled();
  transport.last.greet();
  const sent = transport.last.sent.map(({ method, params, id }) => [method, params, id !== undefined]);
  assert.deepEqual(sent, [["first", undefined, true], ["second", { n: 2 }, false], ["third", undefined, true]]);
});

test("where the page may have no locks, it has a connection of its own", async (t) => {
  const locks = { request: async () => Promise.reject(new DOMException("not here", "SecurityError")) };
  const { client, transport } = tab(t, locks);
  client.notify("said", { n: 1 });
  await settled();
  transport.last.greet();
  assert.deepEqual(transport.last.sent.map(({ method }) => method), ["said"]);
  assert.equal(transport.opened.length, 1);
});

test("while no tab leads, no more is kept than there is room for", async (t) => {
  const locks = new Locks();
  const { client } = tab(t, locks);
  // Another has the lock and says nothing.
  locks.request("switchboard http://server.example", {}, () => new Promise(() => {}));
  await settled();
  for (let n = 0; n < 1024; n++) client.notify("n", { n });
  assert.throws(() => client.notify("one too many"), { code: "queue_full" });
  await assert.rejects(client.call("one too many"), { code: "queue_full" });
});
