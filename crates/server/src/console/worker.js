// Where the page's connections are held: in a thread of its own, so that painting delays no reader and takes no part in
// the latency that is shown. It passes on what transports hear, with the time at which they heard it.

import { transports } from "./transports.js";

const closers = new Map();

onmessage = ({ data: { id, key, channel, since, settings } }) => {
  closers.get(id)?.();
  closers.delete(id);
  if (!key) return;
  const hear = {};
  for (const name of ["asking", "live", "item", "ended", "lost", "refused"]) {
    hear[name] = (...said) => postMessage({ id, name, said, at: Date.now() });
  }
  closers.set(id, transports[key].open(channel, since, hear, settings));
};
