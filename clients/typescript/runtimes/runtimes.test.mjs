// The client in other runtimes, against the server.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { access, readdir } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Server } from "../../../conformance/support/index.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** The runtime's program, which npm brought in a package for this platform. */
async function program(scope, name) {
  for (const folder of await readdir(here(`node_modules/${scope}`))) {
    for (const path of [`bin/${name}`, name, `bin/${name}.exe`, `${name}.exe`]) {
      const found = here(`node_modules/${scope}/${folder}/${path}`);
      if (await access(found).then(() => true, () => false)) return found;
    }
  }
  throw new Error(`no program of ${name} came with npm: run \`npm ci\` in this folder`);
}

for (const [name, scope, words] of [
  ["deno", "@deno", ["run", "--allow-net", "--no-check", "--no-lock"]],
  ["bun", "@oven", ["run"]],
]) {
  test(`in ${name} it does what it does in Node.js`, async (t) => {
    const server = await Server.start();
    t.after(() => server.stop());
    const run = [...words, here("program.mjs"), server.url];
    const { stdout } = await promisify(execFile)(await program(scope, name), run, { timeout: 60_000 });
    const expected = (transport) => [transport, ["said", [0, 127, 255]], 8, "method_not_found"];
    assert.deepEqual(stdout.trim().split("\n").map(JSON.parse), ["websocket", "sse", "stream", "poll"].map(expected));
  });
}
