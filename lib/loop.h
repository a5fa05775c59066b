/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The one way to time, randomness, timers, descriptors and "later". The
 * programs bind it to libevent (loop_libevent.c); the simulator binds it to
 * virtual time and a seed. Single-threaded; callbacks never nest: a call of
 * this interface from a callback never runs another callback.
 */
#ifndef DLO_LIB_LOOP_H
#define DLO_LIB_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/compiler.h"

struct loop;
struct loop_timer;
struct loop_fd;

typedef void loop_cb(void *arg);
typedef void loop_fd_cb(void *arg, unsigned ready);

enum {
	LOOP_READ = 1,
	LOOP_WRITE = 2,
};

/*
 * Work for the end of the current loop turn: embed it, set it up once with
 * loop_task_init, queue it with loop_defer. Reaping and the write of the
 * turn's output are such tasks. Memory stays the owner's, who must
 * loop_undefer before freeing it.
 */
struct loop_task {
	loop_cb *cb;
	void *arg;
	struct loop_task *next, **prev; /* prev: NULL when not queued */
};

/* What a binding provides; call the functions below instead. */
struct loop_ops {
	int64_t (*now_us)(struct loop *);
	int64_t (*turn_us)(struct loop *);
	int64_t (*wall_ms)(struct loop *);
	uint64_t (*random)(struct loop *);
	struct loop_timer *(*timer_new)(struct loop *, loop_cb *, void *arg);
	void (*timer_start)(struct loop_timer *, int64_t delay_us);
	void (*timer_stop)(struct loop_timer *);
	bool (*timer_pending)(const struct loop_timer *);
	void (*timer_free)(struct loop_timer *);
	struct loop_fd *(*fd_new)(struct loop *, int, loop_fd_cb *, void *);
	void (*fd_want)(struct loop_fd *, unsigned events);
	void (*fd_free)(struct loop_fd *);
	/* Asks for loop_run_tasks at the end of this turn. */
	void (*wake)(struct loop *);
	void (*run)(struct loop *);
	void (*stop)(struct loop *);
	void (*free)(struct loop *);
};

/* The common part of every binding's loop; first member of its struct. */
struct loop {
	const struct loop_ops *ops;
	struct loop_task *tasks, **tasks_tail;
};

/* Runs until loop_stop; returns when the current turn has ended. */
void loop_run(struct loop *);
void loop_stop(struct loop *);
/* Runs the tasks that are still queued, then frees it; NULL is fine. */
void loop_free(struct loop *);

/* Monotonic time, in microseconds or milliseconds since some start. */
int64_t loop_now_us(struct loop *);
int64_t loop_now_ms(struct loop *);
/*
 * The same clock, but read only once for a turn's callbacks and once for its
 * tasks: behind by what they have taken so far. For what is wanted of each
 * message, where that does not matter.
 */
int64_t loop_turn_ms(struct loop *);
/* Wall clock: milliseconds since the epoch, UTC; may jump. */
int64_t loop_wall_ms(struct loop *);
/* 64 random bits (not for secrets). */
uint64_t loop_random(struct loop *);
/* A random number in [0, 1). */
double loop_random_unit(struct loop *);

/* A stopped timer; free it with loop_timer_free. One shot each start. */
struct loop_timer *loop_timer_new(struct loop *, loop_cb *, void *arg);
/* (Re)starts it: the callback runs once, `delay_ms` from now (0: soon). */
void loop_timer_start(struct loop *, struct loop_timer *, int64_t delay_ms);
void loop_timer_start_us(struct loop *, struct loop_timer *, int64_t delay_us);
/* After this the callback does not run. */
void loop_timer_stop(struct loop *, struct loop_timer *);
bool loop_timer_pending(struct loop *, const struct loop_timer *);
/* Stops and frees; NULL is fine; fine from its own callback. */
void loop_timer_free(struct loop *, struct loop_timer *);

/* Watches `fd` (not owned) for nothing yet. */
struct loop_fd *loop_fd_new(struct loop *, int fd, loop_fd_cb *, void *arg);
/* What to wait for from now on: LOOP_READ | LOOP_WRITE, or 0. */
void loop_fd_want(struct loop *, struct loop_fd *, unsigned events);
void loop_fd_free(struct loop *, struct loop_fd *);

void loop_task_init(struct loop_task *, loop_cb *, void *arg);
/* Runs the task once at the end of this turn; queued twice runs once. */
void loop_defer(struct loop *, struct loop_task *);
void loop_undefer(struct loop *, struct loop_task *);

/* For bindings: sets up the common part. */
void loop_init(struct loop *, const struct loop_ops *);
/*
 * Runs all queued tasks, and those that they queue. Bindings call it at the
 * end of each turn; who frees objects after loop_run has returned calls it
 * too, since they go in such tasks.
 */
void loop_run_tasks(struct loop *);

#endif
