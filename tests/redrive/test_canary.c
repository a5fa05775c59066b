/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The canary and the watch on failures, and the ledger under them. */
#include "tests/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "redrive/ledger.h"
#include "redrive/canary.h"

#define TIMEOUT_MS 60000
#define IDS	   400

struct bench {
	struct canary canary;
	struct ledger *ledger;
	int64_t now_ms;
	char text[16];
};

static void
bench_open(struct bench *b, uint32_t canary, double abort_above)
{
	const struct canary_params params = { canary, TIMEOUT_MS, abort_above };

	b->ledger = ledger_new(7);
	b->now_ms = 1000;
	canary_init(&b->canary, &params, b->ledger, b->now_ms);
}

static struct rmq_slice
id_of(struct bench *b, unsigned n)
{
	(void)snprintf(b->text, sizeof(b->text), "m-%u", n);
	return rmq_slice_of(b->text);
}

static void
send(struct bench *b, unsigned first, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		canary_sent(&b->canary, id_of(b, first + i), CANARY_STEPS,
		    b->now_ms);
}

static bool
hear(struct bench *b, unsigned n, bool good)
{
	uint32_t step;

	return canary_heard(&b->canary, id_of(b, n), good, &step, b->now_ms);
}

static void
time_out(struct bench *b)
{
	b->now_ms = canary_due_ms(&b->canary);
	assert_true(b->now_ms != INT64_MAX);
	canary_tick(&b->canary, b->now_ms);
}

static void
assert_state(const struct bench *b, enum canary_state state)
{
	assert_string_equal(canary_state_name(b->canary.state),
	    canary_state_name(state));
}

static void
all_bad_are_as_many_as_the_canary(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 5, 0.2);
	assert_int_equal(canary_credit(&b.canary), 5);
	send(&b, 0, 3);
	/* Bad verdicts that come early do not make it smaller. */
	assert_true(hear(&b, 0, false) && hear(&b, 1, false));
	assert_int_equal(canary_credit(&b.canary), 2);
	send(&b, 3, 2);
	assert_state(&b, CANARY_SPOILT);
	assert_int_equal(canary_credit(&b.canary), 0);
	ledger_free(b.ledger);
}

static void
the_share_decides(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 5, 0.2);
	send(&b, 0, 5);
	assert_true(hear(&b, 0, false));
	for (unsigned n = 1; n < 5; n++) {
		assert_state(&b, CANARY_WAITING);
		assert_true(hear(&b, n, true));
	}
	/* One of five is not above a fifth. */
	assert_state(&b, CANARY_OPEN);
	assert_true(canary_credit(&b.canary) == UINT64_MAX);
	ledger_free(b.ledger);
	/* When all are bad, no share is large enough to go on. */
	bench_open(&b, 2, 1);
	send(&b, 0, 2);
	assert_true(hear(&b, 0, false));
	assert_state(&b, CANARY_WAITING);
	assert_true(hear(&b, 1, false));
	assert_state(&b, CANARY_SPOILT);
	ledger_free(b.ledger);
}

static void
only_the_first_verdict_on_what_was_sent_counts(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 2, 0.5);
	assert_false(hear(&b, 0, true)); /* before it was sent */
	send(&b, 0, 2);
	assert_false(hear(&b, 9, false)); /* somebody else's */
	assert_true(hear(&b, 0, false));
	assert_false(hear(&b, 0, false)); /* twice */
	assert_false(hear(&b, 0, true));  /* ok in the end */
	assert_int_equal(ledger_bad(b.ledger), 1);
	assert_true(hear(&b, 1, true));
	assert_state(&b, CANARY_OPEN);
	ledger_free(b.ledger);
}

static void
a_dead_letter_is_bad_whatever_was_heard(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 2, 0.2);
	send(&b, 0, 2);
	assert_true(hear(&b, 0, true));
	assert_true(canary_dead(&b.canary, id_of(&b, 0), b.now_ms));
	assert_false(canary_dead(&b.canary, id_of(&b, 0), b.now_ms));
	assert_state(&b, CANARY_SPOILT);
	assert_int_equal(ledger_bad(b.ledger), 1);
	assert_int_equal(ledger_good(b.ledger), 0);
	ledger_free(b.ledger);
	/* The verdict that it stands for need not be waited for. */
	bench_open(&b, 4, 0.5);
	send(&b, 0, 4);
	for (unsigned n = 1; n < 4; n++)
		assert_true(hear(&b, n, true));
	assert_true(canary_dead(&b.canary, id_of(&b, 0), b.now_ms));
	assert_state(&b, CANARY_OPEN);
	ledger_free(b.ledger);
}

static void
silence_gets_one_new_canary(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 3, 0.2);
	send(&b, 0, 3);
	assert_true(hear(&b, 0, true));
	time_out(&b);
	assert_int_equal(b.now_ms, 1000 + TIMEOUT_MS);
	assert_state(&b, CANARY_LOOKING);
	assert_int_equal(canary_credit(&b.canary), 0);
	canary_looked(&b.canary, b.now_ms);
	assert_int_equal(canary_credit(&b.canary), 3);
	send(&b, 3, 3);
	time_out(&b);
	canary_looked(&b.canary, b.now_ms);
	assert_state(&b, CANARY_SILENT);
	ledger_free(b.ledger);
}

/* Verdicts on the first canary answer nothing that the second one asks. */
static void
the_second_canary_speaks_for_itself(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 2, 0.2);
	send(&b, 0, 2);
	time_out(&b);
	canary_looked(&b.canary, b.now_ms);
	send(&b, 2, 2);
	assert_true(hear(&b, 0, true) && hear(&b, 1, true));
	assert_state(&b, CANARY_WAITING);
	assert_true(hear(&b, 2, true) && hear(&b, 3, true));
	assert_state(&b, CANARY_OPEN);
	ledger_free(b.ledger);
}

static void
what_is_found_while_looking_decides(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 2, 0.2);
	send(&b, 0, 2);
	time_out(&b);
	assert_true(canary_dead(&b.canary, id_of(&b, 1), b.now_ms));
	assert_state(&b, CANARY_SPOILT);
	ledger_free(b.ledger);
	bench_open(&b, 2, 0.2);
	send(&b, 0, 2);
	time_out(&b);
	assert_true(hear(&b, 0, true) && hear(&b, 1, true));
	canary_looked(&b.canary, b.now_ms);
	assert_state(&b, CANARY_OPEN);
	ledger_free(b.ledger);
}

static void
the_clock_stands_still_while_held(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 1, 0.2);
	send(&b, 0, 1);
	b.now_ms += TIMEOUT_MS / 2;
	canary_hold(&b.canary, true, b.now_ms);
	assert_true(canary_due_ms(&b.canary) == INT64_MAX);
	b.now_ms += 10 * TIMEOUT_MS;
	canary_tick(&b.canary, b.now_ms);
	assert_state(&b, CANARY_WAITING);
	canary_hold(&b.canary, false, b.now_ms);
	assert_int_equal(canary_due_ms(&b.canary), b.now_ms + TIMEOUT_MS / 2);
	ledger_free(b.ledger);
}

static void
fewer_than_the_canary_are_enough(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 5, 0.2);
	send(&b, 0, 1);
	canary_exhausted(&b.canary, b.now_ms);
	assert_state(&b, CANARY_WAITING);
	assert_true(hear(&b, 0, true));
	assert_state(&b, CANARY_OPEN);
	ledger_free(b.ledger);
	/* Nothing at all: nothing to wait for. */
	bench_open(&b, 5, 0.2);
	canary_exhausted(&b.canary, b.now_ms);
	assert_state(&b, CANARY_SENDING);
	assert_true(canary_due_ms(&b.canary) == INT64_MAX);
	ledger_free(b.ledger);
}

static void
what_did_not_arrive_is_replaced(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 2, 0.2);
	send(&b, 0, 2);
	assert_int_equal(canary_credit(&b.canary), 0);
	canary_unsent(&b.canary, id_of(&b, 0));
	assert_int_equal(canary_credit(&b.canary), 1);
	assert_false(hear(&b, 0, false));
	send(&b, 2, 1);
	assert_true(hear(&b, 1, true) && hear(&b, 2, true));
	assert_state(&b, CANARY_OPEN);
	ledger_free(b.ledger);
}

static void
later_a_share_of_many_ends_it(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 0, 0.2);
	assert_state(&b, CANARY_OPEN);
	assert_true(canary_due_ms(&b.canary) == INT64_MAX);
	send(&b, 0, IDS);
	assert_true(canary_due_ms(&b.canary) == INT64_MAX);
	/* One of one is no share. */
	for (unsigned n = 0; n + 1 < CANARY_LEAST; n++) {
		assert_true(hear(&b, n, false));
		assert_state(&b, CANARY_OPEN);
	}
	assert_true(hear(&b, CANARY_LEAST - 1, false));
	assert_state(&b, CANARY_SPOILT);
	ledger_free(b.ledger);
}

static void
consumers_that_fall_silent_end_it(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 1, 0.2);
	send(&b, 0, 1);
	assert_true(hear(&b, 0, true));
	/* Nobody owes a word. */
	assert_true(canary_due_ms(&b.canary) == INT64_MAX);
	b.now_ms += 5 * TIMEOUT_MS;
	send(&b, 1, 50);
	assert_int_equal(canary_due_ms(&b.canary), b.now_ms + TIMEOUT_MS);
	b.now_ms += TIMEOUT_MS / 2;
	assert_true(hear(&b, 1, true));
	assert_int_equal(canary_due_ms(&b.canary), b.now_ms + TIMEOUT_MS);
	time_out(&b);
	assert_state(&b, CANARY_LOOKING);
	canary_looked(&b.canary, b.now_ms);
	assert_state(&b, CANARY_SILENT);
	ledger_free(b.ledger);
	/* Unless they speak up while it looks. */
	bench_open(&b, 1, 0.2);
	send(&b, 0, 1);
	assert_true(hear(&b, 0, true));
	send(&b, 1, 2);
	time_out(&b);
	assert_true(hear(&b, 1, true));
	canary_looked(&b.canary, b.now_ms);
	assert_state(&b, CANARY_OPEN);
	ledger_free(b.ledger);
}

/* What a simple model says of one id. */
struct fate {
	unsigned copies;
	enum { NONE, GOOD, BAD } verdict;
};

struct model {
	struct fate fates[IDS];
	unsigned sent, good, bad;
};

static void
random_event(struct bench *b, struct model *m)
{
	unsigned n = (unsigned)rand() % IDS;
	struct fate *fate = &m->fates[n];
	bool good = rand() % 8 != 0;

	switch (rand() % 8) {
	case 0:
	case 1:
		if (canary_credit(&b->canary) == 0)
			return;
		send(b, n, 1);
		fate->copies++;
		m->sent += b->canary.opened ? 0 : 1;
		return;
	case 2:
		canary_exhausted(&b->canary, b->now_ms);
		return;
	case 3:
		if (rand() % 8 != 0)
			return;
		(void)canary_dead(&b->canary, id_of(b, n), b->now_ms);
		m->good -= fate->verdict == GOOD;
		m->bad += fate->verdict != BAD;
		fate->verdict = BAD;
		return;
	case 4:
		if (canary_due_ms(&b->canary) != INT64_MAX && rand() % 4 == 0)
			time_out(b);
		canary_looked(&b->canary, b->now_ms);
		return;
	default:
		assert_int_equal(hear(b, n, good),
		    fate->copies > 0 && fate->verdict == NONE);
		if (fate->copies == 0 || fate->verdict != NONE)
			return;
		fate->verdict = good ? GOOD : BAD;
		m->good += good;
		m->bad += !good;
	}
}

/*
 * Whatever comes in whatever order: the counts are those of a simple model,
 * no more is sent than two canaries before it opens, and it opens only when
 * somebody has spoken.
 */
static void
random_streams(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 2000; seed++) {
		struct model m = { 0 };
		struct bench b;
		uint32_t canary = 1 + seed % 9;

		srand(seed);
		bench_open(&b, canary, (double)(seed % 5) / 4);
		for (int i = 0; i < 300; i++) {
			b.now_ms += rand() % 1000;
			random_event(&b, &m);
			assert_int_equal(ledger_good(b.ledger), m.good);
			assert_int_equal(ledger_bad(b.ledger), m.bad);
			assert_true(m.sent <= CANARY_STEPS * canary);
			if (b.canary.state == CANARY_OPEN)
				assert_true(m.good + m.bad > 0);
		}
		ledger_free(b.ledger);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_bad_are_as_many_as_the_canary),
		cmocka_unit_test(the_share_decides),
		cmocka_unit_test(
		    only_the_first_verdict_on_what_was_sent_counts),
		cmocka_unit_test(a_dead_letter_is_bad_whatever_was_heard),
		cmocka_unit_test(silence_gets_one_new_canary),
		cmocka_unit_test(the_second_canary_speaks_for_itself),
		cmocka_unit_test(what_is_found_while_looking_decides),
		cmocka_unit_test(the_clock_stands_still_while_held),
		cmocka_unit_test(fewer_than_the_canary_are_enough),
		cmocka_unit_test(what_did_not_arrive_is_replaced),
		cmocka_unit_test(later_a_share_of_many_ends_it),
		cmocka_unit_test(consumers_that_fall_silent_end_it),
		cmocka_unit_test(random_streams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
