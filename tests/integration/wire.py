# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""AMQP 0-9-1 frame by frame, for what a client library hides: the order in
which frames come, what is sent when, who closes what. pika gives the codec.

    wire = Wire(broker, vhost)
    wire.call(1, spec.Channel.Open(), spec.Channel.OpenOk)
    wire.publish(1, "", "q", b"body", pika.BasicProperties(), mandatory=True)
    frame = wire.receive()
"""

import socket
import struct

import pika
from pika import frame as frames
from pika import spec

CAPABILITIES = {
    "authentication_failure_close": True,
    "basic.nack": True,
    "connection.blocked": True,
    "consumer_cancel_notify": True,
    "exchange_exchange_bindings": True,
    "publisher_confirms": True,
}


FRAME_OVERHEAD = 8
FRAME_END = bytes([spec.FRAME_END])


class Closed(Exception):
    """The peer has ended the TCP connection."""


class Wire:
    """One connection, open unless `open_it` says no. It answers nothing by
    itself, heartbeats neither."""

    def __init__(self, broker, vhost="/", user="guest", password="guest",
                 capabilities=None, heartbeat=0, frame_max=131072,
                 open_it=True):
        self.data = b""
        self.socket = socket.create_connection(("127.0.0.1", broker.port), 30)
        self.socket.sendall(b"AMQP\x00\x00\x09\x01")
        self.server = self.expect(spec.Connection.Start).method
        if capabilities is None:
            capabilities = CAPABILITIES
        self.send(0, spec.Connection.StartOk(
            {"capabilities": capabilities}, "PLAIN",
            f"\0{user}\0{password}", "en_US"))
        if not open_it:
            return
        self.tune = self.expect(spec.Connection.Tune).method
        self.frame_max = frame_max
        self.send(0, spec.Connection.TuneOk(2047, frame_max, heartbeat))
        self.send(0, spec.Connection.Open(vhost))
        self.expect(spec.Connection.OpenOk)

    def close(self):
        """Hangs up without a word."""
        self.socket.close()

    def send(self, channel, method):
        self.socket.sendall(frames.Method(channel, method).marshal())

    def send_heartbeat(self):
        self.socket.sendall(frames.Heartbeat().marshal())

    def publish(self, channel, exchange, key, body=b"", properties=None,
                mandatory=False):
        """`properties` may be raw bytes: the flags word first."""
        data = frames.Method(channel, spec.Basic.Publish(
            exchange=exchange, routing_key=key,
            mandatory=mandatory)).marshal()
        if isinstance(properties, bytes):
            payload = struct.pack(">HHQ", spec.BasicProperties.INDEX, 0,
                                  len(body)) + properties
            data += struct.pack(">BHI", spec.FRAME_HEADER, channel,
                                len(payload)) + payload + FRAME_END
        else:
            data += frames.Header(channel, len(body), properties or
                                  pika.BasicProperties()).marshal()
        size = self.frame_max - 8
        for start in range(0, len(body), size):
            data += frames.Body(channel, body[start:start + size]).marshal()
        self.socket.sendall(data)

    def receive_raw(self, timeout=30):
        """The next frame, undecoded; TimeoutError, or Closed at the end."""
        self.socket.settimeout(timeout)
        need = FRAME_OVERHEAD
        while True:
            if len(self.data) >= need:
                need = FRAME_OVERHEAD + struct.unpack(
                    ">I", self.data[3:7])[0]
            if len(self.data) >= need:
                found, self.data = self.data[:need], self.data[need:]
                return found
            try:
                more = self.socket.recv(1 << 20)
            except ConnectionResetError as reset:
                raise Closed() from reset
            if not more:
                raise Closed()
            self.data += more

    def receive(self, timeout=30):
        """The next frame; TimeoutError, or Closed at the end."""
        return frames.decode_frame(self.receive_raw(timeout))[1]

    def get(self, channel, queue, no_ack=True):
        """Takes one message: (raw properties, body); None: there is none.
        With `no_ack` off it goes back when the connection is closed."""
        self.send(channel, spec.Basic.Get(queue=queue, no_ack=no_ack))
        if isinstance(self.receive_method().method, spec.Basic.GetEmpty):
            return None
        header = self.receive_raw()[7:-1]
        size = struct.unpack(">Q", header[4:12])[0]
        body = b""
        while len(body) < size:
            body += self.receive_raw()[7:-1]
        return header[12:], body

    def receive_method(self, timeout=30):
        """The next frame that is a method; others are left out."""
        while True:
            found = self.receive(timeout)
            if isinstance(found, frames.Method):
                return found

    def expect(self, method, timeout=30):
        """The next method frame, which must be this one."""
        found = self.receive_method(timeout)
        if not isinstance(found.method, method):
            raise AssertionError(f"{method.NAME} expected, got "
                                 f"{found.method}")
        return found

    def call(self, channel, method, answer):
        """Sends a method and expects its answer."""
        self.send(channel, method)
        return self.expect(answer).method

    def open_channel(self, channel=1, confirms=False):
        self.call(channel, spec.Channel.Open(), spec.Channel.OpenOk)
        if confirms:
            self.call(channel, spec.Confirm.Select(), spec.Confirm.SelectOk)

    def wait_closed(self, timeout=30):
        """Reads to the end of the connection; all frames that came."""
        seen = []
        try:
            while True:
                seen.append(self.receive(timeout))
        except Closed:
            return seen
