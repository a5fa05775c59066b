# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""What becomes of a message: each outcome, judged by what the downstream saw
and by what an independent client finds in the broker."""

import email.utils
import threading
import time

import harness

# Short delays; nothing of it opens the breaker.
QUICK = {"attempts": 4, "first": "400ms", "cap": "2s", "hold": "100ms",
         "jitter": 0}
CALM = {"failures": 1000, "minimum": 1000}


class Outcomes(harness.Case):
    def setUp(self):
        super().setUp()
        self.declare("orders")

    def shop(self, answer, retry=None, breaker=None, **pipeline):
        """A downstream and a consumer on it."""
        down = self.downstream(answer)
        config = self.config(
            down, downstreams={"shop": {"breaker": breaker or CALM}},
            pipelines={"orders": {"retry": {**QUICK, **(retry or {})},
                                  **pipeline}})
        return down, self.consumer(config)

    def wait_empty(self, dead=0):
        """Nothing in the work queue, and so many in the DLQ."""
        self.wait_totals("orders", total=0)
        self.wait_depth("orders.dlq", dead)

    def test_ok_messages_are_gone(self):
        down, consumer = self.shop(lambda request: 204)
        ids = self.publish_many("orders", 300, b"coffee")
        down.wait_requests(300)
        self.wait_empty()
        self.assertEqual(down.attempts(), {i: 1 for i in ids})
        metrics = consumer.metrics()
        self.assertEqual(
            metrics.value("dlo_attempts_total", pipeline="orders",
                          outcome="ok", **{"class": "http.204"}), 300)
        self.assertEqual(metrics.value("dlo_settled_total", result="ok"), 300)
        self.assertEqual(
            metrics.value("dlo_handler_seconds_count", pipeline="orders"),
            300)

    def test_a_request_tells_what_it_is_about(self):
        down, _ = self.shop(lambda request: 200)
        self.channel.exchange_declare("menu", "topic")
        self.channel.queue_bind("orders", "menu", "#")
        self.publish("café %", b"\x00\xff", exchange="menu",
                     message_id="id-1", content_type="application/x",
                     content_encoding="none")
        request, = down.wait_requests(1)
        self.assertEqual(request.body, b"\x00\xff")
        for name, value in {
                "Content-Type": "application/x", "Content-Encoding": "none",
                "Idempotency-Key": "id-1", "Dlo-Id": "id-1",
                "Dlo-Pipeline": "orders", "Dlo-Attempt": "1",
                "Dlo-Redrives": "0", "Dlo-Exchange": "menu",
                "Dlo-Routing-Key": "caf%C3%A9 %25"}.items():
            self.assertEqual(request.headers.get(name), value, name)
        self.wait_empty()

    def test_a_message_without_an_id_gets_one(self):
        down, _ = self.shop(lambda r: 200 if r.attempt == 2 else 503)
        self.publish("orders", b"x")
        first, second = down.wait_requests(2)
        self.assertRegex(first.id, r"^[0-9a-f-]{36}$")
        self.assertEqual(first.id, second.id)
        self.wait_empty()

    def test_a_held_retry_is_never_early(self):
        down, consumer = self.shop(
            lambda r: 200 if r.attempt == 3 else 503, {"hold": "5s"})
        self.publish("orders", b"x", message_id="1")
        one, two, three = down.wait_requests(3)
        self.assertGreaterEqual(two.time - one.time, 0.4)
        self.assertGreaterEqual(three.time - two.time, 0.8)
        self.wait_empty()
        metrics = consumer.metrics()
        self.assertEqual(metrics.value("dlo_retry_scheduled_total",
                                       where="hold"), 2)
        self.assertEqual(metrics.value("dlo_retry_scheduled_total",
                                       where="ladder"), 0)
        lines = consumer.logged("attempt", id="1")
        self.assertEqual([line.fields["delay_ms"] for line in lines],
                         ["400", "800"])

    def test_a_ladder_retry_is_never_early(self):
        down, consumer = self.shop(
            lambda r: 200 if r.attempt == 4 else 503)
        self.publish_many("orders", 20)
        down.wait_requests(80)
        self.wait_empty()
        times = {}
        for request in down.requests:
            times.setdefault(request.id, []).append(request.time)
        for seen in times.values():
            self.assertEqual(len(seen), 4)
            for delay, (a, b) in zip((0.4, 0.8, 1.6),
                                     zip(seen, seen[1:])):
                self.assertGreaterEqual(b - a, delay)
        self.assertEqual(consumer.metrics().value(
            "dlo_retry_scheduled_total", where="ladder"), 60)

    def test_a_retry_changes_nothing_that_is_not_ours(self):
        down, _ = self.shop(lambda r: 503, {"attempts": 2})
        self.publish("orders", b"body", message_id="1",
                     content_type="text/plain", content_encoding="utf-8",
                     priority=3, correlation_id="c", reply_to="r",
                     timestamp=1700000000, type="t", app_id="a",
                     headers={"CC": ["nowhere"], "mine": {"deep": [1, "x"]},
                              "x-delay": 5})
        dead, = self.take("orders.dlq", 1)
        p = dead.properties
        self.assertEqual(
            (dead.body, p.content_type, p.content_encoding, p.priority,
             p.correlation_id, p.reply_to, p.timestamp, p.type, p.app_id,
             p.message_id, p.delivery_mode, p.user_id),
            (b"body", "text/plain", "utf-8", 3, "c", "r", 1700000000, "t",
             "a", "1", 2, "guest"))
        self.assertEqual(dead.headers["mine"], {"deep": [1, "x"]})
        for gone in ("CC", "x-delay", "x-death"):
            self.assertNotIn(gone, dead.headers)
        self.assertEqual(len(down.requests), 2)

    def test_rejects_are_dead_with_their_story(self):
        down, consumer = self.shop(
            lambda r: (422, {}, b"no such coffee"))
        before = time.time() * 1000 - 1
        self.publish("orders", b"decaf", message_id="1")
        dead, = self.take("orders.dlq", 1)
        headers = dead.headers
        self.assertEqual(dead.body, b"decaf")
        self.assertEqual(
            {name: headers[name] for name in (
                "dlo-id", "dlo-attempt", "dlo-reason", "dlo-class",
                "dlo-queue", "dlo-exchange", "dlo-routing-key")},
            {"dlo-id": "1", "dlo-attempt": 1, "dlo-reason": "rejected",
             "dlo-class": "http.422", "dlo-queue": "orders",
             "dlo-exchange": "", "dlo-routing-key": "orders"})
        self.assertIn("no such coffee", headers["dlo-error"])
        self.assertGreaterEqual(headers["dlo-first-failed-at"], before)
        self.assertEqual(headers["dlo-last-failed-at"],
                         headers["dlo-first-failed-at"])
        self.assertRegex(headers["dlo-history"],
                         r"^\d+;http\.422;\d+;0$")
        self.wait_totals("orders", total=0)
        self.assertEqual(len(down.requests), 1)
        line = consumer.wait_log("dead_letter", id="1")
        self.assertEqual((line.level, line.fields["reason"]),
                         ("warn", "rejected"))
        self.assertEqual(consumer.metrics().value(
            "dlo_dead_lettered_total", reason="rejected"), 1)

    def test_used_up_attempts_are_dead(self):
        down, _ = self.shop(lambda r: 500, {"attempts": 3})
        ids = self.publish_many("orders", 10)
        dead = self.take("orders.dlq", 10)
        self.assertEqual(sorted(m.id for m in dead), sorted(ids))
        for message in dead:
            self.assertEqual(message.headers["dlo-reason"],
                             "attempts_exhausted")
            self.assertEqual(message.headers["dlo-attempt"], 3)
            self.assertEqual(
                message.headers["dlo-history"].count("http.500"), 3)
        self.assertEqual(down.attempts(), {i: 3 for i in ids})

    def test_a_passed_deadline_is_dead(self):
        down, _ = self.shop(lambda r: 500,
                            {"attempts": 100, "deadline": "2s"})
        self.publish("orders", b"x", message_id="1")
        dead, = self.take("orders.dlq", 1)
        self.assertEqual(dead.headers["dlo-reason"], "deadline")
        # 0, 0.4 and 1.2 s after the first failure; the next would be late.
        self.assertEqual(len(down.requests), 3)

    def test_an_expiration_is_kept_as_a_deadline(self):
        down, _ = self.shop(lambda r: 500, {"attempts": 100})
        self.publish("orders", b"x", message_id="1", expiration="2000")
        dead, = self.take("orders.dlq", 1)
        self.assertEqual(dead.headers["dlo-reason"], "expired")
        self.assertIsNone(dead.properties.expiration)
        self.assertIsInstance(dead.headers["dlo-deadline"], int)
        self.assertLessEqual(len(down.requests), 3)

    def test_too_large_is_never_handed_over(self):
        down, _ = self.shop(lambda r: 200, max_body="64k")
        body = b"a" * 65537
        self.publish("orders", body, message_id="big")
        self.publish("orders", body[:-1], message_id="fits")
        dead, = self.take("orders.dlq", 1)
        self.assertEqual((dead.id, dead.body, dead.headers["dlo-reason"],
                          dead.headers["dlo-attempt"]),
                         ("big", body, "too_large", 0))
        self.wait_totals("orders", total=0)
        self.assertEqual([r.id for r in down.wait_requests(1)], ["fits"])

    def test_headers_that_nest_too_deep_are_malformed(self):
        down, consumer = self.shop(lambda r: 200)
        bomb = 1
        for _ in range(100):
            bomb = {"x": bomb}
        self.publish("orders", b"boom", message_id="bomb",
                     headers={"bomb": bomb})
        self.publish("orders", b"fine", message_id="fine")
        dead, = self.take("orders.dlq", 1)
        self.assertEqual((dead.id, dead.body, dead.headers["dlo-reason"]),
                         ("bomb", b"boom", "malformed"))
        self.wait_totals("orders", total=0)
        self.assertEqual([r.id for r in down.wait_requests(1)], ["fine"])
        self.assertTrue(consumer.alive())

    def test_retry_after_sets_the_next_delay(self):
        answers = {1: (503, {"Retry-After": "1"}),
                   2: (429, {"Retry-After": "3600"})}
        down, consumer = self.shop(lambda r: answers.get(r.attempt, 200))
        self.publish("orders", b"x", message_id="1")
        one, two, three = down.wait_requests(3)
        self.assertGreaterEqual(two.time - one.time, 1)
        # Up to the cap, which is 2 s.
        self.assertGreaterEqual(three.time - two.time, 2)
        lines = consumer.logged("attempt", id="1")
        self.assertEqual([line.fields["delay_ms"] for line in lines],
                         ["1000", "2000"])

    def test_retry_after_may_be_a_date(self):
        def answer(request):
            if request.attempt > 1:
                return 200
            return 503, {"Retry-After": email.utils.formatdate(
                time.time() + 2, usegmt=True)}
        down, _ = self.shop(answer, {"cap": "10s"})
        self.publish("orders", b"x", message_id="1")
        one, two = down.wait_requests(2)
        # Dates have whole seconds.
        self.assertGreaterEqual(two.time - one.time, 0.9)

    def test_without_retries_a_failure_is_dead(self):
        down = self.downstream(lambda r: 503)
        self.consumer(self.config(down, features={"retry": False}))
        self.publish("orders", b"x", message_id="1")
        dead, = self.take("orders.dlq", 1)
        self.assertEqual(dead.headers["dlo-reason"], "attempts_exhausted")
        self.assertEqual(len(down.requests), 1)

    def test_without_consumption_nothing_is_taken(self):
        self.publish_many("orders", 5)
        consumer = self.consumer(self.config(features={"consume": False}))
        self.assertEqual(consumer.get("/readyz")[0], 200)
        consumer.terminate()
        self.assertEqual(self.depth("orders"), 5)

    def test_strangers_headers_are_not_believed(self):
        """dlo-* headers without an attested user count for nothing."""
        down, _ = self.shop(lambda r: 500, {"attempts": 2})
        self.publish("orders", b"x", message_id="1",
                     headers={"dlo-attempt": 99, "dlo-id": "forged",
                              "dlo-reason": "crash"})
        dead, = self.take("orders.dlq", 1)
        self.assertEqual((dead.headers["dlo-id"], dead.headers["dlo-attempt"],
                          dead.headers["dlo-reason"]),
                         ("1", 2, "attempts_exhausted"))
        self.assertEqual(len(down.requests), 2)

    def test_two_pipelines_share_a_downstream(self):
        self.declare("cakes")
        down = self.downstream(lambda r: 200)
        self.consumer(self.config(down, pipelines={
            "cakes": {"queue": "cakes", "downstream": "shop"}}))
        for n in range(50):
            self.publish("orders", b"", message_id=f"o{n}")
            self.publish("cakes", b"", message_id=f"c{n}")
        down.wait_requests(100)
        self.assertEqual(
            {r.headers["Dlo-Pipeline"] for r in down.requests},
            {"orders", "cakes"})
        self.wait_totals("orders", total=0)
        self.wait_totals("cakes", total=0)

    def test_concurrency_is_a_limit(self):
        lock, gate = threading.Lock(), threading.Event()
        now = {"at": 0, "most": 0}

        def answer(_):
            with lock:
                now["at"] += 1
                now["most"] = max(now["most"], now["at"])
            gate.wait(20)
            with lock:
                now["at"] -= 1
            return 200

        down, _ = self.shop(answer, concurrency=5)
        self.publish_many("orders", 30)
        down.wait_requests(5)
        gate.set()
        down.wait_requests(30)
        self.assertEqual(now["most"], 5)
        self.wait_empty()
