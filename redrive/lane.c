/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/lane.h"

#include <stdlib.h>

#include "config/conf.h"
#include "dlx/topology.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/xalloc.h"
#include "redrive/depth.h"
#include "redrive/job_env.h"
#include "redrive/limit.h"
#include "redrive/looks.h"
#include "redrive/tally.h"
#include "redrive/trigger.h"
#include "redrive/watch.h"

/* A job that moves something is not interrupted again for so long. */
#define YIELD_EVERY_MS 5000
/* Looks that come while others are under way do not hold it up for longer. */
#define YIELD_MAX_MS 30000

/* The broker's reply code for a queue that is gone. */
#define NOT_FOUND 404

struct lane {
	struct lane_options options;
	const struct conf_pipeline *conf;
	const struct lane_cbs *cbs;
	void *arg;
	struct loop *loop;
	struct topology_pipeline_names names;
	struct tally_pipeline tally;
	struct trigger trigger;
	struct loop_timer *timer; /* the trigger's */
	/* NULL: nobody watches. */
	struct depth *depth, *parked_depth, *archive_depth;
	int64_t dead, parked, archived; /* letters; -1: unknown */
	struct looks looks;
	struct rmq_conn *conn; /* NULL: none */
	struct job *job;       /* NULL: none */
	/* Of the last job: what it moved may still fail. NULL: none. */
	struct watch *watch;
	bool breaker_open;
	struct limit *limit; /* NULL: nobody can be asked */
	struct loop_timer *limit_timer;
	bool said_limit;    /* see say_limit */
	bool yielding;	    /* the job makes room for looks */
	int64_t yielded_ms; /* since when, or until when; monotonic */
	bool automatic;	    /* ... of a trigger */
	unsigned asked;	    /* trigger's reasons for a job that has not begun */
	bool enabled;
	bool healthy;
	int64_t healthy_since_ms; /* wall clock */
	double progress;
	int64_t oldest_ms; /* when the oldest died; 0: there is none */
	bool alerted;
	unsigned refused; /* reply code that ended the last job; or 0 */
};

static void consider(void *);

static void
hold_depths(struct lane *lane, bool dead, bool others)
{
	if (lane->depth == NULL)
		return;
	depth_hold(lane->depth, dead);
	depth_hold(lane->parked_depth, others);
	depth_hold(lane->archive_depth, others);
}

static void
job_changed(void *arg)
{
	struct lane *lane = arg;
	bool looking = looks_are_busy(&lane->looks);

	looks_hold(&lane->looks,
	    lane->job != NULL &&
		(!lane->yielding || job_has_window(lane->job)));
	hold_depths(lane,
	    looking || (lane->job != NULL && job_is_shifting(lane->job)),
	    looking);
}

/* A job that came meanwhile may begin. */
static void
looks_changed(void *arg)
{
	struct lane *lane = arg;

	if (lane->yielding && !looks_are_wanted(&lane->looks)) {
		lane->yielding = false;
		lane->yielded_ms = loop_now_ms(lane->loop);
		job_yield(lane->job, false);
	}
	job_changed(lane);
	if (lane->job != NULL && !looks_are_busy(&lane->looks))
		job_link(lane->job, lane->conn);
	consider(lane);
	if (!looks_are_busy(&lane->looks))
		lane->cbs->looked(lane->arg);
}

static void
job_ended(void *arg)
{
	struct lane *lane = arg;
	struct job_report report;

	job_report(lane->job, &report);
	if (action_source(report.action, &lane->names) == lane->names.dead)
		lane->dead = (int64_t)job_given_back(lane->job);
	lane->watch = job_take_watch(lane->job);
	job_free(lane->job);
	lane->job = NULL;
	lane->yielding = false;
	if (lane->limit != NULL)
		limit_cancel(lane->limit);
	loop_timer_stop(lane->loop, lane->limit_timer);
	lane->progress = report.progress;
	lane->refused = report.code;
	if (report.oldest_ms != 0)
		lane->oldest_ms = report.oldest_ms;
	if (lane->automatic)
		trigger_ended(&lane->trigger, loop_now_ms(lane->loop));
	/* The broker has yet to count what the job gives back. */
	hold_depths(lane, true, true);
	job_changed(lane);
	lane->cbs->ended(lane->arg, lane, &report);
	consider(lane);
}

/*
 * A work queue with a length limit that drops its oldest messages confirms
 * what is redriven and drops what waits there. Who may not be asked whether
 * it does leaves that to the operator.
 */
static void
say_limit(struct lane *lane, const char *why)
{
	if (lane->said_limit)
		return;
	lane->said_limit = true;
	log_info("work_queue_limit_unknown",
	    LOG_STR("pipeline", lane->conf->name),
	    LOG_STR("queue", lane->names.work), LOG_STR("why", why),
	    LOG_STR("hint", "dlo topology check sees limits that drop"));
}

static void
ask_limit(void *arg)
{
	struct lane *lane = arg;

	if (lane->job != NULL)
		limit_ask(lane->limit);
}

static void
on_limit(void *arg, enum limit_answer answer, const char *why)
{
	struct lane *lane = arg;

	if (answer == LIMIT_UNKNOWN)
		say_limit(lane, why);
	if (lane->job == NULL)
		return;
	if (answer == LIMIT_DROPS)
		job_stop(lane->job, JOB_PARTIAL,
		    "a full work queue would drop messages (or --force)");
	job_resume(lane->job, JOB_PAUSE_LIMIT);
	loop_timer_start(lane->loop, lane->limit_timer, LIMIT_EVERY_MS);
}

/* The job that is about to run stands until it is known. */
static void
check_limit(struct lane *lane, const struct job_order *order)
{
	if (order->force || order->action != ACTION_REDRIVE ||
	    order->census != NULL)
		return;
	if (lane->limit != NULL) {
		job_pause(lane->job, JOB_PAUSE_LIMIT,
		    "whether the work queue drops messages is asked");
		limit_ask(lane->limit);
	} else if (!lane->conf->declare) {
		say_limit(lane, "there is no management API to ask");
	}
}

/* Is a job to start now, and if not, when is that to be asked again? */
static void
consider(void *arg)
{
	struct lane *lane = arg;
	int64_t now_ms = loop_now_ms(lane->loop);
	int64_t wall_ms = loop_wall_ms(lane->loop);
	int64_t due_ms;
	unsigned reasons;

	if (lane->conn == NULL || lane->job != NULL ||
	    looks_are_busy(&lane->looks))
		return;
	reasons = trigger_take(&lane->trigger, now_ms, wall_ms);
	if (reasons != 0) {
		if (lane->cbs->fired(lane->arg, lane, trigger_name(reasons)))
			lane->asked = reasons;
		else
			trigger_put_back(&lane->trigger, reasons);
		return;
	}
	due_ms = trigger_due_ms(&lane->trigger, now_ms, wall_ms);
	if (due_ms != INT64_MAX)
		loop_timer_start(lane->loop, lane->timer, due_ms - now_ms);
}

/* Says once that there are too many, and once that there no longer are. */
static void
alert(struct lane *lane, uint64_t count)
{
	uint32_t limit = lane->conf->dead_letter.alert_above;

	if ((count > limit) == lane->alerted)
		return;
	lane->alerted = count > limit;
	log_event(lane->alerted ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
	    lane->alerted ? "dead_letters_above" : "dead_letters_below",
	    LOG_STR("pipeline", lane->conf->name),
	    LOG_STR("queue", lane->names.dead), LOG_UINT("count", count),
	    LOG_UINT("alert_above", limit));
}

static void
counted(struct lane *lane)
{
	if (!lane_is_counting(lane))
		lane->cbs->counted(lane->arg, lane);
}

static void
note_depth(struct lane *lane, int64_t ready)
{
	uint64_t count;

	if (lane->refused == NOT_FOUND)
		lane->refused = 0;
	count = (uint64_t)ready;
	if (lane->job != NULL)
		count += job_held(lane->job);
	lane->dead = (int64_t)count;
	tally_depth(&lane->tally, (double)count);
	if (count == 0)
		lane->oldest_ms = 0;
	else if (lane->oldest_ms == 0)
		lane->oldest_ms = loop_wall_ms(lane->loop);
	alert(lane, count);
}

static void
on_depth(void *arg, int64_t ready)
{
	struct lane *lane = arg;

	if (ready >= 0)
		note_depth(lane, ready);
	counted(lane);
}

static void
on_parked_depth(void *arg, int64_t ready)
{
	struct lane *lane = arg;

	lane->parked = ready;
	counted(lane);
}

static void
on_archive_depth(void *arg, int64_t ready)
{
	struct lane *lane = arg;

	lane->archived = ready;
	counted(lane);
}

static void
watch_depths(struct lane *lane)
{
	lane->depth = depth_new(lane->loop, lane->names.dead, on_depth, lane);
	lane->parked_depth =
	    depth_new(lane->loop, lane->names.parked, on_parked_depth, lane);
	lane->archive_depth =
	    depth_new(lane->loop, lane->names.archive, on_archive_depth, lane);
}

struct lane *
lane_new(const struct lane_options *options, const struct lane_cbs *cbs,
    void *arg)
{
	struct lane *lane = xcalloc(1, sizeof(*lane));

	lane->options = *options;
	lane->conf = options->pipeline;
	lane->cbs = cbs;
	lane->arg = arg;
	lane->loop = options->env->loop;
	topology_pipeline_names_init(&lane->names, options->conf,
	    options->pipeline);
	tally_pipeline_init(&lane->tally, options->tally, lane->conf->name);
	trigger_init(&lane->trigger, &lane->conf->redrive,
	    loop_now_ms(lane->loop));
	lane->timer = loop_timer_new(lane->loop, consider, lane);
	lane->limit = limit_new(lane->loop,
	    conf_broker_for(options->conf, CONF_ROLE_REDRIVE), lane->names.work,
	    on_limit, lane);
	lane->limit_timer = loop_timer_new(lane->loop, ask_limit, lane);
	lane->dead = lane->parked = lane->archived = -1;
	looks_init(&lane->looks, looks_changed, lane);
	if (options->watches)
		watch_depths(lane);
	return lane;
}

void
lane_free(struct lane *lane)
{
	if (lane == NULL)
		return;
	job_free(lane->job);
	watch_free(lane->watch);
	looks_clear(&lane->looks);
	depth_free(lane->depth);
	depth_free(lane->parked_depth);
	depth_free(lane->archive_depth);
	limit_free(lane->limit);
	loop_timer_free(lane->loop, lane->limit_timer);
	loop_timer_free(lane->loop, lane->timer);
	tally_pipeline_clear(&lane->tally);
	topology_pipeline_names_clear(&lane->names);
	free(lane);
}

const struct conf_pipeline *
lane_pipeline(const struct lane *lane)
{
	return lane->conf;
}

/* A daemon that stands by does not see what the active one holds. */
static void
link_depth(struct lane *lane)
{
	struct rmq_conn *conn = lane->enabled ? lane->conn : NULL;

	if (lane->depth == NULL)
		return;
	depth_link(lane->depth, conn);
	depth_link(lane->parked_depth, conn);
	depth_link(lane->archive_depth, conn);
}

void
lane_link(struct lane *lane, struct rmq_conn *conn)
{
	lane->conn = conn;
	link_depth(lane);
	looks_link(&lane->looks, conn);
	if (lane->job != NULL &&
	    (conn == NULL || !looks_are_busy(&lane->looks)))
		job_link(lane->job, conn);
	consider(lane);
}

void
lane_health(struct lane *lane, bool healthy)
{
	trigger_health(&lane->trigger, healthy);
	if (healthy && !lane->healthy)
		lane->healthy_since_ms = loop_wall_ms(lane->loop);
	lane->healthy = healthy;
	if (lane->job != NULL && healthy)
		job_resume(lane->job, JOB_PAUSE_PROBE);
	else if (lane->job != NULL)
		job_pause(lane->job, JOB_PAUSE_PROBE,
		    "the downstream is not healthy");
	consider(lane);
}

void
lane_breaker(struct lane *lane, bool open)
{
	lane->breaker_open = open;
	if (lane->job != NULL && open)
		job_pause(lane->job, JOB_PAUSE_BREAKER,
		    "the downstream's breaker is open");
	else if (lane->job != NULL)
		job_resume(lane->job, JOB_PAUSE_BREAKER);
}

void
lane_heard(struct lane *lane, const struct news *news)
{
	if (lane->job != NULL)
		job_heard(lane->job, news);
	else if (lane->watch != NULL)
		watch_heard(lane->watch, news);
}

void
lane_enable(struct lane *lane, int64_t last_job_ms)
{
	lane->enabled = true;
	trigger_enable(&lane->trigger, loop_now_ms(lane->loop),
	    loop_wall_ms(lane->loop),
	    last_job_ms != 0 && last_job_ms >= lane->healthy_since_ms);
	link_depth(lane);
	consider(lane);
}

void
lane_disable(struct lane *lane)
{
	lane->enabled = false;
	/* A job that has not begun may have got lost. */
	trigger_put_back(&lane->trigger, lane->asked);
	lane->asked = 0;
	trigger_disable(&lane->trigger);
	loop_timer_stop(lane->loop, lane->timer);
	if (lane->limit != NULL)
		limit_cancel(lane->limit);
	loop_timer_stop(lane->loop, lane->limit_timer);
	job_free(lane->job);
	lane->job = NULL;
	lane->yielding = false;
	job_changed(lane);
	link_depth(lane);
}

void
lane_nudge(struct lane *lane)
{
	consider(lane);
}

void
lane_run(struct lane *lane, const struct lane_run *run)
{
	static const struct job_cbs cbs = { job_changed, job_ended };
	struct job_options options = {
		.env = lane->options.env,
		.conf = lane->conf,
		.names = &lane->names,
		.order = run->order,
		.tally = &lane->tally,
		.trigger = run->trigger,
	};

	lane->automatic = run->automatic;
	if (run->automatic)
		lane->asked = 0;
	watch_free(lane->watch);
	lane->watch = NULL;
	lane->job = job_new(&options, &cbs, lane);
	check_limit(lane, &run->order);
	if (lane->breaker_open)
		lane_breaker(lane, true);
	if (run->automatic && !lane->healthy)
		job_pause(lane->job, JOB_PAUSE_PROBE,
		    "the downstream is not healthy");
	job_changed(lane);
	if (!looks_are_busy(&lane->looks))
		job_link(lane->job, lane->conn);
}

void
lane_hold(struct lane *lane, bool on, const char *why)
{
	if (lane->job != NULL && on)
		job_pause(lane->job, JOB_PAUSE_OPERATOR, why);
	else if (lane->job != NULL)
		job_resume(lane->job, JOB_PAUSE_OPERATOR);
}

void
lane_stop(struct lane *lane, enum job_end end, const char *why)
{
	if (lane->job != NULL)
		job_stop(lane->job, end, why);
}

void
lane_drain(struct lane *lane, enum job_end end, const char *why)
{
	looks_drain(&lane->looks);
	if (lane->job != NULL)
		job_drain(lane->job, end, why);
}

bool
lane_report(const struct lane *lane, struct job_report *report)
{
	if (lane->job == NULL)
		return false;
	job_report(lane->job, report);
	return true;
}

bool
lane_make_room(struct lane *lane)
{
	int64_t now_ms = loop_now_ms(lane->loop);

	if (lane->job == NULL)
		return true;
	if (lane->yielding)
		return now_ms - lane->yielded_ms < YIELD_MAX_MS;
	if (job_is_moving(lane->job) && lane->yielded_ms != 0 &&
	    now_ms - lane->yielded_ms < YIELD_EVERY_MS)
		return false;
	lane->yielding = true;
	lane->yielded_ms = now_ms;
	job_yield(lane->job, true);
	job_changed(lane);
	return true;
}

bool
lane_is_busy(const struct lane *lane)
{
	return lane->job != NULL || looks_are_busy(&lane->looks);
}

bool
lane_is_well(const struct lane *lane, struct buf *why)
{
	if (lane->refused == 0)
		return true;
	if (why != NULL)
		buf_printf(why, "the broker answers %u to reading %s",
		    lane->refused, lane->names.dead);
	return false;
}

void
lane_relieve(struct lane *lane)
{
	if (lane->job != NULL)
		job_relieve(lane->job);
}

void
lane_view(const struct lane *lane, struct lane_view *view)
{
	view->dead = lane->dead;
	if (lane->job != NULL && job_is_shifting(lane->job))
		view->dead = (int64_t)job_unmoved(lane->job);
	view->parked = lane->parked;
	view->archived = lane->archived;
	view->oldest_ms = lane->oldest_ms;
	view->breaker_open = lane->breaker_open;
}

bool
lane_recount(struct lane *lane)
{
	if (lane->depth == NULL)
		return false;
	depth_ask(lane->depth);
	depth_ask(lane->parked_depth);
	depth_ask(lane->archive_depth);
	return lane_is_counting(lane);
}

bool
lane_is_counting(const struct lane *lane)
{
	return lane->depth != NULL &&
	    (depth_is_asking(lane->depth) ||
		depth_is_asking(lane->parked_depth) ||
		depth_is_asking(lane->archive_depth));
}

const struct topology_pipeline_names *
lane_names(const struct lane *lane)
{
	return &lane->names;
}

struct looks *
lane_looks(struct lane *lane)
{
	return &lane->looks;
}

void
lane_refresh(struct lane *lane)
{
	struct job_report report;
	int64_t age_ms;

	if (lane->job != NULL) {
		job_report(lane->job, &report);
		lane->progress = report.progress;
		if (lane->depth != NULL && job_is_shifting(lane->job))
			tally_depth(&lane->tally,
			    (double)job_unmoved(lane->job));
	}
	metrics_set(lane->tally.progress, lane->progress);
	age_ms = lane->oldest_ms != 0
	    ? loop_wall_ms(lane->loop) - lane->oldest_ms
	    : 0;
	if (lane->depth != NULL)
		tally_oldest(&lane->tally,
		    age_ms > 0 ? (double)age_ms / 1000 : 0);
}
