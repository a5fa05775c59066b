/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/unit.h"

#include "redrive/rate.h"

#define SECOND_US INT64_C(1000000)

/* Takes whatever may go, in steps of `step_us`, for that long. */
static int64_t
run(struct rate *rate, int64_t from_us, int64_t for_us, int64_t step_us)
{
	int64_t taken = 0;

	for (int64_t now = from_us; now < from_us + for_us; now += step_us) {
		while (rate_take(rate, now))
			taken++;
	}
	return taken;
}

static void
keeps_the_rate_over_ten_seconds(void **state)
{
	static const struct {
		uint32_t per_s;
		int64_t step_us;
	} cases[] = {
		{ 1, 1000 },
		{ 7, 333 },
		{ 50, 1000 },
		{ 200, 100 },
		{ 200, 4999 },
		{ 200, 90000 }, /* late timers are caught up */
		{ 5000, 10000 },
		{ 100000, 50000 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rate rate;
		double want = cases[i].per_s * 10.0, got;

		rate_init(&rate, cases[i].per_s, 5);
		(void)run(&rate, 5, SECOND_US, cases[i].step_us);
		got = (double)run(&rate, 5 + SECOND_US, 10 * SECOND_US,
		    cases[i].step_us);
		assert_true(got >= want * 0.95 - 1);
		assert_true(got <= want * 1.05 + 1);
	}
}

static void
bursts_are_a_tenth_of_a_second(void **state)
{
	struct rate rate;

	(void)state;
	rate_init(&rate, 200, 0);
	/* At the start: one, not a bucket full. */
	assert_int_equal(run(&rate, 0, 1, 1), 1);
	/* After an hour of silence: a tenth of a second's worth. */
	assert_int_equal(run(&rate, 3600 * SECOND_US, 1, 1), 20);
	/* A slow rate still lets one go. */
	rate_init(&rate, 2, 0);
	assert_int_equal(run(&rate, 3600 * SECOND_US, 1, 1), 1);
	/* The fastest overflows nowhere. */
	rate_init(&rate, INT32_MAX, 0);
	assert_true(rate_take(&rate, INT64_MAX / 4));
	assert_int_equal(rate_wait_us(&rate, INT64_MAX / 4), 0);
}

static void
says_how_long_to_wait(void **state)
{
	static const uint32_t rates[] = { 1, 3, 200, 999, 1000000 };

	(void)state;
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct rate rate;
		int64_t now = 1000;

		rate_init(&rate, rates[i], now);
		assert_int_equal(rate_wait_us(&rate, now), 0);
		for (int n = 0; n < 1000; n++) {
			int64_t wait = rate_wait_us(&rate, now);

			if (wait > 0)
				assert_false(rate_take(&rate, now + wait - 1));
			now += wait;
			assert_true(rate_take(&rate, now));
		}
	}
}

static void
time_that_stands_or_runs_back_gives_nothing(void **state)
{
	struct rate rate;

	(void)state;
	rate_init(&rate, 100, SECOND_US);
	assert_true(rate_take(&rate, SECOND_US));
	assert_false(rate_take(&rate, SECOND_US));
	assert_false(rate_take(&rate, 0));
	assert_int_equal(rate_wait_us(&rate, 0), 10000);
}

/* What has gathered at one rate is not lost, and is no burst at another. */
static void
another_rate_from_now_on(void **state)
{
	struct rate rate;

	(void)state;
	rate_init(&rate, 1000, 0);
	(void)run(&rate, 0, SECOND_US, 1000);
	rate_set(&rate, 10, 2 * SECOND_US);
	assert_int_equal(run(&rate, 2 * SECOND_US, 1, 1), 1);
	assert_int_equal(rate_wait_us(&rate, 2 * SECOND_US), SECOND_US / 10);
	assert_in_range(run(&rate, 2 * SECOND_US, 10 * SECOND_US, 1000), 99,
	    100);
	rate_set(&rate, 200, 12 * SECOND_US);
	assert_in_range(run(&rate, 12 * SECOND_US, 10 * SECOND_US, 1000), 1980,
	    2020);
	rate_set(&rate, RATE_UNLIMITED, 22 * SECOND_US);
	assert_true(run(&rate, 22 * SECOND_US, 1000, 1) > 100000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_the_rate_over_ten_seconds),
		cmocka_unit_test(bursts_are_a_tenth_of_a_second),
		cmocka_unit_test(says_how_long_to_wait),
		cmocka_unit_test(time_that_stands_or_runs_back_gives_nothing),
		cmocka_unit_test(another_rate_from_now_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
