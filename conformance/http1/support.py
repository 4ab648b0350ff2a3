"""The program in a process of its own, proxies in front of it, and a client that sends bytes and reads answers."""

import itertools
import json
import os
import re
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

PATIENCE = 10
VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "http1" / "requests.json"

# What a server answers that could not read a request, and nobody can tell where the next one would begin.
UNREAD = {400, 408, 413, 417, 431, 501, 505}


def program():
    path = os.environ.get("CONFORMANCE_SERVER")
    if not path:
        raise RuntimeError('CONFORMANCE_SERVER names the program: cargo build && export CONFORMANCE_SERVER="$PWD/target/debug/switchboard"')
    return path


# Below the ports that systems deal out to whoever asks for any. Each process begins somewhere else, and gives none twice.
PORTS = itertools.count(os.getpid() * 128)


def free_port():
    """A port that nobody listens on, and that nobody is given by chance until it is used."""
    while True:
        port = 10_240 + next(PORTS) % 20_480
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def until(what, holds, patience=PATIENCE):
    end = time.monotonic() + patience
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"it never became true that {what}")
        time.sleep(0.01)


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Process:
    """A process that is ended when a test is over, and all that it has printed: to a file, which never is full, as a
    pipe is where its reader is late."""

    def __init__(self, command, environment=None):
        self.printed = tempfile.NamedTemporaryFile()
        with open(self.printed.name, "ab") as out:
            self.child = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)

    def lines(self):
        """The lines that are whole by now. A line ends at LF alone, whatever else a target of a request may contain."""
        whole, _, _ = Path(self.printed.name).read_bytes().rpartition(b"\n")
        return [line.decode("utf-8", "replace") for line in whole.split(b"\n")]

    def stop(self):
        self.child.terminate()
        try:
            self.child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.printed.close()


class Server(Process):
    """The program on a free port. Everyone may do everything there, whatever host is asked for."""

    CONFIG = '[[channel]]\npattern = "**"\nsubscribe = "anyone"\npublish = "anyone"\n[limits]\npublishes = 1_000_000\n'

    def __init__(self, **settings):
        self.folder = tempfile.TemporaryDirectory()
        config = Path(self.folder.name) / "switchboard.toml"
        config.write_text(self.CONFIG)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SWITCHBOARD_")}
        environment.update({"SWITCHBOARD_LOG": "json", "SWITCHBOARD_LOG_LEVEL": "info,switchboard=debug", **settings})
        command = [program(), "serve", "--listen", "127.0.0.1:0", "--shards", "2", "--config", str(config)]
        super().__init__(command, environment)
        until("the server says where it listens", lambda: self._port() is not None)
        self.port = self._port()

    def _port(self):
        found = [re.search(r"127\.0\.0\.1:(\d+)", line) for line in self.lines()]
        return next((int(each.group(1)) for each in found if each), None)

    def paths(self):
        """The path of each request that was read, in order."""
        records = [json.loads(line) for line in self.lines() if line.startswith("{")]
        fields = [record.get("fields", record) for record in records]
        return [each["path"] for each in fields if "path" in each]

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}

    def stop(self):
        super().stop()
        self.folder.cleanup()


class Client:
    """A connection."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.buffer = b""
        self.is_open = True

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            # What is refused may be closed while it is sent.
            self.is_open = False

    def finish(self):
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.is_open = False

    def _fill(self, patience):
        self.socket.settimeout(patience)
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            return None
        except OSError:
            data = b""
        self.buffer += data
        return bool(data)

    def answer(self, patience=PATIENCE):
        """The next answer as (status, body); None where none comes before the end, or before patience is over."""
        while b"\r\n\r\n" not in self.buffer:
            if not self._fill(patience):
                return None
        head, rest = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        fields = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines[1:])}
        if status < 200:
            self.buffer = rest
            return self.answer(patience)
        self.buffer = rest
        if fields.get("transfer-encoding", "").lower() == "chunked":
            return status, self._chunks(patience)
        length = 0 if status in (204, 304) else fields.get("content-length")
        while length is not None and len(self.buffer) < int(length):
            if not self._fill(patience):
                break
        if length is None:
            while self._fill(patience):
                pass
            length = len(self.buffer)
        body, self.buffer = self.buffer[: int(length)], self.buffer[int(length) :]
        return status, body

    def _chunks(self, patience):
        body = b""
        while True:
            while b"\r\n" not in self.buffer:
                if not self._fill(patience):
                    return body
            line, self.buffer = self.buffer.split(b"\r\n", 1)
            size = int(line.split(b";")[0], 16)
            while len(self.buffer) < size + 2:
                if not self._fill(patience):
                    return body
            body, self.buffer = body + self.buffer[:size], self.buffer[size + 2 :]
            if size == 0:
                return body

    def close(self):
        self.socket.close()


def vectors(number_of=None):
    """The requests of vectors/http1 as (name, bytes)."""
    for i, case in enumerate(json.loads(VECTORS.read_text())["cases"]):
        parts = case["send"] if isinstance(case["send"], list) else [case["send"]]
        data = b"".join(
            part.encode("latin-1") if isinstance(part, str) else part["repeat"].encode("latin-1") * part["times"]
            for part in parts
        )
        if number_of:
            data = number_of(i, data)
        yield i, case, data


class Nginx(Process):
    """nginx in front, which keeps connections to the server and uses them for everyone."""

    def __init__(self, server, buffering):
        self.folder = tempfile.TemporaryDirectory()
        self.port = free_port()
        root = self.folder.name
        paths = "\n".join(
            f"{kind}_temp_path {root}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        config = Path(root) / "nginx.conf"
        config.write_text(f"""
            daemon off; master_process off; pid {root}/pid; error_log {root}/error;
            events {{ worker_connections 256; }}
            http {{
                {paths}
                log_format forwarded escape=json '$request_method $request_uri $upstream_status';
                access_log {root}/access forwarded;
                client_header_timeout 1s; client_body_timeout 1s; send_timeout 5s; lingering_timeout 1s;
                upstream server {{ server 127.0.0.1:{server.port}; keepalive 4; }}
                server {{
                    listen 127.0.0.1:{self.port};
                    location / {{
                        proxy_pass http://server;
                        proxy_http_version 1.1;
                        proxy_set_header Connection "";
                        proxy_set_header Host localhost;
                        proxy_request_buffering {buffering};
                        proxy_next_upstream off;
                        proxy_read_timeout 15s;
                    }}
                }}
            }}
        """)
        super().__init__(["nginx", "-p", root, "-c", str(config), "-e", f"{root}/error"])
        until("nginx listens", lambda: accepts(self.port))

    def forwarded(self):
        """What was passed on, as (method, target, status of the server)."""
        for line in (Path(self.folder.name) / "access").read_text(errors="replace").splitlines():
            method, _, rest = line.partition(" ")
            target, _, status = rest.rpartition(" ")
            if status.isdigit():
                yield method, target, int(status)

    def stop(self):
        super().stop()
        self.folder.cleanup()


class HAProxy(Process):
    """HAProxy in front, which keeps connections to the server and uses them for everyone."""

    def __init__(self, server):
        self.folder = tempfile.TemporaryDirectory()
        self.port = free_port()
        config = Path(self.folder.name) / "haproxy.cfg"
        config.write_text(f"""
global
    log stdout format raw local0
    # Of what two threads log at once, HAProxy drops one (DroppedLogs of `show info`).
    nbthread 1
defaults
    mode http
    log global
    # What the server was asked, and what it answered; who could not be read was not passed on.
    log-format "forwarded %HM %HU %ST %b/%s %ts"
    timeout connect 5s
    timeout client 1s
    timeout server 15s
    timeout http-request 1s
    http-reuse always
    retries 0
frontend front
    bind 127.0.0.1:{self.port}
    default_backend back
backend back
    server one 127.0.0.1:{server.port}
""")
        super().__init__(["haproxy", "-db", "-f", str(config)])
        until("HAProxy listens", lambda: accepts(self.port))

    def forwarded(self):
        for line in self.lines():
            found = re.match(r"forwarded (\S+) (.*) (-?\d+) (\S+)/(\S+) (\S+)$", line)
            if found and found.group(5) == "one":
                yield found.group(1), found.group(2), int(found.group(3))

    def stop(self):
        super().stop()
        self.folder.cleanup()
