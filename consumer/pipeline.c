/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "consumer/pipeline.h"

#include <stdlib.h>
#include <string.h>

#include "consumer/pipeline_state.h"
#include "consumer/subscription.h"
#include "consumer/window.h"
#include "lib/backoff.h"
#include "lib/log.h"
#include "lib/xalloc.h"

enum { CODE_NOT_FOUND = 404, CODE_PRECONDITION = 406 };

struct pipeline {
	struct pipeline_env env;
	const struct conf_pipeline *conf;
	char *name, *queue; /* attempts under way point to them */
	struct downstream *downstream;
	struct downstream_listener listener;
	struct window window;
	enum pipeline_state state;
	struct rmq_conn *conn; /* NULL: none to work on */
	struct subscription subscription;
	bool well;			/* nothing is wrong with it */
	enum pipeline_state told_state; /* when `changed` was last called */
	bool told_well;
	bool careful;	  /* one message at a time, see pipeline.h */
	bool wary;	  /* the same, until a message is not suspicious */
	uint64_t answers; /* of the window, when it became careful */
	bool draining;
	unsigned failures;		/* to subscribe, in a row */
	const char *trouble;		/* why it failed last */
	struct loop_timer *retry_timer; /* pending: not to subscribe yet */
	struct loop_timer *hold_timer;	/* see window_is_overdue */
	struct loop_timer *grace_timer; /* giving back has its limit */
	struct loop_task turn;
};

static bool
is_ordered(const struct pipeline *p)
{
	return p->conf->order != CONF_ORDER_NONE;
}

static bool
has_channel(const struct pipeline *p)
{
	return p->state != PIPELINE_IDLE && p->state != PIPELINE_STOPPED;
}

/* Whether the broker may deliver something that is to be tried alone. */
static int
is_receiving(const struct pipeline *p, enum pipeline_state state)
{
	return !is_ordered(p) && state != PIPELINE_IDLE &&
	    state != PIPELINE_PAUSED && state != PIPELINE_STOPPED;
}

static void
pipeline_enter(struct pipeline *p, enum pipeline_state to, const char *why)
{
	log_info("pipeline", LOG_STR("pipeline", p->name),
	    LOG_STR("from", pipeline_state_name(p->state)),
	    LOG_STR("to", pipeline_state_name(to)), LOG_STR("why", why),
	    LOG_UINT("waiting", p->window.count[DELIVERY_WAITING]));
	if (!pipeline_state_may(p->state, to))
		abort();
	trial_receive(p->env.trial,
	    is_receiving(p, to) - is_receiving(p, p->state));
	p->state = to;
	loop_defer(p->env.loop, &p->turn);
}

/* Keeps away from the broker for a while; `trouble` is told meanwhile. */
static void
back_off(struct pipeline *p, const char *trouble)
{
	static const struct backoff backoff = {
		.first_ms = 1000,
		.factor = 2,
		.cap_ms = 30000,
		.jitter = 0.5,
	};
	int64_t delay_ms = backoff_delay_ms(&backoff, ++p->failures,
	    loop_random_unit(p->env.loop));

	p->well = false;
	p->trouble = trouble;
	loop_timer_start(p->env.loop, p->retry_timer, delay_ms);
	log_info("pipeline_backs_off", LOG_STR("pipeline", p->name),
	    LOG_INT("delay_ms", delay_ms));
}

static enum meter_fault
fault_of(const struct rmq_close *why)
{
	if (why->code == CODE_NOT_FOUND)
		return METER_QUEUE_GONE;
	if (why->code == CODE_PRECONDITION &&
	    strstr(why->text, "timed out") != NULL)
		return METER_CONSUMER_TIMEOUT;
	return METER_CHANNEL_CLOSED;
}

/* The channel has gone, and all unacked deliveries with it. */
static void
on_closed(void *arg, const struct rmq_close *why)
{
	struct pipeline *p = arg;

	p->well = false;
	window_drop(&p->window);
	loop_timer_stop(p->env.loop, p->grace_timer);
	pipeline_enter(p, PIPELINE_IDLE, "channel closed");
	/* With its connection: pipeline_disconnect follows. */
	if (why->fault != RMQ_FAULT_SERVER || !rmq_conn_is_open(p->conn))
		return;
	log_warn("channel_closed", LOG_STR("pipeline", p->name),
	    LOG_STR("queue", p->queue), LOG_UINT("code", why->code),
	    LOG_STR("text", why->text));
	metrics_inc(p->env.meter->faults[fault_of(why)]);
	back_off(p, "the broker refused");
	p->env.cbs->refused(p->env.arg, p, why);
	if (why->code == CODE_NOT_FOUND)
		p->env.cbs->astray(p->env.arg);
}

static void
on_begun(void *arg)
{
	struct pipeline *p = arg;

	p->well = true;
	p->failures = 0;
	if (p->state == PIPELINE_OPENING)
		pipeline_enter(p, PIPELINE_CONSUMING, "subscribed");
}

/* Closing the channel is what gives back, and keeps the queue's order. */
static void
leave_channel(struct pipeline *p, const char *why)
{
	window_drop(&p->window);
	subscription_leave(&p->subscription);
	loop_timer_stop(p->env.loop, p->grace_timer);
	pipeline_enter(p, PIPELINE_IDLE, why);
}

/*
 * What was delivered is still ours; but if the order counts it goes back at
 * once, as what is behind it may already be with somebody else.
 */
static void
on_ended(void *arg, bool by_broker)
{
	struct pipeline *p = arg;

	if (is_ordered(p))
		leave_channel(p, "cancelled by the broker");
	else if (p->state != PIPELINE_GIVING_BACK)
		pipeline_enter(p, PIPELINE_PAUSED,
		    by_broker ? "cancelled by the broker" : "cancelled");
	if (!by_broker)
		return;
	log_warn("consumer_cancelled", LOG_STR("pipeline", p->name),
	    LOG_STR("queue", p->queue));
	metrics_inc(p->env.meter->faults[METER_CONSUMER_CANCELLED]);
	back_off(p, "the broker cancelled");
	p->env.cbs->astray(p->env.arg);
}

static void
on_delivery(void *arg, const struct rmq_delivery *delivery)
{
	struct pipeline *p = arg;

	if (!window_receive(&p->window, p->subscription.channel, delivery))
		p->wary = false;
}

static const struct subscription_cbs subscription_cbs = {
	.begun = on_begun,
	.delivery = on_delivery,
	.ended = on_ended,
	.closed = on_closed,
};

/*
 * How much to ask for at once. When the order counts never less than before:
 * the broker puts what is returned again behind what was returned with it.
 */
static uint16_t
wanted_prefetch(const struct pipeline *p)
{
	if (is_ordered(p) ||
	    (!p->careful && !p->wary &&
		downstream_state(p->downstream) == BREAKER_CLOSED))
		return (uint16_t)p->conf->prefetch;
	return 1;
}

static void
open_channel(struct pipeline *p)
{
	p->wary = true;
	if (subscription_open(&p->subscription, p->conn, wanted_prefetch(p)) ==
	    0) {
		pipeline_enter(p, PIPELINE_OPENING, "connected");
		return;
	}
	log_warn("no_channel", LOG_STR("pipeline", p->name));
	back_off(p, "the connection has no channel left for");
}

/*
 * Whether the breaker lets it consume. Half-open without a probe, it takes a
 * message as a trial when none is waiting.
 */
static bool
breaker_allows(const struct pipeline *p)
{
	switch (downstream_state(p->downstream)) {
	case BREAKER_CLOSED:
		return true;
	case BREAKER_HALF_OPEN:
		return downstream_room(p->downstream) > 0 &&
		    p->window.count[DELIVERY_WAITING] == 0;
	case BREAKER_OPEN:
		break;
	}
	return false;
}

/* Whether somebody's trial asks it not to be subscribed. */
static bool
is_in_the_way(const struct pipeline *p)
{
	return !is_ordered(p) && trial_is_sealed(p->env.trial);
}

/* Whether to subscribe, as far as the policy is concerned. */
static bool
policy_allows(const struct pipeline *p)
{
	/* What is in memory first: windows must not add up. */
	return p->env.conf->features.consume && breaker_allows(p) &&
	    !is_in_the_way(p) &&
	    p->window.count[DELIVERY_WAITING] <= p->conf->prefetch / 2;
}

static bool
may_subscribe(const struct pipeline *p)
{
	return p->conn != NULL && !p->draining &&
	    !loop_timer_pending(p->env.loop, p->retry_timer) &&
	    policy_allows(p);
}

static void
cancel(struct pipeline *p, const char *why)
{
	subscription_cancel(&p->subscription);
	pipeline_enter(p, PIPELINE_CANCELLING, why);
}

static void
give_back(struct pipeline *p, const char *why)
{
	if (!is_ordered(p))
		subscription_cancel(&p->subscription);
	pipeline_enter(p, PIPELINE_GIVING_BACK, why);
	window_hand_off(&p->window);
	loop_timer_start(p->env.loop, p->grace_timer,
	    p->env.conf->consumer.drain_timeout_ms);
}

static void
on_grace_over(void *arg)
{
	leave_channel(arg, "not all could be settled in time");
}

/* Something has been unacked for as long as may be. */
static void
give_back_overdue(struct pipeline *p)
{
	log_warn("held_too_long", LOG_STR("pipeline", p->name),
	    LOG_UINT("waiting", p->window.count[DELIVERY_WAITING]),
	    LOG_UINT("running", p->window.count[DELIVERY_RUNNING]),
	    LOG_UINT("settling", p->window.count[DELIVERY_SETTLING]));
	metrics_inc(p->env.meter->faults[METER_GIVEN_BACK]);
	if (downstream_state(p->downstream) != BREAKER_CLOSED) {
		p->careful = true;
		p->answers = p->window.answers;
	}
	give_back(p, "held for hold_max");
}

static void
watch_holds(struct pipeline *p)
{
	int64_t next_ms;

	if (!has_channel(p) || p->state == PIPELINE_GIVING_BACK ||
	    loop_timer_pending(p->env.loop, p->hold_timer))
		return;
	if (window_is_overdue(&p->window, &next_ms))
		give_back_overdue(p);
	else if (next_ms >= 0)
		loop_timer_start(p->env.loop, p->hold_timer, next_ms);
}

/* It does not consume: if that is its policy, nothing is wrong. */
static void
note_pause(struct pipeline *p)
{
	if (p->conn != NULL && !policy_allows(p) &&
	    !loop_timer_pending(p->env.loop, p->retry_timer))
		p->well = true;
}

static void
step_idle(struct pipeline *p)
{
	if (p->draining) {
		if (window_is_quiet(&p->window))
			pipeline_enter(p, PIPELINE_STOPPED, "drained");
	} else if (may_subscribe(p))
		open_channel(p);
	else
		note_pause(p);
}

static void
step_paused(struct pipeline *p)
{
	if (!may_subscribe(p)) {
		note_pause(p);
		return;
	}
	pipeline_enter(p, PIPELINE_OPENING, "breaker lets it");
	subscription_resume(&p->subscription, wanted_prefetch(p));
}

static void
step_consuming(struct pipeline *p)
{
	if (is_ordered(p))
		return;
	if (downstream_state(p->downstream) == BREAKER_OPEN)
		cancel(p, "breaker open");
	else if (is_in_the_way(p))
		cancel(p, "a message is to be tried alone");
	else if (wanted_prefetch(p) != p->subscription.prefetch)
		cancel(p, "to ask for another prefetch");
}

/* For good, or for as long as that is what the configuration says. */
static void
stop_consuming(struct pipeline *p)
{
	if (!has_channel(p) || p->state == PIPELINE_GIVING_BACK)
		return;
	if (p->draining)
		give_back(p, "draining");
	else if (!p->env.conf->features.consume)
		give_back(p, "features.consume is off");
}

/* Moves on as far as it can. */
static void
pipeline_step(struct pipeline *p)
{
	if (p->careful && p->window.answers != p->answers)
		p->careful = false;
	stop_consuming(p);
	switch (p->state) {
	case PIPELINE_IDLE:
		step_idle(p);
		break;
	case PIPELINE_CONSUMING:
		step_consuming(p);
		break;
	case PIPELINE_PAUSED:
		step_paused(p);
		break;
	case PIPELINE_GIVING_BACK:
		if (window_is_quiet(&p->window))
			leave_channel(p, "given back");
		break;
	case PIPELINE_OPENING:
	case PIPELINE_CANCELLING:
	case PIPELINE_STOPPED:
		break;
	}
}

/* An ordered one asks for another prefetch when that costs nothing. */
static void
renew_channel(struct pipeline *p)
{
	if (is_ordered(p) && p->state == PIPELINE_CONSUMING &&
	    p->subscription.prefetch < wanted_prefetch(p) &&
	    window_is_untouched(&p->window))
		leave_channel(p, "to ask for another prefetch");
}

/* Once at the end of each turn in which something happened. */
static void
on_turn(void *arg)
{
	struct pipeline *p = arg;

	renew_channel(p);
	window_work(&p->window);
	watch_holds(p);
	pipeline_step(p);
	if (p->state == p->told_state && p->well == p->told_well)
		return;
	p->told_state = p->state;
	p->told_well = p->well;
	p->env.cbs->changed(p->env.arg, p);
}

static void
wake(void *arg)
{
	struct pipeline *p = arg;

	loop_defer(p->env.loop, &p->turn);
}

struct pipeline *
pipeline_new(const struct pipeline_env *env, const struct conf_pipeline *conf,
    struct downstream *downstream)
{
	struct pipeline *p = xcalloc(1, sizeof(*p));
	const struct window_env window_env = {
		.loop = env->loop,
		.conf = env->conf,
		.pipeline = conf,
		.downstream = downstream,
		.name = p->name = xstrdup(conf->name),
		.queue = p->queue = xstrdup(conf->queue),
		.names = env->names,
		.settle = env->settle,
		.events = env->events,
		.meter = env->meter,
		.budget = env->budget,
		.trial = env->trial,
		.wake = wake,
		.arg = p,
	};

	p->env = *env;
	p->conf = conf;
	p->downstream = downstream;
	p->retry_timer = loop_timer_new(env->loop, wake, p);
	p->hold_timer = loop_timer_new(env->loop, wake, p);
	p->grace_timer = loop_timer_new(env->loop, on_grace_over, p);
	loop_task_init(&p->turn, on_turn, p);
	window_init(&p->window, &window_env);
	subscription_init(&p->subscription, p->queue, &subscription_cbs, p);
	p->listener.cb = wake;
	p->listener.arg = p;
	downstream_listen(downstream, &p->listener);
	return p;
}

void
pipeline_free(struct pipeline *p)
{
	if (p == NULL)
		return;
	downstream_unlisten(p->downstream, &p->listener);
	window_clear(&p->window);
	subscription_leave(&p->subscription);
	loop_timer_free(p->env.loop, p->retry_timer);
	loop_timer_free(p->env.loop, p->hold_timer);
	loop_timer_free(p->env.loop, p->grace_timer);
	loop_undefer(p->env.loop, &p->turn);
	free(p->name);
	free(p->queue);
	free(p);
}

static void
change_downstream(struct pipeline *p, struct downstream *downstream)
{
	downstream_unlisten(p->downstream, &p->listener);
	p->downstream = downstream;
	downstream_listen(downstream, &p->listener);
	/* What made it so was the other one's breaker. */
	p->careful = false;
}

void
pipeline_follow(struct pipeline *p, const struct conf *conf,
    const struct conf_pipeline *pipeline, struct downstream *downstream)
{
	p->env.conf = conf;
	p->conf = pipeline;
	if (downstream != p->downstream)
		change_downstream(p, downstream);
	window_follow(&p->window, conf, pipeline, downstream);
	/* hold_max may be another. */
	loop_timer_stop(p->env.loop, p->hold_timer);
	wake(p);
}

void
pipeline_connect(struct pipeline *p, struct rmq_conn *conn)
{
	p->conn = conn;
	wake(p);
}

void
pipeline_disconnect(struct pipeline *p)
{
	p->conn = NULL;
	p->well = false;
	p->failures = 0;
	loop_timer_stop(p->env.loop, p->retry_timer);
	wake(p);
}

void
pipeline_drain(struct pipeline *p)
{
	p->draining = true;
	wake(p);
}

void
pipeline_trial(struct pipeline *p)
{
	wake(p);
}

void
pipeline_abort(struct pipeline *p)
{
	if (has_channel(p))
		leave_channel(p, "out of time");
	window_abort(&p->window);
}

bool
pipeline_is_stopped(const struct pipeline *p)
{
	return p->state == PIPELINE_STOPPED;
}

bool
pipeline_is_well(const struct pipeline *p, struct buf *why)
{
	if (p->well)
		return true;
	if (why == NULL)
		return false;
	if (p->conn == NULL)
		buf_printf(why, "pipeline %s: not connected", p->name);
	else if (loop_timer_pending(p->env.loop, p->retry_timer))
		buf_printf(why, "pipeline %s: %s queue %s, trying again",
		    p->name, p->trouble, p->queue);
	else
		buf_printf(why, "pipeline %s: %s", p->name,
		    pipeline_state_name(p->state));
	return false;
}

const struct conf_pipeline *
pipeline_conf(const struct pipeline *p)
{
	return p->conf;
}

void
pipeline_gauge(struct pipeline *p)
{
	window_gauge(&p->window);
}
