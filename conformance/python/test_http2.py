"""`httpx` over HTTP/2, which it speaks by `h2`: in clear text by prior knowledge, over TLS by ALPN."""

import asyncio
import base64
import contextlib
import json

import h2.exceptions
import httpx

from support import BINARY, BYTES, LINES, TEXT, Case, Secure, within
from test_httpx_sse import HttpxSse

NDJSON = {"Accept": "application/x-ndjson"}


class HttpxSseHttp2(HttpxSse):
    """What is shown over HTTP/1.1 is shown here too, on one connection for each client."""

    async def asyncSetUp(self):
        self.client = httpx.AsyncClient(http1=False, http2=True, timeout=None)
        self.addAsyncCleanup(self.client.aclose)

    async def hears_farewell(self, events):
        # `h2` fails at a PING behind a GOAWAY, and with that loses whatever came in the same read.
        with contextlib.suppress(h2.exceptions.ProtocolError):
            await super().hears_farewell(events)


async def split(response):
    """Lines that end with LF alone: `aiter_lines` ends them at whatever Unicode may break lines at."""
    rest = ""
    async for text in response.aiter_text():
        *lines, rest = (rest + text).split("\n")
        for line in filter(None, lines):
            yield line


class HttpxHttp2(Case):
    async def begin(self):
        server, way = await self.stage()
        return server, way, httpx.AsyncClient(http1=False, http2=True, timeout=None)

    async def test_fifty_streams_and_what_is_published_beside_them_are_on_one_connection(self):
        _, way, client = await self.begin()
        async with client:
            heard = await asyncio.gather(*(self.lines(client, f"{way.url}/channels/a") for _ in range(50)))
            for data in [TEXT, "two", "three"]:
                answer = await client.post(f"{way.url}/channels/a", content=data, headers={"Content-Type": "text/plain"})
                self.assertEqual((answer.status_code, answer.http_version), (201, "HTTP/2"))
            for lines in heard:
                events = [json.loads(await within("a line", anext(lines))) for _ in range(4)]
                self.assertEqual([event.get("data") for event in events], [None, TEXT, "two", "three"])
            self.assertEqual(way.connections, 1)

    async def lines(self, client, url):
        """The lines of a stream that is open."""
        request = client.build_request("GET", url, headers=NDJSON)
        response = await within("an answer", client.send(request, stream=True))
        self.addAsyncCleanup(response.aclose)
        self.assertEqual((response.status_code, response.http_version), (200, "HTTP/2"))
        return split(response)

    async def test_long_polls_a_stream_of_events_and_a_raw_body(self):
        _, way, client = await self.begin()
        url = f"{way.url}/channels/a"
        async with client:
            first = (await client.post(url, content=LINES, headers={"Content-Type": "text/plain"})).json()
            poll = asyncio.create_task(client.get(url, params={"wait": 30, "since": first["position"]}))

            async def words():
                for data in [{"data": TEXT}, {"base64": base64.b64encode(BYTES).decode()}]:
                    yield json.dumps(data).encode() + b"\n"

            headers = {"Content-Type": "application/x-ndjson"}
            published = await client.post(f"{url}?end=true", content=words(), headers=headers)
            self.assertEqual(published.json()["count"], 2)
            page = (await within("the long poll", poll)).json()
            self.assertEqual(page["events"][0]["data"], TEXT)
            raw = await client.get(url, params={"form": "raw", "since": "earliest"}, headers=NDJSON)
            self.assertEqual(raw.content, (LINES + TEXT).encode() + BYTES)

    async def test_a_session_by_event_stream_and_posts(self):
        _, way, client = await self.begin()
        async with client:
            opened = (await client.post(f"{way.url}/session")).json()
            at = way.url + opened["location"]
            lines = await self.lines(client, at)
            for number, method, params in [(1, "subscribe", {"channel": "a"}), (2, "publish", {"channel": "a", "data": TEXT})]:
                message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
                self.assertEqual((await client.post(at, json=message)).status_code, 202)
            heard = {}
            while "event" not in heard:
                message = json.loads(await within("a message", anext(lines)))
                heard[message.get("method", message.get("id"))] = message
            self.assertEqual(heard["event"]["params"]["data"], TEXT)
            self.assertIn("result", heard[1])


class HttpxHttp2OverTls(Secure, HttpxHttp2):
    async def begin(self):
        trust = self.trust()
        server, way = await self.stage()
        return server, way, httpx.AsyncClient(http2=True, verify=trust, timeout=None)
