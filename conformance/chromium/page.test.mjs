// The page at `/`, in Chromium: what a person does there, and whether its figures are those of the wire.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { within } from "../support/index.mjs";
import { launch, quit } from "./browser.mjs";
import { TRANSPORTS, faint, heard, inState, list, open, press, publish, row, run, stage, toggle } from "./page.mjs";
import { Tap } from "./tap.mjs";

before(launch);
after(quit);

test("five readers hear what is published, each once", async (t) => {
  const { page } = await stage(t);
  await inState(page, "live");
  await publish(page, "one");
  await publish(page, '{"two":2}');
  await press(page, "burst");
  await heard(page, 12);
  for (const transport of TRANSPORTS) {
    const data = await list(page, transport).locator(".event .data").allTextContents();
    assert.deepEqual(data.slice(-2), ['{"two":2}', "one"], transport);
    assert.equal(new Set(data).size, 12);
    assert.equal(await row(page, transport).locator(".cell.got").count(), 12, `${transport} fills its cells`);
  }
  assert.match(await page.title(), /^hello · /);
  assert.deepEqual(page.complaints, []);
});

test("a reader that is dropped resumes from its own cursor", async (t) => {
  const { page } = await stage(t);
  await inState(page, "live");
  await publish(page, "before");
  await heard(page, 1);
  for (const transport of TRANSPORTS) {
    const others = TRANSPORTS.filter((other) => other !== transport);
    const events = 1 + 2 * TRANSPORTS.indexOf(transport);
    await toggle(page, transport);
    await inState(page, "dropped", [transport]);
    await publish(page, "while it is away");
    await publish(page, "and again");
    await heard(page, events + 2, others);
    assert.equal(await row(page, transport).locator(".cell.ahead").count(), 2, `${transport} is behind by two`);
    await toggle(page, transport);
    await heard(page, events + 2);
    assert.equal(await list(page, transport).locator(".gap").count(), 0, `${transport} lost nothing`);
    const late = await list(page, transport).locator(".late").first().textContent();
    assert.equal(late, "caught up", "what it caught up on is not taken for latency");
  }
});

test("a gap is made, and told to the reader that was away", async (t) => {
  const { page } = await stage(t);
  await inState(page, "live");
  await publish(page, "before");
  await heard(page, 1);
  await toggle(page, "websocket");
  await press(page, "gap");
  await page.locator("#result.good", { hasText: "told which are gone" }).waitFor();
  assert.match(await list(page, "websocket").locator(".told").textContent(), /newer events took the place of older ones/);
  await row(page, "websocket").locator(".where", { hasText: "1,001 events, 1 gap told" }).waitFor();
  // 1,101 were published, the newest 1,000 are held, and the first was heard.
  await heard(page, 1101, ["stream"]);
  await row(page, "websocket").locator(".beyond", { hasText: "100 events lost" }).waitFor();
  assert.match(await page.locator("#warned").textContent(), /gap/, "and to whoever listens instead of looking");
});

test("the bytes it shows are those of the wire and of the server's counts", async (t) => {
  const { page, server, at } = await stage(t, { through: (server) => Tap.on(server, t) });
  await inState(page, "live");
  for (const data of ["one", "two", "x".repeat(700), "🎉"]) await publish(page, data);
  await heard(page, 4);
  await toggle(page, "stream");
  await inState(page, "dropped", ["stream"]);
  await publish(page, "five");
  await toggle(page, "stream");
  await heard(page, 5);
  // The pollers go on polling; once they are dropped, nothing moves any more.
  await toggle(page, "poll");
  await toggle(page, "long_poll");
  await within("the page, the wire and the server agree", agree(page, server, at));
  const each = await row(page, "websocket").locator(".cost b").textContent();
  const shown = (await figures(page)).websocket;
  assert.equal(each, `${Math.round((shown.requests + shown.heads + shown.bodies) / shown.events)} B`);
});

/** What the page says a transport cost, in full. */
async function figures(page) {
  const said = {};
  for (const transport of TRANSPORTS) {
    const title = await row(page, transport).locator(".cost").getAttribute("title");
    const numbers = [...title.matchAll(/\d[\d,]*/g)].map(([number]) => Number(number.replaceAll(",", "")));
    const [reads, requests, heads, bodies, events] = numbers;
    said[transport] = { reads, requests, heads, bodies, events };
  }
  return said;
}

/** Resolves once all three say the same of every transport. */
async function agree(page, server, tap) {
  let last = "";
  for (;;) {
    const [shown, counted] = [await figures(page), await counts(server)];
    const wire = tap.reads();
    const apart = TRANSPORTS.filter((transport) => {
      const { up, down, reads } = wire[transport] ?? {};
      const { requests, heads, bodies } = shown[transport];
      const same = JSON.stringify(shown[transport]) === JSON.stringify(counted[transport]);
      return !(same && reads === shown[transport].reads && up === requests && down === heads + bodies);
    });
    if (apart.length === 0) return;
    const news = apart.map((one) => JSON.stringify([one, shown[one], counted[one], wire[one]])).join("\n");
    if (news !== last) console.log(`not yet:\n${news}`);
    last = news;
    await page.evaluate(() => new Promise(requestAnimationFrame));
  }
}

async function counts(server) {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const names = { reads: "reads", requests: "read_request_bytes", heads: "read_head_bytes", bodies: "read_body_bytes", events: "read_events" };
  const of = (name, transport) => Number(new RegExp(`^switchboard_${name}_total\\{transport="${transport}"\\} (\\d+)$`, "m").exec(text)[1]);
  return Object.fromEntries(
    TRANSPORTS.map((transport) => [transport, Object.fromEntries(Object.entries(names).map(([field, name]) => [field, of(name, transport)]))]),
  );
}

test("the latency it shows lies between that on the wire and that of who looks on", async (t) => {
  const { page, at } = await stage(t, { through: (server) => Tap.on(server, t) });
  await inState(page, "live");
  const mark = `look for me ${"m".repeat(20)}`;
  await publish(page, mark);
  await heard(page, 1);
  const seen = Date.now();
  const { events: [event] } = await (await fetch(`${at.url}/channels/hello`)).json();
  for (const transport of TRANSPORTS) {
    const shown = await list(page, transport).locator(".late").textContent();
    const [, number, unit] = /^([\d.]+) (ms|s)$/.exec(shown);
    const latency = Number(number) * (unit === "s" ? 1000 : 1);
    // What streams send is compressed, so only pages can be found by their words; a stream took no time at least.
    const passed = at.passed(transport, mark) ?? event.time;
    // Shown to the hundredth of a second above a second; both clocks count whole milliseconds.
    assert.ok(latency >= passed - event.time - 10, `${transport}: ${shown} after ${passed - event.time} ms on the wire`);
    assert.ok(latency <= seen - event.time + 10, `${transport}: ${shown}, looked at after ${seen - event.time} ms`);
  }
});

test("an end stops every reader, and a deletion frees the name", async (t) => {
  const { page } = await stage(t);
  await inState(page, "live");
  await publish(page, "last words");
  await heard(page, 1);
  await press(page, "end");
  await inState(page, "ended");
  for (const transport of TRANSPORTS) {
    await list(page, transport).locator(".note", { hasText: "The channel has ended" }).waitFor();
    assert.equal(await list(page, transport).locator(".note", { hasText: "The channel has ended" }).count(), 1, transport);
  }
  await toggle(page, "sse");
  await inState(page, "ended", ["sse"]);
  await publish(page, "too late");
  await page.locator("#result.bad", { hasText: "409" }).waitFor();
  await press(page, "delete");
  await inState(page, "live");
  await publish(page, "again");
  await heard(page, 2);
});

test("a server that goes away is waited for, and what was lost with it is told", async (t) => {
  const { page, server } = await stage(t);
  await inState(page, "live");
  await publish(page, "before");
  await heard(page, 1);
  await server.drain();
  await inState(page, "waiting");
  await page.locator("#status", { hasText: "does not answer" }).waitFor();
  await publish(page, "nobody hears");
  await page.locator("#result.bad", { hasText: "cannot be reached" }).waitFor();
  await server.restart();
  await inState(page, "live");
  await publish(page, "after");
  await heard(page, 2);
  for (const transport of TRANSPORTS) {
    assert.match(await list(page, transport).locator(".told").textContent(), /the log that this cursor is from is gone/);
  }
});

test("whatever is published is shown for what it is", async (t) => {
  const { page, server } = await stage(t);
  await inState(page, "live");
  const post = (body, type, query = "") => fetch(`${server.url}/channels/hello${query}`, { method: "POST", body, headers: { "Content-Type": type } });
  await post("<img src=x onerror=alert(1)>", "text/plain");
  await post("שלום עולם", "text/plain");
  await post("👩‍👩‍👧‍👦 two\nlines", "text/plain");
  await post("é".repeat(400_000), "text/plain");
  await post(new Uint8Array([0, 255, 16]), "application/x-thing");
  await post("", "text/plain");
  await post('{"a":[1,2]}', "application/json", "?event=kind");
  await heard(page, 7);
  for (const transport of TRANSPORTS) {
    const shown = (await list(page, transport).locator(".event .data").allTextContents()).reverse();
    assert.equal(shown[0], "<img src=x onerror=alert(1)>");
    assert.equal(shown[1], "שלום עולם");
    assert.equal(shown[2], "👩‍👩‍👧‍👦 two\nlines");
    assert.equal(shown[3], `${"é".repeat(320)} … 800 kB in all`);
    assert.equal(shown[4], "application/x-thing, 3 B 00 ff 10");
    assert.equal(shown[5], "empty");
    assert.equal(shown[6], 'kind{"a":[1,2]}', `${transport} hears an event that has a type`);
  }
  assert.equal(await list(page, "sse").locator(".event .data").nth(5).evaluate((node) => getComputedStyle(node).direction), "rtl");
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(overflow, 0, "nothing pushes the page aside");
});

test("a name that breaks the rules is refused before anyone is asked", async (t) => {
  const { page } = await stage(t);
  await inState(page, "live");
  await page.fill("#channel", "a//b");
  await page.press("#channel", "Enter");
  await page.locator("#result.bad", { hasText: "a segment is empty" }).waitFor();
  await page.fill("#channel", "räume/it's 1");
  await page.press("#channel", "Enter");
  await publish(page, "there");
  await heard(page, 1);
  assert.match(await page.textContent("#snippet"), /r%C3%A4ume\/it%27s%201'/);
});

test("a tab in the background lets go, and resumes where it was", async (t) => {
  const { page, server } = await stage(t);
  await inState(page, "live");
  await publish(page, "before");
  await heard(page, 1);
  const hide = (hidden) =>
    page.evaluate((hidden) => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
  await hide(true);
  await inState(page, "paused");
  await fetch(`${server.url}/channels/hello`, { method: "POST", body: "while hidden" });
  await hide(false);
  await heard(page, 2);
  assert.equal(await page.locator(".gap").count(), 0);
});

test("of two windows one reads, so that no browser runs out of connections", async (t) => {
  const { page, at, context } = await stage(t);
  await inState(page, "live");
  const second = await open(context, `${at.url}/#hello`);
  await inState(second, "live");
  await inState(page, "paused");
  await publish(page, "from a window that does not read");
  await heard(second, 1);
  await page.click("#read-here");
  await heard(page, 1);
  await inState(second, "paused");
});

test("it is used by keyboard, and named for who hears it", async (t) => {
  const { page } = await stage(t);
  await inState(page, "live");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to publishing");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Enter");
  await heard(page, 1);
  await page.getByRole("button", { name: "Drop WebSocket" }).press("Enter");
  await page.getByRole("button", { name: "Resume WebSocket" }).waitFor();
  await page.locator("#said", { hasText: "WebSocket: dropped" }).waitFor({ state: "attached" });
  await page.getByRole("tab", { name: "curl" }).press("End");
  assert.equal(await page.getByRole("tab", { selected: true }).textContent(), "A page");
  for (const landmark of ["banner", "main", "contentinfo"]) assert.equal(await page.getByRole(landmark).count(), 1);
  assert.equal(await page.getByRole("row").count(), 6, "a row for each reader, and the head");
  assert.equal(await page.getByRole("rowheader", { name: "Server-Sent Events" }).count(), 1);
  const nameless = await page.locator("button, input, select, [tabindex='0']").evaluateAll((nodes) =>
    nodes.filter((node) => !(node.ariaLabel || node.textContent.trim() || node.labels?.length)).map((node) => node.outerHTML));
  assert.deepEqual(nameless, []);
});

for (const colorScheme of ["light", "dark"]) {
  test(`every word can be read, ${colorScheme}, and nothing overflows a narrow window`, async (t) => {
    const { page } = await stage(t, { colorScheme, viewport: { width: 360, height: 740 } });
    await inState(page, "live");
    await publish(page, "one");
    await toggle(page, "sse");
    await press(page, "gap");
    await page.locator("#result.good", { hasText: "gone" }).waitFor();
    await page.locator(".counted summary").click();
    assert.deepEqual(await page.evaluate(faint), []);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(overflow, 0);
  });
}

test("the snippets for curl, browsers and Python do what they say", async (t) => {
  const { page, server, context } = await stage(t, { channel: "some/it's 1" });
  await inState(page, "live");
  const snippet = async (name) => {
    await page.getByRole("tab", { name, exact: true }).click();
    return page.textContent("#snippet");
  };
  const [follow, post] = (await snippet("curl")).split("\n\n");
  const follower = spawn("sh", ["-c", `exec ${follow}`], { stdio: ["ignore", "pipe", "ignore"] });
  t.after(() => follower.kill());
  let said = "";
  const hears = (text) => within(`curl says ${text}`, new Promise((done) => follower.stdout.on("data", (piece) => (said += piece).includes(text) && done())));
  await hears("$open");
  const heardIt = hears("data: Hello!");
  assert.equal(JSON.parse(await run("sh", ["-c", `exec ${post}`])).channel, "some/it's 1");
  await heardIt;
  assert.equal(JSON.parse(await run("sh", ["-c", `exec ${(await snippet("A page")).split("\n")[0]}`])).events.length, 1);

  // Two programs of a browser, on another page of the server's: the second publishes what both hear.
  const other = await context.newPage();
  await other.goto(`${server.url}/healthz`);
  const logged = [];
  other.on("console", (message) => logged.push(message.text()));
  for (const name of ["Browser", "WebSocket"]) await other.evaluate(`(async () => { ${await snippet(name)} })()`);
  await within("both hear", (async () => {
    while (logged.filter((text) => text.endsWith("Hello!")).length < 2) await other.evaluate(() => new Promise(requestAnimationFrame));
  })());

  const python = spawn("python3", ["-c", await snippet("Python")], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => python.kill());
  let printed = "";
  await within("Python hears", new Promise((done) => python.stdout.on("data", (piece) => (printed += piece).includes("$open") && done())));
  const closed = within("Python ends with the channel", new Promise((done) => python.on("close", done)));
  await press(page, "end");
  assert.equal(await closed, 0);
  assert.match(printed, /\$end/);
});

test("it asks nobody but its own server, and runs no script but its own", async (t) => {
  const { page, server } = await stage(t);
  const asked = new Set();
  page.on("request", (request) => asked.add(new URL(request.url()).origin));
  const response = await page.reload();
  await inState(page, "live");
  assert.deepEqual([...asked], [server.url]);
  const policy = response.headers()["content-security-policy"];
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe/);
  const missed = await page.evaluate(async () => {
    const linked = [...document.querySelectorAll("link[href], script[src]")].map((node) => node.href || node.src);
    const answers = await Promise.all(linked.map((url) => fetch(url)));
    return answers.filter((answer) => !answer.ok).map((answer) => answer.url);
  });
  assert.deepEqual(missed, []);
  assert.deepEqual(page.complaints, []);
});

test("examples are gone to where they run, and it says how to start them where they do not", async (t) => {
  const { page, server } = await stage(t);
  const examples = "http://127.0.0.1:8001";
  const asked = [];
  let runs = false;
  await page.route(`${examples}/**`, (route) => {
    asked.push(route.request().url());
    return runs ? route.fulfill({ contentType: "text/html", body: "an example" }) : route.abort("connectionrefused");
  });
  const links = page.locator("[data-example] a");
  assert.equal(await links.count(), 6);
  assert.deepEqual(asked, [], "nobody is asked before somebody wants to go");
  await links.first().click();
  await page.locator("#examples-result", { hasText: "cargo xtask examples" }).waitFor();
  assert.equal(new URL(page.url()).origin, server.url, "the page stays");
  runs = true;
  await links.first().click();
  await page.waitForURL(`${examples}/chat`);
});
