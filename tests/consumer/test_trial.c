/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/unit.h"

#include <stdio.h>

#include "consumer/trial.h"
#include "tests/sim/sim_loop.h"

static struct loop *loop;
static struct trial trial;
static unsigned changes;
static const int one, other; /* suspects are told apart by their address */

static void
on_change(void *arg)
{
	(void)arg;
	changes++;
}

static int
set_up(void **state)
{
	(void)state;
	loop = sim_loop_new(1);
	trial_init(&trial, loop, on_change, NULL);
	changes = 0;
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	trial_clear(&trial);
	loop_free(loop);
	return 0;
}

static void
on_time(void *arg)
{
	*(bool *)arg = true;
}

static bool
is_true(void *arg)
{
	return *(bool *)arg;
}

static void
pass(int64_t ms)
{
	bool passed = false;
	struct loop_timer *timer = loop_timer_new(loop, on_time, &passed);

	loop_timer_start(loop, timer, ms);
	assert_true(sim_loop_run_until(loop, INT64_MAX, is_true, &passed));
	loop_timer_free(loop, timer);
}

static void
one_has_its_turn_at_a_time(void **state)
{
	(void)state;
	trial_enter(&trial);
	trial_enter(&trial);
	assert_true(trial_take(&trial, &one));
	assert_true(trial_take(&trial, &one));
	assert_false(trial_take(&trial, &other));
	trial_yield(&trial, &other);
	assert_false(trial_take(&trial, &other));
	trial_yield(&trial, &one);
	assert_int_equal(changes, 1);
	assert_true(trial_take(&trial, &other));
}

/* Not subscribed, and no other suspect, nor one of a moment ago. */
static void
it_starts_when_it_is_alone(void **state)
{
	(void)state;
	trial_receive(&trial, 1);
	trial_enter(&trial);
	trial_enter(&trial);
	assert_true(trial_take(&trial, &one));
	assert_false(trial_is_sealed(&trial));
	assert_false(trial_may_start(&trial));
	trial_seal(&trial);
	assert_true(trial_is_sealed(&trial));
	assert_false(trial_may_start(&trial));
	trial_receive(&trial, -1);
	assert_int_equal(changes, 2);
	assert_false(trial_may_start(&trial));
	trial_leave(&trial);
	assert_false(trial_may_start(&trial));
	pass(1100);
	assert_true(trial_may_start(&trial));
	/* It was told to look again. */
	assert_int_equal(changes, 3);
}

static void
the_seal_has_its_limit(void **state)
{
	(void)state;
	trial_enter(&trial);
	assert_true(trial_take(&trial, &one));
	trial_seal(&trial);
	assert_true(trial_may_start(&trial));
	pass(TRIAL_SEAL_MS - 100);
	assert_true(trial_is_sealed(&trial));
	assert_false(trial_is_late(&trial));
	pass(200);
	assert_false(trial_is_sealed(&trial));
	assert_true(trial_is_late(&trial));
	assert_false(trial_may_start(&trial));
	trial_yield(&trial, &one);
	assert_false(trial_is_late(&trial));
}

static void
after_a_turn_there_is_a_rest(void **state)
{
	(void)state;
	trial_enter(&trial);
	assert_true(trial_take(&trial, &one));
	pass(1000);
	trial_yield(&trial, &one);
	assert_false(trial_take(&trial, &other));
	pass(1900);
	assert_false(trial_take(&trial, &other));
	pass(200);
	assert_true(trial_take(&trial, &other));
	/* However long it took. */
	pass(3600000);
	trial_yield(&trial, &other);
	pass(61000);
	assert_true(trial_take(&trial, &one));
}

/* So that many do not come back together. */
static void
many_come_back_later(void **state)
{
	int64_t longest_ms = 0, ms;

	(void)state;
	for (int i = 0; i < 4; i++) {
		ms = trial_put_off_ms(&trial);
		assert_in_range(ms, 2000, 10000);
	}
	for (int i = 0; i < 100; i++) {
		ms = trial_put_off_ms(&trial);
		if (ms > longest_ms)
			longest_ms = ms;
	}
	assert_in_range(longest_ms, 60000, 122000);
}

static struct envelope
taken_back(const char *id, int64_t times)
{
	return (struct envelope){
		.id = rmq_slice_of(id),
		.delivery_count = times,
	};
}

/* A channel that went while we lived killed nobody. */
static void
losses_are_no_deaths(void **state)
{
	struct envelope a = taken_back("a", 0), b = taken_back("b", 2);

	(void)state;
	trial_lost(&trial, &a);
	a.delivery_count = 1;
	assert_int_equal(trial_deaths(&trial, &a), 0);
	trial_lost(&trial, &a);
	a.delivery_count = 3;
	assert_int_equal(trial_deaths(&trial, &a), 1);
	assert_int_equal(trial_deaths(&trial, &b), 2);
	/* Another copy of it. */
	trial_settled(&trial, &a);
	a.delivery_count = 1;
	assert_int_equal(trial_deaths(&trial, &a), 1);
	a.delivery_count = 0;
	assert_int_equal(trial_deaths(&trial, &a), 0);
}

static void
the_oldest_losses_are_forgotten(void **state)
{
	char id[16];

	(void)state;
	for (int i = 0; i <= TRIAL_LOSSES; i++) {
		(void)snprintf(id, sizeof(id), "m%d", i);
		trial_lost(&trial,
		    &(struct envelope){ .id = rmq_slice_of(id) });
	}
	assert_int_equal(trial_deaths(&trial,
			     &(struct envelope){ .id = rmq_slice_of("m0"),
				 .delivery_count = 1 }),
	    1);
	assert_int_equal(trial_deaths(&trial,
			     &(struct envelope){ .id = rmq_slice_of("m1"),
				 .delivery_count = 1 }),
	    0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_has_its_turn_at_a_time,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(it_starts_when_it_is_alone,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_seal_has_its_limit, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(after_a_turn_there_is_a_rest,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(many_come_back_later, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(losses_are_no_deaths, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(the_oldest_losses_are_forgotten,
		    set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
