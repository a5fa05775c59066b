/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The metrics of dlo-redrive: the families, and the cells of one pipeline
 * looked up once.
 */
#ifndef DLO_REDRIVE_TALLY_H
#define DLO_REDRIVE_TALLY_H

#include <stdbool.h>

#include "lib/metrics.h"

/* All pipelines'. */
struct tally {
	struct metrics_family *dead_letters;
	struct metrics_family *oldest_seconds;
	struct metrics_family *redriven;
	struct metrics_family *failed_again;
	struct metrics_family *parked;
	struct metrics_family *progress;
	struct metrics_family *probe_healthy;
	struct metrics_cell *active;
};

/* One pipeline's; a cell is NULL as long as nobody knows its value. */
struct tally_pipeline {
	struct tally *tally;
	const char *name;
	struct metrics_cell *dead_letters;
	struct metrics_cell *oldest_seconds;
	struct metrics_cell *redriven;
	struct metrics_cell *failed_again;
	struct metrics_cell *parked;
	struct metrics_cell *progress;
};

/* Makes the families; cells belong to `metrics`. */
void tally_init(struct tally *, struct metrics *);
/* `name` and the tally must outlive it. */
void tally_pipeline_init(struct tally_pipeline *, struct tally *,
    const char *name);
/* What the gauges tell of is gone. */
void tally_pipeline_clear(struct tally_pipeline *);
/* How many dead letters there are, ready and held by us. */
void tally_depth(struct tally_pipeline *, double count);
/* The age of the oldest of them. */
void tally_oldest(struct tally_pipeline *, double seconds);
void tally_probe(struct tally *, const char *downstream, bool healthy);
void tally_no_probe(struct tally *, const char *downstream);

#endif
