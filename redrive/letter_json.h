/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A message as one JSON object and back, without loss: every property, every
 * header with its AMQP type, in their order, and the body.
 *
 *	{"properties": {"content_type": "text/plain", "priority": 3, …},
 *	 "headers": [{"name": "n", "type": "l", "value": 7}, …],
 *	 "body": "…"}
 *
 * Bytes that JSON cannot say are in base64 under `…_base64` instead, values
 * that have no form in JSON too (a not-a-number, say) as they were on the
 * wire. Properties that do not decode are `properties_base64`, as a whole.
 */
#ifndef DLO_REDRIVE_LETTER_JSON_H
#define DLO_REDRIVE_LETTER_JSON_H

#include "amqp/message.h"
#include "lib/buf.h"
#include "lib/js.h"

/* Puts properties and headers into `object`. */
void letter_json_set_props(json_t *object, struct rmq_slice props);
/* Puts the body there. */
void letter_json_set_body(json_t *object, struct rmq_slice body);

/*
 * Appends the raw properties and the body of such an object. -1: it is none,
 * and `*why` (static) says what is wrong; then both hold rubbish.
 */
int letter_json_read(const json_t *object, struct buf *props, struct buf *body,
    const char **why) must_use;

#endif
