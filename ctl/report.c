/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "ctl/report.h"

#include <stdlib.h>
#include <string.h>

#include "lib/text.h"
#include "lib/xalloc.h"

/* Makes room for one more in an array, and gives it, zeroed. */
#define GROW(array, count) \
	((array) = xrealloc(array, ((count) + 1) * sizeof(*(array))), \
	    memset(&(array)[count], 0, sizeof(*(array))), &(array)[(count)++])

const char *
report_state_name(enum report_state state)
{
	static const char *const names[REPORT_STATES] = {
		[REPORT_EXISTS] = "exists",
		[REPORT_MISSING] = "missing",
		[REPORT_DIFFERENT] = "different",
		[REPORT_UNKNOWN] = "unknown",
		[REPORT_STALE] = "stale",
		[REPORT_CREATED] = "created",
		[REPORT_REMOVED] = "removed",
		[REPORT_FAILED] = "failed",
	};

	return names[state];
}

const char *
report_severity_name(enum report_severity severity)
{
	switch (severity) {
	case REPORT_NOTE:
		return "note";
	case REPORT_WARNING:
		return "warning";
	case REPORT_ERROR:
		return "error";
	}
	return "?";
}

void
report_object(struct report *report, const struct topology_item *item,
    enum report_state state, char *problem)
{
	struct report_object *object =
	    GROW(report->objects, report->object_count);

	object->item = item;
	object->state = state;
	object->problem = problem;
}

void
report_stale(struct report *report, const char *source, const char *name,
    bool to_queue, const char *key)
{
	struct report_object *object =
	    GROW(report->objects, report->object_count);

	object->source = xstrdup(source);
	object->name = xstrdup(name);
	object->key = xstrdup(key);
	object->to_queue = to_queue;
	object->state = REPORT_STALE;
}

void
report_finding(struct report *report, const char *code,
    enum report_severity severity, char *object, char *problem, char *fix)
{
	struct report_finding *finding =
	    GROW(report->findings, report->finding_count);

	finding->code = code;
	finding->severity = severity;
	finding->object = object;
	finding->problem = problem;
	finding->fix = fix;
}

void
report_command(struct report *report, char *command)
{
	report->findings[report->finding_count - 1].command = command;
}

void
report_unchecked(struct report *report, char *what, char *why)
{
	struct report_unchecked *unchecked =
	    GROW(report->unchecked, report->unchecked_count);

	unchecked->what = what;
	unchecked->why = why;
}

void
report_policy(struct report *report, const char *pipeline, const char *queue,
    char *command, char *note)
{
	struct report_policy *policy =
	    GROW(report->policies, report->policy_count);

	policy->pipeline = pipeline;
	policy->queue = queue;
	policy->command = command;
	policy->note = note;
}

void
report_clear(struct report *report)
{
	for (size_t i = 0; i < report->object_count; i++) {
		free(report->objects[i].source);
		free(report->objects[i].name);
		free(report->objects[i].key);
		free(report->objects[i].problem);
	}
	for (size_t i = 0; i < report->finding_count; i++) {
		free(report->findings[i].object);
		free(report->findings[i].problem);
		free(report->findings[i].fix);
		free(report->findings[i].command);
	}
	for (size_t i = 0; i < report->unchecked_count; i++) {
		free(report->unchecked[i].what);
		free(report->unchecked[i].why);
	}
	for (size_t i = 0; i < report->policy_count; i++) {
		free(report->policies[i].command);
		free(report->policies[i].note);
	}
	free(report->objects);
	free(report->findings);
	free(report->unchecked);
	free(report->policies);
	memset(report, 0, sizeof(*report));
}

size_t
report_count(const struct report *report, enum report_state state)
{
	size_t count = 0;

	for (size_t i = 0; i < report->object_count; i++)
		count += report->objects[i].state == state;
	return count;
}

size_t
report_alarms(const struct report *report)
{
	size_t count = 0;

	for (size_t i = 0; i < report->finding_count; i++)
		count += report->findings[i].severity != REPORT_NOTE;
	return count;
}

/* A newline is left to our own texts, which are cut into lines before. */
void
report_clean(struct buf *out, const char *text)
{
	struct buf valid = { 0 };
	const uint8_t *at;
	size_t len, n;

	text_utf8_clean(&valid, text, strlen(text));
	at = buf_peek(&valid);
	for (len = valid.len; len > 0; at += n, len -= n) {
		uint32_t code;

		n = text_utf8_len(at, len);
		code = text_utf8_code(at, n);
		if (!text_is_unprintable(code))
			buf_add(out, at, n);
		else if (code < 0x100)
			buf_printf(out, "\\x%02x", (unsigned)code);
		else
			buf_printf(out, "\\u%04x", (unsigned)code);
	}
	buf_clear(&valid);
}

void
report_describe(const struct report_object *object, struct buf *out)
{
	struct buf text = { 0 };

	if (object->item != NULL)
		topology_item_describe(object->item, &text);
	else
		buf_printf(&text, "binding %s -> %s (%s)", object->source,
		    object->name, object->key);
	report_clean(out, buf_str(&text));
	buf_clear(&text);
}
