/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Says ok to everything. Calls of one turn are answered together at its end;
 * those that the answers bring are answered after the turn's other tasks, so
 * that a stream of messages is acked and flushed in batches.
 */
#include "downstream/handler.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "lib/xalloc.h"

struct noop_call {
	struct handler_call base;
	handler_done_cb *done;
	void *arg;
	TAILQ_ENTRY(noop_call) entry;
};

TAILQ_HEAD(noop_calls, noop_call);

struct noop {
	struct handler base;
	struct loop *loop;
	struct loop_task answer;
	struct verdict verdict;
	struct noop_calls waiting, spare;
	size_t waiting_count;
};

static struct handler_call *
noop_start(struct handler *handler, const struct attempt *attempt,
    handler_done_cb *done, void *arg)
{
	struct noop *noop = container_of(handler, struct noop, base);
	struct noop_call *call = TAILQ_FIRST(&noop->spare);

	(void)attempt;
	if (call != NULL)
		TAILQ_REMOVE(&noop->spare, call, entry);
	else
		call = xmalloc(sizeof(*call));
	call->base.handler = handler;
	call->done = done;
	call->arg = arg;
	TAILQ_INSERT_TAIL(&noop->waiting, call, entry);
	noop->waiting_count++;
	loop_defer(noop->loop, &noop->answer);
	return &call->base;
}

static void
noop_forget(struct noop *noop, struct noop_call *call)
{
	TAILQ_REMOVE(&noop->waiting, call, entry);
	noop->waiting_count--;
	TAILQ_INSERT_HEAD(&noop->spare, call, entry);
}

static void
noop_cancel(struct handler_call *base)
{
	noop_forget(container_of(base->handler, struct noop, base),
	    container_of(base, struct noop_call, base));
}

static void
noop_answer(void *arg)
{
	struct noop *noop = arg;
	struct noop_call *call;
	size_t n;

	for (n = noop->waiting_count; n > 0; n--) {
		if ((call = TAILQ_FIRST(&noop->waiting)) == NULL)
			return;
		noop_forget(noop, call);
		call->done(call->arg, &noop->verdict);
	}
	if (noop->waiting_count > 0)
		loop_defer(noop->loop, &noop->answer);
}

static void
noop_free(struct handler *handler)
{
	struct noop *noop = container_of(handler, struct noop, base);
	struct noop_call *call;

	TAILQ_CONCAT(&noop->spare, &noop->waiting, entry);
	while ((call = TAILQ_FIRST(&noop->spare)) != NULL) {
		TAILQ_REMOVE(&noop->spare, call, entry);
		free(call);
	}
	loop_undefer(noop->loop, &noop->answer);
	free(noop);
}

struct handler *
handler_noop_new(struct loop *loop)
{
	static const struct handler_ops ops = {
		.start = noop_start,
		.cancel = noop_cancel,
		.free = noop_free,
	};
	struct noop *noop = xcalloc(1, sizeof(*noop));

	noop->base.ops = &ops;
	noop->base.capacity = HANDLER_ANY;
	noop->loop = loop;
	loop_task_init(&noop->answer, noop_answer, noop);
	verdict_init(&noop->verdict, OUTCOME_OK, "noop");
	TAILQ_INIT(&noop->waiting);
	TAILQ_INIT(&noop->spare);
	return &noop->base;
}
