// The page that makes it work in a minute, run as it is written: only the address and the package are others.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { stage, within } from "../support/index.mjs";

test("it works in a minute", async (t) => {
  const { server } = await stage(t);
  const readme = await readFile(new URL("../../README.md", import.meta.url), "utf8");
  const [, code] = /\n## In a minute\n[^]*?```js\n([^]*?)```/.exec(readme);
  const program = code
    .replace('"switchboard-client"', JSON.stringify(fileURLToPath(new URL("../../dist/index.js", import.meta.url))))
    .replace("http://127.0.0.1:8000", server.url);
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill());
  const said = new Promise((heard) => {
    let text = "";
    child.stdout.on("data", (bytes) => {
      text += bytes;
      if (text.includes("\n")) heard(text);
    });
  });
  assert.match(await within("it says something", said), /\d Hello!\n$|M Hello!\n$/);
});
