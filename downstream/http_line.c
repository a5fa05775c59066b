/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/http_line.h"

#include <inttypes.h>

#include "lib/text.h"

void
http_line_end(struct buf *lines)
{
	buf_add_u8(lines, 0);
}

static void
add_spaces(struct buf *lines, size_t count)
{
	while (count-- > 0)
		buf_add_str(lines, "%20");
}

void
http_line_value(struct buf *lines, const struct attempt_text *text)
{
	size_t before = 0, after = 0;

	while (before < text->len && text->ptr[before] == ' ')
		before++;
	while (after < text->len - before &&
	    text->ptr[text->len - after - 1] == ' ')
		after++;
	add_spaces(lines, before);
	text_percent(lines, text->ptr + before, text->len - before - after);
	add_spaces(lines, after);
}

void
http_line_text(struct buf *lines, const char *name,
    const struct attempt_text *text)
{
	if (text->len == 0)
		return;
	buf_add_str(lines, name);
	buf_add_str(lines, ": ");
	http_line_value(lines, text);
	http_line_end(lines);
}

void
http_line_number(struct buf *lines, const char *name, int64_t number)
{
	buf_printf(lines, "%s: %" PRId64, name, number);
	http_line_end(lines);
}

void
http_line_raw(struct buf *lines, const char *name,
    const struct attempt_text *text)
{
	buf_add_str(lines, name);
	buf_add_str(lines, ": ");
	buf_add(lines, text->ptr, text->len);
	http_line_end(lines);
}
