# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""Plugins as downstreams: what an independent client finds in the broker when
they answer, hang, crash and complete from threads; the example by its own
Makefile, against an installed tree."""

import os
import shutil
import signal
import subprocess
import unittest

import pika

import harness
from program import BIN, TOP
from test_consumer_exec import wait_death

# It does what bodies say.
ACROBAT = os.path.join(BIN, "tests", "downstream", "acrobat.so")
QUICK = {"attempts": 4, "first": "200ms", "cap": "1s", "hold": "1s",
         "jitter": 0}
CALM = {"failures": 100000, "minimum": 100000}


def is_sanitized():
    with open(os.path.join(BIN, "dlo-consumer"), "rb") as file:
        return b"__asan_init" in file.read()


class Plugin(harness.Case):
    def setUp(self):
        super().setUp()
        self.declare("orders")

    def plugin_config(self, retry=None, pipeline=None, **more):
        return self.config(
            downstreams={"shop": {
                "noop": None, "breaker": CALM,
                "plugin": {"path": ACROBAT, "workers": 2, **more}}},
            pipelines={"orders": {"retry": {**QUICK, **(retry or {})},
                                  **(pipeline or {})}})

    def run_plugin(self, retry=None, pipeline=None, **more):
        return self.consumer(self.plugin_config(retry, pipeline, **more))

    def put(self, message_id, body):
        self.publish("orders", body.encode(), message_id=message_id)

    def fill(self, count, body_of):
        """Many messages, before anybody consumes."""
        channel = self.new_channel(confirms=False)
        for number in range(count):
            channel.basic_publish(
                "", "orders", body_of(number).encode(),
                pika.BasicProperties(message_id=str(number),
                                     delivery_mode=2))
        self.wait_depth("orders", count)

    def wait_empty(self, dead=0, timeout=harness.TIMEOUT_S):
        self.wait_totals("orders", total=0, timeout=timeout)
        self.wait_depth("orders.dlq", dead)

    def attempts(self, consumer, **labels):
        return consumer.metrics().value("dlo_attempts_total", **labels)

    # ---- outcomes

    def outcomes(self, **more):
        consumer = self.run_plugin(**more)
        self.put("1", "ok")
        self.put("2", "reject 65 error never of any use")
        self.put("3", "retry 75 error busy")
        self.put("4", "until 1 class shop.shut retry 1 delay 700")
        self.assertEqual(
            {(dead.id, dead.headers["dlo-reason"], dead.headers["dlo-class"],
              dead.headers["dlo-error"], dead.headers["dlo-attempt"])
             for dead in self.take("orders.dlq", 2)},
            {("2", "rejected", "plugin.65", "never of any use", 1),
             ("3", "attempts_exhausted", "plugin.75", "busy", 4)})
        self.wait_empty()
        line, = consumer.logged("attempt", id="4", outcome="retry")
        self.assertEqual(
            (line.fields["class"], line.fields["delay_ms"]),
            ("shop.shut", "700"))
        self.assertEqual(self.attempts(consumer, outcome="ok"), 2)

    def test_plugin_outcomes(self):
        self.outcomes()

    def test_plugin_outcomes_inside(self):
        self.outcomes(workers=0)

    def test_plugin_inside_with_threads(self):
        self.fill(500, lambda number: "reject 1" if number % 10 == 3 else "")
        consumer = self.run_plugin(workers=0, config={"answers": "late"})
        self.wait_depth("orders.dlq", 50)
        self.wait_empty(dead=50)
        self.assertEqual(self.attempts(consumer, outcome="ok"), 450)
        self.assertEqual(self.attempts(consumer), 500)

    def test_plugin_has_its_configuration(self):
        path = self.write_config(f"""
version: 1
broker:
  nodes: [amqp://127.0.0.1:{self.broker.port}]
  vhost: {self.vhost}
  password: guest
downstreams:
  shop:
    plugin:
      path: {ACROBAT}
      workers: 1
      config:
        echo: [1, -0x10, 0x10, 1.50, yes, true, ~, "2", 'a"b', {{}}]
pipelines:
  orders: {{queue: orders, downstream: shop}}
consumer: {{listen: "{self.listen("consumer")}"}}
""")
        consumer = self.consumer(path)
        line = consumer.wait_log("plugin", downstream="shop")
        self.assertEqual(
            line.fields["text"], '{"echo":[1,"-0x10",16,1.5,"yes",true,null,'
            '"2","a\\"b",{}]}')

    # ---- what goes wrong

    def test_plugin_in_time_or_again(self):
        consumer = self.run_plugin(timeout="1s")
        self.put("1", "until 1 hang")
        for number in range(2, 20):
            self.put(str(number), "")
        line = consumer.wait_log("attempt", id="1", outcome="retry")
        self.assertEqual(line.fields["class"], "plugin.timeout")
        self.assertGreaterEqual(int(line.fields["handler_ms"]), 1000)
        self.wait_empty()
        # Nobody else was charged.
        self.assertEqual(self.attempts(consumer), 20)

    def test_plugin_crash_of_one_in_fifty(self):
        """Exactly those are dead, after two attempts; nothing else was
        handed over more than once."""
        count, every = 5000, 50
        bad = {str(number) for number in range(count)
               if number % every == 17}
        self.fill(count, lambda number:
                  "crash" if str(number) in bad else "")
        consumer = self.run_plugin()
        self.wait_totals("orders", total=0, timeout=240)
        found = self.take("orders.dlq", len(bad))
        self.wait_empty()
        self.assertEqual({dead.id for dead in found}, bad)
        self.assertEqual(len(found), len(bad))
        self.assertEqual(
            {(dead.headers["dlo-reason"], dead.headers["dlo-class"],
              dead.headers["dlo-attempt"]) for dead in found},
            {("crash", "crash.SIGSEGV", 2)})
        self.assertEqual(self.attempts(consumer, outcome="ok"),
                         count - len(bad))
        self.assertEqual(
            self.attempts(consumer, **{"class": "crash.SIGSEGV"}),
            2 * len(bad))
        self.assertEqual(self.attempts(consumer), count + len(bad))

    def test_plugin_crash_is_told(self):
        consumer = self.run_plugin()
        self.put("1", "until 1 abort")
        line = consumer.wait_log("attempt", id="1", outcome="retry")
        self.assertEqual(
            (line.fields["class"], line.fields["error"]),
            ("crash.SIGABRT", "ended by signal 6 (Aborted): an assertion"))
        self.wait_empty()

    def test_plugin_worker_that_is_killed(self):
        """From outside, in the middle of a message."""
        consumer = self.run_plugin(workers=1)
        self.put("1", "until 1 hang")
        line = consumer.wait_log("plugin", text="hanging")
        os.kill(int(line.fields["pid"]), signal.SIGKILL)
        line = consumer.wait_log("attempt", id="1", outcome="retry")
        self.assertEqual(line.fields["class"], "crash.SIGKILL")
        self.wait_empty()

    @unittest.skipIf(is_sanitized(), "ASan has its memory before the limit")
    def test_plugin_memory_is_limited(self):
        consumer = self.run_plugin({"attempts": 1}, memory="64m")
        self.put("1", "eat 200")
        self.put("2", "eat 10")
        dead, = self.take("orders.dlq", 1)
        self.assertEqual((dead.id, dead.headers["dlo-error"]),
                         ("1", "no memory"))
        self.wait_empty()
        self.assertEqual(self.attempts(consumer, outcome="ok"), 1)

    def test_plugin_under_way_is_finished_by_a_drain(self):
        go = os.path.join(self.folder, "go")
        config = self.plugin_config()
        config["log"] = {"level": "debug"}
        consumer = self.consumer(config, env={"GO": go})
        self.put("1", "await")
        consumer.wait_log("plugin", text="waiting")
        consumer.signal(signal.SIGTERM)
        consumer.wait_log("consumer", to="draining")
        with open(go, "w", encoding="utf-8"):
            pass
        self.assertEqual(consumer.wait(), 0)
        # A drain in the middle of subscribing closes the channel: then the
        # broker has the message again, which is not the plugin's affair.
        self.assertTrue(consumer.logged("attempt", id="1", outcome="ok"),
                        consumer.tail(200))

    def test_plugin_dies_with_a_killed_consumer(self):
        consumer = self.run_plugin(workers=1)
        self.put("1", "hang")
        line = consumer.wait_log("plugin", text="hanging")
        consumer.kill9()
        wait_death(int(line.fields["pid"]))
        self.assertEqual(self.take("orders", 1)[0].id, "1")

    # ---- before it starts

    def refused(self, path, why):
        config = self.write_config(self.plugin_config(path=path))
        for args in (["-t"], []):
            code, out, err = harness.run_program("dlo-consumer", *args, "-c",
                                                 config)
            self.assertEqual((code, out), (78, ""))
            self.assertRegex(err, r"^%s:\d+:\d+: "
                             r"downstreams\.shop\.plugin\.path: .*%s"
                             % (config, why))

    def test_plugin_that_is_none(self):
        self.refused("/nonexistent/x.so", "cannot be read: No such file")
        self.refused(os.path.join(TOP, "README.md"), "cannot be loaded: ")
        self.refused(os.path.join(BIN, "tests/downstream/no_plugin.so"),
                     "is no plugin: it exports no dlo_handler")
        self.refused(os.path.join(BIN, "tests/downstream/acrobat_of_old.so"),
                     "made for another dlo: its ABI is 0, ours is 1")
        # Its init, which would crash, is not called.
        config = self.write_config(self.plugin_config(config="crash"))
        code, out, err = harness.run_program("dlo-consumer", "-t", "-c",
                                             config)
        self.assertEqual((code, err), (0, ""), out)
        # Nor is it shown what is ours alone, at which it would crash.
        code, out, err = harness.run_program("dlo-consumer", "-t", "-c",
                                             config, env={"DLO_SECRET": "1"})
        self.assertEqual((code, err), (0, ""), out)

    def test_plugin_changes_by_reload(self):
        """Another configuration of it comes into force, a wrong one does
        not."""
        consumer = self.run_plugin()
        self.put("1", "ok")
        self.wait_empty()
        for over, event in (
                ({"workers": 1}, "reloaded"), ({"config": 7}, "reloaded"),
                ({"workers": 0}, "reloaded"),
                ({"path": "/nonexistent/x.so"}, "reload_failed")):
            path = self.write_config(self.plugin_config(**over),
                                     "dlo.yaml.new")
            os.rename(path, os.path.join(self.folder, "dlo.yaml"))
            since = len(consumer.lines)
            consumer.signal(signal.SIGHUP)
            line = consumer.wait_log(event, since=since)
            if event == "reloaded":
                self.assertEqual(line.fields["downstreams_changed"], "1")
            self.put("2", "ok")
            self.wait_empty()
        self.assertIn("downstreams.shop.plugin.path",
                      consumer.logged("reload_error")[0].fields["text"])
        self.assertEqual(self.attempts(consumer, outcome="ok"), 5)

    def test_plugin_answers_across_a_reload(self):
        """Inside, both starts share the object's variables: an answer given
        after the reload is still that of its own message."""
        consumer = self.run_plugin(workers=0, timeout="20m")
        self.put("a", "hold")
        consumer.wait_log("plugin", text="held")
        path = self.write_config(self.plugin_config(workers=0, timeout="21m"),
                                 "dlo.yaml.new")
        os.rename(path, os.path.join(self.folder, "dlo.yaml"))
        consumer.signal(signal.SIGHUP)
        consumer.wait_log("reloaded")
        self.put("b", "never")
        self.put("c", "release")
        self.wait_totals("orders", total=1)
        consumer.kill9()
        self.assertEqual(self.take("orders", 1)[0].id, "b")

    # ---- the example

    def make(self, folder, *args):
        env = {**os.environ, "PKG_CONFIG_SYSROOT_DIR": self.tree,
               "PKG_CONFIG_PATH": self.tree + "/usr/local/lib/pkgconfig"}
        for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
            env.pop(name, None)
        done = subprocess.run(["make", "-C", folder, *args], env=env,
                              check=False, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_plugin_example_by_its_makefile(self):
        self.tree = os.path.join(self.folder, "tree")
        self.make(BIN, "install", "DESTDIR=" + self.tree)
        source = os.path.join(self.folder, "plugin")
        shutil.copytree(os.path.join(TOP, "examples", "plugin"), source)
        self.make(source)
        self.make(source, "install")
        counter = os.path.join(self.folder, "counter")
        config = self.plugin_config(
            {"attempts": 1000}, path=self.tree + "/usr/local/lib/dlo/brew.so")
        consumer = self.start(
            self.tree + "/usr/local/bin/dlo-consumer", config,
            env={"COUNTER": counter}, listen=self.listen("consumer"))
        self.put("1", "espresso")
        line = consumer.wait_log("attempt", id="1", outcome="retry")
        self.assertEqual((line.fields["class"], line.fields["error"]),
                         ("counter.closed", "the counter is closed"))
        with open(counter, "w", encoding="utf-8"):
            pass
        self.put("2", "decaf latte")
        self.put("3", "tea\n3 1 forged")
        self.put("4", "tea")
        self.assertEqual(
            {(dead.id, dead.headers["dlo-reason"], dead.headers["dlo-class"],
              dead.headers["dlo-error"])
             for dead in self.take("orders.dlq", 2)},
            {("2", "rejected", "coffee.unknown",
              "no such coffee: decaf latte"),
             ("3", "rejected", "coffee.unknown", "an order is one line")})
        self.wait_empty()
        with open(counter, encoding="utf-8") as file:
            served = sorted(line.split() for line in file)
        self.assertEqual([line[0::2] for line in served],
                         [["1", "espresso"], ["4", "tea"]])
        self.assertGreaterEqual(int(served[0][1]), 2)
