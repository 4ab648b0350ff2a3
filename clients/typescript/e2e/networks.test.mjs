// Networks that get in the way: nginx, set up to block, to collect and to cut.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { behind, launch, quit, range, stage, transports, until } from "./support.mjs";

before(launch);
after(quit);

/** Longer than a second, in which a busy machine may not get as far as an answer: what is tried next might be first. */
const HEAD_START = 3_000;

/** The client gets through over this transport, and has its events and answers. */
async function getsThrough(t, network, transport) {
  const { server, tab } = await stage(t);
  await tab.begin(await behind(t, server, network), { headStart: HEAD_START });
  assert.equal(await tab.transport(), transport);
  await until("the server has that one session alone", async () => (await transports(server)).join() === transport);
  for (const n of range(20)) await server.publish("a", `${n}`);
  assert.deepEqual(await tab.heard(20), range(20).map(String));
  await tab.page.evaluate("callOften(5)");
  const { answers, failures, gaps } = await tab.notes();
  assert.deepEqual([answers, failures, gaps], [Array(5).fill("calls"), [], []]);
}

test("where WebSockets are blocked it is Server-Sent Events", (t) => getsThrough(t, "blocks-websockets", "sse"));
test("where event streams are collected it is the HTTP stream", (t) => getsThrough(t, "buffers-events", "stream"));
test("where every stream is collected it is long polls", (t) => getsThrough(t, "buffers-streams", "poll"));
test("where answers without a length are held back it is long polls", (t) => getsThrough(t, "holds-back", "poll"));

test("what got through is remembered for the next page of the origin", async (t) => {
  const { server, at, tab } = await stage(t);
  const url = await behind(t, server, "buffers-streams");
  await tab.begin(url);
  assert.equal(await tab.transport(), "poll");
  await tab.page.goto(at);
  await tab.page.waitForFunction("globalThis.isReady");
  // Two are held back before it has its turn, unless it is known to get through.
  const headStart = 5_000;
  const began = await tab.page.evaluate("performance.now()");
  await tab.begin(url, { headStart });
  const again = (await tab.notes()).states.find(({ state }) => state === "connected");
  assert.equal(again.transport, "poll");
  assert.ok(again.at - began < headStart, `${Math.round(again.at - began)} ms`);
});

test("cut whenever it is silent for five seconds, it loses nothing and says nothing twice", async (t) => {
  const { server, tab } = await stage(t);
  await tab.begin(await behind(t, server, "cuts-idle"));
  const { session } = await tab.notes();
  const lost = (notes, count) => notes.states.filter(({ previous }) => previous === "connected").length >= count;
  for (const cut of range(2, 1)) {
    await server.publish("a", `before cut ${cut}`);
    await tab.until(lost, cut);
    await server.publish("a", `after cut ${cut}`);
    await tab.until((notes) => notes.states.at(-1).state === "connected");
  }
  assert.deepEqual(await tab.heard(4), ["before cut 1", "after cut 1", "before cut 2", "after cut 2"]);
  const notes = await tab.notes();
  assert.deepEqual([notes.session, notes.gaps], [session, []], "one session, and no gap");
});
