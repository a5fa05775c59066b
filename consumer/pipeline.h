/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * One pipeline: its channel on the consume connection, its subscription, and
 * what its breaker, the drain and time do to them (its states are in
 * pipeline_state.h). The deliveries are the window's.
 *
 * Paused: the channel is open without a consumer, deliveries wait in memory.
 * They are given back by closing the channel, never by a nack. An ordered
 * pipeline is never cancelled by us, since a cancel while messages are on
 * their way changes their order, and lets another consumer have what comes
 * behind those in our hands: with an open breaker it stays subscribed and
 * only holds.
 *
 * After an open breaker made it give back, an unordered pipeline asks for one
 * message at a time until the downstream has answered one (ok or reject), so
 * that an outage gives a window back once and not in a loop: the broker counts
 * that against each message. An ordered one cannot: what is returned for the
 * second time alone would come after all that was returned with it.
 *
 * A new channel of an unordered pipeline asks for one message at a time, too,
 * until one comes that the broker did not take back WARY_DELIVERIES times: a
 * message that kills its consumer comes first after that, and what is fetched
 * beside it would be taken back, and counted, as often as it is.
 */
#ifndef DLO_CONSUMER_PIPELINE_H
#define DLO_CONSUMER_PIPELINE_H

#include <stdbool.h>

#include "amqp/channel.h"
#include "config/conf.h"
#include "consumer/budget.h"
#include "consumer/events.h"
#include "consumer/meter.h"
#include "consumer/settle.h"
#include "consumer/trial.h"
#include "dlx/topology.h"
#include "downstream/downstream.h"
#include "lib/buf.h"
#include "lib/loop.h"

struct pipeline;

/* From the loop, never inside a call; they may call anything but _free. */
struct pipeline_cbs {
	/* Look at pipeline_is_well and pipeline_is_stopped again. */
	void (*changed)(void *arg, struct pipeline *);
	/* The broker ended the channel or refused it; it tries again. */
	void (*refused)(void *arg, struct pipeline *, const struct rmq_close *);
	/* The queue or its consumer went: is the topology whole? */
	void (*astray)(void *arg);
};

/* All of it must outlive the pipeline. */
struct pipeline_env {
	struct loop *loop;
	const struct conf *conf; /* only until pipeline_follow */
	const struct topology_names *names;
	struct settle *settle;
	struct events *events;
	struct meter *meter;
	struct budget *budget;
	struct trial *trial;
	const struct pipeline_cbs *cbs;
	void *arg;
};

struct pipeline *pipeline_new(const struct pipeline_env *,
    const struct conf_pipeline *, struct downstream *);
/* Forgets everything without callbacks; NULL is fine. */
void pipeline_free(struct pipeline *);

/*
 * Another configuration of it, with the same queue and order, and perhaps
 * another downstream; the former ones may go then, the downstream when it is
 * idle. No attempt ends for it, and nothing is given back, but that an ordered
 * pipeline, which cannot cancel, asks for another prefetch on another channel,
 * in a moment in which nothing is under way and no attempt would be forgotten.
 */
void pipeline_follow(struct pipeline *, const struct conf *,
    const struct conf_pipeline *, struct downstream *);

/* The consume connection is up and the topology is there. */
void pipeline_connect(struct pipeline *, struct rmq_conn *);
/* It is gone; its channels have had their `closed`. */
void pipeline_disconnect(struct pipeline *);
/*
 * Ends consumption for good: attempts under way finish, held messages go to
 * the ladder unless they are ordered, the rest is given back.
 */
void pipeline_drain(struct pipeline *);
/* Somebody's trial began or ended. */
void pipeline_trial(struct pipeline *);
/* Ends at once what pipeline_drain still waits for. */
void pipeline_abort(struct pipeline *);
/* Nothing is under way any more; only after pipeline_drain. */
bool pipeline_is_stopped(const struct pipeline *);

/*
 * It consumes, or its policy is the reason why not. Else `why` (may be NULL)
 * gets the reason.
 */
bool pipeline_is_well(const struct pipeline *, struct buf *why);
const struct conf_pipeline *pipeline_conf(const struct pipeline *);
/* Brings the gauges up to date. */
void pipeline_gauge(struct pipeline *);

#endif
