/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * HTTP requests to one URL: libcurl's multi interface on the loop, with
 * connections kept alive and handles reused. Redirects are not followed. With
 * https the peer and its name are verified, and requests share connections
 * where the peer speaks HTTP/2.
 *
 * A request ends by its answer (the callback, once, never inside
 * http_client_start) or by http_client_cancel; the call is gone then. From
 * the callback calls may be started and cancelled.
 *
 * When a kept-alive connection turns out to be closed and nothing has come
 * back on it, libcurl sends the request again on another one: the peer may
 * see it twice, the caller sees one answer.
 */
#ifndef DLO_DOWNSTREAM_HTTP_CLIENT_H
#define DLO_DOWNSTREAM_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/compiler.h"
#include "lib/loop.h"

struct http_client;
struct http_client_call;

/* Of an answer this much is kept … */
#define HTTP_CLIENT_KEEP_MAX 4096
/* … and this much read to save the connection; then it is closed. */
#define HTTP_CLIENT_READ_MAX 262144
/* An answer with more headers than this is broken. */
#define HTTP_CLIENT_HEAD_MAX 65536

/* All but the first: there is no answer, and `error` says why. */
enum http_client_result {
	HTTP_CLIENT_ANSWER,
	HTTP_CLIENT_DNS,     /* no address for the name */
	HTTP_CLIENT_CONNECT, /* no connection, or not in time */
	HTTP_CLIENT_TLS,     /* no TLS on it, or not in time */
	HTTP_CLIENT_TIMEOUT, /* no whole answer in time */
	HTTP_CLIENT_BROKEN,  /* the connection broke, or spoke no HTTP */
};

struct http_client_params {
	const char *url;
	const char *method;	    /* with a body; NULL: GET without one */
	int64_t timeout_ms;	    /* the whole request; 0: none */
	int64_t connect_timeout_ms; /* name, TCP and TLS; 0: libcurl's */
	unsigned connections;	    /* kept open at most, ≥ 1 */
	bool fresh;		    /* a new connection for each request */
	const char *socket;	    /* unix socket to connect to; NULL: none */
	const char *ca;		    /* PEM files; NULL: the system's, or none */
	const char *cert;
	const char *key;
};

struct http_client_answer {
	enum http_client_result result;
	unsigned status;	 /* of an answer */
	const char *retry_after; /* that header's value; NULL: none */
	const void *body;	 /* how it begins */
	size_t body_bytes;	 /* at most HTTP_CLIENT_KEEP_MAX */
	const char *error;	 /* NULL for an answer */
};

/* The answer is gone on return. */
typedef void http_client_cb(void *arg, const struct http_client_answer *);

/* Copies the params. Out of memory is fatal. */
struct http_client *http_client_new(struct loop *,
    const struct http_client_params *);
/*
 * Sends a request. `lines` (copied; NULL: none) holds header lines as curl
 * wants them, `Name: value`, `Name;` for one without a value, `Name:` to
 * leave out what curl would send, a NUL after each. The body must last until
 * the end of the call.
 */
struct http_client_call *http_client_start(struct http_client *,
    const struct buf *lines, const void *body, size_t body_bytes,
    http_client_cb *, void *arg) must_use;
/*
 * If the request is on its way its connection is closed (HTTP/2: its stream
 * reset); no callback.
 */
void http_client_cancel(struct http_client_call *);
/* Cancels all calls; not from a callback. NULL is fine. */
void http_client_free(struct http_client *);

#endif
