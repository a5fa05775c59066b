/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/unit.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/http_server.h"
#include "lib/log.h"
#include "lib/loop_libevent.h"

/* A client that collects what it gets. */
struct client {
	struct loop *loop;
	struct loop_fd *watch;
	int fd;
	struct buf got;
	const char *until; /* stop when the text has come; NULL: at the end */
	bool ended;
};

struct world {
	struct loop *loop;
	struct http_server *server;
	struct http_request *held; /* by hold(), in_parts() */
	unsigned parts, sent;
	struct loop_timer *timer;
	struct client clients[4];
};

static void
stop(void *arg)
{
	struct world *world = arg;

	loop_stop(world->loop);
}

/* Lets happen what must not show. */
static void
idle(struct world *world, int64_t delay_ms)
{
	loop_timer_start(world->loop, world->timer, delay_ms);
	loop_run(world->loop);
}

static void
client_read(void *arg, unsigned ready)
{
	struct client *client = arg;
	ssize_t n =
	    recv(client->fd, buf_reserve(&client->got, 65536), 65536, 0);

	(void)ready;
	if (n > 0) {
		buf_claim(&client->got, (size_t)n);
		if (client->until != NULL &&
		    strstr(buf_str(&client->got), client->until) != NULL)
			loop_stop(client->loop);
		return;
	}
	client->ended = true;
	loop_fd_want(client->loop, client->watch, 0);
	loop_stop(client->loop);
}

static struct client *
client_open(struct world *world, unsigned which)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(http_server_port(world->server)) };
	struct client *client = &world->clients[which];

	client->loop = world->loop;
	client->fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(client->fd, (struct sockaddr *)&addr,
			     sizeof(addr)),
	    0);
	client->watch =
	    loop_fd_new(world->loop, client->fd, client_read, client);
	loop_fd_want(world->loop, client->watch, LOOP_READ);
	return client;
}

static void
client_close(struct client *client)
{
	if (client->watch == NULL)
		return;
	loop_fd_free(client->loop, client->watch);
	close(client->fd);
	buf_clear(&client->got);
	memset(client, 0, sizeof(*client));
}

static void
client_send(struct client *client, const char *text)
{
	assert_int_equal(send(client->fd, text, strlen(text), 0), strlen(text));
}

/* What comes until `until` (NULL: the end), as text. */
static const char *
client_hear(struct client *client, const char *until)
{
	client->until = until;
	if (!client->ended &&
	    (until == NULL || client->got.len == 0 ||
		strstr(buf_str(&client->got), until) == NULL))
		loop_run(client->loop);
	return buf_str(&client->got);
}

static void
expect_part(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("'%s' has no '%s'", text, part);
}

/* One request on a connection of its own, and the whole answer. */
static void
expect_answer(struct world *world, const char *request, const char *part)
{
	struct client *client = client_open(world, 0);

	client_send(client, request);
	expect_part(client_hear(client, NULL), part);
	client_close(client);
}

static void
hello(void *arg, struct http_request *request)
{
	struct buf body = { 0 };
	const char *name = http_server_query(request, "name");
	const uint8_t *bytes;
	size_t len;

	bytes = http_server_body(request, &len);
	buf_printf(&body, "%s %s %s %s [%.*s]\n", (const char *)arg,
	    http_server_method(request), http_server_path(request),
	    name == NULL ? "-" : name, (int)len,
	    len == 0 ? "" : (const char *)bytes);
	if (http_server_header(request, "x-ask") != NULL)
		http_server_add_header(request, "X-Answer",
		    http_server_header(request, "X-Ask"));
	http_server_respond(request, 200, "text/plain", &body);
	buf_clear(&body);
}

static char exact[] = "exact", post[] = "post", below[] = "below", deep[] = "a";

static void
hold(void *arg, struct http_request *request)
{
	struct world *world = arg;

	assert_null(world->held);
	world->held = request;
	loop_stop(world->loop);
}

static void
large(void *arg, struct http_request *request)
{
	const size_t len = 5 * 1024 * 1024;
	struct buf body = { 0 };

	(void)arg;
	memset(buf_reserve(&body, len), 'x', len);
	buf_claim(&body, len);
	http_server_respond(request, 200, "text/plain", &body);
	buf_clear(&body);
}

/* An answer in parts, one after the other as the client takes them. */
static void
next_part(void *arg)
{
	struct world *world = arg;
	const size_t len = 64 * 1024;
	struct buf part = { 0 };
	bool sent = false;

	memset(buf_reserve(&part, len), 'x', len);
	buf_claim(&part, len);
	if (world->sent < world->parts)
		sent = http_server_send(world->held, &part, next_part, world);
	buf_clear(&part);
	world->sent += sent;
	if (sent)
		return;
	http_server_end(world->held);
	world->held = NULL;
	if (world->sent < world->parts)
		loop_stop(world->loop);
}

static void
in_parts(void *arg, struct http_request *request)
{
	struct world *world = arg;

	world->held = request;
	world->sent = 0;
	http_server_begin(request, 200, "text/plain");
	next_part(world);
}

static void
close_server(void *arg, struct http_request *request)
{
	struct world *world = arg;

	http_server_close(world->server);
	http_server_close(world->server);
	world->server = NULL;
	http_server_respond(request, 204, NULL, NULL);
}

static void
open_server(struct world *world, const char *address,
    const struct http_server_limits *limits)
{
	char *error = NULL;

	world->server = http_server_open(world->loop, address, limits, &error);
	if (world->server == NULL)
		fail_msg("%s", error);
	http_server_handle(world->server, "GET", "/hello", hello, exact);
	http_server_handle(world->server, "POST", "/hello", hello, post);
	http_server_handle(world->server, "GET", "/v1/", hello, below);
	http_server_handle(world->server, "GET", "/v1/a", hello, deep);
	http_server_handle(world->server, "GET", "/hold", hold, world);
	http_server_handle(world->server, "GET", "/large", large, NULL);
	http_server_handle(world->server, "GET", "/parts", in_parts, world);
	http_server_handle(world->server, "GET", "/close", close_server, world);
}

static int
set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	world->loop = loop_libevent_new();
	world->timer = loop_timer_new(world->loop, stop, world);
	open_server(world, "127.0.0.1:0", NULL);
	*state = world;
	return 0;
}

static int
tear_down(void **state)
{
	struct world *world = *state;
	size_t i;

	for (i = 0; i < array_len(world->clients); i++)
		client_close(&world->clients[i]);
	http_server_close(world->server);
	loop_timer_free(world->loop, world->timer);
	loop_free(world->loop);
	free(world);
	return 0;
}

#define BYE "Connection: close\r\n\r\n"

static void
routes_requests(void **state)
{
	static const struct {
		const char *request, *answer;
	} cases[] = {
		{ "GET /hello HTTP/1.1\r\n" BYE,
		    "\r\n\r\nexact GET /hello - []\n" },
		{ "GET /hello?name HTTP/1.1\r\n" BYE, "HTTP/1.1 400 " },
		{ "GET /hello?name=a%20b+c&x= HTTP/1.1\r\n" BYE,
		    "exact GET /hello a b c []\n" },
		{ "GET /hello? HTTP/1.1\r\n" BYE, "exact GET /hello - []\n" },
		{ "GET /hell%6f HTTP/1.1\r\n" BYE, "exact GET /hello - []\n" },
		{ "GET http://h/hello HTTP/1.1\r\n" BYE,
		    "exact GET /hello - []\n" },
		{ "POST /hello HTTP/1.1\r\nContent-Length: 4\r\n" BYE "body",
		    "post POST /hello - [body]\n" },
		{ "POST /hello HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" BYE
		  "2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n",
		    "post POST /hello - [body]\n" },
		{ "GET /v1/a HTTP/1.1\r\n" BYE, "a GET /v1/a" },
		{ "GET /v1/ HTTP/1.1\r\n" BYE, "below GET /v1/" },
		{ "GET /v1/a/b HTTP/1.1\r\n" BYE, "below GET /v1/a/b" },
		{ "GET /v1 HTTP/1.1\r\n" BYE, "404 Not Found" },
		{ "GET /hello/ HTTP/1.1\r\n" BYE, "404 Not Found" },
		{ "GET /HELLO HTTP/1.1\r\n" BYE,
		    "Content-Type: application/problem+json\r\n" },
		{ "GET / HTTP/1.1\r\n" BYE,
		    "\"title\":\"Not Found\",\"status\":404}" },
		{ "DELETE /hello HTTP/1.1\r\n" BYE, "405 Method Not Allowed" },
		{ "DELETE /hello HTTP/1.1\r\n" BYE,
		    "\r\nAllow: POST, GET\r\n" },
		{ "BREW /hello HTTP/1.1\r\n" BYE, "HTTP/1.1 501 " },
		{ "GET /hel%00lo HTTP/1.1\r\n" BYE, "400 Bad Request" },
		{ "GET hello HTTP/1.1\r\n" BYE, "HTTP/1.1 400 " },
		{ "OPTIONS * HTTP/1.1\r\n" BYE, "HTTP/1.1 400 " },
		{ "rubbish\r\n\r\n", "HTTP/1.1 400 " },
		{ "GET /hello HTTP/1.1\r\nX-Ask: why\r\n" BYE,
		    "\r\nX-Answer: why\r\n" },
		{ "GET /hello HTTP/1.0\r\n\r\n", "exact GET /hello" },
	};
	struct world *world = *state;
	size_t i;

	for (i = 0; i < array_len(cases); i++)
		expect_answer(world, cases[i].request, cases[i].answer);
}

static void
head_has_no_body(void **state)
{
	struct world *world = *state;
	struct client *client = client_open(world, 0);
	const char *answer;

	client_send(client, "HEAD /hello HTTP/1.1\r\n" BYE);
	answer = client_hear(client, NULL);
	expect_part(answer, "HTTP/1.1 200 OK\r\n");
	expect_part(answer, "Content-Length: 23\r\n");
	assert_string_equal(answer + strlen(answer) - 4, "\r\n\r\n");
}

static void
a_connection_takes_many_requests(void **state)
{
	struct world *world = *state;
	struct client *client = client_open(world, 0);
	unsigned i;

	for (i = 0; i < 5; i++) {
		client_send(client, "GET /hello HTTP/1.1\r\n\r\n");
		client_hear(client, "exact GET");
		assert_false(client->ended);
		buf_reset(&client->got);
	}
	/* Two at once. */
	client_send(client,
	    "GET /v1/x HTTP/1.1\r\n\r\nGET /hello HTTP/1.1\r\n\r\n");
	expect_part(client_hear(client, "exact GET"), "below GET");
}

static void
a_large_answer_arrives_whole(void **state)
{
	struct world *world = *state;
	struct client *client = client_open(world, 0);
	const char *answer;

	client_send(client, "GET /large HTTP/1.0\r\n\r\n");
	answer = client_hear(client, NULL);
	assert_int_equal(strlen(strstr(answer, "\r\n\r\n") + 4),
	    5 * 1024 * 1024);
}

static void
an_answer_may_come_in_parts(void **state)
{
	struct world *world = *state;
	struct client *client = client_open(world, 0);
	const char *answer;

	world->parts = 80;
	client_send(client, "GET /parts HTTP/1.0\r\n\r\n");
	answer = client_hear(client, NULL);
	assert_int_equal(strlen(strstr(answer, "\r\n\r\n") + 4),
	    80 * 64 * 1024);
	client_close(client);
	client = client_open(world, 0);
	world->parts = 1;
	client_send(client, "GET /parts HTTP/1.1\r\n\r\n");
	answer = client_hear(client, "\r\n0\r\n\r\n");
	expect_part(answer, "Transfer-Encoding: chunked\r\n");
	buf_reset(&client->got);
	/* The connection is as good as before. */
	client_send(client, "GET /hello HTTP/1.1\r\n\r\n");
	client_hear(client, "exact GET");
}

/* Who takes nothing holds nothing up for ever, and needs no memory. */
static void
parts_wait_for_their_client(void **state)
{
	const struct http_server_limits limits = { .idle_ms = 100 };
	struct world *world = *state;
	struct client *client;

	http_server_close(world->server);
	open_server(world, "127.0.0.1:0", &limits);
	client = client_open(world, 0);
	world->parts = 1000000;
	loop_fd_want(world->loop, client->watch, 0);
	client_send(client, "GET /parts HTTP/1.1\r\n\r\n");
	loop_run(world->loop);
	assert_null(world->held);
	assert_true(world->sent < 1000);
}

static void
parts_end_when_the_client_goes(void **state)
{
	struct world *world = *state;
	struct client *client = client_open(world, 0);

	world->parts = 1000000;
	loop_fd_want(world->loop, client->watch, 0);
	client_send(client, "GET /parts HTTP/1.1\r\n\r\n");
	idle(world, 20);
	assert_non_null(world->held);
	client_close(client);
	loop_run(world->loop);
	assert_null(world->held);
}

static void
parts_end_when_the_server_goes(void **state)
{
	struct world *world = *state;
	struct client *client = client_open(world, 0);

	world->parts = 1000000;
	loop_fd_want(world->loop, client->watch, 0);
	client_send(client, "GET /parts HTTP/1.1\r\n\r\n");
	idle(world, 20);
	http_server_close(world->server);
	world->server = NULL;
	loop_run(world->loop);
	assert_null(world->held);
}

static void
sizes_are_bounded(void **state)
{
	const struct http_server_limits limits = { .header_bytes = 500,
		.body_bytes = 100 };
	struct world *world = *state;
	char request[2000], filler[1000];

	http_server_close(world->server);
	open_server(world, "127.0.0.1:0", &limits);
	memset(filler, 'x', sizeof(filler));
	snprintf(request, sizeof(request),
	    "GET /hello HTTP/1.1\r\nX-A: %.600s\r\n" BYE, filler);
	expect_answer(world, request, "HTTP/1.1 400 ");
	snprintf(request, sizeof(request), "GET /%.600s HTTP/1.1\r\n" BYE,
	    filler);
	expect_answer(world, request, "HTTP/1.1 400 ");
	snprintf(request, sizeof(request),
	    "POST /hello HTTP/1.1\r\nContent-Length: 101\r\n" BYE "%.101s",
	    filler);
	expect_answer(world, request, "HTTP/1.1 413 ");
	snprintf(request, sizeof(request),
	    "POST /hello HTTP/1.1\r\nContent-Length: 100\r\n" BYE "%.100s",
	    filler);
	expect_answer(world, request, "HTTP/1.1 200 ");
}

static void
connections_are_bounded(void **state)
{
	const struct http_server_limits limits = { .connections = 2 };
	struct world *world = *state;
	struct client *a, *b, *c;

	http_server_close(world->server);
	open_server(world, "127.0.0.1:0", &limits);
	a = client_open(world, 0);
	b = client_open(world, 1);
	c = client_open(world, 2);
	client_send(a, "GET /hello HTTP/1.1\r\n\r\n");
	client_hear(a, "exact");
	client_send(c, "GET /hello HTTP/1.1\r\n\r\n");
	idle(world, 20);
	assert_int_equal(c->got.len, 0);
	/* One that has asked goes; then one that has said nothing. */
	client_close(a);
	client_hear(c, "exact");
	a = client_open(world, 0);
	client_send(a, "GET /hello HTTP/1.1\r\n\r\n");
	idle(world, 20);
	assert_int_equal(a->got.len, 0);
	client_close(b);
	client_hear(a, "exact");
}

static void
time_is_bounded(void **state)
{
	const struct http_server_limits limits = { .idle_ms = 60 };
	struct world *world = *state;
	struct client *silent, *dribbler, *asker;

	http_server_close(world->server);
	open_server(world, "127.0.0.1:0", &limits);
	silent = client_open(world, 0);
	client_hear(silent, NULL);
	asker = client_open(world, 2);
	client_send(asker, "GET /hello HTTP/1.1\r\n\r\n");
	client_hear(asker, "exact");
	client_hear(asker, NULL);
	dribbler = client_open(world, 1);
	client_send(dribbler, "GET /hello HTTP/1.1\r\nX: ");
	while (!dribbler->ended) {
		/* Into a closed connection at last. */
		if (send(dribbler->fd, "x", 1, MSG_NOSIGNAL) == -1)
			break;
		idle(world, 10);
	}
	/* A request that is being handled may take longer. */
	client_close(asker);
	asker = client_open(world, 2);
	client_send(asker, "GET /hold HTTP/1.1\r\n\r\n");
	loop_run(world->loop);
	idle(world, 150);
	assert_false(asker->ended);
	http_server_respond(world->held, 200, NULL, NULL);
	expect_part(client_hear(asker, "\r\n\r\n"), "200 OK");
}

static void
an_answer_can_come_later(void **state)
{
	struct world *world = *state;
	struct client *client = client_open(world, 0);

	client_send(client, "GET /hold HTTP/1.1\r\n\r\n");
	loop_run(world->loop);
	assert_string_equal(http_server_path(world->held), "/hold");
	idle(world, 5);
	assert_int_equal(client->got.len, 0);
	http_server_respond(world->held, 202, NULL, NULL);
	world->held = NULL;
	expect_part(client_hear(client, "\r\n\r\n"), "202 Accepted");
	/* To a client that has gone. */
	client_send(client, "GET /hold HTTP/1.1\r\n\r\n");
	loop_run(world->loop);
	client_close(client);
	idle(world, 5);
	http_server_respond(world->held, 200, NULL, NULL);
	world->held = NULL;
	idle(world, 5);
	/* And after the server's end. */
	client = client_open(world, 0);
	client_send(client, "GET /hold HTTP/1.1\r\nX: y\r\n\r\n");
	loop_run(world->loop);
	http_server_close(world->server);
	world->server = NULL;
	client_hear(client, NULL);
	assert_string_equal(http_server_path(world->held), "/hold");
	assert_null(http_server_header(world->held, "X"));
	http_server_add_header(world->held, "A", "b");
	http_server_respond(world->held, 200, NULL, NULL);
}

static void
closes_from_a_handler(void **state)
{
	struct world *world = *state;
	struct client *client = client_open(world, 0);

	client_send(client, "GET /close HTTP/1.1\r\n\r\n");
	client_hear(client, NULL);
	assert_null(world->server);
}

static void
swallow(void *arg, const char *line, size_t len)
{
	unsigned *lines = arg;

	(void)line;
	(void)len;
	++*lines;
}

static void
split(void *arg, struct http_request *request)
{
	(void)arg;
	http_server_add_header(request, "X-Bad", "a\r\nX-Injected: b");
	http_server_respond(request, 200, "text/plain", NULL);
}

static void
headers_cannot_be_injected(void **state)
{
	struct world *world = *state;
	struct client *client = client_open(world, 0);
	unsigned lines = 0;
	const char *answer;

	http_server_handle(world->server, "GET", "/split", split, NULL);
	log_set_sink(swallow, &lines);
	client_send(client, "GET /split HTTP/1.1\r\n" BYE);
	answer = client_hear(client, NULL);
	log_set_sink(NULL, NULL);
	expect_part(answer, "200 OK");
	assert_null(strstr(answer, "Injected"));
	assert_int_equal(lines, 1);
}

static void
answers_on_a_unix_socket(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct world *world = *state;
	struct client *client = &world->clients[0];
	char address[64];

	http_server_close(world->server);
	snprintf(address, sizeof(address), "unix:/tmp/dlo-test-http-%d",
	    (int)getpid());
	open_server(world, address, NULL);
	assert_int_equal(http_server_port(world->server), 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", address + 5);
	client->loop = world->loop;
	client->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(client->fd, (struct sockaddr *)&addr,
			     sizeof(addr)),
	    0);
	client->watch =
	    loop_fd_new(world->loop, client->fd, client_read, client);
	loop_fd_want(world->loop, client->watch, LOOP_READ);
	client_send(client, "GET /hello HTTP/1.1\r\n" BYE);
	expect_part(client_hear(client, NULL), "exact GET");
}

static void
says_why_it_cannot_listen(void **state)
{
	struct world *world = *state;
	struct http_server *second;
	char address[32], *error = NULL;

	snprintf(address, sizeof(address), "127.0.0.1:%u",
	    (unsigned)http_server_port(world->server));
	second = http_server_open(world->loop, address, NULL, &error);
	assert_null(second);
	expect_part(error, "Address already in use");
	free(error);
	second = http_server_open(world->loop, "none", NULL, &error);
	assert_non_null(second);
	http_server_handle(second, "GET", "/", hello, exact);
	http_server_close(second);
}

#define in_world(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		in_world(routes_requests),
		in_world(head_has_no_body),
		in_world(a_connection_takes_many_requests),
		in_world(a_large_answer_arrives_whole),
		in_world(an_answer_may_come_in_parts),
		in_world(parts_wait_for_their_client),
		in_world(parts_end_when_the_client_goes),
		in_world(parts_end_when_the_server_goes),
		in_world(sizes_are_bounded),
		in_world(connections_are_bounded),
		in_world(time_is_bounded),
		in_world(an_answer_can_come_later),
		in_world(closes_from_a_handler),
		in_world(headers_cannot_be_injected),
		in_world(answers_on_a_unix_socket),
		in_world(says_why_it_cannot_listen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
