/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/report.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/log.h"

const char *
report_end_name(enum job_end end)
{
	switch (end) {
	case JOB_UNDER_WAY:
		return "under way";
	case JOB_COMPLETE:
		return "complete";
	case JOB_PARTIAL:
		return "partial";
	case JOB_CANCELLED:
		return "cancelled";
	case JOB_ABORTED:
		return "aborted";
	}
	abort();
}

void
report_make_id(struct job_report *r, int64_t wall_ms, uint64_t chance)
{
	static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
	uint64_t n = (uint64_t)(wall_ms / 1000) << 25 | chance >> 39;

	for (int i = REPORT_ID_SPACE - 2; i >= 0; i--, n >>= 5)
		r->id[i] = digits[n & 31];
	r->id[REPORT_ID_SPACE - 1] = '\0';
}

uint64_t
report_moved(const struct job_report *r)
{
	uint64_t sum = 0;

	for (int i = 0; i < ACTION_COUNT; i++)
		sum += r->moved[i];
	return sum;
}

void
report_add(struct job_report *report, const struct job_report *before)
{
	for (int i = 0; i < ACTION_COUNT; i++)
		report->moved[i] += before->moved[i];
	report->failed_again += before->failed_again;
	report->judged += before->judged;
	report->unknown += before->unknown;
	report->twice += before->twice;
	report->passes += before->passes;
	report->elapsed_ms += before->elapsed_ms;
}

void
report_set_end(struct job_report *r, enum job_end end, const char *why)
{
	if (r->end != JOB_UNDER_WAY)
		return;
	r->end = end;
	(void)snprintf(r->why, sizeof(r->why), "%s", why);
}

void
report_log(const struct job_report *r, const char *pipeline)
{
	bool bad = r->end == JOB_PARTIAL || r->end == JOB_ABORTED;

	log_event(bad ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "job_ended",
	    LOG_STR("pipeline", pipeline), LOG_STR("job", r->id),
	    LOG_STR("action", action_name(r->action)),
	    LOG_STR("end", report_end_name(r->end)),
	    LOG_STR("why", *r->why != '\0' ? r->why : NULL),
	    LOG_UINT("redriven", r->moved[ACTION_REDRIVE]),
	    LOG_UINT("parked", r->moved[ACTION_PARK]),
	    LOG_UINT("moved", report_moved(r)),
	    LOG_UINT("failed_again", r->failed_again),
	    LOG_UINT("seen", r->seen),
	    LOG_UINT("unwanted", r->verdicts[JUDGE_UNWANTED]),
	    LOG_UINT("later", r->verdicts[JUDGE_LATER]),
	    LOG_UINT("again", r->verdicts[JUDGE_AGAIN]),
	    LOG_UINT("malformed", r->verdicts[JUDGE_MALFORMED]),
	    LOG_UINT("refused", r->refused), LOG_UINT("unknown", r->unknown),
	    LOG_UINT("twice", r->twice), LOG_UINT("passes", r->passes),
	    LOG_INT("ms", r->elapsed_ms));
}
