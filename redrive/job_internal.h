/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* What the files of a job share. */
#ifndef DLO_REDRIVE_JOB_INTERNAL_H
#define DLO_REDRIVE_JOB_INTERNAL_H

#include "lib/loop.h"
#include "redrive/job.h"
#include "redrive/sift.h"

struct mover;
struct scan;

enum job_state {
	JOB_WAITING,	 /* without a window */
	JOB_SCANNING,	 /* a pass is under way */
	JOB_SETTLING,	 /* nothing more is pulled; verdicts are awaited */
	JOB_GIVING_BACK, /* the window's channels are being closed */
	JOB_ENDED,
};

/* What is of one pass only. */
struct pass {
	uint64_t moved;
	bool over;    /* all that was there has been seen */
	bool release; /* the window is to be given back before that */
	bool broken;  /* ... because a channel or the connection went */
	bool looking; /* for what is dead again; it moves nothing */
};

struct job {
	struct job_options options;
	const struct job_cbs *cbs;
	void *arg;
	struct loop *loop;
	enum job_state state;
	struct sift sift;
	struct watch *watch;   /* NULL: nobody is asked how it fares */
	struct rmq_conn *conn; /* NULL: none */
	struct scan *scan;     /* NULL: no window */
	struct mover *mover;
	/* The retry's while waiting, then hold_max's, then the settling's. */
	struct loop_timer *timer;
	struct loop_timer *patience;	/* see PATIENCE_MS */
	struct loop_timer *watch_timer; /* watch_tick */
	struct loop_task task;		/* step */
	struct loop_task tell;		/* the owner, of a change */
	unsigned paused;		/* enum job_pause, ORed */
	bool yields;			/* see job_yield */
	bool draining;			/* see job_drain */
	unsigned broken;		/* passes in a row */
	uint64_t given_back;
	/* ... at that time, and a pass would only see that again; 0: not so. */
	int64_t known_ms;
	int64_t started_ms; /* monotonic */
	struct pass pass;
	struct job_report report;
};

/* No clock of the watch runs while nothing can move. */
void job_hold_watch(struct job *);

#endif
