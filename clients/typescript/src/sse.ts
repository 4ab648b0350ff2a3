/** Reads a stream of Server-Sent Events, as the HTML standard defines it (section 9.2.6), however it is cut into pieces. */

export interface Block {
  /** The type; `message` where it has none. */
  readonly event: string;
  readonly data: string;
  /** The last event ID: of this block or of one before it. */
  readonly id: string;
}

export class EventStream {
  readonly #onBlock: (block: Block) => void;
  readonly #onRetry: ((milliseconds: number) => void) | undefined;
  #buffer = "";
  #isFirst = true;
  /** The line before ended with CR, which an LF may belong to. */
  #skipsLf = false;
  #event = "";
  #data: string | undefined;
  #id = "";

  constructor(onBlock: (block: Block) => void, onRetry?: (milliseconds: number) => void) {
    this.#onBlock = onBlock;
    this.#onRetry = onRetry;
  }

  /** More of the stream, decoded. */
  feed(text: string): void {
    if (this.#isFirst && text) {
      this.#isFirst = false;
      if (text.startsWith("\uFEFF")) text = text.slice(1);
    }
    if (this.#skipsLf && text) {
      this.#skipsLf = false;
      if (text.startsWith("\n")) text = text.slice(1);
    }
    // What was searched before holds no end of a line.
    const ends = /\r\n?|\n/g;
    ends.lastIndex = this.#buffer.length;
    const all = this.#buffer + text;
    let from = 0;
    for (let end; (end = ends.exec(all)); from = ends.lastIndex) {
      this.#skipsLf = end[0] === "\r" && ends.lastIndex === all.length;
      this.#line(all.slice(from, end.index));
    }
    this.#buffer = all.slice(from);
  }

  /** Another stream begins. What is not finished of this one is dropped; the last event ID is kept. */
  reset(): void {
    this.#buffer = this.#event = "";
    this.#data = undefined;
    this.#isFirst = true;
    this.#skipsLf = false;
  }

  #line(line: string): void {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (name === "data") this.#data = this.#data === undefined ? value : `${this.#data}\n${value}`;
    else if (name === "event") this.#event = value;
    else if (name === "id" && !value.includes("\0")) this.#id = value;
    else if (name === "retry" && /^\d+$/.test(value)) this.#onRetry?.(Number(value));
  }

  #dispatch(): void {
    const block = { event: this.#event || "message", data: this.#data ?? "", id: this.#id };
    const isThere = this.#data !== undefined;
    this.#event = "";
    this.#data = undefined;
    if (isThere) this.#onBlock(block);
  }
}
