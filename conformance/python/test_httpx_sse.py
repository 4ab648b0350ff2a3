"""`httpx-sse`: reads one response. Its documentation leaves reconnecting to the caller, with `last_event_id`."""

import base64

import httpx
from httpx_sse import aconnect_sse, connect_sse

from support import BINARY, BYTES, GZIP, LINES, Case, within


class HttpxSse(Case):
    async def asyncSetUp(self):
        self.client = httpx.AsyncClient(timeout=None)
        self.addAsyncCleanup(self.client.aclose)

    async def open(self, url, last_event_id=None):
        """The events of a response whose `$open` was heard, and its data."""
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        source = await self.enterAsyncContext(aconnect_sse(self.client, "GET", url, headers=headers))
        self.assertEqual(source.response.status_code, 200)
        events = source.aiter_sse()
        self.addAsyncCleanup(events.aclose)
        opened = await self.heard(events)
        self.assertEqual(opened.event, "$open")
        return events, opened

    async def heard(self, events):
        return await within("an event", anext(events))

    async def test_it_hears_text_of_many_lines_types_and_bytes_as_base64(self):
        server, _ = await self.stage()
        events, _ = await self.open(f"{server.url}/channels/a")
        position = await server.publish("a", LINES, event="said")
        await server.publish("a", BYTES, BINARY)
        event = await self.heard(events)
        self.assertEqual((event.event, event.data, event.id), ("said", LINES, position))
        event = await self.heard(events)
        self.assertEqual(event.event, "message")
        self.assertEqual(base64.b64decode(event.data, validate=True), BYTES)

    async def test_it_hears_events_of_several_channels_with_their_names(self):
        server, _ = await self.stage()
        events, _ = await self.open(f"{server.url}/channels?channel=a&channel=b/**")
        await server.publish("a", LINES)
        await server.publish("b/c", BYTES, BINARY)
        text, binary = (await self.heard(events)).json(), (await self.heard(events)).json()
        self.assertEqual((text["channel"], text["data"], binary["channel"]), ("a", LINES, "b/c"))
        self.assertEqual(base64.b64decode(binary["base64"], validate=True), BYTES)

    async def test_cut_in_the_midst_of_an_event_it_resumes_by_last_event_id_and_misses_nothing(self):
        server, way = await self.stage()
        events, opened = await self.open(f"{way.url}/channels/a")
        self.assertEqual(opened.retry, 2000)
        await server.publish("a", "first")
        first = await self.heard(events)
        cut = way.cut_after(30)
        await server.publish("a", LINES)
        await cut
        with self.assertRaises(httpx.TransportError):
            await self.heard(events)
        await server.publish("a", "while away")
        way.open()
        events, opened = await self.open(f"{way.url}/channels/a", first.id)
        self.assertTrue(opened.json()["recovered"])
        self.assertEqual([(await self.heard(events)).data for _ in range(2)], [LINES, "while away"])
        await server.publish("a", "live again")
        self.assertEqual((await self.heard(events)).data, "live again")
        self.assertEqual(way.is_compressed, self.settings == GZIP)

    async def hears_farewell(self, events):
        closing = await self.heard(events)
        self.assertEqual((closing.event, closing.json()["reconnect"]), ("$closing", True))
        with self.assertRaises(StopAsyncIteration):
            await self.heard(events)

    async def test_a_restart_is_told_as_an_epoch_gap(self):
        server, _ = await self.stage()
        events, opened = await self.open(f"{server.url}/channels/a")
        self.assertEqual(await server.drain(), 0)
        await self.hears_farewell(events)
        await server.restart()
        events, again = await self.open(f"{server.url}/channels/a", opened.id)
        self.assertEqual(again.json()["gap"]["reason"], "epoch")
        self.assertEqual((await self.heard(events)).event, "$gap")
        await server.publish("a", "after")
        self.assertEqual((await self.heard(events)).data, "after")

    async def test_the_stream_ends_with_the_channel_and_is_answered_204_from_then_on(self):
        server, _ = await self.stage()
        events, _ = await self.open(f"{server.url}/channels/a")
        last = await server.publish("a", "last", end=True)
        self.assertEqual((await self.heard(events)).data, "last")
        end = await self.heard(events)
        self.assertEqual((end.event, end.json()), ("$end", {"channel": "a"}))
        with self.assertRaises(StopAsyncIteration):
            await self.heard(events)
        headers = {"Accept": "text/event-stream", "Last-Event-ID": last}
        self.assertEqual((await self.client.get(f"{server.url}/channels/a", headers=headers)).status_code, 204)

    async def test_the_client_without_asyncio_reads_to_the_end_too(self):
        server, _ = await self.stage()
        await server.publish("a", LINES, end=True)
        with httpx.Client() as client, connect_sse(client, "GET", f"{server.url}/channels/a") as source:
            heard = [(event.event, event.data) for event in source.iter_sse()]
        self.assertEqual(heard[1:], [("message", LINES), ("$end", '{"channel":"a"}')])


class HttpxSseGzip(HttpxSse):
    settings = GZIP
