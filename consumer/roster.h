/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The pipelines and downstreams of a configuration, and how they follow
 * another one:
 *
 *	as it was ---- goes on, as if nothing had been
 *	new ---------- is made, and consumes when it can
 *	changed ------ a pipeline goes on and goes by the new configuration from
 *	               now on; a downstream is made anew, with a closed breaker,
 *	               and all its pipelines go over to that at once, while
 *	               attempts under way end with the former one
 *	gone --------- a pipeline is drained, for drain_timeout at most; a
 *	               downstream goes when its last attempt has ended
 *
 * A pipeline that is new starts only when no other one that is still draining
 * has its queue. The queue and the order of a pipeline never change.
 */
#ifndef DLO_CONSUMER_ROSTER_H
#define DLO_CONSUMER_ROSTER_H

#include <stdbool.h>
#include <stddef.h>

#include "amqp/conn.h"
#include "config/conf.h"
#include "consumer/budget.h"
#include "consumer/events.h"
#include "consumer/meter.h"
#include "consumer/settle.h"
#include "consumer/trial.h"
#include "dlx/topology.h"
#include "downstream/downstream.h"
#include "lib/buf.h"

struct roster;

/* From the loop, never inside a call; they may call anything but _free. */
struct roster_cbs {
	/* Look at roster_is_well and roster_is_stopped again. */
	void (*changed)(void *arg);
	/* A pipeline's channel was ended or refused; it tries again. */
	void (*refused)(void *arg, const char *queue, const struct rmq_close *);
	/* A queue or its consumer went: is the topology whole? */
	void (*astray)(void *arg);
	/*
	 * What roster_follow began is done: nothing needs the former
	 * configuration any more.
	 */
	void (*settled)(void *arg);
};

/* Copied; all of it must outlive the roster. */
struct roster_env {
	struct downstream_env downstream;
	const struct topology_names *names;
	struct settle *settle;
	struct events *events;
	struct meter *meter;
	struct budget *budget;
	struct trial *trial;
};

/* How many of a kind did what. */
struct roster_count {
	unsigned added, changed, removed, unchanged;
};

struct roster_change {
	struct roster_count pipelines, downstreams;
};

/* `conf` must last until it follows another one and has settled. */
struct roster *roster_new(const struct roster_env *, const struct conf *conf,
    const struct roster_cbs *, void *arg);
/* Forgets everything without callbacks; NULL is fine. */
void roster_free(struct roster *);

/*
 * Goes over to another configuration, all of it within this call but the
 * draining of what is gone; then `settled`. Not before the last one has.
 */
void roster_follow(struct roster *, const struct conf *,
    struct roster_change *);

/* The consume connection is up and the topology is there. */
void roster_connect(struct roster *, struct rmq_conn *);
void roster_disconnect(struct roster *);
/* As pipeline_drain, pipeline_abort and pipeline_is_stopped, for all. */
void roster_drain(struct roster *);
void roster_abort(struct roster *);
bool roster_is_stopped(const struct roster *);
/* Whether all are well; else `why` (may be NULL) gets the reason of one. */
bool roster_is_well(const struct roster *, struct buf *why);
/* Somebody's trial began or ended. */
void roster_trial(struct roster *);
/* Brings the gauges up to date. */
void roster_gauge(struct roster *);
/* Tells how the breakers are, to whoever listens only now. */
void roster_tell_breakers(struct roster *);

#endif
