/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A connection is two pipes. Each pipe has a timer that delivers some or all
 * of its bytes. A pipe that is ending delivers what it has and then tells its
 * reader; a cut drops a random part first. The connection is freed when both
 * ends have let go of it.
 */
#include "tests/sim/sim_net.h"

#include <assert.h>
#include <stdlib.h>

#include "lib/buf.h"
#include "lib/xalloc.h"
#include "tests/sim/sim_loop.h"

struct pipe {
	struct sim_conn *conn;
	struct buf bytes;
	struct loop_timer *timer;
	bool ending; /* the writer is done */
	bool closed; /* the reader has been told, or does not care */
	bool paused;
	bool hung; /* for ever */
};

struct sim_conn {
	struct stream client; /* first: the client's end */
	struct sim_net *net;
	struct sim_conn *next, **prev;
	const struct stream_cbs *cbs;
	void *client_arg, *server_arg;
	struct pipe to_client, to_server;
	struct loop_timer *connecting;
	bool client_done, server_done; /* let go of the connection */
	struct loop_task reap;
};

struct sim_net {
	struct stream_net ops;
	struct loop *loop;
	const struct sim_server *server;
	void *arg;
	bool listening;
	struct sim_conn *conns;
};

static void
conn_reap(void *arg)
{
	struct sim_conn *conn = arg;
	struct loop *loop = conn->net->loop;

	loop_timer_free(loop, conn->to_client.timer);
	loop_timer_free(loop, conn->to_server.timer);
	loop_timer_free(loop, conn->connecting);
	buf_clear(&conn->to_client.bytes);
	buf_clear(&conn->to_server.bytes);
	*conn->prev = conn->next;
	if (conn->next != NULL)
		conn->next->prev = conn->prev;
	free(conn);
}

static void
conn_check(struct sim_conn *conn)
{
	if (conn->client_done && conn->server_done)
		loop_defer(conn->net->loop, &conn->reap);
}

/* Most bytes are quick; now and then they dawdle. */
static int64_t
latency_us(struct loop *loop)
{
	return 20 +
	    (int64_t)sim_below(loop, sim_chance(loop, 0.05) ? 20000 : 500);
}

static void
pipe_wake(struct pipe *pipe)
{
	struct loop *loop = pipe->conn->net->loop;

	if (!pipe->closed && !pipe->paused && !pipe->hung &&
	    !loop_timer_pending(loop, pipe->timer) &&
	    (pipe->bytes.len > 0 || pipe->ending))
		loop_timer_start_us(loop, pipe->timer, latency_us(loop));
}

static void
pipe_end(struct pipe *pipe)
{
	struct sim_conn *conn = pipe->conn;

	pipe->closed = true;
	if (pipe == &conn->to_client) {
		conn->to_server.ending = true;
		pipe_wake(&conn->to_server);
		conn->cbs->down(conn->client_arg, "connection reset by peer");
	} else {
		conn->to_client.ending = true;
		pipe_wake(&conn->to_client);
		conn->server_done = true;
		conn->net->server->gone(conn->server_arg);
		conn_check(conn);
	}
}

static void
pipe_deliver(void *arg)
{
	struct pipe *pipe = arg;
	struct sim_conn *conn = pipe->conn;
	struct loop *loop = conn->net->loop;
	size_t len = pipe->bytes.len;
	struct buf piece = { 0 };

	if (len == 0) {
		pipe_end(pipe);
		return;
	}
	if (sim_chance(loop, 0.2))
		len = 1 + (size_t)sim_below(loop, len);
	/* The reader may write, which may move the bytes of this pipe. */
	buf_add(&piece, buf_peek(&pipe->bytes), len);
	buf_drop(&pipe->bytes, len);
	if (pipe == &conn->to_client)
		conn->cbs->data(conn->client_arg, buf_peek(&piece), len);
	else
		conn->net->server->data(conn->server_arg, buf_peek(&piece),
		    len);
	buf_clear(&piece);
	pipe_wake(pipe);
}

static void
conn_established(void *arg)
{
	struct sim_conn *conn = arg;
	struct sim_net *net = conn->net;

	if (!net->listening) {
		conn->to_client.closed = true;
		conn->cbs->down(conn->client_arg, "connection refused");
		return;
	}
	conn->server_done = false;
	conn->to_server.closed = false;
	conn->server_arg = net->server->accept(net->arg, conn);
	conn->cbs->up(conn->client_arg);
}

static void
pipe_init(struct pipe *pipe, struct sim_conn *conn)
{
	pipe->conn = conn;
	pipe->timer = loop_timer_new(conn->net->loop, pipe_deliver, pipe);
}

static struct stream *
net_connect(struct stream_net *ops, const struct stream_target *target,
    const struct stream_cbs *cbs, void *arg)
{
	struct sim_net *net = container_of(ops, struct sim_net, ops);
	struct sim_conn *conn = xcalloc(1, sizeof(*conn));

	(void)target;
	conn->net = net;
	conn->client.net = ops;
	conn->cbs = cbs;
	conn->client_arg = arg;
	pipe_init(&conn->to_client, conn);
	pipe_init(&conn->to_server, conn);
	/* Until somebody has accepted. */
	conn->server_done = conn->to_server.closed = true;
	loop_task_init(&conn->reap, conn_reap, conn);
	conn->connecting = loop_timer_new(net->loop, conn_established, conn);
	loop_timer_start_us(net->loop, conn->connecting, latency_us(net->loop));
	conn->next = net->conns;
	conn->prev = &net->conns;
	if (net->conns != NULL)
		net->conns->prev = &conn->next;
	net->conns = conn;
	return &conn->client;
}

static struct sim_conn *
conn_of(struct stream *stream)
{
	return container_of(stream, struct sim_conn, client);
}

static void
net_write(struct stream *stream, const void *bytes, size_t len)
{
	struct pipe *pipe = &conn_of(stream)->to_server;

	if (pipe->closed || pipe->ending)
		return;
	buf_add(&pipe->bytes, bytes, len);
	pipe_wake(pipe);
}

static void
net_read_enable(struct stream *stream, bool on)
{
	conn_of(stream)->to_client.paused = !on;
	if (!on)
		loop_timer_stop(conn_of(stream)->net->loop,
		    conn_of(stream)->to_client.timer);
	pipe_wake(&conn_of(stream)->to_client);
}

static size_t
net_unsent(const struct stream *stream)
{
	const struct sim_conn *conn = (const void *)stream;

	return conn->to_server.bytes.len;
}

static void
net_close(struct stream *stream)
{
	struct sim_conn *conn = conn_of(stream);

	conn->to_client.closed = true;
	loop_timer_stop(conn->net->loop, conn->to_client.timer);
	loop_timer_stop(conn->net->loop, conn->connecting);
	conn->to_server.ending = true;
	pipe_wake(&conn->to_server);
	conn->client_done = true;
	conn_check(conn);
}

struct sim_net *
sim_net_new(struct loop *loop, const struct sim_server *server, void *arg)
{
	struct sim_net *net = xcalloc(1, sizeof(*net));

	net->ops.connect = net_connect;
	net->ops.write = net_write;
	net->ops.read_enable = net_read_enable;
	net->ops.unsent = net_unsent;
	net->ops.close = net_close;
	net->loop = loop;
	net->server = server;
	net->arg = arg;
	net->listening = true;
	return net;
}

struct stream_net *
sim_net_streams(struct sim_net *net)
{
	return &net->ops;
}

void
sim_net_free(struct sim_net *net)
{
	assert(net->conns == NULL);
	free(net);
}

void
sim_net_listen(struct sim_net *net, bool on)
{
	net->listening = on;
}

void
sim_net_hang(struct sim_net *net, double probability)
{
	struct sim_conn *conn;

	for (conn = net->conns; conn != NULL; conn = conn->next) {
		if (!sim_chance(net->loop, probability))
			continue;
		conn->to_client.hung = conn->to_server.hung = true;
		loop_timer_stop(net->loop, conn->to_client.timer);
		loop_timer_stop(net->loop, conn->to_server.timer);
	}
}

static void
pipe_cut(struct pipe *pipe)
{
	size_t kept =
	    (size_t)sim_below(pipe->conn->net->loop, pipe->bytes.len + 1);
	struct buf rest = { 0 };

	buf_add(&rest, buf_peek(&pipe->bytes), kept);
	buf_clear(&pipe->bytes);
	pipe->bytes = rest;
	pipe->ending = true;
	pipe->paused = false;
	pipe_wake(pipe);
}

void
sim_net_cut(struct sim_net *net, double probability)
{
	struct sim_conn *conn;

	for (conn = net->conns; conn != NULL; conn = conn->next) {
		if (loop_timer_pending(net->loop, conn->connecting) ||
		    !sim_chance(net->loop, probability))
			continue;
		pipe_cut(&conn->to_client);
		pipe_cut(&conn->to_server);
	}
}

void
sim_conn_write(struct sim_conn *conn, const void *bytes, size_t len)
{
	if (conn->to_client.closed || conn->to_client.ending)
		return;
	buf_add(&conn->to_client.bytes, bytes, len);
	pipe_wake(&conn->to_client);
}

void
sim_conn_close(struct sim_conn *conn)
{
	conn->to_client.ending = true;
	pipe_wake(&conn->to_client);
	conn->to_server.closed = true;
	loop_timer_stop(conn->net->loop, conn->to_server.timer);
	conn->server_done = true;
	conn_check(conn);
}
