/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * dlo-redrive without its surroundings: connections, topology, probes and
 * pipelines, on a loop and on streams from outside. Signals, the HTTP server
 * and sd_notify are lib/daemon.h's.
 *
 *	starting -- everything is there for the first time --> running
 *	starting -- wrong password, queue missing, … --------> closing (not 0)
 *	starting, running -- redrive_drain ------------------> draining
 *	running -- --once: every job has ended --------------> closing
 *	draining -- every job has ended ---------------------> closing
 *	closing --- the connections are closed --------------> ended
 *
 * While starting, what an operator has to mend ends it; while running
 * nothing does. A broker that cannot be reached is waited for, but by --once.
 */
#ifndef DLO_REDRIVE_REDRIVE_H
#define DLO_REDRIVE_REDRIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/conf.h"
#include "downstream/probe.h"
#include "lib/buf.h"
#include "lib/loop.h"
#include "lib/metrics.h"
#include "lib/stream.h"
#include "redrive/once.h"

struct job_env;
struct lane;
struct redrive;
struct registry;
struct rmq_conn;

/* Where it lives; copied by redrive_new. */
struct redrive_env {
	struct loop *loop;
	struct stream_net *net;
	struct metrics *metrics;
	const char *instance; /* "host:pid", for the connections' names */
	/* For tests; 0: 256 MiB, and SCAN_PREFETCH. */
	size_t held_max_bytes;
	uint16_t scan_prefetch;
	/* NULL: what the configuration asks for; called only for a probe. */
	struct probe_driver *(
	    *driver_new)(void *arg, const struct conf_downstream *);
	void *arg;
};

/* Called from the loop, never inside a call. */
struct redrive_cbs {
	/* Everything is there for the first time. */
	void (*ready)(void *arg);
	/* While starting: no node could be reached; a daemon goes on trying. */
	void (*unreachable)(void *arg);
	/* --once: what became of one pipeline; gone on return. */
	void (*result)(void *arg, const struct once_result *);
	/* It is over, once: enum cli_exit. Free it at leisure. */
	void (*ended)(void *arg, int exit_code);
};

/*
 * Idle until redrive_start. `conf`, `once` and `cbs` must outlive it.
 * `once` not NULL: one job for each of its pipelines, then the end.
 */
struct redrive *redrive_new(const struct redrive_env *, const struct conf *conf,
    const struct once_options *once, const struct redrive_cbs *cbs, void *arg);
void redrive_start(struct redrive *);
/*
 * Starts no job any more, stops those under way, gives back what they hold,
 * closes, then `ended`.
 */
void redrive_drain(struct redrive *);
/* The jobs, for the control API; NULL with --once. */
struct registry *redrive_registry(const struct redrive *);
/* For it too: a pipeline, what jobs share, and what the probe last said. */
struct lane *redrive_lane(const struct redrive *, const struct conf_pipeline *);
const struct job_env *redrive_job_env(const struct redrive *);
/*
 * Counts all pipelines' letters anew; `counted` says when, though not if a job
 * or a look comes in between. False: nobody can be asked, or not now.
 */
bool redrive_recount(struct redrive *);
typedef void redrive_counted_cb(void *arg);
void redrive_on_counted(struct redrive *, redrive_counted_cb *, void *arg);
/* To read on; NULL: there is none. */
struct rmq_conn *redrive_conn(const struct redrive *);
/* PROBE_HEALTHY without a probe. */
enum probe_health redrive_health(const struct redrive *,
    const struct conf_downstream *);
/*
 * True when all connections are up, all that is needed is in the broker, and
 * no dead-letter queue was found closed to us; else `why` (may be NULL) gets a
 * line for people. It gets one too when another daemon is the active one:
 * "standby".
 */
bool redrive_is_ready(const struct redrive *, struct buf *why);
/*
 * Ends it at once, without callbacks: the broker takes back what was held.
 * Not from one of its callbacks; NULL is fine.
 */
void redrive_free(struct redrive *);

#endif
