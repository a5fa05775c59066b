# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""dlo-consumer against a broker that stands but is in the way: it times a
delivery out, is in alarm, closes this channel or that. Nothing is lost, and
whoever has no part in it is not held up."""

import os

import harness
from broker import quote
from harness import wait_until
from test_consumer_life import Life

# Looked at so often that nobody waits for the minute that it takes else.
ADVANCED = """[{rabbit, [
    {quorum_tick_interval, 250},
    {channel_tick_interval, 200},
    {consumer_timeout, 3000}
]}].
"""


class Broker(Life):
    """What the tests here have in common."""

    def shop(self, down, *args, **more):
        """With more time for an answer than any gate is shut."""
        return harness.merge(super().shop(down, *args, **more), {
            "downstreams": {"shop": {"http": {"timeout": "2m"}}}})

    def two_pipelines(self, down, **over):
        """`orders`, and `cakes` with a downstream of its own at /cakes."""
        self.declare("cakes")
        config = self.shop(down)
        config["downstreams"]["bakery"] = {
            "http": {"url": down.url + "cakes"},
            "breaker": config["downstreams"]["shop"]["breaker"]}
        config["pipelines"]["cakes"] = {"queue": "cakes",
                                        "downstream": "bakery"}
        return harness.merge(config, over)

    def wait_connection(self, purpose):
        """The name of our connection of that purpose, once there is one."""
        def found():
            return [c["name"] for c in self.broker.api("GET", "connections")
                    if c["vhost"] == self.vhost and
                    f"dlo-consumer {purpose} " in
                    c["client_properties"].get("connection_name", "")]

        return wait_until(found, f"a {purpose} connection")[0]

    def cut(self, consumer, *purposes):
        """Closes them, as an operator can, and waits until they are back."""
        since = len(consumer.lines)
        for purpose in purposes:
            name = self.wait_connection(purpose)
            self.broker.api("DELETE", "connections/" + quote(name),
                            missing_ok=True)
        for purpose in purposes:
            wait_until(lambda what=f" {purpose} ": any(
                what in line.fields["connection"]
                for line in consumer.logged("broker_up", since)),
                f"{purpose} is back")

    def to_channel(self, purpose, expression):
        """Evaluates Erlang in the broker, where P is the process of the first
        channel of our connection of that purpose."""
        name = self.wait_connection(purpose) + " (1)"
        done = self.broker.ctl(
            "eval", f"length([{expression} || [{{pid, P}}, {{name, N}}] <- "
            f'rabbit_channel:info_all([pid, name]), N =:= <<"{name}">>]).')
        self.assertEqual(done.strip(), "1")

    def faults(self, consumer, kind):
        return consumer.metrics().value("dlo_broker_faults_total", kind=kind)


class Timeout(Broker):
    def setUp(self):
        super().setUp()
        self.private_broker(advanced=ADVANCED)
        self.declare("orders")

    def test_a_handler_slower_than_consumer_timeout_stops_nobody_else(self):
        gate, down = self.gate()
        down.answer = lambda r: gate(r) if r.id == "slow" else 200
        consumer = self.consumer(self.two_pipelines(
            down, pipelines={"orders": {"concurrency": 1}}))
        self.publish("orders", b"", message_id="slow")
        ids = self.publish_many("orders", 5)
        down.wait_requests(1, of=lambda r: r.id == "slow")
        line = consumer.wait_log("channel_closed", code=406)
        self.assertEqual(line.fields["pipeline"], "orders")
        self.assertIn("timed out", line.fields["text"])
        # On the same connection, as if nothing had been.
        cakes = self.publish_many("cakes", 20, prefix="c")
        down.wait_requests(20, of=lambda r: r.path == "/cakes")
        self.wait_totals("cakes", total=0)
        wait_until(lambda: consumer.metrics().value(
            "dlo_deliveries_total", pipeline="orders") >= 12,
            "all came again")
        # The attempt goes on, and has the only place.
        self.assertEqual(down.attempts().get("m-0"), None)
        gate.open.set()
        self.assert_nothing_lost(["slow"] + ids + cakes, down)
        self.assertEqual({down.attempts()[i] for i in ids + cakes}, {1})
        self.assertEqual(self.depth("orders.dlq"), 0)
        self.assertGreaterEqual(self.faults(consumer, "consumer_timeout"), 1)
        for kind in ("channel_closed", "connection_lost"):
            self.assertEqual(self.faults(consumer, kind), 0, kind)
        self.assertEqual(consumer.logged("channel_closed",
                                         pipeline="cakes"), [])
        self.wait_ready(consumer)

    def test_hold_max_below_consumer_timeout_gives_back_first(self):
        gate, down = self.gate()
        config = self.shop(
            down, concurrency=1,
            consumer={"hold_max": "1s", "drain_timeout": "500ms"})
        consumer = self.consumer(config)
        ids = self.publish_many("orders", 5)
        down.wait_requests(1)
        # By then one delivery would have been there for too long.
        consumer.wait_log("held_too_long", count=4)
        gate.open.set()
        self.assert_nothing_lost(ids, down)
        self.assertEqual(self.depth("orders.dlq"), 0)
        self.assertGreaterEqual(self.faults(consumer, "given_back"), 4)
        self.assertEqual(self.faults(consumer, "consumer_timeout"), 0)
        self.assertEqual(consumer.logged("channel_closed"), [])


class Alarm(Broker):
    def run_short_of(self, lacking):
        """Copies are stopped, acks are not."""
        self.private_broker()
        self.declare("orders")
        gate, down = self.gate()
        late, _ = self.gate()
        first = {"m-0": 422, "m-1": 503, "m-2": 422}

        def answer(request):
            if request.id == "m-0":
                gate(request)
            else:
                late(request)
            return first.get(request.id, 200) if request.attempt == 1 else 200

        down.answer = answer
        consumer = self.consumer(self.shop(down))
        ids = self.publish_many("orders", 20)
        down.wait_requests(20)
        self.broker.alarm(lacking)
        gate.open.set()
        # The publish that tells us of the alarm still goes through: m-0's,
        # or an event before it.
        line = consumer.wait_log("broker_blocked")
        self.assertIn(lacking, line.fields["reason"])
        late.open.set()
        # Not wait_totals, which publishes.
        def held():
            return (self.totals("orders")["unacked"],
                    self.totals("orders.dlq")["total"])

        wait_until(lambda: held() in ((2, 1), (3, 0)),
                   "all acked that needs no copy, or has one")
        self.assertEqual(consumer.metrics().value(
            "dlo_broker_blocked", connection="publish"), 1)
        self.assertEqual(len(down.requests), 20)
        self.broker.end_alarm(lacking)
        consumer.wait_log("broker_unblocked")
        down.wait_requests(21)
        self.wait_totals("orders", total=0)
        self.assertEqual({m.id for m in self.drain("orders.dlq")},
                         {"m-0", "m-2"})
        self.assertEqual({i: n for i, n in down.attempts().items() if n > 1},
                         {"m-1": 2})
        self.assertEqual(set(down.attempts()), set(ids))
        self.assertEqual(consumer.metrics().value("dlo_broker_blocked"), 0)

    def test_a_full_disk_stops_copies_but_no_acks(self):
        self.run_short_of("disk")

    def test_low_memory_stops_copies_but_no_acks(self):
        self.run_short_of("memory")


class Refused(Broker):
    """Of the copies that are under way the broker refuses some and closes the
    channel for each, without a word which."""

    COUNT = 200

    def batch(self, body=b"", culprit=b""):
        """Every tenth is a culprit; (all ids, theirs)."""
        ids = [f"m-{number}" for number in range(self.COUNT)]
        for number, message_id in enumerate(ids):
            self.publish("orders", body if number % 10 else culprit,
                         message_id=message_id)
        return ids, ids[::10]

    @staticmethod
    def is_culprit(request):
        return int(request.id.split("-")[1]) % 10 == 0

    def wait_refused(self, consumer, culprits, code):
        """All but the culprits get through; nobody else was called one."""
        self.wait_totals("orders", ready=0, unacked=len(culprits))
        wait_until(lambda: {line.fields["id"] for line in consumer.logged(
            "copy_not_taken", result="refused", code=code)} == set(culprits),
            f"each culprit refused with {code}")
        self.assertEqual({line.fields["id"] for line in
                          consumer.logged("copy_not_taken")}, set(culprits))

    def assert_dead(self, ids, left=0):
        """These and no others. What was unconfirmed when a channel closed may
        be there twice."""
        self.wait_totals("orders", total=left)
        self.assertEqual({m.id for m in self.drain("orders.dlq")}, set(ids))

    def test_404_holds_up_only_who_goes_there(self):
        down = self.downstream(
            lambda r: 422 if self.is_culprit(r) else
            200 if r.attempt > 1 else 503)
        config = self.shop(down, retry={"first": "3s", "cap": "3s"})
        self.consumer(config).terminate()
        consumer = self.consumer(harness.merge(
            config, {"topology": {"declare": False}}))
        self.channel.exchange_delete("dlo.dead")
        ids, culprits = self.batch()
        self.wait_refused(consumer, culprits, 404)
        self.channel.exchange_declare("dlo.dead", "direct", durable=True)
        self.channel.queue_bind("orders.dlq", "dlo.dead", "orders")
        self.assert_dead(culprits)
        wait_until(lambda: {r.id for r in down.requests if r.attempt == 2}
                   == set(ids) - set(culprits), "the rest was tried again")
        self.wait_totals("orders", total=0)

    def test_403_holds_up_only_who_goes_there(self):
        user = self.broker.user_new("pw")
        self.addCleanup(self.broker.user_delete, user)
        self.broker.allow(self.vhost, user)
        down = self.downstream(
            lambda r: 200 if r.attempt > 1 else
            503 if self.is_culprit(r) else 422)
        consumer = self.consumer(harness.merge(self.shop(down), {
            "broker": {"user": user, "password": "pw"}}))
        self.broker.allow(self.vhost, user, write=r"^dlo\.(dead|events)$")
        # A channel remembers for a while what it was allowed.
        self.cut(consumer, "publish")
        ids, culprits = self.batch()
        self.wait_refused(consumer, culprits, 403)
        self.assert_dead(set(ids) - set(culprits), left=len(culprits))
        self.broker.allow(self.vhost, user)
        wait_until(lambda: {r.id for r in down.requests if r.attempt == 2}
                   == set(culprits), "the culprits were tried again")
        self.assert_dead([])

    def test_406_holds_up_only_what_is_too_large(self):
        """The broker took it when it still took larger ones."""
        self.private_broker()
        self.declare("orders")
        down = self.downstream(lambda r: 200 if r.attempt > 1 else 503)
        ids, culprits = self.batch(b"x", b"x" * 3000)
        self.broker.setting("max_message_size", 2000)
        consumer = self.consumer(self.shop(down))
        self.wait_refused(consumer, culprits, 406)
        wait_until(lambda: {r.id for r in down.requests if r.attempt == 2}
                   == set(ids) - set(culprits), "the rest was tried again")
        self.broker.setting("max_message_size", 1 << 27)
        self.cut(consumer, "publish")
        # It is what it was: one that waits for its second attempt.
        wait_until(lambda: {r.id for r in down.requests if r.attempt == 2}
                   == set(ids), "the culprits too")
        self.assert_dead([])

    def test_541_on_the_way_loses_no_copy(self):
        """The broker's channel breaks, and it closes the connection."""
        down = self.downstream(
            lambda r: 422 if self.is_culprit(r) else
            200 if r.attempt > 1 else 503)
        consumer = self.consumer(self.shop(down, concurrency=8))
        ids = []
        for round_ in range(3):
            seen = len(down.requests)
            more, _ = self.batch()
            ids += more
            down.wait_requests(seen + 20)
            self.to_channel("publish", "exit(P, broken)")
            consumer.wait_log("broker_down", code=541, count=round_ + 1)
        self.wait_totals("orders", total=0)
        dead = {m.id for m in self.drain("orders.dlq")}
        self.assertEqual(dead, set(ids[::10]))


class Closed(Broker):
    """The broker closes the channel that consumes."""

    def assert_recovers(self, consumer, down, ids):
        self.wait_ready(consumer)
        self.assert_nothing_lost(ids, down)
        self.assertEqual(self.depth("orders.dlq"), 0)

    def test_406_for_a_tag_that_it_does_not_know(self):
        gate, down = self.gate()
        consumer = self.consumer(self.shop(down))
        ids = self.publish_many("orders", 20)
        down.wait_requests(20)
        self.to_channel("consume",
                        "rabbit_channel:do(P, {'basic.ack', 999, false})")
        consumer.wait_log("channel_closed", code=406)
        gate.open.set()
        self.assert_recovers(consumer, down, ids)
        self.assertEqual(self.faults(consumer, "channel_closed"), 1)
        self.assertEqual(self.faults(consumer, "consumer_timeout"), 0)

    def test_541_closes_the_connection(self):
        gate, down = self.gate()
        consumer = self.consumer(self.shop(down))
        ids = self.publish_many("orders", 20)
        down.wait_requests(20)
        self.to_channel("consume", "exit(P, broken)")
        line = consumer.wait_log("broker_down", code=541)
        self.assertEqual(line.fields["fault"], "server")
        gate.open.set()
        self.assert_recovers(consumer, down, ids)
        self.assertEqual(self.faults(consumer, "connection_lost"), 1)

    def test_405_while_somebody_else_owns_the_queue(self):
        down = self.downstream()
        consumer = self.consumer(self.two_pipelines(down))
        self.channel.queue_delete("orders")
        owner = self.new_channel(confirms=False)
        owner.queue_declare("orders", exclusive=True)
        consumer.wait_log("channel_closed", code=405)
        status, why = consumer.get("/readyz")
        self.assertEqual(status, 503)
        self.assertIn("orders", why)
        cakes = self.publish_many("cakes", 5, prefix="c")
        down.wait_requests(5)
        # It ends with its owner.
        owner.connection.close()
        self.declare("orders")
        ids = self.publish_many("orders", 5)
        down.wait_requests(10)
        self.assert_recovers(consumer, down, ids + cakes)

    def test_403_while_somebody_else_consumes_alone(self):
        down = self.downstream()
        consumer = self.consumer(self.shop(down))
        self.channel.queue_delete("orders")
        other = self.new_channel(confirms=False)
        other.queue_declare("orders", durable=True)
        tag = other.basic_consume("orders", lambda *_: None, exclusive=True)
        consumer.wait_log("channel_closed", code=403)
        self.assertEqual(consumer.get("/readyz")[0], 503)
        # One that starts now says what it is, which is no lack of a right.
        path = self.write_config(self.shop(down), "second.yaml")
        code, _, said = harness.run_program(
            "dlo-consumer", "--listen", "none", "-c", path)
        self.assertEqual(code, 1, said)
        self.assertIn("exclusive", said)
        self.assertIn("see who else uses the queue", said)
        other.basic_cancel(tag)
        ids = self.publish_many("orders", 5)
        down.wait_requests(5)
        self.assert_recovers(consumer, down, ids)


class Sizes(Broker):
    """A broker that allows less than others."""

    def setUp(self):
        super().setUp()
        self.private_broker()
        self.declare("orders")

    def bodies_through(self, down, frame_max):
        """Twice to the downstream and then dead, whole each time."""
        room = frame_max - 8
        sent = {}
        for size in (0, 1, room, room + 1, 9 * room + 5, 2_000_000):
            message_id = f"{frame_max}-{size}"
            sent[message_id] = os.urandom(size)
            self.publish("orders", sent[message_id], message_id=message_id)
        dead = self.take("orders.dlq", len(sent), timeout=60)
        self.assertEqual({m.id: m.body for m in dead}, sent)
        for attempt in (1, 2):
            self.assertEqual({r.id: r.body for r in down.requests
                              if r.attempt == attempt and r.id in sent}, sent)

    def headers_through(self, consumer, down, frame_max):
        """What leaves room for ours is tried again and keeps its headers;
        what does not is dead at its first failure, its body whole, and the
        log says that headers were cut."""
        # Flags, the table's length, the header, delivery mode, message id.
        most = frame_max - 20 - (2 + 4 + len("Xpad") + 5 + 1 + 5)
        sizes = {f"h{n:03}": n for n in (*range(most - 900, most, 45), most)}
        for message_id, size in sizes.items():
            self.publish("orders", message_id.encode(), message_id=message_id,
                         headers={"pad": "x" * size})
        dead = self.take("orders.dlq", len(sizes), timeout=60)
        self.assertEqual(sorted(m.id for m in dead), sorted(sizes))
        attempts = down.attempts()
        cut = {line.fields["id"] for line in consumer.logged("headers_cut")}
        self.assertIn(len(cut), range(1, len(sizes)))
        for message in dead:
            pad = "x" * sizes[message.id]
            self.assertEqual(message.body, message.id.encode())
            self.assertEqual(message.headers.get("pad"),
                             None if message.id in cut else pad)
            # A reason takes room too: a few fit again, but not when dead.
            tried = 2 if message.headers["dlo-reason"] == "rejected" else 1
            self.assertEqual(attempts[message.id], tried)
            if message.id not in cut:
                self.assertEqual(tried, 2)
        self.assertIn("malformed", {m.headers["dlo-reason"] for m in dead})

    def test_frames_of_odd_sizes(self):
        self.broker.setting("frame_max", 4096)
        # Hers too are as small as that now.
        self._channel = None
        down = self.downstream(lambda r: 503 if r.attempt == 1 else 422)
        consumer = self.consumer(self.shop(down))
        self.bodies_through(down, 4096)
        self.headers_through(consumer, down, 4096)
        for frame_max in (5003, 8192, 131072):
            self.broker.setting("frame_max", frame_max)
            self.cut(consumer, "consume", "publish")
            self.bodies_through(down, frame_max)
        self.wait_totals("orders", total=0)
        self.assertEqual(consumer.logged("publish_channel_closed"), [])

    def test_few_channels(self):
        down = self.downstream(
            lambda r: 422 if r.id == "dead" else
            200 if r.attempt > 1 else 503)

        def work(*queues, prefix):
            ids = [i for n, queue in enumerate(queues)
                   for i in self.publish_many(queue, 5, prefix=f"{prefix}{n}")]
            wait_until(lambda: {r.id for r in down.requests
                                if r.attempt == 2} >= set(ids), "each twice")
            for queue in queues:
                self.wait_totals(queue, total=0)

        two = self.two_pipelines(down)
        one = harness.merge(two, {"pipelines": {"cakes": None}})
        self.broker.setting("channel_max", 1)
        consumer = self.consumer(one)
        work("orders", prefix="a")
        self.publish("orders", b"", message_id="dead")
        self.assertEqual([m.id for m in self.take("orders.dlq", 1)], ["dead"])
        self.assertEqual(consumer.terminate(), 0)
        # It would serve one of the two, if any.
        path = self.write_config(two)
        code, _, said = harness.run_program(
            "dlo-consumer", "--listen", "none", "-c", path)
        self.assertEqual(code, 1, said)
        self.assertIn("too_few_channels allowed=1 wanted=2", said)
        self.assertIn('hint="raise channel_max', said)
        self.broker.setting("channel_max", 2)
        consumer = self.consumer(two)
        work("orders", "cakes", prefix="b")
        # Of one that runs who has a channel goes on.
        self.broker.setting("channel_max", 1)
        self.cut(consumer, "consume")
        consumer.wait_log("too_few_channels")
        loser = consumer.wait_log("no_channel").fields["pipeline"]
        wait_until(lambda: f"no channel left for queue {loser}"
                   in consumer.get("/readyz")[1], "/readyz tells")
        work(*{"orders", "cakes"} - {loser}, prefix="c")
        self.broker.setting("channel_max", 7)
        self.cut(consumer, "consume", "publish")
        self.wait_ready(consumer)
        work("orders", "cakes", prefix="d")
