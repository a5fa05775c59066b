/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The headers of a message as handlers see them. Pure. */
#ifndef DLO_CONSUMER_HEADERS_H
#define DLO_CONSUMER_HEADERS_H

#include "downstream/attempt.h"

/*
 * Takes the next header off a table that was checked: text, bytes,
 * numbers, times and booleans. What has no such form (tables, arrays,
 * decimals, void) is passed over, and so are the dlo- headers, which are
 * ours or pretend to be. False: no more.
 */
bool headers_next(struct attempt_text *rest, struct attempt_field *);

#endif
