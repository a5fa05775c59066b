/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * One request an attempt. A call's memory is its own until its verdict; the
 * body is read straight from the attempt.
 */
#include "downstream/handler.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "config/conf.h"
#include "downstream/http_client.h"
#include "downstream/http_headers.h"
#include "downstream/http_verdict.h"
#include "lib/xalloc.h"

struct http_call {
	struct handler_call base;
	struct http_client_call *request;
	handler_done_cb *done;
	void *arg;
	LIST_ENTRY(http_call) entry;
};

LIST_HEAD(http_calls, http_call);

struct http_handler {
	struct handler base;
	struct loop *loop;
	struct http_client *client;
	struct http_headers headers;
	struct buf lines; /* scratch */
	struct http_calls calls;
};

static void
call_free(struct http_call *call)
{
	LIST_REMOVE(call, entry);
	free(call);
}

static void
http_done(void *arg, const struct http_client_answer *answer)
{
	struct http_call *call = arg;
	struct http_handler *http =
	    container_of(call->base.handler, struct http_handler, base);
	handler_done_cb *done = call->done;
	void *done_arg = call->arg;
	struct verdict verdict;

	http_verdict(&verdict, answer, loop_wall_ms(http->loop));
	call_free(call);
	done(done_arg, &verdict);
}

static struct handler_call *
http_start(struct handler *handler, const struct attempt *attempt,
    handler_done_cb *done, void *arg)
{
	struct http_handler *http =
	    container_of(handler, struct http_handler, base);
	struct http_call *call = xmalloc(sizeof(*call));

	call->base.handler = handler;
	call->done = done;
	call->arg = arg;
	LIST_INSERT_HEAD(&http->calls, call, entry);
	buf_reset(&http->lines);
	http_headers_write(&http->headers, attempt, &http->lines);
	call->request = http_client_start(http->client, &http->lines,
	    attempt->body, attempt->body_bytes, http_done, call);
	return &call->base;
}

static void
http_cancel(struct handler_call *base)
{
	struct http_call *call = container_of(base, struct http_call, base);

	http_client_cancel(call->request);
	call_free(call);
}

static void
http_free(struct handler *handler)
{
	struct http_handler *http =
	    container_of(handler, struct http_handler, base);
	struct http_call *call;

	while ((call = LIST_FIRST(&http->calls)) != NULL)
		http_cancel(&call->base);
	http_client_free(http->client);
	http_headers_clear(&http->headers);
	buf_clear(&http->lines);
	free(http);
}

struct handler *
handler_http_new(struct loop *loop, const struct conf_http *conf)
{
	static const struct handler_ops ops = {
		.start = http_start,
		.cancel = http_cancel,
		.free = http_free,
	};
	const struct http_client_params params = {
		.url = conf->url,
		.method = conf->method,
		.timeout_ms = conf->timeout_ms,
		.connect_timeout_ms = conf->connect_timeout_ms,
		.connections = conf->connections,
		.socket = conf->socket,
		.ca = conf->ca,
		.cert = conf->cert,
		.key = conf->key,
	};
	struct http_handler *http = xcalloc(1, sizeof(*http));

	http->base.ops = &ops;
	http->base.capacity = conf->connections;
	http->loop = loop;
	http->client = http_client_new(loop, &params);
	http_headers_init(&http->headers, conf);
	LIST_INIT(&http->calls);
	return &http->base;
}
