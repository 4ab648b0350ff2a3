/** Locks as the Web Locks API has them, as far as tabs need them. */
export class Locks {
  #held = new Map();
  #waiting = new Map();

  request(name, { steal = false, signal }, callback) {
    return new Promise((resolve, reject) => {
      const ask = { callback, resolve, reject };
      if (signal?.aborted) return reject(signal.reason);
      const waiting = this.#waiting.get(name) ?? [];
      this.#waiting.set(name, waiting);
      signal?.addEventListener("abort", () => {
        const at = waiting.indexOf(ask);
        if (at >= 0) waiting.splice(at, 1);
        if (at >= 0) reject(signal.reason);
      });
      if (steal) {
        this.#held.get(name)?.reject(new DOMException("The lock was stolen.", "AbortError"));
        this.#held.delete(name);
        waiting.unshift(ask);
      } else waiting.push(ask);
      this.#grant(name);
    });
  }

  #grant(name) {
    const ask = this.#held.has(name) ? undefined : this.#waiting.get(name).shift();
    if (!ask) return;
    this.#held.set(name, ask);
    queueMicrotask(async () => {
      ask.resolve(await ask.callback());
      if (this.#held.get(name) !== ask) return;
      this.#held.delete(name);
      this.#grant(name);
    });
  }
}
