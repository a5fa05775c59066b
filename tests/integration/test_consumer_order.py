# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""Ordered pipelines, judged by what the downstream accepted first: within a
key, never a message before one that was published earlier."""

import collections
import random
import signal
import threading

import harness
from broker import quote
from harness import wait_until
from program import run_program

CALM = {"failures": 100000, "minimum": 100000}
QUICK = {"attempts": 200, "first": "5ms", "cap": "50ms"}
SAC = {"x-single-active-consumer": True}


def key_of(message_id):
    """Ids here are KEY-NUMBER."""
    return message_id.rsplit("-", 1)[0]


class Record:
    """A downstream's answer that fails at random and remembers which messages
    it accepted, each once, and which attempts of one key overlapped."""

    def __init__(self, rate=0.0, seed=1):
        self.rate = rate
        self.firsts = []
        self.overlaps = []
        self._random = random.Random(seed)
        self._running = collections.Counter()
        self._lock = threading.Lock()

    def verdict(self, _request):
        """What a test may decide instead; waits there count as work."""
        with self._lock:
            return 503 if self._random.random() < self.rate else 200

    def __call__(self, request):
        key = key_of(request.id)
        with self._lock:
            if self._running[key] > 0:
                self.overlaps.append(request)
            self._running[key] += 1
        status = self.verdict(request)
        with self._lock:
            self._running[key] -= 1
            if status == 200 and request.id not in self.firsts:
                self.firsts.append(request.id)
        return status

    def of(self, key):
        """What was accepted of that key, in that order."""
        return [i for i in list(self.firsts) if key_of(i) == key]


class Ordered(harness.Case):
    def setUp(self):
        super().setUp()
        self.record = Record()

    def start_on(self, order, retry=None, breaker=None, consumer=None,
                 **pipeline):
        """A downstream with the record, and a configuration for it."""
        down = self.downstream(self.record)
        config = self.config(
            down, downstreams={"shop": {"breaker": breaker or CALM,
                                        # Longer than any gate is shut.
                                        "http": {"timeout": "120s"}}},
            consumer=consumer or {},
            pipelines={"orders": {"order": order,
                                  "retry": {**QUICK, **(retry or {})},
                                  **pipeline}})
        return down, config

    def gate(self):
        """An event that is set at the end of the test at the latest."""
        gate = threading.Event()
        self.addCleanup(gate.set)
        return gate

    def wait_accepted(self, ids):
        wait_until(lambda: set(ids) <= set(self.record.firsts),
                   f"{len(ids)} accepted", timeout=90)

    def assert_in_order(self, ids):
        """All of them, each key in the order given."""
        self.wait_accepted(ids)
        for key in {key_of(i) for i in ids}:
            self.assertEqual(self.record.of(key),
                             [i for i in ids if key_of(i) == key])

    def publish_keyed(self, key, number, value=None):
        message_id = f"{key}-{number}"
        self.publish("orders", message_id=message_id, headers={
            "customer": key if value is None else value})
        return message_id


class Keys(Ordered):
    def setUp(self):
        super().setUp()
        self.declare("orders")

    def test_each_key_keeps_its_order_under_failures(self):
        self.record.rate = 0.3
        _, config = self.start_on({"key": {"header": "customer"}},
                                  concurrency=8, prefetch=100)
        ids = [self.publish_keyed(f"k{key}", number,
                                  # Texts, and integers of two AMQP types.
                                  value=key + (1 << 40 if key > 15 else 0)
                                  if key > 10 else None)
               for number in range(12) for key in range(20)]
        consumer = self.consumer(config)
        self.assert_in_order(ids)
        self.assertEqual(self.record.overlaps, [])
        self.wait_totals("orders", total=0)
        metrics = consumer.metrics()
        self.assertEqual(metrics.value("dlo_settled_total", result="ok"), 240)
        self.assertEqual(metrics.value("dlo_settled_total"), 240)

    def test_other_keys_flow_while_one_is_blocked(self):
        state = {"a-0": 503}
        self.record.verdict = lambda r: state.get(r.id, 200)
        down, config = self.start_on(
            {"key": {"header": "customer"}}, concurrency=2, prefetch=20,
            # Longer than a hold of an unordered pipeline.
            retry={"first": "1s", "cap": "1s", "hold": "100ms", "jitter": 0,
                   "attempts": 100})
        self.consumer(config)
        blocked = [self.publish_keyed("a", n) for n in range(3)]
        others = [self.publish_keyed("b", n) for n in range(30)]
        nameless = ["none-0", "none-1"]
        for message_id in nameless:
            self.publish("orders", message_id=message_id)
        self.assert_in_order(others + nameless)
        down.wait_requests(2, of=lambda r: r.id == "a-0")
        self.assertEqual({r.id for r in down.requests if r.id[0] == "a"},
                         {"a-0"})
        # Held back in memory, not on the ladder.
        self.wait_totals("orders", unacked=3, ready=0)
        state["a-0"] = 200
        self.assert_in_order(blocked)
        self.wait_totals("orders", total=0)

    def test_a_redriven_message_has_the_key_it_was_published_with(self):
        gate = self.gate()
        state = {"x-0": 422}

        def verdict(request):
            if request.id == "x-1":
                gate.wait(60)
            return state.get(request.id, 200)

        self.record.verdict = verdict
        self.channel.exchange_declare("menu", "topic")
        self.channel.queue_bind("orders", "menu", "#")
        down, config = self.start_on({"key": "routing_key"})
        config = harness.merge(config, {"pipelines": {"orders": {
            "redrive": {"only": {}, "canary": 0}}}})
        self.consumer(config)
        for name in ("x-0", "x-1"):
            self.publish(key_of(name), exchange="menu", message_id=name)
        down.wait_requests(1, of=lambda r: r.id == "x-1")
        state["x-0"] = 200
        self.wait_depth("orders.dlq", 1)
        self.assertEqual(self.redrive_once(config)[0], 0)
        self.publish("y", exchange="menu", message_id="y-0")
        self.wait_accepted(["y-0"])
        # It came before y, and waits for x-1.
        self.assertEqual(down.attempts(), {"x-0": 1, "x-1": 1, "y-0": 1})
        gate.set()
        self.wait_accepted(["x-1", "x-0"])
        self.assertEqual(self.record.overlaps, [])


class Strict(Ordered):
    def publish_strict(self, count):
        """To a queue that is ready for more than one process."""
        self.declare("orders", arguments=SAC)
        return self.publish_many("orders", count)

    def test_one_at_a_time_whatever_fails(self):
        self.record.rate = 0.3
        ids = self.publish_strict(100)
        down, config = self.start_on("strict")
        self.consumer(config)
        self.assert_in_order(ids)
        self.assertEqual(self.record.overlaps, [])
        # Not even a request between two of one message.
        seen = list(dict.fromkeys(r.id for r in down.requests))
        self.assertEqual([r.id for r in down.requests],
                         sorted((r.id for r in down.requests),
                                key=seen.index))

    def test_a_dead_letter_lets_go_when_it_is_confirmed(self):
        self.record.verdict = lambda r: 422
        self.declare("orders")
        _, config = self.start_on("strict")
        consumer = self.consumer(config)
        self.channel.queue_delete("orders.dlq")
        self.publish_many("orders", 2)
        consumer.wait_log("copy_not_taken", id="m-0")
        consumer.wait_log("dead_letter", id="m-1")
        told = [(line.event, line.fields.get("id")) for line in consumer.lines
                if line.event in ("attempt", "dead_letter")]
        self.assertEqual(told, [("attempt", "m-0"), ("dead_letter", "m-0"),
                                ("attempt", "m-1"), ("dead_letter", "m-1")])
        self.assertEqual([m.id for m in self.take("orders.dlq", 2)],
                         ["m-0", "m-1"])

    def test_a_drain_gives_back_in_order(self):
        self.record.verdict = lambda r: 503
        self.declare("orders")
        ids = self.publish_many("orders", 10)
        down, config = self.start_on("strict", retry={
            "first": "1m", "cap": "1m", "attempts": 3, "jitter": 0})
        consumer = self.consumer(config)
        down.wait_requests(1)
        consumer.wait_log("attempt", next="hold")
        consumer.signal(signal.SIGTERM)
        self.assertEqual(consumer.wait(), 0)
        self.assertEqual(consumer.logged("pipeline", to="cancelling"), [])
        self.assertEqual([m.id for m in self.take("orders", 10)], ids)
        self.assertEqual(len(down.requests), 1)

    def test_an_open_breaker_only_holds(self):
        state = {"answer": 503}
        self.record.verdict = lambda r: state["answer"]
        ids = self.publish_strict(50)
        _, config = self.start_on(
            "strict", breaker={"failures": 3, "open": "300ms",
                               "open_max": "300ms"}, prefetch=10)
        consumer = self.consumer(config)
        consumer.wait_log("breaker", to="open", count=4)
        queue = self.channel.queue_declare("orders", passive=True)
        self.assertEqual(queue.method.consumer_count, 1)
        self.assertEqual(consumer.get("/readyz")[0], 200)
        state["answer"] = 200
        self.assert_in_order(ids)
        self.wait_totals("orders", total=0)
        for state in ("cancelling", "paused", "giving-back"):
            self.assertEqual(consumer.logged("pipeline", to=state), [])
        self.assertEqual(
            consumer.metrics().value("dlo_deliveries_total"), 50)

    def test_what_was_held_too_long_goes_back_in_order(self):
        state = {"answer": 503}
        self.record.verdict = lambda r: state["answer"]
        ids = self.publish_strict(50)
        _, config = self.start_on(
            "strict", breaker={"failures": 1, "open": "5s",
                               "open_max": "5s"}, prefetch=10,
            retry={"attempts": 3, "first": "1s", "cap": "1s"},
            consumer={"hold_max": "2s", "drain_timeout": "1s"})
        consumer = self.consumer(config)
        consumer.wait_log("held_too_long")
        consumer.wait_log("pipeline", why="given back")
        state["answer"] = 200
        self.assert_in_order(ids)
        self.assertEqual(consumer.logged("pipeline", to="cancelling"), [])
        self.wait_totals("orders", total=0)

    def cut(self, consumer, count):
        """Closes its consume connection and waits until it has another."""
        def found():
            return [c["name"] for c in self.broker.api("GET", "connections")
                    if c["vhost"] == self.vhost and
                    "dlo-consumer consume " in
                    c["client_properties"].get("connection_name", "")]

        for name in wait_until(found, "a consume connection"):
            self.broker.api("DELETE", "connections/" + quote(name),
                            missing_ok=True)
        consumer.wait_log("pipeline", to="consuming", count=count)

    def test_an_attempt_of_a_lost_connection_is_waited_for(self):
        gate = self.gate()

        def verdict(request):
            if request.id == "m-0":
                gate.wait(60)
            return 200

        self.record.verdict = verdict
        ids = self.publish_strict(10)
        down, config = self.start_on("strict")
        consumer = self.consumer(config)
        down.wait_requests(1)
        self.cut(consumer, 2)
        wait_until(lambda: consumer.metrics().value("dlo_deliveries_total")
                   == 20, "all came again")
        self.assertEqual([r.id for r in down.requests], ["m-0"])
        gate.set()
        self.assert_in_order(ids)
        self.assertEqual(self.record.overlaps, [])
        self.assertEqual(down.attempts()["m-0"], 2)
        self.wait_totals("orders", total=0)

    def test_cut_connections_keep_the_order(self):
        self.record.rate = 0.3
        ids = self.publish_strict(300)
        _, config = self.start_on("strict", prefetch=50)
        consumer = self.consumer(config)
        for count in (2, 3, 4):
            self.wait_accepted(ids[:50 * count - 80])
            self.cut(consumer, count)
        self.assert_in_order(ids)
        self.assertEqual(self.record.overlaps, [])
        self.wait_totals("orders", total=0)

    def test_a_killed_broker_keeps_the_order(self):
        self.private_broker()
        gate = self.gate()

        def verdict(request):
            if request.id == "m-60":
                gate.wait(60)
            return 503 if request.attempt == 1 else 200

        self.record.verdict = verdict
        ids = self.publish_strict(200)
        down, config = self.start_on("strict", prefetch=50)
        consumer = self.consumer(config)
        down.wait_requests(1, of=lambda r: r.id == "m-60")
        self.kill_broker()
        gate.set()
        self.assert_in_order(ids)
        self.assertEqual(self.record.overlaps, [])
        self.wait_ready(consumer)
        self.wait_totals("orders", total=0)

    def test_two_processes_and_kill_9_keep_the_order(self):
        self.standby_takes_over("quorum")

    def test_kill_9_keeps_the_order_of_a_classic_queue(self):
        self.standby_takes_over("classic")

    def standby_takes_over(self, kind):
        """Where the one that is killed was."""
        self.record.rate = 0.3
        _, config = self.start_on("strict", prefetch=50, queue={
            "name": "orders", "declare": {"type": kind}})
        processes = [self.consumer(config)]
        ids = self.publish_many("orders", 300)
        for number, enough in enumerate((50, 120, 200)):
            listen = self.listen(f"consumer-{number}")
            processes.append(self.consumer(config, "--listen", listen,
                                           listen=listen))
            self.wait_accepted(ids[:enough])
            active, standby = processes[-2:]
            self.assertEqual(
                standby.metrics().value("dlo_deliveries_total"), 0)
            active.kill9()
        self.assert_in_order(ids)
        self.wait_totals("orders", total=0)
        # A drain hands over in order as well.
        more = self.publish_many("orders", 100, prefix="n")
        listen = self.listen("consumer-last")
        self.consumer(config, "--listen", listen, listen=listen)
        self.wait_accepted(more[:30])
        self.assertEqual(processes[-1].terminate(), 0)
        self.assert_in_order(more)

    def test_retries_that_outlast_hold_max_are_refused(self):
        self.declare("orders")
        _, config = self.start_on("strict", retry={
            "attempts": 3, "cap": "2s"}, consumer={"hold_max": "3999ms"})
        path = self.write_config(config)
        code, _, said = run_program("dlo-consumer", "-c", path, "-t")
        self.assertEqual(code, 78)
        with open(path, encoding="utf-8") as file:
            lines = file.read().split("\n")
        row = next(n for n, line in enumerate(lines) if '"order"' in line)
        column = lines[row].index('"strict"') + 1
        self.assertIn(f"{path}:{row + 1}:{column}: pipelines.orders.order: ",
                      said)
        config["consumer"]["hold_max"] = "4s"
        self.assertEqual(run_program(
            "dlo-consumer", "-c", self.write_config(config), "-t")[0], 0)
