/** Which transport gets through: each has a short head start before the next. */

import { SwitchboardError } from "./errors.js";
import type { Closing, Said } from "./session/words.js";
import type { Cut, Hearing, Link, Transport } from "./transport.js";

/** Who is told what a connection hears. */
export interface Owner {
  message(connection: Connection, text: string, place?: string): void;
  page(connection: Connection, text: string): void;
  cut(connection: Connection, cut: Cut): void;
}

/** One connection, from the attempt to its end. */
export class Connection implements Hearing {
  readonly transport: Transport;
  link: Link | undefined;
  owner: Owner;
  /** The session that was opened for it alone. */
  said: Said | undefined;
  /** When something was heard last. */
  heard: number;
  /** and how often. */
  sounds = 0;
  readonly #now: () => number;
  #isOver = false;

  constructor(transport: Transport, owner: Owner, now: () => number) {
    this.transport = transport;
    this.owner = owner;
    this.#now = now;
    this.heard = now();
  }

  opened(said: Said): void {
    this.said = said;
  }

  message(text: string, place?: string): void {
    this.alive();
    if (!this.#isOver) this.owner.message(this, text, place);
  }

  page(text: string): void {
    this.alive();
    if (!this.#isOver) this.owner.page(this, text);
  }

  alive(): void {
    this.heard = this.#now();
    this.sounds++;
  }

  cut(cut: Cut): void {
    if (this.#isOver) return;
    this.close(false);
    this.owner.cut(this, cut);
  }

  /** Nothing more is heard of it. */
  close(end: boolean, location: string | undefined = this.said?.location): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.link?.close(end, location);
  }
}

export interface Runner {
  /** Begins to connect. */
  open(connection: Connection): Link;
  /** The first to be greeted. What it said comes from `owner`, which is to be another's now. */
  won(connection: Connection): void;
  /** None got through, or the server said that none is to. */
  lost(cut: Cut, closing: Closing | undefined): void;
}

export class Race implements Owner {
  readonly #rest: Transport[];
  readonly #running = new Set<Connection>();
  readonly #headStart: number;
  readonly #now: () => number;
  readonly #runner: Runner;
  #isOver = false;
  /** When the next may start. */
  #nextAt = 0;
  /** Why the last that failed did. */
  #cut: Cut = { kind: "lost", error: new SwitchboardError("unsupported", "no transport fits this platform") };
  #closing: Closing | undefined;

  constructor(transports: readonly Transport[], headStart: number, now: () => number, runner: Runner) {
    this.#rest = [...transports];
    this.#headStart = headStart;
    this.#now = now;
    this.#runner = runner;
  }

  get deadline(): number | undefined {
    return this.#rest.length > 0 ? this.#nextAt : undefined;
  }

  /** Time has passed. */
  tick(): void {
    if (!this.#isOver && this.#now() >= (this.deadline ?? Infinity)) this.next();
  }

  /** Starts the next one. */
  next(): void {
    const transport = this.#rest.shift();
    if (!transport) {
      if (this.#running.size === 0) this.#end(this.#cut);
      return;
    }
    this.#nextAt = this.#now() + this.#headStart;
    const connection = new Connection(transport, this, this.#now);
    this.#running.add(connection);
    connection.link = this.#runner.open(connection);
  }

  /** All of them are given up. A session that was opened for one is ended. */
  stop(): void {
    this.#isOver = true;
    for (const connection of this.#running) connection.close(true);
    this.#running.clear();
  }

  message(connection: Connection, text: string, place?: string): void {
    const closing = closingOf(text);
    if (closing) {
      this.#closing = closing;
      return;
    }
    this.#win(connection);
    connection.owner.message(connection, text, place);
  }

  page(connection: Connection, text: string): void {
    this.#win(connection);
    connection.owner.page(connection, text);
  }

  cut(connection: Connection, cut: Cut): void {
    this.#running.delete(connection);
    if (this.#isOver) return;
    this.#cut = cut;
    // The others would be told the same.
    if (cut.kind === "refused" || cut.kind === "gone" || this.#closing?.reconnect === false) return this.#end(cut);
    this.next();
  }

  #win(connection: Connection): void {
    this.#running.delete(connection);
    this.stop();
    this.#runner.won(connection);
  }

  #end(cut: Cut): void {
    this.stop();
    this.#runner.lost(cut, this.#closing);
  }
}

/** What `closing` says, if that is what this is. */
function closingOf(text: string): Closing | undefined {
  try {
    const { method, params } = JSON.parse(text);
    return method === "closing" ? params : undefined;
  } catch {
    return undefined;
  }
}
