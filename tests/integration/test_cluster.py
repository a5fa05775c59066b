# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""Nodes of a cluster that go, and leaders that move, while we work with it."""

import pika.exceptions

import harness
from harness import wait_until
from test_consumer_order import Record


# What the broker dead-letters to a queue without a leader is tried again
# after this time, by default three minutes.
ADVANCED = """[{rabbit, [
    {quorum_tick_interval, 250},
    {dead_letter_worker_publisher_confirm_timeout, 2000}
]}].
"""


class Cluster(harness.Case):
    def publish_surely(self, count, prefix, queue="orders"):
        """`count` messages, each repeated until some node confirmed it."""
        ids = [f"{prefix}-{number}" for number in range(count)]
        for message_id in ids:
            def confirmed(message_id=message_id):
                try:
                    self.publish(queue, b"", message_id=message_id)
                except (pika.exceptions.AMQPError, OSError):
                    # One that met a dead leader is nacked for ever.
                    self._channel = None
                    return False
                return True

            wait_until(confirmed, f"a confirm for {message_id}")
        return ids

    def move_test_to(self, node):
        """From now on the test looks at the cluster through that node."""
        self.broker = node
        self._channel = None

    def leader_of(self, queue):
        def known():
            found = self.broker.queue(self.vhost, queue)
            return found and found.get("leader")

        return wait_until(known, f"the leader of {queue}")

    def wait_done(self, down, ids):
        wait_until(lambda: set(ids) <= {r.id for r in down.requests
                                        if r.attempt > 1},
                   "each was tried again", timeout=60)
        self.wait_totals("orders", total=0, timeout=60)

    def test_a_channel_that_met_a_dead_leader_is_not_kept(self):
        """3.10 nacks whatever a channel publishes to a quorum queue whose
        leader it took, at its first publish there, to be on a node that is
        down; also when there is a new leader, and until the old one's node is
        back. Here it stays away."""
        near, far, third = self.private_cluster(advanced=ADVANCED)
        # It is on the node that stays, and needs no other.
        self.declare("orders", kind="classic")
        down = self.downstream(lambda r: 200 if r.attempt > 1 else 503)

        def config(node):
            return self.config(
                down, broker={"nodes": [f"amqp://127.0.0.1:{node.port}"]},
                pipelines={"orders": {"retry": {"first": "300ms",
                                                "hold": "1ms"}}})

        # Queues are led where they were declared.
        self.consumer(config(far)).terminate()
        led = ["dlo.retry.orders.0", "dlo.retry.orders.1"]
        for queue in led:
            self.assertEqual(self.leader_of(queue),
                             far.env["DLO_BROKER_NODE"])
        consumer = self.consumer(config(near))
        # Without a majority nobody can be elected: it has to meet that one.
        third.kill()
        far.kill()
        self.publish("orders", b"", message_id="1")
        consumer.wait_log("copy_not_taken", result="nacked")
        third.restart()
        for queue in led:
            wait_until(lambda queue=queue: self.leader_of(queue)
                       != far.env["DLO_BROKER_NODE"],
                       f"another leader of {queue}", timeout=60)
        down.wait_requests(1, of=lambda r: r.attempt == 2, timeout=90)
        self.wait_totals("orders", total=0, timeout=60)

    def test_nodes_and_leaders_may_go(self):
        """Each message fails once and comes back through the ladder, so that
        all queues have something to lose. What the broker dead-letters to a
        queue that had its leader on the lost node may wait for that node;
        what we publish must not."""
        nodes = self.private_cluster(advanced=ADVANCED)
        self.declare("orders")
        down = self.downstream(lambda r: 200 if r.attempt > 1 else 503)
        consumer = self.consumer(self.config(
            down, broker={"nodes": [f"amqp://127.0.0.1:{node.port}"
                                    for node in nodes]},
            downstreams={"shop": {"breaker": {"failures": 1000,
                                              "minimum": 1000}}},
            pipelines={"orders": {"retry": {"first": "300ms",
                                            "hold": "1ms"}}}))
        ids = self.publish_surely(50, "before")
        self.wait_done(down, ids)
        # The node that we are connected to.
        ids = self.publish_surely(50, "node")
        nodes[0].kill()
        self.move_test_to(nodes[1])
        line = consumer.wait_log("broker_up", count=4)
        self.assertNotIn(f":{nodes[0].port}", line.fields["node"])
        ids += self.publish_surely(50, "after")
        self.wait_totals("orders", total=0, timeout=60)
        nodes[0].restart()
        self.wait_done(down, ids)
        # The leader of the work queue, wherever it is now.
        leader = self.leader_of("orders")
        ids = self.publish_surely(50, "leader")
        gone = next(node for node in nodes
                    if node.env["DLO_BROKER_NODE"] == leader)
        gone.kill()
        self.move_test_to(next(node for node in nodes if node is not gone))
        ids += self.publish_surely(50, "last")
        self.wait_totals("orders", total=0, timeout=60)
        gone.restart()
        self.wait_done(down, ids)
        self.assertTrue(consumer.alive())
        self.assertEqual(self.depth("orders.dlq"), 0)

    def transfer_leaders(self):
        """Moves the leader of each queue to the next of its nodes."""
        self.broker.ctl("eval", f"""
            [begin
                 {{_, Now}} = amqqueue:get_pid(Q),
                 All = lists:sort(maps:get(nodes, amqqueue:get_type_state(Q))),
                 [Next | _] = [N || N <- All, N > Now] ++ All,
                 rabbit_quorum_queue:transfer_leadership(Q, Next)
             end || Q <- rabbit_amqqueue:list(<<"{self.vhost}">>),
                    amqqueue:get_type(Q) =:= rabbit_quorum_queue].""")

    def test_leaders_may_move(self):
        """By order, with no node lost, and three times under load: what is
        tried again on the way, what is dead, and what must keep its order."""
        nodes = self.private_cluster(advanced=ADVANCED)
        self.declare("orders")
        self.declare("strict", arguments={"x-single-active-consumer": True})
        record = Record(rate=0.2)
        line = self.downstream(record)
        down = self.downstream(
            lambda r: 422 if r.id.endswith("7") else
            200 if r.attempt > 1 else 503)
        calm = {"failures": 100000, "minimum": 100000}
        consumer = self.consumer(self.config(
            down, broker={"nodes": [f"amqp://127.0.0.1:{node.port}"
                                    for node in nodes]},
            downstreams={"shop": {"breaker": calm},
                         "line": {"http": {"url": line.url},
                                  "breaker": calm}},
            pipelines={"orders": {"retry": {"first": "300ms",
                                            "hold": "1ms"}},
                       "strict": {"queue": "strict", "downstream": "line",
                                  "order": "strict",
                                  "retry": {"attempts": 100, "first": "5ms",
                                            "cap": "20ms"}}}))
        ids, ordered = [], []
        for round_ in range(3):
            before = self.leader_of("strict")
            more = self.publish_surely(50, f"r{round_}")
            ordered += self.publish_surely(50, f"s-{round_}", "strict")
            ids += more
            self.transfer_leaders()
            wait_until(lambda old=before: self.leader_of("strict") != old,
                       "another leader")
        self.wait_totals("orders", total=0, timeout=60)
        tried = [i for i in ids if not i.endswith("7")]
        wait_until(lambda: set(tried) <= {r.id for r in down.requests
                                          if r.attempt > 1},
                   "each was tried again", timeout=60)
        wait_until(lambda: len(record.firsts) == len(ordered),
                   "all of the ordered ones", timeout=60)
        self.assertEqual(record.firsts, ordered)
        self.assertEqual(record.overlaps, [])
        for queue in ("orders", "strict"):
            self.wait_totals(queue, total=0, timeout=60)
        self.assertEqual({m.id for m in self.drain("orders.dlq")},
                         set(ids) - set(tried))
        self.assertEqual(self.depth("strict.dlq"), 0)
        self.assertTrue(consumer.alive())
