/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "lib/text.h"

static bool
is_tail(uint8_t byte)
{
	return (byte & 0xc0) == 0x80;
}

size_t
text_utf8_len(const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || len < 2 || !is_tail(p[1]))
		return 0;
	if (p[0] < 0xe0)
		return 2;
	if (p[0] < 0xf0) {
		/* Overlong; surrogates. */
		if ((p[0] == 0xe0 && p[1] < 0xa0) ||
		    (p[0] == 0xed && p[1] >= 0xa0))
			return 0;
		return len >= 3 && is_tail(p[2]) ? 3 : 0;
	}
	/* Overlong; above U+10FFFF. */
	if ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] >= 0x90) ||
	    p[0] > 0xf4)
		return 0;
	return len >= 4 && is_tail(p[2]) && is_tail(p[3]) ? 4 : 0;
}

bool
text_utf8_valid(const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	size_t n;

	for (; len > 0; p += n, len -= n) {
		n = text_utf8_len(p, len);
		if (n == 0)
			return false;
	}
	return true;
}

size_t
text_utf8_cut(const void *bytes, size_t len, size_t max)
{
	const uint8_t *p = bytes;
	size_t start, back;

	if (len <= max)
		return len;
	/* The character that the cut would split began at most 3 before. */
	for (back = 1; back <= 3 && back <= max; back++) {
		start = max - back;
		if (!is_tail(p[start]))
			return text_utf8_len(p + start, len - start) > back
			    ? start
			    : max;
	}
	return max;
}

void
text_utf8_clean(struct buf *out, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	size_t n;

	for (; len > 0; p += n, len -= n) {
		n = text_utf8_len(p, len);
		if (n > 0) {
			buf_add(out, p, n);
		} else {
			buf_add_str(out, "\xef\xbf\xbd");
			n = 1;
		}
	}
}

uint32_t
text_utf8_code(const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	uint32_t code;
	size_t i;

	if (len == 1)
		return p[0];
	code = p[0] & (0x7fU >> len);
	for (i = 1; i < len; i++)
		code = code << 6 | (p[i] & 0x3f);
	return code;
}

bool
text_is_unprintable(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) ||
	    (code >= 0x200b && code <= 0x200f) ||
	    (code >= 0x2028 && code <= 0x202e) ||
	    (code >= 0x2060 && code <= 0x206f) || code == 0xfeff;
}
