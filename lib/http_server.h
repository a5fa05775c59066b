/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A small HTTP server for the daemons' own pages (/healthz, /metrics, the
 * control API); on evhttp, so on loop_libevent only. Header, body, time and
 * number of connections are bounded. Each request is answered exactly once
 * by http_server_respond, from its handler or later; the client may have gone
 * by then, or the server: answer all the same, that frees the request.
 * What matches no path is 404, a path under another method 405, a query that
 * is not key=value pairs 400: as RFC 9457 problems.
 */
#ifndef DLO_LIB_HTTP_SERVER_H
#define DLO_LIB_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/compiler.h"
#include "lib/loop.h"

struct http_server;
struct http_request;

typedef void http_server_cb(void *arg, struct http_request *);

/* Zeroed members take the default in brackets. */
struct http_server_limits {
	size_t header_bytes;  /* [16 KiB] */
	size_t body_bytes;    /* [1 MiB] */
	int64_t idle_ms;      /* without progress, then closed [30 s] */
	unsigned connections; /* more wait in the backlog [64] */
	unsigned socket_mode; /* of a unix socket [0660] */
};

/*
 * Listens on `127.0.0.1:8671`, `[::1]:0`, `name:port`, `unix:/path`, or not
 * at all: `none`. `limits` may be NULL. NULL on failure, with the reason in
 * `*error` (the caller frees it). A stale unix socket is replaced; one that
 * answers means that the address is taken.
 */
struct http_server *http_server_open(struct loop *, const char *address,
    const struct http_server_limits *limits, char **error) must_use;
/*
 * Closes the listener now and the connections at the end of the turn; NULL is
 * fine.
 */
void http_server_close(struct http_server *);
/* The bound TCP port, 0 if there is none. */
uint16_t http_server_port(const struct http_server *);

/*
 * Answers `method` (GET answers HEAD too) on `path`; one that ends in `/`
 * takes all paths below it, the longest match wins. `path` must outlive the
 * server.
 */
void http_server_handle(struct http_server *, const char *method,
    const char *path, http_server_cb *, void *arg);
/* Takes back all that was given with this `arg`. */
void http_server_unhandle(struct http_server *, const void *arg);

/* Of a request not yet answered; valid until it is. */
const char *http_server_method(const struct http_request *);
/* The decoded path, without the query. */
const char *http_server_path(const struct http_request *);
/* The decoded value of a query parameter; NULL: there is none. */
const char *http_server_query(const struct http_request *, const char *key);
/* A header's value; NULL: there is none. */
const char *http_server_header(const struct http_request *, const char *name);
const uint8_t *http_server_body(const struct http_request *, size_t *len);

/* Who asks: "127.0.0.1:4711", or "unix"; lasts as long as the request. */
const char *http_server_peer(const struct http_request *);
/* The user behind a unix socket, "uid 1000"; "" over TCP. */
const char *http_server_user(const struct http_request *);

/* Adds a header to the answer to come. */
void http_server_add_header(struct http_request *, const char *name,
    const char *value);
/* Answers and frees the request; `body` may be NULL (none). */
void http_server_respond(struct http_request *, int code,
    const char *content_type, const struct buf *body);

/*
 * An answer in parts, instead of http_server_respond: begin, send each part,
 * the next one when `taken` says that the client has the last, end (which
 * frees the request). A client that takes nothing for as long as it may be
 * idle is cut off. `taken` comes too when the client has gone meanwhile, or
 * the server: the next http_server_send says so.
 */
typedef void http_server_taken_cb(void *arg);
void http_server_begin(struct http_request *, int code,
    const char *content_type);
/*
 * `taken` comes from the loop, never inside the call. False: there is nobody
 * to send to, and nothing will come.
 */
bool http_server_send(struct http_request *, const struct buf *part,
    http_server_taken_cb *taken, void *arg) must_use;
void http_server_end(struct http_request *);

#endif
