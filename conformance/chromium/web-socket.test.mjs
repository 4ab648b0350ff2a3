// The browser's own `WebSocket`.

import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { BYTES, TEXT, stage } from "../support/index.mjs";
import { launch, open, quit } from "./browser.mjs";

before(launch);
after(quit);

/** Opens a socket in the page. It is heard: `["open", protocol, extensions]`, text, `{ bytes }`, `["close", code, clean]`. */
async function connect(page, inbox, url) {
  await page.evaluate((url) => {
    const socket = new WebSocket(url.replace(/^http/, "ws"));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => window.heard(["open", socket.protocol, socket.extensions]);
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") return window.heard(data);
      window.heard({ bytes: [...new Uint8Array(data)] });
    };
    socket.onclose = ({ code, wasClean }) => window.heard(["close", code, wasClean]);
    window.socket = socket;
  }, url);
  const opened = await inbox.next();
  assert.equal(opened[0], "open", "the handshake is answered with 101");
  return opened;
}

async function begin(t, target) {
  const { server, way } = await stage(t);
  const { page, inbox } = await open(t, way.url);
  const opened = await connect(page, inbox, `${way.url}${target}`);
  const told = async () => JSON.parse(await inbox.next());
  return { server, way, page, inbox, opened, told };
}

test("WebSocket: raw form carries text and bytes as published", async (t) => {
  const { server, inbox } = await begin(t, "/channels/a");
  await server.publish("a", TEXT);
  await server.publish("a", BYTES, { type: "application/octet-stream" });
  assert.deepEqual(await inbox.take(2), [TEXT, { bytes: [...BYTES] }]);
});

test("WebSocket: what it sends in raw form is published, and it hears itself, compressed both ways", async (t) => {
  const { page, inbox, opened } = await begin(t, "/channels/a");
  assert.match(opened[2], /permessage-deflate/);
  const long = "compressible ".repeat(20_000);
  await page.evaluate(
    ([text, bytes, long]) => {
      window.socket.send(text);
      window.socket.send(new Uint8Array(bytes));
      window.socket.send(new Blob([text]));
      window.socket.send(long);
    },
    [TEXT, [...BYTES], long],
  );
  assert.deepEqual(await inbox.take(4), [TEXT, { bytes: [...BYTES] }, { bytes: [...Buffer.from(TEXT)] }, long]);
});

test("WebSocket: cut in the midst of an event, it resumes in event form and misses nothing", async (t) => {
  const { server, way, page, inbox, told } = await begin(t, "/channels?channel=a&channel=b");
  assert.ok((await told()).$open);
  await server.publish("a", "first");
  const { id } = await told();
  const cut = way.cutAfter(30);
  await server.publish("b", TEXT);
  await cut.happened();
  assert.deepEqual(await inbox.next(), ["close", 1006, false]);
  await server.publish("a", BYTES, { type: "application/octet-stream" });
  way.open();
  await connect(page, inbox, `${way.url}/channels?channel=a&channel=b&since=${id}`);
  assert.equal((await told()).$open.recovered, true);
  const missed = [await told(), await told()];
  assert.deepEqual([missed[0].channel, missed[0].data, missed[1].channel], ["b", TEXT, "a"]);
  assert.deepEqual(Buffer.from(missed[1].base64, "base64"), BYTES);
  await server.publish("a", "live again");
  assert.equal((await told()).data, "live again");
});

test("WebSocket: closes with 1000 at the end of a channel, and with 1000 again for who comes later", async (t) => {
  const { server, way, page, inbox, told } = await begin(t, "/channels/a?form=event");
  assert.ok((await told()).$open);
  const last = await server.publish("a", "last", { end: true });
  assert.equal((await told()).data, "last");
  assert.deepEqual(await told(), { $end: { channel: "a" } });
  assert.deepEqual(await inbox.next(), ["close", 1000, true]);
  await connect(page, inbox, `${way.url}/channels/a?since=${last}`);
  assert.deepEqual(await inbox.next(), ["close", 1000, true]);
});

test("WebSocket: closes with 1012 at a drain, and is told that the log is another after the restart", async (t) => {
  const { server, way, page, inbox, told } = await begin(t, "/channels/a?form=event");
  const { position } = (await told()).$open;
  assert.equal(await server.drain(), 0);
  assert.equal((await told()).$closing.code, "draining");
  assert.deepEqual(await inbox.next(), ["close", 1012, true]);
  await server.restart();
  await connect(page, inbox, `${way.url}/channels/a?form=event&since=${position}`);
  assert.equal((await told()).$open.gap.reason, "epoch");
  assert.equal((await told()).$gap.from, position);
  await server.publish("a", "after");
  assert.equal((await told()).data, "after");
});
