/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The list of what is wrong. It owns its texts; the problem of each is made
 * by the parser, which never puts a value in it that could be a secret.
 */
#include "config/conf_errors.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/xalloc.h"

/* Longer keys and problems are cut: the line and column tell the rest. */
#define SHOWN_BYTES 400

/* A copy in which nothing moves a terminal's cursor or fakes a line. */
static char *
visible(const char *text)
{
	struct buf buf = { 0 };
	const unsigned char *at;
	char *copy;

	for (at = (const unsigned char *)text; *at != '\0'; at++) {
		/* C1 controls are C2 80 to C2 9F in UTF-8. */
		bool c1 = at[0] == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f;

		if (buf.len >= SHOWN_BYTES && (*at & 0xc0) != 0x80) {
			buf_add_str(&buf, "...");
			break;
		}
		if (c1)
			buf_printf(&buf, "\\u%04x", *++at);
		else if (*at < 0x20 || *at == 0x7f)
			buf_printf(&buf, "\\x%02x", *at);
		else
			buf_add_u8(&buf, *at);
	}
	copy = xstrdup(buf_str(&buf));
	buf_clear(&buf);
	return copy;
}

void
conf_errors_add(struct conf_errors *errors, unsigned line, unsigned column,
    const char *key, const char *fmt, ...)
{
	struct conf_error *error;
	va_list ap;
	char *problem;

	/* Room grows in powers of two, at each count that is one. */
	if ((errors->count & (errors->count - 1)) == 0)
		errors->items = xrealloc(errors->items,
		    (errors->count * 2 + 1) * sizeof(*errors->items));
	error = &errors->items[errors->count++];
	va_start(ap, fmt);
	problem = xvasprintf(fmt, ap);
	va_end(ap);
	error->line = line;
	error->column = column;
	error->key = visible(key);
	error->problem = visible(problem);
	free(problem);
}

static int
by_place(const void *left, const void *right, void *items)
{
	const size_t l = *(const size_t *)left, r = *(const size_t *)right;
	const struct conf_error *a = (struct conf_error *)items + l;
	const struct conf_error *b = (struct conf_error *)items + r;

	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	if (a->column != b->column)
		return a->column < b->column ? -1 : 1;
	return l < r ? -1 : l > r;
}

void
conf_errors_sort(struct conf_errors *errors)
{
	struct conf_error *sorted;
	size_t *order, i;

	if (errors->count < 2)
		return;
	order = xcalloc(errors->count, sizeof(*order));
	for (i = 0; i < errors->count; i++)
		order[i] = i;
	qsort_r(order, errors->count, sizeof(*order), by_place, errors->items);
	sorted = xcalloc(errors->count * 2 + 1, sizeof(*sorted));
	for (i = 0; i < errors->count; i++)
		sorted[i] = errors->items[order[i]];
	free(order);
	free(errors->items);
	errors->items = sorted;
}

void
conf_errors_show(const struct conf_errors *errors, size_t i, struct buf *out)
{
	const struct conf_error *error = &errors->items[i];

	buf_add_str(out, errors->path);
	if (error->line != 0)
		buf_printf(out, ":%u:%u", error->line, error->column);
	if (error->key[0] != '\0')
		buf_printf(out, ": %s", error->key);
	buf_printf(out, ": %s", error->problem);
}

void
conf_errors_print(const struct conf_errors *errors, FILE *out)
{
	struct buf line = { 0 };
	size_t i;

	for (i = 0; i < errors->count; i++) {
		buf_reset(&line);
		conf_errors_show(errors, i, &line);
		fprintf(out, "%s\n", buf_str(&line));
	}
	buf_clear(&line);
}

void
conf_errors_clear(struct conf_errors *errors)
{
	size_t i;

	for (i = 0; i < errors->count; i++) {
		free(errors->items[i].key);
		free(errors->items[i].problem);
	}
	free(errors->items);
	free(errors->path);
	memset(errors, 0, sizeof(*errors));
}
