/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Headers of an attempt, from an array. */
#ifndef TESTS_DOWNSTREAM_FIELDS_H
#define TESTS_DOWNSTREAM_FIELDS_H

#include <string.h>

#include "downstream/attempt.h"

/* A text; its value is an initializer. */
#define FIELD(name, ...) \
	{ \
		name, ATTEMPT_FIELD_TEXT, .value.text = __VA_ARGS__ \
	}

static inline bool
fields_next(struct attempt_text *rest, struct attempt_field *out)
{
	if (rest->len == 0)
		return false;
	memcpy(out, rest->ptr, sizeof(*out));
	rest->ptr += sizeof(*out);
	rest->len -= sizeof(*out);
	return true;
}

/* The array must outlive what is given. */
static inline struct attempt_fields
fields_of(const struct attempt_field *headers, size_t count)
{
	return (struct attempt_fields){
		.table = { (const char *)headers, count * sizeof(*headers) },
		.next = fields_next,
	};
}

#endif
