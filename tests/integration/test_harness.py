# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""The harness itself: a judge that cannot say no is none."""

import http.client
import os
import signal
import textwrap

import pika
import pika.exceptions

import harness
from program import Line, Program, SANITIZER


class Harness(harness.Case):
    def test_publishes_and_takes(self):
        self.declare("q")
        self.publish("q", b"one", message_id="1", headers={"a": 1})
        message, = self.take("q", 1)
        self.assertEqual((message.id, message.body, message.headers["a"]),
                         ("1", b"one", 1))
        self.assertEqual(self.depth("q"), 0)

    def test_an_unroutable_publish_is_refused(self):
        with self.assertRaises(pika.exceptions.UnroutableError):
            self.publish("nowhere", b"x")

    def test_vhosts_are_apart(self):
        self.declare("q")
        other = self.broker.vhost_new()
        self.addCleanup(self.broker.vhost_delete, other)
        connection = pika.BlockingConnection(self.broker.parameters(other))
        self.addCleanup(connection.close)
        with self.assertRaises(pika.exceptions.ChannelClosedByBroker):
            connection.channel().queue_declare("q", passive=True)

    def test_totals_tell_what_is_unacked(self):
        self.declare("q")
        self.publish_many("q", 3)
        self.get("q", ack=False)
        self.wait_totals("q", total=3, ready=2, unacked=1)

    def test_waiting_ends(self):
        self.declare("q")
        with self.assertRaisesRegex(AssertionError, "1 messages in q"):
            self.take("q", 1, timeout=0.2)
        with self.assertRaisesRegex(AssertionError, "not in 0.1 s: never"):
            harness.wait_until(lambda: False, "never", timeout=0.1)

    def test_a_user_has_only_its_rights(self):
        self.declare("q")
        user = self.broker.user_new("pw")
        self.addCleanup(self.broker.user_delete, user)
        self.broker.allow(self.vhost, user, "^$", "^$", "^q$")
        channel = self.connect(user, "pw").channel()
        channel.basic_get("q")
        with self.assertRaises(pika.exceptions.ChannelClosedByBroker) as seen:
            channel.queue_declare("mine")
        self.assertEqual(seen.exception.reply_code, 403)

    def test_a_private_broker_comes_back_with_its_messages(self):
        self.private_broker()
        self.declare("q")
        self.publish_many("q", 5)
        old = self.channel
        self.kill_broker()
        with self.assertRaises(pika.exceptions.AMQPError):
            old.queue_declare("q", passive=True)
        self.assertEqual(len(self.take("q", 5)), 5)


class Downstreams(harness.Case):
    def request(self, downstream, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", downstream.port,
                                                timeout=10)
        try:
            connection.request("POST", "/charge", b"body", headers)
            answer = connection.getresponse()
            return answer.status, answer.getheader("X"), answer.read()
        finally:
            connection.close()

    def test_answers_as_told_and_remembers(self):
        downstream = self.downstream(
            lambda request: (503, {"X": "y"}, b"sorry"))
        self.assertEqual(self.request(downstream, **{"Dlo-Id": "7"}),
                         (503, "y", b"sorry"))
        downstream.answer = lambda request: 200
        self.assertEqual(self.request(downstream), (200, None, b""))
        first, second = downstream.wait_requests(2)
        self.assertEqual((first.id, first.path, first.body, second.id),
                         ("7", "/charge", b"body", None))
        self.assertEqual(downstream.attempts(), {"7": 1, None: 1})

    def test_refuses_while_down(self):
        downstream = self.downstream()
        downstream.down()
        with self.assertRaises(ConnectionRefusedError):
            self.request(downstream)
        downstream.up()
        self.assertEqual(self.request(downstream)[0], 200)

    def test_can_hang_up(self):
        downstream = self.downstream(lambda request: None)
        with self.assertRaises(http.client.RemoteDisconnected):
            self.request(downstream)


class Programs(harness.Case):
    """Stand-ins, written in Python, for the programs to come."""

    def stand_in(self, code):
        path = os.path.join(self.folder, "stand-in")
        with open(path, "w", encoding="utf-8") as file:
            file.write("#!/usr/bin/python3\nimport signal, sys, time\n"
                       + textwrap.dedent(code))
        os.chmod(path, 0o755)
        return path

    def test_awaits_log_lines(self):
        program = Program(self.stand_in("""
            print('2024-01-01T00:00:00.000Z info attempt pipeline=p '
                  'error="a \\\\"b\\\\" c=d" n=2', file=sys.stderr)
            print('{"ts":"x","level":"warn","event":"dead","n":1}',
                  file=sys.stderr)
            """))
        line = program.wait_log("attempt", pipeline="p", n=2)
        self.assertEqual(line.fields["error"], 'a "b" c=d')
        self.assertEqual(program.wait_log("dead", n=1).level, "warn")
        with self.assertRaisesRegex(AssertionError, "it ended"):
            program.wait_log("attempt", count=2)
        self.assertEqual(program.wait(), 0)

    def test_judges_the_end(self):
        trap = """
            def end(*_):
                sys.exit(%d)
            signal.signal(signal.SIGTERM, end)
            print("t info up", file=sys.stderr, flush=True)
            while True:
                signal.pause()
            """
        good = Program(self.stand_in(trap % 0))
        good.wait_log("up")
        good.finish()
        bad = Program(self.stand_in(trap % 1))
        bad.wait_log("up")
        with self.assertRaisesRegex(AssertionError, "exit 1 after TERM"):
            bad.finish()
        dead = Program(self.stand_in(trap % 0))
        dead.wait_log("up")
        self.assertEqual(dead.kill9(), -signal.SIGKILL)
        dead.finish()

    def test_a_sanitizer_report_is_a_failure(self):
        for words in ("ERROR: AddressSanitizer: heap-use-after-free",
                      "ERROR: LeakSanitizer: detected memory leaks",
                      "lib/buf.c:7:3: runtime error: signed integer overflow"):
            program = Program(self.stand_in(
                f"print({words!r}, file=sys.stderr)"))
            with self.assertRaisesRegex(AssertionError, "sanitizer"):
                program.wait()
        self.assertIsNone(SANITIZER.search("info sanitized error=none"))

    def test_runs_to_the_end(self):
        code, out, err = harness.run_program(self.stand_in(
            "print('out'); print('err', file=sys.stderr); sys.exit(78)"))
        self.assertEqual((code, out, err), (78, "out\n", "err\n"))

    def test_reads_metrics_as_prometheus_would(self):
        good = harness.Metrics('# TYPE a counter\na{x="1",y="q\\"s"} 2\n'
                               'a{x="2"} 3\n')
        self.assertEqual(good.value("a"), 5)
        self.assertEqual(good.value("a", x="1"), 2)
        for bad in ("a 1\n", "# TYPE a counter\na 1", "# TYPE a counter\na\n",
                    "# TYPE a counter\na 1\na 1\n"):
            with self.assertRaises(AssertionError):
                harness.Metrics(bad)

    def test_other_lines_are_no_events(self):
        self.assertIsNone(Line("a plain line of text").event)


class Configurations(harness.Case):
    def test_merges_deep(self):
        config = self.config(consumer={"drain_timeout": "1s"},
                             pipelines={"orders": {"prefetch": 1}},
                             redrive=None)
        self.assertEqual(config["pipelines"]["orders"]["queue"], "orders")
        self.assertEqual(config["pipelines"]["orders"]["prefetch"], 1)
        self.assertIn("listen", config["consumer"])
        self.assertNotIn("redrive", config)
        path = self.write_config(config)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
