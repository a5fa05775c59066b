# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""HUP: dlo-consumer goes over to what its file says now, judged by what the
downstream and an independent client saw. Nothing is lost, no attempt is made
twice, and a file that is wrong changes nothing."""

import collections
import os
import signal
import socket
import threading

import pika

import harness
from authority import Authority
from harness import merge, wait_until
from test_consumer_http import server_tls
from test_consumer_order import SAC, Record, key_of

CALM = {"failures": 100000, "minimum": 100000}


class Load:
    """Publishes to a queue until it is told to stop; all is confirmed."""

    def __init__(self, case, queue, ids):
        self.ids = []
        self._stop = threading.Event()
        self._channel = case.new_channel()
        self._thread = threading.Thread(target=self._run, args=(queue, ids))
        self._thread.start()
        case.addCleanup(self.stop)

    def _run(self, queue, ids):
        for message_id in ids:
            if self._stop.is_set():
                return
            self._channel.basic_publish(
                "", queue, b"", pika.BasicProperties(
                    delivery_mode=2, message_id=message_id), mandatory=True)
            self.ids.append(message_id)

    def stop(self):
        """The ids of all that was published."""
        self._stop.set()
        self._thread.join()
        return self.ids


def numbered(prefix="m"):
    """m-0, m-1, and so on without end."""
    number = 0
    while True:
        yield f"{prefix}-{number}"
        number += 1


class Reload(harness.Case):
    def setUp(self):
        super().setUp()
        self.declare("orders")

    def shop(self, down, **over):
        """A configuration that does not stop for failures."""
        return self.config(down, **merge(
            {"downstreams": {"shop": {"breaker": CALM}},
             "pipelines": {"orders": {"retry": {
                 "first": "50ms", "cap": "200ms", "hold": "1s"}}}}, over))

    def rewrite(self, config):
        """Writes the file, whole at each moment; its path."""
        path = self.write_config(config, "dlo.yaml.new")
        os.rename(path, os.path.join(self.folder, "dlo.yaml"))
        return os.path.join(self.folder, "dlo.yaml")

    def hup(self, consumer, config=None, event="reloaded"):
        """Writes the file, if it is another, and asks for a reload; the line
        that tells what came of it."""
        if config is not None:
            self.rewrite(config)
        since = len(consumer.lines)
        consumer.signal(signal.SIGHUP)
        return consumer.wait_log(event, since=since)

    def assert_each_attempt_once(self, down):
        """The attempts of each message are 1, 2, … and none came twice."""
        numbers = collections.defaultdict(list)
        for request in list(down.requests):
            numbers[request.id].append(request.attempt)
        wrong = {message_id: found for message_id, found in numbers.items()
                 if sorted(found) != list(range(1, len(found) + 1))}
        self.assertEqual(wrong, {})
        return numbers

    def counts(self, line, kind):
        """(added, changed, removed, unchanged) of that kind."""
        return tuple(int(line.fields[f"{kind}_{what}"]) for what in
                     ("added", "changed", "removed", "unchanged"))


class UnderLoad(Reload):
    def test_a_rule_changed_under_load_loses_and_doubles_nothing(self):
        down = self.downstream(
            lambda r: 409 if int(r.id.split("-")[1]) % 3 == 0
            and r.attempt == 1 else 200)
        configs = [self.shop(down, pipelines={"orders": {"retry": {
            "rules": [{"class": "http.409", "then": then}]}}})
            for then in ("retry", "ok")]
        consumer = self.consumer(configs[0])
        load = Load(self, "orders", numbered())
        for turn in range(1, 21):
            down.wait_requests(len(down.requests) + 20)
            line = self.hup(consumer, configs[turn % 2])
            self.assertEqual(self.counts(line, "pipelines"), (0, 1, 0, 0))
        ids = load.stop()
        self.wait_totals("orders", total=0)
        numbers = self.assert_each_attempt_once(down)
        self.assertEqual(set(numbers), set(ids))
        # Both rules were in force, each for a while.
        self.assertEqual({len(numbers[i]) for i in ids
                          if int(i.split("-")[1]) % 3 == 0}, {1, 2})
        self.assertEqual(self.depth("orders.dlq"), 0)
        # No channel was closed for it.
        self.assertEqual(consumer.logged("pipeline", to="idle"), [])

    def test_fifty_times_under_load(self):
        down = self.downstream(lambda r: 503 if r.attempt == 1 else 200)
        other = self.downstream(lambda r: 503 if r.attempt == 1 else 200)
        configs = [
            self.shop(down),
            self.shop(other, pipelines={"orders": {
                "prefetch": 20, "concurrency": 7}}),
            self.shop(down, pipelines={
                "orders": {"dedup": "message_id"},
                "second": {"queue": "second", "downstream": "shop"}}),
        ]
        self.declare("second")
        consumer = self.consumer(configs[0])
        load = Load(self, "orders", numbered())
        for turn in range(1, 51):
            self.rewrite(configs[turn % 3])
            consumer.signal(signal.SIGHUP)
            if turn % 10 == 0:
                seen = len(down.requests) + len(other.requests)
                wait_until(lambda seen=seen: len(down.requests) +
                           len(other.requests) > seen, "more requests")
        # The newest file is in force at last, and there is no queue of them.
        self.publish("second", message_id="s-1")
        down.wait_requests(1, of=lambda r: r.id == "s-1")
        ids = load.stop()
        self.wait_totals("orders", total=0)
        wait_until(lambda: consumer.get("/readyz") == (200, "ready\n"),
                   "ready")
        self.assertLessEqual(len(consumer.logged("reloaded")), 51)
        self.assertEqual(consumer.logged("reload_failed"), [])
        both = self.downstream()
        both.requests = down.requests + other.requests
        numbers = self.assert_each_attempt_once(both)
        self.assertEqual({len(numbers[i]) for i in ids}, {2})

    def test_another_url_loses_and_doubles_nothing(self):
        gate = threading.Event()
        self.addCleanup(gate.set)
        old = self.downstream(lambda r: gate.wait(60) and 200)
        new = self.downstream()
        config = self.shop(old)
        config["pipelines"]["orders"]["concurrency"] = 5
        consumer = self.consumer(config)
        ids = self.publish_many("orders", 20)
        old.wait_requests(5)
        config["downstreams"]["shop"]["http"]["url"] = new.url
        line = self.hup(consumer, config)
        self.assertEqual(self.counts(line, "downstreams"), (0, 1, 0, 0))
        self.assertEqual(self.counts(line, "pipelines"), (0, 0, 0, 1))
        # Five are under way still; with more room there is a sixth.
        config["pipelines"]["orders"]["concurrency"] = 6
        self.hup(consumer, config)
        new.wait_requests(15)
        self.assertEqual(len(old.requests), 5)
        gate.set()
        self.wait_totals("orders", total=0)
        self.assertEqual({**old.attempts(), **new.attempts()},
                         dict.fromkeys(ids, 1))
        self.assertEqual(len(new.requests), 15)

    def test_strict_order_is_kept(self):
        self.channel.queue_delete("orders")
        self.declare("orders", arguments=SAC)
        record = Record(0.3)
        other = Record(0.3, seed=2)
        other.firsts, other.overlaps = record.firsts, record.overlaps
        down, moved = self.downstream(record), self.downstream(other)
        retry = {"attempts": 100, "first": "5ms", "cap": "20ms"}
        # It only grows: each return has all that was returned before.
        configs = [self.shop(down if turn % 2 == 0 else moved, pipelines={
            "orders": {"order": "strict", "prefetch": 20 + turn // 3 * 10,
                       "retry": {**retry, "cap": f"{20 + turn}ms"}}})
            for turn in range(21)]
        consumer = self.consumer(configs[0])
        load = Load(self, "orders", numbered())
        for turn in range(1, 21):
            wait_until(lambda seen=len(record.firsts):
                       len(record.firsts) > seen + 3, "more")
            self.hup(consumer, configs[turn])
        ids = load.stop()
        self.wait_totals("orders", total=0, timeout=90)
        self.assertEqual(record.firsts, ids)
        self.assertEqual(record.overlaps, [])
        self.assertEqual({key_of(i) for i in ids}, {"m"})
        both = self.downstream()
        both.requests = down.requests + moved.requests
        # Waiting in memory, and yet not forgotten.
        self.assert_each_attempt_once(both)


class Roster(Reload):
    def test_pipelines_are_added_changed_moved_and_removed(self):
        down, other = self.downstream(), self.downstream()
        for queue in ("added", "moved", "removed"):
            self.declare(queue)
        config = self.shop(down, pipelines={
            "moved": {"queue": "moved", "downstream": "shop"},
            "removed": {"queue": "removed", "downstream": "shop"}})
        consumer = self.consumer(config)
        config["downstreams"]["other"] = {"http": {"url": other.url}}
        config["pipelines"]["moved"]["downstream"] = "other"
        config["pipelines"]["added"] = {"queue": "added",
                                        "downstream": "other"}
        config["pipelines"]["orders"]["max_body"] = "1k"
        del config["pipelines"]["removed"]
        line = self.hup(consumer, config)
        self.assertEqual(self.counts(line, "pipelines"), (1, 2, 1, 0))
        self.assertEqual(self.counts(line, "downstreams"), (1, 0, 0, 1))
        for queue in ("orders", "added", "moved", "removed"):
            self.publish(queue, message_id=queue)
        self.publish("orders", b"x" * 2000, message_id="large")
        down.wait_requests(1)
        other.wait_requests(2)
        self.wait_totals("orders.dlq", total=1)
        self.assertEqual(down.attempts(), {"orders": 1})
        self.assertEqual(other.attempts(), {"added": 1, "moved": 1})
        self.assertEqual(self.depth("removed"), 1)
        found = self.channel.queue_declare("removed", passive=True).method
        self.assertEqual(found.consumer_count, 0)
        # What is dead goes where the new pipeline's belong.
        self.assertEqual(self.depth("added.dlq"), 0)
        samples = {(name, labels.get("pipeline"))
                   for name, labels, _ in consumer.metrics().samples}
        self.assertNotIn(("dlo_inflight", "removed"), samples)
        self.assertIn(("dlo_inflight", "added"), samples)

    def test_a_removed_pipeline_drains_first(self):
        gate = threading.Event()
        self.addCleanup(gate.set)
        self.declare("removed")
        down = self.downstream(
            lambda r: 503 if r.id == "held" else gate.wait(60) and 200)
        config = self.shop(down, pipelines={"removed": {
            "queue": "removed", "downstream": "shop", "concurrency": 3,
            "retry": {"first": "8s", "cap": "8s", "hold": "1m"}}})
        consumer = self.consumer(config)
        self.publish("removed", message_id="held")
        consumer.wait_log("attempt", id="held", next="hold")
        ids = self.publish_many("removed", 10)
        down.wait_requests(4)
        del config["pipelines"]["removed"]
        since = len(consumer.lines)
        self.hup(consumer, config, "reload_pipeline")
        consumer.wait_log("pipeline", since=since, pipeline="removed",
                          to="giving-back")
        # Asked again meanwhile, it takes what the file says then.
        config["log"] = {"level": "debug"}
        self.hup(consumer, config, "reload_queued")
        config["log"] = {"level": "info", "format": "json"}
        self.hup(consumer, config, "reload_queued")
        self.assertEqual(consumer.logged("reloaded"), [])
        gate.set()
        consumer.wait_log("reloaded", count=2)
        self.assertTrue(consumer.lines[-1].text.startswith("{"))
        self.assertEqual(consumer.logged("delivery"), [])
        # Three were under way, the held one waits on its ladder.
        left = {message.id: message for message in self.take("removed", 8)}
        self.assertEqual(left["held"].headers["dlo-attempt"], 1)
        attempts = down.attempts()
        self.assertEqual(sorted(set(ids) - set(left)),
                         sorted(set(attempts) - {"held"}))
        self.assertEqual(set(attempts.values()), {1})

    def test_a_renamed_pipeline_waits_for_the_former(self):
        gate = threading.Event()
        self.addCleanup(gate.set)
        down = self.downstream(lambda r: gate.wait(60) and 200)
        self.channel.queue_delete("orders")
        self.declare("orders", arguments=SAC)
        config = self.shop(down)
        config["pipelines"]["orders"]["order"] = "strict"
        consumer = self.consumer(config)
        ids = self.publish_many("orders", 10)
        down.wait_requests(1)
        config["pipelines"]["renamed"] = config["pipelines"].pop("orders")
        self.hup(consumer, config, "reload_pipeline")
        wait_until(lambda: consumer.get("/readyz")[0] == 503, "not ready")
        self.assertIn("pipeline renamed: waits until queue orders is free",
                      consumer.get("/readyz")[1])
        gate.set()
        consumer.wait_log("reloaded")
        self.wait_totals("orders", total=0)
        self.assertEqual([r.id for r in down.requests], ids)

    def test_a_missing_queue_ends_nothing(self):
        down = self.downstream()
        config = self.shop(down)
        consumer = self.consumer(config)
        config["pipelines"]["late"] = {"queue": "late", "downstream": "shop"}
        self.hup(consumer, config)
        wait_until(lambda: "pipeline late: the broker refused queue late"
                   in consumer.get("/readyz")[1], "said so")
        self.publish("orders", message_id="1")
        down.wait_requests(1)
        self.declare("late")
        self.publish("late", message_id="2")
        down.wait_requests(2)
        self.wait_ready(consumer)

    def test_it_ends_while_it_reloads(self):
        gate = threading.Event()
        self.addCleanup(gate.set)
        self.declare("removed")
        down = self.downstream(lambda r: gate.wait(60) and 200)
        config = self.shop(down, pipelines={
            "removed": {"queue": "removed", "downstream": "shop"}})
        consumer = self.consumer(config)
        self.publish_many("removed", 3)
        down.wait_requests(3)
        del config["pipelines"]["removed"]
        self.hup(consumer, config, "reload_pipeline")
        consumer.signal(signal.SIGTERM)
        consumer.wait_log("consumer", to="draining")
        # Too late for another.
        consumer.signal(signal.SIGHUP)
        consumer.wait_log("signal", count=2, name="HUP")
        gate.set()
        self.assertEqual(consumer.wait(), 0)
        self.assertEqual(len(consumer.logged("reloading")), 1)
        self.assertEqual(down.attempts(), {"m-0": 1, "m-1": 1, "m-2": 1})
        self.assertEqual(self.depth("removed"), 0)

    def test_before_the_broker_is_there(self):
        down = self.downstream()
        config = self.shop(down, broker={"nodes": ["amqp://127.0.0.1:1"]})
        consumer = self.consumer(config, ready=False)
        wait_until(lambda: consumer.logged("listening"), "started")
        config["pipelines"]["more"] = {"queue": "more", "downstream": "shop"}
        line = self.hup(consumer, config)
        self.assertEqual(self.counts(line, "pipelines"), (1, 0, 0, 1))


class Secrets(Reload):
    def test_a_header_file_that_was_rotated(self):
        path = os.path.join(self.folder, "token")

        def rotate(text):
            with open(path + ".new", "w", encoding="ascii") as file:
                file.write(text + "\n")
            os.rename(path + ".new", path)

        rotate("first")
        down = self.downstream()
        config = self.shop(down)
        config["downstreams"]["shop"]["http"]["headers"] = {
            "Authorization": {"file": path}}
        consumer = self.consumer(config)
        self.publish("orders", message_id="1")
        down.wait_requests(1)
        # The same file is no change.
        self.assertEqual(self.counts(self.hup(consumer), "downstreams"),
                         (0, 0, 0, 1))
        rotate("second")
        self.publish("orders", message_id="2")
        down.wait_requests(2)
        self.assertEqual(self.counts(self.hup(consumer), "downstreams"),
                         (0, 1, 0, 0))
        self.publish("orders", message_id="3")
        down.wait_requests(3)
        self.assertEqual({r.id: r.headers["Authorization"]
                          for r in down.requests},
                         {"1": "first", "2": "first", "3": "second"})
        # It is not to be had: nothing changes.
        os.unlink(path)
        self.hup(consumer, event="reload_failed")
        line = consumer.logged("reload_error")[-1]
        self.assertIn("downstreams.shop.http.headers.Authorization",
                      line.fields["text"])
        self.publish("orders", message_id="4")
        self.assertEqual(down.wait_requests(4)[3].headers["Authorization"],
                         "second")

    def test_a_client_certificate_that_was_renewed(self):
        authority = Authority(self.folder)
        paths = [os.path.join(self.folder, name)
                 for name in ("own.pem", "own.key")]

        def renew(name):
            for made, path in zip(authority.issue(name), paths):
                with open(made, encoding="ascii") as file:
                    pem = file.read()
                with open(path, "w", encoding="ascii") as file:
                    file.write(pem)

        renew("former")
        down = self.downstream(tls=server_tls(
            *authority.issue("server", "IP:127.0.0.1"), authority.ca))
        config = self.shop(down)
        config["downstreams"]["shop"]["http"].update(
            {"ca": authority.ca, "cert": paths[0], "key": paths[1]})
        consumer = self.consumer(config)
        self.publish("orders", message_id="1")
        down.wait_requests(1)
        renew("renewed")
        self.assertEqual(self.counts(self.hup(consumer), "downstreams"),
                         (0, 1, 0, 0))
        self.publish("orders", message_id="2")
        down.wait_requests(2)
        self.assertEqual([r.peer["commonName"] for r in down.requests],
                         ["former", "renewed"])


class Refused(Reload):
    def test_a_broken_file_changes_nothing(self):
        down = self.downstream()
        consumer = self.consumer(self.shop(down))
        path = self.rewrite(
            "downstreams: {shop: {http: {url: 7, tiemout: 5s}}}\n"
            "pipelines:\n"
            "  orders: {queue: orders, downstream: shop, prefetch: 0}\n")
        self.hup(consumer, event="reload_failed")
        said = [line.fields["text"] for line in
                consumer.logged("reload_error")]
        self.assertIn(f"{path}:1:", said[0])
        self.assertTrue(any(
            f'{path}:1:37: downstreams.shop.http.tiemout: unknown key; '
            'did you mean "timeout"?' in text for text in said), said)
        self.assertTrue(any(
            f"{path}:3:55: pipelines.orders.prefetch:" in text
            for text in said), said)
        # Nor does none at all.
        os.unlink(path)
        self.hup(consumer, event="reload_failed")
        self.publish("orders", message_id="1")
        down.wait_requests(1)
        self.assertEqual(consumer.get("/readyz")[0], 200)
        self.assertEqual(consumer.logged("reloaded"), [])

    def test_what_needs_a_restart_is_named_and_nothing_changes(self):
        down = self.downstream(lambda r: 409)
        config = self.shop(down)
        consumer = self.consumer(config)
        wanted = merge(config, {
            "broker": {"vhost": "elsewhere"},
            "topology": {"prefix": "other"},
            "pipelines": {"orders": {
                "queue": "others",
                "retry": {"rules": [{"class": "http", "then": "ok"}]}}}})
        path = self.rewrite(wanted)
        line = self.hup(consumer, event="reload_refused")
        self.assertEqual(line.fields["keys"], "3")
        said = [line.fields["text"] for line in
                consumer.logged("reload_error")]
        for key in ("broker.vhost", "topology.prefix",
                    "pipelines.orders.queue"):
            self.assertTrue(any(
                text.startswith(f"{path}:") and
                f" {key}: has changed, which needs a restart" in text
                for text in said), (key, said))
        # Not even what could have been.
        self.publish("orders", message_id="1")
        self.wait_totals("orders.dlq", total=1)
        self.assertEqual(consumer.logged("reloaded"), [])

    def test_systemd_is_told_whatever_comes_of_it(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            path = os.path.join(self.folder, "notify")
            manager.bind(path)
            manager.settimeout(30)
            config = self.shop(self.downstream())
            consumer = self.consumer(config, env={"NOTIFY_SOCKET": path})
            self.told(manager, "READY=1")
            for wanted, event in ((config, "reloaded"),
                                  ("broken: file\n", "reload_failed"),
                                  (merge(config, {"topology": {
                                      "prefix": "x"}}), "reload_refused")):
                self.hup(consumer, wanted, event)
                said = self.told(manager, "READY=1")
                self.assertRegex(
                    said[0], r"\ARELOADING=1\nMONOTONIC_USEC=[0-9]+\Z")
                self.assertEqual(said[-1], "READY=1")

    def told(self, manager, words):
        """What is said until that, inclusive; but not how it is."""
        said = []
        while words not in said:
            text = manager.recv(4096).decode()
            if not text.startswith("STATUS="):
                said.append(text)
        return said


class Switches(Reload):
    def test_consuming_is_switched_off_and_on(self):
        gate = threading.Event()
        self.addCleanup(gate.set)
        down = self.downstream(lambda r: gate.wait(60) and 200)
        config = self.shop(down)
        config["pipelines"]["orders"]["concurrency"] = 4
        consumer = self.consumer(config)
        ids = self.publish_many("orders", 40)
        down.wait_requests(4)
        self.hup(consumer, merge(config, {"features": {"consume": False}}))
        gate.set()
        consumer.wait_log("pipeline", to="idle")
        self.wait_totals("orders", total=36, ready=36)
        self.assertEqual(len(down.requests), 4)
        self.assertEqual(consumer.get("/readyz"),
                         (200, "ready, but features.consume is off\n"))
        self.hup(consumer, config)
        self.wait_totals("orders", total=0)
        self.assertEqual(set(down.attempts()), set(ids))
        self.assertEqual(consumer.get("/readyz"), (200, "ready\n"))

    def test_retrying_is_switched_off_and_on(self):
        down = self.downstream(lambda r: 503)
        config = self.shop(down)
        config["pipelines"]["orders"]["retry"]["attempts"] = 3
        consumer = self.consumer(config)
        self.hup(consumer, merge(config, {"features": {"retry": False}}))
        self.publish("orders", message_id="off")
        self.wait_totals("orders.dlq", total=1)
        self.hup(consumer, config)
        self.publish("orders", message_id="on")
        self.wait_totals("orders.dlq", total=2)
        self.assertEqual(down.attempts(), {"off": 1, "on": 3})

    def test_a_breaker_keeps_its_state_unless_its_downstream_changed(self):
        state = {"answer": 503}
        down = self.downstream(lambda r: state["answer"])
        config = self.shop(down)
        config["pipelines"]["orders"]["concurrency"] = 1
        config["downstreams"]["shop"]["breaker"] = {
            "failures": 3, "open": "1h", "open_max": "1h"}
        consumer = self.consumer(config)
        self.publish_many("orders", 5)
        consumer.wait_log("breaker", to="open")
        state["answer"] = 200
        before = len(down.requests)
        config["pipelines"]["orders"]["prefetch"] = 99
        self.hup(consumer, config)
        self.assertEqual(consumer.metrics().value(
            "dlo_breaker_state", downstream="shop"), 2)
        self.assertEqual(len(down.requests), before)
        config["downstreams"]["shop"]["breaker"]["failures"] = 4
        self.hup(consumer, config)
        self.wait_totals("orders", total=0)
        self.assertEqual(consumer.metrics().value(
            "dlo_breaker_state", downstream="shop"), 0)
