/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What happens to an envelope between reading and writing. What comes from us
 * (a class, an error, a job) is copied into the envelope's own buffers; what
 * came with the message stays where it is.
 */
#include "dlx/envelope.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const reason_names[ENVELOPE_REASON_COUNT] = {
	[ENVELOPE_REASON_NONE] = "",
	[ENVELOPE_REJECTED] = "rejected",
	[ENVELOPE_ATTEMPTS_EXHAUSTED] = "attempts_exhausted",
	[ENVELOPE_DEADLINE] = "deadline",
	[ENVELOPE_EXPIRED] = "expired",
	[ENVELOPE_CRASH] = "crash",
	[ENVELOPE_MALFORMED] = "malformed",
	[ENVELOPE_TOO_LARGE] = "too_large",
	[ENVELOPE_BROKER_EXPIRED] = "broker_expired",
	[ENVELOPE_BROKER_REJECTED] = "broker_rejected",
	[ENVELOPE_BROKER_MAXLEN] = "broker_maxlen",
	[ENVELOPE_BROKER_DELIVERY_LIMIT] = "broker_delivery_limit",
};

const char *
envelope_reason_name(enum envelope_reason reason)
{
	assert(reason < ENVELOPE_REASON_COUNT);
	return reason_names[reason];
}

enum envelope_reason
envelope_reason_parse(const void *text, size_t len)
{
	unsigned i;

	for (i = 1; i < ENVELOPE_REASON_COUNT; i++) {
		if (strlen(reason_names[i]) == len &&
		    memcmp(reason_names[i], text, len) == 0)
			return (enum envelope_reason)i;
	}
	return ENVELOPE_REASON_NONE;
}

void
envelope_clear(struct envelope *e)
{
	buf_clear(&e->own_class);
	buf_clear(&e->own_error);
	buf_clear(&e->own_history);
	buf_clear(&e->own_job);
}

enum envelope_reason
envelope_reason_of(const struct envelope *e)
{
	if (e->x_death.found)
		return e->x_death.reason;
	return e->reason;
}

int64_t
envelope_dead_since_ms(const struct envelope *e)
{
	if (e->x_death.found && e->x_death.at_ms > 0)
		return e->x_death.at_ms;
	return e->last_failed_ms;
}

const char *
envelope_malformed_text(const struct envelope *e)
{
	switch (e->verdict) {
	case RMQ_PROPS_OK:
		return "";
	case RMQ_PROPS_TOO_DEEP:
		return "headers nest too deep";
	case RMQ_PROPS_BAD_HEADERS:
		return "headers do not decode";
	case RMQ_PROPS_BROKEN:
		return "properties do not decode";
	}
	return "";
}

static struct rmq_slice
buf_slice(const struct buf *buf)
{
	return (struct rmq_slice){ buf_peek(buf), buf->len };
}

/* A class as a word: it is a label, and a field of the history. */
static void
set_class(struct envelope *e, const char *class)
{
	size_t i, len = strlen(class);

	if (len > ENVELOPE_CLASS_MAX)
		len = ENVELOPE_CLASS_MAX;
	buf_reset(&e->own_class);
	for (i = 0; i < len; i++) {
		bool plain = (class[i] >= 'a' && class[i] <= 'z') ||
		    (class[i] >= 'A' && class[i] <= 'Z') ||
		    (class[i] >= '0' && class[i] <= '9') || class[i] == '.' ||
		    class[i] == '_' || class[i] == '-';

		buf_add_u8(&e->own_class, plain ? (uint8_t) class[i] : '_');
	}
	e->class = buf_slice(&e->own_class);
}

static void
set_error(struct envelope *e, struct rmq_slice text)
{
	buf_reset(&e->own_error);
	text_utf8_clean(&e->own_error, text.ptr, text.len);
	e->error = buf_slice(&e->own_error);
	e->error.len =
	    text_utf8_cut(e->error.ptr, e->error.len, ENVELOPE_ERROR_MAX);
}

/* Drops the oldest entries until `limit` bytes hold the rest. */
static struct rmq_slice
newest_history(struct rmq_slice history, size_t limit)
{
	const uint8_t *space;

	while (history.len > limit) {
		space = memchr(history.ptr, ' ', history.len);
		if (space == NULL)
			return (struct rmq_slice){ history.ptr, 0 };
		history.len -= (size_t)(space + 1 - history.ptr);
		history.ptr = space + 1;
	}
	return history;
}

static void
add_history(struct envelope *e, const struct envelope_failure *failure)
{
	struct buf next = { 0 };
	struct rmq_slice kept;

	if (e->history.len > 0) {
		buf_add(&next, e->history.ptr, e->history.len);
		buf_add_u8(&next, ' ');
	}
	buf_printf(&next, "%" PRId64 ";%.*s;%" PRId64 ";%" PRId64,
	    failure->at_ms, (int)e->class.len, (const char *)e->class.ptr,
	    failure->handler_ms, failure->delay_ms);
	kept = newest_history(buf_slice(&next), ENVELOPE_HISTORY_MAX);
	buf_drop(&next, next.len - kept.len);
	buf_clear(&e->own_history);
	e->own_history = next;
	e->history = buf_slice(&e->own_history);
}

static void
set_failed_at(struct envelope *e, int64_t at_ms)
{
	e->last_failed_ms = at_ms;
	if (e->first_failed_ms == 0)
		e->first_failed_ms = at_ms;
}

void
envelope_failed(struct envelope *e, const struct envelope_failure *failure)
{
	if (e->attempt < INT32_MAX)
		e->attempt++;
	e->reason = ENVELOPE_REASON_NONE;
	e->x_death.found = false;
	set_class(e, failure->class);
	set_error(e, failure->error);
	set_failed_at(e, failure->at_ms);
	add_history(e, failure);
}

void
envelope_suspect(struct envelope *e, unsigned deaths)
{
	char class[ENVELOPE_CLASS_MAX] = ENVELOPE_SUSPECTED;

	if (deaths > 0)
		snprintf(class, sizeof(class), ENVELOPE_SUSPECTED ".%u",
		    deaths);
	set_class(e, class);
}

bool
envelope_is_suspect(const struct envelope *e)
{
	return text_dotted_prefix(ENVELOPE_SUSPECTED, e->class.ptr,
	    e->class.len);
}

unsigned
envelope_suspect_deaths(const struct envelope *e)
{
	size_t at = strlen(ENVELOPE_SUSPECTED ".");

	/* Never more than a few: one digit. */
	if (!envelope_is_suspect(e) || e->class.len != at + 1 ||
	    e->class.ptr[at] < '0' || e->class.ptr[at] > '9')
		return 0;
	return (unsigned)(e->class.ptr[at] - '0');
}

void
envelope_dead(struct envelope *e, enum envelope_reason reason, int64_t at_ms,
    const char *error)
{
	e->reason = reason;
	e->x_death.found = false;
	set_failed_at(e, at_ms);
	if (error != NULL)
		set_error(e, rmq_slice_of(error));
}

void
envelope_redriven(struct envelope *e, const char *job)
{
	struct rmq_slice none = { NULL, 0 };

	if (envelope_reason_of(e) == ENVELOPE_EXPIRED)
		e->deadline_ms = 0;
	e->attempt = 0;
	if (e->redrives < INT32_MAX)
		e->redrives++;
	e->reason = ENVELOPE_REASON_NONE;
	e->x_death.found = false;
	e->class = e->error = none;
	e->first_failed_ms = e->last_failed_ms = 0;
	buf_reset(&e->own_job);
	buf_add(&e->own_job, job, strnlen(job, ENVELOPE_JOB_MAX));
	e->job = buf_slice(&e->own_job);
}

void
envelope_parked(struct envelope *e)
{
	e->last_failed_ms = envelope_dead_since_ms(e);
	e->reason = envelope_reason_of(e);
	e->x_death.found = false;
}

static void
add_slice(struct buf *out, struct rmq_slice slice)
{
	if (slice.len > 0)
		buf_add(out, slice.ptr, slice.len);
}

void
envelope_past_take(struct envelope_past *past, const struct envelope *e)
{
	past->attempt = e->attempt;
	past->first_failed_ms = e->first_failed_ms;
	past->last_failed_ms = e->last_failed_ms;
	add_slice(&past->class, e->class);
	add_slice(&past->error, e->error);
	add_slice(&past->history, e->history);
}

static struct rmq_slice
move_buf(struct buf *to, struct buf *from)
{
	buf_clear(to);
	*to = *from;
	*from = (struct buf){ 0 };
	return buf_slice(to);
}

void
envelope_past_give(struct envelope_past *past, struct envelope *e)
{
	e->attempt = past->attempt;
	e->first_failed_ms = past->first_failed_ms;
	e->last_failed_ms = past->last_failed_ms;
	e->class = move_buf(&e->own_class, &past->class);
	e->error = move_buf(&e->own_error, &past->error);
	e->history = move_buf(&e->own_history, &past->history);
	e->reason = ENVELOPE_REASON_NONE;
	e->x_death.found = false;
}

void
envelope_past_clear(struct envelope_past *past)
{
	buf_clear(&past->class);
	buf_clear(&past->error);
	buf_clear(&past->history);
}
