/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The handshake with a plugin, for plugin_host.c and its tests. */
#ifndef DLO_DOWNSTREAM_PLUGIN_LOAD_H
#define DLO_DOWNSTREAM_PLUGIN_LOAD_H

#include <stddef.h>

#include "include/dlo/handler.h"
#include "lib/buf.h"
#include "lib/compiler.h"

/*
 * Takes a plugin's table of `bytes` bytes, as that plugin knew it, into one as
 * we know it; what it has not is NULL. -1: `why` has what is wrong.
 */
int plugin_load_table(const void *table, size_t bytes, struct dlo_handler *out,
    struct buf *why) must_use;
/*
 * Loads a shared object and its table; it stays loaded. -1: `why` has what is
 * wrong.
 */
int plugin_load(const char *path, struct dlo_handler *out,
    struct buf *why) must_use;

#endif
