# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""Commands as downstreams, in both modes: judged by what they wrote down
themselves and by what an independent client finds in the broker."""

import json
import os
import select
import signal

import harness
from program import TOP

EXAMPLES = os.path.join(TOP, "examples")
# Short delays; nothing of it opens the breaker.
QUICK = {"attempts": 4, "first": "200ms", "cap": "1s", "hold": "100ms",
         "jitter": 0}
CALM = {"failures": 1000, "minimum": 1000}
# A worker that does what the body says, and tells its pid and its message.
WORKER = """
import json, os, signal, sys, time
for line in sys.stdin.buffer:
    head = json.loads(line)
    body = sys.stdin.buffer.read(head["length"])
    with open(os.environ["RECORD"], "a", encoding="utf-8") as record:
        record.write(json.dumps({"pid": os.getpid(), "time": time.time(),
                                 "head": head, "body": body.hex()}) + "\\n")
    todo = json.loads(body) if body[:1] == b"{" else {}
    if head["attempt"] <= todo.get("until", 99):
        if "hang" in todo:
            time.sleep(1000)
        if "exit" in todo:
            os._exit(todo["exit"])
        if "say" in todo:
            print(todo["say"], flush=True)
            continue
    print(json.dumps({"outcome": "ok"}), flush=True)
"""


def wait_death(pid, timeout=harness.TIMEOUT_S):
    """Waits for the end of a process that is not ours."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if not select.select([process], [], [], timeout)[0]:
            raise AssertionError(f"{pid} still runs after {timeout} s")
    finally:
        os.close(process)


class Exec(harness.Case):
    def setUp(self):
        super().setUp()
        self.declare("orders")
        self.counter = os.path.join(self.folder, "counter")
        self.record = os.path.join(self.folder, "record")

    def run_command(self, command, retry=None, **more):
        """A consumer whose downstream is a command."""
        config = self.config(
            downstreams={"shop": {
                "noop": None, "breaker": CALM,
                "exec": {"command": command, "workers": 2, **more}}},
            pipelines={"orders": {"retry": {**QUICK, **(retry or {})}}},
            log={"level": "debug"})
        return self.consumer(config, env={"COUNTER": self.counter,
                                          "RECORD": self.record})

    def run_worker(self, retry=None, **more):
        """A stream worker that does what bodies say."""
        path = os.path.join(self.folder, "worker.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write(WORKER)
        return self.run_command(["/usr/bin/python3", path], retry,
                                mode="stream", **more)

    def counted(self):
        """The orders on the counter: [id, attempt, order]."""
        with open(self.counter, encoding="utf-8") as file:
            return [line.rstrip("\n").split(" ", 2) for line in file]

    def recorded(self, message_id=None):
        """What the workers wrote down."""
        try:
            with open(self.record, encoding="utf-8") as file:
                lines = [json.loads(line) for line in file
                         if line.endswith("\n")]
        except FileNotFoundError:
            return []
        return [line for line in lines
                if message_id in (None, line["head"]["id"])]

    def wait_recorded(self, count, message_id=None):
        return harness.wait_until(
            lambda: (lambda found: len(found) >= count and found)(
                self.recorded(message_id)), f"{count} records")

    def wait_empty(self, dead=0):
        """Nothing in the work queue, and so many in the DLQ."""
        self.wait_totals("orders", total=0)
        self.wait_depth("orders.dlq", dead)

    def publish_todo(self, message_id, **todo):
        self.publish("orders", json.dumps(todo).encode(),
                     message_id=message_id)

    # ---- the examples

    def brew(self, classes, command, **more):
        """Each example: an order, one that is never any, and one for which
        the counter is closed at first."""
        consumer = self.run_command(command, {"attempts": 1000}, **more)
        self.publish("orders", "espresso".encode(), message_id="1")
        line = consumer.wait_log("attempt", id="1", outcome="retry")
        self.assertEqual((line.fields["class"], line.fields["error"]),
                         (classes[1], "the counter is closed"))
        with open(self.counter, "w", encoding="utf-8"):
            pass
        self.publish("orders", rb"decaf\nlatte", message_id="2")
        self.publish("orders", b"tea\n3 1 forged", message_id="20")
        for number in range(3, 20):
            self.publish("orders", f"tea {number}".encode(),
                         message_id=str(number))
        self.assertEqual(
            {(dead.id, dead.headers["dlo-reason"], dead.headers["dlo-class"],
              dead.headers["dlo-error"], dead.headers["dlo-attempt"])
             for dead in self.take("orders.dlq", 2)},
            {("2", "rejected", classes[0], r"no such coffee: decaf\nlatte", 1),
             ("20", "rejected", classes[0], "an order is one line", 1)})
        self.wait_empty()
        counted = sorted(self.counted(), key=lambda line: int(line[0]))
        self.assertEqual([line[0::2] for line in counted],
                         [["1", "espresso"]]
                         + [[str(n), f"tea {n}"] for n in range(3, 20)])
        self.assertGreaterEqual(int(counted[0][1]), 2)
        self.assertTrue(all(line[1] == "1" for line in counted[1:]))
        value = consumer.metrics().value("dlo_attempts_total", outcome="ok",
                                         **{"class": classes[2]})
        self.assertEqual(value, 18)
        return consumer

    def test_exec_example_in_shell(self):
        self.brew(("exec.65", "exec.75", "exec.0"),
                  [os.path.join(EXAMPLES, "brew.sh")])

    def test_exec_example_in_python(self):
        self.brew(("exec.65", "exec.75", "exec.0"),
                  ["python3", os.path.join(EXAMPLES, "brew.py")])

    def test_exec_example_of_a_stream(self):
        consumer = self.brew(
            ("coffee.unknown", "counter.closed", "exec.ok"),
            [os.path.join(EXAMPLES, "brew_stream.py")], mode="stream")
        # It lives on: no more than two were ever started.
        self.assertLessEqual(
            len({line.fields["pid"]
                 for line in consumer.logged("worker", to="busy")}), 2)

    # ---- once

    def test_exec_has_nothing_of_ours(self):
        script = os.path.join(self.folder, "look.sh")
        with open(script, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\nls /proc/self/fd >$RECORD.fds\n"
                       "env | grep -E '^(DLO_|NOTIFY|WATCHDOG|LISTEN)' |"
                       " sort >$RECORD\ncat >$RECORD.body\n")
        os.chmod(script, 0o755)
        # Found beside the configuration.
        config = self.config(downstreams={"shop": {
            "noop": None, "exec": {"command": ["./look.sh"]}}})
        self.consumer(config, env={
            "RECORD": self.record, "DLO_PASSWORD": "guest",
            "WATCHDOG_USEC": "100000000", "LISTEN_FDS": "0"})
        self.channel.exchange_declare("menu", "topic")
        self.channel.queue_bind("orders", "menu", "#")
        self.publish("café %", b"\x00\xff", exchange="menu",
                     message_id="id\n1", correlation_id="c",
                     content_type="a/b", headers={"traceparent": "x"})
        self.wait_empty()
        with open(self.record, encoding="utf-8") as file:
            self.assertEqual(file.read().splitlines(), [
                "DLO_ATTEMPT=1", "DLO_CONTENT_TYPE=a/b",
                "DLO_CORRELATION_ID=c", "DLO_EXCHANGE=menu",
                "DLO_ID=id%0A1", "DLO_MESSAGE_ID=id%0A1",
                "DLO_PIPELINE=orders", "DLO_QUEUE=orders", "DLO_REDRIVES=0",
                "DLO_ROUTING_KEY=caf%C3%A9 %25"])
        with open(self.record + ".fds", encoding="utf-8") as file:
            self.assertEqual(file.read().split(), ["0", "1", "2", "3"])
        with open(self.record + ".body", "rb") as file:
            self.assertEqual(file.read(), b"\x00\xff")

    def test_exec_in_time_or_again(self):
        consumer = self.run_command(
            ["/bin/sh", "-c", '[ "$DLO_ATTEMPT" -ge 2 ] || sleep 1000'],
            timeout="2s")
        self.publish("orders", b"x", message_id="1")
        line = consumer.wait_log("attempt", id="1", outcome="retry")
        self.assertEqual(line.fields["class"], "exec.timeout")
        self.assertGreaterEqual(int(line.fields["handler_ms"]), 2000)
        self.wait_empty()

    def test_exec_signals_use_attempts_up(self):
        self.run_command(["/bin/sh", "-c", "echo ouch >&2; kill -9 $$"],
                         {"attempts": 2})
        self.publish("orders", b"x", message_id="1")
        dead, = self.take("orders.dlq", 1)
        self.assertEqual(
            (dead.headers["dlo-reason"], dead.headers["dlo-class"],
             dead.headers["dlo-error"], dead.headers["dlo-attempt"]),
            ("attempts_exhausted", "exec.signal.9", "ouch", 2))

    def test_exec_that_cannot_start_opens_the_breaker(self):
        config = self.config(
            downstreams={"shop": {
                "noop": None, "exec": {"command": ["/no/such/program"]},
                "breaker": {"open": "60s"}}},
            pipelines={"orders": {"retry": {"attempts": 1000, **{
                key: QUICK[key] for key in ("first", "cap", "hold")}}}})
        consumer = self.consumer(config)
        self.publish_many("orders", 20)
        line = consumer.wait_log("attempt", outcome="retry")
        self.assertEqual(
            (line.fields["class"], line.fields["error"]),
            ("exec.start", "/no/such/program: No such file or directory"))
        consumer.wait_log("breaker", to="open")
        self.assertEqual(consumer.terminate(), 0)
        self.assertEqual(self.depth("orders.dlq"), 0)

    def test_exec_under_way_is_finished_by_a_drain(self):
        consumer = self.run_command(
            ["/bin/sh", "-c", ": >$RECORD; until [ -e $COUNTER ];"
                              "do sleep 0.05; done"])
        self.publish("orders", b"x", message_id="1")
        harness.wait_until(lambda: os.path.exists(self.record), "it runs")
        consumer.signal(signal.SIGTERM)
        consumer.wait_log("consumer", to="draining")
        with open(self.counter, "w", encoding="utf-8"):
            pass
        self.assertEqual(consumer.wait(), 0)
        self.assertTrue(consumer.logged("attempt", id="1", outcome="ok"))
        self.wait_empty()

    def test_exec_dies_with_a_killed_consumer(self):
        """kill -9 leaves no process behind, and loses no message."""
        for mode in ("once", "stream"):
            with self.subTest(mode):
                # It looks neither at its stdin nor at its parent.
                consumer = self.run_command(
                    ["/bin/sh", "-c", "echo $$ >>$RECORD; exec sleep 1000"],
                    mode=mode)
                self.publish("orders", b"x", message_id=mode)
                pid = harness.wait_until(self.first_pid, "it runs")
                consumer.kill9()
                wait_death(pid)
                self.assertEqual([message.id for message in
                                  self.take("orders", 1)], [mode])
                os.unlink(self.record)

    def first_pid(self):
        try:
            with open(self.record, encoding="utf-8") as file:
                line = file.readline()
        except FileNotFoundError:
            return None
        return int(line) if line.endswith("\n") else None

    def test_exec_is_ended_when_a_drain_takes_too_long(self):
        config = self.config(
            downstreams={"shop": {"noop": None, "exec": {"command": [
                "/bin/sh", "-c", "echo $$ >>$RECORD; exec sleep 1000"]}}},
            consumer={"drain_timeout": "1s"})
        consumer = self.consumer(config, env={"RECORD": self.record})
        self.publish("orders", b"x", message_id="1")
        pid = harness.wait_until(self.first_pid, "it runs")
        consumer.signal(signal.SIGTERM)
        self.assertEqual(consumer.wait(), 0)
        wait_death(pid)
        self.assertEqual(self.take("orders", 1)[0].id, "1")

    # ---- stream

    def test_exec_stream_tells_all_there_is(self):
        self.run_worker()
        self.publish("orders", b"\x00\n\xff" * 50000, message_id="1",
                     content_type="a/b", headers={
                         "tenant": "café", "count": -5, "big": 2 ** 40,
                         "yes": True, "no": False, "none": None,
                         "list": [1], "map": {"a": 1}, "bytes": b"\x00\x01",
                         "dlo-attempt": 77, "dlo-x": "forged"})
        record, = self.wait_recorded(1)
        self.assertEqual(bytes.fromhex(record["body"]), b"\x00\n\xff" * 50000)
        self.assertEqual(record["head"], {
            "id": "1", "pipeline": "orders", "attempt": 1, "redrives": 0,
            "routing_key": "orders", "exchange": "", "content_type": "a/b",
            "length": 150000, "headers": {
                "tenant": "café", "count": -5, "big": 2 ** 40, "yes": True,
                "no": False}})
        self.wait_empty()

    def test_exec_stream_delay_is_kept(self):
        self.run_worker(retry={"cap": "5s", "hold": "5s"})
        self.publish_todo("1", until=1, say=json.dumps(
            {"outcome": "retry", "class": "shop.shut", "delay_ms": 1500}))
        first, second = self.wait_recorded(2)
        self.assertGreaterEqual(second["time"] - first["time"], 1.5)
        self.wait_empty()

    def test_exec_stream_nonsense_is_a_retry(self):
        consumer = self.run_worker()
        wrong = ["nonsense", "{}", '{"outcome":"perhaps"}', "[1]",
                 '{"outcome":"ok","id":"other"}',
                 '{"outcome":"retry","delay_ms":-1}', "\x00" * 100000]
        for number, say in enumerate(wrong):
            self.publish_todo(str(number), until=1, say=say)
        self.wait_empty()
        for number in range(len(wrong)):
            self.assertEqual(
                [line.fields["class"]
                 for line in consumer.logged("attempt", id=str(number))],
                ["exec.protocol", "exec.ok"])

    def test_exec_stream_that_ends_is_a_retry(self):
        consumer = self.run_worker()
        self.publish_todo("1", until=1, exit=65)
        self.wait_empty()
        self.assertEqual([line.fields["class"]
                          for line in consumer.logged("attempt", id="1")],
                         ["exec.exit.65", "exec.ok"])

    def test_exec_stream_that_hangs_is_a_retry(self):
        consumer = self.run_worker({"attempts": 1000}, timeout="2s")
        self.publish_todo("1", until=1, hang=True)
        self.wait_empty()
        classes = [line.fields["class"]
                   for line in consumer.logged("attempt", id="1")]
        self.assertEqual((classes[0], classes[-1]),
                         ("exec.timeout", "exec.ok"))

    def test_exec_stream_outlives_kill_9_of_workers(self):
        """Killed in the middle: a retry, and nothing is lost."""
        consumer = self.run_worker()
        self.publish_todo("victim", until=1, hang=True)
        record, = self.wait_recorded(1, "victim")
        os.kill(record["pid"], signal.SIGKILL)
        line = consumer.wait_log("attempt", id="victim", outcome="retry")
        self.assertEqual(line.fields["class"], "exec.signal.9")
        ids = self.publish_many("orders", 50)
        # And now while they work.
        for count in (10, 20, 30):
            pid = self.wait_recorded(count)[-1]["pid"]
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.wait_empty()
        self.assertLessEqual(set(ids) | {"victim"},
                             {line.fields["id"] for line in
                              consumer.logged("attempt", outcome="ok")})
