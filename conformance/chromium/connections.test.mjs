// How many streams a page may hold over HTTP/1.1: what docs/transports.md says of it.

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

  // Thirty WebSockets come to their end while the seventh stream waits for its turn.
  await page.evaluate(async () => {
    const address = `${location.origin.replace("http", "ws")}/channels/b`;
    window.sockets = Array.from({ length: 30 }, () => new WebSocket(address));
    await Promise.all(window.sockets.map((socket) => new Promise((opened) => (socket.onopen = opened))));
  });
  assert.equal(await page.evaluate(() => window.sources[6].readyState), 0, "the seventh still waits");
  assert.equal(inbox.left, 0);

  await page.evaluate(() => window.sources[2].close());
  assert.equal(await inbox.next(), 6);
});
