// The page's side of its worker: opens connections there, and hears from there.

// A policy of the page forbids that a mere string becomes a script's address, where browsers know such policies.
const policy = globalThis.trustedTypes?.createPolicy("worker", { createScriptURL: (url) => url });
const address = "/console/worker.js";
const worker = new Worker(policy ? policy.createScriptURL(address) : address, { type: "module" });

const hearers = new Map();
let last = 0;

worker.addEventListener("message", ({ data: { id, name, said, at } }) => hearers.get(id)?.(name, said, at));

/** Opens a transport. `hear(name, said, at)` is told what it says, and when. Returns a function that closes. */
export function open(key, channel, since, settings, hear) {
  const id = ++last;
  hearers.set(id, hear);
  worker.postMessage({ id, key, channel, since, settings });
  return () => {
    // What a connection says after it was closed is nobody's business.
    hearers.delete(id);
    worker.postMessage({ id });
  };
}
