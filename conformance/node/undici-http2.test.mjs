// undici over HTTP/2: what it shows over HTTP/1.1 it shows here too, by prior knowledge in clear text and by ALPN over TLS.

import assert from "node:assert/strict";
import test, { after } from "node:test";
import { Agent, EventSource, H2CClient, WebSocket, fetch } from "undici";
import { certificate, secureStage, stage, within } from "../support/index.mjs";
import { eventSourceContract } from "./event-source.mjs";
import { fetchContract } from "./fetch.mjs";
import { webSocketContract } from "./web-socket.mjs";

const own = await certificate();
after(own.remove);

// Nobody has told a client of HTTP/2 how long it may be silent on a stream.
const patient = { headersTimeout: 0, bodyTimeout: 0 };
const knowing = new Agent({ factory: (origin, options) => new H2CClient(origin, { ...options, ...patient }) });
const secure = new Agent({ allowH2: true, connect: { ca: own.authority }, ...patient });

over("HTTP/2", knowing, stage);
over("HTTP/2 over TLS", secure, (test, settings) => secureStage(test, own, settings));

function over(version, agent, stage) {
  const name = `undici, ${version}`;
  after(() => agent.destroy());
  /** The requests that went each way. It has seen bytes alone; the client says what was in them. */
  const ways = new Map();
  const told = (dispatch) => (options, handler) => {
    const headers = Object.fromEntries(new Headers(options.headers));
    ways.get(String(options.origin))?.push({ method: options.method, target: options.path, headers });
    return dispatch(options, handler);
  };
  const dispatcher = agent.compose(told);
  const begin = async (test, settings) => {
    const { way, ...rest } = await stage(test, settings);
    ways.set(way.url, way.requests);
    return { way, ...rest };
  };

  class Source extends EventSource {
    constructor(url) {
      super(url, { dispatcher });
    }
  }
  class Socket extends WebSocket {
    constructor(url) {
      super(url, { dispatcher });
    }
  }
  const get = (url, options) => fetch(url, { ...options, dispatcher });

  test(`${name}: is what is spoken, for WebSockets as well`, async (t) => {
    const { at } = await begin(t);
    const socket = new Socket(`${at.replace("http", "ws")}/channels/a`);
    t.after(() => socket.close());
    await within("the handshake", new Promise((done, fail) => Object.assign(socket, { onopen: done, onerror: fail })));
    const figures = await (await get(`${at}/metrics`)).text();
    const [accepted, http2] = ["accepted", "http2"].map((name) => new RegExp(`^switchboard_${name}_total (\\d+)$`, "m").exec(figures)[1]);
    assert.equal(http2, accepted);
  });
  eventSourceContract(name, Source, {}, begin);
  webSocketContract(name, Socket, begin);
  fetchContract(name, get, { saysCut: true, begin });
}
