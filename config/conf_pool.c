/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Each piece is an allocation of its own, so that the sanitizers see an
 * overrun of any of them.
 */
#include "config/conf_pool.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/xalloc.h"

struct piece {
	struct piece *next;
	size_t size;
	max_align_t mem[];
};

struct conf_pool {
	struct piece *pieces;
};

struct conf_pool *
conf_pool_new(void)
{
	return xcalloc(1, sizeof(struct conf_pool));
}

void
conf_pool_free(struct conf_pool *pool)
{
	struct piece *piece;

	if (pool == NULL)
		return;
	while ((piece = pool->pieces) != NULL) {
		pool->pieces = piece->next;
		explicit_bzero(piece->mem, piece->size);
		free(piece);
	}
	free(pool);
}

void *
conf_pool_get(struct conf_pool *pool, size_t size)
{
	struct piece *piece = xcalloc(1, sizeof(*piece) + size);

	piece->size = size;
	piece->next = pool->pieces;
	pool->pieces = piece;
	return piece->mem;
}

char *
conf_pool_text(struct conf_pool *pool, const char *bytes, size_t len)
{
	char *text = conf_pool_get(pool, len + 1);

	memcpy(text, bytes, len);
	return text;
}

char *
conf_pool_printf(struct conf_pool *pool, const char *fmt, ...)
{
	va_list ap;
	char *text;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	assert(len >= 0);
	text = conf_pool_get(pool, (size_t)len + 1);
	va_start(ap, fmt);
	vsnprintf(text, (size_t)len + 1, fmt, ap);
	va_end(ap);
	return text;
}
