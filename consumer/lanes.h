/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Whose turn it is in an ordered pipeline: messages with the same key stand
 * in one lane, in the order in which they came, and only the first of a lane
 * may be handed over. Pure: no time, no I/O.
 *
 * The members belong to their owner, and so do the bytes of their keys, which
 * must last while they stand in line. The memory of lanes is kept for the
 * next ones, so that there are never more than there were members at once.
 */
#ifndef DLO_CONSUMER_LANES_H
#define DLO_CONSUMER_LANES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "amqp/message.h"
#include "config/conf.h"
#include "dlx/envelope.h"

struct lane;

/* What messages are told apart by. */
struct lane_key {
	/*
	 * 0: none, as for all messages when the order is strict, and for those
	 * without the header; 'l': `number`; 'S': `bytes`, a text; else the
	 * AMQP type of a header's value and its `bytes`.
	 */
	char type;
	int64_t number;
	struct rmq_slice bytes;
};

/* Embed it. */
struct lane_member {
	TAILQ_ENTRY(lane_member) link;
	struct lane *lane; /* NULL: in no line */
	struct lane_key key;
};

LIST_HEAD(lane_list, lane);

struct lanes {
	struct lane_list *buckets; /* a power of two */
	unsigned bucket_count;
	uint64_t seed; /* so that nobody can choose keys of one bucket */
	struct lane_list spare;
};

/* The key of a message; without one that counts its type is 0. */
struct lane_key lane_key_of(const struct conf_pipeline *,
    const struct envelope *);

/* `members`: how many are expected at most; more are fine. */
void lanes_init(struct lanes *, unsigned members, uint64_t seed);
/* Everybody must have left. */
void lanes_clear(struct lanes *);
/* To the end of its lane. True: it is the first. */
bool lanes_join(struct lanes *, struct lane_member *, const struct lane_key *);
/*
 * Out of its lane, from whichever place. The member that is the first now
 * because of that, or NULL.
 */
struct lane_member *lanes_leave(struct lanes *, struct lane_member *);
/* The first of its lane: whoever may be handed over. */
struct lane_member *lane_first(const struct lane_member *);

#endif
