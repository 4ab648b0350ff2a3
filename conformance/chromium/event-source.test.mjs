// The browser's own `EventSource`. Nothing here reconnects but the browser.

import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { BYTES, GZIP, LINES, stage } from "../support/index.mjs";
import { launch, open, quit } from "./browser.mjs";

before(async () => console.log(`Chromium ${await launch()}`));
after(quit);

/** Opens a source in the page. Messages, notices and errors are heard: `[type, data, lastEventId]`. */
async function listen(page, inbox, url, name = "source") {
  await page.evaluate(
    ([url, name]) => {
      const source = new EventSource(url);
      window[name] = source;
      const hear = ({ type, data, lastEventId }) => window.heard([name, type, data, lastEventId]);
      for (const type of ["message", "said", "$open", "$gap", "$end", "$closing"]) source.addEventListener(type, hear);
      source.onerror = () => window.heard([name, "error", source.readyState]);
    },
    [url, name],
  );
  const [, type, data, id] = await inbox.next();
  assert.equal(type, "$open");
  return { position: JSON.parse(data).position, id };
}

/** Passes over the errors that tell of a lost connection; what the `$open` that follows says. */
async function reopened(inbox) {
  for (;;) {
    const [, type, data] = await inbox.next();
    if (type === "$open") return JSON.parse(data);
    assert.deepEqual([type, data], ["error", 0], "a connection that was lost is opened again");
  }
}

async function begin(t, settings) {
  const { server, way } = await stage(t, settings);
  const { page, inbox } = await open(t, way.url);
  const opened = await listen(page, inbox, `${way.url}/channels/a`);
  return { server, way, page, inbox, opened };
}

for (const [how, settings] of [["", {}], [", compressed", GZIP]]) {
  test(`EventSource: hears text of many lines, types, and bytes as base64${how}`, async (t) => {
    const { server, inbox, opened } = await begin(t, settings);
    assert.equal(opened.id, opened.position);
    const ids = [
      await server.publish("a", LINES),
      await server.publish("a", "{\"n\": 1.0}", { type: "application/json", event: "said" }),
      await server.publish("a", BYTES, { type: "application/octet-stream" }),
    ];
    assert.deepEqual(await inbox.next(), ["source", "message", LINES, ids[0]]);
    assert.deepEqual(await inbox.next(), ["source", "said", "{\"n\": 1.0}", ids[1]]);
    const [, type, base64, id] = await inbox.next();
    assert.deepEqual([type, id], ["message", ids[2]]);
    assert.deepEqual(Buffer.from(base64, "base64"), BYTES);
  });

  test(`EventSource: reconnects by itself with Last-Event-ID, and misses nothing of what was cut in the midst${how}`, async (t) => {
    const { server, way, inbox } = await begin(t, settings);
    const first = await server.publish("a", "first");
    assert.deepEqual(await inbox.next(), ["source", "message", "first", first]);
    const cut = way.cutAfter(30);
    await server.publish("a", LINES);
    await cut.happened();
    await server.publish("a", "while away");
    way.open();
    assert.equal((await reopened(inbox)).recovered, true);
    assert.deepEqual((await inbox.take(2)).map(([, , data]) => data), [LINES, "while away"]);
    await server.publish("a", "live again");
    assert.equal((await inbox.next())[2], "live again");
    assert.equal(inbox.left, 0);
    const requests = way.requestsFor("channels/a");
    assert.deepEqual(requests.map(({ headers }) => headers["last-event-id"]), [undefined, first]);
    assert.equal(way.isCompressed, settings === GZIP);
  });
}

test("EventSource: dropped before its first event, it resumes from where the stream was opened", async (t) => {
  const { server, way, inbox, opened } = await begin(t);
  way.shut();
  await server.publish("a", "the first");
  way.open();
  assert.equal((await reopened(inbox)).recovered, true);
  assert.equal((await inbox.next())[2], "the first");
  assert.equal(way.requestsFor("channels/a").at(-1).headers["last-event-id"], opened.id);
});

test("EventSource: sees $gap when told to listen, and resumes behind it", async (t) => {
  const { server, way, inbox } = await begin(t, { SWITCHBOARD_HISTORY_EVENTS: "2" });
  const first = await server.publish("a", "first");
  await inbox.next();
  way.shut();
  await server.publish("a", "lost");
  const lost = await server.publish("a", "lost too");
  const held = [await server.publish("a", "third"), await server.publish("a", "fourth")];
  way.open();
  const gap = { channel: "a", from: first, to: lost, reason: "trimmed" };
  const opened = await reopened(inbox);
  assert.deepEqual([opened.recovered, opened.gap], [false, gap]);
  const [, type, data, id] = await inbox.next();
  assert.deepEqual([type, JSON.parse(data), id], ["$gap", gap, lost]);
  assert.deepEqual(await inbox.take(2), [
    ["source", "message", "third", held[0]],
    ["source", "message", "fourth", held[1]],
  ]);
});

test("EventSource: stops at the end of a channel: one request more, and none after its 204", async (t) => {
  const { server, way, page, inbox } = await begin(t);
  const last = await server.publish("a", "last", { end: true });
  assert.equal((await inbox.next())[2], "last");
  assert.deepEqual((await inbox.next()).slice(0, 3), ["source", "$end", "{\"channel\":\"a\"}"]);
  assert.deepEqual(await inbox.take(2), [["source", "error", 0], ["source", "error", 2]]);
  const requests = () => way.requestsFor("channels/a").map(({ headers }) => headers["last-event-id"]);
  assert.deepEqual(requests(), [undefined, last]);
  // Another source of the page, whose connection is cut again and again, measures the time: it comes back three times
  // within the same delay, and the one that has stopped does not.
  await listen(page, inbox, `${way.url}/channels/witness`, "witness");
  for (let time = 0; time < 3; time++) {
    way.cut();
    await reopened(inbox);
  }
  assert.deepEqual(requests(), [undefined, last]);
  assert.equal(await page.evaluate(() => window.source.readyState), 2);
  assert.equal(inbox.left, 0);
});

test("EventSource: survives a drain: it comes back by itself, is told that the log is another, and hears what is new", async (t) => {
  const { server, way, inbox } = await begin(t);
  const before = await server.publish("a", "before");
  await inbox.next();
  assert.equal(await server.drain(), 0);
  const [, type, data] = await inbox.next();
  assert.equal(type, "$closing");
  assert.deepEqual([JSON.parse(data).code, JSON.parse(data).reconnect], ["draining", true]);
  await server.restart();
  const { recovered, gap } = await reopened(inbox);
  assert.deepEqual([recovered, gap.from, gap.reason], [false, before, "epoch"]);
  const [, told, , cursor] = await inbox.next();
  assert.deepEqual([told, cursor], ["$gap", gap.to]);
  const after = await server.publish("a", "after");
  assert.deepEqual(await inbox.next(), ["source", "message", "after", after]);
  assert.equal(way.requestsFor("channels/a").at(-1).headers["last-event-id"], before);
});

test("EventSource: a page of another loopback port may listen, and resumes across origins", async (t) => {
  const { server, way } = await stage(t);
  const { page, inbox } = await open(t, server.url);
  await listen(page, inbox, `${way.url}/channels?channel=a&channel=b/**`);
  const id = await server.publish("b/c", LINES);
  assert.deepEqual(JSON.parse((await inbox.next())[2]).data, LINES);
  way.shut();
  await server.publish("a", "while away");
  way.open();
  assert.equal((await reopened(inbox)).recovered, true);
  assert.equal(JSON.parse((await inbox.next())[2]).data, "while away");
  const { headers } = way.requestsFor("channel=a").at(-1);
  assert.deepEqual([headers.origin, headers["last-event-id"]], [server.url, id]);
});
