/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The engine against a real broker: tests/integration/test_engine.py runs
 * one test of it at a time, on a vhost of its own.
 *
 *	live TEST	with DLO_LIVE_PORT, DLO_LIVE_VHOST, and for some tests
 *			DLO_LIVE_CTL, a command that runs rabbitmqctl;
 *			DLO_LIVE_PID, the broker's; DLO_LIVE_TLS_PORT and
 *			DLO_LIVE_TLS, a folder of certificates
 */
#include "tests/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "amqp/channel.h"
#include "amqp/link.h"
#include "amqp/props.h"
#include "amqp/publisher.h"
#include "lib/log.h"
#include "lib/loop_libevent.h"
#include "lib/stream_libevent.h"
#include "lib/xalloc.h"

#define PATIENCE_MS 60000

static const struct rmq_slice none = { NULL, 0 };
/* Delivery mode 2 and nothing else. */
static const struct rmq_slice persistent = { (const uint8_t *)"\20\0\2", 3 };

struct live;
typedef bool condition(struct live *);

struct got {
	STAILQ_ENTRY(got) entry;
	uint64_t tag;
	bool redelivered;
	struct rmq_message *message;
};

/* A link with one channel to ask, and one publisher. */
struct live {
	struct loop *loop;
	struct stream_net *net;
	struct rmq_link *link;
	struct rmq_conn *conn; /* NULL while down */
	struct rmq_channel *ch;
	struct rmq_publisher *publisher;
	condition *until;
	struct loop_timer *guard;
	bool late;
	/* What has happened. */
	unsigned ups, downs, opened, closed, cancelled, stopped;
	unsigned blocked, unblocked;
	unsigned yes, no;	/* answers */
	struct rmq_close close; /* the last one, of link or channel */
	uint16_t error_code;	/* of the last "no" */
	uint32_t message_count; /* of the last declare */
	unsigned sent[4];	/* by verdict */
	uint16_t refused_code;
	char first[16]; /* the first verdicts on raw publishes */
	STAILQ_HEAD(, got) got;
	unsigned got_count;
	unsigned wanted;
	struct loop_timer *pause;
	bool paused;
};

/* Each callback ends with this. */
static void
look(struct live *l)
{
	if (l->until != NULL && l->until(l))
		loop_stop(l->loop);
}

static void
on_late(void *arg)
{
	struct live *l = arg;

	l->late = true;
	loop_stop(l->loop);
}

/* Runs until the condition holds; fails when it never does. */
static void
wait_for(struct live *l, condition *until)
{
	if (until(l))
		return;
	l->until = until;
	loop_timer_start(l->loop, l->guard, PATIENCE_MS);
	loop_run(l->loop);
	loop_timer_stop(l->loop, l->guard);
	l->until = NULL;
	assert_false(l->late);
}

static void
on_pause(void *arg)
{
	struct live *l = arg;

	l->paused = true;
	look(l);
}

static bool
is_paused(struct live *l)
{
	return l->paused;
}

/* Lets the connection live for a while. */
static void
stay(struct live *l, int64_t ms)
{
	l->paused = false;
	loop_timer_start(l->loop, l->pause, ms);
	wait_for(l, is_paused);
}

static void
on_channel_opened(void *arg)
{
	struct live *l = arg;

	l->opened++;
	look(l);
}

static void
on_channel_closed(void *arg, const struct rmq_close *close)
{
	struct live *l = arg;

	l->ch = NULL;
	l->closed++;
	l->close = *close;
	look(l);
}

static const struct rmq_channel_cbs channel_cbs = {
	.opened = on_channel_opened,
	.closed = on_channel_closed,
};

static void
on_up(void *arg, struct rmq_conn *conn)
{
	struct live *l = arg;

	l->ups++;
	l->conn = conn;
	rmq_publisher_attach(l->publisher, conn);
	look(l);
}

static void
on_down(void *arg, const struct rmq_close *close)
{
	struct live *l = arg;

	l->downs++;
	l->conn = NULL;
	l->close = *close;
	rmq_publisher_detach(l->publisher);
	look(l);
}

static void
on_blocked(void *arg, bool blocked, const char *reason)
{
	struct live *l = arg;

	(void)reason;
	if (blocked)
		l->blocked++;
	else
		l->unblocked++;
	rmq_publisher_wake(l->publisher);
	look(l);
}

static void
on_stopped(void *arg)
{
	struct live *l = arg;

	l->stopped++;
	look(l);
}

static const struct rmq_link_cbs link_cbs = {
	.up = on_up,
	.down = on_down,
	.blocked = on_blocked,
	.stopped = on_stopped,
};

static bool
is_up(struct live *l)
{
	return l->conn != NULL;
}

static bool
is_down(struct live *l)
{
	return l->downs > 0;
}

static bool
has_channel(struct live *l)
{
	return l->ch != NULL && rmq_channel_is_open(l->ch);
}

static bool
is_stopped(struct live *l)
{
	return l->stopped > 0;
}

static const char *
env(const char *name)
{
	const char *value = getenv(name);

	assert_non_null(value);
	return value;
}

static uint16_t
port(const char *name)
{
	return (uint16_t)strtoul(env(name), NULL, 10);
}

/* `tls`: NULL for plain TCP. */
static void
live_init(struct live *l, const struct rmq_conn_options *conn,
    const struct stream_tls *tls)
{
	static const struct rmq_publisher_options publisher = {
		.correlation_header = "dlo-id",
		.window = 64,
		.confirm_timeout_ms = 30000,
	};
	struct rmq_node node = { .host = "127.0.0.1" };
	struct rmq_link_options options = {
		.nodes = &node,
		.node_count = 1,
		.conn = *conn,
		.connect_timeout_ms = 10000,
	};

	memset(l, 0, sizeof(*l));
	STAILQ_INIT(&l->got);
	node.port = port(tls == NULL ? "DLO_LIVE_PORT" : "DLO_LIVE_TLS_PORT");
	if (tls != NULL) {
		node.tls = true;
		options.tls = *tls;
	}
	l->loop = loop_libevent_new();
	l->net = stream_libevent_new(l->loop);
	l->guard = loop_timer_new(l->loop, on_late, l);
	l->pause = loop_timer_new(l->loop, on_pause, l);
	l->publisher = rmq_publisher_new(l->loop, &publisher);
	l->link = rmq_link_new(l->loop, l->net, &options, &link_cbs, l);
	rmq_link_start(l->link);
}

static void
open_channel(struct live *l)
{
	l->ch = rmq_channel_open(l->conn, &channel_cbs, l);
	assert_non_null(l->ch);
	wait_for(l, has_channel);
}

/* Up, with an open channel. */
static void
live_open(struct live *l)
{
	struct rmq_conn_options conn = {
		.vhost = env("DLO_LIVE_VHOST"),
		.user = "guest",
		.password = "guest",
		.name = "live",
		.heartbeat_s = 10,
	};

	live_init(l, &conn, NULL);
	wait_for(l, is_up);
	open_channel(l);
}

static void
forget_got(struct live *l)
{
	struct got *got;

	while ((got = STAILQ_FIRST(&l->got)) != NULL) {
		STAILQ_REMOVE_HEAD(&l->got, entry);
		rmq_message_free(got->message);
		free(got);
	}
	l->got_count = 0;
}

/* Closes in order, which must work, and frees all. */
static void
live_close(struct live *l)
{
	rmq_link_stop(l->link);
	wait_for(l, is_stopped);
	rmq_publisher_free(l->publisher);
	rmq_link_free(l->link);
	loop_run_tasks(l->loop);
	forget_got(l);
	loop_timer_free(l->loop, l->guard);
	loop_timer_free(l->loop, l->pause);
	stream_libevent_free(l->net);
	loop_free(l->loop);
}

/* ---- acts */

static void
on_reply(void *arg, const struct rmq_reply *reply)
{
	struct live *l = arg;

	if (reply->ok) {
		l->yes++;
		l->message_count = reply->message_count;
	} else {
		l->no++;
		l->error_code = reply->error->code;
	}
	look(l);
}

static bool
is_answered(struct live *l)
{
	return l->yes + l->no >= l->wanted;
}

/* Waits for the answers to `count` requests made just now. */
static void
await_answers(struct live *l, unsigned count)
{
	l->wanted = count;
	wait_for(l, is_answered);
	l->yes = l->no = 0;
}

static void
declare(struct live *l, const char *queue, const char *type)
{
	struct buf args = { 0 };

	rmq_table_add_text(&args, "x-queue-type", type, strlen(type));
	rmq_queue_declare(l->ch, queue, RMQ_DURABLE,
	    (struct rmq_slice){ buf_peek(&args), args.len }, on_reply, l);
	buf_clear(&args);
	await_answers(l, 1);
}

static void
on_sent(void *arg, const struct rmq_sent_result *result)
{
	struct live *l = arg;

	l->sent[result->sent]++;
	if (result->sent == RMQ_SENT_REFUSED)
		l->refused_code = result->code;
	look(l);
}

static bool
is_sent(struct live *l)
{
	return rmq_publisher_pending(l->publisher) == 0;
}

static void
send(struct live *l, const char *queue, const char *body,
    struct rmq_slice props)
{
	struct rmq_publish publish = {
		.exchange = "",
		.routing_key = queue,
		.props = props,
		.body = rmq_slice_of(body),
	};

	(void)rmq_publisher_send(l->publisher, &publish, on_sent, l);
}

static void
expect_sent(struct live *l, unsigned ok, unsigned returned, unsigned nacked,
    unsigned refused)
{
	wait_for(l, is_sent);
	assert_int_equal(l->sent[RMQ_SENT_OK], ok);
	assert_int_equal(l->sent[RMQ_SENT_RETURNED], returned);
	assert_int_equal(l->sent[RMQ_SENT_NACKED], nacked);
	assert_int_equal(l->sent[RMQ_SENT_REFUSED], refused);
	memset(l->sent, 0, sizeof(l->sent));
}

/* Properties with the user id, expiration, a header; NULL: without. */
static struct buf
make_props(const char *id, const char *user_id, size_t header_bytes)
{
	struct buf raw = { 0 }, table = { 0 };
	struct rmq_props props = { 0 };
	char *text = xcalloc(1, header_bytes + 1);

	memset(text, 'h', header_bytes);
	if (id != NULL)
		rmq_table_add_text(&table, "dlo-id", id, strlen(id));
	if (header_bytes > 0)
		rmq_table_add_text(&table, "long", text, header_bytes);
	props.has[RMQ_PROP_HEADERS] = true;
	props.value[RMQ_PROP_HEADERS] =
	    (struct rmq_slice){ buf_peek(&table), table.len };
	props.has[RMQ_PROP_DELIVERY_MODE] = true;
	props.value[RMQ_PROP_DELIVERY_MODE] = rmq_slice_of("\2");
	props.has[RMQ_PROP_USER_ID] = user_id != NULL;
	props.value[RMQ_PROP_USER_ID] = rmq_slice_of(user_id);
	rmq_props_write(&raw, &props);
	buf_clear(&table);
	free(text);
	return raw;
}

static struct rmq_slice
slice(const struct buf *buf)
{
	return (struct rmq_slice){ buf_peek(buf), buf->len };
}

static void
on_delivery(void *arg, const struct rmq_delivery *delivery)
{
	struct got *got = xcalloc(1, sizeof(*got));
	struct live *l = arg;

	got->tag = delivery->tag;
	got->redelivered = delivery->redelivered;
	got->message = delivery->message;
	STAILQ_INSERT_TAIL(&l->got, got, entry);
	l->got_count++;
	look(l);
}

static void
on_cancelled(void *arg)
{
	struct live *l = arg;

	l->cancelled++;
	look(l);
}

static const struct rmq_consumer_cbs consumer_cbs = {
	.delivery = on_delivery,
	.cancelled = on_cancelled,
};

static bool
has_got(struct live *l)
{
	return l->got_count >= l->wanted;
}

static struct rmq_consumer *
consume(struct live *l, const char *queue, uint16_t prefetch, unsigned count)
{
	struct rmq_consumer *consumer;

	rmq_qos(l->ch, prefetch, NULL, NULL);
	consumer = rmq_consume(l->ch, queue, 0, none, &consumer_cbs, l, NULL);
	l->wanted = count;
	wait_for(l, has_got);
	return consumer;
}

/* The ready messages, as a passive declare on the channel tells. */
static uint32_t
depth(struct live *l, const char *queue)
{
	rmq_queue_declare(l->ch, queue, RMQ_PASSIVE, none, on_reply, l);
	await_answers(l, 1);
	return l->message_count;
}

static bool
is_closed(struct live *l)
{
	return l->ch == NULL;
}

static void
ctl(const char *args)
{
	char *command =
	    xasprintf("%s %s >/dev/null", env("DLO_LIVE_CTL"), args);

	assert_int_equal(system(command), 0);
	free(command);
}

/* ---- the tests, by the numbers of docs/broker-facts */

static void
fact_1_only_mandatory_tells_of_a_lost_message(void **state)
{
	struct live l;

	(void)state;
	live_open(&l);
	declare(&l, "here", "quorum");
	send(&l, "here", "a", persistent);
	send(&l, "nowhere", "b", persistent);
	send(&l, "here", "c", persistent);
	expect_sent(&l, 2, 1, 0, 0);
	assert_int_equal(depth(&l, "here"), 2);
	live_close(&l);
}

static void
fact_1_what_is_not_acked_comes_again(void **state)
{
	struct live l;

	(void)state;
	live_open(&l);
	declare(&l, "q", "quorum");
	send(&l, "q", "a", persistent);
	send(&l, "q", "b", persistent);
	expect_sent(&l, 2, 0, 0, 0);
	(void)consume(&l, "q", 10, 2);
	rmq_ack(l.ch, STAILQ_FIRST(&l.got)->tag);
	rmq_channel_close(l.ch);
	wait_for(&l, is_closed);
	assert_int_equal(l.close.fault, RMQ_FAULT_NONE);
	forget_got(&l);
	open_channel(&l);
	(void)consume(&l, "q", 10, 1);
	assert_memory_equal(STAILQ_FIRST(&l.got)->message->body.ptr, "b", 1);
	assert_true(STAILQ_FIRST(&l.got)->redelivered);
	live_close(&l);
}

/* Hundreds under way, every third without a route: each gets its own. */
static void
fact_2_returns_find_their_publish(void **state)
{
	struct buf props[300];
	char ids[300][8];
	struct live l;
	unsigned i;

	(void)state;
	live_open(&l);
	declare(&l, "here", "quorum");
	for (i = 0; i < array_len(props); i++) {
		snprintf(ids[i], sizeof(ids[i]), "%u", i);
		props[i] = make_props(ids[i], NULL, 0);
		send(&l, i % 3 == 0 ? "nowhere" : "here", ids[i],
		    slice(&props[i]));
	}
	expect_sent(&l, 200, 100, 0, 0);
	assert_int_equal(depth(&l, "here"), 200);
	for (i = 0; i < array_len(props); i++)
		buf_clear(&props[i]);
	live_close(&l);
}

static bool
is_blocked(struct live *l)
{
	return l->blocked > 0;
}

static bool
is_unblocked(struct live *l)
{
	return l->unblocked > 0;
}

/* Needs a broker of its own: the alarm stops all who publish. */
static void
fact_10_blocked_publishes_wait_and_acks_do_not(void **state)
{
	struct live publishes, consumes;
	unsigned more = 0;

	(void)state;
	live_open(&publishes);
	live_open(&consumes);
	declare(&publishes, "q", "quorum");
	send(&publishes, "q", "a", persistent);
	send(&publishes, "q", "b", persistent);
	expect_sent(&publishes, 2, 0, 0, 0);
	ctl("set_vm_memory_high_watermark absolute 1");
	/*
	 * What the broker reads of it once the connection has heard of the
	 * alarm makes it block the connection.
	 */
	for (; !is_blocked(&publishes); more++) {
		assert_true(more < 300);
		send(&publishes, "q", "c", persistent);
		stay(&publishes, 100);
	}
	send(&publishes, "q", "d", persistent);
	/* Another connection consumes and acks. */
	(void)consume(&consumes, "q", 1, 2 - 1);
	rmq_ack(consumes.ch, STAILQ_FIRST(&consumes.got)->tag);
	consumes.wanted = 2;
	wait_for(&consumes, has_got);
	assert_int_equal(consumes.blocked, 0);
	assert_true(rmq_publisher_pending(publishes.publisher) > 0);
	ctl("set_vm_memory_high_watermark 0.6");
	wait_for(&publishes, is_unblocked);
	expect_sent(&publishes, more + 1, 0, 0, 0);
	live_close(&consumes);
	live_close(&publishes);
}

/* One message with somebody else's name holds up nobody. */
static void
fact_15_a_foreign_user_id_is_refused_alone(void **state)
{
	struct buf own = make_props("own", "guest", 0);
	struct buf foreign = make_props("foreign", "somebody", 0);
	struct live l;
	unsigned i;

	(void)state;
	live_open(&l);
	declare(&l, "q", "quorum");
	for (i = 0; i < 40; i++)
		send(&l, "q", "body", slice(i == 13 ? &foreign : &own));
	expect_sent(&l, 39, 0, 0, 1);
	assert_int_equal(l.refused_code, 406);
	assert_true(depth(&l, "q") >= 39);
	/* Attested by the broker, and so carried. */
	(void)consume(&l, "q", 1, 1);
	assert_non_null(memmem(STAILQ_FIRST(&l.got)->message->props.ptr,
	    STAILQ_FIRST(&l.got)->message->props.len, "\5guest", 6));
	live_close(&l);
	buf_clear(&own);
	buf_clear(&foreign);
}

/* frame_max - 20 is what fits, to the byte; the broker takes no more. */
static void
fact_17_properties_must_fit_one_frame(void **state)
{
	struct buf least = make_props(NULL, NULL, 1), most, more;
	size_t other = least.len - 1;
	struct live l;

	(void)state;
	most = make_props(NULL, NULL, 131072 - 20 - other);
	more = make_props(NULL, NULL, 131072 - 20 - other + 1);
	live_open(&l);
	declare(&l, "q", "quorum");
	assert_int_equal(rmq_conn_frame_max(l.conn), 131072);
	send(&l, "q", "fits", slice(&most));
	send(&l, "q", "does not", slice(&more));
	send(&l, "q", "small", slice(&least));
	expect_sent(&l, 2, 0, 0, 1);
	assert_int_equal(l.ups, 1);
	(void)consume(&l, "q", 2, 2);
	assert_int_equal(STAILQ_FIRST(&l.got)->message->props.len, most.len);
	live_close(&l);
	buf_clear(&least);
	buf_clear(&most);
	buf_clear(&more);
}

/* Dead-lettering adds to headers that filled a frame already. */
static void
fact_17_headers_that_grew_in_the_broker_arrive(void **state)
{
	struct buf props = make_props(NULL, NULL, 131000), args = { 0 };
	struct live l;

	(void)state;
	live_open(&l);
	declare(&l, "dead", "quorum");
	rmq_table_add_int(&args, "x-message-ttl", 1);
	rmq_table_add_text(&args, "x-dead-letter-exchange", "", 0);
	rmq_table_add_text(&args, "x-dead-letter-routing-key", "dead", 4);
	rmq_queue_declare(l.ch, "short", RMQ_DURABLE, slice(&args), on_reply,
	    &l);
	await_answers(&l, 1);
	send(&l, "short", "body", slice(&props));
	expect_sent(&l, 1, 0, 0, 0);
	(void)consume(&l, "dead", 1, 1);
	assert_true(STAILQ_FIRST(&l.got)->message->props.len + 20 > 131072);
	rmq_ack(l.ch, STAILQ_FIRST(&l.got)->tag);
	assert_int_equal(depth(&l, "dead"), 0);
	live_close(&l);
	buf_clear(&props);
	buf_clear(&args);
}

/* A missing exchange closes the channel: the rest is sent again. */
static void
fact_19_404_is_isolated_and_the_rest_confirmed(void **state)
{
	struct rmq_publish publish = {
		.exchange = "no-such-exchange",
		.routing_key = "k",
		.props = persistent,
	};
	struct live l;
	unsigned i;

	(void)state;
	live_open(&l);
	declare(&l, "q", "quorum");
	for (i = 0; i < 200; i++) {
		if (i % 50 == 7)
			(void)rmq_publisher_send(l.publisher, &publish, on_sent,
			    &l);
		else
			send(&l, "q", "body", persistent);
	}
	expect_sent(&l, 196, 0, 0, 4);
	assert_int_equal(l.refused_code, 404);
	assert_true(depth(&l, "q") >= 196);
	assert_int_equal(l.downs, 0);
	live_close(&l);
}

static void
fact_19_a_wrong_request_closes_channel_or_connection(void **state)
{
	struct live l;

	(void)state;
	live_open(&l);
	declare(&l, "q", "classic");
	/* Declared differently: 406, the channel. */
	rmq_queue_declare(l.ch, "q", 0, none, on_reply, &l);
	rmq_qos(l.ch, 5, on_reply, &l);
	await_answers(&l, 2);
	assert_int_equal(l.error_code, 406);
	wait_for(&l, is_closed);
	assert_int_equal(l.close.fault, RMQ_FAULT_SERVER);
	assert_int_equal(l.close.class_id, 50);
	assert_int_equal(l.downs, 0);
	/* An exchange of no known type: 503, the connection. */
	open_channel(&l);
	rmq_exchange_declare(l.ch, "e", "no-such-type", 0, none, on_reply, &l);
	await_answers(&l, 1);
	assert_int_equal(l.error_code, 503);
	wait_for(&l, is_down);
	assert_int_equal(l.close.fault, RMQ_FAULT_SERVER);
	wait_for(&l, is_up);
	live_close(&l);
}

/* Both ends close the channel at once; its number can be used again. */
static void
fact_19_closes_may_cross(void **state)
{
	struct rmq_publish publish = { .exchange = "no-such-exchange",
		.routing_key = "k",
		.props = persistent };
	struct live l;
	unsigned i;

	(void)state;
	live_open(&l);
	for (i = 0; i < 50; i++) {
		rmq_publish(l.ch, &publish, NULL, NULL);
		rmq_channel_close(l.ch);
		wait_for(&l, is_closed);
		open_channel(&l);
	}
	assert_int_equal(l.closed, 50);
	assert_int_equal(l.downs, 0);
	live_close(&l);
}

static void
fact_20_a_passive_declare_tells_what_is_missing(void **state)
{
	struct live l;

	(void)state;
	live_open(&l);
	declare(&l, "q", "quorum");
	assert_int_equal(depth(&l, "q"), 0);
	rmq_queue_declare(l.ch, "missing", RMQ_PASSIVE, none, on_reply, &l);
	await_answers(&l, 1);
	assert_int_equal(l.error_code, 404);
	wait_for(&l, is_closed);
	open_channel(&l);
	rmq_exchange_declare(l.ch, "missing", "direct", RMQ_PASSIVE, none,
	    on_reply, &l);
	await_answers(&l, 1);
	assert_int_equal(l.error_code, 404);
	wait_for(&l, is_closed);
	assert_int_equal(l.downs, 0);
	live_close(&l);
}

static bool
is_cancelled(struct live *l)
{
	return l->cancelled > 0;
}

static void
fact_21_a_deleted_queue_cancels_its_consumer(void **state)
{
	struct live l;

	(void)state;
	live_open(&l);
	declare(&l, "q", "quorum");
	(void)consume(&l, "q", 5, 0);
	rmq_queue_delete(l.ch, "q", 0, on_reply, &l);
	await_answers(&l, 1);
	wait_for(&l, is_cancelled);
	/* The channel lives, and another consumer can be made on it. */
	declare(&l, "q", "quorum");
	send(&l, "q", "a", persistent);
	expect_sent(&l, 1, 0, 0, 0);
	(void)consume(&l, "q", 5, 1);
	live_close(&l);
}

static void
refused_login(const char *vhost, const char *password, enum rmq_fault fault,
    uint16_t code)
{
	struct rmq_conn_options conn = { .vhost = vhost,
		.user = "guest",
		.password = password };
	struct live l;

	live_init(&l, &conn, NULL);
	wait_for(&l, is_down);
	assert_int_equal(l.close.fault, fault);
	assert_int_equal(l.close.code, code);
	assert_true(l.close.text[0] != '\0');
	assert_true(rmq_link_tried_all(l.link));
	live_close(&l);
}

static void
fact_21_a_wrong_password_is_told_as_such(void **state)
{
	(void)state;
	refused_login(env("DLO_LIVE_VHOST"), "wrong", RMQ_FAULT_AUTH, 403);
	refused_login("no-such-vhost", "guest", RMQ_FAULT_VHOST, 530);
}

static bool
is_down_silent(struct live *l)
{
	return l->downs > 0 && l->close.fault == RMQ_FAULT_SILENT;
}

/* Needs a broker of its own, which is stopped (SIGSTOP) in the middle. */
static void
fact_23_two_missed_heartbeats_end_the_connection(void **state)
{
	struct rmq_conn_options conn = {
		.vhost = env("DLO_LIVE_VHOST"),
		.user = "guest",
		.password = "guest",
		.heartbeat_s = 1,
	};
	char *command;
	struct live l;

	(void)state;
	live_init(&l, &conn, NULL);
	wait_for(&l, is_up);
	/* Idle for much longer than that, and alive: both sides beat. */
	stay(&l, 4500);
	assert_int_equal(l.downs, 0);
	command = xasprintf("kill -STOP %s", env("DLO_LIVE_PID"));
	assert_int_equal(system(command), 0);
	free(command);
	wait_for(&l, is_down_silent);
	command = xasprintf("kill -CONT %s", env("DLO_LIVE_PID"));
	assert_int_equal(system(command), 0);
	free(command);
	wait_for(&l, is_up);
	live_close(&l);
}

/* A thousand held, the channel closed: they come back in their order. */
static void
fact_24_closing_the_channel_keeps_the_order(void **state)
{
	static char bodies[1000][8];
	unsigned i = 0, expected = 0;
	struct got *got;
	struct live l;

	(void)state;
	live_open(&l);
	declare(&l, "q", "quorum");
	for (i = 0; i < 1000; i++) {
		snprintf(bodies[i], sizeof(bodies[i]), "%u", i);
		send(&l, "q", bodies[i], persistent);
	}
	expect_sent(&l, 1000, 0, 0, 0);
	(void)consume(&l, "q", 65535, 1000);
	/*
	 * Some are acked, with gaps between. The broker's channel passes at
	 * most 32 such acks on and keeps the rest until the queue has taken
	 * them; those it forgets when the channel closes, and what was acked
	 * comes again.
	 */
	i = 0;
	STAILQ_FOREACH(got, &l.got, entry) {
		if (i++ % 50 == 3)
			rmq_ack(l.ch, got->tag);
	}
	assert_int_equal(rmq_channel_unacked(l.ch), 980);
	rmq_channel_close(l.ch);
	wait_for(&l, is_closed);
	forget_got(&l);
	open_channel(&l);
	(void)consume(&l, "q", 65535, 980);
	STAILQ_FOREACH(got, &l.got, entry) {
		if (expected % 50 == 3)
			expected++;
		assert_int_equal(got->message->body.len,
		    strlen(bodies[expected]));
		assert_memory_equal(got->message->body.ptr, bodies[expected],
		    got->message->body.len);
		expected++;
	}
	live_close(&l);
}

/* From nothing to 20 MB, there and back. */
static void
bodies_of_every_size(void **state)
{
	static const size_t sizes[] = { 0, 1, 131063, 131064, 131065, 262128,
		262129, 20u << 20 };
	uint8_t *body = xmalloc(20u << 20);
	struct rmq_publish publish = { .exchange = "",
		.routing_key = "q",
		.props = persistent };
	struct got *got;
	struct live l;
	size_t i;

	(void)state;
	for (i = 0; i < 20u << 20; i++)
		body[i] = (uint8_t)(i * 31 >> 3);
	live_open(&l);
	declare(&l, "q", "classic");
	for (i = 0; i < array_len(sizes); i++) {
		publish.body = (struct rmq_slice){ body, sizes[i] };
		(void)rmq_publisher_send(l.publisher, &publish, on_sent, &l);
	}
	expect_sent(&l, array_len(sizes), 0, 0, 0);
	(void)consume(&l, "q", 100, array_len(sizes));
	i = 0;
	STAILQ_FOREACH(got, &l.got, entry) {
		assert_int_equal(got->message->body.len, sizes[i]);
		assert_memory_equal(got->message->body.ptr, body, sizes[i]);
		rmq_ack(l.ch, got->tag);
		i++;
	}
	assert_int_equal(rmq_conn_partial_bytes(l.conn), 0);
	assert_int_equal(depth(&l, "q"), 0);
	live_close(&l);
	free(body);
}

/* Every message is there although its connection was cut, over and over. */
static void
nothing_is_lost_over_cut_connections(void **state)
{
	char *args = xasprintf("close_all_connections --vhost %s cut",
	    env("DLO_LIVE_VHOST"));
	static char bodies[3000][8];
	static bool seen[3000];
	unsigned i, round, downs, missing = 0;
	struct got *got;
	struct live l;

	(void)state;
	live_open(&l);
	declare(&l, "q", "quorum");
	for (i = 0; i < 3000; i++)
		snprintf(bodies[i], sizeof(bodies[i]), "%u", i);
	for (round = 0, i = 0; round < 3; round++) {
		for (; i < (round + 1) * 1000; i++)
			send(&l, "q", bodies[i], persistent);
		downs = l.downs;
		ctl(args);
		l.wanted = 0;
		wait_for(&l, is_up);
		wait_for(&l, is_sent);
		assert_true(l.downs >= downs);
	}
	assert_int_equal(l.sent[RMQ_SENT_OK], 3000);
	wait_for(&l, is_up);
	open_channel(&l);
	(void)consume(&l, "q", 10000, depth(&l, "q"));
	STAILQ_FOREACH(got, &l.got, entry) {
		char text[8] = "";

		memcpy(text, got->message->body.ptr, got->message->body.len);
		seen[strtoul(text, NULL, 10)] = true;
	}
	for (i = 0; i < 3000; i++)
		missing += !seen[i];
	assert_int_equal(missing, 0);
	assert_true(l.downs > 0);
	live_close(&l);
	free(args);
}

/* Comes up, or is refused with a text that says why (NULL: comes up). */
static void
tls_attempt(const struct stream_tls *tls, const char *why)
{
	struct rmq_conn_options conn = { .vhost = env("DLO_LIVE_VHOST"),
		.user = "guest",
		.password = "guest" };
	struct live l;

	live_init(&l, &conn, tls);
	if (why == NULL) {
		wait_for(&l, is_up);
		open_channel(&l);
		declare(&l, "q", "classic");
		send(&l, "q", "over TLS", persistent);
		expect_sent(&l, 1, 0, 0, 0);
	} else {
		wait_for(&l, is_down);
		assert_int_equal(l.ups, 0);
		assert_int_equal(l.close.fault, RMQ_FAULT_IO);
		assert_non_null(strstr(l.close.text, why));
	}
	live_close(&l);
}

/* Its certificate is for rabbit.test, by our authority. */
static void
tls_verifies_peer_and_name(void **state)
{
	char *ca = xasprintf("%s/ca.pem", env("DLO_LIVE_TLS"));
	char *other = xasprintf("%s/other.pem", env("DLO_LIVE_TLS"));
	char *cert = xasprintf("%s/client.pem", env("DLO_LIVE_TLS"));
	char *key = xasprintf("%s/client.key", env("DLO_LIVE_TLS"));
	struct stream_tls good = { .ca = ca, .server_name = "rabbit.test" };
	struct stream_tls tls = good;

	(void)state;
	tls_attempt(&good, NULL);
	tls.server_name = "rabbit.example";
	tls_attempt(&tls, "rabbit.example");
	tls.server_name = NULL; /* the host: 127.0.0.1 */
	tls_attempt(&tls, "127.0.0.1");
	tls = good;
	tls.ca = other;
	tls_attempt(&tls, "certificate");
	tls.ca = NULL; /* the system's */
	tls_attempt(&tls, "certificate");
	tls = good;
	tls.cert = cert;
	tls.key = key;
	tls_attempt(&tls, NULL);
	free(ca);
	free(other);
	free(cert);
	free(key);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fact_1_only_mandatory_tells_of_a_lost_message),
		cmocka_unit_test(fact_1_what_is_not_acked_comes_again),
		cmocka_unit_test(fact_2_returns_find_their_publish),
		cmocka_unit_test(
		    fact_10_blocked_publishes_wait_and_acks_do_not),
		cmocka_unit_test(fact_15_a_foreign_user_id_is_refused_alone),
		cmocka_unit_test(fact_17_properties_must_fit_one_frame),
		cmocka_unit_test(
		    fact_17_headers_that_grew_in_the_broker_arrive),
		cmocka_unit_test(
		    fact_19_404_is_isolated_and_the_rest_confirmed),
		cmocka_unit_test(
		    fact_19_a_wrong_request_closes_channel_or_connection),
		cmocka_unit_test(fact_19_closes_may_cross),
		cmocka_unit_test(
		    fact_20_a_passive_declare_tells_what_is_missing),
		cmocka_unit_test(fact_21_a_deleted_queue_cancels_its_consumer),
		cmocka_unit_test(fact_21_a_wrong_password_is_told_as_such),
		cmocka_unit_test(
		    fact_23_two_missed_heartbeats_end_the_connection),
		cmocka_unit_test(fact_24_closing_the_channel_keeps_the_order),
		cmocka_unit_test(bodies_of_every_size),
		cmocka_unit_test(nothing_is_lost_over_cut_connections),
		cmocka_unit_test(tls_verifies_peer_and_name),
	};

	if (argc != 2) {
		size_t i;

		for (i = 0; i < array_len(tests); i++)
			puts(tests[i].name);
		return 64;
	}
	log_open(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
	cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
