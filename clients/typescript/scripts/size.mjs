// What a page has to load, compressed. Fails where that is more than it may be.

import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

/** What is imported, and how many bytes it may come to. */
const BUDGETS = [
  {
    what: "core and WebSocket",
    code: 'export { Switchboard } from "./src/core.ts"; export { webSocket } from "./src/transports/websocket.ts";',
    limit: 9216,
  },
  {
    what: "everything",
    code: 'export * from "./src/index.ts"; export * from "./src/tabs/index.ts";',
    limit: 14336,
  },
];

let isOver = false;
for (const { what, code, limit } of BUDGETS) {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: fileURLToPath(new URL("..", import.meta.url)), loader: "ts" },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: "es2022",
  });
  const [{ contents }] = outputFiles;
  const size = gzipSync(contents, { level: 9 }).length;
  isOver ||= size > limit;
  console.log(`${what}: ${size} bytes with gzip, of ${limit} (${contents.length} without)`);
}
if (isOver) {
  console.error("More than it may be: see what the last change brought in.");
  process.exitCode = 1;
}
