/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "consumer/delivery.h"

#include <stdlib.h>
#include <string.h>

#include "consumer/headers.h"
#include "consumer/policy.h"
#include "lib/log.h"

const char *
delivery_state_name(enum delivery_state state)
{
	static const char *const names[] = {
		[DELIVERY_WAITING] = "waiting",
		[DELIVERY_RUNNING] = "running",
		[DELIVERY_HELD] = "held",
		[DELIVERY_SETTLING] = "settling",
		[DELIVERY_DONE] = "done",
	};

	return names[state];
}

void
delivery_enter(struct delivery *d, enum delivery_state to)
{
	static const unsigned char legal[] = {
		[DELIVERY_WAITING] = 1u << DELIVERY_RUNNING |
		    1u << DELIVERY_HELD | 1u << DELIVERY_SETTLING |
		    1u << DELIVERY_DONE,
		[DELIVERY_RUNNING] = 1u << DELIVERY_HELD |
		    1u << DELIVERY_SETTLING | 1u << DELIVERY_DONE,
		[DELIVERY_HELD] = 1u << DELIVERY_WAITING |
		    1u << DELIVERY_SETTLING | 1u << DELIVERY_DONE,
		[DELIVERY_SETTLING] = 1u << DELIVERY_DONE,
		[DELIVERY_DONE] = 0,
	};

	log_debug("delivery",
	    LOG_BYTES("id", d->envelope.id.ptr, d->envelope.id.len),
	    LOG_UINT("tag", d->tag),
	    LOG_STR("from", delivery_state_name(d->state)),
	    LOG_STR("to", delivery_state_name(to)));
	if ((legal[d->state] & 1u << to) == 0)
		abort();
	d->state = to;
}

static struct attempt_text
text(struct rmq_slice slice)
{
	return (struct attempt_text){ (const char *)slice.ptr, slice.len };
}

static struct attempt_text
text_of(const char *string)
{
	return (struct attempt_text){ string, strlen(string) };
}

/* Seconds; 0 when it is not there, or too large for anything. */
static int64_t
timestamp(struct rmq_slice bytes)
{
	uint64_t seconds = 0;
	size_t i;

	for (i = 0; i < bytes.len; i++)
		seconds = seconds << 8 | bytes.ptr[i];
	return seconds <= INT64_MAX ? (int64_t)seconds : 0;
}

void
delivery_describe(struct delivery *d, const char *pipeline, const char *queue)
{
	const struct envelope *e = &d->envelope;
	const struct rmq_slice *props = e->props.value;

	d->attempt = (struct attempt){
		.pipeline = text_of(pipeline),
		.queue = text_of(queue),
		.id = text(e->id),
		.number = e->attempt + 1,
		.alone = policy_crashed(e),
		.redrives = e->redrives,
		.exchange = text(e->exchange),
		.routing_key = text(e->routing_key),
		.content_type = text(props[RMQ_PROP_CONTENT_TYPE]),
		.content_encoding = text(props[RMQ_PROP_CONTENT_ENCODING]),
		.message_id = text(props[RMQ_PROP_MESSAGE_ID]),
		.correlation_id = text(props[RMQ_PROP_CORRELATION_ID]),
		.type = text(props[RMQ_PROP_TYPE]),
		.timestamp_s = timestamp(props[RMQ_PROP_TIMESTAMP]),
		.traceparent = text(e->traceparent),
		.tracestate = text(e->tracestate),
		.fields = { .table = text(props[RMQ_PROP_HEADERS]),
		    .next = headers_next },
		.body = d->message->body.ptr,
		.body_bytes = d->message->body.len,
	};
}
