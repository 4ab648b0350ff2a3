"""The real program in a process of its own, as the tests of its documents need it."""

import hashlib
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import threading

VARIABLE = "CONFORMANCE_SERVER"
PATIENCE = 20
"""Seconds. A deadline is reached only by a failure."""

API_KEY = "swk_documents"
AUTHENTICATED = f"""
[[auth.key]]
algorithm = "HS256"
secret = "thirty-two bytes or more that only tests have"

[[auth.api_key]]
name = "tests"
hash = "sha256:{hashlib.sha256(API_KEY.encode()).hexdigest()}"
subscribe = ["**"]
publish = ["**"]
manage = ["**"]
"""

DOCUMENTS = pathlib.Path(__file__).resolve().parents[2] / "crates/server/src/api/documents"


def program():
    """The path of the program under test."""
    path = os.environ.get(VARIABLE)
    if not path or not os.access(path, os.X_OK):
        raise AssertionError(f"{VARIABLE} names no program: `cargo xtask clients` sets it, and builds what it names")
    return os.path.abspath(path)


def document(name):
    """A document as it is written."""
    return json.loads((DOCUMENTS / f"{name}.json").read_text())


class Server:
    """Listens on a free port until the `with` ends."""

    def __init__(self, settings):
        self._settings = settings

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory()
        self._file = f"{self._folder.name}/switchboard.toml"
        pathlib.Path(self._file).write_text(self._settings)
        self._others = {name: value for name, value in os.environ.items() if not name.startswith("SWITCHBOARD_")}
        arguments = [program(), "serve", "--config", self._file, "--listen", "127.0.0.1:0", "--shards", "2"]
        self._process = subprocess.Popen(
            arguments, env=self._others, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        said = ""
        for line in self._process.stdout:
            said += line
            if found := re.search(r"listening on (http://127\.0\.0\.1:\d+)", line):
                self.url = found[1]
                # It goes on writing: a full pipe would stop it.
                threading.Thread(target=self._process.stdout.read, daemon=True).start()
                return self
        raise AssertionError(f"the server ended: {said}")

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        self._folder.cleanup()

    def drain(self):
        """Asks it to stop. Its clients are told."""
        self._process.send_signal(signal.SIGTERM)

    def token(self, *grants, lasts="1h"):
        """A token for the user `ann`."""
        arguments = [program(), "token", "--config", self._file, "--sub", "ann", "--for", lasts, *grants]
        made = subprocess.run(arguments, env=self._others, check=True, capture_output=True, text=True)
        return made.stdout.strip()
