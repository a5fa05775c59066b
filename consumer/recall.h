/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The failed attempts of messages that went back to the broker from memory,
 * until it delivers them again: an ordered pipeline has no copy that could
 * tell of them, and would try a message for ever whose attempts take longer
 * than it may be held. Only this process knows: another one begins anew.
 *
 * Messages are told apart as in twin.h. Of equal ones the first to come gets
 * what is known: they are of one lane, and only its first is ever tried.
 *
 * Bounded: the last `kept` of them, each for `keep_ms`, at most 2 KiB each.
 */
#ifndef DLO_CONSUMER_RECALL_H
#define DLO_CONSUMER_RECALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dlx/envelope.h"
#include "lib/compiler.h"
#include "lib/loop.h"

struct recall;

/* `kept` is at least 1. */
struct recall *recall_new(struct loop *, size_t kept, int64_t keep_ms) must_use;
/* NULL is fine. */
void recall_free(struct recall *);
/* Other limits from now on. */
void recall_limit(struct recall *, size_t kept, int64_t keep_ms);
/*
 * It goes back to the broker with its failed attempts; the next one is not to
 * be made before `due_us` (monotonic).
 */
void recall_keep(struct recall *, const struct envelope *,
    struct rmq_slice body, int64_t due_us);
/*
 * It was delivered again: true if its attempts were known. The envelope has
 * them now, and they are forgotten here.
 */
bool recall_take(struct recall *, struct envelope *, struct rmq_slice body,
    int64_t *due_us);

#endif
