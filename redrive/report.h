/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* How far a redrive job is, and at its end: what it did. */
#ifndef DLO_REDRIVE_REPORT_H
#define DLO_REDRIVE_REPORT_H

#include <stdint.h>

#include "redrive/judge.h"

#define REPORT_ID_SPACE	 13
#define REPORT_WHY_SPACE 256

enum job_end {
	JOB_UNDER_WAY,
	JOB_COMPLETE,  /* nothing is left to move */
	JOB_PARTIAL,   /* ended before: see why */
	JOB_CANCELLED, /* somebody stopped it */
	JOB_ABORTED,   /* too many failed again */
};
/* "under way", "complete", "partial", "cancelled", "aborted". */
const char *report_end_name(enum job_end);

/* How far it is, and at its end: what it did. */
struct job_report {
	char id[REPORT_ID_SPACE];
	enum job_end end;
	char why[REPORT_WHY_SPACE]; /* why it ended, or stands; or "" */
	unsigned code; /* the broker's reply code, if it ended the job */
	unsigned passes;
	enum action action;
	uint64_t moved[ACTION_COUNT]; /* copy confirmed, by what was done */
	uint64_t failed_again; /* of the redriven, by the consumers' verdicts */
	uint64_t judged;       /* redriven ones with a verdict */
	uint64_t unknown;      /* copy sent, no verdict: moved or not */
	uint64_t twice;	       /* copy confirmed, ack lost: comes again */
	/* Of the last pass */
	uint64_t seen;
	uint64_t verdicts[JUDGE_COUNT];
	uint64_t refused;  /* by the broker; they stay */
	int64_t oldest_ms; /* when the oldest that stays died; 0: unknown */
	double progress;   /* 0 to 1 */
	int64_t elapsed_ms;
	int64_t expected_ms; /* of a dry run: what the job would take */
};

/*
 * Seconds and chance in base 32: an id that is short, unique, and in the
 * order of time.
 */
void report_make_id(struct job_report *, int64_t wall_ms, uint64_t chance);
/* Letters moved, whatever was done with them. */
uint64_t report_moved(const struct job_report *);
/* Adds what an earlier life of the job did. */
void report_add(struct job_report *, const struct job_report *before);
/* Why it ended, unless that is known already. */
void report_set_end(struct job_report *, enum job_end, const char *why);
/* The line that says what a job did. */
void report_log(const struct job_report *, const char *pipeline);

#endif
