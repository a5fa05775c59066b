# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""The downstream of scripts/soak that takes so many requests a second."""

import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))


class LimitedShop:
    """scripts/limited_shop.py as a process."""

    def __init__(self, capacity, latency):
        self.process = subprocess.Popen(
            ["/usr/bin/python3",
             os.path.join(HERE, "limited_shop.py"),
             str(capacity), str(latency)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}/"

    def order(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def close(self):
        """Ends it; what it saw: [(time, path, status)]."""
        if self.process.stdin.closed:
            return []
        out, _ = self.process.communicate()
        lines = [line.split() for line in out.splitlines()]
        return [(float(at), path, int(status)) for at, path, status in lines]
