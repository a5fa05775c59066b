/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* A request, and its answer: at once, or in parts as the client takes them. */
#include "lib/http_server.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/http_parts.h"
#include "lib/log.h"
#include "lib/xalloc.h"

static const struct {
	enum evhttp_cmd_type type;
	const char *name;
} methods[] = {
	{ EVHTTP_REQ_GET, "GET" },
	{ EVHTTP_REQ_HEAD, "HEAD" },
	{ EVHTTP_REQ_POST, "POST" },
	{ EVHTTP_REQ_PUT, "PUT" },
	{ EVHTTP_REQ_DELETE, "DELETE" },
	{ EVHTTP_REQ_PATCH, "PATCH" },
	{ EVHTTP_REQ_OPTIONS, "OPTIONS" },
};

unsigned short
http_request_methods(void)
{
	unsigned short all = 0;

	for (size_t i = 0; i < array_len(methods); i++)
		all |= (unsigned short)methods[i].type;
	return all;
}

static const char *
method_name(enum evhttp_cmd_type type)
{
	size_t i;

	for (i = 0; i < array_len(methods); i++) {
		if (methods[i].type == type)
			return methods[i].name;
	}
	return "";
}

/* The decoded path; NULL: there is none, or one with a NUL in it. */
static char *
decoded_path(const struct evhttp_uri *uri)
{
	const char *path = uri == NULL ? NULL : evhttp_uri_get_path(uri);
	char *decoded;
	size_t len;

	if (path == NULL || path[0] != '/')
		return NULL;
	decoded = evhttp_uridecode(path, 0, &len);
	if (decoded != NULL && strlen(decoded) != len) {
		free(decoded);
		return NULL;
	}
	return decoded;
}

/* Who is at the other end of the connection. */
static void
set_peer(struct http_request *request, struct evhttp_connection *evcon)
{
	int fd = bufferevent_getfd(evhttp_connection_get_bufferevent(evcon));
	struct ucred cred;
	socklen_t len = sizeof(cred);
	ev_uint16_t port = 0;
	char *address = NULL;

	evhttp_connection_get_peer(evcon, &address, &port);
	if (address != NULL && port != 0) {
		snprintf(request->peer, sizeof(request->peer),
		    strchr(address, ':') != NULL ? "[%s]:%u" : "%s:%u", address,
		    port);
		return;
	}
	snprintf(request->peer, sizeof(request->peer), "unix");
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0)
		snprintf(request->user, sizeof(request->user), "uid %u",
		    (unsigned)cred.uid);
}

struct http_request *
http_request_new(struct http_server *server, struct evhttp_request *ev)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(ev);
	struct http_request *request = xcalloc(1, sizeof(*request));
	const char *query = uri == NULL ? NULL : evhttp_uri_get_query(uri);

	request->server = server;
	request->ev = ev;
	request->method = method_name(evhttp_request_get_command(ev));
	request->path = decoded_path(uri);
	TAILQ_INIT(&request->query);
	request->sane = request->path != NULL &&
	    (query == NULL ||
		evhttp_parse_query_str(query, &request->query) == 0);
	set_peer(request, evhttp_request_get_connection(ev));
	LIST_INSERT_HEAD(&server->requests, request, entry);
	return request;
}

static void
request_free(struct http_request *request)
{
	if (request->server != NULL)
		LIST_REMOVE(request, entry);
	evhttp_clear_headers(&request->query);
	free(request->path);
	free(request);
}

void
http_request_refuse(struct http_request *request, int code, const char *title)
{
	struct buf body = { 0 };

	buf_printf(&body,
	    "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d}\n",
	    title, code);
	http_server_respond(request, code, "application/problem+json", &body);
	buf_clear(&body);
}

const char *
http_server_method(const struct http_request *request)
{
	return request->method;
}

const char *
http_server_path(const struct http_request *request)
{
	return request->path;
}

const char *
http_server_query(const struct http_request *request, const char *key)
{
	return evhttp_find_header(&request->query, key);
}

const char *
http_server_header(const struct http_request *request, const char *name)
{
	if (request->ev == NULL)
		return NULL;
	return evhttp_find_header(evhttp_request_get_input_headers(request->ev),
	    name);
}

const uint8_t *
http_server_body(const struct http_request *request, size_t *len)
{
	struct evbuffer *input;

	*len = 0;
	if (request->ev == NULL)
		return NULL;
	input = evhttp_request_get_input_buffer(request->ev);
	*len = evbuffer_get_length(input);
	return evbuffer_pullup(input, -1);
}

const char *
http_server_peer(const struct http_request *request)
{
	return request->peer;
}

const char *
http_server_user(const struct http_request *request)
{
	return request->user;
}

void
http_server_add_header(struct http_request *request, const char *name,
    const char *value)
{
	if (request->ev == NULL)
		return;
	if (evhttp_add_header(evhttp_request_get_output_headers(request->ev),
		name, value) == -1)
		log_warn("http_header_refused", LOG_STR("name", name),
		    LOG_STR("value", value));
}

/* Whose turn it is on the connection, ours or the client's. */
static void
set_turn(struct http_request *request, bool ours)
{
	struct evhttp_connection *evcon =
	    evhttp_request_get_connection(request->ev);
	struct http_conn *conn =
	    evcon == NULL ? NULL : http_conn_of(request->server, evcon);

	if (conn == NULL)
		return;
	conn->busy = ours;
	conn->since_ms = loop_now_ms(request->server->loop);
}

void
http_server_respond(struct http_request *request, int code,
    const char *content_type, const struct buf *body)
{
	struct evbuffer *out;
	char len[24];

	if (request->ev == NULL) {
		request_free(request);
		return;
	}
	set_turn(request, false);
	if (content_type != NULL)
		http_server_add_header(request, "Content-Type", content_type);
	out = evbuffer_new();
	if (strcmp(request->method, "HEAD") == 0) {
		snprintf(len, sizeof(len), "%zu", body ? body->len : 0);
		http_server_add_header(request, "Content-Length", len);
	} else if (body != NULL) {
		evbuffer_add(out, buf_peek(body), body->len);
	}
	evhttp_send_reply(request->ev, code, NULL, out);
	evbuffer_free(out);
	request_free(request);
}

static bool
is_gone(const struct http_request *request)
{
	return request->ev == NULL ||
	    evhttp_request_get_connection(request->ev) == NULL;
}

void
http_server_begin(struct http_request *request, int code,
    const char *content_type)
{
	if (is_gone(request))
		return;
	http_server_add_header(request, "Content-Type", content_type);
	evhttp_send_reply_start(request->ev, code, NULL);
}

/* The client has what was sent. */
static void
part_taken(struct evhttp_connection *evcon, void *arg)
{
	struct http_request *request = arg;
	http_server_taken_cb *taken = request->taken;

	(void)evcon;
	set_turn(request, true);
	request->taken = NULL;
	if (taken != NULL)
		taken(request->taken_arg);
}

bool
http_server_send(struct http_request *request, const struct buf *part,
    http_server_taken_cb *taken, void *arg)
{
	struct evbuffer *out;

	if (is_gone(request))
		return false;
	request->taken = taken;
	request->taken_arg = arg;
	set_turn(request, false);
	out = evbuffer_new();
	evbuffer_add(out, buf_peek(part), part->len);
	evhttp_send_reply_chunk_with_cb(request->ev, out, part_taken, request);
	evbuffer_free(out);
	return true;
}

void
http_request_tell_gone(struct http_request *request)
{
	http_server_taken_cb *taken = request->taken;

	request->taken = NULL;
	if (taken != NULL)
		taken(request->taken_arg);
}

void
http_server_end(struct http_request *request)
{
	if (request->ev != NULL) {
		set_turn(request, false);
		evhttp_send_reply_end(request->ev);
	}
	request_free(request);
}
