#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""A coffee shop on a private RabbitMQ: what scripts/demo shows.

The shop takes orders and publishes each with a confirm; its id goes into a
ledger file. Two dlo-consumers hand the orders to a payment service, which
fails in every way it can while one consumer is killed. dlo-redrive brings
back what died of the failures. Everything is real and on loopback: the
broker, the daemons, the HTTP service. The end is judged by ids: those in the
ledger, those that the payment service charged, those found in the queues.
"""

import argparse
import collections
import http.server
import json
import locale
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pika

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
STATE = os.path.join(TOP, "build", "demo", "world")
BROKER = os.path.join(TOP, "scripts", "broker")
QUEUES = ("orders", "orders.dlq", "orders.parked")

# The story, in seconds from the first order.
SCENES = (
    (10, "flaky"),
    (22, "kill"),
    (34, "down"),
    (36, "restart"),
    (56, "well"),
    (66, "close"),
)
ORDERS_PER_S = 8
AMEX_SHARE = 0.07
POISON_SHARE = 0.03
SETTLE_S = 75


class Narrator:
    """Prints what happens, one line each, at most 100 columns."""

    COLOURS = {"shop": "36", "payment": "35", "consumer": "33",
               "redrive": "32", "queues": "34", "demo": "1"}

    def __init__(self):
        self.lock = threading.Lock()
        self.start = time.monotonic()
        self.colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        encoding = (locale.getpreferredencoding(False) or "").lower()
        self.ascii = encoding.replace("-", "") != "utf8"

    def restart(self):
        self.start = time.monotonic()

    def say(self, who, text):
        if self.ascii:
            text = text.replace("→", "->").replace("–", "-")
            text = text.encode("ascii", "replace").decode("ascii")
        head = f"{time.monotonic() - self.start:6.1f}s  "
        name = f"{who:<9} "
        room = 100 - len(head) - len(name)
        lines = []
        while len(text) > room:
            cut = text.rfind(" ", 0, room + 1)
            cut = cut if cut > 0 else room
            lines.append(text[:cut])
            text = text[cut:].lstrip()
        lines.append(text)
        with self.lock:
            for line in lines:
                shown = name
                if self.colour:
                    shown = f"\033[{self.COLOURS.get(who, '0')}m{name}\033[0m"
                print(f"{head}{shown}{line}", flush=True)
                head, name = " " * len(head), " " * len(name)

    def title(self, text):
        with self.lock:
            line = text if not self.colour else f"\033[1m{text}\033[0m"
            print(f"\n{line}", flush=True)


class Payment:
    """The downstream: POST /charge takes an order's money, GET /health."""

    def __init__(self):
        self.lock = threading.Lock()
        self.charged = collections.Counter()
        self.poison = set()
        self.failed = 0
        self.mode = "well"
        self.server = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def answer(self, order):
        with self.lock:
            if order.get("size") == "bathtub":
                self.poison.add(order["id"])
                return 422, "no such size: bathtub"
            if self.mode == "flaky" and order["card"] == "amex":
                self.failed += 1
                return 503, "the Amex network does not answer"
            self.charged[order["id"]] += 1
        return 200, "charged"

    def open(self):
        payment = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def reply(self, code, text):
                body = text.encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                self.reply(200, "ok")

            def do_POST(self):
                size = int(self.headers["Content-Length"])
                order = json.loads(self.rfile.read(size))
                time.sleep(0.25)  # charging a card takes a moment
                if payment.server is None:
                    self.close_connection = True
                    return  # it went down meanwhile: no answer
                self.reply(*payment.answer(order))

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_):
                pass  # a consumer was killed in the middle of a request

        self.server = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,),
                         daemon=True).start()

    def close(self):
        server, self.server = self.server, None
        if server is not None:
            server.shutdown()
            server.server_close()


class Shop(threading.Thread):
    """The producer: an order counts once the broker has confirmed it."""

    def __init__(self, url, ledger):
        super().__init__(daemon=True)
        self.url = url
        self.ledger = ledger
        self.accepted = []
        self.closing = threading.Event()
        self.error = None
        self.random = random.Random(7)

    def order(self, number):
        draw = self.random.random
        return {
            "id": f"order-{number:04d}",
            "drink": self.random.choice(("espresso", "latte", "mocha")),
            "size": "bathtub" if draw() < POISON_SHARE else "tall",
            "card": "amex" if draw() < AMEX_SHARE else "visa",
        }

    def run(self):
        try:
            self.take_orders()
        except Exception as error:  # told by the main thread
            self.error = error

    def take_orders(self):
        connection = pika.BlockingConnection(pika.URLParameters(self.url))
        channel = connection.channel()
        channel.confirm_delivery()
        with open(self.ledger, "w", encoding="ascii") as ledger:
            while not self.closing.is_set():
                order = self.order(len(self.accepted) + 1)
                channel.basic_publish(
                    "", "orders", json.dumps(order).encode(),
                    pika.BasicProperties(
                        message_id=order["id"], delivery_mode=2,
                        content_type="application/json"),
                    mandatory=True)
                self.accepted.append(order["id"])
                ledger.write(order["id"] + "\n")
                ledger.flush()
                connection.process_data_events(0)
                self.closing.wait(1 / ORDERS_PER_S)
        connection.close()


class Daemon:
    """A dlo program; its log goes to a file and is followed from there."""

    def __init__(self, world, program, name, listen):
        self.world = world
        self.name = name
        self.log = os.path.join(STATE, f"{name}.log")
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [os.path.join(world.bin, program), "-c", world.config,
                 "--listen", listen],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)
        self.reader = threading.Thread(target=self.follow, daemon=True)
        self.reader.start()

    def follow(self):
        part = ""
        with open(self.log, encoding="utf-8", errors="replace") as log:
            while True:
                ended = self.process.poll() is not None
                part += log.readline()
                if part.endswith("\n"):
                    self.heard(part)
                    part = ""
                elif ended:
                    return
                else:
                    time.sleep(0.05)

    def heard(self, line):
        try:
            event = json.loads(line)
        except ValueError:
            self.world.narrator.say(self.name, line.strip())
            return
        self.world.heard(self, event)

    def end(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(60)
        self.reader.join()
        return code


class World:
    def __init__(self, bin_dir):
        self.bin = bin_dir
        self.narrator = Narrator()
        self.config = os.path.join(STATE, "dlo.yaml")
        self.payment = Payment()
        self.daemons = {}
        self.shop = None
        self.url = None
        self.retries = []
        self.dead = collections.Counter()
        self.lock = threading.Lock()

    # What the daemons say, in the words of the story.

    def heard(self, daemon, event):
        teller = getattr(self, "heard_" + event.get("event", ""), None)
        if teller is not None:
            teller(daemon, event)

    def heard_attempt(self, _, event):
        if event["next"] in ("hold", "ladder"):
            with self.lock:
                self.retries.append((event["class"], event["delay_ms"]))

    def heard_dead_letter(self, _, event):
        with self.lock:
            self.dead[event["reason"], event["error"]] += 1

    def heard_breaker(self, daemon, event):
        change = event["from"], event["to"]
        if change == ("closed", "open"):
            self.narrator.say(
                "consumer", f"{daemon.name}: the breaker opens "
                f"({event['why']}): consumption stops, orders wait in the "
                "queue, no attempt is spent")
        elif change == ("half-open", "open"):
            self.narrator.say(
                "consumer", f"{daemon.name}: looked again: {event['why']}; "
                f"next look in {event['open_ms'] / 1000:.1f} s")
        elif change == ("half-open", "closed"):
            self.narrator.say(
                "consumer", f"{daemon.name}: the breaker closes "
                f"({event['why']}): consumes again, slowly at first")

    def heard_breaker_recovered(self, daemon, _):
        self.narrator.say("consumer", f"{daemon.name}: at full speed again")

    def heard_probe(self, daemon, event):
        if daemon.name == "redrive" and event["from"] != event["to"]:
            self.narrator.say("redrive", f"the probe says: {event['to']}")

    def heard_job_ended(self, _, event):
        if event["seen"] == 0:
            text = "no dead letters yet"
        else:
            text = (f"{event['redriven']} dead letters go back to the orders "
                    f"queue; what was rejected stays dead")
        self.narrator.say("redrive", text)

    def tell_each_second(self):
        with self.lock:
            retries, self.retries = self.retries, []
            dead, self.dead = self.dead, collections.Counter()
        if retries:
            delays = sorted(delay for _, delay in retries)
            kinds = ", ".join(sorted({kind for kind, _ in retries}))
            span = f"{delays[0] / 1000:.1f}"
            if delays[-1] - delays[0] >= 100:
                span += f" to {delays[-1] / 1000:.1f}"
            self.narrator.say(
                "consumer", f"{len(retries)} failed ({kinds}): "
                f"again in {span} s")
        for (reason, error), count in sorted(dead.items()):
            self.narrator.say(
                "consumer", f"{count} dead-lettered, {reason} ({error})")

    # The world.

    def run_broker(self, *args):
        return subprocess.run([BROKER, *args], check=True, text=True,
                              stdout=subprocess.PIPE).stdout.strip()

    def write_config(self):
        host = self.url.split("@")[-1].split("/")[0]
        port = host.rsplit(":", 1)[1]
        service = f"http://127.0.0.1:{self.payment.port}"
        config = {
            "version": 1,
            "broker": {"nodes": [f"amqp://127.0.0.1:{port}"],
                       "user": "guest", "password": {"env": "DLO_PASSWORD"}},
            "downstreams": {"payment": {
                "http": {"url": service + "/charge", "timeout": "2s"},
                "probe": {"http": {"url": service + "/health"},
                          "every": "1s"},
                "breaker": {"failures": 10, "ratio": 0.8, "open": "2s",
                            "open_max": "6s"},
            }},
            "pipelines": {"orders": {
                "queue": {"name": "orders", "declare": {"type": "quorum"}},
                "downstream": "payment",
                "concurrency": 16,
                "retry": {"attempts": 4, "first": "400ms", "cap": "4s",
                          "hold": "300ms"},
                "redrive": {"when": ["healthy"], "rate": 50,
                            "cooldown": "5s"},
            }},
            "log": {"format": "json"},
        }
        with open(self.config, "w", encoding="utf-8") as file:
            json.dump(config, file, indent=2)
            file.write("\n")
        os.environ["DLO_PASSWORD"] = "guest"

    def start_daemon(self, program, name, listen):
        self.daemons[name] = Daemon(self, program, name, listen)

    def depth(self, queue):
        connection = pika.BlockingConnection(pika.URLParameters(self.url))
        try:
            return connection.channel().queue_declare(
                queue, passive=True).method.message_count
        finally:
            connection.close()

    def wait_for_queue(self, seconds):
        """The consumers declare the queues; orders need them."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                self.depth("orders")
                return
            except pika.exceptions.ChannelClosedByBroker:
                time.sleep(0.2)
            for name, daemon in self.daemons.items():
                if daemon.process.poll() is not None:
                    raise RuntimeError(f"{name} ended: see {STATE}")
        raise RuntimeError("the queues did not appear")

    def look(self):
        ready = self.depth("orders")
        self.narrator.say(
            "queues", f"orders waiting: {ready:3d}   "
            f"dead letters: {self.depth('orders.dlq'):3d}   "
            f"accepted {len(self.shop.accepted)}, "
            f"charged {len(self.payment.charged)}")

    def scene(self, name):
        say = self.narrator.say
        if name == "flaky":
            self.payment.mode = "flaky"
            say("payment", "the Amex network fails: those orders get 503, "
                "the others are charged")
        elif name == "kill":
            self.daemons["consumer-1"].end(signal.SIGKILL)
            say("demo", "kill -9 consumer-1, in the middle of its work; "
                "the broker hands its orders to consumer-2")
        elif name == "down":
            self.payment.close()
            say("payment", "is down: nobody answers on its port any more")
        elif name == "restart":
            self.start_daemon("dlo-consumer", "consumer-3", "none")
            say("demo", "starts consumer-3 in place of the killed one")
        elif name == "well":
            self.payment.mode = "well"
            self.payment.open()
            say("payment", "is back and well, Amex too")
        elif name == "close":
            self.shop.closing.set()
            self.shop.join()
            say("shop", f"closes after {len(self.shop.accepted)} confirmed "
                "orders; what is under way goes on")

    def missing(self):
        return (set(self.shop.accepted) - set(self.payment.charged)
                - self.payment.poison)

    def play(self):
        start = time.monotonic()
        scenes = list(SCENES)
        last = scenes[-1][0]
        tick = 0
        while scenes or self.missing():
            tick += 1
            time.sleep(max(0, start + tick - time.monotonic()))
            if self.shop.error is not None:
                raise self.shop.error
            self.tell_each_second()
            while scenes and tick >= scenes[0][0]:
                self.scene(scenes.pop(0)[1])
            if tick % 6 == 0:
                self.look()
            if tick > last + SETTLE_S:
                self.narrator.say("demo", "does not wait any longer")
                break
        self.tell_each_second()

    def open(self):
        narrator = self.narrator
        shutil.rmtree(STATE, ignore_errors=True)
        os.makedirs(STATE)
        narrator.title("A private RabbitMQ (takes some seconds)")
        self.run_broker("start", "demo")
        self.url = self.run_broker("url", "demo")
        self.payment.open()
        self.write_config()
        narrator.restart()
        narrator.title("The shop opens: orders → orders queue → dlo-consumer "
                       "→ payment")
        self.start_daemon("dlo-consumer", "consumer-1", "none")
        self.start_daemon("dlo-consumer", "consumer-2", "none")
        self.start_daemon("dlo-redrive", "redrive",
                          "unix:" + os.path.join(STATE, "redrive.sock"))
        self.wait_for_queue(30)
        self.shop = Shop(self.url, os.path.join(STATE, "ledger"))
        self.shop.start()
        narrator.say("shop", f"takes {ORDERS_PER_S} orders a second; each id "
                     "goes into the ledger when the broker has confirmed it")
        narrator.say("shop", "now and then somebody wants a bathtub of "
                     "coffee: payment refuses that, for ever (poison)")

    def ids_in(self, queue):
        """Looks at every message of a queue and leaves all of them."""
        connection = pika.BlockingConnection(pika.URLParameters(self.url))
        channel = connection.channel()
        ids = []
        while True:
            method, props, _ = channel.basic_get(queue)
            if method is None:
                break
            ids.append(props.message_id)
        connection.close()  # gives them back
        return ids

    def all_queues(self):
        listing = self.run_broker("ctl", "demo", "-q", "list_queues",
                                  "--no-table-headers", "name")
        return [line.strip() for line in listing.splitlines()
                if line.strip()]

    def ledger(self):
        with open(os.path.join(STATE, "ledger"), encoding="ascii") as file:
            accepted = set(file.read().split())
        brewed = set(self.payment.charged)
        dead = set(self.ids_in("orders.dlq")) | set(
            self.ids_in("orders.parked"))
        moving = set()
        for queue in self.all_queues():
            if queue == "orders" or queue.startswith("dlo.retry."):
                moving |= set(self.ids_in(queue))
        moving -= brewed
        lost = accepted - brewed - dead - moving
        twice = sum(1 for n in self.payment.charged.values() if n > 1)
        self.narrator.title("The ledger, by ids")
        rows = [("orders accepted", len(accepted), "confirmed by the broker"),
                ("brewed", len(brewed), "charged by payment"),
                ("still dead", len(dead - brewed),
                 "poison: nobody can brew a bathtub")]
        if moving:
            rows.append(("on the way", len(moving), "not settled in time"))
        rows += [("lost", len(lost), ""),
                 ("brewed twice", twice,
                  "in flight at the kill -9: delivered again, never lost")]
        for name, count, remark in rows:
            print(f"  {name:<16} {count:5d}   {remark}".rstrip(), flush=True)
        print(f"\n  {len(accepted)} accepted = {len(brewed)} brewed + "
              f"{len(dead - brewed)} still dead, lost {len(lost)}, "
              f"brewed twice {twice}", flush=True)
        return not lost and not moving and accepted == brewed | dead

    def close(self):
        for daemon in self.daemons.values():
            daemon.end()
        self.payment.close()
        subprocess.run([BROKER, "stop", "demo"], check=False,
                       stdout=subprocess.DEVNULL)

    def leave(self):
        """The payment service goes on in a process of its own."""
        self.payment.close()
        pid = os.fork()
        if pid == 0:
            os.setsid()
            # Who reads what the demo says must see its end.
            null = os.open(os.devnull, os.O_RDWR)
            for fd in range(3):
                os.dup2(null, fd)
            self.payment.open()
            while True:
                signal.pause()
        pids = [str(pid)] + [str(daemon.process.pid)
                             for daemon in self.daemons.values()
                             if daemon.process.poll() is None]
        here = os.path.relpath(STATE, TOP)
        print(f"""
Everything is still running. To look at it:
  scripts/broker ctl demo list_queues name messages consumers
  tail -f {here}/consumer-2.log {here}/redrive.log
  curl --unix-socket {here}/redrive.sock http://dlo/metrics
  cat {here}/dlo.yaml
To end it:
  kill {' '.join(pids)}; scripts/broker stop demo""", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--bin", required=True, help="where the programs are")
    parser.add_argument("--keep", action="store_true",
                        help="leave everything running")
    args = parser.parse_args()
    world = World(os.path.abspath(args.bin))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    good = False
    try:
        world.open()
        world.play()
        good = world.ledger()
    except KeyboardInterrupt:
        print("\ninterrupted", flush=True)
    finally:
        if args.keep and world.shop is not None:
            world.leave()
        else:
            world.close()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
