/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * --once beside a daemon: whether one is there, and the way of a job to it.
 * A daemon consumes `dlo.jobs`, which a passive declare tells; --once does not,
 * so that it never becomes the active one. A job is asked for by a request to
 * `dlo.control`, and what becomes of it is read in `dlo.audit`, which any
 * number of readers may read.
 *
 * A broker that does not let us see the queue leaves the question open; then
 * nobody counts as there.
 */
#ifndef DLO_REDRIVE_HANDOVER_H
#define DLO_REDRIVE_HANDOVER_H

#include <jansson.h>
#include <stdbool.h>

#include "dlx/topology.h"
#include "lib/loop.h"

struct handover;
struct rmq_conn;
struct rmq_publisher;

/* Called from the loop, never inside a call. */
struct handover_cbs {
	/*
	 * At first, and at each change: a daemon is there, or none (for half a
	 * minute, if there was one).
	 */
	void (*daemon)(void *arg, bool there);
	/*
	 * The job of that request has ended: `job` is as registry_job_json
	 * writes it. Or (NULL) it was refused, and why.
	 */
	void (*ended)(void *arg, const char *request, const json_t *job,
	    const char *why);
};

/* All that it points to must outlive it. */
struct handover_env {
	struct loop *loop;
	struct rmq_publisher *publisher;
	const struct topology_names *names;
	const char *user; /* of the connection that publishes */
};

struct handover *handover_new(const struct handover_env *,
    const struct handover_cbs *, void *arg);
/* NULL is fine; not from a callback. */
void handover_free(struct handover *);
/* The connection that reads is up, or gone (NULL). */
void handover_link(struct handover *, struct rmq_conn *);
/*
 * Asks for a job, as soon as its end can be read. Takes `body`, which must have
 * its own `request`.
 */
void handover_ask(struct handover *, json_t *body);

#endif
