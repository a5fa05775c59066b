/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "lib/text.h"

void
text_json(struct buf *out, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	uint32_t code;
	size_t n;

	for (; len > 0; p += n, len -= n) {
		n = text_utf8_len(p, len);
		code = n == 0 ? 0xfffd : text_utf8_code(p, n);
		if (n == 0 || text_is_unprintable(code)) {
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
