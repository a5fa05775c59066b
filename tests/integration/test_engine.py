# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""The AMQP engine against a real broker. The tests are in tests/amqp/live.c;
each runs in a process and a vhost of its own."""

import os
import shlex
import subprocess

import harness
from authority import Authority
from broker import SCRIPT
from program import BIN, SANITIZER_ENV

LIVE = os.path.join(BIN, "tests", "amqp", "live")
TIMEOUT_S = 200


class Engine(harness.Case):
    def live(self, **more):
        """Runs the test of live.c that has the name of this one."""
        name = self._testMethodName.removeprefix("test_")
        env = {
            **os.environ, **SANITIZER_ENV,
            "DLO_LIVE_PORT": str(self.broker.port),
            "DLO_LIVE_VHOST": self.vhost,
            "DLO_LIVE_CTL": shlex.join([SCRIPT, "ctl", self.broker.name]),
            "CMOCKA_MESSAGE_OUTPUT": "STDOUT",
            **more,
        }
        done = subprocess.run([LIVE, name], env=env, capture_output=True,
                              text=True, timeout=TIMEOUT_S, check=False)
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode, 0, said)
        # A name that is not there would pass too.
        self.assertIn(f"[       OK ] {name}", said)

    def fact_1_only_mandatory_tells_of_a_lost_message(self):
        self.live()

    def fact_1_what_is_not_acked_comes_again(self):
        self.live()

    def fact_2_returns_find_their_publish(self):
        self.live()

    def fact_10_blocked_publishes_wait_and_acks_do_not(self):
        self.private_broker()
        self.live()

    def fact_15_a_foreign_user_id_is_refused_alone(self):
        self.live()

    def fact_17_properties_must_fit_one_frame(self):
        self.live()

    def fact_17_headers_that_grew_in_the_broker_arrive(self):
        self.live()

    def fact_19_404_is_isolated_and_the_rest_confirmed(self):
        self.live()

    def fact_19_a_wrong_request_closes_channel_or_connection(self):
        self.live()

    def fact_19_closes_may_cross(self):
        self.live()

    def fact_20_a_passive_declare_tells_what_is_missing(self):
        self.live()

    def fact_21_a_deleted_queue_cancels_its_consumer(self):
        self.live()

    def fact_21_a_wrong_password_is_told_as_such(self):
        self.live()

    def fact_23_two_missed_heartbeats_end_the_connection(self):
        broker = self.private_broker()
        pid = broker.ctl("eval", "os:getpid().").strip().strip('"')
        self.live(DLO_LIVE_PID=pid)

    def fact_24_closing_the_channel_keeps_the_order(self):
        self.live()

    def test_bodies_of_every_size(self):
        self.live()

    def test_nothing_is_lost_over_cut_connections(self):
        self.live()

    def test_tls_verifies_peer_and_name(self):
        authority = Authority(self.folder)
        Authority(self.folder, "other")
        authority.issue("server", "DNS:rabbit.test")
        authority.issue("client")
        broker = self.private_broker("\n".join([
            "listeners.ssl.1 = 127.0.0.1:@port:tls@",
            f"ssl_options.cacertfile = {self.folder}/ca.pem",
            f"ssl_options.certfile = {self.folder}/server.pem",
            f"ssl_options.keyfile = {self.folder}/server.key",
            "ssl_options.verify = verify_peer",
            "ssl_options.fail_if_no_peer_cert = false", ""]))
        self.live(DLO_LIVE_TLS_PORT=broker.env["DLO_BROKER_TLS_PORT"],
                  DLO_LIVE_TLS=self.folder)
