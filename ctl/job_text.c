/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "ctl/job_text.h"

#include <inttypes.h>
#include <string.h>

#include "ctl/output.h"
#include "ctl/report.h"
#include "lib/cli.h"
#include "lib/compiler.h"
#include "lib/text.h"

static const char *
text_of(const json_t *job, const char *key)
{
	const char *text = output_member(job, key);

	return text != NULL ? text : "";
}

const char *
job_text_action(const json_t *job)
{
	return json_is_true(json_object_get(job, "dry_run"))
	    ? "dry run"
	    : text_of(job, "action");
}

bool
job_text_has_ended(const json_t *job)
{
	return strcmp(text_of(job, "state"), "ended") == 0;
}

int
job_text_exit_code(const json_t *job)
{
	return !job_text_has_ended(job) ||
		strcmp(text_of(job, "end"), "complete") == 0
	    ? CLI_OK
	    : CLI_DRIFT;
}

static int
percent_of(const json_t *job)
{
	return (int)(json_number_value(json_object_get(job, "progress")) * 100);
}

void
job_text_brief(struct buf *out, const json_t *job)
{
	if (json_is_true(json_object_get(job, "passed_on"))) {
		buf_add_str(out, "passed on to the active daemon");
		return;
	}
	report_clean(out, text_of(job, "id"));
	buf_add_u8(out, ' ');
	job_text_state(out, job);
	if (!job_text_has_ended(job))
		buf_printf(out, " %d %%", percent_of(job));
}

void
job_text_state(struct buf *out, const json_t *job)
{
	bool ended = job_text_has_ended(job);
	const char *state = text_of(job, ended ? "end" : "state");
	const char *why = text_of(job, "why");

	report_clean(out, state);
	if (*why != '\0' && strcmp(why, state) != 0) {
		buf_add_str(out, ": ");
		report_clean(out, why);
	}
}

void
job_text_did(struct buf *out, const json_t *job)
{
	static const struct {
		const char *key, *word;
	} counts[] = {
		{ "redriven", "redriven" },
		{ "deleted", "deleted" },
		{ "restored", "restored" },
		{ "parked", "parked" },
		{ "unparked", "unparked" },
		{ "failed_again", "failed again" },
		{ "refused", "refused" },
		{ "unknown", "moved or not" },
	};
	bool any = false;

	for (size_t i = 0; i < array_len(counts); i++) {
		int64_t count = output_number(job, counts[i].key);

		if (count == 0)
			continue;
		buf_printf(out, "%s%" PRId64 " %s", any ? ", " : "", count,
		    counts[i].word);
		any = true;
	}
	if (!any)
		buf_add_str(out, "nothing moved");
}

void
job_text_would(struct buf *out, const json_t *job)
{
	char age[OUTPUT_AGE_SPACE];
	int64_t sum = 0;
	json_t *group;
	size_t i;

	json_array_foreach(json_object_get(job, "groups"), i, group) sum +=
	    output_number(group, "count");
	buf_printf(out, "%" PRId64 " would be moved", sum);
	if (output_number(job, "expected_ms") > 0)
		buf_printf(out, ", in about %s",
		    text_duration(age, output_number(job, "expected_ms")));
	buf_add_u8(out, '\n');
	json_array_foreach(json_object_get(job, "groups"), i, group)
	{
		buf_printf(out, "%8" PRId64 "  ",
		    output_number(group, "count"));
		report_clean(out, text_of(group, "reason"));
		buf_add_str(out, "  ");
		report_clean(out, text_of(group, "class"));
		buf_add_u8(out, '\n');
	}
}

/* "label: text", if there is one. */
static void
add_line(struct buf *out, const char *label, const char *text)
{
	if (text == NULL || *text == '\0')
		return;
	buf_printf(out, "%-10s ", label);
	report_clean(out, text);
	buf_add_u8(out, '\n');
}

void
job_text_whole(struct buf *out, const json_t *job)
{
	struct buf text = { 0 };
	char age[OUTPUT_AGE_SPACE];
	char *filter;

	add_line(out, "job", text_of(job, "id"));
	add_line(out, "pipeline", text_of(job, "pipeline"));
	add_line(out, "action", job_text_action(job));
	job_text_state(&text, job);
	add_line(out, "state", buf_str(&text));
	buf_reset(&text);
	job_text_did(&text, job);
	add_line(out, "so far", buf_str(&text));
	if (!job_text_has_ended(job))
		buf_printf(out, "%-10s %d %%\n", "progress", percent_of(job));
	add_line(out, "trigger", text_of(job, "trigger"));
	add_line(out, "who", text_of(job, "who"));
	add_line(out, "from", text_of(job, "from"));
	add_line(out, "started", text_of(job, "started_at"));
	add_line(out, "ago", output_age(age, job, "started_at"));
	add_line(out, "ended", text_of(job, "ended_at"));
	filter = json_dumps(json_object_get(job, "filter"), JSON_COMPACT);
	if (filter != NULL && strcmp(filter, "{}") != 0)
		add_line(out, "filter", filter);
	free(filter);
	buf_clear(&text);
}
