// A page that nobody keeps awake. Playwright holds its own pages visible, and a page that is visible cannot be frozen; so
// this one is driven by the protocol alone.

import { profile } from "../../../conformance/chromium/browser.mjs";
import { until, within } from "../../../conformance/support/index.mjs";

export class Bare {
  #cdp;
  #session;
  #asked = new Map();
  #last = 0;

  static async open(test, at) {
    const bare = new Bare();
    const browser = (await profile(test)).browser();
    const cdp = (bare.#cdp = await browser.newBrowserCDPSession());
    const { browserContextId } = await cdp.send("Target.createBrowserContext");
    const { targetId } = await cdp.send("Target.createTarget", { url: at, browserContextId });
    cdp.on("Target.receivedMessageFromTarget", ({ sessionId, message }) => {
      const { id, ...answer } = JSON.parse(message);
      if (sessionId === bare.#session && id) bare.#asked.get(id)?.(answer);
    });
    ({ sessionId: bare.#session } = await cdp.send("Target.attachToTarget", { targetId, flatten: false }));
    test.after(() => cdp.send("Target.disposeBrowserContext", { browserContextId }));
    await until("the page is ready", () => bare.evaluate("globalThis.isReady"));
    return bare;
  }

  async send(method, params = {}) {
    const id = ++this.#last;
    const answered = new Promise((done) => this.#asked.set(id, done));
    const message = JSON.stringify({ id, method, params });
    await this.#cdp.send("Target.sendMessageToTarget", { sessionId: this.#session, message });
    const { result, error } = await within(method, answered);
    if (error) throw new Error(`${method}: ${error.message}`);
    return result;
  }

  async evaluate(expression) {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** `frozen`: no script of it runs, as of a tab that the browser has put aside; `active`. */
  async life(state) {
    await this.send("Page.setWebLifecycleState", { state });
  }
}
