# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""retry.rules: what becomes of a failure depends on its class."""

import harness
from harness import run_program

QUICK = {"attempts": 2, "first": "200ms", "cap": "200ms", "hold": "100ms",
         "jitter": 0}
CALM = {"failures": 1000, "minimum": 1000}
BUILT_IN = [
    ["http.2xx", "ok"], ["http.401", "retry"], ["http.403", "retry"],
    ["http.407", "retry"], ["http.408", "retry"], ["http.425", "retry"],
    ["http.429", "retry"], ["http.3xx", "reject"], ["http.4xx", "reject"],
    ["http.5xx", "retry"], ["http.connect", "retry"], ["http.dns", "retry"],
    ["http.tls", "retry"], ["http.timeout", "retry"],
    ["http.broken", "retry"], ["http", "retry"]]


class Rules(harness.Case):
    def setUp(self):
        super().setUp()
        self.declare("orders")

    def ruled(self, down, *rules, breaker=None, retry=None, **over):
        """A configuration with these rules and short times."""
        return self.config(
            down, downstreams={"shop": {"breaker": breaker or CALM}},
            pipelines={"orders": {"retry": {
                **QUICK, **(retry or {}), "rules": list(rules)}}}, **over)

    def assert_settled(self, metrics, **results):
        """So many deliveries by what became of them."""
        for result in ("ok", "retry", "dead", "dropped"):
            self.assertEqual(
                metrics.value("dlo_settled_total", result=result),
                results.get(result, 0), result)

    def test_a_reject_may_be_ok(self):
        down = self.downstream(lambda r: (409, {}, b"had it"))
        consumer = self.consumer(self.ruled(
            down, {"class": "http.409", "then": "ok"}))
        ids = self.publish_many("orders", 20)
        self.wait_totals("orders", total=0)
        self.assertEqual(down.attempts(), {i: 1 for i in ids})
        self.assertEqual(self.depth("orders.dlq"), 0)
        line = consumer.wait_log("attempt", id=ids[0])
        self.assertEqual(line.level, "info")
        self.assertEqual(
            [line.fields[key] for key in ("outcome", "class", "rule", "next",
                                          "error")],
            ["reject", "http.409", "http.409", "ack", "had it"])
        metrics = consumer.metrics()
        self.assert_settled(metrics, ok=20)
        self.assertEqual(metrics.value(
            "dlo_rule_outcomes_total", pipeline="orders", outcome="ok"), 20)
        # What the handler said stays what it said.
        self.assertEqual(metrics.value(
            "dlo_attempts_total", outcome="reject",
            **{"class": "http.409"}), 20)

    def test_a_reject_may_be_tried_again(self):
        """422 by the rule; 410 as always."""
        def answer(request):
            if request.id == "gone":
                return 410
            return 200 if request.attempt > 1 else 422

        down = self.downstream(answer)
        consumer = self.consumer(self.ruled(
            down, {"class": "http.422", "then": "retry"}))
        for message_id in ("gone", "late"):
            self.publish("orders", b"x", message_id=message_id)
        dead, = self.take("orders.dlq", 1)
        self.assertEqual((dead.id, dead.headers["dlo-reason"]),
                         ("gone", "rejected"))
        down.wait_requests(2, of=lambda r: r.id == "late")
        self.wait_totals("orders", total=0)
        self.assertEqual(down.attempts(), {"gone": 1, "late": 2})
        metrics = consumer.metrics()
        self.assert_settled(metrics, ok=1, retry=1, dead=1)
        self.assertEqual(metrics.value(
            "dlo_rule_outcomes_total", outcome="retry"), 1)

    def test_a_retry_may_be_rejected(self):
        down = self.downstream(lambda r: 503)
        consumer = self.consumer(self.ruled(
            down, {"class": "http.503", "then": "reject"}))
        self.publish("orders", b"x", message_id="1")
        dead, = self.take("orders.dlq", 1)
        self.assertEqual(
            [dead.headers[f"dlo-{key}"] for key in ("reason", "class",
                                                    "attempt")],
            ["rejected", "http.503", 1])
        self.wait_totals("orders", total=0)
        self.assertEqual(len(down.requests), 1)
        self.assertEqual(consumer.metrics().value(
            "dlo_rule_outcomes_total", outcome="reject"), 1)

    def test_a_class_has_its_own_attempts_first_and_cap(self):
        """More than the pipeline's, up and down the ladder, and over a
        restart; another class keeps to the pipeline's."""
        down = self.downstream(lambda r: 429 if r.id == "slow" else 503)
        config = self.ruled(down, {
            "class": "http.429", "attempts": 6, "first": "300ms",
            "cap": "900ms"})
        consumer = self.consumer(config)
        for message_id in ("slow", "plain"):
            self.publish("orders", b"x", message_id=message_id)
        down.wait_requests(4, of=lambda r: r.id == "slow")
        self.assertEqual(consumer.terminate(), 0)
        self.consumer(config)
        dead = {message.id: message.headers
                for message in self.take("orders.dlq", 2)}
        self.assertEqual(
            {i: (h["dlo-reason"], h["dlo-attempt"]) for i, h in dead.items()},
            {"slow": ("attempts_exhausted", 6),
             "plain": ("attempts_exhausted", 2)})
        self.wait_totals("orders", total=0)
        self.assertEqual(down.attempts(), {"slow": 6, "plain": 2})
        times = [r.time for r in down.requests if r.id == "slow"]
        for delay, before, after in zip((0.3, 0.6, 0.9, 0.9, 0.9), times,
                                        times[1:]):
            self.assertGreaterEqual(after - before, delay)
        self.assertEqual(
            [line.fields["delay_ms"] for line in
             consumer.logged("attempt", id="slow")][:4],
            ["300", "600", "900", "900"])

    def test_a_rule_that_is_gone_leaves_the_pipelines_limit(self):
        """What waits on the ladder comes back to other rules."""
        down = self.downstream(lambda r: 429)
        rule = {"class": "http.429", "attempts": 9, "first": "5s",
                "cap": "5s"}
        consumer = self.consumer(self.ruled(down, rule,
                                            retry={"attempts": 1}))
        self.publish("orders", b"x", message_id="1")
        consumer.wait_log("attempt", id="1", next="ladder")
        self.assertEqual(consumer.terminate(), 0)
        self.consumer(self.ruled(down, retry={"attempts": 1}))
        dead, = self.take("orders.dlq", 1)
        self.assertEqual(
            (dead.headers["dlo-reason"], dead.headers["dlo-attempt"]),
            ("attempts_exhausted", 1))
        self.assertEqual(len(down.requests), 1)

    def test_retry_after_goes_up_to_the_cap_of_the_rule(self):
        answers = {1: (429, {"Retry-After": "3600"}),
                   2: (409, {"Retry-After": "1"}),
                   3: (503, {"Retry-After": "3600"})}
        down = self.downstream(lambda r: answers.get(r.attempt, 200))
        consumer = self.consumer(self.ruled(
            down, {"class": "http.429", "cap": "2s"},
            {"class": "http.409", "then": "retry", "cap": "5s"},
            retry={"attempts": 9}))
        self.publish("orders", b"x", message_id="1")
        times = [r.time for r in down.wait_requests(4)]
        for delay, before, after in zip((2, 1, 0.2), times, times[1:]):
            self.assertGreaterEqual(after - before, delay)
        self.assertEqual(
            [line.fields["delay_ms"]
             for line in consumer.logged("attempt", id="1")],
            ["2000", "1000", "200"])

    def test_the_first_rule_that_matches_wins(self):
        down = self.downstream(lambda r: int(r.id))
        consumer = self.consumer(self.ruled(
            down,
            {"class": "http.5", "then": "ok"},
            {"class": "http.410"},
            {"class": "http.503", "then": "reject"},
            {"class": "http", "then": "ok"},
            {"class": "http.404", "then": "reject"}))
        ids = ("200", "404", "410", "422", "500", "503")
        for message_id in ids:
            self.publish("orders", b"x", message_id=message_id)
        dead = {message.id: message.headers["dlo-reason"]
                for message in self.take("orders.dlq", 2)}
        self.assertEqual(dead, {"410": "rejected", "503": "rejected"})
        self.wait_totals("orders", total=0)
        self.assertEqual(down.attempts(), {i: 1 for i in ids})
        by = {i: consumer.wait_log("attempt", id=i).fields["rule"]
              for i in ids if i != "200"}
        self.assertEqual(by, {"404": "http", "410": "http.410",
                              "422": "http", "500": "http",
                              "503": "http.503"})
        # 410 has a rule that changes nothing.
        metrics = consumer.metrics()
        for outcome, count in (("ok", 3), ("reject", 1), ("retry", 0)):
            self.assertEqual(metrics.value(
                "dlo_rule_outcomes_total", outcome=outcome), count)

    def test_the_ladder_reaches_the_largest_cap(self):
        down = self.downstream(lambda r: 200 if r.attempt > 1 else 429)
        short = self.ruled(down)
        tall = self.ruled(down, {"class": "http.429", "first": "1700ms",
                                 "cap": "6400ms"},
                          topology={"declare": False})
        self.consumer(short).terminate()
        for level in range(2):
            self.assertEqual(self.depth(f"dlo.retry.orders.{level}"), 0)
        self.assertNotIn("dlo.retry.orders.2",
                         self.broker.totals(self.vhost))
        # Whoever only looks misses what the rule needs.
        code, _, said = run_program("dlo-consumer", "-c",
                                    self.write_config(tall))
        self.assertEqual(code, 1, said)
        for level in range(2, 7):
            self.assertIn(f"dlo.retry.orders.{level}", said)
        tall["topology"]["declare"] = True
        self.consumer(tall)
        for level in range(7):
            self.assertEqual(self.depth(f"dlo.retry.orders.{level}"), 0)
        self.assertNotIn("dlo.retry.orders.7",
                         self.broker.totals(self.vhost))
        self.publish("orders", b"x", message_id="1")
        one, two = down.wait_requests(2)
        self.assertGreaterEqual(two.time - one.time, 1.7)

    def test_what_a_rule_calls_ok_still_opens_the_breaker(self):
        """The breaker hears what the downstream says, not what a pipeline
        makes of it."""
        down = self.downstream(lambda r: 503)
        consumer = self.consumer(self.ruled(
            down, {"class": "http.503", "then": "ok"},
            breaker={"failures": 3, "open": "60s", "open_max": "60s"}))
        self.publish_many("orders", 3)
        consumer.wait_log("breaker", to="open")
        self.wait_totals("orders", total=0)
        self.assertEqual(self.depth("orders.dlq"), 0)
        self.assert_settled(consumer.metrics(), ok=3)

    def check(self, program, config, *args):
        code, out, said = run_program(
            program, *args, "-c", self.write_config(config))
        self.assertEqual((code, said), (0, ""))
        return out.splitlines()

    def test_check_with_verbose_shows_all_rules(self):
        down = self.downstream()
        config = self.ruled(
            down, {"class": "http.409", "then": "ok"},
            {"class": "http.422", "then": "retry"},
            {"class": "http.429", "attempts": 20, "cap": "1h"},
            retry={"attempts": 6, "first": "1s", "cap": "5m"})
        valid, rule, pipeline, *rows = self.check(
            "dlo-consumer", config, "-t", "-v")
        self.assertRegex(valid, "configuration is valid$")
        self.assertIn("first rule that matches", rule)
        self.assertEqual(pipeline, "pipeline orders")
        self.assertEqual([row.split() for row in rows], [
            ["rule", "class", "then", "attempts", "first", "cap"],
            ["rules[0]", "http.409", "ok"],
            ["rules[1]", "http.422", "retry", "6", "1s", "5m"],
            ["rules[2]", "http.429", "as", "below", "20", "1s", "1h"],
            *[["built", "in", *row] + (["6", "1s", "5m"]
                                       if row[1] == "retry" else [])
              for row in BUILT_IN]])
        # The same each time, and nothing more without -v or elsewhere.
        self.assertEqual(self.check("dlo-consumer", config, "-tv"),
                         [valid, rule, pipeline, *rows])
        self.assertEqual(self.check("dlo-consumer", config, "-t"), [valid])
        self.assertEqual(self.check("dlo-redrive", config, "-tv"), [valid])
