# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""An HTTP/2 server that is not ours: nghttpd, on a free loopback port, with
all that it tells of its connections and requests."""

import os
import re
import shutil
import socket
import subprocess
import threading

# Debian has it where not everybody looks.
PROGRAM = shutil.which("nghttpd", path=os.environ.get("PATH", "")
                       + ":/usr/sbin") or "nghttpd"
TRIES = 5
# [id=1] [  0.001] recv (stream_id=13, sensitive) dlo-id: m-0
FIELD = re.compile(r"\[id=(\d+)\] .*recv \(stream_id=(\d+)[^)]*\) "
                   r"(:?[^:]+): (.*)")
DATA = re.compile(r"\[id=(\d+)\] .*recv DATA frame <length=(\d+), .*"
                  r"stream_id=(\d+)>")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Nghttpd:
    """Speaks HTTP/2 over TLS and nothing else; answers with what it got."""

    def __init__(self, folder, cert, key, *args):
        self.fields = []  # (connection, stream, name, value)
        self.bodies = {}  # length by (connection, stream)
        self._changed = threading.Condition()
        for _ in range(TRIES):
            if self._start(folder, cert, key, args):
                return
            self.close()
        raise AssertionError("nghttpd does not listen")

    def _start(self, folder, cert, key, args):
        """Somebody else may have taken the port: False then."""
        self._listening = self._ended = False
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen(
            [PROGRAM, "-a", "127.0.0.1", "-v", "--echo-upload", "-d", folder,
             *args, str(self.port), key, cert],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="backslashreplace")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        with self._changed:
            self._changed.wait_for(lambda: self._listening or self._ended, 30)
            return self._listening

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}/"

    def _read(self):
        for line in self.process.stdout:
            line = COLOUR.sub("", line.rstrip("\n"))
            found, data = FIELD.search(line), DATA.search(line)
            with self._changed:
                if data:
                    place = data[1], data[3]
                    self.bodies[place] = (self.bodies.get(place, 0)
                                          + int(data[2]))
                self._listening |= "listen 127.0.0.1:" in line
                if found:
                    self.fields.append(found.groups())
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_field(self, name, count, timeout=30):
        """Waits for `count` header fields of that name; all fields."""
        with self._changed:
            if not self._changed.wait_for(
                    lambda: sum(field[2] == name
                                for field in self.fields) >= count, timeout):
                raise AssertionError(f"no {count} {name} in {timeout} s: "
                                     f"{self.fields[:40]}")
            return list(self.fields)

    def wait_bodies(self, length, timeout=30):
        """Waits until bodies of that length came, all together."""
        with self._changed:
            if not self._changed.wait_for(
                    lambda: sum(self.bodies.values()) >= length, timeout):
                raise AssertionError(f"{sum(self.bodies.values())} of "
                                     f"{length} bytes in {timeout} s")

    def close(self):
        self.process.terminate()
        self.process.wait(30)
        self._reader.join()
        self.process.stdout.close()
