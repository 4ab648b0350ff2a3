/** Listeners, by the type of what they listen to. */

import type { Undo } from "./types.js";

type Listener<Value> = (value: Value) => void;

export interface ListenOptions {
  /** Removes the listener. */
  signal?: AbortSignal;
}

/** What has listeners. */
export class Emitter<Events extends Record<string, any>> {
  /** Each with what is called for it, which is something else for one that listens once. */
  readonly #listeners = new Map<keyof Events, Map<Listener<any>, Listener<any>>>();

  /** Adds a listener, and gives what removes it. One that is there already stays as it is. */
  on<Type extends keyof Events>(type: Type, listener: Listener<Events[Type]>, options?: ListenOptions): Undo {
    return this.#add(type, listener, listener, options);
  }

  #add(type: keyof Events, listener: Listener<any>, called: Listener<any>, { signal }: ListenOptions = {}): Undo {
    const undo = () => {
      this.off(type, listener);
      signal?.removeEventListener("abort", undo);
    };
    const listeners = this.#listeners.get(type) ?? new Map();
    // As with an EventTarget, what listens already stays as it is.
    if (signal?.aborted || listeners.has(listener)) return undo;
    signal?.addEventListener("abort", undo, { once: true });
    this.#listeners.set(type, listeners.set(listener, called));
    this.added(type);
    return undo;
  }

  /** @internal A listener was added, once or for good. */
  protected added(_type: keyof Events): void {}

  /** Adds a listener for the next time alone. */
  once<Type extends keyof Events>(type: Type, listener: Listener<Events[Type]>, options?: ListenOptions): Undo {
    const undo = this.#add(
      type,
      listener,
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
    return Boolean(this.#listeners.get(type)?.size);
  }

  /** @internal What one listener throws is no concern of the others. */
  protected emit<Type extends keyof Events>(type: Type, value: Events[Type]): void {
    for (const listener of [...(this.#listeners.get(type)?.values() ?? [])]) {
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
