# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""Our programs as processes: their log awaited line by line, their pages
read, their end judged. A sanitizer's report is always a failure."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BIN = os.path.abspath(os.environ.get("DLO_TEST_BIN")
                      or os.path.join(TOP, "build", "asan"))
SANITIZER = re.compile(
    r"(Address|Leak|UndefinedBehavior|Memory)Sanitizer|runtime error:")
# A status that no program of ours has, so that a report is not mistaken.
SANITIZER_ENV = {
    "ASAN_OPTIONS": "exitcode=99:detect_leaks=1:"
                    "detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}
FIELD = re.compile(r'([A-Za-z0-9_.-]+)=("(?:[^"\\]|\\.)*"|\S*)')


class Line:
    """One line of a log: level, event, and the fields as text."""

    def __init__(self, text):
        self.text = text
        self.level = self.event = None
        self.fields = {}
        if text.startswith("{"):
            self._parse_json(text)
        else:
            self._parse_logfmt(text)

    def _parse_json(self, text):
        try:
            found = json.loads(text)
        except ValueError:
            return
        self.level = found.pop("level", None)
        self.event = found.pop("event", None)
        self.fields = found

    def _parse_logfmt(self, text):
        words = text.split(" ", 3)
        if len(words) < 3 or words[1] not in ("error", "warn", "info",
                                              "debug"):
            return
        self.level, self.event = words[1:3]
        for key, value in FIELD.findall(words[3] if len(words) > 3 else ""):
            if value.startswith('"'):
                value = json.loads(value)
            self.fields[key] = value

    def matches(self, event, fields):
        return self.event == event and all(
            str(self.fields.get(key)) == str(value)
            for key, value in fields.items())

    def __repr__(self):
        return self.text


class Metrics:
    """A scrape of /metrics. Refuses what Prometheus would refuse."""

    SAMPLE = re.compile(
        r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)')
    LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\.)*)"')

    def __init__(self, text):
        self.text = text
        self.samples = []
        self.types = {}
        seen = set()
        if not text.endswith("\n"):
            raise AssertionError("metrics do not end with a newline")
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                self.types[name] = kind
            elif line and not line.startswith("#"):
                self._sample(line, seen)

    def _sample(self, line, seen):
        match = self.SAMPLE.fullmatch(line)
        if match is None:
            raise AssertionError(f"not a sample: {line}")
        name, inside, value = match.groups()
        labels = dict(self.LABEL.findall(inside or ""))
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        if name not in self.types and base not in self.types:
            raise AssertionError(f"a sample without its TYPE: {line}")
        key = (name, frozenset(labels.items()))
        if key in seen:
            raise AssertionError(f"a sample twice: {line}")
        seen.add(key)
        self.samples.append((name, labels, float(value)))

    def value(self, name, **labels):
        """The sum of all samples of `name` that carry these labels."""
        return sum(value for found, its, value in self.samples
                   if found == name and labels.items() <= its.items())


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def http_get(address, path, timeout=10):
    """GETs `path` at `unix:PATH` or `HOST:PORT`; (status, text)."""
    if address.startswith("unix:"):
        connection = _UnixConnection(address.removeprefix("unix:"), timeout)
    else:
        connection = http.client.HTTPConnection(address, timeout=timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


class Program:
    """A started program. `name` is one of ours in the build under test, or a
    path; `listen` is where its pages are, if it has any."""

    def __init__(self, name, *args, listen=None, env=None, cwd=None):
        path = name if os.sep in name else os.path.join(BIN, name)
        self.name = os.path.basename(name)
        self.listen = listen
        self.lines = []
        self.stdout = ""
        self._changed = threading.Condition()
        self._ended = False
        self.killed = False
        self.process = subprocess.Popen(
            [path, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, errors="backslashreplace",
            env=program_env(env), cwd=cwd)
        self._readers = [
            threading.Thread(target=self._read_stderr, daemon=True),
            threading.Thread(target=self._read_stdout, daemon=True)]
        for reader in self._readers:
            reader.start()

    def _read_stderr(self):
        for text in self.process.stderr:
            with self._changed:
                self.lines.append(Line(text.rstrip("\n")))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _read_stdout(self):
        self.stdout = self.process.stdout.read()

    @property
    def pid(self):
        return self.process.pid

    @property
    def stderr(self):
        """All that was written to stderr so far."""
        return "".join(line.text + "\n" for line in list(self.lines))

    def tail(self, count=40):
        return "\n".join(line.text for line in self.lines[-count:])

    def logged(self, event, since=0, **fields):
        """The lines with this event and these fields so far."""
        return [line for line in self.lines[since:]
                if line.matches(event, fields)]

    def wait_log(self, event, timeout=30, count=1, since=0, **fields):
        """Waits for the `count`th line with this event and these fields, and
        returns it. `since` (a len(program.lines)) leaves out older ones."""
        def done():
            return (len(self.logged(event, since, **fields)) >= count
                    or self._ended)

        with self._changed:
            self._changed.wait_for(done, timeout)
            found = self.logged(event, since, **fields)
            if len(found) < count:
                why = "it ended" if self._ended else f"in {timeout} s"
                raise AssertionError(
                    f"{self.name}: {len(found)} of {count} lines {event} "
                    f"{fields or ''} ({why}); its log:\n{self.tail()}")
            return found[count - 1]

    def alive(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=60):
        """Waits for its end; the exit code (-9 for SIGKILL)."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired as late:
            raise AssertionError(f"{self.name} still runs after {timeout} s; "
                                 f"its log:\n{self.tail()}") from late
        for reader in self._readers:
            reader.join()
        self.process.stderr.close()
        self.process.stdout.close()
        self.check_sanitizer()
        return code

    def check_sanitizer(self):
        if SANITIZER.search(self.stderr):
            raise AssertionError(f"{self.name}: a sanitizer speaks:\n"
                                 + self.tail(200))

    def terminate(self, timeout=60):
        """TERM; the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill9(self):
        """SIGKILL, as a power cut."""
        self.killed = True
        self.signal(signal.SIGKILL)
        return self.wait()

    def finish(self):
        """At the end of a test: still there means it must drain well."""
        if self.process.returncode is not None:
            return
        try:
            code = self.terminate()
        except AssertionError:
            self.process.kill()
            self.process.wait()
            raise
        if code != 0:
            raise AssertionError(f"{self.name}: exit {code} after TERM; its "
                                 f"log:\n{self.tail()}")

    def get(self, path):
        """A page of its own server; (status, text)."""
        return http_get(self.listen, path)

    def metrics(self):
        """A scrape of /metrics."""
        status, text = self.get("/metrics")
        if status != 200:
            raise AssertionError(f"/metrics: {status} {text}")
        return Metrics(text)


def program_env(env=None):
    merged = {key: value for key, value in os.environ.items()
              if key not in ("NOTIFY_SOCKET", "DLO_CONFIG")}
    for key, value in SANITIZER_ENV.items():
        merged.setdefault(key, value)
    merged.update(env or {})
    return merged


def run_program(name, *args, env=None, timeout=60):
    """Runs a program to its end: (exit code, stdout, stderr)."""
    program = Program(name, *args, env=env)
    try:
        code = program.wait(timeout)
    except AssertionError:
        program.process.kill()
        program.process.wait()
        raise
    return code, program.stdout, program.stderr
