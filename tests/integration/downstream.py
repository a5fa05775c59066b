# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""An HTTP downstream that answers as the test says and remembers everything.

    downstream = Downstream(lambda request: 503)
    downstream.answer = lambda request: 200
    downstream.wait_requests(3)

With `tls` (an ssl.SSLContext) it speaks https, with `path` it listens at a unix
socket instead of a port.

An answer is a status, (status, headers), (status, headers, body), or None:
the connection is cut without an answer. It is called on a thread of its own
for each connection and may block.
"""

import http.client
import http.server
import os
import socket
import socketserver
import ssl
import threading
import time

# How many headers it takes; 100 would be the library's limit.
http.client._MAXHEADERS = 1000


class Request:
    """One request as it came."""

    def __init__(self, handler, body):
        self.time = time.monotonic()
        self.method = handler.command
        self.path = handler.path
        self.headers = handler.headers
        self.peer = handler.peer
        self.body = body

    @property
    def id(self):
        """The message's stable id."""
        return self.headers.get("Dlo-Id")

    @property
    def attempt(self):
        """Which attempt this is, from 1."""
        return int(self.headers.get("Dlo-Attempt", "0"))

    def __repr__(self):
        return f"<{self.method} {self.path} {self.id} #{self.attempt}>"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def peer(self):
        """The names in the client's certificate; None without one."""
        if self.server.downstream.tls is None:
            return None
        found = self.connection.getpeercert()
        return found and {key: value for name in found["subject"]
                          for key, value in name}

    def setup(self):
        # Here and not in the thread that accepts: a handshake takes its time.
        if self.server.downstream.tls is not None:
            self._start_tls()
        # Headers and body in two writes would wait for each other's ACK.
        self.disable_nagle_algorithm = self.server.downstream.path is None
        super().setup()

    def _start_tls(self):
        connections = self.server.connections
        connections.discard(self.request)
        self.request = self.server.downstream.tls.wrap_socket(
            self.request, server_side=True, do_handshake_on_connect=False)
        connections.add(self.request)
        try:
            self.request.do_handshake()
        except ssl.SSLError:
            # Closed with bytes unread, the reset could overtake the alert.
            with socket.socket(fileno=self.request.detach()) as plain:
                plain.shutdown(socket.SHUT_WR)
                while plain.recv(65536):
                    pass
            raise

    def finish(self):
        super().finish()
        self.server.shutdown_request(self.request)

    def _serve(self):
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(self, self.rfile.read(length))
        answer = self.server.downstream.take(request)
        if answer is None:
            self.close_connection = True
            return
        status, *rest = (answer,) if isinstance(answer, int) else answer
        headers = rest[0] if rest else {}
        body = rest[1] if len(rest) > 1 else b""
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if self.server.downstream.hang_up:
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_HEAD = _serve

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass


class _Server(http.server.ThreadingHTTPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, downstream):
        self.downstream = downstream
        self.connections = set()
        if isinstance(address, str):
            self.address_family = socket.AF_UNIX
        super().__init__(address, _Handler)

    def server_bind(self):
        # HTTPServer's would look up the name of its address.
        socketserver.TCPServer.server_bind(self)

    def process_request(self, request, client_address):
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request, client_address):
        """A client that goes away is nothing to tell."""


class Downstream:
    """Listens on a free loopback port (or at `path`) from the start."""

    def __init__(self, answer=lambda request: 200, tls=None, path=None):
        self.answer = answer
        self.tls = tls
        self.path = path
        self.hang_up = False  # after each answer, without a word about it
        self.requests = []
        self._changed = threading.Condition()
        self._server = None
        self.port = 0
        self.up()

    @property
    def url(self):
        if self.path is not None:
            return "http://localhost/"
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}/"

    def up(self):
        """Listens (again), at the same place."""
        if self.path is not None:
            if os.path.exists(self.path):
                os.unlink(self.path)
            self._server = _Server(self.path, self)
        else:
            self._server = _Server(("127.0.0.1", self.port), self)
            self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,),
                         daemon=True).start()

    def down(self):
        """Refuses connections and cuts those there are."""
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self._server.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    close = down

    def take(self, request):
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
        return self.answer(request)

    def wait_requests(self, count, timeout=30, of=lambda request: True):
        """Waits until `count` requests (that satisfy `of`) came; a list."""
        def found():
            return [request for request in self.requests if of(request)]

        with self._changed:
            if not self._changed.wait_for(lambda: len(found()) >= count,
                                          timeout):
                raise AssertionError(
                    f"{len(found())} of {count} requests in {timeout} s: "
                    f"{found()[:20]}")
            return found()

    def attempts(self):
        """How many requests came for each message id."""
        counts = {}
        with self._changed:
            for request in self.requests:
                counts[request.id] = counts.get(request.id, 0) + 1
        return counts
