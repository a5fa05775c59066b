# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""What the tests of the control API and of dlo's verbs share."""

import json
import os
import socket
import subprocess

import harness
from program import BIN, program_env, run_program
from redrive_case import RedriveCase

COLUMNS = 100


class ApiCase(RedriveCase):
    def setUp(self):
        super().setUp()
        self.socket = f"{self.folder}/redrive.sock"

    def office(self, listen=None, token=None, downstream=None,
               management=None, **redrive):
        """A daemon that does nothing by itself; it is active."""
        redrive.setdefault("when", [])
        config = self.redrive_config(downstream, **redrive)
        if management is not None:
            config["broker"]["management"] = management
        listen = listen or f"unix:{self.socket}"
        config["redrive"] = {"listen": listen}
        if token is not None:
            config["redrive"]["token"] = token
        self.path = self.write_config(config)
        daemon = self.redrive(self.path, listen=listen)
        harness.wait_until(lambda: daemon.metrics().value("dlo_active") == 1,
                           "it is active")
        return daemon

    def dlo(self, *args, code=0):
        """What a verb says in text; it fits the columns."""
        ended, out, err = run_program("dlo", "-c", self.path, *args)
        self.assertEqual(ended, code, out + err)
        for line in out.splitlines():
            self.assertLessEqual(len(line), COLUMNS, line)
        return out + err

    def dlo_fed(self, text, *args, env=None):
        """A verb with that on stdin: (exit code, what it says)."""
        done = subprocess.run(
            [os.path.join(BIN, "dlo"), "-c", self.path, *args], input=text,
            capture_output=True, text=True, timeout=60, check=False,
            env=program_env(env))
        return done.returncode, done.stdout + done.stderr

    def mending(self):
        """The environment of an editor that mends the body "body"."""
        editor = os.path.join(self.folder, "editor")
        with open(editor, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\nsed -i 's/\"body\": \"body\"/"
                       "\"body\": \"mended\"/' \"$1\"\n")
        os.chmod(editor, 0o755)
        return {"EDITOR": editor, "VISUAL": "", "TMPDIR": self.folder}

    def ask(self, *args, code=0):
        """What a verb says in JSON."""
        ended, out, err = run_program("dlo", "-c", self.path, *args, "--json")
        self.assertEqual(ended, code, out + err)
        return json.loads(out)

    def assert_as_before(self, ids):
        """The dead letters are there, in their order."""
        self.wait_depth("orders.dlq", len(ids))
        self.assertEqual(self.ids_in("orders.dlq"), list(ids))

    def connect_raw(self):
        """A connection to the control API, for bytes as they are."""
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(30)
        client.connect(self.socket)
        self.addCleanup(client.close)
        return client
