/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A small RabbitMQ in memory: it speaks AMQP bytes on a sim_net and does with
 * messages what 3.10 does (docs/broker-facts.md), as far as dlo can see it:
 * exchanges, quorum queues with TTL and dead-lettering, mandatory returns,
 * confirms late and out of order, redelivery in place when a channel goes.
 * It is written on librabbitmq alone, not on amqp/, to be a judge of it.
 *
 * A message's lineage is the big-endian number in the first four bytes of its
 * body: all copies of a message share it, and the model counts the safe ones.
 */
#ifndef DLO_TESTS_MODEL_H
#define DLO_TESTS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/loop.h"
#include "tests/sim/sim_net.h"

struct model;

struct model_hooks {
	/*
	 * A delivery was acked and `safe` copies of its lineage are left: in
	 * a queue, and confirmed to whoever published them.
	 */
	void (*acked)(void *arg, uint32_t lineage, const char *queue,
	    unsigned safe);
	/* Something that must never happen. */
	void (*violation)(void *arg, const char *what);
};

/* What goes wrong, and how often. */
struct model_trouble {
	double nack;   /* a publish is nacked */
	double late;   /* a publish is confirmed late */
	double vanish; /* an unconfirmed publish dies with its channel */
};

struct model *model_new(struct loop *, const struct model_hooks *, void *arg);
void model_free(struct model *);
/* Give these, with the model as argument, to sim_net_new. */
extern const struct sim_server model_server;
void model_set_trouble(struct model *, const struct model_trouble *);

/*
 * As a producer that has had its confirm. `expiration_ms` 0: none. False: the
 * queue is not there.
 */
bool model_publish(struct model *, const char *queue, const void *body,
    size_t len, const char *message_id, int64_t expiration_ms);

/* The node dies and comes back: connections are the caller's to cut. */
void model_restart(struct model *);
/* Ends every consumer of the queue, as when its leader moves. */
void model_cancel_consumers(struct model *, const char *queue);
/* Closes one random channel with 541, as the broker does in trouble. */
void model_close_a_channel(struct model *);
/* An alarm: connection.blocked, and no publish is read until it ends. */
void model_block(struct model *, bool on);
/* Takes an exchange's bindings away, or gives them back. */
void model_unbind(struct model *, const char *exchange, bool away);

/* True when nobody is connected. */
bool model_is_alone(const struct model *);
/* Copies in the queue: ready, unacked, or stuck in dead-lettering. */
size_t model_depth(const struct model *, const char *queue);
/* Copies of all queues. */
size_t model_total(const struct model *);
/* Confirmed copies of a lineage. */
unsigned model_safe_copies(const struct model *, uint32_t lineage);
/* Calls `cb` with the lineage of each message of the queue, in order. */
void model_each(const struct model *, const char *queue,
    void (*cb)(void *arg, uint32_t lineage), void *arg);

#endif
