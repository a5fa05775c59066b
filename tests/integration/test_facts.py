# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""What RabbitMQ does to messages, and what our design stands on: each test
shows one fact of docs/broker-facts.md on the broker that runs here. When one
goes red on another version, the design has to be looked at before the test.
"""

import threading

import pika
import pika.exceptions
from pika import frame as frames
from pika import spec

import harness
from harness import wait_until
from wire import CAPABILITIES, Closed, Wire

SHORT_TTL_MS = 50


class Facts(harness.Case):
    def wire(self, **options):
        """A connection frame by frame, on this test's vhost."""
        wire = Wire(self.broker, self.vhost, **options)
        self.addCleanup(wire.close)
        return wire

    def version(self):
        """The broker's version as numbers."""
        text = self.broker.api("GET", "overview")["rabbitmq_version"]
        return tuple(int(part) for part in text.split(".")[:2])

    def delay_queue(self, name, key, kind="quorum", exchange="", ttl=None,
                    safe=True, **arguments):
        """A queue that dead-letters all to `key`; safe is at-least-once."""
        arguments.update({
            "x-message-ttl": SHORT_TTL_MS if ttl is None else ttl,
            "x-dead-letter-exchange": exchange,
            "x-dead-letter-routing-key": key,
        })
        if safe and kind == "quorum":
            arguments.setdefault("x-dead-letter-strategy", "at-least-once")
            arguments.setdefault("x-overflow", "reject-publish")
        return self.declare(name, kind, arguments)

    def assert_closed(self, code, act, *args, of=None):
        """`act` makes the broker close the channel (or what `of` says)."""
        of = of or pika.exceptions.ChannelClosedByBroker
        with self.assertRaises(of) as seen:
            act(*args)
        self.assertEqual(seen.exception.reply_code, code)

    # ---- losing nothing

    def fact_1_without_mandatory_a_lost_message_is_confirmed(self):
        wire = self.wire()
        wire.open_channel(1, confirms=True)
        wire.publish(1, "", "nowhere", b"gone")
        self.assertEqual(wire.expect(spec.Basic.Ack).method.delivery_tag, 1)
        wire.publish(1, "", "nowhere", b"seen", mandatory=True)
        wire.expect(spec.Basic.Return)
        self.assertEqual(wire.expect(spec.Basic.Ack).method.delivery_tag, 2)

    def fact_1_a_crash_between_publish_and_ack_duplicates(self):
        self.declare("work")
        self.declare("copies")
        self.publish("work", b"one")
        wire = self.wire()
        wire.open_channel(1, confirms=True)
        wire.send(1, spec.Basic.Get(queue="work"))
        wire.expect(spec.Basic.GetOk)
        wire.publish(1, "", "copies", b"one", mandatory=True)
        wire.expect(spec.Basic.Ack)
        wire.close()
        self.assertEqual([m.body for m in self.take("work", 1)], [b"one"])
        self.assertEqual([m.body for m in self.take("copies", 1)], [b"one"])

    def fact_2_a_return_comes_before_its_confirm_and_has_no_tag(self):
        self.declare("here")
        wire = self.wire()
        wire.open_channel(1, confirms=True)
        for number in range(1, 41):
            wire.publish(1, "", "nowhere" if number % 2 else "here", b"x",
                         pika.BasicProperties(message_id=str(number)),
                         mandatory=True)
        returned, confirmed = set(), set()
        while len(confirmed) < 40:
            found = wire.receive()
            if isinstance(found, frames.Header):
                returned.add(int(found.properties.message_id))
            elif isinstance(found, frames.Method):
                if isinstance(found.method, spec.Basic.Return):
                    self.assertFalse(hasattr(found.method, "delivery_tag"))
                    continue
                self.assertIsInstance(found.method, spec.Basic.Ack)
                tag = found.method.delivery_tag
                now = (set(range(1, tag + 1)) - confirmed
                       if found.method.multiple else {tag})
                confirmed |= now
                self.assertEqual({n for n in now if n % 2} - returned, set(),
                                 "confirmed before it was returned")
        self.assertEqual(returned, set(range(1, 41, 2)))

    def fact_2_an_alternate_exchange_swallows_returns(self):
        self.channel.exchange_declare("ours", "direct")
        self.channel.exchange_declare("catch", "fanout")
        self.declare("caught")
        self.channel.queue_bind("caught", "catch")
        with self.assertRaises(pika.exceptions.UnroutableError):
            self.publish("nowhere", exchange="ours")
        self.broker.policy(self.vhost, "ae", "^ours$",
                           {"alternate-exchange": "catch"}, "exchanges")

        def swallowed():
            try:
                self.publish("nowhere", exchange="ours")
            except pika.exceptions.UnroutableError:
                return False
            return True

        wait_until(swallowed, "the policy at work")
        self.take("caught", 1)

    def fact_4_dead_lettering_loses_unless_told_otherwise(self):
        """Kind, safe or not, where to: only at-least-once with
        reject-publish keeps what cannot be delivered."""
        self.channel.exchange_declare("empty", "direct", durable=True)
        # A quorum queue takes one more from each new publisher.
        self.declare("full", "classic", {"x-max-length": 1,
                                         "x-overflow": "reject-publish"})
        self.publish("full")
        targets = {"missing": "missing", "unrouted": "empty", "full": ""}
        sources = {
            "classic": ("classic", {"safe": False}),
            "quorum": ("quorum", {"safe": False}),
            "half": ("quorum", {"x-overflow": "drop-head"}),
            "safe": ("quorum", {}),
        }
        for source, (kind, options) in sources.items():
            for target, exchange in targets.items():
                name = f"{source}-{target}"
                self.delay_queue(name, "full", kind, exchange, **options)
                self.publish(name)
                self.wait_depth(name, 0)
        totals = self.fresh_totals()
        for name in (f"{source}-{target}" for source in sources
                     for target in targets):
            self.assertEqual(totals[name], {
                "total": 1 if name.startswith("safe") else 0,
                "ready": 0, "unacked": 0}, name)
        self.assertEqual(totals["full"]["total"], 1)

    def fact_5_32_stuck_messages_stall_their_queue_and_no_other(self):
        # The keys stay as published: 32 lead nowhere, the next ones do.
        for name in ("stalled", "neighbour"):
            self.channel.exchange_declare("in-" + name, "fanout")
            self.declare(name, "quorum", {
                "x-message-ttl": SHORT_TTL_MS, "x-overflow": "reject-publish",
                "x-dead-letter-exchange": "",
                "x-dead-letter-strategy": "at-least-once"})
            self.channel.queue_bind(name, "in-" + name)
        self.declare("target")
        for number in range(32):
            self.publish("nowhere", exchange="in-stalled")
            if number < 31:
                self.publish("nowhere", exchange="in-neighbour")
        # Now expired and tried, but where are they?
        self.wait_totals("stalled", total=32, ready=0, unacked=0)
        self.wait_totals("neighbour", total=31, ready=0, unacked=0)
        self.publish("target", b"behind 32", exchange="in-stalled")
        self.publish("target", b"behind 31", exchange="in-neighbour")
        self.assertEqual([m.body for m in self.take("target", 1)],
                         [b"behind 31"])
        self.wait_totals("stalled", total=33, ready=0, unacked=0)
        self.assertEqual(self.drain("target"), [])

    def fact_5_stuck_messages_come_back_when_their_target_does(self):
        # The broker's own pace is 180 s.
        self.private_broker(advanced="""[{rabbit, [
            {quorum_tick_interval, 250},
            {dead_letter_worker_publisher_confirm_timeout, 1000}]}].""")
        self.delay_queue("ladder", "work")
        self.publish_many("ladder", 40)
        self.wait_totals("ladder", total=40, ready=0, unacked=0)
        self.declare("work")
        messages = self.take("work", 40)
        self.assertEqual({m.id for m in messages},
                         {f"m-{number}" for number in range(40)})
        self.wait_totals("ladder", total=0)

    def fact_8_a_full_queue_drops_its_head_unless_told_otherwise(self):
        self.declare("drops", "quorum", {"x-max-length": 1})
        self.declare("rejects", "quorum", {"x-max-length": 1,
                                           "x-overflow": "reject-publish"})
        self.publish("drops", b"old")
        self.publish("drops", b"new")
        self.assertEqual([m.body for m in self.drain("drops")], [b"new"])
        self.publish("rejects", b"old")

        def refused():
            try:
                self.publish("rejects", b"new")
            except pika.exceptions.NackError:
                return True
            return False

        # One more may slip in before the limit is noticed.
        wait_until(refused, "a nack of the full queue")
        self.assertEqual(self.drain("rejects")[0].body, b"old")

    def returns_until_gone(self, queue, most):
        """How often a message can be given back before it is dropped."""
        self.publish(queue)
        for count in range(most):
            message = self.get(queue, ack=False)
            if message is None:
                return count
            self.channel.basic_nack(message.method.delivery_tag)
        return most

    def fact_8_delivery_limits_drop_what_nobody_failed(self):
        self.declare("limited", "quorum", {"x-delivery-limit": 3})
        self.declare("ours", "quorum", {"x-delivery-limit": 2147483647})
        self.declare("policy", "quorum", {"x-delivery-limit": 2147483647})
        self.declare("minus", "quorum", {"x-delivery-limit": -1})
        self.broker.policy(self.vhost, "limit", "^policy$",
                           {"delivery-limit": 2})
        self.assertEqual(self.returns_until_gone("limited", 30), 4)
        self.assertEqual(self.returns_until_gone("ours", 30), 30)
        if self.version() < (4, 0):
            self.assertEqual(self.returns_until_gone("minus", 30), 1)
        wait_until(lambda: self.broker.queue(self.vhost, "policy").get(
            "effective_policy_definition") == {"delivery-limit": 2},
            "the policy at work")
        self.assertEqual(self.returns_until_gone("policy", 30), 3)
        # And nothing of it is seen in the arguments.
        self.assertEqual(self.broker.queue(self.vhost, "policy")[
            "arguments"]["x-delivery-limit"], 2147483647)

    def fact_10_acks_beside_publishes_wait_for_the_end_of_the_alarm(self):
        self.private_broker()
        self.declare("work", "classic")
        self.declare("other")
        self.publish_many("work", 2)
        mixed, consumes = self.wire(), self.wire()
        tags = {}
        for wire in (mixed, consumes):
            wire.open_channel(1)
            wire.send(1, spec.Basic.Get(queue="work"))
            tags[wire] = wire.expect(spec.Basic.GetOk).method.delivery_tag
            self.assertIsInstance(wire.receive(), frames.Header)
        self.broker.alarm()
        mixed.publish(1, "", "other")
        mixed.expect(spec.Connection.Blocked)
        mixed.send(1, spec.Basic.Ack(tags[mixed]))
        consumes.send(1, spec.Basic.Ack(tags[consumes]))
        wait_until(lambda: self.exact_unacked("work") == 1, "one ack")
        # The other one was sent before it, and is still not read.
        self.assertEqual(self.exact_unacked("work"), 1)
        self.broker.end_alarm()
        mixed.expect(spec.Connection.Unblocked)
        wait_until(lambda: self.exact_unacked("work") == 0, "both acks")

    def exact_unacked(self, queue):
        """Of a classic queue, at this moment."""
        lines = self.broker.ctl("-q", "list_queues", "-p", self.vhost, "name",
                                "messages_unacknowledged").splitlines()
        return int(dict(line.split("\t") for line in lines)[queue])

    # ---- headers that lose or divert messages when copied

    def lap(self, ladder, work, headers=None):
        """One way down a two-step ladder; what comes out."""
        self.publish(ladder, b"lap", headers=headers)
        return self.take(work, 1)[0]

    def fact_12_x_death_cycle(self):
        for kind in ("classic", "quorum", "safe"):
            with self.subTest(kind):
                queue_kind = "quorum" if kind == "safe" else kind
                work = self.declare(kind + "-work")
                foot = self.delay_queue(kind + "-0", work, queue_kind,
                                        safe=kind == "safe")
                ladder = self.delay_queue(kind + "-1", foot, queue_kind,
                                          safe=kind == "safe")
                first = self.lap(ladder, work)
                self.assertEqual({death["queue"]: death["reason"]
                                  for death in first.headers["x-death"]},
                                 {ladder: "expired", foot: "expired"})
                # Without it the second lap is as good as the first.
                self.lap(ladder, work)
                # With it, it ends here; one behind it goes through.
                self.publish(ladder, b"cycle", headers=first.headers)
                self.assertEqual(self.lap(ladder, work).body, b"lap")
                totals = self.fresh_totals()
                self.assertEqual(totals[ladder], {
                    "total": 1 if kind == "safe" else 0,
                    "ready": 0, "unacked": 0})
                self.assertEqual(totals[foot]["total"], 0)
                self.assertEqual(totals[work]["total"], 0)

    def fact_13_a_hostile_x_death_kills_the_queue_that_expires_it(self):
        if self.version() >= (4, 0):
            self.skipTest("a client's x-death is ignored from 4.0 on")
        # Not even its vhost can be deleted afterwards.
        self.private_broker()
        wire = self.wire()
        wire.open_channel(1, confirms=True)
        dead = self.declare("dead")
        work = self.delay_queue("work", dead, safe=False)
        self.publish(work, b"hostile", headers={"x-death": ["a"]})
        wait_until(lambda: "crasher:" in self.broker.log(), "a crash")
        self.publish(work, b"later")
        self.assertEqual([m.body for m in self.take(dead, 1)], [b"later"])
        # Those that die together with it are lost too.
        work = self.delay_queue("rejects", dead, safe=False, ttl=600000)
        self.publish(work, b"hostile", headers={"x-death": ["a"]})
        self.publish_many(work, 3)
        wire, tags = self.window(work, 4)
        wire.send(1, spec.Basic.Nack(tags[-1], multiple=True, requeue=False))
        self.wait_totals(work, total=0)
        self.assertEqual(self.drain(dead), [])
        # And a classic queue does not come back.
        work = self.delay_queue("classic", dead, "classic")
        self.publish(work, b"hostile", headers={"x-death": ["a"]})
        wait_until(lambda: self.refuses(work), "a dead queue")

    def refuses(self, queue):
        """Whether a queue no longer takes messages."""
        try:
            self.publish(queue, b"later")
        except pika.exceptions.NackError:
            return True
        return False

    def fact_13_forged_x_death_entries_survive(self):
        if self.version() >= (4, 0):
            self.skipTest("a client's x-death is ignored from 4.0 on")
        dead = self.declare("dead")
        work = self.delay_queue("work", dead)
        self.publish(work, headers={"x-death": [{
            "queue": work, "reason": "expired", "count": 41,
            "exchange": "forged", "routing-keys": ["somewhere"]}]})
        message, = self.take(dead, 1)
        entry = message.headers["x-death"][0]
        self.assertEqual((entry["count"], entry["exchange"],
                          entry["routing-keys"]),
                         (42, "forged", ["somewhere"]))

    def fact_13_the_broker_keeps_user_id_and_our_stale_headers(self):
        dead = self.declare("dead")
        work = self.delay_queue("work", dead)
        self.publish(work, user_id="guest",
                     headers={"dlo-reason": "rejected", "dlo-attempt": 3})
        message, = self.take(dead, 1)
        self.assertEqual(message.properties.user_id, "guest")
        self.assertEqual(message.headers["dlo-reason"], "rejected")
        self.assertEqual(message.headers["x-death"][0]["reason"], "expired")

    def fact_14_cc_survives_delivery_and_diverts_a_copy(self):
        for queue in ("work", "elsewhere", "hidden", "again"):
            self.declare(queue)
        self.publish("work", headers={"CC": ["elsewhere"],
                                      "BCC": ["hidden"]})
        message, = self.take("work", 1)
        self.take("elsewhere", 1)
        self.take("hidden", 1)
        self.assertEqual(message.headers["CC"], ["elsewhere"])
        self.assertNotIn("BCC", message.headers)
        self.publish("again", headers=dict(message.headers))
        self.take("again", 1)
        self.take("elsewhere", 1)

    def fact_15_a_foreign_user_id_closes_the_channel(self):
        self.declare("work")
        user = self.broker.user_new("pw")
        self.addCleanup(self.broker.user_delete, user)
        self.broker.allow(self.vhost, user)
        theirs = self.new_channel(user=user, password="pw")
        self.publish("work", channel=theirs, user_id=user)
        message, = self.take("work", 1)
        self.assertEqual(message.properties.user_id, user)
        # As it came, we may not send it on; under our own name we may.
        self.assert_closed(406, lambda: self.publish(
            "work", user_id=message.properties.user_id))
        self.publish("work", user_id="guest")
        message, = self.take("work", 1)
        self.assertEqual(message.properties.user_id, "guest")

    def fact_16_a_kept_expiration_expires_the_copy(self):
        self.declare("work")
        self.declare("dlq")
        self.publish("work", b"x", expiration="60000")
        message, = self.take("work", 1)
        self.assertEqual(message.properties.expiration, "60000")
        self.publish("dlq", b"kept", expiration="1")
        self.publish("dlq", b"stripped")
        self.wait_depth("dlq", 1)
        self.assertEqual([m.body for m in self.drain("dlq")], [b"stripped"])
        # Where the broker dead-letters, it takes the expiration off itself.
        dead = self.declare("dead")
        self.delay_queue("ttl", dead, ttl=60000)
        self.publish("ttl", expiration="1")
        message, = self.take(dead, 1)
        self.assertIsNone(message.properties.expiration)
        self.assertEqual(message.headers["x-death"][0][
            "original-expiration"], "1")

    def fact_16_forged_counters_and_offsets_are_delivered(self):
        self.declare("work", "classic")
        forged = {"x-delivery-count": 99, "x-acquired-count": 99,
                  "x-stream-offset": 7, "x-delay": 5,
                  "x-first-death-queue": "q", "x-last-death-queue": "q"}
        self.publish("work", headers=forged)
        message, = self.take("work", 1)
        self.assertEqual(message.headers, forged)

    def headers_of(self, size):
        """Properties whose header frame is `size` bytes, frame and all."""
        properties = pika.BasicProperties(headers={"a": b""})
        room = size - len(frames.Header(1, 0, properties).marshal())
        properties.headers["a"] = b"x" * room
        self.assertEqual(len(frames.Header(1, 0, properties).marshal()), size)
        return properties

    def fact_17_properties_must_fit_one_frame(self):
        self.declare("work")
        wire = self.wire(frame_max=8192)
        wire.open_channel(1, confirms=True)
        wire.publish(1, "", "work", b"", self.headers_of(8192), True)
        wire.expect(spec.Basic.Ack)
        # It overlooks the eight bytes around the payload.
        wire.publish(1, "", "work", b"", self.headers_of(8201), True)
        self.assertEqual(wire.expect(
            spec.Connection.Close).method.reply_code, 501)

    def fact_17_the_broker_itself_sends_larger_header_frames(self):
        """A reader that insists on the frame_max it has tuned loops for ever
        on such a message: the broker adds its own headers on the way."""
        self.declare("work")
        theirs = self.wire()
        theirs.open_channel(1, confirms=True)
        largest = theirs.frame_max
        theirs.publish(1, "", "work", b"", self.headers_of(largest), True)
        theirs.expect(spec.Basic.Ack)
        ours = self.wire(frame_max=largest)
        ours.open_channel(1)
        ours.send(1, spec.Basic.Get(queue="work"))
        ours.expect(spec.Basic.GetOk)
        header = ours.receive()
        self.assertIsInstance(header, frames.Header)
        self.assertGreater(len(frames.Header(
            1, 0, header.properties).marshal()), largest)

    def fact_17_frame_max_4096_is_still_accepted_before_4_1(self):
        if self.version() >= (4, 1):
            with self.assertRaises((AssertionError, Closed)):
                self.wire(frame_max=4096)
        else:
            self.wire(frame_max=4096).open_channel(1)

    # ---- shapes of trouble

    def fact_19_404_403_and_406_close_the_channel_alone(self):
        self.declare("work")
        user = self.broker.user_new("pw")
        self.addCleanup(self.broker.user_delete, user)
        self.broker.allow(self.vhost, user, "^$", "^$", "^$")
        connection = self.connect(user, "pw")
        for code, act in (
                (404, lambda channel: channel.queue_declare(
                    "none", passive=True)),
                (403, lambda channel: channel.basic_get("work")),
                (406, lambda channel: channel.basic_ack(99) or
                    channel.basic_qos(prefetch_count=1))):
            with self.subTest(code):
                channel = connection.channel()
                self.assert_closed(code, act, channel)
                self.assertTrue(connection.is_open)
                self.assertTrue(connection.channel().is_open)

    def fact_19_a_closed_channel_forgets_its_unconfirmed_publishes(self):
        self.declare("work")
        wire = self.wire()
        wire.open_channel(1, confirms=True)
        for number in range(50):
            wire.publish(1, "", "work", b"%d" % number, mandatory=True)
        wire.publish(1, "missing", "work", b"closes", mandatory=True)
        for number in range(50, 60):
            wire.publish(1, "", "work", b"%d" % number, mandatory=True)
        confirmed = set()
        while True:
            method = wire.receive_method().method
            if isinstance(method, spec.Channel.Close):
                break
            first = method.delivery_tag
            if method.multiple:
                first = 1
            confirmed |= set(range(first, method.delivery_tag + 1))
        self.assertEqual(method.reply_code, 404)
        # What stood before it is in the queue, told or not; the rest is not.
        self.assertLess(max(confirmed, default=0), 51)
        bodies = [int(m.body) for m in self.take("work", 50)]
        self.assertEqual(bodies, list(range(50)))
        self.assertEqual(self.drain("work"), [])

    def fact_19_540_closes_the_connection(self):
        self.declare("work")
        self.declare("stream", "stream")
        self.publish("stream")

        def global_qos(wire):
            wire.call(1, spec.Basic.Qos(prefetch_count=1, global_qos=True),
                      spec.Basic.QosOk)
            wire.send(1, spec.Basic.Consume(queue="work"))

        def get(wire):
            wire.send(1, spec.Basic.Get(queue="stream"))

        def no_ack(wire):
            wire.call(1, spec.Basic.Qos(prefetch_count=1), spec.Basic.QosOk)
            wire.send(1, spec.Basic.Consume(queue="stream", no_ack=True))

        def nack(wire):
            wire.call(1, spec.Basic.Qos(prefetch_count=1), spec.Basic.QosOk)
            wire.call(1, spec.Basic.Consume(
                queue="stream", arguments={"x-stream-offset": "first"}),
                spec.Basic.ConsumeOk)
            wire.expect(spec.Basic.Deliver)
            wire.send(1, spec.Basic.Nack(1))

        for act in (global_qos, get, no_ack, nack):
            with self.subTest(act.__name__):
                wire = self.wire()
                wire.open_channel(1)
                act(wire)
                closed = wire.expect(spec.Connection.Close).method
                self.assertEqual(closed.reply_code, 540)

    def fact_20_a_passive_declare_needs_no_right_here(self):
        self.declare("work")
        user = self.broker.user_new("pw")
        self.addCleanup(self.broker.user_delete, user)
        self.broker.allow(self.vhost, user, "^$", "^$", "^$")
        if self.version() >= (4, 2):
            self.skipTest("4.2.6 and 4.3.0 want configure, later ones a right")
        channel = self.connect(user, "pw").channel()
        channel.queue_declare("work", passive=True)
        self.assert_closed(404, lambda: channel.queue_declare(
            "none", passive=True))

    def fact_21_a_cancel_is_told_only_to_who_announced_it(self):
        told = self.wire()
        untold = self.wire(capabilities={})
        for number, wire in enumerate((told, untold)):
            queue = self.declare(f"gone-{number}")
            wire.open_channel(1)
            wire.call(1, spec.Basic.Consume(queue=queue, consumer_tag="c"),
                      spec.Basic.ConsumeOk)
            self.channel.queue_delete(queue)
        self.assertEqual(told.expect(spec.Basic.Cancel).method.consumer_tag,
                         "c")
        # The next that the other one hears is the answer to its question.
        untold.call(1, spec.Basic.Qos(prefetch_count=1), spec.Basic.QosOk)

    def fact_21_a_wrong_password_is_told_only_to_who_announced_it(self):
        told = self.wire(password="wrong", open_it=False)
        self.assertEqual(told.expect(
            spec.Connection.Close).method.reply_code, 403)
        untold = self.wire(password="wrong", capabilities={}, open_it=False)
        self.assertEqual(untold.wait_closed(), [])

    def fact_21_the_server_has_what_we_announce(self):
        theirs = self.wire().server.server_properties["capabilities"]
        for name in CAPABILITIES:
            self.assertTrue(theirs.get(name), name)

    def fact_22_what_4_3_refuses_is_still_taken_here(self):
        """So that a newer broker cannot break us, we use none of it."""
        def transient():
            self.new_channel().queue_declare("transient", durable=False)

        def lazy():
            self.declare("lazy", "classic", {"x-queue-mode": "lazy"})

        def global_qos():
            self.new_channel().basic_qos(prefetch_count=1, global_qos=True)

        for act in (transient, lazy, global_qos):
            with self.subTest(act.__name__):
                if self.version() >= (4, 3):
                    with self.assertRaises(pika.exceptions.AMQPError):
                        act()
                else:
                    act()

    def fact_23_two_missed_heartbeats_are_the_end(self):
        silent, alive = self.wire(heartbeat=1), self.wire(heartbeat=1)
        stop = threading.Event()

        def beat():
            while not stop.wait(0.5):
                alive.send_heartbeat()

        beating = threading.Thread(target=beat)
        beating.start()
        try:
            seen = silent.wait_closed()
            self.assertTrue(all(isinstance(found, frames.Heartbeat)
                                for found in seen))
            # It sends its own, at half the interval.
            self.assertGreaterEqual(len(seen), 2)
            alive.open_channel(1)
        finally:
            stop.set()
            beating.join()

    def fact_23_a_blocked_connection_is_not_watched(self):
        self.private_broker()
        self.declare("work")
        self.broker.alarm()
        blocked = self.wire(heartbeat=1)
        blocked.open_channel(1)
        blocked.publish(1, "", "work")
        blocked.expect(spec.Connection.Blocked)
        # From here on neither says a word; the younger one goes first.
        self.wire(heartbeat=1).wait_closed()
        self.broker.end_alarm()
        blocked.expect(spec.Connection.Unblocked)

    def window(self, queue, count):
        """A channel that holds the whole queue unacked, and the tags."""
        wire = self.wire()
        wire.open_channel(1)
        wire.call(1, spec.Basic.Qos(prefetch_count=count), spec.Basic.QosOk)
        wire.call(1, spec.Basic.Consume(queue=queue, consumer_tag="c"),
                  spec.Basic.ConsumeOk)
        tags = [wire.expect(spec.Basic.Deliver).method.delivery_tag
                for _ in range(count)]
        wire.call(1, spec.Basic.Cancel("c"), spec.Basic.CancelOk)
        return wire, tags

    def consumers(self, queue):
        return self.channel.queue_declare(
            queue, passive=True).method.consumer_count

    def order(self, queue, count):
        """How many neighbours are out of order."""
        self.wait_depth(queue, count)
        numbers = [int(m.body) for m in self.take(queue, count)]
        self.assertEqual(sorted(numbers), list(range(count)))
        return sum(a > b for a, b in zip(numbers, numbers[1:]))

    def fill(self, queue, count):
        for number in range(count):
            self.publish(queue, b"%d" % number)
        return queue

    def fact_24_only_closing_the_channel_keeps_the_order(self):
        limit = {"x-delivery-limit": 2147483647}
        queue = self.fill(self.declare("closed", arguments=limit), 300)
        wire, _ = self.window(queue, 300)
        wire.call(1, spec.Channel.Close(200, "", 0, 0), spec.Channel.CloseOk)
        self.assertEqual(self.order(queue, 300), 0)
        queue = self.fill(self.declare("nacked", arguments=limit), 300)
        wire, tags = self.window(queue, 300)
        wire.send(1, spec.Basic.Nack(tags[-1], multiple=True))
        if self.version() < (4, 0):
            self.assertGreater(self.order(queue, 300), 0)

    def fact_24_closed_is_said_before_all_is_back(self):
        count = 5000
        queue = self.declare("large")
        self.publish_many(queue, count)
        self.wait_depth(queue, count)
        for _ in range(20):
            wire, _ = self.window(queue, count)
            self.assertEqual(self.consumers(queue), 1)
            wire.call(1, spec.Channel.Close(200, "", 0, 0),
                      spec.Channel.CloseOk)
            early = self.depth(queue) < count
            self.wait_depth(queue, count)
            self.assertEqual(self.consumers(queue), 0)
            if early:
                return
        self.fail("all was back at once, each time")

    def fact_24_a_leader_that_is_slow_to_answer_counts_as_empty(self):
        queue = self.fill(self.declare("work"), 3)
        process = f"{{'{self.vhost}_{queue}', node()}}"
        self.broker.ctl("eval", f"sys:suspend({process}).")
        wire = self.wire()
        wire.open_channel(1)
        declare = spec.Queue.Declare(queue=queue, passive=True)
        try:
            told = wire.call(1, declare, spec.Queue.DeclareOk)
            # To who consumes the leader itself answers.
            wire.send(1, spec.Basic.Consume(queue=queue, consumer_tag="c"))
        finally:
            self.broker.ctl("eval", f"sys:resume({process}).")
        self.assertEqual((told.message_count, told.consumer_count), (0, 0))
        wire.expect(spec.Basic.ConsumeOk)
        self.assertEqual((self.depth(queue), self.consumers(queue)), (0, 1))

    def fact_24_what_is_returned_again_goes_behind_its_company(self):
        queue = self.fill(self.declare("work"), 10)
        for count in (10, 10, 3):
            wire, _ = self.window(queue, count)
            wire.call(1, spec.Channel.Close(200, "", 0, 0),
                      spec.Channel.CloseOk)
            self.wait_depth(queue, 10)
        self.publish(queue, b"new")
        numbers = [m.body for m in self.take(queue, 11)]
        if self.version() < (4, 0):
            self.assertEqual(numbers, [b"%d" % n for n in range(3, 10)]
                             + [b"0", b"1", b"2", b"new"])

    def fact_24_without_a_limit_a_nack_goes_to_the_tail(self):
        queue = self.fill(self.declare("work"), 3)
        wire, tags = self.window(queue, 3)
        wire.send(1, spec.Basic.Ack(tags[1]))
        self.wait_depth(queue, 0)
        self.publish(queue, b"new")
        wire.send(1, spec.Basic.Nack(tags[0]))
        self.wait_depth(queue, 2)
        self.assertEqual([m.body for m in self.drain(queue)], [b"new", b"0"])

    def fact_24_a_held_window_hides_everything_from_everybody(self):
        queue = self.fill(self.declare("dlq"), 20)
        wire, _ = self.window(queue, 20)
        self.assertEqual(self.depth(queue), 0)
        self.assertIsNone(self.get(queue))
        self.wait_totals(queue, total=20, ready=0, unacked=20)
        wire.close()
        self.wait_depth(queue, 20)

    def fact_24_single_active_consumer_breaks_get(self):
        self.declare("sac", "quorum", {"x-single-active-consumer": True})
        self.assert_closed(405, self.get, "sac")

    def fact_24_prefetch_is_a_short(self):
        wire = self.wire()
        wire.open_channel(1)
        wire.call(1, spec.Basic.Qos(prefetch_count=65535), spec.Basic.QosOk)

    def fact_24_a_cancel_before_consume_ok_costs_the_channel(self):
        self.declare("work")
        self.publish("work")
        wire = self.wire()
        wire.open_channel(1)
        wire.call(1, spec.Basic.Consume(queue="work"), spec.Basic.ConsumeOk)
        tag = wire.expect(spec.Basic.Deliver).method.delivery_tag
        # The first keeps the channel busy until the cancel is there too.
        for consumer in "ab":
            wire.send(1, spec.Basic.Consume(queue="work",
                                            consumer_tag=consumer))
        wire.send(1, spec.Basic.Cancel("b"))
        wire.send(1, spec.Basic.Ack(tag))
        closed = None
        while not isinstance(closed, spec.Connection.Close):
            closed = wire.receive_method().method
        self.assertEqual(closed.reply_code, 541)
        # With the ack.
        self.wait_depth("work", 1)

    def fact_25_a_stream_is_read_at_an_offset(self):
        self.declare("stream", "stream")
        self.publish_many("stream", 10)
        wire = self.wire()
        wire.open_channel(1)
        wire.call(1, spec.Basic.Qos(prefetch_count=1), spec.Basic.QosOk)
        wire.call(1, spec.Basic.Consume(
            queue="stream", arguments={"x-stream-offset": 4}),
            spec.Basic.ConsumeOk)
        wire.expect(spec.Basic.Deliver)
        properties = wire.receive().properties
        self.assertEqual((properties.message_id,
                          properties.headers["x-stream-offset"]), ("m-4", 4))

    def fact_26_what_is_redriven_evicts_what_waits(self):
        self.declare("work", "quorum", {"x-max-length": 10})
        self.publish_many("work", 10, prefix="live")
        self.publish_many("work", 20, prefix="redriven")
        self.assertEqual([m.id for m in self.drain("work")],
                         [f"redriven-{n}" for n in range(10, 20)])

    def fact_27_an_old_binding_makes_two_copies(self):
        self.channel.exchange_declare("redrive", "direct", durable=True)
        for queue in ("old", "new"):
            self.declare(queue)
            self.channel.queue_bind(queue, "redrive", "orders")
        self.publish("orders", exchange="redrive")
        self.assertEqual([len(self.drain(q)) for q in ("old", "new")], [1, 1])
