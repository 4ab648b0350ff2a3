// The conversations of vectors/sessions, played against the client's side of a session.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { KINDS, Player } from "./conversations/player.mjs";
import { ALL, vectors } from "./support/index.mjs";

const cases = readdirSync(vectors("sessions/"))
  .filter((name) => name.endsWith(".json"))
  .flatMap((name) => JSON.parse(readFileSync(vectors(`sessions/${name}`), "utf8")).cases);

for (const conversation of cases) {
  for (const over of conversation.over ?? ALL) {
    test(`${conversation.name}, over ${over}`, () => new Player(conversation, over).play());
    if (!conversation.steps.some((step) => step.down_in_any_order)) continue;
    test(`${conversation.name}, over ${over}, in the other order`, () => new Player(conversation, over, true).play());
  }
}

test("every conversation was read, and every kind of step is met", () => {
  const steps = cases.flatMap((conversation) => conversation.steps);
  assert.ok(cases.length > 60 && steps.filter(({ down }) => down).length > 150, `${cases.length} conversations`);
  assert.deepEqual(new Set(steps.flatMap(Object.keys)), new Set(KINDS));
});

test("a step that nobody knows is not passed over", async () => {
  await assert.rejects(new Player({ steps: [{ open: {} }, { jump: true }] }, "sse").play(), /no step is called jump/);
});
