/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A small RabbitMQ in memory: it speaks AMQP bytes on a sim_net and does with
 * messages what 3.10 does (docs/broker-facts.md), as far as dlo can see it:
 * exchanges, quorum queues with TTL and dead-lettering, mandatory returns,
 * confirms late and out of order, redelivery in place when a channel goes, and
 * how often in x-delivery-count.
 * It is written on librabbitmq alone, not on amqp/, to be a judge of it.
 *
 * A message's lineage is the big-endian number in the first four bytes of its
 * body: all copies of a message share it, and the model counts the safe ones.
 * A body that begins as JSON does has none: it is the daemons' own talk.
 */
#ifndef DLO_TESTS_MODEL_H
#define DLO_TESTS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/loop.h"
#include "tests/sim/sim_net.h"

struct model;

/* A message on its way, as it is at that moment. */
struct model_sight {
	uint32_t lineage;
	const char
	    *place; /* the queue it comes from, the exchange it goes to */
	const void *props; /* raw */
	size_t props_len;
	unsigned returns; /* how often it was requeued there */
};

struct model_hooks {
	/*
	 * A delivery was acked and `safe` copies of its lineage are left: in
	 * a queue, and confirmed to whoever published them.
	 */
	void (*acked)(void *arg, uint32_t lineage, const char *queue,
	    unsigned safe);
	/* Something that must never happen. */
	void (*violation)(void *arg, const char *what);
	/* A message (not what is too short for one) was published; or NULL. */
	void (*published)(void *arg, const struct model_sight *);
	/* A message goes to a consumer; or NULL. */
	void (*delivered)(void *arg, const struct model_sight *);
	/* A copy went with its queue; or NULL. */
	void (*deleted)(void *arg, uint32_t lineage);
};

/* How much the daemons asked of it. */
struct model_load {
	uint64_t connections, channels, publishes, cancels;
};

/* What goes wrong, and how often. */
struct model_trouble {
	double nack;   /* a publish is nacked */
	double late;   /* a publish is confirmed late */
	double vanish; /* an unconfirmed publish dies with its channel */
	double mute;   /* a publish is never confirmed, nor nacked */
	double sick;   /* a publish or consume closes its channel with 541 */
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
/* The same with properties of the caller's making. */
bool model_publish_raw(struct model *, const char *queue, const void *body,
    size_t len, const void *props, size_t props_len);

/* The node dies and comes back: connections are the caller's to cut. */
void model_restart(struct model *);
/* Ends every consumer of the queue, as when its leader moves. */
void model_cancel_consumers(struct model *, const char *queue);
/* As if what was published to the queue alone had been requeued so often. */
void model_age(struct model *, const char *queue, unsigned times);
/* Closes one random channel with 541, as the broker does in trouble. */
void model_close_a_channel(struct model *);
/* An alarm: connection.blocked, and no publish is read until it ends. */
void model_block(struct model *, bool on);
/* channel.flow to all who publish: off, nobody may. */
void model_flow(struct model *, bool active);
/* Deletes a queue with all that is in it; it may be declared again. */
void model_delete_queue(struct model *, const char *queue);
/* Deletes an exchange and its bindings; it may be declared again. */
void model_delete_exchange(struct model *, const char *exchange);
/*
 * What a closed channel held comes back only after close-ok, within so long,
 * and to a line of its own before the rest: as on a quorum queue before 4.0.
 * 0: to its place, and at once.
 */
void model_return_late(struct model *, int64_t max_ms);
/* On: declares tell of no messages and no consumers, as slow leaders do. */
void model_hide_counts(struct model *, bool on);
/* No delivery may stay unacked for longer; 0: for ever. */
void model_set_hold_max(struct model *, int64_t ms);
const struct model_load *model_load(const struct model *);
/* Takes an exchange's bindings away, or gives them back. */
void model_unbind(struct model *, const char *exchange, bool away);

/* True when nobody is connected. */
bool model_is_alone(const struct model *);
/* Copies in the queue: ready, unacked, or stuck in dead-lettering. */
size_t model_depth(const struct model *, const char *queue);
/* Copies of all queues, without the daemons' own talk. */
size_t model_total(const struct model *);
/* Confirmed copies of a lineage. */
unsigned model_safe_copies(const struct model *, uint32_t lineage);
/* Calls `cb` with each ready message of the queue, in order. */
void model_each(const struct model *, const char *queue,
    void (*cb)(void *arg, const struct model_sight *), void *arg);

#endif
