#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""exec, mode once: a process a message. The order comes on stdin, the exit
status is the answer, the last line of stderr the error. $COUNTER is where
finished orders go."""

import os
import sys

order = sys.stdin.buffer.read().decode()
if not order.isprintable():
    print("an order is one line", file=sys.stderr)
    sys.exit(os.EX_DATAERR)
if not order or "decaf" in order:
    print("no such coffee:", order, file=sys.stderr)
    sys.exit(os.EX_DATAERR)  # reject: it will never be one
if not os.path.exists(os.environ["COUNTER"]):
    print("the counter is closed", file=sys.stderr)
    sys.exit(os.EX_TEMPFAIL)  # retry: as any other status but 0 and 65
# An order may come twice: whoever minds looks for its id.
with open(os.environ["COUNTER"], "a", encoding="utf-8") as counter:
    print(os.environ["DLO_ID"], os.environ["DLO_ATTEMPT"], order,
          file=counter)
# An uncaught exception is a status of 1, and so a retry.
