/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/http_carry.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/text.h"

/* The end of the year 9999: no later time can be written. */
#define TIMESTAMP_MAX_S INT64_C(253402300799)

/* Digits that any float (double) keeps, and that tell it from all others. */
#define FLOAT_DIGITS	  6
#define FLOAT_DIGITS_MAX  9
#define DOUBLE_DIGITS	  15
#define DOUBLE_DIGITS_MAX 17

void
http_carry_init(struct http_carry *carry)
{
	carry->count = 0;
	carry->left_out = 0;
}

static bool
is_known(const struct http_carry *carry, const struct attempt_text *name)
{
	const struct attempt_text *other;
	size_t i;

	for (i = 0; i < carry->count; i++) {
		other = &carry->items[i].name;
		if (other->len == name->len &&
		    memcmp(other->ptr, name->ptr, name->len) == 0)
			return true;
	}
	return false;
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
		snprintf(out, HTTP_CARRY_TEXT_SPACE, "%.*g", digits, value);
	while (bits_of(strtod(out, NULL)) != bits_of(value) &&
	    ++digits <= DOUBLE_DIGITS_MAX);
}

static void
write_float(char *out, double value)
{
	int digits = FLOAT_DIGITS;

	do
		snprintf(out, HTTP_CARRY_TEXT_SPACE, "%.*g", digits, value);
	while (bits_of((double)strtof(out, NULL)) != bits_of(value) &&
	    ++digits <= FLOAT_DIGITS_MAX);
}

static bool
write_time(char *out, int64_t seconds)
{
	if (seconds < 0 || seconds > TIMESTAMP_MAX_S)
		return false;
	(void)text_iso8601(out, seconds * 1000);
	return true;
}

/* A value that is no text as one; false: there is none. */
static bool
write_value(char *out, const struct attempt_field *field)
{
	switch (field->type) {
	case ATTEMPT_FIELD_TEXT:
	case ATTEMPT_FIELD_BYTES:
		break;
	case ATTEMPT_FIELD_INT:
		snprintf(out, HTTP_CARRY_TEXT_SPACE, "%" PRId64,
		    field->value.number);
		return true;
	case ATTEMPT_FIELD_TIME:
		return write_time(out, field->value.number);
	case ATTEMPT_FIELD_FLOAT:
		write_float(out, field->value.real);
		return true;
	case ATTEMPT_FIELD_DOUBLE:
		write_double(out, field->value.real);
		return true;
	case ATTEMPT_FIELD_BOOL:
		snprintf(out, HTTP_CARRY_TEXT_SPACE,
		    field->value.truth ? "true" : "false");
		return true;
	}
	return false;
}

void
http_carry_add(struct http_carry *carry, const struct attempt_field *field)
{
	struct http_carried *item = &carry->items[carry->count];

	if (is_known(carry, &field->name))
		return;
	if (carry->count == HTTP_CARRY_MAX) {
		carry->left_out++;
		return;
	}
	item->name = field->name;
	if (field->type == ATTEMPT_FIELD_TEXT ||
	    field->type == ATTEMPT_FIELD_BYTES) {
		item->value = field->value.text;
	} else if (write_value(item->text, field)) {
		item->value.ptr = item->text;
		item->value.len = strlen(item->text);
	} else {
		return;
	}
	carry->count++;
}
