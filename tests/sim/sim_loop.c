/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/sim/sim_loop.h"

#include <assert.h>
#include <stdlib.h>

#include "lib/timers.h"
#include "lib/xalloc.h"

struct sim_loop {
	struct loop base;
	int64_t now_us;
	uint64_t random;
	bool stopped;
	struct timers timers;
};

static struct sim_loop *
sim_of(struct loop *loop)
{
	return container_of(loop, struct sim_loop, base);
}

static int64_t
sim_now_us(struct loop *loop)
{
	return sim_of(loop)->now_us;
}

static int64_t
sim_wall_ms(struct loop *loop)
{
	return SIM_EPOCH_MS + sim_of(loop)->now_us / 1000;
}

/* splitmix64 (Steele, Lea, Flood 2014): small, and good enough here. */
static uint64_t
sim_random(struct loop *loop)
{
	uint64_t z = (sim_of(loop)->random += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static struct loop_timer *
sim_timer_new(struct loop *loop, loop_cb *cb, void *arg)
{
	return timers_new(&sim_of(loop)->timers, loop, cb, arg);
}

static void
sim_timer_start(struct loop_timer *timer, int64_t delay_us)
{
	timers_start(timer,
	    sim_of(timer->loop)->now_us + (delay_us > 0 ? delay_us : 0));
}

static struct loop_fd *
sim_fd_new(struct loop *loop, int fd, loop_fd_cb *cb, void *arg)
{
	(void)loop;
	(void)fd;
	(void)cb;
	(void)arg;
	abort(); /* code under simulation must do no I/O */
}

static void
sim_fd_want(struct loop_fd *watch, unsigned events)
{
	(void)watch;
	(void)events;
	abort();
}

static void
sim_fd_free(struct loop_fd *watch)
{
	(void)watch;
	abort();
}

/* Tasks run at the end of each step anyway. */
static void
sim_wake(struct loop *loop)
{
	(void)loop;
}

static void
sim_run(struct loop *loop)
{
	sim_of(loop)->stopped = false;
	while (!sim_of(loop)->stopped && sim_loop_step(loop))
		continue;
}

static void
sim_stop(struct loop *loop)
{
	sim_of(loop)->stopped = true;
}

static void
sim_free(struct loop *loop)
{
	struct sim_loop *sim = sim_of(loop);

	assert(timers_first(&sim->timers) == NULL);
	timers_clear(&sim->timers);
	free(sim);
}

static const struct loop_ops sim_ops = {
	.now_us = sim_now_us,
	.turn_us = sim_now_us,
	.wall_ms = sim_wall_ms,
	.random = sim_random,
	.timer_new = sim_timer_new,
	.timer_start = sim_timer_start,
	.timer_stop = timers_stop,
	.timer_pending = timers_pending,
	.timer_free = timers_free,
	.fd_new = sim_fd_new,
	.fd_want = sim_fd_want,
	.fd_free = sim_fd_free,
	.wake = sim_wake,
	.run = sim_run,
	.stop = sim_stop,
	.free = sim_free,
};

struct loop *
sim_loop_new(uint64_t seed)
{
	struct sim_loop *sim = xcalloc(1, sizeof(*sim));

	loop_init(&sim->base, &sim_ops);
	sim->random = seed;
	return &sim->base;
}

bool
sim_loop_step(struct loop *loop)
{
	struct sim_loop *sim = sim_of(loop);
	struct loop_timer *timer;

	loop_run_tasks(loop);
	timer = timers_first(&sim->timers);
	if (timer == NULL)
		return false;
	timers_stop(timer);
	if (timer->due_us > sim->now_us)
		sim->now_us = timer->due_us;
	timer->cb(timer->arg);
	loop_run_tasks(loop);
	return true;
}

bool
sim_loop_run_until(struct loop *loop, int64_t until_us, bool (*done)(void *arg),
    void *arg)
{
	while (!done(arg)) {
		if (sim_of(loop)->now_us >= until_us || !sim_loop_step(loop))
			return done(arg);
	}
	return true;
}

uint64_t
sim_below(struct loop *loop, uint64_t n)
{
	return n == 0 ? 0 : loop_random(loop) % n;
}

bool
sim_chance(struct loop *loop, double probability)
{
	return loop_random_unit(loop) < probability;
}
