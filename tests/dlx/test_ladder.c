/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/unit.h"

#include "dlx/ladder.h"
#include "lib/compiler.h"

/* The reference: the smallest number of four bits (shifted) not below. */
static uint32_t
four_bits_not_below(uint64_t units)
{
	unsigned shift = 0;

	while ((units + (1u << shift) - 1) >> shift > 15)
		shift++;
	return (uint32_t)((units + (1u << shift) - 1) >> shift << shift);
}

/* What a key says, in units, as the exchanges read it. */
static uint32_t
sum_of_key(const char *key, unsigned *words)
{
	uint32_t sum = 0;

	for (*words = 0;; (*words)++) {
		assert_true(*key == '0' || *key == '1');
		sum |= (uint32_t)(*key - '0') << *words;
		if (*++key == '\0')
			break;
		assert_int_equal(*key++, '.');
	}
	(*words)++;
	return sum;
}

static void
routes_every_delay(void **state)
{
	struct ladder_route route;
	uint32_t units, wanted;
	unsigned words;

	(void)state;
	for (wanted = 1; wanted <= 1u << 20; wanted++) {
		units = ladder_units(ladder_delay_ms(wanted));
		assert_true(units >= wanted);
		assert_true((units - wanted) * 8 <= wanted);
		assert_true(__builtin_popcount(units) <= LADDER_BITS_KEPT);
		assert_int_equal(units, four_bits_not_below(wanted));
		/* A rounded delay is exact: a second time changes nothing. */
		assert_int_equal(ladder_units(ladder_delay_ms(units)), units);

		ladder_route(&route, units);
		assert_int_equal(sum_of_key(route.key, &words), units);
		assert_int_equal(route.level, words - 1);
		assert_int_equal(units >> route.level, 1);
		assert_true(
		    route.level < ladder_levels(ladder_delay_ms(wanted)));
	}
}

static void
is_never_early_between_units(void **state)
{
	int64_t delay_ms, real_ms;

	(void)state;
	for (delay_ms = 1; delay_ms <= 200000; delay_ms++) {
		real_ms = ladder_delay_ms(ladder_units(delay_ms));
		assert_true(real_ms >= delay_ms);
		assert_true(
		    real_ms <= delay_ms + delay_ms / 8 + LADDER_UNIT_MS);
	}
}

static const struct {
	int64_t delay_ms;
	uint32_t units;
	unsigned level;
	const char *key;
} routes[] = {
	{ INT64_MIN, 1, 0, "1" },
	{ -1, 1, 0, "1" },
	{ 0, 1, 0, "1" },
	{ 1, 1, 0, "1" },
	{ 100, 1, 0, "1" },
	{ 101, 2, 1, "0.1" },
	{ 600, 6, 2, "0.1.1" },
	{ 1000, 10, 3, "0.1.0.1" },
	{ 1500, 15, 3, "1.1.1.1" },
	{ 1501, 16, 4, "0.0.0.0.1" },
	{ 1700, 18, 4, "0.1.0.0.1" },
	{ 300000, 3072, 11, "0.0.0.0.0.0.0.0.0.0.1.1" },
	/* The carry makes a new highest bit. */
	{ 400000, 4096, 12, "0.0.0.0.0.0.0.0.0.0.0.0.1" },
	{ 6291456000, LADDER_UNITS_MAX, 25,
	    "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.1.1.1" },
	{ 6291456001, LADDER_UNITS_MAX, 25,
	    "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.1.1.1" },
	{ INT64_MAX, LADDER_UNITS_MAX, 25,
	    "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.1.1.1" },
};

static void
takes_any_delay(void **state)
{
	struct ladder_route route;
	size_t i;

	(void)state;
	for (i = 0; i < array_len(routes); i++) {
		assert_int_equal(ladder_units(routes[i].delay_ms),
		    routes[i].units);
		ladder_route(&route, routes[i].units);
		assert_int_equal(route.level, routes[i].level);
		assert_string_equal(route.key, routes[i].key);
	}
}

static void
has_levels_for_the_rounded_cap(void **state)
{
	static const struct {
		int64_t cap_ms;
		unsigned levels;
	} caps[] = {
		{ 0, 1 },
		{ 100, 1 },
		{ 200, 2 },
		{ 1500, 4 },
		{ 1600, 5 },
		{ 300000, 12 },
		{ 400000, 13 },	 /* 4000 units round up to 4096 */
		{ 3600000, 16 }, /* an hour */
		{ 86400000, 20 },
		{ INT64_MAX, LADDER_LEVELS_MAX },
	};
	size_t i;

	(void)state;
	for (i = 0; i < array_len(caps); i++)
		assert_int_equal(ladder_levels(caps[i].cap_ms), caps[i].levels);
}

static void
has_ttls_that_a_queue_can_hold(void **state)
{
	unsigned level;

	(void)state;
	assert_int_equal(ladder_level_ttl_ms(0), 100);
	for (level = 1; level < LADDER_LEVELS_MAX; level++)
		assert_int_equal(ladder_level_ttl_ms(level),
		    2 * ladder_level_ttl_ms(level - 1));
	assert_true(ladder_level_ttl_ms(LADDER_LEVELS_MAX - 1) <= UINT32_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes_every_delay),
		cmocka_unit_test(is_never_early_between_units),
		cmocka_unit_test(takes_any_delay),
		cmocka_unit_test(has_levels_for_the_rounded_cap),
		cmocka_unit_test(has_ttls_that_a_queue_can_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
