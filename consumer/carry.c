/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "consumer/carry.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amqp/props.h"
#include "config/conf.h"
#include "downstream/http_event.h"
#include "lib/compiler.h"
#include "lib/text.h"
#include "lib/xalloc.h"

/* The end of the year 9999: no later time can be written. */
#define TIMESTAMP_MAX_S INT64_C(253402300799)

/* Digits that any float (double) keeps, and that tell it from all others. */
#define FLOAT_DIGITS	  6
#define FLOAT_DIGITS_MAX  9
#define DOUBLE_DIGITS	  15
#define DOUBLE_DIGITS_MAX 17

static bool
slice_is(struct rmq_slice slice, const char *text)
{
	return slice.len == strlen(text) &&
	    memcmp(slice.ptr, text, slice.len) == 0;
}

static bool
is_wanted(const struct conf_http *conf, struct rmq_slice name)
{
	const struct attempt_text text = { (const char *)name.ptr, name.len };
	size_t i;

	for (i = 0; i < conf->forward_headers.count; i++)
		if (slice_is(name, conf->forward_headers.items[i]))
			return true;
	return conf->format == CONF_FORMAT_CLOUDEVENTS &&
	    http_event_is_attribute(&text);
}

static bool
is_known(const struct carry *carry, struct rmq_slice name)
{
	const struct attempt_text *other;
	size_t i;

	for (i = 0; i < carry->count; i++) {
		other = &carry->items[i].name;
		if (other->len == name.len &&
		    memcmp(other->ptr, name.ptr, name.len) == 0)
			return true;
	}
	return false;
}

static uint64_t
read_uint(struct rmq_slice bytes)
{
	uint64_t value = 0;
	size_t i;

	for (i = 0; i < bytes.len; i++)
		value = value << 8 | bytes.ptr[i];
	return value;
}

/* Bits are what is compared: a NaN is itself, and -0 is not 0. */
static uint64_t
bits_of(double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

/* The shortest text that reads as the same number. */
static void
write_double(char *out, double value)
{
	int digits = DOUBLE_DIGITS;

	do
		snprintf(out, CARRY_TEXT_SPACE, "%.*g", digits, value);
	while (bits_of(strtod(out, NULL)) != bits_of(value) &&
	    ++digits <= DOUBLE_DIGITS_MAX);
}

static void
write_float(char *out, float value)
{
	int digits = FLOAT_DIGITS;

	do
		snprintf(out, CARRY_TEXT_SPACE, "%.*g", digits, (double)value);
	while (bits_of((double)strtof(out, NULL)) != bits_of((double)value) &&
	    ++digits <= FLOAT_DIGITS_MAX);
}

static bool
write_time(char *out, struct rmq_slice bytes)
{
	uint64_t seconds = read_uint(bytes);

	if (seconds > TIMESTAMP_MAX_S)
		return false;
	(void)text_iso8601(out, (int64_t)seconds * 1000);
	return true;
}

/* A value that is no text as one; false: there is none. */
static bool
write_value(char *out, const struct rmq_header *header)
{
	uint64_t bits = read_uint(header->value);
	uint32_t half = (uint32_t)bits;
	int64_t number;
	double full;
	float single;

	switch (header->type) {
	case 't':
		snprintf(out, CARRY_TEXT_SPACE, bits != 0 ? "true" : "false");
		return true;
	case 'T':
		return write_time(out, header->value);
	case 'f':
		memcpy(&single, &half, sizeof(single));
		write_float(out, single);
		return true;
	case 'd':
		memcpy(&full, &bits, sizeof(full));
		write_double(out, full);
		return true;
	default:
		if (!rmq_header_int(header, &number))
			return false;
		snprintf(out, CARRY_TEXT_SPACE, "%" PRId64, number);
		return true;
	}
}

static void
grow(struct carry *carry)
{
	if (carry->count < carry->space)
		return;
	carry->space = carry->space == 0 ? 4 : 2 * carry->space;
	carry->items =
	    xrealloc(carry->items, carry->space * sizeof(carry->items[0]));
	carry->texts =
	    xrealloc(carry->texts, carry->space * sizeof(carry->texts[0]));
}

static void
add(struct carry *carry, const struct rmq_header *header)
{
	struct attempt_text *value;

	grow(carry);
	carry->items[carry->count].name =
	    (struct attempt_text){ (const char *)header->name.ptr,
		    header->name.len };
	value = &carry->items[carry->count].value;
	if (header->type == 'S' || header->type == 'x') {
		*value = (struct attempt_text){ (const char *)header->value.ptr,
			header->value.len };
	} else if (write_value(carry->texts[carry->count], header)) {
		/* Found when none of them moves any more. */
		*value = (struct attempt_text){ NULL,
			strlen(carry->texts[carry->count]) };
	} else {
		return;
	}
	carry->count++;
}

void
carry_fill(struct carry *carry, struct rmq_slice table,
    const struct conf_http *conf)
{
	struct rmq_header header;
	size_t i;

	carry->count = 0;
	if (conf->forward_headers.count == 0 &&
	    conf->format != CONF_FORMAT_CLOUDEVENTS)
		return;
	while (carry->count < CARRY_MAX && rmq_table_next(&table, &header) == 1)
		if (is_wanted(conf, header.name) &&
		    !is_known(carry, header.name))
			add(carry, &header);
	for (i = 0; i < carry->count; i++)
		if (carry->items[i].value.ptr == NULL)
			carry->items[i].value.ptr = carry->texts[i];
}

void
carry_clear(struct carry *carry)
{
	free(carry->items);
	free(carry->texts);
	*carry = (struct carry){ 0 };
}
