/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "lib/timers.h"

#include <stdlib.h>

#include "lib/xalloc.h"

#define NOT_QUEUED SIZE_MAX

static bool
timer_before(const struct loop_timer *a, const struct loop_timer *b)
{
	return a->due_us < b->due_us ||
	    (a->due_us == b->due_us && a->order < b->order);
}

static void
heap_put(struct timers *timers, size_t place, struct loop_timer *timer)
{
	timers->heap[place] = timer;
	timer->place = place;
}

static void
heap_settle(struct timers *timers, size_t place)
{
	struct loop_timer *timer = timers->heap[place];
	size_t child;

	while (
	    place > 0 && timer_before(timer, timers->heap[(place - 1) / 2])) {
		heap_put(timers, place, timers->heap[(place - 1) / 2]);
		place = (place - 1) / 2;
	}
	while ((child = 2 * place + 1) < timers->count) {
		if (child + 1 < timers->count &&
		    timer_before(timers->heap[child + 1], timers->heap[child]))
			child++;
		if (!timer_before(timers->heap[child], timer))
			break;
		heap_put(timers, place, timers->heap[child]);
		place = child;
	}
	heap_put(timers, place, timer);
}

struct loop_timer *
timers_new(struct timers *timers, struct loop *loop, loop_cb *cb, void *arg)
{
	struct loop_timer *timer = xcalloc(1, sizeof(*timer));

	timer->loop = loop;
	timer->timers = timers;
	timer->cb = cb;
	timer->arg = arg;
	timer->place = NOT_QUEUED;
	return timer;
}

void
timers_free(struct loop_timer *timer)
{
	timers_stop(timer);
	free(timer);
}

void
timers_start(struct loop_timer *timer, int64_t due_us)
{
	struct timers *timers = timer->timers;

	timers_stop(timer);
	if (timers->count == timers->space) {
		timers->space = timers->space == 0 ? 64 : 2 * timers->space;
		timers->heap = xrealloc(timers->heap,
		    timers->space * sizeof(struct loop_timer *));
	}
	timer->due_us = due_us;
	timer->order = timers->started++;
	heap_put(timers, timers->count++, timer);
	heap_settle(timers, timer->place);
}

void
timers_stop(struct loop_timer *timer)
{
	struct timers *timers = timer->timers;
	size_t place = timer->place;

	if (place == NOT_QUEUED)
		return;
	timer->place = NOT_QUEUED;
	timers->count--;
	if (place != timers->count) {
		heap_put(timers, place, timers->heap[timers->count]);
		heap_settle(timers, place);
	}
}

bool
timers_pending(const struct loop_timer *timer)
{
	return timer->place != NOT_QUEUED;
}

struct loop_timer *
timers_first(const struct timers *timers)
{
	return timers->count == 0 ? NULL : timers->heap[0];
}

void
timers_clear(struct timers *timers)
{
	free(timers->heap);
}
