# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""dlo topology plan, apply and check against a real broker, and the users with
few rights that it leaves the daemons to."""

import http.server
import json
import re
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request

import harness
from broker import SCRIPT, quote
from downstream import Downstream
from program import run_program

COLUMNS = 100
COMMAND = "    rabbitmqctl "
DECLARED = {"name": "orders", "declare": {"type": "quorum"}}


def free_port():
    """A port of loopback where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class TopologyVerbs(harness.Case):
    def config(self, *args, managed=True, **over):
        """One pipeline with three levels, and the management API."""
        base = {"pipelines": {"orders": {
            "retry": {"first": "100ms", "cap": "400ms", "hold": "0ms"}}}}
        if managed:
            base["broker"] = {"management": {
                "url": f"http://127.0.0.1:{self.broker.management_port}/",
                "user": "guest", "password": "guest"}}
        return super().config(*args, **harness.merge(base, over))

    def dlo(self, config, *args):
        """dlo topology …: (exit code, stdout, stderr)."""
        code, out, err = run_program(
            "dlo", "-c", self.write_config(config), "topology", *args)
        if "--json" not in args:
            for line in out.splitlines():
                if line.startswith(COMMAND):
                    continue  # to be copied: whole
                self.assertLessEqual(len(line), COLUMNS, line)
        return code, out, err

    def verb(self, config, *args, code=0):
        """What it says as JSON; it must end with that code."""
        ended, out, err = self.dlo(config, *args, "--json")
        self.assertEqual(ended, code, out + err)
        return json.loads(out)

    def apply(self, config, code=0):
        return self.verb(config, "apply", code=code)

    def found(self, config):
        """What check finds: {(code, object)}; its exit says the same."""
        ended, out, err = self.dlo(config, "check", "--json")
        self.assertIn(ended, (0, 2), out + err)
        said = json.loads(out)
        alarms = [finding for finding in said["findings"]
                  if finding["severity"] != "note"]
        self.assertEqual(ended, 2 if alarms or said["unchecked"] else 0, out)
        self.assertEqual(said["unchecked"], [])
        return {(finding["code"], finding["object"]): finding
                for finding in said["findings"]}

    def wait_found(self, config, *wanted):
        """Waits until check finds just that: a queue tells of its policy when
        it likes."""
        seen = {}

        def right():
            seen.clear()
            seen.update(self.found(config))
            return set(seen) == set(wanted)

        try:
            harness.wait_until(right, "what check should find", every=0.2)
        except AssertionError as late:
            raise AssertionError(f"{late}; it finds {seen}, "
                                 f"not {wanted}") from None
        return seen

    def shell(self, command):
        """Enters a line for an operator, with our broker's rabbitmqctl."""
        ctl = f"rabbitmqctl() {{ '{SCRIPT}' ctl '{self.broker.name}' \"$@\"; }}"
        done = subprocess.run(["bash", "-c", f"{ctl}\n{command}"],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, command + done.stderr)

    def states(self, said):
        return {row["state"] for row in said["objects"]}

    def bindings(self):
        return {(row["source"], row["destination"], row["routing_key"])
                for row in self.broker.api("GET",
                                           f"bindings/{quote(self.vhost)}")
                if row["source"]}

    # ---- plan, apply, check, one after the other

    def test_a_plan_changes_nothing(self):
        # 2: apply would not make the work queue.
        said = self.verb(self.config(), "plan", code=2)
        self.assertEqual(self.states(said), {"missing"})
        self.assertEqual(said["unchecked"], [])
        rows = {(row["kind"], row["name"], row.get("source")): row
                for row in said["objects"]}
        self.assertEqual(rows["queue", "dlo.retry.orders.1", None]["arguments"],
                         {"x-queue-type": "quorum", "x-message-ttl": 200,
                          "x-dead-letter-exchange": "dlo.retry.orders.0",
                          "x-dead-letter-strategy": "at-least-once",
                          "x-overflow": "reject-publish"})
        self.assertEqual(rows["binding", "orders", "dlo.redrive"]["key"],
                         "orders")
        policy, = said["policies"]
        self.assertIn("rabbitmqctl set_policy", policy["command"])
        self.assertEqual(self.broker.totals(self.vhost), {})
        code, out, _ = self.dlo(self.config(queue=DECLARED), "apply",
                                "--dry-run")
        self.assertEqual(code, 0)
        self.assertIn("missing   queue orders.dlq\n", out)
        self.assertEqual(self.broker.totals(self.vhost), {})

    def test_what_apply_makes_is_as_it_should_be(self):
        config = self.config(queue=DECLARED)
        said = self.apply(config)
        self.assertEqual(self.states(said), {"created"})
        made = len(said["objects"])
        code, out, err = self.dlo(config, "check")
        self.assertEqual((code, out, err), (
            0, f"{made} objects: all is as it should be\n", ""))
        self.assertEqual(self.apply(config)["objects"], [])
        said = self.verb(config, "plan")
        self.assertEqual(self.states(said), {"exists"})
        self.assertEqual(said["policies"], [])

    def test_the_policy_that_plan_prints_is_enough(self):
        self.declare("orders")
        config = self.config()
        self.apply(config)
        self.wait_found(config, ("no_dead_lettering", "queue orders"))
        self.broker.policy(self.vhost, "of the house", "^orders$",
                           {"max-length-bytes": 1000000000})
        harness.wait_until(lambda: "of the house" in str(
            self.verb(config, "plan")["policies"]), "the policy to be told")
        policy, = self.verb(config, "plan")["policies"]
        self.assertIn("takes the place of of the house", policy["note"])
        self.shell(policy["command"])
        self.wait_found(config)
        policy, = self.verb(config, "plan")["policies"]
        self.assertFalse(policy["needed"])
        self.publish("orders", b"late", expiration="1")
        dead, = self.take("orders.dlq", 1)
        self.assertEqual(dead.headers["x-death"][0]["reason"], "expired")
        queue = self.broker.queue(self.vhost, "orders")
        self.assertEqual(
            queue["effective_policy_definition"]["max-length-bytes"],
            1000000000)

    def test_a_missing_work_queue_is_not_ours_to_make(self):
        config = self.config()
        said = self.apply(config, code=2)
        self.assertEqual({row["name"] for row in said["objects"]
                          if row["state"] == "missing"}, {"orders"})
        self.assertIsNone(self.broker.queue(self.vhost, "orders"))
        self.assertIn(("missing", "queue orders"), self.found(config))
        self.declare("orders")
        said = self.apply(config)
        self.assertEqual(
            {(row["source"], row["state"]) for row in said["objects"]},
            {("dlo.redrive", "created"), ("dlo.retry.orders", "created")})

    def test_what_is_different_stays_and_is_told(self):
        self.declare("orders.dlq", "classic")
        self.declare("dlo.retry.orders.2", arguments={"x-message-ttl": 500})
        config = self.config(queue=DECLARED)
        said = self.apply(config, code=2)
        self.assertEqual({row["name"] for row in said["objects"]
                          if row["state"] == "different"},
                         {"orders.dlq", "dlo.retry.orders.2"})
        self.assertEqual(
            self.broker.queue(self.vhost, "orders.dlq")["type"], "classic")
        found = self.found(config)
        self.assertIn(("classic_queue", "queue orders.dlq"), found)
        self.assertIn("x-message-ttl is 500 instead of 400",
                      found["different", "queue dlo.retry.orders.2"]["problem"])
        self.verb(config, "plan", code=2)

    # ---- what check knows

    def test_each_danger_is_found_with_its_fix(self):
        config = self.config(queue=DECLARED)
        self.apply(config)
        policies = [
            ("delivery_limit", "orders.dlq", {"delivery-limit": 20}),
            ("length_limit", "orders.parked", {"max-length": 10}),
            ("message_ttl", "orders.archive", {"message-ttl": 5000}),
            ("at_most_once", "dlo.retry.orders.0", {"overflow": "drop-head"}),
            ("message_ttl", "dlo.retry.orders.1", {"message-ttl": 1}),
            ("length_limit", "dlo.retry.orders.2", {"max-length": 10}),
            ("expires", "dlo.verdicts", {"expires": 36000000}),
            ("limit_beside_dlx", "orders", {"message-ttl": 36000000}),
        ]
        for number, (_, queue, definition) in enumerate(policies):
            # A line that is broken at a blank would name another one.
            self.broker.policy(self.vhost, f"{number}  " + "long  " * 16,
                               "^" + re.escape(queue) + "$", definition)
        self.broker.policy(self.vhost, "an exchange's", "^dlo.redrive$",
                           {"alternate-exchange": "amq.fanout"}, "exchanges")
        self.broker.api(
            "PUT", f"operator-policies/{quote(self.vhost)}/house",
            {"pattern": "^dlo.jobs$", "apply-to": "queues",
             "definition": {"delivery-limit": 7}})
        found = self.wait_found(
            config, ("alternate_exchange", "exchange dlo.redrive"),
            ("delivery_limit", "queue dlo.jobs"),
            *((code, f"queue {queue}") for code, queue, _ in policies))
        self.assertIn("clear_operator_policy", found[
            "delivery_limit", "queue dlo.jobs"]["command"])
        _, out, _ = self.dlo(config, "check")
        commands = [line.strip() for line in out.splitlines()
                    if line.startswith(COMMAND)]
        self.assertEqual(sorted(commands), sorted(
            finding["command"] for finding in found.values()))
        for command in commands:
            self.shell(command)
        self.wait_found(config)

    def test_a_work_queue_that_evicts_is_found(self):
        """Fact 41; and that a policy's overflow wins over an argument."""
        self.channel.queue_declare("orders", durable=True, arguments={
            "x-queue-type": "quorum", "x-overflow": "reject-publish",
            "x-delivery-limit": 5, "x-dead-letter-exchange": "dlo.dead",
            "x-dead-letter-routing-key": "orders",
            "x-dead-letter-strategy": "at-least-once"})
        config = self.config()
        self.apply(config)
        self.wait_found(config, ("delivery_limit", "queue orders"))
        self.broker.policy(self.vhost, "short", "^orders$",
                           {"max-length": 2, "overflow": "drop-head"})
        self.wait_found(
            config, ("delivery_limit", "queue orders"),
            ("drop_head", "queue orders"), ("at_most_once", "queue orders"),
            ("limit_beside_dlx", "queue orders"))
        for number in range(4):
            self.publish("orders", str(number).encode())
        self.assertEqual(self.depth("orders"), 2)

    def test_transient_and_lazy_queues_are_found(self):
        """Fact 22."""
        self.channel.queue_declare("orders", durable=False)
        self.channel.queue_declare("mails", durable=True,
                                   arguments={"x-queue-mode": "lazy"})
        config = self.config(pipelines={"mails": {
            "queue": "mails", "downstream": "shop"}})
        self.apply(config)
        found = self.found(config)
        self.assertIn(("transient", "queue orders"), found)
        self.assertIn(("queue_mode", "queue mails"), found)

    def test_stuck_messages_are_found(self):
        config = self.config(queue=DECLARED)
        self.apply(config)
        self.broker.api("DELETE", f"bindings/{quote(self.vhost)}/e/"
                                  "dlo.retry.orders/q/orders/~")
        self.publish("1", b"stuck", "dlo.retry.orders.0")
        self.wait_found(
            config, ("stuck_messages", "queue dlo.retry.orders.0"),
            ("missing", "binding dlo.retry.orders -> orders ()"))
        said = self.apply(config)
        self.assertEqual(self.states(said), {"created"})
        self.assertIn(("dlo.retry.orders", "orders", ""), self.bindings())

    # ---- what a renamed queue leaves

    def test_a_renamed_queue_gets_no_second_copy(self):
        """Fact 42: one redrive, one copy."""
        self.apply(self.config(queue={**DECLARED, "name": "old"}))
        # Nobody consumes: there are no verdicts to wait for.
        config = self.config(queue=DECLARED, pipelines={
            "orders": {"redrive": {"canary": 0}}})
        # What else can stand in a URL.
        self.channel.queue_bind("old", "dlo.retry.orders.0", "*.# /~%")
        self.channel.queue_bind("old", "dlo.redrive", "orders", {"a": "b"})
        self.channel.exchange_bind("amq.fanout", "dlo.redrive", "orders")
        stale = {("dlo.redrive", "old", "orders"),
                 ("dlo.redrive", "amq.fanout", "orders"),
                 ("dlo.retry.orders.0", "old", "*.# /~%"),
                 ("dlo.retry.orders", "old", ""),
                 ("dlo.dead", "old.dlq", "orders"),
                 ("dlo.dead", "old.parked", "orders.parked"),
                 ("dlo.dead", "old.archive", "orders.archive")}
        planned = self.verb(config, "plan")["objects"]
        self.assertEqual({(row["source"], row["name"], row["key"])
                          for row in planned if row["state"] == "stale"},
                         stale)
        self.assertEqual(
            {object for code, object in self.found(config)
             if code == "stale_binding"},
            {f"binding {source} -> {target} ({key})"
             for source, target, key in stale})
        self.assertLess(stale, self.bindings())
        said = self.apply(config)
        self.assertEqual({(row["source"], row["name"], row["key"])
                          for row in said["objects"]
                          if row["state"] == "removed"}, stale)
        self.assertFalse(stale & self.bindings())
        self.wait_found(config)
        self.publish("orders", b"dead", "dlo.dead", message_id="one",
                     user_id="guest",
                     headers={"dlo-id": "one", "dlo-reason": "deadline"})
        code, out, _ = self.redrive_once(config)
        self.assertEqual(code, 0, out)
        self.assertEqual([message.id for message in self.take("orders", 1)],
                         ["one"])
        self.wait_depth("orders.dlq", 0)
        for queue in ("old", "old.dlq", "orders"):
            self.assertEqual(self.depth(queue), 0)

    def test_what_is_not_ours_is_left_alone(self):
        config = self.config(queue=DECLARED)
        self.declare("ears")
        self.declare("faxes.dlq")
        self.apply(config)
        for exchange, queue, key in (
                ("dlo.events", "ears", "#"), ("amq.topic", "orders", "#"),
                ("dlo.dead", "faxes.dlq", "faxes")):
            self.channel.queue_bind(queue, exchange, key)
        lower = harness.merge(config, {"pipelines": {"orders": {
            "retry": {"cap": "100ms"}}}})
        before = self.bindings()
        self.assertEqual(self.apply(lower)["objects"], [])
        self.assertEqual(self.bindings(), before)
        self.assertEqual(set(self.found(lower)), {
            ("orphan_binding", "binding dlo.dead -> faxes.dlq (faxes)")})

    def test_nothing_is_removed_before_all_is_declared(self):
        self.apply(self.config(queue={**DECLARED, "name": "old"}))
        said = self.apply(self.config(), code=2)  # orders is not there
        self.assertIn("stale", self.states(said))
        self.assertNotIn("removed", self.states(said))
        self.assertIn(("dlo.redrive", "old", "orders"), self.bindings())
        # Nor when the new binding is not allowed, which AMQP shows as unknown.
        self.declare("orders")
        said = self.apply(self.config(topology={"broker": self.person(
            ".*", r"^(dlo\..*|.*\.(dlq|parked|archive))$", ".*")}), code=2)
        self.assertEqual({row["state"] for row in said["objects"]
                          if row.get("source") == "dlo.redrive"},
                         {"failed", "stale"})
        self.assertIn(("dlo.redrive", "old", "orders"), self.bindings())

    # ---- what cannot be seen

    def test_without_the_api_existence_is_all_that_is_seen(self):
        config = self.config(queue=DECLARED, managed=False)
        for verb in ("plan", "check"):
            said = self.verb(config, verb, code=2)
            self.assertIn("broker.management is not configured",
                          said["unchecked"][0]["why"])
        self.assertIn("queue orders", {
            finding["object"] for finding in said["findings"]
            if finding["code"] == "missing"})
        # A work queue that is not ours, nor there: no binding to it either.
        said = self.apply(self.config(managed=False), code=2)
        self.assertEqual({(row["kind"], row["name"], row.get("source"))
                          for row in said["objects"]
                          if row["state"] == "missing"},
                         {("queue", "orders", None),
                          ("binding", "orders", "dlo.redrive"),
                          ("binding", "orders", "dlo.retry.orders")})
        said = self.apply(config, code=2)
        self.assertEqual(said["unchecked"][0]["what"], "stale bindings")
        self.assertEqual({row["name"] for row in said["objects"]}, {"orders"})
        self.assertIn(("dlo.redrive", "orders", "orders"), self.bindings())
        said = self.verb(config, "plan", code=2)
        self.assertEqual(self.states(said), {"exists", "unknown"})
        self.assertEqual({row["kind"] for row in said["objects"]
                          if row["state"] == "unknown"}, {"binding"})
        code, out, _ = self.dlo(config, "check")
        self.assertEqual(code, 2)
        self.assertIn("unchecked arguments, bindings and policies\n", out)

    def test_what_others_declare_blinds_nobody(self):
        """Names with a NUL, and arguments that no JSON reader takes."""
        config = self.config(queue=DECLARED)
        self.apply(config)
        deep = {}
        for _ in range(2500):
            deep = {"a": deep}
        limit = sys.getrecursionlimit()
        self.addCleanup(sys.setrecursionlimit, limit)
        sys.setrecursionlimit(20000)
        self.channel.queue_declare("evil", durable=True, arguments=deep)
        self.channel.exchange_declare("evil", arguments={"a\0b": 1})
        sys.setrecursionlimit(limit)
        self.verb(config, "check")
        self.declare("orders\0evil", "classic")
        self.channel.queue_unbind("orders.dlq", "dlo.dead", "orders")
        self.channel.queue_bind("orders.dlq", "dlo.dead", "orders\0evil")
        said = self.verb(config, "check", code=2)
        self.assertEqual([row["object"] for row in said["findings"]],
                         ["binding dlo.dead -> orders.dlq (orders)"])
        # Each queue is bound to the default exchange as well.
        self.assertEqual({row["what"] for row in said["unchecked"]},
                         {"1 of the queues", "2 of the bindings"})

    def test_the_environment_diverts_nothing(self):
        """No proxy is told the password of the API."""
        proxy = Downstream()
        self.addCleanup(proxy.close)
        config = self.config(queue=DECLARED)
        self.apply(config)
        names = ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                 "ALL_PROXY")
        code, out, err = run_program(
            "dlo", "-c", self.write_config(config), "topology", "check",
            env={**{name: proxy.url for name in names},
                 "no_proxy": "", "NO_PROXY": ""})
        self.assertEqual(proxy.requests, [])
        self.assertEqual(code, 0, out + err)

    def test_an_api_that_is_away_is_said(self):
        config = self.config(queue=DECLARED)
        self.apply(config)
        config["broker"]["management"]["url"] = \
            f"http://127.0.0.1:{free_port()}"
        said = self.verb(config, "check", code=2)
        self.assertEqual(said["findings"], [])
        self.assertIn("127.0.0.1", said["unchecked"][0]["why"])

    def test_answers_that_no_broker_gives_are_said(self):
        answers = {"body": b"[]"}
        fake = Downstream(lambda request: (200, {}, answers["body"]))
        self.addCleanup(fake.close)
        config = self.config(queue=DECLARED)
        self.apply(config)
        config["broker"]["management"]["url"] = fake.url.rstrip("/")
        for body in (b"[]", b"{}", b"\xff{", b"[" * 100000,
                     b'{"rabbitmq_version": "3.10.8"}', b" " * 2**26 + b"{}"):
            answers["body"] = body
            said = self.verb(config, "check", code=2)
            self.assertEqual(len(said["unchecked"]), 1, said)
        # Redirects are not followed: the password would go with them.
        fake.answer = lambda request: (302, {"Location": "/elsewhere"})
        since = len(fake.requests)
        said = self.verb(config, "check", code=2)
        self.assertIn("HTTP status 302", said["unchecked"][0]["why"])
        self.assertEqual([request.path.split("?")[0]
                          for request in fake.requests[since:]],
                         ["/api/overview"])

    def test_the_api_over_tls_is_verified(self):
        """With what broker.tls trusts, by the name in the URL."""
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
             "-days", "2", "-subj", "/CN=localhost", "-addext",
             "subjectAltName=DNS:localhost", "-keyout", "key.pem",
             "-out", "cert.pem"],
            cwd=self.folder, check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{self.folder}/cert.pem",
                                f"{self.folder}/key.pem")
        port = self.tls_gate(context)
        config = self.config(queue=DECLARED)
        self.apply(config)
        management = config["broker"]["management"]
        management["url"] = f"https://localhost:{port}"
        said = self.verb(config, "plan", code=2)
        self.assertIn("certificate", said["unchecked"][0]["why"])
        config["broker"]["tls"] = {"ca": "cert.pem"}
        said = self.verb(config, "plan")
        self.assertEqual(said["unchecked"], [])
        management["url"] = f"https://127.0.0.1:{port}"
        said = self.verb(config, "plan", code=2)
        self.assertIn("127.0.0.1", said["unchecked"][0]["why"])
        # A key that needs a passphrase is an error, and no question.
        subprocess.run(
            ["openssl", "pkey", "-in", "key.pem", "-aes256", "-passout",
             "pass:hunter2", "-out", "locked.pem"],
            cwd=self.folder, check=True, capture_output=True)
        management["url"] = f"https://localhost:{port}"
        config["broker"]["tls"].update(cert="cert.pem", key="locked.pem")
        code, out, err = self.dlo(config, "plan")
        self.assertEqual((code, err), (2, ""), out)
        self.assertIn("unchecked", out)

    def tls_gate(self, context):
        """The broker's management API behind TLS; its port."""
        api = f"http://127.0.0.1:{self.broker.management_port}"

        class Gate(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                request = urllib.request.Request(api + self.path, headers={
                    "Authorization": self.headers["Authorization"]})
                with urllib.request.urlopen(request) as answer:
                    body = answer.read()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        class Server(http.server.HTTPServer):
            def handle_error(self, *args):
                """A client that does not trust us goes away."""

        server = Server(("127.0.0.1", 0), Gate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, args=(0.02,),
                         daemon=True).start()
        return server.server_address[1]

    # ---- exit codes

    def test_a_broker_that_is_away(self):
        config = self.config()
        config["broker"]["nodes"] = [
            f"amqp://127.0.0.1:{free_port()}" for _ in range(2)]
        config["broker"]["management"]["url"] = \
            f"http://127.0.0.1:{free_port()}"
        for managed in (True, False):
            if not managed:
                del config["broker"]["management"]
            for verb in ("plan", "apply", "check"):
                code, out, err = self.dlo(config, verb)
                self.assertEqual((code, out), (69, ""), err)
                self.assertIn("check broker.nodes", err)

    def test_each_node_is_tried_once(self):
        tried = []

        def close_each(listener, name):
            try:
                while True:
                    client = listener.accept()[0]
                    tried.append(name)
                    client.close()
            except OSError:
                pass

        config = self.config(managed=False)
        config["broker"]["nodes"] = []
        for name in "ab":
            listener = socket.create_server(("127.0.0.1", 0))
            self.addCleanup(listener.close)
            threading.Thread(target=close_each, args=(listener, name),
                             daemon=True).start()
            config["broker"]["nodes"].append(
                f"amqp://127.0.0.1:{listener.getsockname()[1]}")
        code, _, err = self.dlo(config, "check")
        self.assertEqual(code, 69, err)
        self.assertEqual(tried, ["a", "b"])

    def test_one_node_that_is_away_is_passed_over(self):
        config = self.config(queue=DECLARED)
        config["broker"]["nodes"].insert(0, f"amqp://127.0.0.1:{free_port()}")
        self.apply(config)

    def test_wrong_passwords(self):
        secret = "hunter2-and-more"
        config = self.config(queue=DECLARED)
        for path in (("management",), ()):
            wrong = json.loads(json.dumps(config))
            place = wrong["broker"]
            for name in path:
                place = place[name]
            place["password"] = secret
            for verb in ("plan", "apply", "check"):
                if not path and verb != "apply":
                    continue  # AMQP is not needed
                code, out, err = self.dlo(wrong, "-v", verb)
                self.assertEqual(code, 77, out + err)
                self.assertNotIn(secret, out + err)

    def test_missing_rights(self):
        poor = self.broker.user_new("pw")
        self.addCleanup(self.broker.user_delete, poor)
        self.broker.allow(self.vhost, poor, "^$", "^$", "^$")
        config = self.config(queue=DECLARED, topology={
            "broker": {"user": poor, "password": "pw"}})
        said = self.apply(config, code=77)
        self.assertEqual(self.states(said), {"failed", "missing"})
        # Without a user of its own the API is asked as the one who declares.
        del config["broker"]["management"]["user"]
        del config["broker"]["management"]["password"]
        code, _, err = self.dlo(config, "check")
        self.assertEqual(code, 77)
        self.assertIn("the tag management", err)

    def test_a_wrong_configuration(self):
        config = self.config()
        config["broker"]["management"].pop("password")
        code, _, err = self.dlo(config, "plan")
        self.assertEqual(code, 78)
        self.assertIn("broker.management.password: must be given", err)

    # ---- three users

    def person(self, configure, write, read, tags=""):
        """A user with these rights, as a configuration names it."""
        user = self.broker.user_new("pw")
        self.addCleanup(self.broker.user_delete, user)
        if tags:
            self.broker.api("PUT", "users/" + user,
                            {"password": "pw", "tags": tags})
        self.broker.allow(self.vhost, user, configure, write, read)
        return {"user": user, "password": "pw"}

    def test_three_users_with_few_rights_do_it_all(self):
        """The rights that the manual lists, and no other: provisioned, retried
        on the ladder, dead, redriven, done."""
        self.declare("orders")
        answers = [503, 503]
        down = self.downstream(
            lambda request: answers.pop(0) if answers else 200)
        api = self.person("^$", "^$", "^$", "management")
        config = self.config(
            down, topology={"declare": False, "broker": self.person(
                r"^(dlo\..*|orders\.(dlq|parked|archive))$",
                r"^(dlo\..*|orders(\.(dlq|parked|archive))?)$",
                r"^dlo\..*$")},
            consumer={"broker": self.person(
                "^$", r"^dlo\.(retry\..*|dead|events)$", "^orders$")},
            redrive={"broker": self.person(
                "^$", r"^dlo\.(redrive|dead|control|events)$",
                r"^(orders\.(dlq|parked|archive)"
                r"|dlo\.(jobs|verdicts|audit))$")},
            broker={"management": api, "user": None, "password": None},
            pipelines={"orders": {"retry": {"attempts": 2}}})
        self.assertEqual(self.states(self.apply(config)), {"created"})
        self.wait_found(config, ("no_dead_lettering", "queue orders"))
        consumer = self.consumer(config)
        self.publish("orders", b"tea", message_id="tea")
        consumer.wait_log("attempt", id="tea", next="ladder")
        consumer.wait_log("dead_letter", id="tea",
                          reason="attempts_exhausted")
        self.wait_depth("orders.dlq", 1)
        code, out, err = self.redrive_once(config)
        self.assertEqual(code, 0, out + err)
        self.assertIn("1 redriven", out)
        down.wait_requests(3)
        for queue in ("orders", "orders.dlq"):
            self.wait_totals(queue, total=0)

    def test_who_may_not_unbind_removes_nothing(self):
        self.apply(self.config(queue={**DECLARED, "name": "old"}))
        api = self.person("^$", "^$", "^$", "management")
        config = self.config(queue=DECLARED, broker={"management": api})
        said = self.apply(config, code=77)
        self.assertEqual(self.states(said), {"created", "failed"})
        self.assertIn(("dlo.redrive", "old", "orders"), self.bindings())
