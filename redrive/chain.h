/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A chain of channels that hold messages of one queue: each takes a number of
 * them with a consumer of its own, one channel after another, so that the
 * chain's order is the queue's and acks of single messages stay cheap.
 * Closing goes through the channels in the same order and waits until the
 * messages of each are back: only that gives them back to a quorum queue in
 * their order. The broker says that a channel is closed before they are, and
 * two channels' may overtake each other; so the queue is asked for its count.
 * Who may not ask, and who waits in vain for more than some seconds because
 * others take messages meanwhile, has the order that it gets.
 *
 * A consumer is cancelled when it has got all that it may hold, and acks wait
 * until then: what is on its way to a cancelled consumer is put back at once,
 * out of order, and comes twice.
 */
#ifndef DLO_REDRIVE_CHAIN_H
#define DLO_REDRIVE_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "amqp/channel.h"
#include "lib/compiler.h"
#include "lib/loop.h"

struct chain;
struct chain_link;

/* A message that the chain holds. */
struct chain_ref {
	struct chain_link *link;
	uint64_t tag;
};

/* Called from the loop, never inside a call. */
struct chain_cbs {
	/* One message, in the queue's order; it is the callback's to free. */
	void (*message)(void *arg, struct chain_ref, struct rmq_message *,
	    bool redelivered);
	/* The queue serves the last link. */
	void (*taking)(void *arg);
	/* The last link has all that it wanted, or was cancelled. */
	void (*filled)(void *arg);
	/* A channel went by itself; refs into it are void. */
	void (*lost)(void *arg, const struct rmq_close *);
	/* chain_close is through: all that was held is back. */
	void (*closed)(void *arg);
};

/* `queue` and `cbs` must outlive it. */
struct chain *chain_new(struct loop *, struct rmq_conn *, const char *queue,
    const struct chain_cbs *, void *arg);
/*
 * Lets go of everything at once, no callback any more; NULL is fine. From
 * callbacks only from `closed`.
 */
void chain_free(struct chain *);
/*
 * Takes up to `want` more messages; none must be being taken. -1: the
 * connection has no channel left, or is gone.
 */
int chain_take(struct chain *, uint16_t want) must_use;
/* Whether messages are being taken. */
bool chain_is_filling(const struct chain *);
/* Takes no more; `filled` follows, unless a channel is lost. */
void chain_cancel(struct chain *);
/* Acks one message, once. */
void chain_ack(struct chain *, struct chain_ref);
/* Gives back what is held, in order; none must be being taken. */
void chain_close(struct chain *);
/* Gives back at once, in whatever order. After chain_close. */
void chain_hurry(struct chain *);
/* The connection is gone, its channels are closed. */
void chain_detach(struct chain *);

/* Messages held, and acks that had no channel any more. */
uint64_t chain_held(const struct chain *);
uint64_t chain_orphans(const struct chain *);
/* When the last ack was given to the connection; 0: none was. */
int64_t chain_acked_ms(const struct chain *);

#endif
