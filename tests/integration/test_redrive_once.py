# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""dlo-redrive --once against a real broker."""

import threading

import harness
from program import Program
from redrive_case import RedriveCase, numbered


class Moves(RedriveCase):
    def once(self, *args, exit_code=0, config=None, **redrive):
        """Runs --once; its stdout, or a failed test with the log."""
        code, out, log = self.redrive_once(
            config or self.redrive_config(**redrive), *args)
        self.assertEqual(code, exit_code, out + log)
        return out

    def test_an_empty_queue_is_said_to_be_empty(self):
        out = self.once()
        self.assertEqual(out, "orders: nothing to do: orders.dlq is empty\n")

    def fact_24_what_matches_goes_and_the_rest_keeps_its_order(self):
        ids = numbered(12000)
        # Scattered: each 7th, and a dense stretch over a channel's end.
        def takes(number):
            return number % 7 == 0 or 4900 <= number < 5200
        self.bury(ids, lambda number: "deadline" if takes(number)
                  else "rejected")
        out = self.once(rate=100000)
        self.assertIn("orders: complete: 1972 redriven", out)
        self.assertIn("10028 left (10028 not asked for)", out)
        self.assertEqual(
            self.ids_in("orders"),
            [f"m-{n}" for n in range(12000) if takes(n)])
        self.assertEqual(
            self.ids_in("orders.dlq"),
            [f"m-{n}" for n in range(12000) if not takes(n)])

    def test_a_copy_is_the_message_anew(self):
        self.bury(["one"], body=b"\x00\xff body", content_type="text/x",
                  correlation_id="c", priority=3, app_id="till",
                  headers={"customer": "acme", "n": 7, "x-death": None,
                           "x-delay": 5, "dlo-redrives": 1,
                           "dlo-history": "1;http.503;2;3"})
        self.once()
        message = self.take("orders", 1)[0]
        headers = message.headers
        self.assertEqual(message.body, b"\x00\xff body")
        self.assertEqual(message.properties.content_type, "text/x")
        self.assertEqual(message.properties.correlation_id, "c")
        self.assertEqual(message.properties.priority, 3)
        self.assertEqual(message.properties.app_id, "till")
        self.assertEqual(message.properties.delivery_mode, 2)
        self.assertEqual(message.properties.user_id, "guest")
        self.assertEqual(message.method.exchange, "dlo.redrive")
        self.assertEqual(message.method.routing_key, "orders")
        self.assertEqual(headers["customer"], "acme")
        self.assertEqual(headers["n"], 7)
        self.assertEqual(headers["dlo-id"], "one")
        self.assertEqual(headers["dlo-redrives"], 2)
        self.assertEqual(headers.get("dlo-attempt", 0), 0)
        self.assertEqual(headers["dlo-routing-key"], "order.new")
        self.assertEqual(headers["dlo-history"], "1;http.503;2;3")
        self.assertTrue(headers["dlo-job"])
        for gone in ("x-delay", "dlo-reason", "dlo-first-failed-at",
                     "dlo-last-failed-at"):
            self.assertNotIn(gone, headers)

    def test_what_the_broker_buried_is_redriven_like_the_rest(self):
        self.once()
        self.declare("source", arguments={
            "x-dead-letter-exchange": "dlo.dead",
            "x-dead-letter-routing-key": "orders"})
        self.publish("source", b"plain", message_id="plain")
        method, _, _ = harness.wait_until(
            lambda: (lambda got: got if got[0] else None)(
                self.channel.basic_get("source")), "a message")
        self.channel.basic_reject(method.delivery_tag, requeue=False)
        self.wait_depth("orders.dlq", 1)
        out = self.once()
        self.assertIn("0 redriven, 1 left (1 not asked for)", out)
        out = self.once(only={"reason": ["broker_rejected"]})
        self.assertIn("complete: 1 redriven", out)
        message = self.take("orders", 1)[0]
        self.assertEqual((message.id, message.body), ("plain", b"plain"))
        self.assertEqual(message.headers["dlo-redrives"], 1)
        self.assertEqual([key for key in message.headers
                          if "death" in key], [])

    def test_redriven_too_often_is_parked(self):
        self.bury(["tired"], headers={"dlo-redrives": 3})
        self.bury(["fresh"], headers={"dlo-redrives": 2})
        self.bury(["poison"], "rejected", headers={"dlo-redrives": 9})
        out = self.once()
        self.assertIn("complete: 1 redriven, 1 parked, 1 left", out)
        self.assertEqual(self.ids_in("orders"), ["fresh"])
        self.assertEqual(self.ids_in("orders.dlq"), ["poison"])
        parked = self.take("orders.parked", 1)[0]
        self.assertEqual(parked.id, "tired")
        self.assertEqual(parked.headers["dlo-reason"], "attempts_exhausted")
        self.assertEqual(parked.headers["dlo-redrives"], 3)
        self.assertEqual(parked.method.exchange, "dlo.dead")
        self.assertEqual(parked.method.routing_key, "orders.parked")

    def test_malformed_letters_stay(self):
        deep = {}
        for _ in range(40):
            deep = {"deeper": deep}
        self.bury(["written-as-malformed"], "malformed")
        self.bury(["deep"], headers={"nest": deep})
        self.bury(["good"])
        out = self.once(only={})
        self.assertIn("1 redriven, 2 left (2 malformed)", out)
        self.assertEqual(self.ids_in("orders"), ["good"])
        self.assertEqual(self.ids_in("orders.dlq"),
                         ["written-as-malformed", "deep"])

    def test_headers_of_strangers_are_not_believed(self):
        self.bury(["forged"], user_id=None, headers={"dlo-redrives": 99})
        out = self.once()
        self.assertIn("0 redriven, 1 left (1 not asked for)", out)
        out = self.once(only={})
        self.assertIn("complete: 1 redriven", out)
        message = self.take("orders", 1)[0]
        self.assertEqual(message.headers["dlo-redrives"], 1)

    def test_filters_take_the_place_of_only(self):
        self.bury(["a"], "rejected")
        self.bury(["b"], "rejected", headers={"customer": "acme"})
        self.bury(["c"], "deadline", headers={"customer": "acme"})
        self.bury(["d"], "rejected", headers={"dlo-class": "http.422"})
        out = self.once("--reason", "rejected", "--header", "customer=acme",
                        "--class", "http", "--error", "closed",
                        "--older-than", "10m", "--newer-than", "1h",
                        "--routing-key", "order.*")
        self.assertIn("complete: 1 redriven, 3 left", out)
        self.assertEqual(self.ids_in("orders"), ["b"])
        out = self.once("--id", "a", "--id", "d")
        self.assertIn("complete: 2 redriven, 1 left", out)
        self.assertEqual(self.ids_in("orders"), ["a", "d"])
        self.assertEqual(self.ids_in("orders.dlq"), ["c"])

    def test_a_dry_run_moves_nothing(self):
        ids = numbered(300)
        self.bury(ids, lambda number: ("deadline", "rejected",
                                       "attempts_exhausted")[number % 3])
        self.bury(["tired"], headers={"dlo-redrives": 3,
                                      "dlo-class": "exec.75"})
        out = self.once("--dry-run", rate=50)
        self.assertIn("orders: dry run: would redrive 200 and park 1 in "
                      "about 4s, 100 left (100 not asked for)\n", out)
        self.assertIn("100  deadline                http.503\n", out)
        self.assertIn("100  attempts_exhausted      http.503\n", out)
        self.assertIn("1  attempts_exhausted      exec.75\n", out)
        # The first five of them.
        sample = out.split("such as\n")[1].splitlines()
        self.assertEqual([line.split()[0] for line in sample],
                         ["m-0", "m-2", "m-3", "m-5", "m-6"])
        self.assertIn("  the shop is closed", sample[0])
        self.assertEqual(self.ids_in("orders.dlq"), ids + ["tired"])
        self.assertEqual(self.depth("orders"), 0)

    def test_the_rate_is_a_limit(self):
        self.bury(numbered(150))
        code, _, log = self.redrive_once(self.redrive_config(rate=50))
        self.assertEqual(code, 0, log)
        # 150 at 50 a second: the first at once, a tenth of a second's worth
        # may be caught up; it cannot be done sooner.
        took = int(log.split(" job_ended ")[1].split(" ms=")[1].split()[0])
        self.assertGreaterEqual(took, (150 - 1 - 5) * 20)

    def test_failing_again_is_not_chased(self):
        """Each copy dies at once; a job without a snapshot would go on."""
        self.channel.queue_delete("orders")
        self.declare("orders", arguments={
            "x-dead-letter-exchange": "dlo.dead",
            "x-dead-letter-routing-key": "orders"})
        ids = self.bury(numbered(50))
        channel = self.new_channel(confirms=False)
        seen = []

        def reject(its, method, properties, _):
            seen.append(properties.message_id)
            its.basic_reject(method.delivery_tag, requeue=False)
            if len(seen) == len(ids):
                its.stop_consuming()

        channel.basic_consume("orders", reject)
        thread = threading.Thread(target=channel.start_consuming)
        thread.start()
        out = self.once(only={}, abort_above=1)
        thread.join(60)
        self.assertFalse(thread.is_alive())
        self.assertIn("complete: 50 redriven", out)
        self.assertEqual(sorted(seen), sorted(ids))
        self.wait_depth("orders.dlq", 50)

    def test_two_at_once_lose_nothing(self):
        ids = self.bury(numbered(2000))
        path = self.write_config(self.redrive_config(rate=2000))
        both = [Program("dlo-redrive", "-c", path, "--once")
                for _ in range(2)]
        self.assertEqual([program.wait() for program in both], [0, 0])
        left = self.ids_in("orders.dlq")
        moved = self.ids_in("orders")
        self.assertEqual(set(left) | set(moved), set(ids))

    def test_only_the_chosen_pipelines(self):
        self.declare("refunds")
        config = self.redrive_config()
        config["pipelines"]["refunds"] = {"queue": "refunds",
                                          "downstream": "shop",
                                          "redrive": {"canary": 0}}
        self.once(config=config)
        self.bury(["o"])
        self.bury(["r"], queue="refunds.dlq")
        out = self.once("--pipeline", "refunds", config=config)
        self.assertEqual(out, "refunds: complete: 1 redriven\n")
        self.assertEqual(self.ids_in("refunds"), ["r"])
        self.assertEqual(self.ids_in("orders.dlq"), ["o"])


class Trouble(RedriveCase):
    def once(self, exit_code, config, *args):
        code, out, log = self.redrive_once(config, *args)
        self.assertEqual(code, exit_code, out + log)
        return out + log

    def test_no_binding_stops_the_job_and_loses_nothing(self):
        ids = self.bury(numbered(20))
        config = self.redrive_config(rate=10)
        self.once(0, config, "--dry-run")
        self.channel.queue_unbind("orders", "dlo.redrive", "orders")
        config["topology"] = {"declare": False}
        out = self.once(2, config)
        self.assertIn("orders: partial: no queue takes it from exchange "
                      "dlo.redrive: 0 redriven", out)
        self.assertEqual(self.ids_in("orders.dlq"), ids)

    def test_no_binding_for_parked_ones_loses_nothing(self):
        config = self.redrive_config()
        self.once(0, config)
        self.bury(["tired"], headers={"dlo-redrives": 3})
        self.channel.queue_unbind("orders.parked", "dlo.dead",
                                  "orders.parked")
        config["topology"] = {"declare": False}
        out = self.once(2, config)
        self.assertIn("no queue takes it from exchange dlo.dead", out)
        self.assertEqual(self.ids_in("orders.dlq"), ["tired"])

    def test_a_full_work_queue_is_waited_for(self):
        self.channel.queue_delete("orders")
        self.declare("orders", "classic", {
            "x-max-length": 10, "x-overflow": "reject-publish"})
        ids = self.bury(numbered(25))
        path = self.write_config(self.redrive_config())
        program = Program("dlo-redrive", "-c", path, "--once")
        self.addCleanup(program.finish)
        moved = []
        for count in (1, 2):
            program.wait_log("work_queue_full", count=count, queue="orders")
        # It waits longer each time, and tries with one letter.
        self.assertEqual([line.fields["wait_ms"] for line in
                          program.logged("work_queue_full")[:2]],
                         ["1000", "2000"])
        # It holds all that is left; nothing came twice, nothing is gone.
        self.wait_depth("orders", 10)
        while program.alive() or self.depth("orders") > 0:
            moved += self.ids_in("orders")
        self.assertEqual(program.wait(), 0)
        self.assertEqual(sorted(moved), sorted(ids))
        self.assertIn("complete: 25 redriven", program.stdout)

    def management(self):
        """A configuration by which dlo-redrive asks the management API."""
        config = self.redrive_config()
        config["broker"]["management"] = {
            "url": f"http://127.0.0.1:{self.broker.management_port}"}
        return config

    def test_a_work_queue_that_drops_is_spared(self):
        self.channel.queue_delete("orders")
        self.declare("orders", "classic", {"x-max-length": 10})
        ids = self.bury(numbered(25))
        out = self.once(2, self.management())
        self.assertIn("partial: a full work queue would drop", out)
        self.assertEqual(self.depth("orders"), 0)
        self.assertEqual(self.ids_in("orders.dlq"), ids)

    def policy(self, definition):
        """One for the work queue, and it has it."""
        self.broker.api("PUT", f"policies/{self.vhost}/few", {
            "pattern": "^orders$", "apply-to": "queues",
            "definition": definition})
        harness.wait_until(lambda: self.broker.api(
            "GET", f"queues/{self.vhost}/orders").get(
                "effective_policy_definition") == definition, "the policy")

    def test_a_policy_that_drops_is_seen(self):
        self.bury(numbered(5))
        config = self.management()
        self.policy({"max-length": 10})
        self.assertIn("a full work queue would drop", self.once(2, config))
        self.policy({"max-length": 10, "overflow": "reject-publish"})
        self.assertIn("complete: 5 redriven", self.once(0, config))

    def test_whose_overflow_counts_depends_on_the_queue(self):
        """Of a quorum queue the policy's, of a classic one its own."""
        config = self.management()
        for kind, own, policy, code in (
                ("quorum", "reject-publish", "drop-head", 2),
                ("quorum", "drop-head", "reject-publish", 0),
                ("classic", "drop-head", "reject-publish", 2),
                ("classic", "reject-publish", "drop-head", 0)):
            with self.subTest(kind=kind, own=own):
                self.channel.queue_delete("orders")
                self.declare("orders", kind, {"x-overflow": own})
                self.policy({"max-length": 10, "overflow": policy})
                self.bury(numbered(3))
                self.once(code, config)
                self.channel.queue_purge("orders.dlq")

    def test_a_limit_that_nobody_tells_is_left_to_the_operator(self):
        self.broker.api("PUT", "users/mover",
                        {"password": "secret", "tags": ""})
        self.addCleanup(self.broker.api, "DELETE", "users/mover")
        self.broker.allow(self.vhost, "mover")
        self.bury(numbered(3))
        config = self.management()
        config["redrive"] = {"broker": {"user": "mover",
                                        "password": "secret"}}
        program = Program("dlo-redrive", "-c", self.write_config(config),
                          "--once")
        self.addCleanup(program.finish)
        self.assertEqual(program.wait(), 0)
        line, = program.logged("work_queue_limit_unknown")
        self.assertIn("the tag management", line.fields["why"])
        self.assertIn("complete: 3 redriven", program.stdout)

    def test_a_term_gives_back_the_rest(self):
        """In order, though less than the queue was read: what was given back
        before (by the dry run) is kept apart from the rest."""
        ids = self.bury(numbered(7000))
        self.once(0, self.redrive_config(), "--dry-run")
        path = self.write_config(self.redrive_config(rate=50))
        program = Program("dlo-redrive", "-c", path, "--once")
        harness.wait_until(lambda: self.depth("orders") >= 10, "ten moved")
        self.assertEqual(program.terminate(), 2)
        self.assertIn("cancelled: told to stop", program.stdout)
        moved = self.ids_in("orders")
        self.assertEqual(moved, ids[:len(moved)])
        self.wait_depth("orders.dlq", len(ids) - len(moved))
        self.assertEqual(self.ids_in("orders.dlq"), ids[len(moved):])

    def test_kill_9_loses_nothing(self):
        ids = self.bury(numbered(400))
        path = self.write_config(self.redrive_config(rate=100))
        program = Program("dlo-redrive", "-c", path, "--once")
        harness.wait_until(lambda: self.depth("orders") >= 20, "some moved")
        program.kill9()
        self.wait_totals("orders.dlq", unacked=0)
        out = self.once(0, self.redrive_config())
        self.assertIn("complete", out)
        moved = self.ids_in("orders")
        self.assertEqual(set(moved), set(ids))
        self.assertEqual(self.depth("orders.dlq"), 0)
        # What was under way at the kill may be there twice, no more.
        self.assertLessEqual(len(moved) - len(ids), 512)

    def test_when_healthy(self):
        down = self.downstream(lambda request: 503)
        config = self.redrive_config(down)
        ids = self.bury(numbered(3))
        out = self.once(75, config, "--when-healthy")
        self.assertIn("orders: nothing moved: the downstream is not healthy",
                      out)
        self.assertEqual(self.depth("orders"), 0)
        down.answer = lambda request: 200
        out = self.once(0, config, "--when-healthy")
        self.assertIn("complete: 3 redriven", out)
        self.assertEqual(self.ids_in("orders"), ids)

    def test_a_downstream_that_falls_ill_ends_it(self):
        down = self.downstream()
        ids = self.bury(numbered(300))
        path = self.write_config(self.redrive_config(down, rate=20))
        program = Program("dlo-redrive", "-c", path, "--once",
                          "--when-healthy")
        harness.wait_until(lambda: self.depth("orders") >= 3, "some moved")
        down.answer = lambda request: 503
        self.assertEqual(program.wait(), 2)
        self.assertIn("partial: the downstream is not healthy",
                      program.stdout)
        moved = self.ids_in("orders")
        self.wait_depth("orders.dlq", 300 - len(moved))
        self.assertEqual(moved + self.ids_in("orders.dlq"), ids)

    def test_without_the_option_nobody_asks_for_health(self):
        down = self.downstream(lambda request: 503)
        self.bury(["one"])
        self.once(0, self.redrive_config(down))
        self.assertEqual(self.ids_in("orders"), ["one"])
        self.assertEqual(down.requests, [])

    def test_a_lost_connection_is_made_anew(self):
        ids = self.bury(numbered(400))
        path = self.write_config(self.redrive_config(rate=100))
        program = Program("dlo-redrive", "-c", path, "--once")
        self.addCleanup(program.finish)
        harness.wait_until(lambda: self.depth("orders") >= 20, "some moved")
        self.broker.ctl("close_all_connections", "--vhost", self.vhost,
                        "test")
        self._channel = None
        self.assertEqual(program.wait(), 0)
        self.assertIn("complete", program.stdout)
        self.assertEqual(set(self.ids_in("orders")), set(ids))
        self.assertEqual(self.depth("orders.dlq"), 0)


class ExitCodes(RedriveCase):
    def once(self, exit_code, config, *args):
        code, out, log = self.redrive_once(config, *args)
        self.assertEqual(code, exit_code, out + log)
        return out + log

    def test_no_broker(self):
        config = self.redrive_config()
        config["broker"]["nodes"] = ["amqp://127.0.0.1:1",
                                     "amqp://127.0.0.1:2"]
        out = self.once(69, config)
        self.assertIn("start_failed", out)

    def test_wrong_password(self):
        config = self.redrive_config()
        config["broker"]["password"] = "wrong"
        self.assertIn("check broker.user and broker.password", self.once(77, config))

    def test_missing_vhost(self):
        config = self.redrive_config()
        config["broker"]["vhost"] = "nowhere"
        self.assertIn("check that broker.vhost exists", self.once(77, config))

    def test_missing_queue(self):
        config = self.redrive_config()
        config["topology"] = {"declare": False}
        self.assertIn("dlo.redrive", self.once(1, config))

    def test_queue_declared_otherwise(self):
        self.channel.queue_delete("orders.dlq")
        self.declare("orders.dlq", "classic")
        self.assertIn("orders.dlq", self.once(1, self.redrive_config()))

    def test_the_least_rights_suffice(self):
        self.once(0, self.redrive_config())
        self.bury(["a"])
        self.bury(["tired"], headers={"dlo-redrives": 3})
        user = self.broker.user_new("secret")
        self.addCleanup(self.broker.user_delete, user)
        self.broker.allow(
            self.vhost, user, "^$",
            r"^dlo\.(redrive|dead|control|events)$",
            r"^(orders\.(dlq|parked|archive)|dlo\.(jobs|verdicts|audit))$")
        config = self.redrive_config()
        config["topology"] = {"declare": False}
        config["redrive"]["broker"] = {"user": user, "password": "secret"}
        out = self.once(0, config)
        self.assertIn("complete: 1 redriven, 1 parked", out)

    def test_no_right_to_read(self):
        self.once(0, self.redrive_config())
        self.bury(["a"])
        user = self.broker.user_new("secret")
        self.addCleanup(self.broker.user_delete, user)
        self.broker.allow(self.vhost, user, "^$", ".*", "^$")
        config = self.redrive_config()
        config["topology"] = {"declare": False}
        config["redrive"]["broker"] = {"user": user, "password": "secret"}
        self.assertIn("orders.dlq", self.once(77, config))
        self.assertEqual(self.ids_in("orders.dlq"), ["a"])

    def test_usage(self):
        config = self.redrive_config()
        for args in (["--pipeline", "nobody"], ["--reason", "boredom"],
                     ["--older-than", "soon"], ["--header", "x"],
                     ["--redrives-above", "-1"], ["--nonsense"],
                     ["--listen", "none"]):
            with self.subTest(args=args):
                self.once(64, config, *args)

    def test_bad_configuration(self):
        self.once(78, {"version": 1, "pipelines": {}})

    def test_turned_off(self):
        self.bury(["a"])
        config = self.redrive_config()
        config["features"] = {"redrive": False}
        self.assertIn("features.redrive is off", self.once(2, config))
        self.assertIn("would redrive 1", self.once(0, config, "--dry-run"))
        self.assertEqual(self.ids_in("orders.dlq"), ["a"])
