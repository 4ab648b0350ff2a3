// Several transports as one: which is tried when, what is remembered, and how a session moves up.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Switchboard as Core, several, SwitchboardError } from "../dist/core.js";
import { Switchboard } from "../dist/index.js";
import { HandMade, settled, VirtualClock } from "./support/virtual.mjs";

const NAMES = ["websocket", "sse", "stream", "poll"];
const unfit = { kind: "unfit", error: new SwitchboardError("unreachable") };
const SAID = { id: "s1", location: "/session/s1.k", place: "0.p0", seq: 1 };

function stage(remembered) {
  const clock = new VirtualClock();
  const transports = NAMES.map((name) => new HandMade(name));
  const kept = new Map(remembered ? [["switchboard http://server.example", remembered]] : []);
  const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) };
  const client = new Core("http://server.example", { transport: several(transports, { storage }), clock });
  client.connect().catch(() => {});
  const tried = () => transports.filter(({ opened }) => opened.length > 0).map(({ name }) => name);
  return { client, clock, transports, kept, tried };
}

test("each has a second before the next is tried, and the first that is greeted is read from", async () => {
  const { client, clock, transports, kept, tried } = stage();
  await settled();
  assert.deepEqual(tried(), ["websocket"]);
  await clock.pass(999);
  assert.deepEqual(tried(), ["websocket"]);
  await clock.pass(1);
  assert.deepEqual(tried(), ["websocket", "sse"]);
  // Its head came, and then nothing: something holds it back.
  transports[1].last.hearing.opened({ ...SAID, id: "other" });
  transports[1].last.hearing.alive();
  await clock.pass(1_000);
  assert.deepEqual(tried(), ["websocket", "sse", "stream"]);
  transports[2].last.hearing.opened(SAID);
  transports[2].last.greet();
  assert.deepEqual([client.state, client.transport, client.session], ["connected", "stream", "s1"]);
  assert.deepEqual([kept.get("switchboard http://server.example"), tried().includes("poll")], ["stream", false]);
  assert.deepEqual(transports.slice(0, 2).map(({ last }) => last.closed), [true, true], "their sessions are ended");
  // What they say now is heard by nobody.
  transports[0].last.greet({ id: "late" });
  transports[1].last.lose();
  assert.deepEqual([client.state, client.session], ["connected", "s1"]);
});

test("one that fails makes room for the next at once, and where all fail, all are tried again", async () => {
  const { client, clock, transports, tried } = stage();
  await settled();
  for (const { last } of transports) {
    last?.hearing.cut(unfit);
    await settled();
  }
  assert.deepEqual(tried(), NAMES);
  for (const { last } of transports) last.hearing.cut(unfit);
  await settled();
  assert.equal(client.state, "waiting");
  await clock.pass(250);
  assert.equal(transports[0].opened.length, 2);
});

test("what worked last is tried first, and the rest after it", async () => {
  const { clock, transports, tried } = stage("stream");
  await settled();
  assert.deepEqual(tried(), ["stream"]);
  await clock.pass(1_000);
  assert.deepEqual(tried(), ["websocket", "stream"]);
  transports[2].last.greet();
});

test("a refusal by the server counts for all of them", async () => {
  const { client, transports, tried } = stage();
  await settled();
  const error = new SwitchboardError("forbidden_origin", "no", { status: 403 });
  transports[0].last.hearing.cut(unfit);
  await settled();
  transports[1].last.hearing.cut({ kind: "refused", error });
  await settled();
  assert.equal(client.state, "closed");
  assert.deepEqual(tried(), ["websocket", "sse"]);
});

test("one that says when to come back is believed", async () => {
  const { client, clock, transports, tried } = stage();
  await settled();
  transports[0].last.hearing.cut(unfit);
  await settled();
  transports[1].last.hearing.cut({ kind: "lost", error: new SwitchboardError("overloaded"), wait: 5_000 });
  await settled();
  assert.deepEqual([client.state, tried()], ["waiting", ["websocket", "sse"]]);
  await clock.pass(5_000);
  assert.equal(client.state, "waiting");
  await clock.pass(250);
  assert.equal(client.state, "connecting");
});

test("a transient refusal is waited out, and what the server says of it is told", async () => {
  const { client, transports } = stage();
  const seen = [];
  client.on("statechange", ({ state, error }) => seen.push([state, error?.code]));
  await settled();
  transports[0].last.hearing.cut(unfit);
  await settled();
  transports[1].last.say("closing", { code: "draining", reason: "Bye.", reconnect: true });
  transports[1].last.lose();
  await settled();
  assert.deepEqual(seen.at(-1), ["waiting", "draining"]);
});

/** Reads by the HTTP stream, from `p0` on. */
async function onStream() {
  const at = stage("stream");
  await settled();
  const { last } = at.transports[2];
  last.greet();
  const heard = [];
  const subscription = at.client.channel("a").subscribe();
  subscription.on("event", ({ data }) => heard.push(data));
  last.answer(last.sent[0].id, { position: "p0" });
  last.say("caught_up", { channel: "a", position: "p0" });
  const event = (link, n) => link.say("event", { id: `p${n}`, channel: "a", data: n, time: 1 });
  event(last, 1);
  await settled();
  /** Time passes, and the connection lives. */
  const live = async (milliseconds) => {
    for (let left = milliseconds; left > 0; left -= 10_000) {
      last.hearing.alive();
      await at.clock.pass(Math.min(left, 10_000));
    }
  };
  return { ...at, last, heard, event, live };
}

test("a better one takes the session over where it is: what comes meanwhile is heard once", async () => {
  const { client, transports, last, heard, event, live } = await onStream();
  await live(30_000);
  const better = transports[0].last;
  assert.equal(better.query, "?since=1.p1&attempt=2");
  event(last, 2);
  event(last, 3);
  assert.deepEqual(heard, [1], "it waits");
  last.say("closing", { code: "stale_attempt", reason: "", reconnect: false });
  last.lose();
  better.greet({ place: "1.p1", seq: 2 });
  for (const n of [2, 3, 4]) event(better, n);
  assert.deepEqual(heard, [1, 2, 3, 4]);
  assert.deepEqual([client.transport, last.closed], ["websocket", false]);
});

test("where no better one gets through, what waited goes on, and it is tried again later and later", async () => {
  const { client, transports, last, heard, event, live } = await onStream();
  await live(30_000);
  event(last, 2);
  await live(2_999);
  assert.deepEqual(heard, [1]);
  await live(1);
  assert.deepEqual(heard, [1, 2]);
  event(last, 3);
  assert.deepEqual([heard, client.transport], [[1, 2, 3], "stream"]);
  assert.equal(transports[0].last.closed, false, "the session is not ended");
  await live(59_999);
  assert.equal(transports[0].opened.length, 1);
  await live(1);
  assert.equal(transports[0].opened.length, 2);
});

test("a connection that is lost while a better one is tried is lost afterwards", async () => {
  const { client, transports, last, heard, event, live } = await onStream();
  await live(30_000);
  event(last, 2);
  last.lose();
  for (const transport of transports.slice(0, 2)) {
    transport.last.hearing.cut(unfit);
    await settled();
  }
  assert.deepEqual([heard, client.state], [[1, 2], "waiting"]);
});

test("one that breaks soon after it was greeted, three times in a row, is doubted", async () => {
  const { clock, transports, client } = stage();
  for (const wait of [250, 500, 1_000]) {
    await settled();
    transports[0].last.greet();
    transports[0].last.hearing.cut({ kind: "closed", code: 1006, reason: "" });
    assert.equal(client.state, "waiting");
    await clock.pass(wait);
  }
  assert.equal(transports[0].opened.length, 3);
  assert.equal(transports[1].opened.length, 1, "the next is tried first");
});

test("one that falls silent soon after it was greeted, three times in a row, is doubted", async () => {
  const { clock, transports } = stage();
  const passes = async (until) => {
    for (let steps = 0; !until(); steps++) {
      assert.ok(steps < 3_000);
      await clock.pass(100);
    }
  };
  for (let n = 1; n <= 3; n++) {
    await passes(() => transports[0].opened.length === n);
    assert.equal(transports[1].opened.length, 0);
    transports[0].last.greet();
    await passes(() => transports[0].last.closed !== undefined);
  }
  await passes(() => transports[1].opened.length === 1);
  assert.equal(transports[0].opened.length, 3, "the next is tried first");
});

test("transports that there are not are refused at once, and those that there are named", () => {
  const refused = (transports) => {
    assert.throws(
      () => new Switchboard("http://server.example", { transports }),
      ({ code, message }) => code === "unsupported" && message.includes("websocket, sse, stream, poll"),
    );
  };
  for (const transports of [[], ["ws"], ["websocket", "SSE"], [undefined]]) refused(transports);
  assert.throws(() => several([]), { code: "unsupported" });
  assert.equal(new Switchboard("http://server.example", { transports: ["poll", new HandMade("mine")] }).state, "idle");
});
