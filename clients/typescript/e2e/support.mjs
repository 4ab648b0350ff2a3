// What the tests in a browser share: the built client in a page of its own, and networks between it and the server.

import { readFile } from "node:fs/promises";
import http from "node:http";
import { fileURLToPath } from "node:url";
import { profile } from "../../../conformance/chromium/browser.mjs";
import { nginxWith } from "../../../conformance/proxies/process.mjs";
import { Server } from "../../../conformance/support/index.mjs";

export { launch, quit } from "../../../conformance/chromium/browser.mjs";
export { Server, until, within } from "../../../conformance/support/index.mjs";

export const range = (count, from = 0) => Array.from({ length: count }, (_, n) => from + n);

const BLANK = '<!doctype html><html lang="en"><title>test</title><link rel="icon" href="data:,"><script type="module" src="/page.js"></script></html>';

/** The scripts that lie here. */
const SCRIPTS = ["/page.js", "/worker.js"];

/** The file for a path: the blank page, a script, or a module of the client's. */
async function file(path) {
  if (path === "/") return ["text/html", BLANK];
  const file = SCRIPTS.includes(path) ? `.${path}` : `../dist/${path.slice("/client/".length)}`;
  return ["text/javascript", await readFile(fileURLToPath(new URL(file, import.meta.url)))];
}

/** A site with the blank page. `answers` are paths of its own: functions that give a text. */
export async function site(test, answers = {}) {
  const server = http.createServer(async ({ url }, response) => {
    const { pathname } = new URL(url, "http://localhost");
    try {
      const [type, body] = answers[pathname] ? ["text/plain", await answers[pathname]()] : await file(pathname);
      response.writeHead(200, { "content-type": type }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  test.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}`;
}

/** A page of a site's, in this profile or one of its own, with what its client says. */
export class Tab {
  static async open(test, at, { context, ...options } = {}) {
    const tab = new Tab();
    tab.context = context ?? (await profile(test, options));
    tab.page = await tab.context.newPage();
    tab.page.setDefaultTimeout(20_000);
    await tab.page.goto(at);
    await tab.page.waitForFunction("globalThis.isReady");
    return tab;
  }

  /** Starts its client, and subscribes to the channel `a` unless told otherwise. */
  async begin(url, { channel = "a", since, ...options } = {}) {
    await this.page.evaluate(([url, options]) => begin(url, options), [url, options]);
    if (channel) await this.page.evaluate(([channel, options]) => listen(channel, options), [channel, since ? { since } : {}]);
  }

  /** Waits until this holds of its notes: a function of them and an argument. */
  async until(holds, argument) {
    const text = `(${holds})(globalThis.notes, ${JSON.stringify(argument) ?? "undefined"})`;
    await this.page.waitForFunction(text, undefined, { polling: 20 }).catch(async (error) => {
      const { heard, ...notes } = await this.notes();
      throw new Error(`${error.message}\n${holds}\n${JSON.stringify({ ...notes, heard: heard.length, last: heard.at(-1) })}`);
    });
  }

  notes() {
    return this.page.evaluate("globalThis.notes");
  }

  transport() {
    return this.page.evaluate("globalThis.client.transport");
  }

  /** Waits until it has heard so many events, and gives them. */
  async heard(count) {
    await this.until((notes, count) => notes.heard.length >= count, count);
    return (await this.notes()).heard;
  }
}

/** A server, a site, and a tab of it. */
export async function stage(test, { settings, flags, answers } = {}) {
  const server = await Server.start(settings, flags);
  test.after(() => server.stop());
  const at = await site(test, answers);
  return { server, at, tab: await Tab.open(test, at) };
}

/** nginx with a file of `proxies`, in front of the server. */
export async function behind(test, server, name) {
  const text = await readFile(fileURLToPath(new URL(`proxies/${name}.conf`, import.meta.url)), "utf8");
  const proxy = await nginxWith(test, text.replaceAll("127.0.0.1:8000", `127.0.0.1:${server.port}`));
  return `http://127.0.0.1:${proxy.port}`;
}

/** Over what the server has its sessions: the transports of those that are connected. */
export async function transports(server) {
  const [, { sessions }] = await server.api("GET", "/sessions");
  return sessions.filter(({ connected }) => connected).map(({ transport }) => transport);
}
