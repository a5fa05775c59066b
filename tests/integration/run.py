#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""Runs the integration tests, each in a process of its own, some at a time.

usage: tests/integration/run.py [-j N] [--counts FILE] [--list] [WORD]...

  -j N           how many at a time (default: 3)
  --counts FILE  writes "PASSED FAILED SKIPPED" there
  --list         prints the names and runs nothing
  WORD           only tests whose names contain one of these

Tests are methods test_… and fact_… of the modules test_*.py. The output is
TAP; what a test that failed has said follows as a comment.
"""

import argparse
import collections
import importlib
import io
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import tempfile
import time
import traceback
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

# Enough for a test under sanitizers on two busy cores.
TEST_TIMEOUT_S = 240
# And for what it started to be stopped, broker and all.
KILL_AFTER_S = 90


class Loader(unittest.TestLoader):
    """Knows test_… and fact_…"""

    def getTestCaseNames(self, case):
        return sorted(name for name in dir(case)
                      if name.startswith(("test_", "fact_"))
                      and callable(getattr(case, name)))


class Late(BaseException):
    """Passes through `except Exception` of a test that hangs."""


def find_tests(words):
    """(module, class, method) of all tests, in the order of the files."""
    found = []
    for name in sorted(os.listdir(HERE)):
        if not (name.startswith("test_") and name.endswith(".py")):
            continue
        module = importlib.import_module(name.removesuffix(".py"))
        for case in vars(module).values():
            if (isinstance(case, type)
                    and issubclass(case, unittest.TestCase)
                    and case.__module__ == module.__name__):
                found += [(module.__name__, case.__name__, method)
                          for method in Loader().getTestCaseNames(case)]
    return [test for test in found
            if not words or any(word in ".".join(test) for word in words)]


def run_one(test, output, pipe):
    """In the child: runs one test, sends (status, detail)."""
    os.setsid()
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)

    def late(number, _):
        # Once: what cleans up after the test must come to its end.
        signal.alarm(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Late(f"took longer than {TEST_TIMEOUT_S} s"
                   if number == signal.SIGALRM else "interrupted")

    signal.signal(signal.SIGALRM, late)
    signal.signal(signal.SIGTERM, late)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.alarm(TEST_TIMEOUT_S)
    module, case, method = test
    result = unittest.TestResult()
    try:
        getattr(sys.modules[module], case)(method).run(result)
        trouble = [text for _, text in result.errors + result.failures]
    except BaseException:  # pylint: disable=broad-except
        trouble = [traceback.format_exc()]
    signal.alarm(0)
    sys.stdout.flush()
    if trouble:
        pipe.send(("failed", "\n".join(trouble)))
    elif result.skipped:
        pipe.send(("skipped", result.skipped[0][1]))
    else:
        pipe.send(("passed", ""))
    pipe.close()


class Job:
    """One test under way."""

    def __init__(self, number, test, context):
        self.number = number
        self.name = ".".join(test)
        self.started = time.monotonic()
        self.output = tempfile.TemporaryFile()
        self.pipe, theirs = context.Pipe(duplex=False)
        self.process = context.Process(target=run_one,
                                       args=(test, self.output, theirs))
        self.process.start()
        theirs.close()

    def overdue(self):
        return (time.monotonic() - self.started
                > TEST_TIMEOUT_S + KILL_AFTER_S)

    def end(self):
        """What the test has left behind must not live on."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.join()

    def finish(self):
        """Prints the result; passed, failed or skipped."""
        try:
            status, detail = self.pipe.recv()
        except EOFError:
            status, detail = "failed", "its process ended without a word"
        self.end()
        seconds = time.monotonic() - self.started
        word = "not ok" if status == "failed" else "ok"
        skip = f" # SKIP {detail}" if status == "skipped" else ""
        print(f"{word} {self.number} - {self.name} ({seconds:.1f} s){skip}")
        if status == "failed":
            self.output.seek(0)
            said = io.TextIOWrapper(self.output, errors="replace").read()
            for line in (detail + "\n" + said).rstrip().splitlines():
                print("# " + line)
        sys.stdout.flush()
        return status


def run_all(tests, at_once, counts):
    context = multiprocessing.get_context("fork")
    waiting = collections.deque(enumerate(tests, 1))
    running = []
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                running.append(Job(*waiting.popleft(), context))
            ready = multiprocessing.connection.wait(
                [job.pipe for job in running], timeout=5)
            for job in list(running):
                if job.overdue() and job.pipe not in ready:
                    os.kill(job.process.pid, signal.SIGKILL)
                if job.pipe in ready:
                    running.remove(job)
                    counts[job.finish()] += 1
    finally:
        # Interrupted: each gets the time to stop what it has started.
        for job in running:
            job.process.terminate()
        for job in running:
            job.process.join(KILL_AFTER_S)
            job.end()


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1])
    parser.add_argument("-j", type=int, default=3)
    parser.add_argument("--counts")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("words", nargs="*")
    args = parser.parse_args()
    tests = find_tests(args.words)
    if args.list:
        print("\n".join(".".join(test) for test in tests))
        return 0
    import harness  # pylint: disable=import-outside-toplevel
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if tests:
        os.environ["DLO_TEST_BROKER"] = harness.shared_broker().name
    print(f"1..{len(tests)}", flush=True)
    counts = collections.Counter()
    run_all(tests, args.j, counts)
    if args.counts:
        with open(args.counts, "w", encoding="utf-8") as file:
            file.write(f"{counts['passed']} {counts['failed']} "
                       f"{counts['skipped']}\n")
    return 0 if counts["passed"] and not counts["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
