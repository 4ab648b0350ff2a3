// The page at `/` and what its tests do there.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { Server } from "../support/index.mjs";
import { profile } from "./browser.mjs";

export const TRANSPORTS = ["poll", "long_poll", "stream", "sse", "websocket"];
const BUTTONS = { publish: "#publish-form button", burst: "#burst", gap: "#gap", end: "#end", delete: "#delete" };

/** A server, and its page in a window of its own; `through` may put a tap between them. */
export async function stage(test, { settings, words, channel = "hello", through = (server) => server, ...options } = {}) {
  const server = await Server.start(settings, words);
  test.after(() => server.stop());
  const at = await through(server);
  const context = await profile(test, options);
  const page = await open(context, `${at.url}/#${channel}`);
  return { server, at, context, page };
}

export async function open(context, url) {
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.complaints = [];
  page.on("console", (message) => message.type() === "error" && page.complaints.push(message.text()));
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  await page.goto(url);
  // The shortest interval there is, so that less time is waited for pollers.
  await page.locator(".interval select").selectOption("1000");
  return page;
}

export const row = (page, transport) => page.locator(`tr.hue-${transport}`);
export const list = (page, transport) => page.locator(`.heard.hue-${transport}`);
export const press = (page, button) => page.click(BUTTONS[button]);
export const toggle = (page, transport) => row(page, transport).locator(".toggle").click();

export async function inState(page, state, transports = TRANSPORTS) {
  for (const transport of transports) await row(page, transport).and(page.locator(`[data-state="${state}"]`)).waitFor();
}

export async function publish(page, data) {
  await page.fill("#publish-data", data);
  await press(page, "publish");
}

/** Waits until each of these readers has so many events, and their cursors are one. */
export async function heard(page, events, transports = TRANSPORTS) {
  const plural = events === 1 ? "event" : "events";
  for (const transport of transports) {
    await row(page, transport).locator(".where", { hasText: ` · ${events.toLocaleString("en")} ${plural}` }).waitFor();
  }
  const cursors = await Promise.all(transports.map((transport) => row(page, transport).locator(".where code").textContent()));
  assert.equal(new Set(cursors).size, 1, `one log, one cursor: ${cursors}`);
  return cursors[0];
}

/** In the page: texts whose contrast to what is behind them is less than 4.5 (WCAG 2.2, 1.4.3, AA). */
export function faint() {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) =>
    [r, g, b].map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
      .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const color = rgba(getComputedStyle(at).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const node of document.body.querySelectorAll("*")) {
    const says = [...node.childNodes].some((child) => child.nodeType === Node.TEXT_NODE && child.data.trim());
    if (!says || !node.checkVisibility() || node.matches("option")) continue;
    const [a, b] = [light(rgba(getComputedStyle(node).color)), light(behind(node))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.push(`${node.className || node.tagName}: ${ratio.toFixed(2)}`);
  }
  return found;
}

/** What a program prints. */
export const run = (program, args, options = {}) =>
  new Promise((done, fail) => execFile(program, args, { timeout: 20_000, ...options }, (error, stdout) => (error ? fail(error) : done(stdout))));
