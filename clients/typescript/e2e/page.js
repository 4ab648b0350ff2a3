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

/** Subscribes, and notes what comes. */
globalThis.listen = async (channel, options) => {
  const subscription = client.channel(channel).subscribe(options);
  subscription.on("event", ({ data }) => notes.heard.push(data));
  subscription.on("gap", ({ reason }) => notes.gaps.push(reason));
  subscription.on("error", ({ code }) => notes.failures.push(code));
  await subscription.ready;
};

/** Makes one call after the other, and notes how each was answered. */
globalThis.callOften = async (count) => {
  for (let n = 0; n < count; n++) {
    await client.channel("calls").publish(n, { key: `call-${n}` }).then(
      ({ channel }) => notes.answers.push(channel),
      ({ code }) => notes.failures.push(code),
    );
  }
};

globalThis.isReady = true;
