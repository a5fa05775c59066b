/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/job.h"

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
#include "redrive/scan.h"
#include "redrive/stash.h"
#include "redrive/tally.h"

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

/* Between passes that broke, so that a sick queue is not hammered. */
static const struct backoff broken_backoff = { 1000, 2, 60000, 0 };

enum job_state {
	JOB_WAITING,	 /* without a window */
	JOB_SCANNING,	 /* a pass is under way */
	JOB_SETTLING,	 /* nothing more is pulled; verdicts are awaited */
	JOB_GIVING_BACK, /* the window's channels are being closed */
	JOB_ENDED,
};

/* What is of one pass only. */
struct pass {
	uint64_t moved;
	bool over;    /* all that was there has been seen */
	bool release; /* the window is to be given back before that */
	bool broken;  /* ... because a channel or the connection went */
};

struct job {
	struct job_options options;
	const struct job_cbs *cbs;
	void *arg;
	struct loop *loop;
	enum job_state state;
	struct judge judge;
	struct rmq_conn *conn; /* NULL: none */
	struct scan *scan;     /* NULL: no window */
	struct mover *mover;
	/* The retry's while waiting, then hold_max's, then the settling's. */
	struct loop_timer *timer;
	struct loop_task task; /* step */
	struct loop_task tell; /* the owner, of a change */
	bool paused;
	unsigned broken; /* passes in a row */
	uint64_t given_back;
	int64_t started_ms; /* monotonic */
	struct pass pass;
	struct job_report report;
};

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
	loop_defer(job->loop, &job->tell);
}

static void
note_stay(struct job *job, const struct envelope *e)
{
	int64_t since_ms = envelope_dead_since_ms(e);

	if (since_ms > 0 &&
	    (job->report.oldest_ms == 0 || since_ms < job->report.oldest_ms))
		job->report.oldest_ms = since_ms;
}

static void
on_letter(void *arg, struct chain_ref ref, struct rmq_message *message,
    bool redelivered)
{
	struct job *job = arg;
	const struct envelope_origin origin = {
		.queue = job->options.conf->queue,
		.dead = true,
		.redelivered = redelivered,
	};
	struct envelope e;
	enum judge_verdict verdict;

	/* Settling: it was on its way, and goes back. */
	if (job->state != JOB_SCANNING) {
		rmq_message_free(message);
		return;
	}
	envelope_read(&e, message, &origin, job->options.env->trusted,
	    job->loop);
	verdict = judge_letter(&job->judge, &e);
	job->report.verdicts[verdict]++;
	if (job->options.census == NULL &&
	    (verdict == JUDGE_REDRIVE || verdict == JUDGE_PARK)) {
		const struct mover_letter letter = { message, ref, redelivered,
			verdict == JUDGE_PARK };

		mover_add(job->mover, &letter);
	} else {
		if (verdict == JUDGE_REDRIVE || verdict == JUDGE_PARK)
			census_add(job->options.census, &e);
		note_stay(job, &e);
		rmq_message_free(message);
	}
	envelope_clear(&e);
	scan_pull(job->scan, mover_has_room(job->mover));
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
on_moved(void *arg, struct chain_ref ref, bool parked)
{
	struct job *job = arg;

	if (parked) {
		job->report.parked++;
		metrics_inc(job->options.tally->parked);
	} else {
		job->report.redriven++;
		metrics_inc(job->options.tally->redriven);
	}
	job->pass.moved++;
	scan_ack(job->scan, ref);
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
		.queue = job->options.names->dead,
		.prefetch = job->options.env->scan_prefetch,
		.channel_bytes = job->options.env->stash->limit / 4,
		.at_least = job->given_back,
	};

	job_enter(job, JOB_SCANNING);
	job->pass = (struct pass){ 0 };
	job->report.passes++;
	job->report.refused = 0;
	job->report.oldest_ms = 0;
	memset(job->report.verdicts, 0, sizeof(job->report.verdicts));
	mover_restart(job->mover);
	job->scan = scan_new(job->loop, job->conn, &options, &cbs, job);
	loop_timer_start(job->loop, job->timer, job->options.env->hold_max_ms);
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
	loop_timer_start(job->loop, job->timer, job->options.env->settle_ms);
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

/* Whether a pass that was not broken off leaves nothing to come back for. */
static void
judge_pass(struct job *job, bool cut)
{
	char why[REPORT_WHY_SPACE];

	if (job->pass.moved > 0)
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

/* The window is given back: another pass, or the end. */
static void
pass_done(struct job *job)
{
	bool cut = scan_is_cut(job->scan);
	int64_t wait_ms = 0;

	job->report.seen = scan_seen(job->scan);
	job->report.twice += scan_orphans(job->scan);
	job->given_back = scan_held(job->scan);
	scan_free(job->scan);
	job->scan = NULL;
	job->broken = job->pass.broken ? job->broken + 1 : 0;
	if (job->broken > 0)
		wait_ms = backoff_delay_ms(&broken_backoff, job->broken, 0);
	if (job->pass.over && !job->pass.release)
		judge_pass(job, cut);
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

static void
step(void *arg)
{
	struct job *job = arg;
	bool ends = job->report.end != JOB_UNDER_WAY;

	switch (job->state) {
	case JOB_WAITING:
		if (ends)
			finish(job);
		else if (job->conn != NULL && !job->paused &&
		    !mover_must_wait(job->mover) &&
		    !loop_timer_pending(job->loop, job->timer))
			start_pass(job);
		return;
	case JOB_SCANNING:
		if (ends || job->pass.release || in_the_way(job))
			settle(job);
		else if (job->pass.over && mover_is_idle(job->mover))
			give_back(job);
		else
			scan_pull(job->scan, mover_has_room(job->mover));
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
	    !mover_is_stalled(job->mover))
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

static void
tell(void *arg)
{
	struct job *job = arg;

	job->cbs->changed(job->arg);
}

struct job *
job_new(const struct job_options *options, const struct job_cbs *cbs, void *arg)
{
	static const struct mover_cbs mover_cbs = { on_moved, on_refused,
		on_stuck, on_progress };
	struct job *job = xcalloc(1, sizeof(*job));
	const struct mover_options mover = { options->env, options->conf,
		options->names, job->report.id };

	job->options = *options;
	job->cbs = cbs;
	job->arg = arg;
	job->loop = options->env->loop;
	job->started_ms = loop_now_ms(job->loop);
	job->judge.started_ms = loop_wall_ms(job->loop);
	report_make_id(&job->report, job->judge.started_ms,
	    loop_random(job->loop));
	job->judge.filter = options->filter;
	job->judge.job = job->report.id;
	job->judge.max_redrives = options->conf->redrive.max_redrives;
	job->mover = mover_new(&mover, &mover_cbs, job);
	job->timer = loop_timer_new(job->loop, on_timer, job);
	loop_task_init(&job->task, step, job);
	loop_task_init(&job->tell, tell, job);
	log_info("job_started", LOG_STR("pipeline", options->conf->name),
	    LOG_STR("job", job->report.id),
	    LOG_STR("trigger", options->trigger),
	    LOG_STR("queue", options->names->dead),
	    LOG_BOOL("dry_run", options->census != NULL));
	return job;
}

void
job_free(struct job *job)
{
	if (job == NULL)
		return;
	scan_free(job->scan);
	mover_free(job->mover);
	loop_timer_free(job->loop, job->timer);
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
	loop_defer(job->loop, &job->task);
}

void
job_pause(struct job *job, const char *why)
{
	if (job->paused)
		return;
	log_info("job_paused", LOG_STR("pipeline", job->options.conf->name),
	    LOG_STR("job", job->report.id), LOG_STR("why", why));
	job->paused = true;
	mover_hold(job->mover, true);
	loop_defer(job->loop, &job->task);
}

void
job_resume(struct job *job)
{
	if (!job->paused)
		return;
	log_info("job_resumed", LOG_STR("pipeline", job->options.conf->name),
	    LOG_STR("job", job->report.id));
	job->paused = false;
	mover_hold(job->mover, false);
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
job_relieve(struct job *job)
{
	loop_defer(job->loop, &job->task);
}

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

void
job_report(const struct job *job, struct job_report *out)
{
	uint64_t total, pending = mover_pending(job->mover);

	*out = job->report;
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
