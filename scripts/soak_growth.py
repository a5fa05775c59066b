# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""The run `growth` of scripts/soak: everything at once for a long time.

One consumer with five pipelines on four downstreams: HTTP, HTTP in order of
a key, the same strictly, exec once and exec stream. Most messages are done at
once; some fail and are held or go to the ladder, some are refused, some time
out, some find the connection cut. Each minute the downstreams are down for a
while, so that breakers open, and both connections to the broker are closed.
Bodies are small, large, and a few very large.

Two things are judged: the ledger (each confirmed id is done or dead), and the
resident memory, sampled every few seconds. It may settle in the first quarter
of the time; from then on neither the line through the samples nor the last
quarter's median against the second's may rise by more than GROWTH_MIB.
"""

import os
import random
import statistics
import threading
import time

import pika

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GROWTH_MIB = 2.0
SAMPLE_S = 10
# Of each minute: what happens at which second.
DOWN_S, UP_S, CUT_S = 20, 30, 45
PIPELINES = ("web", "keyed", "strict", "once", "stream")
# exec once is a process each: it takes fewer.
WEIGHTS = (50, 20, 5, 5, 20)
CUSTOMERS = 20
# What it begins with is refused by all; by the examples for its end of line.
POISON = b"\n"


class Shop:
    """Answers by the body's first byte, or at random."""

    def __init__(self, seed):
        self.is_up = True
        self.done = set()
        self.random = random.Random(seed)
        self.lock = threading.Lock()

    def __call__(self, request):
        with self.lock:
            chance = self.random.random()
        if not self.is_up:
            return None if chance < 0.2 else 503
        if request.body.startswith(POISON):
            return 422
        if request.path == "/web" and chance < 0.002:
            time.sleep(1.5)  # longer than it is waited for
            return 200
        if request.path == "/web" and chance < 0.01:
            return None
        if chance < (0.1 if request.path == "/web" else 0.05):
            return 503
        with self.lock:
            self.done.add(request.id)
        return 200


class Load(threading.Thread):
    """Publishes with confirms at an even pace until it is stopped."""

    def __init__(self, parameters, seed, per_second):
        super().__init__(daemon=True)
        self.parameters = parameters
        self.random = random.Random(seed)
        self.per_second = per_second
        self.over = threading.Event()
        self.confirmed = []

    def body(self, pipeline):
        size = self.random.choices((200, 65536, 1 << 20), (90, 9, 1))[0]
        if self.random.random() < 0.02:
            return POISON + b"x" * size
        # What is brewed is written down: in one write, as others write too.
        return b"x" * (200 if pipeline in ("once", "stream") else size)

    def run(self):
        with pika.BlockingConnection(self.parameters) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            start = time.monotonic()
            while not self.over.is_set():
                pipeline = self.random.choices(PIPELINES, WEIGHTS)[0]
                number = len(self.confirmed)
                message_id = f"{pipeline}-{number}"
                customer = str(self.random.randrange(CUSTOMERS))
                channel.basic_publish(
                    "", pipeline, self.body(pipeline), pika.BasicProperties(
                        message_id=message_id, delivery_mode=2,
                        headers={"customer": customer}), mandatory=True)
                self.confirmed.append(message_id)
                ahead = start + number / self.per_second - time.monotonic()
                if ahead > 0:
                    self.over.wait(ahead)

    def stop(self):
        self.over.set()
        self.join()


class Growth:
    """What the run has under its hands."""

    def __init__(self, run, say):
        self.run = run
        self.case = run.case
        self.say = say
        self.shop = Shop(run.args.seed)
        self.downstream = self.case.downstream(self.shop)
        self.counter = os.path.join(self.case.folder, "counter")
        self.samples = []  # (minute, MiB)
        self.begun = 0

    def downstreams(self):
        url = self.downstream.url
        examples = os.path.join(TOP, "examples")
        breaker = {"failures": 5, "open": "1s", "open_max": "4s"}
        return {
            "web": {"http": {"url": url + "web", "timeout": "1s"},
                    "probe": {"tcp": {"address":
                              f"127.0.0.1:{self.downstream.port}"}},
                    "breaker": breaker},
            "line": {"http": {"url": url + "line"}, "breaker": breaker},
            "once": {"exec": {"command": [examples + "/brew.sh"]},
                     "breaker": breaker},
            "stream": {"exec": {"command": [examples + "/brew_stream.py"],
                                "mode": "stream"}, "breaker": breaker}}

    def config(self):
        used = {"web": "web", "keyed": "line", "strict": "line",
                "once": "once", "stream": "stream"}
        orders = {"keyed": {"key": {"header": "customer"}},
                  "strict": "strict"}
        pipelines = {
            name: {"queue": name, "downstream": used[name],
                   "concurrency": 16,
                   "retry": {"attempts": 50, "first": "200ms", "cap": "5s",
                             "hold": "150ms"}} for name in PIPELINES}
        for name, order in orders.items():
            pipelines[name]["order"] = order
            pipelines[name]["retry"].update(attempts=20, cap="1s")
        return self.case.config(
            log={"level": "error"}, downstreams={
                "shop": None, **self.downstreams()},
            pipelines={"orders": None, **pipelines})

    def open_counter(self, is_open):
        """The exec downstreams' shop: without its file they fail."""
        away = self.counter + ".closed"
        os.rename(*((away, self.counter) if is_open else
                    (self.counter, away)))

    def cut(self):
        """Closes the consumer's connections, as an operator can."""
        for connection in self.case.broker.api("GET", "connections"):
            if "dlo-consumer" in connection["client_properties"].get(
                    "connection_name", ""):
                self.case.broker.api(
                    "DELETE", "connections/"
                    + connection["name"].replace(" ", "%20").replace(
                        ">", "%3E").replace(":", "%3A"), missing_ok=True)

    def minute(self, consumer, rss_mib, end):
        """One round of trouble, with samples on the way."""
        start = time.monotonic()
        trouble = [(DOWN_S, lambda: self.set_up(False)),
                   (UP_S, lambda: self.set_up(True)), (CUT_S, self.cut),
                   (60, lambda: None)]
        for second, act in trouble:
            while (now := time.monotonic()) < start + second:
                if not consumer.alive():
                    raise AssertionError("the consumer ended:\n"
                                         + consumer.tail())
                due = self.begun + SAMPLE_S * len(self.samples)
                if now >= due and now < end:
                    self.samples.append(((now - self.begun) / 60,
                                         rss_mib(consumer)))
                time.sleep(0.5)
            act()

    def set_up(self, is_up):
        self.shop.is_up = is_up
        self.open_counter(is_up)

    def done(self):
        with open(self.counter, encoding="utf-8") as file:
            brewed = {line.split()[0] for line in file}
        return self.shop.done | brewed

    def judge_ledger(self, confirmed, consumer):
        done = self.done()
        dead = {letter.id for name in PIPELINES
                for letter in self.case.drain(f"{name}.dlq")}
        lost = set(confirmed) - done - dead
        metrics = consumer.metrics()
        self.say(f"  confirmed {len(confirmed)}, done {len(done)}, dead "
                 f"{len(dead)}, attempts "
                 f"{metrics.value('dlo_attempts_total'):.0f}")
        self.run.check(not lost, f"lost {len(lost)} {sorted(lost)[:10]}")
        # Each kind of trouble was there.
        for what, count in {
                "held": metrics.value("dlo_retry_scheduled_total",
                                      where="hold"),
                "to the ladder": metrics.value("dlo_retry_scheduled_total",
                                               where="ladder"),
                "timed out": metrics.value("dlo_attempts_total",
                                           **{"class": "http.timeout"}),
                "dead": metrics.value("dlo_dead_lettered_total"),
                "breakers opened": metrics.value("dlo_breaker_opened_total"),
                "connections lost": metrics.value(
                    "dlo_broker_faults_total", kind="connection_lost"),
        }.items():
            self.run.check(count > 0, f"{what}: {count:.0f}")

    def judge_memory(self):
        minutes, mib = zip(*self.samples)
        quarter = len(mib) // 4
        slope, _ = statistics.linear_regression(minutes[quarter:],
                                                mib[quarter:])
        risen = slope * (minutes[-1] - minutes[quarter])
        second = statistics.median(mib[quarter:2 * quarter])
        last = statistics.median(mib[-quarter:])
        self.say(f"  resident: {mib[0]:.1f} MiB at first, {max(mib):.1f} at "
                 f"most; medians of the quarters " + ", ".join(
                     f"{statistics.median(mib[n * quarter:][:quarter]):.1f}"
                     for n in range(4)))
        self.run.check(
            risen <= GROWTH_MIB and last - second <= GROWTH_MIB,
            f"after the first quarter: {slope * 1024:+.1f} KiB a minute, "
            f"{risen:+.2f} MiB in all; last quarter against the second "
            f"{last - second:+.2f} MiB; allowed {GROWTH_MIB}")


def settled(case, timeout):
    """Until nothing is in work queues and ladders, three looks long."""
    end = time.monotonic() + timeout
    quiet = 0
    while quiet < 3 and time.monotonic() < end:
        time.sleep(1)
        moving = sum(counts["total"] or 0 for queue, counts in
                     case.broker.totals(case.vhost).items()
                     if queue in PIPELINES or queue.startswith("dlo.retry."))
        quiet = quiet + 1 if moving == 0 else 0
    return quiet == 3


def run(soak, say, rss_mib):
    """`soak` is the Run of scripts/soak."""
    case, args = soak.case, soak.args
    case.private_broker()
    growth = Growth(soak, say)
    for name in PIPELINES:
        case.declare(name)
    open(growth.counter, "x", encoding="utf-8").close()
    consumer = soak.consumer(growth.config(),
                             env={"COUNTER": growth.counter})
    load = Load(case.broker.parameters(case.vhost), args.seed,
                args.growth_rate)
    load.start()
    growth.begun = time.monotonic()
    end = growth.begun + args.growth_minutes * 60
    try:
        while time.monotonic() < end:
            growth.minute(consumer, rss_mib, end)
            say(f"  {growth.samples[-1][0]:.0f} min, {len(load.confirmed)} "
                f"published, {growth.samples[-1][1]:.1f} MiB")
    finally:
        load.stop()
    soak.check(settled(case, 300), "settled by itself")
    growth.judge_ledger(load.confirmed, consumer)
    growth.judge_memory()
    soak.check(consumer.terminate() == 0, "TERM ends the consumer with 0")
