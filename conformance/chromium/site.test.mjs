// A site, opened by a person in Chromium: what it needs comes, is kept, and is told of once.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { writeFile } from "node:fs/promises";
import { site } from "../support/site.mjs";
import { launch, profile, quit } from "./browser.mjs";

before(launch);
after(quit);

/** Opens the page as by its address, and tells what was asked and how it was answered. */
async function open(page, url) {
  const answers = [];
  const note = (response) => answers.push(response);
  page.on("response", note);
  await page.goto(url, { waitUntil: "load" });
  page.off("response", note);
  const [first] = answers;
  const headers = await first.allHeaders();
  const color = await page.locator("#said").evaluate((element) => getComputedStyle(element).color);
  assert.deepEqual([await page.locator("#said").textContent(), color], ["hello", "rgb(1, 2, 3)"]);
  return { status: first.status(), headers, asked: await first.request().allHeaders() };
}

/** What the server has counted. */
async function hinted(server) {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  return Number(/^switchboard_site_hinted_total (\d+)$/m.exec(text)[1]);
}

test("Chromium: opens a page behind hints, keeps the digest, and gets no hints on the second visit", async (t) => {
  const server = await site(t);
  const context = await profile(t);
  const page = await context.newPage();
  const first = await open(page, `${server.url}/`);
  assert.equal(first.status, 200);
  assert.equal(first.asked["sec-fetch-mode"], "navigate");
  assert.equal(await hinted(server), 1);
  const [cookie] = await context.cookies();
  assert.deepEqual([cookie.name, cookie.httpOnly, cookie.sameSite], ["switchboard-site", true, "Lax"]);
  const second = await open(page, `${server.url}/`);
  assert.match(second.asked.cookie, /^switchboard-site=/);
  assert.deepEqual([second.headers.link, second.headers["set-cookie"]], [undefined, undefined]);
  assert.equal(await hinted(server), 1);
  // The script changes: it is told of again, though the page is unchanged, and its new version runs.
  await writeFile(`${server.directory}/app.js`, `document.querySelector("#said").textContent = "hello"; window.again = true;`);
  const third = await open(page, `${server.url}/`);
  assert.match(third.headers["set-cookie"], /^switchboard-site=/);
  assert.equal(await page.evaluate("window.again"), true);
  assert.equal(await hinted(server), 2);
});
