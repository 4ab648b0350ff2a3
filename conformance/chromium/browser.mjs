// A headless Chromium with one page, and what the page's scripts hear.

import { chromium } from "playwright-core";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { Inbox } from "../support/index.mjs";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];

/** Nothing but the test's own requests: no first-run page, and none of the look-ups a browser makes for itself. */
const QUIET = [
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-default-apps",
  "--disable-extensions",
  "--disable-quic",
  "--disable-gpu",
];

/** The browser of the system: the one that CHROMIUM names, else the first in PATH. */
function executable() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const folders = (process.env.PATH ?? "").split(delimiter);
  const found = NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  if (found) return found;
  throw new Error(`none of ${NAMES.join(", ")} is in PATH: install Debian's chromium, or name a browser in CHROMIUM`);
}

let browser;

/** A browser, with these flags beside the usual ones. */
export function start(flags = []) {
  // The sandbox needs a user who is not root. The only pages opened here are the test's own.
  const args = [...QUIET, ...flags, ...(process.getuid?.() === 0 ? ["--no-sandbox"] : [])];
  return chromium.launch({ executablePath: executable(), args });
}

/** One browser for all tests of a file. */
export async function launch() {
  browser = await start();
  return browser.version();
}

export async function quit() {
  await browser?.close();
}

/** A profile of its own for a test. */
export async function profile(test, options) {
  const context = await browser.newContext(options);
  test.after(() => context.close());
  return context;
}

/**
 * A page of this origin in a profile of its own. Its scripts call `heard(item)`, and the inbox has it.
 * The address is one of the server's that sends no script: what runs in the page is the test's alone.
 */
export async function open(test, origin, options) {
  const context = await profile(test, options);
  return tab(context, origin);
}

/** The same in a profile that is there. */
export async function tab(context, origin) {
  const page = await context.newPage();
  const inbox = new Inbox();
  await page.exposeFunction("heard", (item) => inbox.push(item));
  await page.goto(`${origin}/healthz`);
  return { page, inbox };
}
