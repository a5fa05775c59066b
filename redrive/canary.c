/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/canary.h"

#include <stdlib.h>

const char *
canary_state_name(enum canary_state state)
{
	static const char *const names[] = { "sending", "waiting", "looking",
		"open", "spoilt", "silent" };

	return names[state];
}

#define TO(state) (1u << CANARY_##state)

/* Legal moves: see canary.h. */
static void
canary_enter(struct canary *canary, enum canary_state to, int64_t now_ms)
{
	static const unsigned legal[] = {
		[CANARY_SENDING] = TO(WAITING) | TO(SILENT),
		[CANARY_WAITING] =
		    TO(SENDING) | TO(OPEN) | TO(SPOILT) | TO(LOOKING),
		[CANARY_LOOKING] =
		    TO(SENDING) | TO(OPEN) | TO(SPOILT) | TO(SILENT),
		[CANARY_OPEN] = TO(SPOILT) | TO(LOOKING),
		[CANARY_SPOILT] = 0,
		[CANARY_SILENT] = 0,
	};

	if ((legal[canary->state] & 1u << to) == 0)
		abort();
	canary->state = to;
	canary->left_ms = canary->params.timeout_ms;
	canary->since_ms = now_ms;
}

void
canary_init(struct canary *canary, const struct canary_params *params,
    struct ledger *ledger, int64_t now_ms)
{
	*canary = (struct canary){
		.params = *params,
		.ledger = ledger,
		.state = params->canary > 0 ? CANARY_SENDING : CANARY_OPEN,
		.opened = params->canary == 0,
		.left_ms = params->timeout_ms,
		.since_ms = now_ms,
	};
}

/* Whether the canary sings no more, all of it being sent. */
static bool
canary_is_bad(const struct canary *canary)
{
	uint64_t bad = ledger_bad(canary->ledger);

	return (double)bad >
	    canary->params.abort_above * (double)canary->awaited ||
	    (bad > 0 && bad >= canary->awaited);
}

static uint64_t
judged(const struct canary *canary)
{
	return ledger_bad(canary->ledger) + ledger_good(canary->ledger);
}

static bool
too_many_are_bad(const struct canary *canary)
{
	uint64_t all = judged(canary);

	return all >= CANARY_LEAST &&
	    (double)ledger_bad(canary->ledger) >
	    canary->params.abort_above * (double)all;
}

static bool
is_spoilt(const struct canary *canary)
{
	return canary->opened ? too_many_are_bad(canary)
			      : canary_is_bad(canary);
}

/* After each verdict, and when all of the canary is sent. */
static void
consider(struct canary *canary, int64_t now_ms)
{
	if (canary->state != CANARY_WAITING &&
	    canary->state != CANARY_LOOKING && canary->state != CANARY_OPEN)
		return;
	if (is_spoilt(canary)) {
		canary_enter(canary, CANARY_SPOILT, now_ms);
	} else if (canary->state == CANARY_WAITING &&
	    canary->answered >= canary->awaited) {
		canary->opened = true;
		canary_enter(canary, CANARY_OPEN, now_ms);
	}
}

uint64_t
canary_credit(const struct canary *canary)
{
	if (canary->state == CANARY_OPEN)
		return UINT64_MAX;
	if (canary->state != CANARY_SENDING)
		return 0;
	return canary->params.canary - canary->sent;
}

void
canary_sent(struct canary *canary, struct rmq_slice id, uint32_t step,
    int64_t now_ms)
{
	bool first = canary->state == CANARY_SENDING;

	if (!ledger_sent(canary->ledger, id, first ? canary->round : step)) {
		/* Its verdict is known, or awaited for another copy. */
	} else if (first) {
		canary->awaited++;
	} else if (ledger_waiting(canary->ledger) == 1) {
		/* Until now nobody had anything to say. */
		canary->left_ms = canary->params.timeout_ms;
		canary->since_ms = now_ms;
	}
	if (first && ++canary->sent == canary->params.canary) {
		canary_enter(canary, CANARY_WAITING, now_ms);
		consider(canary, now_ms);
	}
}

void
canary_unsent(struct canary *canary, struct rmq_slice id)
{
	if (!ledger_unsent(canary->ledger, id) || canary->sent == 0 ||
	    canary->awaited == 0)
		return;
	if (canary->state == CANARY_WAITING)
		canary_enter(canary, CANARY_SENDING, canary->since_ms);
	if (canary->state == CANARY_SENDING) {
		canary->sent--;
		canary->awaited--;
	}
}

void
canary_exhausted(struct canary *canary, int64_t now_ms)
{
	if (canary->state != CANARY_SENDING)
		return;
	if (canary->sent > 0) {
		canary_enter(canary, CANARY_WAITING, now_ms);
		consider(canary, now_ms);
	} else if (canary->round > 0) {
		canary_enter(canary, CANARY_SILENT, now_ms);
	}
}

bool
canary_heard(struct canary *canary, struct rmq_slice id, bool good,
    uint32_t *step, int64_t now_ms)
{
	if (!ledger_judge(canary->ledger, id, good, step))
		return false;
	if (*step == canary->round)
		canary->answered++;
	if (canary->state == CANARY_OPEN) {
		canary->left_ms = canary->params.timeout_ms;
		canary->since_ms = now_ms;
	}
	consider(canary, now_ms);
	return true;
}

bool
canary_dead(struct canary *canary, struct rmq_slice id, int64_t now_ms)
{
	uint32_t step;

	if (!ledger_dead(canary->ledger, id, &step))
		return false;
	if (step == canary->round)
		canary->answered++;
	consider(canary, now_ms);
	return true;
}

void
canary_looked(struct canary *canary, int64_t now_ms)
{
	if (canary->state != CANARY_LOOKING)
		return;
	if (canary->opened ? judged(canary) > canary->judged
			   : canary->answered >= canary->awaited) {
		canary->opened = true;
		canary_enter(canary, CANARY_OPEN, now_ms);
	} else if (!canary->opened && canary->round + 1 < CANARY_STEPS) {
		canary->round++;
		canary->sent = canary->awaited = canary->answered = 0;
		canary_enter(canary, CANARY_SENDING, now_ms);
	} else {
		canary_enter(canary, CANARY_SILENT, now_ms);
	}
}

void
canary_hold(struct canary *canary, bool on, int64_t now_ms)
{
	if (canary->held == on)
		return;
	canary->held = on;
	if (on)
		canary->left_ms -= now_ms - canary->since_ms;
	canary->since_ms = now_ms;
}

/* Whether somebody should have something to say. */
static bool
listens(const struct canary *canary)
{
	return !canary->held && canary->params.canary > 0 &&
	    (canary->state == CANARY_WAITING ||
		(canary->state == CANARY_OPEN &&
		    ledger_waiting(canary->ledger) > 0));
}

int64_t
canary_due_ms(const struct canary *canary)
{
	return listens(canary) ? canary->since_ms + canary->left_ms : INT64_MAX;
}

void
canary_tick(struct canary *canary, int64_t now_ms)
{
	if (!listens(canary) || now_ms < canary->since_ms + canary->left_ms)
		return;
	canary->judged = judged(canary);
	canary_enter(canary, CANARY_LOOKING, now_ms);
}
