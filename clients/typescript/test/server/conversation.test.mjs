// What applications do, over each transport.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SwitchboardError } from "../../dist/index.js";
import { ALL, client, eventually, Inbox, stage, take } from "../support/index.mjs";

describe("each transport", { concurrency: true }, () => {
  for (const transport of ALL) each(transport);
});

function each(transport) {
  test(`over ${transport} everything that is published is heard as it was published`, async (t) => {
    const { server } = await stage(t);
    const made = client(t, server.url, { transport });
    const room = made.channel("room/1");
    const subscription = room.subscribe();
    const heard = new Inbox();
    subscription.on("event", (event) => heard.push(event));
    assert.equal((await subscription.ready).position, subscription.position);
    const bytes = Uint8Array.from({ length: 70_000 }, (_, at) => (at * 7) % 256);
    for (const [data, options] of [
      ["text", {}],
      [{ deep: [1, null, { x: "ü" }] }, { event: "said" }],
      [null, {}],
      [bytes, { event: "blob", type: "image/x" }],
      [bytes.buffer, {}],
    ]) {
      const { id, position } = await room.publish(data, options);
      const event = await heard.next();
      assert.deepEqual([event.id, event.position, event.channel], [id, position, "room/1"]);
      assert.deepEqual(event.data, data instanceof ArrayBuffer ? bytes : data);
      assert.deepEqual([event.event, event.type], [options.event, options.type]);
    }
    // A page has no more than its share of what a session may keep.
    const held = [];
    for (let page = { position: "earliest" }; page.position !== subscription.position; held.push(...page.events)) {
      page = await room.history({ since: page.position, limit: 2 });
      assert.ok(page.events.length <= 2);
    }
    assert.deepEqual(held.map(({ data }) => data), ["text", { deep: [1, null, { x: "ü" }] }, null, bytes, bytes]);
    await room.publish("not for oneself", { echo: false });
    await room.publish("once", { key: "k-1" });
    await room.publish("once", { key: "k-1" });
    await room.publish("last");
    assert.deepEqual([(await heard.next()).data, (await heard.next()).data], ["once", "last"]);
  });

  test(`over ${transport} calls go both ways`, async (t) => {
    const { server } = await stage(t);
    const made = client(t, server.url, { transport });
    await made.connect();
    const call = (method, params) => server.api("POST", `/sessions/${made.session}/call`, { method, params });
    const undo = made.method("add", ({ a, b }) => a + b);
    made.method("later", async (n) => n);
    made.method("nothing", () => {});
    made.method("refuses", () => {
      throw SwitchboardError.application(7, "not now", { until: "noon" });
    });
    made.method("breaks", () => {
      throw new Error("a secret");
    });
    assert.deepEqual(await call("add", { a: 1, b: 2 }), [200, { result: 3 }]);
    assert.deepEqual(await call("later", [5]), [200, { result: [5] }]);
    assert.deepEqual(await call("nothing"), [200, { result: null }]);
    const refused = { code: 7, message: "not now", data: { until: "noon" } };
    assert.deepEqual(await call("refuses"), [200, { error: refused }]);
    assert.deepEqual(await call("breaks"), [200, { error: { code: -32603, message: "Internal error" } }]);
    undo();
    assert.equal((await call("add", {}))[1].error.code, -32601);
    const heard = new Inbox();
    made.on("notification", (notification) => heard.push(notification));
    made.method("news", (params) => heard.push(params));
    await server.api("POST", `/sessions/${made.session}/notify`, { method: "news", params: { n: 1 } });
    assert.deepEqual(await heard.take(2), [{ method: "news", params: { n: 1 } }, { n: 1 }]);
    await assert.rejects(made.call("unknown"), { code: "method_not_found", rpc: -32601 });
    await assert.rejects(made.channel("a//b").publish(1), { code: "channel_name", rpc: 40001 });
    await assert.rejects(made.channel("a").publish("x".repeat(1_100_000)), { code: "too_large" });
    assert.equal(typeof (await made.call("ping")).time, "number");
  });

  test(`over ${transport} patterns, ends and gaps are as the server has them`, async (t) => {
    const { server } = await stage(t, { SWITCHBOARD_HISTORY_EVENTS: "3" });
    const made = client(t, server.url, { transport });
    for (const n of [1, 2, 3, 4, 5]) await server.publish("jobs/1", String(n));
    const { events } = await made.channel("jobs/1").history();
    const all = made.channel("jobs/*").subscribe({ since: "earliest" });
    const loop = all[Symbol.asyncIterator]();
    assert.deepEqual(await take(loop, 3), ["3", "4", "5"]);
    // Each is heard before the next comes: three are held, and who is not given its turn for four would miss one.
    for (const n of ["6", "7", "8", "9"]) {
      await server.publish("jobs/1", n);
      assert.deepEqual(await take(loop, 1), [n]);
    }
    await assert.rejects(
      async () => {
        for await (const event of made.channel("jobs/1").subscribe({ since: events[0].position })) assert.fail(event.data);
      },
      ({ code, gap }) => code === "gap" && gap.reason === "trimmed" && gap.from === events[0].position,
    );
    await server.publish("jobs/1", "last", { end: true });
    const heard = [];
    for await (const { data } of made.channel("jobs/1").subscribe({ since: "earliest" })) heard.push(data);
    assert.deepEqual(heard, ["8", "9", "last"]);
    assert.deepEqual(await take(loop, 1), ["last"]);
    await server.publish("jobs/2", "x");
    assert.deepEqual(await take(loop, 1), ["x"]);
  });

  test(`over ${transport} a reader that is slower than what comes reads on from the log`, async (t) => {
    const { server } = await stage(t);
    const made = client(t, server.url, { transport });
    const slow = made.channel("a").subscribe({ queue: 5 });
    await slow.ready;
    for (let n = 0; n < 60; n++) await server.publish("a", String(n));
    const quick = made.channel("a").subscribe({ since: "earliest" })[Symbol.asyncIterator]();
    const numbers = Array.from({ length: 60 }, (_, n) => String(n));
    assert.deepEqual(await take(quick, 60), numbers);
    assert.deepEqual(await take(slow[Symbol.asyncIterator](), 60), numbers);
  });
}

test("a client that is closed leaves no session behind, and says what it had to say", async (t) => {
  const { server } = await stage(t);
  for (const transport of ALL) {
    const made = client(t, server.url, { transport });
    await made.connect();
    const published = Promise.allSettled([1, 2, 3].map((n) => made.channel(transport).publish(n)));
    await made.close();
    await published;
    // It was sent: another shard of the server may answer before it has read that.
    const channel = client(t, server.url).channel(transport);
    const held = async () => (await channel.history()).events.map(({ data }) => data);
    await eventually("all is held", async () => (await held()).length === 3);
    assert.deepEqual(await held(), [1, 2, 3], transport);
    await eventually("its session is gone", async () => !(await server.api("GET", "/sessions"))[1].sessions.some(({ id }) => id === made.session));
  }
});
