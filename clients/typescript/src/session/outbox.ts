/** The way up: messages in the order of their numbers, kept until the server is known to have applied them. */

/** What a message is, for the case that its session is lost: the number of a call, or no call. */
export type Kind = number | "notification" | "answer";

export class Outbox {
  #kept: { kind: Kind; text: string }[] = [];
  /** The number of the first that is kept. */
  #first = 1;
  /** How many of those were given out on the present connection, */
  #given = 0;
  /** and on any connection of this session. */
  #tried = 0;
  /** The length of all that are kept. */
  length = 0;

  get count(): number {
    return this.#kept.length;
  }

  push(kind: Kind, text: string): void {
    this.length += text.length;
    this.#kept.push({ kind, text });
  }

  /** A session begins, with this number. */
  begin(seq: number): void {
    this.#first = seq;
  }

  /**
   * The server goes on with this number: it has those before it. What it says may be older than what is known already.
   * `false` if it cannot be.
   */
  goOn(seq: number): boolean {
    if (seq > this.#first + this.#tried) return false;
    this.confirm(seq - 1);
    this.#given = 0;
    return true;
  }

  /** The next to send, with its number. */
  next(): { seq: number; text: string } | undefined {
    const message = this.#kept[this.#given];
    if (!message) return undefined;
    const seq = this.#first + this.#given++;
    this.#tried = Math.max(this.#tried, this.#given);
    return { seq, text: message.text };
  }

  get hasNext(): boolean {
    return this.#given < this.#kept.length;
  }

  /** What was given out on a connection that is lost is to be given out again. */
  rewind(): void {
    this.#given = 0;
  }

  /** All up to this number were applied. */
  confirm(seq: number): void {
    while (this.#first <= seq && this.#tried > 0) this.#pop();
  }

  /** The message of this number was refused, and takes none: the next one has it now. */
  refuse(seq: number): Kind | undefined {
    if (seq !== this.#first || this.#tried === 0) return undefined;
    const kind = this.#pop();
    this.#first = seq;
    this.#given = 0;
    return kind;
  }

  /** The number under which this was given out and not confirmed. */
  seqOf(kind: Kind): number | undefined {
    const at = this.#kept.findIndex((message) => message.kind === kind);
    return at >= 0 && at < this.#tried ? this.#first + at : undefined;
  }

  /** Drops a message that nobody has tried to send yet: the server need not hear of it. */
  forget(kind: Kind): void {
    const at = this.#kept.findIndex((message, at) => at >= this.#tried && message.kind === kind);
    if (at >= 0) this.length -= this.#kept.splice(at, 1)[0]!.text.length;
  }

  /** The session is lost. Gives the messages that were never tried; whether the others were applied is not known. */
  clear(): { kind: Kind; text: string }[] {
    const untried = this.#kept.slice(this.#tried);
    this.#kept = [];
    this.#given = this.#tried = this.length = 0;
    return untried;
  }

  #pop(): Kind {
    const { kind, text } = this.#kept.shift()!;
    this.length -= text.length;
    this.#first++;
    this.#tried--;
    this.#given = Math.max(0, this.#given - 1);
    return kind;
  }
}
