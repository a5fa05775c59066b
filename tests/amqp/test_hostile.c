/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Frames that no broker sends: each ends the connection, with a code. */
#include "tests/unit.h"

#include <stdio.h>

#include "tests/amqp/rig.h"

static const struct rmq_slice none = { NULL, 0 };

#define RAW(b, text) buf_add(b, text, sizeof(text) - 1)

/* A rig with channel 1 open, consumer c1 on it, and one publish. */
struct bench {
	struct rig rig; /* first */
	struct rig_end ch_end, co_end, pub;
};

static void
bench_open(struct bench *b)
{
	struct rmq_publish publish = { .exchange = "x", .routing_key = "k" };
	struct rmq_channel *ch;

	memset(b, 0, sizeof(*b));
	b->ch_end = (struct rig_end){ &b->rig, "ch" };
	b->co_end = (struct rig_end){ &b->rig, "co" };
	b->pub = (struct rig_end){ &b->rig, "pub" };
	rig_open(&b->rig);
	ch = rig_channel(&b->rig, &b->ch_end);
	(void)rmq_consume(ch, "q", 0, none, &rig_consumer_cbs, &b->co_end,
	    NULL);
	rmq_confirm_select(ch, "id", NULL, NULL);
	publish.props = (struct rmq_slice){ (const uint8_t *)"\0\0", 2 };
	rmq_publish(ch, &publish, rig_confirm, &b->pub);
	wire_method(&b->rig.in, 1, BASIC_CONSUME_OK, amqp_basic_consume_ok_t,
	    .consumer_tag = amqp_cstring_bytes("c1"));
	wire_method(&b->rig.in, 1, CONFIRM_SELECT_OK, amqp_confirm_select_ok_t,
	    0);
	rig_feed(&b->rig);
	buf_reset(&b->rig.log);
}

static void
too_small_method(struct buf *b)
{
	wire_frame(b, 1, 1, "\0\74\0", 3);
}

static void
empty_method(struct buf *b)
{
	wire_frame(b, 1, 1, NULL, 0);
}

static void
too_small_header(struct buf *b)
{
	wire_deliver(b, 1, "c1", 1);
	wire_frame(b, 2, 1, "\0\74\0\0\0\0\0\0\0\0\0\0\0", 13);
}

static void
too_large_method(struct buf *b)
{
	RAW(b, "\1\0\1\0\0\20\0");
}

static void
too_large_body(struct buf *b)
{
	RAW(b, "\3\0\1\0\0\20\0");
}

static void
huge_header(struct buf *b)
{
	RAW(b, "\2\0\1\1\0\0\1");
}

static void
huge_everything(struct buf *b)
{
	RAW(b, "\3\0\1\377\377\377\377");
}

static void
fat_heartbeat(struct buf *b)
{
	wire_frame(b, 8, 0, "x", 1);
}

static void
heartbeat_on_a_channel(struct buf *b)
{
	wire_frame(b, 8, 1, NULL, 0);
}

static void
unknown_type(struct buf *b)
{
	wire_frame(b, 4, 1, "xxxx", 4);
}

static void
wrong_end(struct buf *b)
{
	RAW(b, "\10\0\0\0\0\0\0\317");
}

static void
unknown_channel(struct buf *b)
{
	wire_deliver(b, 2, "c1", 1);
}

static void
last_channel(struct buf *b)
{
	wire_deliver(b, 65535, "c1", 1);
}

static void
content_on_channel_0(struct buf *b)
{
	wire_header(b, 0, 1, none);
}

static void
unknown_method(struct buf *b)
{
	wire_frame(b, 1, 1, "\0\74\377\377", 4);
}

static void
unknown_class(struct buf *b)
{
	wire_frame(b, 1, 1, "\0\144\0\12", 4);
}

static void
method_for_servers(struct buf *b)
{
	wire_method(b, 1, BASIC_PUBLISH, amqp_basic_publish_t, 0);
}

/* A table in it would be decoded by a careless client. */
static void
method_with_a_table(struct buf *b)
{
	wire_method(b, 1, QUEUE_DECLARE, amqp_queue_declare_t, 0);
}

static void
unknown_method_on_channel_0(struct buf *b)
{
	wire_method(b, 0, CONNECTION_OPEN, amqp_connection_open_t, 0);
}

static void
second_start(struct buf *b)
{
	wire_start(b);
}

static void
close_ok_not_asked_for(struct buf *b)
{
	wire_method(b, 0, CONNECTION_CLOSE_OK, amqp_connection_close_ok_t, 0);
}

static void
channel_close_ok_not_asked_for(struct buf *b)
{
	wire_method(b, 1, CHANNEL_CLOSE_OK, amqp_channel_close_ok_t, 0);
}

static void
second_open_ok(struct buf *b)
{
	wire_channel_open_ok(b, 1);
}

static void
answer_not_asked_for(struct buf *b)
{
	wire_method(b, 1, BASIC_QOS_OK, amqp_basic_qos_ok_t, 0);
}

static void
method_cut_short(struct buf *b)
{
	wire_frame(b, 1, 1, "\0\74\0\74\2c1\0\0", 9);
}

static void
close_cut_short(struct buf *b)
{
	wire_frame(b, 1, 1, "\0\24\0\50\1\224", 6);
}

static void
text_longer_than_its_frame(struct buf *b)
{
	wire_frame(b, 1, 0, "\0\12\0\62\1\100\377xx\0\0\0\0", 13);
}

static void
unknown_consumer(struct buf *b)
{
	wire_deliver(b, 1, "c2", 1);
}

static void
foreign_consumer_tag(struct buf *b)
{
	wire_deliver(b, 1, "amq.ctag-x", 1);
}

/* Ours is c1; taken for it, an ack of what needs none would follow. */
static void
consumer_tag_of_the_other_kind(struct buf *b)
{
	wire_deliver(b, 1, "n1", 1);
}

static void
empty_consumer_tag(struct buf *b)
{
	wire_deliver(b, 1, "", 1);
}

static void
delivery_tag_0(struct buf *b)
{
	wire_deliver(b, 1, "c1", 0);
}

static void
delivery_tag_leaps(struct buf *b)
{
	wire_deliver(b, 1, "c1", UINT64_MAX);
}

static void
header_without_method(struct buf *b)
{
	wire_header(b, 1, 1, none);
}

static void
body_without_method(struct buf *b)
{
	wire_body(b, 1, "x");
}

static void
body_without_header(struct buf *b)
{
	wire_deliver(b, 1, "c1", 1);
	wire_body(b, 1, "x");
}

static void
two_headers(struct buf *b)
{
	wire_deliver(b, 1, "c1", 1);
	wire_header(b, 1, 1, none);
	wire_header(b, 1, 1, none);
}

static void
method_before_header(struct buf *b)
{
	wire_deliver(b, 1, "c1", 1);
	wire_deliver(b, 1, "c1", 2);
}

static void
method_within_body(struct buf *b)
{
	wire_deliver(b, 1, "c1", 1);
	wire_header(b, 1, 2, none);
	wire_body(b, 1, "x");
	wire_ack(b, 1, 1, false);
}

static void
body_longer_than_said(struct buf *b)
{
	wire_deliver(b, 1, "c1", 1);
	wire_header(b, 1, 2, none);
	wire_body(b, 1, "x");
	wire_body(b, 1, "yz");
}

static void
body_after_an_empty_one(struct buf *b)
{
	wire_deliver(b, 1, "c1", 1);
	wire_header(b, 1, 0, none);
	wire_body(b, 1, "");
}

static void
content_of_another_class(struct buf *b)
{
	wire_deliver(b, 1, "c1", 1);
	wire_frame(b, 2, 1, "\0\12\0\0\0\0\0\0\0\0\0\0\0\0", 14);
}

static void
confirm_of_nothing(struct buf *b)
{
	wire_ack(b, 1, 2, false);
}

static void
nack_of_nothing(struct buf *b)
{
	wire_nack(b, 1, 2, true);
}

static void
confirm_0(struct buf *b)
{
	wire_ack(b, 1, 0, true);
}

static void
get_ok(struct buf *b)
{
	wire_method(b, 1, BASIC_GET_OK, amqp_basic_get_ok_t, 0);
}

#define CASE(f, code) \
	{ \
		f, #f, code \
	}
static const struct {
	void (*script)(struct buf *);
	const char *name;
	unsigned code;
} cases[] = {
	CASE(too_small_method, 501),
	CASE(empty_method, 501),
	CASE(too_small_header, 501),
	CASE(too_large_method, 501),
	CASE(too_large_body, 501),
	CASE(huge_header, 501),
	CASE(huge_everything, 501),
	CASE(fat_heartbeat, 501),
	CASE(unknown_type, 501),
	CASE(wrong_end, 501),
	CASE(body_longer_than_said, 501),
	CASE(content_of_another_class, 501),
	CASE(method_cut_short, 502),
	CASE(close_cut_short, 502),
	CASE(text_longer_than_its_frame, 502),
	CASE(unknown_method, 503),
	CASE(unknown_class, 503),
	CASE(method_for_servers, 503),
	CASE(method_with_a_table, 503),
	CASE(unknown_method_on_channel_0, 503),
	CASE(second_start, 503),
	CASE(close_ok_not_asked_for, 503),
	CASE(channel_close_ok_not_asked_for, 503),
	CASE(second_open_ok, 503),
	CASE(answer_not_asked_for, 503),
	CASE(unknown_consumer, 503),
	CASE(foreign_consumer_tag, 503),
	CASE(consumer_tag_of_the_other_kind, 503),
	CASE(empty_consumer_tag, 503),
	CASE(delivery_tag_0, 503),
	CASE(delivery_tag_leaps, 503),
	CASE(confirm_of_nothing, 503),
	CASE(nack_of_nothing, 503),
	CASE(confirm_0, 503),
	CASE(get_ok, 503),
	CASE(unknown_channel, 504),
	CASE(last_channel, 504),
	CASE(heartbeat_on_a_channel, 505),
	CASE(content_on_channel_0, 505),
	CASE(header_without_method, 505),
	CASE(body_without_method, 505),
	CASE(body_without_header, 505),
	CASE(two_headers, 505),
	CASE(method_before_header, 505),
	CASE(method_within_body, 505),
	CASE(body_after_an_empty_one, 505),
};

/* Told once, orderly, with the code; the rest of the input is not read. */
static void
ends_the_connection(size_t i, size_t chunk)
{
	char protocol[32], sent[64];
	const char *log;
	struct bench b;

	bench_open(&b);
	b.rig.chunk = chunk;
	cases[i].script(&b.rig.in);
	wire_ack(&b.rig.in, 1, 1, false);
	rig_feed(&b.rig);
	snprintf(protocol, sizeof(protocol), "\nclosed protocol %u ",
	    cases[i].code);
	snprintf(sent, sizeof(sent), "> 0 connection.close %u\n",
	    cases[i].code);
	log = buf_str(&b.rig.log);
	if (strstr(log, protocol) == NULL || strstr(log, sent) == NULL ||
	    strstr(log, "pub: unknown\nch: closed protocol") == NULL) {
		print_error("%s: %s\n", cases[i].name, log);
		assert_true(false);
	}
	assert_false(rmq_conn_is_open(b.rig.conn));
	rig_clear(&b.rig);
}

static void
each_ends_the_connection(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < array_len(cases); i++) {
		ends_the_connection(i, 0);
		ends_the_connection(i, 1);
		ends_the_connection(i, 7);
	}
}

/* The handshake takes nothing but what is due. */
static void
the_handshake_is_strict(void **state)
{
	static const struct {
		uint32_t frame_max;
		const char *log;
	} tunes[] = {
		{ 4095,
		    "closed protocol 502 frame_max 4095 is too small\n"
		    "> 0 connection.start-ok PLAIN\n"
		    "> 0 connection.close 502\n" },
		{ 1,
		    "closed protocol 502 frame_max 1 is too small\n"
		    "> 0 connection.start-ok PLAIN\n"
		    "> 0 connection.close 502\n" },
	};
	struct rig rig = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < array_len(tunes); i++) {
		memset(&rig, 0, sizeof(rig));
		rig_init(&rig);
		wire_start(&rig.in);
		wire_tune(&rig.in, 0, tunes[i].frame_max, 0);
		rig_feed(&rig);
		rig_expect(&rig, tunes[i].log);
		rig_clear(&rig);
	}
	memset(&rig, 0, sizeof(rig));
	rig_init(&rig);
	wire_tune(&rig.in, 0, 0, 0);
	rig_feed(&rig);
	rig_expect(&rig,
	    "closed protocol 503 unexpected method 10.30 on channel 0\n"
	    "> 0 connection.close 503\n");
	rig_clear(&rig);
	memset(&rig, 0, sizeof(rig));
	rig_init(&rig);
	wire_start(&rig.in);
	wire_channel_open_ok(&rig.in, 1);
	rig_feed(&rig);
	rig_expect(&rig,
	    "closed protocol 505 unexpected frame of type 1 on channel 1\n"
	    "> 0 connection.start-ok PLAIN\n"
	    "> 0 connection.close 505\n");
	rig_clear(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_ends_the_connection),
		cmocka_unit_test(the_handshake_is_strict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
