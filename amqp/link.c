/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A link drives one connection at a time on a stream. All of its housekeeping
 * is one task at the end of the loop turn: freeing the connection that ended,
 * starting the next attempt, writing what the turn has brought.
 *
 * Callbacks may call anything here, rmq_link_free included: from then on the
 * connection is mute, and its memory goes with the task.
 */
#include "amqp/link.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amqp/internal.h"
#include "lib/backoff.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/xalloc.h"

/* A connection that lasted for less does not start the backoff anew. */
#define STABLE_US (10LL * 1000000)

/* Output that needed more room than this does not keep it. */
#define OUT_KEEP_BYTES (1u << 20)

static const struct backoff reconnect = {
	.first_ms = 500,
	.factor = 2,
	.cap_ms = 30000,
	.jitter = 0.5,
};

enum link_state {
	LINK_IDLE,
	LINK_WAITING,
	LINK_CONNECTING,
	LINK_HANDSHAKE,
	LINK_UP,
	LINK_CLOSING,
	LINK_STOPPED,
};

struct rmq_link {
	struct loop *loop;
	struct stream_net *net;
	struct rmq_link_options options; /* its strings are ours */
	const struct rmq_link_cbs *cbs;
	void *arg;
	enum link_state state;
	struct loop_task turn;
	struct loop_timer *timer; /* backoff, or the connection's deadline */
	int64_t timer_due_us;
	struct stream *stream;
	struct rmq_conn *conn;
	struct rmq_conn *dead; /* to be freed in the task */
	size_t node;	       /* of the current or last attempt */
	char node_name[300];
	size_t tried;	   /* nodes in vain since up or start */
	size_t pass;	   /* attempts in vain since the last delay */
	unsigned failures; /* passes in vain */
	int64_t up_us;
	bool reading;
	bool connect_now;
	bool tell_stopped;
	bool freed;
};

static const char *
state_name(enum link_state state)
{
	switch (state) {
	case LINK_IDLE:
		return "idle";
	case LINK_WAITING:
		return "waiting";
	case LINK_CONNECTING:
		return "connecting";
	case LINK_HANDSHAKE:
		return "handshake";
	case LINK_UP:
		return "up";
	case LINK_CLOSING:
		return "closing";
	case LINK_STOPPED:
		return "stopped";
	}
	return "?";
}

/*
 * idle -> waiting -> connecting -> handshake -> up -> closing -> stopped;
 * connecting, handshake and up fall back to waiting when the attempt or the
 * connection is over; every state but stopped can go to stopped.
 */
static void
link_enter(struct rmq_link *link, enum link_state state)
{
	enum link_state from = link->state;
	bool legal = state == from + 1;

	if (state == LINK_WAITING)
		legal = from == LINK_IDLE ||
		    (from >= LINK_CONNECTING && from <= LINK_UP);
	if (state == LINK_STOPPED)
		legal = from != LINK_STOPPED;
	if (!legal)
		abort();
	log_debug("amqp_link", LOG_STR("node", link->node_name),
	    LOG_STR("from", state_name(from)),
	    LOG_STR("to", state_name(state)));
	link->state = state;
}

static void
arm_timer(struct rmq_link *link, int64_t due_us)
{
	int64_t delay = due_us - loop_now_us(link->loop);

	link->timer_due_us = due_us;
	loop_timer_start_us(link->loop, link->timer, delay > 0 ? delay : 0);
}

/*
 * The connection's deadline moves with every byte. A timer that fires too
 * early is cheaper than one that is set again each turn.
 */
static void
watch_deadline(struct rmq_link *link)
{
	int64_t due = rmq_conn_deadline_us(link->conn);

	if (due == INT64_MAX)
		return;
	if (due < link->timer_due_us ||
	    !loop_timer_pending(link->loop, link->timer))
		arm_timer(link, due);
}

static void
write_output(struct rmq_link *link)
{
	struct buf *out;

	out = rmq_conn_flush(link->conn, loop_now_us(link->loop));
	if (out->len == 0)
		return;
	stream_write(link->stream, buf_peek(out), out->len);
	if (out->space > OUT_KEEP_BYTES)
		buf_clear(out);
	else
		buf_reset(out);
}

static void
name_node(struct rmq_link *link)
{
	const struct rmq_node *node = &link->options.nodes[link->node];
	bool v6 = strchr(node->host, ':') != NULL;

	snprintf(link->node_name, sizeof(link->node_name), "%s%s%s:%u",
	    v6 ? "[" : "", node->host, v6 ? "]" : "", node->port);
}

/* Decides when to try again, and where. */
static void
schedule_attempt(struct rmq_link *link, bool lasted)
{
	int64_t delay_ms = 0;

	assert(link->options.node_count > 0);
	if (lasted)
		link->pass = link->failures = 0;
	else
		link->pass++;
	if (link->pass >= link->options.node_count) {
		link->pass = 0;
		delay_ms = backoff_delay_ms(&reconnect, ++link->failures,
		    loop_random_unit(link->loop));
	}
	if (++link->node == link->options.node_count)
		link->node = 0;
	link->connect_now = delay_ms == 0;
	if (delay_ms == 0)
		loop_defer(link->loop, &link->turn);
	else
		arm_timer(link, loop_now_us(link->loop) + delay_ms * 1000);
	log_debug("broker_retry", LOG_INT("delay_ms", delay_ms));
}

/* An attempt or a connection is over; everything of it has been let go. */
static void
on_over(struct rmq_link *link, const struct rmq_close *close)
{
	bool was_up = link->state == LINK_UP || link->state == LINK_CLOSING;
	bool stopping = link->state == LINK_CLOSING;
	int64_t up_us = loop_now_us(link->loop) - link->up_us;

	loop_timer_stop(link->loop, link->timer);
	if (close->fault != RMQ_FAULT_NONE)
		log_warn("broker_down",
		    LOG_STR("connection", link->options.conn.name),
		    LOG_STR("node", link->node_name),
		    LOG_STR("fault", rmq_fault_name(close->fault)),
		    LOG_UINT("code", close->code),
		    LOG_STR("text", close->text));
	if (!was_up)
		link->tried++;
	if (stopping) {
		link_enter(link, LINK_STOPPED);
		link->tell_stopped = true;
		loop_defer(link->loop, &link->turn);
	} else {
		link_enter(link, LINK_WAITING);
		schedule_attempt(link, was_up && up_us >= STABLE_US);
	}
	link->cbs->down(link->arg, close);
}

/* Lets stream and connection go, the latter to be freed in the task. */
static void
let_go(struct rmq_link *link)
{
	stream_close(link->stream);
	link->stream = NULL;
	link->dead = link->conn;
	link->conn = NULL;
	loop_defer(link->loop, &link->turn);
}

static void
on_conn_opened(void *arg)
{
	struct rmq_link *link = arg;

	link_enter(link, LINK_UP);
	link->tried = 0;
	link->up_us = loop_now_us(link->loop);
	log_info("broker_up", LOG_STR("connection", link->options.conn.name),
	    LOG_STR("node", link->node_name),
	    LOG_STR("version", rmq_conn_server_version(link->conn)));
	if (!link->reading)
		rmq_link_read_enable(link, false);
	link->cbs->up(link->arg, link->conn);
}

static void
on_conn_closed(void *arg, const struct rmq_close *close)
{
	struct rmq_link *link = arg;
	struct rmq_close copy = *close;

	/* A last word, such as the answer to a close. */
	write_output(link);
	let_go(link);
	on_over(link, &copy);
}

static void
on_conn_blocked(void *arg, bool blocked, const char *reason)
{
	struct rmq_link *link = arg;

	if (blocked)
		log_warn("broker_blocked",
		    LOG_STR("connection", link->options.conn.name),
		    LOG_STR("node", link->node_name),
		    LOG_STR("reason", reason));
	else
		log_info("broker_unblocked",
		    LOG_STR("connection", link->options.conn.name),
		    LOG_STR("node", link->node_name));
	link->cbs->blocked(link->arg, blocked, reason);
}

static void
on_conn_wake(void *arg)
{
	struct rmq_link *link = arg;

	loop_defer(link->loop, &link->turn);
}

static const struct rmq_conn_cbs conn_cbs = {
	.opened = on_conn_opened,
	.closed = on_conn_closed,
	.blocked = on_conn_blocked,
	.wake = on_conn_wake,
};

static void
on_stream_up(void *arg)
{
	struct rmq_link *link = arg;

	link_enter(link, LINK_HANDSHAKE);
	link->conn = rmq_conn_new(&link->options.conn, &conn_cbs, link,
	    loop_now_us(link->loop));
	loop_defer(link->loop, &link->turn);
}

static void
on_stream_data(void *arg, const uint8_t *bytes, size_t len)
{
	struct rmq_link *link = arg;

	rmq_conn_input(link->conn, bytes, len, loop_now_us(link->loop));
}

static void
on_stream_down(void *arg, const char *why)
{
	struct rmq_link *link = arg;
	struct rmq_close close;

	if (link->conn != NULL) {
		rmq_conn_lost(link->conn, why);
		return;
	}
	rmq_close_set(&close, RMQ_FAULT_IO, 0, 0, "%s", why);
	let_go(link);
	on_over(link, &close);
}

static const struct stream_cbs stream_cbs = {
	.up = on_stream_up,
	.data = on_stream_data,
	.down = on_stream_down,
};

/* The options are const for their readers; these copies are ours. */
static void *
own(const void *copy)
{
	void *ptr;

	memcpy(&ptr, &copy, sizeof(ptr));
	return ptr;
}

/* A password that was changed is good from the next attempt on. */
static void
read_password(struct rmq_link *link)
{
	struct rmq_link_options *options = &link->options;
	const char *problem;
	char *password;

	if (options->password_file == NULL)
		return;
	problem = file_read_secret(options->password_file, &password);
	if (problem != NULL) {
		log_warn("password_not_read",
		    LOG_STR("connection", options->conn.name),
		    LOG_STR("file", options->password_file),
		    LOG_STR("error", problem));
		return;
	}
	file_free_secret(own(options->conn.password));
	options->conn.password = password;
}

static void
connect_node(struct rmq_link *link)
{
	const struct rmq_node *node = &link->options.nodes[link->node];
	struct stream_target target = {
		.host = node->host,
		.port = node->port,
		.tls = node->tls ? &link->options.tls : NULL,
		.connect_timeout_ms = link->options.connect_timeout_ms,
	};

	link->connect_now = false;
	read_password(link);
	name_node(link);
	link_enter(link, LINK_CONNECTING);
	link->stream = stream_connect(link->net, &target, &stream_cbs, link);
}

static void
on_timer(void *arg)
{
	struct rmq_link *link = arg;
	int64_t now_us = loop_now_us(link->loop);

	if (link->conn == NULL) {
		connect_node(link);
		return;
	}
	if (now_us >= rmq_conn_deadline_us(link->conn))
		rmq_conn_tick(link->conn, now_us);
	if (link->conn != NULL)
		watch_deadline(link);
}

static void
destroy(struct rmq_link *link)
{
	struct rmq_link_options *options = &link->options;
	size_t i;

	for (i = 0; i < options->node_count; i++)
		free(own(options->nodes[i].host));
	free(own(options->nodes));
	free(own(options->tls.ca));
	free(own(options->tls.cert));
	free(own(options->tls.key));
	free(own(options->tls.server_name));
	free(own(options->conn.vhost));
	free(own(options->conn.user));
	file_free_secret(own(options->conn.password));
	free(own(options->conn.name));
	free(own(options->password_file));
	loop_timer_free(link->loop, link->timer);
	loop_undefer(link->loop, &link->turn);
	free(link);
}

static void
on_turn(void *arg)
{
	struct rmq_link *link = arg;

	rmq_conn_free(link->dead);
	link->dead = NULL;
	if (link->freed) {
		destroy(link);
		return;
	}
	if (link->connect_now)
		connect_node(link);
	if (link->conn != NULL) {
		write_output(link);
		watch_deadline(link);
	}
	if (link->tell_stopped) {
		link->tell_stopped = false;
		link->cbs->stopped(link->arg);
	}
}

static void
copy_options(struct rmq_link_options *to, const struct rmq_link_options *from)
{
	struct rmq_node *nodes;
	size_t i;

	*to = *from;
	nodes = xcalloc(from->node_count, sizeof(*nodes));
	for (i = 0; i < from->node_count; i++) {
		nodes[i] = from->nodes[i];
		nodes[i].host = xstrdup(from->nodes[i].host);
	}
	to->nodes = nodes;
	to->tls.ca = xstrdup(from->tls.ca);
	to->tls.cert = xstrdup(from->tls.cert);
	to->tls.key = xstrdup(from->tls.key);
	to->tls.server_name = xstrdup(from->tls.server_name);
	to->conn.vhost = xstrdup(from->conn.vhost);
	to->conn.user = xstrdup(from->conn.user);
	to->conn.password = xstrdup(from->conn.password);
	to->conn.name = xstrdup(from->conn.name);
	to->password_file = xstrdup(from->password_file);
	if (to->conn.timeout_ms == 0)
		to->conn.timeout_ms = from->connect_timeout_ms;
}

struct rmq_link *
rmq_link_new(struct loop *loop, struct stream_net *net,
    const struct rmq_link_options *options, const struct rmq_link_cbs *cbs,
    void *arg)
{
	struct rmq_link *link = xcalloc(1, sizeof(*link));

	assert(options->node_count > 0);
	link->loop = loop;
	link->net = net;
	link->cbs = cbs;
	link->arg = arg;
	link->reading = true;
	copy_options(&link->options, options);
	link->timer = loop_timer_new(loop, on_timer, link);
	loop_task_init(&link->turn, on_turn, link);
	name_node(link);
	return link;
}

void
rmq_link_start(struct rmq_link *link)
{
	link_enter(link, LINK_WAITING);
	link->connect_now = true;
	loop_defer(link->loop, &link->turn);
}

/* Ends whatever is under way without a word to anybody. */
static void
cut(struct rmq_link *link)
{
	loop_timer_stop(link->loop, link->timer);
	link->connect_now = false;
	if (link->conn != NULL)
		rmq_conn_mute(link->conn);
	if (link->stream != NULL)
		let_go(link);
}

void
rmq_link_stop(struct rmq_link *link)
{
	if (link->state >= LINK_CLOSING)
		return;
	if (link->state == LINK_UP) {
		link_enter(link, LINK_CLOSING);
		/* The answer must be read, whatever else comes before it. */
		rmq_link_read_enable(link, true);
		rmq_conn_close(link->conn);
		return;
	}
	cut(link);
	link_enter(link, LINK_STOPPED);
	link->tell_stopped = true;
	loop_defer(link->loop, &link->turn);
}

void
rmq_link_free(struct rmq_link *link)
{
	if (link == NULL)
		return;
	cut(link);
	link->freed = true;
	loop_defer(link->loop, &link->turn);
}

struct rmq_conn *
rmq_link_conn(const struct rmq_link *link)
{
	if (link->conn == NULL || !rmq_conn_is_open(link->conn))
		return NULL;
	return link->conn;
}

bool
rmq_link_tried_all(const struct rmq_link *link)
{
	return link->tried >= link->options.node_count;
}

const char *
rmq_link_node(const struct rmq_link *link)
{
	return link->node_name;
}

void
rmq_link_read_enable(struct rmq_link *link, bool on)
{
	link->reading = on;
	/* The handshake is always read. */
	if (link->state != LINK_UP && link->state != LINK_CLOSING)
		return;
	stream_read_enable(link->stream, on);
	rmq_conn_set_reading(link->conn, on, loop_now_us(link->loop));
	watch_deadline(link);
}

size_t
rmq_link_unsent(const struct rmq_link *link)
{
	size_t bytes = 0;

	if (link->stream != NULL)
		bytes += stream_unsent(link->stream);
	if (link->conn != NULL)
		bytes += link->conn->out.len;
	return bytes;
}
