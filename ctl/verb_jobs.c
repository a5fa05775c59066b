/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* dlo jobs, dlo job ID */
#include "ctl/verb_jobs.h"

#include "ctl/job_text.h"
#include "ctl/output.h"
#include "ctl/remote.h"
#include "ctl/remote_show.h"
#include "ctl/table.h"

static const struct table_column columns[] = {
	{ .title = "JOB" },
	{ .title = "PIPELINE", .may_cut = true },
	{ .title = "ACTION" },
	{ .title = "STARTED", .is_number = true },
	{ .title = "STATE", .may_cut = true },
	{ .title = "SO FAR", .may_cut = true },
};

static void
add_job(struct table *table, const json_t *job)
{
	char age[OUTPUT_AGE_SPACE];
	struct buf text = { 0 };

	table_add(table, output_member(job, "id"));
	table_add(table, output_member(job, "pipeline"));
	table_add(table, job_text_action(job));
	table_add(table, output_age(age, job, "started_at"));
	job_text_state(&text, job);
	table_add(table, buf_str(&text));
	buf_reset(&text);
	job_text_did(&text, job);
	table_add(table, buf_str(&text));
	buf_clear(&text);
}

static void
show_all(struct buf *out, const struct verb_call *call, const json_t *answer)
{
	const json_t *jobs = json_object_get(answer, "jobs");
	struct table table;
	json_t *job;
	size_t i;

	(void)call;
	table_init(&table, columns, array_len(columns));
	json_array_foreach(jobs, i, job) add_job(&table, job);
	if (json_array_size(jobs) == 0)
		buf_add_str(out, "No jobs.\n");
	else
		table_write(&table, out);
	table_clear(&table);
}

static void
show_one(struct buf *out, const struct verb_call *call, const json_t *job)
{
	(void)call;
	job_text_whole(out, job);
}

int
verb_jobs(const struct verb_call *call)
{
	struct buf path = { 0 };

	buf_add_str(&path, "/v1/jobs");
	return remote_show_get(call, &path, show_all);
}

int
verb_job(const struct verb_call *call)
{
	struct buf path = { 0 };

	buf_add_str(&path, "/v1/jobs/");
	remote_escape(&path, call->words[0]);
	return remote_show_get(call, &path, show_one);
}
