/** A connection of one's own: the driver, with the platform's clock, woken by the platform's events. */

import type { EngineEvents } from "./engine.js";
import { Driver, type DriverOptions } from "./driver.js";
import { LONGEST } from "./limits.js";
import type { Clock } from "./types.js";

export const CLOCK: Clock = {
  now: () => performance.now(),
  set: (callback, milliseconds) => setTimeout(callback, Math.min(Math.ceil(milliseconds), LONGEST)),
  clear: (timer) => clearTimeout(timer as number),
  random: () => Math.random(),
};

export function startDriver(
  url: string,
  options: Omit<DriverOptions, "clock"> & { clock?: Clock },
  events: EngineEvents,
): Driver {
  const stop = new AbortController();
  const driver = new Driver(url, { clock: CLOCK, ...options }, {
    ...events,
    changed(change) {
      if (change.state === "closed") stop.abort();
      events.changed(change);
    },
  });
  const on = (target: EventTarget | undefined, type: string, listener: (event: any) => void) =>
    target?.addEventListener?.(type, listener, { signal: stop.signal });
  const { document } = globalThis;
  const scope: EventTarget | undefined = globalThis;
  const look = () => document.visibilityState === "visible" && driver.wake();
  on(scope, "online", () => driver.rethink());
  on(scope, "offline", () => driver.doubt());
  on(scope, "pageshow", ({ persisted }) => persisted && driver.wake());
  // A page that is only put aside may come back.
  on(scope, "pagehide", ({ persisted }) => persisted || driver.leave());
  on(document, "visibilitychange", look);
  on(document, "resume", look);
  return driver;
}
