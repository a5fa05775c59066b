/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* How far a job is. */
#include <stdio.h>
#include <string.h>

#include "config/conf.h"
#include "redrive/job_internal.h"
#include "redrive/mover.h"
#include "redrive/ramp.h"
#include "redrive/scan.h"
#include "redrive/watch.h"

bool
job_is_shifting(const struct job *job)
{
	return job->scan != NULL &&
	    (!job->pass.over || job->state == JOB_GIVING_BACK);
}

uint64_t
job_held(const struct job *job)
{
	return job->scan != NULL ? scan_held(job->scan) : 0;
}

uint64_t
job_unmoved(const struct job *job)
{
	if (job->scan == NULL)
		return 0;
	return scan_total(job->scan) -
	    (scan_seen(job->scan) - scan_held(job->scan));
}

/* How long it would take to move what a dry run has counted. */
static int64_t
expected_ms(const struct job *job)
{
	const struct job_order *order = &job->options.order;
	const struct conf_redrive *conf = &job->options.conf->redrive;
	const struct ramp_params ramp = {
		.start = conf->ramp.start,
		.limit = order->rate > 0 ? order->rate : conf->rate,
		.step_ms = conf->ramp.double_every_ms,
	};

	if (order->census == NULL || order->action != ACTION_REDRIVE)
		return 0;
	return ramp_duration_ms(&ramp, sift_would_move(&job->sift));
}

uint64_t
job_given_back(const struct job *job)
{
	return job->given_back;
}

/* Why it does not go on; "" if it does, or if an operator paused it. */
static const char *
standing_why(const struct job *job)
{
	enum canary_state canary =
	    job->watch != NULL ? watch_state(job->watch) : CANARY_OPEN;

	if ((job->paused & JOB_PAUSE_OPERATOR) != 0)
		return "";
	if ((job->paused & JOB_PAUSE_BREAKER) != 0)
		return "the downstream's breaker is open";
	if ((job->paused & JOB_PAUSE_PROBE) != 0)
		return "the downstream is not healthy";
	if ((job->paused & JOB_PAUSE_LIMIT) != 0)
		return "whether the work queue drops is not known yet";
	if (mover_is_refused(job->mover))
		return job->options.order.action == ACTION_REDRIVE
		    ? "work queue full"
		    : "the queue that it moves to is full";
	if (canary == CANARY_WAITING || canary == CANARY_LOOKING)
		return "how the canary fares is not known yet";
	return "";
}

void
job_report(const struct job *job, struct job_report *out)
{
	uint64_t total, pending = mover_pending(job->mover);

	*out = job->report;
	memcpy(out->verdicts, job->sift.counts, sizeof(out->verdicts));
	out->oldest_ms = job->sift.oldest_ms;
	if (out->end == JOB_UNDER_WAY)
		(void)snprintf(out->why, sizeof(out->why), "%s",
		    standing_why(job));
	if (job->watch != NULL) {
		out->failed_again = watch_bad(job->watch);
		out->judged = out->failed_again + watch_good(job->watch);
	}
	out->expected_ms = expected_ms(job);
	out->elapsed_ms = loop_now_ms(job->loop) - job->started_ms;
	if (out->end == JOB_COMPLETE)
		out->progress = 1;
	if (job->scan == NULL)
		return;
	out->seen = scan_seen(job->scan);
	total = scan_total(job->scan);
	if (total > 0)
		out->progress = (double)(out->seen - pending) / (double)total;
}
