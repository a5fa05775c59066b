# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""What the tests of dlo-redrive share: dead letters made by hand, and what is
left of them."""

import time

import pika

import harness

DEAD_ARGUMENTS = {
    "x-queue-type": "quorum",
    "x-overflow": "reject-publish",
    "x-delivery-limit": 2147483647,
}
HOUR_MS = 3600 * 1000


class RedriveCase(harness.Case):
    """A work queue `orders` and its dead-letter queue, made by the program
    itself before the test fills them."""

    def setUp(self):
        super().setUp()
        self.make_queues()

    def make_queues(self):
        self.declare("orders")
        self.channel.queue_declare("orders.dlq", durable=True,
                                   arguments=DEAD_ARGUMENTS)

    def redrive_config(self, downstream=None, **redrive):
        """A configuration whose redrive is fast and waits for no verdicts;
        `redrive` is merged into the pipeline's. With a downstream it has a
        probe, which asks it each 100 ms."""
        redrive.setdefault("rate", 5000)
        redrive.setdefault("canary", 0)
        redrive.setdefault("ramp", {"start": redrive["rate"]})
        over = {"pipelines": {"orders": {"redrive": redrive}}}
        if downstream is not None:
            redrive.setdefault("cooldown", "100ms")
            over["downstreams"] = {"shop": {"probe": {
                "http": {"url": downstream.url + "health"},
                "every": "100ms", "timeout": "5s", "rise": 2, "fall": 2}}}
        return self.config(downstream, **over)

    def bury(self, ids, reason="attempts_exhausted", channel=None,
             queue="orders.dlq", headers=None, body=b"body", before=None,
             **properties):
        """Puts dead letters with these ids into the queue, as dlo-consumer
        writes them, and waits until they are there. `before`: how many there
        are, where somebody may still hold some of them."""
        channel = channel or self.new_channel(confirms=False)
        now_ms = int(time.time() * 1000)
        if before is None:
            before = self.depth(queue)
        for number, message_id in enumerate(ids):
            chosen = reason(number) if callable(reason) else reason
            its = {
                "dlo-id": message_id,
                "dlo-attempt": 6,
                "dlo-reason": chosen,
                "dlo-class": "http.503",
                "dlo-error": "the shop is closed",
                "dlo-first-failed-at": now_ms - HOUR_MS,
                "dlo-last-failed-at": now_ms - HOUR_MS // 2,
                "dlo-exchange": "shop",
                "dlo-routing-key": "order.new",
                "dlo-queue": "orders",
                **(headers or {}),
            }
            given = {"delivery_mode": 2, "user_id": "guest", **properties}
            channel.basic_publish("", queue, body, pika.BasicProperties(
                message_id=message_id, headers={
                    key: value for key, value in its.items()
                    if value is not None}, **given))
        ids = list(ids)
        self.wait_depth(queue, before + len(ids))
        return ids

    def empty(self, queue):
        """Takes all that is ready and acks it; the messages, in order."""
        count = self.depth(queue)
        messages = []
        if count == 0:
            return messages
        channel = self.new_channel(confirms=False)
        channel.basic_qos(prefetch_count=1000)
        for got in channel.consume(queue, inactivity_timeout=10):
            if got[0] is None:
                raise AssertionError(f"{len(messages)} of {count} in {queue}")
            messages.append(harness.Message(*got))
            channel.basic_ack(got[0].delivery_tag)
            if len(messages) == count:
                break
        channel.cancel()
        channel.close()
        return messages

    def ids_in(self, queue):
        """The ids of all that is ready, which is taken out."""
        return [message.id for message in self.empty(queue)]

    def assert_once(self, code, out, *words, exit_code=0):
        """--once ended so, and said these words."""
        self.assertEqual(code, exit_code, out)
        for word in words:
            self.assertIn(word, out)


def numbered(count, prefix="m"):
    return [f"{prefix}-{number}" for number in range(count)]
