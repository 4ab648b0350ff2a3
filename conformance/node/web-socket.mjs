// What every `WebSocket` must show, whoever wrote it. The browser's own is in ../chromium.

import assert from "node:assert/strict";
import test from "node:test";
import { BYTES, Inbox, TEXT, stage, within } from "../support/index.mjs";

/** An open socket whose messages go to an inbox, and its close to a promise of `[code, wasClean]`. */
async function connect(t, WebSocket, url) {
  const socket = new WebSocket(url.replace(/^http/, "ws"));
  socket.binaryType = "arraybuffer";
  t.after(() => socket.close());
  const inbox = new Inbox();
  socket.addEventListener("message", ({ data }) => inbox.push(typeof data === "string" ? data : Buffer.from(data)));
  const closed = new Promise((done) => socket.addEventListener("close", (event) => done([event.code, event.wasClean])));
  const opened = new Promise((done, fail) => {
    socket.addEventListener("open", done);
    socket.addEventListener("error", ({ error, message }) => fail(error ?? new Error(message)));
  });
  await within("the handshake", opened);
  return { socket, inbox, closed: () => within("the socket to close", closed) };
}

/** The same in event form, where every message is JSON. */
async function follow(t, WebSocket, url) {
  const { inbox, ...rest } = await connect(t, WebSocket, url);
  return { ...rest, inbox, next: async () => JSON.parse(await inbox.next()) };
}

/** `begin` brings the server, and a way there. */
export function webSocketContract(name, WebSocket, begin = stage) {
  test(`${name}: raw form carries text and bytes as published`, async (t) => {
    const { server, at } = await begin(t);
    const { inbox } = await connect(t, WebSocket, `${at}/channels/a`);
    await server.publish("a", TEXT);
    await server.publish("a", "{\"n\": 1.0}", { type: "application/json" });
    await server.publish("a", BYTES, { type: "application/octet-stream" });
    assert.deepEqual(await inbox.take(3), [TEXT, "{\"n\": 1.0}", BYTES]);
  });

  test(`${name}: what it sends in raw form is published, and it hears itself`, async (t) => {
    const { server, at } = await begin(t);
    const speaker = await connect(t, WebSocket, `${at}/channels/a`);
    const listener = await follow(t, WebSocket, `${at}/channels/a?form=event`);
    assert.ok((await listener.next()).$open);
    const long = "compressible ".repeat(20_000);
    for (const data of [TEXT, BYTES, "", long]) speaker.socket.send(data);
    assert.deepEqual(await speaker.inbox.take(4), [TEXT, BYTES, "", long]);
    assert.match(speaker.socket.extensions, /permessage-deflate/);
    assert.equal((await listener.next()).data, TEXT);
    assert.deepEqual(Buffer.from((await listener.next()).base64, "base64"), BYTES);
    assert.equal((await listener.next()).data, "");
    assert.equal((await listener.next()).data, long);
  });

  test(`${name}: cut in the midst of an event, it resumes in event form and misses nothing`, async (t) => {
    const { server, way } = await begin(t);
    const before = await follow(t, WebSocket, `${way.url}/channels?channel=a&channel=b`);
    assert.ok((await before.next()).$open);
    await server.publish("a", "first");
    const { id, data } = await before.next();
    assert.equal(data, "first");
    const cut = way.cutAfter(30);
    await server.publish("b", TEXT);
    await cut.happened();
    assert.deepEqual(await before.closed(), [1006, false]);
    await server.publish("a", BYTES, { type: "application/octet-stream" });
    way.open();
    const after = await follow(t, WebSocket, `${way.url}/channels?channel=a&channel=b&since=${id}`);
    assert.equal((await after.next()).$open.recovered, true);
    const missed = [await after.next(), await after.next()];
    assert.deepEqual([missed[0].channel, missed[0].data, missed[1].channel], ["b", TEXT, "a"]);
    assert.deepEqual(Buffer.from(missed[1].base64, "base64"), BYTES);
    await server.publish("a", "live again");
    assert.equal((await after.next()).data, "live again");
    assert.equal(before.inbox.left + after.inbox.left, 0);
  });

  test(`${name}: is told what is gone when it was away for too long`, async (t) => {
    const { server, at } = await begin(t, { SWITCHBOARD_HISTORY_EVENTS: "1" });
    const first = await server.publish("a", "first");
    const lost = await server.publish("a", "lost");
    await server.publish("a", "held");
    const gap = { channel: "a", from: first, to: lost, reason: "trimmed" };
    const reader = await follow(t, WebSocket, `${at}/channels/a?form=event&since=${first}`);
    assert.deepEqual((await reader.next()).$open.gap, gap);
    assert.deepEqual(await reader.next(), { $gap: gap });
    assert.equal((await reader.next()).data, "held");
    const raw = await connect(t, WebSocket, `${at}/channels/a?since=${first}`);
    assert.equal((await raw.closed())[0], 4410);
  });

  test(`${name}: closes with 1000 at the end of a channel, and with 1012 at a drain`, async (t) => {
    const { server, at } = await begin(t);
    const raw = await connect(t, WebSocket, `${at}/channels/a`);
    const event = await follow(t, WebSocket, `${at}/channels/a?form=event`);
    const other = await connect(t, WebSocket, `${at}/channels/b`);
    assert.ok((await event.next()).$open);
    const last = await server.publish("a", "last", { end: true });
    assert.equal(await raw.inbox.next(), "last");
    assert.deepEqual(await raw.closed(), [1000, true]);
    assert.equal((await event.next()).data, "last");
    assert.deepEqual(await event.next(), { $end: { channel: "a" } });
    assert.deepEqual(await event.closed(), [1000, true]);
    const late = await connect(t, WebSocket, `${at}/channels/a?since=${last}`);
    assert.deepEqual(await late.closed(), [1000, true]);
    assert.equal(await server.drain(), 0);
    assert.deepEqual(await other.closed(), [1012, true]);
  });
}
