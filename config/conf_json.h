/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A piece of the file that means nothing to us, as JSON for whom it is meant.
 * Scalars without quotes have the types of YAML's core schema: null, booleans
 * (true, True, TRUE, …), whole numbers (decimal, 0o, 0x), numbers; all else is
 * text. Whole numbers in decimal digits keep them all.
 */
#ifndef DLO_CONFIG_CONF_JSON_H
#define DLO_CONFIG_CONF_JSON_H

#include "config/conf_parse.h"

/*
 * The JSON of a node and all below it; it belongs to the pool. What JSON has
 * no word for (.inf, .nan, a number out of range) is an error there.
 */
const char *conf_json(struct conf_parse *, struct conf_tree *node) must_use;

#endif
