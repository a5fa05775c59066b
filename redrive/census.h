/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Counts of dead letters by reason and class, and the first few of them, for
 * a dry run. Bounded: what comes after CENSUS_GROUPS_MAX groups is counted
 * together. Pure.
 */
#ifndef DLO_REDRIVE_CENSUS_H
#define DLO_REDRIVE_CENSUS_H

#include <stddef.h>
#include <stdint.h>

#include "dlx/envelope.h"

#define CENSUS_GROUPS_MAX  100
#define CENSUS_SAMPLES_MAX 5
#define CENSUS_ID_MAX	   255
#define CENSUS_ERROR_MAX   80 /* bytes of an error in a sample */

struct census_group {
	enum envelope_reason reason;
	char class[ENVELOPE_CLASS_MAX + 1]; /* "" when nobody said */
	uint64_t count;
};

/* One of them; texts may be any bytes. */
struct census_sample {
	uint8_t id[CENSUS_ID_MAX];
	size_t id_len;
	uint8_t error[CENSUS_ERROR_MAX];
	size_t error_len;
	int64_t since_ms; /* dead since; wall clock, 0: unknown */
};

/* Zeroed is empty. */
struct census {
	struct census_sample samples[CENSUS_SAMPLES_MAX];
	size_t sample_count;
	struct census_group groups[CENSUS_GROUPS_MAX];
	size_t group_count;
	uint64_t others; /* in groups that found no room */
};

/* Counts one dead letter. */
void census_add(struct census *, const struct envelope *);
/* Puts the largest group first. */
void census_sort(struct census *);

#endif
