/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/downstream.h"

#include <stdlib.h>

#include "config/conf.h"
#include "lib/xalloc.h"

struct downstream_call {
	struct downstream *owner;
	struct handler_call *handling;
	uint64_t ticket;
	handler_done_cb *done;
	void *arg;
	LIST_ENTRY(downstream_call) entry;
};

LIST_HEAD(downstream_calls, downstream_call);
TAILQ_HEAD(downstream_listeners, downstream_listener);

struct downstream {
	char *name;
	struct loop *loop;
	struct handler *handler;
	struct breaker breaker;
	struct probe *probe;	 /* NULL: none */
	struct loop_timer *tick; /* the breaker is due */
	struct loop_task tell;	 /* the listeners, at the turn's end */
	bool gated;		 /* room is given out when they are told */
	unsigned under_way;	 /* of any ticket */
	struct downstream_calls calls, spare;
	struct downstream_listeners listeners;
	struct downstream_listener *telling; /* the next to be told */
	downstream_idle_cb *idle;	     /* NULL: not retired */
	void *idle_arg;
	struct loop_task idled;
	downstream_watch_cb *watch; /* NULL: nobody */
	void *watch_arg;
	struct metrics_cell *state, *opened, *healthy;
};

/* What may start, were it not for the gate. */
static unsigned
room(const struct downstream *d)
{
	unsigned breaker = breaker_room(&d->breaker);
	unsigned handler = d->handler->capacity - d->under_way;

	return breaker < handler ? breaker : handler;
}

/* The breaker may have moved on from `before`: see to what follows. */
static void
follow(struct downstream *d, enum breaker_state before)
{
	enum breaker_state state = breaker_state(&d->breaker);
	int64_t due_ms;

	if (state == before)
		return;
	metrics_set(d->state, state);
	if (state == BREAKER_OPEN) {
		metrics_inc(d->opened);
		due_ms = breaker_due_ms(&d->breaker);
		loop_timer_start(d->loop, d->tick,
		    due_ms - loop_now_ms(d->loop));
	} else if (state == BREAKER_HALF_OPEN && d->probe != NULL) {
		probe_now(d->probe);
	}
	if (d->watch != NULL)
		d->watch(d->watch_arg, d, before);
	loop_defer(d->loop, &d->tell);
}

static void
downstream_tick(void *arg)
{
	struct downstream *d = arg;
	enum breaker_state before = breaker_state(&d->breaker);
	int64_t due_ms;

	breaker_tick(&d->breaker, loop_turn_ms(d->loop));
	follow(d, before);
	/* The timer may be a fraction of a millisecond early. */
	if ((due_ms = breaker_due_ms(&d->breaker)) >= 0)
		loop_timer_start(d->loop, d->tick,
		    due_ms - loop_now_ms(d->loop));
}

static void
downstream_probed(void *arg, const struct probe_event *event)
{
	struct downstream *d = arg;
	enum breaker_state before = breaker_state(&d->breaker);

	metrics_set(d->healthy, event->health == PROBE_HEALTHY);
	breaker_probe(&d->breaker, event->good, event->health == PROBE_HEALTHY,
	    loop_turn_ms(d->loop));
	follow(d, before);
}

/* Tells all; who was told first is told last the next time. */
static void
downstream_tell(void *arg)
{
	struct downstream *d = arg;
	struct downstream_listener *now;

	d->gated = false;
	for (now = TAILQ_FIRST(&d->listeners); now != NULL; now = d->telling) {
		d->telling = TAILQ_NEXT(now, entry);
		now->cb(now->arg);
	}
	if ((now = TAILQ_FIRST(&d->listeners)) != NULL) {
		TAILQ_REMOVE(&d->listeners, now, entry);
		TAILQ_INSERT_TAIL(&d->listeners, now, entry);
	}
}

/* Retired: is there anybody left? */
static void
check_idle(struct downstream *d)
{
	if (d->idle != NULL && d->under_way == 0 && TAILQ_EMPTY(&d->listeners))
		loop_defer(d->loop, &d->idled);
}

/* A call is over: the breaker hears of it, its memory is spare. */
static void
downstream_end(struct downstream_call *call, enum breaker_result result)
{
	struct downstream *d = call->owner;
	enum breaker_state before = breaker_state(&d->breaker);
	bool full = room(d) == 0;

	LIST_REMOVE(call, entry);
	LIST_INSERT_HEAD(&d->spare, call, entry);
	d->under_way--;
	if (d->idle != NULL) {
		check_idle(d);
		return;
	}
	breaker_finish(&d->breaker, call->ticket, result,
	    loop_turn_ms(d->loop));
	follow(d, before);
	if (full && room(d) > 0) {
		d->gated = true;
		loop_defer(d->loop, &d->tell);
	}
}

static void
downstream_done(void *arg, const struct verdict *verdict)
{
	struct downstream_call *call = arg;
	handler_done_cb *done = call->done;
	void *done_arg = call->arg;

	if (!verdict->counts)
		downstream_end(call, BREAKER_NOTHING);
	else if (verdict->outcome == OUTCOME_OK)
		downstream_end(call, BREAKER_GOOD);
	else
		downstream_end(call, BREAKER_BAD);
	done(done_arg, verdict);
}

struct downstream_call *
downstream_start(struct downstream *d, const struct attempt *attempt,
    handler_done_cb *done, void *arg)
{
	struct downstream_call *call = LIST_FIRST(&d->spare);

	if (downstream_room(d) == 0)
		abort();
	if (call != NULL)
		LIST_REMOVE(call, entry);
	else
		call = xmalloc(sizeof(*call));
	LIST_INSERT_HEAD(&d->calls, call, entry);
	call->owner = d;
	call->done = done;
	call->arg = arg;
	d->under_way++;
	call->ticket = breaker_start(&d->breaker);
	call->handling =
	    handler_start(d->handler, attempt, downstream_done, call);
	return call;
}

void
downstream_cancel(struct downstream_call *call)
{
	handler_cancel(call->handling);
	downstream_end(call, BREAKER_NOTHING);
}

const char *
downstream_name(const struct downstream *d)
{
	return d->name;
}

enum breaker_state
downstream_state(const struct downstream *d)
{
	return breaker_state(&d->breaker);
}

int64_t
downstream_open_ms(const struct downstream *d)
{
	return breaker_open_ms(&d->breaker, loop_now_ms(d->loop));
}

uint64_t
downstream_opened(const struct downstream *d)
{
	return breaker_opened(&d->breaker);
}

enum probe_health
downstream_health(const struct downstream *d)
{
	return d->probe == NULL ? PROBE_HEALTHY : probe_health(d->probe);
}

unsigned
downstream_room(const struct downstream *d)
{
	return d->gated || d->idle != NULL ? 0 : room(d);
}

void
downstream_listen(struct downstream *d, struct downstream_listener *listener)
{
	TAILQ_INSERT_TAIL(&d->listeners, listener, entry);
}

void
downstream_unlisten(struct downstream *d, struct downstream_listener *listener)
{
	if (d->telling == listener)
		d->telling = TAILQ_NEXT(listener, entry);
	TAILQ_REMOVE(&d->listeners, listener, entry);
	check_idle(d);
}

void
downstream_watch(struct downstream *d, downstream_watch_cb *watch, void *arg)
{
	d->watch = watch;
	d->watch_arg = arg;
}

/* As many attempts at once as all its pipelines, and the handler, may have. */
static unsigned
limit_of(const struct downstream *d, unsigned concurrency)
{
	return concurrency < d->handler->capacity ? concurrency
						  : d->handler->capacity;
}

void
downstream_limit(struct downstream *d, unsigned concurrency)
{
	bool full = room(d) == 0;

	breaker_limit(&d->breaker, limit_of(d, concurrency));
	if (full && room(d) > 0)
		loop_defer(d->loop, &d->tell);
}

static void
downstream_idled(void *arg)
{
	struct downstream *d = arg;

	d->idle(d->idle_arg, d);
}

void
downstream_retire(struct downstream *d, downstream_idle_cb *idle, void *arg)
{
	probe_free(d->probe);
	d->probe = NULL;
	loop_timer_stop(d->loop, d->tick);
	loop_undefer(d->loop, &d->tell);
	metrics_hide(d->state);
	metrics_hide(d->healthy);
	d->idle = idle;
	d->idle_arg = arg;
	check_idle(d);
}

static struct handler *
make_handler(const struct downstream_env *env,
    const struct conf_downstream *conf)
{
	if (env->handler_new != NULL)
		return env->handler_new(env->arg, conf);
	switch (conf->kind) {
	case CONF_KIND_HTTP:
		return handler_http_new(env->loop, &conf->http);
	case CONF_KIND_EXEC:
		return handler_exec_new(env->loop, conf->name, &conf->exec);
	case CONF_KIND_NOOP:
		return handler_noop_new(env->loop);
	case CONF_KIND_PLUGIN:
		return handler_plugin_new(env->loop, conf->name, &conf->plugin);
	}
	abort();
}

/*
 * Whether a probe is there to ask. The work queue's consumers are ourselves:
 * with an open breaker there are none, and to wait for some would be for ever.
 */
static bool
is_probed(const struct conf_downstream *conf)
{
	return conf->probe.kind != CONF_PROBE_NONE &&
	    conf->probe.kind != CONF_PROBE_AMQP;
}

static void
make_breaker(struct downstream *d, const struct conf_downstream *downstream,
    unsigned concurrency)
{
	const struct conf_breaker *conf = &downstream->breaker;
	struct breaker_params params = {
		.failures = conf->failures,
		.ratio = conf->ratio,
		.minimum = conf->minimum,
		.window_ms = conf->window_ms,
		.open_ms = conf->open_ms,
		.open_max_ms = conf->open_max_ms,
		.probed = is_probed(downstream),
		.limit = limit_of(d, concurrency),
	};

	breaker_init(&d->breaker, d->name, &params, loop_random(d->loop));
	d->tick = loop_timer_new(d->loop, downstream_tick, d);
}

static void
make_probe(struct downstream *d, const struct downstream_env *env,
    const struct conf_downstream *conf)
{
	struct probe_params params;
	struct probe_driver *driver;

	if (!is_probed(conf))
		return;
	params = probe_params_of(d->name, &conf->probe);
	driver = env->driver_new != NULL
	    ? env->driver_new(env->arg, conf)
	    : probe_driver_new(env->loop, env->net, conf);
	d->probe = probe_new(env->loop, &params, driver, downstream_probed, d);
}

static void
make_metrics(struct downstream *d, struct metrics *m)
{
	struct metrics_family *state, *opened, *healthy;

	state = metrics_gauge(m, "dlo_breaker_state",
	    "Breaker: 0 closed, 1 half-open, 2 open.", "downstream");
	opened = metrics_counter(m, "dlo_breaker_opened_total",
	    "How often the breaker opened.", "downstream");
	healthy = metrics_gauge(m, "dlo_probe_healthy",
	    "Whether the probe says healthy; 1 without one.", "downstream");
	d->state = metrics_cell(state, d->name);
	d->opened = metrics_cell(opened, d->name);
	d->healthy = metrics_cell(healthy, d->name);
	metrics_set(d->state, BREAKER_CLOSED);
	metrics_set(d->healthy, downstream_health(d) == PROBE_HEALTHY);
}

struct downstream *
downstream_new(const struct downstream_env *env,
    const struct conf_downstream *conf, unsigned concurrency)
{
	struct downstream *d = xcalloc(1, sizeof(*d));

	d->name = xstrdup(conf->name);
	d->loop = env->loop;
	LIST_INIT(&d->calls);
	LIST_INIT(&d->spare);
	TAILQ_INIT(&d->listeners);
	loop_task_init(&d->tell, downstream_tell, d);
	loop_task_init(&d->idled, downstream_idled, d);
	d->handler = make_handler(env, conf);
	make_breaker(d, conf, concurrency);
	make_probe(d, env, conf);
	make_metrics(d, env->metrics);
	return d;
}

static void
free_calls(struct downstream_calls *calls)
{
	struct downstream_call *call;

	while ((call = LIST_FIRST(calls)) != NULL) {
		LIST_REMOVE(call, entry);
		free(call);
	}
}

void
downstream_free(struct downstream *d)
{
	if (d == NULL)
		return;
	handler_free(d->handler);
	probe_free(d->probe);
	loop_timer_free(d->loop, d->tick);
	loop_undefer(d->loop, &d->tell);
	loop_undefer(d->loop, &d->idled);
	free_calls(&d->calls);
	free_calls(&d->spare);
	free(d->name);
	free(d);
}
