"""`websockets`: both forms of the server's WebSocket."""

import base64
import json

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as connect_sync

from support import BINARY, BYTES, TEXT, Case, within


class Websockets(Case):
    async def open(self, url):
        socket = await within("the handshake", connect(url.replace("http", "ws", 1)))
        self.addAsyncCleanup(socket.close)
        return socket

    async def heard(self, socket):
        return await within("a message", socket.recv())

    async def told(self, socket):
        return json.loads(await self.heard(socket))

    async def closed(self, socket):
        """The code and the reason with which the server closed it, with nothing before."""
        with self.assertRaises(ConnectionClosed) as caught:
            await self.heard(socket)
        return caught.exception.rcvd and caught.exception.rcvd.code

    async def test_raw_form_carries_text_and_bytes_as_published(self):
        server, _ = await self.stage()
        socket = await self.open(f"{server.url}/channels/a")
        await server.publish("a", TEXT)
        await server.publish("a", BYTES, BINARY)
        self.assertEqual([await self.heard(socket), await self.heard(socket)], [TEXT, BYTES])

    async def test_what_it_sends_in_raw_form_is_published_and_it_hears_itself(self):
        server, _ = await self.stage()
        socket = await self.open(f"{server.url}/channels/a")
        long = "compressible " * 20_000
        for data in [TEXT, BYTES, "", long]:
            await socket.send(data)
        # In fragments: one message on the other side.
        await socket.send(["in ", "three ", "frames"])
        heard = [await self.heard(socket) for _ in range(5)]
        self.assertEqual(heard, [TEXT, BYTES, "", long, "in three frames"])
        self.assertEqual([extension.name for extension in socket.protocol.extensions], ["permessage-deflate"])

    async def test_a_ping_is_answered(self):
        server, _ = await self.stage()
        socket = await self.open(f"{server.url}/channels/a")
        await within("a pong", await socket.ping())

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
        self.assertIsNone(await self.closed(before))
        await server.publish("a", BYTES, BINARY)
        way.open()
        after = await self.open(f"{address}&since={first['id']}")
        self.assertTrue((await self.told(after))["$open"]["recovered"])
        missed = [await self.told(after), await self.told(after)]
        self.assertEqual((missed[0]["channel"], missed[0]["data"], missed[1]["channel"]), ("b", TEXT, "a"))
        self.assertEqual(base64.b64decode(missed[1]["base64"], validate=True), BYTES)
        await server.publish("a", "live again")
        self.assertEqual((await self.told(after))["data"], "live again")

    async def test_a_restart_is_told_as_an_epoch_gap(self):
        server, _ = await self.stage()
        before = await self.open(f"{server.url}/channels/a?form=event")
        cursor = (await self.told(before))["$open"]["position"]
        self.assertEqual(await server.drain(), 0)
        self.assertEqual((await self.told(before))["$closing"]["code"], "draining")
        self.assertEqual(await self.closed(before), 1012)
        await server.restart()
        after = await self.open(f"{server.url}/channels/a?form=event&since={cursor}")
        self.assertEqual((await self.told(after))["$open"]["gap"]["reason"], "epoch")
        self.assertEqual((await self.told(after))["$gap"]["from"], cursor)

    async def test_it_closes_with_1000_at_the_end_of_a_channel(self):
        server, _ = await self.stage()
        raw = await self.open(f"{server.url}/channels/a")
        event = await self.open(f"{server.url}/channels/a?form=event")
        self.assertIn("$open", await self.told(event))
        last = await server.publish("a", "last", end=True)
        self.assertEqual(await self.heard(raw), "last")
        self.assertEqual(await self.closed(raw), 1000)
        self.assertEqual((await self.told(event))["data"], "last")
        self.assertEqual(await self.told(event), {"$end": {"channel": "a"}})
        self.assertEqual(await self.closed(event), 1000)
        late = await self.open(f"{server.url}/channels/a?since={last}")
        self.assertEqual(await self.closed(late), 1000)

    async def test_the_client_without_asyncio_reads_to_the_end_too(self):
        server, _ = await self.stage()
        await server.publish("a", TEXT)
        await server.publish("a", BYTES, BINARY, end=True)
        with connect_sync(f"ws://127.0.0.1:{server.port}/channels/a?since=earliest") as socket:
            self.assertEqual(list(socket), [TEXT, BYTES])
