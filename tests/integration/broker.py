# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""A private RabbitMQ as the tests see it: scripts/broker and its HTTP API."""

import base64
import http.client
import json
import os
import shlex
import subprocess
import tempfile
import urllib.parse
import uuid

import pika

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
SCRIPT = os.path.join(TOP, "scripts", "broker")

# Depths that the API tells are as old as these intervals.
CONF = "collect_statistics_interval = 250\n"
ADVANCED = "[{rabbit, [{quorum_tick_interval, 250}]}].\n"
# Asked of the alarm handler itself, which tells the connections first.
ALARM_AWAITED = """
Await = fun Await(0) -> exit(no_alarm);
            Await(N) -> case rabbit_alarm:get_alarms() of
                            [] -> timer:sleep(100), Await(N - 1);
                            _ -> ok
                        end
        end,
Await(300).
"""
# By what rabbitmqctl lets a node run out, and what gives it back.
ALARMS = {"memory": ("set_vm_memory_high_watermark", "0", "0.8"),
          "disk": ("set_disk_free_limit", "1000000GB", "1MB")}


def script(*args):
    """Runs scripts/broker; its output, or an exception with its errors."""
    done = subprocess.run([SCRIPT, *args], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise RuntimeError(f"broker {' '.join(args)}: {done.stderr}")
    return done.stdout


class Broker:
    """A running broker, by its name. `start` boots one; `Broker(NAME)` is
    one that is there. The guest user may do everything."""

    def __init__(self, name):
        self.name = name
        self.load()

    @classmethod
    def start(cls, name, conf="", plugins=(), advanced=ADVANCED, join=None):
        """Boots a broker with the management plugin and `conf` lines; with
        `join`, the name of another, as a node of its cluster."""
        with tempfile.TemporaryDirectory() as folder:
            conf_path = os.path.join(folder, "conf")
            advanced_path = os.path.join(folder, "advanced")
            with open(conf_path, "w", encoding="utf-8") as file:
                file.write(CONF + conf)
            with open(advanced_path, "w", encoding="utf-8") as file:
                file.write(advanced)
            args = ["--conf", conf_path, "--advanced", advanced_path]
            for plugin in ("rabbitmq_management", *plugins):
                args += ["--plugin", plugin]
            if join:
                args += ["--join", join]
            try:
                script("start", name, *args)
            except BaseException:
                # Interrupted half-way it may have left something running.
                script("stop", name)
                raise
        return cls(name)

    def load(self):
        lines = script("env", self.name).splitlines()
        self.env = dict(shlex.split(line)[0].split("=", 1) for line in lines)
        self.port = int(self.env["DLO_BROKER_AMQP_PORT"])
        self.management_port = int(self.env["DLO_BROKER_MANAGEMENT_PORT"])

    def stop(self):
        """Ends it and removes its folder."""
        script("stop", self.name)

    def shut_down(self):
        """Ends it in good order, keeps its data; `restart` brings it back."""
        script("stop", self.name, "--keep")

    def kill(self):
        """As a power cut would; `restart` brings it back."""
        script("kill", self.name)

    def restart(self):
        """Boots it again with the same ports, configuration and data."""
        script("start", self.name)

    def ctl(self, *args):
        """Runs rabbitmqctl; its output."""
        return script("ctl", self.name, *args)

    def alarm(self, lacking="memory"):
        """Puts it into alarm, and returns when every connection has been
        told: what is published from now on meets it."""
        command, none, _ = ALARMS[lacking]
        self.ctl(command, none)
        self.ctl("eval", ALARM_AWAITED)

    def end_alarm(self, lacking="memory"):
        """Lets it have enough again."""
        command, _, enough = ALARMS[lacking]
        self.ctl(command, enough)

    def setting(self, name, value):
        """Changes a number among the server's settings while it runs; new
        connections and channels go by it."""
        self.ctl("eval", f"application:set_env(rabbit, {name}, {value}).")

    def log(self):
        """What the broker has written to its log so far."""
        with open(self.env["DLO_BROKER_LOG"], encoding="utf-8",
                  errors="replace") as file:
            return file.read()

    def api(self, method, path, body=None, missing_ok=False):
        """One call of the management API, decoded; None for no content.
        `path` comes after /api/ and is quoted already."""
        headers = {
            "Authorization": "Basic "
            + base64.b64encode(b"guest:guest").decode(),
            "Content-Type": "application/json",
        }
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.management_port, timeout=30)
        try:
            connection.request(
                method, "/api/" + path,
                None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if answer.status == 404 and missing_ok:
            return None
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {data!r}")
        return json.loads(data) if data else None

    def vhost_new(self):
        """Makes a vhost that guest may use; its name."""
        vhost = "t-" + uuid.uuid4().hex[:12]
        self.api("PUT", "vhosts/" + vhost, {})
        self.allow(vhost, "guest")
        return vhost

    def vhost_delete(self, vhost):
        self.api("DELETE", "vhosts/" + vhost, missing_ok=True)

    def allow(self, vhost, user, configure=".*", write=".*", read=".*"):
        """Gives `user` these permissions in `vhost`."""
        self.api("PUT", f"permissions/{quote(vhost)}/{quote(user)}",
                 {"configure": configure, "write": write, "read": read})

    def user_new(self, password="secret"):
        """Makes a user without any permission; its name."""
        user = "u-" + uuid.uuid4().hex[:12]
        self.api("PUT", "users/" + user, {"password": password, "tags": ""})
        return user

    def user_delete(self, user):
        self.api("DELETE", "users/" + user, missing_ok=True)

    def queue(self, vhost, name):
        """What the API knows of a queue (its depths are up to 5 s old);
        None: no queue."""
        return self.api("GET", f"queues/{quote(vhost)}/{quote(name)}",
                        missing_ok=True)

    def totals(self, vhost):
        """By queue: {total, ready, unacked}, up to a quarter of a second
        old; None where the broker has not counted yet."""
        found = self.api("GET", f"queues/{quote(vhost)}?disable_stats=true"
                                "&enable_queue_totals=true")
        return {queue["name"]: {
            "total": queue.get("messages"),
            "ready": queue.get("messages_ready"),
            "unacked": queue.get("messages_unacknowledged"),
        } for queue in found}

    def survives(self, vhost, queue):
        """Whether a SIGKILL now would leave the quorum queue in order: 3.10
        writes the list of its queues half a second late, and one that is not
        in it comes back empty and without a leader."""
        node = self.env["DLO_BROKER_NODE"]
        path = os.path.join(self.env["DLO_BROKER_DIR"], "data", node,
                            "quorum", node, "names.dets")
        with open(path, "rb") as file:
            return f"{quote(vhost)}_{queue}".encode() in file.read()

    def policy(self, vhost, name, pattern, definition, apply_to="queues"):
        """Sets a policy."""
        self.api("PUT", f"policies/{quote(vhost)}/{quote(name)}",
                 {"pattern": pattern, "definition": definition,
                  "apply-to": apply_to})

    def parameters(self, vhost="/", user="guest", password="guest", **more):
        """For pika: without heartbeats, which a busy test could miss. A
        broker in alarm reads nothing: nobody waits for ever to be heard."""
        more.setdefault("heartbeat", 0)
        more.setdefault("blocked_connection_timeout", 60)
        return pika.ConnectionParameters(
            "127.0.0.1", self.port, vhost,
            pika.PlainCredentials(user, password), **more)


def quote(text):
    return urllib.parse.quote(text, safe="")
