/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What a reload would change: two configurations compared along the table, so
 * that a new key is either compared or said to be live. Secrets are compared
 * by what was read; a broker's password that stands in a file by the file's
 * name, as that is read anew before each connection anyway.
 */
#ifndef DLO_CONFIG_CONF_CHANGE_H
#define DLO_CONFIG_CONF_CHANGE_H

#include <stdbool.h>

#include "config/conf.h"

/*
 * Adds an error to `errors` for each key that differs and that only a restart
 * can change, at its place in the file of `to`. What is only the other
 * daemon's is not looked at. `role`: consumer or redrive; both of conf_load.
 */
void conf_change_refused(const struct conf *from, const struct conf *to,
    enum conf_role role, struct conf_errors *errors);

/* Whether any of its keys, or of the files they name, differs. */
bool conf_change_downstream(const struct conf_downstream *,
    const struct conf_downstream *);
/* Whether any of its keys differs; its downstream counts by name. */
bool conf_change_pipeline(const struct conf_pipeline *,
    const struct conf_pipeline *);

#endif
