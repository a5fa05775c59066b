# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""The audit as an operator reads it, and whoever meddled with it."""

import hashlib
import json

import harness
from api_case import ApiCase
from redrive_case import numbered

MEDDLED = "an entry was put in, changed or taken out"


def entry(prev, **more):
    return json.dumps({"v": 1, "at": "2026-01-31T12:00:00.000Z",
                       "what": "note", "who": "ann", "from": "test",
                       "by": "there:1", **more, "prev": prev},
                      separators=(",", ":")).encode()


def chain(count, **more):
    """Entries that follow one another."""
    prev = ""
    for number in range(count):
        text = entry(prev, number=number, **more)
        prev = hashlib.sha256(text).hexdigest()
        yield text


class Audit(ApiCase):
    def audit(self, *args, code=0):
        """The answer in JSON, when the audit has what was done."""
        return self.ask("audit", *args, code=code)

    def whats(self):
        return [e.get("what") for e in self.audit()["audit"]]

    def enter(self, *texts):
        """Puts these into the stream, as nobody should."""
        for text in texts:
            self.publish("audit", text, exchange="dlo.control")

    def test_who_did_what(self):
        self.office()
        self.bury(numbered(3))
        self.dlo("delete", "orders", "--id", "m-1", "--wait")
        self.dlo("feature", "redrive", "off")
        self.dlo("redrive", "orders", "--all", code=1)
        harness.wait_until(lambda: "feature_off" in self.whats(),
                           "it is in the audit", every=0.2)
        answer = self.audit()
        self.assertEqual((answer["verified"], answer["complete"]),
                         (True, True))
        entries = answer["audit"]
        self.assertEqual([e["what"] for e in entries],
                         ["job_started", "job_ended", "feature_off"])
        self.assertEqual({e["finding"] for e in entries[1:]}, {"linked"})
        self.assertEqual(len({e["offset"] for e in entries}), 3)
        for one in entries:
            self.assertIn("uid ", one["who"])
            self.assertEqual(one["from"], "unix")
        said = self.dlo("audit")
        self.assertRegex(said, r"job_ended +orders +\w+ +uid 0 +unix +"
                               r"complete, 1 deleted")
        self.assertIn("3 entries, one chain", said)
        self.assertEqual(len(self.audit("--since", "1h")["audit"]), 3)
        self.assertIn("a duration is needed",
                      self.dlo("audit", "--since", "soon", code=64))

    def test_only_what_is_younger(self):
        self.office().terminate()
        self.enter(*chain(1))
        self.office()
        self.dlo("feature", "redrive", "off")
        harness.wait_until(lambda: "feature_off" in self.whats(),
                           "it is in the audit", every=0.2)
        self.assertEqual([e["what"] for e in
                          self.audit("--since", "1h")["audit"]],
                         ["feature_off"])

    def test_an_empty_audit_is_whole(self):
        self.office()
        self.assertEqual(self.audit(), {"audit": [], "verified": True,
                                        "complete": True})
        self.assertIn("0 entries", self.dlo("audit"))

    def test_meddling_shows(self):
        whole = list(chain(3))
        for name, texts, finding in (
                ("taken out", [whole[0], whole[2]], "broken"),
                ("changed", [whole[0], whole[1].replace(b"ann", b"eve"),
                             whole[2]], "broken"),
                ("not ours", [*whole, b'{"what":"hello"}'], "no entry"),
                ("rubbish", [*whole, b"\xff\x00"], "unreadable")):
            with self.subTest(name):
                self.vhost = self.broker.vhost_new()
                self.addCleanup(self.broker.vhost_delete, self.vhost)
                self._channel = None
                self.declare("orders")
                daemon = self.office()
                self.enter(*texts)
                answer = self.audit(code=2)
                self.assertFalse(answer["verified"])
                self.assertTrue(answer["complete"])
                self.assertEqual(
                    [e["finding"] for e in answer["audit"]
                     if e["finding"] not in ("first", "linked")], [finding])
                said = self.dlo("audit", code=2)
                self.assertIn(MEDDLED, said)
                self.assertIn("CHAIN: " + finding, said)
                daemon.terminate()

    def test_a_slow_reader_gets_all_of_it(self):
        self.office()
        self.enter(*chain(5000, more="x" * 1000))
        client = self.connect_raw()
        client.sendall(b"GET /v1/audit HTTP/1.0\r\nHost: localhost\r\n\r\n")
        # Nothing is read until the daemon can send no more.
        harness.wait_until(lambda: self.dlo("status"), "it lives", every=0.5)
        answer = b""
        while part := client.recv(1 << 20):
            answer += part
        client.close()
        lines = answer.split(b"\r\n\r\n", 1)[1].splitlines()
        self.assertEqual([json.loads(line)["number"] for line in lines[:-1]],
                         list(range(5000)))
        self.assertEqual(json.loads(lines[-1]),
                         {"end": True, "count": 5000, "verified": True,
                          "complete": True})

    def test_no_audit_to_read(self):
        self.office()
        channel = self.new_channel(confirms=False)
        channel.queue_delete("dlo.audit")
        self.assertIn("not in the broker", self.dlo("audit", code=1))
        channel.queue_declare("dlo.audit", durable=True)
        channel.basic_publish("", "dlo.audit", b"{}")
        self.assertIn("is no stream", self.dlo("audit", code=1))
        self.assertEqual(self.depth("dlo.audit"), 1)
