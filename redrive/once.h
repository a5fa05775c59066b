/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * dlo-redrive --once: one job for each chosen pipeline, at once or when its
 * downstream is known to be healthy, and the exit code that follows.
 */
#ifndef DLO_REDRIVE_ONCE_H
#define DLO_REDRIVE_ONCE_H

#include <stdbool.h>
#include <stddef.h>

#include "config/conf.h"
#include "redrive/census.h"
#include "redrive/job.h"

struct lane;
struct loop;
struct once;

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

/* Whether that pipeline is asked for. */
bool once_wants(const struct once_options *, const char *pipeline);

/* `options` must outlive it; lanes are added next. */
struct once *once_new(struct loop *, const struct once_options *,
    once_result_cb *, void *arg);
/* NULL is fine. */
void once_free(struct once *);
/* One of the pipelines; `probe` is its downstream's. */
void once_add(struct once *, struct lane *, const struct conf_probe *probe);
/* All connections are there: jobs may start. */
void once_start(struct once *);
/* What the probe says of a pipeline's downstream. */
void once_health(struct once *, struct lane *, bool healthy);
/* A pipeline's job has ended. */
void once_ended(struct once *, struct lane *, const struct job_report *);
/* Gives up those that wait for health. */
void once_stop(struct once *);
/* Every pipeline has its result. */
bool once_is_done(const struct once *);
/* enum cli_exit, when it is done. */
int once_exit_code(const struct once *);

#endif
