/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * libcurl says which descriptors to watch and when to call it (on_socket,
 * on_timer); we say what became ready (act) and fetch what is done (reap).
 * Callers' callbacks run from reap only, outside of libcurl. A watch may go
 * while its own callback runs: it is not touched after the call to libcurl.
 */
#include "downstream/http_client.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/build.h"
#include "lib/xalloc.h"

struct http_client_call {
	struct http_client *client;
	CURL *easy;
	struct buf lines;
	struct curl_slist *nodes; /* an array: one for each line */
	size_t nodes_space;
	bool head_whole; /* the empty line after the answer's headers came */
	struct buf kept; /* how the answer begins */
	size_t read_bytes;
	char error[CURL_ERROR_SIZE];
	http_client_cb *cb;
	void *arg;
	LIST_ENTRY(http_client_call) entry;
};

LIST_HEAD(http_client_calls, http_client_call);

struct http_client {
	struct loop *loop;
	CURLM *multi;
	struct loop_timer *timer;
	char *url, *method;
	struct http_client_params params;
	struct http_client_calls calls, spare;
};

/* A descriptor that libcurl wants watched. */
struct watch {
	struct http_client *client;
	curl_socket_t fd;
	struct loop_fd *fd_watch;
};

/* None of these is expected of a correct program with memory left. */
static void
check(bool good, const char *what, const char *why)
{
	if (good)
		return;
	fprintf(stderr, "libcurl: %s: %s\n", what, why);
	abort();
}

static void
check_easy(CURLcode code, const char *what)
{
	check(code == CURLE_OK, what, curl_easy_strerror(code));
}

static void
check_multi(CURLMcode code, const char *what)
{
	check(code == CURLM_OK, what, curl_multi_strerror(code));
}

#define EASY_SET(easy, option, value) \
	check_easy(curl_easy_setopt(easy, option, value), #option)
#define MULTI_SET(multi, option, value) \
	check_multi(curl_multi_setopt(multi, option, value), #option)

static curl_off_t
time_of(CURL *easy, CURLINFO info)
{
	curl_off_t time_us;

	check_easy(curl_easy_getinfo(easy, info, &time_us), "getinfo");
	return time_us;
}

/* What was going on when the time was up. */
static enum http_client_result
result_of_timeout(CURL *easy)
{
	long connects;

	if (time_of(easy, CURLINFO_PRETRANSFER_TIME_T) > 0)
		return HTTP_CLIENT_TIMEOUT;
	check_easy(curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &connects),
	    "getinfo");
	if (connects > 0)
		return HTTP_CLIENT_TLS;
	if (time_of(easy, CURLINFO_NAMELOOKUP_TIME_T) > 0)
		return HTTP_CLIENT_CONNECT;
	return HTTP_CLIENT_DNS;
}

static enum http_client_result
result_of(CURL *easy, CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return HTTP_CLIENT_ANSWER;
	case CURLE_OPERATION_TIMEDOUT:
		return result_of_timeout(easy);
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return HTTP_CLIENT_DNS;
	case CURLE_COULDNT_CONNECT:
	case CURLE_PROXY:
	case CURLE_INTERFACE_FAILED:
		return HTTP_CLIENT_CONNECT;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CRL_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_ENGINE_INITFAILED:
	case CURLE_SSL_ENGINE_NOTFOUND:
	case CURLE_SSL_ENGINE_SETFAILED:
	case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_SSL_CLIENTCERT:
	case CURLE_USE_SSL_FAILED:
		return HTTP_CLIENT_TLS;
	default:
		return HTTP_CLIENT_BROKEN;
	}
}

/* We stopped reading a long answer ourselves: what counts is there. */
static bool
had_enough(const struct http_client_call *call, CURLcode code)
{
	return code == CURLE_WRITE_ERROR &&
	    call->read_bytes > HTTP_CLIENT_READ_MAX;
}

/* libcurl is content with a head that the end of the connection cut off. */
static enum http_client_result
judge(const struct http_client_call *call, CURLcode code)
{
	if (code != CURLE_OK && !had_enough(call, code))
		return result_of(call->easy, code);
	return call->head_whole ? HTTP_CLIENT_ANSWER : HTTP_CLIENT_BROKEN;
}

static const char *
error_of(const struct http_client_call *call, CURLcode code)
{
	if (code == CURLE_OK)
		return "the connection was closed within the answer's head";
	return call->error[0] != '\0' ? call->error : curl_easy_strerror(code);
}

static void
finish(struct http_client_call *call, CURLcode code)
{
	struct http_client_answer answer = {
		.body = buf_peek(&call->kept),
		.body_bytes = call->kept.len,
	};
	struct curl_header *header;
	long status;

	check(code != CURLE_OUT_OF_MEMORY, "transfer", "out of memory");
	answer.result = judge(call, code);
	if (answer.result == HTTP_CLIENT_ANSWER) {
		check_easy(curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE,
			       &status),
		    "getinfo");
		answer.status = (unsigned)status;
		if (curl_easy_header(call->easy, "Retry-After", 0, CURLH_HEADER,
			-1, &header) == CURLHE_OK)
			answer.retry_after = header->value;
	} else {
		answer.error = error_of(call, code);
	}
	/* The handle keeps the headers until it is used again. */
	LIST_REMOVE(call, entry);
	call->cb(call->arg, &answer);
	LIST_INSERT_HEAD(&call->client->spare, call, entry);
}

static void
reap(struct http_client *client)
{
	struct http_client_call *call;
	CURLMsg *msg;
	CURLcode code;
	int left;

	while ((msg = curl_multi_info_read(client->multi, &left)) != NULL) {
		if (msg->msg != CURLMSG_DONE)
			continue;
		code = msg->data.result;
		check_easy(curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE,
			       (char **)&call),
		    "getinfo");
		check_multi(curl_multi_remove_handle(client->multi, call->easy),
		    "remove");
		finish(call, code);
	}
}

static void
act(struct http_client *client, curl_socket_t fd, int ready)
{
	int running;

	check_multi(curl_multi_socket_action(client->multi, fd, ready,
			&running),
	    "socket_action");
	reap(client);
}

static void
on_ready(void *arg, unsigned ready)
{
	struct watch *watch = arg;

	act(watch->client, watch->fd,
	    (ready & LOOP_READ ? CURL_CSELECT_IN : 0) |
		(ready & LOOP_WRITE ? CURL_CSELECT_OUT : 0));
}

static void
on_due(void *arg)
{
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int
on_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct http_client *client = arg;

	(void)multi;
	if (timeout_ms < 0)
		loop_timer_stop(client->loop, client->timer);
	else
		loop_timer_start(client->loop, client->timer, timeout_ms);
	return 0;
}

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *watch_arg)
{
	struct http_client *client = arg;
	struct watch *watch = watch_arg;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (watch != NULL)
			loop_fd_free(client->loop, watch->fd_watch);
		free(watch);
		return 0;
	}
	if (watch == NULL) {
		watch = xmalloc(sizeof(*watch));
		watch->client = client;
		watch->fd = fd;
		watch->fd_watch =
		    loop_fd_new(client->loop, fd, on_ready, watch);
		check_multi(curl_multi_assign(client->multi, fd, watch),
		    "assign");
	}
	loop_fd_want(client->loop, watch->fd_watch,
	    (what & CURL_POLL_IN ? LOOP_READ : 0) |
		(what & CURL_POLL_OUT ? LOOP_WRITE : 0));
	return 0;
}

/* Whole lines: of each 1xx, of the answer, and of what may trail its body. */
static size_t
on_header(char *bytes, size_t size, size_t count, void *arg)
{
	struct http_client_call *call = arg;
	size_t len = size * count;

	if (len >= 5 && memcmp(bytes, "HTTP/", 5) == 0)
		call->head_whole = false;
	else if (bytes[0] == '\r' || bytes[0] == '\n')
		call->head_whole = true;
	return len;
}

static size_t
on_body(char *bytes, size_t size, size_t count, void *arg)
{
	struct http_client_call *call = arg;
	size_t len = size * count, keep = len;

	if (keep > HTTP_CLIENT_KEEP_MAX - call->kept.len)
		keep = HTTP_CLIENT_KEEP_MAX - call->kept.len;
	buf_add(&call->kept, bytes, keep);
	call->read_bytes += len;
	return call->read_bytes > HTTP_CLIENT_READ_MAX ? CURL_WRITEFUNC_ERROR
						       : len;
}

/* What is the same for each request of this client. */
static void
set_up(struct http_client_call *call)
{
	const struct http_client *client = call->client;
	CURL *easy = call->easy;

	EASY_SET(easy, CURLOPT_PRIVATE, call);
	EASY_SET(easy, CURLOPT_URL, client->url);
	EASY_SET(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	EASY_SET(easy, CURLOPT_NOSIGNAL, 1L);
	/* Else a cancel waits for the thread that resolves the name. */
	EASY_SET(easy, CURLOPT_QUICK_EXIT, 1L);
	EASY_SET(easy, CURLOPT_TIMEOUT_MS, (long)client->params.timeout_ms);
	EASY_SET(easy, CURLOPT_CONNECTTIMEOUT_MS,
	    (long)client->params.connect_timeout_ms);
	EASY_SET(easy, CURLOPT_USERAGENT, "dlo/" PACKAGE_VERSION);
	EASY_SET(easy, CURLOPT_WRITEFUNCTION, on_body);
	EASY_SET(easy, CURLOPT_WRITEDATA, call);
	EASY_SET(easy, CURLOPT_HEADERFUNCTION, on_header);
	EASY_SET(easy, CURLOPT_HEADERDATA, call);
	EASY_SET(easy, CURLOPT_ERRORBUFFER, call->error);
	if (client->params.fresh) {
		EASY_SET(easy, CURLOPT_FRESH_CONNECT, 1L);
		EASY_SET(easy, CURLOPT_FORBID_REUSE, 1L);
	}
	if (client->method == NULL) {
		EASY_SET(easy, CURLOPT_HTTPGET, 1L);
		return;
	}
	EASY_SET(easy, CURLOPT_POST, 1L);
	if (strcmp(client->method, "POST") != 0)
		EASY_SET(easy, CURLOPT_CUSTOMREQUEST, client->method);
}

static struct http_client_call *
call_take(struct http_client *client)
{
	struct http_client_call *call = LIST_FIRST(&client->spare);

	if (call != NULL) {
		LIST_REMOVE(call, entry);
		return call;
	}
	call = xcalloc(1, sizeof(*call));
	call->client = client;
	call->easy = curl_easy_init();
	check(call->easy != NULL, "easy_init", "out of memory");
	set_up(call);
	return call;
}

static void
call_free(struct http_client_call *call)
{
	LIST_REMOVE(call, entry);
	curl_easy_cleanup(call->easy);
	buf_clear(&call->lines);
	buf_clear(&call->kept);
	free(call->nodes);
	free(call);
}

/* The lines as the list that libcurl wants; NULL for none. */
static struct curl_slist *
list_lines(struct http_client_call *call)
{
	char *line = (char *)buf_peek(&call->lines);
	char *end = line + call->lines.len;
	size_t count = 0, i;

	for (; line < end; line += strlen(line) + 1) {
		if (count == call->nodes_space) {
			call->nodes_space += 16;
			call->nodes = xrealloc(call->nodes,
			    call->nodes_space * sizeof(call->nodes[0]));
		}
		call->nodes[count++].data = line;
	}
	for (i = 0; i < count; i++)
		call->nodes[i].next =
		    i + 1 < count ? &call->nodes[i + 1] : NULL;
	return count > 0 ? call->nodes : NULL;
}

struct http_client_call *
http_client_start(struct http_client *client, const struct buf *lines,
    const void *body, size_t body_bytes, http_client_cb *cb, void *arg)
{
	struct http_client_call *call = call_take(client);

	call->cb = cb;
	call->arg = arg;
	call->head_whole = false;
	call->read_bytes = 0;
	call->error[0] = '\0';
	buf_reset(&call->kept);
	buf_reset(&call->lines);
	if (lines != NULL)
		buf_add(&call->lines, buf_peek(lines), lines->len);
	EASY_SET(call->easy, CURLOPT_HTTPHEADER, list_lines(call));
	if (client->method != NULL) {
		EASY_SET(call->easy, CURLOPT_POSTFIELDS,
		    body_bytes > 0 ? body : "");
		EASY_SET(call->easy, CURLOPT_POSTFIELDSIZE_LARGE,
		    (curl_off_t)body_bytes);
	}
	check_multi(curl_multi_add_handle(client->multi, call->easy), "add");
	LIST_INSERT_HEAD(&client->calls, call, entry);
	return call;
}

void
http_client_cancel(struct http_client_call *call)
{
	struct http_client *client = call->client;

	check_multi(curl_multi_remove_handle(client->multi, call->easy),
	    "remove");
	LIST_REMOVE(call, entry);
	LIST_INSERT_HEAD(&client->spare, call, entry);
}

static void
init_once(void)
{
	static bool done;

	if (!done)
		check_easy(curl_global_init(CURL_GLOBAL_DEFAULT),
		    "global_init");
	done = true;
}

struct http_client *
http_client_new(struct loop *loop, const struct http_client_params *params)
{
	struct http_client *client = xcalloc(1, sizeof(*client));

	init_once();
	client->loop = loop;
	client->params = *params;
	client->url = xstrdup(params->url);
	client->method = xstrdup(params->method);
	client->timer = loop_timer_new(loop, on_due, client);
	LIST_INIT(&client->calls);
	LIST_INIT(&client->spare);
	client->multi = curl_multi_init();
	check(client->multi != NULL, "multi_init", "out of memory");
	MULTI_SET(client->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	MULTI_SET(client->multi, CURLMOPT_SOCKETDATA, client);
	MULTI_SET(client->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	MULTI_SET(client->multi, CURLMOPT_TIMERDATA, client);
	MULTI_SET(client->multi, CURLMOPT_MAXCONNECTS,
	    (long)params->connections);
	return client;
}

void
http_client_free(struct http_client *client)
{
	struct http_client_call *call;

	if (client == NULL)
		return;
	while ((call = LIST_FIRST(&client->calls)) != NULL)
		http_client_cancel(call);
	while ((call = LIST_FIRST(&client->spare)) != NULL)
		call_free(call);
	check_multi(curl_multi_cleanup(client->multi), "cleanup");
	loop_timer_free(client->loop, client->timer);
	free(client->url);
	free(client->method);
	free(client);
}
