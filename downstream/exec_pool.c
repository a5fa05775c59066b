/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/exec_pool.h"

#include <stdlib.h>
#include <string.h>

#include "downstream/exec_json.h"
#include "downstream/exec_verdict.h"
#include "lib/backoff.h"
#include "lib/log.h"
#include "lib/xalloc.h"

#define RESTART_FIRST_MS 100
#define RESTART_CAP_MS	 10000
#define RESTART_JITTER	 0.5

struct exec_worker {
	struct exec_pool *pool;
	enum exec_worker_state state;
	struct child *child; /* NULL: down */
	/* While busy. */
	const struct attempt *attempt;
	void *job;
	struct buf answer;     /* what there is of it */
	struct exec_tail tail; /* of stderr, since it got the message */
	struct loop_timer *backoff;
	unsigned failures; /* lives in a row that did not end well */
	bool answered;	   /* in this life */
	LIST_ENTRY(exec_worker) entry;
};

static void
worker_enter(struct exec_worker *w, enum exec_worker_state to)
{
	static const char *const names[] = {
		[EXEC_WORKER_DOWN] = "down",
		[EXEC_WORKER_IDLE] = "idle",
		[EXEC_WORKER_BUSY] = "busy",
	};
	static const unsigned char legal[] = {
		[EXEC_WORKER_DOWN] = 1u << EXEC_WORKER_IDLE,
		[EXEC_WORKER_IDLE] =
		    1u << EXEC_WORKER_BUSY | 1u << EXEC_WORKER_DOWN,
		[EXEC_WORKER_BUSY] =
		    1u << EXEC_WORKER_IDLE | 1u << EXEC_WORKER_DOWN,
	};

	log_debug("worker", LOG_STR("downstream", w->pool->name),
	    LOG_INT("pid", child_pid(w->child)),
	    LOG_STR("from", names[w->state]), LOG_STR("to", names[to]));
	if ((legal[w->state] & 1u << to) == 0)
		abort();
	w->state = to;
	LIST_REMOVE(w, entry);
	LIST_INSERT_HEAD(&w->pool->workers[to], w, entry);
}

/* Ends its process, if that runs, and starts another after a backoff. */
static void
worker_down(struct exec_worker *w, const struct verdict *why, bool well)
{
	static const struct backoff restart = {
		.first_ms = RESTART_FIRST_MS,
		.factor = 2,
		.cap_ms = RESTART_CAP_MS,
		.jitter = RESTART_JITTER,
	};
	struct exec_pool *pool = w->pool;
	int64_t delay_ms = 0;

	w->failures = well ? 0 : w->failures + 1;
	if (!well)
		delay_ms = backoff_delay_ms(&restart, w->failures,
		    loop_random_unit(pool->loop));
	log_event(well ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN, "worker_ended",
	    LOG_STR("downstream", pool->name),
	    LOG_INT("pid", child_pid(w->child)), LOG_STR("class", why->class),
	    LOG_STR("error", why->error), LOG_INT("restart_ms", delay_ms));
	pool->last = *why;
	worker_enter(w, EXEC_WORKER_DOWN);
	child_close(w->child);
	w->child = NULL;
	loop_timer_start(pool->loop, w->backoff, delay_ms);
}

/* It goes down, and its message, if it has one, is done. */
static void
worker_broken(struct exec_worker *w, const struct verdict *why)
{
	const struct exec_pool_cbs *cbs = w->pool->cbs;
	bool busy = w->state == EXEC_WORKER_BUSY;

	worker_down(w, why, false);
	if (busy)
		cbs->done(w->job, why);
}

/* Whether a whole answer is there. */
static bool
is_answered(const struct exec_worker *w)
{
	return w->answer.len > 0 &&
	    memchr(buf_peek(&w->answer), '\n', w->answer.len) != NULL;
}

/* It hears nothing any more: it has ended, or is about to. */
static void
worker_leaves(struct exec_worker *w)
{
	struct verdict why;

	verdict_init(&why, OUTCOME_RETRY, "exec.exit");
	verdict_set_text(&why, "it has closed its stdin");
	worker_down(w, &why, w->answered);
}

/* Its message is done with: what becomes of the worker. */
static void
worker_rest(struct exec_worker *w)
{
	struct verdict why;

	if (w->answer.len > 0) {
		verdict_init(&why, OUTCOME_RETRY, "exec.protocol");
		verdict_set_text(&why, "more than one line");
		worker_down(w, &why, false);
	} else if (!child_is_listening(w->child)) {
		worker_leaves(w);
	} else {
		worker_enter(w, EXEC_WORKER_IDLE);
	}
}

/* Takes the answer, which is there as a whole. */
static void
take_answer(struct exec_worker *w)
{
	const uint8_t *line = buf_peek(&w->answer);
	const uint8_t *end = memchr(line, '\n', w->answer.len);
	size_t len = (size_t)(end - line);
	const struct exec_pool_cbs *cbs = w->pool->cbs;
	struct verdict verdict;
	void *job = w->job;

	if (!exec_json_answer(line, len, w->attempt, &verdict)) {
		worker_broken(w, &verdict);
		return;
	}
	buf_drop(&w->answer, len + 1);
	w->answered = true;
	w->failures = 0;
	worker_rest(w);
	/* It may get another before this returns. */
	cbs->done(job, &verdict);
}

/* It does not keep to the protocol. */
static void
worker_errs(struct exec_worker *w, const char *error)
{
	struct verdict why;

	verdict_init(&why, OUTCOME_RETRY, "exec.protocol");
	verdict_set_text(&why, error);
	worker_broken(w, &why);
}

static void
on_out(void *arg, const void *bytes, size_t len)
{
	struct exec_worker *w = arg;

	if (w->state == EXEC_WORKER_IDLE) {
		worker_errs(w, "an answer without a message");
		return;
	}
	buf_add(&w->answer, bytes, len);
	if (w->answer.len > EXEC_JSON_ANSWER_MAX)
		worker_errs(w, "an answer without an end");
	else if (is_answered(w) && child_unsent(w->child) == 0)
		/* Else the next one would begin in the middle of this. */
		take_answer(w);
}

static void
on_sent(void *arg)
{
	struct exec_worker *w = arg;

	if (w->state == EXEC_WORKER_BUSY && is_answered(w))
		take_answer(w);
}

static void
on_err(void *arg, const void *bytes, size_t len)
{
	struct exec_worker *w = arg;

	exec_tail_add(&w->tail, bytes, len);
}

static void
on_exited(void *arg, const struct child_exit *end)
{
	struct exec_worker *w = arg;
	struct verdict why;

	if (w->state == EXEC_WORKER_BUSY && is_answered(w)) {
		take_answer(w);
		return;
	}
	exec_verdict_stream(&why, w->pool->command.argv[0], end, &w->tail);
	if (w->state == EXEC_WORKER_IDLE && w->answered &&
	    end->how == CHILD_EXITED && end->code == 0)
		worker_down(w, &why, true);
	else
		worker_broken(w, &why);
}

static void
worker_start(struct exec_worker *w)
{
	static const struct child_cbs cbs = {
		.out = on_out,
		.err = on_err,
		.sent = on_sent,
		.exited = on_exited,
	};

	buf_reset(&w->answer);
	w->tail.len = 0;
	w->answered = false;
	w->child = exec_command_open(&w->pool->command, NULL, true, &cbs, w);
	worker_enter(w, EXEC_WORKER_IDLE);
}

static void
on_backoff_over(void *arg)
{
	struct exec_worker *w = arg;

	worker_start(w);
	w->pool->cbs->up(w->pool->arg);
}

static struct exec_worker *
worker_new(struct exec_pool *pool)
{
	struct exec_worker *w = xcalloc(1, sizeof(*w));

	w->pool = pool;
	w->backoff = loop_timer_new(pool->loop, on_backoff_over, w);
	LIST_INSERT_HEAD(&pool->workers[EXEC_WORKER_DOWN], w, entry);
	pool->count++;
	worker_start(w);
	return w;
}

static void
worker_free(struct exec_worker *w)
{
	LIST_REMOVE(w, entry);
	w->pool->count--;
	if (w->child != NULL)
		child_close(w->child);
	loop_timer_free(w->pool->loop, w->backoff);
	buf_clear(&w->answer);
	free(w);
}

struct exec_worker *
exec_pool_take(struct exec_pool *pool)
{
	struct exec_worker *w;

	while ((w = LIST_FIRST(&pool->workers[EXEC_WORKER_IDLE])) != NULL) {
		if (child_has_output(w->child))
			worker_errs(w, "an answer without a message");
		else if (child_pid(w->child) != 0 &&
		    !child_is_listening(w->child))
			worker_leaves(w);
		else
			return w;
	}
	return pool->count < pool->command.workers ? worker_new(pool) : NULL;
}

void
exec_pool_give(struct exec_worker *w, const struct attempt *attempt, void *job)
{
	struct buf *line = &w->pool->line;

	w->attempt = attempt;
	w->job = job;
	w->tail.len = 0;
	worker_enter(w, EXEC_WORKER_BUSY);
	buf_reset(line);
	exec_json_request(attempt, line);
	child_send(w->child, buf_peek(line), line->len, attempt->body,
	    attempt->body_bytes, false);
}

void
exec_pool_time_out(struct exec_worker *w)
{
	struct verdict why;

	exec_verdict_timeout(&why, w->pool->command.timeout_ms, &w->tail);
	worker_broken(w, &why);
}

void
exec_pool_drop(struct exec_worker *w)
{
	worker_free(w);
}

void
exec_pool_no_worker(const struct exec_pool *pool, struct verdict *v)
{
	struct buf why = { 0 };

	verdict_init(v, OUTCOME_RETRY, "exec.start");
	buf_printf(&why, "no worker: %s: %s", pool->last.class,
	    pool->last.error);
	verdict_set_error(v, buf_peek(&why), why.len);
	buf_clear(&why);
}

void
exec_pool_init(struct exec_pool *pool, struct loop *loop, const char *name,
    const struct conf_exec *conf, const struct exec_pool_cbs *cbs, void *arg)
{
	unsigned state;

	memset(pool, 0, sizeof(*pool));
	pool->loop = loop;
	pool->name = xstrdup(name);
	pool->cbs = cbs;
	pool->arg = arg;
	exec_command_init(&pool->command, loop, conf);
	for (state = 0; state < EXEC_WORKER_STATES; state++)
		LIST_INIT(&pool->workers[state]);
	verdict_init(&pool->last, OUTCOME_RETRY, "exec.start");
}

void
exec_pool_clear(struct exec_pool *pool)
{
	struct exec_worker *w;
	unsigned state;

	for (state = 0; state < EXEC_WORKER_STATES; state++)
		while ((w = LIST_FIRST(&pool->workers[state])) != NULL)
			worker_free(w);
	exec_command_clear(&pool->command);
	buf_clear(&pool->line);
	free(pool->name);
}
