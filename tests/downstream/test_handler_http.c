/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The HTTP handler against a peer on loopback, answer by answer. */
#include "tests/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "config/conf.h"
#include "downstream/handler.h"
#include "lib/log.h"
#include "lib/loop_libevent.h"
#include "lib/xalloc.h"
#include "tests/downstream/fields.h"
#include "tests/downstream/peer.h"

#define TEXT(s) \
	{ \
		s, sizeof(s) - 1 \
	}
#define MEGABYTE  (1024 * 1024)
#define SHORT_MS  300	/* waited for; long enough to connect in */
#define LONG_MS	  60000 /* longer than any test: never waited for */
#define ANSWER(s) s, sizeof(s) - 1
#define STATUS(s) ANSWER("HTTP/1.1 " s "\r\nContent-Length: 0\r\n\r\n")
#define SAYING(s, n, text) \
	ANSWER("HTTP/1.1 " s "\r\nContent-Length: " #n "\r\n\r\n" text)

struct world {
	struct loop *loop;
	struct peer *peer;
	struct handler *handler;
	struct conf_http conf;
	char url[64];
	struct attempt attempt;
	struct verdict verdict; /* the last one */
	unsigned verdicts, wanted;
};

static const struct attempt an_attempt = {
	.pipeline = TEXT("orders"),
	.queue = TEXT("orders.q"),
	.id = TEXT("id-1"),
	.number = 3,
	.redrives = 1,
	.exchange = TEXT("shop"),
	.routing_key = TEXT("order.new"),
	.content_type = TEXT("application/json"),
	.body = "{\"n\":1}",
	.body_bytes = 7,
};

static int
setup(void **state)
{
	static const char *const proxies[] = { "http_proxy", "https_proxy",
		"HTTPS_PROXY", "all_proxy", "ALL_PROXY" };
	struct world *w = xcalloc(1, sizeof(*w));
	size_t i;

	/* Nobody listens there; it must not matter. */
	for (i = 0; i < array_len(proxies); i++)
		setenv(proxies[i], "http://127.0.0.1:1", 1);
	log_open(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
	w->loop = loop_libevent_new();
	w->peer = peer_new(w->loop);
	snprintf(w->url, sizeof(w->url), "http://127.0.0.1:%u/charge",
	    peer_port(w->peer));
	w->conf = (struct conf_http){
		.url = w->url,
		.method = "POST",
		.timeout_ms = LONG_MS,
		.connect_timeout_ms = LONG_MS,
		.connections = 4,
	};
	w->attempt = an_attempt;
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	handler_free(w->handler);
	peer_free(w->peer);
	loop_free(w->loop);
	free(w);
	return 0;
}

static void
done(void *arg, const struct verdict *verdict)
{
	struct world *w = arg;

	w->verdict = *verdict;
	if (++w->verdicts == w->wanted)
		loop_stop(w->loop);
}

static struct handler_call *
start(struct world *w)
{
	unsigned before = w->verdicts;
	struct handler_call *call;

	if (w->handler == NULL)
		w->handler = handler_http_new(w->loop, &w->conf);
	call = handler_start(w->handler, &w->attempt, done, w);
	assert_non_null(call);
	assert_int_equal(w->verdicts, before);
	return call;
}

/* Runs until this many more verdicts are there. */
static void
await(struct world *w, unsigned count)
{
	w->wanted = w->verdicts + count;
	loop_run(w->loop);
	assert_int_equal(w->verdicts, w->wanted);
}

static void
attempt(struct world *w)
{
	start(w);
	await(w, 1);
}

static void
check(const struct world *w, enum outcome outcome, const char *class)
{
	assert_string_equal(w->verdict.class, class);
	assert_int_equal(w->verdict.outcome, outcome);
	assert_int_equal(w->verdict.counts, outcome != OUTCOME_REJECT);
}

static const struct {
	enum peer_mode mode;
	const char *answer;
	size_t len;
	enum outcome outcome;
	const char *class;
	const char *error;
	int64_t delay_ms;
} answers[] = {
	{ PEER_ANSWER, STATUS("200 OK"), OUTCOME_OK, "http.200", "", -1 },
	{ PEER_ANSWER, ANSWER("HTTP/1.1 204 No Content\r\n\r\n"), OUTCOME_OK,
	    "http.204", "", -1 },
	{ PEER_ANSWER, SAYING("202 Yes", 5, "later"), OUTCOME_OK, "http.202",
	    "", -1 },
	{ PEER_ANSWER,
	    ANSWER("HTTP/1.1 301 Moved\r\nLocation: /elsewhere\r\n"
		   "Content-Length: 0\r\n\r\n"),
	    OUTCOME_REJECT, "http.301", "", -1 },
	{ PEER_ANSWER, SAYING("400 No", 12, "bad \001\n\rorder"),
	    OUTCOME_REJECT, "http.400", "bad order", -1 },
	{ PEER_ANSWER, SAYING("404 No", 4, "what"), OUTCOME_REJECT, "http.404",
	    "what", -1 },
	{ PEER_ANSWER, STATUS("409 Conflict"), OUTCOME_REJECT, "http.409", "",
	    -1 },
	{ PEER_ANSWER, STATUS("401 Who"), OUTCOME_RETRY, "http.401", "", -1 },
	{ PEER_ANSWER,
	    ANSWER("HTTP/1.1 429 Slow\r\nRetry-After: 7\r\n"
		   "Content-Length: 0\r\n\r\n"),
	    OUTCOME_RETRY, "http.429", "", 7000 },
	{ PEER_ANSWER,
	    ANSWER("HTTP/1.1 404 No\r\nRetry-After: 7\r\n"
		   "Content-Length: 0\r\n\r\n"),
	    OUTCOME_REJECT, "http.404", "", 7000 },
	{ PEER_ANSWER, SAYING("500 Oh", 8, "oh\xff\xc3\xa4\xc3no"),
	    OUTCOME_RETRY, "http.500", "oh\xef\xbf\xbd\xc3\xa4\xef\xbf\xbdno",
	    -1 },
	{ PEER_ANSWER, STATUS("503 Down"), OUTCOME_RETRY, "http.503", "", -1 },
	{ PEER_ANSWER,
	    ANSWER("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		   "2\r\nok\r\n0\r\n\r\n"),
	    OUTCOME_OK, "http.200", "", -1 },
	{ PEER_ANSWER,
	    ANSWER("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		   "2\r\nok\r\n0\r\nTrailer: 1\r\n\r\n"),
	    OUTCOME_OK, "http.200", "", -1 },
	{ PEER_ANSWER,
	    ANSWER("HTTP/1.1 103 Early\r\nLink: </x>\r\n\r\n"
		   "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
	    OUTCOME_OK, "http.200", "", -1 },
	{ PEER_ANSWER_CLOSE, ANSWER("HTTP/1.1 103 Early\r\n\r\n"),
	    OUTCOME_RETRY, "http.broken", NULL, -1 },
	{ PEER_ANSWER_CLOSE,
	    ANSWER("HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nCont"),
	    OUTCOME_RETRY, "http.broken", NULL, -1 },
	{ PEER_ANSWER_CLOSE, ANSWER("HTTP/1.0 500 Oh\r\n\r\nuntil the end"),
	    OUTCOME_RETRY, "http.500", "until the end", -1 },
	{ PEER_CLOSE, NULL, 0, OUTCOME_RETRY, "http.broken", NULL, -1 },
	{ PEER_ANSWER_CLOSE, ANSWER("HTTP/1.1 200 OK\r\nContent-Le"),
	    OUTCOME_RETRY, "http.broken", NULL, -1 },
	{ PEER_ANSWER_CLOSE,
	    ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"),
	    OUTCOME_RETRY, "http.broken", NULL, -1 },
	{ PEER_ANSWER_CLOSE,
	    ANSWER("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		   "2\r\nok\r\n"),
	    OUTCOME_RETRY, "http.broken", NULL, -1 },
	{ PEER_ANSWER_CLOSE, ANSWER("SSH-2.0-OpenSSH_9.2\r\n"), OUTCOME_RETRY,
	    "http.broken", NULL, -1 },
};

static void
judges_answers(void **state)
{
	struct world *w = *state;
	size_t i;

	for (i = 0; i < array_len(answers); i++) {
		peer_set(w->peer, answers[i].mode, answers[i].answer,
		    answers[i].len);
		attempt(w);
		check(w, answers[i].outcome, answers[i].class);
		assert_int_equal(w->verdict.delay_ms, answers[i].delay_ms);
		if (answers[i].error != NULL)
			assert_string_equal(w->verdict.error, answers[i].error);
		else
			assert_true(w->verdict.error[0] != '\0');
	}
}

static void
follows_no_redirect(void **state)
{
	struct world *w = *state;

	peer_set(w->peer, PEER_ANSWER,
	    ANSWER("HTTP/1.1 307 There\r\nLocation: /elsewhere\r\n"
		   "Content-Length: 0\r\n\r\n"));
	attempt(w);
	check(w, OUTCOME_REJECT, "http.307");
	assert_int_equal(peer_requests(w->peer), 1);
}

/* A Retry-After that is a date, an hour from now. */
static void
waits_for_a_date(void **state)
{
	struct world *w = *state;
	char answer[256], date[64];
	time_t then = (time_t)(loop_wall_ms(w->loop) / 1000) + 3600;
	struct tm tm;

	assert_non_null(gmtime_r(&then, &tm));
	assert_true(
	    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm) > 0);
	snprintf(answer, sizeof(answer),
	    "HTTP/1.1 503 Down\r\nRetry-After: %s\r\n"
	    "Content-Length: 0\r\n\r\n",
	    date);
	peer_set(w->peer, PEER_ANSWER, answer, strlen(answer));
	attempt(w);
	check(w, OUTCOME_RETRY, "http.503");
	/* Whatever time the test took: not later than asked for. */
	assert_in_range(w->verdict.delay_ms, 1, 3600000);
}

/* Headers without an end are no answer. */
static void
bounds_the_head(void **state)
{
	struct world *w = *state;
	struct buf answer = { 0 };
	int i;

	buf_add_str(&answer, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
	for (i = 0; i < 8; i++) {
		buf_printf(&answer, "X-%d: ", i);
		memset(buf_reserve(&answer, 10000), 'x', 10000);
		buf_claim(&answer, 10000);
		buf_add_str(&answer, "\r\n");
	}
	buf_add_str(&answer, "\r\n");
	peer_set(w->peer, PEER_ANSWER, (char *)buf_peek(&answer), answer.len);
	attempt(w);
	check(w, OUTCOME_RETRY, "http.broken");
	buf_clear(&answer);
}

static void
forwards_headers(void **state)
{
	static const char *const names[] = { "x-tenant", "x-empty" };
	static const struct attempt_field headers[] = {
		FIELD(TEXT("x-tenant"), TEXT("a\r\nEvil: 1")),
		FIELD(TEXT("x-empty"), { "", 0 }),
		FIELD(TEXT("x-other"), TEXT("b")),
	};
	struct world *w = *state;

	w->conf.forward_headers = (struct conf_texts){ names, 2 };
	w->attempt.fields = fields_of(headers, array_len(headers));
	attempt(w);
	check(w, OUTCOME_OK, "http.204");
	assert_string_equal(peer_header(w->peer, "x-tenant"), "a%0D%0AEvil: 1");
	assert_non_null(strstr(peer_head(w->peer), "\r\nx-empty:\r\n"));
	assert_null(peer_header(w->peer, "x-other"));
	assert_null(peer_header(w->peer, "Evil"));
}

static void
says_what_it_is(void **state)
{
	struct world *w = *state;

	attempt(w);
	check(w, OUTCOME_OK, "http.204");
	assert_int_equal(strncmp(peer_head(w->peer),
			     ANSWER("POST /charge HTTP/1.1\r\n")),
	    0);
	assert_string_equal(peer_header(w->peer, "Content-Type"),
	    "application/json");
	assert_string_equal(peer_header(w->peer, "Content-Length"), "7");
	assert_string_equal(peer_header(w->peer, "Idempotency-Key"), "id-1");
	assert_string_equal(peer_header(w->peer, "Dlo-Id"), "id-1");
	assert_string_equal(peer_header(w->peer, "Dlo-Pipeline"), "orders");
	assert_string_equal(peer_header(w->peer, "Dlo-Attempt"), "3");
	assert_string_equal(peer_header(w->peer, "Dlo-Redrives"), "1");
	assert_string_equal(peer_header(w->peer, "Dlo-Exchange"), "shop");
	assert_string_equal(peer_header(w->peer, "Dlo-Routing-Key"),
	    "order.new");
	assert_null(peer_header(w->peer, "Expect"));
	assert_null(peer_header(w->peer, "Content-Encoding"));
	assert_null(peer_header(w->peer, "traceparent"));
	assert_int_equal(peer_body(w->peer)->len, 7);
	assert_memory_equal(buf_peek(peer_body(w->peer)), "{\"n\":1}", 7);
}

static void
uses_the_method(void **state)
{
	struct world *w = *state;

	w->conf.method = "PUT";
	attempt(w);
	assert_int_equal(strncmp(peer_head(w->peer), ANSWER("PUT /charge ")),
	    0);
	assert_string_equal(peer_header(w->peer, "Content-Length"), "7");
	assert_int_equal(peer_body(w->peer)->len, 7);
}

static void
sends_no_body(void **state)
{
	struct world *w = *state;

	w->attempt.body = NULL;
	w->attempt.body_bytes = 0;
	w->attempt.content_type.len = 0;
	attempt(w);
	check(w, OUTCOME_OK, "http.204");
	assert_string_equal(peer_header(w->peer, "Content-Length"), "0");
	assert_null(peer_header(w->peer, "Content-Type"));
}

/* So large that libcurl would ask first whether it is welcome. */
static void
sends_a_large_body(void **state)
{
	struct world *w = *state;
	uint8_t *body = xmalloc(2 * MEGABYTE);
	size_t i;

	for (i = 0; i < 2 * MEGABYTE; i++)
		body[i] = (uint8_t)(i * 7919 >> 8);
	w->attempt.body = body;
	w->attempt.body_bytes = 2 * MEGABYTE;
	attempt(w);
	check(w, OUTCOME_OK, "http.204");
	assert_null(peer_header(w->peer, "Expect"));
	assert_null(peer_header(w->peer, "Transfer-Encoding"));
	assert_int_equal(peer_body(w->peer)->len, 2 * MEGABYTE);
	assert_memory_equal(buf_peek(peer_body(w->peer)), body, 2 * MEGABYTE);
	free(body);
}

/* A long answer: its beginning is the error, its status the outcome. */
static void
reads_no_more_than_it_needs(void **state)
{
	static const char *const statuses[] = { "200 OK", "500 Oh" };
	struct world *w = *state;
	struct buf answer = { 0 };
	size_t i, head;

	for (i = 0; i < array_len(statuses); i++) {
		buf_reset(&answer);
		buf_printf(&answer, "HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n",
		    statuses[i], MEGABYTE);
		head = answer.len;
		memset(buf_reserve(&answer, MEGABYTE), 'x', MEGABYTE);
		buf_claim(&answer, MEGABYTE);
		assert_int_equal(answer.len, head + MEGABYTE);
		peer_set(w->peer, PEER_ANSWER, (char *)buf_peek(&answer),
		    answer.len);
		attempt(w);
		check(w, i == 0 ? OUTCOME_OK : OUTCOME_RETRY,
		    i == 0 ? "http.200" : "http.500");
		assert_int_equal(strlen(w->verdict.error),
		    i == 0 ? 0 : VERDICT_ERROR_MAX);
	}
	peer_set(w->peer, PEER_ANSWER, NULL, 0);
	attempt(w);
	check(w, OUTCOME_OK, "http.204");
	assert_int_equal(peer_accepted(w->peer), 3);
	buf_clear(&answer);
}

static void
notices_refusal(void **state)
{
	struct world *w = *state;

	peer_refuse(w->peer);
	attempt(w);
	check(w, OUTCOME_RETRY, "http.connect");
	assert_true(w->verdict.error[0] != '\0');
}

static void
notices_an_unknown_name(void **state)
{
	struct world *w = *state;

	w->conf.url = "http://nosuch.invalid/";
	attempt(w);
	check(w, OUTCOME_RETRY, "http.dns");
}

static void
notices_a_lack_of_tls(void **state)
{
	struct world *w = *state;

	snprintf(w->url, sizeof(w->url), "https://127.0.0.1:%u/",
	    peer_port(w->peer));
	w->conf.timeout_ms = w->conf.connect_timeout_ms = SHORT_MS;
	attempt(w);
	check(w, OUTCOME_RETRY, "http.tls");
}

static void
times_out(void **state)
{
	struct world *w = *state;

	peer_set(w->peer, PEER_SILENT, NULL, 0);
	w->conf.timeout_ms = SHORT_MS;
	attempt(w);
	check(w, OUTCOME_RETRY, "http.timeout");
	assert_int_equal(peer_requests(w->peer), 1);
}

/* A full backlog: the kernel answers no further connection. */
static void
times_out_connecting(void **state)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct sockaddr *sa = (struct sockaddr *)&address;
	socklen_t len = sizeof(address);
	struct world *w = *state;
	int listener, filler;

	listener = socket(AF_INET, SOCK_STREAM, 0);
	filler = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(listener >= 0 && filler >= 0);
	assert_int_equal(bind(listener, sa, len), 0);
	assert_int_equal(listen(listener, 0), 0);
	assert_int_equal(getsockname(listener, sa, &len), 0);
	assert_int_equal(connect(filler, sa, len), 0);
	snprintf(w->url, sizeof(w->url), "http://127.0.0.1:%u/",
	    ntohs(address.sin_port));
	w->conf.connect_timeout_ms = SHORT_MS;
	attempt(w);
	check(w, OUTCOME_RETRY, "http.connect");
	close(filler);
	close(listener);
}

static void
keeps_connections(void **state)
{
	struct world *w = *state;
	int i;

	for (i = 0; i < 10; i++)
		attempt(w);
	assert_int_equal(peer_requests(w->peer), 10);
	assert_int_equal(peer_accepted(w->peer), 1);
	for (i = 0; i < 4; i++)
		start(w);
	await(w, 4);
	for (i = 0; i < 4; i++)
		start(w);
	await(w, 4);
	assert_int_equal(peer_requests(w->peer), 18);
	assert_int_equal(peer_accepted(w->peer), 4);
	assert_int_equal(w->handler->capacity, 4);
}

/* A kept connection that the peer has closed costs no attempt. */
static void
outlives_a_closed_connection(void **state)
{
	struct world *w = *state;

	peer_set(w->peer, PEER_ANSWER_CLOSE, NULL, 0);
	attempt(w);
	check(w, OUTCOME_OK, "http.204");
	attempt(w);
	check(w, OUTCOME_OK, "http.204");
	assert_int_equal(peer_requests(w->peer), 2);
	assert_int_equal(peer_accepted(w->peer), 2);
}

/* Closed under the request: sent again, on a new connection. */
static void
outlives_a_connection_closed_under_it(void **state)
{
	struct world *w = *state;

	peer_set(w->peer, PEER_CLOSE_REUSED, STATUS("200 OK"));
	attempt(w);
	check(w, OUTCOME_OK, "http.200");
	attempt(w);
	check(w, OUTCOME_OK, "http.200");
	assert_int_equal(peer_requests(w->peer), 3);
	assert_int_equal(peer_accepted(w->peer), 2);
	assert_int_equal(peer_body(w->peer)->len, 7);
}

/* However often: what libcurl counts for a handle is not for ever. */
static void
outlives_that_many_times(void **state)
{
	struct world *w = *state;
	int i;

	peer_set(w->peer, PEER_CLOSE_REUSED, STATUS("200 OK"));
	for (i = 0; i < 20; i++) {
		attempt(w);
		check(w, OUTCOME_OK, "http.200");
	}
	assert_int_equal(peer_requests(w->peer), 39);
}

static void
stop(void *arg)
{
	struct world *w = arg;

	loop_stop(w->loop);
}

static void
cancels(void **state)
{
	struct world *w = *state;
	struct handler_call *call;

	peer_set(w->peer, PEER_SILENT, NULL, 0);
	peer_on_request(w->peer, stop, w);
	call = start(w);
	loop_run(w->loop);
	handler_cancel(call);
	peer_set(w->peer, PEER_ANSWER, NULL, 0);
	peer_on_request(w->peer, NULL, NULL);
	attempt(w);
	check(w, OUTCOME_OK, "http.204");
	assert_int_equal(w->verdicts, 1);
	/* Before anything of it has happened. */
	handler_cancel(start(w));
	attempt(w);
	assert_int_equal(w->verdicts, 2);
	assert_int_equal(peer_requests(w->peer), 3);
}

/* The host of the URL is only a name then. */
static void
connects_to_a_socket(void **state)
{
	struct world *w = *state;
	char folder[] = "/tmp/dlo-test-XXXXXX", path[64];

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/peer", folder);
	w->conf.url = "http://nosuch.invalid/charge";
	w->conf.socket = path;
	attempt(w);
	check(w, OUTCOME_RETRY, "http.connect");
	peer_listen_unix(w->peer, path);
	attempt(w);
	check(w, OUTCOME_OK, "http.204");
	assert_string_equal(peer_header(w->peer, "Host"), "nosuch.invalid");
	attempt(w);
	assert_int_equal(peer_accepted(w->peer), 1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

/* What is under way when the handler goes: teardown frees it. */
static void
is_freed_under_way(void **state)
{
	struct world *w = *state;

	peer_set(w->peer, PEER_SILENT, NULL, 0);
	peer_on_request(w->peer, stop, w);
	start(w);
	start(w);
	loop_run(w->loop);
	assert_int_equal(w->verdicts, 0);
}

/* The name's resolver may be at work: nobody waits for it. */
static void
is_freed_while_resolving(void **state)
{
	struct world *w = *state;
	struct loop_timer *timer = loop_timer_new(w->loop, stop, w);
	struct handler_call *call;

	w->conf.url = "http://nosuch.invalid/";
	call = start(w);
	start(w);
	loop_timer_start(w->loop, timer, 0);
	w->wanted = UINT_MAX;
	loop_run(w->loop);
	if (w->verdicts == 0)
		handler_cancel(call);
	loop_timer_free(w->loop, timer);
}

static struct handler_call *other;

static void
done_and_more(void *arg, const struct verdict *verdict)
{
	struct world *w = arg;

	done(w, verdict);
	handler_cancel(other);
	other = start(w);
}

/* From a callback: one is cancelled, another begins. */
static void
acts_from_a_callback(void **state)
{
	struct world *w = *state;

	w->handler = handler_http_new(w->loop, &w->conf);
	assert_non_null(
	    handler_start(w->handler, &w->attempt, done_and_more, w));
	other = start(w);
	await(w, 2);
	check(w, OUTCOME_OK, "http.204");
}

/* Nothing from the wire makes a header line of its own. */
static void
injects_nothing(void **state)
{
	static const char evil[] =
	    "a\r\nEvil: 1\r\n\r\nGET / HTTP/1.1\r\n\xff%";
	const struct attempt_text text = TEXT(evil);
	struct world *w = *state;

	w->attempt.id = w->attempt.routing_key = w->attempt.exchange = text;
	w->attempt.content_type = w->attempt.content_encoding = text;
	w->attempt.traceparent = w->attempt.tracestate = text;
	w->attempt.pipeline = text;
	attempt(w);
	check(w, OUTCOME_OK, "http.204");
	assert_int_equal(peer_requests(w->peer), 1);
	assert_null(peer_header(w->peer, "Evil"));
	assert_null(peer_header(w->peer, "traceparent"));
	assert_string_equal(peer_header(w->peer, "Dlo-Id"),
	    "a%0D%0AEvil: 1%0D%0A%0D%0AGET / HTTP/1.1%0D%0A%FF%25");
	assert_int_equal(peer_body(w->peer)->len, 7);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(judges_answers),
		TEST(follows_no_redirect),
		TEST(waits_for_a_date),
		TEST(bounds_the_head),
		TEST(forwards_headers),
		TEST(says_what_it_is),
		TEST(uses_the_method),
		TEST(sends_no_body),
		TEST(sends_a_large_body),
		TEST(reads_no_more_than_it_needs),
		TEST(notices_refusal),
		TEST(notices_an_unknown_name),
		TEST(notices_a_lack_of_tls),
		TEST(times_out),
		TEST(times_out_connecting),
		TEST(keeps_connections),
		TEST(outlives_a_closed_connection),
		TEST(outlives_a_connection_closed_under_it),
		TEST(outlives_that_many_times),
		TEST(cancels),
		TEST(connects_to_a_socket),
		TEST(is_freed_under_way),
		TEST(is_freed_while_resolving),
		TEST(acts_from_a_callback),
		TEST(injects_nothing),
	};

	return cmocka_run_group_tests_name("handler_http", tests, NULL, NULL);
}
