"""Conversations of every kind that the AsyncAPI document describes. Each message that comes is as it says there, and
each that it describes comes."""

import contextlib
import http.client
import itertools
import json
import queue
import threading
import unittest
from urllib.parse import urlencode, urlsplit

import jsonschema_rs
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from server import API_KEY, AUTHENTICATED, PATIENCE, Server, document

DOCUMENT = document("asyncapi")
RAW, EVENTS, SESSION, LOCATION = "raw", "events", "session", "location"

SETTINGS = """
log_level = "warn"
heartbeat = "200ms"

[history]
events = 3

[presence]
debounce = "50ms"

[[channel]]
pattern = "state/**"
class = "state"

[[channel]]
pattern = "room/**"
track = "members"
"""

NOTIFICATIONS = {
    DOCUMENT["components"]["messages"][described["$ref"].rpartition("/")[2]].get("name"): name
    for name, described in DOCUMENT["channels"][SESSION]["messages"].items()
    if {"$ref": f"#/channels/{SESSION}/messages/{name}"} in DOCUMENT["operations"]["notify"]["messages"]
}
"""The names of messages, by the methods of the server's own."""

JSON, LINES, SSE = "application/json", "application/x-ndjson", "text/event-stream"


def close(schema):
    """Members may be added later, but until the document says which, there are none."""
    if isinstance(schema, dict):
        if schema.get("type") == "object" and "properties" in schema:
            schema.setdefault("additionalProperties", False)
        for inner in schema.values():
            close(inner)
    elif isinstance(schema, list):
        for inner in schema:
            close(inner)


class Messages:
    """What was said, each held to its schema."""

    def __init__(self):
        components = json.loads(json.dumps(DOCUMENT["components"]))
        close(components)
        self._channels = {
            channel: {name: message["$ref"] for name, message in described["messages"].items()}
            for channel, described in DOCUMENT["channels"].items()
        }
        references = {reference for messages in self._channels.values() for reference in messages.values()}
        self._schemas = {
            reference: jsonschema_rs.Draft7Validator({"components": components, "$ref": f"{reference}/payload"})
            for reference in references
        }
        named = lambda name: {"components": components, "$ref": f"#/components/schemas/{name}"}
        self._closes = jsonschema_rs.Draft7Validator(named("CloseCode"))
        self._errors = jsonschema_rs.Draft7Validator(named("ServerError"))
        self.seen = set()

    def described(self):
        return {(channel, name) for channel, messages in self._channels.items() for name in messages}

    def see(self, channel, name, payload):
        """Holds a payload to the message of this name, and gives it back."""
        schema = self._schemas[self._channels[channel][name]]
        errors = [error.message for error in schema.iter_errors(payload)]
        assert not errors, f"{channel}/{name}: {errors[0]}: {json.dumps(payload)}"
        self.seen.add((channel, name))
        return payload

    def see_error(self, message):
        """Holds an error to those of the server: there is no application that might have its own."""
        errors = [error.message for error in self._errors.iter_errors(message["error"])]
        assert not errors, f"{errors[0]}: {json.dumps(message)}"
        self.see(SESSION, "error", message)

    def see_close(self, code):
        assert self._closes.is_valid(code), f"close code {code}"
        return code

    def see_notice(self, message):
        """A message of a channel in event form: a notice has one member alone, whose name begins with `$`."""
        first = next(iter(message))
        return self.see(EVENTS, first if first.startswith("$") else "event", message)


class Blocks:
    """The blocks of an event stream, as the HTML standard reads them."""

    def __init__(self, response):
        self._response = response
        self.id = ""

    def __iter__(self):
        return self

    def __next__(self):
        kind, data = "message", []
        for line in iter(self._response.readline, b""):
            field, _, value = line.decode().rstrip("\n").partition(":")
            value = value.removeprefix(" ")
            if not field and not line.strip() and data:
                return kind, "\n".join(data)
            if not field:
                continue
            kind = value if field == "event" else kind
            self.id = value if field == "id" else self.id
            data += [value] if field == "data" else []
        raise StopIteration


class Client:
    """Requests to a server, by a user if there is a token. What stays open is closed with the stack."""

    def __init__(self, stack, url, token=None):
        self._stack, self.url, self._host = stack, url, urlsplit(url).netloc
        self._fields = {"Authorization": f"Bearer {token}"} if token else {}

    def ask(self, method, target, body=None, **fields):
        """The whole answer: status, and JSON if there is any."""
        response = self.open(method, target, body, **fields)
        text = response.read()
        return response.status, json.loads(text) if text else None

    def open(self, method, target, body=None, **fields):
        connection = http.client.HTTPConnection(self._host, timeout=PATIENCE)
        self._stack.callback(connection.close)
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        body = body if body is None or isinstance(body, (bytes, str)) else json.dumps(body)
        connection.request(method, target, body, {**self._fields, **named})
        return self._stack.enter_context(contextlib.closing(connection.getresponse()))

    def publish(self, channel, data, kind="text/plain", **query):
        status, answer = self.ask("POST", f"/channels/{channel}?{urlencode(query)}", data, Content_Type=kind)
        assert status == 201, answer
        return answer

    def stream(self, target, accept, **fields):
        response = self.open("GET", target, Accept=accept, **fields)
        assert response.status == 200, response.read()
        return Blocks(response) if accept == SSE else response

    def lines(self, target, **fields):
        """The messages of an HTTP stream, until it ends."""
        response = self.stream(target, LINES, **fields)
        return (json.loads(line) for line in iter(response.readline, b"") if line.strip())

    def blocks(self, target, **fields):
        """The messages of Server-Sent Events in event form, as the document translates them."""
        for kind, data in self.stream(target, SSE, **fields):
            yield {kind: json.loads(data)} if kind.startswith("$") else json.loads(data)

    def texts(self, target):
        """The messages of a WebSocket in event form."""
        return map(json.loads, messages_of(self.socket(target)))

    def socket(self, target, *protocols):
        address = self.url.replace("http", "ws", 1) + target
        opening = connect(address, subprotocols=protocols or None, additional_headers=self._fields)
        return self._stack.enter_context(opening)


def messages_of(socket):
    """What comes over a WebSocket, until it closes: text as text, bytes as bytes."""
    try:
        while True:
            yield socket.recv(PATIENCE)
    except ConnectionClosed:
        return


class Talk:
    """A session, over one of its transports. What comes down is held to the document as it comes."""

    TRANSPORTS = ("websocket", "sse", "stream", "poll")

    def __init__(self, messages, client, transport):
        self._messages, self._client, self.transport = messages, client, transport
        self._ids, self._asked, self._later, self._come = itertools.count(1), {}, [], queue.Queue()
        if transport == "websocket":
            self._socket = client.socket("/session", "switchboard.v1")
            down = (json.loads(text) for text in messages_of(self._socket))
        else:
            status, opened = client.ask("POST", "/session")
            assert status == 201, opened
            self.id, self._location = opened["id"], opened["location"]
            down = {"sse": self._blocks, "stream": self._lines, "poll": self._pages}[transport](opened["place"])
        threading.Thread(target=self._listen, args=[down], daemon=True).start()
        if transport != "poll":
            greeting = self.hear("session")
            self.id, self._location = greeting["id"], greeting["location"]

    def _blocks(self, place):
        return (json.loads(data) for _, data in self._client.stream(f"{self._location}?since={place}", SSE))

    def _lines(self, place):
        return self._client.lines(f"{self._location}?since={place}")

    def _pages(self, place):
        while True:
            status, page = self._client.ask("GET", f"{self._location}?wait=30&since={place}", Accept=JSON)
            if status != 200:
                return
            place = self._messages.see(LOCATION, "page", page)["place"]
            yield from page["messages"]

    def _listen(self, down):
        try:
            for message in down:
                self._come.put(message)
        except Exception as error:
            self._come.put(error)
        self._come.put(None)

    def _next(self):
        message = self._come.get(timeout=PATIENCE)
        if isinstance(message, Exception):
            raise message
        if message is not None:
            self._see(message)
        return message

    def _see(self, message):
        see = self._messages.see
        if isinstance(message, list):
            see(SESSION, "batch", message)
            for each in message:
                self._see(each)
        elif "method" in message:
            see(SESSION, "call" if "id" in message else NOTIFICATIONS.get(message["method"], "notification"), message)
        elif "result" in message:
            see(SESSION, f"{self._asked[message['id']]}Result", message)
        else:
            self._messages.see_error(message)

    def wait(self, fits, kind=dict):
        """The next message, or batch where `kind` is a list, that fits. Others are kept for later."""
        for at, message in enumerate(self._later):
            if isinstance(message, kind) and fits(message):
                return self._later.pop(at)
        while (message := self._next()) is not None:
            if isinstance(message, kind) and fits(message):
                return message
            self._later.append(message)
        raise AssertionError(f"the session ended: {self._later}")

    def hear(self, method):
        """The params of the next notification of this name."""
        return self.wait(lambda said: "id" not in said and said.get("method") == method)["params"]

    def send(self, message):
        text = message if isinstance(message, str) else json.dumps(message)
        if self.transport == "websocket":
            return self._socket.send(text)
        status, problem = self._client.ask("POST", self._location, text)
        assert status == 202, problem

    def request(self, method, params):
        request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        self._asked[request["id"]] = method
        return request

    def call(self, method, params, valid=True):
        """Calls, and gives the result or the error."""
        request = self.request(method, params)
        if valid:
            self._messages.see(SESSION, method, request)
        self.send(request)
        answer = self.wait(lambda said: "method" not in said and said["id"] == request["id"])
        return answer.get("result", answer.get("error"))

    def called(self):
        """The next call of the client."""
        return self.wait(lambda said: "method" in said and "id" in said)

    def closed(self):
        """Everything up to the end is heard; the close code, if there is one."""
        while self._next() is not None:
            pass
        if self.transport == "websocket":
            return self._messages.see_close(self._socket.close_code)
        return None


class AsyncApi(unittest.TestCase):
    def test_every_message_that_is_described_is_said_as_it_is_described(self):
        messages = Messages()
        with Server(SETTINGS) as server, contextlib.ExitStack() as stack:
            client = Client(stack, server.url)
            raw(messages, client)
            for read in (client.lines, client.blocks, client.texts):
                in_event_form(messages, client, read)
            for transport in Talk.TRANSPORTS:
                converse(messages, client, transport)
            close_codes(messages, client)
            drain(messages, client, server)
        with Server(f'log_level = "warn"\n{AUTHENTICATED}') as server, contextlib.ExitStack() as stack:
            expire(messages, stack, server)
        self.assertEqual(messages.described() - messages.seen, set(), "described, and never said")


def raw(messages, client):
    """Bare data, both ways."""
    socket = client.socket("/channels/raw", "switchboard.raw.v1")
    assert socket.subprotocol == "switchboard.raw.v1"
    for said in ("words", b"\x00\xff"):
        socket.send(said)
        assert socket.recv(PATIENCE) == said
        # Bytes are no JSON: what schemas make of them is a text.
        kind = "text" if isinstance(said, str) else "bytes"
        messages.see(RAW, kind, said if kind == "text" else said.decode("latin-1"))
    client.publish("raw", "", end="true")
    assert list(messages_of(socket)) == []
    assert messages.see_close(socket.close_code) == 1000


NAMES = itertools.count()


def in_event_form(messages, client, read):
    """Events and notices of one channel among others, from its beginning to its end."""
    name, other = f"events/{next(NAMES)}", f"events/{next(NAMES)}"
    before = client.publish(name, "first")["position"]
    reading = read(f"/channels?channel={name}&since={before}")
    assert messages.see_notice(next(reading))["$open"]["recovered"] is True
    client.publish(name, json.dumps({"n": 1}), JSON, event="count")
    client.publish(name, b"\x00\xff", "image/png")
    client.publish(name, "words", "text/markdown")
    assert [messages.see_notice(next(reading)).get("event") for _ in range(3)] == ["count", None, None]
    # The stream is quiet while another channel is not.
    client.publish(other, "elsewhere")
    assert "$position" in messages.see_notice(next(reading))
    client.publish(name, "last", end="true")
    assert messages.see_notice(next(reading))["data"] == "last"
    assert messages.see_notice(next(reading)) == {"$end": {"channel": name}}
    # Of what came after the first, the newest three are held.
    late = read(f"/channels?channel={name}&since={before}")
    opened, gap = messages.see_notice(next(late)), messages.see_notice(next(late))
    assert opened["$open"]["gap"] == gap["$gap"] and gap["$gap"]["reason"] == "trimmed"
    assert [messages.see_notice(said).get("data") for said in late][-2:] == ["last", None]


def converse(messages, client, transport):
    """A session with all of its methods, and all that a backend can do to it."""
    talk = Talk(messages, client, transport)
    name = f"talk/{next(NAMES)}"
    before = client.publish(name, "before")["position"]
    subscribed = talk.call("subscribe", {"channel": name})
    assert set(subscribed) == {"position"}, subscribed
    assert talk.hear("caught_up") == {"channel": name, **subscribed}
    published = talk.call("publish", {"channel": name, "data": {"n": 1}, "event": "count", "key": "k-1"})
    assert talk.hear("event")["id"] == published["id"]
    talk.call("publish", {"channel": name, "base64": "AAEC", "type": "image/png"})
    assert talk.hear("event")["base64"] == "AAEC"
    assert talk.call("publish", [name, "by position"])["channel"] == name
    assert len(talk.call("history", {"channel": name, "limit": 2})["events"]) == 2
    assert talk.call("ping", {})["time"] > 0
    assert talk.call("unsubscribe", {"channel": name})["position"]

    # Too late for the first of them, and one after another with others.
    for text in ("two", "three", "four"):
        client.publish(name, text)
    late = talk.call("subscribe", {"channel": [name, "state/*"], "since": before})
    assert late["recovered"] is False and late["gap"]["reason"] == "trimmed", late
    assert set(talk.hear("caught_up")["channel"]) == {name, "state/*"}
    if transport != "poll":
        # A page says in its `place` where a quiet session is.
        client.publish("elsewhere", "words")
        assert talk.hear("position")["position"]
    client.ask("DELETE", f"/channels/{name}")
    assert talk.hear("gap")["reason"] == "deleted"
    client.publish(name, "", end="true")
    assert talk.hear("end") == {"channel": name}

    presence(client, talk)
    refusals(messages, talk)
    by_backend(messages, client, talk)


def presence(client, talk):
    """Who is there, and that somebody came."""
    name = f"room/{next(NAMES)}"
    talk.call("subscribe", {"channel": name, "presence": True})
    if talk.transport != "poll":
        # Between two polls it is not kept.
        assert talk.hear("presence")["event"] == "join"
    there = talk.call("presence", {"channel": name})
    assert there == {"count": 1, "members": [{"session": talk.id}]}, there
    assert client.ask("GET", f"/api/presence/{name}") == (200, {"channel": name, **there})


def refusals(messages, talk):
    """Errors, and a batch with one."""
    assert talk.call("fly", {}, valid=False)["code"] == -32601
    assert talk.call("subscribe", {"channel": "a//b"}, valid=False)["code"] == 40001
    assert talk.call("subscribe", {"what": 1}, valid=False)["code"] == -32602
    assert talk.call("refresh", {"token": "none"})["code"] == 40100
    batch = [talk.request("ping", []), talk.request("fly", [])]
    talk.send(messages.see(SESSION, "batch", batch))
    assert len(talk.wait(lambda answers: True, kind=list)) == 2
    for foul, code in (("{", -32700), ("[]", -32600)):
        talk.send(foul)
        answer = talk.wait(lambda said: "id" in said and said["id"] is None)
        assert answer["error"]["code"] == code


def by_backend(messages, client, talk):
    """The client is called, told, subscribed and ended."""
    at, answers, call = f"/api/sessions/{talk.id}", queue.Queue(), {"method": "add", "params": [1, 2]}
    for outcome in ({"result": 3}, {"error": {"code": 7, "message": "no", "data": [1]}}):
        threading.Thread(target=lambda: answers.put(client.ask("POST", f"{at}/call", call)), daemon=True).start()
        answer = {"jsonrpc": "2.0", "id": talk.called()["id"], **outcome}
        talk.send(messages.see(SESSION, "answer" if "result" in outcome else "refusal", answer))
        assert answers.get(timeout=PATIENCE) == (200, outcome)
    assert client.ask("POST", f"{at}/notify", {"method": "news", "params": {"n": 1}})[0] == 202
    assert talk.hear("news") == {"n": 1}
    for deed in ("subscribe", "unsubscribe"):
        assert client.ask("POST", f"{at}/{deed}", {"channel": "given"})[0] == 200
        assert talk.hear(f"{deed}d")["channel"] == "given"
    assert client.ask("DELETE", at)[0] == 204
    if talk.transport != "poll":
        assert talk.hear("closing")["code"] == "session_ended"
    assert talk.closed() in (1000, None)


def close_codes(messages, client):
    """What closes a WebSocket for a fault of its client's, or of nobody's."""
    for target, protocols, said, code in (
        ("/channels?channel=a", (), "words", 1003),
        ("/session", ("switchboard.v1",), b"bytes", 1003),
        ("/channels/a", (), "x" * (1024 * 1024 + 1), 1009),
    ):
        socket = client.socket(target, *protocols)
        socket.send(said)
        list(messages_of(socket))
        assert messages.see_close(socket.close_code) == code, (target, socket.close_code)
    talk = Talk(messages, client, "websocket")
    taken = client.socket(talk._location, "switchboard.v1")
    messages.see(SESSION, "session", json.loads(taken.recv(PATIENCE)))
    assert talk.hear("closing")["code"] == "stale_attempt"
    assert talk.closed() == 4409


def drain(messages, client, server):
    """The server stops."""
    readers = [client.lines("/channels?channel=a"), client.blocks("/channels?channel=a")]
    socket, talk = client.socket("/channels?channel=a"), Talk(messages, client, "websocket")
    readers.append(map(json.loads, messages_of(socket)))
    for reader in readers:
        assert "$open" in messages.see_notice(next(reader))
    server.drain()
    for reader in readers:
        notice = messages.see_notice(next(reader))
        # That a session has left a room may be written just now: whoever is quiet meanwhile is told where it is.
        while "$position" in notice:
            notice = messages.see_notice(next(reader))
        assert notice["$closing"]["code"] == "draining"
        assert list(reader) == []
    assert messages.see_close(socket.close_code) == 1012
    assert talk.hear("closing")["code"] == "draining"
    assert talk.closed() == 1012


def expire(messages, stack, server):
    """Tokens end, and are renewed before."""
    grants = ("--subscribe", "**", "--publish", "**")
    client, lasting = Client(stack, server.url, server.token(*grants, lasts="50s")), server.token(*grants)
    talk = Talk(messages, client, "websocket")
    assert talk.hear("expiring")["expires"] > 0
    assert talk.call("refresh", {"token": lasting})["expires"] > 0
    reader = client.lines("/channels?channel=a")
    assert messages.see_notice(next(reader))["$open"]["expires"] > 0
    status, _ = Client(stack, server.url, API_KEY).ask("POST", "/api/revoke", {"user": "ann"})
    assert status == 200
    assert messages.see_notice(next(reader))["$closing"]["code"] == "token_revoked"
    assert talk.hear("closing")["code"] == "token_revoked"
    assert talk.closed() == 4401
