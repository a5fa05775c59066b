# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""Messages that kill the consumer that tries them. The downstream does it
here: it answers them with a SIGKILL; systemd is the test."""

import os
import signal
import threading

import harness
from harness import wait_until

# Three deaths make a suspect, three more in its trial condemn it.
DEATHS = 6


class Crash(harness.Case):
    def setUp(self):
        super().setUp()
        self.declare("orders")
        self.now = None

    def shop(self, down, **pipeline):
        """Nothing fails but by dying."""
        return self.config(
            down, downstreams={"shop": {
                "breaker": {"failures": 1000, "minimum": 1000}}},
            pipelines={"orders": {
                "prefetch": 20, "concurrency": 4,
                "retry": {"first": "200ms", "cap": "1s"}, **pipeline}})

    def kill(self):
        """As the message would: there is no answer any more."""
        os.kill(self.now.pid, signal.SIGKILL)
        return 200

    def settled(self, dead):
        """Nothing is left but so many dead letters, says the broker."""
        queues = self.fresh_totals()
        return "orders.dlq" in queues and \
            queues["orders.dlq"]["total"] == dead and not any(
                queue["total"] for name, queue in queues.items()
                if name == "orders" or name.startswith("dlo.retry."))

    def live(self, config, over):
        """Starts a consumer again and again, until `over` holds. How often
        one has died."""
        deaths = 0
        while True:
            self.now = self.consumer(config, ready=False)
            self.now.killed = True
            wait_until(lambda: not self.now.alive() or over(),
                       "its death, or the end", 60, every=0.2)
            if self.now.alive():
                return deaths
            self.now.wait()
            deaths += 1
            self.assertLessEqual(deaths, 3 * DEATHS)

    def test_what_kills_its_consumer_dies_as_crash(self):
        ids = self.publish_many("orders", 30)
        poison = set(ids[7:9])
        down = self.downstream(
            lambda r: self.kill() if r.id in poison else 200)
        deaths = self.live(self.shop(down),
                           lambda: self.settled(len(poison)))
        self.assertLessEqual(deaths, len(poison) * DEATHS)
        self.assertGreaterEqual(deaths, DEATHS)
        dead = {m.id: m.headers for m in self.drain("orders.dlq")}
        self.assertEqual(set(dead), poison)
        for headers in dead.values():
            self.assertEqual(headers["dlo-reason"], "crash")
            self.assertEqual(headers["dlo-class"], "crash.suspected")
            self.assertIn("its consumer died", headers["dlo-error"])
            self.assertEqual(headers["dlo-attempt"], 0)
        answered = {r.id for r in down.requests}
        self.assertEqual(set(ids), answered)
        # And it lives on.
        self.wait_ready(self.now)
        later = set(self.publish_many("orders", 5, prefix="later"))
        wait_until(lambda: later <= {r.id for r in down.requests},
                   "the later ones")

    def test_restarts_condemn_nobody(self):
        gate = threading.Event()
        self.addCleanup(gate.set)
        down = self.downstream(lambda r: gate.wait(60) and 200)
        ids = self.publish_many("orders", 1)
        config = self.shop(down)
        for _ in range(DEATHS - 1):
            # Each time in the middle of an attempt, or of a trial.
            seen = len(down.requests)
            self.now = self.consumer(config)
            down.wait_requests(seen + 1)
            self.now.kill9()
        self.assertEqual(len(self.now.logged("trial")), 1)
        gate.set()
        self.now = self.consumer(config)
        # Queues are not counted at the same moment: one on its way between
        # two of them may be in neither. Not so when it is done.
        self.now.wait_log("trial", 60)
        wait_until(lambda: self.now.metrics().value(
            "dlo_settled_total", result="ok") == 1, "it is done", 60)
        wait_until(lambda: self.settled(0), "all is settled, nobody dead", 60)
        self.assertEqual(set(ids), {r.id for r in down.requests})
