/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Small files, read whole. */
#ifndef DLO_CONFIG_CONF_FILE_H
#define DLO_CONFIG_CONF_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/buf.h"
#include "lib/compiler.h"

/*
 * Appends a regular file of at most `max` bytes to `out`; `public` (NULL:
 * not asked) says whether others than owner and group may read it. NULL when
 * done, else what is wrong, in static text or strerror's.
 */
const char *conf_file_read(const char *path, size_t max, struct buf *out,
    bool *public) must_use;

#endif
