/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Which deliveries are of the same message: a digest of all that the publisher
 * sent (id, body, every property and header, exchange and routing key) and of
 * how often it was redriven; what a broker adds to a redelivery and what we
 * write onto copies is left out, and so is an id that we made on receipt.
 */
#ifndef DLO_CONSUMER_TWIN_H
#define DLO_CONSUMER_TWIN_H

#include <stdint.h>

#include "dlx/envelope.h"
#include "lib/compiler.h"
#include "lib/digest.h"
#include "lib/loop.h"

struct twin {
	struct digest *digest;
	/* So that nobody can write messages whose digests begin alike. */
	uint64_t salt;
};

void twin_init(struct twin *, struct loop *);
void twin_clear(struct twin *);
/* -1: it does not decode, or the library refused. */
int twin_digest(struct twin *, const struct envelope *, struct rmq_slice body,
    uint8_t out[DIGEST_BYTES]) must_use;

#endif
