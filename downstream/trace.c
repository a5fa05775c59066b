/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/trace.h"

#include <string.h>

#define PARENT_BYTES	55 /* of version 00, and at least of later ones */
#define PARENT_MAX	256
#define STATE_BYTES_MAX 512

/* `len` digits of lower case hex. */
static bool
is_hex(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if ((text[i] < '0' || text[i] > '9') &&
		    (text[i] < 'a' || text[i] > 'f'))
			return false;
	}
	return true;
}

static bool
is_id(const char *text, size_t len)
{
	size_t zeros = 0;

	while (zeros < len && text[zeros] == '0')
		zeros++;
	return zeros < len && is_hex(text, len);
}

static bool
is_printable(const struct attempt_text *text)
{
	size_t i;

	for (i = 0; i < text->len; i++) {
		if (text->ptr[i] < ' ' || text->ptr[i] > '~')
			return false;
	}
	return true;
}

bool
trace_parent_valid(const struct attempt_text *text)
{
	const char *p = text->ptr;

	if (text->len < PARENT_BYTES || text->len > PARENT_MAX ||
	    !is_printable(text))
		return false;
	if (!is_hex(p, 2) || p[2] != '-' || !is_id(p + 3, 32) || p[35] != '-' ||
	    !is_id(p + 36, 16) || p[52] != '-' || !is_hex(p + 53, 2))
		return false;
	if (text->len == PARENT_BYTES)
		return memcmp(p, "ff", 2) != 0;
	/* Later versions may say more. */
	return memcmp(p, "00", 2) != 0 && memcmp(p, "ff", 2) != 0 &&
	    p[PARENT_BYTES] == '-';
}

bool
trace_state_valid(const struct attempt_text *text)
{
	const char *equals;

	if (text->len == 0 || text->len > STATE_BYTES_MAX ||
	    !is_printable(text))
		return false;
	equals = memchr(text->ptr, '=', text->len);
	return equals != NULL && equals > text->ptr;
}
