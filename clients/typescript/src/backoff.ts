/** How long to wait before the next attempt: full jitter, so that a crowd that lost its server does not return as one. */

const FIRST = 500;
const LONGEST = 20_000;

/** Counts the failures since something last succeeded. */
export class Backoff {
  failures = 0;

  /** Something succeeded: the next wait is short again. */
  reset(): void {
    this.failures = 0;
  }

  /** Milliseconds: anything from nothing to a ceiling that doubles. `chance` is from 0 up to 1. */
  next(chance: number): number {
    return Math.min(FIRST * 2 ** this.failures++, LONGEST) * chance;
  }
}
