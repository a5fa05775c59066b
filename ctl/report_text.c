/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include <string.h>

#include "ctl/report.h"

#define COLUMNS 100

/* Columns that the bytes take: each character that they begin. */
static size_t
columns(const char *text, size_t len)
{
	size_t count = 0;

	for (size_t i = 0; i < len; i++)
		count += ((unsigned char)text[i] & 0xc0) != 0x80;
	return count;
}

/*
 * Appends words, broken at blanks; later lines are indented. `at` is the
 * column where it starts. A word longer than a line stays whole: it is a name
 * or a command, and will be copied.
 */
static void
add_wrapped(struct buf *out, const char *text, size_t at, size_t indent)
{
	bool first = true;

	while (*text != '\0') {
		size_t len = strcspn(text, " ");
		size_t wide = columns(text, len);

		if (!first && at + 1 + wide > COLUMNS) {
			buf_printf(out, "\n%*s", (int)indent, "");
			at = indent;
		} else if (!first) {
			buf_add_u8(out, ' ');
			at++;
		}
		buf_add(out, text, len);
		at += wide;
		text += len + (text[len] == ' ');
		first = false;
	}
	buf_add_u8(out, '\n');
}

/* "label: text", indented by four. */
static void
add_labelled(struct buf *out, const char *label, const char *text)
{
	struct buf clean = { 0 };

	report_clean(&clean, text);
	buf_printf(out, "    %s", label);
	add_wrapped(out, buf_str(&clean), strlen("    ") + strlen(label),
	    strlen("    "));
	buf_clear(&clean);
}

/* A command on a line of its own, however long: it will be copied. */
static void
add_command_line(struct buf *out, const char *command)
{
	buf_add_str(out, "    ");
	report_clean(out, command);
	buf_add_u8(out, '\n');
}

/* A command of several lines: its own line breaks stay. */
static void
add_command(struct buf *out, const char *command)
{
	struct buf line = { 0 };

	while (*command != '\0') {
		size_t len = strcspn(command, "\n");

		buf_reset(&line);
		buf_add(&line, command, len);
		add_command_line(out, buf_str(&line));
		command += len + (command[len] == '\n');
	}
	buf_clear(&line);
}

/* "x-queue-type=quorum x-overflow=reject-publish …" */
static void
add_args(struct buf *out, const struct topology_item *item)
{
	struct buf args = { 0 };
	struct topology_arg arg;
	size_t at = 0;

	while (topology_arg_next(item, &at, &arg)) {
		buf_printf(&args, "%s%.*s=", args.len > 0 ? " " : "",
		    (int)arg.name_len, arg.name);
		if (arg.text != NULL)
			buf_add(&args, arg.text, arg.text_len);
		else if (arg.boolean)
			buf_add_str(&args, arg.number ? "true" : "false");
		else
			buf_printf(&args, "%lld", (long long)arg.number);
	}
	if (args.len > 0)
		add_labelled(out, "", buf_str(&args));
	buf_clear(&args);
}

static void
add_object(struct buf *out, const struct report_object *object)
{
	struct buf what = { 0 };
	const char *state = report_state_name(object->state);

	report_describe(object, &what);
	buf_printf(out, "%-9s ", state);
	add_wrapped(out, buf_str(&what), strlen("different "), strlen("    "));
	if (object->state == REPORT_MISSING && object->item != NULL &&
	    object->item->kind == TOPOLOGY_QUEUE)
		add_args(out, object->item);
	if (object->problem != NULL)
		add_labelled(out, "", object->problem);
	buf_clear(&what);
}

static bool
is_shown(const struct report_object *object, unsigned parts)
{
	if ((parts & REPORT_OBJECTS) != 0)
		return true;
	return (parts & REPORT_CHANGES) != 0 && object->state != REPORT_EXISTS;
}

/* "69 objects: 66 exists, 3 missing" */
static void
add_summary(struct buf *out, const struct report *report)
{
	const char *gap = ": ";

	buf_printf(out, "%zu objects", report->object_count);
	for (int state = 0; state < REPORT_STATES; state++) {
		size_t count = report_count(report, state);

		if (count == 0)
			continue;
		buf_printf(out, "%s%zu %s", gap, count,
		    report_state_name(state));
		gap = ", ";
	}
	buf_add_str(out, "\n");
}

static void
add_finding(struct buf *out, const struct report_finding *finding)
{
	struct buf object = { 0 };

	report_clean(&object, finding->object);
	buf_printf(out, "%s %s: %s\n", report_severity_name(finding->severity),
	    finding->code, buf_str(&object));
	add_labelled(out, "", finding->problem);
	add_labelled(out, "fix: ", finding->fix);
	if (finding->command != NULL)
		add_command_line(out, finding->command);
	buf_clear(&object);
}

static void
add_policy(struct buf *out, const struct report_policy *policy)
{
	struct buf head = { 0 };

	buf_add_str(&head, "work queue ");
	report_clean(&head, policy->queue);
	buf_add_str(&head,
	    policy->command != NULL
		? ": set this policy, so that nothing that the broker "
		  "dead-letters is lost"
		: ": no policy is to be set");
	buf_add_u8(out, '\n');
	add_wrapped(out, buf_str(&head), 0, strlen("    "));
	if (policy->note != NULL)
		add_labelled(out, "", policy->note);
	if (policy->command != NULL)
		add_command(out, policy->command);
	buf_clear(&head);
}

void
report_text(const struct report *report, unsigned parts, struct buf *out)
{
	size_t i;

	for (i = 0; i < report->object_count; i++) {
		if (is_shown(&report->objects[i], parts))
			add_object(out, &report->objects[i]);
	}
	if ((parts & REPORT_FINDINGS) != 0) {
		for (i = 0; i < report->finding_count; i++)
			add_finding(out, &report->findings[i]);
	}
	for (i = 0; i < report->unchecked_count; i++) {
		buf_add_str(out, "unchecked ");
		add_wrapped(out, report->unchecked[i].what,
		    strlen("unchecked "), strlen("    "));
		add_labelled(out, "", report->unchecked[i].why);
	}
	if ((parts & (REPORT_OBJECTS | REPORT_CHANGES)) != 0)
		add_summary(out, report);
	if ((parts & REPORT_POLICIES) != 0) {
		for (i = 0; i < report->policy_count; i++)
			add_policy(out, &report->policies[i]);
	}
	if ((parts & REPORT_FINDINGS) == 0)
		return;
	if (report->finding_count == 0 && report->unchecked_count == 0)
		buf_printf(out, "%zu objects: all is as it should be\n",
		    report->object_count);
	else
		buf_printf(out, "%zu objects, %zu finding%s, %zu unchecked\n",
		    report->object_count, report->finding_count,
		    report->finding_count == 1 ? "" : "s",
		    report->unchecked_count);
}
