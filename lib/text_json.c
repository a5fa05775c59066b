/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "lib/text.h"

/* The code point of a valid character of `n` bytes. */
static uint32_t
code_point(const uint8_t *p, size_t n)
{
	uint32_t code;
	size_t i;

	if (n == 1)
		return p[0];
	code = p[0] & (0x7fU >> n);
	for (i = 1; i < n; i++)
		code = code << 6 | (p[i] & 0x3f);
	return code;
}

/* What would move a terminal's cursor, turn text around or hide in it. */
static bool
is_unprintable(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) ||
	    (code >= 0x200b && code <= 0x200f) ||
	    (code >= 0x2028 && code <= 0x202e) ||
	    (code >= 0x2060 && code <= 0x206f) || code == 0xfeff;
}

void
text_json(struct buf *out, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	uint32_t code;
	size_t n;

	for (; len > 0; p += n, len -= n) {
		n = text_utf8_len(p, len);
		code = n == 0 ? 0xfffd : code_point(p, n);
		if (n == 0 || is_unprintable(code)) {
			n = n == 0 ? 1 : n;
			if (code == '\n')
				buf_add_str(out, "\\n");
			else if (code == '\t')
				buf_add_str(out, "\\t");
			else
				buf_printf(out, "\\u%04x", (unsigned)code);
			continue;
		}
		if (code == '"' || code == '\\')
			buf_add_u8(out, '\\');
		buf_add(out, p, n);
	}
}
