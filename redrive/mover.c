/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/mover.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "amqp/publisher.h"
#include "config/conf.h"
#include "dlx/envelope.h"
#include "dlx/topology.h"
#include "lib/backoff.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/xalloc.h"
#include "redrive/stash.h"
#include "redrive/job_env.h"
#include "redrive/rate.h"
#include "redrive/watch.h"

/* As many as a channel of the scan holds: the next one may fill meanwhile. */
#define QUEUED_MAX SCAN_PREFETCH
/* More copies under way do not make it faster, but a stop slower. */
#define SENT_MAX 512
/* Reply codes that speak of the exchange or our rights, not of the message. */
#define ACCESS_REFUSED 403
#define NOT_FOUND      404

static const struct backoff full_backoff = { 1000, 2, 60000, 0 };

enum mover_state {
	MOVER_FLOWING,
	MOVER_BACKING_OFF, /* a queue refused a copy: waiting */
	MOVER_TRYING,	   /* one copy is sent to see */
};

/* The copy of a letter, while it is under way. */
struct copy {
	struct envelope envelope;
	struct buf props;
	struct rmq_ticket *ticket;
};

struct move {
	TAILQ_ENTRY(move) entry;
	struct mover *mover;
	struct mover_letter letter;
	size_t bytes;
	uint64_t seq;	   /* in the queue's order */
	struct copy *copy; /* NULL: not sent */
};
TAILQ_HEAD(moves, move);

struct mover {
	struct mover_options options;
	const struct mover_cbs *cbs;
	void *arg;
	struct loop *loop;
	enum mover_state state;
	struct moves queued, sent;
	size_t queued_count, sent_count;
	size_t window; /* sent at most; small after a nack */
	uint64_t next_seq;
	struct rate rate;
	struct loop_timer *timer; /* the rate's, or the backoff's */
	struct loop_task task;	  /* sends */
	unsigned nacks;		  /* tries refused in a row */
	bool held;
	bool draining;
	int64_t slowest_us;
	bool waited; /* the backoff is over, the last sent are not */
};

static const char *
mover_state_name(enum mover_state state)
{
	static const char *const names[] = { "flowing", "backing_off",
		"trying" };

	return names[state];
}

/*
 * Legal: FLOWING -> BACKING_OFF; BACKING_OFF -> TRYING; TRYING -> FLOWING,
 * BACKING_OFF.
 */
static void
mover_enter(struct mover *mover, enum mover_state to)
{
	static const unsigned legal[] = {
		[MOVER_FLOWING] = 1u << MOVER_BACKING_OFF,
		[MOVER_BACKING_OFF] = 1u << MOVER_TRYING,
		[MOVER_TRYING] = 1u << MOVER_FLOWING | 1u << MOVER_BACKING_OFF,
	};

	log_debug("mover_state", LOG_STR("pipeline", mover->options.conf->name),
	    LOG_STR("job", mover->options.job),
	    LOG_STR("from", mover_state_name(mover->state)),
	    LOG_STR("to", mover_state_name(to)));
	if ((legal[mover->state] & 1u << to) == 0)
		abort();
	mover->state = to;
}

static void
copy_free(struct copy *copy)
{
	if (copy == NULL)
		return;
	envelope_clear(&copy->envelope);
	buf_clear(&copy->props);
	free(copy);
}

static struct action_target
target_of(const struct move *move)
{
	const struct mover_options *options = &move->mover->options;

	return action_target(move->letter.action, options->env->names,
	    options->names);
}

/* Whether the watch wants to know of it. */
static bool
is_watched(const struct move *move)
{
	return move->mover->options.watch != NULL &&
	    move->letter.action == ACTION_REDRIVE;
}

/* It did not arrive, as far as we know. */
static void
unsent(struct move *move)
{
	if (is_watched(move))
		watch_unsent(move->mover->options.watch,
		    move->copy->envelope.id);
}

static void
move_free(struct move *move)
{
	stash_sub(move->mover->options.env->stash, move->bytes);
	copy_free(move->copy);
	rmq_message_free(move->letter.message);
	free(move);
}

/* Back into the list where the queue's order wants it. */
static void
requeue(struct mover *mover, struct move *move)
{
	struct move *next;

	copy_free(move->copy);
	move->copy = NULL;
	mover->queued_count++;
	TAILQ_FOREACH(next, &mover->queued, entry) {
		if (next->seq > move->seq) {
			TAILQ_INSERT_BEFORE(next, move, entry);
			return;
		}
	}
	TAILQ_INSERT_TAIL(&mover->queued, move, entry);
}

static void
back_off(struct mover *mover, const char *queue, const char *text)
{
	int64_t wait_ms = backoff_delay_ms(&full_backoff, ++mover->nacks, 0);

	mover_enter(mover, MOVER_BACKING_OFF);
	mover->waited = false;
	mover->window = 1;
	loop_timer_start(mover->loop, mover->timer, wait_ms);
	log_warn("work_queue_full",
	    LOG_STR("pipeline", mover->options.conf->name),
	    LOG_STR("job", mover->options.job), LOG_STR("queue", queue),
	    LOG_INT("wait_ms", wait_ms), LOG_STR("broker", text));
}

static void
was_nacked(struct mover *mover, struct move *move, const char *text)
{
	unsent(move);
	/* Of many refused together, the first one stops the rest. */
	if (mover->state != MOVER_BACKING_OFF)
		back_off(mover, target_of(move).queue, text);
	if (mover->draining)
		move_free(move);
	else
		requeue(mover, move);
}

/* Nothing can be published there, or only not this one. */
static void
was_refused(struct mover *mover, struct move *move,
    const struct rmq_sent_result *result)
{
	const char *exchange = target_of(move).exchange;
	char why[256];

	unsent(move);
	if (result->sent == RMQ_SENT_RETURNED)
		(void)snprintf(why, sizeof(why),
		    "no queue takes it from exchange %s", exchange);
	else
		(void)snprintf(why, sizeof(why),
		    "the broker refuses it at exchange %s: %s", exchange,
		    result->text);
	if (result->sent == RMQ_SENT_RETURNED ||
	    result->code == ACCESS_REFUSED || result->code == NOT_FOUND) {
		mover->cbs->stuck(mover->arg, why);
	} else {
		log_warn("redrive_refused",
		    LOG_STR("pipeline", mover->options.conf->name),
		    LOG_STR("job", mover->options.job),
		    LOG_BYTES("id", move->copy->envelope.id.ptr,
			move->copy->envelope.id.len),
		    LOG_STR("why", why));
		mover->cbs->refused(mover->arg, why);
	}
}

/*
 * One more may be under way, so that they double each time round: a queue with
 * room for few sees few that it has to refuse.
 */
static void
was_taken(struct mover *mover)
{
	mover->nacks = 0;
	if (mover->window < SENT_MAX)
		mover->window++;
}

static void
sent(void *arg, const struct rmq_sent_result *result)
{
	struct move *move = arg;
	struct mover *mover = move->mover;

	move->copy->ticket = NULL;
	TAILQ_REMOVE(&mover->sent, move, entry);
	mover->sent_count--;
	if (result->latency_us > mover->slowest_us)
		mover->slowest_us = result->latency_us;
	if (result->sent == RMQ_SENT_NACKED) {
		was_nacked(mover, move, result->text);
	} else {
		if (mover->state == MOVER_TRYING)
			mover_enter(mover, MOVER_FLOWING);
		if (result->sent == RMQ_SENT_OK) {
			if (mover->state == MOVER_FLOWING)
				was_taken(mover);
			mover->cbs->moved(mover->arg, move->letter.ref,
			    move->letter.action);
		} else {
			was_refused(mover, move, result);
		}
		move_free(move);
	}
	loop_defer(mover->loop, &mover->task);
	mover->cbs->progress(mover->arg);
}

/* The first queued one; false: it cannot be sent as it is. */
static bool
make_copy(struct mover *mover, struct move *move)
{
	const struct job_env *env = mover->options.env;
	const struct envelope_origin origin = {
		.queue = mover->options.conf->queue,
		.dead = true,
		.redelivered = move->letter.redelivered,
	};
	struct copy *copy = xcalloc(1, sizeof(*copy));

	move->copy = copy;
	envelope_read(&copy->envelope, move->letter.message, &origin,
	    env->trusted, mover->loop);
	if (move->letter.action != ACTION_REDRIVE)
		return envelope_write_moved(&copy->envelope, env->user,
			   env->frame_max, &copy->props) != ENVELOPE_FIT_CUT;
	envelope_redriven(&copy->envelope, mover->options.job);
	return envelope_write(&copy->envelope, env->user, env->frame_max,
		   &copy->props) != ENVELOPE_FIT_CUT;
}

static void
publish(struct mover *mover, struct move *move)
{
	const struct action_target target = target_of(move);
	struct copy *copy = move->copy;
	const struct rmq_publish publish = {
		.exchange = target.exchange,
		.routing_key = target.key,
		.props = { buf_peek(&copy->props), copy->props.len },
		.body = move->letter.message->body,
		.mandatory = true,
		.correlation = copy->envelope.id,
	};

	TAILQ_INSERT_TAIL(&mover->sent, move, entry);
	mover->sent_count++;
	copy->ticket = rmq_publisher_send(mover->options.env->publisher,
	    &publish, sent, move);
	if (is_watched(move))
		watch_sent(mover->options.watch, copy->envelope.id);
}

static void
send_first(struct mover *mover)
{
	static const char why[] = "its headers leave no room for ours";
	struct move *move = TAILQ_FIRST(&mover->queued);

	TAILQ_REMOVE(&mover->queued, move, entry);
	mover->queued_count--;
	if (make_copy(mover, move)) {
		publish(mover, move);
		return;
	}
	/* A copy without the sender's headers would be another message. */
	mover->cbs->refused(mover->arg, why);
	move_free(move);
	mover->cbs->progress(mover->arg);
}

/* The watch does not let the first one go yet. */
static bool
lacks_credit(const struct mover *mover)
{
	const struct move *first = TAILQ_FIRST(&mover->queued);

	return first != NULL && is_watched(first) &&
	    watch_credit(mover->options.watch) == 0;
}

static bool
may_send(const struct mover *mover)
{
	if (mover->held || mover->draining || TAILQ_EMPTY(&mover->queued) ||
	    lacks_credit(mover))
		return false;
	if (mover->state == MOVER_FLOWING)
		return mover->sent_count < mover->window;
	return mover->state == MOVER_BACKING_OFF && mover->waited &&
	    mover->sent_count == 0;
}

static void
send_some(void *arg)
{
	struct mover *mover = arg;
	struct watch *watch = mover->options.watch;
	int64_t now_us = loop_now_us(mover->loop);

	if (watch != NULL && watch_rate(watch) != mover->rate.per_s)
		rate_set(&mover->rate, watch_rate(watch), now_us);
	while (may_send(mover)) {
		if (!rate_take(&mover->rate, now_us)) {
			loop_timer_start_us(mover->loop, mover->timer,
			    rate_wait_us(&mover->rate, now_us));
			return;
		}
		if (mover->state == MOVER_BACKING_OFF)
			mover_enter(mover, MOVER_TRYING);
		send_first(mover);
	}
}

static void
on_timer(void *arg)
{
	struct mover *mover = arg;

	if (mover_must_wait(mover)) {
		mover->waited = true;
		mover->cbs->progress(mover->arg);
	}
	send_some(mover);
}

struct mover *
mover_new(const struct mover_options *options, const struct mover_cbs *cbs,
    void *arg)
{
	struct mover *mover = xcalloc(1, sizeof(*mover));

	mover->options = *options;
	mover->cbs = cbs;
	mover->arg = arg;
	mover->window = SENT_MAX;
	mover->loop = options->env->loop;
	TAILQ_INIT(&mover->queued);
	TAILQ_INIT(&mover->sent);
	rate_init(&mover->rate, options->rate, loop_now_us(mover->loop));
	mover->timer = loop_timer_new(mover->loop, on_timer, mover);
	loop_task_init(&mover->task, send_some, mover);
	return mover;
}

void
mover_free(struct mover *mover)
{
	if (mover == NULL)
		return;
	(void)mover_forget(mover);
	loop_timer_free(mover->loop, mover->timer);
	loop_undefer(mover->loop, &mover->task);
	free(mover);
}

void
mover_add(struct mover *mover, const struct mover_letter *letter)
{
	struct move *move = xcalloc(1, sizeof(*move));

	move->mover = mover;
	move->letter = *letter;
	move->bytes = rmq_message_bytes(letter->message);
	move->seq = mover->next_seq++;
	stash_add(mover->options.env->stash, move->bytes);
	if (mover->draining) {
		move_free(move);
		return;
	}
	TAILQ_INSERT_TAIL(&mover->queued, move, entry);
	mover->queued_count++;
	loop_defer(mover->loop, &mover->task);
}

void
mover_hold(struct mover *mover, bool on)
{
	mover->held = on;
	if (!on)
		loop_defer(mover->loop, &mover->task);
}

void
mover_wake(struct mover *mover)
{
	loop_defer(mover->loop, &mover->task);
}

void
mover_drain(struct mover *mover)
{
	struct move *move;

	mover->draining = true;
	while ((move = TAILQ_FIRST(&mover->queued)) != NULL) {
		TAILQ_REMOVE(&mover->queued, move, entry);
		mover->queued_count--;
		move_free(move);
	}
}

size_t
mover_forget(struct mover *mover)
{
	size_t unknown = mover->sent_count;
	struct move *move;

	mover_drain(mover);
	while ((move = TAILQ_FIRST(&mover->sent)) != NULL) {
		TAILQ_REMOVE(&mover->sent, move, entry);
		rmq_publisher_forget(mover->options.env->publisher,
		    move->copy->ticket);
		mover->sent_count--;
		unsent(move);
		move_free(move);
	}
	if (mover->state == MOVER_TRYING) {
		mover_enter(mover, MOVER_BACKING_OFF);
		mover->waited = true;
	}
	return unknown;
}

void
mover_restart(struct mover *mover)
{
	mover->draining = false;
	mover->slowest_us = 0;
}

bool
mover_has_room(const struct mover *mover)
{
	const struct watch *watch = mover->options.watch;

	return mover->queued_count < QUEUED_MAX &&
	    (watch == NULL || mover->queued_count < watch_credit(watch));
}

bool
mover_is_idle(const struct mover *mover)
{
	return mover->queued_count == 0 && mover->sent_count == 0;
}

bool
mover_is_stalled(const struct mover *mover)
{
	return mover->held || mover->state != MOVER_FLOWING ||
	    (mover->sent_count == 0 && lacks_credit(mover));
}

bool
mover_must_wait(const struct mover *mover)
{
	return mover->state == MOVER_BACKING_OFF && !mover->waited;
}

bool
mover_is_refused(const struct mover *mover)
{
	return mover->state == MOVER_BACKING_OFF ||
	    mover->state == MOVER_TRYING;
}

size_t
mover_pending(const struct mover *mover)
{
	return mover->queued_count + mover->sent_count;
}

int64_t
mover_slowest_ms(const struct mover *mover)
{
	return (mover->slowest_us + 999) / 1000;
}
