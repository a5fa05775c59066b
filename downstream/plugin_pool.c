/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/plugin_pool.h"

#include <stdlib.h>
#include <string.h>

#include "config/conf.h"
#include "downstream/plugin_frame.h"
#include "downstream/plugin_life.h"
#include "downstream/plugin_verdict.h"
#include "downstream/plugin_worker.h"
#include "lib/xalloc.h"

/*
 * How often workers are looked at. What a worker has not told yet is seen
 * then, and times are as exact as that.
 */
#define TICK_MS 5
/* For loading the plugin and its init. */
#define START_MS 30000
/* For its shutdown. */
#define END_MS 1000

/* Whose time is over; false: nobody's. */
static bool
is_late(struct plugin_worker *w, struct plugin_life_end *end)
{
	const struct plugin_pool *pool = w->pool;
	struct plugin_job *first = TAILQ_FIRST(&w->hand);
	int64_t now_ms = loop_now_ms(pool->loop);

	end->culprit = NULL;
	if (first != NULL && now_ms - first->since_ms >= pool->timeout_ms)
		end->culprit = first;
	/* All that was begun is answered, and yet it takes nothing more. */
	else if (first != NULL || w->fresh_count == 0 ||
	    now_ms - w->moved_ms < pool->timeout_ms)
		return false;
	plugin_verdict_timeout(&end->why, pool->timeout_ms, &w->tail);
	return true;
}

/*
 * So many are in its pipe as it takes in two ticks: no more wait there. Nothing
 * taken may be the start of something long, also when nothing is there yet.
 */
static void
adapt_depth(struct plugin_worker *w)
{
	uint64_t moved = w->begun - w->begun_before;

	w->begun_before = w->begun;
	if (moved == 0)
		w->depth = 1;
	else
		w->depth = moved < PLUGIN_PAGE_SLOTS / 2 ? (unsigned)moved * 2
							 : PLUGIN_PAGE_SLOTS;
}

static void
look(struct plugin_worker *w)
{
	struct plugin_life_end end = { .crash = false };

	if (w->state == PLUGIN_LIFE_STARTING &&
	    loop_now_ms(w->pool->loop) - w->moved_ms >= START_MS) {
		verdict_init(&end.why, OUTCOME_RETRY, "plugin.start");
		verdict_set_text(&end.why, "init does not come to an end");
		plugin_life_lose(w, &end);
		return;
	}
	if (w->state != PLUGIN_LIFE_UP || w->job_count == 0 ||
	    !plugin_life_drain(w))
		return;
	adapt_depth(w);
	if (is_late(w, &end))
		plugin_life_lose(w, &end);
}

static void
on_tick(void *arg)
{
	struct plugin_pool *pool = arg;
	bool waits = false;
	unsigned i;

	for (i = 0; i < pool->count; i++) {
		look(&pool->workers[i]);
		if (pool->workers[i].state == PLUGIN_LIFE_STARTING)
			waits = true;
	}
	if (pool->cbs->room(pool->arg) || pool->given > 0 || waits)
		plugin_pool_watch(pool);
}

void
plugin_pool_watch(struct plugin_pool *pool)
{
	if (!loop_timer_pending(pool->loop, pool->tick))
		loop_timer_start(pool->loop, pool->tick, TICK_MS);
}

static void
flush(void *arg)
{
	struct plugin_pool *pool = arg;
	unsigned i;

	for (i = 0; i < pool->count; i++)
		plugin_life_flush(&pool->workers[i]);
}

static bool
has_room(const struct plugin_worker *w)
{
	return w->state == PLUGIN_LIFE_UP && w != w->pool->reserved &&
	    !w->exclusive && w->spare_count > 0 && w->fresh_count < w->depth &&
	    w->unsent.len + child_unsent(w->child) < PLUGIN_LIFE_UNSENT_MAX;
}

/* The one with room that has least to do; NULL: none has. */
static struct plugin_worker *
find_room(struct plugin_pool *pool)
{
	struct plugin_worker *best = NULL, *w;

	for (w = pool->workers; w < pool->workers + pool->count; w++)
		if (has_room(w) &&
		    (best == NULL || w->job_count < best->job_count))
			best = w;
	return best;
}

/* One that has nothing to do, or will have: it is kept free for that. */
static struct plugin_worker *
find_empty(struct plugin_pool *pool)
{
	struct plugin_worker *w;

	if (pool->reserved == NULL)
		for (w = pool->workers; w < pool->workers + pool->count; w++)
			if (w->state == PLUGIN_LIFE_UP && !w->exclusive &&
			    (pool->reserved == NULL ||
				w->job_count < pool->reserved->job_count))
				pool->reserved = w;
	w = pool->reserved;
	if (w == NULL || w->job_count > 0)
		return NULL;
	pool->reserved = NULL;
	w->exclusive = true;
	return w;
}

bool
plugin_pool_give(struct plugin_pool *pool, struct plugin_job *job)
{
	struct plugin_worker *w = job->alone || job->attempt->alone
	    ? find_empty(pool)
	    : find_room(pool);

	if (w == NULL)
		return false;
	plugin_life_give(w, job);
	plugin_pool_watch(pool);
	loop_defer(pool->loop, &pool->flush);
	return true;
}

void
plugin_pool_unreserve(struct plugin_pool *pool)
{
	pool->reserved = NULL;
}

void
plugin_pool_cancel(struct plugin_job *job)
{
	struct plugin_worker *w = job->worker;

	job->attempt = NULL;
	plugin_frame_add(&w->unsent, PLUGIN_FRAME_CANCEL, job->call, NULL, 0);
	loop_defer(w->pool->loop, &w->pool->flush);
}

int64_t
plugin_pool_down_ms(const struct plugin_pool *pool)
{
	unsigned i;

	for (i = 0; i < pool->count; i++)
		if (pool->workers[i].state == PLUGIN_LIFE_STARTING)
			return 0;
	return pool->down_ms < 0 ? 0 : loop_now_ms(pool->loop) - pool->down_ms;
}

void
plugin_pool_no_worker(const struct plugin_pool *pool, struct verdict *v)
{
	struct buf why = { 0 };

	verdict_init(v, OUTCOME_RETRY, "plugin.start");
	buf_printf(&why, "no worker: %s: %s", pool->last.class,
	    pool->last.error);
	verdict_set_error(v, buf_peek(&why), why.len);
	buf_clear(&why);
}

static void
make_setup(struct plugin_pool *pool, const struct conf_plugin *conf)
{
	const char *texts[] = { conf->path, pool->name, conf->config };
	struct plugin_worker_setup setup = {
		.memory_bytes = conf->memory_bytes,
		.cpu_ms = conf->cpu_ms,
		.workers = conf->workers,
	};
	struct buf inside = { 0 };
	size_t i;

	for (i = 0; i < array_len(texts); i++)
		setup.lens[i] = (uint32_t)strlen(texts[i]) + 1;
	buf_add(&inside, &setup, sizeof(setup));
	for (i = 0; i < array_len(texts); i++)
		buf_add(&inside, texts[i], setup.lens[i]);
	plugin_frame_add(&pool->setup, PLUGIN_FRAME_SETUP, 0, buf_peek(&inside),
	    inside.len);
	buf_clear(&inside);
}

void
plugin_pool_init(struct plugin_pool *pool, struct loop *loop, const char *name,
    const struct conf_plugin *conf, const struct plugin_pool_cbs *cbs,
    void *arg)
{
	unsigned i;

	memset(pool, 0, sizeof(*pool));
	pool->loop = loop;
	pool->name = xstrdup(name);
	pool->cbs = cbs;
	pool->arg = arg;
	pool->timeout_ms = conf->timeout_ms;
	pool->children = children_new(loop);
	pool->count = conf->workers;
	pool->workers = xcalloc(pool->count, sizeof(*pool->workers));
	pool->down_ms = loop_now_ms(loop);
	verdict_init(&pool->last, OUTCOME_RETRY, "plugin.start");
	verdict_set_text(&pool->last, "init does not come to an end");
	loop_task_init(&pool->flush, flush, pool);
	pool->tick = loop_timer_new(loop, on_tick, pool);
	make_setup(pool, conf);
	for (i = 0; i < pool->count; i++)
		plugin_life_init(&pool->workers[i], pool);
}

void
plugin_pool_clear(struct plugin_pool *pool)
{
	unsigned i;

	/* Those in the middle of something may never come to an end. */
	for (i = 0; i < pool->count; i++)
		if (pool->workers[i].state != PLUGIN_LIFE_UP ||
		    pool->workers[i].job_count > 0)
			plugin_life_clear(&pool->workers[i]);
	children_end(pool->children, END_MS);
	for (i = 0; i < pool->count; i++)
		if (pool->workers[i].child != NULL)
			plugin_life_clear(&pool->workers[i]);
	children_free(pool->children);
	loop_timer_free(pool->loop, pool->tick);
	loop_undefer(pool->loop, &pool->flush);
	exec_env_clear(&pool->env);
	buf_clear(&pool->setup);
	free(pool->workers);
	free(pool->name);
}
