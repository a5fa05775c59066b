/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* A job stands still, or stands aside, and goes on. */
#include "config/conf.h"
#include "lib/log.h"
#include "redrive/job_internal.h"
#include "redrive/mover.h"
#include "redrive/watch.h"

void
job_hold_watch(struct job *job)
{
	if (job->watch != NULL)
		watch_hold(job->watch, job->paused != 0 || job->conn == NULL);
}

/* How the downstream is concerns only what goes there. */
static bool
is_concerned(const struct job *job, enum job_pause by)
{
	return by == JOB_PAUSE_OPERATOR || job->watch != NULL;
}

void
job_pause(struct job *job, enum job_pause by, const char *why)
{
	if ((job->paused & by) != 0 || !is_concerned(job, by))
		return;
	log_info("job_paused", LOG_STR("pipeline", job->options.conf->name),
	    LOG_STR("job", job->report.id), LOG_STR("why", why));
	job->paused |= by;
	mover_hold(job->mover, true);
	if (by == JOB_PAUSE_BREAKER)
		watch_broke(job->watch);
	job_hold_watch(job);
	loop_defer(job->loop, &job->task);
}

void
job_resume(struct job *job, enum job_pause by)
{
	if ((job->paused & by) == 0)
		return;
	job->paused &= ~(unsigned)by;
	if (job->paused != 0)
		return;
	log_info("job_resumed", LOG_STR("pipeline", job->options.conf->name),
	    LOG_STR("job", job->report.id));
	mover_hold(job->mover, false);
	job_hold_watch(job);
	loop_defer(job->loop, &job->task);
}

void
job_yield(struct job *job, bool on)
{
	job->yields = on;
	loop_defer(job->loop, &job->task);
}

bool
job_has_window(const struct job *job)
{
	return job->scan != NULL;
}

bool
job_is_moving(const struct job *job)
{
	return job->scan != NULL && job->paused == 0 &&
	    (job->watch == NULL || watch_state(job->watch) != CANARY_WAITING);
}
