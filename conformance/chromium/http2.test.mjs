// Chromium over HTTP/2, as a browser speaks it: over TLS. The limit of six streams is gone, and its WebSockets go the same way.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { TEXT, certificate, secureStage } from "../support/index.mjs";
import { launch, open, profile, quit, start, tab } from "./browser.mjs";

/** The certificate is signed by itself. */
const TRUSTING = { ignoreHTTPSErrors: true };
const TRANSPORTS = ["poll", "long_poll", "stream", "sse", "websocket"];

const own = await certificate();
before(async () => console.log(`Chromium ${await launch()}`));
after(quit);
after(own.remove);

/** How many connections the server has accepted over TLS and in clear text, and how many of them speak HTTP/2. */
async function connections(server) {
  const figures = await (await fetch(`${server.url}/metrics`)).text();
  return Number(/^switchboard_http2_total (\d+)$/m.exec(figures)[1]);
}

/** Opens so many sources in a page, each of a channel of its own and of one that all have, and waits for them. */
async function listen(page, inbox, from, count) {
  await page.evaluate(
    ([from, count]) => {
      const sources = Array.from({ length: count }, (_, n) => {
        const source = new EventSource(`/channels?channel=all&channel=own/${from + n}`);
        source.addEventListener("$open", () => window.heard([from + n, "open"]));
        source.onmessage = ({ data }) => window.heard([from + n, JSON.parse(data).data]);
        return source;
      });
      window.sources = sources;
    },
    [from, count],
  );
  const opened = await inbox.take(count);
  assert.deepEqual(opened.map(([n, what]) => [n, what]).sort(byNumber), range(from, count).map((n) => [n, "open"]));
}

const byNumber = ([a], [b]) => a - b;
const range = (from, count) => Array.from({ length: count }, (_, n) => from + n);

/** What each of these hears of two events to all and one to itself. */
async function hears(server, inboxes) {
  const numbers = inboxes.flatMap(({ from, count }) => range(from, count));
  await server.publish("all", "to all");
  for (const n of numbers) await server.publish(`own/${n}`, `to ${n}`);
  await server.publish("all", "to all again");
  for (const { inbox, from, count } of inboxes) {
    const heard = grouped(await inbox.take(3 * count));
    for (const n of range(from, count)) {
      assert.deepEqual(heard.get(n).map(([, data]) => data), ["to all", `to ${n}`, "to all again"]);
    }
    assert.equal(inbox.left, 0);
  }
}

/** `Map.groupBy`, which Node.js 20 lacks. */
function grouped(items) {
  const groups = new Map();
  for (const item of items) groups.set(item[0], [...(groups.get(item[0]) ?? []), item]);
  return groups;
}

test("a hundred EventSources of one page are live at once, on one connection, and each hears what is due to it", async (t) => {
  const { server, at } = await secureStage(t, own);
  const { page, inbox } = await open(t, at, TRUSTING);
  await listen(page, inbox, 0, 100);
  assert.deepEqual(await page.evaluate(() => window.sources.map(({ readyState }) => readyState)), Array(100).fill(1));
  await hears(server, [{ inbox, from: 0, count: 100 }]);
  assert.equal(await connections(server), 1);
});

test("eight tabs with ten EventSources each are live beside each other", async (t) => {
  const { server, at } = await secureStage(t, own);
  const context = await profile(t, TRUSTING);
  const inboxes = [];
  for (const from of range(0, 8).map((n) => 10 * n)) {
    const { page, inbox } = await tab(context, at);
    await listen(page, inbox, from, 10);
    inboxes.push({ inbox, from, count: 10 });
  }
  await hears(server, inboxes);
  assert.equal(await connections(server), 1);
});

test("an EventSource is cut with its connection, and resumes by itself on the next", async (t) => {
  const { server, way } = await secureStage(t, own, { SWITCHBOARD_RETRY: "100ms" });
  const { page, inbox } = await open(t, way.url, TRUSTING);
  await page.evaluate(() => {
    const source = new EventSource("/channels/a");
    source.addEventListener("$open", ({ data }) => window.heard(JSON.parse(data).recovered ?? "open"));
    source.onmessage = ({ data }) => window.heard(data);
  });
  assert.equal(await inbox.next(), "open");
  await server.publish("a", "first");
  assert.equal(await inbox.next(), "first");
  way.shut();
  await server.publish("a", "while away");
  way.open();
  assert.deepEqual(await inbox.take(2), [true, "while away"]);
});

test("the page at / is live over all transports", async (t) => {
  const { server, at } = await secureStage(t, own);
  const context = await profile(t, TRUSTING);
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const complaints = [];
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  await page.goto(`${at}/#hello`);
  await page.locator(".interval select").selectOption("1000");
  const row = (transport) => page.locator(`tr.hue-${transport}`);
  for (const transport of TRANSPORTS) await row(transport).and(page.locator('[data-state="live"]')).waitFor();
  await server.publish("hello", "one");
  await page.fill("#publish-data", "two");
  await page.click("#publish-form button");
  for (const transport of TRANSPORTS) {
    await row(transport).locator(".where", { hasText: " · 2 events" }).waitFor();
    assert.deepEqual(await page.locator(`.heard.hue-${transport} .event .data`).allTextContents(), ["two", "one"]);
  }
  assert.equal(await connections(server), 1, "its WebSocket too is on the one connection");
  assert.deepEqual(complaints, []);
});

test("WebSockets are opened by extended CONNECT on the page's connection, as the browser's network log shows", async (t) => {
  const { server, at } = await secureStage(t, own);
  const folder = await mkdtemp(join(tmpdir(), "switchboard-log-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, "log.json");
  const browser = await start([`--log-net-log=${file}`, "--net-log-capture-mode=Everything"]);
  t.after(() => browser.close());
  const { page, inbox } = await tab(await browser.newContext(TRUSTING), at);
  await page.evaluate(async () => {
    const address = `${location.origin.replace("http", "ws")}/channels/a`;
    window.sockets = Array.from({ length: 20 }, (_, n) => {
      const socket = new WebSocket(address, "switchboard.raw.v1");
      socket.onmessage = ({ data }) => window.heard([n, data]);
      socket.onclose = ({ code, wasClean }) => window.heard([n, code, wasClean]);
      return socket;
    });
    await Promise.all(window.sockets.map((socket) => new Promise((opened) => (socket.onopen = opened))));
  });
  await page.evaluate((text) => window.sockets[3].send(text), TEXT);
  assert.deepEqual((await inbox.take(20)).sort(byNumber), range(0, 20).map((n) => [n, TEXT]));
  const negotiated = await page.evaluate(() => window.sockets.map(({ protocol, extensions }) => [protocol, extensions.includes("permessage-deflate")]));
  assert.deepEqual(negotiated, Array(20).fill(["switchboard.raw.v1", true]));
  await page.evaluate(() => window.sockets[5].close(1000));
  assert.deepEqual(await inbox.next(), [5, 1000, true]);
  assert.equal(await server.drain(), 0);
  const closed = (await inbox.take(19)).sort(byNumber);
  assert.deepEqual(closed, range(0, 20).filter((n) => n !== 5).map((n) => [n, 1012, true]));
  await browser.close();

  const { constants, events } = JSON.parse(await readFile(file, "utf8"));
  const sent = events.filter(({ type }) => type === constants.logEventTypes.HTTP2_SESSION_SEND_HEADERS).map(({ params }) => params.headers);
  const handshakes = sent.filter((headers) => headers.includes(":protocol: websocket"));
  assert.equal(handshakes.length, 20);
  for (const headers of handshakes) assert.ok(headers.includes(":method: CONNECT"), headers);
  const sources = new Set(events.filter(({ type }) => type === constants.logEventTypes.HTTP2_SESSION_SEND_HEADERS).map(({ source }) => source.id));
  assert.equal(sources.size, 1, "one session");
});
