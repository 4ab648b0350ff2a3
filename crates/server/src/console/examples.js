// Links to the pages of `examples/pages`, which another program serves, on this machine and only while it is run.

import { $, setText } from "./parts.js";

const AT = "http://127.0.0.1:8001";
const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

/** Goes there if somebody answers. Nobody is asked before a person wants to go. */
async function visit(event) {
  // Whoever wants a window of its own for it gets that, whether or not anybody answers.
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  const { href } = event.currentTarget;
  try {
    await fetch(`${AT}/icon.svg`, { mode: "no-cors", cache: "no-store" });
    location.assign(href);
  } catch {
    setText($("examples-result"), "They are not running: start them with cargo xtask examples, and follow the link again.");
  }
}

// Elsewhere the names stay names: what runs on the machine of who visits a server is no business of its page.
if (LOOPBACK.test(location.hostname)) {
  for (const name of document.querySelectorAll("[data-example]")) {
    const link = document.createElement("a");
    link.href = `${AT}/${name.dataset.example}`;
    link.append(...name.childNodes);
    link.addEventListener("click", visit);
    name.append(link);
  }
}
