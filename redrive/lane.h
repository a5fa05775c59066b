/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * One pipeline in the redrive process: its triggers, its job if there is one,
 * and what is known of its dead-letter queue.
 */
#ifndef DLO_REDRIVE_LANE_H
#define DLO_REDRIVE_LANE_H

#include <stdbool.h>

#include "lib/buf.h"
#include "redrive/job.h"

struct conf;
struct conf_pipeline;
struct job_env;
struct lane;
struct news;
struct tally;

/* All that it points to must outlive the lane. */
struct lane_options {
	const struct job_env *env;
	const struct conf *conf;
	const struct conf_pipeline *pipeline;
	struct tally *tally;
	bool automatic; /* starts jobs by itself, and watches the depth */
};

/*
 * A job has ended; the report is gone on return. From the loop, never inside
 * a call.
 */
typedef void lane_ended_cb(void *arg, struct lane *, const struct job_report *);

struct lane *lane_new(const struct lane_options *, lane_ended_cb *, void *arg);
/* Lets go of everything at once; NULL is fine. Not from its callback. */
void lane_free(struct lane *);

const struct conf_pipeline *lane_pipeline(const struct lane *);
/* The scan connection is up, or gone (NULL; its channels are closed). */
void lane_link(struct lane *, struct rmq_conn *);
/* How the downstream is; not healthy pauses a job that is under way. */
void lane_health(struct lane *, bool healthy);

/* Whether a consumer's breaker of the downstream is open: the same. */
void lane_breaker(struct lane *, bool open);
/* What a consumer tells; it may concern a job of this pipeline. */
void lane_heard(struct lane *, const struct news *);

/*
 * Starts a job now, whatever the health; there must be none. What the order
 * points to must outlive the job.
 */
void lane_run(struct lane *, const struct job_order *);
/* Ends the job, if there is one, and starts none any more. */
void lane_stop(struct lane *, enum job_end, const char *why);
bool lane_is_busy(const struct lane *);
/*
 * False: the last job found the dead-letter queue missing or closed to us, and
 * `why` (may be NULL) gets a line for people.
 */
bool lane_is_well(const struct lane *, struct buf *why);
/* See job_relieve. */
void lane_relieve(struct lane *);
/* Brings the gauges up to date. */
void lane_refresh(struct lane *);

#endif
