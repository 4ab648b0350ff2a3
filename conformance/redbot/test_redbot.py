"""What REDbot, a linter of HTTP, makes of the answers of the API, of a site and of streams that end: by looking at them, and by
asking again for parts, for what has changed, and for another coding."""

import gzip
import os
import re
import subprocess
import tempfile
import threading
import unittest
import urllib.request
from configparser import ConfigParser
from pathlib import Path

import thor
from redbot.resource import HttpResource

PATIENCE = 30

# What is found amiss and is so on purpose, wherever it is found.
MEANT = {
    # A hashed file says `public` though nobody would doubt it: caches that see a request with credentials do.
    "STORE_PUBLIC_UNNECESSARY",
    # Pages of events are `private, no-store`: who passes over the one may heed the other.
    "CC_CONFLICTING",
    # What is generated anew has no validator, and `no-cache` has caches ask for it all the same.
    "FRESHNESS_NO_CACHE_NO_VALIDATOR",
    # On a loopback address the page may read from the server of the examples, which has no TLS.
    "CSP_HTTP_URI",
    # Two of those asked for are refused, as they are meant to be.
    "STATUS_BAD_REQUEST",
    # The part that it asked for is all of a file that is shorter.
    "RANGE_CL_FULL",
}

# Asked for with these fields, and what REDbot is to find good at least.
READ = [
    ("/", {}, {"INM_304", "IMS_304", "RANGE_CORRECT", "CL_CORRECT"}),
    ("/long.txt", {}, {"INM_304", "IMS_304", "RANGE_CORRECT", "CONNEG_GZIP_GOOD"}),
    ("/large.bin", {}, {"INM_304", "IMS_304", "RANGE_CORRECT"}),
    ("/app.3f2a9c1b.css", {}, {"INM_304", "IMS_304"}),
    ("/nothing", {}, {"CL_CORRECT"}),
    ("/console", {}, {"CONTENT_TYPE_OPTIONS", "CL_CORRECT"}),
    ("/healthz", {}, {"CL_CORRECT"}),
    ("/readyz", {}, {"CL_CORRECT"}),
    ("/metrics", {}, {"CL_CORRECT"}),
    ("/api/channels", {}, {"CL_CORRECT"}),
    ("/api/openapi.json", {}, {"CL_CORRECT"}),
    ("/channels/a", {}, {"INM_304", "CL_CORRECT"}),
    ("/channels?channel=a", {}, {"INM_304", "CL_CORRECT"}),
    ("/channels/bad%00name", {}, {"CL_CORRECT"}),
    ("/session", {}, {"CL_CORRECT"}),
    ("/channels/over?since=earliest", {"Accept": "text/event-stream"}, set()),
    ("/channels/over?since=earliest", {"Accept": "application/x-ndjson"}, set()),
    ("/channels/over?since=earliest&form=raw", {"Accept": "application/x-ndjson"}, set()),
]


class Server:
    """The program with a site, in a process of its own."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        site = Path(self.folder.name) / "site"
        site.mkdir()
        (site / "index.html").write_text("<!doctype html><title>A page</title><p>" + "Hello! " * 200)
        (site / "long.txt").write_text("a line of text\n" * 1000)
        (site / "long.txt.gz").write_bytes(gzip.compress((site / "long.txt").read_bytes()))
        (site / "large.bin").write_bytes(bytes(range(256)) * 1000)
        (site / "app.3f2a9c1b.css").write_text("p { margin: 0 }")
        config = Path(self.folder.name) / "switchboard.toml"
        config.write_text(f'listen = ["127.0.0.1:0"]\ngzip = true\n[site]\ndirectory = "{site}"\n')
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SWITCHBOARD_")}
        command = [os.environ["CONFORMANCE_SERVER"], "serve", "--config", str(config)]
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
        self.url = next(re.search(r"http://127\.0\.0\.1:\d+", line) for line in self.child.stdout if "listening" in line)[0]
        threading.Thread(target=self.child.stdout.read, daemon=True).start()

    def post(self, path, body=b""):
        request = urllib.request.Request(self.url + path, body, {"Content-Type": "text/plain"}, method="POST")
        urllib.request.urlopen(request, timeout=PATIENCE).close()

    def stop(self):
        self.child.terminate()
        self.child.wait(PATIENCE)
        self.folder.cleanup()


def examine(url, wanted):
    """Has REDbot look at all of these, one after the other, for each of which it is waited: its loop runs once in a process."""
    parser = ConfigParser()
    parser.read_dict({"redbot": {"enable_local_access": "True"}})
    examined, left, overdue = [], list(wanted), None

    def go_on():
        nonlocal overdue
        if overdue:
            overdue.delete()
        overdue = thor.schedule(PATIENCE, thor.stop)
        if not left:
            thor.stop()
            return
        path, fields, _ = left.pop(0)
        resource = HttpResource(parser["redbot"])
        resource.set_request(url + path, headers=list(fields.items()))
        examined.append(resource)
        resource.once("check_done", go_on)
        resource.check()

    go_on()
    thor.run()
    overdue.delete()
    return examined


def found(notes):
    """The notes by name, those within others as well."""
    for note in notes:
        yield type(note).__name__, note.level.name
        yield from found(note.subnotes)


class Linted(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.addClassCleanup(cls.server.stop)
        cls.server.post("/channels/a", b"hello")
        for text in [b"one", b"two" * 500]:
            cls.server.post("/channels/over", text)
        cls.server.post("/channels/over?end=true")
        cls.examined = examine(cls.server.url, READ)

    def test_nothing_is_amiss_that_is_not_meant(self):
        self.assertEqual(len(self.examined), len(READ))
        for (path, fields, _), resource in zip(READ, self.examined):
            for kind, one in {"asked": resource, **resource.subreqs}.items():
                with self.subTest(path=path, kind=kind, **fields):
                    amiss = {name for name, level in found(one.response.notes) if level in ("WARN", "BAD")}
                    self.assertLessEqual(amiss, MEANT)

    def test_answers_are_whole_and_what_is_promised_is_done(self):
        for (path, fields, wanted), resource in zip(READ, self.examined):
            with self.subTest(path=path, **fields):
                self.assertIsNone(resource.fetch_error)
                self.assertTrue(resource.response.complete)
                good = {name for name, level in found(resource.response.notes) if level == "GOOD"}
                self.assertLessEqual(wanted, good)


if __name__ == "__main__":
    unittest.main()
