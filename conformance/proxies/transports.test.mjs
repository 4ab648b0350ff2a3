// Everything that the server offers, through nginx and HAProxy as `docs/proxies.md` sets them up, over HTTP/1.1 and, where
// the proxy speaks it, HTTP/2.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BYTES, TEXT, within } from "../support/index.mjs";
import { Client, guarded } from "./guarded.mjs";
import { haproxy, nginx } from "./process.mjs";

const PROXIES = { nginx, HAProxy: haproxy };

for (const [name, start] of Object.entries(PROXIES)) {
  for (const allowH2 of [false, true]) {
    describe(`${name}, ${allowH2 ? "HTTP/2" : "HTTP/1.1"}`, () => transports(start, { allowH2 }));
  }
}
// Side by side, since each takes a minute.
describe("a minute of silence ends nothing", { concurrency: true }, () => {
  for (const [name, start] of Object.entries(PROXIES)) test(name, (t) => silence(t, start));
});

/** A server behind a proxy, and a client of the proxy. */
async function stage(test, start, options) {
  const { server, token } = await guarded(test);
  const proxy = await start(test, server);
  return { server, proxy, client: new Client(test, proxy, token, options) };
}

/** Opens a session without a WebSocket: its location, and a way to say something. */
async function session(client) {
  const opened = await client.fetch("/session", { method: "POST" });
  assert.equal(opened.status, 201);
  const { location } = await opened.json();
  const say = async (message) => {
    const body = JSON.stringify({ jsonrpc: "2.0", ...message });
    const response = await client.fetch(location, { method: "POST", body });
    assert.equal(response.status, 202);
    await response.text();
  };
  return { location, say };
}

const subscribe = { id: 1, method: "subscribe", params: { channel: "a" } };

/** Converses by `say` and `next`: a subscription, an event that is published meanwhile, and an answer. */
async function converse(client, next, say) {
  const until = async (is) => {
    for (;;) {
      const message = await next();
      if (is(message)) return message;
    }
  };
  await say(subscribe);
  await until(({ id }) => id === 1);
  await client.publish("a", "while it is open");
  const { params } = await until(({ method }) => method === "event");
  assert.equal(params.data, "while it is open");
  await say({ id: 2, method: "ping" });
  const { result } = await until(({ id }) => id === 2);
  assert.ok(result.time > 0);
}

function transports(start, options) {
  test("streams and WebSockets hear what is published while they are open", async (t) => {
    const { client } = await stage(t, start, options);
    const raw = await client.socket("/channels/a", ["switchboard.raw.v1"]);
    const event = await client.socket("/channels?channel=a");
    const sse = await client.blocks("/channels/a");
    const stream = await client.lines("/channels/a");
    // Over HTTP/2 nginx keeps back the head of an answer until its first byte, and a raw body begins with an event.
    const bytes = client.fetch("/channels/a?form=raw&since=earliest", { headers: { accept: "application/x-ndjson" } });
    const body = bytes.then(({ body }) => body.getReader());
    assert.ok(JSON.parse(await event.inbox.next()).$open);
    assert.equal((await sse.next()).event, "$open");
    assert.ok((await stream.next()).$open);
    for (const data of ["one", "two"]) {
      await client.publish("a", data);
      assert.equal(await raw.inbox.next(), data);
      assert.equal(JSON.parse(await event.inbox.next()).data, data);
      assert.equal((await sse.next()).data, data);
      assert.equal((await stream.next()).data, data);
      assert.equal(Buffer.from((await within("bytes", (await body).read())).value).toString(), data);
    }
    raw.socket.send(BYTES);
    assert.deepEqual(await raw.inbox.next(), BYTES);
    raw.socket.send(TEXT);
    assert.equal(await raw.inbox.next(), TEXT);
  });

  test("pages are answered at once, and long polls when there is something", async (t) => {
    const { client } = await stage(t, start, options);
    const first = await client.publish("a", "one");
    const page = await (await client.fetch("/channels/a")).json();
    assert.equal(page.position, first.position);
    const poll = client.fetch(`/channels/a?wait=60&since=${page.position}`);
    await client.publish("a", "two");
    const { events } = await (await poll).json();
    assert.deepEqual(events.map(({ data }) => data), ["two"]);
  });

  test("a stream of events is published line by line, and a batch as a whole", async (t) => {
    const { client } = await stage(t, start, options);
    const reader = await client.socket("/channels/a", ["switchboard.raw.v1"]);
    const { writable, readable } = new TransformStream();
    const words = writable.getWriter();
    const headers = { "content-type": "application/x-ndjson" };
    const publishing = client.fetch("/channels/a", { method: "POST", body: readable, duplex: "half", headers });
    for (const word of ["A channel", " is", " a log."]) {
      await words.write(Buffer.from(`${JSON.stringify({ data: word })}\n`));
      assert.equal(await reader.inbox.next(), word);
    }
    await words.close();
    const { count } = await (await publishing).json();
    assert.equal(count, 3);
    // More than the 1 MiB that nginx lets through unless told otherwise.
    const large = Array.from({ length: 3 }, () => ({ channels: ["b"], data: "x".repeat(700_000) }));
    const batch = await client.fetch("/api/publish", { method: "POST", body: JSON.stringify(large) });
    assert.equal(batch.status, 201);
    assert.equal((await batch.json()).items.length, 3);
  });

  test("a session converses over WebSocket", async (t) => {
    const { client } = await stage(t, start, options);
    const { socket, inbox } = await client.socket("/session", ["switchboard.v1"]);
    const say = (message) => socket.send(JSON.stringify({ jsonrpc: "2.0", ...message }));
    await converse(client, async () => JSON.parse(await inbox.next()), say);
  });

  test("a session converses over Server-Sent Events", async (t) => {
    const { client } = await stage(t, start, options);
    const { location, say } = await session(client);
    const { next } = await client.blocks(location);
    await converse(client, async () => JSON.parse((await next()).data), say);
  });

  test("a session converses over an HTTP stream", async (t) => {
    const { client } = await stage(t, start, options);
    const { location, say } = await session(client);
    const { next } = await client.lines(location);
    await converse(client, next, say);
  });

  test("a session converses over long polls", async (t) => {
    const { client } = await stage(t, start, options);
    const { location, say } = await session(client);
    let waiting = [];
    let since = "";
    const next = async () => {
      while (waiting.length === 0) {
        const page = await (await client.fetch(`${location}?wait=20${since}`)).json();
        waiting = page.messages;
        since = `&since=${page.place}`;
      }
      return waiting.shift();
    };
    await converse(client, next, say);
  });
}

/** The longest wait there is: a minute, in which nothing but heartbeats passes. */
async function silence(t, start) {
  const { client } = await stage(t, start, { allowH2: false });
  const { writable, readable } = new TransformStream();
  const words = writable.getWriter();
  const headers = { "content-type": "application/x-ndjson" };
  const publishing = client.fetch("/channels/later", { method: "POST", body: readable, duplex: "half", headers }, 120_000);
  publishing.catch(() => {});
  await words.write(Buffer.from('{"data":"before"}\n'));
  await client.fetch("/channels/later?wait=20");
  const readers = await open(client);
  const since = (await client.publish("quiet", "x")).position;
  const asked = Date.now();
  const response = await client.fetch(`/channels/quiet?wait=60&since=${since}`, {}, 90_000);
  assert.equal(response.status, 200);
  assert.deepEqual(await response.json(), { events: [], position: since });
  const waited = Date.now() - asked;
  assert.ok(waited > 55_000, `the server answered, after ${waited} ms`);
  await words.write(Buffer.from('{"data":"after"}\n'));
  await words.close();
  for (const next of readers) assert.equal(await next(), "after");
  assert.equal((await (await publishing).json()).count, 2);
}

/** Readers of `later` over each transport, all open: functions that give the next data. */
async function open(client) {
  const socket = await client.socket("/channels/later?since=latest", ["switchboard.raw.v1"]);
  const sse = await client.blocks("/channels/later?since=latest");
  const stream = await client.lines("/channels/later?since=latest");
  const conversation = await client.socket("/session", ["switchboard.v1"]);
  assert.equal((await sse.next()).event, "$open");
  assert.ok((await stream.next()).$open);
  const message = { jsonrpc: "2.0", id: 1, method: "subscribe", params: { channel: "later" } };
  conversation.socket.send(JSON.stringify(message));
  let said = {};
  while (said.id !== 1) said = JSON.parse(await conversation.inbox.next());
  // Notices may come in between.
  const event = async (next, is) => {
    for (;;) {
      const item = await next();
      if (is(item)) return item;
    }
  };
  return [
    () => socket.inbox.next(),
    async () => (await event(sse.next, ({ event }) => !event)).data,
    async () => (await event(stream.next, ({ channel }) => channel)).data,
    async () => (await event(async () => JSON.parse(await conversation.inbox.next()), ({ method }) => method === "event")).params.data,
  ];
}
