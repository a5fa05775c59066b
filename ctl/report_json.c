/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include <stdlib.h>

#include "ctl/report.h"
#include "lib/js.h"

static json_t *
args_value(const struct topology_item *item)
{
	json_t *args = json_object();
	struct topology_arg arg;
	size_t at = 0;

	while (topology_arg_next(item, &at, &arg)) {
		struct buf name = { 0 };
		json_t *value;

		buf_add(&name, arg.name, arg.name_len);
		if (arg.text != NULL)
			value = json_stringn(arg.text, arg.text_len);
		else if (arg.boolean)
			value = json_boolean(arg.number);
		else
			value = json_integer(arg.number);
		js_set(args, buf_str(&name), value);
		buf_clear(&name);
	}
	return args;
}

static json_t *
object_value(const struct report_object *object)
{
	const struct topology_item *item = object->item;
	json_t *value = json_object();
	bool binding = item == NULL || topology_is_binding(item);

	js_set_text(value, "kind",
	    binding ? "binding" : topology_kind_name(item->kind));
	js_set_text(value, "name", item != NULL ? item->name : object->name);
	js_set_text(value, "state", report_state_name(object->state));
	if (binding) {
		bool to_queue = item != NULL
		    ? item->kind == TOPOLOGY_QUEUE_BINDING
		    : object->to_queue;

		js_set_text(value, "source",
		    item != NULL ? item->source : object->source);
		js_set_text(value, "destination_type",
		    to_queue ? "queue" : "exchange");
		js_set_text(value, "key",
		    item != NULL ? item->key : object->key);
	} else {
		js_set_text(value, "type", item->type);
		if (item->kind == TOPOLOGY_QUEUE)
			js_set(value, "arguments", args_value(item));
	}
	js_set_text(value, "problem", object->problem);
	return value;
}

static void
add_objects(json_t *root, const struct report *report, unsigned parts)
{
	json_t *list = json_array();

	for (size_t i = 0; i < report->object_count; i++) {
		const struct report_object *object = &report->objects[i];

		if ((parts & REPORT_OBJECTS) != 0 ||
		    object->state != REPORT_EXISTS)
			js_append(list, object_value(object));
	}
	js_set(root, "objects", list);
}

static void
add_findings(json_t *root, const struct report *report)
{
	json_t *list = json_array();

	for (size_t i = 0; i < report->finding_count; i++) {
		const struct report_finding *finding = &report->findings[i];
		json_t *value = json_object();

		js_set_text(value, "code", finding->code);
		js_set_text(value, "severity",
		    report_severity_name(finding->severity));
		js_set_text(value, "object", finding->object);
		js_set_text(value, "problem", finding->problem);
		js_set_text(value, "fix", finding->fix);
		js_set_text(value, "command", finding->command);
		js_append(list, value);
	}
	js_set(root, "findings", list);
}

static void
add_policies(json_t *root, const struct report *report)
{
	json_t *list = json_array();

	for (size_t i = 0; i < report->policy_count; i++) {
		const struct report_policy *policy = &report->policies[i];
		json_t *value = json_object();

		js_set_text(value, "pipeline", policy->pipeline);
		js_set_text(value, "queue", policy->queue);
		js_set_bool(value, "needed", policy->command != NULL);
		js_set_text(value, "command", policy->command);
		js_set_text(value, "note", policy->note);
		js_append(list, value);
	}
	js_set(root, "policies", list);
}

static void
add_unchecked(json_t *root, const struct report *report)
{
	json_t *list = json_array();

	for (size_t i = 0; i < report->unchecked_count; i++) {
		json_t *value = json_object();

		js_set_text(value, "what", report->unchecked[i].what);
		js_set_text(value, "why", report->unchecked[i].why);
		js_append(list, value);
	}
	js_set(root, "unchecked", list);
}

/* JSON_ENSURE_ASCII escapes all others; this one stands in texts only. */
static void
add_without_del(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++)
		if (*text == 0x7f)
			buf_add_str(out, "\\u007f");
		else
			buf_add_u8(out, (uint8_t)*text);
}

void
report_json(const struct report *report, unsigned parts, struct buf *out)
{
	json_t *root = json_object();
	char *text;

	add_objects(root, report, parts);
	if ((parts & REPORT_FINDINGS) != 0)
		add_findings(root, report);
	if ((parts & REPORT_POLICIES) != 0)
		add_policies(root, report);
	add_unchecked(root, report);
	text = json_dumps(root, JSON_INDENT(1) | JSON_ENSURE_ASCII);
	if (text == NULL)
		abort();
	add_without_del(out, text);
	buf_add_u8(out, '\n');
	free(text);
	json_decref(root);
}
