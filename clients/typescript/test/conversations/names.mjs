// The names in a conversation of what is not known beforehand (`vectors/sessions/README.md`).

import assert from "node:assert/strict";

const NAME = /<(\w+)(?::(number|any))?>/;

/** What the names of a conversation stand for. */
export class Names {
  #known = new Map();
  #made = 0;

  constructor(known) {
    for (const [name, value] of Object.entries(known)) this.set(name, value);
  }

  set(name, value) {
    this.#known.set(name, value);
  }

  /** A value as the side says it that may choose: what a name stands for that stands for nothing yet is made up. */
  make(value) {
    if (Array.isArray(value)) return value.map((each) => this.make(each));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, this.make(each)]));
    }
    if (typeof value !== "string") return value;
    const alone = new RegExp(`^${NAME.source}$`).exec(value);
    if (alone) return this.#of(alone[1], alone[2]);
    return value.replace(new RegExp(NAME, "g"), (_, name, kind) => String(this.#of(name, kind)));
  }

  #of(name, kind) {
    if (this.#known.has(name)) return this.#known.get(name);
    const made = kind ? ++this.#made : `p${++this.#made}`;
    if (name !== "_") this.set(name, made);
    return made;
  }

  /** Checks that this came, member by member. A name that stands for nothing yet stands for what came in its place. */
  compare(expected, came, where) {
    if (typeof expected === "string") return this.#compareText(expected, came, where);
    if (expected === null || typeof expected !== "object") return assert.deepEqual(came, expected, where);
    assert.equal(Array.isArray(came), Array.isArray(expected), where);
    assert.deepEqual(Object.keys(came ?? {}).sort(), Object.keys(expected).sort(), where);
    for (const [name, each] of Object.entries(expected)) this.compare(each, came[name], `${where}: ${name}`);
  }

  #compareText(expected, came, where) {
    const alone = new RegExp(`^${NAME.source}$`).exec(expected);
    if (alone) {
      const [, name, kind] = alone;
      if (kind !== "any") assert.equal(typeof came, kind ?? "string", where);
      return this.#is(name, came, where);
    }
    const names = [...expected.matchAll(new RegExp(NAME, "g"))].map(([, name]) => name);
    const words = expected.split(/<[^>]*>/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    const values = new RegExp(`^${words.join("(.+?)")}$`, "s").exec(came)?.slice(1) ?? assert.fail(`${where}: ${came} is not ${expected}`);
    for (const [at, name] of names.entries()) this.#is(name, values[at], where);
  }

  #is(name, came, where) {
    if (name === "_") return;
    if (!this.#known.has(name)) this.set(name, came);
    assert.deepEqual(came, this.#known.get(name), `${where}: what <${name}> stands for`);
  }
}
