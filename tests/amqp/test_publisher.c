/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The publisher through the real engine, against a broker that does with a
 * message what its body says: "ok", "nack", "return", "mute" (no answer),
 * "404" (closes the channel), "541" (closes the connection), "once" (closes
 * the channel, but only the first time), "hold" (confirms only with the next
 * one).
 */
#include "tests/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "amqp/internal.h"
#include "amqp/props.h"
#include "amqp/publisher.h"
#include "lib/log.h"
#include "tests/amqp/wire.h"
#include "tests/sim/sim_loop.h"

#define TICKETS 64

struct fake_channel {
	bool open, closing, confirms;
	uint64_t published, confirmed;
	char key[64];
};

struct bench {
	struct loop *loop;
	struct rmq_publisher *publisher;
	struct rmq_conn *conn;
	struct buf to_client;
	struct fake_channel channels[8];
	struct buf log; /* verdicts, as they come */
	unsigned opens, publishes, conns;
	uint16_t channel_max; /* 0: no limit */
	bool settles; /* confirms what is on hold when nothing else is to do */
	struct rmq_ticket *tickets[TICKETS];
	char bodies[TICKETS][8];
	unsigned sent;
	unsigned accepted[TICKETS]; /* copies that the broker took */
	unsigned seen[TICKETS];
	void (*on_done)(struct bench *, unsigned i);
};

struct slot {
	struct bench *bench;
	unsigned i;
};
static struct slot slots[TICKETS];

static void
nothing(void *arg)
{
	(void)arg;
}

static void
conn_closed(void *arg, const struct rmq_close *close)
{
	struct bench *b = arg;

	(void)close;
	rmq_publisher_detach(b->publisher);
}

static void
conn_opened(void *arg)
{
	struct bench *b = arg;

	rmq_publisher_attach(b->publisher, b->conn);
}

static void
conn_blocked(void *arg, bool blocked, const char *reason)
{
	struct bench *b = arg;

	(void)blocked;
	(void)reason;
	rmq_publisher_wake(b->publisher);
}

static const struct rmq_conn_cbs conn_cbs = {
	.opened = conn_opened,
	.closed = conn_closed,
	.blocked = conn_blocked,
	.wake = nothing,
};

/* ---- the broker */

static void
broker_close_channel(struct bench *b, uint16_t id)
{
	b->channels[id].closing = true;
	wire_channel_close(&b->to_client, id, 404, "NOT_FOUND");
}

static void
broker_confirm(struct bench *b, uint16_t id, bool ack)
{
	struct fake_channel *ch = &b->channels[id];
	bool multiple = ch->published - ch->confirmed > 1;

	ch->confirmed = ch->published;
	if (ack)
		wire_ack(&b->to_client, id, ch->published, multiple);
	else
		wire_nack(&b->to_client, id, ch->published, multiple);
}

static void
broker_publish(struct bench *b, uint16_t id, struct rmq_slice body)
{
	struct fake_channel *ch = &b->channels[id];
	char what[8];
	unsigned i;

	b->publishes++;
	ch->published++;
	assert_in_range(body.len, 2, 7);
	snprintf(what, sizeof(what), "%.*s", (int)body.len,
	    (const char *)body.ptr);
	i = (unsigned)strtoul(ch->key + 1, NULL, 10);
	if (strcmp(what, "404") == 0 ||
	    (strcmp(what, "once") == 0 && b->seen[i]++ == 0)) {
		broker_close_channel(b, id);
		return;
	}
	if (strcmp(what, "541") == 0) {
		wire_method(&b->to_client, 0, CONNECTION_CLOSE,
		    amqp_connection_close_t, .reply_code = 541,
		    .reply_text = amqp_cstring_bytes("INTERNAL_ERROR"));
		ch->closing = true;
		return;
	}
	if (strcmp(what, "mute") == 0)
		return;
	b->accepted[i]++;
	if (strcmp(what, "return") == 0)
		wire_return(&b->to_client, id, ch->key,
		    (struct rmq_slice){ NULL, 0 });
	if (strcmp(what, "hold") != 0 && ch->confirms)
		broker_confirm(b, id, strcmp(what, "nack") != 0);
}

static void
broker_method(struct bench *b, uint16_t id, amqp_method_number_t number,
    void *method)
{
	const amqp_basic_publish_t *publish = method;
	struct fake_channel *ch = &b->channels[id];

	switch (number) {
	case AMQP_CHANNEL_OPEN_METHOD:
		memset(ch, 0, sizeof(*ch));
		ch->open = true;
		b->opens++;
		wire_channel_open_ok(&b->to_client, id);
		break;
	case AMQP_CONFIRM_SELECT_METHOD:
		ch->confirms = true;
		wire_method(&b->to_client, id, CONFIRM_SELECT_OK,
		    amqp_confirm_select_ok_t, 0);
		break;
	case AMQP_CHANNEL_CLOSE_METHOD:
		wire_method(&b->to_client, id, CHANNEL_CLOSE_OK,
		    amqp_channel_close_ok_t, 0);
		ch->closing = true;
		break;
	case AMQP_CHANNEL_CLOSE_OK_METHOD:
		ch->open = false;
		break;
	case AMQP_BASIC_PUBLISH_METHOD:
		assert_true(publish->mandatory || !ch->confirms);
		memcpy(ch->key, publish->routing_key.bytes,
		    publish->routing_key.len);
		ch->key[publish->routing_key.len] = '\0';
		break;
	}
}

static void
broker_frame(struct bench *b, const struct rmq_frame *frame)
{
	struct fake_channel *ch = &b->channels[frame->channel];
	amqp_method_number_t number;
	amqp_pool_t pool;
	void *method;

	if (frame->type == RMQ_FRAME_METHOD) {
		number = rmq_frame_method(frame);
		if (ch->closing && number != AMQP_CHANNEL_CLOSE_OK_METHOD &&
		    number != AMQP_CHANNEL_OPEN_METHOD)
			return;
		init_amqp_pool(&pool, 4096);
		assert_int_equal(amqp_decode_method(number, &pool,
				     rmq_codec_bytes((struct rmq_slice){
					 frame->payload.ptr + 4,
					 frame->payload.len - 4 }),
				     &method),
		    0);
		broker_method(b, frame->channel, number, method);
		empty_amqp_pool(&pool);
	}
	if (frame->type == RMQ_FRAME_BODY && !ch->closing)
		broker_publish(b, frame->channel, frame->payload);
}

static void
broker_idle(struct bench *b)
{
	uint16_t id;

	for (id = 1; b->settles && id < array_len(b->channels); id++) {
		if (b->channels[id].open && !b->channels[id].closing &&
		    b->channels[id].published > b->channels[id].confirmed)
			broker_confirm(b, id, true);
	}
}

/* Lets client and broker talk until both are silent. */
static void
talk(struct bench *b)
{
	struct rmq_frame frame;
	const char *error;
	struct buf *out;
	size_t need;

	for (;;) {
		loop_run_tasks(b->loop);
		if (b->conn == NULL)
			return;
		out = rmq_conn_flush(b->conn, loop_now_us(b->loop));
		while (out->len > 0) {
			assert_int_equal(
			    rmq_frame_peek((struct rmq_slice){ buf_peek(out),
					       out->len },
				1u << 20, &frame, &need, &error),
			    RMQ_FRAME_WHOLE);
			broker_frame(b, &frame);
			buf_drop(out, need);
		}
		if (b->to_client.len == 0)
			broker_idle(b);
		if (b->to_client.len == 0)
			return;
		rmq_conn_input(b->conn, buf_peek(&b->to_client),
		    b->to_client.len, loop_now_us(b->loop));
		buf_reset(&b->to_client);
	}
}

/* A new connection, as a link would make it. */
static void
connect(struct bench *b)
{
	static const struct rmq_conn_options options = { .vhost = "/",
		.user = "u",
		.password = "p" };

	memset(b->channels, 0, sizeof(b->channels));
	rmq_conn_free(b->conn);
	b->conns++;
	b->conn = rmq_conn_new(&options, &conn_cbs, b, loop_now_us(b->loop));
	buf_reset(rmq_conn_flush(b->conn, loop_now_us(b->loop)));
	wire_start(&b->to_client);
	wire_tune(&b->to_client, b->channel_max, 131072, 0);
	wire_open_ok(&b->to_client);
	talk(b);
}

static void
bench_init(struct bench *b, size_t window)
{
	struct rmq_publisher_options options = {
		.correlation_header = "id",
		.window = window,
		.confirm_timeout_ms = 30000,
	};

	memset(b, 0, sizeof(*b));
	b->loop = sim_loop_new(7);
	b->publisher = rmq_publisher_new(b->loop, &options);
}

static void
bench_clear(struct bench *b)
{
	rmq_publisher_free(b->publisher);
	loop_run_tasks(b->loop);
	rmq_conn_free(b->conn);
	loop_free(b->loop);
	buf_clear(&b->to_client);
	buf_clear(&b->log);
}

static void
on_sent(void *arg, const struct rmq_sent_result *result)
{
	struct slot *slot = arg;
	struct bench *b = slot->bench;

	b->tickets[slot->i] = NULL;
	assert_non_null(result->text);
	buf_printf(&b->log, "%s%u:%s", b->log.len > 0 ? " " : "", slot->i,
	    rmq_sent_name(result->sent));
	if (result->sent == RMQ_SENT_REFUSED)
		buf_printf(&b->log, "=%u", result->code);
	if (b->on_done != NULL)
		b->on_done(b, slot->i);
}

static void
send_one(struct bench *b, const char *what)
{
	struct rmq_publish publish = { .exchange = "x" };
	unsigned i = b->sent++;
	static char keys[TICKETS][8];

	assert_true(i < TICKETS);
	snprintf(b->bodies[i], sizeof(b->bodies[i]), "%s", what);
	snprintf(keys[i], sizeof(keys[i]), "k%u", i);
	publish.routing_key = keys[i];
	publish.body = rmq_slice_of(b->bodies[i]);
	publish.props = (struct rmq_slice){ (const uint8_t *)"\0\0", 2 };
	slots[i] = (struct slot){ b, i };
	b->tickets[i] =
	    rmq_publisher_send(b->publisher, &publish, on_sent, &slots[i]);
}

/* "ok 404 nack": one publish each. */
static void
send_all(struct bench *b, const char *list)
{
	char *copy = strdup(list), *at = copy, *word;

	while ((word = strsep(&at, " ")) != NULL)
		send_one(b, word);
	free(copy);
}

static void
expect(struct bench *b, const char *log)
{
	assert_string_equal(buf_str(&b->log), log);
	buf_reset(&b->log);
}

static void
ring(void *arg)
{
	*(bool *)arg = true;
}

/* Time passes, and what is due is done. */
static void
pass(struct bench *b, int64_t seconds)
{
	bool over = false;
	struct loop_timer *timer = loop_timer_new(b->loop, ring, &over);

	loop_timer_start(b->loop, timer, seconds * 1000);
	while (!over) {
		(void)sim_loop_step(b->loop);
		talk(b);
	}
	loop_timer_free(b->loop, timer);
}

/* ---- the tests */

static void
tells_each_its_fate(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 16);
	connect(&b);
	send_all(&b, "ok nack return hold ok");
	expect(&b, ""); /* never inside the call */
	assert_int_equal(rmq_publisher_pending(b.publisher), 5);
	talk(&b);
	expect(&b, "0:ok 1:nacked 2:returned 3:ok 4:ok");
	assert_int_equal(rmq_publisher_pending(b.publisher), 0);
	assert_int_equal(b.publishes, 5);
	bench_clear(&b);
}

static void
keeps_what_comes_before_the_connection(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 16);
	send_all(&b, "ok ok");
	talk(&b);
	expect(&b, "");
	connect(&b);
	expect(&b, "0:ok 1:ok");
	bench_clear(&b);
}

static void
sends_again_what_a_lost_connection_took(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 16);
	connect(&b);
	send_all(&b, "ok hold hold");
	talk(&b);
	expect(&b, "0:ok");
	rmq_conn_lost(b.conn, "reset");
	send_all(&b, "ok");
	talk(&b);
	expect(&b, "");
	assert_int_equal(rmq_publisher_pending(b.publisher), 3);
	connect(&b);
	/* The same order, each once more: a copy, not a loss. */
	expect(&b, "1:ok 2:ok 3:ok");
	assert_int_equal(b.accepted[0], 1);
	assert_int_equal(b.accepted[1], 2);
	assert_int_equal(b.accepted[2], 2);
	assert_int_equal(b.accepted[3], 1);
	bench_clear(&b);
}

static void
the_window_bounds_what_is_unconfirmed(void **state)
{
	struct bench b;
	unsigned i;

	(void)state;
	bench_init(&b, 4);
	connect(&b);
	for (i = 0; i < 10; i++)
		send_one(&b, "hold");
	talk(&b);
	assert_int_equal(b.publishes, 4);
	wire_ack(&b.to_client, 1, 3, true);
	talk(&b);
	expect(&b, "0:ok 1:ok 2:ok");
	assert_int_equal(b.publishes, 7);
	bench_clear(&b);
}

/* Whoever closes the channel is found, alone; all others get through. */
static void
finds_the_culprits(void **state)
{
	static const struct {
		const char *list;
		const char *refused; /* their numbers */
	} cases[] = {
		{ "404", "0" },
		{ "404 ok", "0" },
		{ "ok 404", "1" },
		{ "ok ok ok 404 ok ok ok ok", "3" },
		{ "ok ok ok ok ok ok ok 404", "7" },
		{ "404 404", "0 1" },
		{ "404 ok ok ok ok ok ok 404", "0 7" },
		{ "ok 404 ok 404 404 ok", "1 3 4" },
		{ "hold hold 404 hold hold ok", "2" },
		{ "nack 404 return ok", "1" },
		/* Not again when sent alone: it was not to blame. */
		{ "once", "" },
		{ "ok once", "" },
		{ "once 404 ok", "1" },
		{ "404 404 404 404 404 404 404 404 404", "0 1 2 3 4 5 6 7 8" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < array_len(cases); i++) {
		struct buf refused = { 0 };
		struct bench b;
		unsigned n;

		bench_init(&b, 16);
		b.settles = true;
		connect(&b);
		send_all(&b, cases[i].list);
		talk(&b);
		assert_int_equal(rmq_publisher_pending(b.publisher), 0);
		for (n = 0; n < b.sent; n++) {
			char mark[32];

			assert_null(b.tickets[n]);
			snprintf(mark, sizeof(mark), "%u:refused=404", n);
			if (strstr(buf_str(&b.log), mark) != NULL)
				buf_printf(&refused, "%s%u",
				    refused.len > 0 ? " " : "", n);
		}
		assert_string_equal(buf_str(&refused), cases[i].refused);
		/* It works on, as if nothing had been. */
		buf_reset(&b.log);
		n = b.opens;
		send_all(&b, "ok ok ok ok");
		talk(&b);
		assert_int_equal(b.opens, n);
		assert_non_null(strstr(buf_str(&b.log), ":ok"));
		bench_clear(&b);
		buf_clear(&refused);
	}
}

/* Log₂ of the window, not one round for each innocent. */
static void
finds_a_culprit_in_few_rounds(void **state)
{
	struct bench b;
	unsigned i;

	(void)state;
	bench_init(&b, 64);
	connect(&b);
	for (i = 0; i < 48; i++)
		send_one(&b, i == 37 ? "404" : "mute");
	talk(&b);
	/* Nothing is confirmed, so the batches only shrink. */
	assert_in_range(b.opens, 2, 3);
	bench_clear(&b);
	bench_init(&b, 64);
	connect(&b);
	for (i = 0; i < 48; i++)
		send_one(&b, i == 37 ? "404" : "ok");
	talk(&b);
	assert_int_equal(rmq_publisher_pending(b.publisher), 0);
	assert_in_range(b.opens, 2, 9);
	bench_clear(&b);
}

/* A broker that closes whatever is opened is not hammered. */
static void
an_idle_channel_is_opened_again_in_peace(void **state)
{
	struct bench b;
	unsigned i;

	(void)state;
	bench_init(&b, 16);
	connect(&b);
	for (i = 0; i < 3; i++) {
		broker_close_channel(&b, 1);
		talk(&b);
		assert_int_equal(b.opens, i + 1);
		pass(&b, 2);
		assert_int_equal(b.opens, i + 2);
	}
	send_all(&b, "ok");
	talk(&b);
	expect(&b, "0:ok");
	bench_clear(&b);
}

/* What is queued meanwhile waits for the verdict and then goes on. */
static void
new_ones_wait_while_it_searches(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 2);
	connect(&b);
	send_all(&b, "404 ok ok ok ok 404 ok");
	talk(&b);
	assert_int_equal(rmq_publisher_pending(b.publisher), 0);
	assert_non_null(strstr(buf_str(&b.log), "0:refused=404"));
	assert_non_null(strstr(buf_str(&b.log), "5:refused=404"));
	assert_non_null(strstr(buf_str(&b.log), "6:ok"));
	bench_clear(&b);
}

/* The search goes on where a lost connection had stopped it. */
static void
the_search_survives_a_reconnect(void **state)
{
	struct bench b;
	unsigned i;

	(void)state;
	bench_init(&b, 64);
	connect(&b);
	send_all(&b, "ok mute ok 404 ok mute mute ok");
	talk(&b);
	for (i = 0; i < 4; i++) {
		rmq_conn_lost(b.conn, "reset");
		connect(&b);
	}
	b.settles = true;
	talk(&b);
	assert_int_equal(rmq_publisher_pending(b.publisher), 0);
	assert_non_null(strstr(buf_str(&b.log), "3:refused=404"));
	bench_clear(&b);
}

/* One that makes the broker close the whole connection is found too. */
static void
finds_what_closes_the_connection(void **state)
{
	struct bench b;
	unsigned i;

	(void)state;
	bench_init(&b, 16);
	connect(&b);
	b.settles = true;
	send_all(&b, "ok hold 541 ok ok");
	for (i = 0; i < 20 && rmq_publisher_pending(b.publisher) > 0; i++) {
		talk(&b);
		if (!rmq_conn_is_open(b.conn))
			connect(&b);
	}
	assert_int_equal(rmq_publisher_pending(b.publisher), 0);
	assert_non_null(strstr(buf_str(&b.log), "2:refused=541"));
	assert_int_equal(b.accepted[4] > 0, true);
	bench_clear(&b);
}

static void
holds_back_while_blocked(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 16);
	connect(&b);
	wire_method(&b.to_client, 0, CONNECTION_BLOCKED,
	    amqp_connection_blocked_t, .reason = amqp_cstring_bytes("memory"));
	talk(&b);
	send_all(&b, "ok ok");
	talk(&b);
	assert_int_equal(b.publishes, 0);
	wire_method(&b.to_client, 0, CONNECTION_UNBLOCKED,
	    amqp_connection_unblocked_t, 0);
	talk(&b);
	expect(&b, "0:ok 1:ok");
	bench_clear(&b);
}

static void
holds_back_while_the_channel_says_so(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 16);
	connect(&b);
	wire_method(&b.to_client, 1, CHANNEL_FLOW, amqp_channel_flow_t,
	    .active = 0);
	talk(&b);
	send_all(&b, "ok");
	talk(&b);
	assert_int_equal(b.publishes, 0);
	wire_method(&b.to_client, 1, CHANNEL_FLOW, amqp_channel_flow_t,
	    .active = 1);
	talk(&b);
	expect(&b, "0:ok");
	bench_clear(&b);
}

static void
a_confirm_that_does_not_come_ends_the_channel(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 16);
	connect(&b);
	send_all(&b, "mute ok");
	talk(&b);
	/* The broker confirmed both at once. */
	expect(&b, "0:ok 1:ok");
	send_all(&b, "ok mute");
	talk(&b);
	expect(&b, "2:ok");
	pass(&b, 29);
	assert_int_equal(b.opens, 1);
	pass(&b, 2);
	assert_int_equal(b.opens, 2);
	assert_int_equal(b.publishes, 5);
	/* Each time it waits for twice as long. */
	pass(&b, 58);
	assert_int_equal(b.opens, 2);
	pass(&b, 4);
	assert_int_equal(b.opens, 3);
	bench_clear(&b);
}

/* The queue may be full, or only this channel in its bad books. */
static void
nacks_bring_a_new_channel_now_and_then(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 16);
	connect(&b);
	send_all(&b, "nack");
	talk(&b);
	/* Too young: it may have come in the middle of an election. */
	assert_int_equal(b.opens, 1);
	pass(&b, 1);
	/* What is under way has its verdict on the old one. */
	send_all(&b, "nack hold");
	talk(&b);
	expect(&b, "0:nacked 1:nacked");
	send_all(&b, "ok");
	talk(&b);
	assert_int_equal(b.opens, 1);
	b.settles = true;
	talk(&b);
	assert_int_equal(b.opens, 2);
	expect(&b, "2:ok 3:ok");
	/* The next one has twice the time. */
	pass(&b, 1);
	send_all(&b, "nack");
	talk(&b);
	assert_int_equal(b.opens, 2);
	pass(&b, 1);
	send_all(&b, "nack");
	talk(&b);
	assert_int_equal(b.opens, 3);
	expect(&b, "4:nacked 5:nacked");
	/* After two minutes without one all is forgotten. */
	pass(&b, 121);
	send_all(&b, "nack");
	talk(&b);
	assert_int_equal(b.opens, 4);
	pass(&b, 1);
	send_all(&b, "nack");
	talk(&b);
	assert_int_equal(b.opens, 4);
	pass(&b, 1);
	send_all(&b, "nack");
	talk(&b);
	assert_int_equal(b.opens, 5);
	bench_clear(&b);
}

/* One copy without a confirm must not hold up all others. */
static void
a_renewal_waits_for_a_while_only(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 16);
	connect(&b);
	pass(&b, 1);
	send_all(&b, "nack hold");
	talk(&b);
	send_all(&b, "hold");
	pass(&b, 4);
	assert_int_equal(b.publishes, 2);
	pass(&b, 1);
	assert_int_equal(b.publishes, 3);
	assert_int_equal(b.opens, 1);
	/* And the next try is not at once. */
	send_all(&b, "nack");
	talk(&b);
	assert_int_equal(b.opens, 1);
	expect(&b, "0:nacked 1:nacked 2:nacked 3:nacked");
	pass(&b, 2);
	send_all(&b, "nack");
	talk(&b);
	assert_int_equal(b.opens, 2);
	bench_clear(&b);
}

static void
time_spent_blocked_does_not_count(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 16);
	connect(&b);
	send_all(&b, "hold");
	talk(&b);
	pass(&b, 20);
	wire_method(&b.to_client, 0, CONNECTION_BLOCKED,
	    amqp_connection_blocked_t, .reason = amqp_cstring_bytes("memory"));
	talk(&b);
	pass(&b, 3600);
	assert_int_equal(b.opens, 1);
	wire_method(&b.to_client, 0, CONNECTION_UNBLOCKED,
	    amqp_connection_unblocked_t, 0);
	talk(&b);
	pass(&b, 29);
	assert_int_equal(b.opens, 1);
	pass(&b, 32);
	assert_int_equal(b.opens, 2);
	bench_clear(&b);
}

static void
forgotten_ones_are_not_told_nor_sent_again(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 2);
	connect(&b);
	send_all(&b, "hold hold ok");
	talk(&b);
	rmq_publisher_forget(b.publisher, b.tickets[2]); /* queued */
	rmq_publisher_forget(b.publisher, b.tickets[0]); /* sent */
	memset(b.bodies[0], 'X', sizeof(b.bodies[0]));
	rmq_conn_lost(b.conn, "reset");
	connect(&b);
	assert_int_equal(b.accepted[0], 1);
	assert_int_equal(b.accepted[1], 2);
	wire_ack(&b.to_client, 1, 1, false);
	talk(&b);
	expect(&b, "1:ok");
	assert_int_equal(rmq_publisher_pending(b.publisher), 0);
	bench_clear(&b);
}

static void
too_large_properties_are_refused_at_once(void **state)
{
	static uint8_t props[131072];
	struct rmq_publish publish = { .exchange = "x",
		.routing_key = "k",
		.props = { props, sizeof(props) } };
	struct bench b;

	(void)state;
	bench_init(&b, 2);
	connect(&b);
	slots[0] = (struct slot){ &b, 0 };
	(void)rmq_publisher_send(b.publisher, &publish, on_sent, &slots[0]);
	expect(&b, "");
	talk(&b);
	expect(&b, "0:refused=501");
	assert_int_equal(b.publishes, 0);
	bench_clear(&b);
}

static void
news_cannot_close_what_confirms(void **state)
{
	struct rmq_publish news = { .exchange = "missing",
		.routing_key = "k",
		.props = { (const uint8_t *)"\0\0", 2 } };
	struct bench b;

	(void)state;
	bench_init(&b, 16);
	news.body = rmq_slice_of("404");
	assert_false(rmq_publisher_tell(b.publisher, &news)); /* not yet up */
	connect(&b);
	assert_true(rmq_publisher_tell(b.publisher, &news));
	send_all(&b, "ok");
	talk(&b);
	expect(&b, "0:ok");
	assert_int_equal(b.opens, 2);
	/* For a while none is tried, and for twice that the next time. */
	assert_false(rmq_publisher_tell(b.publisher, &news));
	talk(&b);
	assert_int_equal(b.opens, 2);
	pass(&b, 6);
	assert_true(rmq_publisher_tell(b.publisher, &news));
	talk(&b);
	assert_int_equal(b.opens, 3);
	pass(&b, 6);
	assert_false(rmq_publisher_tell(b.publisher, &news));
	pass(&b, 6);
	news.body = rmq_slice_of("hold");
	assert_true(rmq_publisher_tell(b.publisher, &news));
	assert_true(rmq_publisher_tell(b.publisher, &news));
	talk(&b);
	assert_int_equal(b.opens, 4);
	assert_int_equal(b.publishes, 5);
	bench_clear(&b);
}

static void
news_give_up_the_only_channel(void **state)
{
	struct rmq_publish news = { .exchange = "x",
		.routing_key = "k",
		.props = { (const uint8_t *)"\0\0", 2 } };
	struct bench b;

	(void)state;
	bench_init(&b, 16);
	news.body = rmq_slice_of("ok");
	b.channel_max = 1;
	connect(&b);
	assert_false(rmq_publisher_tell(b.publisher, &news));
	broker_close_channel(&b, 1);
	talk(&b);
	/* Not opened again yet: there is a number left. */
	assert_true(rmq_publisher_tell(b.publisher, &news));
	pass(&b, 3);
	send_all(&b, "ok");
	talk(&b);
	expect(&b, "0:ok");
	assert_false(rmq_publisher_tell(b.publisher, &news));
	bench_clear(&b);
}

static void
free_it(struct bench *b, unsigned i)
{
	(void)i;
	rmq_publisher_free(b->publisher);
}

static void
may_be_freed_from_a_verdict(void **state)
{
	static const char *const lists[] = { "ok ok ok", "hold hold ok nack",
		"404", "ok 404 ok" };
	size_t i;

	(void)state;
	for (i = 0; i < array_len(lists); i++) {
		struct bench b;

		bench_init(&b, 16);
		connect(&b);
		b.on_done = free_it;
		send_all(&b, lists[i]);
		talk(&b);
		assert_null(strchr(buf_str(&b.log), ' '));
		b.publisher = NULL;
		bench_clear(&b);
	}
}

static void
send_another(struct bench *b, unsigned i)
{
	if (b->sent < 40)
		send_one(b, i % 7 == 3 ? "404" : "ok");
}

static void
verdicts_may_send(void **state)
{
	struct bench b;
	unsigned i;

	(void)state;
	bench_init(&b, 3);
	connect(&b);
	b.on_done = send_another;
	for (i = 0; i < 5; i++)
		send_one(&b, "ok");
	talk(&b);
	assert_int_equal(b.sent, 40);
	assert_int_equal(rmq_publisher_pending(b.publisher), 0);
	bench_clear(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_each_its_fate),
		cmocka_unit_test(keeps_what_comes_before_the_connection),
		cmocka_unit_test(sends_again_what_a_lost_connection_took),
		cmocka_unit_test(the_window_bounds_what_is_unconfirmed),
		cmocka_unit_test(finds_the_culprits),
		cmocka_unit_test(finds_a_culprit_in_few_rounds),
		cmocka_unit_test(an_idle_channel_is_opened_again_in_peace),
		cmocka_unit_test(new_ones_wait_while_it_searches),
		cmocka_unit_test(the_search_survives_a_reconnect),
		cmocka_unit_test(finds_what_closes_the_connection),
		cmocka_unit_test(holds_back_while_blocked),
		cmocka_unit_test(holds_back_while_the_channel_says_so),
		cmocka_unit_test(a_confirm_that_does_not_come_ends_the_channel),
		cmocka_unit_test(nacks_bring_a_new_channel_now_and_then),
		cmocka_unit_test(a_renewal_waits_for_a_while_only),
		cmocka_unit_test(time_spent_blocked_does_not_count),
		cmocka_unit_test(forgotten_ones_are_not_told_nor_sent_again),
		cmocka_unit_test(too_large_properties_are_refused_at_once),
		cmocka_unit_test(news_cannot_close_what_confirms),
		cmocka_unit_test(news_give_up_the_only_channel),
		cmocka_unit_test(may_be_freed_from_a_verdict),
		cmocka_unit_test(verdicts_may_send),
	};

	log_open(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
