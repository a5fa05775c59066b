/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * dlo-redrive --once: one job for each chosen pipeline, at once or when its
 * downstream is known to be healthy, and the exit code that follows.
 *
 * Beside a daemon nothing is moved here: the daemon is asked for the jobs, and
 * for the rest of those that were begun before it came.
 *
 *	waiting --- no daemon is there ----------> running
 *	waiting --- one is ----------------------> handed over
 *	running --- one has come ----------------> handed over
 *	any ------- there is a result -----------> done
 */
#ifndef DLO_REDRIVE_ONCE_H
#define DLO_REDRIVE_ONCE_H

#include <stdbool.h>
#include <stddef.h>

#include "config/conf.h"
#include "redrive/handover.h"
#include "redrive/census.h"
#include "redrive/job.h"

struct lane;
struct once;
struct rmq_conn;

/* What the command line asks for. */
struct once_options {
	struct conf_texts pipelines; /* none: all */
	bool when_healthy;
	bool dry_run;
	bool filtered; /* by `filter`; else by each pipeline's `only` */
	struct conf_filter filter;
	struct job_order order; /* but for its filter and census */
};

/* What became of one pipeline. */
struct once_result {
	const struct conf_pipeline *pipeline;
	const char *why;		 /* no job was made; or NULL */
	const struct job_report *report; /* of the job; or NULL */
	const struct census *census;	 /* of a dry run; or NULL */
};

typedef void once_result_cb(void *arg, const struct once_result *);

/* Called from the loop. */
struct once_cbs {
	once_result_cb *result;
	/* once_is_done may say something else now. */
	void (*changed)(void *arg);
};

/* Whether that pipeline is asked for. */
bool once_wants(const struct once_options *, const char *pipeline);

/*
 * `options` must outlive it; `from` (who it is, for the audit) need not. Lanes
 * are added next.
 */
struct once *once_new(const struct handover_env *, const struct once_options *,
    const char *from, const struct once_cbs *, void *arg);
/* NULL is fine. */
void once_free(struct once *);
/* One of the pipelines; `probe` is its downstream's. */
void once_add(struct once *, struct lane *, const struct conf_probe *probe);
/*
 * The scan connection is there, and all that is needed: jobs may start. Or it
 * is gone (NULL).
 */
void once_link(struct once *, struct rmq_conn *);
/* What the probe says of a pipeline's downstream. */
void once_health(struct once *, struct lane *, bool healthy);
/* A pipeline's job has ended. */
void once_ended(struct once *, struct lane *, const struct job_report *);
/* Gives up those that wait for health, or for the daemon. */
void once_stop(struct once *);
/* Every pipeline has its result. */
bool once_is_done(const struct once *);
/* enum cli_exit, when it is done. */
int once_exit_code(const struct once *);

#endif
