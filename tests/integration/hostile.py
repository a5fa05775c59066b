# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""Messages that nobody would send by accident, byte for byte.

Tables are written and read here with their type tags and raw values, since a
client library would normalise what it cannot tell apart.
"""

import struct
import time

# Bits of the flags word; also the order of the fields.
PROPERTIES = {"content_type": 15, "content_encoding": 14, "headers": 13,
              "delivery_mode": 12, "priority": 11, "correlation_id": 10,
              "reply_to": 9, "expiration": 8, "message_id": 7,
              "timestamp": 6, "type": 5, "user_id": 4, "app_id": 3}
BASIC_CLASS = 60

# What the engine takes off each copy, whatever it held.
REMOVED = {b"x-death", b"x-delivery-count", b"x-acquired-count",
           b"x-stream-offset", b"x-delay", b"CC", b"BCC"}
REMOVED_PREFIXES = (b"x-first-death-", b"x-last-death-", b"dlo-")


def short(text):
    data = text.encode() if isinstance(text, str) else text
    return bytes([len(data)]) + data


def long(data):
    return struct.pack(">I", len(data)) + data


def table(*pairs):
    """A table from (name, field) pairs, without its length."""
    return b"".join(short(name) + field for name, field in pairs)


def text(value):
    return b"S" + long(value.encode() if isinstance(value, str) else value)


def number(value):
    return b"l" + struct.pack(">q", value)


def nested(*pairs):
    return b"F" + long(table(*pairs))


def array(*fields):
    return b"A" + long(b"".join(fields))


def deep(levels, wrap):
    field = number(1)
    for _ in range(levels):
        field = wrap(field)
    return field


# One of each type that RabbitMQ knows.
FIELDS = {
    "bool-true": b"t\x01", "bool-false": b"t\x00",
    "int8": b"b\x80", "uint8": b"B\xff",
    "int16": b"s\x80\x00", "uint16": b"u\xff\xff",
    "int32": b"I\x80\x00\x00\x00", "uint32": b"i\xff\xff\xff\xff",
    "int64": b"l\x80" + b"\0" * 7, "int64-max": b"l\x7f" + b"\xff" * 7,
    "float": b"f" + struct.pack(">f", 1.5),
    "double": b"d" + struct.pack(">d", -1e300),
    "decimal": b"D\x02\x00\x00\x30\x39",
    "text": text("grün"), "text-empty": text(""),
    "bytes": b"x" + long(bytes(range(256))),
    "timestamp": b"T" + b"\xff" * 8,
    "void": b"V", "table-empty": nested(), "array-empty": array(),
}


def properties(headers=None, **values):
    """Raw properties: the flags word, then the fields. `headers` is a table
    without its length; text may be bytes."""
    flags, data = 0, b""
    if headers is not None:
        values["headers"] = headers
    for name, bit in PROPERTIES.items():
        if name not in values:
            continue
        value = values[name]
        flags |= 1 << bit
        if name == "headers":
            data += long(value)
        elif name in ("delivery_mode", "priority"):
            data += bytes([value])
        elif name == "timestamp":
            data += struct.pack(">Q", value)
        else:
            data += short(value)
    return struct.pack(">H", flags) + data


class Hostile:
    """One message and where it must end: `ok` (handed over), or the reason of
    its death before that."""

    def __init__(self, name, end="ok", headers=b"", body=None, user=None,
                 **values):
        self.name = name
        self.end = end
        # Published by guest, who is trusted; else by a stranger.
        self.by_guest = user in ("guest", "nameless")
        if user in ("guest", "stranger"):
            values["user_id"] = user
        self.headers = headers
        values.setdefault("message_id", name)
        values.setdefault("delivery_mode", 2)
        self.raw = properties(headers, **values)
        self.body = name.encode() + b"\n" if body is None else body

    @property
    def foreign(self):
        """Its headers that each copy must still have."""
        return foreign(read_table(self.headers))


def name_of(body):
    """Of which message that is the body."""
    return body.split(b"\n")[0].decode() or "body-empty"


def read_field(data, at):
    """(raw field with its tag, position behind it)"""
    sizes = {b"t": 1, b"b": 1, b"B": 1, b"s": 2, b"u": 2, b"I": 4, b"i": 4,
             b"l": 8, b"f": 4, b"d": 8, b"D": 5, b"T": 8, b"V": 0}
    tag = data[at:at + 1]
    if tag in sizes:
        end = at + 1 + sizes[tag]
    elif tag in b"SxFA":
        end = at + 5 + struct.unpack(">I", data[at + 1:at + 5])[0]
    else:
        raise ValueError(f"field of type {tag!r}")
    return data[at:end], end


def read_table(data):
    """{name: raw field}; the first of two equal names counts."""
    found, at = {}, 0
    while at < len(data):
        end = at + 1 + data[at]
        name = data[at + 1:end]
        field, at = read_field(data, end)
        found.setdefault(name, field)
    return found


def read_headers(raw):
    """The header table of raw properties, as read_table gives it."""
    flags, at = struct.unpack(">H", raw[:2])[0], 2
    for name, bit in PROPERTIES.items():
        if not flags & 1 << bit:
            continue
        if name == "headers":
            size = struct.unpack(">I", raw[at:at + 4])[0]
            return read_table(raw[at + 4:at + 4 + size])
        at += 1 + raw[at]
    return {}


def without_headers(raw):
    """Raw properties without their header table."""
    flags, at = struct.unpack(">H", raw[:2])[0], 2
    if not flags & 1 << PROPERTIES["headers"]:
        return raw
    for name in ("content_type", "content_encoding"):
        if flags & 1 << PROPERTIES[name]:
            at += 1 + raw[at]
    size = struct.unpack(">I", raw[at:at + 4])[0]
    flags &= ~(1 << PROPERTIES["headers"])
    return struct.pack(">H", flags) + raw[2:at] + raw[at + 4 + size:]


def with_user(raw, user):
    """Raw properties without headers, and with that user if they have none."""
    flags, at = struct.unpack(">H", raw[:2])[0], 2
    if flags & 1 << PROPERTIES["user_id"]:
        return raw
    for name, bit in PROPERTIES.items():
        if name == "user_id":
            break
        if flags & 1 << bit:
            at += {"delivery_mode": 1, "priority": 1, "timestamp": 8}.get(
                name, 1 + raw[at])
    return (struct.pack(">H", flags | 1 << PROPERTIES["user_id"])
            + raw[2:at] + short(user) + raw[at:])


def foreign(headers):
    return {name: field for name, field in headers.items()
            if name not in REMOVED
            and not name.startswith(REMOVED_PREFIXES)}


def _typed():
    """Every type at the top, in a table, in an array, in both."""
    for name, field in FIELDS.items():
        yield Hostile(f"type-{name}", headers=table(
            ("top", field), ("table", nested(("in", field))),
            ("array", array(field, field)),
            ("both", array(nested(("deep", array(field)))))))


def _named():
    many = [(f"h{number_}", number(number_)) for number_ in range(3000)]
    yield Hostile("headers-3000", headers=table(*many))
    yield Hostile("header-60-kib", headers=table(
        ("big", text(b"x" * 61440))))
    yield Hostile("header-name-empty", headers=table(("", number(1))))
    yield Hostile("header-name-255", headers=table(
        ("n" * 255, text("long"))))
    yield Hostile("header-name-binary", headers=table(
        (b"\xff\x00\r\n: ", number(1))))
    yield Hostile("header-twice", headers=table(
        ("same", number(1)), ("same", number(1))))
    yield Hostile("text-not-utf8", headers=table(
        ("bad", text(b"\xc3\x28\xff\xfe"))))
    yield Hostile("text-nul-and-newlines", headers=table(
        ("bad", text(b"a\0b\r\nX-Injected: yes"))))
    yield Hostile("depth-31", headers=table(
        ("d", deep(30, lambda f: b"F" + long(table(("k", f)))))))
    yield Hostile("depth-bomb-tables", "malformed", table(
        ("d", deep(200, lambda f: b"F" + long(table(("k", f)))))))
    yield Hostile("depth-bomb-arrays", "malformed", table(
        ("d", deep(2000, array))))
    yield Hostile("depth-bomb-both", "malformed", table(
        ("d", deep(500, lambda f: array(nested(("k", f)))))))


def _broker_headers():
    yield Hostile("x-death-of-text", headers=table(
        ("x-death", array(text("a")))))
    yield Hostile("x-death-no-array", headers=table(("x-death", text("a"))))
    yield Hostile("x-death-text-count", headers=table(
        ("x-death", array(nested(
            ("count", text("many")), ("reason", text("expired")),
            ("queue", text("dlo.retry.again.0")))))))
    yield Hostile("x-death-forged-cycle", headers=table(
        ("x-death", array(*(nested(
            ("count", number(9)), ("reason", text("expired")),
            ("queue", text(f"dlo.retry.again.{level}")),
            ("exchange", text("amq.fanout")),
            ("routing-keys", array(text("elsewhere"))))
            for level in range(12))))))
    yield Hostile("x-first-and-last-death", headers=table(
        ("x-first-death-queue", text("a")),
        ("x-last-death-reason", text("b")), ("kept", number(1))))
    yield Hostile("x-counters", headers=table(
        ("x-delivery-count", number(2 ** 62)),
        ("x-acquired-count", text("no")), ("x-stream-offset", number(-1)),
        ("x-delay", number(2 ** 40)), ("kept", number(1))))
    yield Hostile("cc", headers=table(("CC", array(text("elsewhere")))))
    yield Hostile("cc-and-bcc", headers=table(
        ("CC", array(text("elsewhere"))),
        ("BCC", array(text("elsewhere")))))


def _own_headers():
    far = 2 ** 62
    for who, user in (("stranger", None), ("nameless", "nameless")):
        yield Hostile(f"{who}-attempts-used-up", user=user, headers=table(
            ("dlo-id", text("other")), ("dlo-attempt", number(99))))
        yield Hostile(f"{who}-deadline-passed", user=user, headers=table(
            ("dlo-id", text("other")), ("dlo-deadline", number(1))))
        yield Hostile(f"{who}-of-every-type", user=user, headers=table(
            *((f"dlo-{name}", field) for name, field in FIELDS.items()),
            ("kept", number(1))))
    yield Hostile("trusted-attempt-text", user="guest", headers=table(
        ("dlo-attempt", text("1"))))
    yield Hostile("trusted-attempt-negative", user="guest", headers=table(
        ("dlo-attempt", number(-5)), ("dlo-redrives", number(-1))))
    yield Hostile("trusted-attempt-absurd", user="guest", headers=table(
        ("dlo-attempt", number(far)), ("dlo-redrives", number(far)),
        ("dlo-first-failed-at", number(far))))
    yield Hostile("trusted-failed-tomorrow", user="guest", headers=table(
        ("dlo-first-failed-at", number(int(time.time() + 86400) * 1000))))
    yield Hostile("trusted-id-too-long", user="guest", headers=table(
        ("dlo-id", text("i" * 300))))
    yield Hostile("trusted-history-of-junk", user="guest", headers=table(
        ("dlo-history", text(b"\xff;;; \0" * 500)),
        ("dlo-class", text("x" * 500)), ("dlo-job", nested())))
    yield Hostile("trusted-deadline-passed", "expired", user="guest",
                  headers=table(("dlo-deadline", number(1)),
                                ("kept", number(1))))
    yield Hostile("trusted-attempts-used-up", "attempts_exhausted",
                  user="guest", headers=table(("dlo-attempt", number(99))))


def _properties():
    everything = bytes(range(1, 256))
    yield Hostile("bare", message_id="bare", headers=b"")
    yield Hostile("all-fields-binary", content_type=everything,
                  content_encoding=everything, correlation_id=everything,
                  reply_to=everything, type=everything, app_id=everything,
                  priority=255, timestamp=2 ** 64 - 1, headers=table(
                      ("kept", number(1))))
    yield Hostile("id-empty", message_id="")
    yield Hostile("id-binary", message_id=b"\x00\xff\r\nid: 1")
    yield Hostile("id-255", message_id="i" * 255)
    yield Hostile("content-type-injects", content_type="a/b\r\nX-Evil: 1")
    yield Hostile("traceparent-injects", headers=table(
        ("traceparent", text("00-zz\r\nX-Evil: 1")),
        ("tracestate", array(text("a")))))
    yield Hostile("transient", delivery_mode=1)
    yield Hostile("foreign-user", user="stranger")
    yield Hostile("expires-in-an-hour", expiration="3600000")
    yield Hostile("expiration-largest", expiration="4294967295")
    yield Hostile("expiration-empty-after", headers=table(
        ("expiration", text("1"))))
    yield Hostile("body-empty", body=b"")
    yield Hostile("body-binary", body=b"body-binary\n" + bytes(range(256)))
    yield Hostile("body-1-mib", body=b"body-1-mib\n" + b"x" * (1 << 20))
    yield Hostile("body-too-large", "too_large",
                  body=b"body-too-large\n" + b"x" * (3 << 20))


def messages():
    """All of them; names are unique."""
    return [*_typed(), *_named(), *_broker_headers(), *_own_headers(),
            *_properties()]
