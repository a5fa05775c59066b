/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What makes one of several redrive daemons the active one: the jobs
 * connection (jobs_link.h), the registry of jobs on it (registry.h, whose
 * board elects), and the audit (audit_log.h).
 */
#ifndef DLO_REDRIVE_OFFICE_H
#define DLO_REDRIVE_OFFICE_H

#include <stdbool.h>

#include "config/conf.h"
#include "dlx/topology.h"
#include "lib/buf.h"
#include "lib/loop.h"
#include "lib/stream.h"
#include "redrive/registry.h"

struct office;
struct rmq_close;

/* Copied; what it points to must outlive the office. */
struct office_env {
	struct loop *loop;
	struct stream_net *net;
	const struct conf *conf;
	const struct topology_names *names;
	const char *instance; /* "host:pid" */
};

/* Called from the loop, never inside a call, but by registry_… as it says. */
struct office_cbs {
	/*
	 * This daemon is the active one: start what triggers and jobs ask for.
	 * Or no longer: let go of everything at once.
	 */
	void (*active)(void *arg, bool active);
	/* See registry_cbs. */
	void (*run)(void *arg, const struct registry_job *);
	void (*pause)(void *arg, const struct registry_job *, const char *why);
	void (*resume)(void *arg, const struct registry_job *);
	void (*cancel)(void *arg, const struct registry_job *);
	bool (
	    *look)(void *arg, const struct registry_job *, struct job_report *);
	void (*tell)(void *arg, const struct registry_job *);
	/* Jobs or role have changed. */
	void (*changed)(void *arg);
	/* See jobs_link_cbs. */
	void (*down)(void *arg, const struct rmq_close *, bool tried_all);
	void (*refused)(void *arg);
	void (*stopped)(void *arg);
};

struct office *office_new(const struct office_env *, const struct office_cbs *,
    void *arg);
/* Connects. */
void office_start(struct office *);
/* The topology is there: stands for election. */
void office_join(struct office *);
/*
 * Closes, when what was put is in the broker or some seconds are over; then
 * `stopped`. No other callback but `active`.
 */
void office_stop(struct office *);
/* No callback after this; NULL is fine. Not from a callback. */
void office_free(struct office *);

struct registry *office_registry(const struct office *);
/*
 * Whether it takes part in the election; else `why` (may be NULL) gets a line
 * for people.
 */
bool office_is_up(const struct office *, struct buf *why);

#endif
