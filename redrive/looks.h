/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Looks at the queues of one pipeline, for operators: one after the other, as
 * each holds what it looks at, and never beside a window of a job.
 */
#ifndef DLO_REDRIVE_LOOKS_H
#define DLO_REDRIVE_LOOKS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "redrive/survey.h"

struct look;

TAILQ_HEAD(look_queue, look);

/* Part of a lane. */
struct looks {
	struct rmq_conn *conn; /* NULL: none */
	bool held;	       /* none may start: a job has the letters */
	bool drained;	       /* ... or ever */
	struct look *current;  /* NULL: none */
	struct look_queue waiting;
	void (*changed)(void *arg); /* looks_are_busy may be another now */
	void *arg;
};

/* Called from the loop, never inside a call. */
struct look_cbs {
	/* A letter that the filter takes; gone on return. */
	void (*letter)(void *arg, const struct envelope *,
	    const struct rmq_message *);
	/* Another letter was looked at, whether it was taken or not. */
	void (*seen)(void *arg);
	/*
	 * No more letters; `why` is NULL when all that were wanted have been
	 * shown. The look is gone on return.
	 */
	void (*shown)(void *arg, const char *why);
};

void looks_init(struct looks *, void (*changed)(void *arg), void *arg);
/* Lets go of everything, without callbacks. */
void looks_clear(struct looks *);
/* The scan connection is up, or gone (NULL; its channels are closed). */
void looks_link(struct looks *, struct rmq_conn *);
/* On: none starts until it is off again. */
void looks_hold(struct looks *, bool on);
/* None starts any more; one that is under way ends soon. */
void looks_drain(struct looks *);
/* Whether one is under way: no job may start. */
bool looks_are_busy(const struct looks *);
/* Whether one is under way, or waits. */
bool looks_are_wanted(const struct looks *);

/* Starts one as soon as it may. All that it points to must outlive it. */
struct look *look_new(struct looks *, const struct survey_options *,
    const struct look_cbs *, void *arg);
/* No callback after this. */
void look_cancel(struct look *);
/* Off: letters stop coming soon, until it is on again. */
void look_pull(struct look *, bool on);
/* Letters seen so far, of how many, at least. */
uint64_t look_seen(const struct look *);
uint64_t look_total(const struct look *);

#endif
