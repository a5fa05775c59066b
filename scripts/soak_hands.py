# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""The run of scripts/soak in which many hands are at dlo-redrive at once:
verbs that look and verbs that move, clients that go, reloads, TERM, kill -9,
and a broker that is killed. Each dead letter is somewhere afterwards."""

import collections
import random
import signal
import socket
import time

LETTERS = 6000
LOOKS = ("peek", "groups", "export")
MOVES = ("park", "unpark", "delete", "restore")
QUEUES = ("orders.dlq", "orders.parked", "orders.archive")
BROKER_EVERY_S = 40
# What a verb may end with: done, refused, drift, no connection.
CODES = (0, 1, 2, 69)


class Hands:
    """What they do, and what came of it."""

    def __init__(self, case, seed):
        self.case = case
        self.chance = random.Random(seed)
        self.daemon = case.office()
        self.codes = collections.Counter()
        self.done = collections.Counter()
        self.exits = []

    def verb(self, *args):
        from program import run_program
        code, _, _ = run_program("dlo", "-c", self.case.path, *args)
        self.codes[code] += 1

    def an_id(self):
        return ("--id", f"m-{self.chance.randrange(LETTERS)}")

    def go_away(self):
        """A client that asks for all letters and leaves."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(self.chance.random())
            try:
                client.connect(self.case.socket)
                client.sendall(b"GET /v1/pipelines/orders/dead?lines=true "
                               b"HTTP/1.0\r\nHost: localhost\r\n\r\n")
                client.recv(1000)
            except OSError:
                pass  # between two daemons, or slower than we wait

    def again(self):
        """Another daemon, at once; it serves, whether it is ready or not."""
        self.daemon = self.case.redrive(
            self.case.path, listen=f"unix:{self.case.socket}", ready=False)
        self.daemon.wait_log("listening")
        self.daemon.get("/healthz")

    def act(self, what):
        self.done[what] += 1
        if what in LOOKS:
            self.verb(what, "orders")
        elif what in ("unpark", "restore"):
            self.verb(what, "orders", "--all")
        elif what in MOVES:
            self.verb(what, "orders", *self.an_id(), *self.an_id())
        elif what == "leave":
            self.go_away()
        elif what == "reload":
            self.daemon.signal(signal.SIGHUP)
        elif what == "term":
            self.exits.append(self.daemon.terminate())
            self.again()
        elif what == "kill":
            self.daemon.kill9()
            self.daemon.wait()
            self.again()
        else:
            self.case.kill_broker()


def run_hands(run):
    """Two minutes, and what is left of the letters."""
    import harness
    from api_case import ApiCase
    from redrive_case import numbered
    run.close()
    run.case = case = ApiCase()
    case.setUp()
    case.private_broker()
    case.make_queues()
    hands = Hands(case, run.args.seed)
    ids = case.bury(numbered(LETTERS))
    end = time.monotonic() + run.args.hands_minutes * 60
    broker_at = time.monotonic() + BROKER_EVERY_S
    while time.monotonic() < end:
        hands.act(hands.chance.choice(
            LOOKS + MOVES + ("leave", "reload", "term", "kill")))
        if time.monotonic() > broker_at:
            broker_at += BROKER_EVERY_S
            hands.act("broker")
    print(f"  did {dict(hands.done)}, verbs ended {dict(hands.codes)}",
          flush=True)
    run.check(all(code in CODES for code in hands.codes),
              "each verb ended in a way that it documents")
    run.check(not any(hands.exits), f"{len(hands.exits)} TERMs ended a "
              f"daemon with {sorted(set(hands.exits))}")
    harness.wait_until(
        lambda: all(job["state"] == "ended"
                    for job in case.ask("jobs")["jobs"]),
        "all jobs have ended", timeout=300, every=1)
    run.check(hands.daemon.terminate() == 0, "TERM ends the last with 0")
    # What connections held at their end is put back a moment later.
    harness.wait_until(
        lambda: sum(case.depth(queue) for queue in QUEUES) >= LETTERS,
        f"{LETTERS} letters are back")
    found = [message_id for queue in QUEUES for message_id in
             case.ids_in(queue)]
    run.check(set(found) == set(ids), f"{LETTERS} letters are there")
    twice = len(found) - len(set(found))
    run.check(twice <= 512 * hands.done["kill"],
              f"{twice} of them twice after {hands.done['kill']} kills")
