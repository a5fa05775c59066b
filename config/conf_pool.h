/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Memory that is freed all at once, with the struct conf that it holds; it is
 * wiped first, because passwords are in it.
 */
#ifndef DLO_CONFIG_CONF_POOL_H
#define DLO_CONFIG_CONF_POOL_H

#include <stddef.h>

#include "lib/compiler.h"

struct conf_pool;

struct conf_pool *conf_pool_new(void) must_use;
/* Wipes and frees the pool and all memory from it; NULL is fine. */
void conf_pool_free(struct conf_pool *);
/* Zeroed memory, aligned for anything; belongs to the pool. */
void *conf_pool_get(struct conf_pool *, size_t size) must_use;
/* A NUL-terminated copy of `len` bytes; belongs to the pool. */
char *conf_pool_text(struct conf_pool *, const char *bytes,
    size_t len) must_use;
/* A formatted text; belongs to the pool. */
char *conf_pool_printf(struct conf_pool *, const char *fmt, ...)
    printf_like(2, 3) must_use;

#endif
