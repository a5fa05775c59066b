# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""How fast dlo-redrive moves dead letters back, against RabbitMQ's shovel
plugin between the same two quorum queues, in turn on one private broker. Both
publish with confirms and ack what is confirmed. The shovel is a dynamic one
with its defaults: ack-mode on-confirm, a prefetch of 1000. dlo-redrive may go
as fast as it can, and has no canary, as nobody consumes here."""

import json
import statistics
import time
from urllib.parse import quote

SOURCE, TARGET = "orders.dlq", "orders"
RATE = 1000000
LOOK_SECONDS = 0.02


class RedriveBench:
    def __init__(self, args, say):
        from redrive_case import DEAD_ARGUMENTS, RedriveCase
        self.say = say
        self.count = args.letters
        self.body = b"x" * args.body
        self.case = RedriveCase()
        self.case.setUp()
        self.case.private_broker(plugins=("rabbitmq_shovel",))
        self.case.declare(TARGET)
        self.case.channel.queue_declare(SOURCE, durable=True,
                                        arguments=DEAD_ARGUMENTS)

    def close(self):
        self.case.doCleanups()

    def fill(self):
        self.case.channel.queue_purge(TARGET)
        self.case.bury([f"m-{n}" for n in range(self.count)],
                       body=self.body)

    def moved_a_second(self):
        """From the first twentieth's arrival to that of the last but one:
        how either is started does not count."""
        looks = []
        deadline = time.monotonic() + 300
        while not looks or looks[-1][1] < self.count:
            if time.monotonic() > deadline:
                raise RuntimeError("it does not move them all")
            looks.append((time.monotonic(), self.case.depth(TARGET)))
            time.sleep(LOOK_SECONDS)
        low, high = self.count * 0.05, self.count * 0.95
        under_way = [look for look in looks if low <= look[1] <= high]
        if len(under_way) < 2:
            raise RuntimeError("too fast to be seen: use more --letters")
        first, last = under_way[0], under_way[-1]
        return (last[1] - first[1]) / (last[0] - first[0])

    def redrive(self):
        from program import Program
        config = self.case.write_config(self.case.redrive_config(
            rate=RATE, when=[]))
        program = Program("dlo-redrive", "-c", config, "--once")
        rate = self.moved_a_second()
        if program.wait() != 0:
            raise RuntimeError(program.tail())
        return rate

    def shovel(self):
        uri = (f"amqp://guest:guest@127.0.0.1:{self.case.broker.port}/"
               + quote(self.case.vhost, safe=""))
        self.case.broker.ctl(
            "set_parameter", "--vhost", self.case.vhost, "shovel", "bench",
            json.dumps({
                "src-protocol": "amqp091", "src-uri": uri,
                "src-queue": SOURCE, "dest-protocol": "amqp091",
                "dest-uri": uri, "dest-queue": TARGET,
                "ack-mode": "on-confirm", "src-prefetch-count": 1000}))
        try:
            return self.moved_a_second()
        finally:
            self.case.broker.ctl("clear_parameter", "--vhost",
                                 self.case.vhost, "shovel", "bench")

    def run(self, rounds):
        """The ratio of the medians, and that of the best rounds."""
        rates = {"shovel": [], "redrive": []}
        for turn in range(rounds):
            for name in sorted(rates, reverse=turn % 2 == 0):
                self.fill()
                rates[name].append(getattr(self, name)())
            self.say(f"round {turn + 1}:  " + "  ".join(
                f"{name} {found[-1]:>7,.0f}/s"
                for name, found in rates.items()))
        for name, found in rates.items():
            self.say(f"{name:<9}{statistics.median(found):>9,.0f} letters/s "
                     f"({min(found):,.0f} to {max(found):,.0f})")
        return (statistics.median(rates["redrive"])
                / statistics.median(rates["shovel"]),
                max(rates["redrive"]) / max(rates["shovel"]))
