# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""Delete, restore, park and unpark: between the queues of dead letters nothing
of a message changes."""

import os
import subprocess

from pika import spec

import hostile
from harness import wait_until
from program import BIN, program_env, run_program
from redrive_case import RedriveCase, numbered
from wire import Wire

# An import adds these to what has none of them.
ADDED = {b"dlo-id", b"dlo-attempt", b"dlo-queue", b"dlo-user-id"}
ORDERED = os.path.join(BIN, "tests", "redrive", "ordered")


class Actions(RedriveCase):
    def ordered(self, action, *args, config=None, most=0, exit_code=0):
        """One job with that action, of at most so many; its stdout."""
        path = self.write_config(config or self.redrive_config())
        code, out, log = run_program(ORDERED, action, str(most), "-c", path,
                                     "--once", *args, timeout=120)
        self.assertEqual(code, exit_code, out + log)
        return out

    def raw(self, queue, count):
        """[(raw properties, body)] of all that is in the queue, in order."""
        wire = Wire(self.broker, self.vhost)
        self.addCleanup(wire.close)
        wire.open_channel()
        found = []

        def enough():
            while (got := wire.get(1, queue)) is not None:
                found.append(got)
            return len(found) >= count

        wait_until(enough, f"{count} in {queue}")
        self.assertEqual(len(found), count)
        return found

    def look(self, queue, count):
        """Somebody reads all and gives it back: the broker counts that."""
        wire = Wire(self.broker, self.vhost)
        wire.open_channel()
        for _ in range(count):
            self.assertIsNotNone(wire.get(1, queue, no_ack=False))
        wire.call(1, spec.Channel.Close(200, "", 0, 0),
                  spec.Channel.CloseOk)
        wire.close()
        self.wait_depth(queue, count)


class WhatIsMoved(Actions):
    def test_where_each_action_goes(self):
        for action, source, target, said in (
                ("delete", "orders.dlq", "orders.archive", "deleted"),
                ("restore", "orders.archive", "orders.dlq", "restored"),
                ("park", "orders.dlq", "orders.parked", "parked"),
                ("unpark", "orders.parked", "orders.dlq", "unparked")):
            with self.subTest(action):
                self.assertEqual(self.ordered(action),
                                 f"orders: nothing to do: {source} is empty\n")
                ids = self.bury(numbered(30), "rejected", queue=source)
                self.assertEqual(self.ordered(action),
                                 f"orders: complete: 30 {said}\n")
                self.assertEqual(self.ids_in(target), ids)
                self.assertEqual(self.depth(source), 0)

    def test_a_filter_a_limit_and_a_dry_run(self):
        self.ordered("delete")
        ids = self.bury(numbered(40), lambda number:
                        "deadline" if number % 4 == 0 else "rejected")
        out = self.ordered("delete", "--reason", "deadline", "--dry-run")
        self.assertIn("orders: dry run: would delete 10, 30 left", out)
        self.assertEqual(self.depth("orders.dlq"), 40)
        out = self.ordered("delete", "--reason", "deadline", most=3)
        self.assertIn("orders: complete: as many as asked for: 3 deleted",
                      out)
        self.assertEqual(self.ids_in("orders.archive"),
                         ["m-0", "m-4", "m-8"])
        self.ordered("park", "--reason", "deadline")
        self.assertEqual(self.ids_in("orders.parked"), ids[12::4])
        self.assertEqual(self.ids_in("orders.dlq"),
                         [one for number, one in enumerate(ids) if number % 4])

    def test_no_binding_no_loss(self):
        self.ordered("delete")
        ids = self.bury(numbered(20))
        self.channel.queue_unbind("orders.archive", "dlo.dead",
                                  "orders.archive")
        config = self.redrive_config()
        config["topology"] = {"declare": False}
        out = self.ordered("delete", config=config, exit_code=2)
        self.assertIn("partial: no queue takes it", out)
        self.assertEqual(self.ids_in("orders.dlq"), ids)

    def test_what_was_unparked_is_redriven_again_by_force_only(self):
        self.ordered("delete")
        self.bury(["tired"], headers={"dlo-redrives": 3},
                  queue="orders.parked")
        self.ordered("unpark")
        out = self.ordered("redrive")
        self.assertIn("0 redriven, 1 parked", out)
        self.ordered("unpark")
        out = self.ordered("redrive", most="0!")
        self.assertIn("complete: 1 redriven", out)
        self.assertEqual(self.ids_in("orders"), ["tired"])


class Lossless(Actions):
    def setUp(self):
        super().setUp()
        self.private_broker()
        self.broker.api("PUT", "users/stranger",
                        {"password": "secret", "tags": ""})
        self.broker.allow(self.vhost, "stranger")
        self.declare("orders")
        self.declare("elsewhere")
        self.ordered("delete")

    def bury_all(self, messages):
        wires = {}
        for by_guest, who in ((True, ()), (False, ("stranger", "secret"))):
            wires[by_guest] = Wire(self.broker, self.vhost, *who)
            wires[by_guest].open_channel(1, confirms=True)
            self.addCleanup(wires[by_guest].close)
        for message in messages:
            wire = wires[message.by_guest]
            wire.publish(1, "", "orders.dlq", message.body, message.raw,
                         mandatory=True)
            wire.expect(spec.Basic.Ack)

    def judge(self, message, raw, body, imported=False):
        """It is as it was. An import makes a dead letter of ours of what was
        none: it gets what it lacks of the headers that ours have, and our
        user, whom the broker vouches for."""
        with self.subTest(message.name):
            self.assertEqual(body, message.body)
            fields = hostile.read_headers(raw)
            # The broker says 0 of what it delivers for the first time, and
            # sorts the table for it: the fields are compared byte for byte.
            self.assertEqual(fields.pop(b"x-delivery-count"),
                             hostile.number(0))
            self.assertEqual(hostile.foreign(fields), message.foreign)
            self.assertEqual(set(fields) & hostile.REMOVED, set())
            if message.stays:
                before = hostile.read_table(message.headers)
                properties = hostile.without_headers(message.raw)
                if imported:
                    properties = hostile.with_user(properties, "guest")
                    for name in ADDED & set(fields):
                        before.setdefault(name, fields[name])
                self.assertEqual(fields, before)
                self.assertEqual(hostile.without_headers(raw), properties)

    def there_and_back(self, there, away, back):
        messages = hostile.messages()
        for message in messages:
            message.stays = stays(message)
        self.assertGreater(sum(m.stays for m in messages), 50)
        self.bury_all(messages)
        self.look("orders.dlq", len(messages))
        out = self.ordered(there)
        self.assertIn(f"orders: complete: {len(messages)} ", out)
        self.assertEqual(self.depth("orders.dlq"), 0)
        self.look(away, len(messages))
        out = self.ordered(back)
        self.assertIn(f"orders: complete: {len(messages)} ", out)
        self.assertEqual(self.depth(away), 0)
        # In whatever order: whoever gets singly and gives back scrambles.
        found = {hostile.name_of(body): (raw, body) for raw, body
                 in self.raw("orders.dlq", len(messages))}
        self.assertEqual(set(found), {m.name for m in messages})
        for message in messages:
            self.judge(message, *found[message.name])
        # Nobody's CC was heeded (each was published once, by its sender).
        self.assertEqual(self.depth("elsewhere"), 2)

    def test_delete_and_restore(self):
        self.there_and_back("delete", "orders.archive", "restore")

    def test_export_delete_and_import(self):
        # What pretends to be ours, and is not, does not become ours.
        messages = [m for m in hostile.messages() if stays(m)
                    and not any(name.startswith(b"dlo-") for name in
                                hostile.read_table(m.headers))]
        self.assertGreater(len(messages), 40)
        for message in messages:
            message.stays = True
        self.bury_all(messages)
        listen = f"unix:{self.folder}/redrive.sock"
        config = self.redrive_config(when=[])
        config["redrive"] = {"listen": listen}
        path = self.write_config(config)
        self.redrive(path, listen=listen)
        code, letters, said = run_program("dlo", "-c", path, "export",
                                          "orders")
        self.assertEqual((code, said), (0, f"{len(messages)} exported\n"))
        code, said, _ = run_program("dlo", "-c", path, "delete", "orders",
                                    "--all", "--wait")
        self.assertEqual(code, 0, said)
        self.wait_depth("orders.archive", len(messages))
        done = subprocess.run(
            [os.path.join(BIN, "dlo"), "-c", path, "import", "orders"],
            input=letters, capture_output=True, text=True, timeout=60,
            check=False, env=program_env())
        self.assertEqual((done.returncode, done.stdout + done.stderr),
                         (0, f"{len(messages)} imported\n"))
        self.wait_depth("orders.dlq", len(messages))
        found = {hostile.name_of(body): (raw, body) for raw, body
                 in self.raw("orders.dlq", len(messages))}
        self.assertEqual(set(found), {m.name for m in messages})
        for message in messages:
            self.judge(message, *found[message.name], imported=True)

    def test_park_and_unpark(self):
        self.there_and_back("park", "orders.parked", "unpark")


def stays(message):
    """Whether each byte of its properties must come back: nothing is in them
    that would lose or divert a copy, and no user but ours."""
    names = hostile.read_table(message.headers)
    flags = int.from_bytes(message.raw[:2], "big")
    return not (
        set(names) & hostile.REMOVED
        or any(name.startswith((b"x-first-death-", b"x-last-death-"))
               for name in names)
        or flags & 1 << hostile.PROPERTIES["expiration"]
        or message.name in ("transient", "foreign-user"))
