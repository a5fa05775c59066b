/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The deliveries of one pipeline that are in our hands: waiting for an
 * attempt, under way, held for a backoff, being settled. It starts what may
 * start, and turns each verdict into what the policy says.
 *
 * In an ordered pipeline a message stands in its lane (lanes.h) from receipt
 * until it is acked, and an attempt whose channel has gone until its verdict:
 * two attempts with the same key never overlap. Nothing goes to the ladder.
 *
 * What the broker took back SUSPECT_DELIVERIES times goes to the ladder as a
 * suspect instead of to an attempt; its copy is tried alone (see trial.h). In
 * an ordered pipeline it is tried in its turn, with nothing beside it.
 *
 * The pipeline owns the window, gives it deliveries, calls window_work at the
 * end of each turn in which `wake` was called, and says when the channel has
 * gone. The window owns the deliveries and their messages; they are freed in
 * window_work, never under a callback.
 */
#ifndef DLO_CONSUMER_WINDOW_H
#define DLO_CONSUMER_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/conf.h"
#include "consumer/budget.h"
#include "consumer/dedup.h"
#include "consumer/delivery.h"
#include "consumer/events.h"
#include "consumer/lanes.h"
#include "consumer/meter.h"
#include "consumer/policy.h"
#include "consumer/recall.h"
#include "consumer/settle.h"
#include "consumer/trial.h"
#include "dlx/topology.h"

/* What a window works with; all of it must outlive the window. */
struct window_env {
	struct loop *loop;
	const struct conf *conf; /* this, … */
	const struct conf_pipeline *pipeline;
	struct downstream *downstream; /* … to this: until window_follow */
	const char *name, *queue;      /* of the pipeline */
	const struct topology_names *names;
	struct settle *settle;
	struct events *events;
	struct meter *meter;
	struct budget *budget;
	struct trial *trial;
	void (*wake)(void *arg); /* window_work is due */
	void *arg;
};

struct window {
	struct window_env env;
	struct policy policy;
	struct meter_pipeline meter;
	struct dedup *dedup;   /* NULL: not asked for */
	struct recall *recall; /* NULL: not ordered */
	struct topology_pipeline_names names;
	struct delivery_list unacked;  /* in the order of their receipt */
	struct delivery_list orphans;  /* running, without a channel */
	struct delivery_list ready;    /* waiting, and first of their lanes */
	struct delivery_list suspects; /* waiting for their trial */
	struct delivery_list done;     /* to be freed */
	struct delivery_list spare;    /* memory for the next ones */
	size_t count[DELIVERY_DONE];   /* in each state; orphans are running */
	bool handing_off;	       /* see window_hand_off */
	bool lone;    /* one is running that nothing may run beside */
	bool ordered; /* only then there are lanes */
	struct lanes lanes;
	/* Attempts, ever, that the downstream had a final answer to. */
	uint64_t answers;
	/* Times that all of it was taken back, and this process lived on. */
	int64_t outlived;
};

void window_init(struct window *, const struct window_env *);
/* Cancels what is under way and frees everything. */
void window_clear(struct window *);
/*
 * Another configuration of the pipeline, with the same queue and order, from
 * now on. What is under way goes on where it is, and what it comes to is
 * judged by the new one.
 */
void window_follow(struct window *, const struct conf *,
    const struct conf_pipeline *, struct downstream *);

/* Takes a delivery and its message. True: better have nothing beside it. */
bool window_receive(struct window *, struct rmq_channel *,
    const struct rmq_delivery *);
/* Frees what is done and starts what may start. */
void window_work(struct window *);
/*
 * Nothing is started any more, and nothing waits in memory: what has failed
 * attempts that only we know of goes to the ladder, now and from now on. In
 * an ordered pipeline it stays, to be given back with the channel.
 */
void window_hand_off(struct window *);
/*
 * The channel has gone, or goes now: everything is forgotten but attempts
 * under way, which run out as orphans. Ends window_hand_off.
 */
void window_drop(struct window *);
/* Cancels the attempts that are under way, orphans too. */
void window_abort(struct window *);

/* No attempt is under way and no copy on its way. */
bool window_is_quiet(const struct window *);
/* It is quiet, and giving all of it back would forget no attempt. */
bool window_is_untouched(const struct window *);
/*
 * Sends held messages that are unacked for too long to the ladder. True when
 * others are too: then the channel has to be given back. Sets when to ask
 * next, in milliseconds from now; -1: not before something is received.
 */
bool window_is_overdue(struct window *, int64_t *next_ms);
/* Brings the gauges up to date. */
void window_gauge(struct window *);

/* For the settler: the delivery is acked. */
void window_settled(struct delivery *, enum meter_result);

#endif
