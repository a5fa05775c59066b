/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/filter.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "amqp/props.h"
#include "config/conf.h"
#include "dlx/envelope.h"
#include "lib/text.h"

static bool
slice_is(struct rmq_slice slice, const char *text)
{
	size_t len = strlen(text);

	return slice.len == len &&
	    (len == 0 || memcmp(slice.ptr, text, len) == 0);
}

static bool
match_reason(const struct conf_texts *reasons, const struct envelope *e)
{
	const char *name = envelope_reason_name(envelope_reason_of(e));

	for (size_t i = 0; i < reasons->count; i++) {
		if (strcmp(reasons->items[i], name) == 0)
			return true;
	}
	return reasons->count == 0;
}

static bool
match_class(const struct conf_texts *classes, const struct envelope *e)
{
	for (size_t i = 0; i < classes->count; i++) {
		if (text_dotted_prefix(classes->items[i], e->class.ptr,
			e->class.len))
			return true;
	}
	return classes->count == 0;
}

static bool
match_error(const char *text, const struct envelope *e)
{
	return text == NULL || *text == '\0' ||
	    (e->error.len > 0 &&
		memmem(e->error.ptr, e->error.len, text, strlen(text)) != NULL);
}

static bool
match_id(const struct conf_texts *ids, const struct envelope *e)
{
	for (size_t i = 0; i < ids->count; i++) {
		if (slice_is(e->id, ids->items[i]))
			return true;
	}
	return ids->count == 0;
}

static bool
match_age(const struct conf_filter *filter, const struct envelope *e,
    int64_t now_ms)
{
	int64_t since_ms = envelope_dead_since_ms(e);
	int64_t age_ms = now_ms > since_ms ? now_ms - since_ms : 0;

	if (filter->older_than_ms == 0 && filter->newer_than_ms == 0)
		return true;
	if (since_ms == 0)
		return false;
	return (filter->older_than_ms == 0 || age_ms > filter->older_than_ms) &&
	    (filter->newer_than_ms == 0 || age_ms < filter->newer_than_ms);
}

/* `*`: any run of bytes, `?`: any one; dots are nothing special. */
static bool
match_glob(const char *glob, struct rmq_slice text)
{
	const char *star = NULL;
	size_t i = 0, star_i = 0;

	while (i < text.len) {
		if (*glob == '*') {
			star = glob++;
			star_i = i;
		} else if (*glob != '\0' &&
		    (*glob == '?' || (uint8_t)*glob == text.ptr[i])) {
			glob++;
			i++;
		} else if (star != NULL) {
			/* Let the last star take one byte more. */
			glob = star + 1;
			i = ++star_i;
		} else {
			return false;
		}
	}
	while (*glob == '*')
		glob++;
	return *glob == '\0';
}

/* The value as people write it: text, a decimal number, true or false. */
static bool
match_value(const struct rmq_header *header, const char *value)
{
	struct rmq_slice text;
	char number[24];
	int64_t n;

	if (rmq_header_text(header, &text))
		return slice_is(text, value);
	if (header->type == 't' && header->value.len == 1)
		return strcmp(value, header->value.ptr[0] ? "true" : "false") ==
		    0;
	if (!rmq_header_int(header, &n))
		return false;
	(void)snprintf(number, sizeof(number), "%" PRId64, n);
	return strcmp(value, number) == 0;
}

static bool
match_headers(const struct conf_filter *filter, const struct envelope *e)
{
	struct rmq_slice table = e->props.value[RMQ_PROP_HEADERS];
	struct rmq_header header;

	for (size_t i = 0; i < filter->header_count; i++) {
		if (!e->props.has[RMQ_PROP_HEADERS] ||
		    !rmq_table_find(table, filter->headers[i].header,
			&header) ||
		    !match_value(&header, filter->headers[i].value))
			return false;
	}
	return true;
}

bool
filter_match(const struct conf_filter *filter, const struct envelope *e,
    int64_t now_ms)
{
	return match_reason(&filter->reasons, e) &&
	    match_class(&filter->classes, e) && match_id(&filter->ids, e) &&
	    match_error(filter->error, e) && match_age(filter, e, now_ms) &&
	    (filter->routing_key == NULL ||
		match_glob(filter->routing_key, e->routing_key)) &&
	    match_headers(filter, e) &&
	    (!filter->has_redrives_above ||
		e->redrives > (int64_t)filter->redrives_above);
}

bool
filter_is_empty(const struct conf_filter *filter)
{
	return filter->reasons.count == 0 && filter->classes.count == 0 &&
	    filter->error == NULL && filter->ids.count == 0 &&
	    filter->older_than_ms == 0 && filter->newer_than_ms == 0 &&
	    filter->routing_key == NULL && filter->header_count == 0 &&
	    !filter->has_redrives_above;
}
