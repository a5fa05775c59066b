/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* How the parts of the parser say what is wrong; readers use conf.h. */
#ifndef DLO_CONFIG_CONF_ERRORS_H
#define DLO_CONFIG_CONF_ERRORS_H

#include <stddef.h>

#include "config/conf.h"

/*
 * Adds one error. `key` is the path of the key, "" for none; line 0 is the
 * file as a whole. Control characters in both texts are made visible.
 */
void conf_errors_add(struct conf_errors *, unsigned line, unsigned column,
    const char *key, const char *fmt, ...) printf_like(5, 6);
/* Puts them in the order of the file; same place: as they were added. */
void conf_errors_sort(struct conf_errors *);

#endif
