/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Reading an envelope: one walk over the headers. Whoever may publish may
 * write any header, so nothing here is taken for granted: our own headers
 * count only from trusted users and within their ranges (a value out of range
 * counts as absent), the first of two equal names wins, and x-death is looked
 * at in dead letters only, for what it says to people.
 */
#include "dlx/envelope.h"

#include <string.h>

/* The end of the year 9999: later times are nonsense, and sums stay safe. */
#define WALL_MS_MAX INT64_C(253402300799999)
/* A death this far in the future is a lie and not a clock that runs fast. */
#define CLOCK_SKEW_MS (5 * 60 * 1000)

enum own_type {
	OWN_TEXT,  /* a slice, at most `max` bytes */
	OWN_INT,   /* an int64_t from 0 to `max` */
	OWN_BYTES, /* a slice of type 'x' */
	OWN_REASON,
	OWN_MODE,
};

static const struct own_header {
	const char *name; /* without its dlo- */
	enum own_type type;
	size_t offset; /* in struct envelope */
	int64_t max;
} own_headers[] = {
	{ "id", OWN_TEXT, offsetof(struct envelope, id), 255 },
	{ "attempt", OWN_INT, offsetof(struct envelope, attempt), INT32_MAX },
	{ "reason", OWN_REASON, 0, 0 },
	{ "class", OWN_TEXT, offsetof(struct envelope, class),
	    ENVELOPE_CLASS_MAX },
	{ "error", OWN_TEXT, offsetof(struct envelope, error),
	    ENVELOPE_ERROR_MAX },
	{ "first-failed-at", OWN_INT,
	    offsetof(struct envelope, first_failed_ms), WALL_MS_MAX },
	{ "last-failed-at", OWN_INT, offsetof(struct envelope, last_failed_ms),
	    WALL_MS_MAX },
	{ "deadline", OWN_INT, offsetof(struct envelope, deadline_ms),
	    WALL_MS_MAX },
	{ "history", OWN_TEXT, offsetof(struct envelope, history),
	    ENVELOPE_HISTORY_MAX },
	{ "exchange", OWN_TEXT, offsetof(struct envelope, exchange), 255 },
	{ "routing-key", OWN_TEXT, offsetof(struct envelope, routing_key),
	    255 },
	{ "queue", OWN_TEXT, offsetof(struct envelope, queue), 255 },
	{ "user-id", OWN_TEXT, offsetof(struct envelope, user_id), 255 },
	{ "delivery-mode", OWN_MODE, 0, 0 },
	{ "redrives", OWN_INT, offsetof(struct envelope, redrives), INT32_MAX },
	{ "job", OWN_TEXT, offsetof(struct envelope, job), ENVELOPE_JOB_MAX },
	{ "raw-properties", OWN_BYTES, offsetof(struct envelope, raw_props),
	    0 },
};

static bool
slice_is(struct rmq_slice slice, const char *text)
{
	return slice.len > 0 && slice.len == strlen(text) &&
	    memcmp(slice.ptr, text, slice.len) == 0;
}

static void
read_own(struct envelope *e, const struct own_header *own,
    const struct rmq_header *header)
{
	void *member = (char *)e + own->offset;
	struct rmq_slice text;
	int64_t number;

	switch (own->type) {
	case OWN_TEXT:
		if (rmq_header_text(header, &text) &&
		    text.len <= (size_t)own->max)
			*(struct rmq_slice *)member = text;
		return;
	case OWN_INT:
		if (rmq_header_int(header, &number) && number >= 0 &&
		    number <= own->max)
			*(int64_t *)member = number;
		return;
	case OWN_BYTES:
		if (header->type == 'x')
			*(struct rmq_slice *)member = header->value;
		return;
	case OWN_REASON:
		if (rmq_header_text(header, &text))
			e->reason = envelope_reason_parse(text.ptr, text.len);
		return;
	case OWN_MODE:
		e->transient = rmq_header_int(header, &number) && number == 1;
		return;
	}
}

/* A dlo- header of a trusted user; `seen` has a bit for each, once. */
static void
find_own(struct envelope *e, const struct rmq_header *header, unsigned *seen)
{
	struct rmq_slice name = header->name;
	size_t i;

	name.ptr += strlen("dlo-");
	name.len -= strlen("dlo-");
	for (i = 0; i < array_len(own_headers); i++) {
		if ((*seen & 1u << i) == 0 &&
		    slice_is(name, own_headers[i].name)) {
			*seen |= 1u << i;
			read_own(e, &own_headers[i], header);
			return;
		}
	}
}

/* Foreign headers that we look at but do not own. */
static void
read_foreign(struct envelope *e, const struct rmq_header *header,
    const struct envelope_origin *origin)
{
	int64_t count;
	struct rmq_slice text;

	if (header->name.ptr[0] == 'x') {
		if (origin->redelivered && e->delivery_count == 0 &&
		    slice_is(header->name, "x-delivery-count") &&
		    rmq_header_int(header, &count) && count > 0)
			e->delivery_count =
			    count < INT32_MAX ? count : INT32_MAX;
	} else if (rmq_header_text(header, &text)) {
		if (e->traceparent.ptr == NULL &&
		    slice_is(header->name, "traceparent"))
			e->traceparent = text;
		else if (e->tracestate.ptr == NULL &&
		    slice_is(header->name, "tracestate"))
			e->tracestate = text;
	}
}

static void
read_headers(struct envelope *e, const struct envelope_origin *origin)
{
	struct rmq_slice table = e->props.value[RMQ_PROP_HEADERS];
	struct rmq_header header;
	unsigned seen = 0;

	while (rmq_table_next(&table, &header) == 1) {
		if (header.name.len >= 4 &&
		    memcmp(header.name.ptr, "dlo-", 4) == 0) {
			if (e->trusted)
				find_own(e, &header, &seen);
		} else if (header.name.len > 0) {
			read_foreign(e, &header, origin);
		}
	}
	if (!text_utf8_valid(e->error.ptr, e->error.len))
		e->error = (struct rmq_slice){ NULL, 0 };
}

static void
read_text(struct rmq_slice table, const char *name, struct rmq_slice *text)
{
	struct rmq_header header;

	if (rmq_table_find(table, name, &header) &&
	    rmq_header_text(&header, &header.value) && header.value.len <= 255)
		*text = header.value;
}

static enum envelope_reason
broker_reason(struct rmq_slice text)
{
	static const struct {
		const char *name;
		enum envelope_reason reason;
	} reasons[] = {
		{ "expired", ENVELOPE_BROKER_EXPIRED },
		{ "rejected", ENVELOPE_BROKER_REJECTED },
		{ "maxlen", ENVELOPE_BROKER_MAXLEN },
		{ "delivery_limit", ENVELOPE_BROKER_DELIVERY_LIMIT },
	};
	size_t i;

	for (i = 0; i < array_len(reasons); i++) {
		if (slice_is(text, reasons[i].name))
			return reasons[i].reason;
	}
	return ENVELOPE_REASON_NONE;
}

/* The newest death, which the broker keeps in front. */
static void
read_x_death(struct envelope *e, int64_t now_ms)
{
	struct envelope_x_death *death = &e->x_death;
	struct rmq_slice reason = { NULL, 0 }, keys;
	struct rmq_header header, entry;
	int64_t seconds;

	if (!rmq_table_find(e->props.value[RMQ_PROP_HEADERS], "x-death",
		&header) ||
	    header.type != 'A' || rmq_array_next(&header.value, &entry) != 1 ||
	    entry.type != 'F')
		return;
	read_text(entry.value, "reason", &reason);
	if (reason.ptr == NULL)
		return;
	death->found = true;
	death->reason = broker_reason(reason);
	read_text(entry.value, "exchange", &death->exchange);
	read_text(entry.value, "queue", &death->queue);
	if (rmq_table_find(entry.value, "time", &header) &&
	    header.type == 'T' && rmq_header_int(&header, &seconds) &&
	    seconds <= (now_ms + CLOCK_SKEW_MS) / 1000)
		death->at_ms = seconds * 1000;
	if (!rmq_table_find(entry.value, "routing-keys", &header) ||
	    header.type != 'A')
		return;
	keys = header.value;
	if (rmq_array_next(&keys, &entry) == 1 && entry.type == 'S' &&
	    entry.value.len <= 255)
		death->routing_key = entry.value;
}

/* The publisher's expiration: milliseconds, in digits; -1: none. */
static int64_t
expiration_ms(const struct envelope *e)
{
	struct rmq_slice text = e->props.value[RMQ_PROP_EXPIRATION];
	int64_t ms = 0;
	size_t i;

	/* The broker takes at most 32 bits. */
	if (text.len == 0 || text.len > 10)
		return -1;
	for (i = 0; i < text.len; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9')
			return -1;
		ms = ms * 10 + (text.ptr[i] - '0');
	}
	return ms;
}

/* A message that we have not had before: where it came from. */
static void
set_origin(struct envelope *e, const struct rmq_message *message,
    const struct envelope_origin *origin)
{
	struct rmq_slice mode = e->props.value[RMQ_PROP_DELIVERY_MODE];

	e->exchange = message->exchange;
	e->routing_key = message->routing_key;
	e->queue = rmq_slice_of(origin->queue);
	if (e->x_death.found) {
		e->exchange = e->x_death.exchange;
		e->routing_key = e->x_death.routing_key;
		e->queue = e->x_death.queue;
	}
	e->user_id = e->props.value[RMQ_PROP_USER_ID];
	e->transient = mode.len != 1 || mode.ptr[0] != 2;
}

static void
set_id(struct envelope *e, struct loop *loop)
{
	uint64_t high, low;

	if (e->id.len > 0)
		return;
	e->id = e->props.value[RMQ_PROP_MESSAGE_ID];
	if (e->id.len > 0)
		return;
	high = loop_random(loop);
	low = loop_random(loop);
	text_uuid4(e->uuid, high, low);
	e->id.ptr = (const uint8_t *)e->uuid;
	e->id.len = sizeof(e->uuid) - 1;
}

static bool
is_trusted(const struct envelope *e, const struct conf_texts *trusted)
{
	size_t i;

	if (!e->props.has[RMQ_PROP_USER_ID])
		return false;
	for (i = 0; i < trusted->count; i++) {
		if (slice_is(e->props.value[RMQ_PROP_USER_ID],
			trusted->items[i]))
			return true;
	}
	return false;
}

void
envelope_read(struct envelope *e, const struct rmq_message *message,
    const struct envelope_origin *origin, const struct conf_texts *trusted,
    struct loop *loop)
{
	const size_t begin = offsetof(struct envelope, verdict);
	int64_t lifetime_ms;

	/* Parsing sets the properties, and set_id what it needs. */
	memset((char *)e + begin, 0, offsetof(struct envelope, uuid) - begin);
	e->verdict = rmq_props_parse(&e->props, message->props);
	e->trusted = is_trusted(e, trusted);
	read_headers(e, origin);
	if (origin->dead)
		read_x_death(e, loop_wall_ms(loop));
	e->known = e->id.len > 0;
	if (!e->known)
		set_origin(e, message, origin);
	set_id(e, loop);
	lifetime_ms = expiration_ms(e);
	if (e->deadline_ms == 0 && lifetime_ms >= 0 && !origin->dead)
		e->deadline_ms = loop_wall_ms(loop) + lifetime_ms;
	if (e->verdict == RMQ_PROPS_BAD_HEADERS ||
	    e->verdict == RMQ_PROPS_BROKEN)
		e->raw_props = message->props;
}
