# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""An independent client that hears what is told on dlo.events."""

import datetime
import json
import os

import jsonschema

import harness
from program import TOP

TELLERS = {"outcome": "dlo-consumer", "dead": "dlo-consumer",
           "breaker": "dlo-consumer", "job": "dlo-redrive"}


def schema():
    path = os.path.join(TOP, "docs", "events.schema.json")
    with open(path, encoding="utf-8") as file:
        return json.load(file)


class Ear:
    """A queue bound to dlo.events. Each event must be what the schema says,
    and must come from whom it says it comes."""

    def __init__(self, case, *keys):
        self.case = case
        self.events = []
        self.validator = jsonschema.Draft202012Validator(schema())
        self.channel = case.new_channel(confirms=False)
        self.channel.exchange_declare("dlo.events", "topic", durable=True)
        declared = self.channel.queue_declare("", exclusive=True)
        self.queue = declared.method.queue
        for key in keys:
            self.channel.queue_bind(self.queue, "dlo.events", key)

    def listen(self):
        """Takes what has come; all events so far."""
        while True:
            method, properties, body = self.channel.basic_get(
                self.queue, auto_ack=True)
            if method is None:
                return self.events
            self.events.append(self.check(method, properties, body))

    def check(self, method, properties, body):
        event = json.loads(body)
        errors = [error.message for error in
                  self.validator.iter_errors(event)]
        self.case.assertEqual(errors, [], body)
        self.case.assertEqual(
            (properties.content_type, properties.delivery_mode,
             properties.type, properties.app_id, properties.user_id),
            ("application/json", 1, event["event"], TELLERS[event["event"]], "guest"))
        self.case.assertEqual(
            method.routing_key, event["event"] + "."
            + (event.get("pipeline") or event.get("downstream")))
        at = datetime.datetime.strptime(event["at"], "%Y-%m-%dT%H:%M:%S.%f%z")
        self.case.assertEqual(int(at.timestamp()), properties.timestamp)
        return event

    def heard(self, **fields):
        """The events so far that have these values."""
        return [event for event in self.listen()
                if fields.items() <= event.items()]

    def wait(self, count=1, timeout=harness.TIMEOUT_S, **fields):
        """Waits for so many of them; a list."""
        return harness.wait_until(
            lambda: len(found := self.heard(**fields)) >= count and found,
            f"{count} events with {fields}", timeout)
