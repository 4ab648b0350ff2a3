// Waiting for things. A deadline is reached only by a failure.

const PATIENCE = 20_000;

/** The promise's value, or an error that names what was waited for. */
export async function within(what, promise, patience = PATIENCE) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`waited ${patience / 1000} s in vain: ${what}`)), patience);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Looks again and again, and gives what `look` gives once that is something. */
export async function until(what, look) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const seen = await look();
    if (seen) return seen;
    if (Date.now() > deadline) throw new Error(`waited ${PATIENCE / 1000} s in vain: ${what}`);
    await new Promise((done) => setTimeout(done, 10));
  }
}

/** What a client heard and the test has not looked at yet, in order. */
export class Inbox {
  #items = [];
  #waiting = [];

  push(item) {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(item);
    else this.#items.push(item);
  }

  /** The next item. */
  async next() {
    if (this.#items.length > 0) return this.#items.shift();
    return within("something to be heard", new Promise((heard) => this.#waiting.push(heard)));
  }

  /** The next `count` items. */
  async take(count) {
    const items = [];
    while (items.length < count) items.push(await this.next());
    return items;
  }

  /** How much was heard that nobody looked at. */
  get left() {
    return this.#items.length;
  }
}
