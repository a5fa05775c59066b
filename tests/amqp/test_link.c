/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The link on streams that the test holds in its hands. */
#include "tests/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "amqp/channel.h"
#include "amqp/link.h"
#include "lib/log.h"
#include "lib/xalloc.h"
#include "tests/amqp/wire.h"
#include "tests/sim/sim_loop.h"

struct fake_stream {
	struct stream stream; /* first */
	struct bench *bench;
	const struct stream_cbs *cbs;
	void *arg;
	bool reading, closed;
	struct fake_stream *next;
};

struct bench {
	struct loop *loop;
	struct stream_net net;
	struct rmq_link *link;
	struct fake_stream *stream; /* the newest */
	struct fake_stream *all;
	struct buf sent;
	struct buf log;
	bool stop_when_down, free_when_down, free_when_up;
	struct rmq_conn *conn;
};

static struct bench *bench;

static struct stream *
net_connect(struct stream_net *net, const struct stream_target *target,
    const struct stream_cbs *cbs, void *arg)
{
	struct fake_stream *stream = xcalloc(1, sizeof(*stream));

	stream->stream.net = net;
	stream->cbs = cbs;
	stream->arg = arg;
	stream->reading = true;
	stream->next = bench->all;
	bench->all = bench->stream = stream;
	buf_printf(&bench->log, "connect %s:%u%s\n", target->host, target->port,
	    target->tls == NULL ? "" : target->tls->server_name);
	return &stream->stream;
}

static void
net_write(struct stream *stream, const void *bytes, size_t len)
{
	assert_false(((struct fake_stream *)stream)->closed);
	buf_add(&bench->sent, bytes, len);
	buf_printf(&bench->log, "write\n");
}

static void
net_read_enable(struct stream *stream, bool on)
{
	((struct fake_stream *)stream)->reading = on;
}

static size_t
net_unsent(const struct stream *stream)
{
	(void)stream;
	return 100;
}

static void
net_close(struct stream *stream)
{
	assert_false(((struct fake_stream *)stream)->closed);
	((struct fake_stream *)stream)->closed = true;
	buf_printf(&bench->log, "close\n");
}

static void
link_up(void *arg, struct rmq_conn *conn)
{
	struct bench *b = arg;

	b->conn = conn;
	buf_printf(&b->log, "up\n");
	if (b->free_when_up)
		rmq_link_free(b->link);
}

static void
link_down(void *arg, const struct rmq_close *close)
{
	struct bench *b = arg;

	buf_printf(&b->log, "down %s %s%s\n", rmq_fault_name(close->fault),
	    close->text, rmq_link_tried_all(b->link) ? " (all)" : "");
	if (b->stop_when_down)
		rmq_link_stop(b->link);
	if (b->free_when_down)
		rmq_link_free(b->link);
}

static void
link_blocked(void *arg, bool blocked, const char *reason)
{
	struct bench *b = arg;

	buf_printf(&b->log, "blocked %d %s\n", blocked, reason);
}

static void
link_stopped(void *arg)
{
	struct bench *b = arg;

	buf_printf(&b->log, "stopped\n");
}

static const struct rmq_link_cbs link_cbs = {
	.up = link_up,
	.down = link_down,
	.blocked = link_blocked,
	.stopped = link_stopped,
};

static void
bench_init(struct bench *b, size_t node_count)
{
	static const struct rmq_node nodes[] = { { "a", 1, false },
		{ "b", 2, false }, { "::1", 3, true } };
	struct rmq_link_options options = {
		.nodes = nodes,
		.node_count = node_count,
		.tls = { .server_name = " tls" },
		.conn = { .vhost = "/",
		    .user = "u",
		    .password = "p",
		    .heartbeat_s = 10 },
		.connect_timeout_ms = 5000,
	};

	memset(b, 0, sizeof(*b));
	bench = b;
	b->loop = sim_loop_new(3);
	b->net = (struct stream_net){ net_connect, net_write, net_read_enable,
		net_unsent, net_close };
	b->link = rmq_link_new(b->loop, &b->net, &options, &link_cbs, b);
}

static void
bench_clear(struct bench *b)
{
	struct fake_stream *stream;

	rmq_link_free(b->link);
	loop_run_tasks(b->loop);
	loop_free(b->loop);
	while ((stream = b->all) != NULL) {
		b->all = stream->next;
		assert_true(stream->closed);
		free(stream);
	}
	buf_clear(&b->sent);
	buf_clear(&b->log);
}

static void
expect(struct bench *b, const char *log)
{
	loop_run_tasks(b->loop);
	assert_string_equal(buf_str(&b->log), log);
	buf_reset(&b->log);
}

static void
stream_is_up(struct bench *b)
{
	b->stream->cbs->up(b->stream->arg);
	loop_run_tasks(b->loop);
}

static void
stream_is_down(struct bench *b, const char *why)
{
	b->stream->cbs->down(b->stream->arg, why);
	loop_run_tasks(b->loop);
}

static void
feed(struct bench *b, struct buf *bytes)
{
	b->stream->cbs->data(b->stream->arg, buf_peek(bytes), bytes->len);
	buf_clear(bytes);
	loop_run_tasks(b->loop);
}

static void
handshake(struct bench *b)
{
	struct buf bytes = { 0 };

	stream_is_up(b);
	wire_start(&bytes);
	wire_tune(&bytes, 0, 0, 10);
	wire_open_ok(&bytes);
	feed(b, &bytes);
}

/* Up on the first node, the log empty. */
static void
bench_up(struct bench *b, size_t node_count)
{
	bench_init(b, node_count);
	rmq_link_start(b->link);
	expect(b, "connect a:1\n");
	handshake(b);
	expect(b, "write\nup\nwrite\n");
	buf_reset(&b->sent);
}

static void
ring(void *arg)
{
	*(bool *)arg = true;
}

static void
pass_ms(struct bench *b, int64_t ms)
{
	bool over = false;
	struct loop_timer *timer = loop_timer_new(b->loop, ring, &over);

	loop_timer_start(b->loop, timer, ms);
	while (!over)
		(void)sim_loop_step(b->loop);
	loop_timer_free(b->loop, timer);
}

static void
comes_up_and_stops(void **state)
{
	struct buf bytes = { 0 };
	struct bench b;

	(void)state;
	bench_up(&b, 1);
	assert_ptr_equal(rmq_link_conn(b.link), b.conn);
	assert_string_equal(rmq_link_node(b.link), "a:1");
	assert_false(rmq_link_tried_all(b.link));
	assert_int_equal(rmq_link_unsent(b.link), 100);
	rmq_link_stop(b.link);
	rmq_link_stop(b.link);
	assert_null(rmq_link_conn(b.link));
	expect(&b, "write\n");
	wire_method(&bytes, 0, CONNECTION_CLOSE_OK, amqp_connection_close_ok_t,
	    0);
	feed(&b, &bytes);
	expect(&b, "close\ndown none \nstopped\n");
	pass_ms(&b, 3600000);
	expect(&b, "");
	bench_clear(&b);
}

static void
one_write_for_a_turn(void **state)
{
	struct rmq_channel *ch;
	struct bench b;
	static const struct rmq_channel_cbs none = { NULL, NULL, NULL };

	(void)state;
	bench_up(&b, 1);
	ch = rmq_channel_open(b.conn, &none, NULL);
	rmq_qos(ch, 1, NULL, NULL);
	rmq_qos(ch, 2, NULL, NULL);
	rmq_channel_abandon(ch);
	expect(&b, "write\n");
	bench_clear(&b);
}

/* All nodes at once, then a pause that grows and is never longer than 30 s. */
static void
tries_all_nodes_then_waits(void **state)
{
	int64_t least_ms = 250, most_ms = 500, start_us, waited_ms;
	struct bench b;
	unsigned pass;

	(void)state;
	bench_init(&b, 3);
	rmq_link_start(b.link);
	expect(&b, "connect a:1\n");
	for (pass = 0; pass < 12; pass++) {
		stream_is_down(&b, "refused");
		assert_string_equal(rmq_link_node(b.link), "b:2");
		expect(&b,
		    pass == 0 ? "close\ndown io refused\nconnect b:2\n"
			      : "close\ndown io refused (all)\n"
				"connect b:2\n");
		stream_is_down(&b, "refused");
		assert_string_equal(rmq_link_node(b.link), "[::1]:3");
		expect(&b,
		    pass == 0 ? "close\ndown io refused\n"
				"connect ::1:3 tls\n"
			      : "close\ndown io refused (all)\n"
				"connect ::1:3 tls\n");
		start_us = loop_now_us(b.loop);
		stream_is_down(&b, "refused");
		expect(&b, "close\ndown io refused (all)\n");
		assert_true(sim_loop_step(b.loop));
		expect(&b, "connect a:1\n");
		waited_ms = (loop_now_us(b.loop) - start_us) / 1000;
		assert_in_range(waited_ms, least_ms, most_ms);
		most_ms = most_ms * 2 < 30000 ? most_ms * 2 : 30000;
		least_ms = most_ms / 2;
	}
	bench_clear(&b);
}

static void
a_lost_connection_is_made_again_at_once(void **state)
{
	struct bench b;

	(void)state;
	bench_up(&b, 2);
	pass_ms(&b, 15000);
	buf_reset(&b.log);
	stream_is_down(&b, "reset");
	expect(&b, "close\ndown io reset\nconnect b:2\n");
	handshake(&b);
	expect(&b, "write\nup\nwrite\n");
	bench_clear(&b);
}

/* Accepted and dropped, over and over: not a reason to hammer. */
static void
flapping_is_slowed_down(void **state)
{
	unsigned flaps, connects = 0;
	struct bench b;
	int64_t end_us;

	(void)state;
	bench_up(&b, 1);
	end_us = loop_now_us(b.loop) + 600 * (int64_t)1000000;
	for (flaps = 0; loop_now_us(b.loop) < end_us; flaps++) {
		stream_is_down(&b, "reset");
		assert_true(sim_loop_step(b.loop));
		connects++;
		handshake(&b);
		assert_non_null(rmq_link_conn(b.link));
	}
	assert_in_range(connects, 20, 60);
	bench_clear(&b);
}

static void
a_silent_handshake_is_given_up(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 2);
	rmq_link_start(b.link);
	expect(&b, "connect a:1\n");
	stream_is_up(&b);
	pass_ms(&b, 5001);
	expect(&b,
	    "write\nclose\ndown silent no answer in the starting phase within "
	    "5000 ms\nconnect b:2\n");
	bench_clear(&b);
}

static void
heartbeats_run(void **state)
{
	struct bench b;

	(void)state;
	bench_up(&b, 1);
	pass_ms(&b, 12000);
	expect(&b, "write\nwrite\n");
	assert_memory_equal(buf_peek(&b.sent),
	    "\10\0\0\0\0\0\0\316\10\0\0\0\0\0\0\316", 16);
	pass_ms(&b, 7000);
	expect(&b, "write\n");
	pass_ms(&b, 1001);
	assert_non_null(strstr(buf_str(&b.log), "close\ndown silent"));
	bench_clear(&b);
}

static void
not_reading_is_not_silence(void **state)
{
	struct bench b;

	(void)state;
	bench_up(&b, 1);
	rmq_link_read_enable(b.link, false);
	assert_false(b.stream->reading);
	pass_ms(&b, 600000);
	assert_non_null(rmq_link_conn(b.link));
	rmq_link_read_enable(b.link, true);
	assert_true(b.stream->reading);
	pass_ms(&b, 19000);
	assert_non_null(rmq_link_conn(b.link));
	pass_ms(&b, 1001);
	assert_null(rmq_link_conn(b.link));
	bench_clear(&b);
}

/* Off stays off over a reconnect, but a handshake is always read. */
static void
reading_stays_off(void **state)
{
	struct bench b;

	(void)state;
	bench_up(&b, 1);
	pass_ms(&b, 15000);
	rmq_link_read_enable(b.link, false);
	stream_is_down(&b, "reset");
	assert_true(b.stream->reading);
	handshake(&b);
	assert_non_null(rmq_link_conn(b.link));
	assert_false(b.stream->reading);
	/* The answer to the close must be read. */
	rmq_link_stop(b.link);
	assert_true(b.stream->reading);
	bench_clear(&b);
}

static void
stop_is_bounded_in_time(void **state)
{
	struct bench b;

	(void)state;
	bench_up(&b, 1);
	rmq_link_stop(b.link);
	pass_ms(&b, 5001);
	assert_non_null(strstr(buf_str(&b.log), "close\ndown silent"));
	assert_non_null(strstr(buf_str(&b.log), "\nstopped\n"));
	bench_clear(&b);
}

/* Stopped before it was up: no `down`, never inside the call. */
static void
stop_at_any_moment(void **state)
{
	enum { IDLE, CONNECTING, WAITING, HANDSHAKE } when;

	(void)state;
	for (when = IDLE; when <= HANDSHAKE; when++) {
		struct bench b;

		bench_init(&b, 1);
		if (when > IDLE)
			rmq_link_start(b.link);
		loop_run_tasks(b.loop);
		if (when == WAITING)
			stream_is_down(&b, "refused");
		if (when == HANDSHAKE)
			stream_is_up(&b);
		buf_reset(&b.log);
		rmq_link_stop(b.link);
		assert_null(strstr(buf_str(&b.log), "stopped"));
		expect(&b,
		    when == CONNECTING || when == HANDSHAKE ? "close\nstopped\n"
							    : "stopped\n");
		pass_ms(&b, 60000);
		expect(&b, "");
		bench_clear(&b);
	}
}

static void
stop_and_free_from_callbacks(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 1);
	b.stop_when_down = true;
	rmq_link_start(b.link);
	loop_run_tasks(b.loop);
	stream_is_down(&b, "refused");
	expect(&b, "connect a:1\nclose\ndown io refused (all)\nstopped\n");
	bench_clear(&b);

	bench_up(&b, 1);
	b.free_when_down = true;
	stream_is_down(&b, "reset");
	b.link = NULL;
	expect(&b, "close\ndown io reset\n");
	bench_clear(&b);

	bench_init(&b, 1);
	b.free_when_up = true;
	rmq_link_start(b.link);
	loop_run_tasks(b.loop);
	handshake(&b);
	b.link = NULL;
	expect(&b, "connect a:1\nwrite\nup\nclose\n");
	bench_clear(&b);
}

static void
free_at_any_moment(void **state)
{
	unsigned when;

	(void)state;
	for (when = 0; when < 5; when++) {
		struct bench b;

		bench_init(&b, 2);
		if (when > 0)
			rmq_link_start(b.link);
		if (when > 1)
			loop_run_tasks(b.loop);
		if (when > 2)
			stream_is_up(&b);
		if (when > 3)
			stream_is_down(&b, "reset");
		bench_clear(&b);
	}
}

/* The broker says goodbye; we answer before the stream is let go. */
static void
answers_a_close(void **state)
{
	struct buf bytes = { 0 }, told = { 0 };
	struct bench b;

	(void)state;
	bench_up(&b, 1);
	wire_method(&bytes, 0, CONNECTION_CLOSE, amqp_connection_close_t,
	    .reply_code = 320, .reply_text = amqp_cstring_bytes("bye"));
	feed(&b, &bytes);
	assert_non_null(
	    strstr(buf_str(&b.log), "write\nclose\ndown server bye\n"));
	wire_tell(&b.sent, &told);
	assert_string_equal(buf_str(&told), "> 0 connection.close-ok\n");
	buf_clear(&told);
	bench_clear(&b);
}

static void
tells_when_blocked(void **state)
{
	struct buf bytes = { 0 };
	struct bench b;

	(void)state;
	bench_up(&b, 1);
	wire_method(&bytes, 0, CONNECTION_BLOCKED, amqp_connection_blocked_t,
	    .reason = amqp_cstring_bytes("disk"));
	wire_method(&bytes, 0, CONNECTION_UNBLOCKED,
	    amqp_connection_unblocked_t, 0);
	feed(&b, &bytes);
	expect(&b, "blocked 1 disk\nblocked 0 \n");
	bench_clear(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_up_and_stops),
		cmocka_unit_test(one_write_for_a_turn),
		cmocka_unit_test(tries_all_nodes_then_waits),
		cmocka_unit_test(a_lost_connection_is_made_again_at_once),
		cmocka_unit_test(flapping_is_slowed_down),
		cmocka_unit_test(a_silent_handshake_is_given_up),
		cmocka_unit_test(heartbeats_run),
		cmocka_unit_test(not_reading_is_not_silence),
		cmocka_unit_test(reading_stays_off),
		cmocka_unit_test(stop_is_bounded_in_time),
		cmocka_unit_test(stop_at_any_moment),
		cmocka_unit_test(stop_and_free_from_callbacks),
		cmocka_unit_test(free_at_any_moment),
		cmocka_unit_test(answers_a_close),
		cmocka_unit_test(tells_when_blocked),
	};

	log_open(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
