/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Timers wait in a binary heap ordered by due time, then by the order in
 * which they were started.
 */
#include "tests/sim/sim_loop.h"

#include <assert.h>
#include <stdlib.h>

#include "lib/xalloc.h"

#define NOT_QUEUED SIZE_MAX

struct loop_timer {
	struct sim_loop *sim;
	loop_cb *cb;
	void *arg;
	int64_t due_us;
	uint64_t order;
	size_t place; /* in the heap, or NOT_QUEUED */
};

struct sim_loop {
	struct loop base;
	int64_t now_us;
	uint64_t random, order;
	bool stopped;
	struct loop_timer **heap;
	size_t count, space;
};

static struct sim_loop *
sim_of(struct loop *loop)
{
	return container_of(loop, struct sim_loop, base);
}

static bool
timer_before(const struct loop_timer *a, const struct loop_timer *b)
{
	return a->due_us < b->due_us ||
	    (a->due_us == b->due_us && a->order < b->order);
}

static void
heap_put(struct sim_loop *sim, size_t place, struct loop_timer *timer)
{
	sim->heap[place] = timer;
	timer->place = place;
}

static void
heap_settle(struct sim_loop *sim, size_t place)
{
	struct loop_timer *timer = sim->heap[place];
	size_t child;

	while (place > 0 && timer_before(timer, sim->heap[(place - 1) / 2])) {
		heap_put(sim, place, sim->heap[(place - 1) / 2]);
		place = (place - 1) / 2;
	}
	while ((child = 2 * place + 1) < sim->count) {
		if (child + 1 < sim->count &&
		    timer_before(sim->heap[child + 1], sim->heap[child]))
			child++;
		if (!timer_before(sim->heap[child], timer))
			break;
		heap_put(sim, place, sim->heap[child]);
		place = child;
	}
	heap_put(sim, place, timer);
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
	struct loop_timer *timer = xcalloc(1, sizeof(*timer));

	timer->sim = sim_of(loop);
	timer->cb = cb;
	timer->arg = arg;
	timer->place = NOT_QUEUED;
	return timer;
}

static void
sim_timer_stop(struct loop_timer *timer)
{
	struct sim_loop *sim = timer->sim;
	size_t place = timer->place;

	if (place == NOT_QUEUED)
		return;
	timer->place = NOT_QUEUED;
	sim->count--;
	if (place != sim->count) {
		heap_put(sim, place, sim->heap[sim->count]);
		heap_settle(sim, place);
	}
}

static void
sim_timer_start(struct loop_timer *timer, int64_t delay_us)
{
	struct sim_loop *sim = timer->sim;

	sim_timer_stop(timer);
	if (sim->count == sim->space) {
		sim->space = sim->space == 0 ? 64 : 2 * sim->space;
		sim->heap = xrealloc(sim->heap,
		    sim->space * sizeof(struct loop_timer *));
	}
	timer->due_us = sim->now_us + (delay_us > 0 ? delay_us : 0);
	timer->order = sim->order++;
	heap_put(sim, sim->count++, timer);
	heap_settle(sim, timer->place);
}

static bool
sim_timer_pending(const struct loop_timer *timer)
{
	return timer->place != NOT_QUEUED;
}

static void
sim_timer_free(struct loop_timer *timer)
{
	sim_timer_stop(timer);
	free(timer);
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

	assert(sim->count == 0);
	free(sim->heap);
	free(sim);
}

static const struct loop_ops sim_ops = {
	.now_us = sim_now_us,
	.turn_us = sim_now_us,
	.wall_ms = sim_wall_ms,
	.random = sim_random,
	.timer_new = sim_timer_new,
	.timer_start = sim_timer_start,
	.timer_stop = sim_timer_stop,
	.timer_pending = sim_timer_pending,
	.timer_free = sim_timer_free,
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
	if (sim->count == 0)
		return false;
	timer = sim->heap[0];
	sim_timer_stop(timer);
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
