"""`requests` and `httpx` as most people use them: blocking, long polls for JSON, a stream by lines."""

import asyncio
import base64
import json

import httpx
import requests

from support import BINARY, BYTES, GZIP, PATIENCE, TEXT, Case


def follow(get, url):
    """Reads a channel by long polls from its first event to its end."""
    since, events, ended = "earliest", [], False
    while not ended:
        page = get(url, params={"since": since, "wait": 30}, timeout=PATIENCE).json()
        assert "gap" not in page, page
        since, ended = page["position"], page.get("ended", False)
        events += page["events"]
    return events


class Blocking(Case):
    async def follows(self, get):
        server, way = await self.stage()
        await server.publish("a", TEXT)
        reading = asyncio.create_task(asyncio.to_thread(follow, get, f"{way.url}/channels/a"))
        # Once the first page is read it waits, and each event wakes it.
        await way.arrived(2)
        await server.publish("a", BYTES, BINARY)
        await server.publish("a", "last", end=True)
        events = await reading
        self.assertEqual([event.get("data") for event in events], [TEXT, None, "last"])
        self.assertEqual(base64.b64decode(events[1]["base64"]), BYTES)

    async def test_requests_long_polls_a_channel_to_its_end(self):
        with requests.Session() as session:
            await self.follows(session.get)

    async def test_httpx_long_polls_a_channel_to_its_end(self):
        with httpx.Client() as client:
            await self.follows(client.get)

    async def test_requests_reads_an_http_stream_by_lines_and_resumes_it(self):
        server, way = await self.stage()

        def lines(headers):
            url, headers = f"{way.url}/channels/a?since=earliest", {"Accept": "application/x-ndjson", **headers}
            with requests.get(url, headers=headers, stream=True, timeout=PATIENCE) as response:
                yield from (json.loads(line) for line in response.iter_lines(chunk_size=1) if line)

        await server.publish("a", TEXT)
        heard = lines({})
        opened, first = [await asyncio.to_thread(next, heard) for _ in range(2)]
        self.assertIn("$open", opened)
        self.assertEqual(first["data"], TEXT)
        way.shut()
        with self.assertRaises(requests.RequestException):
            await asyncio.to_thread(next, heard)
        await server.publish("a", "last", end=True)
        way.open()
        opened, *rest = await asyncio.to_thread(list, lines({"Last-Event-ID": first["id"]}))
        self.assertTrue(opened["$open"]["recovered"])
        self.assertEqual([line.get("data") for line in rest], ["last", None])
        self.assertEqual(rest[1], {"$end": {"channel": "a"}})
        self.assertEqual(way.is_compressed, self.settings == GZIP)


class BlockingGzip(Blocking):
    settings = GZIP
