/** Which transports to try, in which order; what is remembered of those that were. */

import type { Connection } from "./race.js";
import type { Transport } from "./transport.js";
import type { Clock, Storage } from "./types.js";

/** Failures in a row after which a transport that has worked is doubted. */
const STRIKES = 3;
/** A connection that ends so soon did not work, in milliseconds. */
const SOON = 2_000;
/** When a better transport is tried for the first time, and the longest wait. */
const UPGRADE = [30_000, 600_000] as const;
/** Silence in which nothing was cut yet that is worth to be told from a cut by chance. */
const IDLE = 1_000;

export class Choice {
  /** The connection that works. */
  current: Connection | undefined;
  /** How long a connection may be silent before something is said, so that nothing on the way takes it for dead. */
  idle = Infinity;
  readonly #transports: readonly Transport[];
  readonly #clock: Clock;
  readonly #storage: Storage | undefined;
  readonly #key: string;
  #first: Transport | undefined;
  #since = 0;
  #strikes = 0;
  #upgrades = 0;
  /** The silence after which the connection before was cut. */
  #silence = Infinity;

  constructor(transports: readonly Transport[], clock: Clock, url: string, storage: Storage | null | undefined) {
    this.#transports = transports;
    this.#clock = clock;
    this.#key = `switchboard ${url}`;
    this.#storage = storage ?? undefined;
    try {
      if (storage === undefined && globalThis.document) this.#storage = globalThis.localStorage;
      const name = this.#storage?.getItem(this.#key);
      this.#first = transports.find((transport) => transport.name === name);
    } catch {
      // A page may have none.
    }
  }

  /** What worked last comes first, then the best. */
  get order(): readonly Transport[] {
    const first = this.#first;
    return first ? [first, ...this.#transports.filter((transport) => transport !== first)] : this.#transports;
  }

  /** Those that are better. */
  above(transport: Transport): readonly Transport[] {
    return this.#transports.slice(0, this.#transports.indexOf(transport));
  }

  /** When a better one is to be tried. */
  later(): number {
    return this.#clock.now() + Math.min(UPGRADE[0] * 2 ** this.#upgrades++, UPGRADE[1]);
  }

  works(connection: Connection): void {
    this.current = connection;
    this.#since = this.#clock.now();
    this.#first = connection.transport;
    if (this.#transports[0] === this.#first) this.#upgrades = 0;
    try {
      this.#storage?.setItem(this.#key, this.#first.name);
    } catch {
      // It may be full.
    }
  }

  /** Whether the connection that works did so for a while. */
  get hasLasted(): boolean {
    return this.#clock.now() - this.#since >= SOON;
  }

  /** The network is another. */
  forget(): void {
    this.#first = undefined;
    this.#upgrades = this.#strikes = 0;
    this.#silence = this.idle = Infinity;
  }

  /** It was silent where it had to speak. */
  fails(connection: Connection): void {
    if (++this.#strikes < STRIKES) return;
    this.#strikes = 0;
    this.#first = this.#transports[(this.#transports.indexOf(connection.transport) + 1) % this.#transports.length];
  }

  /** None got through: what worked once is not preferred any more. */
  rotate(): void {
    this.#first = undefined;
  }

  /** The connection broke, without a word of the server's. */
  broke(connection: Connection): void {
    if (!this.hasLasted) return this.fails(connection);
    const silence = this.#clock.now() - connection.heard;
    // Twice after the same silence is no chance: something on the way cuts what is idle.
    if (silence >= IDLE) {
      if (silence < this.#silence * 1.25 && silence > this.#silence * 0.8) this.idle = silence / 2;
      this.#silence = silence;
    }
  }
}
