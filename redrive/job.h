/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * One redrive job of one pipeline: pass after pass over the dead-letter queue
 * until one finds nothing to move. It takes what was dead at its start and
 * does not carry its own id, so that it never chases its own failures.
 *
 *	waiting ------ connected, not paused ----------> scanning
 *	scanning ----- all seen, all moved ------------> giving back
 *	scanning ----- stopped, held too long, broken -> settling
 *	settling ----- every copy sent has a verdict --> giving back
 *	giving back -- another pass -------------------> waiting
 *	giving back, waiting --------------------------> ended
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

#include "redrive/census.h"
#include "redrive/judge.h"
#include "redrive/report.h"

struct conf_filter;
struct conf_pipeline;
struct job;
struct job_env;
struct rmq_conn;
struct tally_pipeline;
struct topology_pipeline_names;

/* All that it points to must outlive the job. */
struct job_options {
	const struct job_env *env;
	const struct conf_pipeline *conf;
	const struct topology_pipeline_names *names;
	const struct conf_filter *filter;
	struct tally_pipeline *tally;
	const char *trigger;   /* why it starts, for the log */
	struct census *census; /* not NULL: a dry run, counted here */
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
/* Stops at once until job_resume; `why` for the log. */
void job_pause(struct job *, const char *why);
void job_resume(struct job *);
/*
 * Ends it: pulls no more, waits for the verdicts on what it sent, gives back
 * the rest. The first end counts.
 */
void job_stop(struct job *, enum job_end, const char *why);
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
void job_report(const struct job *, struct job_report *);

#endif
