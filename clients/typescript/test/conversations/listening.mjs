// Who listens to what in a conversation, by the rules of `docs/sessions.md`: worked out anew, from what is said.

/** Whether a name or pattern selects a channel. */
function selects(pattern, channel) {
  const words = pattern.split("/");
  const names = channel.split("/");
  const open = words.at(-1) === "**";
  if (open ? names.length < words.length : names.length !== words.length) return false;
  return words.every((word, at) => word === "*" || (open && at === words.length - 1) || word === names[at]);
}

/** Those who listen, in the order in which they came. */
export class Listening {
  #all = [];

  add(id, channel) {
    this.#all.push({ id, channel, state: "asked" });
  }

  /** The one who came last to this channel, and leaves it now. */
  take(channel) {
    const found = this.#all.findLast((listener) => listener.channel === channel);
    if (found) this.#remove(found);
    return found?.id;
  }

  #remove(listener) {
    this.#all.splice(this.#all.indexOf(listener), 1);
  }

  /** `subscribe` is answered: what is to happen. */
  answered({ result, error }) {
    const asked = this.#all.filter(({ state }) => state === "asked");
    if (error) {
      for (const listener of asked) this.#remove(listener);
      return asked.map(({ id }) => ({ over: id, error }));
    }
    const { ended, ...where } = result;
    for (const listener of asked) listener.state = "catching";
    const told = asked.map(({ id }) => ({ granted: id, where }));
    if (where.gap) told.push(...this.heard(where.gap.channel, { kind: "gap", gap: where.gap }));
    if (ended) for (const { channel } of asked) told.push(...this.ended(channel));
    return told;
  }

  caughtUp() {
    for (const listener of this.#all) if (listener.state === "catching") listener.state = "live";
  }

  /** Whoever is to hear this of the channel, or of all. */
  heard(channel, item) {
    const state = this.#all.some(({ state }) => state === "catching") ? "catching" : "live";
    const hearing = this.#all.filter((each) => each.state === state && (channel === undefined || selects(each.channel, channel)));
    return hearing.map(({ id }) => ({ heard: id, item }));
  }

  /** The channel has ended: who listens to it alone has heard everything, and has gone. */
  ended(channel) {
    const told = this.heard(channel, { kind: "end", channel });
    const gone = this.#all.filter((listener) => listener.channel === channel);
    for (const listener of gone) this.#remove(listener);
    return [...told, ...gone.map(({ id }) => ({ over: id }))];
  }
}
