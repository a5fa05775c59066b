/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * libcurl says which descriptors to watch and when to call it (on_socket,
 * on_timer); we say what became ready (act) and fetch what is done (reap).
 * Callers' callbacks run from reap only, outside of libcurl. A watch may go
 * while its own callback runs: it is not touched after the call to libcurl.
 */
#include "downstream/http_client.h"

#include <assert.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "downstream/http_curl.h"
#include "downstream/http_result.h"
#include "downstream/http_setup.h"
#include "lib/xalloc.h"

struct http_client_call {
	struct http_client *client;
	CURL *easy;
	struct buf lines;
	struct curl_slist *nodes; /* an array: one for each line */
	size_t nodes_space;
	bool head_whole;   /* the empty line after the answer's headers came */
	size_t head_bytes; /* of all heads, and of what trails the body */
	struct buf kept;   /* how the answer begins */
	size_t read_bytes;
	bool worn; /* to be made as new before it is used again */
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
	struct http_client_params params;
	char *texts[6]; /* of the params */
	size_t text_count;
	struct http_client_calls calls, spare;
};

/* A descriptor that libcurl wants watched. */
struct watch {
	struct http_client *client;
	curl_socket_t fd;
	struct loop_fd *fd_watch;
};

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
		return http_result(call->easy, code, call->error);
	return call->head_whole ? HTTP_CLIENT_ANSWER : HTTP_CLIENT_BROKEN;
}

static const char *
error_of(const struct http_client_call *call, CURLcode code)
{
	if (code == CURLE_OK)
		return "the connection was closed within the answer's head";
	return call->error[0] != '\0' ? call->error : curl_easy_strerror(code);
}

/*
 * libcurl sends a request again when its connection proves to be closed, five
 * times at most: in all of a handle's life, for it forgets that count only
 * with everything else. Such a request makes a connection, or has a stream of
 * HTTP/2 refused.
 */
static bool
is_worn(CURL *easy)
{
	long connects, version;

	EASY_GET(easy, CURLINFO_NUM_CONNECTS, &connects);
	EASY_GET(easy, CURLINFO_HTTP_VERSION, &version);
	return connects > 0 || version == CURL_HTTP_VERSION_2_0;
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

	http_curl_check(code != CURLE_OUT_OF_MEMORY, "transfer",
	    "out of memory");
	answer.result = judge(call, code);
	if (answer.result == HTTP_CLIENT_ANSWER) {
		EASY_GET(call->easy, CURLINFO_RESPONSE_CODE, &status);
		answer.status = (unsigned)status;
		if (curl_easy_header(call->easy, "Retry-After", 0, CURLH_HEADER,
			-1, &header) == CURLHE_OK)
			answer.retry_after = header->value;
	} else {
		answer.error = error_of(call, code);
	}
	call->worn = is_worn(call->easy);
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
		EASY_GET(msg->easy_handle, CURLINFO_PRIVATE, (char **)&call);
		http_curl_multi(curl_multi_remove_handle(client->multi,
				    call->easy),
		    "remove");
		finish(call, code);
	}
}

static void
act(struct http_client *client, curl_socket_t fd, int ready)
{
	int running;

	http_curl_multi(curl_multi_socket_action(client->multi, fd, ready,
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
		http_curl_multi(curl_multi_assign(client->multi, fd, watch),
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

	call->head_bytes += len;
	if (call->head_bytes > HTTP_CLIENT_HEAD_MAX)
		return CURL_WRITEFUNC_ERROR;
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

/* Where the answer goes. */
static void
set_up(struct http_client_call *call)
{
	CURL *easy = call->easy;

	http_setup(easy, &call->client->params);
	EASY_SET(easy, CURLOPT_PRIVATE, call);
	EASY_SET(easy, CURLOPT_WRITEFUNCTION, on_body);
	EASY_SET(easy, CURLOPT_WRITEDATA, call);
	EASY_SET(easy, CURLOPT_HEADERFUNCTION, on_header);
	EASY_SET(easy, CURLOPT_HEADERDATA, call);
	EASY_SET(easy, CURLOPT_ERRORBUFFER, call->error);
}

static struct http_client_call *
call_take(struct http_client *client)
{
	struct http_client_call *call = LIST_FIRST(&client->spare);

	if (call != NULL) {
		LIST_REMOVE(call, entry);
		if (call->worn) {
			curl_easy_reset(call->easy);
			set_up(call);
		}
		return call;
	}
	call = xcalloc(1, sizeof(*call));
	call->client = client;
	call->easy = curl_easy_init();
	http_curl_check(call->easy != NULL, "easy_init", "out of memory");
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
	call->head_bytes = 0;
	call->read_bytes = 0;
	call->error[0] = '\0';
	buf_reset(&call->kept);
	buf_reset(&call->lines);
	if (lines != NULL)
		buf_add(&call->lines, buf_peek(lines), lines->len);
	EASY_SET(call->easy, CURLOPT_HTTPHEADER, list_lines(call));
	if (client->params.method != NULL) {
		EASY_SET(call->easy, CURLOPT_POSTFIELDS,
		    body_bytes > 0 ? body : "");
		EASY_SET(call->easy, CURLOPT_POSTFIELDSIZE_LARGE,
		    (curl_off_t)body_bytes);
	}
	http_curl_multi(curl_multi_add_handle(client->multi, call->easy),
	    "add");
	LIST_INSERT_HEAD(&client->calls, call, entry);
	return call;
}

void
http_client_cancel(struct http_client_call *call)
{
	struct http_client *client = call->client;

	http_curl_multi(curl_multi_remove_handle(client->multi, call->easy),
	    "remove");
	call->worn = true;
	LIST_REMOVE(call, entry);
	LIST_INSERT_HEAD(&client->spare, call, entry);
}

static void
init_once(void)
{
	static bool done;

	if (!done)
		http_curl_easy(curl_global_init(CURL_GLOBAL_DEFAULT),
		    "global_init");
	done = true;
}

/* A copy that lasts as long as the client. */
static void
keep(struct http_client *client, const char **text)
{
	char *copy = xstrdup(*text);

	assert(client->text_count < array_len(client->texts));
	client->texts[client->text_count++] = copy;
	*text = copy;
}

static void
keep_params(struct http_client *client, const struct http_client_params *params)
{
	client->params = *params;
	keep(client, &client->params.url);
	keep(client, &client->params.method);
	keep(client, &client->params.socket);
	keep(client, &client->params.ca);
	keep(client, &client->params.cert);
	keep(client, &client->params.key);
}

struct http_client *
http_client_new(struct loop *loop, const struct http_client_params *params)
{
	struct http_client *client = xcalloc(1, sizeof(*client));

	init_once();
	client->loop = loop;
	keep_params(client, params);
	client->timer = loop_timer_new(loop, on_due, client);
	LIST_INIT(&client->calls);
	LIST_INIT(&client->spare);
	client->multi = curl_multi_init();
	http_curl_check(client->multi != NULL, "multi_init", "out of memory");
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
	http_curl_multi(curl_multi_cleanup(client->multi), "cleanup");
	loop_timer_free(client->loop, client->timer);
	while (client->text_count > 0)
		free(client->texts[--client->text_count]);
	free(client);
}
