/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* What dlo-consumer -tv tells of retry.rules. */
#ifndef DLO_CONSUMER_RULES_H
#define DLO_CONSUMER_RULES_H

#include "config/conf.h"
#include "lib/buf.h"

/*
 * Appends, for each pipeline, a table of the rules that decide on an attempt:
 * those of the file, then the built-in ones of its handler, in the order in
 * which they are tried. No line is longer than 100 columns.
 */
void rules_show(const struct conf *, struct buf *out);

#endif
