/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Safety, at every ack: the message was processed, or a copy of it is in a
 * queue and its publisher has been told so. At every copy: it carries what it
 * must and nothing that would lose or divert it, and on a calm day it has
 * forgotten no attempt. At every delivery: it is not early. At every settling:
 * it was not held too long. At every attempt in an ordered world: its process
 * has no other one under way. Liveness, at the end: every message has been
 * processed or is a dead letter, nothing is under way, and the broker was not
 * stormed on the way. All that whatever the consumers are told to reload.
 */
#include "tests/sim/world.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/conf.h"
#include "lib/log.h"
#include "lib/xalloc.h"
#include "tests/sim/fakes.h"
#include "tests/sim/letters.h"
#include "tests/sim/model.h"
#include "tests/sim/process.h"
#include "tests/sim/reloads.h"
#include "tests/sim/sim_loop.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/trouble.h"

#define CONSUMERS  2
#define PROCESSES  4 /* the rest of them redrives */
#define TROUBLE_US (120 * INT64_C(1000000))
#define QUIET_US   (200 * INT64_C(1000000))
#define DRAIN_US   (120 * INT64_C(1000000))
#define PEACE_US   (4 * 3600 * INT64_C(1000000))
#define LOOK_US	   INT64_C(1000000)
#define MESSAGES   120
/* How long an outage lasts, and how many processes a culprit may kill. */
#define OUTAGE_US  (6 * 3600 * INT64_C(1000000))
#define MAX_DEATHS 12
/* hold_max, drain_timeout, and what it takes to see that a peer is dead. */
#define HOLD_MAX_MS (60000 + 20000 + 40000)
/* A storm is more of anything than this, and so much more in a second. */
#define MAX_CONNECTIONS 100
#define MAX_CHANNELS	300
#define MAX_PUBLISHES	400
#define MAX_SUSPECTS	4000
#define MAX_STEPS	UINT64_C(20000000)
#define WORK_QUEUE	"orders"
#define DEAD_LETTERS	"orders.dlq"
#define PARKED		"orders.parked"

struct message {
	enum letter letter;
	bool poison;
	bool dead;
	bool dead_of_crash;
	bool deleted; /* a copy of it went with its queue */
	unsigned processed, attempts;
};

struct world {
	struct world_report *report;
	struct loop *loop;
	struct model *model;
	struct fakes *fakes;
	struct process *processes[PROCESSES];
	struct loop_timer *producer;
	struct trouble *trouble;
	struct reloads *reloads;
	unsigned next;
	uint64_t steps;
	int64_t look_us; /* when to look for peace again */
	struct message messages[MESSAGES];
	bool consumers_end; /* asked to, too */
};

static void
violated(struct world *world, const char *what)
{
	if (world->report->violation[0] == '\0')
		snprintf(world->report->violation,
		    sizeof(world->report->violation), "at %.3f s: %s",
		    (double)loop_now_ms(world->loop) / 1000, what);
}

static void
on_violation(void *arg, const char *what)
{
	violated(arg, what);
}

static void
on_acked(void *arg, uint32_t lineage, const char *queue, unsigned safe)
{
	struct world *world = arg;
	char what[128];

	assert(lineage < MESSAGES);
	if (safe > 0 || world->messages[lineage].processed > 0 ||
	    world->messages[lineage].deleted)
		return;
	snprintf(what, sizeof(what),
	    "message %u of %s was acked: not "
	    "processed, and no confirmed copy is left",
	    lineage, queue);
	violated(world, what);
}

static void
on_overlapped(void *arg, uint32_t lineage)
{
	char what[128];

	snprintf(what, sizeof(what),
	    "message %u was tried while another one was", lineage);
	violated(arg, what);
}

static void
on_published(void *arg, const struct model_sight *sight)
{
	struct world *world = arg;
	int64_t attempt;
	const char *error = letter_copy_error(sight->props, sight->props_len,
	    sight->lineage, &attempt);
	char what[128];

	assert(sight->lineage < MESSAGES);
	if (error == NULL &&
	    attempt > (int64_t)world->messages[sight->lineage].attempts)
		error = "it tells of attempts that never were";
	if (error == NULL && world->report->calm &&
	    attempt < (int64_t)world->messages[sight->lineage].attempts)
		error = "it has forgotten attempts";
	if (letter_says(sight->props, sight->props_len, "dlo-class",
		"crash.suspected"))
		world->report->suspects++;
	if (error == NULL)
		return;
	snprintf(what, sizeof(what), "the copy of message %u for %s: %s",
	    sight->lineage, sight->place, error);
	violated(world, what);
}

static void
on_delivered(void *arg, const struct model_sight *sight)
{
	struct world *world = arg;
	char what[128];
	int64_t early_ms;

	if (strcmp(sight->place, WORK_QUEUE) != 0)
		return;
	if (sight->returns > world->report->most_returns)
		world->report->most_returns = sight->returns;
	early_ms = letter_due_ms(sight->props, sight->props_len) -
	    loop_wall_ms(world->loop);
	if (early_ms <= 0)
		return;
	snprintf(what, sizeof(what), "message %u is %lld ms early",
	    sight->lineage, (long long)early_ms);
	violated(world, what);
}

static void
on_deleted(void *arg, uint32_t lineage)
{
	((struct world *)arg)->messages[lineage].deleted = true;
}

static void
on_attempt(void *arg, uint32_t lineage, enum outcome outcome)
{
	struct world *world = arg;
	struct message *message;

	assert(lineage < MESSAGES);
	message = &world->messages[lineage];
	message->attempts++;
	world->report->attempts++;
	if (outcome == OUTCOME_OK)
		message->processed++;
}

static bool
on_kills(void *arg, uint32_t lineage)
{
	return ((struct world *)arg)->messages[lineage].poison;
}

/* The producer. */

/* No redrive runs, which would try again what is dead. */
static bool
is_final(const struct world *world)
{
	return world->report->calm || world->report->poison ||
	    world->report->outage;
}

static enum letter
draw_letter(struct world *world)
{
	static const enum letter rare[] = { LETTER_BIG, LETTER_HUGE,
		LETTER_DEEP };

	if (world->report->calm || world->report->outage ||
	    world->messages[world->next].poison || sim_chance(world->loop, 0.5))
		return LETTER_PLAIN;
	if (sim_chance(world->loop, 0.02))
		return rare[sim_below(world->loop, array_len(rare))];
	return (enum letter)sim_below(world->loop, LETTER_DEEP);
}

static void
produce(void *arg)
{
	struct world *world = arg;
	struct message *message = &world->messages[world->next];
	uint8_t body[64] = { 0 };
	struct buf props = { 0 };
	size_t len = 4 + (size_t)sim_below(world->loop, sizeof(body) - 4);

	body[2] = (uint8_t)(world->next >> 8);
	body[3] = (uint8_t)world->next;
	message->letter = draw_letter(world);
	letter_write(message->letter, world->next, world->loop, &props);
	if (model_publish_raw(world->model, WORK_QUEUE, body, len,
		buf_peek(&props), props.len))
		world->next++;
	buf_clear(&props);
	if (world->next < MESSAGES)
		loop_timer_start(world->loop, world->producer,
		    (int64_t)sim_below(world->loop, 1000));
	else if (world->report->outage)
		/* Others that we do not simulate had them, again and again. */
		model_age(world->model, WORK_QUEUE, 40);
}

/* The end. */

static bool
is_broken(const struct world *world)
{
	return world->report->violation[0] != '\0';
}

/* A loop that turns on and on without getting anywhere. */
static bool
count_step(struct world *world)
{
	if (++world->steps == MAX_STEPS)
		violated(world, "it goes round and round");
	return is_broken(world);
}

/* All that is left is dead. */
static bool
is_settled(void *arg)
{
	struct world *world = arg;

	return count_step(world) ||
	    (world->next == MESSAGES &&
		model_total(world->model) ==
		    model_depth(world->model, DEAD_LETTERS) +
			model_depth(world->model, PARKED));
}

static void
look_for_redrivable(void *arg, const struct model_sight *sight)
{
	bool *found = arg;

	*found = *found ||
	    !letter_says(sight->props, sight->props_len, "dlo-reason",
		"malformed");
}

/* ... and redrive has brought back what it may. */
static bool
is_at_peace(void *arg)
{
	struct world *world = arg;
	int64_t now_us = loop_now_us(world->loop);
	bool left = false;

	if (is_broken(world))
		return true;
	if (now_us < TROUBLE_US + QUIET_US || now_us < world->look_us ||
	    !is_settled(world))
		return false;
	/* Not at every step: it takes long. */
	world->look_us = now_us + LOOK_US;
	if (!is_final(world))
		model_each(world->model, DEAD_LETTERS, look_for_redrivable,
		    &left);
	return !left;
}

static void
count_dead(void *arg, const struct model_sight *sight)
{
	struct world *world = arg;
	struct message *message = &world->messages[sight->lineage];
	char what[128];

	message->dead = true;
	message->dead_of_crash =
	    letter_says(sight->props, sight->props_len, "dlo-reason", "crash");
	if (message->dead_of_crash && !message->poison) {
		snprintf(what, sizeof(what),
		    "message %u is dead as crash, and innocent",
		    sight->lineage);
		violated(world, what);
	}
	if (!letter_says(sight->props, sight->props_len, "dlo-reason",
		"malformed") ||
	    letter_may_be_malformed(message->letter))
		return;
	snprintf(what, sizeof(what), "message %u is dead as malformed",
	    sight->lineage);
	violated(world, what);
}

static void
check_poison(struct world *world, const struct message *message, unsigned i)
{
	char what[128];

	if (!message->poison)
		return;
	world->report->culprits++;
	if (message->dead_of_crash || message->deleted)
		return;
	snprintf(what, sizeof(what), "message %u kills, and is not dead of it",
	    i);
	violated(world, what);
}

static void
check_deaths(struct world *world)
{
	struct world_report *report = world->report;
	char what[128];

	for (int i = 0; i < CONSUMERS; i++)
		report->deaths += process_deaths(world->processes[i]);
	if (report->deaths <= MAX_DEATHS * report->culprits)
		return;
	snprintf(what, sizeof(what), "%u messages killed %u times",
	    report->culprits, report->deaths);
	violated(world, what);
}

static void
check_outage(struct world *world)
{
	char what[128];

	if (world->report->dead == 0 && world->report->most_returns >= 10)
		return;
	snprintf(what, sizeof(what),
	    "an outage: %u dead, none taken back more than %u times",
	    world->report->dead, world->report->most_returns);
	violated(world, what);
}

static bool
all_over(void *arg)
{
	struct world *world = arg;
	int i;

	for (i = 0; i < PROCESSES; i++)
		if (!process_is_over(world->processes[i]) &&
		    (i >= CONSUMERS || world->consumers_end))
			return false;
	return true;
}

static void
check_calm(struct world *world, const struct message *message, unsigned i)
{
	char what[128];

	if (message->attempts <= 6 && message->processed <= 1 &&
	    (message->processed == 0 || !message->dead))
		return;
	snprintf(what, sizeof(what),
	    "message %u on a calm day: %u attempts, processed %u times%s", i,
	    message->attempts, message->processed,
	    message->dead ? ", and dead" : "");
	violated(world, what);
}

static void
check_load(struct world *world)
{
	const struct model_load *load = model_load(world->model);
	uint64_t s = (uint64_t)loop_now_ms(world->loop) / 1000;
	char what[160];

	world->report->load = *load;
	if (load->connections <= MAX_CONNECTIONS + s / 10 &&
	    load->channels <= MAX_CHANNELS + s &&
	    load->publishes - world->report->suspects <=
		MAX_PUBLISHES + s / 2 &&
	    world->report->suspects <= MAX_SUSPECTS)
		return;
	snprintf(what, sizeof(what),
	    "a storm: %" PRIu64 " connections, %" PRIu64 " channels, %" PRIu64
	    " publishes, %u of them of suspects",
	    load->connections, load->channels, load->publishes,
	    world->report->suspects);
	violated(world, what);
}

static void
check_end(struct world *world)
{
	struct world_report *report = world->report;
	char what[128];
	unsigned i;

	model_each(world->model, DEAD_LETTERS, count_dead, world);
	model_each(world->model, PARKED, count_dead, world);
	for (i = 0; i < world->next; i++) {
		const struct message *message = &world->messages[i];

		report->messages++;
		report->processed += message->processed > 0;
		report->twice += message->processed > 1;
		report->dead += message->dead;
		if (message->processed == 0 && !message->dead &&
		    !message->deleted) {
			snprintf(what, sizeof(what), "message %u is lost", i);
			violated(world, what);
		}
		if (message->attempts == 0 && message->dead &&
		    !message->poison &&
		    !letter_may_die_untried(message->letter)) {
			snprintf(what, sizeof(what),
			    "message %u of kind %d is dead, and was not tried",
			    i, (int)message->letter);
			violated(world, what);
		}
		if (report->calm)
			check_calm(world, message, i);
		check_poison(world, message, i);
	}
	check_deaths(world);
	if (report->outage)
		check_outage(world);
}

static void
make_peace(struct world *world)
{
	trouble_end(world->trouble);
	world->report->trouble = *trouble_count(world->trouble);
	reloads_end(world->reloads);
	fakes_set_failing(world->fakes, world->report->outage ? 0 : 0.05);
	fakes_set_down(world->fakes, false);
}

static bool
trouble_is_over(void *arg)
{
	struct world *world = arg;

	int64_t us = world->report->outage ? OUTAGE_US : TROUBLE_US;

	return count_step(world) || loop_now_us(world->loop) > us;
}

static bool
run_for(struct world *world, int64_t us, bool (*done)(void *arg))
{
	return sim_loop_run_until(world->loop, loop_now_us(world->loop) + us,
	    done, world);
}

static void
not_settled(struct world *world)
{
	char what[160];

	snprintf(what, sizeof(what),
	    "not settled: %zu in the work queue, %zu dead, %zu in all",
	    model_depth(world->model, WORK_QUEUE),
	    model_depth(world->model, DEAD_LETTERS), model_total(world->model));
	violated(world, what);
}

/* Redrive first: what it has just moved still needs the consumers. */
static void
end_processes(struct world *world)
{
	char what[160];
	int i;

	for (i = CONSUMERS; i < PROCESSES; i++)
		process_drain(world->processes[i]);
	if (!run_for(world, DRAIN_US, all_over))
		violated(world, "a redrive did not end when asked to");
	if (!run_for(world, PEACE_US, is_settled))
		not_settled(world);
	world->consumers_end = true;
	for (i = 0; i < CONSUMERS; i++)
		process_drain(world->processes[i]);
	if (!run_for(world, DRAIN_US, all_over))
		violated(world, "a consumer did not end when asked to");
	for (i = 0; i < PROCESSES; i++) {
		world->report->failures +=
		    process_failures(world->processes[i]);
		if (process_exit_code(world->processes[i]) == 0)
			continue;
		snprintf(what, sizeof(what), "a daemon ended with %d",
		    process_exit_code(world->processes[i]));
		violated(world, what);
	}
	/* At its start a daemon may find that a queue is not there. */
	if (world->report->failures >
	    world->report->trouble.deletions * PROCESSES)
		violated(world, "a daemon ended at its start");
}

static void
world_live(struct world *world)
{
	(void)run_for(world, OUTAGE_US + 1, trouble_is_over);
	make_peace(world);
	if (!run_for(world, PEACE_US, is_at_peace))
		not_settled(world);
	end_processes(world);
	check_end(world);
	check_load(world);
}

/* Putting it up and taking it down. */

static const struct model_hooks model_hooks = {
	.acked = on_acked,
	.violation = on_violation,
	.published = on_published,
	.delivered = on_delivered,
	.deleted = on_deleted,
};

static int64_t
world_clock(void *arg)
{
	return loop_wall_ms(((struct world *)arg)->loop);
}

static void
make_trouble(struct world *world)
{
	const struct trouble_env env = {
		.loop = world->loop,
		.model = world->model,
		.fakes = world->fakes,
		.processes = world->processes,
		.process_count = is_final(world) ? CONSUMERS : PROCESSES,
		.work_queue = WORK_QUEUE,
		.outage = world->report->outage,
	};

	world->trouble = trouble_new(&env);
	if (!world->report->calm)
		trouble_start(world->trouble);
}

/* What is special about this world. */
static void
prepare(struct world *world)
{
	unsigned culprits = 1 + (unsigned)sim_below(world->loop, 3);

	if (world->report->outage) {
		fakes_set_failing(world->fakes, 0);
		fakes_set_rejecting(world->fakes, 0);
		fakes_set_down(world->fakes, true);
	}
	for (unsigned i = 0; world->report->poison && i < culprits; i++)
		world->messages[sim_below(world->loop, MESSAGES)].poison = true;
}

static void
world_open(struct world *world, uint64_t seed)
{
	const struct reloads_kind kind = {
		.calm = world->report->calm,
		.ordered = world->report->ordered,
		.outage = world->report->outage,
		.more = seed % WORLD_MORE_EVERY == 0,
	};
	struct fakes_hooks hooks = { .attempt = on_attempt, .arg = world };
	struct process_env env;
	struct loop *loop;
	int i;

	loop = world->loop = sim_loop_new(seed);
	log_set_clock(world_clock, world);
	world->model = model_new(loop, &model_hooks, world);
	if (world->report->ordered)
		hooks.overlapped = on_overlapped;
	if (world->report->poison)
		hooks.kills = on_kills;
	world->fakes = fakes_new(loop, &hooks);
	env = (struct process_env){ loop, world->model, world->fakes,
		reloads_base(&kind) };
	world->producer = loop_timer_new(loop, produce, world);
	make_trouble(world);
	model_set_hold_max(world->model, HOLD_MAX_MS);
	fakes_set_failing(world->fakes, loop_random_unit(loop) * 0.5);
	fakes_set_rejecting(world->fakes, 0.1);
	prepare(world);
	for (i = 0; i < PROCESSES; i++) {
		world->processes[i] =
		    process_new(i < CONSUMERS ? PROCESS_CONSUMER
					      : PROCESS_REDRIVE,
			&env);
		/* Redriven messages are tried again: not on a calm day. */
		if (i < CONSUMERS || !is_final(world))
			process_start(world->processes[i], i * 500);
	}
	loop_timer_start(loop, world->producer, 5000);
	world->reloads = reloads_new(loop, world->processes, CONSUMERS, &kind);
	if (seed % WORLD_RELOADED_OF < WORLD_RELOADED &&
	    !world->report->outage && !world->report->poison)
		reloads_start(world->reloads);
}

static bool
is_quiet(void *arg)
{
	return model_is_alone(((struct world *)arg)->model);
}

static void
world_close(struct world *world)
{
	struct loop *loop = world->loop;
	int i;

	for (i = 0; i < PROCESSES; i++)
		(void)process_kill(world->processes[i]);
	loop_timer_free(loop, world->producer);
	trouble_free(world->trouble);
	world->report->reloads = reloads_count(world->reloads);
	reloads_free(world->reloads);
	if (!run_for(world, DRAIN_US, is_quiet))
		violated(world, "a connection outlived its daemon");
	loop_run_tasks(loop);
	for (i = 0; i < PROCESSES; i++)
		process_free(world->processes[i]);
	fakes_free(world->fakes);
	model_free(world->model);
	loop_free(loop);
	log_set_clock(NULL, NULL);
}

bool
world_run(uint64_t seed, struct world_report *report)
{
	struct world *world = xcalloc(1, sizeof(*world));

	memset(report, 0, sizeof(*report));
	report->seed = seed;
	report->calm = seed % WORLD_CALM_EVERY == 0;
	report->ordered = seed % WORLD_ORDERED_EVERY == WORLD_ORDERED_FIRST;
	report->poison = seed % WORLD_POISON_EVERY == WORLD_POISON_FIRST;
	report->outage = seed % WORLD_OUTAGE_EVERY == WORLD_OUTAGE_FIRST;
	world->report = report;
	world_open(world, seed);
	world_live(world);
	report->virtual_ms = loop_now_ms(world->loop);
	world_close(world);
	free(world);
	return report->violation[0] == '\0';
}
