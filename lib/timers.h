/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * For the bindings of lib/loop.h: their timers, in a binary heap by the time
 * when they are due, then by the order in which they were started.
 */
#ifndef DLO_LIB_TIMERS_H
#define DLO_LIB_TIMERS_H

#include <stddef.h>

#include "lib/loop.h"

/* Zeroed: none. */
struct timers {
	struct loop_timer **heap;
	size_t count, space;
	uint64_t started; /* ever */
};

struct loop_timer {
	struct loop *loop;
	struct timers *timers;
	loop_cb *cb;
	void *arg;
	int64_t due_us;
	uint64_t order;
	size_t place; /* in the heap */
};

/* One that is stopped; free it with timers_free. */
struct loop_timer *timers_new(struct timers *, struct loop *, loop_cb *,
    void *arg);
void timers_free(struct loop_timer *);
/* (Re)starts it. */
void timers_start(struct loop_timer *, int64_t due_us);
void timers_stop(struct loop_timer *);
bool timers_pending(const struct loop_timer *);
/* The one that is due first; NULL: none is started. */
struct loop_timer *timers_first(const struct timers *);
/* Frees the heap: those in it are void. */
void timers_clear(struct timers *);

#endif
