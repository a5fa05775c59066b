/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A plugin in processes: its calls, and in which order workers get them.
 * Those that want a worker for themselves go first: there are few of them,
 * and a worker that runs empty for one should not do so for long.
 */
#include "downstream/handler_plugin.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "config/conf.h"
#include "downstream/plugin_pool.h"
#include "lib/xalloc.h"

struct outside_call {
	struct handler_call base;
	struct plugin_job job;
	int64_t since_ms; /* waiting */
	handler_done_cb *done;
	void *arg;
	LIST_ENTRY(outside_call) entry; /* of all, or spare */
};

LIST_HEAD(outside_calls, outside_call);

struct outside {
	struct handler base;
	struct loop *loop;
	int64_t timeout_ms;
	struct plugin_pool pool;
	struct plugin_jobs waiting, alone; /* not given */
	struct outside_calls calls, spare;
};

static struct outside *
owner_of(const struct outside_call *call)
{
	return container_of(call->base.handler, struct outside, base);
}

static struct outside_call *
call_of(struct plugin_job *job)
{
	return container_of(job, struct outside_call, job);
}

/* Where it waits. */
static struct plugin_jobs *
queue_of(const struct outside_call *call)
{
	struct outside *o = owner_of(call);

	return call->job.alone || call->job.attempt->alone ? &o->alone
							   : &o->waiting;
}

static void
call_free(struct outside_call *call)
{
	LIST_REMOVE(call, entry);
	LIST_INSERT_HEAD(&owner_of(call)->spare, call, entry);
}

/* Other calls may be gone after it, and others there; the handler is not. */
static void
call_end(struct outside_call *call, const struct verdict *verdict)
{
	handler_done_cb *done = call->done;
	void *arg = call->arg;

	call_free(call);
	if (done != NULL)
		done(arg, verdict);
}

/* Gives as much as there is room for. Never calls back. */
static void
assign(struct outside *o, struct plugin_jobs *queue)
{
	struct plugin_job *job;

	while ((job = TAILQ_FIRST(queue)) != NULL) {
		/* It is on another list once it is given. */
		TAILQ_REMOVE(queue, job, entry);
		if (plugin_pool_give(&o->pool, job))
			continue;
		TAILQ_INSERT_HEAD(queue, job, entry);
		plugin_pool_watch(&o->pool);
		return;
	}
}

static void
assign_all(struct outside *o)
{
	assign(o, &o->alone);
	assign(o, &o->waiting);
}

static void
on_done(struct plugin_job *job, const struct verdict *verdict)
{
	call_end(call_of(job), verdict);
}

static void
on_back(struct plugin_job *job)
{
	struct outside_call *call = call_of(job);

	call->since_ms = loop_now_ms(owner_of(call)->loop);
	TAILQ_INSERT_HEAD(queue_of(call), job, entry);
}

/* No worker is up, and has not been for long: those who waited so long. */
static void
give_up(struct outside *o, struct plugin_jobs *queue)
{
	int64_t now_ms = loop_now_ms(o->loop);
	struct plugin_job *job;
	struct verdict verdict;

	plugin_pool_no_worker(&o->pool, &verdict);
	while ((job = TAILQ_FIRST(queue)) != NULL &&
	    now_ms - call_of(job)->since_ms >= o->timeout_ms) {
		TAILQ_REMOVE(queue, job, entry);
		call_end(call_of(job), &verdict);
	}
}

static bool
on_room(void *arg)
{
	struct outside *o = arg;

	if (plugin_pool_down_ms(&o->pool) >= o->timeout_ms) {
		give_up(o, &o->alone);
		give_up(o, &o->waiting);
	}
	assign_all(o);
	return !TAILQ_EMPTY(&o->waiting) || !TAILQ_EMPTY(&o->alone);
}

static struct handler_call *
outside_start(struct handler *handler, const struct attempt *attempt,
    handler_done_cb *done, void *arg)
{
	struct outside *o = container_of(handler, struct outside, base);
	struct outside_call *call = LIST_FIRST(&o->spare);
	struct plugin_jobs *queue;

	if (call != NULL)
		LIST_REMOVE(call, entry);
	else
		call = xmalloc(sizeof(*call));
	*call = (struct outside_call){
		.base.handler = handler,
		.job.attempt = attempt,
		.since_ms = loop_now_ms(o->loop),
		.done = done,
		.arg = arg,
	};
	LIST_INSERT_HEAD(&o->calls, call, entry);
	queue = queue_of(call);
	TAILQ_INSERT_TAIL(queue, &call->job, entry);
	/* With others before it there was no room just now. */
	if (TAILQ_FIRST(queue) == &call->job)
		assign(o, queue);
	return &call->base;
}

/* What waits is handed out by the tick that waits for room. */
static void
stop_waiting(struct outside *o, struct outside_call *call)
{
	TAILQ_REMOVE(queue_of(call), &call->job, entry);
	call_free(call);
	if (TAILQ_EMPTY(&o->alone))
		plugin_pool_unreserve(&o->pool);
}

/* What a worker has stays there: killing it would hit others. */
static void
outside_cancel(struct handler_call *base)
{
	struct outside_call *call =
	    container_of(base, struct outside_call, base);

	call->done = NULL;
	if (call->job.worker != NULL)
		plugin_pool_cancel(&call->job);
	else
		stop_waiting(owner_of(call), call);
}

static void
free_calls(struct outside_calls *calls)
{
	struct outside_call *call;

	while ((call = LIST_FIRST(calls)) != NULL) {
		LIST_REMOVE(call, entry);
		free(call);
	}
}

static void
outside_free(struct handler *handler)
{
	struct outside *o = container_of(handler, struct outside, base);

	plugin_pool_clear(&o->pool);
	free_calls(&o->calls);
	free_calls(&o->spare);
	free(o);
}

struct handler *
plugin_outside_new(struct loop *loop, const char *name,
    const struct conf_plugin *conf)
{
	static const struct handler_ops ops = {
		.start = outside_start,
		.cancel = outside_cancel,
		.free = outside_free,
	};
	static const struct plugin_pool_cbs cbs = { on_done, on_back, on_room };
	struct outside *o = xcalloc(1, sizeof(*o));

	o->base.ops = &ops;
	o->base.capacity = conf->workers * PLUGIN_PAGE_SLOTS;
	o->loop = loop;
	o->timeout_ms = conf->timeout_ms;
	TAILQ_INIT(&o->waiting);
	TAILQ_INIT(&o->alone);
	LIST_INIT(&o->calls);
	LIST_INIT(&o->spare);
	plugin_pool_init(&o->pool, loop, name, conf, &cbs, o);
	return &o->base;
}
