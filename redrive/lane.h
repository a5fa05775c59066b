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
struct looks;
struct news;
struct tally;

/* All that it points to must outlive the lane. */
struct lane_options {
	const struct job_env *env;
	const struct conf *conf;
	const struct conf_pipeline *pipeline;
	struct tally *tally;
	bool watches; /* the depth, while it is on */
};

/* From the loop, never inside a call. */
struct lane_cbs {
	/* A job has ended; the report is gone on return. */
	void (*ended)(void *arg, struct lane *, const struct job_report *);
	/*
	 * A trigger has fired, or several: make a job of it, and lane_run it
	 * then. False: not now.
	 */
	bool (*fired)(void *arg, struct lane *, const char *trigger);
	/* A look has ended. */
	void (*looked)(void *arg);
	/* What lane_recount asked for is known, or will not be. */
	void (*counted)(void *arg, struct lane *);
};

/* `cbs` must outlive it. */
struct lane *lane_new(const struct lane_options *, const struct lane_cbs *,
    void *arg);
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
 * On: this daemon is the active one. Triggers fire; the downstream's becoming
 * healthy counts if no job has been made since.
 */
void lane_enable(struct lane *, int64_t last_job_ms);
/* Off: lets go of the job at once, as if the connection were lost. */
void lane_disable(struct lane *);
/* A trigger that was told "not now" may be asked again. */
void lane_nudge(struct lane *);

/* How a job comes to be run. */
struct lane_run {
	struct job_order order; /* what it points to must outlive the job */
	const char *trigger;	/* for the log */
	bool automatic;		/* a trigger's: waits for health, cools down */
};
/* Starts a job now; there must be none. */
void lane_run(struct lane *, const struct lane_run *);
/* An operator stops it, or lets it go on. */
void lane_hold(struct lane *, bool on, const char *why);
/* Ends the job, if there is one. */
void lane_stop(struct lane *, enum job_end, const char *why);
/* The same, and nobody looks any more: soon the lane is not busy. */
void lane_drain(struct lane *, enum job_end, const char *why);
/* The job that is run, its id and how far it is; false: none is. */
bool lane_report(const struct lane *, struct job_report *);
/* Whether letters are held, by a job or a look. */
bool lane_is_busy(const struct lane *);
/*
 * Somebody is about to look: a job gives back its window first, and goes on
 * when nobody looks any more. False: it did so only a moment ago.
 */
bool lane_make_room(struct lane *);
/*
 * False: the last job found the dead-letter queue missing or closed to us, and
 * `why` (may be NULL) gets a line for people.
 */
bool lane_is_well(const struct lane *, struct buf *why);
/* See job_relieve. */
void lane_relieve(struct lane *);
/* What is known of it at this moment. */
struct lane_view {
	int64_t dead, parked, archived; /* letters; -1: unknown */
	int64_t oldest_ms; /* when the oldest died, wall clock; 0: unknown */
	bool breaker_open; /* a consumer's */
};
void lane_view(const struct lane *, struct lane_view *);
/* Counts the letters anew; false: nobody can be asked, or not now. */
bool lane_recount(struct lane *);
bool lane_is_counting(const struct lane *);
const struct topology_pipeline_names *lane_names(const struct lane *);
/*
 * The looks at its queues. While one is under way a job that is told to run
 * waits for its end.
 */
struct looks *lane_looks(struct lane *);
/* Brings the gauges up to date. */
void lane_refresh(struct lane *);

#endif
