/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/downstream/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/xalloc.h"

struct peer_conn {
	struct peer *peer;
	int fd;
	struct loop_fd *watch;
	struct buf in, out;
	unsigned served;
	bool closing; /* once `out` is written */
	LIST_ENTRY(peer_conn) entry;
};

LIST_HEAD(peer_conns, peer_conn);

struct peer {
	struct loop *loop;
	int fd; /* -1: refuses */
	struct loop_fd *watch;
	uint16_t port;
	enum peer_mode mode;
	const char *answer;
	size_t answer_len;
	loop_cb *on_request;
	void *arg;
	unsigned accepted, requests;
	struct buf head, body, value;
	struct peer_conns conns;
};

static const char no_content[] = "HTTP/1.1 204 No Content\r\n\r\n";

static void
must(bool good)
{
	if (!good)
		abort();
}

static void
conn_free(struct peer_conn *conn)
{
	LIST_REMOVE(conn, entry);
	loop_fd_free(conn->peer->loop, conn->watch);
	close(conn->fd);
	buf_clear(&conn->in);
	buf_clear(&conn->out);
	free(conn);
}

/* Takes a whole request out of `in`; false: there is none yet. */
static bool
conn_take(struct peer_conn *conn)
{
	static const char field[] = "\r\nContent-Length: ";
	struct peer *peer = conn->peer;
	const char *text = buf_str(&conn->in), *end, *length;
	size_t head_bytes, body_bytes = 0;

	if ((end = strstr(text, "\r\n\r\n")) == NULL)
		return false;
	head_bytes = (size_t)(end - text) + 4;
	length = strcasestr(text, field);
	if (length != NULL && length < end)
		body_bytes = strtoul(length + strlen(field), NULL, 10);
	if (conn->in.len < head_bytes + body_bytes)
		return false;
	buf_reset(&peer->head);
	buf_reset(&peer->body);
	buf_add(&peer->head, text, head_bytes - 2);
	buf_add(&peer->body, text + head_bytes, body_bytes);
	buf_drop(&conn->in, head_bytes + body_bytes);
	return true;
}

static void
conn_serve(struct peer_conn *conn)
{
	struct peer *peer = conn->peer;

	peer->requests++;
	if (peer->on_request != NULL)
		peer->on_request(peer->arg);
	if (peer->mode == PEER_SILENT)
		return;
	if (peer->mode == PEER_CLOSE ||
	    (peer->mode == PEER_CLOSE_REUSED && conn->served > 0)) {
		conn->closing = true;
		return;
	}
	conn->served++;
	conn->closing = peer->mode == PEER_ANSWER_CLOSE;
	buf_add(&conn->out, peer->answer, peer->answer_len);
}

static void
conn_ready(void *arg, unsigned ready)
{
	struct peer_conn *conn = arg;
	ssize_t n;

	if (ready & LOOP_READ) {
		n = read(conn->fd, buf_reserve(&conn->in, 65536), 65536);
		if (n == 0 || (n < 0 && errno != EAGAIN)) {
			conn_free(conn);
			return;
		}
		if (n > 0)
			buf_claim(&conn->in, (size_t)n);
		while (!conn->closing && conn_take(conn))
			conn_serve(conn);
	}
	if (conn->out.len > 0) {
		n = send(conn->fd, buf_peek(&conn->out), conn->out.len,
		    MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN) {
			conn_free(conn);
			return;
		}
		if (n > 0)
			buf_drop(&conn->out, (size_t)n);
	}
	if (conn->out.len == 0 && conn->closing)
		conn_free(conn);
	else
		loop_fd_want(conn->peer->loop, conn->watch,
		    LOOP_READ | (conn->out.len > 0 ? LOOP_WRITE : 0));
}

static void
peer_ready(void *arg, unsigned ready)
{
	struct peer *peer = arg;
	struct peer_conn *conn;
	int fd;

	(void)ready;
	fd = accept4(peer->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	peer->accepted++;
	conn = xcalloc(1, sizeof(*conn));
	conn->peer = peer;
	conn->fd = fd;
	conn->watch = loop_fd_new(peer->loop, fd, conn_ready, conn);
	LIST_INSERT_HEAD(&peer->conns, conn, entry);
	loop_fd_want(peer->loop, conn->watch, LOOP_READ);
}

struct peer *
peer_new(struct loop *loop)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(address);
	struct peer *peer = xcalloc(1, sizeof(*peer));

	peer->loop = loop;
	LIST_INIT(&peer->conns);
	peer_set(peer, PEER_ANSWER, NULL, 0);
	peer->fd =
	    socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	must(peer->fd >= 0);
	must(bind(peer->fd, (struct sockaddr *)&address, len) == 0);
	must(listen(peer->fd, 128) == 0);
	must(getsockname(peer->fd, (struct sockaddr *)&address, &len) == 0);
	peer->port = ntohs(address.sin_port);
	peer->watch = loop_fd_new(loop, peer->fd, peer_ready, peer);
	loop_fd_want(loop, peer->watch, LOOP_READ);
	return peer;
}

void
peer_refuse(struct peer *peer)
{
	if (peer->fd < 0)
		return;
	loop_fd_free(peer->loop, peer->watch);
	close(peer->fd);
	peer->fd = -1;
}

void
peer_listen_unix(struct peer *peer, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	peer_refuse(peer);
	must(strlen(path) < sizeof(address.sun_path));
	memcpy(address.sun_path, path, strlen(path));
	peer->fd =
	    socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	must(peer->fd >= 0);
	must(bind(peer->fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	must(listen(peer->fd, 128) == 0);
	peer->watch = loop_fd_new(peer->loop, peer->fd, peer_ready, peer);
	loop_fd_want(peer->loop, peer->watch, LOOP_READ);
}

void
peer_free(struct peer *peer)
{
	struct peer_conn *conn;

	peer_refuse(peer);
	while ((conn = LIST_FIRST(&peer->conns)) != NULL)
		conn_free(conn);
	buf_clear(&peer->head);
	buf_clear(&peer->body);
	buf_clear(&peer->value);
	free(peer);
}

uint16_t
peer_port(const struct peer *peer)
{
	return peer->port;
}

void
peer_set(struct peer *peer, enum peer_mode mode, const char *answer, size_t len)
{
	peer->mode = mode;
	peer->answer = answer != NULL ? answer : no_content;
	peer->answer_len = answer != NULL ? len : strlen(no_content);
}

void
peer_on_request(struct peer *peer, loop_cb *cb, void *arg)
{
	peer->on_request = cb;
	peer->arg = arg;
}

unsigned
peer_accepted(const struct peer *peer)
{
	return peer->accepted;
}

unsigned
peer_requests(const struct peer *peer)
{
	return peer->requests;
}

const char *
peer_head(struct peer *peer)
{
	return buf_str(&peer->head);
}

const struct buf *
peer_body(const struct peer *peer)
{
	return &peer->body;
}

const char *
peer_header(struct peer *peer, const char *name)
{
	const char *line = peer_head(peer);
	size_t len = strlen(name);

	while ((line = strstr(line, "\r\n")) != NULL) {
		line += 2;
		if (strncasecmp(line, name, len) != 0 ||
		    strncmp(line + len, ": ", 2) != 0)
			continue;
		line += len + 2;
		buf_reset(&peer->value);
		buf_add(&peer->value, line,
		    (size_t)(strstr(line, "\r\n") - line));
		return buf_str(&peer->value);
	}
	return NULL;
}
