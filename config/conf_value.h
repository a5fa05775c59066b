/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Values that are one scalar: what each type of the table makes of it. */
#ifndef DLO_CONFIG_CONF_VALUE_H
#define DLO_CONFIG_CONF_VALUE_H

#include "config/conf_parse.h"

/*
 * Puts the value of a scalar node at `slot`, or reports what is wrong with
 * it and leaves the slot alone.
 */
void conf_value_set(struct conf_parse *, const struct conf_key *,
    struct conf_tree *node, void *slot);
/* What the type's values look like: "a whole number". */
const char *conf_value_noun(const struct conf_key *);

#endif
