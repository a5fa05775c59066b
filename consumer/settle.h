/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The only place that acks. A delivery is acked when its handler said ok, or
 * failed in a way that a rule of the configuration calls ok, to it or to an
 * earlier delivery of the same message (see dedup.h), or after its copy on the
 * ladder or in the dead-letter queue is confirmed without a return. Never in
 * another order, and on no other ground.
 *
 * A copy that does not get through is sent again, after 1 s doubling to 60 s,
 * for as long as the delivery's channel lives; the original stays unacked.
 * What the broker refuses to take for itself, not for a missing exchange or
 * right nor for an internal error that passes, goes to the dead-letter queue
 * as malformed, its own properties wrapped up as bytes.
 *
 * The settler owns the publisher; copies point into the delivery, which must
 * last until window_settled or settle_forget.
 */
#ifndef DLO_CONSUMER_SETTLE_H
#define DLO_CONSUMER_SETTLE_H

#include <stdint.h>

#include "amqp/publisher.h"
#include "consumer/delivery.h"
#include "consumer/meter.h"
#include "lib/loop.h"

struct settle;

struct settle_cbs {
	/* A copy found no queue or no exchange: is the topology whole? */
	void (*astray)(void *arg);
};

/* `user`: of the publish connection; it, `meter` and `cbs` must outlive it. */
struct settle *settle_new(struct loop *, const char *user, struct meter *meter,
    const struct settle_cbs *cbs, void *arg);
/* Every delivery must have been settled or forgotten. NULL is fine. */
void settle_free(struct settle *);
/* The publish connection is up, is gone, was blocked or unblocked. */
void settle_attach(struct settle *, struct rmq_conn *);
void settle_detach(struct settle *);
void settle_wake(struct settle *);
/* For publishing what is not a delivery's copy; belongs to the settler. */
struct rmq_publisher *settle_publisher(struct settle *);

/*
 * Each takes a delivery whose channel lives and ends with window_settled: the
 * first two inside this call, the others later.
 */
void settle_ok(struct delivery *);
/* It was ok when it was delivered before. */
void settle_duplicate(struct delivery *);
/* To the ladder, so that it comes back at `due_us` (monotonic) or later. */
void settle_retry(struct settle *, struct delivery *, int64_t due_us);
/* To the dead-letter queue; its envelope is dead already. */
void settle_dead(struct settle *, struct delivery *);
/* Its channel has gone: no copy is wanted any more, nothing follows. */
void settle_forget(struct delivery *);

#endif
