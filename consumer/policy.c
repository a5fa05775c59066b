/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "consumer/policy.h"

#include <string.h>

#include "dlx/ladder.h"
#include "lib/backoff.h"
#include "lib/text.h"

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
	return (struct policy_decision){
		.act = POLICY_DEAD,
		.reason = reason,
	};
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

/* The first rule for a class; NULL: none. */
static const struct conf_rule *
find_rule(const struct conf_retry *retry, const void *class, size_t len)
{
	for (size_t i = 0; i < retry->rule_count; i++)
		if (text_dotted_prefix(retry->rules[i].class, class, len))
			return &retry->rules[i];
	return NULL;
}

/* How many attempts a message may have whose last one failed under `rule`. */
static int64_t
attempts_of(const struct conf_retry *retry, const struct conf_rule *rule)
{
	return rule == NULL ? retry->attempts : rule->attempts;
}

static bool
is_crash(const void *class, size_t len)
{
	return text_dotted_prefix("crash", class, len);
}

bool
policy_crashed(const struct envelope *e)
{
	return is_crash(e->class.ptr, e->class.len);
}

/* Its attempts are used up, and the last one was a crash or was none. */
static struct policy_decision
used_up(bool crash)
{
	return dead(crash ? ENVELOPE_CRASH : ENVELOPE_ATTEMPTS_EXHAUSTED);
}

struct policy_decision
policy_admit(const struct policy *p, const struct envelope *e,
    uint64_t body_bytes, int64_t now_ms)
{
	const struct conf_rule *rule;
	bool used;

	if (e->verdict != RMQ_PROPS_OK)
		return dead(ENVELOPE_MALFORMED);
	if (body_bytes > p->max_body_bytes)
		return dead(ENVELOPE_TOO_LARGE);
	if (expired(e, now_ms))
		return dead(ENVELOPE_EXPIRED);
	rule = find_rule(p->retry, e->class.ptr, e->class.len);
	/* The mark has taken the place of the class that says how many. */
	used = !envelope_is_suspect(e) &&
	    e->attempt >= attempts_of(p->retry, rule);
	if (used)
		return used_up(policy_crashed(e));
	if (e->first_failed_ms != 0 && overdue(p, e, now_ms, 0))
		return dead(ENVELOPE_DEADLINE);
	return (struct policy_decision){ .act = POLICY_ATTEMPT };
}

/* The delay before attempt `attempts` + 1. */
static int64_t
draw_delay_ms(const struct conf_retry *retry, const struct conf_rule *rule,
    const struct verdict *verdict, int64_t attempts, double unit_random)
{
	const struct backoff backoff = {
		.first_ms = rule == NULL ? retry->first_ms : rule->first_ms,
		.factor = retry->factor,
		.cap_ms = rule == NULL ? retry->cap_ms : rule->cap_ms,
		.jitter = retry->jitter,
	};

	if (verdict->delay_ms >= 0)
		return verdict->delay_ms < backoff.cap_ms ? verdict->delay_ms
							  : backoff.cap_ms;
	return backoff_delay_ms(&backoff, (unsigned)attempts, unit_random);
}

static struct policy_decision
judge_retry(const struct policy *p, const struct envelope *e,
    const struct conf_rule *rule, const struct verdict *verdict, int64_t now_ms,
    double unit_random)
{
	struct policy_decision d = { .act = POLICY_HOLD };
	int64_t attempts = e->attempt + 1;
	bool crash = is_crash(verdict->class, strlen(verdict->class));
	int64_t wait_ms;

	if (crash && policy_crashed(e))
		return dead(ENVELOPE_CRASH);
	if (expired(e, now_ms))
		return dead(ENVELOPE_EXPIRED);
	if (!p->retries || attempts >= attempts_of(p->retry, rule))
		return used_up(crash);
	d.delay_ms =
	    draw_delay_ms(p->retry, rule, verdict, attempts, unit_random);
	wait_ms = d.delay_ms;
	if (!p->ordered && d.delay_ms > p->retry->hold_ms) {
		d.act = POLICY_LADDER;
		wait_ms = ladder_delay_ms(ladder_units(d.delay_ms));
	}
	if (expired(e, now_ms + wait_ms))
		return dead(ENVELOPE_EXPIRED);
	if (overdue(p, e, now_ms, wait_ms))
		return dead(ENVELOPE_DEADLINE);
	return d;
}

/* What the handler said, unless the rule says otherwise. */
static enum outcome
outcome_of(const struct conf_rule *rule, const struct verdict *verdict)
{
	switch (rule == NULL ? CONF_THEN_SAME : rule->then) {
	case CONF_THEN_OK:
		return OUTCOME_OK;
	case CONF_THEN_RETRY:
		return OUTCOME_RETRY;
	case CONF_THEN_REJECT:
		return OUTCOME_REJECT;
	case CONF_THEN_SAME:
		break;
	}
	return verdict->outcome;
}

/* The rule for a verdict; NULL: none, as for every ok. */
static const struct conf_rule *
rule_of(const struct policy *p, const struct verdict *verdict)
{
	if (verdict->outcome == OUTCOME_OK)
		return NULL;
	return find_rule(p->retry, verdict->class, strlen(verdict->class));
}

enum outcome
policy_outcome(const struct policy *p, const struct verdict *verdict)
{
	return outcome_of(rule_of(p, verdict), verdict);
}

struct policy_decision
policy_judge(const struct policy *p, const struct envelope *e,
    const struct verdict *verdict, int64_t now_ms, double unit_random)
{
	struct policy_decision d = { .act = POLICY_ACK };
	const struct conf_rule *rule = rule_of(p, verdict);
	enum outcome outcome = outcome_of(rule, verdict);

	if (outcome == OUTCOME_REJECT)
		d = dead(ENVELOPE_REJECTED);
	else if (outcome == OUTCOME_RETRY)
		d = judge_retry(p, e, rule, verdict, now_ms, unit_random);
	d.outcome = outcome;
	d.rule = rule;
	return d;
}
