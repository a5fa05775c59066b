/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* dlo status */
#include "ctl/verb_letters.h"

#include <string.h>

#include "ctl/job_text.h"
#include "ctl/output.h"
#include "ctl/remote_show.h"
#include "ctl/table.h"
#include "lib/xalloc.h"

static const struct table_column columns[] = {
	{ .title = "PIPELINE", .may_cut = true },
	{ .title = "DEAD", .is_number = true },
	{ .title = "OLDEST", .is_number = true },
	{ .title = "PARKED", .is_number = true },
	{ .title = "ARCHIVED", .is_number = true },
	{ .title = "DOWNSTREAM", .may_cut = true },
	{ .title = "HEALTHY" },
	{ .title = "BREAKER" },
	{ .title = "JOB", .may_cut = true },
};

static void
add_count(struct table *table, const json_t *count)
{
	if (json_is_integer(count))
		table_add_int(table, json_integer_value(count));
	else
		table_add(table, NULL);
}

static void
add_pipeline(struct table *table, const json_t *pipeline)
{
	const json_t *healthy = json_object_get(pipeline, "healthy");
	const json_t *job = json_object_get(pipeline, "job");
	char age[OUTPUT_AGE_SPACE];
	struct buf text = { 0 };

	table_add(table, output_member(pipeline, "name"));
	add_count(table, json_object_get(pipeline, "dead"));
	table_add(table, output_age(age, pipeline, "oldest"));
	add_count(table, json_object_get(pipeline, "parked"));
	add_count(table, json_object_get(pipeline, "archived"));
	table_add(table, output_member(pipeline, "downstream"));
	table_add(table,
	    !json_is_boolean(healthy)	? NULL
		: json_is_true(healthy) ? "yes"
					: "no");
	table_add(table, output_member(pipeline, "breaker"));
	if (json_is_object(job))
		job_text_brief(&text, job);
	table_add(table, buf_str(&text));
	buf_clear(&text);
}

static void
show(struct buf *out, const struct verb_call *call, const json_t *answer)
{
	const char *role = output_member(answer, "role");
	struct table table;
	json_t *pipeline;
	size_t i;

	(void)call;
	table_init(&table, columns, array_len(columns));
	json_array_foreach(json_object_get(answer, "pipelines"), i, pipeline)
	    add_pipeline(&table, pipeline);
	table_write(&table, out);
	table_clear(&table);
	if (role != NULL && strcmp(role, "active") != 0)
		buf_printf(out,
		    "\nThis dlo-redrive is not the active one (%s): it knows "
		    "of no jobs.\n",
		    role);
	if (json_is_false(json_object_get(answer, "redrive")))
		buf_add_str(out,
		    "\nRedriving is turned off: `dlo feature redrive on` turns "
		    "it on.\n");
}

int
verb_status(const struct verb_call *call)
{
	struct buf path = { 0 };

	buf_add_str(&path, "/v1/pipelines");
	return remote_show_get(call, &path, show);
}
