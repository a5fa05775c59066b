/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/census.h"

#include <stdlib.h>
#include <string.h>

#include "lib/text.h"

/* The first few, which are the oldest in the queue. */
static void
take_sample(struct census *census, const struct envelope *e)
{
	struct census_sample *sample;

	if (census->sample_count == CENSUS_SAMPLES_MAX)
		return;
	sample = &census->samples[census->sample_count++];
	sample->id_len = e->id.len < CENSUS_ID_MAX ? e->id.len : CENSUS_ID_MAX;
	if (sample->id_len > 0)
		memcpy(sample->id, e->id.ptr, sample->id_len);
	sample->error_len =
	    text_utf8_cut(e->error.ptr, e->error.len, CENSUS_ERROR_MAX);
	if (sample->error_len > 0)
		memcpy(sample->error, e->error.ptr, sample->error_len);
	sample->since_ms = envelope_dead_since_ms(e);
}

void
census_add(struct census *census, const struct envelope *e)
{
	enum envelope_reason reason = envelope_reason_of(e);
	size_t len = e->class.len < ENVELOPE_CLASS_MAX ? e->class.len
						       : ENVELOPE_CLASS_MAX;
	struct census_group *group;

	take_sample(census, e);
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
