/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* What HUP asks of a daemon first: to read its file anew. */
#ifndef DLO_CONFIG_CONF_RELOAD_H
#define DLO_CONFIG_CONF_RELOAD_H

#include "config/conf.h"
#include "lib/compiler.h"

/* Adds what else is wrong with it. */
typedef void conf_reload_check_cb(const struct conf *, struct conf_errors *);

/*
 * The file of `former` as it is now, with its secrets. NULL: it cannot be
 * read, is wrong, or changes what only a restart can change; each of these is
 * a line in the log. `role`: consumer or redrive. `check` may be NULL.
 */
struct conf *conf_reload(const struct conf *former, enum conf_role role,
    conf_reload_check_cb *check) must_use;

#endif
