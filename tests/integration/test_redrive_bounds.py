# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""What the control API refuses for its size, its slowness or its kind, over
both of its sockets; and that no dead letter makes dlo-redrive publish where
its pipeline does not go."""

import socket
import threading
import time

import harness
from api_case import ApiCase
from program import run_program

TOKEN = "not-to-be-guessed"
CONNECTIONS = 32
IDLE_SECONDS = 30
BODY_BYTES = 32 << 20


class Bounds(ApiCase):
    """On the unix socket."""

    def setUp(self):
        super().setUp()
        self.daemon = self.open_office()
        self.good = ("GET /v1/pipelines HTTP/1.0\r\nHost: localhost\r\n"
                     f"Authorization: Bearer {TOKEN}\r\n")

    def open_office(self):
        return self.office()

    def send(self, head, body=b""):
        """The status that these bytes get; None: the end, without one."""
        client = self.connect_raw()
        try:
            client.sendall(head.encode() + b"\r\n" + body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has said no already
        answer = b""
        try:
            while part := client.recv(65536):
                answer += part
        except ConnectionResetError:
            pass
        return int(answer.split(b" ", 2)[1]) if answer else None

    def assert_serves(self):
        self.assertEqual(self.send(self.good), 200)
        self.assertTrue(self.daemon.alive())

    def test_bounds_of_size(self):
        post = self.good.replace("GET /v1/pipelines", "POST /v1/jobs")
        self.assertEqual(
            self.send(self.good + f"X-Long: {'x' * 65536}\r\n"), 400)
        self.assertEqual(self.send(
            self.good + "".join(f"X-{n}: y\r\n" for n in range(10000))), 400)
        self.assertEqual(self.send(
            self.good.replace("pipelines", "p" * 65536)), 400)
        self.assertEqual(self.send(
            post + f"Content-Length: {BODY_BYTES + 1}\r\n"), 413)
        # One that does not say how long it will be.
        post = post.replace("HTTP/1.0", "HTTP/1.1")
        chunk = b"%x\r\n" % (1 << 20) + b"x" * (1 << 20) + b"\r\n"
        self.assertEqual(self.send(
            post + "Transfer-Encoding: chunked\r\n",
            chunk * (BODY_BYTES // (1 << 20) + 2) + b"0\r\n\r\n"), 413)
        self.assert_serves()
        self.assertEqual(self.ask("jobs")["jobs"], [])

    def test_bounds_of_kind(self):
        for head, status in (
                (self.good.replace("GET", "DELETE"), 405),
                (self.good.replace("/pipelines", "/nothing"), 404),
                (self.good.replace("/v1/pipelines", "/v2/pipelines"), 404),
                (self.good.replace("GET /v1/pipelines",
                                   "POST /v1/jobs/x/explode"), 404),
                (self.good + "Origin: http://evil.example\r\n", 403),
                (self.good + "Origin: null\r\n", 403)):
            self.assertEqual(self.send(head), status, head)
        self.assert_serves()

    def test_bounds_of_slowness(self):
        """All connections dribble, half of them their head and half a body:
        each ends when its time is over, and others are served then."""
        post = self.good.replace("GET /v1/pipelines", "POST /v1/jobs")
        slow = [self.connect_raw() for _ in range(CONNECTIONS)]
        for number, client in enumerate(slow):
            client.sendall((self.good if number % 2 else
                            post + "Content-Length: 1000\r\n\r\n").encode())
        begun = time.monotonic()
        done = threading.Event()
        self.addCleanup(done.set)

        def dribble():
            left = list(slow)
            while left and not done.wait(0.5):
                for client in list(left):
                    try:
                        client.send(b"x")
                    except OSError:
                        left.remove(client)

        thread = threading.Thread(target=dribble, daemon=True)
        thread.start()
        for client in slow:
            client.settimeout(IDLE_SECONDS + 15)
            try:
                while client.recv(65536):
                    pass
            except ConnectionResetError:
                pass
        self.assertLess(time.monotonic() - begun, IDLE_SECONDS + 15)
        done.set()
        thread.join()
        self.assert_serves()


class BoundsOverTcp(Bounds):
    """The same with a token."""

    def open_office(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = probe.getsockname()
        return self.office(listen=f"127.0.0.1:{self.address[1]}", token=TOKEN)

    def connect_raw(self):
        client = socket.create_connection(self.address, timeout=30)
        self.addCleanup(client.close)
        return client


class Deputy(ApiCase):
    def redrive_config(self, downstream=None, **redrive):
        """With a second pipeline, to which the exchange leads, too."""
        config = super().redrive_config(downstream, **redrive)
        config["pipelines"]["cakes"] = {
            **config["pipelines"]["orders"], "queue": "cakes"}
        return config

    victims = ("cakes", "victim")

    def setUp(self):
        super().setUp()
        for queue in self.victims:
            self.declare(queue)

    def bury_hostile(self):
        """Letters that name queues which are not their pipeline's, by our user
        (as those of another pipeline do) and by nobody whom the broker vouches
        for; their ids."""
        ids = []
        for who in ("guest", None):
            for queue in self.victims:
                ids += self.bury([f"{queue}-{who}"], user_id=who, headers={
                    "dlo-queue": queue, "dlo-pipeline": queue,
                    "dlo-exchange": "", "dlo-routing-key": queue,
                    "CC": [queue], "BCC": [queue]})
        # What the broker itself made of CC, before it was a dead letter.
        for queue in self.victims:
            self.wait_depth(queue, 2)
            self.empty(queue)
        return sorted(ids)

    def assert_spared(self):
        for queue in (*self.victims, "cakes.dlq"):
            self.assertEqual(self.depth(queue), 0, queue)

    def test_deputy_is_not_sent_elsewhere(self):
        """Each letter goes where its pipeline goes, or stays."""
        self.office()
        ids = self.bury_hostile()
        self.dlo("redrive", "orders", "--all", "--wait")
        self.assert_spared()
        self.assertEqual(sorted(self.ids_in("orders")
                                + self.ids_in("orders.dlq")), ids)

    def test_deputy_keeps_the_dead_among_themselves(self):
        self.office()
        ids = self.bury_hostile()
        for action, queue in (("park", "orders.parked"),
                              ("unpark", "orders.dlq"),
                              ("delete", "orders.archive"),
                              ("restore", "orders.dlq")):
            self.dlo(action, "orders", "--all", "--wait")
            self.assert_spared()
            self.wait_depth(queue, len(ids))
        self.assertEqual(sorted(self.ids_in("orders.dlq")), ids)

    def test_deputy_edits_and_imports_for_its_pipeline(self):
        self.office()
        ids = self.bury_hostile()
        code, letters, said = run_program("dlo", "-c", self.path, "export",
                                          "orders")
        self.assertEqual(code, 0, said)
        env = self.mending()
        for number, name in enumerate(ids):
            code, said = self.dlo_fed("", "edit", "orders", "--id", name,
                                      env=env)
            self.assertEqual(code, 0, said)
            self.wait_depth("orders.archive", number + 1)
            harness.wait_until(lambda: all(
                job["state"] == "ended" for job in self.ask("jobs")["jobs"]),
                "no job has the letters")
        self.assert_spared()
        self.assertEqual([m.body for m in self.empty("orders")],
                         [b"mended"] * len(ids))
        self.wait_depth("orders.archive", len(ids))
        code, said = self.dlo_fed(letters, "import", "orders")
        self.assertEqual(code, 0, said)
        self.assert_spared()
        self.wait_depth("orders.dlq", len(ids))
        self.assertEqual(sorted(self.ids_in("orders.dlq")), ids)
