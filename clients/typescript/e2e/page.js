// What runs in the pages of the tests: a client as it is built, and notes of all that it says.

import { Switchboard } from "/client/index.js";
import { shared } from "/client/tabs/index.js";

const notes = { states: [], heard: [], gaps: [], ended: [], answers: [], failures: [], tokens: [] };
globalThis.notes = notes;

/** Starts a client. `tokens` is a path that gives one, `tabs` has it share a connection, `patient` makes it wait long. */
globalThis.begin = (url, { tokens, tabs, patient, ...options } = {}) => {
  if (tokens) {
    options.getToken = async ({ reason }) => {
      const token = await (await fetch(tokens)).text();
      notes.tokens.push(reason);
      return token;
    };
  }
  if (tabs) options.engine = shared();
  if (patient) {
    options.clock = {
      now: () => performance.now(),
      set: (callback, milliseconds) => setTimeout(callback, milliseconds),
      clear: (timer) => clearTimeout(timer),
      random: () => 0.999,
    };
  }
  const client = new Switchboard(url, options);
  globalThis.client = client;
  client.on("statechange", (change) => notes.states.push({ ...change, error: change.error?.code, at: performance.now() }));
  client.on("session", ({ id }) => (notes.session = id));
  return client.connect();
};

/** What this script runs in, and whether there is a document. */
globalThis.world = () => [globalThis.constructor.name, "document" in globalThis];

/** What is known by now. */
globalThis.look = () => ({ ...notes, state: client.state, transport: client.transport });

/** Answers calls of the server's. */
globalThis.serve = () => void client.method("double", ([n]) => 2 * n);

/** Subscribes, and notes what comes. */
globalThis.listen = async (channel, options) => {
  const subscription = client.channel(channel).subscribe(options);
  subscription.on("event", ({ data }) => notes.heard.push(data));
  subscription.on("gap", ({ reason }) => notes.gaps.push(reason));
  subscription.on("error", ({ code }) => notes.failures.push(code));
  await subscription.ready;
};

/** Makes one call after the other, and notes how each was answered. None has a key: what is sent twice is worked on twice. */
globalThis.callOften = async (count) => {
  for (let n = 0; n < count; n++) {
    await client.channel("calls").publish(n).then(
      ({ channel }) => notes.answers.push(channel),
      ({ code }) => notes.failures.push(code),
    );
  }
};

/** A worker of this kind that does the same in its own world: gives what has it do one of these functions. */
globalThis.hire = async (kind) => {
  const options = { type: "module" };
  const { port1: port, port2 } = new MessageChannel();
  if (kind === "dedicated") new Worker("/worker.js", options).postMessage("begin", [port2]);
  if (kind === "shared") new SharedWorker("/worker.js", options).port.postMessage("begin", [port2]);
  if (kind === "service") {
    await navigator.serviceWorker.register("/worker.js", options);
    (await navigator.serviceWorker.ready).active.postMessage("begin", [port2]);
  }
  const waiting = new Map();
  port.onmessage = ({ data: { id, result, error } }) => {
    const { done, fail } = waiting.get(id);
    if (error) fail(new Error(error));
    else done(result);
  };
  globalThis.inWorker = (name, ...values) =>
    new Promise((done, fail) => {
      const id = waiting.size;
      waiting.set(id, { done, fail });
      port.postMessage({ id, name, values });
    });
  return inWorker("world");
};

globalThis.isReady = true;
