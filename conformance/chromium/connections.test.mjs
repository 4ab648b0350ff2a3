// What a browser makes of streams over HTTP/1.1: how many a page may hold, and what it sends to open one.
// docs/transports.md tells of both.

import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { stage } from "../support/index.mjs";
import { launch, open, quit } from "./browser.mjs";

before(async () => console.log(`Chromium ${await launch()}`));
after(quit);

test("a page holds six event streams of a server, and WebSockets beside them", async (t) => {
  const { way } = await stage(t);
  const { page, inbox } = await open(t, way.url);
  await page.evaluate(() => {
    window.sources = Array.from({ length: 7 }, (_, at) => {
      const source = new EventSource(`/channels/a/${at}`);
      source.onopen = () => window.heard(at);
      return source;
    });
  });
  const opened = await inbox.take(6);
  assert.deepEqual(opened.sort(), [0, 1, 2, 3, 4, 5]);

  // Ten WebSockets are opened while the seventh stream waits for its turn.
  await page.evaluate(async () => {
    const address = `${location.origin.replace("http", "ws")}/channels/b`;
    window.sockets = Array.from({ length: 10 }, () => new WebSocket(address));
    await Promise.all(window.sockets.map((socket) => new Promise((opened) => (socket.onopen = opened))));
  });
  assert.equal(await page.evaluate(() => window.sources[6].readyState), 0, "the seventh still waits");
  assert.equal(inbox.left, 0);

  await page.evaluate(() => window.sources[2].close());
  assert.equal(await inbox.next(), 6);
});

/** The bytes of a request's head. Between a name and its value stand a colon and a blank. */
function bytes({ method, target, headers }) {
  const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${target} HTTP/1.1\r\n${fields.join("")}\r\n`.length;
}

test("a browser's request takes several times the bytes of the least that would do", async (t) => {
  const { server, way } = await stage(t);
  const { page, inbox } = await open(t, way.url);
  await page.evaluate(() => {
    window.source = new EventSource("/channels/a");
    window.socket = new WebSocket(`${location.origin.replace("http", "ws")}/channels/b`);
    window.source.onopen = window.socket.onopen = () => window.heard("open");
  });
  await inbox.take(2);
  const [source] = way.requestsFor("/channels/a").map(bytes);
  const [socket] = way.requestsFor("/channels/b").map(bytes);
  console.log(`EventSource: ${source} bytes, WebSocket: ${socket} bytes`);
  const least = `GET /channels/a HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nAccept: text/event-stream\r\n\r\n`.length;
  for (const sent of [source, socket]) assert.ok(sent > 4 * least, `${sent} and ${least}`);
});
