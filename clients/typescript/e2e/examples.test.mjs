// The pages of `examples/pages`, as a person uses them.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { profile } from "../../../conformance/chromium/browser.mjs";
import { freePort } from "../../../conformance/support/port.mjs";
import { launch, quit, within } from "./support.mjs";

/** The program behind the pages, on free ports. */
class Examples {
  #child;
  #exit;
  #addresses;
  url;

  static async start() {
    const started = new Examples();
    // Those that it comes back on must not be given to others while it is away.
    started.#addresses = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
    await started.#run();
    return started;
  }

  async #run() {
    const path = process.env.EXAMPLES_SERVER;
    if (!path) throw new Error("EXAMPLES_SERVER is not set: it names the program of examples/pages; `cargo xtask clients` sets it");
    const child = spawn(path, this.#addresses, { stdio: ["ignore", "pipe", "inherit"] });
    this.#child = child;
    this.#exit = new Promise((done) => child.once("exit", done));
    const listening = new Promise((done, fail) => {
      child.once("error", fail);
      child.once("exit", (code) => fail(new Error(`it ended with ${code}`)));
      child.stdout.on("data", (text) => done(/http:\S+/.exec(text)?.[0]));
    });
    this.url = await within("the examples listen", listening);
  }

  /** Starts anew, where it was: with another key for tokens, and an empty log. */
  async restart() {
    await this.stop();
    await this.#run();
  }

  async stop() {
    this.#child.kill("SIGKILL");
    await this.#exit;
  }
}

let examples;

before(async () => {
  examples = await Examples.start();
  await launch();
});
after(async () => {
  await quit();
  await examples?.stop();
});

/** A window of its own on an example, connected; what it complains of fails the test at its end. */
async function window(t, path, name, options) {
  const context = await profile(t, options);
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const complaints = [];
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => new URL(request.url()).hostname !== "127.0.0.1" && complaints.push(request.url()));
  if (name) await page.addInitScript((name) => (sessionStorage.name ||= name), name);
  await page.goto(`${examples.url}${path}`);
  if (path !== "/") await page.locator('.link[data-state="connected"]').waitFor();
  return { page, complaints };
}

test("the first page leads to all others", async (t) => {
  const { page } = await window(t, "/");
  const paths = await page.locator(".all a").evaluateAll((links) => links.map((link) => link.pathname));
  assert.deepEqual(paths, ["/chat", "/job", "/ticker", "/answer", "/log", "/cursors"]);
  for (const path of paths) assert.equal((await page.request.get(`${examples.url}${path}`)).status(), 200);
});

test("chat: two see each other, hear each other, and see who leaves", async (t) => {
  const [ann, ben] = [await window(t, "/chat", "Ann"), await window(t, "/chat", "Ben")];
  for (const { page } of [ann, ben]) await page.locator("#people li").nth(1).waitFor();
  await ben.page.fill("#text", "Hello <b>Ann</b>");
  await ben.page.press("#text", "Enter");
  const message = ann.page.locator(".message", { hasText: "Hello <b>Ann</b>" });
  await message.waitFor();
  assert.equal(await message.locator(".person").textContent(), "Ben");
  // Ben may hear himself after Ann does.
  await ben.page.locator(".message.mine").first().waitFor();
  assert.equal(await ben.page.locator(".message.mine").count(), 1);
  await ben.page.fill("#name", "Benedict");
  await ben.page.locator("#rename button").click();
  await ann.page.locator("#people", { hasText: "Benedict" }).waitFor();
  await ben.page.locator(".message", { hasText: "Hello" }).waitFor();
  assert.deepEqual([ann.complaints, ben.complaints], [[], []]);
});

test("job: it can be watched from its beginning, in the middle and after its end", async (t) => {
  const { page, complaints } = await window(t, "/job");
  await page.selectOption("#below", "100000");
  await page.click("#begin button");
  await page.locator("#percent", { hasText: /^[1-9]\d? %$/ }).waitFor();
  await page.reload();
  await page.locator("#status", { hasText: "done" }).waitFor();
  assert.equal(await page.locator("#primes").textContent(), "9,592");
  await page.reload();
  await page.locator("#percent", { hasText: "100 %" }).waitFor();
  assert.deepEqual(complaints, []);
});

const GOODS = ["cocoa", "coffee", "copper", "cotton", "nickel", "sugar", "tin", "wheat"];

test("ticker: all prices are there at once, and move", async (t) => {
  const { page, complaints } = await window(t, "/ticker");
  // Notes how many prices had come when the last good was there.
  await page.addInitScript((count) => {
    addEventListener("DOMContentLoaded", () => {
      const [goods, rate] = ["goods", "rate"].map((id) => document.getElementById(id));
      const note = () => goods.childElementCount === count && (globalThis.all ??= rate.textContent);
      new MutationObserver(note).observe(goods, { childList: true });
    });
  }, GOODS.length);
  await page.reload();
  await page.waitForFunction(() => globalThis.all);
  assert.match(await page.evaluate(() => globalThis.all), /^8 prices so far/, "the newest of each, and no other before");
  assert.deepEqual(await page.locator(".good h2").allTextContents(), GOODS);
  const before = await page.locator(".good .price").allTextContents();
  for (const [at, name] of GOODS.entries()) assert.match(before[at], /^\d+\.\d{2,4}$/, name);
  for (const moved of [1, 2]) {
    await page.waitForFunction(
      ([before, moved]) => [...document.querySelectorAll(".good .price")].filter(({ textContent }, at) => textContent !== before[at]).length >= moved,
      [before, moved],
    );
  }
  // A chart has a point for each price, so those that moved have a line.
  const lines = await page.locator(".good polyline").evaluateAll((lines) => lines.filter((line) => line.points.length > 1).length);
  assert.ok(lines >= 2, `${lines} lines`);
  assert.deepEqual(complaints, []);
});

test("token stream: it is there from its beginning after a reload, and stops when it is told to", async (t) => {
  const { page, complaints } = await window(t, "/answer");
  await page.click("#go");
  const words = (count) => page.waitForFunction((count) => document.getElementById("answer").textContent.split(" ").length > count, count);
  await words(3);
  const begin = await page.locator("#answer").textContent();
  await page.reload();
  await page.waitForFunction((length) => document.getElementById("answer").textContent.length > length, begin.length);
  assert.equal((await page.locator("#answer").textContent()).slice(0, begin.length), begin);
  // It comes to its end by itself in some seconds, which may be before a test gets to the button: so the next one is stopped
  // from within the page, once some words of it are there.
  await page.evaluate(() => document.getElementById("stop").click());
  await page.locator("#figures", { hasText: /\d+ words in/ }).waitFor();
  await page.evaluate(() => {
    const [answer, figures, stop, go] = ["answer", "figures", "stop", "go"].map((id) => document.getElementById(id));
    const press = () => answer.textContent.split(" ").length > 3 && stop.click();
    figures.textContent = "";
    addEventListener("hashchange", () => new MutationObserver(press).observe(answer, { childList: true }));
    go.click();
  });
  await page.locator("#figures", { hasText: /\d+ words in/ }).waitFor();
  const count = Number(/^\d+/.exec(await page.locator("#figures").textContent())[0]);
  assert.ok(count >= 4 && count < 111, `${count} words`);
  assert.ok(await page.locator("#stop").isDisabled());
  assert.deepEqual(complaints, []);
});

test("log: what other pages do is there, and can be looked for", async (t) => {
  const { page, complaints } = await window(t, "/log");
  const other = await window(t, "/job");
  await page.locator("#lines li", { hasText: "GET /job 200" }).first().waitFor();
  await page.fill("#words", "no line has this");
  assert.equal(await page.locator("#lines li:visible").count(), 0);
  await page.fill("#words", "get /JOB");
  await page.locator("#lines li:visible").first().waitFor();
  const shown = await page.locator("#lines li:visible").allTextContents();
  assert.deepEqual(shown.filter((line) => !/get \/job/i.test(line)), []);
  assert.ok((await page.locator("#lines li").count()) > shown.length, "the others are still there");
  assert.deepEqual([complaints, other.complaints], [[], []]);
});

test("cursors: a move is seen by the other, and a cursor goes with its owner", async (t) => {
  const [ann, ben] = [await window(t, "/cursors", "Ann"), await window(t, "/cursors", "Ben")];
  await ann.page.locator("#people", { hasText: "1 other is here" }).waitFor();
  const { x, y, width, height } = await ben.page.locator("#field").boundingBox();
  await ben.page.mouse.move(x + width / 2, y + height / 4);
  const cursor = ann.page.locator(".cursor", { hasText: "Ben" });
  await cursor.waitFor();
  const at = await cursor.evaluate((node) => new DOMMatrix(getComputedStyle(node).transform));
  assert.ok(Math.abs(at.e - width / 2) < 3 && Math.abs(at.f - height / 4) < 3, JSON.stringify(at));
  await ben.page.focus("#field");
  await ben.page.keyboard.press("ArrowRight");
  await ann.page.waitForFunction((before) => new DOMMatrix(getComputedStyle(document.querySelector(".cursor")).transform).e > before + 5, at.e);
  assert.deepEqual([ann.complaints, ben.complaints], [[], []]);
  await ben.page.close();
  await cursor.waitFor({ state: "detached" });
});

test("pages outlive a restart of the program: tokens, channels and all", async (t) => {
  const [chat, ticker] = [await window(t, "/chat", "Ann"), await window(t, "/ticker")];
  await chat.page.fill("#text", "before");
  await chat.page.press("#text", "Enter");
  await chat.page.locator(".message", { hasText: "before" }).waitFor();
  await ticker.page.locator(".good").nth(7).waitFor();
  await examples.restart();
  await chat.page.locator(".note", { hasText: "no longer held" }).waitFor();
  await chat.page.fill("#text", "after");
  await chat.page.press("#text", "Enter");
  await chat.page.locator(".message", { hasText: "after" }).waitFor();
  await chat.page.locator("#people", { hasText: "Ann (you)" }).waitFor();
  await ticker.page.locator('.link[data-state="connected"]').waitFor();
  const rate = await ticker.page.locator("#rate").textContent();
  await ticker.page.waitForFunction((before) => document.getElementById("rate").textContent !== before, rate);
});

test("no page is wider than a narrow screen", async (t) => {
  for (const path of ["/", "/chat", "/job", "/ticker", "/answer", "/log", "/cursors"]) {
    const { page } = await window(t, path, undefined, { viewport: { width: 320, height: 640 } });
    const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(over, 0, path);
  }
});
