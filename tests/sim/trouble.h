/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What goes wrong in a world, at random times: one lasting trouble at a time,
 * the short ones in between.
 */
#ifndef DLO_TESTS_TROUBLE_H
#define DLO_TESTS_TROUBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/loop.h"
#include "tests/sim/fakes.h"
#include "tests/sim/model.h"
#include "tests/sim/process.h"

struct trouble;

/* All of it must outlive the trouble. */
struct trouble_env {
	struct loop *loop;
	struct model *model;
	struct fakes *fakes;
	struct process **processes;
	size_t process_count;
	const char *work_queue;
	bool outage; /* only what makes the broker take messages back */
	bool spares_processes; /* none is killed */
};

struct trouble_count {
	unsigned kills, cuts, restarts, hangs, deletions;
};

/* Nothing happens before trouble_start. */
struct trouble *trouble_new(const struct trouble_env *);
void trouble_free(struct trouble *);
/* Rates and frequency are drawn here. */
void trouble_start(struct trouble *);
/* Nothing more happens, and what lasted is over. */
void trouble_end(struct trouble *);
const struct trouble_count *trouble_count(const struct trouble *);

#endif
