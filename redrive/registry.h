/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The redrive jobs as operators see them: made, listed, paused, resumed,
 * cancelled. They live in the broker (board.h); this is their meaning. Knows
 * no I/O: redrive.c runs what it says is to run, and tells it what happens.
 *
 *	queued --- its record is ours ---------------> running
 *	running -- pause ---> paused -- resume ------> running
 *	any ------ cancel, or the scan's end --------> ended
 *
 * Everything may be called at any time. Only the active daemon knows the jobs;
 * elsewhere the lists are empty, and what is asked for is passed on to the
 * active one, as the same request published to `dlo.control` would be.
 *
 * Strings in a job last until the next call of anything here.
 */
#ifndef DLO_REDRIVE_REGISTRY_H
#define DLO_REDRIVE_REGISTRY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/conf.h"
#include "redrive/report.h"

struct board;
struct loop;
struct registry;

enum registry_state {
	REGISTRY_QUEUED,  /* made; not yet safe in the broker */
	REGISTRY_RUNNING, /* the scan may be waiting for health meanwhile */
	REGISTRY_PAUSED,  /* by an operator */
	REGISTRY_ENDED,
};
/* "queued", "running", "paused", "ended". */
const char *registry_state_name(enum registry_state);

/* A job. */
struct registry_job {
	char id[REPORT_ID_SPACE];
	const char *request; /* who asked chose this id; "" for none */
	const char *pipeline;
	const char *action; /* "redrive" */
	const struct conf_filter *filter;
	uint32_t rate;	/* messages a second; 0: the pipeline's */
	uint64_t max;	/* letters to move at most; 0: no limit */
	int64_t canary; /* -1: the pipeline's */
	bool dry_run, force;
	const char *trigger; /* "healthy", "every", "operator", "once" */
	const char *who;     /* user; "" when nobody did */
	const char *from;    /* "dlo.control", "api 127.0.0.1", "once h:1" */
	const char *by;	     /* the daemon that ran it last, "host:pid" */
	bool inherited;	     /* from another daemon, which is lost */

	enum registry_state state;
	/* Times: wall clock in ms; 0: not yet. */
	int64_t created_ms, started_ms, ended_ms;
	int64_t snapshot_ms; /* takes what was dead then */
	/*
	 * How far it is over all its lives; as last written until it runs.
	 * `end` and `why` when it has ended.
	 */
	struct job_report report;
	const json_t *groups; /* of a dry run that has ended; or NULL */
	uint64_t epoch, version;
};

/* Why something was not done. */
enum registry_refusal {
	REGISTRY_DONE,	    /* done: the job is in the list */
	REGISTRY_PASSED_ON, /* sent to the active daemon; its answer is unknown
			     */
	REGISTRY_OFFLINE,   /* no connection to the broker: try again */
	REGISTRY_STARTING,  /* the jobs are being read: try again */
	REGISTRY_INVALID,   /* the request makes no sense: see the text */
	REGISTRY_NO_PIPELINE,
	REGISTRY_BUSY,	   /* another job runs on that pipeline: see job */
	REGISTRY_OFF,	   /* redriving is turned off */
	REGISTRY_NO_JOB,   /* no job has that id (any more) */
	REGISTRY_TOO_LATE, /* it has ended */
};
/* "done", "passed_on", "offline", …: for `code` in an answer. */
const char *registry_refusal_name(enum registry_refusal);

#define REGISTRY_TEXT_SPACE 256

/* What became of a wish. */
struct registry_answer {
	enum registry_refusal refusal;
	char text[REGISTRY_TEXT_SPACE]; /* for people; "" when it is done */
	/* The job made or meant, or the one that is in the way; or "". */
	char job[REPORT_ID_SPACE];
};

/* Who asks, for the record. */
struct registry_source {
	const char *who;  /* a user's name, or "" */
	const char *from; /* where it came from */
};

/*
 * The body of POST /v1/jobs:
 *	{"pipeline": "orders", "action": "redrive", "filter": {…}, "rate": 200,
 *	 "max": 0, "canary": 5, "dry_run": false, "force": false}
 * all but the pipeline optional; `filter` as in redrive.only of dlo.yaml, and
 * `request`: an id of the asker's own, with which the same wish makes one job
 * only. Unknown keys are refused. `body` is borrowed.
 */
void registry_create(struct registry *, json_t *body,
    const struct registry_source *, struct registry_answer *);
void registry_pause(struct registry *, const char *job,
    const struct registry_source *, struct registry_answer *);
void registry_resume(struct registry *, const char *job,
    const struct registry_source *, struct registry_answer *);
void registry_cancel(struct registry *, const char *job,
    const struct registry_source *, struct registry_answer *);
/*
 * Turns redriving on or off until it is turned again (a restart changes
 * nothing). Off: running jobs pause, none starts. `name`: "redrive".
 */
void registry_feature(struct registry *, const char *name, bool on,
    const struct registry_source *, struct registry_answer *);
/*
 * Enters into the audit what an operator did that is no job; takes `more`, an
 * object whose members the entry gets. Only while active.
 */
void registry_note(struct registry *, const char *what,
    const struct registry_source *, json_t *more);
/* Whether redriving is on: what was said last, else features.redrive. */
bool registry_redrive_is_on(const struct registry *);

/* Whether this daemon is the active one and knows all jobs. */
bool registry_is_active(const struct registry *);
/* "off", "standby", "reading", "active". */
const char *registry_role(const struct registry *);

/* The job of that id; NULL: there is none. */
const struct registry_job *registry_find(const struct registry *,
    const char *id);
/* All jobs, the newest first: NULL after the last. */
const struct registry_job *registry_at(const struct registry *, size_t index);
size_t registry_count(const struct registry *);
/* The job of that pipeline that has not ended; or NULL. */
const struct registry_job *registry_current(const struct registry *,
    const char *pipeline);
/* As GET /v1/jobs/ID shows it; the caller's to json_decref. */
json_t *registry_job_json(const struct registry_job *);

/* A job or the daemon's role has changed. From the loop, never in a call. */
typedef void registry_changed_cb(void *arg);
void registry_on_change(struct registry *, registry_changed_cb *, void *arg);

/* For the daemon's core: what it does for the registry. */

struct registry_cbs {
	/* See board_cbs. */
	void (
	    *publish)(void *arg, uint64_t token, const char *body, size_t len);
	void (*ack)(void *arg, uint64_t tag);
	void (*leave)(void *arg, const char *why);
	/* This daemon may start jobs now, or must let go of all at once. */
	void (*active)(void *arg, bool active);
	/* Run this job, new or begun by another daemon. */
	void (*run)(void *arg, const struct registry_job *);
	void (*pause)(void *arg, const struct registry_job *, const char *why);
	void (*resume)(void *arg, const struct registry_job *);
	/* End it; registry_ended follows. */
	void (*cancel)(void *arg, const struct registry_job *);
	/* How far is it? False: it is not being run. */
	bool (
	    *look)(void *arg, const struct registry_job *, struct job_report *);
	/*
	 * Enter this into the audit, for good; `bit` is for registry_entered,
	 * 0: nobody waits. The entry is the callback's.
	 */
	void (*enter)(void *arg, json_t *entry, const char *job, unsigned bit);
	/* The job is another than it was, by this daemon. */
	void (*tell)(void *arg, const struct registry_job *);
};

struct registry_env {
	struct loop *loop; /* for the time, chance and `changed` */
	const struct conf *conf;
	const char *instance; /* "host:pid" */
};

struct registry *registry_new(const struct registry_env *,
    const struct registry_cbs *, void *arg);
/* NULL is fine. */
void registry_free(struct registry *);
/* Its board: tell it what the channel says. */
struct board *registry_board(struct registry *);
/* To be called about once a second. */
void registry_tick(struct registry *);
/*
 * A trigger of that pipeline has fired: the job for it. False: not now (it is
 * not active, redriving is off, a job runs): the trigger may fire again.
 */
bool registry_automatic(struct registry *, const struct conf_pipeline *,
    const char *trigger);
/* The scan of a job has ended. `groups`: of a dry run; or NULL; borrowed. */
void registry_ended(struct registry *, const char *job,
    const struct job_report *, const json_t *groups);
/*
 * The scan of a job was stopped, but not the job: the next active daemon goes
 * on with it.
 */
void registry_let_go(struct registry *, const char *job,
    const struct job_report *);
/* Whether all that was written is in the broker. */
bool registry_is_settled(const struct registry *);
/* An entry is in the audit. */
void registry_entered(struct registry *, const char *job, unsigned bit);

#endif
