/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Puts a topology into a broker, or looks whether it is there, and collects
 * every problem instead of ending at the first. Runs on channels of its own,
 * since each "no" of the broker closes one. Nothing existing is ever changed
 * or deleted. To be run at each (re)connect; the owner frees the run from or
 * after `done`, or at any time before to cancel it. The connection may go
 * meanwhile: then `done` says so, or the run is freed first.
 *
 * A user without configure rights can run both modes: what exists is enough;
 * only that its arguments and bindings could not be compared is counted.
 */
#ifndef DLO_DLX_TOPOLOGY_RUN_H
#define DLO_DLX_TOPOLOGY_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "amqp/conn.h"
#include "dlx/topology.h"
#include "lib/loop.h"

struct topology_run;

enum topology_mode {
	TOPOLOGY_DECLARE, /* makes what is missing, compares what is there */
	TOPOLOGY_CHECK,	  /* looks for exchanges and queues, makes nothing */
};

enum topology_fault {
	TOPOLOGY_MISSING,   /* not there (and not ours to make) */
	TOPOLOGY_DIFFERENT, /* there, but otherwise declared */
	TOPOLOGY_DENIED,    /* not there, and the user may not make it */
	TOPOLOGY_REFUSED,   /* the broker will not make it: see the text */
	TOPOLOGY_UNKNOWN,   /* could not be seen (now, or with these rights) */
};
const char *topology_fault_name(enum topology_fault);

struct topology_problem {
	const struct topology_item *item;
	enum topology_fault fault;
	uint16_t code; /* the broker's reply code and words */
	char *text;    /* hostile bytes possible */
};

struct topology_result {
	/*
	 * False: the connection was lost, or has no channel left, or the
	 * broker did not answer for 30 s. Close the connection if it is still
	 * up, and start again on the next one.
	 */
	bool finished;
	/* Finished, and all problems (if any) are UNKNOWN ones. */
	bool usable;
	struct topology_problem *problems;
	size_t problem_count;
	size_t alike;  /* objects declared, or found as declared */
	size_t unseen; /* objects whose arguments or existence went unseen */
};
/* `result` lasts until the run is freed. Never called inside _new. */
typedef void topology_done_cb(void *arg, const struct topology_result *);

/* Starts on an open connection; `topology` must outlive the run. */
struct topology_run *topology_run_new(struct loop *, struct rmq_conn *,
    const struct topology *, enum topology_mode, topology_done_cb *done,
    void *arg);
/* Frees it, cancels it if need be: no `done` after this. NULL is fine. */
void topology_run_free(struct topology_run *);

/* Logs each problem, and in one line what was done. */
void topology_run_log(const struct topology_result *);

#endif
