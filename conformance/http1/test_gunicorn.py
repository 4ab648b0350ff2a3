"""The requests that gunicorn's own parser is tested with, sent to the program.

They come with gunicorn's source, which PyPI has, and are not part of this repository. The corpus says of each whether it is
a request; many leave out `Host`, which HTTP/1.1 must have, and go to addresses that the program does not know. So `Host` is
added where it is absent, and what is posted goes to a channel."""

import hashlib
import os
import re
import tarfile
import tempfile
import unittest
from pathlib import Path

from support import UNREAD, Client, Server

FOLDER = "CONFORMANCE_CORPUS"
PINNED = Path(__file__).with_name("corpus.txt").read_text().strip()

# Of what gunicorn takes for a request, what the program refuses, and why.
STRICTER = {
    "005": "a fragment in the target: RFC 9112 section 3.2 has none",
    "018 022 023": "the second request of the connection has no Host: RFC 9112 section 3.2",
    "025 025_line rfc9112_smuggle_gzip_chunked_01": "of transfer codings `chunked` alone is known, else 501: RFC 9112 section 6.1",
    "029 030 rfc9112_smuggle_te_identity_chunked_01": "`identity` is a transfer coding no longer: RFC 9112 section 7",
    "028": "a blank before a colon, which gunicorn takes where it is told to: RFC 9112 section 5.1",
    "compat_obs_fold compat_obs_fold_huge": "folded lines, which gunicorn takes where it is told to: RFC 9112 section 5.2",
    "099": "the body is cut off: what the corpus has of it is shorter than its length",
    "pp_01 pp_02 pp_04 pp_05": "a PROXY header, which is for proxies that are listed",
    "rfc9112_target_absolute_userinfo_01": "user information in an http URL: RFC 9110 section 4.2.4",
    "rfc9112_target_authority_connect_01 rfc9112_target_authority_ipv6_01": "CONNECT asks for a proxy, and this is none",
}
# Of what gunicorn refuses, what the program takes, and why.
LOOSER = {
    "003c": "`-bl` is a token, and so a method, if none that is answered: RFC 9110 section 9.1",
    "006 007 010 011 012 017 limit_header_default_01": "gunicorn's limits there are smaller than 100 fields and 16 KiB",
    "019": "fields of proxies that contradict each other are not looked at, unless a proxy is listed that sends them",
    "040 chunked_07": "a name with `_` is another field than one with `-`: RFC 9110 section 5.1",
    "041": "Content-Type twice where there is no body to have one",
    "rfc9110_trailer_forbidden_cl_01 rfc9110_trailer_forbidden_host_01 rfc9110_trailer_forbidden_te_01":
        "trailers are dropped, whatever they say: RFC 9110 section 6.5.1",
    "rfc9112_leading_crlf_02": "several empty lines before a request are passed over as one is: RFC 9112 section 2.2",
    "rfc9112_smuggle_cl_list_form_01": "lengths that agree are one: RFC 9112 section 6.3",
}


def reason(table, name):
    return next((why for names, why in table.items() if name in names.split()), None)


def source():
    """The tests of gunicorn's source, unpacked."""
    folder = Path(os.environ[FOLDER])
    name, _, digest = PINNED.partition(" --hash=sha256:")
    archive = folder / f"{name.replace('==', '-')}.tar.gz"
    if hashlib.sha256(archive.read_bytes()).hexdigest() != digest:
        raise RuntimeError(f"{archive} is not what corpus.txt pins")
    unpacked = tempfile.TemporaryDirectory()
    with tarfile.open(archive) as tar:
        tar.extractall(unpacked.name, filter="data")
    return unpacked, next(Path(unpacked.name).glob("gunicorn-*/tests/requests"))


def read(path):
    """The bytes that a file of the corpus stands for."""
    data = path.read_bytes().replace(b"\n", b"").replace(b"\\r\\n", b"\r\n")
    data = data.replace(b"\\0", b"\0").replace(b"\\n", b"\n").replace(b"\\t", b"\t")
    return re.sub(rb"\\x([0-9a-fA-F]{2})", lambda found: bytes([int(found.group(1), 16)]), data)


def adapted(data):
    """The same with `Host`, and to a channel."""
    line, end, rest = data.partition(b"\r\n")
    head = rest.partition(b"\r\n\r\n")[0]
    if end and b"HTTP/1.1" in line and not re.search(rb"(?im)^host[ \t]*:", head):
        rest = b"Host: localhost\r\n" + rest
    line = re.sub(rb"^(POST|PUT|PATCH) /\S*", rb"POST /channels/corpus", line)
    return line + end + rest


class Corpus(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.unpacked, cls.requests = source()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        cls.unpacked.cleanup()

    def statuses(self, path):
        client = Client(self.server.port)
        client.send(adapted(read(path)))
        client.finish()
        statuses = []
        while (answer := client.answer()) is not None:
            statuses.append(answer[0])
        client.close()
        return statuses

    def test_what_is_a_request_is_read(self):
        files = sorted((self.requests / "valid").glob("*.http"))
        self.assertGreater(len(files), 50)
        for path in files:
            with self.subTest(path.stem):
                statuses = self.statuses(path)
                refused = not statuses or any(status in UNREAD for status in statuses)
                self.assertEqual(refused, reason(STRICTER, path.stem) is not None, f"{statuses}: {adapted(read(path))[:300]!r}")

    def test_what_is_none_is_refused(self):
        files = sorted((self.requests / "invalid").glob("*.http"))
        self.assertGreater(len(files), 70)
        for path in files:
            with self.subTest(path.stem):
                statuses = self.statuses(path)
                taken = bool(statuses) and statuses[-1] not in UNREAD
                self.assertEqual(taken, reason(LOOSER, path.stem) is not None, f"{statuses}: {adapted(read(path))[:300]!r}")


if __name__ == "__main__":
    unittest.main()
