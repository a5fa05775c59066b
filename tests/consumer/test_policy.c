/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/unit.h"

#include "consumer/policy.h"

#define NOW   INT64_C(1700000000000)
#define HOUR  INT64_C(3600000)
#define NONE  ENVELOPE_REASON_NONE
#define LATER (NOW + 1000 * HOUR)

/* attempts 4; 1 s, 2 s, 4 s … 10 s; hold 1.5 s; deadline one hour. */
static const struct conf_retry retry = {
	.attempts = 4,
	.first_ms = 1000,
	.factor = 2,
	.cap_ms = 10000,
	.jitter = 0.5,
	.hold_ms = 1500,
	.deadline_ms = HOUR,
};

static const struct policy policy = { .retry = &retry,
	.max_body_bytes = 1000,
	.retries = true };
static const struct policy no_retries = { .retry = &retry,
	.max_body_bytes = 1000,
	.retries = false };

static const struct {
	const char *what;
	enum rmq_props_verdict props;
	uint64_t body_bytes;
	int64_t attempt, first_failed_ms, deadline_ms;
	enum policy_act act;
	enum envelope_reason reason;
} admitted[] = {
	{ "a new one", RMQ_PROPS_OK, 0, 0, 0, 0, POLICY_ATTEMPT, NONE },
	{ "the largest", RMQ_PROPS_OK, 1000, 0, 0, 0, POLICY_ATTEMPT, NONE },
	{ "too large", RMQ_PROPS_OK, 1001, 0, 0, 0, POLICY_DEAD,
	    ENVELOPE_TOO_LARGE },
	{ "too deep", RMQ_PROPS_TOO_DEEP, 1, 0, 0, 0, POLICY_DEAD,
	    ENVELOPE_MALFORMED },
	{ "bad headers", RMQ_PROPS_BAD_HEADERS, 1, 0, 0, 0, POLICY_DEAD,
	    ENVELOPE_MALFORMED },
	{ "broken and too large", RMQ_PROPS_BROKEN, 1001, 0, 0, 0, POLICY_DEAD,
	    ENVELOPE_MALFORMED },
	{ "the last attempt", RMQ_PROPS_OK, 1, 3, NOW - 1, 0, POLICY_ATTEMPT,
	    NONE },
	{ "one too many", RMQ_PROPS_OK, 1, 4, NOW - 1, 0, POLICY_DEAD,
	    ENVELOPE_ATTEMPTS_EXHAUSTED },
	{ "attempts beyond sense", RMQ_PROPS_OK, 1, INT64_MAX, NOW - 1, 0,
	    POLICY_DEAD, ENVELOPE_ATTEMPTS_EXHAUSTED },
	{ "just in time", RMQ_PROPS_OK, 1, 0, 0, NOW + 1, POLICY_ATTEMPT,
	    NONE },
	{ "expired", RMQ_PROPS_OK, 1, 0, 0, NOW, POLICY_DEAD,
	    ENVELOPE_EXPIRED },
	{ "expired before used up", RMQ_PROPS_OK, 1, 4, NOW - 1, NOW,
	    POLICY_DEAD, ENVELOPE_EXPIRED },
	{ "before the deadline", RMQ_PROPS_OK, 1, 1, NOW - HOUR + 1, 0,
	    POLICY_ATTEMPT, NONE },
	{ "at the deadline", RMQ_PROPS_OK, 1, 1, NOW - HOUR, 0, POLICY_DEAD,
	    ENVELOPE_DEADLINE },
	{ "failed in the future", RMQ_PROPS_OK, 1, 1, LATER, 0, POLICY_ATTEMPT,
	    NONE },
};

static void
admits_what_may_be_tried(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(admitted); i++) {
		struct envelope e = {
			.verdict = admitted[i].props,
			.attempt = admitted[i].attempt,
			.first_failed_ms = admitted[i].first_failed_ms,
			.deadline_ms = admitted[i].deadline_ms,
		};
		struct policy_decision d =
		    policy_admit(&policy, &e, admitted[i].body_bytes, NOW);

		if (d.act != admitted[i].act || d.reason != admitted[i].reason)
			fail_msg("%s: %s %s", admitted[i].what,
			    policy_act_name(d.act),
			    envelope_reason_name(d.reason));
		assert_int_equal(d.delay_ms, 0);
	}
}

static const struct {
	const char *what;
	const struct policy *policy;
	enum outcome outcome;
	int64_t asked_ms; /* by Retry-After */
	int64_t attempt, first_failed_ms, deadline_ms;
	double random;
	enum policy_act act;
	int64_t delay_ms;
	enum envelope_reason reason;
} judged[] = {
	{ "ok", &policy, OUTCOME_OK, -1, 0, 0, 0, 0, POLICY_ACK, 0, NONE },
	{ "ok after all deadlines", &policy, OUTCOME_OK, -1, 9, 1, 1, 0,
	    POLICY_ACK, 0, NONE },
	{ "rejected", &policy, OUTCOME_REJECT, -1, 0, 0, 0, 0, POLICY_DEAD, 0,
	    ENVELOPE_REJECTED },
	{ "rejected before all else", &policy, OUTCOME_REJECT, -1, 9, 1, 1, 0,
	    POLICY_DEAD, 0, ENVELOPE_REJECTED },
	{ "first failure", &policy, OUTCOME_RETRY, -1, 0, 0, 0, 0, POLICY_HOLD,
	    1000, NONE },
	{ "first failure, jittered", &policy, OUTCOME_RETRY, -1, 0, 0, 0, 0.5,
	    POLICY_HOLD, 750, NONE },
	{ "second failure", &policy, OUTCOME_RETRY, -1, 1, NOW - 1, 0, 0,
	    POLICY_LADDER, 2000, NONE },
	{ "second failure, drawn short", &policy, OUTCOME_RETRY, -1, 1, NOW - 1,
	    0, 0.5, POLICY_HOLD, 1500, NONE },
	{ "third failure", &policy, OUTCOME_RETRY, -1, 2, NOW - 1, 0, 0,
	    POLICY_LADDER, 4000, NONE },
	{ "attempts used up", &policy, OUTCOME_RETRY, -1, 3, NOW - 1, 0, 0,
	    POLICY_DEAD, 0, ENVELOPE_ATTEMPTS_EXHAUSTED },
	{ "used up and past the deadline", &policy, OUTCOME_RETRY, -1, 3, 1, 0,
	    0, POLICY_DEAD, 0, ENVELOPE_ATTEMPTS_EXHAUSTED },
	{ "used up and expired", &policy, OUTCOME_RETRY, -1, 3, 1, NOW, 0,
	    POLICY_DEAD, 0, ENVELOPE_EXPIRED },
	{ "no retries", &no_retries, OUTCOME_RETRY, -1, 0, 0, 0, 0, POLICY_DEAD,
	    0, ENVELOPE_ATTEMPTS_EXHAUSTED },
	{ "no retries, ok", &no_retries, OUTCOME_OK, -1, 0, 0, 0, 0, POLICY_ACK,
	    0, NONE },
	{ "asked for less", &policy, OUTCOME_RETRY, 300, 0, 0, 0, 0.9,
	    POLICY_HOLD, 300, NONE },
	{ "asked for none", &policy, OUTCOME_RETRY, 0, 2, NOW - 1, 0, 0,
	    POLICY_HOLD, 0, NONE },
	{ "asked for more", &policy, OUTCOME_RETRY, 7000, 0, 0, 0, 0.9,
	    POLICY_LADDER, 7000, NONE },
	{ "asked for too much", &policy, OUTCOME_RETRY, INT64_MAX, 0, 0, 0, 0,
	    POLICY_LADDER, 10000, NONE },
	{ "asked, but used up", &policy, OUTCOME_RETRY, 300, 3, NOW - 1, 0, 0,
	    POLICY_DEAD, 0, ENVELOPE_ATTEMPTS_EXHAUSTED },
	{ "expired", &policy, OUTCOME_RETRY, -1, 0, 0, NOW, 0, POLICY_DEAD, 0,
	    ENVELOPE_EXPIRED },
	{ "would expire on hold", &policy, OUTCOME_RETRY, -1, 0, 0, NOW + 1000,
	    0, POLICY_DEAD, 0, ENVELOPE_EXPIRED },
	{ "expires after its hold", &policy, OUTCOME_RETRY, -1, 0, 0,
	    NOW + 1001, 0, POLICY_HOLD, 1000, NONE },
	{ "would expire on the ladder's rounding", &policy, OUTCOME_RETRY, 1950,
	    0, 0, NOW + 2000, 0, POLICY_DEAD, 0, ENVELOPE_EXPIRED },
	{ "expires after the ladder", &policy, OUTCOME_RETRY, 1950, 0, 0,
	    NOW + 2001, 0, POLICY_LADDER, 1950, NONE },
	{ "past the deadline", &policy, OUTCOME_RETRY, -1, 1, NOW - HOUR, 0, 0,
	    POLICY_DEAD, 0, ENVELOPE_DEADLINE },
	{ "would miss the deadline", &policy, OUTCOME_RETRY, -1, 1,
	    NOW - HOUR + 2000, 0, 0, POLICY_DEAD, 0, ENVELOPE_DEADLINE },
	{ "back before the deadline", &policy, OUTCOME_RETRY, -1, 1,
	    NOW - HOUR + 2001, 0, 0, POLICY_LADDER, 2000, NONE },
	{ "failed in the future", &policy, OUTCOME_RETRY, -1, 1, LATER, 0, 0,
	    POLICY_LADDER, 2000, NONE },
};

static void
judges_what_was_tried(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(judged); i++) {
		struct envelope e = {
			.attempt = judged[i].attempt,
			.first_failed_ms = judged[i].first_failed_ms,
			.deadline_ms = judged[i].deadline_ms,
		};
		struct policy_decision d;
		struct verdict v;

		verdict_init(&v, judged[i].outcome, "http.503");
		v.delay_ms = judged[i].asked_ms;
		d = policy_judge(judged[i].policy, &e, &v, NOW,
		    judged[i].random);
		if (d.act != judged[i].act || d.reason != judged[i].reason ||
		    d.delay_ms != judged[i].delay_ms)
			fail_msg("%s: %s %s, %lld ms", judged[i].what,
			    policy_act_name(d.act),
			    envelope_reason_name(d.reason),
			    (long long)d.delay_ms);
	}
}

/* A deadline shorter than the first delay leaves one attempt. */
static void
short_deadline_kills_at_the_first_failure(void **state)
{
	struct conf_retry short_retry = retry;
	const struct policy p = { .retry = &short_retry,
		.max_body_bytes = 1000,
		.retries = true };
	struct envelope e = { .attempt = 0 };
	struct policy_decision d;
	struct verdict v;

	(void)state;
	short_retry.deadline_ms = 500;
	verdict_init(&v, OUTCOME_RETRY, "http.connect");
	d = policy_judge(&p, &e, &v, NOW, 0.2);
	assert_int_equal(d.act, POLICY_DEAD);
	assert_int_equal(d.reason, ENVELOPE_DEADLINE);
}

/*
 * Rules. Those without a then change the schedule alone; the first that
 * matches wins, here http.429 before http.
 */
static const struct conf_rule rules[] = {
	{ "http.409", CONF_THEN_OK, 4, 1000, 10000 },
	{ "http.422", CONF_THEN_RETRY, 2, 3000, 10000 },
	{ "http.429", CONF_THEN_SAME, 20, 1000, 60000 },
	{ "http.404", CONF_THEN_SAME, 20, 1000, 60000 },
	{ "http.5", CONF_THEN_OK, 4, 1000, 10000 },
	{ "http", CONF_THEN_REJECT, 4, 1000, 10000 },
	{ "http.503", CONF_THEN_OK, 4, 1000, 10000 },
	{ "exec.signal", CONF_THEN_REJECT, 4, 1000, 10000 },
};

static const struct conf_retry ruled = {
	.attempts = 4,
	.first_ms = 1000,
	.factor = 2,
	.cap_ms = 10000,
	.jitter = 0.5,
	.hold_ms = 1500,
	.deadline_ms = HOUR,
	.rules = rules,
	.rule_count = array_len(rules),
};

static const struct policy with_rules = {
	.retry = &ruled,
	.max_body_bytes = 1000,
	.retries = true,
};
static const struct policy rules_no_retries = {
	.retry = &ruled,
	.max_body_bytes = 1000,
};

enum { NO_RULE = -1 };

static const struct {
	const char *what;
	const struct policy *policy;
	const char *class;
	enum outcome said;
	int64_t asked_ms, attempt, first_failed_ms;
	int rule;
	enum outcome outcome;
	enum policy_act act;
	int64_t delay_ms;
	enum envelope_reason reason;
} ruled_cases[] = {
	{ "a reject is ok", &with_rules, "http.409", OUTCOME_REJECT, -1, 0, 0,
	    0, OUTCOME_OK, POLICY_ACK, 0, NONE },
	{ "ok after all attempts and deadlines", &with_rules, "http.409",
	    OUTCOME_REJECT, -1, 99, 1, 0, OUTCOME_OK, POLICY_ACK, 0, NONE },
	{ "ok without retries", &rules_no_retries, "http.409", OUTCOME_REJECT,
	    -1, 0, 0, 0, OUTCOME_OK, POLICY_ACK, 0, NONE },
	{ "a reject is tried again", &with_rules, "http.422", OUTCOME_REJECT,
	    -1, 0, 0, 1, OUTCOME_RETRY, POLICY_LADDER, 3000, NONE },
	{ "when it asks for", &with_rules, "http.422", OUTCOME_REJECT, 300, 0,
	    0, 1, OUTCOME_RETRY, POLICY_HOLD, 300, NONE },
	{ "as often as the rule says", &with_rules, "http.422", OUTCOME_REJECT,
	    -1, 1, NOW - 1, 1, OUTCOME_RETRY, POLICY_DEAD, 0,
	    ENVELOPE_ATTEMPTS_EXHAUSTED },
	{ "but not without retries", &rules_no_retries, "http.422",
	    OUTCOME_REJECT, -1, 0, 0, 1, OUTCOME_RETRY, POLICY_DEAD, 0,
	    ENVELOPE_ATTEMPTS_EXHAUSTED },
	{ "a retry with a schedule", &with_rules, "http.429", OUTCOME_RETRY, -1,
	    10, NOW - 1, 2, OUTCOME_RETRY, POLICY_LADDER, 60000, NONE },
	{ "its last attempt", &with_rules, "http.429", OUTCOME_RETRY, -1, 18,
	    NOW - 1, 2, OUTCOME_RETRY, POLICY_LADDER, 60000, NONE },
	{ "its attempts used up", &with_rules, "http.429", OUTCOME_RETRY, -1,
	    19, NOW - 1, 2, OUTCOME_RETRY, POLICY_DEAD, 0,
	    ENVELOPE_ATTEMPTS_EXHAUSTED },
	{ "asked for up to its cap", &with_rules, "http.429", OUTCOME_RETRY,
	    3600000, 0, 0, 2, OUTCOME_RETRY, POLICY_LADDER, 60000, NONE },
	{ "the deadline holds for it too", &with_rules, "http.429",
	    OUTCOME_RETRY, -1, 10, NOW - HOUR + 60000, 2, OUTCOME_RETRY,
	    POLICY_DEAD, 0, ENVELOPE_DEADLINE },
	{ "a schedule makes no retry", &with_rules, "http.404", OUTCOME_REJECT,
	    -1, 0, 0, 3, OUTCOME_REJECT, POLICY_DEAD, 0, ENVELOPE_REJECTED },
	{ "a retry is rejected, the first match wins", &with_rules, "http.503",
	    OUTCOME_RETRY, -1, 0, 0, 5, OUTCOME_REJECT, POLICY_DEAD, 0,
	    ENVELOPE_REJECTED },
	{ "rejected before expired", &with_rules, "http.503", OUTCOME_RETRY, -1,
	    9, 1, 5, OUTCOME_REJECT, POLICY_DEAD, 0, ENVELOPE_REJECTED },
	{ "an ok stays ok", &with_rules, "http.200", OUTCOME_OK, -1, 0, 0,
	    NO_RULE, OUTCOME_OK, POLICY_ACK, 0, NONE },
	{ "words below a prefix", &with_rules, "exec.signal.9", OUTCOME_RETRY,
	    -1, 0, 0, 7, OUTCOME_REJECT, POLICY_DEAD, 0, ENVELOPE_REJECTED },
	{ "half a word is no prefix", &with_rules, "exec.signals",
	    OUTCOME_RETRY, -1, 0, 0, NO_RULE, OUTCOME_RETRY, POLICY_HOLD, 1000,
	    NONE },
	{ "one attempt more than the pipeline's", &with_rules, "exec.75",
	    OUTCOME_RETRY, -1, 10, NOW - 1, NO_RULE, OUTCOME_RETRY, POLICY_DEAD,
	    0, ENVELOPE_ATTEMPTS_EXHAUSTED },
};

static void
rules_judge_failures(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(ruled_cases); i++) {
		const typeof(ruled_cases[0]) *c = &ruled_cases[i];
		struct envelope e = {
			.attempt = c->attempt,
			.first_failed_ms = c->first_failed_ms,
		};
		struct policy_decision d;
		struct verdict v;

		verdict_init(&v, c->said, "%s", c->class);
		v.delay_ms = c->asked_ms;
		d = policy_judge(c->policy, &e, &v, NOW, 0);
		assert_int_equal(policy_outcome(c->policy, &v), c->outcome);
		if (d.act != c->act || d.reason != c->reason ||
		    d.delay_ms != c->delay_ms || d.outcome != c->outcome ||
		    d.rule != (c->rule == NO_RULE ? NULL : &rules[c->rule]))
			fail_msg("%s: %s %s, %lld ms, %s by %s", c->what,
			    policy_act_name(d.act),
			    envelope_reason_name(d.reason),
			    (long long)d.delay_ms,
			    verdict_outcome_name(d.outcome),
			    d.rule == NULL ? "none" : d.rule->class);
	}
}

/* Before an attempt the class of the last failure says how many there are. */
static const struct {
	const char *class;
	int64_t attempt;
	enum envelope_reason reason;
} admitted_by_rule[] = {
	{ "http.429", 10, NONE },
	{ "http.429", 19, NONE },
	{ "http.429", 20, ENVELOPE_ATTEMPTS_EXHAUSTED },
	{ "http.422", 1, NONE },
	{ "http.422", 2, ENVELOPE_ATTEMPTS_EXHAUSTED },
	/* That the same would now be ok or rejected is for its next failure. */
	{ "http.409", 3, NONE },
	{ "http.503", 3, NONE },
	{ "http.503", 4, ENVELOPE_ATTEMPTS_EXHAUSTED },
	{ "exec.75", 3, NONE },
	{ "exec.75", 4, ENVELOPE_ATTEMPTS_EXHAUSTED },
	{ "", 3, NONE },
	{ "", 4, ENVELOPE_ATTEMPTS_EXHAUSTED },
};

static void
rules_admit_by_the_last_failure(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(admitted_by_rule); i++) {
		struct envelope e = {
			.verdict = RMQ_PROPS_OK,
			.attempt = admitted_by_rule[i].attempt,
			.class = rmq_slice_of(admitted_by_rule[i].class),
			.first_failed_ms = NOW - 1,
		};
		struct policy_decision d =
		    policy_admit(&with_rules, &e, 1, NOW);

		if (d.reason != admitted_by_rule[i].reason)
			fail_msg("%s, %lld attempts: %s %s",
			    admitted_by_rule[i].class, (long long)e.attempt,
			    policy_act_name(d.act),
			    envelope_reason_name(d.reason));
	}
}

/*
 * Crashes. Rules: a schedule of its own for one, more attempts for another,
 * fewer for a third, and outcomes.
 */
static const struct conf_rule crash_rules[] = {
	{ "crash.SIGSEGV", CONF_THEN_SAME, 20, 3000, 10000 },
	{ "crash.SIGBUS", CONF_THEN_RETRY, 20, 1000, 10000 },
	{ "crash.SIGILL", CONF_THEN_SAME, 1, 1000, 10000 },
	{ "crash.SIGFPE", CONF_THEN_OK, 4, 1000, 10000 },
	{ "crash.exit", CONF_THEN_REJECT, 4, 1000, 10000 },
	{ "crash.suspected", CONF_THEN_SAME, 1, 1000, 10000 },
	{ "http.429", CONF_THEN_SAME, 20, 1000, 10000 },
};

static const struct conf_retry crash_retry = {
	.attempts = 4,
	.first_ms = 1000,
	.factor = 2,
	.cap_ms = 10000,
	.jitter = 0.5,
	.hold_ms = 1500,
	.deadline_ms = HOUR,
	.rules = crash_rules,
	.rule_count = array_len(crash_rules),
};

static const struct conf_retry single_retry = {
	.attempts = 1,
	.first_ms = 1000,
	.factor = 2,
	.cap_ms = 10000,
	.deadline_ms = HOUR,
};

static const struct policy crash_policy = { &crash_retry, 1000, true, false };
static const struct policy ordered = { &crash_retry, 1000, true, true };
static const struct policy single = { &single_retry, 1000, true, false };

static const struct {
	const char *what;
	const struct policy *policy;
	const char *last, *class; /* of the attempt before, and of this one */
	int64_t attempt, deadline_ms;
	enum policy_act act;
	int64_t delay_ms;
	enum envelope_reason reason;
} crashes[] = {
	{ "the first", &crash_policy, "", "crash.SIGABRT", 0, 0, POLICY_HOLD,
	    1000, NONE },
	{ "of no kind", &crash_policy, "", "crash", 0, 0, POLICY_HOLD, 1000,
	    NONE },
	{ "the first, later", &crash_policy, "http.503", "crash.SIGABRT", 1, 0,
	    POLICY_LADDER, 2000, NONE },
	{ "the first, with a schedule", &crash_policy, "", "crash.SIGSEGV", 0,
	    0, POLICY_LADDER, 3000, NONE },
	{ "the second", &crash_policy, "crash.SIGABRT", "crash.SIGABRT", 1, 0,
	    POLICY_DEAD, 0, ENVELOPE_CRASH },
	{ "the second, of another kind", &crash_policy, "crash.SIGABRT",
	    "crash.SIGKILL", 1, 0, POLICY_DEAD, 0, ENVELOPE_CRASH },
	{ "the second, with attempts left", &crash_policy, "crash.SIGSEGV",
	    "crash.SIGSEGV", 1, 0, POLICY_DEAD, 0, ENVELOPE_CRASH },
	{ "the second, to be tried again", &crash_policy, "crash.SIGBUS",
	    "crash.SIGBUS", 1, 0, POLICY_DEAD, 0, ENVELOPE_CRASH },
	{ "the second, too late for a third", &crash_policy, "crash.SIGBUS",
	    "crash.SIGBUS", 1, NOW, POLICY_DEAD, 0, ENVELOPE_CRASH },
	{ "the second, ordered", &ordered, "crash.SIGABRT", "crash.SIGABRT", 1,
	    0, POLICY_DEAD, 0, ENVELOPE_CRASH },
	{ "the first, ordered", &ordered, "", "crash.SIGSEGV", 0, 0,
	    POLICY_HOLD, 3000, NONE },
	{ "of a suspect", &crash_policy, "crash.suspected", "crash.SIGABRT", 0,
	    0, POLICY_DEAD, 0, ENVELOPE_CRASH },
	{ "another failure after it", &crash_policy, "crash.SIGABRT",
	    "http.503", 1, 0, POLICY_LADDER, 2000, NONE },
	{ "and one after that", &crash_policy, "http.503", "crash.SIGABRT", 2,
	    0, POLICY_LADDER, 4000, NONE },
	{ "one that uses up", &crash_policy, "http.503", "crash.SIGABRT", 3, 0,
	    POLICY_DEAD, 0, ENVELOPE_CRASH },
	{ "one that uses up, expired", &crash_policy, "http.503",
	    "crash.SIGABRT", 3, NOW, POLICY_DEAD, 0, ENVELOPE_EXPIRED },
	{ "another that uses up", &crash_policy, "crash.SIGABRT", "http.503", 3,
	    0, POLICY_DEAD, 0, ENVELOPE_ATTEMPTS_EXHAUSTED },
	{ "a single attempt", &single, "", "crash.exit", 0, 0, POLICY_DEAD, 0,
	    ENVELOPE_CRASH },
	{ "a single attempt by rule", &crash_policy, "", "crash.SIGILL", 0, 0,
	    POLICY_DEAD, 0, ENVELOPE_CRASH },
	{ "without retries", &no_retries, "", "crash.exit", 0, 0, POLICY_DEAD,
	    0, ENVELOPE_CRASH },
	{ "called ok", &crash_policy, "crash.SIGFPE", "crash.SIGFPE", 9, 0,
	    POLICY_ACK, 0, NONE },
	{ "called a reject", &crash_policy, "", "crash.exit", 0, 0, POLICY_DEAD,
	    0, ENVELOPE_REJECTED },
	{ "half the word", &crash_policy, "crashed", "crashed", 1, 0,
	    POLICY_LADDER, 2000, NONE },
};

static void
a_second_crash_is_the_last(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(crashes); i++) {
		const typeof(crashes[0]) *c = &crashes[i];
		struct envelope e = {
			.attempt = c->attempt,
			.class = rmq_slice_of(c->last),
			.deadline_ms = c->deadline_ms,
		};
		struct policy_decision d;
		struct verdict v;

		verdict_init(&v, OUTCOME_RETRY, "%s", c->class);
		v.counts = false;
		d = policy_judge(c->policy, &e, &v, NOW, 0);
		assert_false(v.counts);
		if (d.act != c->act || d.reason != c->reason ||
		    d.delay_ms != c->delay_ms)
			fail_msg("%s: %s %s, %lld ms", c->what,
			    policy_act_name(d.act),
			    envelope_reason_name(d.reason),
			    (long long)d.delay_ms);
	}
}

static const struct {
	const char *class;
	int64_t attempt;
	bool crashed;
	enum envelope_reason reason;
} admitted_after_crash[] = {
	{ "crash.SIGABRT", 1, true, NONE },
	{ "crash.SIGABRT", 4, true, ENVELOPE_CRASH },
	{ "crash.SIGSEGV", 19, true, NONE },
	{ "crash", 3, true, NONE },
	/* What it failed with before is not known any more. */
	{ "crash.suspected", 99, true, NONE },
	{ "crash.suspected.1", 99, true, NONE },
	{ "crashed.SIGABRT", 4, false, ENVELOPE_ATTEMPTS_EXHAUSTED },
	{ "http.503", 3, false, NONE },
	{ "", 0, false, NONE },
};

static void
a_crash_is_known_before_the_next_attempt(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(admitted_after_crash); i++) {
		const typeof(admitted_after_crash[0]) *c =
		    &admitted_after_crash[i];
		struct envelope e = {
			.verdict = RMQ_PROPS_OK,
			.attempt = c->attempt,
			.class = rmq_slice_of(c->class),
		};
		struct policy_decision d =
		    policy_admit(&crash_policy, &e, 1, NOW);

		if (d.reason != c->reason || policy_crashed(&e) != c->crashed)
			fail_msg("%s, %lld attempts: %s", c->class,
			    (long long)c->attempt,
			    envelope_reason_name(d.reason));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(admits_what_may_be_tried),
		cmocka_unit_test(judges_what_was_tried),
		cmocka_unit_test(short_deadline_kills_at_the_first_failure),
		cmocka_unit_test(rules_judge_failures),
		cmocka_unit_test(rules_admit_by_the_last_failure),
		cmocka_unit_test(a_second_crash_is_the_last),
		cmocka_unit_test(a_crash_is_known_before_the_next_attempt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
