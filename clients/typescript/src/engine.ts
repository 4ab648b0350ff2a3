/** What stands behind a client: a connection of its own, or another tab's. */

import type { Done, Happenings } from "./session/session.js";
import type { Sink } from "./session/subscriptions.js";
import type { Said } from "./session/words.js";
import type { StateChange } from "./types.js";

export interface EngineEvents extends Pick<Happenings, "called" | "notified"> {
  changed(change: Omit<StateChange, "previous">): void;
  began(said: Pick<Said, "id">): void;
}

export interface Engine {
  connect(): void;
  /** Ends for good. What was said before is sent first. */
  close(): Promise<void>;
  /** Gives what abandons the call. */
  call(method: string, params: unknown, repeats: boolean, done: Done): () => void;
  notify(method: string, params: unknown): void;
  /** Gives what ends it. */
  listen(channel: string, since: string | undefined, presence: boolean, sink: Sink): () => void;
}
