/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What the two halves of the HTTP server share: http_server.c has the
 * listener, the connections and the routes, http_request.c a request and its
 * answer.
 */
#ifndef DLO_LIB_HTTP_PARTS_H
#define DLO_LIB_HTTP_PARTS_H

#include <event2/keyvalq_struct.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "lib/http_server.h"
#include "lib/listen.h"

struct bufferevent;
struct evhttp;
struct evhttp_connection;
struct evhttp_request;
struct evconnlistener;

struct http_route {
	LIST_ENTRY(http_route) entry;
	const char *method, *path;
	size_t path_len;
	http_server_cb *cb;
	void *arg;
};

struct http_conn {
	LIST_ENTRY(http_conn) entry;
	struct bufferevent *bev;
	int64_t since_ms; /* the last answer, or its begin */
	bool busy;	  /* it is our turn: a request is being handled */
};

struct http_request {
	LIST_ENTRY(http_request) entry;
	struct http_server *server; /* NULL: it has gone */
	struct evhttp_request *ev;  /* NULL: it has gone */
	const char *method;
	char *path;
	struct evkeyvalq query;
	char peer[64], user[24];
	bool sane;		     /* path and query could be read */
	http_server_taken_cb *taken; /* NULL: nothing is being sent */
	void *taken_arg;
};

struct http_server {
	LIST_ENTRY(http_server) entry;
	struct loop *loop;
	struct listen listen;
	struct evhttp *http;
	struct evconnlistener *listener; /* NULL: none */
	struct http_server_limits limits;
	struct loop_timer *timer;
	struct loop_task sweep, reap;
	LIST_HEAD(, http_route) routes;
	LIST_HEAD(, http_conn) conns;
	LIST_HEAD(, http_request) requests;
	unsigned conn_count;
	bool closing;
};

/* The connection, if it is still there. */
struct http_conn *http_conn_of(const struct http_server *,
    struct evhttp_connection *);
/* Takes the request over from evhttp; its route is not looked for. */
struct http_request *http_request_new(struct http_server *,
    struct evhttp_request *);
/* Those that are let through, as evhttp_set_allowed_methods takes them. */
unsigned short http_request_methods(void);
/* Answers with a problem that has no more to say. */
void http_request_refuse(struct http_request *, int code, const char *title);
/* Says so to a request whose client has gone in the middle of the answer. */
void http_request_tell_gone(struct http_request *);

#endif
