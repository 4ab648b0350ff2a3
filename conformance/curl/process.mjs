// curl as a process of its own.

import { spawn } from "node:child_process";
import { Inbox, within } from "../support/index.mjs";

/** A running curl: its output as text by lines in an inbox, and `ended` for all of it with the exit code. */
export function curl(t, words, input) {
  const child = spawn("curl", ["--silent", "--show-error", "--no-buffer", ...words]);
  t?.after(() => child.kill());
  const inbox = new Inbox();
  const bytes = [];
  let rest = "";
  child.stdout.on("data", (data) => {
    bytes.push(data);
    const lines = (rest + data.toString("latin1")).split("\n");
    rest = lines.pop();
    for (const line of lines) inbox.push(Buffer.from(line, "latin1").toString());
  });
  const exit = new Promise((done, fail) => child.once("error", fail).once("close", done));
  const ended = async () => {
    const code = await within("curl to end", exit);
    return { code, bytes: Buffer.concat(bytes), text: Buffer.concat(bytes).toString() };
  };
  child.stdin.on("error", () => {});
  if (input !== undefined) child.stdin.end(input);
  return { inbox, ended, input: child.stdin };
}

/** Runs curl to its end. */
export async function run(words, input = "") {
  return curl(undefined, words, input).ended();
}

/** The lines of a block of an event stream, without the blank line that ends it. */
export async function block(inbox) {
  const lines = [];
  for (;;) {
    const line = await inbox.next();
    if (line === "") return lines;
    // A heartbeat is a comment line within whatever comes next.
    if (!line.startsWith(":")) lines.push(line);
  }
}
