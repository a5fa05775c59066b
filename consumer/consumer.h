/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The consumer daemon without its surroundings: connections, topology,
 * pipelines and downstreams, on a loop and on streams from outside. Signals,
 * the HTTP server and sd_notify are lib/daemon.h's.
 *
 *	starting -- everything runs for the first time --> running
 *	starting -- wrong password, queue missing, … ----> closing (not 0)
 *	starting, running -- consumer_drain -------------> draining
 *	draining -- all is settled, or out of time ------> closing
 *	closing --- the connections are closed ----------> ended
 *
 * While starting, what an operator has to mend ends it; while running
 * nothing does: it reconnects, redeclares and resumes. A broker that cannot
 * be reached is waited for in either state.
 */
#ifndef DLO_CONSUMER_CONSUMER_H
#define DLO_CONSUMER_CONSUMER_H

#include <stdbool.h>

#include "config/conf.h"
#include "consumer/roster.h"
#include "downstream/downstream.h"
#include "lib/buf.h"
#include "lib/loop.h"
#include "lib/metrics.h"
#include "lib/stream.h"

struct consumer;

/* Where it lives; copied by consumer_new. */
struct consumer_env {
	struct loop *loop;
	struct stream_net *net;
	struct metrics *metrics;
	const char *instance; /* "host:pid", for the connections' names */
	/* As in downstream_env: NULL for what the configuration asks for. */
	struct handler *(
	    *handler_new)(void *arg, const struct conf_downstream *);
	struct probe_driver *(
	    *driver_new)(void *arg, const struct conf_downstream *);
	void *arg;
};

/* Called from the loop, never inside a call. */
struct consumer_cbs {
	/* Everything runs for the first time. */
	void (*ready)(void *arg);
	/* While starting: no node could be reached; it goes on trying. */
	void (*unreachable)(void *arg);
	/* What consumer_reload began is done: the former conf may go. */
	void (*reloaded)(void *arg, const struct roster_change *);
	/* It is over, once: enum cli_exit. Free it at leisure. */
	void (*ended)(void *arg, int exit_code);
};

/*
 * Idle until consumer_start. `cbs` must outlive it, and so must this `conf`,
 * even when another one has taken its place.
 */
struct consumer *consumer_new(const struct consumer_env *,
    const struct conf *conf, const struct consumer_cbs *cbs, void *arg);
void consumer_start(struct consumer *);
/*
 * Stops consuming, lets attempts finish, sends held messages to the ladder
 * (but gives back ordered ones), closes, then `ended`; bounded by
 * consumer.drain_timeout.
 */
void consumer_drain(struct consumer *);
/*
 * Goes over to a configuration that differs only in what conf_change_refused
 * lets through, once the broker has the topology for it; `reloaded` follows,
 * unless it is ending, or drained meanwhile. Not before the last one has. A
 * pipeline that the broker refuses ends nothing, unless all are still starting.
 */
void consumer_reload(struct consumer *, const struct conf *);
/*
 * True when both connections are up and every pipeline consumes or is paused
 * by its policy; else `why` (may be NULL) gets a line for people. It may get
 * one in any case.
 */
bool consumer_is_ready(const struct consumer *, struct buf *why);
/*
 * Ends it at once, without callbacks: the broker redelivers what was not
 * acked. Not from one of its callbacks; NULL is fine.
 */
void consumer_free(struct consumer *);

#endif
