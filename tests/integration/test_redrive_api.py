# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""The control API and the verbs of dlo that use it, judged by what an
independent client finds in the queues afterwards."""

import json
import os
import pty
import random
import socket
import subprocess

import harness
from api_case import ApiCase
from program import BIN, program_env, run_program
from redrive_case import numbered

TOKEN = "not-to-be-guessed"


class Looks(ApiCase):
    def test_api_groups_and_peek_leave_all_as_it_was(self):
        self.office()
        ids = self.bury(numbered(30), reason=lambda n:
                        "rejected" if n % 3 == 0 else "deadline")
        groups = self.ask("groups", "orders")["groups"]
        self.assertEqual([(g["reason"], g["class"], g["count"])
                          for g in groups],
                         [("deadline", "http.503", 20),
                          ("rejected", "http.503", 10)])
        self.assertEqual(groups[0]["error"], "the shop is closed")
        said = self.ask("peek", "orders", "--reason", "rejected",
                        "--limit", "3", "--body")
        self.assertEqual([m["id"] for m in said["messages"]],
                         ["m-0", "m-3", "m-6"])
        self.assertEqual(said["messages"][0]["body"], "body")
        self.assertEqual(said["messages"][0]["routing_key"], "order.new")
        self.assertIn("the shop is closed", self.dlo("groups", "orders"))
        self.assertIn("m-29", self.dlo("peek", "orders", "--limit", "40"))
        self.assertIn("No dead letter matches",
                      self.dlo("peek", "orders", "--id", "other"))
        self.assert_as_before(ids)

    def test_api_export_has_everything(self):
        self.office()
        ids = self.bury(numbered(300), headers={"n": 7, "b": b"\xff\x00"},
                        body=b"\xfe\xff", priority=3)
        code, out, err = run_program("dlo", "-c", self.path, "export",
                                     "orders")
        self.assertEqual((code, err), (0, "300 exported\n"))
        letters = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([letter["id"] for letter in letters], ids)
        self.assertEqual(letters[0]["body_base64"], "/v8=")
        self.assertEqual(letters[0]["properties"]["priority"], 3)
        headers = {h["name"]: h for h in letters[0]["headers"]}
        self.assertEqual(headers["dlo-attempt"]["value"], 6)
        self.assertIn("n", headers)
        self.assert_as_before(ids)

    def test_api_groups_are_told_as_they_come(self):
        self.office()
        self.bury(numbered(12000))
        self.ask("groups", "orders")  # from now on the broker takes longer
        client = self.connect_raw()
        client.sendall(b"GET /v1/pipelines/orders/groups?lines=true HTTP/1.0"
                       b"\r\nHost: localhost\r\n\r\n")
        answer = b""
        while part := client.recv(65536):
            answer += part
        lines = [json.loads(line) for line in
                 answer.partition(b"\r\n\r\n")[2].splitlines()]
        self.assertTrue(lines[-1]["end"])
        self.assertEqual(lines[-1]["groups"][0]["count"], 12000)
        for line in lines[:-1]:
            self.assertEqual(line["of"], 12000)
            self.assertEqual(line["groups"][0]["count"], line["seen"])
        # On a terminal the draft gives way to the whole.
        shown = self.on_a_terminal("groups", "orders")
        self.assertEqual(shown.count("COUNT"), shown.count("\033[J") + 1)
        self.assertIn("12000  attempts_exhausted", shown.split("\033[J")[-1])

    def on_a_terminal(self, *args):
        """What a verb shows there."""
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        with subprocess.Popen([os.path.join(BIN, "dlo"), "-c", self.path,
                               *args], stdout=theirs, stderr=theirs,
                              env=program_env()) as program:
            os.close(theirs)
            shown = b""
            try:
                while part := os.read(ours, 65536):
                    shown += part
            except OSError:  # it has ended
                pass
        self.assertEqual(program.returncode, 0, shown)
        return shown.decode()

    def test_api_looks_in_any_sequence_keep_the_order(self):
        """Right after each other, while the broker still puts back what was
        given back."""
        self.office()
        chance = random.Random(1)
        ids = self.bury(numbered(600))
        for number in range(40):
            kind = chance.randrange(8)
            if kind == 0:
                self.assertEqual(self.ask("groups", "orders")["count"],
                                 len(ids))
            elif kind == 1:
                ids += self.bury([f"late-{number}-{n}" for n in range(50)],
                                 before=len(ids))
            elif kind == 2:
                self.ask("peek", "orders", "--id", chance.choice(ids))
            else:
                limit = chance.choice((1, 3, 20, 255, 256, 257, 300))
                shown = self.ask("peek", "orders", "--limit", str(limit))
                self.assertEqual([m["id"] for m in shown["messages"]],
                                 ids[:limit])
        self.assert_as_before(ids)

    def test_api_the_parked_and_the_archive_can_be_looked_at(self):
        self.office()
        ids = self.bury(numbered(4))
        self.dlo("park", "orders", "--id", "m-1", "--wait")
        self.dlo("delete", "orders", "--id", "m-2", "--id", "m-3", "--wait")
        for flags, expected in ((["--parked"], ids[1:2]),
                                (["--archive"], ids[2:]), ([], ids[:1])):
            shown = self.ask("peek", "orders", *flags)["messages"]
            self.assertEqual([m["id"] for m in shown], expected)
            self.assertEqual(self.ask("groups", "orders", *flags)["count"],
                             len(expected))
            _, lines, _ = run_program("dlo", "-c", self.path, "export",
                                      "orders", *flags)
            self.assertEqual([json.loads(line)["id"]
                              for line in lines.splitlines()], expected)
        self.assertIn("once, is enough", self.dlo(
            "peek", "orders", "--parked", "--archive", code=64))

    def test_api_a_term_waits_for_a_look(self):
        daemon = self.office()
        ids = self.bury(numbered(12000))
        for _ in range(4):
            self.ask("peek", "orders", "--limit", "1")
            self.assertEqual(daemon.terminate(), 0)
            daemon = self.office()
        self.assertEqual(daemon.terminate(), 0)
        self.assert_as_before(ids)

    def test_api_a_job_gives_way_to_a_look(self):
        self.office(rate=20)
        ids = self.bury(numbered(100), reason=lambda n:
                        "rejected" if n % 2 else "deadline")
        job = self.ask("redrive", "orders", "--reason", "deadline")["id"]
        harness.wait_until(lambda: self.depth("orders") >= 5, "some moved")
        groups = self.ask("groups", "orders")
        moved = 100 - groups["count"]
        self.assertTrue(groups["complete"])
        self.assertGreaterEqual(moved, 5)
        # While it still makes room, it makes room for one more.
        harness.wait_until(lambda: self.depth("orders") > moved,
                           "it moves again")
        self.assertIn("gave way", self.dlo("peek", "orders", code=1))
        # One that stands still has nothing to lose by it.
        self.dlo("pause", job)
        self.ask("peek", "orders")
        self.assertEqual(self.ask("groups", "orders")["count"],
                         100 - self.depth("orders"))
        self.dlo("resume", job)
        harness.wait_until(lambda: self.ask("job", job)["state"] == "ended",
                           "it goes on to its end", every=0.2)
        self.assertEqual(self.ask("job", job)["redriven"], 50)
        self.assertEqual(sorted(self.ids_in("orders")), sorted(ids[::2]))
        self.assert_as_before(ids[1::2])

    def test_api_looks_wait_for_each_other(self):
        daemon = self.office()
        ids = self.bury(numbered(200))
        clients = [self.connect_raw() for _ in range(8)]
        for client in clients:
            client.sendall(b"GET /v1/pipelines/orders/groups HTTP/1.0\r\n"
                           b"Host: localhost\r\n\r\n")
        for client in clients:
            answer = b""
            while part := client.recv(65536):
                answer += part
            self.assertIn(b'"count":200', answer)
            client.close()
        self.assertTrue(daemon.alive())
        self.assert_as_before(ids)

    def test_api_status_at_a_glance(self):
        self.office()
        self.bury(numbered(5))
        harness.wait_until(
            lambda: self.ask("status")["pipelines"][0]["dead"] == 5,
            "it has counted", every=0.5)
        status = self.ask("status")
        self.assertEqual(status["role"], "active")
        pipeline = status["pipelines"][0]
        self.assertEqual((pipeline["name"], pipeline["healthy"],
                          pipeline["job"]), ("orders", True, None))
        self.assertRegex(self.dlo("status"), r"(?m)^orders +5 ")


class Mail(ApiCase):
    def export(self, *args):
        code, out, err = run_program("dlo", "-c", self.path, "export",
                                     "orders", *args)
        self.assertEqual(code, 0, err)
        return out

    @staticmethod
    def letters(exported):
        """What was exported; our own numbers are as wide as we make them,
        which these here were not."""
        letters = [json.loads(line) for line in exported.splitlines()]
        for letter in letters:
            letter["headers"] = sorted(
                (h["name"], h["type"] if h["type"] not in "Il"
                 or not h["name"].startswith("dlo-") else "l",
                 json.dumps(h.get("value")))
                for h in letter["headers"])
        return letters

    def test_api_import_gives_back_what_was_exported(self):
        self.office()
        ids = self.bury(numbered(50), headers={
            "n": -7, "text": "\u00e4", "yes": True, "list": [1, "two"],
            "table": {"deep": {"er": 5}}, "none": None},
            body=b"\xfe\xff\x00", priority=3, content_type="x/y",
            app_id="shop", timestamp=1700000000)
        before = self.export()
        self.dlo("delete", "orders", "--all", "--wait")
        self.wait_depth("orders.dlq", 0)
        self.assertEqual(self.dlo_fed(before, "import", "orders"),
                         (0, "50 imported\n"))
        self.wait_depth("orders.dlq", 50)
        after = self.export()
        self.assertEqual(self.letters(after), self.letters(before))
        self.assert_as_before(ids)

    def test_api_import_takes_all_or_nothing_of_rubbish(self):
        self.office()
        self.bury(numbered(1))
        good = self.export()
        for bad, code in ((good + "{", 64), (good + "[]\n", 64),
                          (good + "{}\n", 64),
                          (good.replace('"body":', '"boody":'), 64)):
            ended, said = self.dlo_fed(bad, "import", "orders")
            self.assertEqual(ended, code, said)
        self.assert_as_before(["m-0"])

    def test_api_nobody_forges_headers_by_an_import(self):
        """What a stranger's letter says of itself stays unbelieved."""
        self.office()
        self.bury(["m-0"])
        letter = json.loads(self.export())
        letter["properties"]["user_id"] = "stranger"
        code, said = self.dlo_fed(json.dumps(letter) + "\n", "import",
                                  "orders")
        self.assertEqual(code, 0, said)
        self.wait_depth("orders.dlq", 2)
        messages = self.empty("orders.dlq")
        self.assertEqual(messages[1].headers.get("dlo-attempt"), 0)
        self.assertNotIn("dlo-error", messages[1].headers)

    def test_api_edit_redrives_the_copy_and_archives_the_original(self):
        self.office()
        ids = self.bury(numbered(3))
        env = self.mending()
        code, said = self.dlo_fed("", "edit", "orders", "--id", "m-1",
                                  env=env)
        self.assertEqual(code, 0, said)
        self.wait_depth("orders.archive", 1)
        copies = self.empty("orders")
        self.assertEqual([m.body for m in copies], [b"mended"])
        self.assertTrue(copies[0].headers["dlo-id"].startswith("m-1/edit-"))
        self.assertEqual(copies[0].headers["dlo-redrives"], 1)
        self.assertEqual(self.ids_in("orders.archive"), ["m-1"])
        # Where the original could not follow, no copy goes.
        self.dlo("feature", "redrive", "off")
        harness.wait_until(lambda: self.ask("status")["redrive"] is False,
                           "it is off", every=0.2)
        code, said = self.dlo_fed("", "edit", "orders", "--id", "m-0",
                                  env=env)
        self.assertEqual(code, 1, said)
        self.assertIn("nothing is moved", said)
        self.assertIn("your edit is in " + self.folder, said)
        self.assertEqual(self.depth("orders"), 0)
        self.dlo("feature", "redrive", "on")
        # Nothing edited, nothing done.
        code, said = self.dlo_fed("", "edit", "orders", "--id", "m-9",
                                  env={**env, "EDITOR": "true"})
        self.assertEqual(code, 1, said)
        self.assert_as_before([ids[0], ids[2]])


class Moves(ApiCase):
    def test_api_redrive_what_matches(self):
        self.office()
        self.bury(numbered(20), reason=lambda n:
                  "rejected" if n % 2 else "deadline")
        # The broker may not have counted yet what this gives back.
        self.ask("groups", "orders")
        out = self.dlo("redrive", "orders", "--reason", "deadline", "--wait")
        self.assertIn("complete", out)
        self.assertIn("10 redriven", out)
        self.assertEqual(self.ids_in("orders"),
                         [f"m-{n}" for n in range(0, 20, 2)])
        self.assertEqual(self.ask("status")["pipelines"][0]["dead"], 10)
        self.assert_as_before([f"m-{n}" for n in range(1, 20, 2)])
        jobs = self.ask("jobs")["jobs"]
        self.assertEqual([(j["action"], j["state"], j["end"], j["redriven"])
                          for j in jobs],
                         [("redrive", "ended", "complete", 10)])
        self.assertIn("uid ", jobs[0]["who"])
        self.assertIn(jobs[0]["id"], self.dlo("jobs"))
        self.assertRegex(self.dlo("job", jobs[0]["id"]),
                         r"(?s)state +complete.*started +20.*ended +20")

    def test_api_delete_and_restore_undo_each_other(self):
        self.office()
        ids = self.bury(numbered(10))
        self.assertIn(": complete: 2 deleted\n",
                      self.dlo("delete", "orders", "--id", "m-3",
                               "--id", "m-4", "--wait"))
        self.wait_depth("orders.archive", 2)
        self.wait_depth("orders.dlq", 8)
        self.assertIn(": complete: 2 restored\n",
                      self.dlo("restore", "orders", "--all", "--wait"))
        self.wait_depth("orders.archive", 0)
        self.wait_depth("orders.dlq", 10)
        self.dlo("park", "orders", "--id", "m-3", "--wait")
        self.wait_depth("orders.parked", 1)
        self.assertIn(": complete: 1 unparked\n",
                      self.dlo("unpark", "orders", "--all", "--wait"))
        self.wait_depth("orders.dlq", 10)
        self.assertEqual(set(self.ids_in("orders.dlq")), set(ids))

    def test_api_status_counts_before_it_answers(self):
        self.office()
        self.bury(numbered(10))
        for verb, counts in (("delete", (0, 0, 10)), ("restore", (10, 0, 0)),
                             ("park", (0, 10, 0)), ("unpark", (10, 0, 0))):
            self.dlo(verb, "orders", "--all", "--wait")
            pipeline = self.ask("status")["pipelines"][0]
            self.assertEqual(tuple(pipeline[key] for key in
                                   ("dead", "parked", "archived")), counts)

    def test_api_dry_run_moves_nothing(self):
        self.office()
        ids = self.bury(numbered(10))
        job = self.ask("redrive", "orders", "--all", "--dry-run")
        self.assertEqual((job["end"], job["redriven"]), ("complete", 0))
        self.assertEqual(sum(g["count"] for g in job["groups"]), 10)
        out = self.dlo("redrive", "orders", "--all", "--dry-run")
        self.assertRegex(out, r"^10 would be moved, in about .*\n"
                         r" +10  attempts_exhausted  http\.503\n$")
        self.assertEqual(self.dlo("jobs").count("  dry run  "), 2)
        self.assertRegex(self.dlo("audit"), r"(?m)complete, dry run$")
        self.assert_as_before(ids)

    def test_api_a_job_is_steered(self):
        self.office(rate=5)
        self.bury(numbered(200))
        job = self.ask("redrive", "orders", "--all")
        self.dlo("pause", job["id"])
        harness.wait_until(
            lambda: self.ask("job", job["id"])["state"] == "paused",
            "it is paused", every=0.2)
        moved = self.ask("job", job["id"])["redriven"]
        refused = self.dlo("redrive", "orders", "--all", code=1)
        self.assertIn(job["id"], refused)
        self.assertIn("dlo cancel", refused)
        self.dlo("resume", job["id"])
        harness.wait_until(
            lambda: self.ask("job", job["id"])["redriven"] > moved,
            "it goes on", every=0.2)
        self.dlo("cancel", job["id"])
        harness.wait_until(
            lambda: self.ask("job", job["id"])["state"] == "ended",
            "it has ended", every=0.2)
        ended = self.ask("job", job["id"])
        self.assertEqual(ended["end"], "cancelled")
        self.wait_depth("orders", ended["redriven"])
        self.wait_depth("orders.dlq", 200 - ended["redriven"])
        self.dlo("cancel", job["id"], code=1)

    def test_api_a_job_says_why_it_stands(self):
        self.office(canary=3)
        self.bury(numbered(5))
        job = self.ask("redrive", "orders", "--all")
        why = "how the canary fares is not known yet"
        harness.wait_until(
            lambda: self.ask("job", job["id"])["why"] == why,
            "nobody consumes the canary", every=0.2)
        self.assertIn(why, self.dlo("job", job["id"]))
        self.dlo("cancel", job["id"])
        harness.wait_until(
            lambda: self.ask("job", job["id"])["state"] == "ended",
            "it has ended", every=0.2)
        self.assertRegex(self.dlo("job", job["id"]), r"state +cancelled\n")

    def test_api_a_work_queue_that_drops_is_filled_by_force_only(self):
        self.channel.queue_delete("orders")
        self.declare("orders", "classic", {"x-max-length": 10})
        self.office(management={
            "url": f"http://127.0.0.1:{self.broker.management_port}"})
        self.bury(numbered(3))
        said = self.dlo("redrive", "orders", "--all", "--wait", code=2)
        self.assertIn("partial: a full work queue would drop", said)
        self.assertIn("--force", said)
        self.dlo("redrive", "orders", "--all", "--force", "--wait")
        self.assertEqual(len(self.ids_in("orders")), 3)

    def test_api_redriving_is_turned_off_and_on(self):
        self.office()
        ids = self.bury(numbered(3))
        self.dlo("feature", "redrive", "off")
        harness.wait_until(lambda: self.ask("status")["redrive"] is False,
                           "it is off", every=0.2)
        self.assertIn("dlo feature redrive on",
                      self.dlo("redrive", "orders", "--all", code=1))
        self.assertIn("turned off", self.dlo("status"))
        self.dlo("feature", "redrive", "on")
        self.dlo("redrive", "orders", "--all", "--wait")
        self.assertEqual(self.ids_in("orders"), ids)


class Probes(ApiCase):
    def test_api_a_queue_without_a_consumer_is_not_healthy(self):
        config = self.redrive_config(when=["healthy"])
        config["downstreams"]["shop"]["probe"] = {
            "amqp": {}, "every": "100ms", "timeout": "5s", "rise": 2,
            "fall": 2}
        config["redrive"] = {"listen": f"unix:{self.socket}"}
        self.path = self.write_config(config)
        daemon = self.redrive(self.path, listen=f"unix:{self.socket}")
        ids = self.bury(numbered(3))
        line = daemon.wait_log("probe", to="unhealthy")
        self.assertIn("orders has no consumer", line.fields["why"])
        self.assert_as_before(ids)
        self.bury(ids)
        consumer = self.new_channel(confirms=False)
        got = []
        consumer.basic_consume("orders", lambda c, m, p, b:
                               got.append(p.message_id), auto_ack=True)
        harness.wait_until(
            lambda: consumer.connection.process_data_events(0.1)
            or len(got) == 3, "they come")
        self.assertEqual(got, ids)
        consumer.connection.close()
        daemon.wait_log("probe", to="unhealthy", count=2)


class Refusals(ApiCase):
    def test_api_an_unhealthy_downstream_is_spared(self):
        down = self.downstream(lambda r: 503)
        daemon = self.office(downstream=down)
        ids = self.bury(numbered(3))
        daemon.wait_log("probe", to="unhealthy")
        self.assertIn("--force", self.dlo("redrive", "orders", "--all",
                                          code=75))
        self.assertEqual(self.ask("jobs")["jobs"], [])
        self.assertEqual(len(self.ask("redrive", "orders", "--all",
                                      "--dry-run")["groups"]), 1)
        self.dlo("redrive", "orders", "--all", "--force", "--wait")
        self.assertEqual(self.ids_in("orders"), ids)

    def test_api_verbs_need_sense(self):
        self.office()
        for args, code in (
                (("redrive", "orders"), 64),
                (("redrive", "orders", "--all", "--id", "1"), 64),
                (("redrive", "nobody", "--all"), 1),
                (("peek", "nobody"), 1),
                (("peek", "orders", "--reason", "whim"), 64),
                (("job", "nosuchjob"), 1),
                (("pause", "nosuchjob"), 1),
                (("feature", "redrive", "perhaps"), 64),
                (("feature", "teleport", "on"), 64)):
            said = self.dlo(*args, code=code)
            self.assertNotEqual(said, "", args)

    def test_api_nobody_answers(self):
        self.path = self.write_config({**self.redrive_config(when=[]),
                                       "redrive": {"listen": "unix:"
                                                   + self.socket}})
        said = self.dlo("status", code=69)
        self.assertIn(self.socket + ": No such file or directory\n", said)
        self.assertIn("Is dlo-redrive running", said)

    def raw(self, address, head, body=b""):
        """The status of an answer to bytes as they are."""
        with socket.create_connection(address, timeout=30) as client:
            client.sendall(head.encode() + b"\r\n" + body)
            answer = b""
            while part := client.recv(65536):
                answer += part
        return int(answer.split(b" ", 2)[1]), answer

    def test_api_over_tcp_wants_its_token(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = probe.getsockname()
        listen = f"127.0.0.1:{address[1]}"
        self.office(listen=listen, token=TOKEN)
        self.assertIn("orders", self.dlo("status"))
        good = (f"GET /v1/pipelines HTTP/1.0\r\nHost: {listen}\r\n"
                f"Authorization: Bearer {TOKEN}\r\n")
        self.assertEqual(self.raw(address, good)[0], 200)
        for head, status in (
                (good.replace(TOKEN, "guessed"), 401),
                (good.replace(TOKEN, ""), 401),
                (good.replace("Authorization", "X-Other"), 401),
                (good.replace(listen, "evil.example"), 421),
                (good + "Origin: http://evil.example\r\n", 403),
                (good + f"Origin: http://{listen}\r\n", 200),
                (good.replace("GET", "DELETE"), 405),
                (good.replace("/pipelines", "/nothing"), 404),
                (good.replace("/pipelines", "/jobs/x/explode")
                 .replace("GET", "POST"), 404)):
            self.assertEqual(self.raw(address, head)[0], status, head)
        for body in (b"", b"{", b"[]", b'{"pipeline": 7}',
                     b'{"pipeline": "orders", "shred": true}',
                     b'{"pipeline": "orders", "action": "burn"}',
                     b'{"pipeline": "orders", "pipeline": "orders"}',
                     b"[" * 100000):
            head = good.replace("GET /v1/pipelines", "POST /v1/jobs") + \
                f"Content-Length: {len(body)}\r\n"
            status, answer = self.raw(address, head, body)
            self.assertEqual(status, 400, (body[:40], answer))
            self.assertIn(b"application/problem+json", answer)
        self.assertEqual(self.ask("jobs")["jobs"], [])

    def test_api_over_tcp_without_a_token_answers_nobody(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = probe.getsockname()
        listen = f"127.0.0.1:{address[1]}"
        daemon = self.office(listen=listen)
        self.assertEqual(daemon.get("/readyz")[0], 200)
        self.assertIn("redrive.token", self.dlo("status", code=77))
