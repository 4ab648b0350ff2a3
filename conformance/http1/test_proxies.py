"""Requests that could be read in two ways, sent through real proxies: each answer belongs to its request, and the server
reads just those requests that the proxy passed on."""

import contextlib
import json
import re
import unittest
from collections import Counter

from support import UNREAD, Client, HAProxy, Nginx, Server, until, vectors

# A name of a request, in a target.
NAME = re.compile(r"/channels/((?:v|smuggled|same|other)-\d+)")


def named(i, data):
    """The request with names of its own."""
    return data.replace(b"/channels/a", b"/channels/v-%d" % i).replace(b"/channels/smuggled", b"/channels/smuggled-%d" % i)


def publish(name):
    return f"POST /channels/{name} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi".encode()


def names(targets):
    return Counter(found.group(1) for found in map(NAME.search, targets) if found)


class Proxies(unittest.TestCase):
    def through(self, make):
        server = Server()
        self.addCleanup(server.stop)
        proxy = make(server)
        self.addCleanup(proxy.stop)
        followed = 0
        for i, case, data in vectors(named):
            with self.subTest(case["name"]):
                followed += self.one(proxy, i, data)
        # Connections that were kept served others as well.
        self.assertGreater(followed, 20)
        last = Client(proxy.port)
        last.send(publish("other-999999"))
        self.assertEqual(last.answer()[0], 201)
        last.close()
        until("the last is told of", lambda: "/channels/other-999999" in server.paths())
        read = names(server.paths())
        # A proxy logs a request once it is over, which may be after its answer.
        passed_on = lambda: names(target for _, target, _ in proxy.forwarded())
        with contextlib.suppress(AssertionError):
            until("the proxy tells of all that was read", lambda: not read - passed_on())
        self.assertFalse(read - passed_on(), "the server read what nobody passed on")
        forwarded = list(proxy.forwarded())
        clear = names(target for _, target, status in forwarded if status not in UNREAD)
        self.assertFalse(clear - read, "the server did not read what was passed on, and answered")
        print(f"{type(proxy).__name__}: {len(forwarded)} requests passed on, {followed} behind another on one connection")

    def one(self, proxy, i, data):
        """Sends a request, one behind it on the same connection, and one of somebody else."""
        client = Client(proxy.port)
        client.send(data)
        client.send(publish(f"same-{i}"))
        other = Client(proxy.port)
        other.send(publish(f"other-{i}"))
        status, body = other.answer()
        self.assertEqual((status, json.loads(body)["channel"]), (201, f"other-{i}"), "somebody else's answer")
        other.close()
        followed = 0
        while (answer := client.answer()) is not None:
            status, body = answer
            if status == 201:
                channel = json.loads(body)["channel"]
                # What looks like a request within another is one where the proxy has taken it for one.
                self.assertIn(channel, (f"v-{i}", f"smuggled-{i}", f"same-{i}"), "an answer to somebody else")
                followed += channel == f"same-{i}"
                if channel == f"same-{i}":
                    break
        client.close()
        return followed

    def test_nginx(self):
        self.through(lambda server: Nginx(server, "on"))

    def test_nginx_that_passes_bodies_on_as_they_come(self):
        self.through(lambda server: Nginx(server, "off"))

    def test_haproxy(self):
        self.through(HAProxy)


if __name__ == "__main__":
    unittest.main()
