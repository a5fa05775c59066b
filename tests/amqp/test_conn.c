/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Handshake, tuning, heartbeats, blocking and every way to end. */
#include "tests/unit.h"

#include <stdio.h>

#include "tests/amqp/rig.h"

#define SECOND 1000000

static void
negotiates_the_limits(void **state)
{
	static const struct {
		uint16_t channel_max;
		uint32_t frame_max;
		uint16_t heartbeat;
		const char *tune_ok;
	} cases[] = {
		{ 2047, 131072, 60, "2047 131072 10" },
		{ 100, 8192, 5, "100 8192 5" },
		{ 0, 0, 0, "2047 131072 10" },
		{ 65535, 1u << 20, 10, "2047 131072 10" },
		{ 1, 4096, 1, "1 4096 1" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < array_len(cases); i++) {
		struct rig rig = { 0 };
		char expected[200];

		rig_init(&rig);
		wire_start(&rig.in);
		wire_tune(&rig.in, cases[i].channel_max, cases[i].frame_max,
		    cases[i].heartbeat);
		rig_feed(&rig);
		snprintf(expected, sizeof(expected),
		    "> 0 connection.start-ok PLAIN\n"
		    "> 0 connection.tune-ok %s\n"
		    "> 0 connection.open /\n",
		    cases[i].tune_ok);
		rig_expect(&rig, expected);
		assert_int_equal(rmq_conn_frame_max(rig.conn), 0);
		wire_open_ok(&rig.in);
		rig_feed(&rig);
		rig_expect(&rig, "opened\n");
		assert_true(rmq_conn_is_open(rig.conn));
		assert_string_equal(rmq_conn_server_version(rig.conn),
		    "3.10.8");
		rig_clear(&rig);
	}
}

static void
login_carries_name_and_password(void **state)
{
	struct rig rig = { 0 };
	struct buf *out;

	(void)state;
	rig_init(&rig);
	wire_start(&rig.in);
	rmq_conn_input(rig.conn, buf_peek(&rig.in), rig.in.len, rig.now_us);
	out = rmq_conn_flush(rig.conn, rig.now_us);
	assert_non_null(
	    memmem(buf_peek(out), out->len, "\0\0\0\15\0guest\0secret", 17));
	assert_non_null(memmem(buf_peek(out), out->len,
	    "\34authentication_failure_closet\1", 31));
	assert_non_null(
	    memmem(buf_peek(out), out->len, "\12basic.nackt\1", 13));
	assert_non_null(memmem(buf_peek(out), out->len,
	    "\17connection_nameS\0\0\0\3rig", 23));
	rig_clear(&rig);
}

/* How far the handshake had come when the broker closed. */
enum phase { AT_START, AT_LOGIN, AT_OPENING, AT_OPEN };

static void
go_to(struct rig *rig, enum phase phase)
{
	rig_init(rig);
	if (phase >= AT_LOGIN)
		wire_start(&rig->in);
	if (phase >= AT_OPENING)
		wire_tune(&rig->in, 0, 0, 0);
	if (phase >= AT_OPEN)
		wire_open_ok(&rig->in);
	rig_feed(rig);
	buf_reset(&rig->log);
}

static void
tells_why_the_broker_closed(void **state)
{
	static const struct {
		enum phase phase;
		uint16_t code;
		const char *text;
		const char *fault;
	} cases[] = {
		{ AT_LOGIN, 403, "ACCESS_REFUSED - Login was refused", "auth" },
		{ AT_LOGIN, 541, "INTERNAL_ERROR", "server" },
		{ AT_OPENING, 530, "NOT_ALLOWED - vhost v not found", "vhost" },
		{ AT_OPENING, 530,
		    "NOT_ALLOWED - access to vhost 'v' refused for user 'u'",
		    "vhost" },
		{ AT_OPENING, 403, "ACCESS_REFUSED", "vhost" },
		{ AT_OPENING, 530,
		    "NOT_ALLOWED - access to vhost 'v' refused for user 'u': "
		    "connection limit (1) is reached",
		    "server" },
		{ AT_OPENING, 530,
		    "NOT_ALLOWED - failed to negotiate connection parameters",
		    "server" },
		{ AT_OPENING, 541, "INTERNAL_ERROR - vhost is down", "server" },
		{ AT_OPEN, 320, "CONNECTION_FORCED - shutdown", "server" },
		{ AT_OPEN, 403, "ACCESS_REFUSED", "server" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < array_len(cases); i++) {
		struct rig rig = { 0 };
		char expected[300];

		go_to(&rig, cases[i].phase);
		wire_method(&rig.in, 0, CONNECTION_CLOSE,
		    amqp_connection_close_t, .reply_code = cases[i].code,
		    .reply_text = amqp_cstring_bytes(cases[i].text));
		rig_feed(&rig);
		snprintf(expected, sizeof(expected),
		    "closed %s %u %s\n> 0 connection.close-ok\n",
		    cases[i].fault, cases[i].code, cases[i].text);
		rig_expect(&rig, expected);
		assert_int_equal(rmq_conn_deadline_us(rig.conn), INT64_MAX);
		/* Nothing happens any more. */
		wire_open_ok(&rig.in);
		rig_feed(&rig);
		rmq_conn_close(rig.conn);
		rmq_conn_lost(rig.conn, "reset");
		rig_flush(&rig);
		rig_expect(&rig, "");
		rig_clear(&rig);
	}
}

static void
needs_plain(void **state)
{
	static const char *const offers[] = { "AMQPLAIN EXTERNAL", "PLAI",
		"PLAINX", "" };
	size_t i;

	(void)state;
	for (i = 0; i < array_len(offers); i++) {
		struct rig rig = { 0 };
		char expected[200];

		rig_init(&rig);
		wire_method(&rig.in, 0, CONNECTION_START,
		    amqp_connection_start_t, .version_minor = 9,
		    .mechanisms = amqp_cstring_bytes(offers[i]),
		    .locales = amqp_cstring_bytes("en_US"));
		rig_feed(&rig);
		snprintf(expected, sizeof(expected),
		    "closed auth 0 the broker does not offer PLAIN, only: "
		    "%s\n",
		    offers[i]);
		rig_expect(&rig, expected);
		rig_clear(&rig);
	}
}

/* The certificate says who we are: no name, no password is sent. */
static void
external_sends_nothing(void **state)
{
	static const char start_ok[] = "\10EXTERNAL\0\0\0\0\5en_US\xce";
	struct rig rig = { .external = true };
	struct buf *out;

	(void)state;
	rig_init(&rig);
	wire_method(&rig.in, 0, CONNECTION_START, amqp_connection_start_t,
	    .version_minor = 9,
	    .mechanisms = amqp_cstring_bytes("PLAIN EXTERNAL"),
	    .locales = amqp_cstring_bytes("en_US"));
	rmq_conn_input(rig.conn, buf_peek(&rig.in), rig.in.len, rig.now_us);
	out = rmq_conn_flush(rig.conn, rig.now_us);
	assert_true(out->len > sizeof(start_ok));
	assert_memory_equal(buf_peek(out) + out->len - (sizeof(start_ok) - 1),
	    start_ok, sizeof(start_ok) - 1);
	rig_clear(&rig);
}

static void
external_must_be_offered(void **state)
{
	struct rig rig = { .external = true };

	(void)state;
	rig_init(&rig);
	wire_start(&rig.in);
	rig_feed(&rig);
	rig_expect(&rig,
	    "closed auth 0 the broker does not offer EXTERNAL, only: "
	    "AMQPLAIN PLAIN\n");
	rig_clear(&rig);
}

static void
knows_other_protocols(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *log;
	} cases[] = {
		{ "AMQP\0\1\0\0", 8,
		    "closed protocol 0 the peer speaks AMQP 1-0-0 "
		    "(protocol 0), not 0-9-1\n" },
		{ "AMQP\3\1\0\0more", 12,
		    "closed protocol 0 the peer speaks AMQP 1-0-0 "
		    "(protocol 3), not 0-9-1\n" },
		{ "HTTP/1.1 400 Bad Request\r\n", 26,
		    "closed protocol 0 the peer does not speak AMQP: is it "
		    "another service, or a TLS port?\n" },
		{ "\25\3\1\0\2\2\106", 7,
		    "closed protocol 0 the peer does not speak AMQP: is it "
		    "another service, or a TLS port?\n" },
		{ "AMQX\0\0\0\0", 8,
		    "closed protocol 0 the peer does not speak AMQP: is it "
		    "another service, or a TLS port?\n" },
		{ "AMQP\0", 5, "" },
	};
	size_t i, chunk;

	(void)state;
	for (i = 0; i < array_len(cases); i++) {
		for (chunk = 0; chunk < 3; chunk++) {
			struct rig rig = { .chunk = chunk };

			rig_init(&rig);
			buf_add(&rig.in, cases[i].bytes, cases[i].len);
			rig_feed(&rig);
			rig_expect(&rig, cases[i].log);
			rig_clear(&rig);
		}
	}
}

static void
refuses_another_version_in_start(void **state)
{
	struct rig rig = { 0 };

	(void)state;
	rig_init(&rig);
	wire_method(&rig.in, 0, CONNECTION_START, amqp_connection_start_t,
	    .version_major = 8, .mechanisms = amqp_cstring_bytes("PLAIN"));
	rig_feed(&rig);
	rig_expect(&rig,
	    "closed protocol 503 the peer speaks AMQP 8-0, not 0-9\n"
	    "> 0 connection.close 503\n");
	rig_clear(&rig);
}

static void
refuses_a_depth_bomb_in_start(void **state)
{
	struct buf table = { 0 }, payload = { 0 };
	struct rig rig = { 0 };
	size_t i, levels = 15000;

	(void)state;
	for (i = 1; i < levels; i++) {
		buf_add(&table, "\1nF", 3);
		buf_add_u32(&table, (uint32_t)((levels - 1 - i) * 7));
	}
	buf_add_u32(&payload, AMQP_CONNECTION_START_METHOD);
	buf_add(&payload, "\0\11", 2);
	buf_add_u32(&payload, (uint32_t)table.len);
	buf_add(&payload, buf_peek(&table), table.len);
	buf_add(&payload, "\0\0\0\5PLAIN\0\0\0\0", 13);
	rig_init(&rig);
	wire_frame(&rig.in, 1, 0, buf_peek(&payload), payload.len);
	rig_feed(&rig);
	rig_expect(&rig,
	    "closed protocol 502 connection.start does not decode\n"
	    "> 0 connection.close 502\n");
	rig_clear(&rig);
	buf_clear(&table);
	buf_clear(&payload);
}

static void
gives_up_a_silent_handshake(void **state)
{
	static const char *const phases[] = { "starting", "login", "opening" };
	size_t phase;

	(void)state;
	for (phase = 0; phase < array_len(phases); phase++) {
		struct rig rig = { 0 };
		char expected[100];

		go_to(&rig, (enum phase)phase);
		rig_sleep(&rig, 9 * SECOND);
		assert_null(strstr(buf_str(&rig.log), "closed"));
		buf_reset(&rig.log);
		rig_sleep(&rig, 2 * SECOND);
		snprintf(expected, sizeof(expected),
		    "no answer in the %s phase within 10000 ms\n",
		    phases[phase]);
		assert_non_null(strstr(buf_str(&rig.log), expected));
		rig_clear(&rig);
	}
}

static void
sends_heartbeats_at_half_the_interval(void **state)
{
	struct rig rig = { 0 };

	(void)state;
	rig_open(&rig);
	rig_sleep(&rig, 4 * SECOND);
	rig_expect(&rig, "");
	rig_sleep(&rig, 2 * SECOND);
	rig_expect(&rig, "> 0 heartbeat\n");
	rig_sleep(&rig, 4 * SECOND);
	rig_expect(&rig, "> 0 heartbeat\n");
	/* What else is sent counts. */
	(void)!rmq_channel_open(rig.conn, &rig_channel_cbs, NULL);
	rig_flush(&rig);
	rig_expect(&rig, "> 1 channel.open\n");
	wire_frame(&rig.in, 8, 0, NULL, 0);
	rig_feed(&rig);
	rig_sleep(&rig, 4 * SECOND);
	rig_expect(&rig, "");
	rig_sleep(&rig, 2 * SECOND);
	rig_expect(&rig, "> 0 heartbeat\n");
	rig_clear(&rig);
}

static void
ends_after_two_missed_heartbeats(void **state)
{
	struct rig rig = { 0 };

	(void)state;
	rig_open(&rig);
	rig_sleep(&rig, 15 * SECOND);
	wire_frame(&rig.in, 8, 0, NULL, 0);
	rig_feed(&rig);
	rig_expect(&rig, "> 0 heartbeat\n> 0 heartbeat\n> 0 heartbeat\n");
	rig_sleep(&rig, 19 * SECOND);
	rig_expect(&rig, "> 0 heartbeat\n> 0 heartbeat\n> 0 heartbeat\n");
	rig_sleep(&rig, 1 * SECOND);
	rig_expect(&rig, "closed silent 0 the broker missed two heartbeats\n");
	rig_clear(&rig);
}

static void
silence_does_not_count_while_not_reading(void **state)
{
	struct rig rig = { 0 };

	(void)state;
	rig_open(&rig);
	rmq_conn_set_reading(rig.conn, false, rig.now_us);
	rig_sleep(&rig, 120 * SECOND);
	assert_true(rmq_conn_is_open(rig.conn));
	rmq_conn_set_reading(rig.conn, true, rig.now_us);
	rig_sleep(&rig, 19 * SECOND);
	assert_true(rmq_conn_is_open(rig.conn));
	rig_sleep(&rig, 1 * SECOND);
	assert_false(rmq_conn_is_open(rig.conn));
	rig_clear(&rig);
}

static void
silence_does_not_count_while_we_slept(void **state)
{
	struct rig rig = { 0 };

	(void)state;
	rig_open(&rig);
	/* The process was stopped; its first tick comes late. */
	rig.now_us += 100 * SECOND;
	rmq_conn_tick(rig.conn, rig.now_us);
	assert_true(rmq_conn_is_open(rig.conn));
	rig_sleep(&rig, 19 * SECOND);
	assert_true(rmq_conn_is_open(rig.conn));
	rig_sleep(&rig, 1 * SECOND);
	assert_false(rmq_conn_is_open(rig.conn));
	rig_clear(&rig);
}

static void
tells_when_it_is_blocked(void **state)
{
	struct rig rig = { 0 };

	(void)state;
	rig_open(&rig);
	wire_method(&rig.in, 0, CONNECTION_BLOCKED, amqp_connection_blocked_t,
	    .reason = amqp_cstring_bytes("low on memory"));
	rig_feed(&rig);
	rig_expect(&rig, "blocked low on memory\n");
	assert_true(rmq_conn_is_blocked(rig.conn));
	wire_method(&rig.in, 0, CONNECTION_UNBLOCKED,
	    amqp_connection_unblocked_t, 0);
	rig_feed(&rig);
	rig_expect(&rig, "unblocked \n");
	assert_false(rmq_conn_is_blocked(rig.conn));
	rig_clear(&rig);
}

static void
closes_in_order(void **state)
{
	struct rig_end end = { .name = "ch" };
	struct rig rig = { 0 };

	(void)state;
	rig_open(&rig);
	(void)rig_channel(&rig, &end);
	rmq_conn_close(rig.conn);
	rmq_conn_close(rig.conn);
	rig_flush(&rig);
	rig_expect(&rig, "> 0 connection.close 200\n");
	assert_null(rmq_channel_open(rig.conn, &rig_channel_cbs, &end));
	/* What was under way is of no interest. */
	wire_deliver(&rig.in, 1, "c1", 1);
	wire_header(&rig.in, 1, 0, (struct rmq_slice){ NULL, 0 });
	wire_method(&rig.in, 0, CONNECTION_BLOCKED, amqp_connection_blocked_t,
	    .reason = amqp_cstring_bytes("late"));
	rig_feed(&rig);
	rig_expect(&rig, "");
	wire_method(&rig.in, 0, CONNECTION_CLOSE_OK, amqp_connection_close_ok_t,
	    0);
	rig_feed(&rig);
	rig_expect(&rig, "ch: closed none 0 \nclosed none 0 \n");
	rig_clear(&rig);
}

static void
close_can_cross_the_brokers(void **state)
{
	struct rig rig = { 0 };

	(void)state;
	rig_open(&rig);
	rmq_conn_close(rig.conn);
	wire_method(&rig.in, 0, CONNECTION_CLOSE, amqp_connection_close_t,
	    .reply_code = 320, .reply_text = amqp_cstring_bytes("bye"));
	rig_feed(&rig);
	rig_expect(&rig,
	    "closed server 320 bye\n"
	    "> 0 connection.close 200\n"
	    "> 0 connection.close-ok\n");
	rig_clear(&rig);
}

static void
close_is_bounded_in_time(void **state)
{
	struct rig rig = { 0 };

	(void)state;
	rig_open(&rig);
	rmq_conn_close(rig.conn);
	rig_flush(&rig);
	buf_reset(&rig.log);
	rig_sleep(&rig, 10 * SECOND);
	assert_non_null(strstr(buf_str(&rig.log),
	    "closed silent 0 no answer in the closing phase"));
	rig_clear(&rig);
}

static void
close_before_it_is_open_is_immediate(void **state)
{
	size_t phase;

	(void)state;
	for (phase = AT_START; phase < AT_OPEN; phase++) {
		struct rig rig = { 0 };

		go_to(&rig, (enum phase)phase);
		rmq_conn_close(rig.conn);
		rig_flush(&rig);
		rig_expect(&rig, "closed none 0 \n");
		rig_clear(&rig);
	}
}

static void
a_lost_stream_ends_it(void **state)
{
	struct rig_end end = { .name = "ch" };
	struct rig rig = { 0 };

	(void)state;
	rig_open(&rig);
	(void)rig_channel(&rig, &end);
	rmq_conn_lost(rig.conn, "connection reset");
	rig_flush(&rig);
	rig_expect(&rig,
	    "ch: closed io 0 connection reset\n"
	    "closed io 0 connection reset\n");
	rig_clear(&rig);
}

/* Nobody has called for an hour; that is not when it began. */
static void
limits_count_from_the_flush(void **state)
{
	struct rig rig = { .no_heartbeat = true };
	struct rig_end end = { .name = "ch" };
	struct rmq_channel *ch;

	(void)state;
	go_to(&rig, AT_OPEN);
	ch = rig_channel(&rig, &end);
	rig.now_us += 3600 * (int64_t)SECOND;
	rmq_qos(ch, 1, NULL, NULL);
	rig_flush(&rig);
	rig_sleep(&rig, 59 * (int64_t)SECOND);
	assert_true(rmq_conn_is_open(rig.conn));
	wire_method(&rig.in, 1, BASIC_QOS_OK, amqp_basic_qos_ok_t, 0);
	rig_feed(&rig);
	rig.now_us += 3600 * (int64_t)SECOND;
	buf_reset(&rig.log);
	rmq_conn_close(rig.conn);
	rig_flush(&rig);
	rig_sleep(&rig, 9 * (int64_t)SECOND);
	rig_expect(&rig, "> 0 connection.close 200\n");
	rig_sleep(&rig, 2 * (int64_t)SECOND);
	assert_non_null(strstr(buf_str(&rig.log), "closed silent"));
	rig_clear(&rig);
}

static void
wakes_once_for_each_flush(void **state)
{
	struct rig_end end = { .name = "ch" };
	struct rig rig = { 0 };
	struct rmq_channel *ch;

	(void)state;
	rig_open(&rig);
	ch = rig_channel(&rig, &end);
	rig.wakes = 0;
	rmq_qos(ch, 1, NULL, NULL);
	rmq_qos(ch, 2, NULL, NULL);
	assert_int_equal(rig.wakes, 1);
	rig_flush(&rig);
	rmq_qos(ch, 3, NULL, NULL);
	assert_int_equal(rig.wakes, 2);
	rig_clear(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(negotiates_the_limits),
		cmocka_unit_test(login_carries_name_and_password),
		cmocka_unit_test(tells_why_the_broker_closed),
		cmocka_unit_test(needs_plain),
		cmocka_unit_test(external_sends_nothing),
		cmocka_unit_test(external_must_be_offered),
		cmocka_unit_test(knows_other_protocols),
		cmocka_unit_test(refuses_another_version_in_start),
		cmocka_unit_test(refuses_a_depth_bomb_in_start),
		cmocka_unit_test(gives_up_a_silent_handshake),
		cmocka_unit_test(sends_heartbeats_at_half_the_interval),
		cmocka_unit_test(ends_after_two_missed_heartbeats),
		cmocka_unit_test(silence_does_not_count_while_not_reading),
		cmocka_unit_test(silence_does_not_count_while_we_slept),
		cmocka_unit_test(tells_when_it_is_blocked),
		cmocka_unit_test(closes_in_order),
		cmocka_unit_test(close_can_cross_the_brokers),
		cmocka_unit_test(close_is_bounded_in_time),
		cmocka_unit_test(close_before_it_is_open_is_immediate),
		cmocka_unit_test(a_lost_stream_ends_it),
		cmocka_unit_test(limits_count_from_the_flush),
		cmocka_unit_test(wakes_once_for_each_flush),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
