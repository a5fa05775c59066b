/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/unit.h"

#include "config/conf.h"
#include "redrive/trigger.h"

static const struct conf_trigger on_healthy[] = {
	{ .kind = CONF_TRIGGER_HEALTHY },
};
static const struct conf_trigger each_minute[] = {
	{ .kind = CONF_TRIGGER_EVERY, .every_ms = 60000 },
};
static const struct conf_trigger each_two_minutes[] = {
	{ .kind = CONF_TRIGGER_CRON, .cron = "*/2 * * * *" },
};
static const struct conf_trigger all[] = {
	{ .kind = CONF_TRIGGER_HEALTHY },
	{ .kind = CONF_TRIGGER_EVERY, .every_ms = 60000 },
	{ .kind = CONF_TRIGGER_EVERY, .every_ms = 90000 },
};

enum act { HEALTHY, UNHEALTHY, TAKE, ENDED, DUE, SET, STOP };

struct step {
	int64_t at_ms; /* SET: what the wall clock is ahead from here on */
	enum act act;
	int64_t want; /* TAKE: the reasons; DUE: when, -1 for never */
};

#define STEPS_MAX 16

struct scene {
	const char *name;
	const struct conf_trigger *when;
	size_t when_count;
	int64_t cooldown_ms;
	bool disabled;
	struct step steps[STEPS_MAX];
};

static const struct scene scenes[] = {
	{ "a healthy start counts as an edge", on_healthy, 1, 0, false,
	    { { 0, TAKE, 0 }, { 0, DUE, -1 }, { 5, HEALTHY, 0 }, { 5, DUE, 5 },
		{ 5, TAKE, TRIGGER_HEALTHY }, { 6, ENDED, 0 }, { 7, TAKE, 0 },
		{ 9, DUE, -1 }, { 0, STOP, 0 } } },
	{ "staying healthy is no edge, coming back is", on_healthy, 1, 0, false,
	    { { 1, HEALTHY, 0 }, { 1, TAKE, TRIGGER_HEALTHY }, { 2, ENDED, 0 },
		{ 3, HEALTHY, 0 }, { 3, TAKE, 0 }, { 4, UNHEALTHY, 0 },
		{ 5, TAKE, 0 }, { 6, HEALTHY, 0 }, { 6, TAKE, TRIGGER_HEALTHY },
		{ 0, STOP, 0 } } },
	{ "an edge that is gone again waits for the next", on_healthy, 1, 0,
	    false,
	    { { 1, HEALTHY, 0 }, { 2, UNHEALTHY, 0 }, { 3, TAKE, 0 },
		{ 4, HEALTHY, 0 }, { 4, TAKE, TRIGGER_HEALTHY },
		{ 0, STOP, 0 } } },
	{ "cooldown", on_healthy, 1, 1000, false,
	    { { 0, HEALTHY, 0 }, { 0, TAKE, TRIGGER_HEALTHY },
		{ 100, ENDED, 0 }, { 200, UNHEALTHY, 0 }, { 300, HEALTHY, 0 },
		{ 300, TAKE, 0 }, { 300, DUE, 1100 }, { 1099, TAKE, 0 },
		{ 1100, TAKE, TRIGGER_HEALTHY }, { 0, STOP, 0 } } },
	{ "one job at a time, and triggers merge", all, 3, 0, false,
	    { { 0, HEALTHY, 0 }, { 0, TAKE, TRIGGER_HEALTHY },
		{ 10, UNHEALTHY, 0 }, { 20, HEALTHY, 0 }, { 20, TAKE, 0 },
		{ 100000, TAKE, 0 }, { 100000, DUE, -1 }, { 200000, ENDED, 0 },
		{ 200000, DUE, 200000 },
		{ 200000, TAKE, TRIGGER_HEALTHY | TRIGGER_EVERY },
		{ 200001, ENDED, 0 }, { 200001, TAKE, 0 },
		{ 200001, DUE, 240000 }, { 0, STOP, 0 } } },
	{ "every, when healthy", each_minute, 1, 0, false,
	    { { 0, HEALTHY, 0 }, { 0, TAKE, 0 }, { 0, DUE, 60000 },
		{ 59999, TAKE, 0 }, { 60000, TAKE, TRIGGER_EVERY },
		{ 60010, ENDED, 0 }, { 60010, DUE, 120000 },
		{ 300000, TAKE, TRIGGER_EVERY }, { 300001, ENDED, 0 },
		{ 300001, TAKE, 0 }, { 300001, DUE, 360000 },
		{ 0, STOP, 0 } } },
	{ "every waits for health", each_minute, 1, 0, false,
	    { { 70000, TAKE, 0 }, { 70000, DUE, -1 }, { 75000, HEALTHY, 0 },
		{ 75000, TAKE, TRIGGER_EVERY }, { 0, STOP, 0 } } },
	{ "every within the cooldown waits for its end", each_minute, 1, 70000,
	    false,
	    { { 0, HEALTHY, 0 }, { 60000, TAKE, TRIGGER_EVERY },
		{ 61000, ENDED, 0 }, { 61000, DUE, 131000 },
		{ 120000, TAKE, 0 }, { 131000, TAKE, TRIGGER_EVERY },
		{ 0, STOP, 0 } } },
	{ "two timers fire in turn", all + 1, 2, 0, false,
	    { { 0, HEALTHY, 0 }, { 0, DUE, 60000 },
		{ 60000, TAKE, TRIGGER_EVERY }, { 60001, ENDED, 0 },
		{ 60001, DUE, 90000 }, { 90000, TAKE, TRIGGER_EVERY },
		{ 90001, ENDED, 0 }, { 90001, DUE, 120000 }, { 0, STOP, 0 } } },
	{ "a crontab", each_two_minutes, 1, 0, false,
	    { { 0, HEALTHY, 0 }, { 0, DUE, 60000 }, { 60000, TAKE, 0 },
		{ 60000, DUE, 120000 }, { 119999, TAKE, 0 },
		{ 120000, TAKE, TRIGGER_CRON }, { 120001, ENDED, 0 },
		{ 120001, TAKE, 0 }, { 1000000, TAKE, TRIGGER_CRON },
		{ 0, STOP, 0 } } },
	{ "a clock that is set", each_two_minutes, 1, 0, false,
	    { { 0, HEALTHY, 0 }, { 120000, TAKE, TRIGGER_CRON },
		{ 120001, ENDED, 0 },
		/* Back by a minute: not again. */
		{ -60001, SET, 0 }, { 180000, TAKE, 0 },
		/* Ahead by a day: once. */
		{ 86400000, SET, 0 }, { 190000, TAKE, TRIGGER_CRON },
		{ 190001, ENDED, 0 }, { 190002, TAKE, 0 },
		/* And back by that day: from there on. */
		{ 0, SET, 0 }, { 200000, TAKE, 0 },
		{ 240000, TAKE, TRIGGER_CRON }, { 0, STOP, 0 } } },
	{ "turned off", all, 3, 0, true,
	    { { 0, HEALTHY, 0 }, { 0, TAKE, 0 }, { 100000, TAKE, 0 },
		{ 100000, DUE, -1 }, { 0, STOP, 0 } } },
	{ "operators only", NULL, 0, 0, false,
	    { { 0, HEALTHY, 0 }, { 100000, TAKE, 0 }, { 100000, DUE, -1 },
		{ 0, STOP, 0 } } },
};

/* The wall clock began with ours, in 1970; it is ahead by this. */
static int64_t ahead_ms;

static int64_t
wall_of(const struct step *step)
{
	return step->at_ms + ahead_ms;
}

static void
check(struct trigger *t, const struct scene *scene, const struct step *step)
{
	int64_t got = step->want;

	switch (step->act) {
	case HEALTHY:
	case UNHEALTHY:
		trigger_health(t, step->act == HEALTHY);
		break;
	case TAKE:
		got = trigger_take(t, step->at_ms, wall_of(step));
		break;
	case ENDED:
		trigger_ended(t, step->at_ms);
		break;
	case DUE:
		got = trigger_due_ms(t, step->at_ms, wall_of(step));
		if (got == INT64_MAX)
			got = -1;
		break;
	case SET:
		ahead_ms = step->at_ms;
		break;
	case STOP:
		break;
	}
	if (got != step->want)
		print_error("%s, step %d: %d, not %d\n", scene->name,
		    (int)(step - scene->steps), (int)got, (int)step->want);
	assert_int_equal(got, step->want);
}

static void
plays_every_scene(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++) {
		const struct scene *scene = &scenes[i];
		const struct conf_redrive conf = {
			.when = scene->when,
			.when_count = scene->when_count,
			.cooldown_ms = scene->cooldown_ms,
		};
		struct trigger t;

		ahead_ms = 0;
		trigger_init(&t, &conf, 0);
		if (!scene->disabled)
			trigger_enable(&t, 0, 0, false);
		for (const struct step *s = scene->steps; s->act != STOP; s++)
			check(&t, scene, s);
	}
}

static void
names_the_reasons(void **state)
{
	(void)state;
	assert_string_equal(trigger_name(0), "");
	assert_string_equal(trigger_name(TRIGGER_HEALTHY), "healthy");
	assert_string_equal(trigger_name(TRIGGER_EVERY), "every");
	assert_string_equal(trigger_name(TRIGGER_HEALTHY | TRIGGER_EVERY),
	    "healthy+every");
	assert_string_equal(trigger_name(TRIGGER_CRON), "cron");
	assert_string_equal(trigger_name(
				TRIGGER_HEALTHY | TRIGGER_EVERY | TRIGGER_CRON),
	    "healthy+every+cron");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plays_every_scene),
		cmocka_unit_test(names_the_reasons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
