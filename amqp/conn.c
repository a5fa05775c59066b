/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The connection: bytes in and out, and its end. Time is in conn_time.c, the
 * handshake and the rest of channel 0 in handshake.c.
 *
 * It owns its channels and both buffers. Any callback may end it (close,
 * lost), so that whoever calls one looks at the state again; memory of
 * channels and consumers goes in rmq_conn_flush, when no callback runs.
 * It fails only by `closed`.
 */
#include "amqp/conn.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amqp/internal.h"
#include "lib/log.h"
#include "lib/xalloc.h"

#define DEFAULT_CHANNEL_MAX 2047
#define DEFAULT_FRAME_MAX   131072
#define DEFAULT_TIMEOUT_MS  10000

/* Input that needed more room than this does not keep it. */
#define IN_KEEP_BYTES (1u << 20)

const char *
rmq_fault_name(enum rmq_fault fault)
{
	switch (fault) {
	case RMQ_FAULT_NONE:
		return "none";
	case RMQ_FAULT_IO:
		return "io";
	case RMQ_FAULT_SILENT:
		return "silent";
	case RMQ_FAULT_AUTH:
		return "auth";
	case RMQ_FAULT_VHOST:
		return "vhost";
	case RMQ_FAULT_SERVER:
		return "server";
	case RMQ_FAULT_PROTOCOL:
		return "protocol";
	}
	return "?";
}

const char *
rmq_conn_state_name(enum rmq_conn_state state)
{
	switch (state) {
	case RMQ_CONN_STARTING:
		return "starting";
	case RMQ_CONN_LOGIN:
		return "login";
	case RMQ_CONN_OPENING:
		return "opening";
	case RMQ_CONN_OPEN:
		return "open";
	case RMQ_CONN_CLOSING:
		return "closing";
	case RMQ_CONN_CLOSED:
		return "closed";
	}
	return "?";
}

/*
 * starting -> login -> opening -> open -> closing -> closed; any but closed
 * goes to closing when asked to, and to closed when something breaks.
 */
void
rmq_conn_enter(struct rmq_conn *conn, enum rmq_conn_state state)
{
	bool legal = state == conn->state + 1;

	if (state == RMQ_CONN_CLOSING)
		legal = conn->state < RMQ_CONN_CLOSING;
	if (state == RMQ_CONN_CLOSED)
		legal = conn->state != RMQ_CONN_CLOSED;
	if (!legal)
		abort();
	log_debug("amqp_connection",
	    LOG_STR("from", rmq_conn_state_name(conn->state)),
	    LOG_STR("to", rmq_conn_state_name(state)));
	conn->state = state;
}

struct rmq_conn *
rmq_conn_new(const struct rmq_conn_options *options,
    const struct rmq_conn_cbs *cbs, void *arg, int64_t now_us)
{
	struct rmq_conn *conn = xcalloc(1, sizeof(*conn));

	conn->cbs = cbs;
	conn->arg = arg;
	conn->mechanism = options->mechanism;
	conn->vhost = xstrdup(options->vhost);
	conn->user = xstrdup(options->user);
	conn->password = xstrdup(options->password);
	conn->name = xstrdup(options->name);
	conn->channel_max = options->channel_max != 0 ? options->channel_max
						      : DEFAULT_CHANNEL_MAX;
	conn->frame_max =
	    options->frame_max != 0 ? options->frame_max : DEFAULT_FRAME_MAX;
	conn->heartbeat_s = options->heartbeat_s;
	conn->timeout_us = 1000 *
	    (options->timeout_ms != 0 ? options->timeout_ms
				      : DEFAULT_TIMEOUT_MS);
	conn->now_us = conn->seen_us = conn->sent_us = now_us;
	conn->phase_us = now_us;
	conn->acks_us = INT64_MAX;
	conn->reading = true;
	conn->woken = true; /* the owner flushes a new one by itself */
	TAILQ_INIT(&conn->dirty);
	TAILQ_INIT(&conn->dead);
	TAILQ_INIT(&conn->gone);
	init_amqp_pool(&conn->pool, 4096);
	rmq_handshake_begin(conn);
	return conn;
}

static void
reap(struct rmq_conn *conn)
{
	struct rmq_consumer *consumer;
	struct rmq_channel *ch;

	while ((ch = TAILQ_FIRST(&conn->dead)) != NULL) {
		TAILQ_REMOVE(&conn->dead, ch, entry);
		rmq_channel_free(ch);
	}
	while ((consumer = TAILQ_FIRST(&conn->gone)) != NULL) {
		TAILQ_REMOVE(&conn->gone, consumer, entry);
		free(consumer);
	}
}

void
rmq_conn_free(struct rmq_conn *conn)
{
	size_t id;

	if (conn == NULL)
		return;
	assert(conn->busy == 0);
	reap(conn);
	for (id = 0; id < conn->channel_space; id++) {
		if (conn->channels[id] != NULL)
			rmq_channel_free(conn->channels[id]);
	}
	free(conn->channels);
	rmq_handshake_forget(conn);
	buf_clear(&conn->in);
	buf_clear(&conn->out);
	empty_amqp_pool(&conn->pool);
	free(conn);
}

void
rmq_conn_wake(struct rmq_conn *conn)
{
	if (conn->woken || conn->muted)
		return;
	conn->woken = true;
	conn->cbs->wake(conn->arg);
}

/* The answer to our protocol header when the peer wants another version. */
static void
refuse_version(struct rmq_conn *conn)
{
	const uint8_t *b = buf_peek(&conn->in);
	struct rmq_close close;

	if (conn->in.len == 8 && memcmp(b, "AMQP", 4) == 0)
		rmq_close_set(&close, RMQ_FAULT_PROTOCOL, 0, 0,
		    "the peer speaks AMQP %u-%u-%u (protocol %u), not 0-9-1",
		    b[5], b[6], b[7], b[4]);
	else
		rmq_close_set(&close, RMQ_FAULT_PROTOCOL, 0, 0,
		    "the peer does not speak AMQP: is it another service, "
		    "or a TLS port?");
	rmq_conn_end(conn, &close);
}

static void
on_frame(struct rmq_conn *conn, const struct rmq_frame *frame)
{
	struct rmq_slice fields = frame->payload;
	amqp_method_number_t number = 0;

	if (frame->type == RMQ_FRAME_HEARTBEAT && frame->channel == 0)
		return;
	if (frame->type == RMQ_FRAME_METHOD) {
		number = rmq_frame_method(frame);
		fields.ptr += 4;
		fields.len -= 4;
	}
	if (frame->channel == 0 && frame->type == RMQ_FRAME_METHOD)
		rmq_handshake_method(conn, number, fields);
	else if (conn->state == RMQ_CONN_CLOSING)
		return; /* nobody is interested any more */
	else if (frame->channel == 0 || conn->state != RMQ_CONN_OPEN ||
	    frame->type == RMQ_FRAME_HEARTBEAT)
		rmq_conn_abort(conn, RMQ_CODE_UNEXPECTED_FRAME, number,
		    "unexpected frame of type %u on channel %u",
		    (unsigned)frame->type, frame->channel);
	else
		rmq_dispatch_frame(conn, frame);
}

/* Takes at most what completes the frame that is there in part. */
static struct rmq_slice
take_rest_of_part(struct rmq_conn *conn, struct rmq_slice *from, size_t need)
{
	size_t len = need - conn->in.len;

	if (len > from->len)
		len = from->len;
	buf_add(&conn->in, from->ptr, len);
	from->ptr += len;
	from->len -= len;
	return (struct rmq_slice){ buf_peek(&conn->in), conn->in.len };
}

/*
 * Handles one frame, straight from the input when it is whole there. Only
 * the tail that is not is copied, so each byte at most once.
 */
static void
input_frame(struct rmq_conn *conn, struct rmq_slice *from)
{
	struct rmq_slice bytes = *from;
	bool copied = conn->in.len > 0;
	enum rmq_frame_verdict verdict;
	struct rmq_frame frame;
	const char *error;
	size_t need;

	if (copied)
		bytes = (struct rmq_slice){ buf_peek(&conn->in), conn->in.len };
	for (;;) {
		verdict = rmq_frame_peek(bytes, conn->frame_max, &frame, &need,
		    &error);
		if (verdict != RMQ_FRAME_PART || from->len == 0)
			break;
		copied = true;
		bytes = take_rest_of_part(conn, from, need);
	}
	if (verdict == RMQ_FRAME_PART)
		return;
	if (verdict == RMQ_FRAME_BAD) {
		rmq_conn_abort(conn, RMQ_CODE_FRAME_ERROR, 0, "%s", error);
		return;
	}
	if (!copied) {
		from->ptr += need;
		from->len -= need;
	}
	on_frame(conn, &frame);
	if (copied && conn->in.space > IN_KEEP_BYTES)
		buf_clear(&conn->in);
	else if (copied)
		buf_reset(&conn->in);
	/* What callbacks of other frames took from it can wait. */
	if (frame.type == RMQ_FRAME_METHOD)
		recycle_amqp_pool(&conn->pool);
}

/* True when what came first is no frame; then it is dealt with. */
static bool
input_is_foreign(struct rmq_conn *conn, struct rmq_slice *from)
{
	if (conn->state != RMQ_CONN_STARTING)
		return false;
	if (conn->in.len == 0 && from->ptr[0] == RMQ_FRAME_METHOD)
		return false;
	if (conn->in.len > 0 && *buf_peek(&conn->in) == RMQ_FRAME_METHOD)
		return false;
	(void)take_rest_of_part(conn, from, 8);
	if (*buf_peek(&conn->in) != 'A' || conn->in.len == 8)
		refuse_version(conn);
	return true;
}

void
rmq_conn_input(struct rmq_conn *conn, const uint8_t *bytes, size_t len,
    int64_t now_us)
{
	struct rmq_slice from = { bytes, len };

	assert(conn->busy == 0);
	conn->now_us = conn->seen_us = now_us;
	conn->busy++;
	while (from.len > 0 && conn->state != RMQ_CONN_CLOSED) {
		if (!input_is_foreign(conn, &from))
			input_frame(conn, &from);
	}
	conn->busy--;
}

struct buf *
rmq_conn_flush(struct rmq_conn *conn, int64_t now_us)
{
	conn->now_us = now_us;
	rmq_conn_stamp(conn);
	rmq_conn_write_due_acks(conn);
	if (conn->busy == 0) {
		reap(conn);
		recycle_amqp_pool(&conn->pool);
	}
	if (conn->out.len > 0)
		conn->sent_us = now_us;
	conn->woken = false;
	return &conn->out;
}

void
rmq_conn_close(struct rmq_conn *conn)
{
	struct rmq_close close = { 0 };
	struct rmq_channel *ch;

	if (conn->state >= RMQ_CONN_CLOSING)
		return;
	if (conn->state < RMQ_CONN_OPEN) {
		/* Brokers do not answer a close before that. */
		rmq_conn_end(conn, &close);
		return;
	}
	while ((ch = TAILQ_FIRST(&conn->dirty)) != NULL)
		rmq_channel_write_acks(ch);
	rmq_conn_enter(conn, RMQ_CONN_CLOSING);
	conn->phase_us = RMQ_UNSTAMPED;
	rmq_handshake_send_close(conn, RMQ_CODE_OK, 0, "goodbye");
}

void
rmq_conn_lost(struct rmq_conn *conn, const char *why)
{
	struct rmq_close close;

	rmq_close_set(&close, RMQ_FAULT_IO, 0, 0, "%s%s", why,
	    conn->state == RMQ_CONN_LOGIN
		? " (during login: wrong user or password?)"
		: "");
	rmq_conn_end(conn, &close);
}

void
rmq_conn_mute(struct rmq_conn *conn)
{
	struct rmq_close close = { 0 };
	size_t id;

	conn->muted = true;
	for (id = 0; id < conn->channel_space; id++) {
		if (conn->channels[id] != NULL)
			rmq_channel_mute(conn->channels[id]);
	}
	rmq_conn_end(conn, &close);
}

void
rmq_conn_end(struct rmq_conn *conn, const struct rmq_close *close)
{
	size_t id;

	if (conn->state == RMQ_CONN_CLOSED)
		return;
	rmq_conn_enter(conn, RMQ_CONN_CLOSED);
	conn->busy++;
	/* No channel can be opened now, so the table stays where it is. */
	for (id = 0; id < conn->channel_space; id++) {
		if (conn->channels[id] != NULL)
			rmq_channel_end(conn->channels[id], close);
	}
	if (!conn->muted)
		conn->cbs->closed(conn->arg, close);
	conn->busy--;
}

void
rmq_conn_abort(struct rmq_conn *conn, uint16_t code, uint32_t method,
    const char *fmt, ...)
{
	struct rmq_close close = { .fault = RMQ_FAULT_PROTOCOL, .code = code };
	va_list ap;

	if (conn->state == RMQ_CONN_CLOSED)
		return;
	close.class_id = (uint16_t)(method >> 16);
	close.method_id = (uint16_t)method;
	va_start(ap, fmt);
	vsnprintf(close.text, sizeof(close.text), fmt, ap);
	va_end(ap);
	/* What follows on the wire may be nonsense: no answer is awaited. */
	rmq_handshake_send_close(conn, code, method, close.text);
	rmq_conn_end(conn, &close);
}

void
rmq_close_set(struct rmq_close *close, enum rmq_fault fault, uint16_t code,
    uint32_t method, const char *fmt, ...)
{
	va_list ap;

	close->fault = fault;
	close->code = code;
	close->class_id = (uint16_t)(method >> 16);
	close->method_id = (uint16_t)method;
	va_start(ap, fmt);
	vsnprintf(close->text, sizeof(close->text), fmt, ap);
	va_end(ap);
}

bool
rmq_conn_is_open(const struct rmq_conn *conn)
{
	return conn->state == RMQ_CONN_OPEN;
}

bool
rmq_conn_is_blocked(const struct rmq_conn *conn)
{
	return conn->blocked;
}

uint32_t
rmq_conn_frame_max(const struct rmq_conn *conn)
{
	return conn->state >= RMQ_CONN_OPEN ? conn->frame_max : 0;
}

uint16_t
rmq_conn_channel_max(const struct rmq_conn *conn)
{
	return conn->channel_max;
}

size_t
rmq_conn_partial_bytes(const struct rmq_conn *conn)
{
	return conn->partial_bytes;
}

const char *
rmq_conn_server_version(const struct rmq_conn *conn)
{
	return conn->server_version;
}
