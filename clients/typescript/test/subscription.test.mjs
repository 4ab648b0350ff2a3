// What a subscription brings, and how: by callbacks, by loops, and never a gap unseen.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Switchboard as Core } from "../dist/core.js";
import { HandMade, settled, VirtualClock } from "./support/virtual.mjs";

async function stage(options) {
  const transport = new HandMade("websocket");
  const clock = new VirtualClock();
  const client = new Core("http://server.example", { transport, clock });
  client.connect();
  await settled();
  const server = transport.last;
  server.greet();
  const subscription = client.channel("a").subscribe(options);
  const grant = async (said = { position: "p0" }) => {
    const { id } = server.sent.filter(({ method }) => method === "subscribe").at(-1);
    server.answer(id, said);
    server.say("caught_up", { channel: "a", position: said.position });
    await settled();
  };
  const event = (n, more) => server.say("event", { id: `p${n}`, channel: "a", data: n, time: 1, ...more });
  const gap = () => server.say("gap", { channel: "a", from: "p1", to: "p5", reason: "trimmed" });
  /** Another session comes after it, in which what was subscribed to is from where it was. */
  const again = async () => {
    await clock.pass(500);
    const { last } = transport;
    last.greet({ id: "s2" });
    const { id, params } = last.sent.find(({ method }) => method === "subscribe");
    last.answer(id, { position: params.since, recovered: true });
    await settled();
  };
  return { client, server, subscription, grant, event, gap, again };
}

/** What nobody catches while something is done. */
async function uncaught(what) {
  const caught = [];
  const listeners = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", (error) => caught.push(error));
  await what();
  await settled();
  process.removeAllListeners("uncaughtException");
  for (const listener of listeners) process.on("uncaughtException", listener);
  return caught;
}

test("callbacks hear each event, and those of one type", async () => {
  const { subscription, grant, event } = await stage();
  const heard = [];
  subscription.on("event", ({ data }) => heard.push(data));
  subscription.on("event:said", ({ data }) => heard.push(`said ${data}`));
  subscription.on("event:message", ({ data }) => heard.push(`message ${data}`));
  const undo = subscription.once("event", ({ data }) => heard.push(`once ${data}`));
  await grant({ position: "p0", recovered: true });
  assert.deepEqual([subscription.position, subscription.recovered, subscription.gap], ["p0", true, undefined]);
  event(1);
  event(2, { event: "said" });
  assert.deepEqual(heard, [1, "once 1", "message 1", 2, "said 2"]);
  assert.equal(subscription.position, "p2");
  undo();
});

test("a listener goes by its undo, by off, or by a signal", async () => {
  const { subscription, grant, event } = await stage();
  const heard = [];
  const add = (name, options) => {
    const listener = () => heard.push(name);
    return [listener, subscription.on("event", listener, options)];
  };
  const [, undo] = add("undone");
  const [off] = add("off");
  const stop = new AbortController();
  add("stopped", { signal: stop.signal });
  add("never", { signal: AbortSignal.abort() });
  add("stays");
  await grant();
  event(1);
  undo();
  subscription.off("event", off);
  stop.abort();
  event(2);
  assert.deepEqual(heard, ["undone", "off", "stopped", "stays", "stays"]);
});

test("what comes before anybody takes it waits, in its order", async () => {
  const { subscription, grant, event } = await stage();
  await grant();
  event(1);
  event(2);
  const heard = [];
  subscription.on("event", ({ data }) => heard.push(data));
  await settled();
  event(3);
  assert.deepEqual(heard, [1, 2, 3]);
});

test("one that is heard once takes what comes as others do", async () => {
  for (const type of ["event", "presence", "end"]) {
    const { server, subscription, grant, event } = await stage({ presence: true });
    const heard = [];
    subscription.once(type, () => heard.push(type));
    await grant();
    if (type === "event") event(1);
    if (type === "presence") server.say("presence", { channel: "a", event: "join", member: { session: "s2" } });
    if (type === "end") server.say("end", { channel: "a" });
    assert.deepEqual(heard, [type]);
  }
});

test("a loop takes what comes, and unsubscribes when it is left", async () => {
  const { server, subscription, grant, event } = await stage();
  await grant();
  event(1);
  event(2);
  const heard = [];
  for await (const { data } of subscription) {
    heard.push(data);
    if (data === 2) break;
  }
  assert.deepEqual(heard, [1, 2]);
  assert.equal(server.sent.at(-1).method, "unsubscribe");
  assert.equal(subscription.ended, true);
});

test("a loop that is left before it began, or while it waits, unsubscribes as well", async () => {
  for (const isBegun of [false, true]) {
    const { server, subscription, grant } = await stage();
    await grant();
    const loop = subscription[Symbol.asyncIterator]();
    const next = isBegun && loop.next();
    assert.deepEqual(await loop.return(), { done: true, value: undefined });
    assert.deepEqual([server.sent.at(-1).method, subscription.ended], ["unsubscribe", true]);
    for (const each of [next || loop.next(), loop.next()]) assert.deepEqual(await each, { done: true, value: undefined });
  }
});

test("a loop that has thrown is over", async () => {
  const { subscription, grant, gap } = await stage();
  await grant();
  gap();
  const loop = subscription[Symbol.asyncIterator]();
  await assert.rejects(loop.next(), { code: "gap" });
  assert.equal((await loop.next()).done, true);
});

test("a gap is thrown by a loop that does not listen for it, and it says where to go on", async () => {
  const { subscription, grant, event, gap } = await stage();
  await grant();
  event(1);
  gap();
  event(6);
  const heard = [];
  await assert.rejects(
    async () => {
      for await (const { data } of subscription) heard.push(data);
    },
    { code: "gap", gap: { channel: "a", from: "p1", to: "p5", reason: "trimmed" } },
  );
  assert.deepEqual(heard, [1]);
  assert.equal(subscription.position, "p5");
});

test("a gap that is listened for comes in its place", async () => {
  const { subscription, grant, event, gap } = await stage();
  const heard = [];
  subscription.on("gap", ({ reason }) => heard.push(reason));
  await grant();
  event(1);
  gap();
  event(6);
  for await (const { data } of subscription) {
    heard.push(data);
    if (data === 6) break;
  }
  assert.deepEqual(heard, [1, "trimmed", 6]);
  assert.equal(subscription.gap.to, "p5");
});

test("a gap that no callback takes ends the subscription with an error, which is reported if nobody takes that", async () => {
  const taken = await stage();
  const errors = [];
  taken.subscription.on("event", () => {});
  taken.subscription.on("error", (error) => errors.push(error.code));
  await taken.grant();
  taken.gap();
  assert.deepEqual([errors, taken.subscription.ended], [["gap"], true]);
  const left = await stage();
  left.subscription.on("event", () => {});
  await left.grant();
  const caught = await uncaught(() => left.gap());
  assert.deepEqual(caught.map(({ code }) => code), ["gap"]);
});

test("a gap in the answer is told like any other", async () => {
  const { subscription, grant } = await stage({ since: "p1" });
  const heard = [];
  subscription.on("subscribed", (said) => heard.push(said.recovered));
  subscription.on("gap", ({ reason }) => heard.push(reason));
  subscription.on("event", () => {});
  const gap = { channel: "a", from: "p1", to: "p5", reason: "expired" };
  await grant({ position: "p5", recovered: false, gap });
  assert.deepEqual(heard, [false, "expired"]);
  assert.deepEqual(await subscription.ready, { position: "p5", recovered: false, gap });
});

test("a refused subscription fails once, where it is looked at", async () => {
  const { server, subscription } = await stage();
  const { id } = server.sent[0];
  const ready = subscription.ready;
  server.hearing.message(JSON.stringify({ jsonrpc: "2.0", id, error: { code: 40300, message: "no" } }));
  await assert.rejects(ready, { code: "forbidden", rpc: 40300 });
  await assert.rejects(async () => {
    for await (const event of subscription) assert.fail(event);
  }, { code: "forbidden" });
  const other = await stage();
  const caught = await uncaught(() => {
    const { id } = other.server.sent[0];
    other.server.hearing.message(JSON.stringify({ jsonrpc: "2.0", id, error: { code: 40300, message: "no" } }));
  });
  assert.deepEqual(caught.map(({ code }) => code), ["forbidden"], "it is not missed where nobody looks");
});

test("one that is slower than its queue reads on from the log", async () => {
  const { server, subscription, grant, event } = await stage({ queue: 2 });
  await grant();
  for (const n of [1, 2, 3, 4]) event(n);
  assert.equal(server.sent.at(-1).method, "unsubscribe");
  const loop = subscription[Symbol.asyncIterator]();
  assert.deepEqual([(await loop.next()).value.data, (await loop.next()).value.data], [1, 2]);
  assert.deepEqual(server.sent.at(-1).params, { channel: "a", since: "p2" });
  await grant({ position: "p2", recovered: true });
  event(3);
  assert.equal((await loop.next()).value.data, 3);
});

test("events wait for a loop where others listen for who comes and goes, or for the end, who are told at once", async () => {
  const { server, subscription, grant, event } = await stage({ presence: true });
  const heard = [];
  subscription.on("presence", ({ member }) => heard.push(member.user));
  subscription.on("end", () => heard.push("end"));
  await grant();
  event(1);
  server.say("presence", { channel: "a", event: "join", member: { session: "s2", user: "ann" } });
  event(2);
  server.say("end", { channel: "a" });
  assert.deepEqual([heard, subscription.ended], [["ann", "end"], false]);
  for await (const { data } of subscription) heard.push(data);
  assert.deepEqual([heard, subscription.ended], [["ann", "end", 1, 2], true]);
});

test("who comes and goes is told however many events nobody takes, and a loop reads those from the log", async () => {
  const { client, server, subscription, grant, event } = await stage({ queue: 2, presence: true });
  const heard = [];
  subscription.on("presence", ({ member }) => heard.push(member.user));
  subscription.on("gap", ({ channel }) => heard.push(channel));
  const join = (user) => server.say("presence", { channel: "a", event: "join", member: { session: user, user } });
  await grant();
  for (const n of [1, 2, 3, 4]) {
    event(n);
    join(`u${n}`);
  }
  server.say("end", { channel: "a" });
  assert.deepEqual([heard, subscription.ended], [["u1", "u2", "u3", "u4"], false]);
  const loop = subscription[Symbol.asyncIterator]();
  assert.deepEqual([(await loop.next()).value.data, (await loop.next()).value.data], [1, 2]);
  client.notify("seen");
  assert.deepEqual(server.sent.at(-2).params, { channel: "a", since: "p2", presence: true });
  await grant({ position: "p2", recovered: true });
  event(3);
  assert.equal((await loop.next()).value.data, 3);
});

test("who hears who comes and goes is told of an error at once", async () => {
  const { server, subscription, grant, event } = await stage({ presence: true });
  const errors = [];
  subscription.on("presence", () => {});
  subscription.on("error", ({ code }) => errors.push(code));
  await grant();
  event(1);
  server.say("closing", { code: "forbidden", reason: "no", reconnect: false });
  server.lose();
  assert.deepEqual([errors, subscription.ended], [["forbidden"], true]);
});

test("a loop has a bound where others listened before it", async () => {
  const { server, subscription, grant, event } = await stage({ queue: 2 });
  const heard = [];
  const undo = subscription.on("event", ({ data }) => heard.push(data));
  await grant();
  event(1);
  assert.deepEqual(heard, [1]);
  undo();
  const loop = subscription[Symbol.asyncIterator]();
  for (const n of [2, 3, 4]) event(n);
  assert.equal(server.sent.at(-1).method, "unsubscribe");
  assert.deepEqual([(await loop.next()).value.data, (await loop.next()).value.data], [2, 3]);
  assert.deepEqual(server.sent.at(-1).params, { channel: "a", since: "p3" });
});

test("one that is slower than its queue is told that it may have missed who came and went, once it hears of that again", async () => {
  const { server, subscription, grant, event } = await stage({ queue: 2, presence: true });
  const heard = [];
  subscription.on("gap", ({ channel, from, to, reason }) => heard.push([channel, from, to, reason]));
  subscription.on("presence", ({ member }) => heard.push(member.user));
  const join = (user) => server.say("presence", { channel: "a", event: "join", member: { session: user, user } });
  // As soon as it hears presence it flows, unless a loop is there to take what comes.
  const loop = subscription[Symbol.asyncIterator]();
  await grant();
  event(1);
  join("ann");
  join("ben");
  assert.equal((await loop.next()).value.data, 1);
  const next = loop.next();
  await settled();
  assert.deepEqual(heard, ["ann"]);
  assert.deepEqual(server.sent.at(-1).params, { channel: "a", since: "p1", presence: true });
  await grant({ position: "p1", recovered: true });
  event(2);
  assert.equal((await next).value.data, 2);
  assert.deepEqual(heard.slice(1), [["$presence/a", "p1", "p1", "skipped"]]);
});

test("in a new session who hears who comes and goes is told that it may have missed some of that", async () => {
  for (const presence of [false, true]) {
    const { client, server, subscription, grant, event, again } = await stage({ presence });
    const gaps = [];
    subscription.on("gap", ({ channel, to }) => gaps.push([channel, to]));
    subscription.on("event", () => {});
    await grant();
    event(1);
    assert.deepEqual(gaps, []);
    server.hearing.cut({ kind: "gone" });
    await again();
    assert.equal(client.session, "s2");
    assert.deepEqual(gaps, presence ? [["$presence/a", "p1"]] : []);
  }
});

test("a channel that ends finishes the loop, after everything that came before", async () => {
  const { server, subscription, grant, event } = await stage();
  const ends = [];
  subscription.on("gap", () => {});
  await grant();
  event(1);
  server.say("end", { channel: "a" });
  const heard = [];
  for await (const { data } of subscription) heard.push(data);
  assert.deepEqual([heard, ends], [[1], []]);
});

test("a signal ends a subscription, and its loop without an error", async () => {
  const stop = new AbortController();
  const { server, subscription, grant } = await stage({ signal: stop.signal });
  await grant();
  setImmediate(() => stop.abort());
  for await (const event of subscription) assert.fail(event);
  assert.equal(server.sent.at(-1).method, "unsubscribe");
});

test("what a listener throws is reported, and harms nobody", async () => {
  const { client, subscription, grant, event } = await stage();
  const heard = [];
  subscription.on("event", () => {
    throw new Error("a listener's own");
  });
  subscription.on("event", ({ data }) => heard.push(data));
  await grant();
  const caught = await uncaught(() => event(1));
  assert.deepEqual([caught.map(({ message }) => message), heard, client.state], [["a listener's own"], [1], "connected"]);
});

test("presence is heard beside events, and bytes are bytes", async () => {
  const { server, subscription, grant, event } = await stage({ presence: true });
  assert.deepEqual(server.sent[0].params, { channel: "a", presence: true });
  const heard = [];
  subscription.on("presence", ({ event, member }) => heard.push([event, member.user]));
  subscription.on("event", ({ data }) => heard.push(data));
  await grant();
  server.say("presence", { channel: "a", event: "join", member: { session: "s2", user: "ann" } });
  event(1, { data: undefined, base64: "AAEC/w==" });
  assert.deepEqual(heard, [["join", "ann"], new Uint8Array([0, 1, 2, 255])]);
});
