# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""HTTP downstreams: how they are reached, and what they are told. The judge
is what the server saw."""

import datetime
import os
import ssl

import harness
from authority import Authority
from broker import quote
from nghttpd import Nghttpd

# Soon again, and nothing of it opens the breaker.
QUICK = {"attempts": 1000, "first": "50ms", "factor": 1, "hold": "1s"}
CALM = {"failures": 1000000, "minimum": 1000000}
# However busy the machine is.
PATIENT = {"timeout": "60s", "connect_timeout": "60s"}
MIB = 1 << 20


def server_tls(cert, key, client_ca=None):
    """The TLS of a server, which wants a certificate of `client_ca`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    return context


class Http(harness.Case):
    def setUp(self):
        super().setUp()
        self.declare("orders")

    def shop(self, down, http=None, probe=None, retry=None, **more):
        """A consumer for a downstream with these settings."""
        config = self.config(
            down, downstreams={"shop": {"breaker": CALM, "probe": probe,
                                        "http": {**PATIENT, **(http or {})}}},
            pipelines={"orders": {"retry": {**QUICK, **(retry or {})}}})
        return self.consumer(config, **more)

    def told(self, http=None, **properties):
        """What a downstream is told of a message: (request, consumer)."""
        down = self.downstream()
        consumer = self.shop(down, http)
        self.publish("orders", b"body", **properties)
        request, = down.wait_requests(1)
        self.wait_totals("orders", total=0)
        return request, consumer

    # ---- TLS

    def test_https_with_a_private_authority(self):
        authority = Authority(self.folder)
        down = self.downstream(
            tls=server_tls(*authority.issue("server", "IP:127.0.0.1")))
        # A relative path counts from the folder of the file.
        self.shop(down, {"ca": "ca.pem"})
        ids = self.publish_many("orders", 20, b"secret")
        down.wait_requests(20)
        self.assertEqual(down.attempts(), {i: 1 for i in ids})
        self.wait_totals("orders", total=0)

    def test_a_server_that_hangs_up_costs_no_attempt(self):
        authority = Authority(self.folder)
        down = self.downstream(
            tls=server_tls(*authority.issue("server", "IP:127.0.0.1")))
        down.hang_up = True
        consumer = self.shop(down, {"ca": authority.ca, "connections": 2})
        ids = self.publish_many("orders", 40)
        self.wait_totals("orders", total=0)
        self.assertEqual(set(down.attempts()), set(ids))
        # An attempt that is ok is no line at this level.
        self.assertEqual(consumer.logged("attempt"), [])

    def refused(self, down, http):
        """A message is tried again and again, and the server sees none."""
        consumer = self.shop(down, http)
        line = consumer.wait_log("attempt", count=3, **{"class": "http.tls"})
        self.assertEqual(line.fields["outcome"], "retry")
        self.assertNotEqual(line.fields["error"], "")
        self.assertEqual(
            {line.fields["class"] for line in consumer.logged("attempt")},
            {"http.tls"})
        self.assertEqual(consumer.terminate(), 0)
        self.assertEqual(down.requests, [])

    def test_the_peer_and_its_name_are_verified(self):
        authority = Authority(self.folder)
        other = Authority(self.folder, "other")
        right = self.downstream(
            tls=server_tls(*authority.issue("right", "IP:127.0.0.1")))
        wrong = self.downstream(
            tls=server_tls(*authority.issue("wrong", "DNS:elsewhere.test")))
        self.publish("orders", b"x", message_id="1")
        self.refused(wrong, {"ca": authority.ca})
        self.refused(right, {"ca": other.ca})
        # The system's do not know it either.
        self.refused(right, {})
        self.shop(right, {"ca": authority.ca})
        right.wait_requests(1)
        self.wait_totals("orders", total=0)
        self.assertEqual(right.attempts(), {"1": 1})

    def test_a_client_certificate_where_one_is_wanted(self):
        authority = Authority(self.folder)
        cert, key = authority.issue("client")
        down = self.downstream(tls=server_tls(
            *authority.issue("server", "IP:127.0.0.1"), authority.ca))
        self.publish("orders", b"x", message_id="1")
        self.refused(down, {"ca": authority.ca})
        probe = {"http": {"url": down.url + "health"}, "every": "100ms",
                 "rise": 1}
        consumer = self.shop(
            down, {"ca": authority.ca, "cert": cert, "key": key}, probe)
        posted, = down.wait_requests(1, of=lambda r: r.method == "POST")
        probed = down.wait_requests(1, of=lambda r: r.path == "/health")[0]
        self.assertEqual(posted.peer, {"commonName": "client"})
        self.assertEqual(probed.peer, {"commonName": "client"})
        consumer.wait_log("probe", to="healthy")
        self.wait_totals("orders", total=0)

    def test_files_are_looked_at_before_the_start(self):
        authority = Authority(self.folder)
        _, key = authority.issue("client")
        locked = authority.lock(key, "passphrase")
        config = self.config(None)
        config["downstreams"]["shop"] = {"http": {
            "url": "https://127.0.0.1/", "ca": "nosuch.pem",
            "cert": "client.ext", "key": locked}}
        code, _, said = harness.run_program(
            "dlo-consumer", "-t", "-c", self.write_config(config))
        self.assertEqual(code, 78)
        for name, problem in (("ca", "nosuch.pem: No such file"),
                              ("cert", "client.ext: is no PEM file"),
                              ("key", "needs a passphrase")):
            self.assertRegex(
                said, rf"downstreams\.shop\.http\.{name}: .*{problem}")

    # ---- HTTP/2

    def test_requests_share_a_connection_of_http_2(self):
        authority = Authority(self.folder)
        server = Nghttpd(self.folder,
                         *authority.issue("server", "IP:127.0.0.1"))
        self.addCleanup(server.close)
        self.shop(server, {"ca": authority.ca})
        self.publish("orders", b"first", message_id="first")
        server.wait_field("dlo-id", 1)
        self.wait_totals("orders", total=0)
        # All at once: each waits for the last one's confirm otherwise.
        channel = self.new_channel(confirms=False)
        for number in range(200):
            self.publish("orders", b"x" * number * 1000, channel=channel,
                         message_id=f"m-{number}")
        server.wait_bodies(len("first") + sum(range(200)) * 1000)
        fields = server.wait_field("dlo-id", 201)
        self.wait_totals("orders", total=0)
        ids = {(connection, stream): value
               for connection, stream, name, value in fields
               if name == "dlo-id"}
        self.assertEqual(sorted(ids.values()), sorted(
            ["first"] + [f"m-{number}" for number in range(200)]))
        self.assertEqual({connection for connection, _ in ids}, {"1"})
        for place, message_id in ids.items():
            if message_id != "first":
                self.assertEqual(server.bodies.get(place, 0),
                                 int(message_id[2:]) * 1000)
        self.assertNotIn("connection", {field[2] for field in fields})

    # ---- unix sockets, and where requests do not go

    def test_a_unix_socket(self):
        down = self.downstream(path=os.path.join(self.folder, "shop"))
        probe = {"http": {"url": "http://localhost/health"}, "rise": 1,
                 "every": "100ms"}
        consumer = self.shop(down, {"socket": "shop"}, probe)
        ids = self.publish_many("orders", 20, b"x")
        down.wait_requests(20, of=lambda r: r.method == "POST")
        down.wait_requests(1, of=lambda r: r.path == "/health")
        self.wait_totals("orders", total=0)
        since = len(consumer.lines)
        down.down()
        self.publish("orders", b"x", message_id="late")
        consumer.wait_log("attempt", since=since,
                          **{"class": "http.connect", "outcome": "retry"})
        down.up()
        down.wait_requests(1, of=lambda r: r.id == "late")
        self.wait_totals("orders", total=0)
        self.assertLessEqual(set(ids), set(down.attempts()))

    def test_a_unix_socket_in_the_url(self):
        path = os.path.join(self.folder, "a shop")
        down = self.downstream(path=path)
        probe = {"http": {"url": "http://localhost/health"}, "rise": 1,
                 "every": "100ms"}
        self.shop(down, {"url": "http+unix://" + quote(path)
                         + "/charge?a=b"}, probe)
        self.publish("orders", b"x", message_id="1")
        request, = down.wait_requests(1, of=lambda r: r.method == "POST")
        self.assertEqual((request.path, request.headers["Host"]),
                         ("/charge?a=b", "localhost"))
        down.wait_requests(1, of=lambda r: r.path == "/health")
        self.wait_totals("orders", total=0)

    def test_redirects_are_not_followed(self):
        other = self.downstream()
        down = self.downstream(
            lambda request: (307, {"Location": other.url}))
        self.shop(down)
        self.publish("orders", b"x", message_id="1")
        dead, = self.take("orders.dlq", 1)
        self.assertEqual(dead.headers["dlo-class"], "http.307")
        self.assertEqual((len(down.requests), other.requests), (1, []))

    def test_the_environment_diverts_nothing(self):
        proxy, down = self.downstream(), self.downstream()
        names = ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                 "ALL_PROXY")
        self.shop(down, env={**{name: proxy.url for name in names},
                             "no_proxy": "", "NO_PROXY": ""})
        self.publish("orders", b"x")
        down.wait_requests(1)
        self.wait_totals("orders", total=0)
        self.assertEqual(proxy.requests, [])

    def test_of_a_long_answer_the_beginning_is_kept(self):
        down = self.downstream(lambda r: (422, {}, b"no beer " * MIB))
        self.shop(down)
        self.publish("orders", b"x")
        dead, = self.take("orders.dlq", 1)
        self.assertEqual(dead.headers["dlo-class"], "http.422")
        self.assertRegex(dead.headers["dlo-error"], "^(no beer )+")
        self.assertLessEqual(len(dead.headers["dlo-error"]), 512)

    # ---- headers

    def test_a_secret_header_stays_a_secret(self):
        with open(os.path.join(self.folder, "token"), "w",
                  encoding="ascii") as file:
            file.write("Bearer hunter2\n")
        down = self.downstream(lambda r: 500 if r.attempt == 1 else 200)
        config = self.config(down, downstreams={"shop": {"http": {
            "headers": {"Authorization": {"file": "token"}}}}})
        consumer = self.consumer(config, "-v")
        self.publish("orders", b"x", message_id="1")
        first, _ = down.wait_requests(2)
        self.assertEqual(first.headers["Authorization"], "Bearer hunter2")
        self.wait_totals("orders", total=0)
        self.assertNotIn("hunter2", consumer.metrics().text)
        consumer.terminate()
        self.assertNotIn("hunter2", consumer.stderr + consumer.stdout)

    def test_headers_are_forwarded(self):
        names = ["x-tenant", "x-int", "x-bool", "x-time", "x-empty",
                 "x-evil", "x-utf8", "x-bytes", "x-table", "x-list", "x-void",
                 "x-long", "x-absent"]
        when = datetime.datetime(2026, 1, 2, 3, 4, 5)
        request, consumer = self.told(
            {"forward_headers": names}, message_id="1", headers={
                "x-tenant": "a b", "X-Tenant": "other", "x-int": -2 ** 40,
                "x-bool": True, "x-time": when, "x-empty": "",
                "x-evil": "a\r\nEvil: 1\r\n\r\nGET / HTTP/1.1\0%",
                "x-utf8": "café ☕", "x-bytes": b"\xff\xfe",
                "x-table": {"a": 1}, "x-list": ["a"], "x-void": None,
                "x-long": "x" * 100000, "x-unnamed": "a"})
        got = {name.lower(): value for name, value in request.headers.items()
               if name.lower().startswith("x-")}
        self.assertEqual(got, {
            "x-tenant": "a b", "x-int": str(-2 ** 40), "x-bool": "true", "x-time": "2026-01-02T03:04:05.000Z",
            "x-empty": "",
            "x-evil": "a%0D%0AEvil: 1%0D%0A%0D%0AGET / HTTP/1.1%00%25",
            "x-utf8": "caf%C3%A9 %E2%98%95", "x-bytes": "%FF%FE"})
        self.assertIsNone(request.headers.get("Evil"))
        self.assertEqual(request.body, b"body")
        consumer.wait_log("header_left_out", pipeline="orders", id="1",
                          name="x-long", bytes="100000")

    def test_no_more_than_128_headers_are_forwarded(self):
        names = [f"x-{n}" for n in range(131)]
        request, consumer = self.told(
            {"forward_headers": names}, message_id="1",
            headers={name: "a" for name in names + ["x-unnamed"]})
        got = {name.lower() for name in request.headers
               if name.lower().startswith("x-")}
        self.assertEqual(len(got), 128)
        self.assertLessEqual(got, set(names))
        consumer.wait_log("headers_left_out", pipeline="orders", id="1")

    def test_headers_survive_a_retry(self):
        down = self.downstream(lambda r: 500 if r.attempt == 1 else 200)
        self.shop(down, {"forward_headers": ["x-n"]}, retry={"hold": "0s"})
        self.publish("orders", b"x", headers={"x-n": 7})
        first, second = down.wait_requests(2)
        self.assertEqual((first.headers["x-n"], second.headers["x-n"]),
                         ("7", "7"))
        self.wait_totals("orders", total=0)

    def events(self, request):
        return {name.lower(): value for name, value in request.headers.items()
                if name.lower().startswith("ce-")}

    def test_an_event_goes_through_unchanged(self):
        when = datetime.datetime(2026, 1, 2, 3, 4, 5)
        request, _ = self.told(
            {"format": "cloudevents"}, message_id="m", type="unused",
            content_type="application/json", headers={
                "cloudEvents:specversion": "1.0", "cloudEvents:id": "e-1",
                "cloudEvents:source": "/shop", "cloudEvents_type": "o.new",
                "cloudEvents:subject": "café \"1\"\r\nEvil: 1",
                "cloudEvents:time": when, "cloudEvents:count": 3,
                "cloudEvents:flag": False, "cloudEvents:bad name": "x",
                "cloudEvents:Ünicode": "x", "other": "x"})
        self.assertEqual(self.events(request), {
            "ce-specversion": "1.0", "ce-id": "e-1", "ce-source": "/shop",
            "ce-type": "o.new",
            "ce-subject": "caf%C3%A9%20%221%22%0D%0AEvil:%201",
            "ce-time": "2026-01-02T03:04:05.000Z", "ce-count": "3",
            "ce-flag": "false"})
        self.assertEqual(request.headers["Content-Type"], "application/json")
        self.assertEqual(request.headers["Dlo-Id"], "m")
        self.assertIsNone(request.headers.get("Evil"))

    def test_any_message_becomes_an_event(self):
        down = self.downstream()
        self.shop(down, {"format": "cloudevents"})
        self.channel.exchange_declare("menu of ü", "topic")
        self.channel.queue_bind("orders", "menu of ü", "#")
        self.publish("beer.new", b"x", exchange="menu of ü", message_id="1",
                     type="order", timestamp=1700000000)
        request, = down.wait_requests(1)
        self.assertEqual(self.events(request), {
            "ce-specversion": "1.0", "ce-id": "1", "ce-type": "order",
            "ce-source": "/dlo/orders/menu%2520of%2520%25C3%25BC",
            "ce-subject": "beer.new", "ce-time": "2023-11-14T22:13:20.000Z"})
        self.publish("orders", b"x")
        _, request = down.wait_requests(2)
        self.assertEqual(self.events(request), {
            "ce-specversion": "1.0", "ce-id": request.id,
            "ce-type": "dlo.message", "ce-source": "/dlo/orders",
            "ce-subject": "orders"})
        # A whole event in the body needs no headers.
        self.publish("orders", b"{}",
                     content_type="application/cloudevents+json")
        request = down.wait_requests(3)[2]
        self.assertEqual(self.events(request), {})
        self.wait_totals("orders", total=0)
