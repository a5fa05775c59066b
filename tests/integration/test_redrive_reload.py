# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""HUP: dlo-redrive goes over to what its file says now, with its jobs; a file
that is wrong, or that cannot be started with, changes nothing."""

import signal

import harness
from api_case import ApiCase
from redrive_case import numbered


class Reload(ApiCase):
    def serve(self, **redrive):
        """A daemon that is active, and its configuration."""
        daemon = self.office(**redrive)
        config = self.redrive_config(when=[], **redrive)
        config["redrive"] = {"listen": f"unix:{self.socket}"}
        return daemon, config

    def hup(self, daemon, config, event="reloaded", **fields):
        """Waits for what the daemon says of it, and until it is active."""
        self.write_config(config)
        before = len(daemon.lines)
        daemon.signal(signal.SIGHUP)
        line = daemon.wait_log(event, since=before, **fields)
        harness.wait_until(lambda: daemon.metrics().value("dlo_active") == 1,
                           "it is active")
        return line

    def names(self):
        return [p["name"] for p in self.ask("status")["pipelines"]]

    def test_reload_adds_and_removes_pipelines(self):
        daemon, config = self.serve()
        self.bury(numbered(3))
        self.declare("cakes")
        orders = config["pipelines"]["orders"]
        config["pipelines"]["cakes"] = {**orders, "queue": "cakes"}
        line = self.hup(daemon, config)
        self.assertEqual(line.fields["pipelines"], "2")
        self.assertEqual(self.names(), ["orders", "cakes"])
        self.bury(["c-0"], queue="cakes.dlq")
        self.dlo("redrive", "cakes", "--all", "--wait")
        self.assertEqual(self.ids_in("cakes"), ["c-0"])
        del config["pipelines"]["orders"]
        self.hup(daemon, config)
        self.assertEqual(self.names(), ["cakes"])
        self.assertNotIn('pipeline="orders"', "".join(
            line for line in daemon.get("/metrics")[1].splitlines()
            if line.startswith(("dlo_dead_letters{", "dlo_job_progress{"))))
        self.assert_as_before(numbered(3))

    def test_reload_in_the_middle_of_a_job_loses_nothing(self):
        daemon, config = self.serve(rate=200)
        ids = self.bury(numbered(600))
        job = self.ask("redrive", "orders", "--all")["id"]
        orders = config["pipelines"]["orders"]
        for rate in (300, 400, 500):
            harness.wait_until(lambda: self.depth("orders") >= rate - 250,
                               "some moved")
            orders["redrive"] = {**orders["redrive"], "rate": rate}
            self.hup(daemon, config)
        self.wait_depth("orders", len(ids))
        self.assertEqual(self.ids_in("orders"), ids)
        self.assertEqual(self.depth("orders.dlq"), 0)
        harness.wait_until(
            lambda: self.ask("job", job)["redriven"] == len(ids),
            "the job knows of all", every=0.2)

    def test_reload_of_a_wrong_file_changes_nothing(self):
        daemon, config = self.serve()
        self.bury(numbered(3))
        self.write_config("pipelines: [")
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("reload_failed")
        config["redrive"]["listen"] = f"unix:{self.folder}/other.sock"
        self.hup(daemon, config, "reload_refused", keys="1")
        config["redrive"]["listen"] = f"unix:{self.socket}"
        self.write_config(config)
        self.dlo("redrive", "orders", "--all", "--wait")
        self.assertEqual(self.ids_in("orders"), numbered(3))

    def test_reload_that_cannot_start_is_taken_back(self):
        daemon, config = self.serve()
        self.bury(numbered(3))
        orders = config["pipelines"]["orders"]
        config["pipelines"]["cakes"] = {**orders, "queue": "cakes"}
        line = self.hup(daemon, config, "reload_failed")
        self.assertIn("taken again", line.fields["text"])
        self.assertEqual(self.names(), ["orders"])
        self.dlo("redrive", "orders", "--all", "--wait")
        self.assertEqual(self.ids_in("orders"), numbered(3))
        # Once the queue is there, it is taken.
        self.declare("cakes")
        self.hup(daemon, config)
        self.assertEqual(self.names(), ["orders", "cakes"])

    def test_reload_that_finds_a_queue_gone_waits_for_it(self):
        """Neither the new configuration can be started with nor the former:
        what ends a start does not end a daemon that has served."""
        daemon, config = self.serve()
        self.bury(numbered(3))
        self.channel.queue_delete("orders")
        self.write_config(config)
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("reload_failed")
        daemon.wait_log("start_failed", count=3)
        self.assertEqual(daemon.get("/readyz")[0], 503)
        self.assertEqual(daemon.get("/healthz")[0], 200)
        harness.wait_until(
            lambda: "cannot start again" in self.dlo_fed("", "status")[1],
            "dlo says so")
        self.assertEqual(self.dlo_fed("", "pause", "orders")[0], 69)
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("reload_failed", count=2)
        self.declare("orders")
        harness.wait_until(lambda: daemon.metrics().value("dlo_active") == 1
                           and daemon.get("/readyz")[0] == 200,
                           "it is back")
        self.dlo("redrive", "orders", "--all", "--wait")
        self.assertEqual(self.ids_in("orders"), numbered(3))
        self.channel.queue_delete("orders")
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("reload_failed", count=3)
        daemon.wait_log("start_failed", count=7)
        self.assertEqual(daemon.terminate(), 0)

    def test_reload_again_and_again_ends_with_the_last(self):
        daemon, config = self.serve()
        self.declare("cakes")
        cakes = {**config["pipelines"]["orders"], "queue": "cakes"}
        for number in range(21):
            config["pipelines"]["cakes"] = cakes
            if number % 2 == 1:
                del config["pipelines"]["cakes"]
            self.write_config(config)
            daemon.signal(signal.SIGHUP)
        daemon.wait_log("reloaded", pipelines="2")
        harness.wait_until(lambda: self.names() == ["orders", "cakes"],
                           "the last one is in force", every=0.2)
        self.bury(numbered(3))
        self.dlo("redrive", "orders", "--all", "--wait")
        self.assertEqual(self.ids_in("orders"), numbered(3))
        self.assertEqual(daemon.terminate(), 0)
