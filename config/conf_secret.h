/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Passwords, tokens and headers that stand elsewhere than in the file. Only
 * those are read that the asked roles need: the consumer's user may be kept
 * from reading the redrive daemon's password.
 */
#ifndef DLO_CONFIG_CONF_SECRET_H
#define DLO_CONFIG_CONF_SECRET_H

#include "config/conf_parse.h"

/* Reads them into p->conf and reports those that are not to be had. */
void conf_secret_read(struct conf_parse *);
/*
 * The text of a file without its trailing newline, from the pool. NULL when
 * done, else what is wrong.
 */
const char *conf_secret_file(struct conf_parse *, const char *path,
    const char **text) must_use;

#endif
