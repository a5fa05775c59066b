/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/verdict.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/text.h"

const char *
verdict_outcome_name(enum outcome outcome)
{
	switch (outcome) {
	case OUTCOME_OK:
		return "ok";
	case OUTCOME_RETRY:
		return "retry";
	case OUTCOME_REJECT:
		return "reject";
	}
	abort();
}

void
verdict_init(struct verdict *v, enum outcome outcome, const char *class_fmt,
    ...)
{
	va_list ap;

	v->outcome = outcome;
	v->counts = outcome != OUTCOME_REJECT;
	v->delay_ms = -1;
	v->error[0] = '\0';
	va_start(ap, class_fmt);
	if (vsnprintf(v->class, sizeof(v->class), class_fmt, ap) < 0)
		abort();
	va_end(ap);
}

void
verdict_set_class(struct verdict *v, const char *bytes, size_t len)
{
	static const char fine[] = "abcdefghijklmnopqrstuvwxyz"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t i;

	if (len == 0)
		return;
	if (len > sizeof(v->class) - 1)
		len = sizeof(v->class) - 1;
	for (i = 0; i < len; i++)
		v->class[i] = bytes[i] != '\0' && strchr(fine, bytes[i]) != NULL
		    ? bytes[i]
		    : '_';
	v->class[len] = '\0';
}

/* Control characters, DEL and the space: one space for a run of them. */
static bool
blank(uint8_t c)
{
	return c <= ' ' || c == 0x7f;
}

void
verdict_set_error(struct verdict *v, const void *bytes, size_t len)
{
	static const uint8_t replacement[] = "\xef\xbf\xbd";
	const uint8_t *from = bytes, *end = from + len, *piece;
	size_t used = 0, n, piece_len;
	bool gap = false;

	while (from < end) {
		if (blank(*from)) {
			gap = used > 0;
			from++;
			continue;
		}
		n = text_utf8_len(from, (size_t)(end - from));
		piece = n > 0 ? from : replacement;
		piece_len = n > 0 ? n : sizeof(replacement) - 1;
		if (used + gap + piece_len > VERDICT_ERROR_MAX)
			break;
		if (gap)
			v->error[used++] = ' ';
		gap = false;
		memcpy(v->error + used, piece, piece_len);
		used += piece_len;
		from += n > 0 ? n : 1;
	}
	v->error[used] = '\0';
}

void
verdict_set_text(struct verdict *v, const char *text)
{
	verdict_set_error(v, text, strlen(text));
}
