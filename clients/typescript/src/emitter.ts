/** Listeners, by the type of what they listen to. */

import type { Undo } from "./types.js";

type Listener<Value> = (value: Value) => void;

export interface ListenOptions {
  /** Removes the listener. */
  signal?: AbortSignal;
}

/** What has listeners. */
export class Emitter<Events extends Record<string, any>> {
  readonly #listeners = new Map<keyof Events, Set<Listener<any>>>();

  /** Adds a listener, and gives what removes it. */
  on<Type extends keyof Events>(type: Type, listener: Listener<Events[Type]>, { signal }: ListenOptions = {}): Undo {
    const undo = () => {
      this.off(type, listener);
      signal?.removeEventListener("abort", undo);
    };
    if (signal?.aborted) return undo;
    signal?.addEventListener("abort", undo, { once: true });
    const listeners = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, listeners.add(listener));
    return undo;
  }

  /** Adds a listener for the next time alone. */
  once<Type extends keyof Events>(type: Type, listener: Listener<Events[Type]>, options?: ListenOptions): Undo {
    const undo = this.on(
      type,
      (value) => {
        undo();
        listener(value);
      },
      options,
    );
    return undo;
  }

  /** Removes it. */
  off<Type extends keyof Events>(type: Type, listener: Listener<Events[Type]>): void {
    this.#listeners.get(type)?.delete(listener);
  }

  /** @internal Whether somebody listens. */
  protected hears(type: keyof Events): boolean {
    return (this.#listeners.get(type)?.size ?? 0) > 0;
  }

  /** @internal What one listener throws is no concern of the others. */
  protected emit<Type extends keyof Events>(type: Type, value: Events[Type]): void {
    for (const listener of [...(this.#listeners.get(type) ?? [])]) {
      try {
        listener(value);
      } catch (error) {
        report(error);
      }
    }
  }
}

/** An error that nobody catches is said where the platform says such. */
export function report(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
