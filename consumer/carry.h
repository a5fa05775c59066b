/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The headers of a message that its downstream is to be told: those named in
 * forward_headers, and with format: cloudevents those of an event. Only texts
 * and what can be written as one are; tables, arrays and the like are left
 * out. Of two headers with one name the first counts. The memory is kept for
 * the next message.
 */
#ifndef DLO_CONSUMER_CARRY_H
#define DLO_CONSUMER_CARRY_H

#include <stddef.h>

#include "amqp/message.h"
#include "downstream/attempt.h"

/* What comes after so many is left out. */
#define CARRY_MAX 128
/* Enough for any number and any time. */
#define CARRY_TEXT_SPACE 32

struct conf_http;

/* Zeroed is empty. */
struct carry {
	struct attempt_header *items;
	char (*texts)[CARRY_TEXT_SPACE]; /* of the same item, if it needs one */
	size_t count, space;
};

/*
 * Fills it from a header table (without its length word) that has been
 * checked; the items point into the table.
 */
void carry_fill(struct carry *, struct rmq_slice table,
    const struct conf_http *);
void carry_clear(struct carry *);

#endif
