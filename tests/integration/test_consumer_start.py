# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""dlo-consumer's start: what ends it, with which code and words, and what it
waits for."""

import os
import signal
import socket

import harness
from harness import run_program


class Start(harness.Case):
    def setUp(self):
        super().setUp()
        self.declare("orders")

    def refused(self, config, code, *words, args=()):
        """It must end by itself with this code and say these words."""
        path = config
        if isinstance(config, dict):
            path = self.write_config(config)
        ended, _, said = run_program("dlo-consumer", "-c", path, *args)
        self.assertEqual(ended, code, said)
        for word in words:
            self.assertIn(word, said)
        return said

    def user(self, configure, write, read):
        name = self.broker.user_new("pw")
        self.addCleanup(self.broker.user_delete, name)
        self.broker.allow(self.vhost, name, configure, write, read)
        return {"user": name, "password": "pw"}

    def test_help_and_version(self):
        code, out, said = run_program("dlo-consumer", "--help")
        self.assertEqual((code, said), (0, ""))
        for option in ("--config", "--check", "--listen", "--version"):
            self.assertIn(option, out)
        code, out, _ = run_program("dlo-consumer", "--version")
        self.assertEqual(code, 0)
        self.assertRegex(out, r"^dlo-consumer \d+\.\d+")

    def test_a_mistyped_option_is_a_usage_error(self):
        for args in (["--lisen", "none"], ["--nonsense"], ["-x"], ["-c"],
                     ["--listen"], ["--check=yes"], ["argument"], ["-"],
                     ["--"]):
            code, _, said = run_program("dlo-consumer", *args)
            self.assertEqual(code, 64, args)
            self.assertIn("dlo-consumer --help", said)
        self.refused(self.config(), 64, "--listen", "nonsense",
                     args=["--listen", "nonsense"])

    def test_check_says_valid_or_what_is_wrong(self):
        path = self.write_config(self.config())
        code, _, said = run_program("dlo-consumer", "-t", "-c", path)
        self.assertEqual((code, said), (0, ""))
        bad = self.write_config(self.config(pipelines={
            "orders": {"prefetch": 0, "quue": "x"}}), "bad.yaml")
        self.refused(bad, 78, "prefetch", "did you mean", args=["-t"])

    def test_a_broken_file_is_78(self):
        self.refused(self.write_config("pipelines: [", "x.yaml"), 78,
                     "x.yaml:2:1: not YAML")
        self.refused(os.path.join(self.folder, "absent.yaml"), 78,
                     "absent.yaml")
        os.mkdir(os.path.join(self.folder, "dir"))
        self.refused(os.path.join(self.folder, "dir"), 78)

    def test_a_wrong_password_is_77(self):
        self.refused(self.config(broker={"password": "wrong"}), 77,
                     "start_failed", "check broker.user")

    def test_a_missing_vhost_is_77(self):
        self.refused(self.config(broker={"vhost": "nowhere"}), 77,
                     "start_failed", "check that broker.vhost exists")

    def test_a_vhost_without_rights_is_77(self):
        name = self.broker.user_new("pw")
        self.addCleanup(self.broker.user_delete, name)
        self.refused(
            self.config(broker={"user": name, "password": "pw"}), 77,
            "start_failed")

    def test_a_missing_queue_is_1(self):
        self.refused(self.config(queue="nowhere"), 1, "start_failed",
                     "nowhere")

    def test_a_missing_queue_is_1_when_only_checked(self):
        self.refused(
            self.config(queue="nowhere", topology={"declare": False}), 1,
            "start_failed", "nowhere")

    def test_a_queue_declared_differently_is_1(self):
        self.declare("odd", kind="classic")
        self.refused(self.config(pipelines={"orders": {"queue": {
            "name": "odd", "declare": {"type": "quorum"}}}}), 1,
            "start_failed", "different")

    def test_a_dead_letter_queue_declared_differently_is_1(self):
        self.declare("orders.dlq", kind="classic")
        self.refused(self.config(), 1, "start_failed", "orders.dlq",
                     "different")

    def test_no_right_to_declare_is_77(self):
        self.refused(
            self.config(broker=self.user("^$", ".*", ".*")), 77,
            "start_failed", "configure")

    def test_no_right_to_read_is_77(self):
        self.consumer(self.config()).terminate()
        self.refused(
            self.config(broker=self.user(".*", ".*", r"^dlo\..*"),
                        topology={"declare": False}),
            77, "start_failed", "read permission")

    def test_no_right_to_publish_is_77(self):
        self.consumer(self.config()).terminate()
        for write in (r"^dlo\.retry\..*", r"^dlo\.(dead|events)$"):
            self.refused(
                self.config(broker=self.user("^$", write, ".*"),
                            topology={"declare": False}),
                77, "start_failed", "write permission")

    def test_the_rights_of_the_manual_are_enough(self):
        self.consumer(self.config()).terminate()
        user = self.user("^$", r"^dlo\.(retry\..*|dead|events)$", "^orders$")
        down = self.downstream(
            lambda r: {"ok": 200, "bad": 422}.get(r.id)
            or (200 if r.attempt > 1 else 503))
        consumer = self.consumer(self.config(
            down, broker=user, topology={"declare": False},
            pipelines={"orders": {"retry": {"first": "1s"}}}))
        for name in ("ok", "bad", "again"):
            self.publish("orders", b"", message_id=name)
        self.take("orders.dlq", 1)
        down.wait_requests(4)
        self.wait_totals("orders", total=0)
        self.assertFalse(consumer.logged("copy_not_taken"))

    def test_a_provisioner_of_its_own_declares(self):
        """consumer.broker may do nothing but its work."""
        names = r"(dlo\..*|orders(\.(dlq|parked|archive))?)"
        config = self.config(self.downstream(), broker=self.user(
            "^$", r"^dlo\.(retry\..*|dead|events)$", "^orders$"))
        config["topology"] = {"broker": self.user(
            rf"^{names}$", rf"^{names}$", r"^dlo\..*$")}
        self.consumer(config)
        self.assertEqual(self.depth("orders.dlq"), 0)

    def test_a_taken_port_is_1(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            self.refused(self.config(consumer={"listen": address}), 1,
                         "listen_failed", address)

    def test_no_broker_is_waited_for(self):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            node = f"amqp://127.0.0.1:{closed.getsockname()[1]}"
        consumer = self.consumer(
            self.config(broker={"nodes": [node]}), ready=False)
        consumer.wait_log("broker_down", count=6)
        status, why = consumer.get("/readyz")
        self.assertEqual(status, 503)
        self.assertIn("connection down", why)
        self.assertEqual(consumer.get("/healthz")[0], 200)
        self.assertEqual(consumer.metrics().value("dlo_broker_connected"), 0)
        self.assertEqual(consumer.terminate(), 0)

    def test_listen_may_be_overridden(self):
        path = f"unix:{self.folder}/elsewhere.sock"
        config = self.config()
        self.consumer(config, "--listen", path, listen=path)
        quiet = self.consumer(config, "--listen", "none", ready=False)
        quiet.wait_log("ready")

    def test_pages(self):
        consumer = self.consumer(self.config())
        self.assertEqual(consumer.get("/healthz"), (200, "ok\n"))
        self.assertEqual(consumer.get("/readyz"), (200, "ready\n"))
        self.assertEqual(consumer.get("/other")[0], 404)
        metrics = consumer.metrics()
        for name in ("dlo_deliveries_total", "dlo_settled_total",
                     "dlo_inflight", "dlo_handler_seconds_count",
                     "dlo_retry_scheduled_total", "dlo_held",
                     "dlo_breaker_state", "dlo_breaker_opened_total",
                     "dlo_probe_healthy", "dlo_dead_lettered_total",
                     "dlo_broker_connected", "dlo_broker_blocked",
                     "dlo_publish_returned_total",
                     "dlo_confirm_seconds_count"):
            self.assertIn(name, {sample[0] for sample in metrics.samples})
        self.assertEqual(metrics.value("dlo_broker_connected"), 2)

    def test_systemd_is_told(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            path = os.path.join(self.folder, "notify")
            manager.bind(path)
            manager.settimeout(30)
            consumer = self.consumer(self.config(), env={
                "NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"})
            self.wait_told(manager, "READY=1")
            self.wait_told(manager, "WATCHDOG=1")
            consumer.signal(signal.SIGTERM)
            self.wait_told(manager, "STOPPING=1")
            self.assertEqual(consumer.wait(), 0)

    def test_systemd_is_told_of_a_broker_that_is_away(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            path = os.path.join(self.folder, "notify")
            manager.bind(path)
            manager.settimeout(30)
            self.consumer(
                self.config(broker={"nodes": ["amqp://127.0.0.1:1"]}),
                env={"NOTIFY_SOCKET": path}, ready=False)
            self.wait_told(manager, "STATUS=waiting for the broker")
            self.wait_told(manager, "READY=1")

    def wait_told(self, manager, words):
        said = []
        while words not in said:
            said += manager.recv(4096).decode().splitlines()
