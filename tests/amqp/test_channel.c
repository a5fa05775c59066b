/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Channels: requests, consumers, bodies, closing from either side. */
#include "tests/unit.h"

#include <stdio.h>

#include "amqp/props.h"
#include "tests/amqp/rig.h"

#define SECOND 1000000

static const struct rmq_slice none = { NULL, 0 };

/* A rig with one channel "ch" and one consumer "co" on it. */
struct bench {
	struct rig rig; /* first */
	struct rig_end ch_end, co_end, ask, ask2, pub;
	struct rmq_channel *ch;
	struct rmq_consumer *co;
};

static void
bench_open(struct bench *b)
{
	struct rig *rig = &b->rig;

	memset(b, 0, sizeof(*b));
	b->ch_end = (struct rig_end){ rig, "ch" };
	b->co_end = (struct rig_end){ rig, "co" };
	b->ask = (struct rig_end){ rig, "ask" };
	b->ask2 = (struct rig_end){ rig, "ask2" };
	b->pub = (struct rig_end){ rig, "pub" };
	rig_open(rig);
	b->ch = rig_channel(rig, &b->ch_end);
}

static void
bench_consume(struct bench *b, unsigned flags)
{
	const char *tag = flags == 0 ? "c1" : "n1";

	b->co = rmq_consume(b->ch, "q", flags, none, &rig_consumer_cbs,
	    &b->co_end, rig_reply);
	rig_flush(&b->rig);
	wire_method(&b->rig.in, 1, BASIC_CONSUME_OK, amqp_basic_consume_ok_t,
	    .consumer_tag = amqp_cstring_bytes(tag));
	rig_feed(&b->rig);
	buf_reset(&b->rig.log);
}

static void
bench_qos(struct bench *b, uint16_t prefetch)
{
	rmq_qos(b->ch, prefetch, NULL, NULL);
	rig_flush(&b->rig);
	wire_method(&b->rig.in, 1, BASIC_QOS_OK, amqp_basic_qos_ok_t, 0);
	rig_feed(&b->rig);
	buf_reset(&b->rig.log);
}

static void
deliver(struct bench *b, const char *consumer, uint64_t tag)
{
	wire_deliver(&b->rig.in, 1, consumer, tag);
	wire_header(&b->rig.in, 1, 2, none);
	wire_body(&b->rig.in, 1, "hi");
}

static void
several_requests_under_way(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b);
	rmq_qos(b.ch, 7, rig_reply, &b.ask);
	rmq_queue_declare(b.ch, "q", RMQ_PASSIVE, none, rig_reply, &b.ask2);
	rmq_qos(b.ch, 8, NULL, NULL);
	rig_flush(&b.rig);
	rig_expect(&b.rig,
	    "> 1 basic.qos 7\n"
	    "> 1 method 50.10\n"
	    "> 1 basic.qos 8\n");
	wire_method(&b.rig.in, 1, BASIC_QOS_OK, amqp_basic_qos_ok_t, 0);
	wire_method(&b.rig.in, 1, QUEUE_DECLARE_OK, amqp_queue_declare_ok_t,
	    .queue = amqp_cstring_bytes("q"), .message_count = 5,
	    .consumer_count = 2);
	wire_method(&b.rig.in, 1, BASIC_QOS_OK, amqp_basic_qos_ok_t, 0);
	rig_feed(&b.rig);
	rig_expect(&b.rig, "ask: ok\nask2: ok q 5 2\n");
	rig_clear(&b.rig);
}

/* Every request writes what the broker expects, with all its flags. */
static void
requests_carry_their_arguments(void **state)
{
	struct buf args = { 0 };
	struct rmq_slice slice;
	struct bench b;
	struct buf *out;

	(void)state;
	rmq_table_add_int(&args, "x-n", 7);
	slice = (struct rmq_slice){ buf_peek(&args), args.len };
	bench_open(&b);
	rmq_exchange_declare(b.ch, "e", "topic", RMQ_DURABLE | RMQ_INTERNAL,
	    slice, NULL, NULL);
	rmq_exchange_delete(b.ch, "e", RMQ_IF_UNUSED, NULL, NULL);
	rmq_exchange_bind(b.ch, "d", "s", "k", slice, NULL, NULL);
	rmq_queue_declare(b.ch, "q", RMQ_DURABLE, slice, NULL, NULL);
	rmq_queue_delete(b.ch, "q", RMQ_IF_EMPTY, NULL, NULL);
	rmq_queue_bind(b.ch, "q", "e", "k", slice, NULL, NULL);
	rmq_queue_unbind(b.ch, "q", "e", "k", slice, NULL, NULL);
	out = rmq_conn_flush(b.rig.conn, b.rig.now_us);
#define ARGS		   "\0\0\0\15\3x-nl\0\0\0\0\0\0\0\7"
#define FRAME(len, fields) "\1\0\1\0\0\0" len fields "\xce"
	static const char expected[] =
	    FRAME("\40", "\0\50\0\12\0\0\1e\5topic\12" ARGS)
		FRAME("\11", "\0\50\0\24\0\0\1e\1")
		    FRAME("\36", "\0\50\0\36\0\0\1d\1s\1k\0" ARGS)
			FRAME("\32", "\0\62\0\12\0\0\1q\2" ARGS)
			    FRAME("\11", "\0\62\0\50\0\0\1q\2") FRAME("\36",
				"\0\62\0\24\0\0\1q\1e\1k\0" ARGS)
				FRAME("\35", "\0\62\0\62\0\0\1q\1e\1k" ARGS);
	assert_int_equal(out->len, sizeof(expected) - 1);
	assert_memory_equal(buf_peek(out), expected, sizeof(expected) - 1);
	buf_clear(&args);
	rig_clear(&b.rig);
}

static void
delivers_and_acks(void **state)
{
	struct bench b;
	uint64_t tag;

	(void)state;
	bench_open(&b);
	bench_consume(&b, 0);
	for (tag = 1; tag <= 3; tag++)
		deliver(&b, "c1", tag);
	rig_feed(&b.rig);
	rig_expect(&b.rig,
	    "co: delivery 1 x k 2+2 hi\n"
	    "co: delivery 2 redelivered x k 2+2 hi\n"
	    "co: delivery 3 x k 2+2 hi\n");
	assert_int_equal(rmq_channel_unacked(b.ch), 3);
	rmq_ack(b.ch, 1);
	rmq_ack(b.ch, 2);
	rmq_ack(b.ch, 3);
	assert_int_equal(rmq_channel_unacked(b.ch), 0);
	rig_flush(&b.rig);
	rig_expect(&b.rig, "> 1 basic.ack 3 multiple\n");
	rig_clear(&b.rig);
}

/* Twenty deliveries of a window of 64; the first is acked just now. */
static void
bench_begin_acks(struct bench *b)
{
	uint64_t tag;

	bench_open(b);
	bench_qos(b, 64);
	bench_consume(b, 0);
	for (tag = 1; tag <= 20; tag++)
		deliver(b, "c1", tag);
	rig_feed(&b->rig);
	buf_reset(&b->rig.log);
	rmq_ack(b->ch, 1);
	rig_flush(&b->rig);
	rig_expect(&b->rig, "> 1 basic.ack 1\n");
}

/* The first after a pause goes at once, what follows it waits for more. */
static void
acks_wait_for_company(void **state)
{
	struct bench b;

	(void)state;
	bench_begin_acks(&b);
	rig_sleep(&b.rig, 300);
	rmq_ack(b.ch, 3);
	rig_flush(&b.rig);
	rmq_ack(b.ch, 2);
	rig_sleep(&b.rig, 699);
	rig_flush(&b.rig);
	rig_expect(&b.rig, "");
	rig_sleep(&b.rig, 1);
	rig_expect(&b.rig, "> 1 basic.ack 3 multiple\n");
	rig_clear(&b.rig);
}

/* An eighth of the prefetch does not wait, and says so to the owner. */
static void
many_acks_do_not_wait(void **state)
{
	struct bench b;
	uint64_t tag;
	size_t wakes;

	(void)state;
	bench_begin_acks(&b);
	rmq_ack(b.ch, 2);
	rig_flush(&b.rig);
	wakes = b.rig.wakes;
	for (tag = 3; tag <= 8; tag++)
		rmq_ack(b.ch, tag);
	assert_int_equal(b.rig.wakes, wakes);
	rig_flush(&b.rig);
	rig_expect(&b.rig, "");
	rmq_ack(b.ch, 9);
	assert_int_equal(b.rig.wakes, wakes + 1);
	rig_flush(&b.rig);
	rig_expect(&b.rig, "> 1 basic.ack 9 multiple\n");
	rig_clear(&b.rig);
}

static void
large_bodies_grow_with_what_arrives(void **state)
{
	static char piece[4000];
	size_t i, total = 300 * sizeof(piece);
	struct bench b;

	(void)state;
	memset(piece, 'x', sizeof(piece));
	bench_open(&b);
	bench_consume(&b, 0);
	wire_deliver(&b.rig.in, 1, "c1", 1);
	wire_header(&b.rig.in, 1, total, none);
	rig_feed(&b.rig);
	assert_true(rmq_conn_partial_bytes(b.rig.conn) <= 131072);
	for (i = 0; i < 300; i++) {
		wire_frame(&b.rig.in, 3, 1, piece, sizeof(piece));
		rig_feed(&b.rig);
		if (i < 299)
			assert_true(rmq_conn_partial_bytes(b.rig.conn) <=
			    131072 + 2 * (i + 1) * sizeof(piece));
	}
	rig_expect(&b.rig, "co: delivery 1 x k 2+1200000 \n");
	assert_int_equal(rmq_conn_partial_bytes(b.rig.conn), 0);
	rig_clear(&b.rig);
}

/* A size that lies costs nothing; neither does giving up half-way. */
static void
an_announced_size_allocates_nothing(void **state)
{
	static const uint64_t sizes[] = { 1u << 20, UINT64_MAX,
		(uint64_t)1 << 63, 1000 };
	size_t i;

	(void)state;
	for (i = 0; i < array_len(sizes); i++) {
		struct bench b;

		bench_open(&b);
		bench_consume(&b, 0);
		wire_deliver(&b.rig.in, 1, "c1", 1);
		wire_header(&b.rig.in, 1, sizes[i], none);
		wire_body(&b.rig.in, 1, "start");
		rig_feed(&b.rig);
		rig_expect(&b.rig, "");
		assert_true(rmq_conn_partial_bytes(b.rig.conn) <= 131072);
		if (i % 2 == 0) {
			rmq_channel_close(b.ch);
			assert_int_equal(rmq_conn_partial_bytes(b.rig.conn), 0);
		}
		rig_clear(&b.rig);
	}
}

/* RabbitMQ does not split properties, whatever frame_max says. */
static void
properties_may_exceed_frame_max(void **state)
{
	struct buf table = { 0 }, raw = { 0 };
	struct rmq_props props = { 0 };
	static char text[200000];
	struct bench b;

	(void)state;
	memset(text, 'h', sizeof(text));
	rmq_table_add_text(&table, "long", text, sizeof(text));
	props.has[RMQ_PROP_HEADERS] = true;
	props.value[RMQ_PROP_HEADERS] =
	    (struct rmq_slice){ buf_peek(&table), table.len };
	rmq_props_write(&raw, &props);
	bench_open(&b);
	bench_consume(&b, 0);
	wire_deliver(&b.rig.in, 1, "c1", 1);
	wire_header(&b.rig.in, 1, 0,
	    (struct rmq_slice){ buf_peek(&raw), raw.len });
	b.rig.chunk = 1000;
	rig_feed(&b.rig);
	rig_expect(&b.rig, "co: delivery 1 x k 200016+0 \n");
	rig_clear(&b.rig);
	buf_clear(&table);
	buf_clear(&raw);
}

static void
no_ack_deliveries_need_none(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b);
	bench_consume(&b, RMQ_NO_ACK);
	deliver(&b, "n1", 1);
	rig_feed(&b.rig);
	rig_expect(&b.rig, "co: delivery 1 x k 2+2 hi\n");
	assert_int_equal(rmq_channel_unacked(b.ch), 0);
	rig_clear(&b.rig);
}

static void
cancel_lets_what_is_on_its_way_through(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b);
	bench_consume(&b, 0);
	rmq_cancel(b.co, rig_reply);
	rig_flush(&b.rig);
	rig_expect(&b.rig, "> 1 basic.cancel c1\n");
	deliver(&b, "c1", 1);
	wire_method(&b.rig.in, 1, BASIC_CANCEL_OK, amqp_basic_cancel_ok_t,
	    .consumer_tag = amqp_cstring_bytes("c1"));
	rig_feed(&b.rig);
	rig_expect(&b.rig, "co: delivery 1 x k 2+2 hi\nco: ok\n");
	/* Deliveries of a follower can still be late: back they go. */
	deliver(&b, "c1", 2);
	rig_feed(&b.rig);
	rig_expect(&b.rig, "> 1 basic.reject 2 requeue\n");
	assert_int_equal(rmq_channel_unacked(b.ch), 1);
	rmq_ack(b.ch, 1);
	rig_flush(&b.rig);
	rig_expect(&b.rig, "> 1 basic.ack 1\n");
	rig_clear(&b.rig);
}

static void
the_broker_can_cancel(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b);
	bench_consume(&b, 0);
	wire_method(&b.rig.in, 1, BASIC_CANCEL, amqp_basic_cancel_t,
	    .consumer_tag = amqp_cstring_bytes("c1"));
	rig_feed(&b.rig);
	rig_expect(&b.rig, "co: cancelled\n> 1 method 60.31\n");
	/* Another one gets another tag. */
	rmq_consume(b.ch, "q", 0, none, &rig_consumer_cbs, &b.co_end, NULL);
	rig_flush(&b.rig);
	rig_expect(&b.rig, "> 1 basic.consume q c2\n");
	rig_clear(&b.rig);
}

/* Seen on 3.10: consume-ok waits for the queue, later answers do not. */
static void
consume_ok_may_come_late(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b);
	(void)rmq_consume(b.ch, "q", 0, none, &rig_consumer_cbs, &b.co_end,
	    rig_reply);
	rmq_qos(b.ch, 5, rig_reply, &b.ask);
	rig_flush(&b.rig);
	buf_reset(&b.rig.log);
	wire_method(&b.rig.in, 1, BASIC_QOS_OK, amqp_basic_qos_ok_t, 0);
	deliver(&b, "c1", 1);
	wire_method(&b.rig.in, 1, BASIC_CONSUME_OK, amqp_basic_consume_ok_t,
	    .consumer_tag = amqp_cstring_bytes("c1"));
	rig_feed(&b.rig);
	rig_expect(&b.rig, "ask: ok\nco: delivery 1 x k 2+2 hi\nco: ok\n");
	rig_clear(&b.rig);
}

static void
consumers_are_answered_by_their_tag(void **state)
{
	struct rmq_consumer *first;
	struct bench b;

	(void)state;
	bench_open(&b);
	first = rmq_consume(b.ch, "q", 0, none, &rig_consumer_cbs, &b.co_end,
	    rig_reply);
	(void)rmq_consume(b.ch, "r", 0, none, &rig_consumer_cbs, &b.ask,
	    rig_reply);
	rmq_cancel(first, rig_reply);
	rig_flush(&b.rig);
	buf_reset(&b.rig.log);
	wire_method(&b.rig.in, 1, BASIC_CONSUME_OK, amqp_basic_consume_ok_t,
	    .consumer_tag = amqp_cstring_bytes("c2"));
	wire_method(&b.rig.in, 1, BASIC_CONSUME_OK, amqp_basic_consume_ok_t,
	    .consumer_tag = amqp_cstring_bytes("c1"));
	rig_feed(&b.rig);
	rig_expect(&b.rig, "ask: ok\nco: ok\n> 1 basic.cancel c1\n");
	wire_method(&b.rig.in, 1, BASIC_CANCEL_OK, amqp_basic_cancel_ok_t,
	    .consumer_tag = amqp_cstring_bytes("c1"));
	rig_feed(&b.rig);
	rig_expect(&b.rig, "co: ok\n");
	/* And no tag twice. */
	wire_method(&b.rig.in, 1, BASIC_CONSUME_OK, amqp_basic_consume_ok_t,
	    .consumer_tag = amqp_cstring_bytes("c2"));
	rig_feed(&b.rig);
	assert_false(rmq_conn_is_open(b.rig.conn));
	rig_clear(&b.rig);
}

static void
a_cancel_waits_for_consume_ok(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b);
	b.co = rmq_consume(b.ch, "q", 0, none, &rig_consumer_cbs, &b.co_end,
	    rig_reply);
	rmq_cancel(b.co, rig_reply);
	rmq_qos(b.ch, 5, rig_reply, &b.ask);
	rig_flush(&b.rig);
	rig_expect(&b.rig, "> 1 basic.consume q c1\n> 1 basic.qos 5\n");
	wire_method(&b.rig.in, 1, BASIC_CONSUME_OK, amqp_basic_consume_ok_t,
	    .consumer_tag = amqp_cstring_bytes("c1"));
	rig_feed(&b.rig);
	rig_expect(&b.rig, "co: ok\n> 1 basic.cancel c1\n");
	wire_method(&b.rig.in, 1, BASIC_CANCEL_OK, amqp_basic_cancel_ok_t,
	    .consumer_tag = amqp_cstring_bytes("c1"));
	rig_feed(&b.rig);
	rig_expect(&b.rig, "co: ok\n");
	rig_clear(&b.rig);
}

static void
the_broker_can_cancel_before_consume_ok(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b);
	(void)rmq_consume(b.ch, "q", 0, none, &rig_consumer_cbs, &b.co_end,
	    rig_reply);
	rig_flush(&b.rig);
	buf_reset(&b.rig.log);
	wire_method(&b.rig.in, 1, BASIC_CANCEL, amqp_basic_cancel_t,
	    .consumer_tag = amqp_cstring_bytes("c1"), .nowait = 1);
	rig_feed(&b.rig);
	rig_expect(&b.rig, "co: ok\nco: cancelled\n");
	/* Its consume-ok may come yet, or the end of the channel. */
	wire_method(&b.rig.in, 1, BASIC_CONSUME_OK, amqp_basic_consume_ok_t,
	    .consumer_tag = amqp_cstring_bytes("c1"));
	rig_feed(&b.rig);
	assert_true(rmq_conn_is_open(b.rig.conn));
	wire_method(&b.rig.in, 1, CHANNEL_CLOSE, amqp_channel_close_t,
	    .reply_code = 541);
	rig_feed(&b.rig);
	rig_clear(&b.rig);
}

static void
both_cancel_before_consume_ok(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b);
	b.co = rmq_consume(b.ch, "q", 0, none, &rig_consumer_cbs, &b.co_end,
	    rig_reply);
	rmq_cancel(b.co, rig_reply);
	rig_flush(&b.rig);
	buf_reset(&b.rig.log);
	wire_method(&b.rig.in, 1, BASIC_CANCEL, amqp_basic_cancel_t,
	    .consumer_tag = amqp_cstring_bytes("c1"), .nowait = 1);
	rig_feed(&b.rig);
	rig_expect(&b.rig, "co: ok\n> 1 basic.cancel c1\n");
	wire_method(&b.rig.in, 1, BASIC_CANCEL_OK, amqp_basic_cancel_ok_t,
	    .consumer_tag = amqp_cstring_bytes("c1"));
	rig_feed(&b.rig);
	rig_expect(&b.rig, "co: ok\n");
	rig_clear(&b.rig);
}

static void
both_cancel_at_once(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b);
	bench_consume(&b, 0);
	rmq_cancel(b.co, rig_reply);
	wire_method(&b.rig.in, 1, BASIC_CANCEL, amqp_basic_cancel_t,
	    .consumer_tag = amqp_cstring_bytes("c1"), .nowait = 1);
	wire_method(&b.rig.in, 1, BASIC_CANCEL_OK, amqp_basic_cancel_ok_t,
	    .consumer_tag = amqp_cstring_bytes("c1"));
	rig_feed(&b.rig);
	rig_expect(&b.rig, "co: ok\n> 1 basic.cancel c1\n");
	rig_clear(&b.rig);
}

static void
publish(struct bench *b, size_t body_len)
{
	static uint8_t body[20000];
	struct rmq_publish publish = { .exchange = "x", .routing_key = "k" };

	publish.props = (struct rmq_slice){ (const uint8_t *)"\0\0", 2 };
	publish.body = (struct rmq_slice){ body, body_len };
	rmq_publish(b->ch, &publish, b->pub.name == NULL ? NULL : rig_confirm,
	    &b->pub);
}

static void
confirm_mode(struct bench *b)
{
	rmq_confirm_select(b->ch, "id", NULL, NULL);
	wire_method(&b->rig.in, 1, CONFIRM_SELECT_OK, amqp_confirm_select_ok_t,
	    0);
	rig_feed(&b->rig);
	buf_reset(&b->rig.log);
}

static void
bodies_are_split_by_frame_max(void **state)
{
	static const struct {
		size_t len;
		const char *frames;
	} cases[] = {
		{ 0, "" },
		{ 1, "> 1 body 1\n" },
		{ 4088, "> 1 body 4088\n" },
		{ 4089, "> 1 body 4088\n> 1 body 1\n" },
		{ 8176, "> 1 body 4088\n> 1 body 4088\n" },
		{ 9000, "> 1 body 4088\n> 1 body 4088\n> 1 body 824\n" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < array_len(cases); i++) {
		char expected[200];
		struct bench b;

		bench_open(&b);
		confirm_mode(&b);
		publish(&b, cases[i].len);
		rig_flush(&b.rig);
		snprintf(expected, sizeof(expected),
		    "> 1 basic.publish x k\n> 1 header %u\n%s",
		    (unsigned)cases[i].len & 0xff, cases[i].frames);
		rig_expect(&b.rig, expected);
		assert_int_equal(rmq_channel_unconfirmed(b.ch), 1);
		rig_clear(&b.rig);
	}
}

static void
knows_what_fits_a_frame(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b);
	assert_true(rmq_publish_fits(b.rig.conn, 4096 - 20));
	assert_false(rmq_publish_fits(b.rig.conn, 4096 - 19));
	rig_clear(&b.rig);
}

/* `closed` last, and before it an answer to everything. */
static void
a_close_answers_everything(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b);
	confirm_mode(&b);
	publish(&b, 1);
	rmq_qos(b.ch, 1, rig_reply, &b.ask);
	(void)rmq_consume(b.ch, "q", 0, none, &rig_consumer_cbs, &b.co_end,
	    rig_reply);
	rig_flush(&b.rig);
	buf_reset(&b.rig.log);
	wire_channel_close(&b.rig.in, 1, 404, "no exchange");
	rig_feed(&b.rig);
	rig_expect(&b.rig,
	    "ask: no (404 no exchange)\n"
	    "co: no (404 no exchange)\n"
	    "pub: unknown\n"
	    "ch: closed server 404 no exchange\n"
	    "> 1 channel.close-ok\n");
	assert_true(rmq_conn_is_open(b.rig.conn));
	/* Its number is free for another. */
	(void)rig_channel(&b.rig, &b.ch_end);
	rig_clear(&b.rig);
}

static void
closing_writes_acks_first(void **state)
{
	struct bench b;

	(void)state;
	bench_begin_acks(&b);
	/* This one is held. */
	rmq_ack(b.ch, 2);
	rig_flush(&b.rig);
	rig_expect(&b.rig, "");
	rmq_channel_close(b.ch);
	rmq_channel_close(b.ch);
	/* Too late: it goes back to its queue. */
	rmq_ack(b.ch, 3);
	rig_flush(&b.rig);
	rig_expect(&b.rig, "> 1 basic.ack 2\n> 1 channel.close 200\n");
	rig_clear(&b.rig);
}

static void
connection_close_writes_acks_first(void **state)
{
	struct bench b;

	(void)state;
	bench_begin_acks(&b);
	rmq_ack(b.ch, 2);
	rig_flush(&b.rig);
	rig_expect(&b.rig, "");
	rmq_conn_close(b.rig.conn);
	rig_flush(&b.rig);
	rig_expect(&b.rig, "> 1 basic.ack 2\n> 0 connection.close 200\n");
	rig_clear(&b.rig);
}

/* While we close, only the answer counts; requests are answered "no". */
static void
a_closing_channel_is_deaf(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b);
	bench_consume(&b, 0);
	confirm_mode(&b);
	publish(&b, 1);
	rmq_qos(b.ch, 1, rig_reply, &b.ask);
	/* The delivery is cut in the middle by our close. */
	wire_deliver(&b.rig.in, 1, "c1", 1);
	wire_header(&b.rig.in, 1, 4, none);
	wire_body(&b.rig.in, 1, "ab");
	rig_feed(&b.rig);
	rmq_channel_close(b.ch);
	assert_false(rmq_channel_is_open(b.ch));
	assert_false(rmq_channel_may_publish(b.ch));
	publish(&b, 1);
	rmq_qos(b.ch, 1, rig_reply, &b.ask2);
	rig_flush(&b.rig);
	buf_reset(&b.rig.log);
	wire_body(&b.rig.in, 1, "cd");
	deliver(&b, "c1", 2);
	wire_ack(&b.rig.in, 1, 1, false);
	wire_method(&b.rig.in, 1, BASIC_QOS_OK, amqp_basic_qos_ok_t, 0);
	rig_feed(&b.rig);
	rig_expect(&b.rig, "");
	wire_method(&b.rig.in, 1, CHANNEL_CLOSE_OK, amqp_channel_close_ok_t, 0);
	rig_feed(&b.rig);
	rig_expect(&b.rig,
	    "ask: no (0 )\n"
	    "ask2: no (0 )\n"
	    "pub: unknown\n"
	    "pub: unknown\n"
	    "ch: closed none 0 \n");
	rig_clear(&b.rig);
}

static void
both_close_at_once(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b);
	rmq_channel_close(b.ch);
	rig_flush(&b.rig);
	rig_expect(&b.rig, "> 1 channel.close 200\n");
	wire_channel_close(&b.rig.in, 1, 406, "PRECONDITION_FAILED");
	rig_feed(&b.rig);
	rig_expect(&b.rig, "> 1 channel.close-ok\n");
	wire_method(&b.rig.in, 1, CHANNEL_CLOSE_OK, amqp_channel_close_ok_t, 0);
	rig_feed(&b.rig);
	rig_expect(&b.rig, "ch: closed server 406 PRECONDITION_FAILED\n");
	rig_clear(&b.rig);
}

static void
close_before_it_is_open(void **state)
{
	struct rig_end end = { .name = "ch" };
	struct rig rig = { 0 };
	struct rmq_channel *ch;

	(void)state;
	rig_open(&rig);
	end.rig = &rig;
	ch = rmq_channel_open(rig.conn, &rig_channel_cbs, &end);
	rmq_qos(ch, 1, rig_reply, &end);
	rmq_channel_close(ch);
	rig_flush(&rig);
	rig_expect(&rig,
	    "> 1 channel.open\n> 1 basic.qos 1\n> 1 channel.close 200\n");
	wire_channel_open_ok(&rig.in, 1);
	wire_method(&rig.in, 1, BASIC_QOS_OK, amqp_basic_qos_ok_t, 0);
	wire_method(&rig.in, 1, CHANNEL_CLOSE_OK, amqp_channel_close_ok_t, 0);
	rig_feed(&rig);
	rig_expect(&rig, "ch: no (0 )\nch: closed none 0 \n");
	rig_clear(&rig);
}

static void
an_abandoned_channel_tells_nothing(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b);
	bench_consume(&b, 0);
	confirm_mode(&b);
	publish(&b, 1);
	rmq_qos(b.ch, 1, rig_reply, &b.ask);
	deliver(&b, "c1", 1);
	rig_feed(&b.rig);
	buf_reset(&b.rig.log);
	rmq_channel_abandon(b.ch);
	rig_flush(&b.rig);
	rig_expect(&b.rig, "> 1 channel.close 200\n");
	deliver(&b, "c1", 2);
	wire_ack(&b.rig.in, 1, 1, false);
	wire_channel_close(&b.rig.in, 1, 406, "late");
	wire_method(&b.rig.in, 1, CHANNEL_CLOSE_OK, amqp_channel_close_ok_t, 0);
	rig_feed(&b.rig);
	rig_expect(&b.rig, "> 1 channel.close-ok\n");
	rig_clear(&b.rig);
}

/* From a delivery: close the channel, abandon it, lose the connection. */
static void
end_it_all(struct rig *rig, const struct rmq_delivery *delivery)
{
	struct bench *b = (struct bench *)rig;

	if (delivery->tag == 2)
		rmq_channel_close(b->ch);
	if (delivery->tag == 4)
		rmq_channel_abandon(b->ch);
	if (delivery->tag == 6)
		rmq_conn_lost(rig->conn, "pulled");
	if (delivery->tag == 8)
		rmq_conn_close(rig->conn);
}

/* What the delivery ends, nothing after it is seen. */
static void
anything_may_end_in_a_delivery(void **state)
{
	static const char *const after[] = { "", "",
		"ch: closed io 0 pulled\nclosed io 0 pulled\n", "" };
	uint64_t last, tag;

	(void)state;
	for (last = 2; last <= 8; last += 2) {
		char expected[200];
		struct bench b;

		bench_open(&b);
		bench_consume(&b, 0);
		for (tag = 1; tag < last; tag++)
			deliver(&b, "c1", tag);
		rig_feed(&b.rig);
		buf_reset(&b.rig.log);
		b.rig.on_delivery = end_it_all;
		for (; tag <= last + 2; tag++)
			deliver(&b, "c1", tag);
		rmq_conn_input(b.rig.conn, buf_peek(&b.rig.in), b.rig.in.len,
		    b.rig.now_us);
		snprintf(expected, sizeof(expected),
		    "co: delivery %u redelivered x k 2+2 hi\n%s",
		    (unsigned)last, after[last / 2 - 1]);
		rig_expect(&b.rig, expected);
		rig_clear(&b.rig);
	}
}

/* Opens another channel from `closed`. */
static void
reopen(void *arg, const struct rmq_close *close)
{
	struct bench *b = arg;

	assert_int_equal(close->code, 404);
	b->ch = rmq_channel_open(b->rig.conn, &rig_channel_cbs, &b->ch_end);
	assert_non_null(b->ch);
}

static void
never_called(void *arg)
{
	(void)arg;
	assert_true(false);
}

static void
can_be_reopened_from_closed(void **state)
{
	static const struct rmq_channel_cbs cbs = { .opened = never_called,
		.closed = reopen };
	struct bench b = { 0 };

	(void)state;
	b.ch_end = (struct rig_end){ &b.rig, "ch" };
	rig_open(&b.rig);
	b.ch = rmq_channel_open(b.rig.conn, &cbs, &b);
	rig_flush(&b.rig);
	buf_reset(&b.rig.log);
	wire_channel_close(&b.rig.in, 1, 404, "no");
	wire_channel_open_ok(&b.rig.in, 1);
	rig_feed(&b.rig);
	rig_expect(&b.rig,
	    "ch: opened\n> 1 channel.close-ok\n> 1 channel.open\n");
	rig_clear(&b.rig);
}

static void
numbers_run_out_and_come_back(void **state)
{
	struct rig_end ends[3] = { { .name = "a" }, { .name = "b" },
		{ .name = "c" } };
	struct rmq_channel *first;
	struct rig rig = { 0 };

	(void)state;
	rig_init(&rig);
	wire_start(&rig.in);
	wire_tune(&rig.in, 2, 0, 0);
	wire_open_ok(&rig.in);
	rig_feed(&rig);
	buf_reset(&rig.log);
	first = rig_channel(&rig, &ends[0]);
	(void)rig_channel(&rig, &ends[1]);
	assert_null(rmq_channel_open(rig.conn, &rig_channel_cbs, &ends[2]));
	rmq_channel_close(first);
	assert_null(rmq_channel_open(rig.conn, &rig_channel_cbs, &ends[2]));
	rig_flush(&rig);
	wire_method(&rig.in, 1, CHANNEL_CLOSE_OK, amqp_channel_close_ok_t, 0);
	rig_feed(&rig);
	buf_reset(&rig.log);
	(void)rig_channel(&rig, &ends[2]);
	rig_clear(&rig);
}

/* Lets the broker send heartbeats and nothing else. */
static void
sleep_with_heartbeats(struct rig *rig, unsigned seconds)
{
	for (; seconds > 0; seconds -= 5) {
		wire_frame(&rig->in, 8, 0, NULL, 0);
		rig_feed(rig);
		rig_sleep(rig, 5 * SECOND);
	}
}

static void
a_request_without_answer_ends_the_connection(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b);
	rmq_qos(b.ch, 1, rig_reply, &b.ask);
	sleep_with_heartbeats(&b.rig, 55);
	assert_true(rmq_conn_is_open(b.rig.conn));
	sleep_with_heartbeats(&b.rig, 20);
	assert_non_null(strstr(buf_str(&b.rig.log),
	    "ask: no (0 no basic.qos-ok on channel 1 within 60 s)\n"
	    "ch: closed silent 0 no basic.qos-ok on channel 1 within 60 s\n"
	    "closed silent 0 no basic.qos-ok on channel 1 within 60 s\n"));
	rig_clear(&b.rig);
}

/* A blocked broker reads nothing, so it cannot answer. */
static void
a_blocked_broker_may_take_its_time(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b);
	rmq_qos(b.ch, 1, rig_reply, &b.ask);
	wire_method(&b.rig.in, 0, CONNECTION_BLOCKED, amqp_connection_blocked_t,
	    .reason = amqp_cstring_bytes("memory"));
	sleep_with_heartbeats(&b.rig, 600);
	assert_true(rmq_conn_is_open(b.rig.conn));
	wire_method(&b.rig.in, 0, CONNECTION_UNBLOCKED,
	    amqp_connection_unblocked_t, 0);
	sleep_with_heartbeats(&b.rig, 50);
	assert_true(rmq_conn_is_open(b.rig.conn));
	sleep_with_heartbeats(&b.rig, 25);
	assert_false(rmq_conn_is_open(b.rig.conn));
	rig_clear(&b.rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(several_requests_under_way),
		cmocka_unit_test(requests_carry_their_arguments),
		cmocka_unit_test(delivers_and_acks),
		cmocka_unit_test(acks_wait_for_company),
		cmocka_unit_test(many_acks_do_not_wait),
		cmocka_unit_test(large_bodies_grow_with_what_arrives),
		cmocka_unit_test(an_announced_size_allocates_nothing),
		cmocka_unit_test(properties_may_exceed_frame_max),
		cmocka_unit_test(no_ack_deliveries_need_none),
		cmocka_unit_test(cancel_lets_what_is_on_its_way_through),
		cmocka_unit_test(the_broker_can_cancel),
		cmocka_unit_test(consume_ok_may_come_late),
		cmocka_unit_test(consumers_are_answered_by_their_tag),
		cmocka_unit_test(a_cancel_waits_for_consume_ok),
		cmocka_unit_test(the_broker_can_cancel_before_consume_ok),
		cmocka_unit_test(both_cancel_before_consume_ok),
		cmocka_unit_test(both_cancel_at_once),
		cmocka_unit_test(bodies_are_split_by_frame_max),
		cmocka_unit_test(knows_what_fits_a_frame),
		cmocka_unit_test(a_close_answers_everything),
		cmocka_unit_test(closing_writes_acks_first),
		cmocka_unit_test(connection_close_writes_acks_first),
		cmocka_unit_test(a_closing_channel_is_deaf),
		cmocka_unit_test(both_close_at_once),
		cmocka_unit_test(close_before_it_is_open),
		cmocka_unit_test(an_abandoned_channel_tells_nothing),
		cmocka_unit_test(anything_may_end_in_a_delivery),
		cmocka_unit_test(can_be_reopened_from_closed),
		cmocka_unit_test(numbers_run_out_and_come_back),
		cmocka_unit_test(a_request_without_answer_ends_the_connection),
		cmocka_unit_test(a_blocked_broker_may_take_its_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
