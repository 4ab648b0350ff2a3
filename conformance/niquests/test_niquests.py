"""`niquests` over HTTP/2: WebSockets by extended CONNECT, Server-Sent Events, streams, long polls."""

import json
import pathlib
import sys

import niquests

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "python"))

from support import BINARY, BYTES, LINES, TEXT, Case, Secure, within  # noqa: E402 - it is in a folder of its own

HTTP_2 = 20


class Niquests(Case):
    async def asyncSetUp(self):
        await self.connect()

    async def connect(self):
        # Without HTTP/1.1 it takes for known that HTTP/2 is spoken.
        self.session = await self.enterAsyncContext(niquests.AsyncSession(disable_http1=True))

    async def open(self, url):
        """A WebSocket as RFC 8441 has it."""
        answer = await within("the handshake", self.session.get(url.replace("http", "ws", 1).replace("://", "+rfc8441://")))
        self.assertEqual((answer.http_version, answer.status_code), (HTTP_2, 200))
        return answer.extension

    async def told(self, socket):
        return json.loads(await within("a message", socket.next_payload()))

    async def test_a_websocket_carries_text_and_bytes_both_ways(self):
        server, way = await self.stage()
        socket = await self.open(f"{way.url}/channels/a")
        for data in [TEXT, BYTES, "compressible " * 20_000]:
            await socket.send_payload(data)
            self.assertEqual(await within("a message", socket.next_payload()), data)
        await server.publish("a", "last", end=True)
        self.assertEqual(await within("a message", socket.next_payload()), "last")
        self.assertIsNone(await within("the close", socket.next_payload()))

    async def test_cut_in_the_midst_of_an_event_it_resumes_in_event_form_and_misses_nothing(self):
        server, way = await self.stage()
        address = f"{way.url}/channels?channel=a&channel=b"
        before = await self.open(address)
        self.assertIn("$open", await self.told(before))
        await server.publish("a", "first")
        first = await self.told(before)
        cut = way.cut_after(30)
        await server.publish("b", TEXT)
        await cut
        with self.assertRaises(Exception):
            await self.told(before)
        await server.publish("a", "while away")
        way.open()
        await self.connect()
        after = await self.open(f"{address}&since={first['id']}")
        self.assertTrue((await self.told(after))["$open"]["recovered"])
        missed = [await self.told(after), await self.told(after)]
        self.assertEqual([(event["channel"], event["data"]) for event in missed], [("b", TEXT), ("a", "while away")])
        await after.close()

    async def test_server_sent_events_streams_and_long_polls(self):
        server, way = await self.stage()
        url = f"{way.url}/channels/a"
        first = await server.publish("a", LINES, event="said")
        await server.publish("a", BYTES, BINARY, end=True)
        events = await self.session.get(url, headers={"Accept": "text/event-stream"}, params={"since": "earliest"})
        self.assertEqual((events.http_version, events.status_code), (HTTP_2, 200))
        self.assertIn("event: said\ndata: first\ndata: \n", events.text)
        page = await self.session.get(url, params={"wait": 30, "since": first})
        self.assertEqual((len(page.json()["events"]), page.json()["ended"]), (1, True))


class NiquestsOverTls(Secure, Niquests):
    async def asyncSetUp(self):
        self.trust()
        await self.connect()

    async def connect(self):
        await super().connect()
        # What the environment trusts would take precedence.
        self.session.trust_env, self.session.verify = False, self.certificate
