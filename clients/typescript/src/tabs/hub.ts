/** What the tab that leads does for the others. */

import type { Engine } from "../engine.js";
import { answerOf, SwitchboardError } from "../errors.js";
import type { Message, Said } from "../session/words.js";
import type { StateChange } from "../types.js";
import { errorTo, type FromFollower, type FromLeader } from "./letters.js";

type Answer = (message: Pick<Message, "result" | "error">) => void;

export class Hub {
  readonly #engine: Engine;
  readonly say: (to: string, letter: FromLeader) => unknown;
  /** Does something when a tab is gone. */
  readonly #gone: (tab: string, then: () => void) => void;
  /** What each tab wants: what ends it, by its number. */
  readonly #tabs = new Map<string, Map<number, () => void>>();
  /** The server's calls that others are asked: those that may know it, of whom the first is asked. */
  readonly #asked = new Map<number, { left: Set<string>; tab?: string; letter: FromLeader; answer: Answer }>();
  #lastCall = 0;
  #change: Omit<StateChange, "previous"> = { state: "connecting" };
  #session: Pick<Said, "id"> | undefined;

  constructor(engine: Engine, say: (to: string, letter: FromLeader) => unknown, gone: (tab: string, then: () => void) => void) {
    this.#engine = engine;
    this.say = say;
    this.#gone = gone;
  }

  became(change: Omit<StateChange, "previous">): void {
    this.#change = change;
    this.#tell("*");
  }

  began({ id }: Pick<Said, "id">): void {
    this.#session = { id };
  }

  #tell(to: string): void {
    const { error, ...change } = this.#change;
    this.say(to, { kind: "became", change: { ...change, error: error && errorTo(error) }, session: this.#session });
  }

  /** The server calls what this tab does not know. */
  called(method: string, params: unknown, answer: Answer): void {
    const id = ++this.#lastCall;
    this.#asked.set(id, { left: new Set(this.#tabs.keys()), letter: { kind: "called", id, method, params }, answer });
    this.#ask(id);
  }

  /** One is asked after the other. Once nobody is left who may know it, nobody does. */
  #ask(id: number): void {
    const asked = this.#asked.get(id);
    if (!asked) return;
    const [tab] = asked.left;
    if (tab === undefined) {
      this.#asked.delete(id);
      asked.answer({ error: answerOf(new SwitchboardError("method_not_found")) });
    } else if (tab !== asked.tab) this.say((asked.tab = tab), asked.letter);
  }

  read(tab: string, letter: FromFollower): void {
    const wants = this.#tabs.get(tab) ?? this.#meet(tab);
    switch (letter.kind) {
      case "hello":
        return this.#tell(tab);
      case "ping":
        return void this.say(tab, { kind: "pong" });
      case "notify":
        return this.#engine.notify(letter.method, letter.params);
      case "drop":
        wants.get(letter.id)?.();
        return void wants.delete(letter.id);
      case "call": {
        const { id, method, params, repeats } = letter;
        const abandon = this.#engine.call(method, params, repeats, (error, result) => {
          wants.delete(id);
          this.say(tab, { kind: "done", id, error: error && errorTo(error), result });
        });
        return void wants.set(id, abandon);
      }
      case "listen": {
        const { id, channel, since, presence } = letter;
        const leave = this.#engine.listen(channel, since, presence, {
          granted: (said) => this.say(tab, { kind: "granted", id, said }),
          item: (item) => this.say(tab, { kind: "item", id, item }),
          over: (error) => this.say(tab, { kind: "over", id, error: error && errorTo(error) }),
        });
        return void wants.set(id, leave);
      }
      case "answer": {
        const asked = this.#asked.get(letter.id);
        if (letter.answer.error?.code !== -32601) {
          this.#asked.delete(letter.id);
          return asked?.answer(letter.answer);
        }
        asked?.left.delete(tab);
        return this.#ask(letter.id);
      }
    }
  }

  #meet(tab: string): Map<number, () => void> {
    const wants = new Map<number, () => void>();
    this.#tabs.set(tab, wants);
    this.#gone(tab, () => {
      this.#tabs.delete(tab);
      for (const end of wants.values()) end();
      for (const [id, { left }] of this.#asked) {
        left.delete(tab);
        this.#ask(id);
      }
    });
    return wants;
  }
}
