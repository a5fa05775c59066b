/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "consumer/policy.h"

#include "dlx/ladder.h"
#include "lib/backoff.h"

const char *
policy_act_name(enum policy_act act)
{
	static const char *const names[] = {
		[POLICY_ATTEMPT] = "attempt",
		[POLICY_ACK] = "ack",
		[POLICY_HOLD] = "hold",
		[POLICY_LADDER] = "ladder",
		[POLICY_DEAD] = "dead",
	};

	return names[act];
}

static struct policy_decision
dead(enum envelope_reason reason)
{
	return (struct policy_decision){ POLICY_DEAD, 0, reason };
}

/* Whether the publisher's own deadline has come at `at_ms`. */
static bool
expired(const struct envelope *e, int64_t at_ms)
{
	return e->deadline_ms != 0 && at_ms >= e->deadline_ms;
}

/*
 * Whether the retry deadline has come `delay_ms` from now. A first failure in
 * the future means a clock that jumped: its age counts as 0.
 */
static bool
overdue(const struct policy *p, const struct envelope *e, int64_t now_ms,
    int64_t delay_ms)
{
	int64_t age_ms = 0;

	if (e->first_failed_ms != 0 && e->first_failed_ms < now_ms)
		age_ms = now_ms - e->first_failed_ms;
	return age_ms + delay_ms >= p->retry->deadline_ms;
}

struct policy_decision
policy_admit(const struct policy *p, const struct envelope *e,
    uint64_t body_bytes, int64_t now_ms)
{
	if (e->verdict != RMQ_PROPS_OK)
		return dead(ENVELOPE_MALFORMED);
	if (body_bytes > p->max_body_bytes)
		return dead(ENVELOPE_TOO_LARGE);
	if (expired(e, now_ms))
		return dead(ENVELOPE_EXPIRED);
	if (e->attempt >= (int64_t)p->retry->attempts)
		return dead(ENVELOPE_ATTEMPTS_EXHAUSTED);
	if (e->first_failed_ms != 0 && overdue(p, e, now_ms, 0))
		return dead(ENVELOPE_DEADLINE);
	return (
	    struct policy_decision){ POLICY_ATTEMPT, 0, ENVELOPE_REASON_NONE };
}

/* The delay before attempt `attempts` + 1. */
static int64_t
draw_delay_ms(const struct conf_retry *retry, const struct verdict *verdict,
    int64_t attempts, double unit_random)
{
	const struct backoff backoff = {
		.first_ms = retry->first_ms,
		.factor = retry->factor,
		.cap_ms = retry->cap_ms,
		.jitter = retry->jitter,
	};

	if (verdict->delay_ms >= 0)
		return verdict->delay_ms < retry->cap_ms ? verdict->delay_ms
							 : retry->cap_ms;
	return backoff_delay_ms(&backoff, (unsigned)attempts, unit_random);
}

static struct policy_decision
judge_retry(const struct policy *p, const struct envelope *e,
    const struct verdict *verdict, int64_t now_ms, double unit_random)
{
	struct policy_decision d = { POLICY_HOLD, 0, ENVELOPE_REASON_NONE };
	int64_t attempts = e->attempt + 1;
	int64_t wait_ms;

	if (expired(e, now_ms))
		return dead(ENVELOPE_EXPIRED);
	if (!p->retries || attempts >= (int64_t)p->retry->attempts)
		return dead(ENVELOPE_ATTEMPTS_EXHAUSTED);
	d.delay_ms = draw_delay_ms(p->retry, verdict, attempts, unit_random);
	wait_ms = d.delay_ms;
	if (d.delay_ms > p->retry->hold_ms) {
		d.act = POLICY_LADDER;
		wait_ms = ladder_delay_ms(ladder_units(d.delay_ms));
	}
	if (expired(e, now_ms + wait_ms))
		return dead(ENVELOPE_EXPIRED);
	if (overdue(p, e, now_ms, wait_ms))
		return dead(ENVELOPE_DEADLINE);
	return d;
}

struct policy_decision
policy_judge(const struct policy *p, const struct envelope *e,
    const struct verdict *verdict, int64_t now_ms, double unit_random)
{
	switch (verdict->outcome) {
	case OUTCOME_OK:
		return (struct policy_decision){ POLICY_ACK, 0,
			ENVELOPE_REASON_NONE };
	case OUTCOME_REJECT:
		return dead(ENVELOPE_REJECTED);
	case OUTCOME_RETRY:
		break;
	}
	return judge_retry(p, e, verdict, now_ms, unit_random);
}
