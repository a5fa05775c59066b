/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "ctl/table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/report.h"
#include "lib/text.h"
#include "lib/xalloc.h"

#define GAP	  2 /* between columns */
#define CUT	  "\xe2\x80\xa6"
#define CUT_LEAST 8 /* no column is cut below */

void
table_init(struct table *table, const struct table_column *columns,
    size_t count)
{
	memset(table, 0, sizeof(*table));
	table->columns = columns;
	table->column_count = count;
}

void
table_clear(struct table *table)
{
	for (size_t i = 0; i < table->cell_count; i++)
		free(table->cells[i]);
	free(table->cells);
	table->cells = NULL;
	table->cell_count = 0;
}

void
table_add(struct table *table, const char *text)
{
	struct buf clean = { 0 };

	if (text == NULL || *text == '\0')
		buf_add_u8(&clean, '-');
	else
		report_clean(&clean, text);
	table->cells = xrealloc(table->cells,
	    (table->cell_count + 1) * sizeof(*table->cells));
	table->cells[table->cell_count++] = xstrdup(buf_str(&clean));
	buf_clear(&clean);
}

void
table_add_int(struct table *table, int64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRId64, value);
	table_add(table, text);
}

/* Bytes of the first `wide` characters. */
static size_t
prefix(const char *text, size_t wide)
{
	size_t len = strlen(text), at = 0;

	for (; wide > 0 && at < len; wide--)
		at += text_utf8_len(text + at, len - at);
	return at;
}

static size_t
width_of(const char *text)
{
	size_t len = strlen(text), at = 0, count = 0;

	for (; at < len; count++)
		at += text_utf8_len(text + at, len - at);
	return count;
}

static void
measure(const struct table *table, size_t *widths)
{
	for (size_t i = 0; i < table->column_count; i++)
		widths[i] = width_of(table->columns[i].title);
	for (size_t i = 0; i < table->cell_count; i++) {
		size_t wide = width_of(table->cells[i]);

		if (wide > widths[i % table->column_count])
			widths[i % table->column_count] = wide;
	}
}

/* Takes from the widest of those that may be cut until all fits. */
static void
fit(const struct table *table, size_t *widths)
{
	size_t total = GAP * (table->column_count - 1), widest;

	for (size_t i = 0; i < table->column_count; i++)
		total += widths[i];
	while (total > TABLE_COLUMNS) {
		widest = table->column_count;
		for (size_t i = 0; i < table->column_count; i++) {
			if (table->columns[i].may_cut &&
			    widths[i] > CUT_LEAST &&
			    (widest == table->column_count ||
				widths[i] > widths[widest]))
				widest = i;
		}
		if (widest == table->column_count)
			return;
		widths[widest]--;
		total--;
	}
}

static void
write_cell(struct buf *out, const char *text, size_t wide, bool right,
    bool last)
{
	size_t has = width_of(text);

	if (has > wide) {
		buf_add(out, text, prefix(text, wide - 1));
		buf_add_str(out, CUT);
		has = wide;
	} else if (right) {
		buf_printf(out, "%*s%s", (int)(wide - has), "", text);
		has = wide;
	} else {
		buf_add_str(out, text);
	}
	if (!last)
		buf_printf(out, "%*s", (int)(wide - has + GAP), "");
}

void
table_write(const struct table *table, struct buf *out)
{
	size_t *widths = xcalloc(table->column_count, sizeof(*widths));
	size_t rows = table->cell_count / table->column_count;

	measure(table, widths);
	fit(table, widths);
	for (size_t row = 0; row <= rows; row++) {
		for (size_t i = 0; i < table->column_count; i++) {
			const char *text = row == 0
			    ? table->columns[i].title
			    : table->cells[(row - 1) * table->column_count + i];

			write_cell(out, text, widths[i],
			    table->columns[i].is_number,
			    i + 1 == table->column_count);
		}
		buf_add_u8(out, '\n');
	}
	free(widths);
}
