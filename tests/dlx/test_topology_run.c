/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The run against a stand-in for the channels; a real broker is elsewhere. */
#include "tests/unit.h"

#include <stdlib.h>

#include "dlx/topology_run.h"
#include "lib/compiler.h"
#include "lib/log.h"
#include "lib/xalloc.h"
#include "tests/dlx/fake_broker.h"
#include "tests/sim/sim_loop.h"

static const struct conf_pipeline pipelines[] = {
	{
	    .name = "orders",
	    .queue = "orders",
	    .retry = { .cap_ms = 800 },
	    .dead_letter = { .queue = "orders.dlq",
		.parked = "orders.parked",
		.archive = "orders.archive",
		.archive_ttl_ms = 1000 },
	},
	{
	    .name = "mails",
	    .queue = "mails",
	    .declare = true,
	    .retry = { .cap_ms = 60000 },
	    .dead_letter = { .queue = "mails.dlq",
		.parked = "mails.parked",
		.archive = "mails.archive",
		.archive_ttl_ms = 1000 },
	},
};

static const struct conf conf = {
	.topology = { .prefix = "dlo", .declare = true },
	.pipelines = pipelines,
	.pipeline_count = array_len(pipelines),
};

/* A run and what came of it: one line a problem. */
struct trial {
	struct fake_broker *fake;
	struct topology *topology;
	struct topology_run *run;
	unsigned done;
	bool finished, usable;
	size_t alike, unseen;
	struct buf problems;
};

static void
on_done(void *arg, const struct topology_result *result)
{
	struct trial *trial = arg;
	size_t i;

	trial->done++;
	trial->finished = result->finished;
	trial->usable = result->usable;
	trial->alike = result->alike;
	trial->unseen = result->unseen;
	topology_run_log(result);
	for (i = 0; i < result->problem_count; i++) {
		const struct topology_problem *problem = &result->problems[i];

		buf_printf(&trial->problems, "%s ",
		    topology_fault_name(problem->fault));
		topology_item_describe(problem->item, &trial->problems);
		buf_printf(&trial->problems, ": %u %s\n", problem->code,
		    problem->text);
	}
	topology_run_free(trial->run);
	trial->run = NULL;
}

static void
trial_start(struct trial *trial, struct fake_broker *fake,
    enum topology_mode mode)
{
	memset(trial, 0, sizeof(*trial));
	trial->fake = fake;
	fake->open = true;
	fake->channels = fake->declares = fake->passives = fake->bindings = 0;
	trial->topology = topology_new(&conf, CONF_ROLE_TOPOLOGY);
	trial->run = topology_run_new(fake->loop, fake_broker_conn(fake),
	    trial->topology, mode, on_done, trial);
	assert_int_equal(trial->done, 0);
}

static void
trial_finish(struct trial *trial)
{
	while (trial->done == 0 && sim_loop_step(trial->fake->loop))
		;
	assert_int_equal(trial->done, 1);
	/* Nothing of it is left on the loop. */
	assert_false(sim_loop_step(trial->fake->loop));
}

static void
trial_clear(struct trial *trial)
{
	buf_clear(&trial->problems);
	topology_free(trial->topology);
}

static struct fake_broker
new_fake(unsigned everything)
{
	return (struct fake_broker){
		.loop = sim_loop_new(1),
		.lose_after = -1,
		.everything = everything,
		.some = { { "queue orders", FAKE_EXISTS } },
	};
}

static void
declares_all_that_is_missing(void **state)
{
	struct fake_broker fake = new_fake(0);
	struct trial trial;
	struct buf what = { 0 };
	size_t i, made;

	(void)state;
	trial_start(&trial, &fake, TOPOLOGY_DECLARE);
	trial_finish(&trial);
	assert_true(trial.finished && trial.usable);
	assert_int_equal(trial.problems.len, 0);
	assert_int_equal(trial.alike, trial.topology->count);
	assert_int_equal(trial.unseen, 0);
	assert_int_equal(fake.channels, 1);
	/* In the order of the list, and only the foreign queue was not made. */
	for (i = made = 0; i < trial.topology->count; i++) {
		if (trial.topology->items[i].foreign)
			continue;
		buf_reset(&what);
		topology_item_describe(&trial.topology->items[i], &what);
		assert_string_equal(fake.made[made++], buf_str(&what));
	}
	assert_int_equal(fake.made_count, made);
	trial_clear(&trial);
	/* Once more, as after a reconnect. */
	trial_start(&trial, &fake, TOPOLOGY_DECLARE);
	trial_finish(&trial);
	assert_true(trial.usable);
	assert_int_equal(trial.alike, trial.topology->count);
	trial_clear(&trial);
	buf_clear(&what);
	fake_broker_clear(&fake);
	loop_free(fake.loop);
}

/* Rights to configure are not needed where everything is there. */
static void
declares_with_few_rights_what_exists(void **state)
{
	struct fake_broker fake =
	    new_fake(FAKE_EXISTS | FAKE_NO_CONFIGURE | FAKE_NO_BIND);
	struct trial trial;

	(void)state;
	fake.some[0].traits = 0;
	trial_start(&trial, &fake, TOPOLOGY_DECLARE);
	trial_finish(&trial);
	assert_true(trial.finished && trial.usable);
	assert_int_equal(trial.problems.len, 0);
	assert_int_equal(trial.alike, 1); /* the foreign queue */
	assert_int_equal(trial.unseen, trial.topology->count - 1);
	/* One "no" for ours, one for the user's; nothing is made. */
	assert_int_equal(fake.channels, 3);
	assert_int_equal(fake.made_count, 0);
	assert_int_equal(fake.bindings, 0);
	trial_clear(&trial);
	loop_free(fake.loop);
}

static void
checks_without_making_anything(void **state)
{
	struct fake_broker fake = new_fake(FAKE_EXISTS);
	struct trial trial;

	(void)state;
	fake.some[0].name = "exchange dlo.retry.orders.1";
	fake.some[1].name = "queue mails.dlq";
	fake.some[1].traits = FAKE_EXISTS;
	trial_start(&trial, &fake, TOPOLOGY_CHECK);
	trial_finish(&trial);
	assert_true(trial.finished);
	assert_false(trial.usable);
	assert_string_equal(buf_str(&trial.problems),
	    "missing exchange dlo.retry.orders.1: 404 "
	    "NOT_FOUND - no exchange\n"
	    "missing queue mails.dlq: 404 NOT_FOUND - no queue\n");
	assert_int_equal(fake.made_count, 0);
	assert_int_equal(fake.declares + fake.bindings, 0);
	assert_true(trial.unseen > 0);
	trial_clear(&trial);
	loop_free(fake.loop);
}

/* What one object's trouble leads to; everything else is well. */
static void
tells_troubles_apart(void **state)
{
	static const struct {
		const char *object;
		unsigned traits;
		bool usable;
		const char *problem;
	} cases[] = {
		{ "queue mails.dlq", FAKE_DIFFERENT, false,
		    "different queue mails.dlq: 406 "
		    "PRECONDITION_FAILED - inequivalent arg\n" },
		{ "exchange dlo.dead", FAKE_DIFFERENT, false,
		    "different exchange dlo.dead: 406 "
		    "PRECONDITION_FAILED - inequivalent arg\n" },
		{ "queue mails", FAKE_EXCLUSIVE, false,
		    "different queue mails: 405 "
		    "RESOURCE_LOCKED - exclusive\n" },
		{ "queue orders", FAKE_EXCLUSIVE, false,
		    "different queue orders: 405 "
		    "RESOURCE_LOCKED - exclusive\n" },
		{ "queue dlo.audit", FAKE_INVALID, false,
		    "refused queue dlo.audit: 406 "
		    "PRECONDITION_FAILED - invalid arg\n" },
		{ "queue dlo.jobs", FAKE_EXISTS | FAKE_NO_CONFIGURE, false,
		    "denied queue dlo.jobs: 403 "
		    "ACCESS_REFUSED - configure access\n" },
		{ "exchange dlo.redrive", FAKE_EXISTS | FAKE_NO_CONFIGURE,
		    false,
		    "denied exchange dlo.redrive: 403 "
		    "ACCESS_REFUSED - configure access\n" },
		{ "queue orders", FAKE_EXISTS, false,
		    "missing queue orders: 404 NOT_FOUND - no queue\n" },
		{ "queue orders", FAKE_HIDDEN, true,
		    "unknown queue orders: 403 ACCESS_REFUSED - access\n" },
		{ "queue mails.parked", FAKE_HIDDEN, true,
		    "unknown queue mails.parked: 403 "
		    "ACCESS_REFUSED - access\n" },
		{ "queue orders", FAKE_NODE_DOWN, true,
		    "unknown queue orders: 404 "
		    "NOT_FOUND - home node is down\n"
		    "unknown binding dlo.retry.orders -> orders (): 404 "
		    "NOT_FOUND - home node is down\n"
		    "unknown binding dlo.redrive -> orders (orders): 404 "
		    "NOT_FOUND - home node is down\n" },
		{ "queue mails", FAKE_NODE_DOWN, true,
		    "unknown queue mails: 404 "
		    "NOT_FOUND - home node is down\n"
		    "unknown binding dlo.retry.mails -> mails (): 404 "
		    "NOT_FOUND - home node is down\n"
		    "unknown binding dlo.redrive -> mails (mails): 404 "
		    "NOT_FOUND - home node is down\n" },
		{ "queue dlo.jobs", FAKE_NO_BIND, true,
		    "unknown binding dlo.control -> dlo.jobs (jobs): 403 "
		    "ACCESS_REFUSED - write access\n" },
		{ "exchange dlo.retry.orders.0",
		    FAKE_NO_CONFIGURE | FAKE_EXISTS, false,
		    "denied exchange dlo.retry.orders.0: 403 "
		    "ACCESS_REFUSED - configure access\n" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < array_len(cases); i++) {
		struct fake_broker fake = new_fake(FAKE_EXISTS);
		struct trial trial;

		fake.some[0].name = cases[i].object;
		fake.some[0].traits = cases[i].traits;
		trial_start(&trial, &fake, TOPOLOGY_DECLARE);
		trial_finish(&trial);
		assert_true(trial.finished);
		assert_string_equal(buf_str(&trial.problems), cases[i].problem);
		assert_int_equal(trial.usable, cases[i].usable);
		trial_clear(&trial);
		fake_broker_clear(&fake);
		loop_free(fake.loop);
	}
}

/* Every problem is found in one run, and bindings of the missing are moot. */
static void
collects_all_problems(void **state)
{
	struct fake_broker fake = new_fake(0);
	struct trial trial;

	(void)state;
	fake.some[0].name = "queue orders.*";
	fake.some[0].traits = FAKE_NO_CONFIGURE;
	fake.some[1].name = "queue dlo.jobs";
	fake.some[1].traits = FAKE_DIFFERENT | FAKE_EXISTS;
	trial_start(&trial, &fake, TOPOLOGY_DECLARE);
	trial_finish(&trial);
	assert_string_equal(buf_str(&trial.problems),
	    "denied queue orders.dlq: 403 "
	    "ACCESS_REFUSED - configure access\n"
	    "denied queue orders.parked: 403 "
	    "ACCESS_REFUSED - configure access\n"
	    "denied queue orders.archive: 403 "
	    "ACCESS_REFUSED - configure access\n"
	    "missing queue orders: 404 NOT_FOUND - no queue\n"
	    "different queue dlo.jobs: 406 "
	    "PRECONDITION_FAILED - inequivalent arg\n");
	/* What can be made is made all the same. */
	assert_true(fake_broker_has_made(&fake, "queue mails.parked"));
	assert_true(fake_broker_has_made(&fake, "queue dlo.verdicts"));
	assert_true(fake_broker_has_made(&fake, "queue mails"));
	assert_true(fake_broker_has_made(&fake,
	    "binding dlo.control -> dlo.jobs (jobs)"));
	assert_false(fake_broker_has_made(&fake,
	    "binding dlo.redrive -> orders (orders)"));
	trial_clear(&trial);
	fake_broker_clear(&fake);
	loop_free(fake.loop);
}

/* The connection goes after each number of answers, "no" or not. */
static void
ends_when_the_connection_goes(void **state)
{
	bool finished = false;
	int after;

	(void)state;
	for (after = 0; !finished; after++) {
		struct fake_broker fake = new_fake(0);
		struct trial trial;

		fake.lose_after = after;
		fake.some[1].name = "queue dlo.retry.*";
		fake.some[1].traits = FAKE_DIFFERENT;
		trial_start(&trial, &fake, TOPOLOGY_DECLARE);
		trial_finish(&trial);
		finished = trial.finished;
		assert_false(trial.usable);
		trial_clear(&trial);
		fake_broker_clear(&fake);
		loop_free(fake.loop);
	}
	assert_true(after > 100);
}

static void
ends_when_nothing_is_answered(void **state)
{
	struct fake_broker fake = new_fake(0);
	struct trial trial;

	(void)state;
	fake.silent = true;
	trial_start(&trial, &fake, TOPOLOGY_DECLARE);
	trial_finish(&trial);
	assert_false(trial.finished);
	assert_int_equal(loop_now_ms(fake.loop), 30000);
	trial_clear(&trial);

	fake.silent = false;
	fake.no_channels = true;
	trial_start(&trial, &fake, TOPOLOGY_CHECK);
	trial_finish(&trial);
	assert_false(trial.finished);
	trial_clear(&trial);

	/* Freed before it could say so. */
	trial_start(&trial, &fake, TOPOLOGY_CHECK);
	topology_run_free(trial.run);
	assert_false(sim_loop_step(fake.loop));
	assert_int_equal(trial.done, 0);
	trial_clear(&trial);
	loop_free(fake.loop);
}

/* Freed after each number of steps: no `done`, nothing left behind. */
static void
can_be_cancelled_at_any_step(void **state)
{
	int steps, i;
	bool done = false;

	(void)state;
	for (steps = 0; !done; steps++) {
		struct fake_broker fake = new_fake(0);
		struct trial trial;

		fake.some[1].name = "queue dlo.retry.*";
		fake.some[1].traits = FAKE_NO_CONFIGURE;
		trial_start(&trial, &fake, TOPOLOGY_DECLARE);
		for (i = 0; i < steps; i++)
			sim_loop_step(fake.loop);
		done = trial.done == 1;
		topology_run_free(trial.run);
		assert_false(sim_loop_step(fake.loop));
		assert_int_equal(trial.done, done);
		trial_clear(&trial);
		fake_broker_clear(&fake);
		loop_free(fake.loop);
	}
	assert_true(steps > 100);
}

static void
no_sink(void *arg, const char *line, size_t len)
{
	(void)arg;
	(void)line;
	(void)len;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(declares_all_that_is_missing),
		cmocka_unit_test(declares_with_few_rights_what_exists),
		cmocka_unit_test(checks_without_making_anything),
		cmocka_unit_test(tells_troubles_apart),
		cmocka_unit_test(collects_all_problems),
		cmocka_unit_test(ends_when_the_connection_goes),
		cmocka_unit_test(ends_when_nothing_is_answered),
		cmocka_unit_test(can_be_cancelled_at_any_step),
	};

	log_open(LOG_LEVEL_DEBUG, LOG_FORMAT_LOGFMT);
	log_set_sink(no_sink, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
