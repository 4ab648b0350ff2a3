// The small pure parts: the wait before an attempt, streams of events, patterns, bytes, the table of errors.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Backoff } from "../dist/backoff.js";
import { rowOfClose, ROWS, SwitchboardError } from "../dist/errors.js";
import { EventStream } from "../dist/index.js";
import { base64Of, bytesOf } from "../dist/session/base64.js";
import { Outbox } from "../dist/session/outbox.js";
import { isPattern, matches } from "../dist/session/pattern.js";
import { project, vectors } from "./support/index.mjs";

test("waits are those of the vectors", () => {
  const { cases } = JSON.parse(readFileSync(vectors("client/backoff.json"), "utf8"));
  assert.ok(cases.length >= 10);
  for (const { failures, chance, wait } of cases) assert.equal(Math.floor(Object.assign(new Backoff(), { failures }).next(chance)), wait);
});

test("the table of errors is the protocol's", () => {
  const document = readFileSync(project("docs/protocol.md"), "utf8");
  const rows = [...document.matchAll(/^\| `(\w+)` \| \d+ \| (\d+) \| (-?\d+) \| (yes|no) \|/gm)];
  assert.ok(rows.length > 40);
  const ours = new Map(ROWS.map((row) => [row.name, row]));
  assert.equal(ours.size, rows.length);
  for (const [, name, close, rpc, again] of rows) {
    assert.deepEqual(ours.get(name), { name, rpc: Number(rpc), close: Number(close), again: again === "yes" });
  }
  assert.equal(rowOfClose(1012).name, "draining");
  // The types list the same names.
  const source = readFileSync(new URL("../src/errors.ts", import.meta.url), "utf8");
  const union = source.slice(source.indexOf("type ServerCode"), source.indexOf(";", source.indexOf("type ServerCode")));
  assert.deepEqual([...union.matchAll(/"(\w+)"/g)].map(([, name]) => name).sort(), [...ours.keys()].sort());
});

test("an error says what it is in words, unless it is told", () => {
  const error = new SwitchboardError("session_lost");
  assert.deepEqual([error.message, error.name, error.again, error instanceof Error], ["session lost", "SwitchboardError", true, true]);
  assert.equal(new SwitchboardError("forbidden").again, false);
});

/** Blocks of a stream, whole and cut everywhere. */
function blocks(text) {
  const read = (pieces) => {
    const found = [];
    const retries = [];
    const stream = new EventStream(({ event, data, id }) => found.push([event, data, id]), (retry) => retries.push(retry));
    for (const piece of pieces) stream.feed(piece);
    return { found, retries };
  };
  const whole = read([text]);
  assert.deepEqual(read([...text]), whole, "it does not matter how it is cut");
  for (let at = 1; at < text.length; at++) assert.deepEqual(read([text.slice(0, at), text.slice(at)]), whole);
  return whole;
}

test("a stream of events is read as the HTML standard says, however it is cut", () => {
  for (const [text, found] of [
    ["data: YHOO\ndata: +2\ndata: 10\n\n", [["message", "YHOO\n+2\n10", ""]]],
    [": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
      [["message", "first event", "1"], ["message", "second event", ""], ["message", " third event", ""]]],
    ["data\n\ndata\ndata\n\ndata:", [["message", "", ""], ["message", "\n", ""]]],
    ["data:test\n\ndata: test\n\n", [["message", "test", ""], ["message", "test", ""]]],
    ["event: a\r\ndata: 1\r\n\r\nevent: b\rdata: 2\r\r", [["a", "1", ""], ["b", "2", ""]]],
    ["\uFEFFid: 7\ndata: x\n\nevent: nothing\n\ndata: y\n\n", [["message", "x", "7"], ["message", "y", "7"]]],
    ["id: a\0b\nid: 1\nid: c\0\ndata: z\n\n", [["message", "z", "1"]]],
    ["data: a: b\nother: c\n:\nDATA: d\n\n", [["message", "a: b", ""]]],
    ["data: \u2028\u0085 ünï 🎉\n\n", [["message", "\u2028\u0085 ünï 🎉", ""]]],
  ]) assert.deepEqual(blocks(text).found, found, JSON.stringify(text));
  assert.deepEqual(blocks("retry: 200\nretry: x\nretry: 1 2\nretry:\n\n").retries, [200]);
});

test("a stream that begins anew keeps the last id and nothing else", () => {
  const found = [];
  const stream = new EventStream((block) => found.push(block));
  stream.feed("id: 1\ndata: a\n\nevent: lost\ndata: lo");
  stream.reset();
  stream.feed("\uFEFFdata: b\n\n");
  assert.deepEqual(found, [{ event: "message", data: "a", id: "1" }, { event: "message", data: "b", id: "1" }]);
});

test("patterns select as the protocol says", () => {
  for (const [pattern, selects, passes] of [
    ["a", ["a"], ["b", "a/b"]],
    ["a/*", ["a/b"], ["a", "a/b/c"]],
    ["a/**", ["a", "a/b", "a/b/c"], ["b/a", "ab"]],
    ["**", ["a", "a/b"], ["$presence/a"]],
    ["*/b/**/d", ["a/b/d", "a/b/c/c/d"], ["a/b", "a/b/c"]],
    ["a*b", ["a*b"], ["axb"]],
  ]) {
    for (const name of selects) assert.ok(matches(pattern, name), `${pattern} selects ${name}`);
    for (const name of passes) assert.ok(!matches(pattern, name), `${pattern} does not select ${name}`);
  }
  const deep = (last) => [...Array(120).fill("a"), last].join("/");
  assert.ok(!matches("**/a/**/a/**/a/**/a/**/a/**/a/**/b", deep("c")), "however many ways there are, it takes no time");
  assert.ok(matches("**/a/**/a/**/a/**/a/**/a/**/a/**/b", deep("b")));
  assert.deepEqual(["a", "a*b", "a/*", "**/x"].map(isPattern), [false, false, true, true]);
});

test("bytes go there and back, however many", () => {
  for (const length of [0, 1, 2, 3, 100_000]) {
    const bytes = Uint8Array.from({ length }, (_, at) => (at * 7) % 256);
    assert.deepEqual(bytesOf(base64Of(bytes)), bytes);
    assert.equal(base64Of(bytes), Buffer.from(bytes).toString("base64"));
  }
});

const numbers = (outbox) => {
  const given = [];
  for (let next; (next = outbox.next()); ) given.push(next.seq);
  return given;
};

function outbox(count) {
  const made = new Outbox();
  made.begin(1);
  for (let n = 1; n <= count; n++) made.push(n, String(n));
  return made;
}

test("what was not applied is sent again under its number, and a number that cannot be is told", () => {
  const made = outbox(4);
  assert.deepEqual(numbers(made), [1, 2, 3, 4]);
  assert.equal(made.goOn(3), true);
  assert.deepEqual(numbers(made), [3, 4]);
  made.confirm(3);
  made.rewind();
  assert.deepEqual([made.next(), made.count, made.length], [{ seq: 4, text: "4" }, 1, 1]);
  const other = outbox(3);
  other.next();
  assert.equal(other.goOn(3), false, "the second was never sent");
  assert.equal(other.goOn(2), true);
  assert.equal(other.goOn(1), true);
  assert.deepEqual(other.next(), { seq: 2, text: "2" }, "the first was applied, whatever is said later");
});

test("a refused message leaves its number to the next", () => {
  const made = outbox(3);
  made.next();
  assert.equal(made.refuse(2), undefined);
  assert.equal(made.refuse(1), 1);
  assert.deepEqual(made.next(), { seq: 1, text: "2" });
});

test("a lost session leaves what was never sent", () => {
  const made = outbox(3);
  made.next();
  made.rewind();
  made.forget(3);
  made.forget(1);
  assert.deepEqual([made.count, made.length], [2, 2], "the first was tried");
  assert.deepEqual(made.clear().map(({ kind }) => kind), [2]);
  assert.deepEqual([made.count, made.length, made.next()], [0, 0, undefined]);
});
