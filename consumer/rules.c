/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "consumer/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/conf_scalar.h"
#include "downstream/builtin.h"
#include "lib/xalloc.h"

#define CELL_SPACE 35
#define INDENT	   2 /* of each cell */

enum column {
	COLUMN_FROM,
	COLUMN_CLASS,
	COLUMN_THEN,
	COLUMN_ATTEMPTS,
	COLUMN_FIRST,
	COLUMN_CAP,
	COLUMN_COUNT
};

struct row {
	char cell[COLUMN_COUNT][CELL_SPACE];
};

static void
set_class(struct row *row, const char *class)
{
	char *cell = row->cell[COLUMN_CLASS];

	if (snprintf(cell, CELL_SPACE, "%s", class) >= CELL_SPACE)
		memcpy(cell + CELL_SPACE - sizeof("..."), "...", sizeof("..."));
}

static void
set_text(struct row *row, enum column column, const char *text)
{
	(void)snprintf(row->cell[column], CELL_SPACE, "%s", text);
}

static void
set_schedule(struct row *row, uint32_t attempts, int64_t first_ms,
    int64_t cap_ms)
{
	char text[CONF_SCALAR_SPACE];

	(void)snprintf(row->cell[COLUMN_ATTEMPTS], CELL_SPACE, "%u", attempts);
	set_text(row, COLUMN_FIRST, conf_scalar_show_duration(text, first_ms));
	set_text(row, COLUMN_CAP, conf_scalar_show_duration(text, cap_ms));
}

static void
fill_heading(struct row *row)
{
	static const char *const names[COLUMN_COUNT] = { "rule", "class",
		"then", "attempts", "first", "cap" };

	for (int i = 0; i < COLUMN_COUNT; i++)
		set_text(row, (enum column)i, names[i]);
}

static void
fill_given(struct row *row, const struct conf_rule *rule, size_t index)
{
	static const char *const thens[] = {
		[CONF_THEN_SAME] = "as below",
		[CONF_THEN_OK] = "ok",
		[CONF_THEN_RETRY] = "retry",
		[CONF_THEN_REJECT] = "reject",
	};

	(void)snprintf(row->cell[COLUMN_FROM], CELL_SPACE, "rules[%zu]", index);
	set_class(row, rule->class);
	set_text(row, COLUMN_THEN, thens[rule->then]);
	if (rule->then != CONF_THEN_OK && rule->then != CONF_THEN_REJECT)
		set_schedule(row, rule->attempts, rule->first_ms, rule->cap_ms);
}

static void
fill_builtin(struct row *row, const struct builtin_rule *rule,
    const struct conf_retry *retry)
{
	set_text(row, COLUMN_FROM, "built in");
	set_class(row, rule->class);
	set_text(row, COLUMN_THEN, verdict_outcome_name(rule->outcome));
	if (rule->outcome == OUTCOME_RETRY)
		set_schedule(row, retry->attempts, retry->first_ms,
		    retry->cap_ms);
}

static void
add_row(struct buf *out, const struct row *row, const int *widths)
{
	size_t end = out->len;

	for (int i = 0; i < COLUMN_COUNT; i++) {
		buf_printf(out, "%*s%-*s", INDENT, "", widths[i], row->cell[i]);
		if (row->cell[i][0] != '\0')
			end =
			    out->len - (size_t)widths[i] + strlen(row->cell[i]);
	}
	out->len = end;
	buf_add_str(out, "\n");
}

static void
add_table(struct buf *out, const struct row *rows, size_t count)
{
	int widths[COLUMN_COUNT] = { 0 };

	for (size_t r = 0; r < count; r++)
		for (int i = 0; i < COLUMN_COUNT; i++) {
			int width = (int)strlen(rows[r].cell[i]);

			if (width > widths[i])
				widths[i] = width;
		}
	for (size_t r = 0; r < count; r++)
		add_row(out, &rows[r], widths);
}

static void
show_pipeline(const struct conf_pipeline *pipeline, struct buf *out)
{
	const struct conf_retry *retry = &pipeline->retry;
	const struct builtin_rules builtin =
	    builtin_rules(pipeline->downstream->kind);
	const size_t count = 1 + retry->rule_count + builtin.count;
	struct row *rows = xcalloc(count, sizeof(*rows)), *row = rows;

	fill_heading(row++);
	for (size_t i = 0; i < retry->rule_count; i++)
		fill_given(row++, &retry->rules[i], i);
	for (size_t i = 0; i < builtin.count; i++)
		fill_builtin(row++, &builtin.items[i], retry);
	buf_printf(out, "pipeline %s\n", pipeline->name);
	add_table(out, rows, count);
	free(rows);
}

void
rules_show(const struct conf *conf, struct buf *out)
{
	buf_add_str(out,
	    "The first rule that matches the class of an attempt counts; what "
	    "is ok stays ok.\n");
	if (!conf->features.retry)
		buf_add_str(out,
		    "features.retry is false: what would be retried is dead "
		    "at once.\n");
	for (size_t i = 0; i < conf->pipeline_count; i++)
		show_pipeline(&conf->pipelines[i], out);
}
