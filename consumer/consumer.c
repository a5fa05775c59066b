/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "consumer/consumer.h"

#include <stdlib.h>

#include "consumer/budget.h"
#include "consumer/events.h"
#include "consumer/meter.h"
#include "consumer/session.h"
#include "consumer/settle.h"
#include "consumer/trial.h"
#include "dlx/startup.h"
#include "dlx/topology.h"
#include "lib/cli.h"
#include "lib/log.h"
#include "lib/xalloc.h"

/* A wall clock that runs away from the monotonic one by this has jumped. */
#define CLOCK_JUMP_MS 1000

enum consumer_state {
	CONSUMER_STARTING,
	CONSUMER_RUNNING,
	CONSUMER_DRAINING,
	CONSUMER_CLOSING,
	CONSUMER_ENDED,
};

struct consumer {
	struct consumer_env env;
	const struct conf *conf;
	const struct consumer_cbs *cbs;
	void *arg;
	enum consumer_state state;
	int exit_code;
	struct meter meter;
	struct budget budget;
	struct trial trial;
	struct topology_names names;
	struct settle *settle;
	struct events *events;
	struct session *session;
	struct roster *roster;
	const struct conf *next; /* waits for its topology; NULL: none */
	struct roster_change change;
	struct loop_timer *drain_timer;
	struct loop_timer *beat_timer; /* see EVENTS_BEAT_MS */
	int64_t clock_offset_ms;       /* wall less monotonic */
};

static const char *
state_name(enum consumer_state state)
{
	static const char *const names[] = {
		[CONSUMER_STARTING] = "starting",
		[CONSUMER_RUNNING] = "running",
		[CONSUMER_DRAINING] = "draining",
		[CONSUMER_CLOSING] = "closing",
		[CONSUMER_ENDED] = "ended",
	};

	return names[state];
}

#define TO(state) (1u << CONSUMER_##state)

/* The moves are those of consumer.h. */
static void
consumer_enter(struct consumer *c, enum consumer_state to)
{
	static const unsigned char legal[] = {
		[CONSUMER_STARTING] = TO(RUNNING) | TO(DRAINING) | TO(CLOSING),
		[CONSUMER_RUNNING] = TO(DRAINING),
		[CONSUMER_DRAINING] = TO(CLOSING),
		[CONSUMER_CLOSING] = TO(ENDED),
		[CONSUMER_ENDED] = 0,
	};

	log_info("consumer", LOG_STR("from", state_name(c->state)),
	    LOG_STR("to", state_name(to)));
	if ((legal[c->state] & 1u << to) == 0)
		abort();
	c->state = to;
}

/* Closes the connections; the rest follows when they are closed. */
static void
close_down(struct consumer *c, int exit_code)
{
	c->exit_code = exit_code;
	consumer_enter(c, CONSUMER_CLOSING);
	loop_timer_stop(c->env.loop, c->drain_timer);
	loop_timer_stop(c->env.loop, c->beat_timer);
	session_stop(c->session);
}

/* While starting, what only an operator can mend ends it. */
static void
give_up(struct consumer *c, const struct startup_fault *fault, const char *what,
    const char *text)
{
	if (c->state != CONSUMER_STARTING)
		return;
	log_error("start_failed", LOG_STR("what", what), LOG_STR("text", text),
	    LOG_STR("hint", fault->hint), LOG_INT("exit", fault->exit_code));
	close_down(c, fault->exit_code);
}

bool
consumer_is_ready(const struct consumer *c, struct buf *why)
{
	if (c->state > CONSUMER_RUNNING) {
		if (why != NULL)
			buf_add_str(why, state_name(c->state));
		return false;
	}
	if (!session_is_up(c->session, why) || !roster_is_well(c->roster, why))
		return false;
	if (!c->conf->features.consume && why != NULL)
		buf_add_str(why, "ready, but features.consume is off");
	return true;
}

/* Who listens only now hears how the breakers are, too. */
static void
on_beat(void *arg)
{
	struct consumer *c = arg;

	roster_tell_breakers(c->roster);
	loop_timer_start(c->env.loop, c->beat_timer, EVENTS_BEAT_MS);
}

static void
check_ready(struct consumer *c)
{
	if (c->state != CONSUMER_STARTING || !consumer_is_ready(c, NULL))
		return;
	consumer_enter(c, CONSUMER_RUNNING);
	on_beat(c);
	c->cbs->ready(c->arg);
}

/* All of the next configuration, within this call. */
static void
take_over(struct consumer *c)
{
	c->conf = c->next;
	c->next = NULL;
	budget_limit(&c->budget, c->conf->consumer.max_inflight_bytes);
	roster_follow(c->roster, c->conf, &c->change);
}

static void
on_open(void *arg, struct rmq_conn *conn)
{
	struct consumer *c = arg;

	if (c->next != NULL && c->state <= CONSUMER_RUNNING)
		take_over(c);
	roster_connect(c->roster, conn);
}

static void
on_lost(void *arg)
{
	struct consumer *c = arg;

	roster_disconnect(c->roster);
	budget_reset(&c->budget);
	/* The next connection sees to its topology. */
	if (c->next != NULL && c->state <= CONSUMER_RUNNING)
		take_over(c);
}

static void
on_session_changed(void *arg)
{
	check_ready(arg);
}

static void
on_unreachable(void *arg)
{
	struct consumer *c = arg;

	if (c->state == CONSUMER_STARTING)
		c->cbs->unreachable(c->arg);
}

static void
on_fault(void *arg, const struct startup_fault *fault, const char *what,
    const char *text)
{
	give_up(arg, fault, what, text);
}

static void
on_stopped(void *arg)
{
	struct consumer *c = arg;

	consumer_enter(c, CONSUMER_ENDED);
	c->cbs->ended(c->arg, c->exit_code);
}

static void
check_drained(struct consumer *c)
{
	if (c->state != CONSUMER_DRAINING)
		return;
	if (roster_is_stopped(c->roster))
		close_down(c, CLI_OK);
}

static void
on_changed(void *arg)
{
	check_ready(arg);
	check_drained(arg);
}

static void
on_refused(void *arg, const char *queue, const struct rmq_close *why)
{
	struct startup_fault fault = startup_queue(why);

	if (fault.exit_code != CLI_OK)
		give_up(arg, &fault, queue, why->text);
}

static void
on_settled(void *arg)
{
	struct consumer *c = arg;

	c->cbs->reloaded(c->arg, &c->change);
}

static void
on_astray(void *arg)
{
	struct consumer *c = arg;

	if (c->state == CONSUMER_RUNNING)
		session_redeclare(c->session);
}

static void
on_drain_timeout(void *arg)
{
	struct consumer *c = arg;

	log_warn("drain_timeout",
	    LOG_INT("after_ms", c->conf->consumer.drain_timeout_ms));
	roster_abort(c->roster);
}

static void
on_budget(void *arg, bool full)
{
	struct consumer *c = arg;

	log_info(full ? "reading_paused" : "reading_resumed",
	    LOG_UINT("used_bytes", c->budget.used_bytes),
	    LOG_UINT("max_bytes", c->budget.max_bytes));
	session_read_enable(c->session, !full);
}

static void
on_trial(void *arg)
{
	struct consumer *c = arg;

	if (c->roster != NULL)
		roster_trial(c->roster);
}

static uint64_t
partial_bytes(void *arg)
{
	const struct consumer *c = arg;

	return session_partial_bytes(c->session);
}

static int64_t
clock_offset_ms(const struct consumer *c)
{
	return loop_wall_ms(c->env.loop) - loop_now_ms(c->env.loop);
}

/* Before the metrics are read. */
static void
on_render(void *arg)
{
	struct consumer *c = arg;
	int64_t offset_ms = clock_offset_ms(c);
	int64_t jump_ms = offset_ms - c->clock_offset_ms;

	roster_gauge(c->roster);
	metrics_set(c->meter.inflight_bytes, (double)c->budget.used_bytes);
	c->clock_offset_ms = offset_ms;
	if (jump_ms > -CLOCK_JUMP_MS && jump_ms < CLOCK_JUMP_MS)
		return;
	metrics_inc(c->meter.faults[METER_CLOCK_JUMP]);
	log_warn("clock_jump", LOG_INT("by_ms", jump_ms));
}

static struct session *
make_session(struct consumer *c)
{
	static const struct session_cbs cbs = {
		.open = on_open,
		.lost = on_lost,
		.changed = on_session_changed,
		.unreachable = on_unreachable,
		.fault = on_fault,
		.stopped = on_stopped,
	};
	const struct session_env env = {
		.loop = c->env.loop,
		.net = c->env.net,
		.conf = c->conf,
		.instance = c->env.instance,
		.meter = &c->meter,
		.settle = c->settle,
	};

	return session_new(&env, &cbs, c);
}

static size_t
unsent(void *arg)
{
	const struct consumer *c = arg;

	return session_unsent(c->session);
}

static struct events *
make_events(struct consumer *c)
{
	const struct teller_env env = {
		.loop = c->env.loop,
		.publisher = settle_publisher(c->settle),
		.exchange = c->names.events,
		.user = c->conf->consumer_broker.user,
		.instance = c->env.instance,
		.metrics = c->env.metrics,
		.unsent = unsent,
		.arg = c,
	};

	return events_new(&env);
}

static struct roster *
make_roster(struct consumer *c)
{
	static const struct roster_cbs cbs = {
		.changed = on_changed,
		.refused = on_refused,
		.astray = on_astray,
		.settled = on_settled,
	};
	const struct roster_env env = {
		.downstream = {
			.loop = c->env.loop,
			.net = c->env.net,
			.metrics = c->env.metrics,
			.handler_new = c->env.handler_new,
			.driver_new = c->env.driver_new,
			.arg = c->env.arg,
		},
		.names = &c->names,
		.settle = c->settle,
		.events = c->events,
		.meter = &c->meter,
		.budget = &c->budget,
		.trial = &c->trial,
	};

	return roster_new(&env, c->conf, &cbs, c);
}

struct consumer *
consumer_new(const struct consumer_env *env, const struct conf *conf,
    const struct consumer_cbs *cbs, void *arg)
{
	static const struct settle_cbs settle_cbs = { .astray = on_astray };
	struct consumer *c = xcalloc(1, sizeof(*c));

	c->env = *env;
	c->conf = conf;
	c->cbs = cbs;
	c->arg = arg;
	meter_init(&c->meter, env->metrics);
	c->budget.max_bytes = conf->consumer.max_inflight_bytes;
	c->budget.changed = on_budget;
	c->budget.partial_bytes = partial_bytes;
	c->budget.arg = c;
	topology_names_init(&c->names, conf);
	c->settle = settle_new(env->loop, conf->consumer_broker.user, &c->meter,
	    &settle_cbs, c);
	c->session = make_session(c);
	c->drain_timer = loop_timer_new(env->loop, on_drain_timeout, c);
	c->beat_timer = loop_timer_new(env->loop, on_beat, c);
	c->events = make_events(c);
	trial_init(&c->trial, env->loop, on_trial, c);
	c->roster = make_roster(c);
	c->clock_offset_ms = clock_offset_ms(c);
	metrics_on_render(env->metrics, on_render, c);
	return c;
}

void
consumer_start(struct consumer *c)
{
	session_start(c->session);
}

void
consumer_drain(struct consumer *c)
{
	if (c->state > CONSUMER_RUNNING)
		return;
	consumer_enter(c, CONSUMER_DRAINING);
	session_wind_down(c->session);
	loop_timer_start(c->env.loop, c->drain_timer,
	    c->conf->consumer.drain_timeout_ms);
	roster_drain(c->roster);
	check_drained(c);
}

void
consumer_reload(struct consumer *c, const struct conf *conf)
{
	if (c->state > CONSUMER_RUNNING)
		return;
	c->next = conf;
	if (!session_follow(c->session, conf))
		take_over(c);
}

void
consumer_free(struct consumer *c)
{
	if (c == NULL)
		return;
	metrics_off_render(c->env.metrics, on_render, c);
	trial_clear(&c->trial);
	roster_free(c->roster);
	/* The session may be asking through the settler's publisher. */
	session_wind_down(c->session);
	events_free(c->events);
	settle_free(c->settle);
	session_free(c->session);
	loop_timer_free(c->env.loop, c->drain_timer);
	loop_timer_free(c->env.loop, c->beat_timer);
	topology_names_clear(&c->names);
	free(c);
}
