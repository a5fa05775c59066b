# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""Redrive jobs in the broker: who is active, what outlives whom."""

import hashlib
import json
import random
import signal

import pika

import harness
from event_ear import Ear
from program import Program
from redrive_case import RedriveCase, numbered

# Copies under way at once, and acks that the broker has not read yet.
TWICE_PER_KILL = 1024


class JobsCase(RedriveCase):
    """Daemons that share the jobs of one broker, each on its own socket."""

    def daemon_config(self, downstream=None, **redrive):
        redrive.setdefault("when", [])
        config = self.redrive_config(downstream, **redrive)
        # So long may the broker take to notice that one is lost.
        config["broker"]["heartbeat"] = "2s"
        return config

    def daemon(self, config, name="a", **more):
        listen = f"unix:{self.folder}/{name}.sock"
        return self.redrive(self.write_config(config), "--listen", listen,
                            listen=listen, **more)

    def request(self, body, **properties):
        """Publishes a request to dlo.control."""
        properties.setdefault("content_type", "application/json")
        self.publish("jobs", body if isinstance(body, bytes)
                     else json.dumps(body).encode(),
                     exchange="dlo.control", **properties)

    def wait_audit(self, done):
        """Reads the audit from its beginning until `done(entries)`, which is
        asked after each one; the entries."""
        channel = self.new_channel(confirms=False)
        channel.basic_qos(prefetch_count=100)
        entries = []
        for method, _, body in channel.consume(
                "dlo.audit", arguments={"x-stream-offset": "first"},
                inactivity_timeout=harness.TIMEOUT_S):
            self.assertIsNotNone(method, f"not in time: {entries[-5:]}")
            channel.basic_ack(method.delivery_tag)
            entries.append((body, json.loads(body)))
            if done([entry for _, entry in entries]):
                break
        self.assert_chain(entries)
        channel.connection.close()
        return [entry for _, entry in entries if "prev" in entry]

    def assert_chain(self, entries):
        last = ""
        for body, entry in entries:
            if "prev" in entry:
                self.assertEqual(entry["prev"], last, body)
                last = hashlib.sha256(body).hexdigest()

    def wait_ended(self, job):
        """The audit's entry of the end of that job."""
        return [entry for entry in self.wait_audit(
            lambda entries: entries[-1].get("what") == "job_ended"
            and entries[-1]["job"] == job)][-1]

    def assert_moved(self, ids, kills=0):
        """All are in the work queue, and not too many of them twice."""
        moved = self.ids_in("orders")
        self.assertEqual(set(moved), set(ids))
        self.assertEqual(self.depth("orders.dlq"), 0)
        self.assertLessEqual(len(moved) - len(ids), kills * TWICE_PER_KILL)
        return moved


    def kill_again_and_again(self, ids, kills, rate, chance):
        """One job on `ids`, and the active one of two daemons killed -9 while
        it runs, `kills` times; the job and all daemons there were."""
        config = self.daemon_config(rate=rate)
        daemons = {name: self.daemon(config, name) for name in "ab"}
        self.request({"pipeline": "orders"}, message_id="the-one")
        job = harness.wait_until(
            lambda: [line.fields["job"] for daemon in daemons.values()
                     for line in daemon.logged("job_started")], "a job")[0]
        killed = []
        for _ in range(kills):
            name = harness.wait_until(
                lambda: [name for name, daemon in daemons.items()
                         if daemon.logged("active")], "an active one")[0]
            goal = min(self.depth("orders") + chance.randrange(rate // 2),
                       len(ids))
            harness.wait_until(lambda: self.depth("orders") >= goal,
                               "some more moved", every=0.01)
            daemons[name].kill9()
            killed.append(daemons[name])
            daemons[name] = self.daemon(config, name)
        return job, killed + list(daemons.values())


class Standby(JobsCase):
    def test_the_second_one_stands_by(self):
        down = self.downstream()
        config = self.daemon_config(down, when=["healthy"])
        first = self.daemon(config, "a")
        first.wait_log("active")
        second = self.daemon(config, "b")
        self.assertEqual(first.get("/readyz"), (200, "ready\n"))
        self.assertEqual(second.get("/readyz"), (200, "standby\n"))
        self.assertEqual(first.metrics().value("dlo_active"), 1)
        self.assertEqual(second.metrics().value("dlo_active"), 0)
        second.wait_log("probe", to="healthy")
        # Its triggers do not fire, its probing stays.
        first.wait_log("job_ended")
        down.wait_requests(len(down.requests) + 10)
        self.assertEqual(second.logged("job_created"), [])
        first.kill9()
        second.wait_log("active")
        self.assertEqual(second.metrics().value("dlo_active"), 1)
        self.assertEqual(second.get("/readyz"), (200, "ready\n"))

    def test_a_drained_one_hands_its_job_over(self):
        ids = self.bury(numbered(300))
        config = self.daemon_config(rate=100)
        first = self.daemon(config, "a")
        first.wait_log("active")
        second = self.daemon(config, "b")
        self.request({"pipeline": "orders"})
        job = first.wait_log("job_created").fields["job"]
        harness.wait_until(lambda: self.depth("orders") >= 20, "some moved")
        self.assertEqual(first.terminate(), 0)
        second.wait_log("job_ended", job=job, end="complete")
        self.assertEqual(self.assert_moved(ids), ids)
        ended = self.wait_ended(job)
        self.assertEqual(ended["state"]["redriven"], 300)

    def test_kills_at_any_moment(self):
        """Two daemons, one is killed again and again; the job goes on with
        its id, its snapshot and its counters."""
        ids = self.bury(numbered(5000))
        job, logs = self.kill_again_and_again(ids, 20, 250, random.Random(1))
        ended = self.wait_ended(job)
        self.assertEqual({line.fields["job"] for log in logs
                          for line in log.logged("job_started")}, {job})
        self.assertEqual(ended["state"]["end"], "complete")
        self.assert_moved(ids, 20)

    def test_one_that_hangs_is_harmless_when_it_wakes(self):
        ids = self.bury(numbered(600))
        config = self.daemon_config(rate=60)
        first = self.daemon(config, "a")
        first.wait_log("active")
        second = self.daemon(config, "b")
        self.request({"pipeline": "orders"})
        job = first.wait_log("job_started").fields["job"]
        harness.wait_until(lambda: self.depth("orders") >= 20, "some moved")
        first.signal(signal.SIGSTOP)
        try:
            second.wait_log("active")
            second.wait_log("job_started", job=job)
            moved = self.depth("orders")
            harness.wait_until(lambda: self.depth("orders") >= moved + 60,
                               "the next one moves")
        finally:
            first.signal(signal.SIGCONT)
        first.wait_log("no_longer_active")
        first.wait_log("jobs_channel_lost")
        second.wait_log("job_ended", job=job, end="complete")
        self.wait_ended(job)
        self.assert_moved(ids, 1)
        self.assertEqual(len(first.logged("job_started")), 1)
        harness.wait_until(lambda: first.get("/readyz") == (200, "standby\n"),
                           "the first one stands by")

    def test_jobs_queue_deleted(self):
        config = self.daemon_config()
        daemon = self.daemon(config)
        daemon.wait_log("active")
        self.channel.queue_delete("dlo.jobs")
        daemon.wait_log("active", count=2)
        self.bury(["one"])
        self.request({"pipeline": "orders"})
        daemon.wait_log("job_ended", redriven=1)


class Requests(JobsCase):
    def test_a_request_makes_one_job(self):
        ids = self.bury(numbered(10))
        config = self.daemon_config()
        daemon = self.daemon(config)
        for _ in range(3):
            self.request({"pipeline": "orders", "filter": {
                "reason": "attempts_exhausted", "older_than": "1m"}},
                message_id="mine", user_id="guest")
        job = daemon.wait_log("job_ended", end="complete",
                              redriven=10).fields["job"]
        self.assertEqual(self.ids_in("orders"), ids)
        # The same after it has ended, and for the next daemon.
        daemon.kill9()
        self.wait_totals("dlo.jobs", unacked=0)
        self.bury(["later"])
        daemon = self.daemon(config)
        self.request({"pipeline": "orders"}, message_id="mine")
        self.request({"pipeline": "orders"}, message_id="another")
        other = daemon.wait_log("job_created").fields
        self.assertEqual(other["request"], "another")
        daemon.wait_log("job_ended", redriven=1)
        entries = self.wait_audit(
            lambda entries: entries[-1].get("what") == "job_ended"
            and entries[-1]["job"] == other["job"])
        started = [entry for entry in entries
                   if entry["what"] == "job_started"]
        self.assertEqual([entry["job"] for entry in started],
                         [job, other["job"]])
        self.assertEqual(started[0]["who"], "guest")
        self.assertEqual(started[0]["from"], "dlo.control")
        self.assertEqual(started[0]["state"]["request"], "mine")

    def test_pause_resume_and_cancel_outlive_a_kill(self):
        self.bury(numbered(400))
        config = self.daemon_config(rate=50)
        daemon = self.daemon(config)
        self.request({"pipeline": "orders"})
        job = daemon.wait_log("job_started").fields["job"]
        harness.wait_until(lambda: self.depth("orders") >= 10, "some moved")
        self.request({"pipeline": "orders"})
        daemon.wait_log("request_refused", code="busy",
                        why=f"already running: job {job}")
        self.request({"job": job, "do": "pause"})
        daemon.wait_log("job_paused")
        self.wait_audit(lambda entries: entries[-1].get("what")
                        == "job_paused")
        daemon.kill9()
        self.wait_totals("dlo.jobs", unacked=0)
        daemon = self.daemon(config)
        daemon.wait_log("active", jobs=1)
        moved = self.depth("orders")
        self.request({"job": job, "do": "resume"})
        daemon.wait_log("job_started", job=job)
        harness.wait_until(lambda: self.depth("orders") >= moved + 10,
                           "more moved")
        self.request({"job": job, "do": "cancel"})
        daemon.wait_log("job_ended", job=job, end="cancelled")
        ended = self.wait_ended(job)["state"]
        self.assertEqual(ended["end"], "cancelled")
        moved = self.ids_in("orders")
        self.wait_depth("orders.dlq", 400 - len(set(moved)))
        for verb in ("pause", "resume", "cancel"):
            self.request({"job": job, "do": verb})
        daemon.wait_log("request_refused", code="too_late", count=3)

    def test_what_becomes_of_a_job_is_told(self):
        self.bury(numbered(30))
        daemon = self.daemon(self.daemon_config(rate=5))
        daemon.wait_log("active")
        ear = Ear(self, "job.*")
        self.request({"pipeline": "orders"}, message_id="the-one",
                     user_id="guest")
        self.assertEqual(ear.wait(state="queued")[0]["who"], "guest")
        # It takes six seconds: long enough to be told how far it is.
        running = ear.wait(2, state="running", timeout=20)
        self.assertGreater(running[-1]["moved"], 0)
        self.assertLess(running[-1]["progress"], 1)
        ended = ear.wait(state="ended")
        self.assertEqual([(e["end"], e["moved"], e["progress"])
                          for e in ended], [("complete", 30, 1)])
        self.assertEqual({e["job"] for e in ear.events}, {ended[0]["job"]})
        sent = daemon.metrics().value("dlo_events_total", event="job",
                                      result="sent")
        self.assertEqual(sent, len(ear.events))

    def test_redriving_is_turned_off_for_all(self):
        self.bury(numbered(300))
        config = self.daemon_config(rate=50)
        daemon = self.daemon(config)
        self.request({"pipeline": "orders"})
        daemon.wait_log("job_started")
        self.request({"feature": "redrive", "on": False})
        daemon.wait_log("job_paused", why="redriving is turned off")
        daemon.kill9()
        self.wait_totals("dlo.jobs", unacked=0)
        daemon = self.daemon(config)
        daemon.wait_log("active")
        self.request({"feature": "redrive", "on": True})
        daemon.wait_log("job_started")
        self.request({"feature": "redrive", "on": False})
        daemon.wait_log("job_paused")
        self.request({"feature": "nonsense", "on": False})
        daemon.wait_log("request_refused", code="invalid")

    def test_nonsense_is_acked_away(self):
        config = self.daemon_config()
        daemon = self.daemon(config)
        daemon.wait_log("active")
        deep = b'{"a":' * 3000 + b"1" + b"}" * 3000
        state = {"v": 1, "kind": "state", "key": "job/000000000000",
                 "epoch": 9, "version": 9, "writer": "eve", "ended_at": 0,
                 "data": {"id": "000000000000", "pipeline": "orders"}}
        for body in (b"", b"\xff\xfe", b"{", b"[1]", deep,
                     b'"' + b"x" * 300000 + b'"', {"kind": "state"}, state,
                     {"v": 1, "kind": "hello", "writer": "eve"},
                     {**state, "kind": 7}):
            self.request(body)
        daemon.wait_log("jobs_message_refused", count=10)
        for body in ({}, {"pipeline": "nobody"}, {"pipeline": 7},
                     {"pipeline": "orders", "nonsense": 1},
                     {"pipeline": "orders", "rate": -1},
                     {"pipeline": "orders", "action": "explode"},
                     {"pipeline": "orders", "filter": {"reason": "boredom"}},
                     {"pipeline": "orders", "filter": []},
                     {"job": "x", "do": "pause"}, {"job": 1, "do": 1}):
            self.request(body)
        daemon.wait_log("request_refused", count=10)
        self.assertEqual(daemon.logged("job_created"), [])
        # Only the lease is left; one that is of us, but unreadable, ends.
        self.wait_totals("dlo.jobs", total=1, unacked=1)
        self.request(state, user_id="guest")
        daemon.wait_log("job_unreadable", key="job/000000000000")

    def test_another_user_forges_nothing(self):
        """One who may publish to dlo.control, and is nobody to us."""
        self.bury(numbered(100))
        config = self.daemon_config(rate=20)
        daemon = self.daemon(config)
        self.request({"pipeline": "orders"})
        job = daemon.wait_log("job_started").fields["job"]
        user = self.broker.user_new("secret")
        self.addCleanup(self.broker.user_delete, user)
        self.broker.allow(self.vhost, user, "^$", "^dlo.control$", "^$")
        eve = self.new_channel(user=user, password="secret")
        eve.basic_publish("dlo.control", "jobs", json.dumps({
            "v": 1, "kind": "state", "key": f"job/{job}", "epoch": 99,
            "version": 99, "writer": "eve", "ended_at": 1,
            "data": {"id": job, "state": "ended"}}).encode(),
            pika.BasicProperties(user_id=user), mandatory=True)
        daemon.wait_log("jobs_message_refused", user=user)
        # What it asks for is its own wish.
        eve.basic_publish("dlo.control", "jobs", json.dumps({
            "job": job, "do": "cancel", "who": "guest",
            "from": "api"}).encode(), pika.BasicProperties(user_id=user),
            mandatory=True)
        daemon.wait_log("job_operated", who=user, verb="cancel",
                        **{"from": "dlo.control"})
        daemon.wait_log("job_ended", end="cancelled")


class Once(JobsCase):
    """--once beside daemons."""

    def start_once(self, config, *args):
        program = Program("dlo-redrive", "-c", self.write_config(config),
                          "--once", *args)
        self.addCleanup(program.finish)
        return program

    def test_the_daemon_does_it(self):
        ids = self.bury(numbered(20), lambda number:
                        "deadline" if number % 2 else "rejected")
        config = self.daemon_config()
        daemon = self.daemon(config)
        daemon.wait_log("active")
        once = self.start_once(config, "--dry-run")
        self.assertEqual(once.wait(), 0)
        self.assertIn("dry run: would redrive 10 in about 1s, 10 left "
                      "(10 not asked for)\n", once.stdout)
        self.assertIn("10  deadline                http.503\n", once.stdout)
        once = self.start_once(config)
        self.assertEqual(once.wait(), 0, once.stderr)
        self.assertEqual(once.stdout, "orders: complete: 10 redriven, 10 "
                         "left (10 not asked for)\n")
        self.assertEqual(once.logged("job_started"), [])
        self.assertEqual(self.ids_in("orders"), ids[1::2])
        line = daemon.wait_log("job_created", count=2).fields
        self.assertEqual((line["trigger"], line["who"]), ("once", "guest"))
        once = self.start_once(config, "--reason", "rejected")
        self.assertEqual(once.wait(), 0)
        self.assertIn("complete: 10 redriven", once.stdout)
        self.assertEqual(self.ids_in("orders"), ids[0::2])
        once = self.start_once(config)
        self.assertEqual(once.wait(), 0)
        self.assertEqual(once.stdout,
                         "orders: nothing to do: orders.dlq is empty\n")

    def test_a_pipeline_that_is_busy(self):
        self.bury(numbered(200))
        config = self.daemon_config(rate=20)
        daemon = self.daemon(config)
        self.request({"pipeline": "orders"})
        job = daemon.wait_log("job_started").fields["job"]
        once = self.start_once(config)
        self.assertEqual(once.wait(), 2)
        self.assertEqual(once.stdout, "orders: nothing moved: already "
                         f"running: job {job}\n")
        self.request({"feature": "redrive", "on": False})
        self.request({"job": job, "do": "cancel"})
        daemon.wait_log("job_ended")
        once = self.start_once(config)
        self.assertEqual(once.wait(), 2)
        self.assertIn("redriving is turned off", once.stdout)

    def test_a_daemon_that_comes_takes_over(self):
        ids = self.bury(numbered(400))
        config = self.daemon_config(rate=50)
        once = self.start_once(config)
        harness.wait_until(lambda: self.depth("orders") >= 20, "some moved")
        daemon = self.daemon(config)
        once.wait_log("job_handed_over")
        self.assertEqual(once.wait(), 0, once.stderr)
        self.assertIn("orders: complete: 400 redriven\n", once.stdout)
        there = int(daemon.logged("job_ended")[0].fields["redriven"])
        here = int(once.logged("job_ended")[0].fields["redriven"])
        self.assertEqual(there + here, 400)
        self.assertGreater(there, 200)
        self.assertEqual(sorted(self.ids_in("orders")), sorted(ids))

    def test_the_daemon_dies_and_the_next_one_ends_it(self):
        ids = self.bury(numbered(300))
        config = self.daemon_config(rate=60)
        first = self.daemon(config, "a")
        first.wait_log("active")
        second = self.daemon(config, "b")
        once = self.start_once(config)
        harness.wait_until(lambda: self.depth("orders") >= 20, "some moved")
        first.kill9()
        self.assertEqual(once.wait(), 0, once.stderr)
        self.assertIn("orders: complete: ", once.stdout)
        self.assertEqual(len(second.logged("job_ended")), 1)
        self.assert_moved(ids, 1)

    def test_a_stop_leaves_it_to_the_daemon(self):
        ids = self.bury(numbered(200))
        config = self.daemon_config(rate=50)
        daemon = self.daemon(config)
        daemon.wait_log("active")
        once = self.start_once(config)
        daemon.wait_log("job_started")
        self.assertEqual(once.terminate(), 2)
        self.assertIn("stopped; the daemon goes on with it", once.stdout)
        daemon.wait_log("job_ended", end="complete")
        self.assertEqual(self.ids_in("orders"), ids)


class Rights(JobsCase):
    def test_the_least_rights_suffice(self):
        """Jobs, verdicts and audit too."""
        self.redrive_once(self.redrive_config())
        self.bury(["a"])
        user = self.broker.user_new("secret")
        self.addCleanup(self.broker.user_delete, user)
        self.broker.allow(
            self.vhost, user, "^$",
            r"^dlo\.(redrive|dead|control|events)$",
            r"^(orders\.(dlq|parked|archive)|dlo\.(jobs|verdicts|audit))$")
        config = self.daemon_config()
        config["topology"] = {"declare": False}
        config["redrive"]["broker"] = {"user": user, "password": "secret"}
        daemon = self.daemon(config)
        self.request({"pipeline": "orders"})
        job = daemon.wait_log("job_ended", redriven=1).fields["job"]
        self.wait_ended(job)

    def test_no_right_to_publish_jobs(self):
        self.redrive_once(self.redrive_config())
        user = self.broker.user_new("secret")
        self.addCleanup(self.broker.user_delete, user)
        self.broker.allow(self.vhost, user, "^$", r"^dlo\.(redrive|dead)$",
                          ".*")
        config = self.daemon_config()
        config["topology"] = {"declare": False}
        config["redrive"]["broker"] = {"user": user, "password": "secret"}
        program = Program("dlo-redrive", "-c", self.write_config(config))
        self.assertEqual(program.wait(), 77)
        program.wait_log("start_failed", what="dlo.control")
