/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/sim/fakes.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "lib/xalloc.h"
#include "tests/sim/sim_loop.h"

struct fakes {
	struct loop *loop;
	struct fakes_hooks hooks;
	double failing, rejecting;
	bool down;
	LIST_HEAD(, fake_handler) handlers;
};

struct fake_call {
	struct handler_call base;
	TAILQ_ENTRY(fake_call) link;
	struct fakes *fakes;
	struct fake_handler *handler;
	uint32_t lineage;
	handler_done_cb *done;
	void *arg;
	struct loop_timer *timer;
};

struct fake_handler {
	struct handler base;
	LIST_ENTRY(fake_handler) link;
	struct fakes *fakes;
	void (*die)(void *arg);
	void *arg;
	TAILQ_HEAD(, fake_call) calls;
};

struct fake_driver {
	struct probe_driver base;
	struct fakes *fakes;
	probe_driver_cb *done;
	void *arg;
	struct loop_timer *timer;
};

static void
call_free(struct fake_call *call)
{
	TAILQ_REMOVE(&call->handler->calls, call, link);
	loop_timer_free(call->fakes->loop, call->timer);
	free(call);
}

static enum outcome
draw_outcome(const struct fakes *fakes, uint32_t lineage)
{
	/* A fixed share of lineages, whatever the seed. */
	double draw = (double)(lineage * 2654435761u) / 4294967296.0;

	if (fakes->down)
		return OUTCOME_RETRY;
	if (draw < fakes->rejecting)
		return OUTCOME_REJECT;
	return sim_chance(fakes->loop, fakes->failing) ? OUTCOME_RETRY
						       : OUTCOME_OK;
}

static void
call_done(void *arg)
{
	struct fake_call *call = arg;
	struct fakes *fakes = call->fakes;
	handler_done_cb *done = call->done;
	void *done_arg = call->arg;
	struct verdict verdict;

	verdict_init(&verdict, draw_outcome(fakes, call->lineage),
	    fakes->down ? "http.connect" : "http.503");
	if (verdict.outcome == OUTCOME_RETRY && sim_chance(fakes->loop, 0.1))
		verdict.delay_ms = (int64_t)sim_below(fakes->loop, 10000);
	fakes->hooks.attempt(fakes->hooks.arg, call->lineage, verdict.outcome);
	call_free(call);
	done(done_arg, &verdict);
}

/* With this handler or one that it has taken the place of. */
static bool
is_busy(const struct fakes *fakes, const void *owner)
{
	const struct fake_handler *handler;

	LIST_FOREACH(handler, &fakes->handlers, link)
		if (handler->arg == owner && !TAILQ_EMPTY(&handler->calls))
			return true;
	return false;
}

/* Frees the call, too. */
static void
call_kill(void *arg)
{
	struct fake_handler *handler = ((struct fake_call *)arg)->handler;

	handler->die(handler->arg);
}

/* Some at once, some when they have got somewhere. */
static void
begin(struct fake_call *call)
{
	struct fakes *fakes = call->fakes;
	struct loop *loop = fakes->loop;
	bool kills = fakes->hooks.kills != NULL &&
	    fakes->hooks.kills(fakes->hooks.arg, call->lineage);

	call->timer = loop_timer_new(loop, kills ? call_kill : call_done, call);
	if (kills && sim_chance(loop, 0.5))
		loop_timer_start(loop, call->timer, 0);
	else
		loop_timer_start(loop, call->timer,
		    1 +
			(int64_t)sim_below(loop,
			    sim_chance(loop, 0.1) ? 5000 : 100));
}

static struct handler_call *
fake_start(struct handler *base, const struct attempt *attempt,
    handler_done_cb *done, void *arg)
{
	struct fake_handler *handler =
	    container_of(base, struct fake_handler, base);
	struct fake_call *call = xcalloc(1, sizeof(*call));
	const uint8_t *body = attempt->body;

	assert(attempt->body_bytes >= 4);
	call->base.handler = base;
	call->handler = handler;
	call->fakes = handler->fakes;
	call->lineage = (uint32_t)body[0] << 24 | (uint32_t)body[1] << 16 |
	    (uint32_t)body[2] << 8 | body[3];
	if (handler->fakes->hooks.overlapped != NULL &&
	    is_busy(handler->fakes, handler->arg))
		handler->fakes->hooks.overlapped(handler->fakes->hooks.arg,
		    call->lineage);
	call->done = done;
	call->arg = arg;
	begin(call);
	TAILQ_INSERT_TAIL(&handler->calls, call, link);
	return &call->base;
}

static void
fake_cancel(struct handler_call *base)
{
	call_free(container_of(base, struct fake_call, base));
}

static void
fake_free(struct handler *base)
{
	struct fake_handler *handler =
	    container_of(base, struct fake_handler, base);

	while (!TAILQ_EMPTY(&handler->calls))
		call_free(TAILQ_FIRST(&handler->calls));
	LIST_REMOVE(handler, link);
	free(handler);
}

static const struct handler_ops fake_ops = { fake_start, fake_cancel,
	fake_free };

static void
driver_done(void *arg)
{
	struct fake_driver *driver = arg;
	bool good = !driver->fakes->down;

	driver->done(driver->arg, good, good ? NULL : "it is down");
}

static void
driver_start(struct probe_driver *base, int64_t timeout_ms,
    probe_driver_cb *done, void *arg)
{
	struct fake_driver *driver =
	    container_of(base, struct fake_driver, base);
	struct loop *loop = driver->fakes->loop;

	(void)timeout_ms;
	driver->done = done;
	driver->arg = arg;
	loop_timer_start(loop, driver->timer, 1 + (int64_t)sim_below(loop, 50));
}

static void
driver_cancel(struct probe_driver *base)
{
	struct fake_driver *driver =
	    container_of(base, struct fake_driver, base);

	loop_timer_stop(driver->fakes->loop, driver->timer);
}

static void
driver_free(struct probe_driver *base)
{
	struct fake_driver *driver =
	    container_of(base, struct fake_driver, base);

	loop_timer_free(driver->fakes->loop, driver->timer);
	free(driver);
}

static const struct probe_driver_ops driver_ops = { driver_start, driver_cancel,
	driver_free };

struct fakes *
fakes_new(struct loop *loop, const struct fakes_hooks *hooks)
{
	struct fakes *fakes = xcalloc(1, sizeof(*fakes));

	fakes->loop = loop;
	fakes->hooks = *hooks;
	return fakes;
}

void
fakes_free(struct fakes *fakes)
{
	free(fakes);
}

void
fakes_set_failing(struct fakes *fakes, double share)
{
	fakes->failing = share;
}

void
fakes_set_rejecting(struct fakes *fakes, double share)
{
	fakes->rejecting = share;
}

void
fakes_set_down(struct fakes *fakes, bool down)
{
	fakes->down = down;
}

struct handler *
fakes_handler_new(struct fakes *fakes, void (*die)(void *arg), void *arg)
{
	struct fake_handler *handler = xcalloc(1, sizeof(*handler));

	handler->base.ops = &fake_ops;
	handler->base.capacity = HANDLER_ANY;
	handler->fakes = fakes;
	handler->die = die;
	handler->arg = arg;
	LIST_INSERT_HEAD(&fakes->handlers, handler, link);
	TAILQ_INIT(&handler->calls);
	return &handler->base;
}

struct probe_driver *
fakes_driver_new(struct fakes *fakes)
{
	struct fake_driver *driver = xcalloc(1, sizeof(*driver));

	driver->base.ops = &driver_ops;
	driver->fakes = fakes;
	driver->timer = loop_timer_new(fakes->loop, driver_done, driver);
	return &driver->base;
}
