/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/job_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amqp/message.h"
#include "config/conf.h"
#include "dlx/topology.h"
#include "lib/backoff.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/xalloc.h"
#include "redrive/job_env.h"
#include "redrive/mover.h"
#include "redrive/rate.h"
#include "redrive/scan.h"
#include "redrive/sift.h"
#include "redrive/stash.h"
#include "redrive/tally.h"
#include "redrive/watch.h"

/* Reply codes after which the same queue need not be tried again. */
#define ACCESS_REFUSED 403
#define NOT_FOUND      404

/*
 * The broker needs about as long for an ack as for a confirm; when it is
 * busy, some rounds of them.
 */
#define REST_CONFIRMS 10
#define REST_MIN_MS   100
#define REST_MAX_MS   5000

/* How long a window is held for the canary's verdicts. */
#define PATIENCE_MS 5000

/* What was given back so long ago others may have touched. */
#define KNOWN_MS 1000

/* Between looks for what a lost daemon may still hold. */
#define UNSURE_LOOK_MS 1000

/* Between passes that broke, so that a sick queue is not hammered. */
static const struct backoff broken_backoff = { 1000, 2, 60000, 0 };

static const char *
job_state_name(enum job_state state)
{
	static const char *const names[] = { "waiting", "scanning", "settling",
		"giving_back", "ended" };

	return names[state];
}

/* Legal moves: see job.h. */
static void
job_enter(struct job *job, enum job_state to)
{
	static const unsigned legal[] = {
		[JOB_WAITING] = 1u << JOB_SCANNING | 1u << JOB_ENDED,
		[JOB_SCANNING] = 1u << JOB_SETTLING | 1u << JOB_GIVING_BACK,
		[JOB_SETTLING] = 1u << JOB_GIVING_BACK,
		[JOB_GIVING_BACK] = 1u << JOB_WAITING | 1u << JOB_ENDED,
		[JOB_ENDED] = 0,
	};

	log_debug("job_state", LOG_STR("pipeline", job->options.conf->name),
	    LOG_STR("job", job->report.id),
	    LOG_STR("from", job_state_name(job->state)),
	    LOG_STR("to", job_state_name(to)));
	if ((legal[job->state] & 1u << to) == 0)
		abort();
	job->state = to;
	loop_timer_stop(job->loop, job->timer);
	loop_timer_stop(job->loop, job->patience);
	loop_defer(job->loop, &job->tell);
}

/* Letters that it may still take, beside those in the mover's hands. */
static bool
may_take(const struct job *job)
{
	const struct job_order *order = &job->options.order;
	uint64_t taken = order->census != NULL ? sift_would_move(&job->sift)
					       : report_moved(&job->report) +
		job->report.unknown + mover_pending(job->mover);

	return order->max == 0 || taken < order->max;
}

static bool
wants_letters(const struct job *job)
{
	return job->pass.looking ||
	    (mover_has_room(job->mover) && may_take(job));
}

static void
on_letter(void *arg, struct chain_ref ref, struct rmq_message *message,
    bool redelivered)
{
	struct job *job = arg;
	struct mover_letter letter = { message, ref, redelivered,
		ACTION_REDRIVE };

	/* Settling: it was on its way, and goes back. */
	if (job->state != JOB_SCANNING) {
		rmq_message_free(message);
		return;
	}
	if (sift_letter(&job->sift, message, redelivered, may_take(job),
		&letter.action))
		mover_add(job->mover, &letter);
	else
		rmq_message_free(message);
	scan_pull(job->scan, wants_letters(job));
}

static void
on_end(void *arg)
{
	struct job *job = arg;

	job->pass.over = true;
	loop_defer(job->loop, &job->task);
	loop_defer(job->loop, &job->tell);
}

static void
on_lost(void *arg, const struct rmq_close *why)
{
	struct job *job = arg;

	log_warn("job_interrupted",
	    LOG_STR("pipeline", job->options.conf->name),
	    LOG_STR("job", job->report.id),
	    LOG_STR("why", rmq_fault_name(why->fault)),
	    LOG_INT("code", why->code), LOG_STR("text", why->text));
	if (why->code == NOT_FOUND || why->code == ACCESS_REFUSED)
		report_set_end(&job->report, JOB_PARTIAL, why->text);
	if (job->report.end != JOB_UNDER_WAY)
		job->report.code = why->code;
	job->pass.release = true;
	job->pass.broken = true;
	loop_defer(job->loop, &job->task);
}

static void pass_done(struct job *);

static void
on_closed(void *arg)
{
	pass_done(arg);
}

static void
on_moved(void *arg, struct chain_ref ref, enum action action)
{
	struct job *job = arg;

	job->report.moved[action]++;
	if (action == ACTION_REDRIVE)
		metrics_inc(job->options.tally->redriven);
	else if (action == ACTION_PARK &&
	    job->options.order.action == ACTION_REDRIVE)
		metrics_inc(job->options.tally->parked);
	job->pass.moved++;
	scan_ack(job->scan, ref);
	if (report_moved(&job->report) == job->options.order.max)
		report_set_end(&job->report, JOB_COMPLETE,
		    "as many as asked for");
}

static void
on_refused(void *arg, const char *why)
{
	struct job *job = arg;

	(void)why; /* the mover has said it, with the letter's id */
	job->report.refused++;
}

static void
on_stuck(void *arg, const char *why)
{
	struct job *job = arg;

	report_set_end(&job->report, JOB_PARTIAL, why);
	mover_drain(job->mover);
}

static void
on_progress(void *arg)
{
	struct job *job = arg;

	loop_defer(job->loop, &job->task);
}

static void
start_pass(struct job *job)
{
	static const struct scan_cbs cbs = { on_letter, on_end, on_lost,
		on_closed };
	const struct scan_options options = {
		.queue = action_source(job->options.order.action,
		    job->options.names),
		.prefetch = job->options.env->scan_prefetch,
		.channel_bytes = job->options.env->stash->limit / 4,
		.known = job->known_ms > 0 &&
			loop_now_ms(job->loop) < job->known_ms + KNOWN_MS
		    ? (int64_t)job->given_back
		    : -1,
	};

	job_enter(job, JOB_SCANNING);
	job->pass = (struct pass){ 0 };
	job->pass.looking =
	    job->watch != NULL && watch_state(job->watch) == CANARY_LOOKING;
	job->report.passes++;
	job->report.refused = 0;
	sift_restart(&job->sift, job->pass.looking);
	mover_restart(job->mover);
	job->scan = scan_new(job->loop, job->conn, &options, &cbs, job);
	loop_timer_start(job->loop, job->timer, job->options.env->hold_max_ms);
}

/* To hurry costs the order: only who stops is in a hurry. */
static void
limit_giving_back(struct job *job)
{
	loop_timer_start(job->loop, job->timer,
	    job->draining ? job->options.env->settle_ms
			  : job->options.env->hold_max_ms);
}

static void
give_back(struct job *job)
{
	int64_t rest_ms = REST_CONFIRMS * mover_slowest_ms(job->mover);

	if (rest_ms < REST_MIN_MS)
		rest_ms = REST_MIN_MS;
	else if (rest_ms > REST_MAX_MS)
		rest_ms = REST_MAX_MS;
	job_enter(job, JOB_GIVING_BACK);
	limit_giving_back(job);
	scan_close(job->scan, rest_ms);
}

static void
settle(struct job *job)
{
	job_enter(job, JOB_SETTLING);
	scan_pull(job->scan, false);
	mover_drain(job->mover);
	loop_timer_start(job->loop, job->timer, job->options.env->settle_ms);
	loop_defer(job->loop, &job->task);
}

static void
finish(struct job *job)
{
	struct job_report r;

	job_enter(job, JOB_ENDED);
	job_report(job, &r);
	report_log(&r, job->options.conf->name);
	job->cbs->ended(job->arg);
}

/* What the watch says, after whatever may have changed its mind. */
static void
heed_watch(struct job *job)
{
	int64_t due_ms;

	if (job->watch == NULL)
		return;
	if (watch_state(job->watch) == CANARY_SPOILT)
		report_set_end(&job->report, JOB_ABORTED,
		    "too many failed again");
	else if (watch_state(job->watch) == CANARY_SILENT)
		report_set_end(&job->report, JOB_PARTIAL, "no verdicts");
	mover_wake(job->mover);
	due_ms = watch_due_ms(job->watch);
	if (due_ms == INT64_MAX)
		loop_timer_stop(job->loop, job->watch_timer);
	else
		loop_timer_start(job->loop, job->watch_timer,
		    due_ms - loop_now_ms(job->loop));
}

/* The canary's verdicts are awaited. */
static bool
is_waiting(const struct job *job)
{
	return job->watch != NULL && watch_state(job->watch) == CANARY_WAITING;
}

/* A lost daemon may hold letters that nobody sees: when to look again. */
static int64_t
unsure_ms(const struct job *job)
{
	int64_t left_ms =
	    job->options.order.unsure_until_ms - loop_now_ms(job->loop);

	if (job->pass.moved > 0 || left_ms <= 0)
		return 0;
	return left_ms < UNSURE_LOOK_MS ? left_ms : UNSURE_LOOK_MS;
}

/* Whether a pass that was not broken off leaves nothing to come back for. */
static void
judge_pass(struct job *job, bool cut)
{
	char why[REPORT_WHY_SPACE];

	if (job->pass.moved > 0 || job->pass.looking || unsure_ms(job) > 0)
		return;
	/* Not before it is known how those fare that were moved before. */
	if (job->watch != NULL && watch_state(job->watch) != CANARY_OPEN &&
	    watch_state(job->watch) != CANARY_SENDING)
		return;
	if (cut) {
		report_set_end(&job->report, JOB_PARTIAL,
		    "more dead letters than the connection's channels hold");
	} else if (job->report.refused > 0) {
		(void)snprintf(why, sizeof(why),
		    "the broker refuses %" PRIu64 " of them",
		    job->report.refused);
		report_set_end(&job->report, JOB_PARTIAL, why);
	} else {
		report_set_end(&job->report, JOB_COMPLETE, "");
	}
}

/* What it saw; and whether the next one would see only that again. */
static void
note_pass(struct job *job)
{
	job->report.twice += scan_orphans(job->scan);
	if (scan_is_known(job->scan)) {
		job->report.seen = job->given_back;
		sift_keep(&job->sift);
		return;
	}
	job->report.seen = scan_seen(job->scan);
	job->given_back = scan_left(job->scan);
	job->known_ms = 0;
	if (job->pass.over && !job->pass.release && !job->pass.looking &&
	    job->report.refused == 0 && !scan_is_cut(job->scan))
		job->known_ms = loop_now_ms(job->loop);
}

/* The window is given back: another pass, or the end. */
static void
pass_done(struct job *job)
{
	bool cut = scan_is_cut(job->scan);
	int64_t wait_ms = 0;

	note_pass(job);
	scan_free(job->scan);
	job->scan = NULL;
	job->broken = job->pass.broken ? job->broken + 1 : 0;
	if (job->broken > 0)
		wait_ms = backoff_delay_ms(&broken_backoff, job->broken, 0);
	else
		wait_ms = unsure_ms(job);
	if (job->pass.over && !job->pass.release) {
		if (job->pass.looking)
			watch_looked(job->watch);
		heed_watch(job);
		judge_pass(job, cut);
	}
	if (job->report.end != JOB_UNDER_WAY) {
		finish(job);
		return;
	}
	job_enter(job, JOB_WAITING);
	if (wait_ms > 0)
		loop_timer_start(job->loop, job->timer, wait_ms);
	loop_defer(job->loop, &job->task);
}

/* Memory is short, and this job holds some without making headway. */
static bool
in_the_way(const struct job *job)
{
	return job->options.env->stash->over && mover_is_stalled(job->mover);
}

static bool
may_start_pass(const struct job *job)
{
	return job->conn != NULL && job->paused == 0 && !job->yields &&
	    !is_waiting(job) && !mover_must_wait(job->mover) &&
	    !loop_timer_pending(job->loop, job->timer);
}

/* All has been seen, and what was taken is moved. */
static void
pass_over(struct job *job)
{
	if (job->watch != NULL && !job->pass.looking)
		watch_exhausted(job->watch);
	give_back(job);
}

static void
step_scanning(struct job *job)
{
	bool look = job->watch != NULL &&
	    watch_state(job->watch) == CANARY_LOOKING && !job->pass.looking;

	if (job->report.end != JOB_UNDER_WAY || job->pass.release || look ||
	    job->yields || in_the_way(job)) {
		job->pass.release = true;
		settle(job);
	} else if (job->pass.over && mover_is_idle(job->mover)) {
		pass_over(job);
	} else {
		scan_pull(job->scan, wants_letters(job));
		if (!is_waiting(job))
			loop_timer_stop(job->loop, job->patience);
		else if (!loop_timer_pending(job->loop, job->patience))
			loop_timer_start(job->loop, job->patience, PATIENCE_MS);
	}
}

static void
step(void *arg)
{
	struct job *job = arg;

	heed_watch(job);
	switch (job->state) {
	case JOB_WAITING:
		if (job->report.end != JOB_UNDER_WAY)
			finish(job);
		else if (may_start_pass(job))
			start_pass(job);
		return;
	case JOB_SCANNING:
		step_scanning(job);
		return;
	case JOB_SETTLING:
		if (mover_is_idle(job->mover))
			give_back(job);
		return;
	case JOB_GIVING_BACK:
	case JOB_ENDED:
		return;
	}
}

/* The window has been held as long as it may be. */
static void
held_too_long(struct job *job)
{
	log_info("job_window_given_back",
	    LOG_STR("pipeline", job->options.conf->name),
	    LOG_STR("job", job->report.id),
	    LOG_UINT("held", scan_held(job->scan)));
	/* Nothing to wait for, and nothing done: another pass is the same. */
	if (job->pass.moved == 0 && mover_is_idle(job->mover) &&
	    !mover_is_stalled(job->mover) && job->known_ms == 0)
		report_set_end(&job->report, JOB_PARTIAL,
		    scan_seen(job->scan) == 0
			? "the dead-letter queue delivers nothing"
			: "one pass takes longer than hold_max");
	job->pass.release = true;
}

static void
on_timer(void *arg)
{
	struct job *job = arg;

	if (job->state == JOB_SCANNING)
		held_too_long(job);
	else if (job->state == JOB_SETTLING)
		job->report.unknown += mover_forget(job->mover);
	else if (job->state == JOB_GIVING_BACK)
		scan_hurry(job->scan);
	step(job);
}

/* The verdicts take their time: others want to see the queue too. */
static void
on_patience(void *arg)
{
	struct job *job = arg;

	job->pass.release = true;
	step(job);
}

static void
on_watch_timer(void *arg)
{
	struct job *job = arg;

	watch_tick(job->watch);
	step(job);
}

static void
tell(void *arg)
{
	struct job *job = arg;

	job->cbs->changed(job->arg);
}

static struct watch *
make_watch(const struct job_options *options, const char *id)
{
	const struct job_order *order = &options->order;
	const struct conf_redrive *conf = &options->conf->redrive;
	const struct watch_options watch = {
		.loop = options->env->loop,
		.pipeline = options->conf->name,
		.job = id,
		.conf = conf,
		.rate = order->rate > 0 ? order->rate : conf->rate,
		.canary = order->has_canary ? order->canary : conf->canary,
		.failed_again = options->tally->failed_again,
	};

	if (order->action != ACTION_REDRIVE || order->census != NULL)
		return NULL;
	return watch_new(&watch);
}

static void
set_up(struct job *job)
{
	static const struct mover_cbs cbs = { on_moved, on_refused, on_stuck,
		on_progress };
	const struct job_options *options = &job->options;
	const struct job_order *order = &options->order;
	int64_t wall_ms = loop_wall_ms(job->loop);
	struct mover_options mover = { options->env, options->conf,
		options->names, job->report.id, order->rate, NULL };

	if (order->id != NULL)
		(void)snprintf(job->report.id, sizeof(job->report.id), "%s",
		    order->id);
	else
		report_make_id(&job->report, wall_ms, loop_random(job->loop));
	job->report.action = order->action;
	job->watch = make_watch(options, job->report.id);
	job->sift = (struct sift){
		.env = options->env,
		.work_queue = options->conf->queue,
		.judge = { order->action, order->filter, job->report.id,
		    order->snapshot_ms != 0 ? order->snapshot_ms : wall_ms,
		    order->force ? UINT32_MAX
				 : options->conf->redrive.max_redrives },
		.census = order->census,
		.watch = job->watch,
	};
	mover.watch = job->watch;
	if (job->watch != NULL)
		mover.rate = watch_rate(job->watch);
	else if (order->rate == 0)
		mover.rate = RATE_UNLIMITED;
	job->mover = mover_new(&mover, &cbs, job);
}

struct job *
job_new(const struct job_options *options, const struct job_cbs *cbs, void *arg)
{
	struct job *job = xcalloc(1, sizeof(*job));

	job->options = *options;
	job->cbs = cbs;
	job->arg = arg;
	job->loop = options->env->loop;
	job->started_ms = loop_now_ms(job->loop);
	job->timer = loop_timer_new(job->loop, on_timer, job);
	job->patience = loop_timer_new(job->loop, on_patience, job);
	job->watch_timer = loop_timer_new(job->loop, on_watch_timer, job);
	loop_task_init(&job->task, step, job);
	loop_task_init(&job->tell, tell, job);
	set_up(job);
	log_info("job_started", LOG_STR("pipeline", options->conf->name),
	    LOG_STR("job", job->report.id),
	    LOG_STR("action", action_name(options->order.action)),
	    LOG_STR("trigger", options->trigger),
	    LOG_STR("queue",
		action_source(options->order.action, options->names)),
	    LOG_BOOL("dry_run", options->order.census != NULL));
	job_hold_watch(job);
	return job;
}

void
job_free(struct job *job)
{
	if (job == NULL)
		return;
	scan_free(job->scan);
	mover_free(job->mover);
	watch_free(job->watch);
	loop_timer_free(job->loop, job->timer);
	loop_timer_free(job->loop, job->patience);
	loop_timer_free(job->loop, job->watch_timer);
	loop_undefer(job->loop, &job->task);
	loop_undefer(job->loop, &job->tell);
	free(job);
}

void
job_link(struct job *job, struct rmq_conn *conn)
{
	job->conn = conn;
	if (conn == NULL && job->scan != NULL) {
		scan_detach(job->scan);
		/* No ack can follow: what is still unsent need not go. */
		job->report.unknown += mover_forget(job->mover);
		job->pass.release = true;
		/* The link has its own backoff. */
		job->pass.broken = false;
	}
	job_hold_watch(job);
	loop_defer(job->loop, &job->task);
}

void
job_heard(struct job *job, const struct news *news)
{
	if (job->watch == NULL)
		return;
	watch_heard(job->watch, news);
	loop_defer(job->loop, &job->task);
}

void
job_stop(struct job *job, enum job_end end, const char *why)
{
	report_set_end(&job->report, end, why);
	/* At once, not only at the end of the turn. */
	mover_hold(job->mover, true);
	loop_defer(job->loop, &job->task);
}

void
job_drain(struct job *job, enum job_end end, const char *why)
{
	job->draining = true;
	if (job->state == JOB_GIVING_BACK)
		limit_giving_back(job);
	job_stop(job, end, why);
}

void
job_relieve(struct job *job)
{
	loop_defer(job->loop, &job->task);
}

struct watch *
job_take_watch(struct job *job)
{
	struct watch *watch = job->watch;

	/* It counts, and says no more how fast to go. */
	if (watch != NULL)
		watch_hold(watch, true);
	job->watch = NULL;
	return watch;
}
