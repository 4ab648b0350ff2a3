// The page at `/` where the server asks who it is that asks, in Chromium: what it says, and where the token goes.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { program, until, within } from "../support/index.mjs";
import { launch, quit } from "./browser.mjs";
import { TRANSPORTS, faint, heard, inState, list, press, publish, row, run, stage, toggle } from "./page.mjs";
import { Tap } from "./tap.mjs";

before(launch);
after(quit);

const GRANTED = ["subscribe", "publish", "manage"].flatMap((action) => [`--${action}`, "**"]);

/** A server with a key, and what makes tokens for it; `more` goes into its configuration, `auth` into that table. */
async function guarded(t, { auth = "", more = "", ...options } = {}) {
  const folder = await mkdtemp(join(tmpdir(), "switchboard-page-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, "switchboard.toml");
  const key = `[[auth.key]]\nalgorithm = "HS256"\nsecret = "a secret of the tests that is long enough"\n`;
  await writeFile(file, `[auth]\nskew = "0s"\n${auth}\n${key}\n${more}`);
  const sign = async (...flags) => {
    const granted = flags.includes("--subscribe") ? [] : GRANTED;
    return (await run(await program(), ["token", "--config", file, "--sub", "me", ...granted, ...flags])).trim();
  };
  return { sign, ...(await stage(t, { words: ["--config", file], ...options })) };
}

async function give(page, token) {
  await page.fill("#token", token);
  await page.press("#token", "Enter");
}

const says = (page, text) => page.locator("#status", { hasText: text }).waitFor();

/** How many the server has refused. */
async function refusals(server, token) {
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  const text = await (await fetch(`${server.url}/metrics`, { headers })).text();
  return Number(/^switchboard_denied_total (\d+)$/m.exec(text)[1]);
}

/** Longer than a reader that tries again waits at first, several times over. */
const aWhile = () => new Promise((done) => setTimeout(done, 5000));

test("a server that asks for tokens is told from one that does not answer, and is not asked again and again", async (t) => {
  const { page, server, at } = await guarded(t, { through: (server) => Tap.on(server, t) });
  await inState(page, "refused");
  await says(page, "The server asks for a token. Give one below.");
  for (const transport of TRANSPORTS) {
    const said = await row(page, transport).locator(".state").textContent();
    assert.match(said, /^refused: this asks to subscribe `hello`/, transport);
  }
  assert.match(await page.textContent("#token-why"), /this asks to subscribe `hello`/);
  const before = [await refusals(server), at.targets.filter((target) => target !== "GET /metrics").length];
  await aWhile();
  assert.deepEqual([await refusals(server), at.targets.filter((target) => target !== "GET /metrics").length], before);
  await inState(page, "refused");
  const field = page.getByLabel("Token", { exact: true });
  assert.deepEqual([await field.getAttribute("type"), await field.getAttribute("autocomplete")], ["password", "off"]);
});

test("with a token all read, publish and count, and it is in no address", async (t) => {
  const { page, at, sign, context } = await guarded(t, { auth: "metrics = true", through: (server) => Tap.on(server, t) });
  await inState(page, "refused");
  const token = await sign();
  await give(page, ` Bearer ${token}\n`);
  await inState(page, "live");
  await says(page, "5 readers live");
  await publish(page, "one");
  const typed = await fetch(`${at.url}/channels/hello?event=kind`, {
    method: "POST", body: "two\r\nlines", headers: { authorization: `Bearer ${token}`, "content-type": "text/plain" },
  });
  assert.equal(typed.status, 201);
  await heard(page, 2);
  for (const transport of TRANSPORTS) {
    assert.equal(await list(page, transport).locator(".event .data").first().textContent(), "kindtwo\r\nlines", transport);
    await row(page, transport).locator(".cost small", { hasText: "in all" }).waitFor();
  }
  await toggle(page, "sse");
  await press(page, "burst");
  await heard(page, 12, TRANSPORTS.filter((transport) => transport !== "sse"));
  await toggle(page, "sse");
  await heard(page, 12);
  await press(page, "end");
  await inState(page, "ended");
  assert.equal(await page.textContent("#token-why"), "");

  assert.deepEqual(at.targets.filter((target) => target.includes(token)), []);
  assert.match(await list(page, "websocket").locator(".request").textContent(), /token in a subprotocol/);
  assert.doesNotMatch(page.url(), /token/);
  const kept = await page.evaluate(() => [JSON.stringify({ ...localStorage, ...sessionStorage }), document.cookie, document.documentElement.outerHTML,
    document.querySelector("#token").value, JSON.stringify(history.state)].join());
  assert.ok(!kept.includes(token), "and it is kept nowhere");
  assert.deepEqual(await context.cookies(), []);
});

test("a token that ends is told, and with a new one all go on with nothing lost", async (t) => {
  const { page, server, sign } = await guarded(t);
  await inState(page, "refused");
  await give(page, await sign("--for", "12s"));
  await inState(page, "live");
  await publish(page, "before");
  await heard(page, 1);
  await inState(page, "refused");
  await says(page, "The token has ended. Give a new one below.");
  const before = await refusals(server);
  await aWhile();
  assert.equal(await refusals(server), before, "nobody tries again with it");
  const token = await sign();
  await fetch(`${server.url}/channels/hello`, { method: "POST", body: "meanwhile", headers: { authorization: `Bearer ${token}` } });
  await give(page, token);
  await heard(page, 2);
  assert.equal(await page.locator(".gap").count(), 0);
  await page.click("#token-forget");
  await says(page, "The server asks for a token.");
});

test("a token that is no good, or too little, is told as what it is", async (t) => {
  const { page, sign } = await guarded(t);
  await inState(page, "refused");
  await give(page, "with blanks");
  assert.match(await page.locator("#token").evaluate((field) => field.validationMessage), /no blanks/);
  await give(page, "nonsense");
  await says(page, "The server does not take this token.");
  await give(page, await sign("--subscribe", "other"));
  await says(page, "The token does not allow this.");
  await page.fill("#channel", "other");
  await page.press("#channel", "Enter");
  await inState(page, "live");
  await publish(page, "not allowed");
  await page.locator("#result.bad", { hasText: "403" }).waitFor();
  assert.match(await page.textContent("#token-why"), /publish `other`/);
});

test("an API key is shown where it may be, and the WebSocket says that it has no such place", async (t) => {
  const made = await run(await program(), ["token", "--api-key"]);
  const [key, hash] = [/swk_\S+/.exec(made)[0], /sha256:[0-9a-f]{64}/.exec(made)[0]];
  const more = `[[auth.api_key]]\nname = "shop"\nhash = "${hash}"\nsubscribe = ["**"]\npublish = ["**"]\n`;
  const { page, at } = await guarded(t, { more, through: (server) => Tap.on(server, t) });
  await inState(page, "refused");
  await give(page, key);
  const others = TRANSPORTS.filter((transport) => transport !== "websocket");
  await inState(page, "live", others);
  await row(page, "websocket").locator(".state", { hasText: "an API key is shown in Authorization alone" }).waitFor();
  assert.doesNotMatch(await page.textContent("#token-why"), /The server says/);
  await publish(page, "one");
  await heard(page, 1, others);
  assert.ok(at.targets.every((target) => !target.includes(key)));
});

test("where anyone may read, the token is asked for when something takes one", async (t) => {
  const more = `[[channel]]\npattern = "hello"\nsubscribe = "anyone"\n`;
  const { page, sign } = await guarded(t, { more });
  await inState(page, "live");
  assert.equal(await page.isVisible("#token-form"), false);
  await publish(page, "one");
  await page.locator("#result.bad", { hasText: "401: this asks to publish `hello`" }).waitFor();
  await says(page, "5 readers live");
  await give(page, await sign());
  await inState(page, "live");
  await publish(page, "one");
  await heard(page, 1);
});

test("in open mode nothing of it is to be seen", async (t) => {
  const { page } = await stage(t);
  await inState(page, "live");
  assert.equal(await page.isVisible("#token-form"), false);
  assert.doesNotMatch(await page.textContent("#snippet"), /TOKEN/);
});

test("the snippets have a place for the token, and do what they say with it", async (t) => {
  const { page, server, context, sign } = await guarded(t);
  await inState(page, "refused");
  const token = await sign();
  await give(page, token);
  await inState(page, "live");
  const options = { env: { ...process.env, TOKEN: token } };
  const snippet = async (name) => {
    await page.getByRole("tab", { name, exact: true }).click();
    const text = await page.textContent("#snippet");
    assert.ok(/TOKEN/.test(text) && !text.includes(token), name);
    return text;
  };
  for (const name of ["Go", "Rust"]) await snippet(name);
  const [follow, post] = (await snippet("curl")).split("\n\n");
  const curl = listen(t, "sh", ["-c", `exec ${follow}`], options);
  await until("curl follows", () => curl.said.includes("$open"));
  await run("sh", ["-c", `exec ${post}`], options);
  await until("curl hears", () => curl.said.includes("data: Hello!"));
  const other = await context.newPage();
  await other.goto(`${server.url}/healthz`);
  const logged = [];
  other.on("console", (message) => logged.push(message.text()));
  for (const name of ["Browser", "WebSocket"]) {
    await other.evaluate(`(async () => { ${(await snippet(name)).replace("$TOKEN", token)} })()`);
  }
  await until("both hear", () => logged.filter((text) => text.endsWith("Hello!")).length >= 2);
  const python = listen(t, "python3", ["-c", await snippet("Python")], options);
  await until("Python hears", () => python.said.includes("$open"));
  await press(page, "end");
  assert.equal(await within("Python ends with the channel", python.closed), 0);
  const refused = listen(t, "python3", ["-c", await snippet("Python")], { env: { ...process.env, TOKEN: "nonsense" } });
  assert.equal(await within("Python takes a refusal for one", refused.closed), 1);
});

/** A program that goes on, and what it has said. */
function listen(t, name, args, options) {
  const child = spawn(name, args, { stdio: ["ignore", "pipe", "ignore"], ...options });
  t.after(() => child.kill());
  const listened = { said: "", closed: new Promise((done) => child.on("close", done)) };
  child.stdout.on("data", (piece) => (listened.said += piece));
  return listened;
}

for (const colorScheme of ["light", "dark"]) {
  test(`every word about tokens can be read, ${colorScheme}, and nothing overflows a narrow window`, async (t) => {
    const { page } = await guarded(t, { colorScheme, viewport: { width: 360, height: 740 } });
    await inState(page, "refused");
    await page.isVisible("#token-form");
    assert.deepEqual(await page.evaluate(faint), []);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(overflow, 0);
  });
}
