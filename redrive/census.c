/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/census.h"

#include <stdlib.h>
#include <string.h>

#include "lib/text.h"

void
census_add(struct census *census, const struct envelope *e)
{
	enum envelope_reason reason = envelope_reason_of(e);
	size_t len = e->class.len < ENVELOPE_CLASS_MAX ? e->class.len
						       : ENVELOPE_CLASS_MAX;
	struct census_group *group;

	for (size_t i = 0; i < census->group_count; i++) {
		group = &census->groups[i];
		if (group->reason == reason && strlen(group->class) == len &&
		    (len == 0 ||
			memcmp(group->class, e->class.ptr, len) == 0)) {
			group->count++;
			return;
		}
	}
	if (census->group_count == CENSUS_GROUPS_MAX) {
		census->others++;
		return;
	}
	group = &census->groups[census->group_count++];
	group->reason = reason;
	if (len > 0)
		memcpy(group->class, e->class.ptr, len);
	group->class[len] = '\0';
	group->count = 1;
}

static int
compare(const void *a, const void *b)
{
	const struct census_group *left = a, *right = b;

	if (left->count != right->count)
		return left->count < right->count ? 1 : -1;
	if (left->reason != right->reason)
		return left->reason < right->reason ? -1 : 1;
	return strcmp(left->class, right->class);
}

void
census_sort(struct census *census)
{
	qsort(census->groups, census->group_count, sizeof(census->groups[0]),
	    compare);
}
