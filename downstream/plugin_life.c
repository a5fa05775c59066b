/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/plugin_life.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "downstream/plugin_frame.h"
#include "downstream/plugin_said.h"
#include "downstream/plugin_verdict.h"
#include "lib/backoff.h"
#include "lib/log.h"

#define RESTART_FIRST_MS 100
#define RESTART_CAP_MS	 10000
#define RESTART_JITTER	 0.5
/*
 * One that crashes of its first message, and its successor, and so on: twenty
 * a second at most.
 */
#define RESTART_CRASH_MS 50
/* Lost so often with nobody in hand, the oldest is suspected after all. */
#define LOSSES_MAX  3
#define DEPTH_FIRST 16
/* Of a worker that is not up, for the log. */
#define START_LINES_MAX 1000

static void start(struct plugin_worker *);

static void
enter(struct plugin_worker *w, enum plugin_life_state to)
{
	static const char *const names[] = {
		[PLUGIN_LIFE_DOWN] = "down",
		[PLUGIN_LIFE_STARTING] = "starting",
		[PLUGIN_LIFE_UP] = "up",
	};
	static const unsigned char legal[] = {
		[PLUGIN_LIFE_DOWN] = 1u << PLUGIN_LIFE_STARTING,
		[PLUGIN_LIFE_STARTING] =
		    1u << PLUGIN_LIFE_UP | 1u << PLUGIN_LIFE_DOWN,
		[PLUGIN_LIFE_UP] = 1u << PLUGIN_LIFE_DOWN,
	};

	log_debug("worker", LOG_STR("downstream", w->pool->name),
	    LOG_INT("pid", w->child != NULL ? child_pid(w->child) : 0),
	    LOG_STR("from", names[w->state]), LOG_STR("to", names[to]));
	if ((legal[w->state] & 1u << to) == 0)
		abort();
	w->state = to;
	w->moved_ms = loop_now_ms(w->pool->loop);
}

/* Whether some worker of the pool is up. */
static bool
any_is_up(const struct plugin_pool *pool)
{
	unsigned i;

	for (i = 0; i < pool->count; i++)
		if (pool->workers[i].state == PLUGIN_LIFE_UP)
			return true;
	return false;
}

static void
forget_life(struct plugin_worker *w)
{
	if (w->child != NULL)
		child_close(w->child);
	w->child = NULL;
	plugin_page_free(w->page);
	w->page = NULL;
	buf_reset(&w->said);
	buf_reset(&w->unsent);
	buf_reset(&w->failure);
	w->tail.len = 0;
	w->exclusive = false;
}

/* Ends its process, if that runs, and starts another after a while. */
static void
go_down(struct plugin_worker *w, const struct verdict *why, int64_t delay_ms)
{
	struct plugin_pool *pool = w->pool;

	log_warn("worker_ended", LOG_STR("downstream", pool->name),
	    LOG_INT("pid", w->child != NULL ? child_pid(w->child) : 0),
	    LOG_STR("class", why->class), LOG_STR("error", why->error),
	    LOG_INT("restart_ms", delay_ms));
	pool->last = *why;
	enter(w, PLUGIN_LIFE_DOWN);
	forget_life(w);
	if (pool->reserved == w)
		pool->reserved = NULL;
	if (pool->down_ms < 0 && !any_is_up(pool))
		pool->down_ms = loop_now_ms(pool->loop);
	loop_timer_start(pool->loop, w->backoff, delay_ms);
}

/* When the next life begins. `blamed`: this one ended by a message. */
static int64_t
restart_delay_ms(struct plugin_worker *w, bool blamed)
{
	static const struct backoff restart = {
		.first_ms = RESTART_FIRST_MS,
		.factor = 2,
		.cap_ms = RESTART_CAP_MS,
		.jitter = RESTART_JITTER,
	};

	if (w->answered)
		return 0;
	if (blamed)
		return RESTART_CRASH_MS;
	w->failures++;
	return backoff_delay_ms(&restart, w->failures,
	    loop_random_unit(w->pool->loop));
}

/* Takes a job away from it. */
static void
release(struct plugin_worker *w, struct plugin_job *job)
{
	unsigned slot = job->call % PLUGIN_PAGE_SLOTS;

	if (job->nth > w->begun) {
		TAILQ_REMOVE(&w->fresh, job, entry);
		w->fresh_count--;
	} else {
		TAILQ_REMOVE(&w->hand, job, entry);
	}
	w->slots[slot] = NULL;
	w->spare[w->spare_count++] = (uint16_t)slot;
	w->pool->given--;
	if (--w->job_count == 0)
		w->exclusive = false;
	job->worker = NULL;
}

int
plugin_life_observe(struct plugin_worker *w)
{
	uint64_t begun =
	    atomic_load_explicit(&w->page->begun, memory_order_acquire);
	struct plugin_job *job;

	if (begun == w->begun)
		return 0;
	if (begun < w->begun || begun > w->given)
		return -1;
	w->begun = begun;
	w->moved_ms = loop_now_ms(w->pool->loop);
	while ((job = TAILQ_FIRST(&w->fresh)) != NULL && job->nth <= begun) {
		TAILQ_REMOVE(&w->fresh, job, entry);
		w->fresh_count--;
		TAILQ_INSERT_TAIL(&w->hand, job, entry);
		job->since_ms = w->moved_ms;
	}
	return 0;
}

/* Whom a crash is to be blamed on cannot be told: each is tried alone. */
static void
suspect(struct plugin_jobs *jobs)
{
	struct plugin_job *job;

	TAILQ_FOREACH(job, jobs, entry)
		job->alone = true;
}

/* Who is to blame for a crash: one, some who are suspected, or nobody. */
static struct plugin_job *
blame(struct plugin_worker *w, bool nonsense)
{
	struct plugin_job *hand = TAILQ_FIRST(&w->hand);
	struct plugin_job *fresh = TAILQ_FIRST(&w->fresh);

	if (nonsense ||
	    (hand == NULL && fresh != NULL && ++fresh->losses >= LOSSES_MAX)) {
		/* A page that lies cannot say whom it was at. */
		if (w->job_count == 1)
			return hand != NULL ? hand : fresh;
		suspect(&w->hand);
		suspect(&w->fresh);
		return NULL;
	}
	if (hand == NULL || TAILQ_NEXT(hand, entry) == NULL)
		return hand;
	suspect(&w->hand);
	return NULL;
}

/* The last one first; those that are cancelled go to `over`. */
static void
give_back(struct plugin_worker *w, struct plugin_jobs *from,
    struct plugin_jobs *over)
{
	struct plugin_job *job;

	while ((job = TAILQ_LAST(from, plugin_jobs)) != NULL) {
		release(w, job);
		if (job->attempt == NULL)
			TAILQ_INSERT_TAIL(over, job, entry);
		else
			w->pool->cbs->back(job);
	}
}

void
plugin_life_lose(struct plugin_worker *w, struct plugin_life_end *end)
{
	const struct plugin_pool_cbs *cbs = w->pool->cbs;
	struct plugin_jobs over;
	struct plugin_job *job;
	bool blamed;

	TAILQ_INIT(&over);
	if (end->crash)
		end->culprit = blame(w, end->nonsense);
	blamed = end->culprit != NULL || TAILQ_FIRST(&w->hand) != NULL;
	if (end->culprit != NULL) {
		release(w, end->culprit);
		TAILQ_INSERT_TAIL(&over, end->culprit, entry);
	}
	/* All are where they belong before anybody is called. */
	give_back(w, &w->fresh, &over);
	give_back(w, &w->hand, &over);
	go_down(w, &end->why, restart_delay_ms(w, blamed));
	while ((job = TAILQ_FIRST(&over)) != NULL) {
		TAILQ_REMOVE(&over, job, entry);
		cbs->done(job, &end->why);
	}
	(void)cbs->room(w->pool->arg);
}

/* It does not keep to what was agreed. */
static void
errs(struct plugin_worker *w, const char *what)
{
	struct plugin_life_end end = { .crash = true, .nonsense = true };

	plugin_verdict_nonsense(&end.why, what);
	plugin_life_lose(w, &end);
}

/* Whose answer it is; NULL: of nobody who could have one. */
static struct plugin_job *
job_of(struct plugin_worker *w, uint64_t call)
{
	struct plugin_job *job = w->slots[call % PLUGIN_PAGE_SLOTS];

	if (job == NULL || job->call != call)
		return NULL;
	if (job->nth > w->begun && plugin_life_observe(w) == -1)
		return NULL;
	return job->nth > w->begun ? NULL : job;
}

bool
plugin_life_drain(struct plugin_worker *w)
{
	struct plugin_answer answer;
	struct plugin_job *job;
	struct verdict verdict;
	int got;

	/* From here on it tells again; then all before is seen. */
	(void)atomic_exchange(&w->page->told, 0);
	atomic_thread_fence(memory_order_seq_cst);
	while ((got = plugin_page_take(w->page, &w->taken, &answer)) == 1) {
		job = job_of(w, answer.call);
		if (job == NULL) {
			errs(w, "an answer to no message that it has");
			return false;
		}
		release(w, job);
		w->answered = true;
		w->failures = 0;
		plugin_verdict_answer(&verdict, &answer);
		w->pool->cbs->done(job, &verdict);
	}
	if (got == -1 || plugin_life_observe(w) == -1) {
		errs(w, "its page makes no sense");
		return false;
	}
	return true;
}

void
plugin_life_flush(struct plugin_worker *w)
{
	if (w->child == NULL || w->unsent.len == 0 ||
	    child_unsent(w->child) > 0)
		return;
	child_send(w->child, buf_peek(&w->unsent), w->unsent.len, NULL, 0,
	    false);
	buf_reset(&w->unsent);
}

void
plugin_life_give(struct plugin_worker *w, struct plugin_job *job)
{
	unsigned slot = w->spare[--w->spare_count];

	if (w->fresh_count == 0)
		w->moved_ms = loop_now_ms(w->pool->loop);
	if (w->job_count == 0)
		w->tail.len = 0;
	job->worker = w;
	job->call = w->calls++ * PLUGIN_PAGE_SLOTS + slot;
	job->nth = ++w->given;
	w->slots[slot] = job;
	TAILQ_INSERT_TAIL(&w->fresh, job, entry);
	w->fresh_count++;
	w->job_count++;
	w->pool->given++;
	plugin_frame_message(&w->unsent, job->call, job->attempt);
}

/* Of init no more than so much. */
static void
log_said(struct plugin_worker *w, const struct plugin_said *said)
{
	if (w->state == PLUGIN_LIFE_STARTING &&
	    ++w->said_lines > START_LINES_MAX)
		return;
	log_event(said->level, "plugin", LOG_STR("downstream", w->pool->name),
	    LOG_INT("pid", child_pid(w->child)),
	    LOG_BYTES("text", said->text, said->text_len));
}

/* False: it may not say that, or not now. */
static bool
hear(struct plugin_worker *w, const struct plugin_said *said)
{
	bool starting = w->state == PLUGIN_LIFE_STARTING;

	switch (said->word) {
	case PLUGIN_WORKER_ANSWERED:
		/* All are looked for once it has said what it had to say. */
		return !starting;
	case PLUGIN_WORKER_READY:
		if (!starting)
			return false;
		enter(w, PLUGIN_LIFE_UP);
		w->pool->down_ms = -1;
		return true;
	case PLUGIN_WORKER_FAILED:
		if (!starting || w->failure.len > 0)
			return false;
		buf_add(&w->failure, said->text, said->text_len);
		return true;
	case PLUGIN_WORKER_LOG:
		log_said(w, said);
		return true;
	}
	return false;
}

static void
on_out(void *arg, const void *bytes, size_t len)
{
	struct plugin_worker *w = arg;
	struct plugin_said said;
	int got = 0;

	buf_add(&w->said, bytes, len);
	while (w->said.len > 0 &&
	    (got = plugin_said_read(buf_peek(&w->said), w->said.len, &said)) >
		0) {
		if (!hear(w, &said)) {
			got = -1;
			break;
		}
		buf_drop(&w->said, (size_t)got);
	}
	if (got < 0)
		errs(w, "it says what it should not");
	else if (w->state != PLUGIN_LIFE_UP || plugin_life_drain(w))
		(void)w->pool->cbs->room(w->pool->arg);
}

static void
on_err(void *arg, const void *bytes, size_t len)
{
	struct plugin_worker *w = arg;

	exec_tail_add(&w->tail, bytes, len);
}

static void
on_sent(void *arg)
{
	struct plugin_worker *w = arg;

	plugin_life_flush(w);
	(void)w->pool->cbs->room(w->pool->arg);
}

/* It ended before it was up. */
static void
tell_no_start(struct plugin_worker *w, const struct child_exit *exit,
    struct verdict *why)
{
	if (w->failure.len > 0) {
		verdict_init(why, OUTCOME_RETRY, "plugin.init");
		verdict_set_error(why, buf_peek(&w->failure), w->failure.len);
	} else if (exit->how == CHILD_NOT_STARTED) {
		verdict_init(why, OUTCOME_RETRY, "plugin.start");
		verdict_set_text(why, strerror(exit->code));
	} else {
		plugin_verdict_crash(why, exit, &w->tail);
	}
}

static void
on_exited(void *arg, const struct child_exit *exit)
{
	struct plugin_worker *w = arg;
	struct plugin_life_end end = { .crash = w->state == PLUGIN_LIFE_UP };

	if (!end.crash)
		tell_no_start(w, exit, &end.why);
	else if (!plugin_life_drain(w))
		return;
	else
		plugin_verdict_crash(&end.why, exit, &w->tail);
	plugin_life_lose(w, &end);
}

/* Nothing of the life before is left. */
static void
reset(struct plugin_worker *w)
{
	unsigned i;

	w->answered = false;
	w->said_lines = 0;
	w->given = w->begun = w->taken = w->begun_before = 0;
	w->depth = DEPTH_FIRST;
	w->spare_count = PLUGIN_PAGE_SLOTS;
	for (i = 0; i < PLUGIN_PAGE_SLOTS; i++)
		w->spare[i] = (uint16_t)(PLUGIN_PAGE_SLOTS - 1 - i);
}

static void
start(struct plugin_worker *w)
{
	static const struct child_cbs cbs = {
		.out = on_out,
		.err = on_err,
		.sent = on_sent,
		.exited = on_exited,
	};
	struct plugin_pool *pool = w->pool;
	char name[] = "dlo-plugin", run[] = PLUGIN_WORKER_RUN;
	char *argv[] = { name, run, pool->name, NULL };
	struct child_params params = {
		.program = "/proc/self/exe",
		.argv = argv,
		.output = true,
	};
	struct plugin_life_end end = { .crash = false };

	reset(w);
	enter(w, PLUGIN_LIFE_STARTING);
	w->page = plugin_page_new(&params.shared);
	if (w->page == NULL) {
		verdict_init(&end.why, OUTCOME_RETRY, "plugin.start");
		verdict_set_text(&end.why, strerror(errno));
		plugin_life_lose(w, &end);
		return;
	}
	exec_env_fill(&pool->env, NULL);
	params.env = pool->env.list;
	w->child = child_open(pool->children, &params, &cbs, w);
	close(params.shared);
	buf_add(&w->unsent, buf_peek(&pool->setup), pool->setup.len);
	plugin_life_flush(w);
	plugin_pool_watch(pool);
}

static void
on_backoff_over(void *arg)
{
	start(arg);
}

void
plugin_life_init(struct plugin_worker *w, struct plugin_pool *pool)
{
	w->pool = pool;
	w->backoff = loop_timer_new(pool->loop, on_backoff_over, w);
	TAILQ_INIT(&w->fresh);
	TAILQ_INIT(&w->hand);
	/* From the loop, as at any other time. */
	loop_timer_start(pool->loop, w->backoff, 0);
}

void
plugin_life_clear(struct plugin_worker *w)
{
	forget_life(w);
	loop_timer_free(w->pool->loop, w->backoff);
	buf_clear(&w->said);
	buf_clear(&w->unsent);
	buf_clear(&w->failure);
}
