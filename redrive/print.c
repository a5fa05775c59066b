/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/print.h"

#include <inttypes.h>
#include <string.h>

#include "lib/text.h"

/* Letters that the last pass saw and left, by why it left them. */
static void
print_left(struct buf *out, const struct job_report *r)
{
	static const char *const words[JUDGE_COUNT] = {
		[JUDGE_MALFORMED] = "malformed",
		[JUDGE_AGAIN] = "dead again",
		[JUDGE_LATER] = "dead since the start",
		[JUDGE_UNWANTED] = "not asked for",
	};
	const char *gap = " (";
	uint64_t left = r->refused;

	for (int i = 0; i < JUDGE_COUNT; i++)
		left += words[i] != NULL ? r->verdicts[i] : 0;
	if (left == 0)
		return;
	buf_printf(out, ", %" PRIu64 " left", left);
	for (int i = 0; i < JUDGE_COUNT; i++) {
		if (words[i] == NULL || r->verdicts[i] == 0)
			continue;
		buf_printf(out, "%s%" PRIu64 " %s", gap, r->verdicts[i],
		    words[i]);
		gap = ", ";
	}
	if (r->refused > 0)
		buf_printf(out, "%s%" PRIu64 " refused by the broker", gap,
		    r->refused);
	buf_add_str(out, ")");
}

static void
print_groups(struct buf *out, const struct census *census)
{
	for (size_t i = 0; i < census->group_count; i++) {
		const struct census_group *group = &census->groups[i];
		const char *reason = envelope_reason_name(group->reason);

		buf_printf(out, "  %10" PRIu64 "  %-22s  ", group->count,
		    *reason != '\0' ? reason : "(no reason)");
		text_percent(out, group->class, strlen(group->class));
		buf_add_str(out, "\n");
	}
	if (census->others > 0)
		buf_printf(out, "  %10" PRIu64 "  of other classes\n",
		    census->others);
}

static void
print_samples(struct buf *out, const struct census *census)
{
	for (size_t i = 0; i < census->sample_count; i++) {
		const struct census_sample *sample = &census->samples[i];
		char at[TEXT_ISO8601_SPACE];

		buf_add_str(out, i == 0 ? "such as\n  " : "  ");
		text_percent(out, sample->id, sample->id_len);
		if (sample->since_ms > 0)
			buf_printf(out, "  %s",
			    text_iso8601(at, sample->since_ms));
		if (sample->error_len > 0) {
			buf_add_str(out, "  ");
			text_percent(out, sample->error, sample->error_len);
		}
		buf_add_str(out, "\n");
	}
}

static void
print_dry_run(struct buf *out, const struct once_result *result)
{
	const struct job_report *r = result->report;
	uint64_t move = r->verdicts[JUDGE_MOVE];
	uint64_t park = r->verdicts[JUDGE_PARK];
	char duration[TEXT_DURATION_SPACE];

	buf_printf(out, "dry run: would %s %" PRIu64, action_name(r->action),
	    move);
	if (park > 0)
		buf_printf(out, " and park %" PRIu64, park);
	if (r->expected_ms > 0)
		buf_printf(out, " in about %s",
		    text_duration(duration,
			r->expected_ms < 1500
			    ? 1000
			    : (r->expected_ms + 500) / 1000 * 1000));
	print_left(out, r);
	buf_add_str(out, "\n");
	print_groups(out, result->census);
	print_samples(out, result->census);
}

static void
print_job(struct buf *out, const struct job_report *r)
{
	static const char *const words[ACTION_COUNT] = { "redriven", "deleted",
		"restored", "parked", "unparked" };

	buf_printf(out, "%s: ", report_end_name(r->end));
	if (*r->why != '\0') {
		text_percent(out, r->why, strlen(r->why));
		buf_add_str(out, ": ");
	}
	buf_printf(out, "%" PRIu64 " %s", r->moved[r->action],
	    words[r->action]);
	if (r->action == ACTION_REDRIVE && r->moved[ACTION_PARK] > 0)
		buf_printf(out, ", %" PRIu64 " parked", r->moved[ACTION_PARK]);
	if (r->failed_again > 0)
		buf_printf(out, ", %" PRIu64 " failed again", r->failed_again);
	if (r->unknown > 0)
		buf_printf(out,
		    ", %" PRIu64 " sent without an answer (perhaps twice)",
		    r->unknown);
	if (r->twice > 0)
		buf_printf(out, ", %" PRIu64 " perhaps twice", r->twice);
	print_left(out, r);
	buf_add_str(out, "\n");
}

static const char *
source(const struct once_result *result)
{
	const struct conf_dead_letter *queues = &result->pipeline->dead_letter;

	if (result->report->action == ACTION_RESTORE)
		return queues->archive;
	if (result->report->action == ACTION_UNPARK)
		return queues->parked;
	return queues->queue;
}

void
print_result(struct buf *out, const struct once_result *result)
{
	const struct job_report *r = result->report;

	buf_printf(out, "%s: ", result->pipeline->name);
	if (r == NULL)
		buf_printf(out, "nothing moved: %s\n", result->why);
	else if (r->end == JOB_COMPLETE && r->passes == 1 && r->seen == 0)
		buf_printf(out, "nothing to do: %s is empty\n", source(result));
	else if (r->end == JOB_COMPLETE && result->census != NULL)
		print_dry_run(out, result);
	else
		print_job(out, r);
}
