/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Small files, read whole. */
#ifndef DLO_LIB_FILE_H
#define DLO_LIB_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/buf.h"
#include "lib/compiler.h"

/*
 * Appends a regular file of at most `max` bytes to `out`; `public` (NULL:
 * not asked) says whether others than owner and group may read it. NULL when
 * done, else what is wrong, in static text or strerror's.
 */
const char *file_read(const char *path, size_t max, struct buf *out,
    bool *public) must_use;

/*
 * A password or the like: the text of a file without its trailing newline, in
 * *text, to be given to file_free_secret; NULL is fine there. NULL when done,
 * else what is wrong.
 */
const char *file_read_secret(const char *path, char **text) must_use;
void file_free_secret(char *);

#endif
