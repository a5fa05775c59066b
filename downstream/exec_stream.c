/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Calls and the workers that they are given to. With no more calls than
 * workers, one waits only while a worker is down.
 */
#include "downstream/handler_exec.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "config/conf.h"
#include "downstream/exec_pool.h"
#include "lib/xalloc.h"

struct stream_call {
	struct handler_call base;
	const struct attempt *attempt;
	struct exec_worker *worker; /* NULL: waiting for one */
	struct loop_timer *timer;
	handler_done_cb *done;
	void *arg;
	TAILQ_ENTRY(stream_call) entry; /* waiting, or given */
};

TAILQ_HEAD(stream_calls, stream_call);

struct exec_stream {
	struct handler base;
	struct loop *loop;
	struct exec_pool pool;
	struct stream_calls waiting, given;
};

static struct exec_stream *
owner_of(const struct stream_call *call)
{
	return container_of(call->base.handler, struct exec_stream, base);
}

static void
call_free(struct stream_call *call)
{
	struct exec_stream *s = owner_of(call);

	TAILQ_REMOVE(call->worker != NULL ? &s->given : &s->waiting, call,
	    entry);
	loop_timer_free(s->loop, call->timer);
	free(call);
}

/* Other calls may be gone after it, and others there; the handler is not. */
static void
call_end(struct stream_call *call, const struct verdict *verdict)
{
	handler_done_cb *done = call->done;
	void *arg = call->arg;

	call_free(call);
	done(arg, verdict);
}

/* Gives what waits to whoever is idle. Never calls back. */
static void
assign(struct exec_stream *s)
{
	struct stream_call *call;
	struct exec_worker *worker;

	while ((call = TAILQ_FIRST(&s->waiting)) != NULL &&
	    (worker = exec_pool_take(&s->pool)) != NULL) {
		TAILQ_REMOVE(&s->waiting, call, entry);
		TAILQ_INSERT_TAIL(&s->given, call, entry);
		call->worker = worker;
		exec_pool_give(worker, call->attempt, call);
	}
}

static void
on_done(void *job, const struct verdict *verdict)
{
	struct stream_call *call = job;
	struct exec_stream *s = owner_of(call);

	call_end(call, verdict);
	assign(s);
}

static void
on_up(void *arg)
{
	assign(arg);
}

static void
on_timeout(void *arg)
{
	struct stream_call *call = arg;
	struct verdict verdict;

	if (call->worker != NULL) {
		exec_pool_time_out(call->worker);
		return;
	}
	exec_pool_no_worker(&owner_of(call)->pool, &verdict);
	call_end(call, &verdict);
}

static struct handler_call *
stream_start(struct handler *handler, const struct attempt *attempt,
    handler_done_cb *done, void *arg)
{
	struct exec_stream *s = container_of(handler, struct exec_stream, base);
	struct stream_call *call = xcalloc(1, sizeof(*call));

	call->base.handler = handler;
	call->attempt = attempt;
	call->done = done;
	call->arg = arg;
	call->timer = loop_timer_new(s->loop, on_timeout, call);
	loop_timer_start(s->loop, call->timer, s->pool.command.timeout_ms);
	TAILQ_INSERT_TAIL(&s->waiting, call, entry);
	assign(s);
	return &call->base;
}

/* A worker in the middle of it is of no use for another. */
static void
stream_cancel(struct handler_call *base)
{
	struct stream_call *call = container_of(base, struct stream_call, base);

	if (call->worker != NULL)
		exec_pool_drop(call->worker);
	call_free(call);
}

static void
stream_free(struct handler *handler)
{
	struct exec_stream *s = container_of(handler, struct exec_stream, base);
	struct stream_call *call;

	while ((call = TAILQ_FIRST(&s->waiting)) != NULL ||
	    (call = TAILQ_FIRST(&s->given)) != NULL)
		stream_cancel(&call->base);
	exec_pool_clear(&s->pool);
	free(s);
}

struct handler *
exec_stream_new(struct loop *loop, const char *name,
    const struct conf_exec *conf)
{
	static const struct handler_ops ops = {
		.start = stream_start,
		.cancel = stream_cancel,
		.free = stream_free,
	};
	static const struct exec_pool_cbs cbs = { on_done, on_up };
	struct exec_stream *s = xcalloc(1, sizeof(*s));

	s->base.ops = &ops;
	s->base.capacity = conf->workers;
	s->loop = loop;
	exec_pool_init(&s->pool, loop, name, conf, &cbs, s);
	TAILQ_INIT(&s->waiting);
	TAILQ_INIT(&s->given);
	return &s->base;
}
