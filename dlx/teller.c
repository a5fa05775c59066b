/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "dlx/teller.h"

#include <stdio.h>
#include <stdlib.h>

#include "amqp/props.h"
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

struct teller {
	struct teller_env env;
	char *instance;
	struct metrics_cell **sent, **dropped; /* by kind */
	int64_t at_ms; /* of the event under construction, wall clock */
	struct buf body, props; /* of the event being made */
};

struct teller *
teller_new(const struct teller_env *env)
{
	struct metrics_family *family =
	    metrics_counter(env->metrics, "dlo_events_total",
		"Events by what became of them.", "event,result");
	struct teller *t = xcalloc(1, sizeof(*t));

	t->env = *env;
	t->instance = xstrdup(env->instance);
	t->env.instance = t->instance;
	t->sent = xcalloc(env->kind_count, sizeof(*t->sent));
	t->dropped = xcalloc(env->kind_count, sizeof(*t->dropped));
	for (size_t i = 0; i < env->kind_count; i++) {
		t->sent[i] = metrics_cell(family, env->kinds[i], "sent");
		t->dropped[i] = metrics_cell(family, env->kinds[i], "dropped");
	}
	return t;
}

void
teller_free(struct teller *t)
{
	if (t == NULL)
		return;
	buf_clear(&t->body);
	buf_clear(&t->props);
	free(t->sent);
	free(t->dropped);
	free(t->instance);
	free(t);
}

static void
add_key(struct buf *out, const char *key)
{
	buf_printf(out, "%c\"%s\":", out->len == 0 ? '{' : ',', key);
}

void
teller_add_int(struct buf *out, const char *key, int64_t value)
{
	add_key(out, key);
	buf_printf(out, "%lld", (long long)value);
}

void
teller_add_bool(struct buf *out, const char *key, bool value)
{
	add_key(out, key);
	buf_add_str(out, value ? "true" : "false");
}

void
teller_add_number(struct buf *out, const char *key, double value)
{
	add_key(out, key);
	buf_printf(out, "%.3f", value);
}

void
teller_add_text(struct buf *out, const char *key, struct rmq_slice text)
{
	add_key(out, key);
	buf_add_u8(out, '"');
	text_json(out, text.ptr,
	    text_utf8_cut(text.ptr, text.len, TEXT_MAX_BYTES));
	buf_add_u8(out, '"');
}

void
teller_add_str(struct buf *out, const char *key, const char *text)
{
	teller_add_text(out, key, rmq_slice_of(text));
}

void
teller_add_some(struct buf *out, const char *key, struct rmq_slice text)
{
	if (text.len > 0)
		teller_add_text(out, key, text);
}

void
teller_add_time(struct buf *out, const char *key, int64_t wall_ms)
{
	char text[TEXT_ISO8601_SPACE];

	teller_add_str(out, key, text_iso8601(text, wall_ms));
}

void
teller_add_id(struct buf *out, struct rmq_slice id)
{
	teller_add_text(out, "id", id);
	if (text_utf8_valid(id.ptr, id.len))
		return;
	add_key(out, "id_hex");
	buf_add_u8(out, '"');
	for (size_t i = 0; i < id.len; i++)
		buf_printf(out, "%02x", id.ptr[i]);
	buf_add_u8(out, '"');
}

struct buf *
teller_begin(struct teller *t, unsigned kind)
{
	struct buf *out = &t->body;

	t->at_ms = loop_wall_ms(t->env.loop);
	buf_reset(out);
	teller_add_int(out, "version", EVENTS_VERSION);
	teller_add_str(out, "event", t->env.kinds[kind]);
	teller_add_time(out, "at", t->at_ms);
	teller_add_str(out, "instance", t->instance);
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
write_props(struct teller *t, unsigned kind)
{
	const uint8_t mode = MODE_TRANSIENT;
	struct rmq_props props = { 0 };
	struct buf timestamp = { 0 };

	buf_add_u64(&timestamp, (uint64_t)(t->at_ms / 1000));
	set_text(&props, RMQ_PROP_CONTENT_TYPE, "application/json");
	set_text(&props, RMQ_PROP_TYPE, t->env.kinds[kind]);
	set_text(&props, RMQ_PROP_USER_ID, t->env.user);
	set_text(&props, RMQ_PROP_APP_ID, t->env.app);
	props.has[RMQ_PROP_DELIVERY_MODE] = true;
	props.value[RMQ_PROP_DELIVERY_MODE] =
	    (struct rmq_slice){ &mode, sizeof(mode) };
	props.has[RMQ_PROP_TIMESTAMP] = true;
	props.value[RMQ_PROP_TIMESTAMP] =
	    (struct rmq_slice){ buf_peek(&timestamp), timestamp.len };
	buf_reset(&t->props);
	rmq_props_write(&t->props, &props);
	buf_clear(&timestamp);
}

void
teller_tell(struct teller *t, unsigned kind, const char *name)
{
	char key[KEY_SPACE];
	struct rmq_publish publish = { .exchange = t->env.exchange,
		.routing_key = key };
	bool sent = t->env.unsent(t->env.arg) <= UNSENT_MAX_BYTES;

	if (sent) {
		buf_add_u8(&t->body, '}');
		write_props(t, kind);
		snprintf(key, sizeof(key), "%s.%s", t->env.kinds[kind], name);
		publish.props.ptr = buf_peek(&t->props);
		publish.props.len = t->props.len;
		publish.body.ptr = buf_peek(&t->body);
		publish.body.len = t->body.len;
		sent = rmq_publisher_tell(t->env.publisher, &publish);
	}
	metrics_inc(sent ? t->sent[kind] : t->dropped[kind]);
}
