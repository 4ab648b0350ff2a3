// AsyncAPI's own parser finds nothing to say about the document.

import { Parser } from "@asyncapi/parser";
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

const DOCUMENT = new URL("../../crates/server/src/api/documents/asyncapi.json", import.meta.url);

test("the AsyncAPI document is one, without errors or warnings", async () => {
  const { document, diagnostics } = await new Parser().parse(await readFile(DOCUMENT, "utf8"));
  assert.deepEqual(diagnostics.map(({ path, message }) => `${path.join(".")}: ${message}`), []);
  assert.equal(document.version(), "3.1.0");
  assert.ok(document.operations().all().length > 10);
});
