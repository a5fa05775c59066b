/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * One worker of a plugin_pool and its lives, for plugin_pool.c alone: its
 * process, what it says, what it has.
 */
#ifndef DLO_DOWNSTREAM_PLUGIN_LIFE_H
#define DLO_DOWNSTREAM_PLUGIN_LIFE_H

#include "downstream/exec_verdict.h"
#include "downstream/plugin_pool.h"

/* Of frames that its pipe has no room for: no more messages until it has. */
#define PLUGIN_LIFE_UNSENT_MAX (256 * 1024)

enum plugin_life_state {
	PLUGIN_LIFE_DOWN, /* no process; its timer runs */
	PLUGIN_LIFE_STARTING,
	PLUGIN_LIFE_UP,
};

struct plugin_worker {
	struct plugin_pool *pool;
	enum plugin_life_state state;
	struct loop_timer *backoff;
	unsigned failures; /* lives in a row that did not end well */
	/* Of this life. */
	struct child *child;	  /* NULL: down */
	struct plugin_page *page; /* NULL: down */
	struct buf said;	  /* on its stdout, up to a whole word */
	struct buf unsent;	  /* frames, behind those that child.h has */
	struct exec_tail tail;	  /* of its stderr, since it had no job */
	struct buf failure;	  /* of init */
	unsigned said_lines;	  /* for the log, before it was up */
	bool answered;		  /* ever */
	bool exclusive;		  /* it has a job that is alone */
	int64_t moved_ms;	  /* when it last got on */
	uint64_t given, begun, taken, calls;
	uint64_t begun_before;		/* a tick ago */
	unsigned depth;			/* jobs not begun that it may have */
	struct plugin_jobs fresh, hand; /* not begun; begun, as we know */
	unsigned fresh_count, job_count;
	unsigned spare_count;
	uint16_t spare[PLUGIN_PAGE_SLOTS]; /* slots */
	struct plugin_job *slots[PLUGIN_PAGE_SLOTS];
};

/* How a life ends. */
struct plugin_life_end {
	struct verdict why;
	struct plugin_job *culprit; /* whose verdict it is; NULL: see crash */
	bool crash;		    /* of a job in hand, if there is one */
	bool nonsense;		    /* nothing that it says is believed */
};

void plugin_life_init(struct plugin_worker *, struct plugin_pool *);
/* Kills it; what it has is forgotten. */
void plugin_life_clear(struct plugin_worker *);

/* What it has begun, as the page says now. -1: that makes no sense. */
int plugin_life_observe(struct plugin_worker *) must_use;
/* Takes its answers, and calls back. False: that was its end. */
bool plugin_life_drain(struct plugin_worker *);
/* Sends what is unsent, if the pipe is free. */
void plugin_life_flush(struct plugin_worker *);
/* Ends this life, and calls back. */
void plugin_life_lose(struct plugin_worker *, struct plugin_life_end *);

/* Gives it a job for which it has room. */
void plugin_life_give(struct plugin_worker *, struct plugin_job *);

#endif
