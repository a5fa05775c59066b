/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* dlo jobs, dlo job ID */
#include "ctl/verb_jobs.h"

#include "ctl/job_text.h"
#include "ctl/output.h"
#include "ctl/remote.h"
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
	table_add(table, output_member(job, "action"));
	table_add(table, output_age(age, job, "started_at"));
	job_text_state(&text, job);
	table_add(table, buf_str(&text));
	buf_reset(&text);
	job_text_did(&text, job);
	table_add(table, buf_str(&text));
	buf_clear(&text);
}

static int
show_all(const json_t *answer)
{
	const json_t *jobs = json_object_get(answer, "jobs");
	struct buf text = { 0 };
	struct table table;
	json_t *job;
	size_t i;
	int code;

	table_init(&table, columns, array_len(columns));
	json_array_foreach(jobs, i, job) add_job(&table, job);
	if (json_array_size(jobs) == 0)
		buf_add_str(&text, "No jobs.\n");
	else
		table_write(&table, &text);
	code = output_text(&text);
	table_clear(&table);
	buf_clear(&text);
	return code;
}

static int
show_one(const json_t *job)
{
	struct buf text = { 0 };
	int code;

	job_text_whole(&text, job);
	code = output_text(&text);
	buf_clear(&text);
	return code;
}

static int
ask(const struct verb_call *call, const char *id, int (*show)(const json_t *))
{
	struct remote *remote = remote_open(call->conf);
	struct buf path = { 0 };
	json_t *answer;
	int code;

	if (remote == NULL)
		return CLI_CONFIG;
	buf_add_str(&path, "/v1/jobs");
	if (id != NULL) {
		buf_add_u8(&path, '/');
		remote_escape(remote, &path, id);
	}
	code = remote_get(remote, buf_str(&path), &answer);
	if (code == CLI_OK)
		code = call->json ? output_json(answer) : show(answer);
	json_decref(answer);
	buf_clear(&path);
	remote_close(remote);
	return code;
}

int
verb_jobs(const struct verb_call *call)
{
	return ask(call, NULL, show_all);
}

int
verb_job(const struct verb_call *call)
{
	return ask(call, call->words[0], show_one);
}
