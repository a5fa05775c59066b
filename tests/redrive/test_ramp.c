/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/unit.h"

#include <stdlib.h>

#include "lib/compiler.h"
#include "redrive/ramp.h"

#define FIRST_STEP 2
#define STEP_MS	   5000

static const struct ramp_params usual = { 10, 200, STEP_MS, 0.1, false };

/* One step in which something was sent and went well. */
static void
good_step(struct ramp *ramp)
{
	uint32_t step = ramp->step;

	ramp_sent(ramp);
	ramp_heard(ramp, step, RAMP_GOOD, ramp->due_ms - 1);
	ramp_tick(ramp, ramp_due_ms(ramp));
}

static void
doubles_up_to_the_limit(void **state)
{
	static const uint32_t rates[] = { 10, 20, 40, 80, 160, 200, 200 };
	struct ramp ramp;

	(void)state;
	ramp_init(&ramp, &usual, FIRST_STEP);
	assert_true(ramp_due_ms(&ramp) == INT64_MAX);
	assert_int_equal(ramp_rate(&ramp), 10);
	ramp_begin(&ramp, 100);
	for (size_t i = 0; i < array_len(rates); i++) {
		assert_int_equal(ramp_rate(&ramp), rates[i]);
		assert_int_equal(ramp_due_ms(&ramp),
		    100 + (int64_t)(i + 1) * STEP_MS);
		ramp_tick(&ramp, ramp_due_ms(&ramp) - 1);
		assert_int_equal(ramp_rate(&ramp), rates[i]);
		good_step(&ramp);
	}
}

static void
a_start_above_the_limit_is_the_limit(void **state)
{
	const struct ramp_params params = { 1000, 50, STEP_MS, 0.1, false };
	struct ramp ramp;

	(void)state;
	ramp_init(&ramp, &params, FIRST_STEP);
	assert_int_equal(ramp_rate(&ramp), 50);
}

static void
a_step_without_a_verdict_proves_nothing(void **state)
{
	struct ramp_params blind = usual;
	struct ramp ramp;

	(void)state;
	ramp_init(&ramp, &usual, FIRST_STEP);
	ramp_begin(&ramp, 0);
	ramp_sent(&ramp);
	ramp_tick(&ramp, STEP_MS);
	assert_int_equal(ramp_rate(&ramp), 10);
	assert_int_equal(ramp_due_ms(&ramp), 2 * STEP_MS);
	/* Nobody is asked for any. */
	blind.blind = true;
	ramp_init(&ramp, &blind, FIRST_STEP);
	ramp_begin(&ramp, 0);
	ramp_tick(&ramp, STEP_MS);
	assert_int_equal(ramp_rate(&ramp), 10); /* nothing was sent */
	ramp_sent(&ramp);
	ramp_tick(&ramp, 2 * STEP_MS);
	assert_int_equal(ramp_rate(&ramp), 20);
}

static void
halves_once_for_what_was_sent_at_one_rate(void **state)
{
	struct ramp ramp;
	uint32_t step;

	(void)state;
	ramp_init(&ramp, &usual, FIRST_STEP);
	ramp_begin(&ramp, 0);
	for (int i = 0; i < 4; i++)
		good_step(&ramp);
	assert_int_equal(ramp_rate(&ramp), 160);
	step = ramp.step;
	for (int i = 0; i < RAMP_BAD_LEAST - 1; i++)
		ramp_heard(&ramp, step, RAMP_BAD, 21000);
	assert_int_equal(ramp_rate(&ramp), 160);
	ramp_heard(&ramp, step, RAMP_BAD, 21000);
	assert_int_equal(ramp_rate(&ramp), 80);
	for (int i = 0; i < 100; i++)
		ramp_heard(&ramp, step, RAMP_BAD, 21100);
	assert_int_equal(ramp_rate(&ramp), 80);
	/* A share of it is noise. */
	step = ramp.step;
	for (int i = 0; i < 100; i++)
		ramp_heard(&ramp, step, i % 12 == 11 ? RAMP_BAD : RAMP_GOOD,
		    21200);
	assert_int_equal(ramp_rate(&ramp), 80);
	/* It does not go back where it broke. */
	good_step(&ramp);
	assert_int_equal(ramp_rate(&ramp), 120);
	good_step(&ramp);
	assert_int_equal(ramp_rate(&ramp), 120);
}

static void
what_is_refused_for_itself_does_not_slow_it(void **state)
{
	struct ramp ramp;

	(void)state;
	ramp_init(&ramp, &usual, FIRST_STEP);
	ramp_begin(&ramp, 0);
	ramp_sent(&ramp);
	for (int i = 0; i < 50; i++)
		ramp_heard(&ramp, ramp.step, RAMP_NEITHER, 10);
	assert_int_equal(ramp_rate(&ramp), 10);
	ramp_tick(&ramp, STEP_MS);
	assert_int_equal(ramp_rate(&ramp), 20);
}

static void
after_a_stop_it_begins_at_the_start(void **state)
{
	struct ramp ramp;

	(void)state;
	ramp_init(&ramp, &usual, FIRST_STEP);
	ramp_begin(&ramp, 0);
	for (int i = 0; i < 4; i++)
		good_step(&ramp);
	ramp_broke(&ramp, 21000);
	ramp_stop(&ramp);
	assert_true(ramp_due_ms(&ramp) == INT64_MAX);
	ramp_begin(&ramp, 50000);
	assert_int_equal(ramp_rate(&ramp), 10);
	for (int i = 0; i < 8; i++)
		good_step(&ramp);
	assert_int_equal(ramp_rate(&ramp), 120);
	for (int i = 0; i < 200; i++)
		good_step(&ramp);
	assert_int_equal(ramp_rate(&ramp), 200);
}

static void
never_below_one(void **state)
{
	struct ramp ramp;

	(void)state;
	ramp_init(&ramp, &usual, FIRST_STEP);
	ramp_begin(&ramp, 0);
	for (int i = 0; i < 20; i++)
		ramp_broke(&ramp, i);
	assert_int_equal(ramp_rate(&ramp), 1);
	for (int i = 0; i < 1000; i++)
		good_step(&ramp);
	assert_int_equal(ramp_rate(&ramp), 200);
}

#define TICK_MS	  10
#define DELAY_MAX 60 /* ticks */

/* A downstream that fails all above its capacity, and tells so later. */
struct shop {
	double capacity; /* a second */
	int delay;	 /* ticks until a verdict */
	struct {
		uint32_t step;
		unsigned good, bad;
	} due[DELAY_MAX + 1];
	double sent; /* fractions carry over */
};

static void
serve(struct shop *shop, struct ramp *ramp, int tick)
{
	int now = tick % (DELAY_MAX + 1);
	int then = (tick + shop->delay) % (DELAY_MAX + 1);
	int64_t now_ms = (int64_t)tick * TICK_MS;
	unsigned count;

	for (unsigned i = 0; i < shop->due[now].good; i++)
		ramp_heard(ramp, shop->due[now].step, RAMP_GOOD, now_ms);
	for (unsigned i = 0; i < shop->due[now].bad; i++)
		ramp_heard(ramp, shop->due[now].step, RAMP_BAD, now_ms);
	shop->due[now].good = shop->due[now].bad = 0;
	shop->sent += (double)ramp_rate(ramp) * TICK_MS / 1000;
	count = (unsigned)shop->sent;
	shop->sent -= count;
	for (unsigned i = 0; i < count; i++)
		ramp_sent(ramp);
	shop->due[then].step = ramp->step;
	if (ramp_rate(ramp) > shop->capacity)
		shop->due[then].bad = count;
	else
		shop->due[then].good = count;
}

/* Whatever breaks it, it is never pushed there for as long as a step. */
static void
no_downstream_is_broken_for_longer_than_a_step(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 300; seed++) {
		struct shop shop = { 0 };
		struct ramp ramp;
		int above = 0, longest = 0, ticks = 10 * 60 * 1000 / TICK_MS;
		double moved = 0;

		srand(seed);
		shop.capacity = 12 + rand() % 180;
		shop.delay = 1 + rand() % (DELAY_MAX - 1);
		ramp_init(&ramp, &usual, FIRST_STEP);
		ramp_begin(&ramp, 0);
		for (int tick = 0; tick < ticks; tick++) {
			serve(&shop, &ramp, tick);
			ramp_tick(&ramp, (int64_t)tick * TICK_MS);
			above =
			    ramp_rate(&ramp) > shop.capacity ? above + 1 : 0;
			if (above > longest)
				longest = above;
			moved += (double)ramp_rate(&ramp) * TICK_MS / 1000;
		}
		assert_true(longest * TICK_MS < STEP_MS);
		/* And it makes use of what there is. */
		assert_true(moved / 600 > shop.capacity / 3);
	}
}

static void
says_how_long_it_takes(void **state)
{
	struct ramp_params flat = { 500, 200, STEP_MS, 0.1, false };

	(void)state;
	assert_int_equal(ramp_duration_ms(&usual, 0), 0);
	assert_int_equal(ramp_duration_ms(&usual, 50), 5000);
	assert_int_equal(ramp_duration_ms(&usual, 150), 10000);
	/* 10 + 20 + 40 + 80 + 160 for a step each, then 200. */
	assert_int_equal(ramp_duration_ms(&usual, 1550 + 2000), 35000);
	assert_int_equal(ramp_duration_ms(&flat, 1000), 5000);
	assert_true(ramp_duration_ms(&usual, INT64_MAX) > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(doubles_up_to_the_limit),
		cmocka_unit_test(a_start_above_the_limit_is_the_limit),
		cmocka_unit_test(a_step_without_a_verdict_proves_nothing),
		cmocka_unit_test(halves_once_for_what_was_sent_at_one_rate),
		cmocka_unit_test(what_is_refused_for_itself_does_not_slow_it),
		cmocka_unit_test(after_a_stop_it_begins_at_the_start),
		cmocka_unit_test(never_below_one),
		cmocka_unit_test(
		    no_downstream_is_broken_for_longer_than_a_step),
		cmocka_unit_test(says_how_long_it_takes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
