"""slowhttptest, which holds connections by sending heads and bodies and taking answers slowly: all of them are let go in
time, and others are served meanwhile."""

import re
import subprocess
import unittest

from support import Client, Server, until

COUNT = 500
ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Slow(unittest.TestCase):
    def attack(self, path, *words, ends):
        server = Server(SWITCHBOARD_TIMEOUTS_HEAD="5s", SWITCHBOARD_TIMEOUTS_BODY="5s", SWITCHBOARD_LOG_LEVEL="info")
        self.addCleanup(server.stop)
        client = Client(server.port)
        client.send(b"POST /channels/large HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000)
        self.assertEqual(client.answer()[0], 201)
        command = ["slowhttptest", "-c", str(COUNT), "-r", str(COUNT), "-i", "1", "-p", "10", "-l", "20", *words]
        tool = subprocess.Popen(
            [*command, "-u", f"http://127.0.0.1:{server.port}{path}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        held, served = 0, 0
        while tool.poll() is None:
            # Whoever means no harm is answered all the while.
            client.send(b"POST /channels/honest HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi")
            self.assertEqual(client.answer()[0], 201)
            served += 1
            held = max(held, server.metrics()["switchboard_connections"])
        said = ESCAPES.sub("", tool.stdout.read().decode())
        tool.stdout.close()
        self.assertNotRegex(said, r"service available:\s+NO")
        self.assertGreater(held, COUNT / 2, said)
        if ends:
            # The server has let them go, and not the time that the tool has.
            self.assertIn("No open connections left", said)
        until("all of them are let go", lambda: server.metrics()["switchboard_connections"] <= 2)
        print(f"{words}: {held:.0f} held at once, {served} served meanwhile")
        client.close()

    def test_slow_heads(self):
        self.attack("/channels/a", "-H", "-t", "GET", "-x", "24", ends=True)

    def test_slow_bodies(self):
        self.attack("/channels/a", "-B", "-t", "POST", "-s", "100000", "-x", "10", ends=True)

    def test_slow_readers(self):
        self.attack("/channels/large", "-X", "-w", "1", "-y", "1", "-n", "5", "-z", "32", "-k", "3", ends=False)


if __name__ == "__main__":
    unittest.main()
