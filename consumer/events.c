/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "consumer/events.h"

#include <stdio.h>
#include <stdlib.h>

#include "amqp/props.h"
#include "lib/buf.h"
#include "lib/text.h"
#include "lib/xalloc.h"

/* Of what an event says; raised when a field changes its meaning. */
#define EVENTS_VERSION 1

/* Of any text in an event. */
#define TEXT_MAX_BYTES 512

/* With so much unsent on the connection, no news are added to it. */
#define UNSENT_MAX_BYTES (256u << 10)

/* "outcome." and a name of at most 63 bytes. */
#define KEY_SPACE 80

#define MODE_TRANSIENT 1

enum events_kind {
	EVENTS_OUTCOME,
	EVENTS_DEAD,
	EVENTS_BREAKER,
	EVENTS_KIND_COUNT
};

static const char *const kind_names[EVENTS_KIND_COUNT] = {
	[EVENTS_OUTCOME] = "outcome",
	[EVENTS_DEAD] = "dead",
	[EVENTS_BREAKER] = "breaker",
};

struct events {
	struct events_env env;
	char *instance;
	struct metrics_cell *sent[EVENTS_KIND_COUNT];
	struct metrics_cell *dropped[EVENTS_KIND_COUNT];
	int64_t at_ms; /* of the event under construction, wall clock */
	struct buf body, props; /* of the event being made */
};

struct events *
events_new(const struct events_env *env)
{
	struct metrics_family *family =
	    metrics_counter(env->metrics, "dlo_events_total",
		"Events by what became of them.", "event,result");
	struct events *ev = xcalloc(1, sizeof(*ev));

	ev->env = *env;
	ev->instance = xstrdup(env->instance);
	ev->env.instance = ev->instance;
	for (int i = 0; i < EVENTS_KIND_COUNT; i++) {
		ev->sent[i] = metrics_cell(family, kind_names[i], "sent");
		ev->dropped[i] = metrics_cell(family, kind_names[i], "dropped");
	}
	return ev;
}

void
events_free(struct events *ev)
{
	if (ev == NULL)
		return;
	buf_clear(&ev->body);
	buf_clear(&ev->props);
	free(ev->instance);
	free(ev);
}

static void
add_key(struct buf *out, const char *key)
{
	buf_printf(out, "%c\"%s\":", out->len == 0 ? '{' : ',', key);
}

static void
add_int(struct buf *out, const char *key, int64_t value)
{
	add_key(out, key);
	buf_printf(out, "%lld", (long long)value);
}

static void
add_text(struct buf *out, const char *key, struct rmq_slice text)
{
	add_key(out, key);
	buf_add_u8(out, '"');
	text_json(out, text.ptr,
	    text_utf8_cut(text.ptr, text.len, TEXT_MAX_BYTES));
	buf_add_u8(out, '"');
}

static void
add_str(struct buf *out, const char *key, const char *text)
{
	add_text(out, key, rmq_slice_of(text));
}

/* Leaves an empty one out. */
static void
add_some(struct buf *out, const char *key, struct rmq_slice text)
{
	if (text.len > 0)
		add_text(out, key, text);
}

static void
add_time(struct buf *out, const char *key, int64_t wall_ms)
{
	char text[TEXT_ISO8601_SPACE];

	add_str(out, key, text_iso8601(text, wall_ms));
}

/* The id may be any bytes. JSON cannot say some of them: these go as hex. */
static void
add_id(struct buf *out, struct rmq_slice id)
{
	add_text(out, "id", id);
	if (text_utf8_valid(id.ptr, id.len))
		return;
	add_key(out, "id_hex");
	buf_add_u8(out, '"');
	for (size_t i = 0; i < id.len; i++)
		buf_printf(out, "%02x", id.ptr[i]);
	buf_add_u8(out, '"');
}

/* Begins an event with what all have in common. */
static struct buf *
begin(struct events *ev, enum events_kind kind)
{
	struct buf *out = &ev->body;

	ev->at_ms = loop_wall_ms(ev->env.loop);
	buf_reset(out);
	add_int(out, "version", EVENTS_VERSION);
	add_str(out, "event", kind_names[kind]);
	add_time(out, "at", ev->at_ms);
	add_str(out, "instance", ev->instance);
	return out;
}

/* Begins one about a message. */
static struct buf *
begin_message(struct events *ev, enum events_kind kind, const char *pipeline,
    const struct envelope *e)
{
	struct buf *out = begin(ev, kind);

	add_str(out, "pipeline", pipeline);
	add_id(out, e->id);
	add_some(out, "job", e->job);
	add_int(out, "redrives", e->redrives);
	return out;
}

static void
set_text(struct rmq_props *props, enum rmq_prop prop, const char *text)
{
	props->has[prop] = true;
	props->value[prop] = rmq_slice_of(text);
}

/* The user id is checked by the broker: nobody else can say this. */
static void
write_props(struct events *ev, enum events_kind kind)
{
	const uint8_t mode = MODE_TRANSIENT;
	struct rmq_props props = { 0 };
	struct buf timestamp = { 0 };

	buf_add_u64(&timestamp, (uint64_t)(ev->at_ms / 1000));
	set_text(&props, RMQ_PROP_CONTENT_TYPE, "application/json");
	set_text(&props, RMQ_PROP_TYPE, kind_names[kind]);
	set_text(&props, RMQ_PROP_USER_ID, ev->env.user);
	set_text(&props, RMQ_PROP_APP_ID, "dlo-consumer");
	props.has[RMQ_PROP_DELIVERY_MODE] = true;
	props.value[RMQ_PROP_DELIVERY_MODE] =
	    (struct rmq_slice){ &mode, sizeof(mode) };
	props.has[RMQ_PROP_TIMESTAMP] = true;
	props.value[RMQ_PROP_TIMESTAMP] =
	    (struct rmq_slice){ buf_peek(&timestamp), timestamp.len };
	buf_reset(&ev->props);
	rmq_props_write(&ev->props, &props);
	buf_clear(&timestamp);
}

/* Ends the event and sends it, if it can go now. */
static void
tell(struct events *ev, enum events_kind kind, const char *name)
{
	char key[KEY_SPACE];
	struct rmq_publish publish = { .exchange = ev->env.exchange,
		.routing_key = key };
	bool sent = ev->env.unsent(ev->env.arg) <= UNSENT_MAX_BYTES;

	if (sent) {
		buf_add_u8(&ev->body, '}');
		write_props(ev, kind);
		snprintf(key, sizeof(key), "%s.%s", kind_names[kind], name);
		publish.props.ptr = buf_peek(&ev->props);
		publish.props.len = ev->props.len;
		publish.body.ptr = buf_peek(&ev->body);
		publish.body.len = ev->body.len;
		sent = rmq_publisher_tell(ev->env.publisher, &publish);
	}
	metrics_inc(sent ? ev->sent[kind] : ev->dropped[kind]);
}

void
events_outcome(struct events *ev, const char *pipeline,
    const struct envelope *e, const struct events_attempt *attempt)
{
	const struct verdict *verdict = attempt->verdict;
	struct buf *out;

	if (e->job.len == 0)
		return;
	out = begin_message(ev, EVENTS_OUTCOME, pipeline, e);
	add_int(out, "attempt", e->attempt + 1);
	add_str(out, "outcome", verdict_outcome_name(attempt->outcome));
	add_str(out, "class", verdict->class);
	add_some(out, "error", rmq_slice_of(verdict->error));
	add_int(out, "handler_ms", attempt->handler_ms);
	add_str(out, "next", attempt->next);
	add_int(out, "delay_ms", attempt->delay_ms);
	tell(ev, EVENTS_OUTCOME, pipeline);
}

void
events_dead(struct events *ev, const char *pipeline, const struct envelope *e)
{
	struct buf *out = begin_message(ev, EVENTS_DEAD, pipeline, e);

	add_int(out, "attempt", e->attempt);
	add_str(out, "reason", envelope_reason_name(e->reason));
	add_some(out, "class", e->class);
	add_some(out, "error", e->error);
	tell(ev, EVENTS_DEAD, pipeline);
}

void
events_breaker(struct events *ev, const struct downstream *downstream,
    const enum breaker_state *from)
{
	struct buf *out = begin(ev, EVENTS_BREAKER);
	enum breaker_state state = downstream_state(downstream);

	add_str(out, "downstream", downstream_name(downstream));
	add_str(out, "state", breaker_state_name(state));
	if (from != NULL)
		add_str(out, "previous", breaker_state_name(*from));
	add_int(out, "opened", (int64_t)downstream_opened(downstream));
	if (state == BREAKER_OPEN)
		add_time(out, "until",
		    loop_wall_ms(ev->env.loop) +
			downstream_open_ms(downstream));
	tell(ev, EVENTS_BREAKER, downstream_name(downstream));
}
