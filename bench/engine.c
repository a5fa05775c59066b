/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The engine alone, on the loop and the streams of the programs.
 *
 *	engine fill PORT QUEUE COUNT BODY_BYTES
 *	engine consume PORT QUEUE COUNT PREFETCH
 *
 * Fill declares a quorum queue and publishes persistent messages until all
 * are confirmed. Consume acks each message and does nothing else. Both print
 * what meter.h says.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amqp/channel.h"
#include "amqp/link.h"
#include "amqp/props.h"
#include "bench/meter.h"
#include "lib/loop_libevent.h"
#include "lib/stream_libevent.h"
#include "lib/xalloc.h"

#define PUBLISH_WINDOW 1000

struct bench {
	struct loop *loop;
	struct rmq_link *link;
	struct rmq_channel *channel;
	const char *queue;
	unsigned long count, sent, got;
	unsigned long size; /* prefetch, or bytes of a body */
	uint8_t *body;
	struct rmq_slice props;
	struct meter meter;
	int status;
};

static void
count_one(struct bench *bench)
{
	if (++bench->got != bench->count)
		return;
	meter_stop(&bench->meter, bench->count);
	bench->status = 0;
	rmq_link_stop(bench->link);
}

static void publish_more(struct bench *);

static void
on_confirm(void *arg, enum rmq_confirm verdict, const char *return_text)
{
	struct bench *bench = arg;

	(void)return_text;
	if (verdict == RMQ_CONFIRM_UNKNOWN)
		return;
	if (verdict != RMQ_CONFIRM_OK) {
		fprintf(stderr, "%s\n", rmq_confirm_name(verdict));
		rmq_link_stop(bench->link);
		return;
	}
	count_one(bench);
	publish_more(bench);
}

static void
publish_more(struct bench *bench)
{
	struct rmq_publish publish = {
		.exchange = "",
		.routing_key = bench->queue,
		.props = bench->props,
		.body = { bench->body, bench->size },
		.mandatory = true,
	};

	while (bench->sent < bench->count &&
	    rmq_channel_unconfirmed(bench->channel) < PUBLISH_WINDOW) {
		bench->sent++;
		rmq_publish(bench->channel, &publish, on_confirm, bench);
	}
}

static void
on_declared(void *arg, const struct rmq_reply *reply)
{
	struct bench *bench = arg;

	if (!reply->ok)
		return;
	meter_start(&bench->meter);
	publish_more(bench);
}

static void
on_fill_opened(void *arg)
{
	struct bench *bench = arg;
	struct buf args = { 0 };

	rmq_table_add_text(&args, "x-queue-type", "quorum", 6);
	rmq_confirm_select(bench->channel, "id", NULL, NULL);
	rmq_queue_declare(bench->channel, bench->queue, RMQ_DURABLE,
	    (struct rmq_slice){ buf_peek(&args), args.len }, on_declared,
	    bench);
	buf_clear(&args);
}

static void
on_delivery(void *arg, const struct rmq_delivery *delivery)
{
	struct bench *bench = arg;

	rmq_ack(bench->channel, delivery->tag);
	rmq_message_free(delivery->message);
	count_one(bench);
}

static void
on_cancelled(void *arg)
{
	struct bench *bench = arg;

	rmq_link_stop(bench->link);
}

static void
on_consuming(void *arg, const struct rmq_reply *reply)
{
	struct bench *bench = arg;

	if (reply->ok)
		meter_start(&bench->meter);
}

static void
on_consume_opened(void *arg)
{
	static const struct rmq_consumer_cbs cbs = {
		.delivery = on_delivery,
		.cancelled = on_cancelled,
	};
	struct rmq_slice none = { NULL, 0 };
	struct bench *bench = arg;

	rmq_qos(bench->channel, (uint16_t)bench->size, NULL, NULL);
	rmq_consume(bench->channel, bench->queue, 0, none, &cbs, bench,
	    on_consuming);
}

static void
on_closed(void *arg, const struct rmq_close *close)
{
	struct bench *bench = arg;

	if (close->fault == RMQ_FAULT_NONE)
		return;
	fprintf(stderr, "%s\n", close->text);
	rmq_link_stop(bench->link);
}

static void
on_up(void *arg, struct rmq_conn *conn)
{
	static const struct rmq_channel_cbs consume_cbs = {
		.opened = on_consume_opened,
		.closed = on_closed,
	};
	static const struct rmq_channel_cbs fill_cbs = {
		.opened = on_fill_opened,
		.closed = on_closed,
	};
	struct bench *bench = arg;

	bench->channel = rmq_channel_open(conn,
	    bench->body == NULL ? &consume_cbs : &fill_cbs, bench);
}

static void
on_down(void *arg, const struct rmq_close *close)
{
	struct bench *bench = arg;

	(void)close;
	rmq_link_stop(bench->link);
}

static void
on_blocked(void *arg, bool blocked, const char *reason)
{
	(void)arg;
	(void)blocked;
	(void)reason;
}

static void
on_stopped(void *arg)
{
	struct bench *bench = arg;

	loop_stop(bench->loop);
}

int
main(int argc, char **argv)
{
	static const struct rmq_link_cbs cbs = {
		.up = on_up,
		.down = on_down,
		.blocked = on_blocked,
		.stopped = on_stopped,
	};
	struct rmq_node node = { .host = "127.0.0.1" };
	struct rmq_link_options options = {
		.nodes = &node,
		.node_count = 1,
		.conn = { .vhost = "/",
		    .user = "guest",
		    .password = "guest",
		    .name = "bench",
		    .heartbeat_s = 10 },
		.connect_timeout_ms = 5000,
	};
	struct bench bench = { .status = 1 };
	struct stream_net *net;

	if (argc != 6)
		return 64;
	node.port = (uint16_t)strtoul(argv[2], NULL, 10);
	bench.queue = argv[3];
	bench.count = strtoul(argv[4], NULL, 10);
	bench.size = strtoul(argv[5], NULL, 10);
	/* Delivery mode 2. */
	bench.props = (struct rmq_slice){ (const uint8_t *)"\20\0\2", 3 };
	if (strcmp(argv[1], "fill") == 0)
		bench.body = xcalloc(1, bench.size);
	bench.loop = loop_libevent_new();
	net = stream_libevent_new(bench.loop);
	bench.link = rmq_link_new(bench.loop, net, &options, &cbs, &bench);
	rmq_link_start(bench.link);
	loop_run(bench.loop);
	rmq_link_free(bench.link);
	loop_run_tasks(bench.loop);
	stream_libevent_free(net);
	loop_free(bench.loop);
	free(bench.body);
	return bench.status;
}
