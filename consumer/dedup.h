/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The messages of a pipeline that its handler has just said ok to, so that
 * one whose ack was lost need not be handed over again. It knows the last
 * `kept` of them, told apart as in twin.h. A message without a message_id is
 * never known.
 *
 * Memory: about 60 bytes for each that is kept, all of it from the start.
 */
#ifndef DLO_CONSUMER_DEDUP_H
#define DLO_CONSUMER_DEDUP_H

#include <stdbool.h>
#include <stddef.h>

#include "dlx/envelope.h"
#include "lib/loop.h"

struct dedup;

/* `kept` is at least 1. */
struct dedup *dedup_new(struct loop *, size_t kept) must_use;
/* NULL is fine. */
void dedup_free(struct dedup *);
/* Keeps as many from now on, if that is more, with what it knows. */
void dedup_grow(struct dedup *, size_t kept);
/* The handler said ok to it. */
void dedup_remember(struct dedup *, const struct envelope *,
    struct rmq_slice body);
/* Whether the handler said ok to this very message; if in doubt, no. */
bool dedup_knows(struct dedup *, const struct envelope *,
    struct rmq_slice body);

#endif
