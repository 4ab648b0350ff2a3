"""What the tests of Python's clients share: the real program, a way to it that can be cut, and data to send."""

import asyncio
import contextlib
import http.client
import itertools
import json
import logging
import os
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import unittest
import urllib.parse

# The tests' loop says which step took long. On a busy machine that is any.
logging.getLogger("asyncio").setLevel(logging.ERROR)

VARIABLE = "CONFORMANCE_SERVER"
PATIENCE = 20
"""Seconds. A deadline is reached only by a failure."""

LINES = "\n".join([
    "first",
    "",
    " a blank in front, one behind ",
    "data: not a field",
    ": not a comment",
    "a tab\t, a form feed\f, a next line\u0085 and a line separator\u2028 end no line",
    "ünï ✓ 🎉",
    "",
])
"""Lines of every kind that Server-Sent Events can carry: all but CR."""

TEXT = LINES + "\r\nCR LF\rCR\0NUL"
"""Text that only WebSocket, NDJSON and JSON carry as it is."""

BYTES = bytes((at * 7 + (at >> 8)) % 256 for at in range(1024))
"""Every byte, so that it is not UTF-8."""

BINARY = "application/octet-stream"

GZIP = {"SWITCHBOARD_GZIP": "true"}
"""Streams are compressed for clients that take gzip, as most do without being asked: only small events are not."""


async def within(what, awaitable):
    """The awaitable's value, or an error that names what was waited for."""
    try:
        return await asyncio.wait_for(awaitable, PATIENCE)
    except asyncio.TimeoutError:
        raise AssertionError(f"waited {PATIENCE} s in vain: {what}") from None


def program():
    """The path of the program under test."""
    path = os.environ.get(VARIABLE)
    remedy = (
        "`cargo xtask clients` sets it. By hand, in the project's top folder: "
        f'cargo build && export {VARIABLE}="$PWD/target/debug/switchboard"'
    )
    if not path:
        raise AssertionError(f"{VARIABLE} is not set: it names the switchboard program to test. {remedy}")
    if not os.access(path, os.X_OK):
        raise AssertionError(f"{VARIABLE} names {path}, and there is no such program. {remedy}")
    return os.path.abspath(path)


class Server:
    """The real program in a process of its own, and a publisher that talks to it directly."""

    port = 0
    secure_port = 0
    """Of TLS, where the settings name a certificate."""
    # Below the ports that systems deal out to whoever asks for any. Each process begins somewhere else, and gives none twice.
    _ports = itertools.count(os.getpid() * 128)

    @classmethod
    async def start(cls, **settings):
        """Starts on a free port. The settings are variables of its environment. With a certificate among them it speaks
        TLS as well, on another port."""
        server = cls()
        # Those that it comes back on must not be given to others while it is away.
        server.port, server.secure_port = cls._free_port(), cls._free_port()
        others = {name: value for name, value in os.environ.items() if not name.startswith("SWITCHBOARD_")}
        server._environment = {**others, "SWITCHBOARD_LOG_LEVEL": "warn", **settings}
        await server.restart()
        return server

    @classmethod
    def _free_port(cls):
        """A port that nobody listens on, and that nobody is given by chance."""
        while True:
            port = 10_240 + next(cls._ports) % 20_480
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                with contextlib.suppress(OSError):
                    probe.bind(("127.0.0.1", port))
                    return port

    async def restart(self):
        """Starts, again on the same port if it ran before."""
        is_secure = "SWITCHBOARD_TLS_CERTIFICATE" in self._environment
        if is_secure:
            self._environment["SWITCHBOARD_TLS_LISTEN"] = f"127.0.0.1:{self.secure_port}"
        self._process = await asyncio.create_subprocess_exec(
            program(), "serve", "--listen", f"127.0.0.1:{self.port}", "--shards", "2",
            env=self._environment, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        )
        self.port = await within("the server says where it listens", self._listening("http"))
        if is_secure:
            self.secure_port = await within("the server says where it speaks TLS", self._listening("https"))
        # It goes on writing, and nobody reads: a full pipe would stop it.
        self._drained = asyncio.create_task(self._process.stdout.read())

    async def _listening(self, scheme):
        said = ""
        while line := (await self._process.stdout.readline()).decode():
            said += line
            if found := re.search(rf"listening on {scheme}://127\.0\.0\.1:(\d+)", line):
                return int(found[1])
        raise AssertionError(f"the server ended: {said}")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    async def drain(self):
        """Asks it to stop, and waits: its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return await within("the server drains", self._process.wait())

    async def stop(self):
        """Ends it at once, at the end of a test."""
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        await self._drained

    async def ask(self, method, target, body=None):
        """A request of a backend's: the status, and the JSON that came with it."""
        return await asyncio.to_thread(self._ask, method, target, body and json.dumps(body))

    def _ask(self, method, target, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, target, body)
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        return response.status, json.loads(text) if text else None

    async def publish(self, channel, body, content_type="text/plain", event=None, end=False):
        """Publishes one event, and gives its id."""
        query = {"event": event, "end": "true" if end else None}
        query = urllib.parse.urlencode({name: value for name, value in query.items() if value})
        data = body.encode() if isinstance(body, str) else body
        return await asyncio.to_thread(self._publish, f"/channels/{channel}?{query}", data, content_type)

    def _publish(self, target, data, content_type):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("POST", target, data, {"Content-Type": content_type})
            response = connection.getresponse()
            answer = json.load(response)
        finally:
            connection.close()
        if response.status != 201:
            raise AssertionError(f"publishing was answered {response.status}: {answer['detail']}")
        return answer.get("id", answer["position"])


class Way:
    """A way to the server that can be cut. It carries TCP, counts the requests that pass, and severs connections
    when told, in the midst of an event if need be. The server is not asked, as with any real network."""

    @classmethod
    async def to(cls, server, is_secure=False):
        """`is_secure`: to where it speaks TLS, of which bytes alone are seen."""
        way = cls()
        way._is_secure = is_secure
        way._upstream, way._connections, way._tasks = server, [], set()
        way._is_shut, way._allowance, way._cut = False, None, asyncio.Event()
        way._listener = await asyncio.start_server(way._accept, "127.0.0.1", 0)
        way.port = way._listener.sockets[0].getsockname()[1]
        return way

    async def _accept(self, near_reader, near):
        if self._is_shut:
            return near.transport.abort()
        far_reader, far = await asyncio.open_connection("127.0.0.1", self._port)
        sent, received = bytearray(), bytearray()
        self._connections.append((near, far, sent, received))
        up = self._carry(near_reader, far, lambda data: sent.extend(data))
        down = self._carry(far_reader, near, lambda data: received.extend(data) or self._count(data))
        self._tasks |= {asyncio.create_task(up), asyncio.create_task(down)}

    async def _carry(self, reader, writer, look):
        try:
            while data := await reader.read(65536):
                passes = look(data)
                writer.write(data[:passes])
                await writer.drain()
                if passes is not None and passes < len(data):
                    self.shut()
                    self._cut.set()
        except ConnectionError:
            pass
        writer.close()

    def _count(self, data):
        """How many of these bytes may come down; None is all."""
        if self._allowance is None:
            return None
        passes = min(self._allowance, len(data))
        self._allowance -= passes
        return passes

    @property
    def _port(self):
        return self._upstream.secure_port if self._is_secure else self._upstream.port

    @property
    def url(self):
        return f"{'https' if self._is_secure else 'http'}://127.0.0.1:{self.port}"

    @property
    def connections(self):
        """How many connections came this way."""
        return len(self._connections)

    @property
    def requests(self):
        """How many requests came this way: tests send GET alone, without bodies."""
        return sum(sent.count(b"\r\n\r\n") for _, _, sent, _ in self._connections)

    @property
    def is_compressed(self):
        """Whether the first answer on the newest connection was."""
        return b"\r\nContent-Encoding: gzip\r\n" in self._connections[-1][3]

    async def arrived(self, count):
        """Waits until so many requests have come this way."""
        async def look():
            while self.requests < count:
                await asyncio.sleep(0)
        await within(f"{count} requests", look())

    def shut(self):
        """Severs every connection, and those that come next too, until `open`."""
        self._is_shut = True
        for near, far, *_ in self._connections:
            near.close()
            far.close()

    def open(self):
        self._is_shut, self._allowance = False, None

    def cut_after(self, count):
        """Lets this many bytes more come down, then shuts. Await what it returns for the cut."""
        self._allowance = count
        self._cut.clear()
        return within("the way to be cut", self._cut.wait())

    async def close(self):
        self.shut()
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Case(unittest.IsolatedAsyncioTestCase):
    """A test with a server and a way to it, gone when the test ends."""

    settings = {}
    """Variables of the server's environment."""
    is_secure = False

    async def stage(self):
        server = await Server.start(**self.settings)
        self.addAsyncCleanup(server.stop)
        way = await Way.to(server, self.is_secure)
        self.addAsyncCleanup(way.close)
        return server, way


class Secure:
    """For a test whose way leads to where the server speaks TLS."""

    is_secure = True

    def trust(self):
        """Makes a certificate for the server, which signs itself, and gives what trusts it."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.certificate, key = f"{folder.name}/certificate.pem", f"{folder.name}/key.pem"
        made = "openssl req -x509 -days 2 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost"
        names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        files = ["-keyout", key, "-out", self.certificate]
        subprocess.run([*made.split(), *names, *files], check=True, capture_output=True)
        self.settings = {"SWITCHBOARD_TLS_CERTIFICATE": self.certificate, "SWITCHBOARD_TLS_KEY": key}
        return ssl.create_default_context(cafile=self.certificate)
