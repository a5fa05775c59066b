/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The canary, the ramp and the gates of a job, against the model broker. */
#include "tests/redrive/world.h"

#include "tests/sim/sim_net.h"

#define LONG_DEAD_MS (SIM_EPOCH_MS - 3600 * 1000)

static const struct world_letter used_up = {
	.reason = "attempts_exhausted",
	.dead_ms = LONG_DEAD_MS,
};
static const struct once_options once = { .when_healthy = false };

static enum world_word
all_well(struct world *world, uint32_t lineage)
{
	(void)world;
	(void)lineage;
	return WORLD_OK;
}

static enum world_word
none_well(struct world *world, uint32_t lineage)
{
	(void)world;
	(void)lineage;
	return WORLD_RETRY;
}

/* A daemon on so many letters, its downstream healthy. */
static struct world *
daemon_on(uint64_t seed, const char *redrive, uint32_t letters)
{
	struct world *world = world_new(seed, redrive);

	world_start(world, NULL);
	world_until(world, world_is_ready);
	world_bury(world, 1, letters, &used_up);
	world->healthy = true;
	return world;
}

/* --once on so many letters, to its end. */
static void
run_once(struct world *world, uint32_t letters)
{
	world_start(world, &once);
	world_until(world, world_has_ended);
	world_kill(world);
	world_bury(world, 1, letters, &used_up);
	world_start(world, &once);
	world_until(world, world_has_ended);
}

static void
a_bad_canary_is_all_that_is_tried(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct world *world = world_new(seed, "{rate: 1000}");

		world->verdict = none_well;
		run_once(world, 100);
		assert_non_null(strstr(world->result,
		    "orders: aborted: too many failed again: 5 redriven, "));
		assert_int_equal(world->exit_code, 2);
		assert_int_equal(world->redriven, 5);
		assert_int_equal(world_depth(world, "orders.dlq"), 95);
		world_free(world);
	}
}

static void
a_good_canary_lets_all_go(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct world *world = world_new(seed, "{rate: 1000}");

		world->verdict = all_well;
		run_once(world, 300);
		assert_string_equal(world->result,
		    "orders: complete: 300 redriven\n");
		assert_int_equal(world->exit_code, 0);
		world_free(world);
	}
}

static bool
five_are_redriven(const struct world *world)
{
	return world->redriven == 5;
}

static void
the_canary_goes_alone(void **state)
{
	struct world *world = daemon_on(3, "{rate: 1000}", 100);

	(void)state;
	world_until(world, five_are_redriven);
	world_run(world, 590 * 1000);
	assert_int_equal(world->redriven, 5);
	/* The window is not held so long: others may look. */
	assert_int_equal(world_depth(world, "orders.dlq"), 95);
	world_free(world);
}

static void
no_verdict_gets_one_new_canary(void **state)
{
	struct world *world = world_new(4, "{verdict_timeout: 1m}");

	(void)state;
	run_once(world, 100);
	assert_string_equal(world->result,
	    "orders: partial: no verdicts: 10 redriven\n");
	assert_int_equal(world->exit_code, 2);
	assert_int_equal(world_depth(world, "orders.dlq"), 90);
	world_free(world);
}

/* Anybody may publish events; the broker checks only who they are. */
static void
strangers_are_not_believed(void **state)
{
	static const char *const users[] = { NULL, "stranger" };

	(void)state;
	for (size_t i = 0; i < array_len(users); i++) {
		struct world *world = world_new(5, "{verdict_timeout: 1m}");

		world->verdict = all_well;
		world->verdict_user = users[i];
		run_once(world, 100);
		assert_string_equal(world->result,
		    "orders: partial: no verdicts: 10 redriven\n");
		world_free(world);
	}
}

static void
fewer_letters_than_the_canary(void **state)
{
	struct world *world = world_new(6, "{rate: 1000}");

	(void)state;
	world->verdict = all_well;
	run_once(world, 3);
	assert_string_equal(world->result, "orders: complete: 3 redriven\n");
	world_free(world);
	world = world_new(7, "{rate: 1000}");
	world->verdict = none_well;
	run_once(world, 3);
	assert_string_equal(world->result,
	    "orders: aborted: too many failed again: 3 redriven, "
	    "3 failed again\n");
	world_free(world);
}

/* Events may be lost; a letter in the queue is there all the same. */
static void
a_dead_letter_of_the_job_is_a_verdict(void **state)
{
	struct world *world =
	    daemon_on(8, "{canary: 1, verdict_timeout: 1m}", 50);
	struct world_letter again = used_up;

	(void)state;
	world_run(world, 10000);
	assert_int_equal(world->redriven, 1);
	again.job = world->job;
	world_bury(world, 101, 1, &again);
	world_run(world, 120 * 1000);
	/* It looked, and did not send another. */
	assert_int_equal(world->redriven, 1);
	assert_int_equal(world_depth(world, "orders.dlq"), 50);
	world_free(world);
}

static void
check_ramp(const struct world *world)
{
	static const unsigned rates[] = { 10, 20, 40, 80, 160, 200 };
	const int64_t step_us = 5 * INT64_C(1000000);
	/* After the canary. */
	int64_t start_us = world->redriven_us[5];
	size_t counts[array_len(rates)] = { 0 };

	for (size_t i = 5; i < world->redriven; i++) {
		size_t step =
		    (size_t)((world->redriven_us[i] - start_us) / step_us);

		if (step < array_len(rates))
			counts[step]++;
	}
	for (size_t i = 0; i < array_len(rates); i++)
		assert_in_range(counts[i], rates[i] * 5 * 9 / 10,
		    rates[i] * 5 * 11 / 10 + 2);
}

static void
doubles_from_the_start_to_the_rate(void **state)
{
	struct world *world = world_new(9, "{rate: 200}");

	(void)state;
	world->verdict = all_well;
	run_once(world, 4000);
	assert_string_equal(world->result, "orders: complete: 4000 redriven\n");
	check_ramp(world);
	world_free(world);
}

/* More than so many within the last second are refused. */
static enum world_word
small_shop(struct world *world, uint32_t lineage)
{
	const int64_t now_us = loop_now_us(world->loop);
	size_t recent = 0;

	(void)lineage;
	for (size_t i = world->redriven; i-- > 0 && i < WORLD_ACKS_MAX;) {
		if (now_us - world->redriven_us[i] > 1000000)
			break;
		recent++;
	}
	if (recent <= 100)
		return WORLD_OK;
	world->refused++;
	return WORLD_RETRY;
}

static void
does_not_break_a_small_shop(void **state)
{
	struct world *world = world_new(10, "{rate: 1000}");

	(void)state;
	world->verdict = small_shop;
	run_once(world, 4000);
	assert_int_equal(world->redriven, 4000);
	assert_int_equal(world_depth(world, "orders.dlq"), 0);
	/* What three bad ones a push cost. */
	assert_in_range(world->refused, 1, 30);
	world_free(world);
}

static enum world_word
well_for_a_while(struct world *world, uint32_t lineage)
{
	(void)lineage;
	return world->redriven <= 200 ? WORLD_OK : WORLD_RETRY;
}

static void
too_many_bad_ones_end_it(void **state)
{
	struct world *world = world_new(11, "{rate: 1000}");

	(void)state;
	world->verdict = well_for_a_while;
	run_once(world, 1000);
	assert_non_null(strstr(world->result, "orders: aborted: "));
	assert_int_equal(world->exit_code, 2);
	assert_in_range(world->redriven, 250, 300);
	assert_int_equal(world_depth(world, "orders.dlq"),
	    1000 - world->redriven);
	world_free(world);
}

/* A breaker's word stands for 15 s; it is told each 5 s. */
static void
beat(struct world *world, const char *state, int64_t for_ms)
{
	for (int64_t ms = 0; ms < for_ms; ms += 5000) {
		world_breaker(world, "h:1", state);
		world_run(world, 5000);
	}
}

static void
an_open_breaker_stops_it(void **state)
{
	struct world *world = daemon_on(12, "{rate: 100}", 1000);
	uint64_t before;

	(void)state;
	world->verdict = all_well;
	world_run(world, 10000);
	assert_in_range(world->redriven, 50, 900);
	world_breaker(world, "h:1", "open");
	world_run(world, 1000);
	before = world->redriven;
	beat(world, "open", 60000);
	assert_int_equal(world->redriven, before);
	world_breaker(world, "h:1", "closed");
	world_run(world, 2000);
	/* From the start again. */
	assert_in_range(world->redriven, before + 5, before + 25);
	/* One that is not heard of any more stops nobody. */
	world_breaker(world, "h:2", "open");
	world_run(world, 20000);
	assert_true(world->redriven > before + 25);
	world_run(world, 120000);
	assert_int_equal(world->redriven, 1000);
	world_free(world);
}

static void
the_canary_waits_while_the_breaker_is_open(void **state)
{
	struct world *world = daemon_on(13, "{verdict_timeout: 1m}", 100);

	(void)state;
	world_run(world, 10000);
	assert_int_equal(world->redriven, 5);
	beat(world, "open", 300000);
	assert_int_equal(world->redriven, 5);
	world_breaker(world, "h:1", "closed");
	world_run(world, 50000);
	assert_int_equal(world->redriven, 5);
	world_run(world, 50000);
	assert_int_equal(world->redriven, 10);
	world_free(world);
}

static void
moves_as_many_as_asked_for(void **state)
{
	static const struct once_options seven = { .order = { .max = 7 } };
	struct world *world = world_new(14, "{rate: 1000}");

	(void)state;
	world->verdict = all_well;
	world_start(world, &once);
	world_until(world, world_has_ended);
	world_kill(world);
	world_bury(world, 1, 100, &used_up);
	world_start(world, &seven);
	world_until(world, world_has_ended);
	assert_string_equal(world->result,
	    "orders: complete: as many as asked for: 7 redriven\n");
	assert_int_equal(world->redriven, 7);
	assert_int_equal(world_depth(world, "orders.dlq"), 93);
	world_free(world);
}

/* The second pass would see what the first one left: the count tells. */
static void
what_was_seen_is_not_read_again(void **state)
{
	const struct world_letter rejected = { "rejected", NULL, 0,
		LONG_DEAD_MS, 0 };
	struct world *world = world_new(15, "{" WORLD_BLIND "rate: 1000}");
	uint64_t cancels;

	(void)state;
	world->scan_prefetch = 10;
	world_start(world, &once);
	world_until(world, world_has_ended);
	world_kill(world);
	world_bury(world, 1, 100, &rejected);
	world_bury(world, 101, 10, &used_up);
	world_bury(world, 111, 100, &rejected);
	cancels = model_load(world->model)->cancels;
	world_start(world, &once);
	world_until(world, world_has_ended);
	assert_string_equal(world->result,
	    "orders: complete: 10 redriven, 200 left (200 not asked for)\n");
	/* A consumer for each ten, once. */
	assert_in_range(model_load(world->model)->cancels - cancels, 21, 24);
	world_free(world);
}

/* Some are well at once, some fail, of some nobody says anything. */
static enum world_word
as_chance_will(struct world *world, uint32_t lineage)
{
	static const enum world_word words[] = { WORLD_OK, WORLD_OK, WORLD_OK,
		WORLD_OK, WORLD_OK, WORLD_OK, WORLD_OK, WORLD_RETRY,
		WORLD_REJECT, WORLD_NOTHING };

	(void)lineage;
	return words[sim_below(world->loop, array_len(words))];
}

static void
trouble(struct world *world)
{
	static const char *const states[] = { "open", "half-open", "closed" };

	switch (sim_below(world->loop, 8)) {
	case 0:
		sim_net_cut(world->net, 0.5);
		break;
	case 1:
		model_close_a_channel(world->model);
		break;
	case 2:
		model_cancel_consumers(world->model, "dlo.verdicts");
		break;
	case 3:
		model_cancel_consumers(world->model, "orders.dlq");
		break;
	case 4:
		world->healthy = !world->healthy;
		break;
	case 5:
		world_breaker(world, "h:1",
		    states[sim_below(world->loop, array_len(states))]);
		break;
	case 6:
		world_kill(world);
		world_start(world, NULL);
		break;
	default:
		world_run(world, (int64_t)sim_below(world->loop, 20000));
	}
}

static bool
dlq_is_empty(const struct world *world)
{
	return world_depth(world, "orders.dlq") == 0;
}

static void
whatever_happens_nothing_is_lost(void **state)
{
	const struct model_trouble some = { .nack = 0.02,
		.late = 0.2,
		.vanish = 0.3 };
	const struct model_trouble none = { 0 };
	const uint32_t count = 300;

	(void)state;
	for (uint64_t seed = 2000; seed < 2060; seed++) {
		struct world *world = world_new(seed,
		    "{rate: 100, cooldown: 100ms, verdict_timeout: 10s,"
		    " canary: 3, max_redrives: 1000, abort_above: 0.9,"
		    " ramp: {start: 20, double_every: 1s},"
		    " when: [healthy, {every: 10s}]}");

		world->verdict = as_chance_will;
		world->scan_prefetch =
		    (uint16_t)(1 + sim_below(world->loop, 50));
		world_start(world, NULL);
		world_until(world, world_is_ready);
		world_bury(world, 1, count, &used_up);
		world->healthy = true;
		model_set_trouble(world->model, &some);
		for (int i = 0; i < 30; i++) {
			world_run(world, (int64_t)sim_below(world->loop, 2000));
			if (world->ended) {
				world_kill(world);
				world_start(world, NULL);
			}
			trouble(world);
		}
		model_set_trouble(world->model, &none);
		world->healthy = true;
		world->verdict = all_well;
		world_run(world, 60000);
		if (world->ended) {
			world_kill(world);
			world_start(world, NULL);
		}
		world_until(world, dlq_is_empty);
		for (uint32_t n = 1; n <= count; n++)
			assert_true(model_safe_copies(world->model, n) > 0);
		world_free(world);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bad_canary_is_all_that_is_tried),
		cmocka_unit_test(a_good_canary_lets_all_go),
		cmocka_unit_test(the_canary_goes_alone),
		cmocka_unit_test(no_verdict_gets_one_new_canary),
		cmocka_unit_test(strangers_are_not_believed),
		cmocka_unit_test(fewer_letters_than_the_canary),
		cmocka_unit_test(a_dead_letter_of_the_job_is_a_verdict),
		cmocka_unit_test(doubles_from_the_start_to_the_rate),
		cmocka_unit_test(does_not_break_a_small_shop),
		cmocka_unit_test(too_many_bad_ones_end_it),
		cmocka_unit_test(an_open_breaker_stops_it),
		cmocka_unit_test(the_canary_waits_while_the_breaker_is_open),
		cmocka_unit_test(moves_as_many_as_asked_for),
		cmocka_unit_test(what_was_seen_is_not_read_again),
		cmocka_unit_test(whatever_happens_nothing_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
