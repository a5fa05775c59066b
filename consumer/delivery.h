/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * One message under way, from its delivery to its ack.
 *
 *	waiting -- there is room for an attempt, and it is
 *	           the first of its lane -------------------> running
 *	waiting -- not to be handed over, or held too long -> settling
 *	waiting -- delivered again before its backoff is over > held
 *	running -- ok: acked -------------------------------> done
 *	running -- to be tried again soon ------------------> held
 *	running -- to be tried later, or dead --------------> settling
 *	held ----- its backoff is over ---------------------> waiting
 *	held ----- held too long, or draining; unordered ---> settling
 *	settling - its copy is confirmed: acked ------------> done
 *	any ------ its channel has gone --------------------> done
 *
 * A delivery belongs to its window, which owns the message. When the channel
 * goes the broker delivers the message again, elsewhere or to us: from then
 * on `channel` is NULL and nothing of this delivery may be acked. An attempt
 * that is under way then runs out for the breaker's and the log's sake.
 */
#ifndef DLO_CONSUMER_DELIVERY_H
#define DLO_CONSUMER_DELIVERY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "amqp/channel.h"
#include "consumer/lanes.h"
#include "dlx/envelope.h"
#include "downstream/downstream.h"
#include "lib/loop.h"

struct settlement;
struct window;

enum delivery_state {
	DELIVERY_WAITING,
	DELIVERY_RUNNING,
	DELIVERY_HELD,
	DELIVERY_SETTLING,
	DELIVERY_DONE,
};

struct delivery {
	TAILQ_ENTRY(delivery) link; /* in the list of its kind */
	/* While waiting and first of its lane, or while waiting as a suspect.
	 */
	TAILQ_ENTRY(delivery) ready;
	struct lane_member lane; /* ordered pipelines only */
	struct window *window;
	enum delivery_state state;
	struct rmq_channel *channel; /* NULL: gone, and the tag with it */
	uint64_t tag;
	bool redelivered; /* says the broker */
	struct rmq_message *message;
	int64_t received_ms; /* monotonic, as all times here */
	int64_t started_us;  /* of the attempt under way */
	int64_t due_us;	     /* unsaved: when its backoff is over */
	bool recalled;	     /* asked for what is known of it */
	/* Failed attempts that no copy in the broker knows of. */
	bool unsaved;
	bool suspect; /* the broker's copy is marked as one: see trial.h */
	bool lone;    /* running, and nothing may beside it */
	struct loop_timer *timer;      /* for holding; NULL until needed */
	struct downstream_call *call;  /* while running */
	struct settlement *settlement; /* while settling */
	struct envelope envelope;
	struct attempt attempt;
};

TAILQ_HEAD(delivery_list, delivery);

/* "waiting", "running", "held", "settling", "done". */
const char *delivery_state_name(enum delivery_state);
/* The one way to change the state; aborts on a move that is not above. */
void delivery_enter(struct delivery *, enum delivery_state);
/*
 * Fills `attempt` for the next hand-over of the message. `pipeline` and
 * `queue` must outlive the attempt.
 */
void delivery_describe(struct delivery *, const char *pipeline,
    const char *queue);

#endif
