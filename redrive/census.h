/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Counts of dead letters by reason and class, for a dry run. Bounded: what
 * comes after CENSUS_GROUPS_MAX groups is counted together. Pure.
 */
#ifndef DLO_REDRIVE_CENSUS_H
#define DLO_REDRIVE_CENSUS_H

#include <stddef.h>
#include <stdint.h>

#include "dlx/envelope.h"

#define CENSUS_GROUPS_MAX 100

struct census_group {
	enum envelope_reason reason;
	char class[ENVELOPE_CLASS_MAX + 1]; /* "" when nobody said */
	uint64_t count;
};

/* Zeroed is empty. */
struct census {
	struct census_group groups[CENSUS_GROUPS_MAX];
	size_t group_count;
	uint64_t others; /* in groups that found no room */
};

/* Counts one dead letter. */
void census_add(struct census *, const struct envelope *);
/* Puts the largest group first. */
void census_sort(struct census *);

#endif
