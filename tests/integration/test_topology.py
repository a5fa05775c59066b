# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""The topology in a real broker: declared, checked, and doing what the ladder
promises. tests/dlx/topology_tool runs the code of the daemons."""

import os
import time

import harness
from program import BIN, run_program

TOOL = os.path.join(BIN, "tests", "dlx", "topology_tool")
LONG = 2147483647


class Topology(harness.Case):
    def config(self, *args, **over):
        """One pipeline with a cap of 25.6 s: nine levels."""
        over = harness.merge(
            {"pipelines": {"orders": {"retry": {"cap": "25600ms"}}}}, over)
        return super().config(*args, **over)

    def tool(self, config, role="topology"):
        """Runs the topology: (exit code, the problems, the counts)."""
        code, out, err = run_program(TOOL, "run", self.write_config(config),
                                     role)
        self.assertIn(code, (0, 1), out + err)
        *problems, counts = out.splitlines()
        return code, problems, dict(word.split("=") for word in counts.split())

    def assert_usable(self, config, role="topology"):
        code, problems, counts = self.tool(config, role)
        self.assertEqual((code, problems), (0, []))
        return {name: int(count) for name, count in counts.items()}

    def route(self, config, delay_ms):
        """Where to publish for that delay: exchange, key, rounded delay."""
        code, out, err = run_program(
            TOOL, "route", self.write_config(config), "orders", str(delay_ms))
        self.assertEqual(code, 0, err)
        exchange, key, real_ms = out.split()
        return exchange, key, int(real_ms)

    def set_up(self, **over):
        """A work queue and all that belongs to it."""
        self.declare("orders")
        config = self.config(**over)
        self.assert_usable(config)
        return config

    def user(self, config, section, configure, write, read):
        """The configuration with a user of these rights for `section`."""
        user = self.broker.user_new("pw")
        self.addCleanup(self.broker.user_delete, user)
        self.broker.allow(self.vhost, user, configure, write, read)
        return harness.merge(config, {section: {
            "broker": {"user": user, "password": "pw"}}})

    def provisioner(self, config):
        return self.user(
            config, "topology", r"^(dlo\..*|orders\.(dlq|parked|archive))$",
            r"^(dlo\..*|orders(\.(dlq|parked|archive))?)$", r"^dlo\..*$")

    def few_rights(self, config):
        """Consumer and redrive as poor as the manual says."""
        config = self.user(config, "consumer", "^$",
                           r"^dlo\.(retry\..*|dead|events)$", "^orders$")
        return self.user(config, "redrive", "^$",
                         r"^dlo\.(redrive|dead|control|events)$",
                         r"^(orders\.(dlq|parked|archive)"
                         r"|dlo\.(jobs|verdicts|audit))$")

    # ---- declaring and checking

    def test_declares_what_is_missing_and_finds_it_again(self):
        config = self.set_up()
        again = self.assert_usable(config)
        self.assertEqual(again["unseen"], 0)
        arguments = {
            name: self.broker.queue(self.vhost, name)["arguments"]
            for name in ("orders.dlq", "orders.archive", "dlo.retry.orders.3",
                         "dlo.jobs", "dlo.audit")}
        keep = {"x-queue-type": "quorum", "x-overflow": "reject-publish",
                "x-delivery-limit": LONG}
        self.assertEqual(arguments, {
            "orders.dlq": keep,
            "orders.archive": keep | {"x-message-ttl": 7 * 86400 * 1000},
            "dlo.retry.orders.3": {
                "x-queue-type": "quorum", "x-overflow": "reject-publish",
                "x-message-ttl": 800,
                "x-dead-letter-exchange": "dlo.retry.orders.2",
                "x-dead-letter-strategy": "at-least-once"},
            "dlo.jobs": keep | {"x-single-active-consumer": True},
            "dlo.audit": {"x-queue-type": "stream", "x-max-age": "90D",
                          "x-max-length-bytes": 1000000000},
        })
        for queue in self.broker.totals(self.vhost):
            self.assertTrue(self.broker.queue(self.vhost, queue)["durable"])

    def test_a_higher_cap_only_adds_levels(self):
        config = self.set_up()
        higher = harness.merge(config, {"pipelines": {"orders": {
            "retry": {"cap": "1h"}}}})
        self.assert_usable(higher, "consumer")
        self.assert_usable(config, "consumer")
        self.assertIsNotNone(
            self.broker.queue(self.vhost, "dlo.retry.orders.15"))

    def test_declares_a_work_queue_when_asked(self):
        config = self.config(queue={"name": "orders",
                                    "declare": {"type": "quorum"}})
        self.assert_usable(config)
        self.publish("orders", b"late", expiration="1")
        dead, = self.take("orders.dlq", 1)
        self.assertEqual(dead.headers["x-death"][0]["reason"], "expired")

    def test_classic_queues_where_asked(self):
        config = self.set_up(topology={"queue_type": "classic"})
        self.assertEqual(
            self.broker.queue(self.vhost, "dlo.retry.orders.0")["arguments"],
            {"x-queue-type": "classic", "x-message-ttl": 100,
             "x-dead-letter-exchange": "dlo.retry.orders"})
        exchange, key, _ = self.route(config, 300)
        self.publish(key, b"x", exchange)
        self.take("orders", 1)

    def test_reports_every_difference_in_one_run(self):
        self.declare("orders")
        self.declare("orders.dlq", "classic")
        self.channel.exchange_declare("dlo.dead", "topic", durable=True)
        self.declare("dlo.retry.orders.2", arguments={"x-message-ttl": 500})
        code, problems, _ = self.tool(self.config())
        self.assertEqual(code, 1)
        found = [problem.split(":")[0] for problem in problems]
        self.assertEqual(found, [
            "different exchange dlo.dead", "different queue orders.dlq",
            "different queue dlo.retry.orders.2"])
        self.assertIn("inequivalent arg", problems[0])
        # Nothing of it was changed, and the rest is there.
        self.assertEqual(
            self.broker.queue(self.vhost, "orders.dlq")["type"], "classic")
        self.assertIsNotNone(self.broker.queue(self.vhost, "orders.parked"))

    def test_a_missing_work_queue_is_reported(self):
        for declare in (True, False):
            code, problems, _ = self.tool(
                self.config(topology={"declare": declare}), "consumer")
            self.assertEqual(code, 1)
            self.assertIn("missing queue orders: NOT_FOUND", str(problems))

    def test_a_check_makes_nothing(self):
        self.declare("orders")
        code, problems, _ = self.tool(
            self.config(topology={"declare": False}))
        self.assertEqual(code, 1)
        self.assertEqual(list(self.broker.totals(self.vhost)), ["orders"])
        self.assertTrue(all(problem.startswith("missing ")
                            for problem in problems))
        for name in ("exchange dlo.dead", "queue orders.dlq",
                     "queue dlo.retry.orders.8", "exchange dlo.retry.orders.0",
                     "queue dlo.audit"):
            self.assertIn(f"missing {name}:", str(problems))

    # ---- rights

    def test_a_provisioner_needs_no_more_than_the_manual_says(self):
        self.declare("orders")
        counts = self.assert_usable(self.provisioner(self.config()))
        self.assertEqual(counts["unseen"], 0)

    def test_few_rights_are_enough_for_what_exists(self):
        for declare in (True, False):
            config = self.few_rights(
                self.set_up(topology={"declare": True}))
            if declare:
                # The daemons themselves declare: a user of each.
                for role in ("consumer", "redrive"):
                    own = config[role]["broker"]
                    counts = self.assert_usable(
                        harness.merge(config, {"broker": own}), role)
                    self.assertGreater(counts["unseen"], 0)
            else:
                config = harness.merge(config,
                                       {"topology": {"declare": False}})
                self.assert_usable(config, "consumer")
                self.assert_usable(config, "redrive")

    def test_few_rights_do_not_flood_the_log_of_the_broker(self):
        config = self.few_rights(self.set_up())
        own = harness.merge(config, {"broker": config["consumer"]["broker"]})
        self.assert_usable(own, "consumer")
        user = config["consumer"]["broker"]["user"]

        def lines(*words):
            return [line for line in self.broker.log().splitlines()
                    if all(word in line for word in words)]

        # The log lags behind. Other tests share it, but not the user.
        harness.wait_until(lambda: lines("closing AMQP", f"user: '{user}'"),
                           "the end of the connection in the log")
        refused = lines("access_refused", f"user '{user}'")
        self.assertIn(len(refused), (1, 2), refused)

    def test_missing_rights_to_make_it_are_named(self):
        self.declare("orders")
        config = self.few_rights(self.config())
        own = harness.merge(config, {"broker": config["consumer"]["broker"]})
        code, problems, _ = self.tool(own, "consumer")
        self.assertEqual(code, 1)
        self.assertIn("denied queue orders.dlq:", str(problems))
        self.assertIn("denied exchange dlo.retry.orders.8:", str(problems))

    def test_a_daemon_may_publish_where_the_ladder_leads(self):
        config = self.few_rights(self.set_up())
        own = config["consumer"]["broker"]
        channel = self.new_channel(user=own["user"], password=own["password"])
        exchange, key, _ = self.route(config, 700)
        self.publish(key, b"x", exchange, channel)
        self.publish("orders", b"dead", "dlo.dead", channel)
        self.take("orders", 1)
        self.take("orders.dlq", 1)

    # ---- the ladder

    def fact_7_a_ladder_is_never_early(self):
        config = self.set_up()
        due = {}
        for delay_ms in (0, 1, 100, 101, 300, 700, 1000, 1500, 1600, 2500,
                         3100, 4700, 6300):
            exchange, key, real_ms = self.route(config, delay_ms)
            self.assertGreaterEqual(real_ms, delay_ms)
            for copy in range(3):
                name = f"{delay_ms}-{copy}"
                due[name] = time.time() + real_ms / 1000
                self.publish(key, name.encode(), exchange)

        def until_empty():
            for message in self.drain("orders"):
                name = message.body.decode()
                # Broker and test share the clock; it counts in ms.
                self.assertGreaterEqual(time.time() + 0.002, due.pop(name))
            return not due

        harness.wait_until(until_empty, "all of them back", every=0.005)
        self.assertEqual(self.depth("orders"), 0)

    def fact_7_levels_added_later_do_not_multiply(self):
        config = self.set_up()
        exchange, key, _ = self.route(config, 1500)
        self.publish(key, b"before", exchange)
        higher = harness.merge(config, {"pipelines": {"orders": {
            "retry": {"cap": "1h"}}}})
        self.assert_usable(higher, "consumer")
        # From the very top, through all levels that are not meant.
        self.publish(key + ".0" * 12, b"top", "dlo.retry.orders.15")
        self.publish(key, b"after", exchange)
        bodies = [message.body for message in self.take("orders", 3)]
        self.assertEqual(sorted(bodies), [b"after", b"before", b"top"])
        for level in range(16):
            self.wait_totals(f"dlo.retry.orders.{level}", total=0)
        self.assertEqual(self.depth("orders"), 0)

    def fact_4_at_least_once_waits_for_its_target(self):
        """What a ladder would lose at most once: no route at the foot."""
        advanced = ("[{rabbit, [{quorum_tick_interval, 500}, "
                    "{dead_letter_worker_publisher_confirm_timeout, 1000}]}].")
        self.private_broker(advanced=advanced)
        config = self.set_up()
        self.declare("loses", arguments={
            "x-message-ttl": 100, "x-dead-letter-exchange": "dlo.retry.orders"})
        exchange, key, _ = self.route(config, 100)
        self.channel.queue_delete("orders")
        self.publish("loses", b"lost")
        self.publish(key, b"kept", exchange)
        # fact 5: neither ready nor unacked, only in the total.
        self.wait_totals("loses", total=0)
        self.wait_totals("dlo.retry.orders.0", total=1, ready=0, unacked=0)
        self.declare("orders")
        self.assert_usable(config, "consumer")
        message, = self.take("orders", 1)
        self.assertEqual(message.body, b"kept")
        self.wait_totals("dlo.retry.orders.0", total=0)

    def fact_5_a_stuck_origin_does_not_hold_up_another(self):
        self.declare("orders")
        self.declare("mails")
        config = self.config(pipelines={"mails": {
            "queue": "mails", "downstream": "shop"}})
        self.assert_usable(config)
        self.channel.queue_delete("mails")
        for _ in range(40):
            self.publish("1", b"stuck", "dlo.retry.mails.0")
        self.wait_totals("dlo.retry.mails.0", total=40, ready=0)
        self.publish("1", b"through", "dlo.retry.orders.0")
        self.take("orders", 1)

    def fact_8_a_dlq_survives_many_returns(self):
        self.set_up()
        self.publish("orders", b"dead", "dlo.dead")
        for _ in range(30):
            channel = self.new_channel(confirms=False)
            got = harness.wait_until(
                lambda its=channel: its.basic_get("orders.dlq")[0],
                "the dead letter")
            self.assertIsNotNone(got)
            channel.close()
        self.take("orders.dlq", 1)

    def fact_13_a_hostile_x_death_does_not_reach_the_ladder(self):
        """Where it would end all dead-lettering of the broker's node."""
        self.private_broker()
        self.declare("orders")
        answers = [503, 200]
        down = self.downstream(lambda request: answers.pop(0))
        self.consumer(self.config(down, pipelines={"orders": {
            "retry": {"first": "100ms", "hold": "0ms"}}}))
        self.publish("orders", b"hostile", headers={"x-death": ["a"]})
        down.wait_requests(2)
        self.wait_totals("orders", total=0)

    def fact_22_no_argument_that_4_3_refuses(self):
        self.set_up()
        for name in self.broker.totals(self.vhost):
            queue = self.broker.queue(self.vhost, name)
            self.assertTrue(queue["durable"])
            self.assertFalse(queue["auto_delete"] or queue["exclusive"])
            self.assertNotIn("x-queue-mode", queue["arguments"])
