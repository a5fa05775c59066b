/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * evhttp 2.1 neither bounds its connections nor tells when one has ended. So
 * each connection's bufferevent is held here by a reference, and a look at
 * its callbacks (evhttp takes them away) tells whether it is over: at once
 * after a request, else in a sweep once a second. The sweep also ends
 * connections that send or take nothing whole for too long, however they
 * dribble.
 */
#include "lib/http_server.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/http_parts.h"
#include "lib/log.h"
#include "lib/loop_libevent.h"
#include "lib/xalloc.h"

#define SWEEP_MS_MAX 1000

static const struct http_server_limits default_limits = {
	.header_bytes = 16 * 1024,
	.body_bytes = 1024 * 1024,
	.idle_ms = 30000,
	.connections = 64,
	.socket_mode = 0660,
};

/* A listener's error callback knows only its evhttp. */
static LIST_HEAD(, http_server) servers = LIST_HEAD_INITIALIZER(servers);

/* Whether evhttp is done with the connection. */
static bool
conn_over(const struct http_conn *conn)
{
	bufferevent_event_cb event_cb;

	bufferevent_getcb(conn->bev, NULL, NULL, &event_cb, NULL);
	return event_cb == NULL;
}

static void
conn_free(struct http_server *server, struct http_conn *conn)
{
	bufferevent_decref(conn->bev);
	LIST_REMOVE(conn, entry);
	server->conn_count--;
	free(conn);
}

static void
sweep_later(struct http_server *server)
{
	int64_t idle_ms = server->limits.idle_ms;

	if (!loop_timer_pending(server->loop, server->timer))
		loop_timer_start(server->loop, server->timer,
		    idle_ms < SWEEP_MS_MAX ? idle_ms : SWEEP_MS_MAX);
}

/* Who sends in parts waits for a client that may never take one again. */
static void
tell_gone(struct http_server *server)
{
	struct http_request *request, *next;

	for (request = LIST_FIRST(&server->requests); request != NULL;
	     request = next) {
		next = LIST_NEXT(request, entry);
		if (evhttp_request_get_connection(request->ev) == NULL)
			http_request_tell_gone(request);
	}
}

/* Lets go of what is over, ends what is idle, and makes room for others. */
static void
server_sweep(void *arg)
{
	struct http_server *server = arg;
	int64_t now_ms = loop_now_ms(server->loop);
	struct http_conn *conn, *next;

	for (conn = LIST_FIRST(&server->conns); conn != NULL; conn = next) {
		next = LIST_NEXT(conn, entry);
		if (!conn->busy && !conn_over(conn) &&
		    now_ms - conn->since_ms >= server->limits.idle_ms)
			bufferevent_trigger_event(conn->bev,
			    BEV_EVENT_READING | BEV_EVENT_TIMEOUT, 0);
		if (conn_over(conn))
			conn_free(server, conn);
	}
	tell_gone(server);
	if (server->conn_count < server->limits.connections && !server->closing)
		evconnlistener_enable(server->listener);
	if (server->conn_count > 0)
		sweep_later(server);
}

/* A new connection: evhttp asks for its bufferevent. */
static struct bufferevent *
conn_new(struct event_base *base, void *arg)
{
	struct http_conn *conn = xcalloc(1, sizeof(*conn));
	struct http_server *server = arg;

	conn->bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_incref(conn->bev);
	conn->since_ms = loop_now_ms(server->loop);
	LIST_INSERT_HEAD(&server->conns, conn, entry);
	if (++server->conn_count == server->limits.connections) {
		/* Some may be over already. */
		evconnlistener_disable(server->listener);
		loop_defer(server->loop, &server->sweep);
	}
	sweep_later(server);
	return conn->bev;
}

static void
conn_closed(struct evhttp_connection *evcon, void *arg)
{
	struct http_server *server = arg;

	(void)evcon;
	loop_defer(server->loop, &server->sweep);
}

struct http_conn *
http_conn_of(const struct http_server *server, struct evhttp_connection *evcon)
{
	struct http_conn *conn;

	LIST_FOREACH(conn, &server->conns, entry) {
		if (conn->bev == evhttp_connection_get_bufferevent(evcon))
			return conn;
	}
	return NULL;
}

/* No more descriptors, most likely: the sweep tries again. */
static void
accept_failed(struct evconnlistener *listener, void *arg)
{
	struct http_server *server;

	LIST_FOREACH(server, &servers, entry) {
		if (server->http != arg)
			continue;
		log_warn("http_accept_failed",
		    LOG_STR("error", strerror(errno)));
		evconnlistener_disable(listener);
		sweep_later(server);
	}
}

static bool
route_has_path(const struct http_route *route, const char *path)
{
	if (route->path[route->path_len - 1] == '/')
		return strncmp(path, route->path, route->path_len) == 0;
	return strcmp(path, route->path) == 0;
}

/* GET answers HEAD too: the body is left away when it is sent. */
static bool
route_has_method(const struct http_route *route, const char *method)
{
	return strcmp(route->method, method) == 0 ||
	    (strcmp(route->method, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

static void
request_route(struct http_server *server, struct http_request *request)
{
	const struct http_route *route, *best = NULL;
	struct buf allow = { 0 };

	LIST_FOREACH(route, &server->routes, entry) {
		if (!route_has_path(route, request->path))
			continue;
		buf_printf(&allow, "%s%s", allow.len > 0 ? ", " : "",
		    route->method);
		if (route_has_method(route, request->method) &&
		    (best == NULL || route->path_len > best->path_len))
			best = route;
	}
	if (best != NULL) {
		best->cb(best->arg, request);
	} else if (allow.len > 0) {
		http_server_add_header(request, "Allow", buf_str(&allow));
		http_request_refuse(request, 405, "Method Not Allowed");
	} else {
		http_request_refuse(request, 404, "Not Found");
	}
	buf_clear(&allow);
}

static void
request_new(struct evhttp_request *ev, void *arg)
{
	struct evhttp_connection *evcon = evhttp_request_get_connection(ev);
	struct http_server *server = arg;
	struct http_request *request = http_request_new(server, ev);

	http_conn_of(server, evcon)->busy = true;
	evhttp_connection_set_closecb(evcon, conn_closed, server);
	if (!request->sane)
		http_request_refuse(request, 400, "Bad Request");
	else if (server->closing)
		http_request_refuse(request, 503, "Service Unavailable");
	else
		request_route(server, request);
}

/* Requests that are still being handled outlive the server. */
static void
server_reap(void *arg)
{
	struct http_server *server = arg;
	struct http_request *request;
	struct http_route *route;
	struct http_conn *conn;

	while ((request = LIST_FIRST(&server->requests)) != NULL) {
		LIST_REMOVE(request, entry);
		if (evhttp_request_get_connection(request->ev) == NULL)
			evhttp_request_free(request->ev);
		request->ev = NULL;
		request->server = NULL;
		http_request_tell_gone(request);
	}
	evhttp_free(server->http);
	while ((conn = LIST_FIRST(&server->conns)) != NULL)
		conn_free(server, conn);
	while ((route = LIST_FIRST(&server->routes)) != NULL) {
		LIST_REMOVE(route, entry);
		free(route);
	}
	loop_undefer(server->loop, &server->sweep);
	loop_timer_free(server->loop, server->timer);
	listen_close(&server->listen);
	LIST_REMOVE(server, entry);
	free(server);
}

static void
set_limits(struct http_server *server, const struct http_server_limits *given)
{
	struct http_server_limits *limits = &server->limits;

	*limits = default_limits;
	if (given == NULL)
		return;
	if (given->header_bytes > 0)
		limits->header_bytes = given->header_bytes;
	if (given->body_bytes > 0)
		limits->body_bytes = given->body_bytes;
	if (given->idle_ms > 0)
		limits->idle_ms = given->idle_ms;
	if (given->connections > 0)
		limits->connections = given->connections;
	if (given->socket_mode > 0)
		limits->socket_mode = given->socket_mode;
}

static void
start_accepting(struct http_server *server, struct event_base *base)
{
	evhttp_set_allowed_methods(server->http, http_request_methods());
	evhttp_set_max_headers_size(server->http,
	    (ev_ssize_t)server->limits.header_bytes);
	evhttp_set_max_body_size(server->http,
	    (ev_ssize_t)server->limits.body_bytes);
	evhttp_set_default_content_type(server->http, NULL);
	evhttp_set_bevcb(server->http, conn_new, server);
	evhttp_set_gencb(server->http, request_new, server);
	if (server->listen.fd == -1)
		return;
	server->listener = evconnlistener_new(base, NULL, NULL,
	    LEV_OPT_CLOSE_ON_EXEC, 0, server->listen.fd);
	evconnlistener_set_error_cb(server->listener, accept_failed);
	evhttp_bind_listener(server->http, server->listener);
}

struct http_server *
http_server_open(struct loop *loop, const char *address,
    const struct http_server_limits *limits, char **error)
{
	struct http_server *server = xcalloc(1, sizeof(*server));
	struct event_base *base = loop_libevent_base(loop);

	set_limits(server, limits);
	if (listen_open(&server->listen, address, server->limits.socket_mode,
		error) == -1) {
		free(server);
		return NULL;
	}
	server->loop = loop;
	server->http = evhttp_new(base);
	server->timer = loop_timer_new(loop, server_sweep, server);
	loop_task_init(&server->sweep, server_sweep, server);
	loop_task_init(&server->reap, server_reap, server);
	LIST_INSERT_HEAD(&servers, server, entry);
	start_accepting(server, base);
	return server;
}

void
http_server_close(struct http_server *server)
{
	if (server == NULL || server->closing)
		return;
	server->closing = true;
	if (server->listener != NULL)
		evconnlistener_disable(server->listener);
	loop_defer(server->loop, &server->reap);
}

uint16_t
http_server_port(const struct http_server *server)
{
	return server->listen.port;
}

void
http_server_handle(struct http_server *server, const char *method,
    const char *path, http_server_cb *cb, void *arg)
{
	struct http_route *route = xcalloc(1, sizeof(*route));

	route->method = method;
	route->path = path;
	route->path_len = strlen(path);
	route->cb = cb;
	route->arg = arg;
	LIST_INSERT_HEAD(&server->routes, route, entry);
}

void
http_server_unhandle(struct http_server *server, const void *arg)
{
	struct http_route *route = LIST_FIRST(&server->routes), *next;

	for (; route != NULL; route = next) {
		next = LIST_NEXT(route, entry);
		if (route->arg != arg)
			continue;
		LIST_REMOVE(route, entry);
		free(route);
	}
}
