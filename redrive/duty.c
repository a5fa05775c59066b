/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/duty.h"

#include <stdlib.h>
#include <string.h>

#include "lib/js.h"
#include "lib/log.h"
#include "lib/xalloc.h"
#include "redrive/census.h"
#include "redrive/lane.h"

/*
 * So many heartbeats after a take-over the broker has given back all that the
 * lost one held: it looks each half one, and two that are missed are enough.
 */
#define UNSURE_HEARTBEATS 3

/* A lane, and what it runs. */
struct post {
	struct lane *lane;
	char job[REPORT_ID_SPACE];
	struct census *census; /* of a dry run; else NULL */
};

struct duty {
	struct office_env env;
	const struct duty_cbs *cbs;
	void *arg;
	struct office *office;
	struct post *posts;
	size_t count;
	int64_t unsure_until_ms; /* monotonic */
	bool draining, told;
};

static struct registry *
registry(const struct duty *d)
{
	return office_registry(d->office);
}

static struct post *
post_of_lane(struct duty *d, const struct lane *lane)
{
	for (size_t i = 0; i < d->count; i++) {
		if (d->posts[i].lane == lane)
			return &d->posts[i];
	}
	abort();
}

/* Where the job runs; NULL: nowhere. */
static struct post *
post_of_job(struct duty *d, const struct registry_job *job)
{
	for (size_t i = 0; i < d->count; i++) {
		if (strcmp(d->posts[i].job, job->id) == 0)
			return &d->posts[i];
	}
	return NULL;
}

static void
post_clear(struct post *post)
{
	*post->job = '\0';
	free(post->census);
	post->census = NULL;
}

static bool
is_automatic(const struct registry_job *job)
{
	return strcmp(job->from, "trigger") == 0;
}

/*
 * How many more a job with a limit may move after its lives before; true:
 * none, and so it has ended.
 */
static bool
has_all(struct duty *d, const struct registry_job *job, uint64_t *left)
{
	uint64_t moved = report_moved(&job->report);
	struct job_report report = { .end = JOB_COMPLETE, .progress = 1 };

	*left = job->max > moved ? job->max - moved : 0;
	if (*left > 0)
		return false;
	(void)snprintf(report.why, sizeof(report.why), "%s",
	    "as many as asked for");
	registry_ended(registry(d), job->id, &report, NULL);
	return true;
}

static void
on_run(void *arg, const struct registry_job *job)
{
	struct duty *d = arg;
	struct lane_run run = {
		.order = {
			.filter = job->filter,
			.rate = job->rate,
			.has_canary = job->canary >= 0,
			.canary = job->canary >= 0 ? (uint32_t)job->canary : 0,
			.force = job->force,
			.id = job->id,
			.snapshot_ms = job->snapshot_ms,
			.unsure_until_ms =
			    job->inherited ? d->unsure_until_ms : 0,
		},
		.trigger = job->trigger,
		.automatic = is_automatic(job),
	};

	if (action_parse(job->action, &run.order.action) == -1)
		return;
	if (job->max != 0 && has_all(d, job, &run.order.max))
		return;
	for (size_t i = 0; i < d->count && !d->draining; i++) {
		struct post *post = &d->posts[i];

		if (strcmp(lane_pipeline(post->lane)->name, job->pipeline) != 0)
			continue;
		memcpy(post->job, job->id, sizeof(post->job));
		if (job->dry_run)
			post->census = xcalloc(1, sizeof(*post->census));
		run.order.census = post->census;
		lane_run(post->lane, &run);
		return;
	}
}

static void
on_pause(void *arg, const struct registry_job *job, const char *why)
{
	struct post *post = post_of_job(arg, job);

	if (post != NULL)
		lane_hold(post->lane, true, why);
}

static void
on_resume(void *arg, const struct registry_job *job)
{
	struct post *post = post_of_job(arg, job);

	if (post != NULL)
		lane_hold(post->lane, false, NULL);
}

static void
on_cancel(void *arg, const struct registry_job *job)
{
	struct post *post = post_of_job(arg, job);

	if (post != NULL)
		lane_stop(post->lane, JOB_CANCELLED, "cancelled");
}

static bool
on_look(void *arg, const struct registry_job *job, struct job_report *report)
{
	struct post *post = post_of_job(arg, job);

	return post != NULL && lane_report(post->lane, report);
}

/* When the last automatic job of that pipeline was made; 0: there is none. */
static int64_t
last_job_ms(const struct duty *d, const char *pipeline)
{
	const struct registry_job *job;

	for (size_t i = 0; (job = registry_at(registry(d), i)) != NULL; i++) {
		if (is_automatic(job) && strcmp(job->pipeline, pipeline) == 0)
			return job->created_ms;
	}
	return 0;
}

static void
enable_lanes(struct duty *d)
{
	for (size_t i = 0; i < d->count; i++) {
		struct lane *lane = d->posts[i].lane;

		lane_enable(lane, last_job_ms(d, lane_pipeline(lane)->name));
	}
}

static void
check_idle(struct duty *d)
{
	if (!d->draining || d->told)
		return;
	for (size_t i = 0; i < d->count; i++) {
		if (lane_is_busy(d->posts[i].lane))
			return;
	}
	d->told = true;
	d->cbs->idle(d->arg);
}

static void
on_active(void *arg, bool active)
{
	struct duty *d = arg;
	const struct conf_broker *broker =
	    conf_broker_for(d->env.conf, CONF_ROLE_REDRIVE);

	d->cbs->active(d->arg, active);
	if (active) {
		d->unsure_until_ms = loop_now_ms(d->env.loop) +
		    UNSURE_HEARTBEATS * broker->heartbeat_ms;
		if (!d->draining)
			enable_lanes(d);
		return;
	}
	for (size_t i = 0; i < d->count; i++) {
		lane_disable(d->posts[i].lane);
		post_clear(&d->posts[i]);
	}
	check_idle(d);
}

static void
on_tell(void *arg, const struct registry_job *job)
{
	struct duty *d = arg;

	d->cbs->tell(d->arg, job);
}

static void
on_changed(void *arg)
{
	struct duty *d = arg;

	for (size_t i = 0; i < d->count && !d->draining; i++)
		lane_nudge(d->posts[i].lane);
}

static void
on_down(void *arg, const struct rmq_close *why, bool tried_all)
{
	struct duty *d = arg;

	d->cbs->down(d->arg, why, tried_all);
}

static void
on_refused(void *arg)
{
	struct duty *d = arg;

	d->cbs->refused(d->arg);
}

static void
on_stopped(void *arg)
{
	struct duty *d = arg;

	d->cbs->stopped(d->arg);
}

struct duty *
duty_new(const struct office_env *env, const struct duty_cbs *cbs, void *arg)
{
	static const struct office_cbs office_cbs = { on_active, on_run,
		on_pause, on_resume, on_cancel, on_look, on_tell, on_changed,
		on_down, on_refused, on_stopped };
	struct duty *d = xcalloc(1, sizeof(*d));

	d->env = *env;
	d->cbs = cbs;
	d->arg = arg;
	d->office = office_new(env, &office_cbs, d);
	return d;
}

void
duty_free(struct duty *d)
{
	if (d == NULL)
		return;
	/* The jobs' filters are the registry's. */
	for (size_t i = 0; i < d->count; i++) {
		lane_disable(d->posts[i].lane);
		post_clear(&d->posts[i]);
	}
	office_free(d->office);
	free(d->posts);
	free(d);
}

void
duty_add(struct duty *d, struct lane *lane)
{
	d->posts = xrealloc(d->posts, (d->count + 1) * sizeof(*d->posts));
	d->posts[d->count++] = (struct post){ .lane = lane };
}

struct office *
duty_office(const struct duty *d)
{
	return d->office;
}

bool
duty_fired(struct duty *d, struct lane *lane, const char *trigger)
{
	return !d->draining &&
	    registry_automatic(registry(d), lane_pipeline(lane), trigger);
}

static json_t *
groups_of(struct census *census)
{
	json_t *groups = json_array();

	census_sort(census);
	for (size_t i = 0; i < census->group_count; i++) {
		const struct census_group *group = &census->groups[i];
		json_t *one = json_object();

		js_set_text(one, "reason", envelope_reason_name(group->reason));
		js_set_text(one, "class", group->class);
		js_set_int(one, "count", (int64_t)group->count);
		js_append(groups, one);
	}
	return groups;
}

void
duty_ended(struct duty *d, struct lane *lane, const struct job_report *report)
{
	struct post *post = post_of_lane(d, lane);
	json_t *groups = NULL;
	char job[REPORT_ID_SPACE];

	memcpy(job, post->job, sizeof(job));
	if (post->census != NULL)
		groups = groups_of(post->census);
	post_clear(post);
	if (d->draining)
		registry_let_go(registry(d), job, report);
	else
		registry_ended(registry(d), job, report, groups);
	json_decref(groups);
	check_idle(d);
}

void
duty_looked(struct duty *d)
{
	check_idle(d);
}

void
duty_drain(struct duty *d)
{
	if (d->draining)
		return;
	d->draining = true;
	for (size_t i = 0; i < d->count; i++)
		lane_drain(d->posts[i].lane, JOB_PARTIAL,
		    "this daemon stops, the next one goes on");
	check_idle(d);
}
