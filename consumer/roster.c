/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "consumer/roster.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "config/conf_change.h"
#include "consumer/pipeline.h"
#include "lib/log.h"
#include "lib/xalloc.h"

struct roster {
	struct roster_env env;
	const struct roster_cbs *cbs;
	void *arg;
	const struct conf *conf;
	struct rmq_conn *conn; /* NULL: none to work on */
	bool draining;
	struct downstream **downstreams; /* as in conf; NULL: not used */
	struct pipeline **pipelines;	 /* as in conf; NULL: not yet made */
	struct pipeline **leaving;	 /* draining, for they are gone */
	size_t leaving_count;
	struct downstream **retired; /* until they are idle */
	size_t retired_count;
	bool settling;
	struct loop_timer *leave_timer; /* for the leaving */
	struct loop_task turn;
};

static struct loop *
loop_of(const struct roster *r)
{
	return r->env.downstream.loop;
}

static void
on_changed(void *arg, struct pipeline *pipeline)
{
	struct roster *r = arg;

	if (r->leaving_count > 0 && pipeline_is_stopped(pipeline))
		loop_defer(loop_of(r), &r->turn);
	r->cbs->changed(r->arg);
}

static void
on_refused(void *arg, struct pipeline *pipeline, const struct rmq_close *why)
{
	struct roster *r = arg;

	r->cbs->refused(r->arg, pipeline_conf(pipeline)->queue, why);
}

static void
on_astray(void *arg)
{
	struct roster *r = arg;

	r->cbs->astray(r->arg);
}

static void
on_breaker(void *arg, struct downstream *downstream, enum breaker_state from)
{
	struct roster *r = arg;

	events_breaker(r->env.events, downstream, &from);
}

/* The attempts at once of all that use it; 0: nobody does. */
static unsigned
concurrency_of(const struct conf *conf,
    const struct conf_downstream *downstream)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < conf->pipeline_count; i++)
		if (conf->pipelines[i].downstream == downstream)
			sum += conf->pipelines[i].concurrency;
	return sum < UINT_MAX ? (unsigned)sum : UINT_MAX;
}

static struct downstream *
make_downstream(struct roster *r, const struct conf *conf, size_t i)
{
	const struct conf_downstream *its = &conf->downstreams[i];
	unsigned concurrency = concurrency_of(conf, its);
	struct downstream *downstream;

	if (concurrency == 0)
		return NULL;
	downstream = downstream_new(&r->env.downstream, its, concurrency);
	downstream_watch(downstream, on_breaker, r);
	return downstream;
}

static struct downstream *
downstream_of(const struct roster *r, const struct conf_pipeline *pipeline)
{
	return r->downstreams[pipeline->downstream - r->conf->downstreams];
}

static struct pipeline *
make_pipeline(struct roster *r, const struct conf_pipeline *conf)
{
	static const struct pipeline_cbs cbs = {
		.changed = on_changed,
		.refused = on_refused,
		.astray = on_astray,
	};
	const struct pipeline_env env = {
		.loop = loop_of(r),
		.conf = r->conf,
		.names = r->env.names,
		.settle = r->env.settle,
		.events = r->env.events,
		.meter = r->env.meter,
		.budget = r->env.budget,
		.trial = r->env.trial,
		.cbs = &cbs,
		.arg = r,
	};
	struct pipeline *p = pipeline_new(&env, conf, downstream_of(r, conf));

	if (r->conn != NULL)
		pipeline_connect(p, r->conn);
	return p;
}

/* Whether one that has to go first has the queue. */
static bool
is_taken(const struct roster *r, const char *queue)
{
	for (size_t i = 0; i < r->leaving_count; i++)
		if (strcmp(pipeline_conf(r->leaving[i])->queue, queue) == 0)
			return true;
	return false;
}

/* Makes the pipelines that are not yet there, and may be. */
static void
make_pipelines(struct roster *r)
{
	for (size_t i = 0; i < r->conf->pipeline_count; i++) {
		const struct conf_pipeline *conf = &r->conf->pipelines[i];

		if (r->pipelines[i] == NULL && !r->draining &&
		    !is_taken(r, conf->queue))
			r->pipelines[i] = make_pipeline(r, conf);
	}
}

/* Frees the leaving that have stopped. */
static void
free_stopped(struct roster *r)
{
	size_t left = 0;

	for (size_t i = 0; i < r->leaving_count; i++) {
		if (pipeline_is_stopped(r->leaving[i]))
			pipeline_free(r->leaving[i]);
		else
			r->leaving[left++] = r->leaving[i];
	}
	r->leaving_count = left;
}

static void
on_turn(void *arg)
{
	struct roster *r = arg;

	free_stopped(r);
	make_pipelines(r);
	if (!r->settling || r->leaving_count > 0)
		return;
	r->settling = false;
	loop_timer_stop(loop_of(r), r->leave_timer);
	r->cbs->settled(r->arg);
}

static void
on_leave_timeout(void *arg)
{
	struct roster *r = arg;

	log_warn("drain_timeout",
	    LOG_INT("after_ms", r->conf->consumer.drain_timeout_ms));
	for (size_t i = 0; i < r->leaving_count; i++)
		pipeline_abort(r->leaving[i]);
}

struct roster *
roster_new(const struct roster_env *env, const struct conf *conf,
    const struct roster_cbs *cbs, void *arg)
{
	struct roster *r = xcalloc(1, sizeof(*r));

	r->env = *env;
	r->cbs = cbs;
	r->arg = arg;
	r->conf = conf;
	r->leave_timer = loop_timer_new(loop_of(r), on_leave_timeout, r);
	loop_task_init(&r->turn, on_turn, r);
	r->downstreams =
	    xcalloc(conf->downstream_count, sizeof(*r->downstreams));
	for (size_t i = 0; i < conf->downstream_count; i++)
		r->downstreams[i] = make_downstream(r, conf, i);
	r->pipelines = xcalloc(conf->pipeline_count, sizeof(*r->pipelines));
	make_pipelines(r);
	return r;
}

void
roster_free(struct roster *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->conf->pipeline_count; i++)
		pipeline_free(r->pipelines[i]);
	for (size_t i = 0; i < r->leaving_count; i++)
		pipeline_free(r->leaving[i]);
	for (size_t i = 0; i < r->conf->downstream_count; i++)
		downstream_free(r->downstreams[i]);
	for (size_t i = 0; i < r->retired_count; i++)
		downstream_free(r->retired[i]);
	free(r->pipelines);
	free(r->leaving);
	free(r->downstreams);
	free(r->retired);
	loop_timer_free(loop_of(r), r->leave_timer);
	loop_undefer(loop_of(r), &r->turn);
	free(r);
}

/* Following another configuration. */

static void
note_pipeline(const char *name, const char *change, const char *text)
{
	log_info("reload_pipeline", LOG_STR("pipeline", name),
	    LOG_STR("change", change), LOG_STR("text", text));
}

static void
note_downstream(const char *name, const char *change)
{
	log_info("reload_downstream", LOG_STR("downstream", name),
	    LOG_STR("change", change));
}

static void
on_idle(void *arg, struct downstream *downstream)
{
	struct roster *r = arg;
	size_t i = 0;

	while (r->retired[i] != downstream)
		i++;
	r->retired[i] = r->retired[--r->retired_count];
	downstream_free(downstream);
}

static void
retire(struct roster *r, size_t i)
{
	struct downstream *downstream = r->downstreams[i];

	r->downstreams[i] = NULL;
	if (downstream == NULL)
		return;
	r->retired =
	    xrealloc(r->retired, (r->retired_count + 1) * sizeof(*r->retired));
	r->retired[r->retired_count++] = downstream;
	downstream_watch(downstream, NULL, NULL);
	downstream_retire(downstream, on_idle, r);
}

static size_t
find_downstream(const struct conf *conf, const char *name)
{
	size_t i = 0;

	while (i < conf->downstream_count &&
	    strcmp(conf->downstreams[i].name, name) != 0)
		i++;
	return i;
}

/* The downstream of that index in `conf`: the one that is there, or anew. */
static struct downstream *
follow_downstream(struct roster *r, const struct conf *conf, size_t i,
    struct roster_count *count)
{
	const struct conf_downstream *its = &conf->downstreams[i];
	size_t old = find_downstream(r->conf, its->name);
	unsigned concurrency = concurrency_of(conf, its);
	struct downstream *downstream;

	if (old == r->conf->downstream_count) {
		count->added++;
		note_downstream(its->name, "added");
		return make_downstream(r, conf, i);
	}
	if (conf_change_downstream(&r->conf->downstreams[old], its)) {
		count->changed++;
		note_downstream(its->name, "changed");
	} else {
		count->unchanged++;
		downstream = r->downstreams[old];
		if (downstream != NULL && concurrency > 0) {
			r->downstreams[old] = NULL;
			downstream_limit(downstream, concurrency);
			return downstream;
		}
	}
	/* The new one takes over the name's gauges. */
	retire(r, old);
	return make_downstream(r, conf, i);
}

static struct downstream **
follow_downstreams(struct roster *r, const struct conf *conf,
    struct roster_count *count)
{
	struct downstream **downstreams =
	    xcalloc(conf->downstream_count, sizeof(*downstreams));

	for (size_t i = 0; i < conf->downstream_count; i++)
		downstreams[i] = follow_downstream(r, conf, i, count);
	for (size_t i = 0; i < r->conf->downstream_count; i++) {
		const char *name = r->conf->downstreams[i].name;

		if (find_downstream(conf, name) < conf->downstream_count)
			continue;
		count->removed++;
		note_downstream(name, "removed");
		retire(r, i);
	}
	return downstreams;
}

static struct pipeline *
take_pipeline(struct pipeline **pipelines, const struct conf *conf,
    const char *name)
{
	for (size_t i = 0; i < conf->pipeline_count; i++) {
		struct pipeline *p = pipelines[i];

		if (p == NULL || strcmp(conf->pipelines[i].name, name) != 0)
			continue;
		pipelines[i] = NULL;
		return p;
	}
	return NULL;
}

static void
leave(struct roster *r, struct pipeline *p, struct roster_count *count)
{
	count->removed++;
	note_pipeline(pipeline_conf(p)->name, "removed",
	    "it drains; what waits on its ladder comes back to its queue");
	r->leaving =
	    xrealloc(r->leaving, (r->leaving_count + 1) * sizeof(*r->leaving));
	r->leaving[r->leaving_count++] = p;
	pipeline_drain(p);
}

/* `r` is the new configuration's already, but for its pipelines. */
static void
follow_pipelines(struct roster *r, const struct conf *former,
    struct roster_count *count)
{
	struct pipeline **pipelines = r->pipelines;

	r->pipelines = xcalloc(r->conf->pipeline_count, sizeof(*pipelines));
	for (size_t i = 0; i < r->conf->pipeline_count; i++) {
		const struct conf_pipeline *conf = &r->conf->pipelines[i];
		struct pipeline *p =
		    take_pipeline(pipelines, former, conf->name);

		if (p == NULL) {
			count->added++;
			note_pipeline(conf->name, "added", NULL);
			continue;
		}
		if (conf_change_pipeline(pipeline_conf(p), conf)) {
			count->changed++;
			note_pipeline(conf->name, "changed", NULL);
		} else
			count->unchanged++;
		pipeline_follow(p, r->conf, conf, downstream_of(r, conf));
		r->pipelines[i] = p;
	}
	for (size_t i = 0; i < former->pipeline_count; i++)
		if (pipelines[i] != NULL)
			leave(r, pipelines[i], count);
	free(pipelines);
}

void
roster_follow(struct roster *r, const struct conf *conf,
    struct roster_change *change)
{
	const struct conf *former = r->conf;
	struct downstream **downstreams;

	assert(!r->settling);
	*change = (struct roster_change){ 0 };
	r->settling = true;
	downstreams = follow_downstreams(r, conf, &change->downstreams);
	free(r->downstreams);
	r->downstreams = downstreams;
	r->conf = conf;
	follow_pipelines(r, former, &change->pipelines);
	loop_timer_start(loop_of(r), r->leave_timer,
	    conf->consumer.drain_timeout_ms);
	loop_defer(loop_of(r), &r->turn);
}

/* For all of them. */

void
roster_connect(struct roster *r, struct rmq_conn *conn)
{
	r->conn = conn;
	for (size_t i = 0; i < r->conf->pipeline_count; i++)
		if (r->pipelines[i] != NULL)
			pipeline_connect(r->pipelines[i], conn);
}

void
roster_disconnect(struct roster *r)
{
	r->conn = NULL;
	for (size_t i = 0; i < r->conf->pipeline_count; i++)
		if (r->pipelines[i] != NULL)
			pipeline_disconnect(r->pipelines[i]);
	for (size_t i = 0; i < r->leaving_count; i++)
		pipeline_disconnect(r->leaving[i]);
}

void
roster_drain(struct roster *r)
{
	r->draining = true;
	for (size_t i = 0; i < r->conf->pipeline_count; i++)
		if (r->pipelines[i] != NULL)
			pipeline_drain(r->pipelines[i]);
}

void
roster_abort(struct roster *r)
{
	for (size_t i = 0; i < r->conf->pipeline_count; i++)
		if (r->pipelines[i] != NULL)
			pipeline_abort(r->pipelines[i]);
	for (size_t i = 0; i < r->leaving_count; i++)
		pipeline_abort(r->leaving[i]);
}

bool
roster_is_stopped(const struct roster *r)
{
	for (size_t i = 0; i < r->conf->pipeline_count; i++)
		if (r->pipelines[i] != NULL &&
		    !pipeline_is_stopped(r->pipelines[i]))
			return false;
	for (size_t i = 0; i < r->leaving_count; i++)
		if (!pipeline_is_stopped(r->leaving[i]))
			return false;
	return true;
}

bool
roster_is_well(const struct roster *r, struct buf *why)
{
	for (size_t i = 0; i < r->conf->pipeline_count; i++) {
		if (r->pipelines[i] != NULL) {
			if (!pipeline_is_well(r->pipelines[i], why))
				return false;
			continue;
		}
		if (why != NULL)
			buf_printf(why,
			    "pipeline %s: waits until queue %s is free",
			    r->conf->pipelines[i].name,
			    r->conf->pipelines[i].queue);
		return false;
	}
	return true;
}

void
roster_trial(struct roster *r)
{
	for (size_t i = 0; i < r->conf->pipeline_count; i++)
		if (r->pipelines[i] != NULL)
			pipeline_trial(r->pipelines[i]);
	for (size_t i = 0; i < r->leaving_count; i++)
		pipeline_trial(r->leaving[i]);
}

void
roster_gauge(struct roster *r)
{
	for (size_t i = 0; i < r->conf->pipeline_count; i++)
		if (r->pipelines[i] != NULL)
			pipeline_gauge(r->pipelines[i]);
	for (size_t i = 0; i < r->leaving_count; i++)
		pipeline_gauge(r->leaving[i]);
}

void
roster_tell_breakers(struct roster *r)
{
	for (size_t i = 0; i < r->conf->downstream_count; i++)
		if (r->downstreams[i] != NULL)
			events_breaker(r->env.events, r->downstreams[i], NULL);
}
