// Node's own HTTP/1.1 client, which tells what comes before an answer.

import assert from "node:assert/strict";
import http from "node:http";
import test from "node:test";
import { within } from "../support/index.mjs";
import { LINKS, site } from "../support/site.mjs";

/** A request: what came before the answer, and the answer. */
function get(url, headers = {}) {
  const early = [];
  const answer = new Promise((done, fail) => {
    const request = http.get(url, { headers }, (response) => {
      response.resume();
      response.once("end", () => done({ early, response }));
    });
    request.on("information", (information) => early.push(information));
    request.once("error", fail);
  });
  return within("an answer", answer);
}

test("node:http: a page is preceded by hints on the first visit and not on the second", async (t) => {
  const server = await site(t);
  const browser = { "Sec-Fetch-Mode": "navigate" };
  const first = await get(`${server.url}/`, browser);
  assert.deepEqual(first.early.map(({ statusCode }) => statusCode), [103]);
  assert.deepEqual(first.early[0].headers.link, LINKS.join(", "));
  assert.equal(first.response.statusCode, 200);
  const [cookie] = first.response.headers["set-cookie"][0].split(";");
  const second = await get(`${server.url}/`, { ...browser, cookie });
  assert.deepEqual([second.early, second.response.statusCode], [[], 200]);
  assert.equal(second.response.headers.link, undefined);
  // Who does not say that it is a browser gets the answer alone.
  const other = await get(`${server.url}/`);
  assert.deepEqual(other.early, []);
  assert.equal(other.response.headers.link, LINKS.join(", "));
});
