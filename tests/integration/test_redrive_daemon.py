# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""The dlo-redrive daemon against a real broker."""

import os
import stat

import harness
from program import Program
from redrive_case import RedriveCase, numbered


class Daemon(RedriveCase):
    def test_a_healthy_start_counts_as_an_edge(self):
        ids = self.bury(numbered(30), lambda number:
                        "deadline" if number % 2 else "rejected")
        daemon = self.redrive(self.redrive_config(self.downstream()))
        daemon.wait_log("job_ended", end="complete", redriven=15)
        self.assertEqual(self.ids_in("orders"), ids[1::2])
        self.assertEqual(self.ids_in("orders.dlq"), ids[0::2])

    def test_health_brings_dead_letters_back(self):
        down = self.downstream(lambda request: 503)
        ids = self.bury(numbered(10))
        daemon = self.redrive(self.redrive_config(down))
        down.wait_requests(5)
        self.assertEqual(daemon.logged("job_started"), [])
        self.assertEqual(daemon.metrics().value(
            "dlo_probe_healthy", downstream="shop"), 0)
        down.answer = lambda request: 200
        daemon.wait_log("job_ended", end="complete", redriven=10)
        self.assertEqual(self.ids_in("orders"), ids)
        # Staying healthy starts nothing; the next edge does.
        self.bury(["later"])
        down.answer = lambda request: 503
        daemon.wait_log("probe", **{"from": "healthy", "to": "unhealthy"})
        down.answer = lambda request: 200
        daemon.wait_log("job_ended", count=2)
        self.assertEqual(self.ids_in("orders"), ["later"])

    def test_every_so_often(self):
        config = self.redrive_config(when=[{"every": "1s"}],
                                     cooldown="100ms")
        daemon = self.redrive(config)
        daemon.wait_log("job_ended", end="complete")
        self.bury(["one"])
        daemon.wait_log("job_ended", redriven=1)
        self.bury(["two"])
        daemon.wait_log("job_ended", redriven=1, count=2)
        self.assertEqual(self.ids_in("orders"), ["one", "two"])

    def test_operators_only(self):
        self.bury(["one"])
        down = self.downstream()
        daemon = self.redrive(self.redrive_config(down, when=[]))
        down.wait_requests(5)
        self.assertEqual(daemon.logged("job_started"), [])

    def test_turned_off(self):
        self.bury(["one"])
        down = self.downstream()
        config = self.redrive_config(down)
        config["features"] = {"redrive": False}
        daemon = self.redrive(config)
        down.wait_requests(5)
        self.assertEqual(daemon.logged("job_started"), [])
        harness.wait_until(lambda: daemon.metrics().value(
            "dlo_dead_letters", pipeline="orders") == 1, "one dead letter")

    def test_a_bad_probe_stops_it_and_a_good_one_goes_on(self):
        down = self.downstream()
        ids = self.bury(numbered(200))
        daemon = self.redrive(self.redrive_config(down, rate=40))
        harness.wait_until(lambda: self.depth("orders") >= 5, "some moved")
        down.answer = lambda request: 503
        daemon.wait_log("job_paused")
        # What was on its way arrives; after that nothing moves any more.
        asked = len(down.requests)
        down.wait_requests(asked + 3)
        paused_at = self.depth("orders")
        self.assertLess(paused_at, 200)
        down.wait_requests(asked + 12)
        self.assertEqual(self.depth("orders"), paused_at)
        down.answer = lambda request: 200
        daemon.wait_log("job_resumed")
        daemon.wait_log("job_ended", end="complete", redriven=200)
        self.assertEqual(self.ids_in("orders"), ids)

    def test_a_window_is_not_held_for_long(self):
        down = self.downstream()
        ids = self.bury(numbered(150), lambda number:
                        "deadline" if number % 2 else "rejected")
        config = self.redrive_config(down, rate=20)
        config["consumer"]["hold_max"] = "1s"
        daemon = self.redrive(config)
        daemon.wait_log("job_window_given_back", count=2)
        daemon.wait_log("job_ended", end="complete", redriven=75)
        self.assertEqual(self.ids_in("orders"), ids[1::2])
        self.assertEqual(self.ids_in("orders.dlq"), ids[0::2])

    def test_term_in_the_middle_loses_nothing(self):
        ids = self.bury(numbered(300))
        daemon = self.redrive(self.redrive_config(self.downstream(), rate=50))
        harness.wait_until(lambda: self.depth("orders") >= 10, "some moved")
        self.assertEqual(daemon.terminate(), 0)
        moved = self.ids_in("orders")
        self.wait_depth("orders.dlq", 300 - len(moved))
        self.assertEqual(moved + self.ids_in("orders.dlq"), ids)

    def test_kill_9_and_a_new_one_lose_nothing(self):
        ids = self.bury(numbered(300))
        config = self.redrive_config(self.downstream(), rate=100)
        # So long may the broker take to notice a lost connection.
        config["broker"]["heartbeat"] = "2s"
        daemon = self.redrive(config)
        harness.wait_until(lambda: self.depth("orders") >= 10, "some moved")
        daemon.kill9()
        self.wait_totals("orders.dlq", unacked=0)
        daemon = self.redrive(config)
        daemon.wait_log("job_ended", end="complete")
        self.assertEqual(set(self.ids_in("orders")), set(ids))
        self.assertEqual(self.depth("orders.dlq"), 0)

    def test_a_lost_connection_is_made_anew(self):
        ids = self.bury(numbered(300))
        daemon = self.redrive(self.redrive_config(self.downstream(),
                                                  rate=100))
        harness.wait_until(lambda: self.depth("orders") >= 10, "some moved")
        self.broker.ctl("close_all_connections", "--vhost", self.vhost,
                        "test")
        self._channel = None
        daemon.wait_log("broker_down")
        daemon.wait_log("job_ended", end="complete")
        self.assertEqual(set(self.ids_in("orders")), set(ids))
        self.assertEqual(self.depth("orders.dlq"), 0)

    def test_a_queue_that_goes_ends_the_job_only(self):
        self.bury(numbered(200))
        down = self.downstream()
        daemon = self.redrive(self.redrive_config(down, rate=20))
        harness.wait_until(lambda: self.depth("orders") >= 3, "some moved")
        self.channel.queue_delete("orders.dlq")
        daemon.wait_log("job_ended", end="partial")
        self.assertTrue(daemon.alive())

    def test_pages_and_metrics(self):
        self.bury(numbered(20))
        self.bury(["tired"], headers={"dlo-redrives": 3})
        self.bury(numbered(101, "poison"), "rejected")
        daemon = self.redrive(self.redrive_config(self.downstream()))
        daemon.wait_log("job_ended", end="complete")
        self.assertEqual(daemon.get("/healthz"), (200, "ok\n"))
        self.assertEqual(daemon.get("/readyz"), (200, "ready\n"))
        harness.wait_until(lambda: daemon.metrics().value(
            "dlo_dead_letters", pipeline="orders") == 101, "101 dead letters")
        metrics = daemon.metrics()
        for name, value in (("dlo_redriven_total", 20),
                            ("dlo_parked_total", 1),
                            ("dlo_job_progress", 1)):
            self.assertEqual(metrics.value(name, pipeline="orders"), value)
        self.assertEqual(metrics.value("dlo_active"), 1)
        self.assertEqual(metrics.value("dlo_probe_healthy",
                                       downstream="shop"), 1)
        age = metrics.value("dlo_dead_letter_oldest_seconds",
                            pipeline="orders")
        self.assertTrue(1799 < age < 1900 + harness.TIMEOUT_S * 10, age)
        # alert_above is 100: said once, and once that it is over.
        self.assertEqual(
            [line.fields["alert_above"] for line in
             daemon.logged("dead_letters_above", pipeline="orders")], ["100"])
        self.ids_in("orders.dlq")
        daemon.wait_log("dead_letters_below", pipeline="orders")
        harness.wait_until(lambda: daemon.metrics().value(
            "dlo_dead_letter_oldest_seconds", pipeline="orders") == 0,
            "no dead letter, no age")
        path = self.listen("redrive").removeprefix("unix:")
        self.assertTrue(stat.S_ISSOCK(os.stat(path).st_mode))

    def test_an_alert_above_a_count_of_ones_own(self):
        self.bury(numbered(2), "rejected")
        config = self.redrive_config()
        config["pipelines"]["orders"]["dead_letter"] = {"alert_above": 2}
        daemon = self.redrive(config)
        harness.wait_until(lambda: daemon.metrics().value(
            "dlo_dead_letters", pipeline="orders") == 2, "2 dead letters")
        self.assertEqual(daemon.logged("dead_letters_above"), [])
        self.bury(["third"], "rejected")
        line = daemon.wait_log("dead_letters_above", pipeline="orders")
        self.assertEqual((line.fields["count"], line.fields["alert_above"]),
                         ("3", "2"))

    def test_a_taken_socket(self):
        config = self.redrive_config()
        self.redrive(config)
        second = Program("dlo-redrive", "-c", self.write_config(config))
        self.assertEqual(second.wait(), 1)
        self.assertEqual(second.logged("listen_failed")[0].level, "error")
        third = self.redrive(config, "--listen",
                             "unix:" + self.folder + "/b.sock",
                             listen="unix:" + self.folder + "/b.sock")
        self.assertEqual(third.get("/readyz")[0], 200)

    def test_the_default_socket_needs_no_folder(self):
        config = self.redrive_config()
        del config["redrive"]
        folder = self.folder + "/run"
        daemon = self.redrive(config, env={"RUNTIME_DIRECTORY": folder},
                              listen=f"unix:{folder}/redrive.sock")
        self.assertEqual(daemon.get("/healthz"), (200, "ok\n"))
        self.assertEqual(daemon.terminate(), 0)
        self.assertEqual(os.listdir(folder), [])
        path = self.folder + "/none/redrive.sock"
        lost = Program("dlo-redrive", "-c", self.write_config(config),
                       "--listen", "unix:" + path)
        self.assertEqual(lost.wait(), 1)
        self.assertIn(path + ": No such file or directory", lost.stderr)

    def test_it_waits_for_a_broker(self):
        config = self.redrive_config()
        config["broker"]["nodes"] = ["amqp://127.0.0.1:1"]
        daemon = self.redrive(config, ready=False)
        daemon.wait_log("broker_down", count=2)
        self.assertEqual(daemon.get("/healthz")[0], 200)
        self.assertEqual(daemon.get("/readyz")[0], 503)
