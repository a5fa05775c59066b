#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""exec, mode stream: a process that lives on. For each message comes a line of
JSON and `length` bytes of body; a line of JSON is the answer. $COUNTER is
where finished orders go."""

import json
import os
import sys


def brew(message, order):
    """What becomes of it: the answer, as a dict."""
    if not order.isprintable():
        return {"outcome": "reject", "class": "coffee.unknown",
                "error": "an order is one line"}
    if not order or "decaf" in order:
        return {"outcome": "reject", "class": "coffee.unknown",
                "error": f"no such coffee: {order}"}
    if not os.path.exists(os.environ["COUNTER"]):
        return {"outcome": "retry", "class": "counter.closed",
                "error": "the counter is closed", "delay_ms": 300}
    # An order may come twice: whoever minds looks for its id.
    with open(os.environ["COUNTER"], "a", encoding="utf-8") as counter:
        print(message["id"], message["attempt"], order, file=counter)
    return {"outcome": "ok"}


# stdout is for answers alone: whatever else is printed must go to stderr.
for line in sys.stdin.buffer:
    head = json.loads(line)
    body = sys.stdin.buffer.read(head["length"])
    print(json.dumps(brew(head, body.decode())), flush=True)
