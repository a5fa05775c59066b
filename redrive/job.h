/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * One job of one pipeline: pass after pass over a queue of dead letters until
 * one finds nothing to move. It takes what was dead at its start and does not
 * carry its own id, so that it never chases its own failures.
 *
 *	waiting ------ connected, not paused ----------> scanning
 *	scanning ----- all seen, all moved ------------> giving back
 *	scanning ----- stopped, held too long, broken -> settling
 *	settling ----- every copy sent has a verdict --> giving back
 *	giving back -- another pass -------------------> waiting
 *	giving back, waiting --------------------------> ended
 *
 * A redrive is held in check by a watch (watch.h): a canary goes first, then as
 * many as the ramp allows. While it waits for the canary's verdicts it has no
 * window for long; when none come, a pass looks for what is dead again and
 * moves nothing.
 *
 * A window (what the scan holds) is given back, in order, after
 * `hold_max_ms`, when the job is stopped, and between two passes. A broken
 * connection is waited out and the job starts another pass: a letter whose
 * copy was confirmed but whose ack was lost is then moved twice, never lost.
 *
 * A job without a window is one that can be killed at any instant: all its
 * state is in the broker.
 */
#ifndef DLO_REDRIVE_JOB_H
#define DLO_REDRIVE_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/compiler.h"
#include "redrive/action.h"
#include "redrive/census.h"
#include "redrive/judge.h"
#include "redrive/report.h"

struct conf_filter;
struct conf_pipeline;
struct job;
struct job_env;
struct news;
struct rmq_conn;
struct tally_pipeline;
struct topology_pipeline_names;
struct watch;

/* What is asked of a job; zeroed, but for the filter: a redrive as configured.
 */
struct job_order {
	enum action action;
	const struct conf_filter *filter;
	/*
	 * Messages a second at most; 0: for a redrive as configured, for what
	 * no downstream sees as fast as can be.
	 */
	uint32_t rate;
	uint64_t max; /* moves no more than so many; 0: all */
	bool has_canary;
	uint32_t canary;       /* else as configured; 0: none */
	bool force;	       /* parks nothing, however often redriven */
	struct census *census; /* not NULL: a dry run, counted here */
	/* Of a job that was begun elsewhere; NULL and 0: a new one. */
	const char *id;
	int64_t snapshot_ms; /* takes what was dead then; wall clock */
	/*
	 * The broker may give back until then what a lost daemon held: an empty
	 * queue is no end before. Monotonic; 0: nothing is awaited.
	 */
	int64_t unsure_until_ms;
};

/* Why a job stands still; each reason has to go. */
enum job_pause {
	JOB_PAUSE_PROBE = 1,	/* the downstream is not healthy */
	JOB_PAUSE_BREAKER = 2,	/* a consumer's breaker is open */
	JOB_PAUSE_OPERATOR = 4, /* somebody asked for it */
	JOB_PAUSE_LIMIT = 8,	/* does the work queue drop? It is asked */
};

/* All that it points to must outlive the job. */
struct job_options {
	const struct job_env *env;
	const struct conf_pipeline *conf;
	const struct topology_pipeline_names *names;
	struct job_order order;
	struct tally_pipeline *tally;
	const char *trigger; /* why it starts, for the log */
};

/* Called from the loop, never inside a call. */
struct job_cbs {
	/* job_is_shifting may say something else now. */
	void (*changed)(void *arg);
	/* Once; free the job at leisure, from here too. */
	void (*ended)(void *arg);
};

/* Starts as soon as it has a connection. `cbs` must outlive it. */
struct job *job_new(const struct job_options *, const struct job_cbs *,
    void *arg);
/* Lets go of everything at once; NULL is fine. */
void job_free(struct job *);

/* The scan connection is up, or gone (NULL; its channels are closed). */
void job_link(struct job *, struct rmq_conn *);
/*
 * Stops at once until job_resume for each reason; `why` for the log. How a
 * downstream is concerns only what goes there.
 */
void job_pause(struct job *, enum job_pause, const char *why);
void job_resume(struct job *, enum job_pause);
/*
 * On: somebody wants to look at the queue. It gives back its window as soon as
 * what it has sent is confirmed, and takes no other until off.
 */
void job_yield(struct job *, bool on);
/* Whether it has a window, or still gives it back. */
bool job_has_window(const struct job *);
/* Whether it has one and makes use of it: it would be interrupted. */
bool job_is_moving(const struct job *);
/* What a consumer tells; it may concern the job. */
void job_heard(struct job *, const struct news *);
/*
 * Ends it: pulls no more, waits for the verdicts on what it sent, gives back
 * the rest. The first end counts.
 */
void job_stop(struct job *, enum job_end, const char *why);
/* The same; giving back may take no longer than drain_timeout. */
void job_drain(struct job *, enum job_end, const char *why);
/* Memory is short: gives back the window if the job makes no headway. */
void job_relieve(struct job *);

/*
 * True while letters are on their way between the queue and us: then neither
 * the queue's depth nor what we hold says how many there are.
 */
bool job_is_shifting(const struct job *);
/* Letters held unacked. */
uint64_t job_held(const struct job *);
/* Letters of this pass not moved so far, those not seen yet included. */
uint64_t job_unmoved(const struct job *);
/* What it gave back last. */
uint64_t job_given_back(const struct job *);
void job_report(const struct job *, struct job_report *);
/*
 * Takes the watch over what has ended, to count what fails later; the caller
 * frees it. NULL: there is none.
 */
struct watch *job_take_watch(struct job *) must_use;

#endif
