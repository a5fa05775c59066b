/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A channel of the consume connection with at most one consumer on it. The
 * channel outlives its consumer, so that what was delivered can still be
 * acked after a cancel. What the broker says late, of a consumer or channel
 * that was given up meanwhile, is kept from the owner.
 */
#ifndef DLO_CONSUMER_SUBSCRIPTION_H
#define DLO_CONSUMER_SUBSCRIPTION_H

#include <stdbool.h>
#include <stdint.h>

#include "amqp/channel.h"

/* From the loop; they may call anything here. */
struct subscription_cbs {
	/* Deliveries come from now on. */
	void (*begun)(void *arg);
	void (*delivery)(void *arg, const struct rmq_delivery *);
	/* No more deliveries; `by_broker`: we did not ask for it. */
	void (*ended)(void *arg, bool by_broker);
	/* The channel is gone, and the consumer with it. */
	void (*closed)(void *arg, const struct rmq_close *);
};

struct subscription {
	const char *queue;
	const struct subscription_cbs *cbs;
	void *arg;
	struct rmq_channel *channel;   /* NULL: none */
	struct rmq_consumer *consumer; /* NULL: none */
	uint16_t prefetch;	       /* of the consumer */
	bool cancelling;	       /* we asked for its end */
};

/* `queue` and `cbs` must outlive it. */
void subscription_init(struct subscription *, const char *queue,
    const struct subscription_cbs *, void *arg);
/* Opens the channel and consumes on it; -1: no channel to be had now. */
int subscription_open(struct subscription *, struct rmq_conn *,
    uint16_t prefetch) must_use;
/* Consumes again, after `ended`. */
void subscription_resume(struct subscription *, uint16_t prefetch);
/*
 * Asks for the end of the consumer; then `ended`, if there was one. None is
 * made any more when the channel is still opening.
 */
void subscription_cancel(struct subscription *);
/*
 * Closes the channel without waiting: the broker delivers again what is
 * unacked. No callback follows. Fine without a channel.
 */
void subscription_leave(struct subscription *);

#endif
