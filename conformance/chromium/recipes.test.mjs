// The recipes of the README that are for browsers, run as they are written: evaluated as the console does it, in the
// page that the server has at `/`. Only the address is another. `crates/cli/tests/recipes.rs` runs the rest of them.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import test, { after, before } from "node:test";
import { promisify } from "node:util";
import { Inbox, stage, within } from "../support/index.mjs";
import { launch, open, quit } from "./browser.mjs";

const README = await readFile(new URL("../../README.md", import.meta.url), "utf8");
const SHELLS = { sh: ["bash", "-euo", "pipefail", "-c"], python: ["python3", "-c"] };

before(async () => console.log(`Chromium ${await launch()}`));
after(quit);

/** The code blocks of a recipe in a language, in order. */
function blocks(heading, language) {
  const text = README.split(`\n### ${heading}\n`)[1].split(/\n##+ /)[0];
  return text.split(`\`\`\`${language}\n`).slice(1).map((rest) => rest.split("```")[0]);
}

/** A server, a way to it that can be cut, and the page at `/` with its console. */
class Recipe {
  static async begin(t, heading) {
    const recipe = new Recipe();
    recipe.heading = heading;
    Object.assign(recipe, await stage(t), { said: new Inbox() });
    recipe.page = (await open(t, recipe.way.url)).page;
    recipe.page.on("console", async (message) => {
      if (message.type() !== "log") return;
      recipe.said.push(await Promise.all(message.args().map((value) => value.jsonValue())));
    });
    await recipe.page.goto(`${recipe.way.url}/`);
    return recipe;
  }

  /** What the console makes of these words. */
  async console(expression) {
    this.session ??= await this.page.context().newCDPSession(this.page);
    const told = await this.session.send("Runtime.evaluate", { expression, replMode: true, returnByValue: true });
    assert.equal(told.exceptionDetails, undefined, expression);
    return told.result.value;
  }

  /** Pastes a block into the console. */
  async paste(number = 0) {
    await this.console(blocks(this.heading, "js")[number].replaceAll("127.0.0.1:8000", `127.0.0.1:${this.way.port}`));
  }

  /** Runs a block for the terminal. */
  async terminal(language) {
    const [program, ...words] = SHELLS[language];
    const block = blocks(this.heading, language)[0].replaceAll("127.0.0.1:8000", `127.0.0.1:${this.server.port}`);
    await promisify(execFile)(program, [...words, block]);
  }

  async eventually(what, holds) {
    const look = async () => {
      while (!(await holds())) await new Promise((later) => setTimeout(later, 10));
    };
    await within(what, look());
  }

  /** Waits until the channel has this many readers, so that what is published next reaches them live. */
  async readers(channel, count) {
    await this.eventually(`${count} readers of ${channel}`, async () => {
      const { channels } = await (await fetch(`${this.server.url}/api/channels`)).json();
      return (channels.find((each) => each.channel === channel)?.readers ?? 0) === count;
    });
  }

  /** Waits until the console finds this to be true. */
  async holds(expression) {
    await this.eventually(expression, () => this.console(expression));
  }
}

test("the recipes for browsers are those that are run here", () => {
  const headings = ["Notifications", "Progress bar", "Chat", "Ticker", "Token stream"];
  const counts = headings.map((heading) => blocks(heading, "js").length);
  assert.deepEqual(counts, [1, 1, 2, 1, 1]);
  const written = README.split("\n## Recipes\n")[1].split("\n## ")[0].split("```js\n").length - 1;
  assert.equal(written, 6);
});

test("Notifications: hears them, those missed while away too, and that some are gone", async (t) => {
  const recipe = await Recipe.begin(t, "Notifications");
  await recipe.paste();
  await recipe.readers("users/ada", 1);
  await recipe.terminal("sh");
  assert.deepEqual(await recipe.said.next(), ["order", { id: 17, status: "shipped" }]);

  recipe.way.shut();
  await recipe.server.publish("users/ada", '{"id":18}', { type: "application/json", event: "order" });
  recipe.way.open();
  assert.deepEqual(await recipe.said.next(), ["order", { id: 18 }]);

  await recipe.readers("users/ada", 1);
  await recipe.server.remove("users/ada");
  assert.deepEqual(await recipe.said.next(), ["away for too long: load the list again"]);
});

test("Progress bar: follows the job, and is right at once when opened late", async (t) => {
  const recipe = await Recipe.begin(t, "Progress bar");
  await recipe.paste();
  await recipe.terminal("sh");
  await recipe.holds("bar.value === 100 && job.readyState === EventSource.CLOSED");
  await recipe.page.reload();
  await recipe.paste();
  await recipe.holds("bar.value === 100 && job.readyState === EventSource.CLOSED");
});

test("Chat: browsers, sockets and a terminal hear each other", async (t) => {
  const recipe = await Recipe.begin(t, "Chat");
  await recipe.paste(0);
  assert.deepEqual(await recipe.said.next(), ["Hello from a browser"]);
  await recipe.paste(1);
  const sorted = async () => (await recipe.said.take(2)).map(String).sort();
  assert.deepEqual(await sorted(), ["Hello from a socket", "socket:,Hello from a socket"]);
  await recipe.terminal("sh");
  assert.deepEqual(await sorted(), ["Hello from a terminal", "socket:,Hello from a terminal"]);

  // Who was away hears what was said meanwhile.
  recipe.way.shut();
  await recipe.server.publish("chat/lobby", "Anyone there?");
  recipe.way.open();
  assert.deepEqual(await recipe.said.next(), ["Anyone there?"]);
});

test("Ticker: prices of all channels, each with its name", async (t) => {
  const recipe = await Recipe.begin(t, "Ticker");
  await recipe.paste();
  await recipe.eventually("the ticker is open", () => recipe.console("ticker.readyState === EventSource.OPEN"));
  await recipe.terminal("sh");
  assert.deepEqual(await recipe.said.take(2), [["price/abc", 101.5], ["price/xyz", 7.25]]);
});

test("Token stream: the answer word by word, and whole for who comes late", async (t) => {
  const recipe = await Recipe.begin(t, "Token stream");
  await recipe.paste();
  await recipe.readers("answers/42", 1);
  await recipe.terminal("python");
  const whole = "answer.textContent === 'A channel is a log.' && tokens.readyState === EventSource.CLOSED";
  await recipe.holds(whole);
  assert.equal(await recipe.console("answer.childNodes.length"), 3);
  await recipe.page.reload();
  await recipe.paste();
  await recipe.holds(whole);
});
