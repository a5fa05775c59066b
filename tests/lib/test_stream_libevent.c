/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Every test of bytes runs twice: on plain TCP and on TLS. */
#include "tests/unit.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/compiler.h"
#include "lib/loop_libevent.h"
#include "lib/stream_libevent.h"
#include "tests/lib/certs.h"
#include "tests/lib/peer.h"

static struct certs certs;

struct world {
	struct loop *loop;
	struct stream_net *net;
	struct stream *stream;
	struct peer peer;
	struct stream_tls tls;
	struct loop_timer *timer;
	bool secure;
	struct buf got;
	size_t expected; /* stop when that much has come */
	unsigned ups, downs, datas;
	char why[300];
	const char *close_in; /* the callback that closes the stream */
	size_t pause_after;   /* reading goes off after that much; 0: not */
};

static void
maybe_close(struct world *world, const char *where)
{
	if (world->close_in == NULL || strcmp(world->close_in, where) != 0)
		return;
	stream_close(world->stream);
	stream_close(world->stream);
	world->stream = NULL;
	world->close_in = NULL;
}

static void
on_up(void *arg)
{
	struct world *world = arg;

	assert_int_equal(world->ups + world->downs, 0);
	world->ups++;
	maybe_close(world, "up");
}

static void
on_data(void *arg, const uint8_t *bytes, size_t len)
{
	struct world *world = arg;

	assert_true(len > 0);
	assert_non_null(world->stream);
	world->datas++;
	buf_add(&world->got, bytes, len);
	if (world->pause_after != 0 && world->got.len >= world->pause_after)
		stream_read_enable(world->stream, false);
	if (world->expected != 0 && world->got.len >= world->expected)
		loop_stop(world->loop);
	maybe_close(world, "data");
}

static void
on_down(void *arg, const char *why)
{
	struct world *world = arg;

	assert_int_equal(world->downs, 0);
	world->downs++;
	strncpy(world->why, why, sizeof(world->why) - 1);
	maybe_close(world, "down");
	loop_stop(world->loop);
}

static const struct stream_cbs cbs = {
	.up = on_up,
	.data = on_data,
	.down = on_down,
};

static void
stop(void *arg)
{
	struct world *world = arg;

	loop_stop(world->loop);
}

static int
set_up_with(void **state, bool secure)
{
	struct world *world = calloc(1, sizeof(*world));

	world->loop = loop_libevent_new();
	world->net = stream_libevent_new(world->loop);
	world->secure = secure;
	world->tls = (struct stream_tls){ .ca = certs.ca };
	world->timer = loop_timer_new(world->loop, stop, world);
	peer_open(&world->peer, world->loop,
	    secure ? certs_server(certs.good, certs.key) : NULL);
	world->peer.arg = world;
	*state = world;
	return 0;
}

static int
set_up_plain(void **state)
{
	return set_up_with(state, false);
}

static int
set_up_tls(void **state)
{
	return set_up_with(state, true);
}

static int
tear_down(void **state)
{
	struct world *world = *state;

	stream_close(world->stream);
	peer_close(&world->peer);
	loop_timer_free(world->loop, world->timer);
	stream_libevent_free(world->net);
	loop_free(world->loop);
	buf_clear(&world->got);
	free(world);
	return 0;
}

/* Lets things happen that must not show, or show elsewhere. */
static void
idle(struct world *world, int64_t delay_ms)
{
	loop_timer_start(world->loop, world->timer, delay_ms);
	loop_run(world->loop);
}

static void
connect_to(struct world *world, const char *host, int64_t timeout_ms)
{
	struct stream_target target = { .host = host,
		.port = world->peer.port,
		.tls = world->secure ? &world->tls : NULL,
		.connect_timeout_ms = timeout_ms };

	world->stream = stream_connect(world->net, &target, &cbs, world);
}

static void
connect_up(struct world *world)
{
	connect_to(world, "127.0.0.1", 10000);
	world->peer.on_accept = stop;
	loop_run(world->loop);
	while (world->ups == 0) {
		idle(world, 1);
	}
}

/* Bytes that tell their place. */
static uint8_t
byte_at(size_t i)
{
	return (uint8_t)(i * 7 + i / 251);
}

static void
write_pattern(struct world *world, size_t from, size_t len)
{
	uint8_t *bytes = malloc(len);
	size_t i;

	for (i = 0; i < len; i++)
		bytes[i] = byte_at(from + i);
	stream_write(world->stream, bytes, len);
	free(bytes);
}

static void
expect_pattern(const struct buf *got, size_t len)
{
	size_t i;

	assert_int_equal(got->len, len);
	for (i = 0; i < len; i++)
		assert_int_equal(buf_peek(got)[i], byte_at(i));
}

/* Before it is up, in small and large pieces, in one turn and in many. */
static void
bytes_arrive_in_order(void **state)
{
	struct world *world = *state;
	size_t len = 0, piece;

	world->peer.echo = true;
	connect_to(world, "localhost", 10000);
	write_pattern(world, 0, 5);
	assert_int_equal(stream_unsent(world->stream), 5);
	len = world->expected = 5;
	loop_run(world->loop);
	for (piece = 1; piece < 2000000; piece *= 3) {
		write_pattern(world, len, piece);
		write_pattern(world, len + piece, piece / 2 + 1);
		len += piece + piece / 2 + 1;
		world->expected = len;
		if (piece % 2 == 1)
			loop_run(world->loop);
	}
	assert_int_equal(world->ups, 1);
	expect_pattern(&world->got, len);
	assert_int_equal(stream_unsent(world->stream), 0);
}

static void
reading_can_pause(void **state)
{
	static uint8_t bytes[64 * 1024];
	struct world *world = *state;
	const size_t total = 64 * sizeof(bytes) * 8;
	unsigned i, datas;

	connect_up(world);
	world->pause_after = 1;
	world->expected = 1;
	for (i = 0; i < 64 * 8; i++)
		peer_write(&world->peer, bytes, sizeof(bytes));
	loop_run(world->loop);
	/* One piece came; the rest waits, and little of it here. */
	datas = world->datas;
	assert_int_equal(datas, 1);
	idle(world, 50);
	assert_int_equal(world->datas, datas);
	assert_true(peer_unsent(&world->peer) > total / 2);
	/* On and off at once is off. */
	stream_read_enable(world->stream, true);
	stream_read_enable(world->stream, false);
	idle(world, 5);
	assert_int_equal(world->datas, datas);
	world->pause_after = 0;
	world->expected = total;
	stream_read_enable(world->stream, true);
	assert_int_equal(world->datas, datas);
	loop_run(world->loop);
	assert_int_equal(world->got.len, total);
}

/* Nothing more comes from the network: what is here must come by itself. */
static void
what_was_read_is_not_forgotten(void **state)
{
	static uint8_t bytes[6 * 16384]; /* whole TLS records */
	struct world *world = *state;
	unsigned rounds;

	connect_up(world);
	peer_write(&world->peer, bytes, sizeof(bytes));
	world->expected = sizeof(bytes);
	for (rounds = 0; world->got.len < sizeof(bytes); rounds++) {
		assert_true(rounds < 100);
		world->pause_after = world->got.len + 1;
		world->expected = world->got.len + 1;
		stream_read_enable(world->stream, true);
		loop_run(world->loop);
	}
	assert_int_equal(world->got.len, sizeof(bytes));
}

static void
can_start_paused(void **state)
{
	struct world *world = *state;

	connect_to(world, "127.0.0.1", 10000);
	stream_read_enable(world->stream, false);
	world->peer.on_accept = stop;
	loop_run(world->loop);
	peer_write(&world->peer, "abc", 3);
	idle(world, 20);
	assert_int_equal(world->datas, 0);
	world->expected = 3;
	stream_read_enable(world->stream, true);
	loop_run(world->loop);
	assert_memory_equal(buf_peek(&world->got), "abc", 3);
}

static void
hears_the_end_after_the_last_byte(void **state)
{
	static uint8_t bytes[300000];
	struct world *world = *state;

	connect_up(world);
	peer_write(&world->peer, bytes, sizeof(bytes));
	peer_shut(&world->peer);
	loop_run(world->loop);
	assert_int_equal(world->got.len, sizeof(bytes));
	assert_int_equal(world->downs, 1);
	assert_non_null(strstr(world->why, "closed the connection"));
	assert_non_null(strstr(world->why, "127.0.0.1 port "));
	stream_write(world->stream, "ignored", 7);
	stream_read_enable(world->stream, false);
	stream_read_enable(world->stream, true);
	idle(world, 5);
}

static void
hears_of_a_reset(void **state)
{
	struct world *world = *state;

	connect_up(world);
	peer_reset(&world->peer);
	loop_run(world->loop);
	assert_non_null(strstr(world->why, "Connection reset by peer"));
}

/* The broker says why and hangs up while we go on writing. */
static void
last_words_are_heard_over_a_failing_write(void **state)
{
	struct world *world = *state;

	connect_up(world);
	stream_read_enable(world->stream, false);
	peer_write(&world->peer, "403", 3);
	while (peer_unsent(&world->peer) > 0)
		idle(world, 1);
	peer_reset(&world->peer);
	idle(world, 1);
	stream_read_enable(world->stream, true);
	write_pattern(world, 0, 100000);
	loop_run(world->loop);
	assert_int_equal(world->downs, 1);
	assert_int_equal(world->got.len, 3);
}

static void
closing_sends_what_was_written(void **state)
{
	const size_t piece = 200000;
	struct world *world = *state;
	unsigned rounds_left = 3;
	size_t len = 0;

	connect_up(world);
	/* Unread input must not make the close a reset. */
	stream_read_enable(world->stream, false);
	peer_write(&world->peer, "unread", 6);
	peer_read_enable(&world->peer, false);
	/* Until the kernel has its fill, and then some, in several turns. */
	for (; rounds_left > 0; len += piece) {
		write_pattern(world, len, piece);
		idle(world, 1);
		rounds_left -= stream_unsent(world->stream) > 0;
	}
	stream_close(world->stream);
	world->stream = NULL;
	peer_read_enable(&world->peer, true);
	world->peer.on_end = stop;
	/* Hears the end only after the last byte. */
	while (!world->peer.ended)
		loop_run(world->loop);
	expect_pattern(&world->peer.got, len);
	assert_int_equal(world->datas + world->downs, 0);
}

static void
closing_does_not_wait_for_ever(void **state)
{
	static uint8_t bytes[8 * 1024 * 1024];
	struct world *world = *state;

	connect_up(world);
	peer_read_enable(&world->peer, false);
	stream_write(world->stream, bytes, sizeof(bytes));
	stream_close(world->stream);
	world->stream = NULL;
	/* A second later the socket is gone: writing to it ends badly. */
	world->peer.on_end = stop;
	while (!world->peer.ended) {
		peer_write(&world->peer, "x", 1);
		idle(world, 20);
	}
	assert_true(world->peer.got.len < sizeof(bytes));
}

static void
closes_from_any_callback(void **state)
{
	static const char *const places[] = { "up", "data", "down" };
	struct world *world = *state;
	size_t i;

	for (i = 0; i < array_len(places); i++) {
		world->ups = world->datas = world->downs = 0;
		world->close_in = places[i];
		world->peer.ended = false;
		world->peer.on_accept = NULL;
		world->peer.on_end = stop;
		connect_to(world, "127.0.0.1", 10000);
		/* Out of our hands before anything is called. */
		if (strcmp(places[i], "up") != 0) {
			world->peer.on_accept = stop;
			loop_run(world->loop);
			peer_write(&world->peer, "abc", 3);
			peer_shut(&world->peer);
		}
		while (!world->peer.ended)
			loop_run(world->loop);
		assert_null(world->stream);
		assert_int_equal(world->ups, 1);
		assert_int_equal(world->datas, i >= 1);
		assert_int_equal(world->downs, i == 2);
		peer_reset(&world->peer);
	}
}

static void
nothing_is_called_after_close(void **state)
{
	struct world *world = *state;

	/* At once; and with a refusal under way. */
	connect_to(world, "127.0.0.1", 10000);
	stream_close(world->stream);
	world->tls.ca = "/nonexistent/ca.pem";
	connect_to(world, "localhost", 10000);
	stream_close(world->stream);
	world->tls.ca = certs.ca;
	/* While bytes wait to be read. */
	connect_up(world);
	peer_write(&world->peer, "abc", 3);
	stream_close(world->stream);
	world->stream = NULL;
	idle(world, 20);
	assert_int_equal(world->ups, 1);
	assert_int_equal(world->datas + world->downs, 0);
}

static void
freeing_the_net_cuts_all(void **state)
{
	struct world *world = *state;

	connect_up(world);
	peer_read_enable(&world->peer, false);
	write_pattern(world, 0, 8 * 1024 * 1024);
	stream_close(world->stream); /* lingers */
	connect_to(world, "localhost", 10000);
	connect_to(world, "127.0.0.1", 10000);
	stream_libevent_free(world->net);
	world->stream = NULL;
	world->net = NULL;
	idle(world, 5);
	assert_int_equal(world->ups, 1);
	assert_int_equal(world->downs, 0);
}

static void
a_silent_peer_times_out(void **state)
{
	struct world *world = *state;

	/* A TLS client at a peer that speaks no word. */
	peer_close(&world->peer);
	peer_open(&world->peer, world->loop, NULL);
	connect_to(world, "127.0.0.1", 50);
	loop_run(world->loop);
	assert_int_equal(world->ups, 0);
	assert_non_null(strstr(world->why, "no handshake within 50ms"));
}

static void
says_why_it_cannot_connect(void **state)
{
	struct world *world = *state;

	peer_close(&world->peer);
	connect_to(world, "127.0.0.1", 10000);
	loop_run(world->loop);
	assert_non_null(strstr(world->why, "cannot connect to 127.0.0.1"));
	assert_non_null(strstr(world->why, "Connection refused"));
	assert_int_equal(world->ups, 0);
	peer_open(&world->peer, world->loop, NULL);
}

static void
answer_in_clear(void *arg)
{
	struct world *world = arg;

	peer_write(&world->peer, "AMQP\0\0\x09\x01", 8);
}

static void
hang_up(void *arg)
{
	struct world *world = arg;

	peer_reset(&world->peer);
}

struct tls_case {
	const char *host;
	struct stream_tls tls;
	const char *cert;   /* the peer's; NULL: it is plain */
	loop_cb *on_accept; /* a plain peer's answer */
	int max_version;    /* of the peer; 0: any */
	bool ask_cert;	    /* the peer wants ours */
	const char *why;    /* NULL: it works */
};

static void
check_tls_case(struct world *world, const struct tls_case *c)
{
	SSL_CTX *ctx = NULL;

	if (c->cert != NULL) {
		ctx = certs_server(c->cert, certs.key);
		if (c->max_version != 0) {
			SSL_CTX_set_security_level(ctx, 0);
			SSL_CTX_set_max_proto_version(ctx, c->max_version);
		}
		SSL_CTX_load_verify_locations(ctx, certs.ca, NULL);
		if (c->ask_cert)
			SSL_CTX_set_verify(ctx,
			    SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
			    NULL);
	}
	peer_close(&world->peer);
	peer_open(&world->peer, world->loop, ctx);
	world->peer.arg = world;
	world->peer.echo = c->cert != NULL;
	world->peer.on_accept = c->on_accept;
	world->tls = c->tls;
	world->ups = world->downs = 0;
	world->why[0] = '\0';
	buf_reset(&world->got);
	connect_to(world, c->host, 10000);
	stream_write(world->stream, "hello", 5);
	world->expected = 5;
	loop_run(world->loop);
	stream_close(world->stream);
	world->stream = NULL;
	if (c->why == NULL) {
		assert_string_equal(world->why, "");
		assert_int_equal(world->got.len, 5);
		return;
	}
	assert_int_equal(world->downs, 1);
	if (strstr(world->why, c->why) == NULL)
		fail_msg("'%s' does not say '%s'", world->why, c->why);
}

static void
verifies_the_peer(void **state)
{
	const struct tls_case cases[] = {
		{ .host = "localhost", .tls.ca = certs.ca, .cert = certs.good },
		{ .host = "127.0.0.1", .tls.ca = certs.ca, .cert = certs.good },
		{ .host = "127.0.0.1",
		    .tls = { .ca = certs.ca, .server_name = "localhost" },
		    .cert = certs.good },
		{ .host = "localhost",
		    .tls = { .ca = certs.ca,
			.server_name = "elsewhere.example" },
		    .cert = certs.wrong },
		{ .host = "localhost",
		    .tls = { .ca = certs.ca,
			.cert = certs.good,
			.key = certs.key },
		    .cert = certs.good,
		    .ask_cert = true },
		{ .host = "localhost",
		    .tls.ca = certs.ca,
		    .cert = certs.good,
		    .max_version = TLS1_2_VERSION },
		{ .host = "localhost",
		    .tls.ca = certs.ca,
		    .cert = certs.wrong,
		    .why = "certificate verify failed: hostname mismatch "
			   "(expected localhost)" },
		{ .host = "127.0.0.1",
		    .tls.ca = certs.ca,
		    .cert = certs.wrong,
		    .why = "certificate verify failed: IP address mismatch "
			   "(expected 127.0.0.1)" },
		{ .host = "localhost",
		    .tls = { .ca = certs.ca, .server_name = "example" },
		    .cert = certs.wrong,
		    .why = "(expected example)" },
		{ .host = "localhost",
		    .tls.ca = certs.other_ca,
		    .cert = certs.good,
		    .why = "certificate verify failed: certificate signature "
			   "failure" },
		{ .host = "localhost",
		    .cert = certs.good,
		    .why =
			"certificate verify failed: self-signed certificate in "
			"certificate chain" },
		{ .host = "localhost",
		    .tls.ca = certs.ca,
		    .cert = certs.expired,
		    .why = "certificate verify failed: certificate has "
			   "expired" },
		{ .host = "localhost",
		    .tls.ca = certs.ca,
		    .cert = certs.good,
		    .ask_cert = true,
		    .why = "alert certificate required" },
		{ .host = "localhost",
		    .tls.ca = certs.ca,
		    .cert = certs.good,
		    .max_version = TLS1_1_VERSION,
		    .why = "alert protocol version" },
		{ .host = "localhost",
		    .tls.ca = certs.ca,
		    .on_accept = answer_in_clear,
		    .why = "wrong version number (is that a TLS port?)" },
		{ .host = "localhost",
		    .tls.ca = certs.ca,
		    .on_accept = hang_up,
		    .why = "localhost port " },
	};
	struct world *world = *state;
	size_t i;

	for (i = 0; i < array_len(cases); i++)
		check_tls_case(world, &cases[i]);
}

static void
says_which_file_is_wrong(void **state)
{
	const struct {
		struct stream_tls tls;
		const char *what, *file, *why;
	} cases[] = {
		{ { .ca = "/nonexistent/ca.pem" }, "cannot read CA file",
		    "/nonexistent/ca.pem", "No such file or directory" },
		{ { .ca = certs.garbage }, "cannot read CA file", certs.garbage,
		    "" },
		{ { .ca = certs.ca, .cert = "/nonexistent" },
		    "cannot read certificate", "/nonexistent",
		    "No such file or directory" },
		{ { .ca = certs.ca, .cert = certs.garbage },
		    "cannot read certificate", certs.garbage, "no start line" },
		{ { .ca = certs.ca, .cert = certs.good, .key = certs.garbage },
		    "cannot use key", certs.garbage, "" },
		{ { .ca = certs.ca,
		      .cert = certs.good,
		      .key = certs.other_key },
		    "cannot use key", certs.other_key, "key values mismatch" },
		/* No passphrase is asked for. */
		{ { .ca = certs.ca,
		      .cert = certs.good,
		      .key = certs.locked_key },
		    "cannot use key", certs.locked_key, "" },
		{ { .ca = certs.ca, .cert = certs.good },
		    "cannot use the key that is set for", certs.good,
		    "no private key assigned" },
		{ { .ca = certs.ca, .server_name = "" },
		    "cannot verify a peer by the name", "\"\"", "" },
	};
	struct world *world = *state;
	size_t i;

	for (i = 0; i < array_len(cases); i++) {
		world->tls = cases[i].tls;
		world->downs = 0;
		connect_to(world, "localhost", 10000);
		assert_int_equal(world->downs, 0);
		loop_run(world->loop);
		assert_int_equal(world->downs, 1);
		if (strstr(world->why, cases[i].what) == NULL ||
		    strstr(world->why, cases[i].file) == NULL ||
		    strstr(world->why, cases[i].why) == NULL)
			fail_msg("%zu: '%s'", i, world->why);
		stream_close(world->stream);
		world->stream = NULL;
	}
}

static int
make_certs(void **state)
{
	(void)state;
	certs_open(&certs);
	return 0;
}

static int
remove_certs(void **state)
{
	(void)state;
	certs_close(&certs);
	return 0;
}

#define on_plain(test) \
	cmocka_unit_test_setup_teardown(test, set_up_plain, tear_down)
#define on_tls(test) \
	{ \
#test "_tls", test, set_up_tls, tear_down, NULL \
	}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		on_plain(bytes_arrive_in_order),
		on_tls(bytes_arrive_in_order),
		on_plain(reading_can_pause),
		on_tls(reading_can_pause),
		on_plain(what_was_read_is_not_forgotten),
		on_tls(what_was_read_is_not_forgotten),
		on_plain(can_start_paused),
		on_tls(can_start_paused),
		on_plain(hears_the_end_after_the_last_byte),
		on_tls(hears_the_end_after_the_last_byte),
		on_plain(hears_of_a_reset),
		on_tls(hears_of_a_reset),
		on_plain(last_words_are_heard_over_a_failing_write),
		on_plain(closing_sends_what_was_written),
		on_tls(closing_sends_what_was_written),
		on_plain(closing_does_not_wait_for_ever),
		on_tls(closing_does_not_wait_for_ever),
		on_plain(closes_from_any_callback),
		on_tls(closes_from_any_callback),
		on_plain(nothing_is_called_after_close),
		on_tls(nothing_is_called_after_close),
		on_plain(freeing_the_net_cuts_all),
		on_tls(freeing_the_net_cuts_all),
		on_plain(says_why_it_cannot_connect),
		on_tls(a_silent_peer_times_out),
		on_tls(verifies_the_peer),
		on_tls(says_which_file_is_wrong),
	};

	return cmocka_run_group_tests(tests, make_certs, remove_certs);
}
