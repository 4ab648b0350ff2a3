// What befalls a page: servers that are started anew, sleep, no network, tokens that end, and other transports.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { guarded } from "../../../conformance/proxies/guarded.mjs";
import { Relay } from "../test/support/relay.mjs";
import { Bare } from "./bare.mjs";
import { launch, quit, range, Server, site, stage, Tab, until } from "./support.mjs";

before(launch);
after(quit);

async function relayed(t, options) {
  const { server, tab, at } = await stage(t, options);
  const relay = await Relay.to(server.port);
  t.after(() => relay.close());
  return { server, tab, at, relay };
}

test("a server that is started anew is found again, and what was lost with it is told", async (t) => {
  const { server, tab } = await stage(t);
  await tab.begin(server.url);
  await server.publish("a", "before");
  await tab.heard(1);
  assert.equal(await server.drain(), 0);
  await tab.until((notes) => notes.states.at(-1).state !== "connected");
  const call = tab.page.evaluate("callOften(1)");
  await server.restart();
  await tab.until((notes) => notes.states.at(-1).state === "connected" && notes.gaps.length > 0);
  await server.publish("a", "after");
  assert.deepEqual(await tab.heard(2), ["before", "after"]);
  await call;
  const { gaps, answers } = await tab.notes();
  assert.deepEqual([gaps, answers], [["epoch"], ["calls"]]);
});

test("a frozen page has everything once it thaws, whether or not its session was still there", async (t) => {
  const server = await Server.start({ SWITCHBOARD_SESSION_LINGER: "500ms" });
  t.after(() => server.stop());
  const relay = await Relay.to(server.port);
  t.after(() => relay.close());
  const page = await Bare.open(t, await site(t));
  const publish = async (numbers) => {
    for (const n of numbers) await server.publish("a", n, { type: "application/json" });
  };
  const heard = () => page.evaluate("notes.heard");
  const hears = (count) => until(`${count} events are heard`, async () => (await heard()).length >= count);
  await page.evaluate(`begin("${relay.url}").then(() => listen("a"))`);
  await page.evaluate("document.addEventListener('freeze', () => (notes.isFrozen = true))");
  await page.evaluate("ticks = 0, setInterval(() => ticks++, 10)");
  await publish([0]);
  await hears(1);

  // It is asked to be frozen, and says when it is.
  const freeze = async () => {
    await page.evaluate("notes.isFrozen = false");
    await page.life("frozen");
    await until("it is frozen", () => page.evaluate("notes.isFrozen"));
  };
  await freeze();
  const ticks = await page.evaluate("ticks");
  await publish(range(100, 1));
  assert.equal(await page.evaluate("ticks"), ticks, "no script of it runs");
  await page.life("active");
  await hears(101);
  assert.deepEqual(await heard(), range(101));

  const session = await page.evaluate("notes.session");
  await freeze();
  relay.cut();
  await until("its session is gone", async () => (await server.api("GET", "/sessions"))[1].sessions.length === 0);
  await publish(range(100, 101));
  await page.life("active");
  await hears(201);
  assert.deepEqual(await heard(), range(201));
  assert.notEqual(await page.evaluate("notes.session"), session);
  assert.deepEqual(await page.evaluate("notes.gaps"), []);
});

test("without a network it waits, and it is back as soon as there is one", async (t) => {
  const { server, tab, relay } = await relayed(t);
  await tab.begin(relay.url, { patient: true });
  await tab.context.setOffline(true);
  relay.refuses = () => 503;
  relay.cut();
  // By now it would wait for seconds.
  await tab.until((notes) => notes.states.at(-1).state === "waiting" && notes.states.at(-1).wait > 5000);
  await server.publish("a", "meanwhile");
  relay.refuses = () => undefined;
  await tab.context.setOffline(false);
  assert.deepEqual(await tab.heard(1), ["meanwhile"]);
  const { states } = await tab.notes();
  const { at } = states.findLast(({ state }) => state === "connected");
  const waiting = states.findLast(({ state }) => state === "waiting");
  assert.ok(at < waiting.at + waiting.wait, `back after ${Math.round(at - waiting.at)} ms of ${Math.round(waiting.wait)}`);
});

test("a token that ends is followed by the next, and the subscription notices nothing", async (t) => {
  let make;
  const at = await site(t, { "/token": () => make() });
  const { server, sign } = await guarded(t, { origin: at });
  // Each is asked for as soon as the server says that the one before ends, and the first has ended long before the last.
  let made = 0;
  make = () => sign("--for", made++ === 0 ? "6s" : "9s");
  const tab = await Tab.open(t, at);
  await tab.begin(server.url, { tokens: "/token" });
  const { session } = await tab.notes();
  const authorization = `Bearer ${await sign()}`;
  const publish = (body) => fetch(`${server.url}/channels/a`, { method: "POST", headers: { authorization }, body });
  for (const n of range(3, 1)) {
    await publish(`${n}`);
    await tab.until((notes, n) => notes.tokens.filter((reason) => reason === "expiring").length >= n, n);
  }
  await publish("4");
  assert.deepEqual(await tab.heard(4), ["1", "2", "3", "4"]);
  const notes = await tab.notes();
  assert.deepEqual([notes.session, notes.tokens[0], notes.gaps, notes.failures], [session, "connect", [], []]);
  assert.equal(notes.states.filter(({ state }) => state === "connected").length, 1, "one connection");
});

test("a WebSocket alone finds out that its token is not taken, which a browser does not say, and has another asked for", async (t) => {
  let make;
  const at = await site(t, { "/token": () => make() });
  const { server, sign } = await guarded(t, { origin: at });
  let made = 0;
  make = () => (made++ === 0 ? "no.good.token" : sign("--for", "10m"));
  const tab = await Tab.open(t, at);
  await tab.begin(server.url, { tokens: "/token", transports: ["websocket"] });
  assert.deepEqual([(await tab.notes()).tokens, await tab.transport()], [["connect", "refused"], "websocket"]);
  const other = await Tab.open(t, at);
  const refused = other.begin(server.url, { token: "no.good.token", transports: ["websocket"] });
  await assert.rejects(refused, /unauthorized|token/);
  const { states } = await other.notes();
  assert.deepEqual([states.at(-1).state, states.at(-1).error], ["closed", "unauthorized"]);
});

test("in the midst of 1,000 events it moves down the transports and up again, and everything comes once", async (t) => {
  const { server, tab, relay } = await relayed(t);
  await tab.begin(relay.url, { since: "earliest", headStart: 150, upgrade: 300 });
  const { session } = await tab.notes();
  const isSocket = (head) => /\r\nupgrade:/i.test(head);
  const accepts = (type) => (head) => head.startsWith("GET") && new RegExp(`\r\naccept: ${type}`, "i").test(head);
  const blocked = [isSocket, accepts("text/event-stream"), accepts("application/x-ndjson")];
  const calls = tab.page.evaluate("callOften(200)");
  let published = 0;
  const publish = async (count) => {
    for (const n of range(count, published)) await server.publish("a", n, { type: "application/json" });
    published += count;
  };
  const moved = async (transport) => {
    await tab.until((notes, transport) => notes.states.at(-1).state === "connected" && client.transport === transport, transport);
    await publish(100);
  };
  await moved("websocket");
  for (const [at, transport] of ["sse", "stream", "poll"].entries()) {
    relay.refuses = (head) => (blocked.slice(0, at + 1).some((is) => is(head)) ? 403 : undefined);
    const cut = publish(100);
    relay.cut();
    await cut;
    await moved(transport);
  }
  relay.refuses = () => undefined;
  const rest = publish(1000 - published - 100);
  await rest;
  await moved("websocket");
  assert.deepEqual(await tab.heard(1000), range(1000));
  await calls;
  const notes = await tab.notes();
  assert.deepEqual(notes.answers, Array(200).fill("calls"));
  assert.deepEqual([notes.session, notes.gaps, notes.failures], [session, [], []]);
  const { events } = await (await fetch(`${server.url}/channels/calls?limit=1000`)).json();
  assert.deepEqual(events.map(({ data }) => data), range(200), "each call was worked on once, in order");
});

test("eight tabs are live over HTTP/1.1, though a browser opens six connections", async (t) => {
  const { server, at, tab } = await stage(t);
  const tabs = [tab];
  while (tabs.length < 8) tabs.push(await Tab.open(t, at, { context: tab.context }));
  for (const one of tabs) await one.begin(server.url, { tabs: true, transports: ["sse"] });
  await server.publish("a", "to all");
  for (const one of tabs) assert.deepEqual(await one.heard(1), ["to all"]);
  for (const [n, one] of tabs.entries()) await one.page.evaluate((n) => client.channel("a").publish(`from ${n}`), n);
  const all = ["to all", ...range(8).map((n) => `from ${n}`)];
  for (const one of tabs) assert.deepEqual(await one.heard(9), all);
  const [, { sessions }] = await server.api("GET", "/sessions");
  assert.equal(sessions.length, 1, "one connection for all");
  // The tab that has the connection goes, and another takes it.
  await tabs.shift().page.close();
  await server.publish("a", "to the rest");
  for (const one of tabs) assert.deepEqual(await one.heard(10), [...all, "to the rest"]);
});
