/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Dead letters by what they died of: reason, class, and the error's
 * fingerprint. Bounded: what comes after GROUPS_MAX groups is counted
 * together. Pure.
 */
#ifndef DLO_REDRIVE_GROUPS_H
#define DLO_REDRIVE_GROUPS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "dlx/envelope.h"
#include "redrive/fingerprint.h"

#define GROUPS_MAX     1000
#define GROUPS_BUCKETS 256

struct group {
	enum envelope_reason reason;
	char class[ENVELOPE_CLASS_MAX + 1]; /* "" when nobody said */
	char error[FINGERPRINT_SPACE];
	uint64_t count;
	int64_t oldest_ms, newest_ms; /* dead since, wall clock; 0: unknown */
	SLIST_ENTRY(group) entry;
};

SLIST_HEAD(group_bucket, group);

/* Zeroed is empty; clear it after use. */
struct groups {
	struct group_bucket buckets[GROUPS_BUCKETS];
	size_t count;
	uint64_t others; /* letters in groups that found no room */
};

/* Counts one dead letter. */
void groups_add(struct groups *, const struct envelope *);
/*
 * All groups, the largest first: `count` of them, in an array to be freed,
 * that lasts until the next groups_add or _clear. NULL: there are none.
 */
const struct group **groups_list(const struct groups *) must_use;
void groups_clear(struct groups *);

#endif
