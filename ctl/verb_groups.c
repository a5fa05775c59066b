/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* dlo groups P */
#include "ctl/verb_letters.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "ctl/letters_path.h"
#include "ctl/output.h"
#include "ctl/remote.h"
#include "ctl/remote_show.h"
#include "ctl/table.h"

/* So many groups are shown while more are being read. */
#define DRAFT_ROWS 10

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

/* The first `max` of them. */
static void
write_groups(struct buf *out, const json_t *groups, size_t max)
{
	struct table table;
	json_t *group;
	size_t i;

	table_init(&table, columns, array_len(columns));
	json_array_foreach(groups, i, group)
	{
		if (i < max)
			add_group(&table, group);
	}
	table_write(&table, out);
	table_clear(&table);
}

static void
show(struct buf *out, const struct verb_call *call, const json_t *answer)
{
	const json_t *groups = json_object_get(answer, "groups");
	int64_t others = output_number(answer, "others");
	const char *why = output_member(answer, "why");

	(void)call;
	if (json_array_size(groups) > 0)
		write_groups(out, groups, SIZE_MAX);
	else if (why == NULL)
		buf_add_str(out, "No dead letter matches.\n");
	if (others > 0)
		buf_printf(out, "%lld more in further groups.\n",
		    (long long)others);
	if (why != NULL)
		buf_printf(out, "Not all of them: %s.\n", why);
}

/* What is shown while the queue is being read. */
struct draft {
	bool terminal;
	unsigned lines; /* on the terminal now */
	json_t *answer; /* all of it; NULL: not yet */
};

static void
wipe(struct draft *draft)
{
	if (draft->lines > 0)
		(void)printf("\033[%uA\033[J", draft->lines);
	draft->lines = 0;
}

static void
draw(struct draft *draft, const json_t *answer)
{
	const json_t *groups = json_object_get(answer, "groups");
	struct buf text = { 0 };

	write_groups(&text, groups, DRAFT_ROWS);
	buf_printf(&text, "%" PRId64 " of %" PRId64 " seen\n",
	    output_number(answer, "seen"), output_number(answer, "of"));
	wipe(draft);
	for (size_t i = 0; i < text.len; i++)
		draft->lines += buf_peek(&text)[i] == '\n';
	(void)fputs(buf_str(&text), stdout);
	(void)fflush(stdout);
	buf_clear(&text);
}

static bool
on_line(void *arg, const char *line, size_t len)
{
	struct draft *draft = arg;
	json_t *answer = json_loadb(line, len, 0, NULL);

	if (json_is_true(json_object_get(answer, "end"))) {
		draft->answer = answer;
		return true;
	}
	if (draft->terminal)
		draw(draft, answer);
	json_decref(answer);
	return true;
}

static int
finish(const struct verb_call *call, struct draft *draft)
{
	wipe(draft);
	if (draft->answer == NULL) {
		(void)fprintf(stderr, "dlo groups: the answer was cut off\n");
		return CLI_DRIFT;
	}
	(void)json_object_del(draft->answer, "end");
	return remote_show(call, draft->answer, show);
}

int
verb_groups(const struct verb_call *call)
{
	struct draft draft = {
		.terminal = !call->json && isatty(STDOUT_FILENO) == 1,
	};
	struct remote *remote = remote_open(call->conf);
	struct buf path = { 0 };
	int code;

	if (remote == NULL)
		return CLI_CONFIG;
	letters_path(&path, call, "groups");
	remote_add(&path, "lines", "true");
	code = remote_lines(remote, buf_str(&path), on_line, &draft);
	if (code == CLI_OK)
		code = finish(call, &draft);
	json_decref(draft.answer);
	buf_clear(&path);
	remote_close(remote);
	return code;
}
