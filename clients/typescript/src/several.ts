/**
 * Several transports as one. Each has a short head start before the next, and the first that the server greets is read
 * from; the others are given up. So what holds a stream back without a word is noticed by the time its first byte takes.
 * What worked is remembered, and once in a while a better one is tried.
 */

import { SwitchboardError } from "./errors.js";
import { HEAD_START, PROOF, SOON, STRIKES, UPGRADE, UPGRADE_MAX } from "./limits.js";
import { closingOf, type Said } from "./session/words.js";
import type { Cut, Hearing, Link, Transport, TransportName, Up, Way } from "./transport.js";
import type { StorageLike } from "./types.js";

export interface SeveralOptions {
  /** Head start of one transport before the next, in milliseconds: 1,000 unless told. */
  headStart?: number;
  /** When a better transport is tried for the first time, in milliseconds: 30,000 unless told, and longer each time. */
  upgrade?: number;
  /** Where the transport that worked is remembered: `localStorage` unless told, and `null` for nowhere. */
  storage?: StorageLike | null;
}

/** Makes one transport of several, the best first. It is for one client. */
export function several(transports: readonly Transport[], options: SeveralOptions = {}): Transport {
  if (transports.length === 0) throw new SwitchboardError("unsupported", "several() takes one transport or more");
  const memory = new Memory(transports, options);
  return {
    name: transports[0]!.name,
    fits: (way) => transports.some((transport) => transport.fits(way)),
    open: (way, hearing) => new Several(way, hearing, memory, options.headStart ?? HEAD_START),
  };
}

/** What is known of the transports. */
class Memory {
  readonly transports: readonly Transport[];
  readonly #upgrade: number;
  readonly #storage: StorageLike | null | undefined;
  #first: TransportName | string | null | undefined;
  #strikes = 0;
  #upgrades = 0;

  constructor(transports: readonly Transport[], { upgrade, storage }: SeveralOptions) {
    this.transports = transports;
    this.#upgrade = upgrade ?? UPGRADE;
    try {
      this.#storage = storage === undefined && globalThis.document ? globalThis.localStorage : storage;
    } catch {
      // A page may be kept from its own.
    }
  }

  /** What worked last comes first, then the best. */
  order({ url }: Way): Transport[] {
    const first = (this.#first ??= this.#storage?.getItem(key(url)));
    return [...this.transports].sort((one, other) => Number(other.name === first) - Number(one.name === first));
  }

  /** Those that are better. */
  above(transport: Transport): Transport[] {
    return this.transports.slice(0, this.transports.indexOf(transport));
  }

  /** How long to wait before a better one is tried. */
  later(): number {
    return Math.min(this.#upgrade * 2 ** this.#upgrades++, UPGRADE_MAX);
  }

  works({ name }: Transport, { url }: Way): void {
    if (name !== this.#first) this.#upgrades = 0;
    this.#first = name;
    try {
      this.#storage?.setItem(key(url), name);
    } catch {
      // It may be full.
    }
  }

  /** A connection broke soon, or fell silent; or it did neither. */
  ended(transport: Transport, isBad: boolean): void {
    this.#strikes = isBad ? this.#strikes + 1 : 0;
    if (this.#strikes < STRIKES) return;
    this.#strikes = 0;
    this.#first = this.transports[(this.transports.indexOf(transport) + 1) % this.transports.length]!.name;
  }

  /** None got through, or the network is another: what worked is not preferred any more. */
  forget(): void {
    this.#first = "";
    this.#upgrades = this.#strikes = 0;
  }
}

const key = (url: string) => `switchboard ${url}`;

/** One of them, while it is tried and while it is read from. */
interface Runner {
  readonly transport: Transport;
  link: Link | undefined;
  said: Said | undefined;
  /** The server closes it before it has greeted. */
  farewell: string | undefined;
}

class Several implements Link {
  readonly #way: Way;
  readonly #hearing: Hearing;
  readonly #memory: Memory;
  readonly #headStart: number;
  /** What is read from, and since when. */
  #current: Runner | undefined;
  #since = 0;
  /** What is tried, and what is yet to be. */
  #running: Runner[] = [];
  #rest: Transport[];
  #timer: unknown;
  #patience: unknown;
  /** While a better one is tried: what the present one brings. It counts only if the better one does not get through. */
  #held: (() => void)[] | undefined;
  #cut: Cut = { kind: "unfit", error: new SwitchboardError("unsupported") };
  #isClosed = false;

  constructor(way: Way, hearing: Hearing, memory: Memory, headStart: number) {
    this.#way = way;
    this.#hearing = hearing;
    this.#memory = memory;
    this.#headStart = headStart;
    this.#rest = memory.order(way);
    this.#next();
  }

  get isBusy(): boolean {
    return this.#current?.link?.isBusy ?? false;
  }

  pump(up: Up): void {
    this.#current?.link?.pump(up);
  }

  ask(): void {
    this.#current?.link?.ask?.();
  }

  rethink(): void {
    this.#memory.forget();
    if (this.#current && !this.#held) this.#upgrade();
  }

  close(end: boolean): void {
    this.#isClosed = true;
    this.#stop();
    const current = this.#current;
    this.#current = undefined;
    // Nobody but who listens notices silence.
    if (current && !end) this.#memory.ended(current.transport, true);
    current?.link?.close(end);
  }

  /** Starts the next one, and after its head start the one after that. */
  #next(): void {
    this.#way.clock.clear(this.#timer);
    const transport = this.#rest.shift();
    if (!transport) {
      if (this.#running.length === 0) queueMicrotask(() => this.#failed());
      return;
    }
    if (!transport.fits(this.#way)) return this.#next();
    const runner: Runner = { transport, link: undefined, said: undefined, farewell: undefined };
    this.#running.push(runner);
    this.#timer = this.#way.clock.set(() => this.#next(), this.#headStart);
    try {
      runner.link = transport.open(this.#way, this.#listenTo(runner));
    } catch (cause) {
      this.#lost(runner, { kind: "unfit", error: new SwitchboardError("unreachable", undefined, { cause }) });
    }
  }

  #listenTo(runner: Runner): Hearing {
    const hearing = this.#hearing;
    /** Does it now if it is read from, later if that waits, and never if it was given up. */
    const take = (what: () => void): void => {
      if (runner !== this.#current) return;
      if (this.#held) this.#held.push(() => take(what));
      else what();
    };
    return {
      opened: (said) => void (runner.said = said),
      over() {},
      alive: () => void (runner === this.#current && hearing.alive()),
      ready: () => void (runner === this.#current && hearing.ready()),
      message: (...message): void => {
        if (this.#running.includes(runner)) {
          if (closingOf(message[0])) return void (runner.farewell = message[0]);
          this.#won(runner);
        }
        take(() => hearing.message(...message));
      },
      cut: (cut) => {
        if (this.#running.includes(runner)) return this.#lost(runner, cut);
        take(() => {
          this.#memory.ended(runner.transport, this.#way.clock.now() - this.#since < SOON);
          this.#isClosed = true;
          this.#stop();
          hearing.cut(cut);
        });
      },
    };
  }

  #won(runner: Runner): void {
    this.#running = this.#running.filter((other) => other !== runner);
    this.#stop();
    this.#current?.link?.close(false);
    this.#held = undefined;
    this.#current = runner;
    this.#since = this.#way.clock.now();
    this.#memory.works(runner.transport, this.#way);
    this.#hearing.over(runner.transport.name, runner.said);
    this.#later();
  }

  #lost(runner: Runner, cut: Cut): void {
    this.#running = this.#running.filter((other) => other !== runner);
    this.#cut = cut;
    // The others would be told the same.
    const isSaid = cut.kind === "refused" || cut.kind === "gone" || (cut.kind === "lost" && cut.wait !== undefined);
    if (isSaid || runner.farewell) this.#stop();
    if (runner.farewell && !this.#current) this.#hearing.message(runner.farewell);
    this.#next();
  }

  /** None of those that were tried got through. */
  #failed(): void {
    if (this.#isClosed) return;
    this.#stop();
    if (!this.#current) {
      this.#isClosed = true;
      this.#memory.forget();
      return this.#hearing.cut(this.#cut);
    }
    const held = this.#held ?? [];
    this.#held = undefined;
    this.#later();
    for (const each of held) each();
  }

  #later(): void {
    if (this.#memory.above(this.#current!.transport).length === 0) return;
    this.#timer = this.#way.clock.set(() => this.#upgrade(), this.#memory.later());
  }

  /** Tries those that are better. They begin where the present one is now. */
  #upgrade(): void {
    this.#rest = this.#memory.above(this.#current!.transport);
    if (this.#rest.length === 0) return;
    this.#held = [];
    this.#next();
    this.#patience = this.#way.clock.set(() => this.#failed(), PROOF);
  }

  /** What is tried is given up; a session that was opened for it alone is ended. */
  #stop(): void {
    this.#way.clock.clear(this.#timer);
    this.#way.clock.clear(this.#patience);
    this.#rest = [];
    for (const { link } of this.#running.splice(0)) link?.close(this.#way.location === undefined && !this.#current);
  }
}
