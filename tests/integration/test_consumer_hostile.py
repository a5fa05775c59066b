# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""Each message of hostile.py on its way through ok, a retry and a death: it
ends where it should, and whatever is not ours is as it was, type for type."""

from pika import spec

import harness
import hostile
from harness import wait_until
from wire import Wire

# What the downstream says on each way, by attempt.
WAYS = {"ok": [200], "again": [503, 200], "dead": [422]}
STRANGER = ("stranger", "secret")


class Hostile(harness.Case):
    def setUp(self):
        super().setUp()
        # Its users are in no other test's way.
        self.private_broker()
        self.broker.api("PUT", "users/stranger",
                        {"password": STRANGER[1], "tags": ""})
        self.broker.allow(self.vhost, "stranger")
        for way in WAYS:
            self.declare(way)
        self.declare("elsewhere")
        self.declare("spy")
        self.down = self.downstream(
            lambda r: WAYS[r.path.strip("/")][r.attempt - 1])

    def config_of_ways(self):
        config = self.config(self.down, consumer={"max_inflight": "64m"})
        config["downstreams"] = {
            way: {"http": {"url": self.down.url + way},
                  "breaker": {"failures": 1000, "minimum": 1000}}
            for way in WAYS}
        config["pipelines"] = {
            way: {"queue": way, "downstream": way, "max_body": "2m",
                  "retry": {"attempts": 3, "first": "200ms",
                            "hold": "100ms", "jitter": 0}}
            for way in WAYS}
        return config

    def publish_all(self, messages):
        """To each way, each confirmed."""
        wires = {}
        for by_guest, who in ((True, ()), (False, STRANGER)):
            wires[by_guest] = Wire(self.broker, self.vhost, *who)
            wires[by_guest].open_channel(1, confirms=True)
            self.addCleanup(wires[by_guest].close)
        for message in messages:
            for way in WAYS:
                wire = wires[message.by_guest]
                wire.publish(1, "", way, message.body, message.raw,
                             mandatory=True)
                wire.expect(spec.Basic.Ack)

    def taken(self, queue, count):
        """{name: (header fields, body)} of `count` messages."""
        wire = Wire(self.broker, self.vhost)
        self.addCleanup(wire.close)
        wire.open_channel()
        found = []

        def enough():
            while (got := wire.get(1, queue)) is not None:
                found.append(got)
            return len(found) >= count

        wait_until(enough, f"{count} in {queue}")
        by_name = {hostile.name_of(body): (hostile.read_headers(raw), body)
                   for raw, body in found}
        # None came twice.
        self.assertEqual(len(by_name), len(found))
        return by_name

    def judge(self, message, where, fields, body):
        with self.subTest(message.name, where=where):
            self.assertEqual(body, message.body)
            self.assertEqual(hostile.foreign(fields), message.foreign)

    def judge_dead(self, messages, way, reason):
        """`reason` is that of those which the downstream got."""
        dead = self.taken(f"{way}.dlq", len(messages))
        self.assertEqual(set(dead), {m.name for m in messages})
        for message in messages:
            fields, body = dead[message.name]
            self.judge(message, f"{way}.dlq", fields, body)
            end = reason if message.end == "ok" else message.end
            self.assertEqual(fields[b"dlo-reason"], hostile.text(end),
                             message.name)

    def judge_requests(self, good):
        for way, answers in WAYS.items():
            seen = {}
            for request in self.down.requests:
                if request.path == "/" + way:
                    name = hostile.name_of(request.body)
                    seen.setdefault(name, []).append(request)
            self.assertEqual({name: [r.attempt for r in requests]
                              for name, requests in seen.items()},
                             {m.name: list(range(1, len(answers) + 1))
                              for m in good})
            for message in good:
                for request in seen[message.name]:
                    self.assertEqual(request.body, message.body)
                    self.assertNotIn("X-Evil", request.headers)
                    self.assertNotIn("X-Injected", request.headers)

    def test_each_ends_where_it_should_unchanged(self):
        messages = hostile.messages()
        self.assertGreaterEqual(len(messages), 60)
        good = [m for m in messages if m.end == "ok"]
        bad = [m for m in messages if m.end != "ok"]
        consumer = self.consumer(self.config_of_ways())
        # Sees each copy as it leaves the ladder.
        self.channel.queue_bind("spy", "dlo.retry.again")
        self.publish_all(messages)
        for way in WAYS:
            self.wait_totals(way, total=0, timeout=90)
        copies = self.taken("spy", len(good))
        self.assertEqual(set(copies), {m.name for m in good})
        for message in good:
            self.judge(message, "ladder", *copies[message.name])
        self.wait_totals("again", total=0)
        self.judge_dead(messages, "dead", "rejected")
        self.judge_dead(bad, "ok", None)
        self.judge_dead(bad, "again", None)
        self.judge_requests(good)
        # The publisher's own copies, and none of ours.
        self.assertEqual(len(self.drain("elsewhere")), 2 * len(WAYS))
        self.assertTrue(consumer.alive())
        metrics = consumer.metrics()
        self.assertEqual(metrics.value("dlo_inflight_bytes"), 0)
        self.assertEqual(metrics.value("dlo_publish_returned_total"), 0)
