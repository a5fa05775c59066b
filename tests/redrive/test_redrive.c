/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The whole core against the model broker. */
#include "tests/redrive/world.h"

#include "redrive/lane.h"
#include "redrive/registry.h"
#include "tests/sim/sim_net.h"

/* Long dead at the start of virtual time. */
#define LONG_DEAD_MS (SIM_EPOCH_MS - 3600 * 1000)

/* consumer.hold_max by default, and a minute: the broker waits longer. */
#define HELD_MAX_MS (11 * 60 * 1000)

static const struct world_letter used_up = {
	.reason = "attempts_exhausted",
	.dead_ms = LONG_DEAD_MS,
};
static const struct world_letter rejected = {
	.reason = "rejected",
	.dead_ms = LONG_DEAD_MS,
};

static bool
dlq_is_empty(const struct world *world)
{
	return world_depth(world, "orders.dlq") == 0;
}

static void
starts_only_when_healthy_and_takes_what_matches(void **state)
{
	static const uint32_t moved[] = { 1, 2, 5, 6 }, left[] = { 3, 4 };
	struct world *world = world_new(1, "{" WORLD_BLIND "rate: 100}");

	(void)state;
	world_start(world, NULL);
	world_until(world, world_is_ready);
	world_bury(world, 1, 2, &used_up);
	world_bury(world, 3, 2, &rejected);
	world_bury(world, 5, 2, &used_up);
	world_run(world, 60000);
	assert_int_equal(world_depth(world, "orders.dlq"), 6);
	world->healthy = true;
	world_run(world, 60000);
	world_expect(world, "orders", moved, 4);
	world_expect(world, "orders.dlq", left, 2);
	redrive_drain(world->redrive);
	world_until(world, world_has_ended);
	assert_int_equal(world->exit_code, 0);
	world_free(world);
}

/* Most and fewest acks in any ten seconds of a run. */
static void
check_rate(const struct world *world, double per_s)
{
	const int64_t ten_s = 10 * INT64_C(1000000);
	size_t from = 0;

	for (size_t i = 0; i < world->acked; i++) {
		while (world->acked_us[i] - world->acked_us[from] >= ten_s)
			from++;
		/* Acks come in the broker's own rhythm: a tenth more time. */
		assert_true((double)(i - from) <= per_s * 10 * 1.05 + 1);
		if (from > 0)
			assert_true((double)(i - from) >= per_s * 10 * 0.95);
	}
	assert_true(from > 0);
}

static void
keeps_the_rate(void **state)
{
	struct world *world = world_new(2, "{" WORLD_BLIND "rate: 50}");

	(void)state;
	world_start(world, NULL);
	world_until(world, world_is_ready);
	world_bury(world, 1, 1500, &used_up);
	world->healthy = true;
	world_until(world, dlq_is_empty);
	assert_int_equal(world->acked, 1500);
	check_rate(world, 50);
	world_free(world);
}

static void
takes_only_what_was_dead_at_the_start(void **state)
{
	static const uint32_t moved[] = { 1 }, left[] = { 2 };
	const struct once_options once = { .when_healthy = false };
	struct world_letter later = used_up;
	struct world *world = world_new(3, "{" WORLD_BLIND "rate: 100}");

	(void)state;
	world_start(world, &once);
	world_until(world, world_has_ended);
	assert_string_equal(world->result,
	    "orders: nothing to do: orders.dlq is empty\n");
	assert_int_equal(world->exit_code, 0);
	world_kill(world);
	later.dead_ms = loop_wall_ms(world->loop) + 3600 * 1000;
	world_bury(world, 1, 1, &used_up);
	world_bury(world, 2, 1, &later);
	world_start(world, &once);
	world_until(world, world_has_ended);
	assert_string_equal(world->result,
	    "orders: complete: 1 redriven, 1 left (1 dead since the start)\n");
	assert_int_equal(world->exit_code, 0);
	world_expect(world, "orders", moved, 1);
	world_expect(world, "orders.dlq", left, 1);
	world_free(world);
}

static void
parks_after_too_many(void **state)
{
	const struct world_letter tired = { "deadline", NULL, 2, LONG_DEAD_MS,
		0 };
	struct world *world =
	    world_new(4, "{" WORLD_BLIND "rate: 100, max_redrives: 2}");

	(void)state;
	world_start(world, NULL);
	world_until(world, world_is_ready);
	world_bury(world, 1, 3, &tired);
	world->healthy = true;
	world_until(world, dlq_is_empty);
	assert_int_equal(world_depth(world, "orders.parked"), 3);
	assert_int_equal(world_depth(world, "orders"), 0);
	world_free(world);
}

static void
stops_when_the_probe_goes_bad(void **state)
{
	size_t moved;
	struct world *world = world_new(5, "{" WORLD_BLIND "rate: 10}");

	(void)state;
	world_start(world, NULL);
	world_until(world, world_is_ready);
	world_bury(world, 1, 200, &used_up);
	world->healthy = true;
	world_run(world, 5000);
	world->healthy = false;
	world_run(world, 2000); /* the probe's time, and what is under way */
	moved = world_depth(world, "orders");
	assert_in_range(moved, 20, 80);
	/* Longer than hold_max: the window is given back meanwhile. */
	world_run(world, 3600 * 1000);
	assert_int_equal(world_depth(world, "orders"), moved);
	assert_int_equal(world_depth(world, "orders.dlq"), 200 - moved);
	world->healthy = true;
	world_until(world, dlq_is_empty);
	assert_int_equal(world_depth(world, "orders"), 200);
	world_free(world);
}

/*
 * Longer than the broker waits for an ack: the window is given back in time
 * (the model would complain), and what is in it is taken again.
 */
static void
takes_two_hours_if_it_must(void **state)
{
	struct world *world = world_new(6, "{" WORLD_BLIND "rate: 1}");
	int64_t start_ms;

	(void)state;
	model_set_hold_max(world->model, HELD_MAX_MS);
	world_start(world, NULL);
	world_until(world, world_is_ready);
	world_bury(world, 1, 7200, &used_up);
	world->healthy = true;
	start_ms = loop_now_ms(world->loop);
	world_until(world, dlq_is_empty);
	assert_in_range(loop_now_ms(world->loop) - start_ms, 7100 * 1000,
	    7600 * 1000);
	assert_int_equal(world_depth(world, "orders"), 7200);
	world_free(world);
}

static void
a_return_ends_the_job(void **state)
{
	const struct once_options once = { .when_healthy = false };
	struct world *world = world_new(6, "{" WORLD_BLIND "rate: 100}");

	(void)state;
	world_start(world, &once);
	world_until(world, world_has_ended);
	world_kill(world);
	world_bury(world, 1, 50, &used_up);
	world_start(world, NULL);
	world_until(world, world_is_ready);
	model_unbind(world->model, "dlo.redrive", true);
	world->healthy = true;
	world_run(world, 60000);
	assert_int_equal(world_depth(world, "orders.dlq"), 50);
	assert_int_equal(world_depth(world, "orders"), 0);
	world_free(world);
}

/* hold_max, then the time of a drain for what is on its way. */
static void
a_mute_broker_gets_its_letters_back(void **state)
{
	static const struct model_trouble mute = { .mute = 1 }, none = { 0 };
	struct world *world = world_new(31, "{" WORLD_BLIND "rate: 100}");

	(void)state;
	world_start(world, NULL);
	world_until(world, world_is_ready);
	world_bury(world, 1, 5, &used_up);
	model_set_hold_max(world->model, (600 + 30 + 5) * 1000);
	model_set_trouble(world->model, &mute);
	world->healthy = true;
	world_run(world, 30 * 60000);
	assert_int_equal(world_depth(world, "orders.dlq"), 5);
	model_set_trouble(world->model, &none);
	world_until(world, dlq_is_empty);
	world_free(world);
}

static void
a_sick_queue_is_not_hammered(void **state)
{
	static const struct model_trouble sick = { .sick = 1 }, none = { 0 };
	struct world *world = world_new(32, "{" WORLD_BLIND "rate: 100}");
	uint64_t channels;

	(void)state;
	world_start(world, NULL);
	world_until(world, world_is_ready);
	world_bury(world, 1, 5, &used_up);
	channels = model_load(world->model)->channels;
	model_set_trouble(world->model, &sick);
	world->healthy = true;
	world_run(world, 10 * 60000);
	/* A channel to count and one to read for each pass, some for depth. */
	channels = model_load(world->model)->channels - channels;
	assert_true(channels > 10 && channels < 200);
	model_set_trouble(world->model, &none);
	world_until(world, dlq_is_empty);
	world_free(world);
}

/* A queue that is deleted takes the binding along that leads to it. */
static void
what_was_deleted_is_made_again(void **state)
{
	static const char *const gone[] = { "orders", "dlo.redrive" };

	(void)state;
	for (size_t i = 0; i < array_len(gone); i++) {
		struct world *world = world_new(3,
		    "{" WORLD_BLIND "when: [{every: 10s}], cooldown: 1s}");

		world_start(world, NULL);
		world_until(world, world_is_ready);
		world_bury(world, 1, 5, &used_up);
		model_delete_queue(world->model, gone[i]);
		model_delete_exchange(world->model, gone[i]);
		world->healthy = true;
		world_run(world, 60000);
		assert_int_equal(world_depth(world, "orders.dlq"), 0);
		assert_int_equal(world_depth(world, "orders"), 5);
		world_free(world);
	}
}

/* A queue that refuses is tried again after 1 s, 2 s, … with one message. */
static void
waits_for_a_full_queue(void **state)
{
	struct model_trouble full = { .nack = 1 }, none = { 0 };
	struct world *world = world_new(7, "{" WORLD_BLIND "rate: 100}");

	(void)state;
	world_start(world, NULL);
	world_until(world, world_is_ready);
	world_bury(world, 1, 100, &used_up);
	model_set_trouble(world->model, &full);
	world->healthy = true;
	world_run(world, 600 * 1000);
	assert_int_equal(world_depth(world, "orders.dlq"), 100);
	model_set_trouble(world->model, &none);
	world_until(world, dlq_is_empty);
	assert_int_equal(world_depth(world, "orders"), 100);
	world_free(world);
}

/* A full queue that takes one now and then is not stormed each time. */
static void
knocks_softly_where_there_is_little_room(void **state)
{
	struct model_trouble tight = { .nack = 0.5 }, none = { 0 };
	struct world *world = world_new(7, "{" WORLD_BLIND "rate: 5000}");
	uint64_t before;

	(void)state;
	world_start(world, NULL);
	world_until(world, world_is_ready);
	world_bury(world, 1, 4000, &used_up);
	before = model_load(world->model)->publishes;
	model_set_trouble(world->model, &tight);
	world->healthy = true;
	world_run(world, 600 * 1000);
	assert_true(world_depth(world, "orders") >= 100);
	assert_true(model_load(world->model)->publishes - before < 1000);
	model_set_trouble(world->model, &none);
	world_until(world, dlq_is_empty);
	assert_int_equal(world_depth(world, "orders"), 4000);
	world_free(world);
}

/* Large bodies: no more is read than the stash may hold. */
static void
reads_no_more_than_it_may_hold(void **state)
{
	const struct world_letter large = { "deadline", NULL, 0, LONG_DEAD_MS,
		4000 };
	struct world *world = world_new(8, "{" WORLD_BLIND "rate: 50}");

	(void)state;
	world->held_max_bytes = 100000;
	world_start(world, NULL);
	world_until(world, world_is_ready);
	world_bury(world, 1, 400, &large);
	world->healthy = true;
	world_run(world, 3000);
	/* Over the limit and paused: what is held goes back. */
	world->healthy = false;
	world_run(world, 3000);
	world->healthy = true;
	world_until(world, dlq_is_empty);
	assert_int_equal(world_depth(world, "orders"), 400);
	world_free(world);
}

/* A leader that is slow to answer makes the broker say "nothing". */
static void
believes_no_count_that_nobody_gave(void **state)
{
	const struct once_options once = { .when_healthy = false };
	struct world *world = world_new(3, "{" WORLD_BLIND "rate: 100}");

	(void)state;
	world_start(world, &once);
	world_until(world, world_has_ended);
	world_kill(world);
	world_bury(world, 1, 5, &used_up);
	model_hide_counts(world->model, true);
	world_start(world, &once);
	world_run(world, 60000);
	assert_false(world->ended);
	assert_int_equal(world_depth(world, "orders"), 5);
	model_hide_counts(world->model, false);
	world_until(world, world_has_ended);
	assert_string_equal(world->result, "orders: complete: 5 redriven\n");
	world_free(world);
}

static int64_t
dead_shown(const struct world *world)
{
	struct lane_view view;

	lane_view(redrive_lane(world->redrive, &world->conf->pipelines[0]),
	    &view);
	return view.dead;
}

/* The same between jobs: alerts must not end for that. */
static void
shows_no_count_that_nobody_gave(void **state)
{
	struct world *world = world_new(3, "{" WORLD_BLIND "rate: 100}");
	uint64_t channels;

	(void)state;
	world_start(world, NULL);
	world_until(world, world_is_ready);
	world_bury(world, 1, 5, &used_up);
	world_run(world, 10000);
	assert_int_equal(dead_shown(world), 5);
	for (unsigned i = 0; i < 10; i++) {
		channels = model_load(world->model)->channels;
		model_hide_counts(world->model, true);
		while (model_load(world->model)->channels == channels)
			world_run(world, 10);
		world_run(world, 100);
		model_hide_counts(world->model, false);
		world_run(world, 2000);
		assert_int_equal(dead_shown(world), 5);
	}
	world->healthy = true;
	world_until(world, dlq_is_empty);
	world_run(world, 10000);
	assert_int_equal(dead_shown(world), 0);
	world_free(world);
}

/* A chain of many channels; what stays keeps its order. */
static void
gives_back_in_order(void **state)
{
	struct world *world = world_new(9, "{" WORLD_BLIND "rate: 1000}");
	uint32_t moved[30], left[270];

	(void)state;
	world->scan_prefetch = 16;
	model_return_late(world->model, 5000);
	world_start(world, NULL);
	world_until(world, world_is_ready);
	for (uint32_t i = 0; i < 30; i++) {
		world_bury(world, 10 * i + 1, 9, &rejected);
		world_bury(world, 10 * i + 10, 1, &used_up);
		for (uint32_t n = 0; n < 9; n++)
			left[9 * i + n] = 10 * i + 1 + n;
		moved[i] = 10 * i + 10;
	}
	world->healthy = true;
	world_run(world, 300000);
	world_expect(world, "orders", moved, 30);
	world_expect(world, "orders.dlq", left, 270);
	world_free(world);
}

/* The same while as many come as a channel holds. */
static void
gives_back_in_order_while_others_die(void **state)
{
	struct world *world = world_new(10, "{" WORLD_BLIND "rate: 1000}");
	struct world_letter later = rejected;
	uint32_t left[200 + 50 * 16];

	(void)state;
	world->scan_prefetch = 16;
	model_return_late(world->model, 500);
	world_start(world, NULL);
	world_until(world, world_is_ready);
	world_bury(world, 1, 200, &rejected);
	world->healthy = true;
	for (uint32_t i = 0; i < 50; i++) {
		world_run(world, 100);
		later.dead_ms = loop_wall_ms(world->loop);
		world_bury(world, 201 + 16 * i, 16, &later);
	}
	world_run(world, 600000);
	for (uint32_t i = 0; i < array_len(left); i++)
		left[i] = i + 1;
	world_expect(world, "orders.dlq", left, array_len(left));
	world_free(world);
}

/* A job that has moved its 30 letters and gives 270 back, some of them late. */
static struct world *
world_giving_back(int64_t late_ms)
{
	struct world *world = world_new(11, "{" WORLD_BLIND "rate: 1000}");

	world->scan_prefetch = 16;
	world_start(world, NULL);
	world_until(world, world_is_ready);
	world_bury(world, 1, 270, &rejected);
	world_bury(world, 271, 30, &used_up);
	model_return_late(world->model, late_ms);
	world->healthy = true;
	while (world_depth(world, "orders") < 30)
		world_run(world, 10);
	world_run(world, 1500);
	return world;
}

/* Whoever waits for what others take waits not for long. */
static void
gives_back_though_no_count_tells_so(void **state)
{
	struct world *world = world_giving_back(500);

	(void)state;
	model_hide_counts(world->model, true);
	world_run(world, 6000);
	model_hide_counts(world->model, false);
	world_run(world, 60000);
	redrive_drain(world->redrive);
	world_run(world, 100);
	assert_true(world->ended);
	assert_int_equal(world_depth(world, "orders"), 30);
	assert_int_equal(world_depth(world, "orders.dlq"), 270);
	world_free(world);
}

static void
a_drain_gives_back_within_its_time(void **state)
{
	/* 17 channels, and none is waited for in vain. */
	struct world *world = world_giving_back(4900);

	(void)state;
	redrive_drain(world->redrive);
	world_run(world, 31000);
	assert_true(world->ended);
	assert_int_equal(world->exit_code, 0);
	world_run(world, 5000);
	assert_int_equal(world_depth(world, "orders"), 30);
	assert_int_equal(world_depth(world, "orders.dlq"), 270);
	world_free(world);
}

static const char *
role_of(const struct redrive *redrive)
{
	return registry_role(redrive_registry(redrive));
}

static bool
one_is_active(const struct world *world)
{
	return (strcmp(role_of(world->redrive), "active") == 0) +
	    (strcmp(role_of(world->other), "active") == 0) ==
	    1;
}

static bool
both_stand(const struct world *world)
{
	return one_is_active(world) &&
	    ((strcmp(role_of(world->redrive), "standby") == 0) ||
		(strcmp(role_of(world->other), "standby") == 0));
}

/* The active one dies, again and again; the other one goes on with the job. */
static void
one_takes_over_from_the_other(void **state)
{
	(void)state;
	for (uint64_t seed = 300; seed < 310; seed++) {
		struct world *world =
		    world_new(seed, "{" WORLD_BLIND "rate: 50}");
		char id[REPORT_ID_SPACE];

		world->scan_prefetch = 16;
		world_start(world, NULL);
		world_start_other(world);
		world_until(world, both_stand);
		world_bury(world, 1, 300, &used_up);
		world->healthy = true;
		world_run(world, 2000);
		for (int i = 0; i < 8; i++) {
			bool other =
			    strcmp(role_of(world->other), "active") == 0;
			const struct registry_job *job =
			    registry_current(redrive_registry(other
						     ? world->other
						     : world->redrive),
				"orders");

			assert_non_null(job);
			/* The same job all the time. */
			if (i > 0)
				assert_string_equal(id, job->id);
			memcpy(id, job->id, sizeof(id));
			world_kill_one(world, other);
			if (other)
				world_start_other(world);
			else
				world_start(world, NULL);
			world_until(world, both_stand);
			world_run(world, (int64_t)sim_below(world->loop, 500));
		}
		world_until(world, dlq_is_empty);
		for (uint32_t n = 1; n <= 300; n++)
			assert_true(model_safe_copies(world->model, n) > 0);
		world_free(world);
	}
}

/* Each holds what the other cannot see. */
static void
two_daemons_lose_nothing(void **state)
{
	(void)state;
	for (uint64_t seed = 200; seed < 220; seed++) {
		struct world *world = world_new(seed,
		    "{" WORLD_BLIND
		    "rate: 50, cooldown: 1s, when: [healthy, {every: 5s}]}");

		world->scan_prefetch = 16;
		world_start(world, NULL);
		world_start_other(world);
		world_until(world, world_is_ready);
		world_bury(world, 1, 300, &used_up);
		world->healthy = true;
		world_until(world, dlq_is_empty);
		for (uint32_t n = 1; n <= 300; n++)
			assert_true(model_safe_copies(world->model, n) > 0);
		world_free(world);
	}
}

static void
drains_at_any_moment(void **state)
{
	(void)state;
	for (uint64_t seed = 100; seed < 140; seed++) {
		struct world *world =
		    world_new(seed, "{" WORLD_BLIND "rate: 1000}");
		size_t moved;

		world->scan_prefetch = 20;
		world_start(world, NULL);
		world_until(world, world_is_ready);
		world_bury(world, 1, 300, &used_up);
		world->healthy = true;
		world_run(world, 1000 + (int64_t)sim_below(world->loop, 1000));
		redrive_drain(world->redrive);
		world_until(world, world_has_ended);
		assert_int_equal(world->exit_code, 0);
		moved = world_depth(world, "orders");
		assert_int_equal(moved + world_depth(world, "orders.dlq"), 300);
		world_free(world);
	}
}

/* As a supervisor: a start may end in trouble that the broker makes. */
static void
restart(struct world *world)
{
	world_kill(world);
	world_start(world, NULL);
}

/* Cuts, nacks, closed channels, alarms, kills: nothing is ever lost. */
static void
trouble(struct world *world)
{
	if (world->ended)
		restart(world);
	switch (sim_below(world->loop, 8)) {
	case 0:
		sim_net_cut(world->net, 0.5);
		break;
	case 1:
		model_close_a_channel(world->model);
		break;
	case 2:
		model_cancel_consumers(world->model, "orders.dlq");
		break;
	case 3:
		world->healthy = !world->healthy;
		break;
	case 4:
		model_block(world->model, true);
		world_run(world, (int64_t)sim_below(world->loop, 5000));
		model_block(world->model, false);
		break;
	case 5:
		restart(world);
		break;
	case 6:
		sim_net_listen(world->net, false);
		sim_net_cut(world->net, 1);
		world_run(world, (int64_t)sim_below(world->loop, 5000));
		sim_net_listen(world->net, true);
		break;
	default:
		break;
	}
}

static void
survives_everything(void **state)
{
	const struct model_trouble some = { .nack = 0.02,
		.late = 0.2,
		.vanish = 0.3 };
	const struct model_trouble none = { 0 };
	const uint32_t count = 300;

	(void)state;
	for (uint64_t seed = 1000; seed < 1040; seed++) {
		struct world *world = world_new(seed,
		    "{" WORLD_BLIND
		    "rate: 50, cooldown: 100ms, when: [healthy, "
		    "{every: 10s}]}");

		world->scan_prefetch =
		    (uint16_t)(1 + sim_below(world->loop, 50));
		world_start(world, NULL);
		world_until(world, world_is_ready);
		world_bury(world, 1, count / 2, &used_up);
		world_bury(world, count / 2 + 1, count / 2, &used_up);
		world->healthy = true;
		model_set_trouble(world->model, &some);
		for (int i = 0; i < 20; i++) {
			world_run(world, (int64_t)sim_below(world->loop, 1000));
			trouble(world);
		}
		model_set_trouble(world->model, &none);
		world->healthy = true;
		world_run(world, 60000);
		if (world->ended)
			restart(world);
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
		cmocka_unit_test(
		    starts_only_when_healthy_and_takes_what_matches),
		cmocka_unit_test(keeps_the_rate),
		cmocka_unit_test(takes_only_what_was_dead_at_the_start),
		cmocka_unit_test(parks_after_too_many),
		cmocka_unit_test(stops_when_the_probe_goes_bad),
		cmocka_unit_test(takes_two_hours_if_it_must),
		cmocka_unit_test(a_return_ends_the_job),
		cmocka_unit_test(a_mute_broker_gets_its_letters_back),
		cmocka_unit_test(a_sick_queue_is_not_hammered),
		cmocka_unit_test(what_was_deleted_is_made_again),
		cmocka_unit_test(waits_for_a_full_queue),
		cmocka_unit_test(knocks_softly_where_there_is_little_room),
		cmocka_unit_test(reads_no_more_than_it_may_hold),
		cmocka_unit_test(believes_no_count_that_nobody_gave),
		cmocka_unit_test(shows_no_count_that_nobody_gave),
		cmocka_unit_test(gives_back_in_order),
		cmocka_unit_test(gives_back_in_order_while_others_die),
		cmocka_unit_test(gives_back_though_no_count_tells_so),
		cmocka_unit_test(a_drain_gives_back_within_its_time),
		cmocka_unit_test(one_takes_over_from_the_other),
		cmocka_unit_test(two_daemons_lose_nothing),
		cmocka_unit_test(drains_at_any_moment),
		cmocka_unit_test(survives_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
