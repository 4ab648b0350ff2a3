// The real program in a process of its own, and a publisher that talks to it directly.

import { spawn } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { resolve } from "node:path";
import { freePort } from "./port.mjs";
import { within } from "./wait.mjs";

const VARIABLE = "CONFORMANCE_SERVER";

/** The path of the program under test. */
export async function program() {
  const path = process.env[VARIABLE];
  const remedy =
    `\`cargo xtask clients\` sets it. By hand, in the project's top folder: ` +
    `cargo build && export ${VARIABLE}="$PWD/target/debug/switchboard"`;
  if (!path) throw new Error(`${VARIABLE} is not set: it names the switchboard program to test. ${remedy}`);
  await access(path, constants.X_OK).catch(() => {
    throw new Error(`${VARIABLE} names ${path}, and there is no such program. ${remedy}`);
  });
  return resolve(path);
}

/** The surroundings without settings of the program. */
function environment(settings) {
  const others = Object.entries(process.env).filter(([name]) => !name.startsWith("SWITCHBOARD_"));
  return { ...Object.fromEntries(others), SWITCHBOARD_RETRY: "100ms", SWITCHBOARD_LOG_LEVEL: "warn", ...settings };
}

/** Whether the server that was started last listens by now, or never will. */
let started = Promise.resolve();

/** One after the other: of many at once on a busy machine each would take longer than it is waited for. */
async function inTurn(start) {
  const before = started;
  let done;
  started = new Promise((listens) => (done = listens));
  await before;
  return start().finally(done);
}

export class Server {
  #process;
  #settings;
  #words;
  #exit;
  port = 0;
  /** Of TLS, where the settings name a certificate. */
  securePort = 0;

  /** Starts on a free port. `settings` are variables of its environment, such as SWITCHBOARD_HISTORY_EVENTS;
   * `words` are more of its command. With a certificate among the settings it speaks TLS as well, on another port. */
  static async start(settings = {}, words = []) {
    const server = new Server();
    server.#settings = settings;
    server.#words = words;
    // Those that it comes back on must not be given to others while it is away.
    server.port = await freePort();
    if (server.#isSecure) server.securePort = await freePort();
    await inTurn(() => server.#run());
    return server;
  }

  get #isSecure() {
    return "SWITCHBOARD_TLS_CERTIFICATE" in this.#settings;
  }

  async #run() {
    const isSecure = this.#isSecure;
    const secure = isSecure ? { SWITCHBOARD_TLS_LISTEN: `127.0.0.1:${this.securePort}` } : {};
    const child = spawn(await program(), ["serve", "--listen", `127.0.0.1:${this.port}`, "--shards", "2", ...this.#words], {
      env: environment({ ...this.#settings, ...secure }),
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#process = child;
    this.#exit = new Promise((done) => child.once("exit", (code, signal) => done(code ?? signal)));
    let said = "";
    const listening = new Promise((done, fail) => {
      child.once("error", fail);
      child.once("exit", () => fail(new Error(`the server ended: ${said}`)));
      child.stdout.on("data", (text) => {
        said += text;
        const port = (scheme) => Number(new RegExp(`listening on ${scheme}://127\\.0\\.0\\.1:(\\d+)\n`).exec(said)?.[1] ?? 0);
        const ports = [port("http"), port("https")];
        if (ports[0] && (ports[1] || !isSecure)) done(ports);
      });
    });
    [this.port, this.securePort] = await within("the server says where it listens", listening);
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  get secureUrl() {
    return `https://127.0.0.1:${this.securePort}`;
  }

  /** Asks it to stop, and waits: 0, or why it ended otherwise. */
  async drain() {
    this.#process.kill("SIGTERM");
    return within("the server drains", this.#exit);
  }

  /** Starts again after a drain, on the same port. */
  async restart() {
    await inTurn(() => this.#run());
  }

  /** Ends it at once, at the end of a test. */
  async stop() {
    this.#process.kill("SIGKILL");
    await this.#exit;
  }

  /** Publishes one event, and gives its id. */
  async publish(channel, body, { type = "text/plain", event, end } = {}) {
    const query = new URLSearchParams();
    if (event) query.set("event", event);
    if (end) query.set("end", "true");
    const address = `${this.url}/channels/${channel}?${query}`;
    const response = await fetch(address, { method: "POST", headers: { "content-type": type }, body });
    const answer = await response.json();
    if (response.status !== 201) throw new Error(`publishing was answered ${response.status}: ${answer.detail}`);
    return answer.id ?? answer.position;
  }

  /** Deletes the channel: readers are told that what it held is gone. */
  async remove(channel) {
    const { status } = await fetch(`${this.url}/channels/${channel}`, { method: "DELETE" });
    if (status !== 204) throw new Error(`deleting was answered ${status}`);
  }

  /** A request of a backend's: the status, and the JSON that came with it. */
  async api(method, path, body) {
    const response = await fetch(`${this.url}/api${path}`, { method, body: body && JSON.stringify(body) });
    const text = await response.text();
    return [response.status, text ? JSON.parse(text) : undefined];
  }
}
