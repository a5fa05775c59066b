/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/judge.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "dlx/envelope.h"
#include "redrive/filter.h"

const char *
judge_verdict_name(enum judge_verdict verdict)
{
	switch (verdict) {
	case JUDGE_MOVE:
		return "move";
	case JUDGE_PARK:
		return "park";
	case JUDGE_MALFORMED:
		return "malformed";
	case JUDGE_AGAIN:
		return "again";
	case JUDGE_LATER:
		return "later";
	case JUDGE_UNWANTED:
		return "unwanted";
	case JUDGE_COUNT:
		break;
	}
	abort();
}

/*
 * A letter that we wrote as malformed reads well itself, but what its sender
 * wrote is only in it as raw bytes.
 */
static bool
is_malformed(const struct envelope *e)
{
	return e->verdict != RMQ_PROPS_OK ||
	    envelope_reason_of(e) == ENVELOPE_MALFORMED || e->raw_props.len > 0;
}

enum judge_verdict
judge_letter(const struct judge *judge, const struct envelope *e)
{
	bool redrive = judge->action == ACTION_REDRIVE;

	if (redrive && is_malformed(e))
		return JUDGE_MALFORMED;
	if (redrive && e->job.len == strlen(judge->job) &&
	    memcmp(e->job.ptr, judge->job, e->job.len) == 0)
		return JUDGE_AGAIN;
	if (envelope_dead_since_ms(e) > judge->started_ms + JUDGE_SKEW_MS)
		return JUDGE_LATER;
	if (!filter_match(judge->filter, e, judge->started_ms))
		return JUDGE_UNWANTED;
	if (redrive && e->redrives >= (int64_t)judge->max_redrives)
		return JUDGE_PARK;
	return JUDGE_MOVE;
}
