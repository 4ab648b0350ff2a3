// Tabs of one origin share a connection: here several clients with locks and letters between them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { shared } from "../../dist/tabs/index.js";
import { client, eventually, stage, take } from "../support/index.mjs";
import { Locks } from "../support/locks.mjs";

/** A channel between tabs whose tab may be frozen: it hears nothing, and nobody hears it. */
function channels(frozen) {
  return class extends BroadcastChannel {
    set onmessage(listener) {
      super.onmessage = (message) => frozen.is || listener(message);
    }
    postMessage(message) {
      if (!frozen.is) super.postMessage(message);
    }
  };
}

function tab(t, relay, locks, frozen = { is: false }) {
  const engine = shared({ locks, BroadcastChannel: channels(frozen), name: relay.url });
  return client(t, relay.url, { transport: "websocket", engine });
}

const connections = async (server) => (await server.api("GET", "/sessions"))[1].sessions.filter(({ connected }) => connected);
/** One connection is left: the server may yet have to hear of the end of the others. */
const isOne = (server) => eventually("one is connected", async () => (await connections(server)).length === 1);
const numbers = (from, to) => Array.from({ length: to - from }, (_, n) => String(from + n));

async function publish(server, from, to) {
  for (const n of numbers(from, to)) await server.publish("a", n);
}

test("tabs share one connection, and each has what it wants", async (t) => {
  const { server, relay } = await stage(t);
  const locks = new Locks();
  const tabs = Array.from({ length: 4 }, () => tab(t, relay, locks));
  await Promise.all(tabs.map((each) => each.connect()));
  const loops = tabs.map((each) => each.channel("a").subscribe());
  await Promise.all(loops.map((loop) => loop.ready));
  assert.equal((await connections(server)).length, 1);
  assert.equal(new Set(tabs.map((each) => each.session)).size, 1);
  await publish(server, 0, 20);
  for (const loop of loops) assert.deepEqual(await take(loop[Symbol.asyncIterator](), 20), numbers(0, 20));
  for (const [n, each] of tabs.entries()) {
    const { position } = await each.channel("b").publish({ n });
    assert.ok(position);
    await assert.rejects(each.call("unknown"), { code: "method_not_found", name: "SwitchboardError" });
  }
  // What only one of them answers is answered.
  tabs[2].method("add", ([a, b]) => a + b);
  const call = { method: "add", params: [2, 3] };
  assert.deepEqual(await server.api("POST", `/sessions/${tabs[0].session}/call`, call), [200, { result: 5 }]);
  const unknown = { method: "nothing" };
  const [, { error }] = await server.api("POST", `/sessions/${tabs[0].session}/call`, unknown);
  assert.equal(error.code, -32601);
});

test("when the tab that leads is closed, another goes on, and nothing is lost or comes twice", async (t) => {
  const { server, relay } = await stage(t);
  const locks = new Locks();
  const tabs = Array.from({ length: 3 }, () => tab(t, relay, locks));
  for (const each of tabs) await each.connect();
  const loops = tabs.map((each) => each.channel("a").subscribe()).map((loop) => [loop.ready, loop[Symbol.asyncIterator]()]);
  await Promise.all(loops.map(([ready]) => ready));
  await publish(server, 0, 10);
  await tabs[0].close();
  await publish(server, 10, 20);
  for (const [, loop] of loops.slice(1)) assert.deepEqual(await take(loop, 20), numbers(0, 20));
  await tabs[1].close();
  await publish(server, 20, 30);
  assert.deepEqual(await take(loops[2][1], 10), numbers(20, 30));
  await isOne(server);
  assert.equal(tabs[2].state, "connected");
});

test("a tab that leads and is frozen is left behind, and follows when it is back", async (t) => {
  const { server, relay } = await stage(t);
  const locks = new Locks();
  const frozen = { is: false };
  const first = tab(t, relay, locks, frozen);
  await first.connect();
  const second = tab(t, relay, locks);
  await second.connect();
  const heard = second.channel("a").subscribe();
  const known = first.channel("a").subscribe();
  await Promise.all([heard.ready, known.ready]);
  const before = second.session;
  frozen.is = true;
  await eventually("the second leads", () => second.state === "connected" && second.session !== before);
  await publish(server, 0, 5);
  assert.deepEqual(await take(heard[Symbol.asyncIterator](), 5), numbers(0, 5));
  frozen.is = false;
  await eventually("the first follows", () => first.session === second.session);
  await publish(server, 5, 10);
  assert.deepEqual(await take(known[Symbol.asyncIterator](), 10), numbers(0, 10));
  await isOne(server);
});

test("a refusal is told to all tabs, and each may try again", async (t) => {
  const { relay } = await stage(t);
  const locks = new Locks();
  // A page of another origin is not let in, as long as its requests say so.
  let origin = "https://elsewhere.example";
  const fetchAs = (url, init = {}) => fetch(url, { ...init, headers: { ...init.headers, ...(origin ? { origin } : {}) } });
  const made = () => {
    const engine = shared({ locks, BroadcastChannel: channels({ is: false }), name: relay.url });
    return client(t, relay.url, { transport: "sse", fetch: fetchAs, engine });
  };
  const tabs = [made(), made()];
  const refused = tabs.map((each) => each.connect());
  for (const each of refused) await assert.rejects(each, { code: "forbidden_origin", status: 403 });
  for (const each of tabs) await assert.rejects(each.call("ping"), { code: "forbidden_origin" });
  origin = undefined;
  await Promise.all(tabs.map((each) => each.connect()));
  assert.equal(tabs[0].session, tabs[1].session);
});
