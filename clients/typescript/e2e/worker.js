// What runs in workers: the same as in pages, asked by messages over a port of its own.

import "/page.js";

function serve(port) {
  port.onmessage = async ({ data: { id, name, values } }) => {
    try {
      port.postMessage({ id, result: await globalThis[name](...values) });
    } catch (error) {
      port.postMessage({ id, error: String(error) });
    }
  };
}

const begins = ({ ports: [port] }) => port && serve(port);
addEventListener("message", begins);
// A shared worker is connected to first, and then is told as the others are.
addEventListener("connect", ({ ports: [port] }) => (port.onmessage = begins));
