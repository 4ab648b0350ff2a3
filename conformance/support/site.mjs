// A site with a page and what it needs, served by the program under test.

import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Server } from "./server.mjs";

/** What the page needs, as `Link` says it. */
export const LINKS = ["</style.css>; rel=preload; as=style", "</app.js>; rel=preload; as=script"];

const PAGE = `<!doctype html><meta charset="utf-8"><title>site</title><link rel="stylesheet" href="/style.css">
<script src="/app.js" defer></script><p id="said">nothing</p>`;

/** A server of such a site, gone when the test ends; `directory` has its files. `hints` is who gets 103 over HTTP/1.1. */
export async function site(test, hints = "browsers") {
  const base = await mkdtemp(join(tmpdir(), "switchboard-site-"));
  test.after(() => rm(base, { recursive: true, force: true }));
  const directory = join(base, "public");
  await mkdir(directory);
  await writeFile(join(directory, "index.html"), PAGE);
  await writeFile(join(directory, "style.css"), "p { color: rgb(1, 2, 3); }");
  await writeFile(join(directory, "app.js"), `document.querySelector("#said").textContent = "hello";`);
  const settings = join(base, "site.toml");
  await writeFile(
    settings,
    `[site]\ndirectory = ${JSON.stringify(directory)}\nhints = "${hints}"\n` +
      `[[site.push]]\npage = "/"\nfiles = ["/style.css", "/app.js"]\n`,
  );
  const server = await Server.start({}, ["--config", settings]);
  test.after(() => server.stop());
  return Object.assign(server, { directory });
}
