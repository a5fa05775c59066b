/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/amqp/rig.h"

const struct rmq_conn_options rig_options = {
	.vhost = "/",
	.user = "guest",
	.password = "secret",
	.name = "rig",
	.heartbeat_s = 10,
};

static void
tell_close(struct buf *log, const struct rmq_close *close)
{
	buf_printf(log, " %s %u %s\n", rmq_fault_name(close->fault),
	    close->code, close->text);
}

static void
conn_opened(void *arg)
{
	struct rig *rig = arg;

	buf_printf(&rig->log, "opened\n");
	if (rig->on_opened != NULL)
		rig->on_opened(rig);
}

static void
conn_closed(void *arg, const struct rmq_close *close)
{
	struct rig *rig = arg;

	buf_printf(&rig->log, "closed");
	tell_close(&rig->log, close);
}

static void
conn_blocked(void *arg, bool blocked, const char *reason)
{
	struct rig *rig = arg;

	buf_printf(&rig->log, "%s %s\n", blocked ? "blocked" : "unblocked",
	    reason);
}

static void
conn_wake(void *arg)
{
	struct rig *rig = arg;

	rig->wakes++;
}

static const struct rmq_conn_cbs conn_cbs = {
	.opened = conn_opened,
	.closed = conn_closed,
	.blocked = conn_blocked,
	.wake = conn_wake,
};

static void
channel_opened(void *arg)
{
	struct rig_end *end = arg;

	buf_printf(&end->rig->log, "%s: opened\n", end->name);
}

static void
channel_closed(void *arg, const struct rmq_close *close)
{
	struct rig_end *end = arg;

	buf_printf(&end->rig->log, "%s: closed", end->name);
	tell_close(&end->rig->log, close);
}

static void
channel_flow(void *arg, bool active)
{
	struct rig_end *end = arg;

	buf_printf(&end->rig->log, "%s: flow %d\n", end->name, active);
}

const struct rmq_channel_cbs rig_channel_cbs = {
	.opened = channel_opened,
	.closed = channel_closed,
	.flow = channel_flow,
};

static void
consumer_delivery(void *arg, const struct rmq_delivery *delivery)
{
	struct rig_end *end = arg;
	struct rmq_message *message = delivery->message;
	struct buf *log = &end->rig->log;

	buf_printf(log, "%s: delivery %u%s %.*s %.*s %zu+%zu ", end->name,
	    (unsigned)delivery->tag,
	    delivery->redelivered ? " redelivered" : "",
	    (int)message->exchange.len, (const char *)message->exchange.ptr,
	    (int)message->routing_key.len,
	    (const char *)message->routing_key.ptr, message->props.len,
	    message->body.len);
	if (message->body.len <= 64)
		buf_add(log, message->body.ptr, message->body.len);
	buf_add_str(log, "\n");
	if (end->rig->on_delivery != NULL)
		end->rig->on_delivery(end->rig, delivery);
	rmq_message_free(message);
}

static void
consumer_cancelled(void *arg)
{
	struct rig_end *end = arg;

	buf_printf(&end->rig->log, "%s: cancelled\n", end->name);
}

const struct rmq_consumer_cbs rig_consumer_cbs = {
	.delivery = consumer_delivery,
	.cancelled = consumer_cancelled,
};

void
rig_reply(void *arg, const struct rmq_reply *reply)
{
	struct rig_end *end = arg;
	struct buf *log = &end->rig->log;

	if (!reply->ok) {
		buf_printf(log, "%s: no (%u %s)\n", end->name,
		    reply->error->code, reply->error->text);
		return;
	}
	buf_printf(log, "%s: ok", end->name);
	if (reply->queue.len > 0)
		buf_printf(log, " %.*s %u %u", (int)reply->queue.len,
		    (const char *)reply->queue.ptr, reply->message_count,
		    reply->consumer_count);
	buf_add_str(log, "\n");
}

void
rig_confirm(void *arg, enum rmq_confirm verdict, const char *return_text)
{
	struct rig_end *end = arg;

	buf_printf(&end->rig->log, "%s: %s%s%s\n", end->name,
	    rmq_confirm_name(verdict), return_text != NULL ? " " : "",
	    return_text != NULL ? return_text : "");
}

void
rig_init(struct rig *rig)
{
	struct rmq_conn_options options = rig_options;

	if (rig->no_heartbeat)
		options.heartbeat_s = 0;
	if (rig->external) {
		options.mechanism = RMQ_MECHANISM_EXTERNAL;
		options.user = options.password = NULL;
	}
	rig->now_us = 1000000;
	rig->conn = rmq_conn_new(&options, &conn_cbs, rig, rig->now_us);
	rig_flush(rig);
	rig_expect(rig, "> AMQP\n");
}

void
rig_open(struct rig *rig)
{
	rig_init(rig);
	wire_start(&rig->in);
	wire_tune(&rig->in, 2047, 4096, 60);
	wire_open_ok(&rig->in);
	rig_feed(rig);
	rig_expect(rig,
	    "opened\n"
	    "> 0 connection.start-ok PLAIN\n"
	    "> 0 connection.tune-ok 2047 4096 10\n"
	    "> 0 connection.open /\n");
}

void
rig_clear(struct rig *rig)
{
	rmq_conn_free(rig->conn);
	buf_clear(&rig->in);
	buf_clear(&rig->log);
}

void
rig_flush(struct rig *rig)
{
	wire_tell(rmq_conn_flush(rig->conn, rig->now_us), &rig->log);
}

void
rig_feed(struct rig *rig)
{
	size_t len, chunk;

	for (; rig->in.len > 0; buf_drop(&rig->in, len)) {
		chunk = rig->chunk == 0 ? rig->in.len : rig->chunk;
		len = chunk < rig->in.len ? chunk : rig->in.len;
		rmq_conn_input(rig->conn, buf_peek(&rig->in), len, rig->now_us);
	}
	rig_flush(rig);
}

void
rig_sleep(struct rig *rig, int64_t us)
{
	int64_t end_us = rig->now_us + us, due;

	while ((due = rmq_conn_deadline_us(rig->conn)) <= end_us) {
		rig->now_us = due > rig->now_us ? due : rig->now_us;
		rmq_conn_tick(rig->conn, rig->now_us);
		rig_flush(rig);
	}
	rig->now_us = end_us;
}

void
rig_expect(struct rig *rig, const char *lines)
{
	assert_string_equal(buf_str(&rig->log), lines);
	buf_reset(&rig->log);
}

struct rmq_channel *
rig_channel(struct rig *rig, struct rig_end *end)
{
	struct rmq_channel *ch;
	char expected[80];
	uint16_t id;

	end->rig = rig;
	ch = rmq_channel_open(rig->conn, &rig_channel_cbs, end);
	assert_non_null(ch);
	rig_flush(rig);
	id = (uint16_t)strtoul(buf_str(&rig->log) + strlen("> "), NULL, 10);
	buf_reset(&rig->log);
	wire_channel_open_ok(&rig->in, id);
	rig_feed(rig);
	snprintf(expected, sizeof(expected), "%s: opened\n", end->name);
	rig_expect(rig, expected);
	return ch;
}
