# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""The run of scripts/soak that looks at very many dead letters: how long an
operator waits for the first of an answer and for all of it, and whether the
queue is afterwards what it was."""

import json
import socket
import time
import urllib.parse

FIRST_SECONDS = 1
MIB = 64
RARE = "deadline"
RARE_FROM, RARE_EVERY = 0.9, 500


def reason_of(count):
    """One rare reason, and only late in the queue."""
    def reason(number):
        return (RARE if number >= count * RARE_FROM
                and number % RARE_EVERY == 0 else "rejected")
    return reason


class Answer:
    """One answer of the API: what came when."""

    def __init__(self, path, what, **query):
        if "filter" in query:
            query["filter"] = json.dumps(query["filter"])
        target = (f"/v1/pipelines/orders/{what}?"
                  + urllib.parse.urlencode(query))
        start = time.monotonic()
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(60)
        client.connect(path)
        client.sendall(f"GET {target} HTTP/1.0\r\nHost: localhost\r\n\r\n"
                       .encode())
        parts, self.first = [], None
        head = b""
        while part := client.recv(1 << 20):
            parts.append(part)
            if self.first is None:
                head += part
                # The head alone is no result.
                if len(head.partition(b"\r\n\r\n")[2]) > 0:
                    self.first = time.monotonic() - start
        self.all = time.monotonic() - start
        client.close()
        self.body = b"".join(parts).partition(b"\r\n\r\n")[2]

    def json(self):
        return json.loads(self.body)


def peak_mib(daemon):
    with open(f"/proc/{daemon.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file
                    if line.startswith("VmHWM:")) / 1024


def look(run, path, name, what, expected, fast=True, **query):
    """One look, judged by its count and, if it is to be fast, its time."""
    answer = Answer(path, what, **query)
    if "lines" in query:
        end = json.loads(answer.body.splitlines()[-1])
    else:
        end = answer.json()
    took = (f"{name}: first after {answer.first:.2f} s, "
            f"all after {answer.all:.2f} s")
    right = end["count"] == expected and end["complete"]
    run.check(right and (answer.first < FIRST_SECONDS or not fast),
              f"{took}, {end['count']} letters")
    return answer


def run_looks(run):
    """Peek, groups and export of a DLQ that nothing else touches."""
    from api_case import ApiCase
    run.close()
    run.case = case = ApiCase()
    case.setUp()
    count = run.args.look_letters
    daemon = case.office()
    ids = case.bury([f"m-{n}" for n in range(count)], reason_of(count),
                    body=b"x" * 200)
    rare = sum(reason_of(count)(n) == RARE for n in range(count))
    path, late = case.socket, {"reason": [RARE]}

    def groups(name, expected, **query):
        look(run, path, name, "groups", expected, lines="true", **query)

    look(run, path, "peek of 20", "dead", 20, limit=20)
    # The one before still gives back all that there is.
    look(run, path, "the same at once", "dead", 20, fast=False, limit=20)
    look(run, path, "peek", "dead", 100, fast=False)
    case.wait_depth("orders.dlq", count)
    groups("groups right after", count)
    groups("groups again", count)
    case.wait_depth("orders.dlq", count)
    groups("groups", count)
    case.wait_depth("orders.dlq", count)
    # All were given back before: the next one has to read them all.
    look(run, path, "peek of 20", "dead", 20, limit=20)
    case.wait_depth("orders.dlq", count)
    # Only the last ones match: nothing can be shown before.
    look(run, path, "peek at what is rare and late", "dead", rare, fast=False,
         filter=late)
    case.wait_depth("orders.dlq", count)
    groups("groups of that", rare, filter=late)
    case.wait_depth("orders.dlq", count)
    look(run, path, "export", "dead", count, lines="true")
    case.wait_depth("orders.dlq", count)
    run.check(peak_mib(daemon) < MIB,
              f"{peak_mib(daemon):.0f} MiB resident at most")
    run.check(case.ids_in("orders.dlq") == ids,
              f"{count} letters are there, in their order")
    run.check(daemon.terminate() == 0, "TERM ends the daemon with 0")
