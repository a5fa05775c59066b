/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* What is known of a message when it comes again, and for how long. */
#include "tests/unit.h"

#include "consumer/recall.h"
#include "tests/dlx/letter.h"
#include "tests/sim/sim_loop.h"

#define KEPT	3
#define KEEP_MS 10000
#define DUE_US	INT64_C(123456789)

static struct loop *loop;
static struct recall *recall;

static int
setup(void **state)
{
	(void)state;
	loop = sim_loop_new(1);
	recall = recall_new(loop, KEPT, KEEP_MS);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	recall_free(recall);
	loop_free(loop);
	return 0;
}

static void
on_passed(void *arg)
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
	struct loop_timer *timer = loop_timer_new(loop, on_passed, &passed);

	loop_timer_start(loop, timer, ms);
	assert_true(sim_loop_run_until(loop, INT64_MAX, is_true, &passed));
	loop_timer_free(loop, timer);
}

/* `id`: NULL: none, so that each receipt makes another. */
static void
receive(struct letter *letter, struct envelope *e, const char *id)
{
	*letter = (struct letter){ .message_id = id };
	letter_read(letter, &letter_work, e);
}

/* It fails so many times, and is given back. */
static void
give_back(const char *id, int attempts)
{
	struct letter letter;
	struct envelope e;

	receive(&letter, &e, id);
	for (int i = 0; i < attempts; i++)
		envelope_failed(&e,
		    &(struct envelope_failure){ .class = "http.503",
			.error = rmq_slice_of("busy"),
			.at_ms = 1000 + i,
			.handler_ms = 5,
			.delay_ms = 7 });
	recall_keep(recall, &e, rmq_slice_of("body"), DUE_US);
	envelope_clear(&e);
	letter_clear(&letter);
}

/* The attempts that it comes again with. */
static int64_t
come_again(const char *id, const char *body)
{
	struct letter letter;
	struct envelope e;
	int64_t due_us = 0, attempt;
	bool known;

	receive(&letter, &e, id);
	known = recall_take(recall, &e, rmq_slice_of(body), &due_us);
	assert_int_equal(known, e.attempt > 0);
	assert_int_equal(due_us, known ? DUE_US : 0);
	attempt = e.attempt;
	envelope_clear(&e);
	letter_clear(&letter);
	return attempt;
}

static void
knows_a_message_once(void **state)
{
	(void)state;
	assert_int_equal(come_again("m", "body"), 0);
	give_back("m", 2);
	assert_int_equal(come_again("n", "body"), 0);
	assert_int_equal(come_again("m", "bodY"), 0);
	assert_int_equal(come_again("m", "body"), 2);
	assert_int_equal(come_again("m", "body"), 0);
	/* Given back again: the newest counts, and it alone. */
	give_back("m", 3);
	give_back("m", 4);
	assert_int_equal(come_again("m", "body"), 4);
	assert_int_equal(come_again("m", "body"), 0);
}

/* An id that was made on receipt is another each time. */
static void
knows_one_without_an_id(void **state)
{
	(void)state;
	give_back(NULL, 2);
	assert_int_equal(come_again("m", "body"), 0);
	assert_int_equal(come_again(NULL, "body"), 2);
	assert_int_equal(come_again(NULL, "body"), 0);
}

static void
tells_the_whole_story(void **state)
{
	struct letter letter;
	struct envelope e;
	int64_t due_us;

	(void)state;
	give_back("m", 2);
	receive(&letter, &e, "m");
	assert_true(recall_take(recall, &e, rmq_slice_of("body"), &due_us));
	assert_slice(e.class, "http.503");
	assert_slice(e.error, "busy");
	assert_slice(e.history, "1000;http.503;5;7 1001;http.503;5;7");
	assert_int_equal(e.first_failed_ms, 1000);
	assert_int_equal(e.last_failed_ms, 1001);
	/* And it goes on from there. */
	envelope_failed(&e,
	    &(struct envelope_failure){ .class = "http.500", .at_ms = 2000 });
	assert_int_equal(e.attempt, 3);
	assert_slice(e.history,
	    "1000;http.503;5;7 1001;http.503;5;7 2000;http.500;0;0");
	envelope_clear(&e);
	letter_clear(&letter);
}

static void
forgets_the_oldest(void **state)
{
	static const char *const ids[] = { "a", "b", "c", "d", "e" };

	(void)state;
	for (size_t i = 0; i < array_len(ids); i++)
		give_back(ids[i], 1);
	for (size_t i = 0; i < array_len(ids); i++)
		assert_int_equal(come_again(ids[i], "body"),
		    i + KEPT >= array_len(ids));
}

static void
forgets_in_time(void **state)
{
	(void)state;
	give_back("a", 1);
	pass(KEEP_MS);
	assert_int_equal(come_again("a", "body"), 1);
	give_back("a", 1);
	pass(1);
	give_back("b", 1);
	pass(KEEP_MS);
	assert_int_equal(come_again("a", "body"), 0);
	assert_int_equal(come_again("b", "body"), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(knows_a_message_once, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(knows_one_without_an_id, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(tells_the_whole_story, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(forgets_the_oldest, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(forgets_in_time, setup,
		    teardown),
	};

	return cmocka_run_group_tests_name("recall", tests, NULL, NULL);
}
