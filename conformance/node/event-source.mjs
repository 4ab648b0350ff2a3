// What every `EventSource` must show, whoever wrote it. The browser's own is in ../chromium.

import assert from "node:assert/strict";
import test from "node:test";
import { BYTES, Inbox, LINES, stage } from "../support/index.mjs";

const NOTICES = ["$open", "$gap", "$end", "$closing"];

/** An open source whose messages, notices and errors go to an inbox: `[type, data, lastEventId]`. */
async function listen(t, EventSource, url, types = []) {
  const source = new EventSource(url);
  t.after(() => source.close());
  const inbox = new Inbox();
  for (const type of ["message", ...NOTICES, ...types]) {
    source.addEventListener(type, (event) => inbox.push([event.type, event.data, event.lastEventId]));
  }
  source.addEventListener("error", () => inbox.push(["error", source.readyState]));
  assert.equal((await inbox.next())[0], "$open");
  return { source, inbox };
}

/** Passes over the errors that tell of a lost connection, and over the `$open` that follows. */
async function reopened(inbox) {
  for (;;) {
    const item = await inbox.next();
    if (item[0] === "$open") return JSON.parse(item[1]);
    assert.deepEqual(item, ["error", 0], "a connection that was lost is opened again");
  }
}

/** `settings` of the server: variables of its environment. `begin` brings it, and a way there. */
export function eventSourceContract(name, EventSource, settings = {}, begin = stage) {
  test(`${name}: hears text of many lines, types, and bytes as base64`, async (t) => {
    const { server, at } = await begin(t, settings);
    const { inbox } = await listen(t, EventSource, `${at}/channels/a`, ["said"]);
    const ids = [
      await server.publish("a", LINES),
      await server.publish("a", "{\"n\": 1.0}", { type: "application/json", event: "said" }),
      await server.publish("a", BYTES, { type: "application/octet-stream" }),
    ];
    assert.deepEqual(await inbox.take(2), [["message", LINES, ids[0]], ["said", "{\"n\": 1.0}", ids[1]]]);
    const [, base64, id] = await inbox.next();
    assert.equal(id, ids[2]);
    assert.deepEqual(Buffer.from(base64, "base64"), BYTES);
  });

  test(`${name}: hears events of several channels with their names`, async (t) => {
    const { server, at } = await begin(t, settings);
    const { inbox } = await listen(t, EventSource, `${at}/channels?channel=a&channel=b/**`);
    await server.publish("a", LINES);
    await server.publish("b/c/d", BYTES, { type: "application/octet-stream" });
    const events = (await inbox.take(2)).map(([, data]) => JSON.parse(data));
    assert.deepEqual([events[0].channel, events[0].data], ["a", LINES]);
    assert.equal(events[1].channel, "b/c/d");
    assert.deepEqual(Buffer.from(events[1].base64, "base64"), BYTES);
  });

  test(`${name}: cut in the midst of an event, it comes back with Last-Event-ID and misses nothing`, async (t) => {
    const { server, way } = await begin(t, settings);
    const { inbox } = await listen(t, EventSource, `${way.url}/channels/a`);
    const first = await server.publish("a", "first");
    assert.deepEqual(await inbox.next(), ["message", "first", first]);
    const cut = way.cutAfter(30);
    await server.publish("a", LINES);
    await cut.happened();
    await server.publish("a", "while away");
    way.open();
    assert.equal((await reopened(inbox)).recovered, true);
    assert.deepEqual((await inbox.take(2)).map(([, data]) => data), [LINES, "while away"]);
    await server.publish("a", "live again");
    assert.equal((await inbox.next())[1], "live again");
    assert.equal(inbox.left, 0);
    assert.equal(way.requests.at(-1).headers["last-event-id"], first);
    assert.equal(way.isCompressed, Boolean(settings.SWITCHBOARD_GZIP));
  });

  test(`${name}: is told what is gone when it was away for too long`, async (t) => {
    const { server, way } = await begin(t, { ...settings, SWITCHBOARD_HISTORY_EVENTS: "2" });
    const { inbox } = await listen(t, EventSource, `${way.url}/channels/a`);
    const first = await server.publish("a", "first");
    await inbox.next();
    way.shut();
    const [, lost] = [await server.publish("a", "lost"), await server.publish("a", "lost too")];
    await server.publish("a", "third");
    await server.publish("a", "fourth");
    way.open();
    assert.equal((await reopened(inbox)).recovered, false);
    const [type, data, id] = await inbox.next();
    assert.deepEqual([type, JSON.parse(data)], ["$gap", { channel: "a", from: first, to: lost, reason: "trimmed" }]);
    assert.equal(id, lost);
    assert.deepEqual((await inbox.take(2)).map(([, data]) => data), ["third", "fourth"]);
  });

  test(`${name}: survives a drain, and is told that the log is another`, async (t) => {
    const { server, at } = await begin(t, settings);
    const { inbox } = await listen(t, EventSource, `${at}/channels/a`);
    await server.publish("a", "before");
    await inbox.next();
    assert.equal(await server.drain(), 0);
    assert.equal((await inbox.next())[0], "$closing");
    await server.restart();
    const { recovered, gap } = await reopened(inbox);
    assert.deepEqual([recovered, gap.reason], [false, "epoch"]);
    assert.equal((await inbox.next())[0], "$gap");
    await server.publish("a", "after");
    assert.equal((await inbox.next())[1], "after");
  });

  test(`${name}: stops at the end of a channel`, async (t) => {
    const { server, way } = await begin(t, settings);
    const { source, inbox } = await listen(t, EventSource, `${way.url}/channels/a`);
    await server.publish("a", "last", { end: true });
    assert.equal((await inbox.next())[1], "last");
    assert.deepEqual((await inbox.next()).slice(0, 2), ["$end", "{\"channel\":\"a\"}"]);
    // The response ends, it asks once more, and 204 stops it.
    for (;;) {
      const [type, state] = await inbox.next();
      assert.equal(type, "error");
      if (state === EventSource.CLOSED) break;
    }
    assert.equal(source.readyState, EventSource.CLOSED);
    assert.equal(way.requests.length, 2);
    await outlives(t, EventSource, server, way, 3);
    assert.equal(way.requestsFor("channels/a").length, 2, "a source that has stopped asks no more");
  });
}

/** Waits for as long as a source takes to reconnect so many times. */
async function outlives(t, EventSource, server, way, times) {
  const { inbox } = await listen(t, EventSource, `${way.url}/channels/witness`);
  for (let time = 0; time < times; time++) {
    way.cut();
    await reopened(inbox);
  }
}
