// The library is written for browsers and used in Node too. It resumes by itself as long as `onerror` does not throw,
// and takes the end of a response for the end of the stream unless `onclose` throws. Both are used here as its
// documentation shows.

import assert from "node:assert/strict";
import test from "node:test";
import library from "@microsoft/fetch-event-source";
import { BYTES, Inbox, LINES, stage, within } from "../support/index.mjs";

// What it wants of a browser: timers under `window`, and a document that may be hidden.
globalThis.window = globalThis;
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };

class Dropped extends Error {}
class Ended extends Error {}

/** Reads until the channel ends or the test does: what is heard, the headers sent, and how it came to its end. */
async function listen(t, url) {
  const inbox = new Inbox();
  const control = new AbortController();
  t.after(() => control.abort());
  const finished = library.fetchEventSource(url, {
    signal: control.signal,
    async onopen(response) {
      if (response.status === 204) throw new Ended();
      assert.equal(response.status, 200);
    },
    onmessage: (message) => inbox.push(message),
    onclose() {
      throw new Dropped();
    },
    onerror(error) {
      if (error instanceof Ended || error instanceof assert.AssertionError) throw error;
    },
  });
  const outcome = finished.then(() => "done", (error) => error);
  const { event } = await inbox.next();
  assert.equal(event, "$open");
  return { inbox, outcome: () => within("the reader to finish", outcome) };
}

test("fetch-event-source: hears text of many lines, types, and bytes as base64", async (t) => {
  const { server } = await stage(t);
  const { inbox } = await listen(t, `${server.url}/channels/a`);
  const id = await server.publish("a", LINES, { event: "said" });
  await server.publish("a", BYTES, { type: "application/octet-stream" });
  assert.deepEqual(await inbox.next(), { id, event: "said", data: LINES, retry: undefined });
  assert.deepEqual(Buffer.from((await inbox.next()).data, "base64"), BYTES);
});

test("fetch-event-source: cut in the midst of an event, it comes back and misses nothing", async (t) => {
  const { server, way } = await stage(t);
  const { inbox } = await listen(t, `${way.url}/channels/a`);
  const first = await server.publish("a", "first");
  assert.equal((await inbox.next()).data, "first");
  // Cut within the event's `id:` line. This library takes the cursor from that line at once, and not at the blank line
  // that ends the event as the HTML standard says, so an event that is cut further on is lost to it.
  const cut = way.cutAfter(10);
  await server.publish("a", LINES);
  await cut.happened();
  await server.publish("a", "while away");
  way.open();
  assert.equal(JSON.parse((await inbox.next()).data).recovered, true);
  assert.deepEqual((await inbox.take(2)).map(({ data }) => data), [LINES, "while away"]);
  await server.publish("a", "live again");
  assert.equal((await inbox.next()).data, "live again");
  assert.equal(inbox.left, 0);
  assert.equal(way.requests.at(-1).headers["last-event-id"], first);
});

test("fetch-event-source: survives a drain, and is told that the log is another", async (t) => {
  const { server } = await stage(t);
  const { inbox } = await listen(t, `${server.url}/channels/a`);
  assert.equal(await server.drain(), 0);
  assert.equal((await inbox.next()).event, "$closing");
  await server.restart();
  assert.equal(JSON.parse((await inbox.next()).data).gap.reason, "epoch");
  assert.equal((await inbox.next()).event, "$gap");
  await server.publish("a", "after");
  assert.equal((await inbox.next()).data, "after");
});

test("fetch-event-source: stops at the end of a channel", async (t) => {
  const { server, way } = await stage(t);
  const { inbox, outcome } = await listen(t, `${way.url}/channels/a`);
  await server.publish("a", "last", { end: true });
  assert.deepEqual((await inbox.take(2)).map(({ event, data }) => event || data), ["last", "$end"]);
  assert.ok((await outcome()) instanceof Ended);
  assert.equal(way.requests.length, 2);
});
