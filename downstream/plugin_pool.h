/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The processes that a plugin runs in. They are started at once and kept:
 *
 *	down     -- its backoff is over ----------------------> starting
 *	starting -- init went well ---------------------------> up
 *	starting -- it did not, or not in time ---------------> down
 *	up       -- ends, writes nonsense, or is too slow ----> down
 *
 * A worker that is up has many messages at once, in the order in which they
 * were given. Those up to the last one that the plugin was handed are in its
 * hands, the others are not begun. When it crashes,
 *
 *	- what it has answered counts, read from the shared page;
 *	- a message alone in its hands is what it crashed of;
 *	- of several, each is suspected: it comes back, to be given alone;
 *	- what was not begun comes back as if nothing had been.
 *
 * One that crashed of a message is started again soon, one that crashed of
 * itself (in init, or with nothing in its hands) with backoff.
 */
#ifndef DLO_DOWNSTREAM_PLUGIN_POOL_H
#define DLO_DOWNSTREAM_PLUGIN_POOL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "downstream/attempt.h"
#include "downstream/exec_env.h"
#include "downstream/plugin_page.h"
#include "lib/buf.h"
#include "lib/child.h"
#include "lib/loop.h"

struct conf_plugin;
struct plugin_worker;

/*
 * A message that is given to workers; embed it, zeroed. The attempt must last
 * until `done`, or plugin_pool_cancel.
 */
struct plugin_job {
	const struct attempt *attempt; /* NULL: cancelled */
	bool alone;		       /* nothing else beside it */
	/* The pool's own. */
	struct plugin_worker *worker;  /* NULL: not given */
	uint64_t call;		       /* its number in the worker */
	uint64_t nth;		       /* of those given to the worker */
	int64_t since_ms;	       /* it has been seen in hand */
	unsigned losses;	       /* workers lost before it was begun */
	TAILQ_ENTRY(plugin_job) entry; /* the owner's when it is not given */
};

TAILQ_HEAD(plugin_jobs, plugin_job);

/* From all of them jobs may be given and cancelled. */
struct plugin_pool_cbs {
	void (*done)(struct plugin_job *, const struct verdict *);
	/*
	 * It is not given any more, and must be again, before all others.
	 * `alone` may be set now. Called for the last one first.
	 */
	void (*back)(struct plugin_job *);
	/*
	 * There may be room, or none for long; also every few milliseconds
	 * while there is something to wait for. True: something still waits.
	 */
	bool (*room)(void *arg);
};

struct plugin_pool {
	struct loop *loop;
	char *name; /* the downstream's */
	const struct plugin_pool_cbs *cbs;
	void *arg;
	struct buf setup; /* the first frame of each worker */
	int64_t timeout_ms;
	struct children *children;
	struct exec_env env;
	struct plugin_worker *workers;
	unsigned count;
	struct plugin_worker *reserved; /* runs empty, for one alone */
	unsigned given;			/* jobs that workers have */
	int64_t down_ms;		/* since when none is up; -1: some is */
	struct verdict last;		/* why a worker last went down */
	struct loop_task flush;
	struct loop_timer *tick;
};

/* Copies what it needs of the configuration; starts the workers. */
void plugin_pool_init(struct plugin_pool *, struct loop *, const char *name,
    const struct conf_plugin *, const struct plugin_pool_cbs *, void *arg);
/*
 * Ends all workers, of which each gets some time to do so. What was given is
 * forgotten without a callback.
 */
void plugin_pool_clear(struct plugin_pool *);

/*
 * Gives a job to a worker that has room for it; false: none has. Never calls
 * back.
 */
bool plugin_pool_give(struct plugin_pool *, struct plugin_job *) must_use;
/* No job waits any more that is alone: no worker is kept free for one. */
void plugin_pool_unreserve(struct plugin_pool *);
/*
 * Nobody waits for a job that was given: the attempt is not read any more.
 * `done` or `back` still come.
 */
void plugin_pool_cancel(struct plugin_job *);
/* For how long no worker has been up; 0: one is, or is about to be. */
int64_t plugin_pool_down_ms(const struct plugin_pool *);
/* What to say of a message for which there was no worker in time. */
void plugin_pool_no_worker(const struct plugin_pool *, struct verdict *);
/* Something waits: `room` is called from time to time. Never calls back. */
void plugin_pool_watch(struct plugin_pool *);

#endif
