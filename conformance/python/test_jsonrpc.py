"""Sessions, with JSON-RPC libraries. `jsonrpc-websocket` is a whole peer: it calls, is called, and has the socket too.
`jsonrpcclient` makes requests, notifications and batches and reads their answers, here over `websockets`."""

import asyncio
import json

from jsonrpc_base import ProtocolError
from jsonrpc_websocket import Server as Peer
from jsonrpcclient import Error, Ok, notification, parse, request, request_json
from websockets.asyncio.client import connect

from support import TEXT, Case, within

PROTOCOL = "switchboard.v1"
NOTIFICATIONS = ["session", "event", "gap", "end", "caught_up", "closing", "news"]


class JsonrpcWebsocket(Case):
    async def converse(self, url):
        """A peer at an address, with what it hears as `(method, params)`, in order."""
        peer, heard = Peer(url, protocols=[PROTOCOL]), asyncio.Queue()
        for method in NOTIFICATIONS:
            setattr(peer, method, lambda method=method, **params: heard.put_nowait((method, params)))
        reading = await within("the handshake", peer.ws_connect())

        async def leave():
            await peer.close()
            await reading

        self.addAsyncCleanup(leave)
        self.assertEqual(peer._client.protocol, PROTOCOL)
        return peer, heard, await self.told(heard, "session")

    async def told(self, heard, name):
        """The params of what is heard next, which is to be this."""
        method, params = await within(name, heard.get())
        self.assertEqual(method, name)
        return params

    async def subscribe(self, peer, heard, channel):
        """Subscribes, and waits until that has caught up with nothing."""
        answer = await within("an answer", peer.subscribe(channel=channel))
        self.assertEqual((await self.told(heard, "caught_up"))["channel"], channel)
        return answer

    async def fails(self, code, call):
        with self.assertRaises(ProtocolError) as caught:
            await within("an error", call)
        self.assertEqual(caught.exception.args[0], code)

    async def test_it_subscribes_hears_events_as_notifications_and_unsubscribes(self):
        server, _ = await self.stage()
        peer, heard, _ = await self.converse(f"{server.url}/session")
        answer = await self.subscribe(peer, heard, "a")
        self.assertIsInstance(answer["position"], str)
        published = await server.publish("a", TEXT)
        event = await self.told(heard, "event")
        self.assertEqual((event["id"], event["channel"], event["data"]), (published, "a", TEXT))
        await server.publish("a", "last", end=True)
        self.assertEqual((await self.told(heard, "event"))["data"], "last")
        self.assertEqual(await self.told(heard, "end"), {"channel": "a"})
        await within("an answer", peer.unsubscribe("a"))
        await within("an answer", peer.ping())
        self.assertTrue(heard.empty())

    async def test_it_publishes_hears_itself_unless_it_asks_not_to_and_reads_history(self):
        server, _ = await self.stage()
        peer, heard, _ = await self.converse(f"{server.url}/session")
        await self.subscribe(peer, heard, "a")
        published = await within("an answer", peer.publish(channel="a", data={"text": TEXT}))
        event = await self.told(heard, "event")
        self.assertEqual((event["id"], event["data"]), (published["id"], {"text": TEXT}))
        await within("an answer", peer.publish(channel="a", data="unheard", echo=False))
        await peer.publish("a", "a notification", _notification=True)
        self.assertEqual((await self.told(heard, "event"))["data"], "a notification")
        page = await within("an answer", peer.history(channel="a"))
        self.assertEqual([event["data"] for event in page["events"]], [{"text": TEXT}, "unheard", "a notification"])
        late = await within("an answer", peer.subscribe(channel="a", since=published["id"]))
        self.assertTrue(late["recovered"])
        missed = [(await self.told(heard, "event"))["data"] for _ in range(2)]
        self.assertEqual(missed, ["unheard", "a notification"])
        self.assertEqual((await self.told(heard, "caught_up"))["channel"], "a")

    async def test_what_fails_is_an_error_with_the_code_of_the_table(self):
        server, _ = await self.stage()
        peer, _, _ = await self.converse(f"{server.url}/session")
        await self.fails(-32601, peer.add(1, 2))
        await self.fails(-32602, peer.subscribe(chanel="a"))
        await self.fails(40001, peer.subscribe(channel="a//b"))
        await server.publish("a", "last", end=True)
        await self.fails(40900, peer.publish(channel="a", data="after the end"))
        self.assertIsInstance((await within("an answer", peer.ping()))["time"], int)

    async def test_it_answers_the_servers_calls_and_hears_what_a_backend_says(self):
        server, _ = await self.stage()
        peer, heard, session = await self.converse(f"{server.url}/session")
        at = f"/api/sessions/{session['id']}"

        async def add(a, b):
            return a + b

        peer.add = add
        peer.math.double = lambda n: 2 * n
        call = {"method": "add", "params": [1, 2]}
        self.assertEqual(await server.ask("POST", f"{at}/call", call), (200, {"result": 3}))
        call = {"method": "math.double", "params": {"n": 4}}
        self.assertEqual(await server.ask("POST", f"{at}/call", call), (200, {"result": 8}))
        _, answer = await server.ask("POST", f"{at}/call", {"method": "unknown"})
        self.assertEqual(answer["error"]["code"], -32601)
        status, _ = await server.ask("POST", f"{at}/notify", {"method": "news", "params": {"n": 1}})
        self.assertEqual(status, 202)
        self.assertEqual(await self.told(heard, "news"), {"n": 1})

    async def test_cut_in_the_midst_of_an_event_it_takes_the_session_up_and_misses_nothing(self):
        server, way = await self.stage()
        peer, heard, session = await self.converse(f"{way.url}/session")
        await self.subscribe(peer, heard, "a")
        await server.publish("a", "first")
        first = await self.told(heard, "event")
        cut = way.cut_after(30)
        await server.publish("a", TEXT)
        await cut
        way.open()
        # One control message has come: the answer to `subscribe`.
        since = f"{session['location']}?since=1.{first['id']}"
        peer, heard, again = await self.converse(f"{way.url}{since}")
        self.assertEqual(again["id"], session["id"])
        self.assertEqual((await self.told(heard, "event"))["data"], TEXT)
        await server.publish("a", "live again")
        self.assertEqual((await self.told(heard, "event"))["data"], "live again")
        self.assertIsInstance((await within("an answer", peer.ping()))["time"], int)

    async def test_a_session_that_is_ended_says_so(self):
        server, _ = await self.stage()
        peer, heard, session = await self.converse(f"{server.url}/session")
        self.assertEqual(await server.ask("DELETE", f"/api/sessions/{session['id']}"), (204, None))
        closing = await self.told(heard, "closing")
        self.assertEqual((closing["code"], closing["reconnect"]), ("session_ended", False))
        status, _ = await server.ask("GET", session["location"])
        self.assertEqual(status, 404)


class Jsonrpcclient(Case):
    async def converse(self, server):
        url = f"{server.url}/session".replace("http", "ws", 1)
        socket = await within("the handshake", connect(url, subprotocols=[PROTOCOL]))
        self.addAsyncCleanup(socket.close)
        self.assertEqual(socket.subprotocol, PROTOCOL)
        self.assertEqual((await self.heard(socket))["method"], "session")
        return socket

    async def heard(self, socket):
        return json.loads(await within("a message", socket.recv()))

    async def test_a_batch_is_answered_as_one_its_failures_each_by_themselves(self):
        server, _ = await self.stage()
        socket = await self.converse(server)
        batch = [
            request("ping"),
            request("subscribe", params={"channel": "a"}),
            notification("publish", params={"channel": "a", "data": "from a batch"}),
            request("no such method"),
            request("history", params=("",)),
        ]
        await socket.send(json.dumps(batch))
        ping, subscribe, unknown, history = list(parse(await self.heard(socket)))
        self.assertIsInstance(ping, Ok)
        self.assertIsInstance(subscribe.result["position"], str)
        self.assertEqual([type(unknown), unknown.code], [Error, -32601])
        self.assertEqual([type(history), history.code], [Error, 40001])
        self.assertEqual([each.id for each in (ping, subscribe, unknown, history)],
                         [each["id"] for each in batch if "id" in each])
        # What the batch publishes after it has subscribed is news to it.
        heard = [(await self.heard(socket))["method"] for _ in range(2)]
        self.assertEqual(sorted(heard), ["caught_up", "event"])
        await socket.send(json.dumps([notification("ping")]))
        await socket.send(request_json("ping"))
        self.assertIsInstance(parse(await self.heard(socket)), Ok)

    async def test_what_is_no_message_is_answered_by_an_error_without_id(self):
        server, _ = await self.stage()
        socket = await self.converse(server)
        for text, code in [("{", -32700), ("[]", -32600), ("{}", -32600), ('{"jsonrpc":"2.0","method":1}', -32600)]:
            await socket.send(text)
            answer = parse(await self.heard(socket))
            self.assertEqual((answer.code, answer.id), (code, None), text)
