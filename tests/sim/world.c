/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Safety, at every ack: the message was processed, or a copy of it is in a
 * queue and its publisher has been told so. Liveness, at the end: every
 * message has been processed or is a dead letter, and nothing is under way.
 */
#include "tests/sim/world.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/conf.h"
#include "lib/log.h"
#include "lib/xalloc.h"
#include "tests/sim/fakes.h"
#include "tests/sim/model.h"
#include "tests/sim/process.h"
#include "tests/sim/sim_loop.h"
#include "tests/sim/sim_net.h"

#define CONSUMERS    2
#define PROCESSES    4 /* the rest of them redrives */
#define TROUBLE_US   (120 * INT64_C(1000000))
#define QUIET_US     (200 * INT64_C(1000000))
#define DRAIN_US     (120 * INT64_C(1000000))
#define PEACE_US     (4 * 3600 * INT64_C(1000000))
#define MESSAGES     120
#define WORK_QUEUE   "orders"
#define DEAD_LETTERS "orders.dlq"
#define PARKED	     "orders.parked"

struct message {
	bool dead;
	unsigned processed, attempts;
};

struct world {
	struct world_report *report;
	struct loop *loop;
	struct model *model;
	struct conf *conf;
	struct fakes *fakes;
	struct process *processes[PROCESSES];
	struct loop_timer *producer, *trouble, *relief;
	void (*relieve)(struct world *); /* ends the trouble under way */
	unsigned next;
	struct message messages[MESSAGES];
	struct model_trouble rates;
	double trouble_per_s;
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
	if (safe > 0 || world->messages[lineage].processed > 0)
		return;
	snprintf(what, sizeof(what),
	    "message %u of %s was acked: not "
	    "processed, and no confirmed copy is left",
	    lineage, queue);
	violated(world, what);
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

/* Troubles. */

static void
relieve_nothing(struct world *world)
{
	(void)world;
}

static void
relieve_listen(struct world *world)
{
	int i;

	for (i = 0; i < PROCESSES; i++)
		sim_net_listen(process_net(world->processes[i]), true);
}

static void
relieve_block(struct world *world)
{
	model_block(world->model, false);
}

static void
relieve_unbind(struct world *world)
{
	model_unbind(world->model, "dlo.dead", false);
	model_unbind(world->model, "dlo.retry.orders", false);
	model_unbind(world->model, "dlo.retry.orders.3", false);
}

static void
relieve_mood(struct world *world)
{
	fakes_set_down(world->fakes, false);
}

static void
make_restart(struct world *world)
{
	int i;

	for (i = 0; i < PROCESSES; i++) {
		sim_net_listen(process_net(world->processes[i]), false);
		sim_net_cut(process_net(world->processes[i]), 1);
	}
	model_restart(world->model);
	world->report->restarts++;
	world->relieve = relieve_listen;
}

static void
make_cut(struct world *world)
{
	int i;

	for (i = 0; i < PROCESSES; i++)
		sim_net_cut(process_net(world->processes[i]), 0.5);
	world->report->cuts++;
}

static void
make_kill(struct world *world)
{
	struct process *process =
	    world->processes[sim_below(world->loop, PROCESSES)];

	if (process_kill(process))
		world->report->kills++;
	process_start(process, (int64_t)sim_below(world->loop, 8000));
}

static void
make_unbind(struct world *world)
{
	static const char *const exchanges[] = { "dlo.dead", "dlo.retry.orders",
		"dlo.retry.orders.3" };

	model_unbind(world->model,
	    exchanges[sim_below(world->loop, array_len(exchanges))], true);
	world->relieve = relieve_unbind;
}

static void
make_block(struct world *world)
{
	model_block(world->model, true);
	world->relieve = relieve_block;
}

static void
make_cancel(struct world *world)
{
	model_cancel_consumers(world->model, WORK_QUEUE);
}

static void
make_channel_error(struct world *world)
{
	model_close_a_channel(world->model);
}

static void
make_outage(struct world *world)
{
	fakes_set_down(world->fakes, true);
	world->relieve = relieve_mood;
}

static void
trouble_next(struct world *world)
{
	double mean_ms = 1000 / world->trouble_per_s;

	loop_timer_start(world->loop, world->trouble,
	    (int64_t)sim_below(world->loop, (uint64_t)(2 * mean_ms)));
}

static void
trouble_strikes(void *arg)
{
	static void (*const makers[])(struct world *) = { make_restart,
		make_cut, make_cut, make_kill, make_kill, make_unbind,
		make_block, make_cancel, make_channel_error, make_outage };
	struct world *world = arg;

	if (loop_now_us(world->loop) > TROUBLE_US)
		return;
	/* One lasting trouble at a time; the short ones come as they like. */
	if (!loop_timer_pending(world->loop, world->relief)) {
		world->relieve = relieve_nothing;
		makers[sim_below(world->loop, array_len(makers))](world);
		loop_timer_start(world->loop, world->relief,
		    500 + (int64_t)sim_below(world->loop, 20000));
	}
	trouble_next(world);
}

static void
trouble_relieved(void *arg)
{
	struct world *world = arg;

	world->relieve(world);
}

/* The producer. */

static void
produce(void *arg)
{
	struct world *world = arg;
	uint8_t body[64] = { 0 };
	char id[32];
	size_t len = 4 + (size_t)sim_below(world->loop, sizeof(body) - 4);
	int64_t expiration_ms = 0;

	body[2] = (uint8_t)(world->next >> 8);
	body[3] = (uint8_t)world->next;
	snprintf(id, sizeof(id), "order-%u", world->next);
	if (!world->report->calm && sim_chance(world->loop, 0.1))
		expiration_ms = 1000 + (int64_t)sim_below(world->loop, 60000);
	if (model_publish(world->model, WORK_QUEUE, body, len, id,
		expiration_ms))
		world->next++;
	if (world->next < MESSAGES)
		loop_timer_start(world->loop, world->producer,
		    (int64_t)sim_below(world->loop, 1000));
}

/* The end. */

static bool
is_broken(const struct world *world)
{
	return world->report->violation[0] != '\0';
}

/* All that is left is dead. */
static bool
is_settled(void *arg)
{
	struct world *world = arg;

	return is_broken(world) ||
	    (world->next == MESSAGES &&
		model_total(world->model) ==
		    model_depth(world->model, DEAD_LETTERS) +
			model_depth(world->model, PARKED));
}

/* ... and redrive has had the time to bring back what it may. */
static bool
is_at_peace(void *arg)
{
	struct world *world = arg;

	return is_broken(world) ||
	    (loop_now_us(world->loop) > TROUBLE_US + QUIET_US &&
		is_settled(world));
}

static void
count_dead(void *arg, uint32_t lineage)
{
	((struct world *)arg)->messages[lineage].dead = true;
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
		if (message->processed == 0 && !message->dead) {
			snprintf(what, sizeof(what), "message %u is lost", i);
			violated(world, what);
		}
		if (report->calm)
			check_calm(world, message, i);
	}
}

static void
make_peace(struct world *world)
{
	static const struct model_trouble none = { 0 };

	loop_timer_stop(world->loop, world->trouble);
	if (loop_timer_pending(world->loop, world->relief)) {
		loop_timer_stop(world->loop, world->relief);
		world->relieve(world);
	}
	model_set_trouble(world->model, &none);
	fakes_set_failing(world->fakes, 0.05);
}

static bool
trouble_is_over(void *arg)
{
	struct world *world = arg;

	return is_broken(world) || loop_now_us(world->loop) > TROUBLE_US;
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
		if (process_exit_code(world->processes[i]) == 0)
			continue;
		snprintf(what, sizeof(what), "a daemon ended with %d",
		    process_exit_code(world->processes[i]));
		violated(world, what);
	}
}

static void
world_live(struct world *world)
{
	(void)run_for(world, TROUBLE_US + 1, trouble_is_over);
	make_peace(world);
	if (!run_for(world, PEACE_US, is_at_peace))
		not_settled(world);
	end_processes(world);
	check_end(world);
}

/* Putting it up and taking it down. */

static struct conf *
world_conf(bool calm)
{
	static struct conf *kept[2];
	struct conf_errors errors = { 0 };
	char path[] = "sim-XXXXXX.yaml";
	int fd;

	if (kept[calm] != NULL)
		return kept[calm];
	fd = mkstemps(path, 5);
	if (fd == -1)
		abort();
	dprintf(fd,
	    "version: 1\n"
	    "broker: {user: guest, password: guest}\n"
	    "downstreams:\n"
	    "  payments:\n"
	    "    http: {url: \"http://sim/\"}\n"
	    "    probe: {tcp: {address: \"sim:1\"}}\n"
	    "    breaker: {failures: %d}\n"
	    "pipelines:\n"
	    "  orders:\n"
	    "    queue: {name: orders, declare: {type: quorum}}\n"
	    "    downstream: payments\n"
	    "    prefetch: 16\n"
	    "    concurrency: 8\n"
	    "    retry: {cap: 30s}\n"
	    "    redrive:\n"
	    "      when: [healthy, {every: 40s}]\n"
	    "      cooldown: 5s\n"
	    "      max_redrives: 2\n"
	    "consumer: {hold_max: 1m, drain_timeout: 20s}\n",
	    calm ? 1000 : 5);
	close(fd);
	kept[calm] =
	    conf_load(path, CONF_ROLE_CONSUMER | CONF_ROLE_REDRIVE, &errors);
	if (kept[calm] == NULL) {
		conf_errors_print(&errors, stderr);
		abort();
	}
	unlink(path);
	conf_errors_clear(&errors);
	return kept[calm];
}

static const struct model_hooks model_hooks = { on_acked, on_violation };

static int64_t
world_clock(void *arg)
{
	return loop_wall_ms(((struct world *)arg)->loop);
}

static void
world_open(struct world *world, uint64_t seed)
{
	struct fakes_hooks hooks = { on_attempt, world };
	struct process_env env;
	struct loop *loop;
	int i;

	loop = world->loop = sim_loop_new(seed);
	log_set_clock(world_clock, world);
	world->conf = world_conf(world->report->calm);
	world->model = model_new(loop, &model_hooks, world);
	world->fakes = fakes_new(loop, &hooks);
	env = (struct process_env){ loop, world->model, world->fakes,
		world->conf };
	world->producer = loop_timer_new(loop, produce, world);
	world->trouble = loop_timer_new(loop, trouble_strikes, world);
	world->relief = loop_timer_new(loop, trouble_relieved, world);
	world->relieve = relieve_nothing;
	fakes_set_failing(world->fakes, loop_random_unit(loop) * 0.5);
	fakes_set_rejecting(world->fakes, 0.03);
	if (!world->report->calm) {
		world->rates.nack = sim_chance(loop, 0.5) ? 0.1 : 0;
		world->rates.late = sim_chance(loop, 0.5) ? 0.05 : 0;
		world->rates.vanish = 0.2;
		world->trouble_per_s = 0.05 + loop_random_unit(loop) * 0.5;
		trouble_next(world);
	}
	model_set_trouble(world->model, &world->rates);
	for (i = 0; i < PROCESSES; i++) {
		world->processes[i] =
		    process_new(i < CONSUMERS ? PROCESS_CONSUMER
					      : PROCESS_REDRIVE,
			&env);
		/* Redriven messages are tried again: not on a calm day. */
		if (i < CONSUMERS || !world->report->calm)
			process_start(world->processes[i], i * 500);
	}
	loop_timer_start(loop, world->producer, 5000);
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
	loop_timer_free(loop, world->trouble);
	loop_timer_free(loop, world->relief);
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
	world->report = report;
	world_open(world, seed);
	world_live(world);
	report->virtual_ms = loop_now_ms(world->loop);
	world_close(world);
	free(world);
	return report->violation[0] == '\0';
}
