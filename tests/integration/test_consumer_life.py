# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""What dlo-consumer lives through: an outage of its downstream, of its
broker, its own end by TERM and by SIGKILL. Nothing is ever lost."""

import signal
import threading

import pika.exceptions

import harness
from broker import quote
from harness import wait_until
from test_consumer_events import Ear

CALM = {"failures": 1000, "minimum": 1000}


class Gate:
    """A downstream's answer that waits until it is let go."""

    def __init__(self, answer=lambda request: 200):
        self.answer = answer
        self.open = threading.Event()

    def __call__(self, request):
        self.open.wait(60)
        return self.answer(request)


class Life(harness.Case):
    def setUp(self):
        super().setUp()
        self.declare("orders")

    def shop(self, down, retry=None, breaker=None, consumer=None, probe=None,
             **pipeline):
        """A configuration with short times."""
        shop = {"breaker": breaker or CALM}
        if probe is not None:
            shop["probe"] = probe
        return self.config(
            down, downstreams={"shop": shop}, consumer=consumer or {},
            pipelines={"orders": {
                "retry": {"first": "200ms", "cap": "1s", "hold": "100ms",
                          **(retry or {})}, **pipeline}})

    def gate(self, answer=lambda request: 200):
        """A downstream behind a gate, which opens at the test's end."""
        gate = Gate(answer)
        down = self.downstream(gate)
        self.addCleanup(gate.open.set)
        return gate, down

    def assert_nothing_lost(self, ids, down):
        """Each id was answered ok or is dead, and nothing is elsewhere."""
        self.wait_totals("orders", total=0)
        dead = {message.id for message in self.drain("orders.dlq")}
        missing = set(ids) - set(down.attempts()) - dead
        self.assertEqual(missing, set())


class Outage(Life):
    def test_an_open_breaker_stops_consumption_and_spares_attempts(self):
        state = {"answer": 503}
        down = self.downstream(lambda r: state["answer"])
        consumer = self.consumer(self.shop(
            down, breaker={"failures": 5, "open": "500ms",
                           "open_max": "1s"},
            retry={"attempts": 50}, prefetch=20, concurrency=4))
        ids = self.publish_many("orders", 100)
        consumer.wait_log("breaker", to="open")
        consumer.wait_log("pipeline", to="paused")
        # Paused by policy is well.
        self.assertEqual(consumer.get("/readyz")[0], 200)
        consumer.wait_log("breaker", to="open", count=4)
        # A row of five, what was under way then, and a trial each time.
        self.assertLessEqual(len(down.requests), 5 + 4 + 6)
        state["answer"] = 200
        self.wait_totals("orders", total=0)
        self.assert_nothing_lost(ids, down)
        self.assertEqual(self.depth("orders.dlq"), 0)
        metrics = consumer.metrics()
        self.assertEqual(metrics.value("dlo_breaker_state"), 0)
        self.assertGreaterEqual(metrics.value("dlo_breaker_opened_total"), 4)

    def test_a_probe_decides_when_there_is_one(self):
        health = {"answer": 500}
        probe = self.downstream(lambda r: health["answer"])
        down = self.downstream(lambda r: health["answer"])
        consumer = self.consumer(self.shop(
            down, breaker={"failures": 3, "open": "300ms",
                           "open_max": "300ms"},
            probe={"http": {"url": probe.url}, "every": "200ms", "rise": 1,
                   "timeout": "1s"},
            retry={"attempts": 50}, prefetch=10, concurrency=1))
        ids = self.publish_many("orders", 30)
        consumer.wait_log("breaker", to="open", count=3)
        # No message is spent on a downstream that its probe calls ill.
        self.assertEqual(len(down.requests), 3)
        health["answer"] = 200
        self.wait_totals("orders", total=0)
        self.assert_nothing_lost(ids, down)

    def test_a_held_window_is_given_back_once(self):
        self.publish_many("orders", 30)
        down = self.downstream(lambda r: 503)
        consumer = self.consumer(self.shop(
            down, breaker={"failures": 3, "open": "1s", "open_max": "1s"},
            retry={"attempts": 100, "first": "60s", "cap": "60s"},
            consumer={"hold_max": "2s", "drain_timeout": "2s"},
            prefetch=10, concurrency=1))
        consumer.wait_log("held_too_long")
        consumer.wait_log("pipeline", why="given back")
        # From now on one message at a time is asked for.
        consumer.wait_log("breaker", to="half-open", count=4)
        self.assertEqual(len(consumer.logged("held_too_long")), 1)
        self.assertEqual(consumer.metrics().value(
            "dlo_broker_faults_total", kind="given_back"), 1)
        down.answer = lambda r: 200
        # What failed waits on the ladder; the rest is processed.
        wait_until(lambda: len({r.id for r in down.requests}) == 30,
                   "all 30 were handed over")
        consumer.terminate()
        left = self.drain("orders")
        for message in left:
            self.assertLessEqual(
                message.headers.get("x-delivery-count", 0), 2)

    def test_a_failing_downstream_that_shares_is_felt_by_all(self):
        self.declare("cakes")
        down = self.downstream(lambda r: 503)
        config = self.shop(down, breaker={"failures": 5, "open": "60s"})
        config["pipelines"]["cakes"] = {"queue": "cakes",
                                        "downstream": "shop"}
        consumer = self.consumer(config)
        self.publish_many("orders", 20)
        consumer.wait_log("breaker", to="open")
        for name in ("orders", "cakes"):
            consumer.wait_log("pipeline", pipeline=name, to="paused")
        # What arrives in an outage stays in its queue.
        self.publish_many("cakes", 5)
        self.wait_totals("cakes", ready=5, unacked=0)


class Drain(Life):
    def test_attempts_under_way_finish(self):
        gate, down = self.gate()
        consumer = self.consumer(self.shop(down, concurrency=4))
        self.publish_many("orders", 10)
        down.wait_requests(4)
        consumer.signal(signal.SIGTERM)
        consumer.wait_log("consumer", to="draining")
        self.assertEqual(consumer.get("/readyz"), (503, "draining\n"))
        gate.open.set()
        self.assertEqual(consumer.wait(), 0)
        self.assertEqual(len(down.requests), 4)
        # The rest is back, in its old order.
        self.assertEqual([m.id for m in self.take("orders", 6)],
                         [f"m-{n}" for n in range(4, 10)])

    def test_held_messages_keep_their_count(self):
        down = self.downstream(lambda r: 503)
        config = self.shop(down, retry={
            "hold": "5s", "first": "3s", "cap": "5s", "jitter": 0})
        consumer = self.consumer(config)
        ids = self.publish_many("orders", 5)
        down.wait_requests(5)
        wait_until(lambda: consumer.metrics().value("dlo_held") == 5,
                   "five are held")
        self.assertEqual(consumer.terminate(), 0)
        self.wait_totals("orders", total=0)
        first = {r.id: r.time for r in down.requests}
        down.answer = lambda r: 200
        self.consumer(config)
        seen = down.wait_requests(10)[5:]
        self.assertEqual({r.id: r.attempt for r in seen},
                         {i: 2 for i in ids})
        for request in seen:
            self.assertGreaterEqual(request.time - first[request.id], 3)
        self.wait_totals("orders", total=0)

    def test_a_drain_has_its_limit(self):
        _, down = self.gate()
        consumer = self.consumer(self.shop(
            down, consumer={"drain_timeout": "1s"}))
        self.publish_many("orders", 3)
        down.wait_requests(3)
        consumer.signal(signal.SIGTERM)
        consumer.wait_log("drain_timeout")
        self.assertEqual(consumer.wait(), 0)
        self.assertEqual(len(self.take("orders", 3)), 3)

    def test_a_second_signal_ends_it_at_once(self):
        _, down = self.gate()
        consumer = self.consumer(self.shop(down))
        self.publish_many("orders", 3)
        down.wait_requests(3)
        consumer.signal(signal.SIGTERM)
        consumer.wait_log("consumer", to="draining")
        consumer.signal(signal.SIGINT)
        self.assertEqual(consumer.wait(), 1)
        self.assertEqual(len(self.take("orders", 3)), 3)

    def test_hup_is_no_end(self):
        down = self.downstream()
        consumer = self.consumer(self.shop(down))
        consumer.signal(signal.SIGHUP)
        consumer.wait_log("reloaded")
        self.publish_many("orders", 3)
        down.wait_requests(3)
        self.wait_totals("orders", total=0)

    def test_copies_are_confirmed_before_the_end(self):
        gate, down = self.gate(lambda r: 422)
        consumer = self.consumer(self.shop(down))
        self.publish_many("orders", 20)
        down.wait_requests(20)
        consumer.signal(signal.SIGTERM)
        consumer.wait_log("consumer", to="draining")
        gate.open.set()
        self.assertEqual(consumer.wait(), 0)
        self.assertEqual(len(self.take("orders.dlq", 20)), 20)
        self.assertEqual(self.depth("orders"), 0)


class Kill(Life):
    def test_kill_9_loses_nothing(self):
        """Killed while attempts, copies and acks are under way."""
        def answer(request):
            number = int(request.id.split("-")[1])
            if number % 10 == 0:
                return 422
            return 503 if number % 3 == 0 and request.attempt < 3 else 200

        down = self.downstream(answer)
        config = self.shop(down, concurrency=16, prefetch=50)
        consumer = self.consumer(config)
        ids = self.publish_many("orders", 400)
        for seen in (50, 150, 250):
            down.wait_requests(seen)
            consumer.kill9()
            consumer = self.consumer(config)
        self.wait_totals("orders", total=0)
        wait_until(lambda: len({m for m in down.attempts()}) == 400,
                   "all were handed over")
        for level in ("0", "1", "2", "3"):
            self.wait_totals(f"dlo.retry.orders.{level}", total=0)
        self.wait_totals("orders", total=0)
        dead = {message.id for message in self.drain("orders.dlq")}
        self.assertEqual(dead, {i for i in ids if i.endswith("0")})
        ok = {r.id for r in down.requests if answer(r) == 200}
        self.assertEqual(ok, set(ids) - dead)


class Broker(Life):
    def test_a_killed_broker_is_come_back_to(self):
        self.private_broker()
        self.declare("orders")
        down = self.downstream()
        consumer = self.consumer(self.shop(down))
        ids = self.publish_many("orders", 50)
        down.wait_requests(50)
        self.kill_broker()
        ids += self.publish_many("orders", 50, prefix="n")
        down.wait_requests(50, of=lambda r: r.id.startswith("n"))
        self.assert_nothing_lost(ids, down)
        self.wait_ready(consumer)
        metrics = consumer.metrics()
        self.assertGreaterEqual(metrics.value(
            "dlo_broker_faults_total", kind="connection_lost"), 2)
        self.assertEqual(metrics.value("dlo_broker_connected"), 2)

    def test_a_queue_deleted_and_made_anew_is_consumed_again(self):
        down = self.downstream(
            lambda r: 503 if r.id == "again" and r.attempt == 1 else 200)
        consumer = self.consumer(self.shop(down))
        self.publish("orders", b"", message_id="before")
        down.wait_requests(1)
        self.wait_totals("orders", total=0)
        self.channel.queue_delete("orders")
        consumer.wait_log("consumer_cancelled", queue="orders")
        consumer.wait_log("channel_closed", code=404)
        status, why = consumer.get("/readyz")
        self.assertEqual(status, 503)
        self.assertIn("orders", why)
        self.assertTrue(consumer.alive())
        self.declare("orders")
        self.wait_ready(consumer)
        # The ladder's way back into it has to be there again too.
        self.publish("orders", b"", message_id="again")
        down.wait_requests(2, of=lambda r: r.id == "again")
        self.wait_totals("orders", total=0)
        metrics = consumer.metrics()
        for kind in ("consumer_cancelled", "queue_gone"):
            self.assertGreaterEqual(metrics.value(
                "dlo_broker_faults_total", kind=kind), 1)

    def test_a_missing_dead_letter_queue_keeps_the_message(self):
        """The copy is returned: the original stays unacked until the queue is
        there again, which the consumer sees to by itself."""
        down = self.downstream(lambda r: 422)
        consumer = self.consumer(self.shop(down))
        self.channel.queue_delete("orders.dlq")
        self.publish("orders", b"x", message_id="1")
        consumer.wait_log("copy_not_taken", result="returned")
        dead = self.take_when_there("orders.dlq")
        self.assertEqual(dead.id, "1")
        self.wait_totals("orders", total=0)
        self.assertEqual(len(down.requests), 1)
        self.assertGreaterEqual(
            consumer.metrics().value("dlo_publish_returned_total"), 1)

    def test_a_missing_ladder_keeps_the_message(self):
        down = self.downstream(lambda r: 200 if r.attempt > 1 else 503)
        consumer = self.consumer(self.shop(down))
        for level in range(4):
            self.channel.exchange_delete(f"dlo.retry.orders.{level}")
        self.publish("orders", b"x", message_id="1")
        consumer.wait_log("copy_not_taken", result="refused", code=404)
        down.wait_requests(2)
        self.wait_totals("orders", total=0)
        self.assertEqual([r.attempt for r in down.requests], [1, 2])

    def take_when_there(self, queue):
        """A message of a queue that somebody is about to declare."""
        def got():
            try:
                return self.get(queue)
            except (pika.exceptions.ChannelClosedByBroker,
                    pika.exceptions.ConnectionClosedByBroker) as error:
                # Not declared, or so lately that it has no leader yet.
                if error.reply_code not in (404, 541):
                    raise
                return None

        return wait_until(got, f"a message in {queue}")

    def test_a_revoked_right_keeps_the_message(self):
        user = self.broker.user_new("pw")
        self.addCleanup(self.broker.user_delete, user)
        self.broker.allow(self.vhost, user)
        down = self.downstream(lambda r: 422)
        consumer = self.consumer(self.config(
            down, broker={"user": user, "password": "pw"}))
        self.broker.allow(self.vhost, user, write=r"^dlo\.retry\..*$")
        self.publish("orders", b"x", message_id="1")
        line = consumer.wait_log("copy_not_taken", result="refused")
        self.assertEqual((line.level, line.fields["code"]),
                         ("error", "403"))
        self.wait_totals("orders", unacked=1)
        self.broker.allow(self.vhost, user)
        self.assertEqual(len(self.take("orders.dlq", 1)), 1)
        self.wait_totals("orders", total=0)

    def test_memory_has_its_limit(self):
        gate, down = self.gate()
        consumer = self.consumer(self.shop(
            down, consumer={"max_inflight": "1m"}, concurrency=2))
        for number in range(40):
            self.publish("orders", b"x" * 200_000, message_id=str(number))
        consumer.wait_log("reading_paused")
        used = consumer.metrics().value("dlo_inflight_bytes")
        # What one read of the socket brings may come on top.
        self.assertLess(used, 4 << 20)
        gate.open.set()
        down.wait_requests(40)
        consumer.wait_log("reading_resumed")
        self.wait_totals("orders", total=0)
        self.assertEqual(set(down.attempts().values()), {1})
        self.assertEqual(consumer.metrics().value("dlo_inflight_bytes"), 0)

    def test_a_provisioner_who_lost_his_password_stops_nobody(self):
        self.private_broker()
        self.declare("orders")
        user = self.broker.user_new("pw")
        self.broker.allow(self.vhost, user)
        down = self.downstream()
        consumer = self.consumer(self.config(
            down, topology={"broker": {"user": user, "password": "pw"}}))
        self.broker.ctl("change_password", user, "other")
        self.broker.ctl("close_all_connections", "--global", "test")
        self._channel = None
        consumer.wait_log("broker_down", fault="auth")
        self.publish("orders", b"", message_id="1")
        down.wait_requests(1)
        self.wait_totals("orders", total=0)

    def cut(self, purpose):
        """Closes our connection of that purpose, as an operator can."""
        def found():
            return [c["name"] for c in self.broker.api("GET", "connections")
                    if c["vhost"] == self.vhost and
                    f"dlo-consumer {purpose} " in
                    c["client_properties"].get("connection_name", "")]

        for name in wait_until(found, f"a {purpose} connection"):
            self.broker.api("DELETE", "connections/" + quote(name),
                            missing_ok=True)

    def cut_under_way(self, dedup, answer=200):
        """One message is with the downstream, the others wait behind it; the
        connection is cut, all come again, and then it is answered. Returns
        the consumer and the downstream."""
        gate, down = self.gate(lambda request: answer)
        config = self.shop(down, dedup=dedup, concurrency=1, retry={
            "rules": [{"class": "http.409", "then": "ok"}]})
        config["downstreams"]["shop"]["http"]["timeout"] = "2m"
        consumer = self.consumer(config)
        # The same id as the first one, and not the same message.
        for body, kind in ((b"a", "t"), (b"b", "t"), (b"a", "u")):
            self.publish("orders", body, message_id="1", type=kind)
        self.publish("orders", b"a", type="t")

        def delivered(count):
            wait_until(lambda: consumer.metrics().value(
                "dlo_deliveries_total") == count, f"{count} delivered")

        delivered(4)
        down.wait_requests(1)
        self.cut("consume")
        delivered(8)
        gate.open.set()
        self.wait_totals("orders", total=0)
        self.assertEqual(self.depth("orders.dlq"), 0)
        return consumer, down

    def test_dedup_hands_over_once_what_was_finished(self):
        consumer, down = self.cut_under_way("message_id")
        self.assertEqual(sorted(r.body for r in down.requests),
                         [b"a", b"a", b"a", b"b"])
        consumer.wait_log("duplicate", id="1")
        self.assertEqual(len(consumer.logged("duplicate")), 1)
        metrics = consumer.metrics()
        for result, count in (("ok", 3), ("duplicate", 1), ("dropped", 4)):
            self.assertEqual(metrics.value(
                "dlo_settled_total", result=result), count, result)
        # Published once more it is another message: nobody delivered it yet.
        self.publish("orders", b"a", message_id="1", type="t")
        down.wait_requests(5)

    def test_dedup_knows_what_a_rule_called_ok(self):
        consumer, down = self.cut_under_way("message_id", 409)
        self.assertEqual(len(down.requests), 4)
        self.assertEqual(len(consumer.logged("duplicate", id="1")), 1)

    def test_a_duplicate_of_a_redriven_message_is_told_of(self):
        """Or a canary waits in vain: the connection that the first verdict
        was to be told on is the one that went."""
        ear = Ear(self, "outcome.*")
        gate, down = self.gate()
        config = self.shop(down, dedup="message_id", concurrency=1)
        config["downstreams"]["shop"]["http"]["timeout"] = "2m"
        consumer = self.consumer(config)
        self.publish("orders", b"x", message_id="1", user_id="guest",
                     headers={"dlo-id": "1", "dlo-job": "j-1",
                              "dlo-redrives": 1})
        down.wait_requests(1)
        self.cut("consume")
        wait_until(lambda: consumer.metrics().value(
            "dlo_deliveries_total") == 2, "it is delivered again")
        gate.open.set()
        event, = ear.wait(next="ack")
        self.assertEqual(
            (event["id"], event["job"], event["outcome"], event["class"]),
            ("1", "j-1", "ok", "duplicate"))
        self.wait_totals("orders", total=0)
        self.assertEqual(len(down.requests), 1)

    def test_without_dedup_it_is_handed_over_again(self):
        consumer, down = self.cut_under_way("none")
        self.assertEqual(sorted(r.body for r in down.requests),
                         [b"a"] * 4 + [b"b"])
        self.assertEqual(consumer.logged("duplicate"), [])

    def test_cut_connections_lose_nothing(self):
        """Each of the two, while attempts, copies and confirms are under
        way: a message may come twice, but none is missing."""
        down = self.downstream(
            lambda r: 422 if int(r.id.split("-")[1]) % 2 else
            200 if r.attempt > 1 else 503)
        consumer = self.consumer(self.shop(down, concurrency=8))
        ids = []
        for purpose in ("publish", "consume", "publish", "consume"):
            seen = len(down.requests)
            more = self.publish_many("orders", 50, prefix=f"{len(ids)}m")
            ids += more
            down.wait_requests(seen + 10)
            self.cut(purpose)
            consumer.wait_log("broker_down", count=len(ids) // 50)
        ok = [i for i in ids if int(i.split("-")[1]) % 2 == 0]
        down.wait_requests(len(ok), of=lambda r: r.attempt > 1)
        self.wait_totals("orders", total=0)
        wait_until(lambda: {r.id for r in down.requests if r.attempt > 1}
                   == set(ok), "each was tried again")
        self.wait_totals("orders", total=0)
        dead = {message.id for message in self.drain("orders.dlq")}
        self.assertEqual(dead, set(ids) - set(ok))
