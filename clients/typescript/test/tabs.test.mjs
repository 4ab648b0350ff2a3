// What a tab wants while no tab leads, with virtual time for the connection.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Switchboard as Core } from "../dist/core.js";
import { shared } from "../dist/tabs/index.js";
import { Locks } from "./support/locks.mjs";
import { HandMade, settled, VirtualClock } from "./support/virtual.mjs";

setFlagsFromString("--expose-gc");
/** Drops what nobody keeps. */
const collect = runInNewContext("gc");

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

/** Tabs that hear one another at once; the transport is that of the first, which leads. */
function tabs(test) {
  const locks = new Locks();
  const all = new Set();
  class Channel {
    constructor() {
      all.add(this);
    }
    postMessage(data) {
      const letter = JSON.stringify(data);
      for (const other of all) if (other !== this) other.onmessage({ data: JSON.parse(letter) });
    }
    close() {
      all.delete(this);
    }
  }
  const transport = new HandMade("websocket");
  const follow = () => {
    const engine = shared({ locks, BroadcastChannel: Channel });
    const client = new Core("http://server.example", { transport, clock: new VirtualClock(), engine });
    test.after(() => client.close());
    client.connect().catch(() => {});
    return client;
  };
  return { follow, transport };
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

test("the server's call is worked on by one tab that has the method", async (t) => {
  const { follow, transport } = tabs(t);
  const leader = follow();
  await settled();
  transport.last.greet();
  const others = [follow(), follow(), follow()];
  await settled();
  const worked = [];
  others[1].method("work", () => worked.push("second"));
  others[2].method("work", () => worked.push("third"));
  const call = (id, method) => transport.last.hearing.message(JSON.stringify({ jsonrpc: "2.0", id, method }));
  call(1, "work");
  call(2, "none");
  await settled();
  leader.method("work", () => worked.push("leader"));
  call(3, "work");
  await settled();
  assert.deepEqual(worked, ["second", "leader"]);
  const answers = transport.last.sent.filter(({ method }) => method === undefined);
  assert.deepEqual(answers.map(({ id, result, error }) => [id, result ?? error.code]).sort(), [[1, 1], [2, -32601], [3, 2]]);
});

test("a tab that follows keeps nothing of a call that was answered or given up", async (t) => {
  const { follow, transport } = tabs(t);
  follow();
  await settled();
  transport.last.greet();
  const other = follow();
  await settled();
  const kept = [];
  const made = async () => {
    const answered = other.call("big");
    await settled();
    const { id } = transport.last.sent.at(-1);
    transport.last.answer(id, { big: true });
    kept.push(new WeakRef(await answered));
    const stop = new AbortController();
    const given = other.call("slow", undefined, { signal: stop.signal }).catch((error) => error);
    stop.abort({ why: "it was too slow" });
    kept.push(new WeakRef(await given));
  };
  await made();
  for (let n = 0; n < 5; n++) {
    await settled();
    collect();
  }
  assert.deepEqual(kept.map((one) => one.deref()), [undefined, undefined]);
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
