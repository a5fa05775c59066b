/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * CloudEvents 1.0 in HTTP's binary mode: an event's attributes are headers
 * (ce-id, ce-source, …), its data is the body.
 *
 * A message that is an event already has them in headers cloudEvents:NAME or
 * cloudEvents_NAME, as the AMQP binding says; it counts as one when id,
 * source, specversion and type are there. From any other one is made:
 *
 *	id		dlo-id, the same for each attempt
 *	source		/dlo/PIPELINE/EXCHANGE; the default one: /dlo/PIPELINE
 *	type		the property type; without it dlo.message
 *	subject		the routing key
 *	time		the property timestamp
 *
 * A body that is an event as a whole (content type application/cloudevents…)
 * is sent as it is, without any.
 */
#ifndef DLO_DOWNSTREAM_HTTP_EVENT_H
#define DLO_DOWNSTREAM_HTTP_EVENT_H

#include <stdbool.h>
#include <stddef.h>

#include "downstream/attempt.h"
#include "downstream/http_carry.h"
#include "lib/buf.h"

/* Whether a header of that name stands for an attribute of an event. */
bool http_event_is_attribute(const struct attempt_text *header);
/* Whether the message's headers are those of an event. */
bool http_event_carried(const struct attempt *, const struct http_carry *);
/*
 * Appends the line for one header of an event: none when it is no attribute,
 * or one that came before.
 */
void http_event_attribute(const struct http_carry *, size_t item,
    struct buf *lines);
/* Appends the lines of an event made from a message that is none. */
void http_event_make(const struct attempt *, struct buf *lines);

#endif
