/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Writing the properties of a copy. Own headers come first (a returned
 * message is matched by one of them), then the foreign ones as raw bytes, less
 * those that would lose or divert the copy.
 *
 * All properties must fit one frame. When they do not, our headers go in the
 * order of `wants` below, most talkative first, down to those that steer:
 * without its id, counts, times and class a message could not be settled (how
 * many attempts it may have depends on the class). When that is not enough
 * either, foreign headers go, largest first: a message without
 * one header is better than one that no publish can ever carry.
 */
#include "dlx/envelope.h"

#include <assert.h>
#include <string.h>

#define DEFAULT_FRAME_MAX 131072
/* Frame 8, class, weight and body size 12. */
#define FRAME_OVERHEAD 20

/* Own headers that can be missed; the first to go first. */
enum want {
	WANT_HISTORY,
	WANT_ERROR,
	WANT_USER_ID,
	WANT_QUEUE,
	WANT_ORIGIN,
	WANT_MODE,
	WANT_COUNT
};

static bool
has_prefix(struct rmq_slice name, const char *prefix)
{
	size_t len = strlen(prefix);

	return name.len >= len && memcmp(name.ptr, prefix, len) == 0;
}

/* Whether a header would lose or divert a copy, or mislead whoever reads it. */
static bool
is_harmful(struct rmq_slice name)
{
	static const char *const names[] = { "x-death", "x-delivery-count",
		"x-acquired-count", "x-stream-offset", "x-delay", "CC", "BCC" };
	static const char *const prefixes[] = { "x-first-death-",
		"x-last-death-" };
	size_t i;

	for (i = 0; i < array_len(names); i++) {
		if (name.len == strlen(names[i]) &&
		    memcmp(name.ptr, names[i], name.len) == 0)
			return true;
	}
	for (i = 0; i < array_len(prefixes); i++) {
		if (has_prefix(name, prefixes[i]))
			return true;
	}
	return false;
}

/* All headers that may be on a copy; ours are written anew, if not `ours`. */
static void
add_headers(struct buf *table, struct rmq_slice headers, bool ours)
{
	struct rmq_header header;

	while (rmq_table_next(&headers, &header) == 1) {
		if (!is_harmful(header.name) &&
		    (ours || !has_prefix(header.name, "dlo-")))
			buf_add(table, header.raw.ptr, header.raw.len);
	}
}

static void
add_text(struct buf *table, const char *name, struct rmq_slice text)
{
	if (text.ptr != NULL)
		rmq_table_add_text(table, name, text.ptr, text.len);
}

/* Text of which none is as good as an empty one. */
static void
add_word(struct buf *table, const char *name, struct rmq_slice text)
{
	if (text.len > 0)
		add_text(table, name, text);
}

/* A number of which 0 means that there is none. */
static void
add_number(struct buf *table, const char *name, int64_t number)
{
	if (number != 0)
		rmq_table_add_int(table, name, number);
}

/* Own headers from `first` in the order of wants, and all that steer. */
static void
add_own(struct buf *table, const struct envelope *e, enum want first)
{
	rmq_table_add_text(table, ENVELOPE_ID_HEADER, e->id.ptr, e->id.len);
	rmq_table_add_int(table, "dlo-attempt", e->attempt);
	if (e->reason != ENVELOPE_REASON_NONE)
		add_word(table, "dlo-reason",
		    rmq_slice_of(envelope_reason_name(e->reason)));
	add_number(table, "dlo-first-failed-at", e->first_failed_ms);
	add_number(table, "dlo-last-failed-at", e->last_failed_ms);
	add_number(table, "dlo-deadline", e->deadline_ms);
	add_number(table, "dlo-redrives", e->redrives);
	add_word(table, "dlo-job", e->job);
	add_word(table, "dlo-class", e->class);
	if (first <= WANT_MODE && e->transient)
		rmq_table_add_int(table, "dlo-delivery-mode", 1);
	if (first <= WANT_ORIGIN) {
		add_text(table, "dlo-exchange", e->exchange);
		add_text(table, "dlo-routing-key", e->routing_key);
	}
	if (first <= WANT_QUEUE)
		add_text(table, "dlo-queue", e->queue);
	if (first <= WANT_USER_ID)
		add_word(table, "dlo-user-id", e->user_id);
	if (first <= WANT_ERROR)
		add_word(table, "dlo-error", e->error);
	if (first <= WANT_HISTORY)
		add_word(table, "dlo-history", e->history);
}

/* It outlives the broker, and does not expire. */
static void
make_durable(struct rmq_props *props)
{
	static const uint8_t persistent = 2;

	props->has[RMQ_PROP_DELIVERY_MODE] = true;
	props->value[RMQ_PROP_DELIVERY_MODE] =
	    (struct rmq_slice){ &persistent, 1 };
	props->has[RMQ_PROP_EXPIRATION] = false;
}

/* The properties but for the headers' bytes, and how long they will be. */
static size_t
fill_props(struct rmq_props *props, const struct envelope *e, const char *user)
{
	static const uint8_t none = 0;
	struct rmq_slice empty = { &none, 0 };
	struct buf sized = { 0 };
	size_t len;

	*props = e->props;
	make_durable(props);
	props->has[RMQ_PROP_USER_ID] = true;
	props->value[RMQ_PROP_USER_ID] = rmq_slice_of(user);
	props->has[RMQ_PROP_HEADERS] = true;
	props->value[RMQ_PROP_HEADERS] = empty;
	rmq_props_write(&sized, props);
	len = sized.len;
	buf_clear(&sized);
	return len;
}

/* Cuts the largest header out of a table; false when there is none. */
static bool
cut_largest(struct buf *table)
{
	struct rmq_slice rest = { buf_peek(table), table->len };
	struct rmq_header header;
	struct rmq_slice largest = { NULL, 0 };
	size_t behind;

	while (rmq_table_next(&rest, &header) == 1) {
		if (header.raw.len > largest.len)
			largest = header.raw;
	}
	if (largest.len == 0)
		return false;
	behind =
	    (size_t)(buf_peek(table) + table->len - largest.ptr) - largest.len;
	memmove(buf_peek(table) + (largest.ptr - buf_peek(table)),
	    largest.ptr + largest.len, behind);
	table->len -= largest.len;
	return true;
}

/*
 * Puts the headers together in at most `space` bytes. The undecodable
 * properties of a malformed message count as foreign: their tail goes last.
 */
static enum envelope_fit
fill_headers(struct buf *table, const struct envelope *e, size_t space)
{
	static const char raw_name[] = "dlo-raw-properties";
	const size_t raw_overhead = 1 + strlen(raw_name) + 1 + 4;
	struct rmq_slice raw = e->raw_props;
	struct buf own = { 0 }, foreign = { 0 };
	enum envelope_fit fit = ENVELOPE_FIT_WHOLE;
	size_t raw_len = raw.len == 0 ? 0 : raw.len + raw_overhead;
	unsigned first = 0;

	add_headers(&foreign, e->props.value[RMQ_PROP_HEADERS], false);
	add_own(&own, e, WANT_HISTORY);
	while (own.len + foreign.len + raw_len > space && first < WANT_COUNT) {
		buf_reset(&own);
		add_own(&own, e, (enum want)++ first);
		fit = ENVELOPE_FIT_BARE;
	}
	while (own.len + foreign.len + raw_len > space && cut_largest(&foreign))
		fit = ENVELOPE_FIT_CUT;
	if (own.len + raw_len > space) {
		raw.len = space - own.len - raw_overhead;
		fit = ENVELOPE_FIT_CUT;
	}
	buf_add(table, buf_peek(&own), own.len);
	if (raw.len > 0)
		rmq_table_add_bytes(table, raw_name, raw.ptr, raw.len);
	buf_add(table, buf_peek(&foreign), foreign.len);
	buf_clear(&own);
	buf_clear(&foreign);
	return fit;
}

static size_t
room(uint32_t frame_max)
{
	return (frame_max == 0 ? DEFAULT_FRAME_MAX : frame_max) -
	    FRAME_OVERHEAD;
}

enum envelope_fit
envelope_write(const struct envelope *e, const char *user, uint32_t frame_max,
    struct buf *out)
{
	size_t limit = room(frame_max);
	struct buf table = { 0 };
	struct rmq_props props;
	enum envelope_fit fit;
	size_t bare;

	bare = fill_props(&props, e, user);
	assert(bare < limit);
	fit = fill_headers(&table, e, limit - bare);
	props.value[RMQ_PROP_HEADERS] =
	    (struct rmq_slice){ buf_peek(&table), table.len };
	rmq_props_write(out, &props);
	buf_clear(&table);
	return fit;
}

/* Whether its properties can be on a copy as they are. */
static bool
is_plain(const struct envelope *e)
{
	return (e->verdict == RMQ_PROPS_OK ||
		   e->verdict == RMQ_PROPS_TOO_DEEP) &&
	    !e->x_death.found &&
	    (e->trusted || !e->props.has[RMQ_PROP_USER_ID]);
}

enum envelope_fit
envelope_write_moved(struct envelope *e, const char *user, uint32_t frame_max,
    struct buf *out)
{
	struct rmq_props props = e->props;
	struct rmq_slice headers = props.value[RMQ_PROP_HEADERS];
	struct buf table = { 0 };
	size_t before = out->len;

	if (!is_plain(e)) {
		envelope_parked(e);
		return envelope_write(e, user, frame_max, out);
	}
	add_headers(&table, headers, true);
	/* The broker's own count may have been all that there was. */
	props.has[RMQ_PROP_HEADERS] =
	    props.has[RMQ_PROP_HEADERS] && (table.len > 0 || headers.len == 0);
	props.value[RMQ_PROP_HEADERS] =
	    (struct rmq_slice){ buf_peek(&table), table.len };
	make_durable(&props);
	if (props.has[RMQ_PROP_USER_ID])
		props.value[RMQ_PROP_USER_ID] = rmq_slice_of(user);
	rmq_props_write(out, &props);
	buf_clear(&table);
	return out->len - before <= room(frame_max) ? ENVELOPE_FIT_WHOLE
						    : ENVELOPE_FIT_CUT;
}
