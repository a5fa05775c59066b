/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "consumer/window_trial.h"

#include <stdlib.h>

#include "lib/log.h"
#include "lib/xalloc.h"

/* It may be what killed those who had it before: see trial.h. */
void
window_trial_suspect(struct delivery *d)
{
	log_warn("suspect", LOG_STR("pipeline", d->window->env.name),
	    LOG_BYTES("id", d->envelope.id.ptr, d->envelope.id.len),
	    LOG_INT("attempts", d->envelope.attempt),
	    LOG_INT("taken_back", d->envelope.delivery_count));
	envelope_suspect(&d->envelope, 0);
	window_send_aside(d, loop_now_us(d->window->env.loop));
}

/* A suspect that cannot be tried (to the end): it comes back in a while. */
void
window_trial_put_off(struct delivery *d, const char *why)
{
	struct loop *loop = d->window->env.loop;
	int64_t cap_ms = d->window->env.pipeline->retry.cap_ms;
	int64_t delay_ms = trial_put_off_ms(d->window->env.trial);

	/* The ladder has no levels for more. */
	if (delay_ms > cap_ms)
		delay_ms = cap_ms;
	log_info("trial_put_off", LOG_STR("pipeline", d->window->env.name),
	    LOG_BYTES("id", d->envelope.id.ptr, d->envelope.id.len),
	    LOG_STR("why", why), LOG_INT("delay_ms", delay_ms));
	if (d->state == DELIVERY_RUNNING) {
		downstream_cancel(d->call);
		d->call = NULL;
	} else {
		TAILQ_REMOVE(&d->window->suspects, d, ready);
	}
	trial_yield(d->window->env.trial, d);
	window_send_aside(d, loop_now_us(loop) + delay_ms * 1000);
}

/*
 * Its process died, perhaps of it. When that is so again after it had been to
 * the ladder, it was not by chance.
 */
static void
charge(struct delivery *d, int64_t wall_ms)
{
	unsigned deaths = envelope_suspect_deaths(&d->envelope) + 1;
	char *text;

	if (deaths < TRIAL_DEATHS) {
		envelope_suspect(&d->envelope, deaths);
		window_trial_put_off(d, "its consumer died");
		return;
	}
	TAILQ_REMOVE(&d->window->suspects, d, ready);
	envelope_suspect(&d->envelope, 0);
	text = xasprintf("%u times its consumer died when this message was to "
			 "be tried alone; no attempt is on record",
	    deaths);
	window_bury(d, ENVELOPE_CRASH, wall_ms, text);
	free(text);
}

/* Whether the breaker would let it be tried, sooner or later. */
static bool
is_open(const struct window *w)
{
	return downstream_state(w->env.downstream) != BREAKER_CLOSED &&
	    downstream_room(w->env.downstream) == 0;
}

static bool
is_long(const struct delivery *d, int64_t now_us)
{
	return d->state == DELIVERY_RUNNING &&
	    now_us - d->started_us >= TRIAL_SEAL_MS * INT64_C(1000);
}

bool
window_trial_is_long(const struct window *w)
{
	int64_t now_us = loop_now_us(w->env.loop);
	const struct delivery *d;

	TAILQ_FOREACH(d, &w->unacked, link) {
		if (is_long(d, now_us))
			return true;
	}
	TAILQ_FOREACH(d, &w->orphans, link) {
		if (is_long(d, now_us))
			return true;
	}
	return false;
}

/* A suspect that waits gets its trial, or goes back to the ladder. */
static void
try_alone(struct delivery *d)
{
	struct window *w = d->window;
	struct trial *trial = w->env.trial;

	if (w->handing_off || is_open(w)) {
		window_trial_put_off(d,
		    w->handing_off ? "giving back" : "breaker open");
		return;
	}
	if (window_trial_is_long(w)) {
		window_trial_put_off(d, "an attempt takes long");
		return;
	}
	if (!trial_take(trial, d) || trial_is_late(trial)) {
		window_trial_put_off(d, "not its turn");
		return;
	}
	if (w->count[DELIVERY_RUNNING] > 0 || !window_has_room(w))
		return;
	trial_seal(trial);
	if (!trial_may_start(trial))
		return;
	TAILQ_REMOVE(&w->suspects, d, ready);
	window_start(d);
}

/* A suspect that waits: its trial, or what makes one needless. */
static void
try_suspect(struct delivery *d, int64_t wall_ms)
{
	struct window *w = d->window;
	struct policy_decision decision = policy_admit(&w->policy, &d->envelope,
	    d->message->body.len, wall_ms);

	if (window_is_duplicate(d)) {
		TAILQ_REMOVE(&w->suspects, d, ready);
		settle_duplicate(d);
	} else if (decision.act != POLICY_ATTEMPT) {
		TAILQ_REMOVE(&w->suspects, d, ready);
		window_turn_away(d, decision.reason, wall_ms);
	} else if (trial_deaths(w->env.trial, &d->envelope) > 0) {
		charge(d, wall_ms);
	} else {
		try_alone(d);
	}
}

/* Whether nothing else may start, for the sake of one that is to be alone. */
bool
window_trial_work(struct window *w, int64_t wall_ms)
{
	struct delivery *d, *next;

	for (d = TAILQ_FIRST(&w->suspects); d != NULL; d = next) {
		next = TAILQ_NEXT(d, ready);
		try_suspect(d, wall_ms);
	}
	return w->lone || !TAILQ_EMPTY(&w->suspects);
}
