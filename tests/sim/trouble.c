/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/sim/trouble.h"

#include <stdlib.h>

#include "lib/xalloc.h"
#include "tests/sim/sim_loop.h"

/* All processes have started by then. */
#define START_MS 2000

struct trouble {
	struct trouble_env env;
	struct loop_timer *next, *relief;
	void (*relieve)(struct trouble *); /* ends the one under way */
	int64_t longest_ms;		   /* that one may last */
	double per_s;
	struct model_trouble rates;
	struct trouble_count count;
};

static struct sim_net *
net_of(const struct trouble *t, size_t i)
{
	return process_net(t->env.processes[i]);
}

static const char *
draw(struct trouble *t, const char *const *names, size_t count)
{
	return names[sim_below(t->env.loop, count)];
}

static void
relieve_nothing(struct trouble *t)
{
	(void)t;
}

static void
relieve_listen(struct trouble *t)
{
	for (size_t i = 0; i < t->env.process_count; i++)
		sim_net_listen(net_of(t, i), true);
}

static void
relieve_block(struct trouble *t)
{
	model_block(t->env.model, false);
}

static void
relieve_flow(struct trouble *t)
{
	model_flow(t->env.model, true);
}

static void
relieve_rates(struct trouble *t)
{
	model_set_trouble(t->env.model, &t->rates);
}

static const char *const bound[] = { "dlo.dead", "dlo.retry.orders",
	"dlo.retry.orders.3", "dlo.redrive" };

static void
relieve_unbind(struct trouble *t)
{
	for (size_t i = 0; i < array_len(bound); i++)
		model_unbind(t->env.model, bound[i], false);
}

static void
relieve_mood(struct trouble *t)
{
	fakes_set_down(t->env.fakes, false);
}

static void
make_restart(struct trouble *t)
{
	for (size_t i = 0; i < t->env.process_count; i++) {
		sim_net_listen(net_of(t, i), false);
		sim_net_cut(net_of(t, i), 1);
	}
	model_restart(t->env.model);
	t->count.restarts++;
	t->relieve = relieve_listen;
}

static void
make_cut(struct trouble *t)
{
	for (size_t i = 0; i < t->env.process_count; i++)
		sim_net_cut(net_of(t, i), 0.5);
	t->count.cuts++;
}

static void
make_hang(struct trouble *t)
{
	for (size_t i = 0; i < t->env.process_count; i++)
		sim_net_hang(net_of(t, i), 0.3);
	t->count.hangs++;
}

static void
make_kill(struct trouble *t)
{
	struct process *process =
	    t->env.processes[sim_below(t->env.loop, t->env.process_count)];

	if (t->env.spares_processes)
		return;
	if (process_kill(process))
		t->count.kills++;
	process_start(process, (int64_t)sim_below(t->env.loop, 8000));
}

static void
make_unbind(struct trouble *t)
{
	model_unbind(t->env.model, draw(t, bound, array_len(bound)), true);
	t->relieve = relieve_unbind;
}

static void
make_deletion(struct trouble *t)
{
	static const char *const exchanges[] = { "dlo.dead", "dlo.redrive",
		"dlo.retry.orders", "dlo.retry.orders.3" };

	if (sim_chance(t->env.loop, 0.5))
		model_delete_queue(t->env.model, t->env.work_queue);
	else
		model_delete_exchange(t->env.model,
		    draw(t, exchanges, array_len(exchanges)));
	t->count.deletions++;
}

static void
make_block(struct trouble *t)
{
	model_block(t->env.model, true);
	t->relieve = relieve_block;
	/* At times for longer than anything may be held. */
	if (sim_chance(t->env.loop, 0.3))
		t->longest_ms = 150000;
}

static void
make_flow(struct trouble *t)
{
	model_flow(t->env.model, false);
	t->relieve = relieve_flow;
}

/* Every queue is full. */
static void
make_refusal(struct trouble *t)
{
	struct model_trouble rates = t->rates;

	rates.nack = 1;
	model_set_trouble(t->env.model, &rates);
	t->relieve = relieve_rates;
}

/* Who publishes or consumes loses his channel, through no fault of his own. */
static void
make_sickness(struct trouble *t)
{
	struct model_trouble rates = t->rates;

	rates.sick = 1;
	model_set_trouble(t->env.model, &rates);
	t->relieve = relieve_rates;
}

static void
make_cancel(struct trouble *t)
{
	model_cancel_consumers(t->env.model, t->env.work_queue);
}

static void
make_channel_error(struct trouble *t)
{
	model_close_a_channel(t->env.model);
}

static void
make_outage(struct trouble *t)
{
	fakes_set_down(t->env.fakes, true);
	t->relieve = relieve_mood;
}

static void
wait_for_next(struct trouble *t)
{
	double mean_ms = 1000 / t->per_s;

	loop_timer_start(t->env.loop, t->next,
	    (int64_t)sim_below(t->env.loop, (uint64_t)(2 * mean_ms)));
}

static void
draw_trouble(struct trouble *t)
{
	static void (*const makers[])(struct trouble *) = { make_restart,
		make_cut, make_cut, make_kill, make_kill, make_unbind,
		make_block, make_cancel, make_channel_error, make_outage,
		make_hang, make_deletion, make_flow, make_refusal,
		make_sickness };
	/* The first few are those of an outage. */
	size_t count = t->env.outage ? 5 : array_len(makers);

	makers[sim_below(t->env.loop, count)](t);
}

static void
strike(void *arg)
{
	struct trouble *t = arg;

	if (!loop_timer_pending(t->env.loop, t->relief)) {
		t->relieve = relieve_nothing;
		t->longest_ms = 20000;
		draw_trouble(t);
		loop_timer_start(t->env.loop, t->relief,
		    500 +
			(int64_t)sim_below(t->env.loop,
			    (uint64_t)t->longest_ms));
	}
	wait_for_next(t);
}

static void
relieve(void *arg)
{
	struct trouble *t = arg;

	t->relieve(t);
}

struct trouble *
trouble_new(const struct trouble_env *env)
{
	struct trouble *t = xcalloc(1, sizeof(*t));

	t->env = *env;
	t->next = loop_timer_new(env->loop, strike, t);
	t->relief = loop_timer_new(env->loop, relieve, t);
	t->relieve = relieve_nothing;
	return t;
}

void
trouble_free(struct trouble *t)
{
	loop_timer_free(t->env.loop, t->next);
	loop_timer_free(t->env.loop, t->relief);
	free(t);
}

void
trouble_start(struct trouble *t)
{
	struct loop *loop = t->env.loop;

	if (t->env.outage) {
		t->per_s = 1.0 / 300;
		wait_for_next(t);
		return;
	}
	t->rates.nack = sim_chance(loop, 0.5) ? 0.1 : 0;
	t->rates.late = sim_chance(loop, 0.5) ? 0.05 : 0;
	t->rates.mute = sim_chance(loop, 0.3) ? 0.01 : 0;
	t->rates.vanish = 0.2;
	t->per_s = 0.05 + loop_random_unit(loop) * 0.5;
	model_set_trouble(t->env.model, &t->rates);
	/* A broker that is ill at their very start may end the daemons. */
	loop_timer_start(loop, t->next, START_MS);
}

void
trouble_end(struct trouble *t)
{
	static const struct model_trouble none = { 0 };

	loop_timer_stop(t->env.loop, t->next);
	if (loop_timer_pending(t->env.loop, t->relief)) {
		loop_timer_stop(t->env.loop, t->relief);
		t->relieve(t);
	}
	model_set_trouble(t->env.model, &none);
}

const struct trouble_count *
trouble_count(const struct trouble *t)
{
	return &t->count;
}
