/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The workers of an exec stream: processes that live on, each with one
 * message at a time. They are started when they are needed for the first
 * time, and kept from then on:
 *
 *	down -- needed, or its backoff is over ----------------> idle
 *	idle -- gets a message --------------------------------> busy
 *	idle -- ends, or speaks without being asked ----------> down
 *	busy -- its answer is there and its message has left --> idle
 *	busy -- ends, answers nonsense, or too slowly ---------> down
 *
 * An answer must never be taken for another message's. So a worker that says
 * more than one line, or anything while it is idle, is killed, and one is
 * looked at before it gets a message. A worker that does not do what it
 * should is started again with backoff; one that has answered and then ends
 * by itself, at once.
 */
#ifndef DLO_DOWNSTREAM_EXEC_POOL_H
#define DLO_DOWNSTREAM_EXEC_POOL_H

#include <sys/queue.h>

#include "downstream/attempt.h"
#include "downstream/exec_command.h"
#include "lib/buf.h"
#include "lib/loop.h"

struct exec_worker;

LIST_HEAD(exec_workers, exec_worker);

enum exec_worker_state {
	EXEC_WORKER_DOWN, /* no process; its timer runs */
	EXEC_WORKER_IDLE,
	EXEC_WORKER_BUSY,
};

#define EXEC_WORKER_STATES (EXEC_WORKER_BUSY + 1)

struct exec_pool_cbs {
	/*
	 * What a worker was given came to a verdict; `job` as given. The
	 * pool's functions may be called from both.
	 */
	void (*done)(void *job, const struct verdict *);
	/* A worker that was down is idle. */
	void (*up)(void *arg);
};

struct exec_pool {
	struct loop *loop;
	char *name;
	const struct exec_pool_cbs *cbs;
	void *arg;
	struct exec_command command;
	struct exec_workers workers[EXEC_WORKER_STATES]; /* by state */
	unsigned count;
	struct buf line;     /* scratch */
	struct verdict last; /* why a worker last went down */
};

/* `name` is the downstream's, for the log; copied, and so is `conf`. */
void exec_pool_init(struct exec_pool *, struct loop *, const char *name,
    const struct conf_exec *conf, const struct exec_pool_cbs *, void *arg);
/* Kills all workers, without a callback; not from one. */
void exec_pool_clear(struct exec_pool *);

/* A worker that is fit for a message; NULL: none now. Never calls back. */
struct exec_worker *exec_pool_take(struct exec_pool *);
/* Hands it a message, which must last until it is done or dropped. */
void exec_pool_give(struct exec_worker *, const struct attempt *, void *job);
/* Its time is over: it is killed, and its message is done, a time-out. */
void exec_pool_time_out(struct exec_worker *);
/* Its message is of no interest any more: it is killed without a word. */
void exec_pool_drop(struct exec_worker *);
/* What to say of a message for which there was no worker in time. */
void exec_pool_no_worker(const struct exec_pool *, struct verdict *);

#endif
