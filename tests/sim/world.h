/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * One simulated day from a seed: two consumers, two redrives, the model
 * broker, a downstream of moods, and troubles of every kind for the first
 * minutes; then peace, in which everything must settle.
 */
#ifndef DLO_TESTS_WORLD_H
#define DLO_TESTS_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/model.h"
#include "tests/sim/trouble.h"

#define WORLD_CALM_EVERY 8
#define WORLD_MORE_EVERY 3 /* with dedup and rules */
/* In these the pipeline is strictly ordered; none of them is calm. */
#define WORLD_ORDERED_EVERY 8
#define WORLD_ORDERED_FIRST 3
/* In these some messages kill the process that tries them. */
#define WORLD_POISON_EVERY 8
#define WORLD_POISON_FIRST 5
/* In these the downstream is away for hours. */
#define WORLD_OUTAGE_EVERY 16
#define WORLD_OUTAGE_FIRST 6

/* In so many of so many the consumers are told to reload. */
#define WORLD_RELOADED	  3
#define WORLD_RELOADED_OF 5

struct world_report {
	uint64_t seed;
	/* Only the downstream fails, no redrive: stricter rules hold. */
	bool calm;
	bool ordered; /* one attempt at a time in each process */
	/* No redrive in these two. */
	bool poison; /* a few messages kill who tries them */
	bool outage; /* a long one; nothing else fails */
	unsigned culprits, deaths, most_returns;
	unsigned suspects; /* copies that were published */
	unsigned messages, processed, dead, attempts, twice, failures, reloads;
	struct trouble_count trouble;
	struct model_load load;
	int64_t virtual_ms;
	char violation[512]; /* "" when all is well */
};

/* Runs one world; false: a rule was broken, see the report. */
bool world_run(uint64_t seed, struct world_report *);

#endif
