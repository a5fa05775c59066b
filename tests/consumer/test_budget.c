/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/unit.h"

#include "consumer/budget.h"

static uint64_t partial;
static int changes;

static void
on_changed(void *arg, bool full)
{
	const struct budget *b = arg;

	assert_int_equal(b->full, full);
	changes++;
}

static uint64_t
partial_bytes(void *arg)
{
	(void)arg;
	return partial;
}

static void
make(struct budget *b)
{
	*b = (struct budget){ .max_bytes = 1000,
		.changed = on_changed,
		.partial_bytes = partial_bytes };
	b->arg = b;
	partial = 0;
	changes = 0;
}

static void
stops_above_and_resumes_a_quarter_below(void **state)
{
	struct budget b;

	(void)state;
	make(&b);
	budget_take(&b, 600);
	budget_take(&b, 400);
	assert_false(b.full);
	budget_take(&b, 1);
	assert_true(b.full);
	budget_take(&b, 500);
	budget_give(&b, 500);
	budget_give(&b, 250);
	assert_true(b.full);
	budget_give(&b, 1);
	assert_false(b.full);
	assert_int_equal(b.used_bytes, 750);
	assert_int_equal(changes, 2);
}

static void
one_message_may_be_larger_than_all(void **state)
{
	struct budget b;

	(void)state;
	make(&b);
	budget_take(&b, 5000);
	assert_true(b.full);
	budget_give(&b, 5000);
	assert_false(b.full);
}

/* Reading must go on, or what is there in part is never complete. */
static void
parts_alone_do_not_stop_it(void **state)
{
	struct budget b;

	(void)state;
	make(&b);
	partial = 5000;
	budget_take(&b, 1);
	assert_true(b.full);
	budget_give(&b, 1);
	assert_false(b.full);
}

static void
a_new_connection_is_read(void **state)
{
	struct budget b;

	(void)state;
	make(&b);
	budget_reset(&b);
	assert_int_equal(changes, 0);
	budget_take(&b, 2000);
	budget_reset(&b);
	assert_false(b.full);
	assert_int_equal(changes, 2);
	budget_take(&b, 1);
	assert_true(b.full);
}

static void
another_limit_counts_at_once(void **state)
{
	struct budget b;

	(void)state;
	make(&b);
	budget_take(&b, 700);
	budget_limit(&b, 600);
	assert_true(b.full);
	assert_int_equal(changes, 1);
	budget_limit(&b, 650);
	assert_true(b.full);
	budget_limit(&b, 2000);
	assert_false(b.full);
	assert_int_equal(changes, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stops_above_and_resumes_a_quarter_below),
		cmocka_unit_test(one_message_may_be_larger_than_all),
		cmocka_unit_test(parts_alone_do_not_stop_it),
		cmocka_unit_test(a_new_connection_is_read),
		cmocka_unit_test(another_limit_counts_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
