/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What a job does with one dead letter. Pure.
 */
#ifndef DLO_REDRIVE_JUDGE_H
#define DLO_REDRIVE_JUDGE_H

#include <stdint.h>

#include "redrive/action.h"

struct conf_filter;
struct envelope;

enum judge_verdict {
	JUDGE_MOVE,	 /* as the action says: back to its work queue, … */
	JUDGE_PARK,	 /* redriven too often: to the parked queue */
	JUDGE_MALFORMED, /* stays: no redrive would be what was sent */
	JUDGE_AGAIN,	 /* stays: this job moved it, and it is dead again */
	JUDGE_LATER,	 /* stays: it died after the job's start */
	JUDGE_UNWANTED,	 /* stays: the filter does not take it */
	JUDGE_COUNT
};
/* "move", "park", "malformed", "again", "later", "unwanted". */
const char *judge_verdict_name(enum judge_verdict);

/* What a job asks for; nothing is owned. */
struct judge {
	enum action action;
	const struct conf_filter *filter;
	const char *job;       /* its id */
	int64_t started_ms;    /* wall clock */
	uint32_t max_redrives; /* then parked, by ACTION_REDRIVE */
};

/*
 * The clocks of two hosts may differ by this much: what died up to so long
 * after the start by its own clock counts as dead at the start.
 */
#define JUDGE_SKEW_MS 5000

enum judge_verdict judge_letter(const struct judge *, const struct envelope *);

#endif
