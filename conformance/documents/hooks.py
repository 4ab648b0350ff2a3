"""What Schemathesis cannot know of itself: what goes together, that streams go on, and how to have a session."""

import itertools
import json
import os
import queue
import re
import threading

import requests
import schemathesis
from hypothesis import strategies as st
from websockets.sync.client import connect

URL = os.environ["CONFORMANCE_URL"]
BEARER = {"Authorization": f"Bearer {os.environ['CONFORMANCE_TOKEN']}"}
USER = "ann"
"""The `sub` of that token."""
BACKEND = {"Authorization": f"Bearer {os.environ['CONFORMANCE_API_KEY']}"}
"""Sessions of an API key are nobody's."""

ID = re.compile("[0-9a-f]{20}")
LOCATION = re.compile(r"[0-9a-f]{20}\.[0-9A-Za-z_-]{21}[AQgw]")
PATIENCE = 20
TURN = itertools.count()


# A text is seldom a stream of events, so here are some.

STREAMS = {"application/x-ndjson", "text/event-stream"}
TYPES = st.text(st.characters(codec="utf-8", exclude_characters="$\r\n\0"), min_size=1, max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
LINE = st.fixed_dictionaries({"data": JSON}, optional={"event": TYPES})
BLOCK = st.tuples(TYPES.filter(lambda text: not text.startswith(" ")), st.text()).map(
    lambda said: f"event: {said[0]}\n" + "".join(f"data: {line}\n" for line in said[1].split("\n")) + "\n"
)
schemathesis.openapi.media_type(
    "application/x-ndjson",
    st.lists(LINE, max_size=5).map(lambda lines: "".join(json.dumps(line) + "\n" for line in lines).encode()),
)
schemathesis.openapi.media_type(
    "text/event-stream", st.lists(BLOCK, max_size=5).map(lambda blocks: "".join(blocks).encode())
)


@schemathesis.serializer(*STREAMS)
def as_it_is(context, value):
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Members may be added to answers later, but until the document says which, there are none."""
    close(raw_schema["components"]["schemas"])
    for operations in raw_schema["paths"].values():
        for operation in operations.values():
            if isinstance(operation, dict):
                close(operation["responses"])
                bodies = operation.get("requestBody", {}).get("content", {})
                for kind in STREAMS & bodies.keys():
                    # What is sent of these are bytes.
                    bodies[kind]["example"] = bodies[kind]["example"].encode()


def close(schema):
    if isinstance(schema, dict):
        if schema.get("type") == "object" and "properties" in schema:
            schema.setdefault("additionalProperties", False)
        for inner in schema.values():
            close(inner)
    elif isinstance(schema, list):
        for inner in schema:
            close(inner)


@schemathesis.hook
def filter_case(context, case):
    """Leaves out what a schema of one parameter cannot tell to be wrong, and what has a test of its own."""
    query = case.query or {}
    transport, form = query.get("transport"), query.get("form")
    if transport == "websocket":
        # A handshake is not for a client of HTTP: test_asyncapi.py makes some.
        return False
    if form == "raw" and transport != "sse":
        # A page is in event form, and a raw body whatever was published.
        return False
    if case.body == {"user": USER}:
        # It would take back the token that it shows.
        return False
    # Each event of a stream names its own type.
    return not ("event" in query and case.media_type in STREAMS)


class Client:
    """A session whose client answers each call."""

    def __init__(self):
        opened = queue.Queue()
        self._talking = threading.Thread(target=self._talk, args=[opened], daemon=True)
        self._talking.start()
        self.id = opened.get(timeout=PATIENCE)

    def _talk(self, opened):
        address = URL.replace("http", "ws", 1) + "/session"
        with connect(address, subprotocols=["switchboard.v1"], additional_headers=BEARER) as socket:
            opened.put(json.loads(socket.recv(PATIENCE))["params"]["id"])
            # Until it is closed.
            for text in socket:
                message = json.loads(text)
                if "id" in message and "method" in message:
                    result, error = {"result": message.get("params")}, {"error": {"code": 7, "message": "no"}}
                    answer = {"jsonrpc": "2.0", "id": message["id"], **(error if next(TURN) % 2 else result)}
                    socket.send(json.dumps(answer))

    def lives(self):
        return self._talking.is_alive()


class Alive:
    """Sessions that are there: opened again when they were ended."""

    _client = None
    _location = ""
    _ids = set()

    @classmethod
    def takes_place_of(cls, name):
        """Whether one that lives is asked for instead: for every other name that is made up, and for its own."""
        return name in cls._ids or int(name, 16) % 2 == 0

    @classmethod
    def id(cls):
        if cls._client is None or not cls._client.lives():
            cls._client = Client()
            cls._ids.add(cls._client.id)
        return cls._client.id

    @classmethod
    def location(cls):
        # An empty message says nothing, and finds out.
        if not cls._location or requests.post(URL + cls._location, timeout=PATIENCE).status_code == 404:
            # Nobody listens there, so it is none of the user's, all of whose clients are called at once.
            opened = requests.post(URL + "/session", headers=BACKEND, timeout=PATIENCE).json()
            cls._location = opened["location"]
            cls._ids.add(opened["id"])
        return cls._location.removeprefix("/session/")


@schemathesis.hook
def before_call(context, case, kwargs):
    """Lets requests that may be for a session be for one that lives, and no stream be read to its end."""
    kwargs["hooks"] = {"response": first_words}
    if not {"id", "location", "user"} & (case.path_parameters or {}).keys():
        return
    path = case.path_parameters = dict(case.path_parameters)
    if ID.fullmatch(str(path.get("id", ""))) and Alive.takes_place_of(path["id"]):
        path["id"] = Alive.id()
        if case.operation.path.endswith("/unsubscribe") and isinstance(case.body, dict):
            # What it is to read no longer, it has to read first.
            url, body = f"{URL}/api/sessions/{path['id']}/subscribe", json.dumps(case.body, default=repr)
            requests.post(url, body, headers=BACKEND, timeout=PATIENCE)
    if LOCATION.fullmatch(str(path.get("location", ""))) and Alive.takes_place_of(path["location"][:20]):
        path["location"] = Alive.location()
    if len(str(path.get("user", ""))) % 2:
        Alive.id()
        path["user"] = USER


def first_words(response, *_arguments, **_settings):
    """Leaves an HTTP stream after its first lines. (Schemathesis does so with Server-Sent Events itself.)"""
    if response.headers.get("Content-Type", "").startswith("application/x-ndjson"):
        response._content = response.raw.read1(65536, decode_content=True)
        response._content_consumed = True
        response.close()
