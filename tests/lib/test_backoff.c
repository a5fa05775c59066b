/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/unit.h"

#include <limits.h>

#include "lib/backoff.h"
#include "lib/compiler.h"

static const struct {
	struct backoff backoff;
	unsigned n;
	double unit_random;
	int64_t delay_ms;
} cases[] = {
	{ { 1000, 2, 300000, 0 }, 0, 0, 1000 },
	{ { 1000, 2, 300000, 0 }, 1, 0, 1000 },
	{ { 1000, 2, 300000, 0 }, 2, 0, 2000 },
	{ { 1000, 2, 300000, 0 }, 9, 0, 256000 },
	{ { 1000, 2, 300000, 0 }, 10, 0, 300000 },
	{ { 1000, 2, 300000, 0 }, 1U << 31, 0, 300000 },
	{ { 1000, 2, INT64_MAX, 0 }, UINT_MAX, 0, INT64_MAX },
	{ { 1000, 1, 300000, 0 }, 1U << 31, 0, 1000 },
	{ { 100, 1.5, 300000, 0 }, 4, 0, 338 },
	{ { 0, 2, 300000, 0 }, UINT_MAX, 0, 0 },
	{ { 500, 2, 100, 0 }, 1, 0, 100 },
	/* Jitter takes away, never adds. */
	{ { 1000, 2, 300000, 0.5 }, 1, 0, 1000 },
	{ { 1000, 2, 300000, 0.5 }, 1, 0.5, 750 },
	{ { 1000, 2, 300000, 0.5 }, 1, 0.999999, 501 },
	{ { 1000, 2, 300000, 1 }, 1, 0.75, 250 },
	{ { 1000, 2, 300000, 0.5 }, 1U << 31, 0.5, 225000 },
};

static void
grows_to_its_cap(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < array_len(cases); i++)
		assert_int_equal(backoff_delay_ms(&cases[i].backoff, cases[i].n,
				     cases[i].unit_random),
		    cases[i].delay_ms);
}

static void
stays_within_its_jitter(void **state)
{
	const struct backoff backoff = { 7, 1.7, 9001, 0.3 };
	int64_t whole, delay;
	unsigned n, draw;

	(void)state;
	for (n = 1; n < 40; n++) {
		whole = backoff_delay_ms(&backoff, n, 0);
		for (draw = 0; draw < 100; draw++) {
			delay = backoff_delay_ms(&backoff, n, draw / 100.0);
			assert_in_range(delay, whole * 7 / 10, whole);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_to_its_cap),
		cmocka_unit_test(stays_within_its_jitter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
