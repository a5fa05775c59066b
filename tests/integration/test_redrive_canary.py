# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""A redrive that cannot make things worse: dlo-redrive and dlo-consumer on a
real broker, and a downstream that fails in its own ways."""

import collections
import json
import time

import pika

import harness
from program import Program
from redrive_case import RedriveCase, numbered

CALM = {"failures": 1000, "minimum": 1000}


class Watched(RedriveCase):
    """With a consumer whose verdicts count."""

    def watched(self, down, breaker=None, retry=None, **redrive):
        """A configuration with the usual canary and ramp."""
        redrive = {"canary": 5, "rate": 200,
                   "ramp": {"start": 50, "double_every": "1s"}, **redrive}
        config = self.redrive_config(**redrive)
        config["downstreams"]["shop"] = {"http": {"url": down.url},
                                         "breaker": breaker or CALM}
        config["pipelines"]["orders"]["retry"] = {
            "attempts": 2, "first": "100ms", "hold": "1s", **(retry or {})}
        return config

    def once(self, config, *args, exit_code=0):
        code, out, log = self.redrive_once(config, *args, timeout=120)
        self.assertEqual(code, exit_code, out + log)
        return out, log

    def redrives(self, queue="orders.dlq"):
        """How often those in the queue have been redriven: {times: count}."""
        return collections.Counter(message.headers.get("dlo-redrives", 0)
                                   for message in self.empty(queue))


class Canary(Watched):
    def test_when_all_fail_no_more_than_the_canary_is_tried(self):
        down = self.downstream(lambda request: 503)
        config = self.watched(down)
        self.consumer(config)
        self.bury(numbered(100))
        out, log = self.once(config, exit_code=2)
        self.assertIn("orders: aborted: too many failed again: 5 redriven",
                      out)
        self.assertIn("end=aborted", log)
        # They die again, and nobody else was touched.
        self.wait_depth("orders.dlq", 100)
        self.assertEqual(len(down.attempts()), 5)
        self.assertEqual(self.redrives(), {0: 95, 1: 5})

    def test_when_all_are_well_the_rest_follows(self):
        down = self.downstream()
        config = self.watched(down)
        self.consumer(config)
        ids = self.bury(numbered(200))
        out, log = self.once(config)
        self.assertEqual(out, "orders: complete: 200 redriven\n")
        self.assertIn("job_canary pipeline=orders", log)
        down.wait_requests(200)
        self.assertEqual(sorted(down.attempts()), sorted(ids))

    def test_without_a_consumer_nobody_says_so(self):
        down = self.downstream()
        config = self.watched(down, verdict_timeout="1s")
        ids = self.bury(numbered(20))
        out, _ = self.once(config, exit_code=2)
        self.assertEqual(out,
                         "orders: partial: no verdicts: 10 redriven\n")
        self.assertEqual(self.ids_in("orders"), ids[:10])
        self.assertEqual(self.ids_in("orders.dlq"), ids[10:])

    def test_without_a_canary_nobody_is_needed(self):
        config = self.watched(self.downstream(), canary=0)
        self.bury(numbered(20))
        out, _ = self.once(config)
        self.assertEqual(out, "orders: complete: 20 redriven\n")

    def test_what_fails_again_is_counted(self):
        bad = {"m-1", "m-7", "m-30"}
        down = self.downstream(
            lambda request: 422 if request.id in bad else 200)
        down_health = self.downstream()
        config = self.watched(down)
        config["downstreams"]["shop"]["probe"] = {
            "http": {"url": down_health.url}, "every": "100ms"}
        self.consumer(config)
        self.bury(numbered(60))
        daemon = self.redrive(config)
        daemon.wait_log("job_ended", end="complete", redriven=60)
        # Verdicts may come after the end.
        harness.wait_until(lambda: daemon.metrics().value(
            "dlo_redrive_failed_again_total", pipeline="orders") == 3,
            "three failed again")
        self.wait_depth("orders.dlq", 3)

    def test_a_small_queue_is_all_canary(self):
        down = self.downstream(lambda request: 422)
        config = self.watched(down)
        self.consumer(config)
        self.bury(numbered(3))
        out, _ = self.once(config, exit_code=2)
        self.assertIn("aborted: too many failed again: 3 redriven, "
                      "3 failed again", out)
        self.wait_depth("orders.dlq", 3)


class Stranger(Watched):
    def test_forged_verdicts_are_not_believed(self):
        self.broker.ctl("add_user", "stranger-" + self.vhost, "pw")
        self.addCleanup(self.broker.ctl, "delete_user",
                        "stranger-" + self.vhost)
        self.broker.ctl("set_permissions", "-p", self.vhost,
                        "stranger-" + self.vhost, "", "dlo.events", "")
        config = self.watched(self.downstream(), canary=1,
                              verdict_timeout="2s")
        ids = self.bury(numbered(10))
        # Nobody consumes: all that is heard is the stranger's.
        forger = self.new_channel(confirms=False,
                                  user="stranger-" + self.vhost,
                                  password="pw")
        path = self.write_config(config)
        program = Program("dlo-redrive", "-c", path, "--once")
        self.addCleanup(program.finish)
        canary = self.take("orders", 1)[0]
        event = {"version": 1, "event": "outcome", "pipeline": "orders",
                 "at": "2026-01-01T00:00:00.000Z", "instance": "x:1",
                 "id": canary.id, "job": canary.headers["dlo-job"],
                 "redrives": 1, "attempt": 1, "outcome": "ok",
                 "class": "http.200", "handler_ms": 1, "next": "ack",
                 "delay_ms": 0}
        for user in (None, "stranger-" + self.vhost):
            forger.basic_publish(
                "dlo.events", "outcome.orders", json.dumps(event),
                pika.BasicProperties(content_type="application/json",
                                     type="outcome", user_id=user,
                                     timestamp=int(time.time())))
        self.assertEqual(program.wait(60), 2)
        self.assertIn("verdicts_not_believed", program.tail())
        self.assertIn("partial: no verdicts", program.stdout)
        self.assertEqual(self.ids_in("orders.dlq"), ids[2:])


class Gates(Watched):
    def test_an_open_breaker_stops_it_until_it_closes(self):
        down = self.downstream()
        config = self.watched(
            down, breaker={"failures": 3, "open": "1s", "open_max": "1s"},
            retry={"attempts": 20}, abort_above=1)
        self.consumer(config)
        self.bury(numbered(400))
        path = self.write_config(config)
        program = Program("dlo-redrive", "-c", path, "--once")
        self.addCleanup(program.finish)
        down.wait_requests(60)
        down.answer = lambda request: 503
        program.wait_log("job_paused")
        self.assertGreater(self.totals("orders.dlq")["total"], 0)
        down.answer = lambda request: 200
        program.wait_log("job_resumed")
        self.assertEqual(program.wait(120), 0, program.tail())
        self.wait_totals("orders", total=0)
        self.assertEqual(self.depth("orders.dlq"), 0)
