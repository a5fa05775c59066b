#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""An HTTP downstream that takes so many requests a second and no more, in a
process of its own; scripts/soak drives it.

It answers each request after LATENCY seconds: 200, or 503 when it is down, or
when it has taken CAPACITY requests within the last second. The first line on
stdout is its port. `down` and `up` on stdin change what it does; at the end of
stdin it writes what it saw, one line a request: time (monotonic), path, status.
"""

import asyncio
import collections
import sys
import time

TAKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
REFUSED = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"


class Shop:
    def __init__(self, capacity, latency):
        self.capacity = capacity
        self.latency = latency
        self.is_up = True
        self.taken = collections.deque()
        self.seen = []

    def judge(self, path):
        """Whether it takes the request."""
        now = time.monotonic()
        while self.taken and self.taken[0] <= now - 1:
            self.taken.popleft()
        good = self.is_up and len(self.taken) < self.capacity
        if good:
            self.taken.append(now)
        self.seen.append((now, path, 200 if good else 503))
        return good


class Client(asyncio.Protocol):
    def __init__(self, shop):
        self.shop = shop
        self.transport = None
        self.bytes = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.bytes += data
        while b"\r\n\r\n" in self.bytes:
            head, rest = self.bytes.split(b"\r\n\r\n", 1)
            length = 0
            for line in head.split(b"\r\n"):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            if len(rest) < length:
                return
            self.bytes = rest[length:]
            path = head.split(b" ", 2)[1].decode("latin-1")
            answer = TAKEN if self.shop.judge(path) else REFUSED
            asyncio.get_running_loop().call_later(
                self.shop.latency, self.transport.write, answer)


async def main():
    shop = Shop(int(sys.argv[1]), float(sys.argv[2]))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Client(shop), "127.0.0.1", 0,
                                      backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while order := (await orders.readline()).decode().strip():
        shop.is_up = order == "up"
    for request in shop.seen:
        print(*request)


if __name__ == "__main__":
    asyncio.run(main())
