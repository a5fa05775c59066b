/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Memory. Running out of it ends the process here and nowhere else: the
 * broker redelivers what was unacked, so dying is the safe answer.
 */
#ifndef DLO_LIB_XALLOC_H
#define DLO_LIB_XALLOC_H

#include <stdarg.h>
#include <stddef.h>

#include "lib/compiler.h"

/* Zeroed memory for `count` items of `size` bytes; the caller frees it. */
void *xcalloc(size_t count, size_t size) must_use;
/* `size` bytes, uninitialised; the caller frees it. */
void *xmalloc(size_t size) must_use;
/* As realloc(3), never NULL for a size above 0. */
void *xrealloc(void *ptr, size_t size) must_use;
/* A copy of `text`; the caller frees it. NULL gives NULL. */
char *xstrdup(const char *text) must_use;
/* A NUL-terminated copy of `len` bytes; the caller frees it. */
char *xstrndup(const char *text, size_t len) must_use;
/* A formatted string; the caller frees it. */
char *xasprintf(const char *fmt, ...) printf_like(1, 2) must_use;
char *xvasprintf(const char *fmt, va_list) printf_like(1, 0) must_use;

#endif
