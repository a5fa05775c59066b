/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * One process an attempt. What it does with its stdin is its own affair; what
 * it says on stdout is discarded; the end of its stderr is kept for the error.
 */
#include "downstream/handler_exec.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "config/conf.h"
#include "downstream/exec_command.h"
#include "downstream/exec_verdict.h"
#include "lib/xalloc.h"

struct once_call {
	struct handler_call base;
	struct child *child;
	struct loop_timer *timer;
	struct exec_tail tail;
	handler_done_cb *done;
	void *arg;
	LIST_ENTRY(once_call) entry;
};

LIST_HEAD(once_calls, once_call);

struct once {
	struct handler base;
	struct loop *loop;
	struct exec_command command;
	struct once_calls calls;
};

static struct once *
owner_of(const struct once_call *call)
{
	return container_of(call->base.handler, struct once, base);
}

/* Its process, if there still is one, is killed. */
static void
call_free(struct once_call *call)
{
	child_close(call->child);
	loop_timer_free(owner_of(call)->loop, call->timer);
	LIST_REMOVE(call, entry);
	free(call);
}

static void
call_end(struct once_call *call, const struct verdict *verdict)
{
	handler_done_cb *done = call->done;
	void *arg = call->arg;

	call_free(call);
	done(arg, verdict);
}

static void
on_err(void *arg, const void *bytes, size_t len)
{
	struct once_call *call = arg;

	exec_tail_add(&call->tail, bytes, len);
}

static void
on_exited(void *arg, const struct child_exit *end)
{
	struct once_call *call = arg;
	struct verdict verdict;

	exec_verdict_once(&verdict, owner_of(call)->command.argv[0], end,
	    &call->tail);
	call_end(call, &verdict);
}

static void
on_timeout(void *arg)
{
	struct once_call *call = arg;
	struct verdict verdict;

	exec_verdict_timeout(&verdict, owner_of(call)->command.timeout_ms,
	    &call->tail);
	call_end(call, &verdict);
}

static struct handler_call *
once_start(struct handler *handler, const struct attempt *attempt,
    handler_done_cb *done, void *arg)
{
	static const struct child_cbs cbs = {
		.err = on_err,
		.exited = on_exited,
	};
	struct once *once = container_of(handler, struct once, base);
	struct once_call *call = xcalloc(1, sizeof(*call));

	call->base.handler = handler;
	call->done = done;
	call->arg = arg;
	LIST_INSERT_HEAD(&once->calls, call, entry);
	call->timer = loop_timer_new(once->loop, on_timeout, call);
	loop_timer_start(once->loop, call->timer, once->command.timeout_ms);
	call->child =
	    exec_command_open(&once->command, attempt, false, &cbs, call);
	child_send(call->child, NULL, 0, attempt->body, attempt->body_bytes,
	    true);
	return &call->base;
}

static void
once_cancel(struct handler_call *base)
{
	call_free(container_of(base, struct once_call, base));
}

static void
once_free(struct handler *handler)
{
	struct once *once = container_of(handler, struct once, base);
	struct once_call *call;

	while ((call = LIST_FIRST(&once->calls)) != NULL)
		call_free(call);
	exec_command_clear(&once->command);
	free(once);
}

struct handler *
exec_once_new(struct loop *loop, const struct conf_exec *conf)
{
	static const struct handler_ops ops = {
		.start = once_start,
		.cancel = once_cancel,
		.free = once_free,
	};
	struct once *once = xcalloc(1, sizeof(*once));

	once->base.ops = &ops;
	once->base.capacity = conf->workers;
	once->loop = loop;
	exec_command_init(&once->command, loop, conf);
	LIST_INIT(&once->calls);
	return &once->base;
}
