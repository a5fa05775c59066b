# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""What every integration test stands on.

    class Retries(harness.Case):
        def test_a_failed_message_comes_again(self):
            self.declare("orders")
            down = self.downstream(lambda request: 503)
            consumer = self.consumer(self.config(down))
            self.publish("orders", b"one", message_id="1")
            down.wait_requests(2)

Each test has a vhost of its own on one shared broker, a folder of its own,
and an independent client (pika) as the judge. What a test starts is stopped
at its end, and the stopping is judged too. Tests wait for events: wait_until,
wait_log, wait_requests; none sleeps.

The shared broker is the one that $DLO_TEST_BROKER names (see scripts/broker;
it needs rabbitmq_management), else one is booted for the process. The
programs are those of $DLO_TEST_BIN (default: build/asan).
"""

import atexit
import json
import os
import shutil
import tempfile
import time
import unittest

import pika
import pika.exceptions

from broker import Broker
from downstream import Downstream
from program import (BIN, Line, Metrics, Program, http_get,  # noqa: F401
                     run_program)

TIMEOUT_S = 30
_shared = []


def shared_broker():
    """The broker that all tests share; none may hurt it."""
    if not _shared:
        name = os.environ.get("DLO_TEST_BROKER")
        if name:
            _shared.append(Broker(name))
        else:
            _shared.append(Broker.start(f"test-{os.getpid()}"))
            atexit.register(_stop_shared, os.getpid())
    return _shared[0]


def _stop_shared(pid):
    # A forked child inherits this and must leave the broker alone.
    if os.getpid() == pid:
        _shared[0].stop()


def wait_until(condition, what, timeout=TIMEOUT_S, every=0.05):
    """Polls until `condition` returns something true, and returns it. For
    what cannot be awaited, as a depth in the broker."""
    deadline = time.monotonic() + timeout
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not in {timeout} s: {what}")
        time.sleep(every)


def merge(base, over):
    """`base` with what `over` says, deep in dicts; None removes a key."""
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value)
        elif value is None:
            merged.pop(key, None)
        else:
            merged[key] = value
    return merged


class Message:
    """One message as pika got it."""

    def __init__(self, method, properties, body):
        self.method = method
        self.properties = properties
        self.body = body

    @property
    def headers(self):
        return self.properties.headers or {}

    @property
    def id(self):
        return self.properties.message_id

    def __repr__(self):
        return f"<message {self.id} {self.body[:40]!r} {self.headers}>"


class Case(unittest.TestCase):
    """A test with a vhost, a folder and a client of its own."""

    maxDiff = None

    def setUp(self):
        self.broker = shared_broker()
        self.vhost = self.broker.vhost_new()
        self.addCleanup(self.broker.vhost_delete, self.vhost)
        # Short: a unix socket's path has 107 bytes.
        self.folder = tempfile.mkdtemp(prefix="dlo-")
        self.addCleanup(shutil.rmtree, self.folder)
        self._channel = None

    # ---- brokers and clients

    def private_broker(self, conf="", plugins=(), **more):
        """A broker of this test alone, which it may hurt; from now on it is
        self.broker, with a vhost of its own."""
        broker = Broker.start(f"test-{os.getpid()}-{time.monotonic_ns()}",
                              conf, plugins, **more)
        self.addCleanup(broker.stop)
        self.broker = broker
        self.vhost = broker.vhost_new()
        self._channel = None
        return broker

    def private_cluster(self, **more):
        """Three nodes in a cluster; the first is self.broker."""
        first = self.private_broker(**more)
        nodes = [first]
        for number in (2, 3):
            node = Broker.start(f"{first.name}-{number}", join=first.name,
                                **more)
            self.addCleanup(node.stop)
            nodes.append(node)
        return nodes

    def connect(self, user="guest", password="guest", **more):
        """A connection of its own, closed at the end of the test."""
        connection = pika.BlockingConnection(
            self.broker.parameters(self.vhost, user, password, **more))
        self.addCleanup(close_quietly, connection)
        return connection

    def new_channel(self, confirms=True, **more):
        """A channel on a connection of its own. With `confirms`, basic_publish
        waits for the confirm and raises on a return or a nack."""
        channel = self.connect(**more).channel()
        if confirms:
            channel.confirm_delivery()
        return channel

    @property
    def channel(self):
        """The test's channel, with confirms; a new one if it was closed."""
        if self._channel is None or not self._channel.is_open:
            self._channel = self.new_channel()
        return self._channel

    def declare(self, queue, kind="quorum", arguments=None, **more):
        """Declares a durable queue; its name."""
        arguments = {"x-queue-type": kind, **(arguments or {})}
        try:
            self.channel.queue_declare(queue, durable=True,
                                       arguments=arguments, **more)
        except pika.exceptions.ConnectionClosedByBroker as error:
            # On a busy machine 3.10 now and then does not get it started in
            # its own time.
            if error.reply_code != 541:
                raise
            self.channel.queue_declare(queue, durable=True,
                                       arguments=arguments, **more)
        return queue

    def publish(self, queue, body=b"", exchange="", channel=None,
                **properties):
        """Publishes persistent and mandatory to a queue (or a key of an
        exchange) and waits for the confirm."""
        properties.setdefault("delivery_mode", 2)
        (channel or self.channel).basic_publish(
            exchange, queue, body, pika.BasicProperties(**properties),
            mandatory=True)

    def publish_many(self, queue, count, body=b"", prefix="m"):
        """`count` messages with the ids PREFIX-0…, all confirmed; the ids."""
        ids = [f"{prefix}-{number}" for number in range(count)]
        for message_id in ids:
            self.publish(queue, body, message_id=message_id)
        return ids

    def get(self, queue, ack=True):
        """One message, or None."""
        got = self.channel.basic_get(queue, auto_ack=False)
        if got[0] is None:
            return None
        if ack:
            self.channel.basic_ack(got[0].delivery_tag)
        return Message(*got)

    def drain(self, queue):
        """Takes all that is ready now."""
        messages = []
        while (message := self.get(queue)) is not None:
            messages.append(message)
        return messages

    def take(self, queue, count, timeout=TIMEOUT_S):
        """Waits until `count` messages came out of the queue; takes them."""
        messages = []

        def enough():
            messages.extend(self.drain(queue))
            return len(messages) >= count

        try:
            wait_until(enough, f"{count} messages in {queue}", timeout)
        except AssertionError as late:
            raise AssertionError(f"{late}; got {messages[:20]}") from None
        return messages

    def depth(self, queue):
        """How many messages are ready at this moment."""
        declared = self.channel.queue_declare(queue, passive=True)
        return declared.method.message_count

    def totals(self, queue):
        """{total, ready, unacked}, up to a quarter of a second old."""
        return self.broker.totals(self.vhost)[queue]

    def fresh_totals(self):
        """By queue: {total, ready, unacked}, younger than this call. It
        publishes, and so waits while the broker is in alarm."""
        # Each queue tells its depth at its own pace; once this one has told
        # two changes, made one after the other, all have told theirs.
        clock = self.declare("harness-clock")

        def told():
            return self.totals(clock)["total"] or 0

        for _ in range(2):
            before = told()
            self.publish(clock)
            wait_until(lambda last=before: told() > last,
                       "the depths to be told")
        return self.broker.totals(self.vhost)

    def wait_depth(self, queue, count, timeout=TIMEOUT_S):
        """Waits until exactly `count` messages are ready."""
        wait_until(lambda: self.depth(queue) == count,
                   f"{count} ready in {queue}", timeout)

    def wait_totals(self, queue, timeout=TIMEOUT_S, **wanted):
        """Waits until total=, ready=, unacked= are as wanted, and are still
        so in numbers younger than that."""
        seen = {}

        def right():
            seen.update(self.totals(queue))
            if wanted.items() <= seen.items():
                seen.update(self.fresh_totals()[queue])
            return wanted.items() <= seen.items()

        try:
            wait_until(right, f"{wanted} in {queue}", timeout, every=0.2)
        except AssertionError as late:
            raise AssertionError(f"{late}; it is {seen}") from None

    def kill_broker(self):
        """SIGKILL to the private broker and back; its quorum queues are given
        the moment that they need to outlive that."""
        for queue in self.broker.totals(self.vhost):
            if self.broker.queue(self.vhost, queue)["type"] == "quorum":
                wait_until(lambda name=queue: self.broker.survives(
                    self.vhost, name), f"{queue} on disk")
        self.broker.kill()
        self.broker.restart()
        self._channel = None

    # ---- our programs

    def downstream(self, answer=lambda request: 200, **more):
        """An HTTP downstream, closed at the end of the test."""
        downstream = Downstream(answer, **more)
        self.addCleanup(downstream.close)
        return downstream

    def listen(self, program):
        """Where the pages of that program are."""
        return f"unix:{self.folder}/{program}.sock"

    def config(self, downstream=None, queue="orders", **over):
        """A configuration with one pipeline `orders` on `queue` and one
        downstream `shop`, as a dict; `over` is merged into it."""
        base = {
            "version": 1,
            "broker": {
                "nodes": [f"amqp://127.0.0.1:{self.broker.port}"],
                "vhost": self.vhost, "user": "guest", "password": "guest",
            },
            "downstreams": {
                "shop": {"noop": {}} if downstream is None else
                        {"http": {"url": downstream.url}},
            },
            "pipelines": {"orders": {"queue": queue, "downstream": "shop"}},
            "consumer": {"listen": self.listen("consumer")},
            "redrive": {"listen": self.listen("redrive")},
        }
        return merge(base, over)

    def write_config(self, config, name="dlo.yaml"):
        """Writes a dict (JSON is YAML) or a text; the path. Only we can read
        it: it holds a literal password."""
        path = os.path.join(self.folder, name)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(config if isinstance(config, str)
                       else json.dumps(config, indent=1))
        return path

    def start(self, name, config, *args, ready=True, env=None, listen=None):
        """Starts a daemon on a configuration (dict, text or path). With
        `ready`, returns when its /readyz says 200. At the end of the test it
        must drain and exit 0, unless the test ended it."""
        path = config
        if not (isinstance(config, str) and os.path.exists(config)):
            path = self.write_config(config)
        listen = listen or self.listen(name.removeprefix("dlo-"))
        program = Program(name, "-c", path, *args, listen=listen, env=env)
        self.addCleanup(program.finish)
        if ready:
            self.wait_ready(program)
        return program

    def wait_ready(self, program, timeout=TIMEOUT_S):
        """Waits until /readyz says 200."""
        def ready():
            if not program.alive():
                program.wait()
                raise AssertionError(f"{program.name} ended; its log:\n"
                                     + program.tail())
            try:
                return program.get("/readyz")[0] == 200
            except OSError:
                return False

        try:
            wait_until(ready, f"{program.name} ready", timeout)
        except AssertionError as late:
            raise AssertionError(f"{late}; its log:\n{program.tail()}") \
                from None

    def consumer(self, config, *args, **more):
        """Starts dlo-consumer."""
        return self.start("dlo-consumer", config, *args, **more)

    def redrive(self, config, *args, **more):
        """Starts dlo-redrive."""
        return self.start("dlo-redrive", config, *args, **more)

    def redrive_once(self, config, *args, env=None, timeout=60):
        """dlo-redrive --once: (exit code, stdout, stderr)."""
        return run_program("dlo-redrive", "-c", self.write_config(config),
                           "--once", *args, env=env, timeout=timeout)


def close_quietly(connection):
    """Closes a connection that the test may have broken."""
    try:
        if connection.is_open:
            connection.close()
    except pika.exceptions.AMQPError:
        pass
