/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * One long talk, cut at every byte into two pieces, and into pieces of every
 * small size: what happens must not depend on it.
 */
#include "tests/unit.h"

#include <stdio.h>

#include "amqp/props.h"
#include "tests/amqp/rig.h"

struct talk {
	struct rig rig; /* first */
	struct rig_end channel, consumer, qos, select, declared, pub[4];
	struct rmq_channel *ch;
};

static struct buf props; /* of what is published and comes back */

static void
publish(struct talk *talk, unsigned i, const char *key)
{
	struct rmq_publish publish = {
		.exchange = "x",
		.routing_key = key,
		.props = { buf_peek(&props), props.len },
		.body = rmq_slice_of("body"),
		.mandatory = true,
		.correlation = rmq_slice_of("id-1"),
	};

	rmq_publish(talk->ch, &publish, rig_confirm, &talk->pub[i]);
}

/* All that the client does, at once: the answers come much later. */
static void
on_opened(struct rig *rig)
{
	struct talk *talk = (struct talk *)rig;
	struct rmq_slice none = { NULL, 0 };
	unsigned i;

	talk->ch =
	    rmq_channel_open(rig->conn, &rig_channel_cbs, &talk->channel);
	rmq_qos(talk->ch, 100, rig_reply, &talk->qos);
	rmq_queue_declare(talk->ch, "q", RMQ_DURABLE, none, rig_reply,
	    &talk->declared);
	rmq_consume(talk->ch, "q", 0, none, &rig_consumer_cbs, &talk->consumer,
	    rig_reply);
	rmq_confirm_select(talk->ch, "id", rig_reply, &talk->select);
	for (i = 0; i < 3; i++)
		publish(talk, i, i == 1 ? "nowhere" : "k");
}

static void
on_delivery(struct rig *rig, const struct rmq_delivery *delivery)
{
	struct talk *talk = (struct talk *)rig;

	if (delivery->tag != 2)
		rmq_ack(talk->ch, delivery->tag);
}

static void
script_deliveries(struct buf *b)
{
	struct rmq_slice raw = { buf_peek(&props), props.len };

	wire_deliver(b, 1, "c1", 1);
	wire_header(b, 1, 5, raw);
	wire_body(b, 1, "hello");
	wire_frame(b, 8, 0, NULL, 0); /* a heartbeat between */
	wire_deliver(b, 1, "c1", 2);
	wire_header(b, 1, 0, (struct rmq_slice){ NULL, 0 });
	wire_deliver(b, 1, "c1", 3);
	wire_header(b, 1, 9, raw);
	wire_body(b, 1, "abc");
	wire_frame(b, 3, 1, NULL, 0);
	wire_body(b, 1, "defgh");
	wire_body(b, 1, "i");
}

/* All that the broker says. */
static void
script(struct buf *b)
{
	struct rmq_slice raw = { buf_peek(&props), props.len };

	wire_start(b);
	wire_tune(b, 2047, 4096, 60);
	wire_open_ok(b);
	wire_channel_open_ok(b, 1);
	wire_method(b, 1, BASIC_QOS_OK, amqp_basic_qos_ok_t, 0);
	wire_method(b, 1, QUEUE_DECLARE_OK, amqp_queue_declare_ok_t,
	    .queue = amqp_cstring_bytes("q"), .message_count = 3);
	wire_method(b, 1, BASIC_CONSUME_OK, amqp_basic_consume_ok_t,
	    .consumer_tag = amqp_cstring_bytes("c1"));
	script_deliveries(b);
	wire_method(b, 1, CONFIRM_SELECT_OK, amqp_confirm_select_ok_t, 0);
	wire_return(b, 1, "nowhere", raw);
	wire_ack(b, 1, 2, true);
	wire_nack(b, 1, 3, false);
	wire_method(b, 1, CHANNEL_FLOW, amqp_channel_flow_t, .active = 0);
	wire_method(b, 1, CHANNEL_FLOW, amqp_channel_flow_t, .active = 1);
	wire_method(b, 0, CONNECTION_BLOCKED, amqp_connection_blocked_t,
	    .reason = amqp_cstring_bytes("memory"));
	wire_method(b, 0, CONNECTION_UNBLOCKED, amqp_connection_unblocked_t, 0);
	wire_method(b, 1, BASIC_CANCEL, amqp_basic_cancel_t,
	    .consumer_tag = amqp_cstring_bytes("c1"), .nowait = 1);
	wire_channel_close(b, 1, 404, "NOT_FOUND - no exchange");
	wire_method(b, 0, CONNECTION_CLOSE, amqp_connection_close_t,
	    .reply_code = 320, .reply_text = amqp_cstring_bytes("shutdown"));
}

static const char told[] =
    "opened\n"
    "channel: opened\n"
    "qos: ok\n"
    "declared: ok q 3 0\n"
    "consumer: ok\n"
    "consumer: delivery 1 x k 19+5 hello\n"
    "consumer: delivery 2 redelivered x k 2+0 \n"
    "consumer: delivery 3 x k 19+9 abcdefghi\n"
    "select: ok\n"
    "pub0: ok\n"
    "pub1: returned 312 NO_ROUTE\n"
    "pub2: nacked\n"
    "channel: flow 0\n"
    "channel: flow 1\n"
    "blocked memory\n"
    "unblocked \n"
    "consumer: cancelled\n"
    "channel: closed server 404 NOT_FOUND - no exchange\n"
    "closed server 320 shutdown\n";

static const char sent[] = "> 0 connection.start-ok PLAIN\n"
			   "> 0 connection.tune-ok 2047 4096 10\n"
			   "> 0 connection.open /\n"
			   "> 1 channel.open\n"
			   "> 1 basic.qos 100\n"
			   "> 1 method 50.10\n"
			   "> 1 basic.consume q c1\n"
			   "> 1 confirm.select\n"
			   "> 1 basic.publish x k mandatory\n"
			   "> 1 header 4\n"
			   "> 1 body 4\n"
			   "> 1 basic.publish x nowhere mandatory\n"
			   "> 1 header 4\n"
			   "> 1 body 4\n"
			   "> 1 basic.publish x k mandatory\n"
			   "> 1 header 4\n"
			   "> 1 body 4\n"
			   "> 1 channel.flow-ok 0\n"
			   "> 1 channel.flow-ok 1\n"
			   "> 1 channel.close-ok\n"
			   "> 0 connection.close-ok\n";

static void
talk_begin(struct talk *talk)
{
	static const char *const names[] = { "pub0", "pub1", "pub2", "pub3" };
	struct rig *rig = &talk->rig;
	unsigned i;

	memset(talk, 0, sizeof(*talk));
	rig->on_opened = on_opened;
	rig->on_delivery = on_delivery;
	talk->channel = (struct rig_end){ rig, "channel" };
	talk->consumer = (struct rig_end){ rig, "consumer" };
	talk->qos = (struct rig_end){ rig, "qos" };
	talk->select = (struct rig_end){ rig, "select" };
	talk->declared = (struct rig_end){ rig, "declared" };
	for (i = 0; i < 4; i++)
		talk->pub[i] = (struct rig_end){ rig, names[i] };
	rig_init(rig);
	script(&rig->in);
}

/* Acks leave with the flush, so they are only in the log of other runs. */
static void
same_however_it_is_cut(void **state)
{
	struct buf expected = { 0 };
	struct talk talk;
	size_t at, len;

	(void)state;
	buf_printf(&expected, "%s%s", told, sent);
	talk_begin(&talk);
	len = talk.rig.in.len;
	rig_clear(&talk.rig);
	for (at = 0; at < len; at++) {
		talk_begin(&talk);
		rmq_conn_input(talk.rig.conn, buf_peek(&talk.rig.in), at,
		    talk.rig.now_us);
		buf_drop(&talk.rig.in, at);
		rig_feed(&talk.rig);
		rig_expect(&talk.rig, buf_str(&expected));
		rig_clear(&talk.rig);
	}
	for (at = 1; at <= 64; at++) {
		talk_begin(&talk);
		talk.rig.chunk = at;
		rig_feed(&talk.rig);
		rig_expect(&talk.rig, buf_str(&expected));
		rig_clear(&talk.rig);
	}
	buf_clear(&expected);
}

/* A flush after each byte: acks go out early, events stay the same. */
static void
same_when_flushed_at_every_byte(void **state)
{
	struct talk talk;
	char *line, *at;
	struct buf events = { 0 };

	(void)state;
	talk_begin(&talk);
	while (talk.rig.in.len > 0) {
		rmq_conn_input(talk.rig.conn, buf_peek(&talk.rig.in), 1,
		    talk.rig.now_us);
		buf_drop(&talk.rig.in, 1);
		rig_flush(&talk.rig);
		/* Later than an ack is ever held. */
		talk.rig.now_us += 1000;
	}
	assert_non_null(strstr(buf_str(&talk.rig.log), "> 1 basic.ack 1\n"));
	assert_non_null(strstr(buf_str(&talk.rig.log), "> 1 basic.ack 3\n"));
	buf_str(&talk.rig.log);
	at = (char *)buf_peek(&talk.rig.log);
	while ((line = strsep(&at, "\n")) != NULL) {
		if (*line != '>' && *line != '\0')
			buf_printf(&events, "%s\n", line);
	}
	assert_string_equal(buf_str(&events), told);
	buf_clear(&events);
	rig_clear(&talk.rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_however_it_is_cut),
		cmocka_unit_test(same_when_flushed_at_every_byte),
	};
	struct rmq_props parsed = { 0 };
	struct buf table = { 0 };
	int ret;

	rmq_table_add_text(&table, "id", "id-1", 4);
	parsed.has[RMQ_PROP_HEADERS] = true;
	parsed.value[RMQ_PROP_HEADERS] =
	    (struct rmq_slice){ buf_peek(&table), table.len };
	parsed.has[RMQ_PROP_DELIVERY_MODE] = true;
	parsed.value[RMQ_PROP_DELIVERY_MODE] = rmq_slice_of("\2");
	rmq_props_write(&props, &parsed);
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	buf_clear(&table);
	buf_clear(&props);
	return ret;
}
