/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/audit_read.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amqp/channel.h"
#include "amqp/props.h"
#include "amqp/publisher.h"
#include "dlx/envelope.h"
#include "dlx/topology.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/text.h"
#include "lib/xalloc.h"
#include "redrive/job_env.h"

/* A stream gives nothing without one; so many come after a pull(off). */
#define PREFETCH 100
/* Nothing comes for so long: nothing more will. */
#define STALL_MS 10000
/* The broker's clock may be another than ours. */
#define SLACK_S 60

enum {
	CODE_FORBIDDEN = 403,
	CODE_MISSING = 404,
	CODE_PRECONDITION = 406, /* only a stream knows x-stream-offset */
};

struct audit_read {
	const struct job_env *env;
	const struct audit_read_cbs *cbs;
	void *arg;
	int64_t since_ms;
	struct rmq_channel *channel; /* NULL: gone */
	struct audit_chain chain;
	char marker[TEXT_UUID_SPACE];
	char *text; /* the marker's message */
	struct buf props;
	struct rmq_ticket *ticket; /* of the marker; NULL: it has gone */
	bool pull;
	uint64_t unacked, last; /* tags, all between; 0: none */
	enum audit_read_end end;
	struct loop_task ending;
	struct loop_timer *stall;
};

static void
on_ending(void *arg)
{
	struct audit_read *r = arg;

	r->cbs->ended(r->arg, r->end);
}

/* Reads no more, and says so at the end of the turn. */
static void
finish(struct audit_read *r, enum audit_read_end end)
{
	if (r->channel != NULL)
		rmq_channel_abandon(r->channel);
	r->channel = NULL;
	r->end = end;
	loop_timer_stop(r->env->loop, r->stall);
	loop_defer(r->env->loop, &r->ending);
}

static void
on_stall(void *arg)
{
	finish(arg, AUDIT_READ_STALLED);
}

/* An ack is what lets the next one come. */
static void
ack(struct audit_read *r, uint64_t tag)
{
	if (r->pull) {
		rmq_ack(r->channel, tag);
		return;
	}
	if (r->unacked == 0)
		r->unacked = tag;
	r->last = tag;
}

static void
on_message(void *arg, const struct rmq_delivery *d)
{
	struct audit_read *r = arg;
	struct rmq_message *message = d->message;
	struct rmq_slice text = message->body;
	int64_t offset = rmq_props_offset(message->props);
	enum audit_finding finding;

	if (offset < 0) {
		finish(r, AUDIT_READ_NO_STREAM);
	} else if (audit_is_marker(text.ptr, text.len, r->marker)) {
		finish(r, AUDIT_READ_WHOLE);
	} else {
		ack(r, d->tag);
		if (r->pull)
			loop_timer_start(r->env->loop, r->stall, STALL_MS);
		finding = audit_verify(&r->chain, text.ptr, text.len);
		if (finding != AUDIT_NO_ENTRY ||
		    !audit_is_marker(text.ptr, text.len, NULL))
			r->cbs->entry(r->arg, offset, finding, text);
	}
	rmq_message_free(message);
}

static void
on_cancelled(void *arg)
{
	finish(arg, AUDIT_READ_LOST);
}

static void
on_closed(void *arg, const struct rmq_close *why)
{
	struct audit_read *r = arg;

	log_warn("audit_unreadable", LOG_STR("queue", r->env->names->audit),
	    LOG_INT("code", why->code), LOG_STR("text", why->text));
	r->channel = NULL;
	switch (why->code) {
	case CODE_MISSING:
		finish(r, AUDIT_READ_MISSING);
		break;
	case CODE_FORBIDDEN:
		finish(r, AUDIT_READ_FORBIDDEN);
		break;
	case CODE_PRECONDITION:
		finish(r, AUDIT_READ_NO_STREAM);
		break;
	default:
		finish(r, AUDIT_READ_LOST);
		break;
	}
}

/* What goes wrong with it shows as a stall. */
static void
on_sent(void *arg, const struct rmq_sent_result *result)
{
	struct audit_read *r = arg;

	r->ticket = NULL;
	if (result->sent != RMQ_SENT_OK)
		log_warn("audit_unreadable",
		    LOG_STR("queue", r->env->names->audit),
		    LOG_INT("code", result->code),
		    LOG_STR("text", result->text));
}

static void
on_consuming(void *arg, const struct rmq_reply *reply)
{
	struct audit_read *r = arg;
	struct rmq_publish publish = {
		.exchange = r->env->names->control,
		.routing_key = "audit",
		.mandatory = true,
		.correlation = rmq_slice_of(r->marker),
	};
	struct rmq_props props = { 0 };
	struct buf headers = { 0 };

	if (!reply->ok)
		return; /* `closed` says more */
	rmq_table_add_text(&headers, ENVELOPE_ID_HEADER, r->marker,
	    strlen(r->marker));
	props.has[RMQ_PROP_HEADERS] = true;
	props.value[RMQ_PROP_HEADERS] =
	    (struct rmq_slice){ buf_peek(&headers), headers.len };
	props.has[RMQ_PROP_USER_ID] = true;
	props.value[RMQ_PROP_USER_ID] = rmq_slice_of(r->env->user);
	rmq_props_write(&r->props, &props);
	buf_clear(&headers);
	publish.props = (struct rmq_slice){ buf_peek(&r->props), r->props.len };
	publish.body = rmq_slice_of(r->text);
	r->ticket = rmq_publisher_send(r->env->publisher, &publish, on_sent, r);
}

static void
on_opened(void *arg)
{
	static const struct rmq_consumer_cbs cbs = { on_message, on_cancelled };
	struct audit_read *r = arg;
	struct buf args = { 0 };
	char from[32] = "first";

	/* The broker knows when it wrote what: by its own clock. */
	if (r->since_ms > 0)
		(void)snprintf(from, sizeof(from), "%" PRId64 "s",
		    r->since_ms / 1000 + 1 + SLACK_S);
	rmq_table_add_text(&args, "x-stream-offset", from, strlen(from));
	rmq_qos(r->channel, PREFETCH, NULL, NULL);
	(void)rmq_consume(r->channel, r->env->names->audit, 0,
	    (struct rmq_slice){ buf_peek(&args), args.len }, &cbs, r,
	    on_consuming);
	buf_clear(&args);
}

struct audit_read *
audit_read_new(const struct job_env *env, struct rmq_conn *conn,
    int64_t since_ms, const struct audit_read_cbs *cbs, void *arg)
{
	static const struct rmq_channel_cbs channel_cbs = {
		.opened = on_opened,
		.closed = on_closed,
	};
	struct audit_read *r = xcalloc(1, sizeof(*r));

	r->env = env;
	r->cbs = cbs;
	r->arg = arg;
	r->since_ms = since_ms;
	r->pull = true;
	(void)text_uuid4(r->marker, loop_random(env->loop),
	    loop_random(env->loop));
	r->text = audit_marker(r->marker);
	loop_task_init(&r->ending, on_ending, r);
	r->stall = loop_timer_new(env->loop, on_stall, r);
	r->channel = rmq_channel_open(conn, &channel_cbs, r);
	if (r->channel == NULL)
		finish(r, AUDIT_READ_LOST);
	else
		loop_timer_start(env->loop, r->stall, STALL_MS);
	return r;
}

void
audit_read_pull(struct audit_read *r, bool on)
{
	if (r->pull == on)
		return;
	r->pull = on;
	if (r->channel == NULL)
		return;
	if (!on) {
		loop_timer_stop(r->env->loop, r->stall);
		return;
	}
	loop_timer_start(r->env->loop, r->stall, STALL_MS);
	for (; r->unacked != 0 && r->unacked <= r->last; r->unacked++)
		rmq_ack(r->channel, r->unacked);
	r->unacked = 0;
}

void
audit_read_free(struct audit_read *r)
{
	if (r == NULL)
		return;
	if (r->channel != NULL)
		rmq_channel_abandon(r->channel);
	if (r->ticket != NULL)
		rmq_publisher_forget(r->env->publisher, r->ticket);
	loop_timer_free(r->env->loop, r->stall);
	loop_undefer(r->env->loop, &r->ending);
	buf_clear(&r->props);
	free(r->text);
	free(r);
}
