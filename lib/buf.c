/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "lib/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/xalloc.h"

#define BUF_MIN_SPACE 256

void
buf_clear(struct buf *buf)
{
	free(buf->mem);
	memset(buf, 0, sizeof(*buf));
}

void
buf_reset(struct buf *buf)
{
	buf->off = buf->len = 0;
}

uint8_t *
buf_peek(const struct buf *buf)
{
	return buf->mem == NULL ? NULL : buf->mem + buf->off;
}

void
buf_drop(struct buf *buf, size_t len)
{
	assert(len <= buf->len);
	buf->len -= len;
	buf->off = buf->len == 0 ? 0 : buf->off + len;
}

uint8_t *
buf_reserve(struct buf *buf, size_t len)
{
	size_t space;

	if (buf->space - buf->off - buf->len >= len && buf->mem != NULL)
		return buf->mem + buf->off + buf->len;
	/* Moving the bytes is worth it only when it frees half. */
	if (buf->off >= buf->space / 2 && buf->space - buf->len >= len &&
	    buf->mem != NULL) {
		memmove(buf->mem, buf->mem + buf->off, buf->len);
		buf->off = 0;
		return buf->mem + buf->len;
	}
	space = buf->space < BUF_MIN_SPACE ? BUF_MIN_SPACE : buf->space;
	while (space - buf->off - buf->len < len)
		space *= 2;
	buf->mem = xrealloc(buf->mem, space);
	buf->space = space;
	return buf->mem + buf->off + buf->len;
}

void
buf_claim(struct buf *buf, size_t len)
{
	assert(buf->space - buf->off - buf->len >= len);
	buf->len += len;
}

void
buf_add(struct buf *buf, const void *bytes, size_t len)
{
	if (len == 0)
		return;
	memcpy(buf_reserve(buf, len), bytes, len);
	buf->len += len;
}

void
buf_add_u8(struct buf *buf, uint8_t value)
{
	buf_add(buf, &value, 1);
}

void
buf_add_u16(struct buf *buf, uint16_t value)
{
	uint8_t bytes[2] = { (uint8_t)(value >> 8), (uint8_t)value };

	buf_add(buf, bytes, sizeof(bytes));
}

void
buf_add_u32(struct buf *buf, uint32_t value)
{
	buf_add_u16(buf, (uint16_t)(value >> 16));
	buf_add_u16(buf, (uint16_t)value);
}

void
buf_add_u64(struct buf *buf, uint64_t value)
{
	buf_add_u32(buf, (uint32_t)(value >> 32));
	buf_add_u32(buf, (uint32_t)value);
}

void
buf_add_str(struct buf *buf, const char *text)
{
	buf_add(buf, text, strlen(text));
}

void
buf_printf(struct buf *buf, const char *fmt, ...)
{
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	assert(len >= 0);
	buf_reserve(buf, (size_t)len + 1);
	va_start(ap, fmt);
	vsnprintf((char *)buf->mem + buf->off + buf->len, (size_t)len + 1, fmt,
	    ap);
	va_end(ap);
	buf->len += (size_t)len;
}

const char *
buf_str(struct buf *buf)
{
	*buf_reserve(buf, 1) = '\0';
	return (const char *)buf->mem + buf->off;
}
