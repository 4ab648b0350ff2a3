// A server that asks for tokens, as one behind a proxy does, and clients that come through the proxy.

import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Agent, EventSource, WebSocket, fetch } from "undici";
import { Inbox, Server, program, within } from "../support/index.mjs";
import { NAME } from "./process.mjs";

const run = promisify(execFile);

const configured = (origin) => `
[proxies]
addresses = ["127.0.0.1"]

[auth]
skew = "0s"
origins = [${origin ? `"${origin}"` : ""}]

[[auth.key]]
algorithm = "HS256"
secret = "a secret of the tests that is long enough"

[[channel]]
pattern = "state/**"
class = "state"
subscribe = "anyone"
`;

/** A server with authentication that lets in pages of `origin`, a token for everything, and what signs more of them. */
export async function guarded(test, { settings = {}, origin, flags = [], configuration = configured(origin) } = {}) {
  const folder = await mkdtemp(join(tmpdir(), "switchboard-guarded-"));
  test.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, "switchboard.toml");
  await writeFile(file, configuration);
  const server = await Server.start(settings, ["--config", file, ...flags]);
  test.after(() => server.stop());
  const may = ["--subscribe", "**", "--publish", "**", "--manage", "**"];
  const sign = async (...flags) => {
    const { stdout } = await run(await program(), ["token", "--config", file, "--sub", "ann", ...may, ...flags]);
    return stdout.trim();
  };
  return { server, sign, token: await sign() };
}

/** What finds the name at the proxy, and trusts its certificate. */
export const lookup = (_name, options, found) =>
  options.all ? found(null, [{ address: "127.0.0.1", family: 4 }]) : found(null, "127.0.0.1", 4);

/** A browser's objects, as undici has them, for clients that reach the proxy. */
export class Client {
  #test;
  #dispatcher;
  #sockets;
  #proxy;
  #token;

  constructor(test, proxy, token, { allowH2 = false } = {}) {
    this.#test = test;
    this.#proxy = proxy;
    this.#token = token;
    const agent = (allowH2) => {
      const agent = new Agent({ allowH2, headersTimeout: 0, bodyTimeout: 0, connect: { ca: proxy.authority, lookup } });
      test.after(() => agent.destroy());
      return agent;
    };
    this.#dispatcher = agent(allowH2);
    // Browsers look whether a proxy offers WebSockets over HTTP/2, and open a connection of HTTP/1.1 where it does not.
    this.#sockets = agent(allowH2 && proxy.hasSocketsOverH2);
  }

  /** `patience` is for what may take long. */
  async fetch(path, { headers = {}, ...options } = {}, patience) {
    const control = new AbortController();
    this.#test.after(() => control.abort());
    const authorization = `Bearer ${this.#token}`;
    const request = { dispatcher: this.#dispatcher, signal: control.signal, headers: { authorization, ...headers }, ...options };
    return within(`an answer to ${path}`, fetch(`${this.#proxy.url}${path}`, request), patience);
  }

  async publish(channel, body, query = "") {
    const response = await this.fetch(`/channels/${channel}${query}`, { method: "POST", body });
    const answer = await response.json();
    if (response.status !== 201) throw new Error(`publishing was answered ${response.status}: ${JSON.stringify(answer)}`);
    return answer;
  }

  /** A stream of lines: `next` gives a line that is no heartbeat, parsed. */
  async lines(path, headers = {}) {
    const response = await this.fetch(path, { headers: { accept: "application/x-ndjson", ...headers } });
    const items = lines(response);
    return { response, next: async () => JSON.parse((await within(`a line of ${path}`, items.next())).value) };
  }

  /** A stream of server-sent events, by fetch: `next` gives the fields of a block. */
  async blocks(path) {
    const response = await this.fetch(path, { headers: { accept: "text/event-stream" } });
    const items = lines(response, true);
    const next = async () => {
      const block = {};
      for (;;) {
        const { value } = await within(`a block of ${path}`, items.next());
        if (value === "" && "data" in block) return block;
        const [, field, content] = /^([a-z]*):? ?(.*)$/.exec(value);
        if (field) block[field] = content;
      }
    };
    return { response, next };
  }

  /** An EventSource with its token in the query, which it cannot show in another way. */
  source(path) {
    const query = `${path.includes("?") ? "&" : "?"}token=${this.#token}`;
    const source = new EventSource(`${this.#proxy.url}${path}${query}`, { dispatcher: this.#dispatcher });
    this.#test.after(() => source.close());
    const inbox = new Inbox();
    for (const type of ["message", "$open", "$gap"]) source.addEventListener(type, ({ data }) => inbox.push([type, data]));
    const errors = [];
    source.addEventListener("error", () => errors.push(source.readyState));
    return { source, inbox, errors };
  }

  /** A WebSocket that shows its token beside a subprotocol, or in the query where there is none to be selected. */
  async socket(path, protocols) {
    const [query, list] = protocols ? ["", [...protocols, `switchboard.token.${this.#token}`]] : [`&token=${this.#token}`, []];
    const address = `${this.#proxy.url.replace(/^http/, "ws")}${path}${query}`;
    const socket = new WebSocket(address, { dispatcher: this.#sockets, protocols: list });
    socket.binaryType = "arraybuffer";
    this.#test.after(() => socket.close());
    const inbox = new Inbox();
    socket.addEventListener("message", ({ data }) => inbox.push(typeof data === "string" ? data : Buffer.from(data)));
    const closed = new Promise((done) => socket.addEventListener("close", ({ code }) => done(code)));
    const opened = new Promise((done, fail) => {
      socket.addEventListener("open", done);
      socket.addEventListener("error", ({ error, message }) => fail(error ?? new Error(message)));
    });
    await within("the handshake", opened);
    return { socket, inbox, closed: () => within("the socket to close", closed) };
  }
}

/** The lines of a body, without the empty ones unless they are wanted. */
async function* lines(response, withEmpty = false) {
  let rest = "";
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    const whole = (rest + text).split("\n");
    rest = whole.pop();
    yield* whole.filter((line) => withEmpty || line !== "");
  }
}

/** A request from this address of the machine's, whose answer is kept open: its status, and a way to end it. */
export async function from(test, address, proxy, path, headers) {
  const options = { ca: proxy.authority, lookup, localAddress: address, headers, servername: NAME, agent: false };
  const response = await within(
    "an answer",
    new Promise((done, fail) => https.get(`${proxy.url}${path}`, options, done).on("error", fail)),
  );
  response.on("error", () => {});
  test.after(() => response.destroy());
  return response;
}
