/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/breaker.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/backoff.h"
#include "lib/log.h"

#define WHY_SPACE 64

const char *
breaker_state_name(enum breaker_state state)
{
	switch (state) {
	case BREAKER_CLOSED:
		return "closed";
	case BREAKER_HALF_OPEN:
		return "half-open";
	case BREAKER_OPEN:
		return "open";
	}
	abort();
}

void
breaker_init(struct breaker *b, const char *name,
    const struct breaker_params *params, uint64_t seed)
{
	memset(b, 0, sizeof(*b));
	b->name = name;
	b->params = *params;
	b->state = BREAKER_CLOSED;
	b->allowed = params->limit;
	b->seed = seed;
}

void
breaker_limit(struct breaker *b, unsigned limit)
{
	b->params.limit = limit;
	if (!b->slow.on || b->allowed > limit)
		b->allowed = limit;
}

/* The next number in [0, 1) from the seed: splitmix64. */
static double
chance(struct breaker *b)
{
	uint64_t z;

	z = b->seed += 0x9e3779b97f4a7c15;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return (double)((z ^ (z >> 31)) >> 11) * 0x1.0p-53;
}

/* Legal: closed -> open -> half-open -> closed or open. */
static bool
legal(enum breaker_state from, enum breaker_state to)
{
	switch (from) {
	case BREAKER_CLOSED:
		return to == BREAKER_OPEN;
	case BREAKER_OPEN:
		return to == BREAKER_HALF_OPEN;
	case BREAKER_HALF_OPEN:
		return to == BREAKER_CLOSED || to == BREAKER_OPEN;
	}
	return false;
}

/* Attempts under way belong to the time before: the ticket moves on. */
static void
open_up(struct breaker *b, int64_t now_ms)
{
	const struct backoff backoff = {
		.first_ms = b->params.open_ms,
		.factor = 2,
		.cap_ms = b->params.open_max_ms,
		.jitter = BREAKER_OPEN_JITTER,
	};

	b->openings++;
	b->open_until_ms =
	    now_ms + backoff_delay_ms(&backoff, b->openings, chance(b));
	b->opened++;
	b->under_way = 0;
	b->row = 0;
	memset(b->slots, 0, sizeof(b->slots));
}

static void
breaker_enter(struct breaker *b, enum breaker_state to, int64_t now_ms,
    const char *why)
{
	enum breaker_state from = b->state;

	if (!legal(from, to))
		abort();
	b->state = to;
	if (to == BREAKER_OPEN) {
		open_up(b, now_ms);
	} else if (to == BREAKER_CLOSED) {
		b->slow = (struct breaker_slow){ .on = true,
			/* The trial message went well. */
			.proven = !b->params.probed,
			.began_ms = now_ms };
		b->allowed = 1;
	}
	log_info("breaker", LOG_STR("downstream", b->name),
	    LOG_STR("from", breaker_state_name(from)),
	    LOG_STR("to", breaker_state_name(to)), LOG_STR("why", why),
	    LOG_INT("open_ms", breaker_open_ms(b, now_ms)));
}

enum breaker_state
breaker_state(const struct breaker *b)
{
	return b->state;
}

unsigned
breaker_room(const struct breaker *b)
{
	unsigned allowed = 0;

	if (b->state == BREAKER_CLOSED)
		allowed = b->allowed;
	else if (b->state == BREAKER_HALF_OPEN && !b->params.probed)
		allowed = 1;
	return allowed > b->under_way ? allowed - b->under_way : 0;
}

int64_t
breaker_due_ms(const struct breaker *b)
{
	return b->state == BREAKER_OPEN ? b->open_until_ms : -1;
}

int64_t
breaker_open_ms(const struct breaker *b, int64_t now_ms)
{
	if (b->state != BREAKER_OPEN || b->open_until_ms <= now_ms)
		return 0;
	return b->open_until_ms - now_ms;
}

uint64_t
breaker_opened(const struct breaker *b)
{
	return b->opened;
}

/* Marks the attempts that begin now: how often it opened, and was halved. */
static uint64_t
ticket(const struct breaker *b)
{
	return b->opened << 32 | b->cuts;
}

uint64_t
breaker_start(struct breaker *b)
{
	if (breaker_room(b) == 0)
		abort();
	b->under_way++;
	return ticket(b);
}

static int64_t
slot_index(const struct breaker *b, int64_t now_ms)
{
	int64_t slice_ms = b->params.window_ms / BREAKER_SLOTS;

	return now_ms / (slice_ms > 0 ? slice_ms : 1);
}

static void
count(struct breaker *b, bool good, int64_t now_ms)
{
	int64_t index = slot_index(b, now_ms);
	struct breaker_slot *slot = &b->slots[index % BREAKER_SLOTS];

	if (slot->index != index)
		*slot = (struct breaker_slot){ .index = index };
	slot->good += good;
	slot->bad += !good;
	b->row = good ? 0 : b->row + 1;
}

/* So many in a row are too many. */
static unsigned
row_limit(const struct breaker *b)
{
	if (!b->slow.on)
		return b->params.failures;
	if (!b->slow.proven)
		return 1;
	/* With less it was no better. */
	if (b->slow.vain && b->params.failures > BREAKER_CUT_LEAST)
		return BREAKER_CUT_LEAST;
	/* There were good ones: it can be tried with less. */
	if (b->allowed > 1 && b->slow.good > 0)
		return UINT_MAX;
	return b->params.failures;
}

/* Whether the last bad result was one too many; `why` says of what. */
static bool
too_bad(const struct breaker *b, int64_t now_ms, char why[WHY_SPACE])
{
	int64_t index = slot_index(b, now_ms);
	uint64_t good = 0, bad = 0;
	size_t i;

	if (b->row >= row_limit(b)) {
		snprintf(why, WHY_SPACE, "%u failures in a row", b->row);
		return true;
	}
	for (i = 0; i < BREAKER_SLOTS; i++) {
		if (index - b->slots[i].index >= BREAKER_SLOTS)
			continue;
		good += b->slots[i].good;
		bad += b->slots[i].bad;
	}
	if (good + bad < b->params.minimum ||
	    (double)bad < b->params.ratio * (double)(good + bad))
		return false;
	snprintf(why, WHY_SPACE, "%llu failures of %llu",
	    (unsigned long long)bad, (unsigned long long)(good + bad));
	return true;
}

static double
bad_share(const struct breaker_slow *slow)
{
	return (double)slow->bad / ((double)slow->good + (double)slow->bad);
}

static void
next_step(struct breaker *b, unsigned allowed, int64_t now_ms)
{
	b->allowed = allowed;
	b->slow.good = b->slow.bad = 0;
	b->slow.began_ms = now_ms;
}

/* A bad one in slow start: perhaps it is too much for the downstream. */
static void
slow_down(struct breaker *b, int64_t now_ms)
{
	struct breaker_slow *slow = &b->slow;

	slow->bad++;
	if (b->allowed == 1 ||
	    (slow->bad < BREAKER_CUT_LEAST && b->row < b->params.failures))
		return;
	slow->cautious = true;
	if (b->row < b->params.failures &&
	    bad_share(slow) <= slow->noise + BREAKER_CUT_SHARE)
		return;
	slow->vain = true;
	b->cuts++;
	b->row = 0;
	next_step(b, b->allowed / 2, now_ms);
	log_info("breaker_slowed", LOG_STR("downstream", b->name),
	    LOG_UINT("allowed", b->allowed));
}

/* A good one in slow start: after its time the step has gone well. */
static void
speed_up(struct breaker *b, int64_t now_ms)
{
	struct breaker_slow *slow = &b->slow;
	unsigned more = slow->cautious ? 1 : b->allowed;

	slow->good++;
	slow->proven = true;
	slow->vain = false;
	if (now_ms - slow->began_ms < BREAKER_STEP_MS)
		return;
	if (b->allowed < b->params.limit) {
		if (b->allowed == 1)
			slow->noise = bad_share(slow);
		if (more > b->params.limit - b->allowed)
			more = b->params.limit - b->allowed;
		next_step(b, b->allowed + more, now_ms);
		return;
	}
	slow->on = false;
	b->openings = 0;
	log_info("breaker_recovered", LOG_STR("downstream", b->name),
	    LOG_UINT("limit", b->allowed));
}

/* It began before slow start was halved: that it went badly is known. */
static bool
is_stale(const struct breaker *b, uint64_t its_ticket)
{
	return b->slow.on && its_ticket != ticket(b);
}

void
breaker_finish(struct breaker *b, uint64_t its_ticket,
    enum breaker_result result, int64_t now_ms)
{
	char why[WHY_SPACE];

	if (its_ticket >> 32 != b->opened)
		return;
	b->under_way--;
	if (result == BREAKER_NOTHING)
		return;
	if (b->state == BREAKER_HALF_OPEN) {
		if (result == BREAKER_GOOD)
			breaker_enter(b, BREAKER_CLOSED, now_ms,
			    "the trial message went well");
		else
			breaker_enter(b, BREAKER_OPEN, now_ms,
			    "the trial message did not go well");
		return;
	}
	if (result == BREAKER_BAD && is_stale(b, its_ticket))
		return;
	count(b, result == BREAKER_GOOD, now_ms);
	if (result == BREAKER_BAD && too_bad(b, now_ms, why))
		breaker_enter(b, BREAKER_OPEN, now_ms, why);
	else if (result == BREAKER_BAD && b->slow.on)
		slow_down(b, now_ms);
	else if (result == BREAKER_GOOD && b->slow.on)
		speed_up(b, now_ms);
}

void
breaker_probe(struct breaker *b, bool good, bool healthy, int64_t now_ms)
{
	if (b->state != BREAKER_HALF_OPEN || !b->params.probed)
		return;
	if (!good)
		breaker_enter(b, BREAKER_OPEN, now_ms, "a bad probe");
	else if (healthy)
		breaker_enter(b, BREAKER_CLOSED, now_ms, "the probe is good");
}

void
breaker_tick(struct breaker *b, int64_t now_ms)
{
	if (b->state == BREAKER_OPEN && now_ms >= b->open_until_ms)
		breaker_enter(b, BREAKER_HALF_OPEN, now_ms, "its time is up");
}
