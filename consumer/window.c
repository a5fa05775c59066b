/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "consumer/window.h"

#include <stdlib.h>

#include "consumer/window_trial.h"
#include "lib/compiler.h"
#include "lib/log.h"
#include "lib/xalloc.h"

/*
 * How many finished messages are known, in prefetches. The broker delivers
 * again at most what was unacked, a prefetch, and while attempts of a channel
 * that has gone run out as many again may have been finished on the next.
 */
#define DEDUP_PREFETCHES 2

/*
 * Of how many messages failed attempts are remembered: only the first of a
 * lane has any.
 */
#define RECALL_MAX 1024

static void
set_policy(struct window *w)
{
	const struct conf_pipeline *conf = w->env.pipeline;

	w->policy = (struct policy){
		.retry = &conf->retry,
		.max_body_bytes = conf->max_body_bytes,
		.retries = w->env.conf->features.retry,
		.ordered = conf->order != CONF_ORDER_NONE,
	};
}

static void
set_dedup(struct window *w)
{
	const struct conf_pipeline *conf = w->env.pipeline;
	size_t kept = (size_t)conf->prefetch * DEDUP_PREFETCHES;

	if (conf->dedup == CONF_DEDUP_NONE) {
		dedup_free(w->dedup);
		w->dedup = NULL;
	} else if (w->dedup == NULL) {
		w->dedup = dedup_new(w->env.loop, kept);
	} else {
		dedup_grow(w->dedup, kept);
	}
}

static void
set_recall(struct window *w)
{
	const struct conf_pipeline *pipeline = w->env.pipeline;
	size_t kept =
	    pipeline->prefetch < RECALL_MAX ? pipeline->prefetch : RECALL_MAX;
	/* After the deadline there is no attempt more, whatever is known. */
	int64_t keep_ms =
	    pipeline->retry.deadline_ms + w->env.conf->consumer.hold_max_ms;

	if (w->recall == NULL)
		w->recall = recall_new(w->env.loop, kept, keep_ms);
	else
		recall_limit(w->recall, kept, keep_ms);
}

void
window_init(struct window *w, const struct window_env *env)
{
	*w = (struct window){
		.env = *env,
		.ordered = env->pipeline->order != CONF_ORDER_NONE,
	};
	set_policy(w);
	meter_pipeline_init(&w->meter, env->meter, env->name);
	set_dedup(w);
	topology_pipeline_names_init(&w->names, env->conf, env->pipeline);
	TAILQ_INIT(&w->unacked);
	TAILQ_INIT(&w->orphans);
	TAILQ_INIT(&w->ready);
	TAILQ_INIT(&w->suspects);
	TAILQ_INIT(&w->done);
	TAILQ_INIT(&w->spare);
	if (w->ordered) {
		lanes_init(&w->lanes, env->pipeline->prefetch,
		    loop_random(env->loop));
		set_recall(w);
	}
}

/*
 * Copies under way point to the names that are there: levels are only added.
 * A lower cap leaves its levels in the broker too, for what was to wait for
 * longer.
 */
static void
add_levels(struct window *w)
{
	struct topology_pipeline_names *old = &w->names, new;

	topology_pipeline_names_init(&new, w->env.conf, w->env.pipeline);
	for (; old->levels < new.levels; old->levels++) {
		old->level[old->levels] = new.level[old->levels];
		new.level[old->levels] = NULL;
	}
	topology_pipeline_names_clear(&new);
}

void
window_follow(struct window *w, const struct conf *conf,
    const struct conf_pipeline *pipeline, struct downstream *downstream)
{
	w->env.conf = conf;
	w->env.pipeline = pipeline;
	w->env.downstream = downstream;
	set_policy(w);
	set_dedup(w);
	if (w->ordered)
		set_recall(w);
	add_levels(w);
}

/* Frees what the message took; the memory of the delivery is kept. */
static void
reap(struct window *w)
{
	struct delivery *d;

	while ((d = TAILQ_FIRST(&w->done)) != NULL) {
		TAILQ_REMOVE(&w->done, d, link);
		envelope_clear(&d->envelope);
		budget_give(w->env.budget, rmq_message_bytes(d->message));
		rmq_message_free(d->message);
		TAILQ_INSERT_HEAD(&w->spare, d, link);
	}
}

void
window_clear(struct window *w)
{
	struct delivery *d;

	window_drop(w);
	window_abort(w);
	reap(w);
	while ((d = TAILQ_FIRST(&w->spare)) != NULL) {
		TAILQ_REMOVE(&w->spare, d, link);
		loop_timer_free(w->env.loop, d->timer);
		free(d);
	}
	if (w->ordered)
		lanes_clear(&w->lanes);
	topology_pipeline_names_clear(&w->names);
	dedup_free(w->dedup);
	recall_free(w->recall);
	meter_pipeline_clear(&w->meter);
}

/* The one way to another state: keeps the counts. */
static void
move(struct delivery *d, enum delivery_state to)
{
	struct window *w = d->window;

	w->count[d->state]--;
	delivery_enter(d, to);
	if (to != DELIVERY_DONE)
		w->count[to]++;
}

/* Takes its place in line; true: it may start as soon as there is room. */
static bool
line_up(struct delivery *d)
{
	struct window *w = d->window;
	struct lane_key key;

	if (!w->ordered)
		return true;
	key = lane_key_of(w->env.pipeline, &d->envelope);
	return lanes_join(&w->lanes, &d->lane, &key);
}

/* The one that has to be done before it; itself, if none. */
static struct delivery *
first_of_lane(struct delivery *d)
{
	if (!d->window->ordered)
		return d;
	return container_of(lane_first(&d->lane), struct delivery, lane);
}

/* Makes room for the next of its lane, which waited for that. */
static void
step_aside(struct delivery *d)
{
	struct window *w = d->window;
	struct lane_member *next;

	if (!w->ordered)
		return;
	next = lanes_leave(&w->lanes, &d->lane);
	if (next != NULL)
		TAILQ_INSERT_TAIL(&w->ready,
		    container_of(next, struct delivery, lane), ready);
}

/* It has come to its end, or to a verdict. */
static void
acquit(struct delivery *d)
{
	struct window *w = d->window;

	if (d->lone)
		w->lone = false;
	d->lone = false;
	if (d->suspect)
		trial_yield(w->env.trial, d);
}

/* In our hands it is no more; it would be charged for another's deed. */
static void
let_go(struct delivery *d, enum meter_result result)
{
	struct trial *trial = d->window->env.trial;

	acquit(d);
	if (!d->suspect)
		return;
	d->suspect = false;
	trial_leave(trial);
	if (result != METER_DROPPED)
		trial_settled(trial, &d->envelope);
}

/* It is over: off its list, to be freed at the end of the turn. */
static void
retire(struct delivery *d, struct delivery_list *from, enum meter_result result)
{
	struct window *w = d->window;

	move(d, DELIVERY_DONE);
	metrics_inc(w->meter.settled[result]);
	let_go(d, result);
	TAILQ_REMOVE(from, d, link);
	TAILQ_INSERT_TAIL(&w->done, d, link);
	step_aside(d);
	w->env.wake(w->env.arg);
}

void
window_settled(struct delivery *d, enum meter_result result)
{
	retire(d, &d->window->unacked, result);
}

static struct delivery *
take_spare(struct window *w)
{
	struct delivery *d = TAILQ_FIRST(&w->spare);

	if (d == NULL)
		return xcalloc(1, sizeof(*d));
	TAILQ_REMOVE(&w->spare, d, link);
	return d;
}

/*
 * What was taken back from this process killed nobody. Which of its messages
 * those were is not known any more, so that all are forgiven as much; in a
 * process that has just begun, as after a death, that is nothing.
 */
static void
forgive(struct delivery *d)
{
	int64_t *count = &d->envelope.delivery_count;

	*count =
	    *count > d->window->outlived ? *count - d->window->outlived : 0;
}

bool
window_receive(struct window *w, struct rmq_channel *channel,
    const struct rmq_delivery *delivery)
{
	const struct envelope_origin origin = {
		.queue = w->env.queue,
		.redelivered = delivery->redelivered,
	};
	struct delivery *d = take_spare(w);

	d->window = w;
	d->state = DELIVERY_WAITING;
	d->channel = channel;
	d->tag = delivery->tag;
	d->redelivered = delivery->redelivered;
	d->message = delivery->message;
	d->received_ms = loop_turn_ms(w->env.loop);
	d->unsaved = d->recalled = false;
	envelope_read(&d->envelope, d->message, &origin,
	    &w->env.conf->consumer_broker.trusted_users, w->env.loop);
	w->count[DELIVERY_WAITING]++;
	TAILQ_INSERT_TAIL(&w->unacked, d, link);
	d->lone = false;
	d->suspect = !w->ordered && envelope_is_suspect(&d->envelope);
	if (d->suspect) {
		trial_enter(w->env.trial);
		TAILQ_INSERT_TAIL(&w->suspects, d, ready);
	} else {
		forgive(d);
		if (line_up(d))
			TAILQ_INSERT_TAIL(&w->ready, d, ready);
	}
	metrics_inc(w->meter.deliveries);
	budget_take(w->env.budget, rmq_message_bytes(d->message));
	w->env.wake(w->env.arg);
	return d->suspect || d->envelope.delivery_count >= WARY_DELIVERIES;
}

/* To the dead-letter queue. `error`: see envelope_dead. */
void
window_bury(struct delivery *d, enum envelope_reason reason, int64_t wall_ms,
    const char *error)
{
	envelope_dead(&d->envelope, reason, wall_ms, error);
	move(d, DELIVERY_SETTLING);
	settle_dead(d->window->env.settle, d);
}

/* To the ladder, with the attempts made so far. */
static void
send_off(struct delivery *d, int64_t due_us)
{
	metrics_inc(d->window->meter.retry_laddered);
	move(d, DELIVERY_SETTLING);
	settle_retry(d->window->env.settle, d, due_us);
}

/* To the ladder as what it is; that is no retry. */
void
window_send_aside(struct delivery *d, int64_t due_us)
{
	move(d, DELIVERY_SETTLING);
	settle_retry(d->window->env.settle, d, due_us);
}

static void
on_hold_over(void *arg)
{
	struct delivery *d = arg;
	struct window *w = d->window;

	move(d, DELIVERY_WAITING);
	/* It came before all that is waiting. */
	TAILQ_INSERT_HEAD(&w->ready, d, ready);
	w->env.wake(w->env.arg);
}

static void
hold(struct delivery *d, int64_t due_us)
{
	struct loop *loop = d->window->env.loop;

	d->due_us = due_us;
	if (d->timer == NULL)
		d->timer = loop_timer_new(loop, on_hold_over, d);
	loop_timer_start_us(loop, d->timer, due_us - loop_now_us(loop));
	move(d, DELIVERY_HELD);
}

/* Logs the attempt, and tells it to whoever waits for it. */
static void
tell_attempt(const struct delivery *d, const struct verdict *verdict,
    int64_t handler_us, const char *next,
    const struct policy_decision *decision)
{
	const struct envelope *e = &d->envelope;
	enum log_level level =
	    verdict->outcome == OUTCOME_OK ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;

	log_event(level, "attempt", LOG_STR("pipeline", d->window->env.name),
	    LOG_BYTES("id", e->id.ptr, e->id.len),
	    LOG_INT("attempt", e->attempt + 1),
	    LOG_STR("outcome", verdict_outcome_name(verdict->outcome)),
	    LOG_STR("class", verdict->class),
	    LOG_INT("handler_ms", handler_us / 1000),
	    LOG_STR("rule",
		decision->rule != NULL ? decision->rule->class : NULL),
	    LOG_STR("next", next), LOG_INT("delay_ms", decision->delay_ms),
	    LOG_STR("error",
		verdict->error[0] != '\0' ? verdict->error : NULL));
	events_outcome(d->window->env.events, d->window->env.name, e,
	    &(struct events_attempt){
		.verdict = verdict,
		.outcome = policy_outcome(&d->window->policy, verdict),
		.handler_ms = handler_us / 1000,
		.next = next,
		.delay_ms = decision->delay_ms,
	    });
}

static void
count_failure(struct delivery *d, const struct verdict *verdict,
    int64_t handler_us, int64_t wall_ms, int64_t delay_ms)
{
	envelope_failed(&d->envelope,
	    &(struct envelope_failure){
		.class = verdict->class,
		.error = rmq_slice_of(verdict->error),
		.at_ms = wall_ms,
		.handler_ms = handler_us / 1000,
		.delay_ms = delay_ms,
	    });
	d->unsaved = true;
}

/* It goes back: for when it is delivered to us again. */
static void
remember(const struct delivery *d)
{
	struct recall *recall = d->window->recall;

	if (recall != NULL && d->unsaved)
		recall_keep(recall, &d->envelope, d->message->body, d->due_us);
}

/* What comes again waits for this: it is behind it in its lane. */
static void
settle_orphan(struct delivery *d, const struct verdict *verdict,
    int64_t handler_us)
{
	static const struct policy_decision none = { 0 };
	struct window *w = d->window;
	struct loop *loop = w->env.loop;
	int64_t wall_ms = loop_wall_ms(loop);
	struct policy_decision decision;

	tell_attempt(d, verdict, handler_us, "redelivery", &none);
	if (w->recall != NULL) {
		decision = policy_judge(&w->policy, &d->envelope, verdict,
		    wall_ms, loop_random_unit(loop));
		if (decision.act != POLICY_ACK)
			count_failure(d, verdict, handler_us, wall_ms,
			    decision.delay_ms);
		d->due_us = loop_now_us(loop) + decision.delay_ms * 1000;
		remember(d);
	}
	retire(d, &w->orphans, METER_DROPPED);
}

/* Not ok: does what the policy wants; counts it unless that is an ack. */
static void
settle_failure(struct delivery *d, const struct verdict *verdict,
    int64_t handler_us)
{
	struct window *w = d->window;
	struct loop *loop = w->env.loop;
	int64_t wall_ms = loop_wall_ms(loop);
	struct policy_decision decision = policy_judge(&w->policy, &d->envelope,
	    verdict, wall_ms, loop_random_unit(loop));
	int64_t due_us = loop_now_us(loop) + decision.delay_ms * 1000;

	/*
	 * Memory is no place for it any more, or not for so long, or the mark
	 * on the broker's copy is of no use any more.
	 */
	if (!w->ordered && decision.act == POLICY_HOLD &&
	    (w->handing_off || d->suspect ||
		due_us / 1000 - d->received_ms >
		    w->env.conf->consumer.hold_max_ms))
		decision.act = POLICY_LADDER;
	if (decision.outcome != verdict->outcome)
		metrics_inc(w->meter.ruled[decision.outcome]);
	tell_attempt(d, verdict, handler_us, policy_act_name(decision.act),
	    &decision);
	if (decision.act == POLICY_ACK) {
		settle_ok(d);
		return;
	}
	count_failure(d, verdict, handler_us, wall_ms, decision.delay_ms);
	if (decision.act == POLICY_HOLD) {
		metrics_inc(w->meter.retry_held);
		hold(d, due_us);
	} else if (decision.act == POLICY_LADDER)
		send_off(d, due_us);
	else
		window_bury(d, decision.reason, wall_ms, NULL);
}

static void
on_verdict(void *arg, const struct verdict *verdict)
{
	static const struct policy_decision none = { 0 };
	struct delivery *d = arg;
	struct window *w = d->window;
	int64_t handler_us = loop_now_us(w->env.loop) - d->started_us;

	d->call = NULL;
	/* Whatever it was taken back for, its attempts kill nobody. */
	d->envelope.delivery_count = 0;
	acquit(d);
	meter_attempt(&w->meter, verdict, handler_us);
	w->answers += verdict->outcome != OUTCOME_RETRY;
	if (w->dedup != NULL &&
	    policy_outcome(&w->policy, verdict) == OUTCOME_OK)
		dedup_remember(w->dedup, &d->envelope, d->message->body);
	if (d->channel == NULL) {
		settle_orphan(d, verdict, handler_us);
	} else if (verdict->outcome == OUTCOME_OK) {
		tell_attempt(d, verdict, handler_us, "ack", &none);
		settle_ok(d);
	} else
		settle_failure(d, verdict, handler_us);
	/* Whatever came of it, there is room for another attempt. */
	w->env.wake(w->env.arg);
}

/* Whether nothing of its pipeline may run beside it. */
static bool
is_lone(const struct delivery *d)
{
	return d->suspect ||
	    (d->window->ordered &&
		(d->envelope.delivery_count >= SUSPECT_DELIVERIES ||
		    envelope_is_suspect(&d->envelope)));
}

void
window_start(struct delivery *d)
{
	struct window *w = d->window;

	delivery_describe(d, w->env.name, w->env.queue);
	d->lone = is_lone(d);
	if (d->lone) {
		w->lone = d->attempt.alone = true;
		log_info("trial", LOG_STR("pipeline", w->env.name),
		    LOG_BYTES("id", d->envelope.id.ptr, d->envelope.id.len),
		    LOG_INT("taken_back", d->envelope.delivery_count));
	}
	d->started_us = loop_now_us(w->env.loop);
	move(d, DELIVERY_RUNNING);
	d->call =
	    downstream_start(w->env.downstream, &d->attempt, on_verdict, d);
}

/* It is not to be handed over. */
void
window_turn_away(struct delivery *d, enum envelope_reason reason,
    int64_t wall_ms)
{
	const struct window *w = d->window;
	char *text = NULL;

	if (reason == ENVELOPE_MALFORMED)
		text = xstrdup(envelope_malformed_text(&d->envelope));
	else if (reason == ENVELOPE_TOO_LARGE)
		text = xasprintf("body of %zu bytes, max_body is %llu",
		    d->message->body.len,
		    (unsigned long long)w->policy.max_body_bytes);
	window_bury(d, reason, wall_ms, text);
	free(text);
}

/*
 * Before its first attempt: takes over those that failed before it was given
 * back. True: the next one is not due yet.
 */
static bool
waits_again(struct delivery *d)
{
	struct window *w = d->window;

	if (w->recall == NULL || !d->redelivered || d->recalled)
		return false;
	d->recalled = true;
	if (!recall_take(w->recall, &d->envelope, d->message->body, &d->due_us))
		return false;
	d->unsaved = true;
	return d->due_us > loop_now_us(w->env.loop);
}

/* Finished before, but the broker never heard of it. */
bool
window_is_duplicate(const struct delivery *d)
{
	struct dedup *dedup = d->window->dedup;

	return dedup != NULL && d->redelivered &&
	    dedup_knows(dedup, &d->envelope, d->message->body);
}

bool
window_has_room(const struct window *w)
{
	return w->count[DELIVERY_RUNNING] < w->env.pipeline->concurrency &&
	    downstream_room(w->env.downstream) > 0;
}

void
window_work(struct window *w)
{
	int64_t wall_ms = loop_wall_ms(w->env.loop);
	struct delivery *d;

	reap(w);
	if (window_trial_work(w, wall_ms) || w->handing_off)
		return;
	while (!w->lone && (d = TAILQ_FIRST(&w->ready)) != NULL) {
		struct policy_decision decision;

		if (waits_again(d)) {
			TAILQ_REMOVE(&w->ready, d, ready);
			hold(d, d->due_us);
			continue;
		}
		decision = policy_admit(&w->policy, &d->envelope,
		    d->message->body.len, wall_ms);
		if (decision.act == POLICY_ATTEMPT &&
		    (!window_has_room(w) ||
			(is_lone(d) && w->count[DELIVERY_RUNNING] > 0 &&
			    !window_trial_is_long(w))))
			return;
		TAILQ_REMOVE(&w->ready, d, ready);
		if (window_is_duplicate(d))
			settle_duplicate(d);
		else if (decision.act != POLICY_ATTEMPT)
			window_turn_away(d, decision.reason, wall_ms);
		else if (!w->ordered &&
		    d->envelope.delivery_count >= SUSPECT_DELIVERIES)
			window_trial_suspect(d);
		else
			window_start(d);
	}
}

/*
 * If only memory knows of its attempts, and a suspect whose return would look
 * like a death: to the ladder with it. Not when it is ordered: it would come
 * back behind what is behind it now.
 */
static bool
save(struct delivery *d)
{
	if (d->window->ordered)
		return false;
	if (d->state == DELIVERY_WAITING && d->suspect) {
		window_trial_put_off(d, "giving back");
		return true;
	}
	if (d->state == DELIVERY_HELD)
		loop_timer_stop(d->window->env.loop, d->timer);
	else if (d->state == DELIVERY_WAITING && d->unsaved)
		TAILQ_REMOVE(&d->window->ready, d, ready);
	else
		return false;
	send_off(d, d->due_us);
	return true;
}

void
window_hand_off(struct window *w)
{
	struct delivery *d;

	w->handing_off = true;
	TAILQ_FOREACH(d, &w->unacked, link) {
		/* What is still tried at the end would come back charged. */
		if (d->suspect && d->state == DELIVERY_RUNNING)
			window_trial_put_off(d, "giving back");
		else
			(void)save(d);
	}
}

static void
drop(struct delivery *d)
{
	struct window *w = d->window;

	if (d->suspect)
		trial_lost(w->env.trial, &d->envelope);
	switch (d->state) {
	case DELIVERY_RUNNING:
		d->channel = NULL;
		TAILQ_REMOVE(&w->unacked, d, link);
		TAILQ_INSERT_TAIL(&w->orphans, d, link);
		return;
	case DELIVERY_WAITING:
		if (d->suspect)
			TAILQ_REMOVE(&w->suspects, d, ready);
		else if (first_of_lane(d) == d)
			TAILQ_REMOVE(&w->ready, d, ready);
		break;
	case DELIVERY_HELD:
		loop_timer_stop(w->env.loop, d->timer);
		break;
	case DELIVERY_SETTLING:
		settle_forget(d);
		break;
	case DELIVERY_DONE:
		abort();
	}
	d->channel = NULL;
	remember(d);
	retire(d, &w->unacked, METER_DROPPED);
}

void
window_drop(struct window *w)
{
	struct delivery *d;

	w->outlived += !TAILQ_EMPTY(&w->unacked);
	while ((d = TAILQ_FIRST(&w->unacked)) != NULL)
		drop(d);
	w->handing_off = false;
}

void
window_abort(struct window *w)
{
	struct delivery *d;

	while ((d = TAILQ_FIRST(&w->orphans)) != NULL) {
		downstream_cancel(d->call);
		d->call = NULL;
		retire(d, &w->orphans, METER_DROPPED);
	}
}

bool
window_is_quiet(const struct window *w)
{
	return w->count[DELIVERY_RUNNING] == 0 &&
	    w->count[DELIVERY_SETTLING] == 0;
}

bool
window_is_untouched(const struct window *w)
{
	const struct delivery *d;

	if (!window_is_quiet(w) || w->count[DELIVERY_HELD] > 0)
		return false;
	TAILQ_FOREACH(d, &w->unacked, link)
		if (d->unsaved)
			return false;
	return true;
}

/*
 * It is under way, or in an ordered pipeline what it waits for is, or has
 * failed attempts that giving back would forget.
 */
static bool
is_moving(struct delivery *d)
{
	const struct delivery *first = first_of_lane(d);

	return first->state != DELIVERY_WAITING ||
	    (d->window->ordered && first->unsaved);
}

bool
window_is_overdue(struct window *w, int64_t *next_ms)
{
	const struct conf_consumer *conf = &w->env.conf->consumer;
	int64_t now_ms = loop_now_ms(w->env.loop);
	bool overdue = false;
	struct delivery *d;

	*next_ms = -1;
	TAILQ_FOREACH(d, &w->unacked, link) {
		int64_t left_ms = d->received_ms + conf->hold_max_ms - now_ms;
		bool due = left_ms <= 0;

		/* What moves on by itself gets the time of a drain for it. */
		if (due && (save(d) || is_moving(d)))
			left_ms += conf->drain_timeout_ms;
		if (left_ms <= 0)
			overdue = true;
		else if (*next_ms < 0 || left_ms < *next_ms)
			*next_ms = left_ms;
		if (!due)
			break;
	}
	return overdue;
}

void
window_gauge(struct window *w)
{
	metrics_set(w->meter.inflight, (double)w->count[DELIVERY_RUNNING]);
	metrics_set(w->meter.held, (double)w->count[DELIVERY_HELD]);
}
