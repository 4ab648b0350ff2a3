// Networks that hold back, cut and block, and one session that moves between transports.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ALL, client, eventually, fast, stage, take } from "../support/index.mjs";

const range = (count) => Array.from({ length: count }, (_, n) => n);
const isUpgrade = (head) => /\r\nupgrade:/i.test(head);

async function transportOf(server, id) {
  return (await server.api("GET", `/sessions/${id}`))[1].transport;
}

test("where no WebSocket gets through, events come by SSE", async (t) => {
  const { server, relay } = await stage(t);
  relay.refuses = (head) => (isUpgrade(head) ? 403 : undefined);
  // It is refused and not waited for. On a busy machine the next one's second may be over before it is answered.
  const made = client(t, relay.url, { headStart: 20_000 });
  await made.connect();
  assert.deepEqual([made.transport, await transportOf(server, made.session)], ["sse", "sse"]);
  const a = made.channel("a").subscribe();
  await a.ready;
  await made.channel("a").publish("1");
  assert.deepEqual(await take(a[Symbol.asyncIterator](), 1), ["1"]);
});

test("where streams are held back as well, long polls get through", async (t) => {
  const { server, relay } = await stage(t);
  relay.refuses = (head) => (isUpgrade(head) ? 403 : undefined);
  relay.buffers = (head) => /^GET/.test(head) && /accept: (text\/event-stream|application\/x-ndjson)/i.test(head);
  const made = client(t, relay.url, { headStart: 150 });
  await made.connect();
  assert.equal(made.transport, "poll");
  await eventually("it polls", async () => (await transportOf(server, made.session)) === "poll");
  const a = made.channel("a").subscribe();
  await a.ready;
  await made.channel("a").publish("1");
  assert.deepEqual(await take(a[Symbol.asyncIterator](), 1), ["1"]);
  await eventually("the sessions that were opened in vain are ended", async () => {
    return (await server.api("GET", "/sessions"))[1].sessions.length === 1;
  });
});

test("in the midst of 1,000 events and 100 calls a session moves down and up, and everything comes once", async (t) => {
  const { server, relay } = await stage(t);
  const made = client(t, relay.url, { headStart: 100, upgrade: 150 });
  await made.connect();
  // With so short a head start another may come first, here and below.
  await eventually("it begins over WebSocket", () => made.transport === "websocket");
  const id = made.session;
  const events = made.channel("a").subscribe({ since: "earliest" })[Symbol.asyncIterator]();
  const answers = [];
  const calls = (async () => {
    for (const n of range(100)) answers.push((await made.channel("log").publish(n)).channel);
  })();
  const heard = [];
  const reading = (async () => {
    while (heard.length < 1000) heard.push(...(await take(events, 1)));
  })();
  const blocks = {
    websocket: () => undefined,
    sse: (head) => (isUpgrade(head) ? 403 : undefined),
    stream: (head) => (isUpgrade(head) || /text\/event-stream/.test(head) ? 403 : undefined),
    poll: (head) => (isUpgrade(head) || /text\/event-stream|x-ndjson/.test(head) ? 403 : undefined),
  };
  const way = ["sse", "stream", "poll", "stream", "sse", "websocket", "poll", "websocket"];
  for (const [turn, transport] of way.entries()) {
    for (const n of range(125)) await server.publish("a", String(turn * 125 + n), { type: "application/json" });
    const isDown = ALL.indexOf(transport) > ALL.indexOf(made.transport);
    relay.refuses = blocks[transport];
    if (isDown) relay.cut();
    await eventually(`it goes on over ${transport}`, () => made.state === "connected" && made.transport === transport);
  }
  await Promise.all([calls, reading]);
  assert.deepEqual(heard, range(1000));
  assert.equal(answers.length, 100);
  const log = made.channel("log").subscribe({ since: "earliest" })[Symbol.asyncIterator]();
  assert.deepEqual(await take(log, 100), range(100));
  assert.equal(made.session, id, "it is one session all the way");
});

describe("each transport", { concurrency: true }, () => {
  for (const transport of ALL) each(transport);
});

function each(transport) {
  test(`over ${transport} a connection that died in silence is noticed`, async (t) => {
    // Not so fast that a busy machine would be silent for too long.
    const { server, relay } = await stage(t, { SWITCHBOARD_HEARTBEAT: "1s" });
    const made = client(t, relay.url, { transport, clock: fast(10) });
    await made.connect();
    const a = made.channel("a").subscribe();
    await a.ready;
    relay.isFrozen = true;
    await server.publish("a", "1");
    await eventually("it is noticed", () => made.state !== "connected");
    relay.isFrozen = false;
    relay.cut();
    assert.deepEqual(await take(a[Symbol.asyncIterator](), 1), ["1"]);
  });

  test(`over ${transport} what cuts idle connections is learned, and kept from it`, async (t) => {
    const { server, relay } = await stage(t);
    relay.idle = 3_000;
    const made = client(t, relay.url, { transport });
    let cuts = 0;
    made.on("statechange", ({ state }) => (cuts += state === "waiting"));
    await made.connect();
    const a = made.channel("a").subscribe();
    await a.ready;
    // Two cuts teach it, if they come after the same silence, which they do not where the machine is busy with much else.
    await eventually("it was cut twice", () => cuts >= 2);
    let [known, passed] = [cuts, relay.passed];
    await eventually("signs of life pass, and it is not cut any more", () => {
      if (cuts !== known || made.state !== "connected") [known, passed] = [cuts, relay.passed];
      return relay.passed > passed + 8;
    });
    await server.publish("a", "1");
    assert.deepEqual(await take(a[Symbol.asyncIterator](), 1), ["1"]);
  });

  test(`over ${transport} a server that restarts is come back to, and says what is lost`, async (t) => {
    const { server, relay } = await stage(t);
    const made = client(t, relay.url, { transport });
    const a = made.channel("a").subscribe();
    const gaps = [];
    a.on("gap", ({ reason }) => gaps.push(reason));
    await a.ready;
    await server.publish("a", "1");
    const loop = a[Symbol.asyncIterator]();
    assert.deepEqual(await take(loop, 1), ["1"]);
    const id = made.session;
    await server.drain();
    await server.restart();
    await eventually("there is another session", () => made.state === "connected" && made.session !== id);
    await server.publish("a", "2");
    assert.deepEqual(await take(loop, 1), ["2"]);
    assert.deepEqual(gaps, ["epoch"]);
  });
}
