# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""Who we are to the broker: by certificate (mechanism: external), and by a
password that is changed while we run."""

import os

import harness
from authority import Authority
from broker import quote
from harness import run_program, wait_until


class External(harness.Case):
    """A broker that knows the user dlo by his certificate alone."""

    def setUp(self):
        super().setUp()
        authority = Authority(self.folder)
        cert, key = authority.issue("server", "DNS:localhost")
        self.client = authority.issue("dlo")
        self.private_broker("\n".join([
            "listeners.ssl.1 = 127.0.0.1:@port:tls@",
            f"ssl_options.cacertfile = {authority.ca}",
            f"ssl_options.certfile = {cert}",
            f"ssl_options.keyfile = {key}",
            "ssl_options.verify = verify_peer",
            "ssl_options.fail_if_no_peer_cert = false",
            "ssl_cert_login_from = common_name",
            "auth_mechanisms.1 = EXTERNAL",
            "auth_mechanisms.2 = PLAIN", ""]),
            ["rabbitmq_auth_mechanism_ssl"])
        self.broker.api("PUT", "users/dlo", {"password_hash": "", "tags": ""})
        self.broker.allow(self.vhost, "dlo")
        self.ca = authority.ca
        self.declare("orders")

    def external(self, down=None, **broker):
        port = self.broker.env["DLO_BROKER_TLS_PORT"]
        return self.config(down, broker={
            "nodes": [f"amqps://localhost:{port}"], "mechanism": "external",
            "user": "dlo", "password": None,
            "tls": {"ca": self.ca, "cert": self.client[0],
                    "key": self.client[1]}, **broker})

    def test_a_certificate_is_enough(self):
        """No password anywhere; what dies is redriven, and every copy bears
        the user that the broker knows by the certificate."""
        down = self.downstream(
            lambda r: 422 if r.headers["Dlo-Redrives"] == "0" else 200)
        config = self.external(down)
        self.consumer(config)
        self.publish("orders", b"one", message_id="1")
        self.wait_depth("orders.dlq", 1)
        code, _, said = self.redrive_once(config, "--reason", "rejected")
        self.assertEqual(code, 0, said)
        redriven, = down.wait_requests(1, of=lambda r: r.id == "1" and
                                       r.headers["Dlo-Redrives"] == "1")
        self.assertEqual(redriven.body, b"one")
        self.wait_totals("orders", total=0)
        self.assertEqual(self.depth("orders.dlq"), 0)
        # Each copy of another user would be refused: said at start.
        path = self.write_config(self.external(user="guest"), "guest.yaml")
        code, _, said = run_program("dlo-consumer", "--listen", "none", "-c",
                                    path)
        self.assertEqual(code, 77, said)
        self.assertIn("start_failed", said)
        self.assertIn("user_id", said)


class Password(harness.Case):
    def write_password(self, text):
        """Replaces the file as a secret's rotation does: by a rename."""
        path = os.path.join(self.folder, "password")
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(text + "\n")
        os.rename(path + ".new", path)
        return path

    def connections(self, user):
        return [c["name"] for c in self.broker.api("GET", "connections")
                if c["user"] == user and c["vhost"] == self.vhost]

    def test_a_changed_password_file_is_read_on_reconnect(self):
        user = self.broker.user_new("old")
        self.addCleanup(self.broker.user_delete, user)
        self.broker.allow(self.vhost, user)
        self.declare("orders")
        path = self.write_password("old")
        down = self.downstream()
        consumer = self.consumer(self.config(down, broker={
            "user": user, "password": {"file": path}}))
        self.broker.ctl("change_password", user, "new")
        self.write_password("new")
        for name in wait_until(lambda: self.connections(user),
                               "our connections"):
            self.broker.api("DELETE", "connections/" + quote(name),
                            missing_ok=True)
        consumer.wait_log("broker_down")
        self.publish("orders", b"", message_id="1")
        down.wait_requests(1)
        self.wait_totals("orders", total=0)
        self.assertEqual(consumer.logged("broker_down", fault="auth"), [])
