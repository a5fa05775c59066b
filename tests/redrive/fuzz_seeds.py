#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""usage: fuzz_seeds.py FOLDER

Writes what the fuzzers of dlo-redrive begin with into FOLDER/api,
FOLDER/broker and FOLDER/letter: one of everything that they could be sent."""

import itertools
import json
import os
import sys
from urllib.parse import quote

FILTERS = [
    {}, {"reason": ["rejected", "deadline"]}, {"class": ["http", "http.503"]},
    {"error": "no price"}, {"id": ["m-1"]}, {"older_than": "24h"},
    {"newer_than": "90s"}, {"routing_key": "order.*"},
    {"header": {"k": "v"}}, {"redrives_above": 2},
]
PROPERTIES = {
    "content_type": "text/plain", "content_encoding": "gzip",
    "delivery_mode": 2, "priority": 3, "correlation_id": "c",
    "reply_to": "r", "expiration": "1000", "message_id": "m-1",
    "timestamp": "2026-01-31T12:00:00Z", "type": "t", "user_id": "guest",
    "app_id": "a",
}
HEADERS = [
    {"name": "n", "type": kind, "value": value} for kind, value in (
        ("t", True), ("b", -1), ("B", 200), ("s", -300), ("u", 300),
        ("I", 7), ("i", 7), ("l", -7), ("f", 1.5), ("d", 2.5),
        ("D", {"scale": 2, "value": 314}), ("S", "text"), ("x", "AAE="),
        ("A", [{"type": "S", "value": "a"}]), ("T", 1795711277), ("V", None),
        ("F", [{"name": "k", "type": "S", "value": "v"}]))]
LETTER = {"properties": PROPERTIES, "headers": HEADERS, "body": "hello",
          "id": "m-1", "reason": "rejected"}
ACTIONS = ("redrive", "delete", "restore", "park", "unpark")


def request(method, path, body=None, headers=()):
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    data = b"" if body is None else json.dumps(body).encode()
    if body is not None:
        lines += ["Content-Type: application/json",
                  f"Content-Length: {len(data)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def requests():
    pipeline = "/v1/pipelines/orders/"
    for path in ("/v1/pipelines", "/v1/jobs", "/v1/jobs/1cgy5kn0m5ka",
                 "/v1/audit", "/v1/audit?since=1h", "/healthz", "/readyz",
                 "/metrics", "/nowhere"):
        yield request("GET", path)
    for one in FILTERS:
        text = quote(json.dumps(one))
        yield request("GET", f"{pipeline}groups?filter={text}")
        yield request("GET", f"{pipeline}dead?filter={text}&limit=2&body=true")
    for queue in ("dead", "parked", "archive"):
        yield request("GET", f"{pipeline}dead?lines=true&queue={queue}")
    for action in ACTIONS:
        yield request("POST", "/v1/jobs", {
            "pipeline": "orders", "action": action, "filter": FILTERS[1],
            "rate": 10, "max": 1, "canary": 0, "dry_run": False,
            "force": True, "request": "mine"})
    for verb in ("pause", "resume", "cancel"):
        yield request("POST", f"/v1/jobs/1cgy5kn0m5ka/{verb}", {})
    yield request("POST", "/v1/features/redrive", {"on": False})
    yield request("POST", pipeline + "dead", {"messages": [LETTER]})
    yield request("POST", pipeline + "edit", {"id": "m-1",
                                              "message": LETTER})
    yield request("GET", "/v1/pipelines", headers=(
        "Authorization: Bearer token", "Origin: http://evil.example"))
    yield (request("GET", "/v1/pipelines") +
           request("GET", "/v1/jobs"))
    yield (b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\n"
           b"Transfer-Encoding: chunked\r\n\r\n"
           b"15\r\n{\"pipeline\":\"orders\"}\r\n0\r\n\r\n")


def talk():
    """Bodies in JSON: requests, records, verdicts."""
    yield {"pipeline": "orders"}
    yield {"action": "delete", "pipeline": "orders", "filter": FILTERS[2]}
    yield {"feature": "redrive", "on": False}
    yield {"job": "1cgy5kn0m5ka", "verb": "pause"}
    yield {"v": 1, "kind": "lease", "epoch": 7, "by": "there:1"}
    yield {"version": 1, "event": "outcome", "pipeline": "orders",
           "id": "m-1", "job": "1cgy5kn0m5ka", "redrives": 1, "attempt": 1,
           "outcome": "ok", "class": "ok", "next": "ack",
           "at": "2026-01-31T12:00:00.000Z", "instance": "a:1"}
    yield {"version": 1, "event": "breaker", "downstream": "shop",
           "state": "open", "instance": "a:1", "opened": 1,
           "at": "2026-01-31T12:00:00.000Z"}


def write(folder, seeds):
    os.makedirs(folder, exist_ok=True)
    for number, seed in enumerate(seeds):
        with open(os.path.join(folder, f"seed-{number}"), "wb") as file:
            file.write(seed)


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stdout if "--help" in sys.argv
              else sys.stderr)
        return 0 if "--help" in sys.argv else 64
    top = sys.argv[1]
    write(os.path.join(top, "api"),
          (bytes([how]) + text for how, text in
           itertools.product((0, 2, 4, 8), requests())))
    write(os.path.join(top, "broker"),
          (bytes([how]) + json.dumps(body).encode() for how, body in
           itertools.product((0x00, 0x01, 0x10, 0x04, 0x24, 0x28, 0x2c, 0x38),
                             talk())))
    write(os.path.join(top, "letter"), itertools.chain(
        (b"j" + json.dumps(LETTER).encode(),),
        (b"j" + json.dumps({**LETTER, "headers": [h]}).encode()
         for h in HEADERS),
        (b"f" + json.dumps(one).encode() for one in FILTERS),
        (b"m\x00\x02\x00\x00body",)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
