# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""docs/guide.md, followed word by word: its commands are entered into a shell,
and what it shows has to appear. A `…` stands for anything."""

import os
import re
import socket
import subprocess

import harness
from program import BIN, SANITIZER, TOP, program_env

GUIDE = os.path.join(TOP, "docs", "guide.md")
BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.M | re.S)
# What it has to wait for takes some seconds by itself: probes, the breaker.
PATIENCE_S = 60


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [str(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def pattern(line):
    """Of a line that the guide shows."""
    return ".*".join(re.escape(part) for part in line.split("…"))


class Shell:
    """A bash that gets its commands as from a keyboard. What it and the
    programs that it runs say is in files of its folder."""

    def __init__(self, folder, env):
        self.folder = folder
        self.count = 0
        with open(os.path.join(folder, "shell.out"), "w",
                  encoding="utf-8") as out:
            self.process = subprocess.Popen(
                ["bash", "-m"], stdin=subprocess.PIPE, stdout=out, stderr=out,
                text=True, cwd=folder, env=env)

    def said(self):
        """By file: all lines so far."""
        found = {}
        for name in os.listdir(self.folder):
            if name.endswith((".log", ".out")):
                with open(os.path.join(self.folder, name),
                          encoding="utf-8") as file:
                    found[name] = file.read().splitlines()
        return found

    def enter(self, commands):
        """Returns when the last one has ended."""
        self.count += 1
        end = f"--- end of block {self.count}"
        self.process.stdin.write(f"{commands}\necho '{end}'\n")
        self.process.stdin.flush()
        harness.wait_until(lambda: end in self.said()["shell.out"],
                           f"the end of:\n{commands}", PATIENCE_S)

    def finish(self):
        """Ends what is still running."""
        if self.process.poll() is None:
            self.process.stdin.write("kill $(jobs -p); wait\n")
            self.process.stdin.close()
            self.process.wait()


class Guide(harness.Case):
    def expect(self, shell, before, shown):
        """Waits until each line that is shown was said, after `before`."""
        def missing():
            said = shell.said()
            new = [line for name, lines in said.items()
                   for line in lines[len(before.get(name, ())):]]
            return [line for line in shown.splitlines()
                    if not any(re.fullmatch(pattern(line), one)
                               for one in new)]

        try:
            harness.wait_until(lambda: not missing(), "the guide is true",
                               PATIENCE_S)
        except AssertionError:
            all_said = "\n".join(f"== {name}\n" + "\n".join(lines)
                                 for name, lines in shell.said().items()
                                 if name != "pay.log")
            self.fail("not said: " + "\n".join(missing())
                      + f"\n{all_said}")

    def stop_broker(self, env):
        subprocess.run([os.path.join(TOP, "scripts", "broker"), "stop",
                        "first"], env=env, capture_output=True, check=False)

    def test_the_guide_is_true(self):
        with open(GUIDE, encoding="utf-8") as file:
            text = file.read()
        service, pages = free_ports(2)
        text = text.replace("9000", service).replace("8671", pages)
        # The tree is built already.
        text = text[text.index("\n## A broker\n"):]
        env = program_env({
            "DLO_STATE": os.path.join(self.folder, "state"),
            "PATH": ":".join((BIN, os.environ["PATH"],
                              os.path.join(TOP, "scripts"))),
        })
        home = os.path.join(self.folder, "first")
        os.mkdir(home)
        self.addCleanup(self.stop_broker, env)
        shell = Shell(home, env)
        self.addCleanup(shell.finish)
        before, was = {}, "text"
        for kind, block in BLOCK.findall(text):
            if kind == "text":
                self.expect(shell, before, block)
            else:
                if was == "text":
                    before = shell.said()
                shell.enter(block)
            was = kind
        shell.process.stdin.close()
        self.assertEqual(shell.process.wait(), 0)
        said = "\n".join(line for lines in shell.said().values()
                         for line in lines)
        self.assertIsNone(SANITIZER.search(said), said)
        self.assertFalse(os.path.exists(env["DLO_STATE"] + "/first"))
