/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "consumer/headers.h"

#include <string.h>

#include "amqp/props.h"

#define OURS "dlo-"

static struct attempt_text
text_of(struct rmq_slice slice)
{
	return (struct attempt_text){ (const char *)slice.ptr, slice.len };
}

static bool
is_ours(struct rmq_slice name)
{
	return name.len >= strlen(OURS) &&
	    memcmp(name.ptr, OURS, strlen(OURS)) == 0;
}

/* IEEE 754 bits, most significant byte first. */
static double
real_of(struct rmq_slice bytes)
{
	uint64_t bits = 0;
	uint32_t half;
	double real;
	float single;
	size_t i;

	for (i = 0; i < bytes.len; i++)
		bits = bits << 8 | bytes.ptr[i];
	if (bytes.len == sizeof(half)) {
		half = (uint32_t)bits;
		memcpy(&single, &half, sizeof(single));
		return (double)single;
	}
	memcpy(&real, &bits, sizeof(real));
	return real;
}

/* False: it has no form that handlers know. */
static bool
read_value(const struct rmq_header *from, struct attempt_field *to)
{
	switch (from->type) {
	case 'S':
	case 'x':
		to->type = from->type == 'S' ? ATTEMPT_FIELD_TEXT
					     : ATTEMPT_FIELD_BYTES;
		to->value.text = text_of(from->value);
		return true;
	case 't':
		to->type = ATTEMPT_FIELD_BOOL;
		to->value.truth = from->value.ptr[0] != 0;
		return true;
	case 'f':
	case 'd':
		to->type = from->type == 'f' ? ATTEMPT_FIELD_FLOAT
					     : ATTEMPT_FIELD_DOUBLE;
		to->value.real = real_of(from->value);
		return true;
	default:
		to->type =
		    from->type == 'T' ? ATTEMPT_FIELD_TIME : ATTEMPT_FIELD_INT;
		return rmq_header_int(from, &to->value.number);
	}
}

bool
headers_next(struct attempt_text *rest, struct attempt_field *out)
{
	struct rmq_slice table = { (const uint8_t *)rest->ptr, rest->len };
	struct rmq_header header;
	bool found = false;

	while (!found && rmq_table_next(&table, &header) == 1) {
		if (is_ours(header.name) || !read_value(&header, out))
			continue;
		out->name = text_of(header.name);
		found = true;
	}
	*rest = text_of(table);
	return found;
}
