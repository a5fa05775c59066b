/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* dlo groups P */
#include "ctl/verb_letters.h"

#include "ctl/letters_path.h"
#include "ctl/output.h"
#include "ctl/remote_show.h"
#include "ctl/table.h"

static const struct table_column columns[] = {
	{ .title = "COUNT", .is_number = true },
	{ .title = "REASON" },
	{ .title = "CLASS", .may_cut = true },
	{ .title = "OLDEST", .is_number = true },
	{ .title = "NEWEST", .is_number = true },
	{ .title = "ERROR", .may_cut = true },
};

static void
add_group(struct table *table, const json_t *group)
{
	char age[OUTPUT_AGE_SPACE];

	table_add_int(table, output_number(group, "count"));
	table_add(table, output_member(group, "reason"));
	table_add(table, output_member(group, "class"));
	table_add(table, output_age(age, group, "oldest"));
	table_add(table, output_age(age, group, "newest"));
	table_add(table, output_member(group, "error"));
}

static void
show(struct buf *out, const struct verb_call *call, const json_t *answer)
{
	const json_t *groups = json_object_get(answer, "groups");
	int64_t others = output_number(answer, "others");
	const char *why = output_member(answer, "why");
	struct table table;
	json_t *group;
	size_t i;

	(void)call;
	table_init(&table, columns, array_len(columns));
	json_array_foreach(groups, i, group) add_group(&table, group);
	if (json_array_size(groups) == 0)
		buf_add_str(out, "No dead letter matches.\n");
	else
		table_write(&table, out);
	if (others > 0)
		buf_printf(out, "%lld more in further groups.\n",
		    (long long)others);
	if (why != NULL)
		buf_printf(out, "Not all of them: %s.\n", why);
	table_clear(&table);
}

int
verb_groups(const struct verb_call *call)
{
	struct buf path = { 0 };

	letters_path(&path, call, "groups");
	return remote_show_get(call, &path, show);
}
