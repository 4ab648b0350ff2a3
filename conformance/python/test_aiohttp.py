"""`aiohttp`: its WebSocket, and the HTTP stream and long polls read with its ordinary requests."""

import asyncio
import base64
import json

import aiohttp

from support import BINARY, BYTES, GZIP, TEXT, Case, within

NDJSON = {"Accept": "application/x-ndjson"}


class Aiohttp(Case):
    async def asyncSetUp(self):
        # A stream has no end, so the time for the whole of it must have none.
        self.session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
        self.addAsyncCleanup(self.session.close)

    async def lines(self, url, **headers):
        """A reader of the stream: it gives a line as JSON, or None at the end."""
        response = await self.session.get(url, headers=NDJSON | headers)
        self.addCleanup(response.close)

        async def line():
            while text := await within("a line", response.content.readline()):
                if text.strip():
                    return json.loads(text)
            return None

        return response, line

    async def socket(self, url):
        socket = await within("the handshake", self.session.ws_connect(url, compress=15))
        self.addAsyncCleanup(socket.close)
        return socket

    async def test_an_http_stream_carries_text_and_bytes_as_published(self):
        server, _ = await self.stage()
        _, line = await self.lines(f"{server.url}/channels/a")
        self.assertIn("$open", await line())
        await server.publish("a", TEXT, event="said")
        await server.publish("a", BYTES, BINARY)
        said = await line()
        self.assertEqual((said["event"], said["data"]), ("said", TEXT))
        self.assertEqual(base64.b64decode((await line())["base64"], validate=True), BYTES)

    async def test_cut_in_the_midst_of_an_event_an_http_stream_resumes_and_misses_nothing(self):
        server, way = await self.stage()
        _, line = await self.lines(f"{way.url}/channels/a")
        await line()
        await server.publish("a", "first")
        first = await line()
        cut = way.cut_after(30)
        await server.publish("a", TEXT)
        await cut
        with self.assertRaises(aiohttp.ClientError):
            await line()
        await server.publish("a", "while away")
        way.open()
        _, line = await self.lines(f"{way.url}/channels/a", **{"Last-Event-ID": first["id"]})
        self.assertTrue((await line())["$open"]["recovered"])
        self.assertEqual([(await line())["data"], (await line())["data"]], [TEXT, "while away"])
        self.assertEqual(way.is_compressed, self.settings == GZIP)

    async def test_an_http_stream_ends_with_the_channel_and_is_answered_204_from_then_on(self):
        server, _ = await self.stage()
        _, line = await self.lines(f"{server.url}/channels/a")
        await line()
        last = await server.publish("a", "last", end=True)
        self.assertEqual((await line())["data"], "last")
        self.assertEqual(await line(), {"$end": {"channel": "a"}})
        self.assertIsNone(await line())
        response, _ = await self.lines(f"{server.url}/channels/a?since={last}")
        self.assertEqual(response.status, 204)

    async def test_a_raw_body_is_the_data_alone_and_ends_as_the_channel_does(self):
        server, _ = await self.stage()
        await server.publish("a", BYTES, BINARY)
        response, _ = await self.lines(f"{server.url}/channels/a?form=raw&since=earliest")
        self.assertEqual(response.content_type, BINARY)
        await server.publish("a", BYTES[3:], BINARY, end=True)
        self.assertEqual(await within("the whole body", response.read()), BYTES + BYTES[3:])

    async def test_long_polls_hand_a_cursor_on_through_a_cut_and_to_the_end(self):
        server, way = await self.stage()

        async def poll(since):
            async with self.session.get(f"{way.url}/channels/a", params={"since": since, "wait": 30}) as response:
                return await response.json()

        await server.publish("a", TEXT)
        page = await poll("earliest")
        self.assertEqual(page["events"][0]["data"], TEXT)
        waiting = asyncio.create_task(poll(page["position"]))
        await way.arrived(2)
        way.shut()
        with self.assertRaises(aiohttp.ClientError):
            await within("the poll to fail", waiting)
        await server.publish("a", BYTES, BINARY)
        way.open()
        page = await poll(page["position"])
        self.assertEqual([base64.b64decode(event["base64"]) for event in page["events"]], [BYTES])
        waiting = asyncio.create_task(poll(page["position"]))
        await server.publish("a", "last", end=True)
        page = await within("the last poll", waiting)
        self.assertEqual(([event["data"] for event in page["events"]], page["ended"]), (["last"], True))

    async def test_a_websocket_hears_itself_text_and_bytes(self):
        server, _ = await self.stage()
        socket = await self.socket(f"{server.url}/channels/a")
        self.assertEqual(socket.compress, 15)
        await socket.send_str(TEXT)
        await socket.send_bytes(BYTES)
        await socket.send_str("compressible " * 20_000)
        self.assertEqual(await socket.receive_str(timeout=20), TEXT)
        self.assertEqual(await socket.receive_bytes(timeout=20), BYTES)
        self.assertEqual(await socket.receive_str(timeout=20), "compressible " * 20_000)

    async def test_a_websocket_cut_in_the_midst_of_an_event_resumes_and_misses_nothing(self):
        server, way = await self.stage()
        before = await self.socket(f"{way.url}/channels/a?form=event")
        self.assertIn("$open", await before.receive_json(timeout=20))
        await server.publish("a", "first")
        first = await before.receive_json(timeout=20)
        cut = way.cut_after(30)
        await server.publish("a", TEXT)
        await cut
        self.assertIn((await before.receive(timeout=20)).type, (aiohttp.WSMsgType.ERROR, aiohttp.WSMsgType.CLOSED))
        way.open()
        after = await self.socket(f"{way.url}/channels/a?form=event&since={first['id']}")
        self.assertTrue((await after.receive_json(timeout=20))["$open"]["recovered"])
        self.assertEqual((await after.receive_json(timeout=20))["data"], TEXT)
        await server.publish("a", "live again")
        self.assertEqual((await after.receive_json(timeout=20))["data"], "live again")

    async def test_a_websocket_closes_with_1000_at_the_end_of_a_channel(self):
        server, _ = await self.stage()
        socket = await self.socket(f"{server.url}/channels/a")
        await server.publish("a", "last", end=True)
        self.assertEqual(await socket.receive_str(timeout=20), "last")
        self.assertEqual((await socket.receive(timeout=20)).type, aiohttp.WSMsgType.CLOSE)
        self.assertEqual(socket.close_code, 1000)


class AiohttpGzip(Aiohttp):
    settings = GZIP
