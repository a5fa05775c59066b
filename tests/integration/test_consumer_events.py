# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""What the consumer tells on dlo.events, heard by an independent client and
held against the schema; and that telling harms nothing."""

import datetime
import json
import os
import threading

import harness
from event_ear import Ear
from harness import wait_until

CALM = {"failures": 1000, "minimum": 1000}
BEAT_S = 5


class Events(harness.Case):
    def setUp(self):
        super().setUp()
        self.declare("orders")

    def shop(self, down, retry=None, breaker=None, **more):
        return self.config(
            down, downstreams={"shop": {"breaker": breaker or CALM}},
            pipelines={"orders": {"retry": {
                "first": "200ms", "cap": "1s", "hold": "300ms", "jitter": 0,
                **(retry or {})}}}, **more)

    def redriven(self, message_id, **more):
        """A message as dlo-redrive publishes it: its user is vouched for."""
        self.publish("orders", b"x", message_id=message_id, user_id="guest",
                     headers={"dlo-id": message_id, "dlo-job": "j-1",
                              "dlo-redrives": 1}, **more)


class Outcomes(Events):
    def test_each_attempt_of_a_redriven_message_is_told(self):
        ear = Ear(self, "outcome.*")
        down = self.downstream(
            lambda r: (503, {}, b"so \xff busy") if r.attempt < 3 else 200)
        consumer = self.consumer(self.shop(down))
        self.publish("orders", b"x", message_id="plain")
        # Anybody can write headers; nobody can write another's user id.
        self.publish("orders", b"x", message_id="forged",
                     headers={"dlo-job": "j-1"})
        self.redriven("one")
        told = ear.wait(3, pipeline="orders")
        down.wait_requests(9)
        self.wait_totals("orders", total=0)
        self.assertEqual([
            (event["id"], event["job"], event["attempt"], event["redrives"],
             event["outcome"], event["class"], event["next"],
             event["delay_ms"]) for event in told], [
            ("one", "j-1", 1, 1, "retry", "http.503", "hold", 200),
            ("one", "j-1", 2, 1, "retry", "http.503", "ladder", 400),
            ("one", "j-1", 3, 1, "ok", "http.200", "ack", 0)])
        self.assertIn("so \ufffd busy", told[0]["error"])
        self.assertEqual(len(ear.listen()), 3)
        self.assertTrue(told[0]["instance"].endswith(f":{consumer.pid}"))
        self.assertEqual(consumer.metrics().value(
            "dlo_events_total", event="outcome", result="sent"), 3)

    def test_what_dlo_redrive_moves_is_told_with_its_job(self):
        ear = Ear(self, "outcome.*", "dead.*")
        down = self.downstream(lambda r: 503)
        config = self.shop(down, retry={"attempts": 1})
        self.consumer(config)
        self.publish("orders", b"x", message_id="caf\u00e9")
        ear.wait(event="dead", id="caf\u00e9")
        down.answer = lambda r: 200
        code, _, log = self.redrive_once(config)
        self.assertEqual(code, 0, log)
        outcome, = ear.wait(event="outcome")
        self.assertEqual(
            (outcome["id"], outcome["redrives"], outcome["attempt"],
             outcome["outcome"]), ("caf\u00e9", 1, 1, "ok"))
        self.assertIn(f" job={outcome['job']} ", log)

    def test_a_dead_letter_is_told_when_it_is_there(self):
        ear = Ear(self, "dead.#", "outcome.#")
        self.consumer(self.shop(self.downstream(lambda r: 422)))
        self.redriven("again")
        event, = ear.wait(event="dead")
        self.assertEqual(self.depth("orders.dlq"), 1)
        self.assertEqual(
            (event["id"], event["job"], event["redrives"], event["attempt"],
             event["reason"], event["class"]),
            ("again", "j-1", 1, 1, "rejected", "http.422"))
        self.assertEqual([e["next"] for e in ear.heard(event="outcome")],
                         ["dead"])
        self.publish("orders", b"x", message_id="fresh")
        event, = ear.wait(event="dead", id="fresh")
        self.assertEqual(self.depth("orders.dlq"), 2)
        self.assertNotIn("job", event)

    def test_no_death_is_told_that_has_no_copy(self):
        ear = Ear(self, "dead.#")
        consumer = self.consumer(self.shop(self.downstream(lambda r: 422)))
        self.channel.queue_delete("orders.dlq")
        self.publish("orders", b"x", message_id="1")
        consumer.wait_log("copy_not_taken", result="returned")
        self.assertEqual(ear.listen(), [])
        # The consumer declares it anew, and only then it is there.
        event, = ear.wait(event="dead")
        self.assertEqual(event["id"], "1")
        self.assertEqual(self.depth("orders.dlq"), 1)


class Breakers(Events):
    def test_changes_and_the_state_every_now_and_then(self):
        ear = Ear(self, "breaker.shop")
        down = self.downstream(lambda r: 503)
        self.consumer(self.shop(
            down, retry={"attempts": 50},
            breaker={"failures": 3, "open": "500ms", "open_max": "500ms"}))
        first, second = ear.wait(2, downstream="shop", state="closed")[:2]
        self.assertNotIn("previous", first)
        self.assertEqual((first["opened"], second["opened"]), (0, 0))
        seconds = [datetime.datetime.fromisoformat(e["at"].rstrip("Z"))
                   for e in (first, second)]
        self.assertGreaterEqual((seconds[1] - seconds[0]).total_seconds(),
                                BEAT_S - 0.1)
        for number in range(10):
            self.publish("orders", b"x", message_id=str(number))
        opened, = ear.wait(state="open", previous="closed")
        self.assertEqual(opened["opened"], 1)
        self.assertGreater(opened["until"], opened["at"])
        ear.wait(state="half-open", previous="open")
        ear.wait(state="open", previous="half-open")
        down.answer = lambda r: 200
        ear.wait(state="closed", previous="half-open")
        self.wait_totals("orders", total=0)
        changes = [event for event in ear.listen() if "previous" in event]
        for one, other in zip(changes, changes[1:]):
            self.assertEqual(one["state"], other["previous"])

    def test_a_late_listener_hears_of_an_outage(self):
        down = self.downstream(lambda r: 503)
        consumer = self.consumer(self.shop(
            down, breaker={"failures": 1, "open": "60s"}))
        self.publish("orders", b"x", message_id="1")
        consumer.wait_log("breaker", to="open")
        event, = Ear(self, "breaker.#").wait(state="open")[:1]
        self.assertNotIn("previous", event)
        self.assertEqual(event["opened"], 1)


class Harmless(Events):
    def test_without_their_exchange_nothing_is_lost_or_late(self):
        down = self.downstream(lambda r: 422 if r.id.startswith("d") else 200)
        consumer = self.consumer(self.shop(down))
        self.channel.exchange_delete("dlo.events")
        self.redriven("d-first")
        consumer.wait_log("news_refused", code=404)
        for number in range(100):
            self.redriven(f"d-{number}")
            self.redriven(f"o-{number}")
        self.assertEqual(len(self.take("orders.dlq", 101)), 101)
        self.wait_totals("orders", total=0)
        self.assertEqual(set(down.attempts().values()), {1})
        self.assertEqual(consumer.logged("publish_channel_closed"), [])
        self.assertEqual(consumer.logged("copy_not_taken"), [])
        metrics = consumer.metrics()
        self.assertGreater(metrics.value(
            "dlo_events_total", event="dead", result="dropped"), 0)
        # And they are told again when it is back, after a pause.
        ear = Ear(self, "breaker.#")
        ear.wait(downstream="shop", timeout=90)

    def test_without_the_right_nothing_is_lost_or_late(self):
        user = self.broker.user_new("pw")
        self.addCleanup(self.broker.user_delete, user)
        self.broker.allow(self.vhost, user)
        down = self.downstream(lambda r: 422)
        consumer = self.consumer(self.shop(
            down, broker={"user": user, "password": "pw"}))
        self.broker.allow(self.vhost, user,
                          write=r"^dlo\.(retry\..*|dead)$")
        self.publish_many("orders", 50)
        self.assertEqual(len(self.take("orders.dlq", 50)), 50)
        self.wait_totals("orders", total=0)
        consumer.wait_log("news_refused", code=403)
        self.assertEqual(consumer.logged("copy_not_taken"), [])

    def test_a_broker_in_alarm_is_not_told(self):
        self.private_broker()
        self.declare("orders")
        gate = threading.Event()
        self.addCleanup(gate.set)
        down = self.downstream(
            lambda r: 200 if gate.wait(60) else 500)
        consumer = self.consumer(self.shop(down))
        for number in range(5):
            self.redriven(f"m-{number}")
        down.wait_requests(5)
        self.broker.alarm()
        # The event that tells us of the alarm still goes through.
        consumer.wait_log("broker_blocked")
        gate.set()
        # Not wait_totals, which publishes.
        wait_until(lambda: self.totals("orders")["total"] == 0,
                   "all are acked")
        self.assertEqual(consumer.metrics().value(
            "dlo_events_total", event="outcome", result="dropped"), 5)
        self.broker.end_alarm()
        consumer.wait_log("broker_unblocked")
        # None of it was kept: what is heard now is new.
        ear = Ear(self, "#")
        ear.wait(event="breaker")
        self.assertEqual(ear.heard(event="outcome"), [])
        self.redriven("new")
        ear.wait(event="outcome", id="new")
        self.wait_totals("orders", total=0)
        self.assertEqual(set(down.attempts().values()), {1})
