/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/ctl/rig.h"

#include <stdlib.h>

#include "lib/xalloc.h"
#include "tests/unit.h"

static const struct conf_pipeline pipelines[] = {
	{
	    .name = "orders",
	    .queue = "orders",
	    .retry = { .cap_ms = 200 },
	    .dead_letter = {
		.queue = "orders.dlq",
		.parked = "orders.parked",
		.archive = "orders.archive",
		.archive_ttl_ms = 604800000,
	    },
	},
	{
	    .name = "mails",
	    .queue = "mails",
	    .declare = true,
	    .declare_type = CONF_QUEUE_QUORUM,
	    .retry = { .cap_ms = 100 },
	    .dead_letter = {
		.queue = "mails.dlq",
		.parked = "mails.parked",
		.archive = "mails.archive",
		.archive_ttl_ms = 3600000,
	    },
	},
};

json_t *
rig_json(const char *text)
{
	char *copy = xstrdup(text), *at;
	json_t *value;

	for (at = copy; *at != '\0'; at++) {
		if (*at == '\'')
			*at = '"';
	}
	value = json_loads(copy, JSON_DECODE_ANY, NULL);
	if (value == NULL)
		fail_msg("not JSON: %s", text);
	free(copy);
	return value;
}

static json_t *
args_of(const struct topology_item *item)
{
	json_t *args = json_object();
	struct topology_arg arg;
	size_t at = 0;

	while (topology_arg_next(item, &at, &arg)) {
		char *name = xstrndup(arg.name, arg.name_len);
		json_t *value = json_integer(arg.number);

		if (arg.text != NULL || arg.boolean)
			json_decref(value);
		if (arg.text != NULL)
			value = json_stringn(arg.text, arg.text_len);
		else if (arg.boolean)
			value = json_boolean(arg.number);
		json_object_set_new(args, name, value);
		free(name);
	}
	return args;
}

static void
tell_item(struct rig *rig, const struct topology_item *item)
{
	json_t *row;

	switch (item->kind) {
	case TOPOLOGY_EXCHANGE:
		row = json_pack("{ss ss sb so}", "name", item->name, "type",
		    item->type, "durable", 1, "arguments", json_object());
		json_array_append_new(rig->parts[FOUND_EXCHANGES], row);
		break;
	case TOPOLOGY_QUEUE:
		row = json_pack("{ss ss sb sb sb so sn sn so si si si}", "name",
		    item->name, "type",
		    item->type != NULL ? item->type : "quorum", "durable", 1,
		    "exclusive", 0, "auto_delete", 0, "arguments",
		    args_of(item), "policy", "operator_policy",
		    "effective_policy_definition", json_object(), "messages", 7,
		    "messages_ready", 4, "messages_unacknowledged", 3);
		json_array_append_new(rig->parts[FOUND_QUEUES], row);
		break;
	default:
		row = json_pack("{ss ss ss ss ss}", "source", item->source,
		    "destination", item->name, "destination_type",
		    item->kind == TOPOLOGY_QUEUE_BINDING ? "queue" : "exchange",
		    "routing_key", item->key, "properties_key", "~");
		json_array_append_new(rig->parts[FOUND_BINDINGS], row);
	}
}

#define SAFE_POLICY \
	"{'dead-letter-exchange': 'dlo.dead'," \
	" 'dead-letter-routing-key': 'orders'," \
	" 'dead-letter-strategy': 'at-least-once'," \
	" 'overflow': 'reject-publish'}"

void
rig_init(struct rig *rig)
{
	memset(rig, 0, sizeof(*rig));
	rig->conf.topology.prefix = "dlo";
	rig->conf.pipelines = pipelines;
	rig->conf.pipeline_count = array_len(pipelines);
	rig->topology = topology_new(&rig->conf, CONF_ROLE_TOPOLOGY);
	rig->parts[FOUND_OVERVIEW] = rig_json("{'rabbitmq_version': '3.10.8'}");
	for (int part = FOUND_EXCHANGES; part < FOUND_PARTS; part++)
		rig->parts[part] = json_array();
	for (size_t i = 0; i < rig->topology->count; i++)
		tell_item(rig, &rig->topology->items[i]);
	rig_add(rig, FOUND_EXCHANGES,
	    "{'name': '', 'type': 'direct', 'durable': true}");
	rig_patch(rig, FOUND_QUEUES, "orders",
	    "{'policy': 'dlo-orders',"
	    " 'effective_policy_definition': " SAFE_POLICY "}");
	rig_add(rig, FOUND_POLICIES,
	    "{'name': 'dlo-orders', 'priority': 3,"
	    " 'definition': " SAFE_POLICY "}");
}

void
rig_clear(struct rig *rig)
{
	for (int part = 0; part < FOUND_PARTS; part++)
		json_decref(rig->parts[part]);
	report_clear(&rig->report);
	found_clear(&rig->sight.found);
	topology_free(rig->topology);
}

static size_t
index_of(const struct rig *rig, enum found_part part, const char *name)
{
	size_t i, count = json_array_size(rig->parts[part]);

	for (i = 0; i < count; i++) {
		if (strcmp(found_text(json_array_get(rig->parts[part], i),
			       "name"),
			name) == 0)
			break;
	}
	return i;
}

json_t *
rig_row(struct rig *rig, enum found_part part, const char *name)
{
	return json_array_get(rig->parts[part], index_of(rig, part, name));
}

void
rig_patch(struct rig *rig, enum found_part part, const char *name,
    const char *patch)
{
	json_t *row = part == FOUND_OVERVIEW ? rig->parts[part]
					     : rig_row(rig, part, name);
	json_t *more = rig_json(patch);

	assert_non_null(row);
	assert_int_equal(json_object_update_recursive(row, more), 0);
	json_decref(more);
}

void
rig_add(struct rig *rig, enum found_part part, const char *row)
{
	json_array_append_new(rig->parts[part], rig_json(row));
}

void
rig_drop(struct rig *rig, enum found_part part, const char *name)
{
	size_t i = index_of(rig, part, name);

	assert_int_equal(json_array_remove(rig->parts[part], i), 0);
}

void
rig_unbind(struct rig *rig, const char *source, const char *destination,
    const char *key)
{
	json_t *rows = rig->parts[FOUND_BINDINGS];

	for (size_t i = json_array_size(rows); i-- > 0;) {
		const json_t *row = json_array_get(rows, i);

		if (strcmp(found_text(row, "source"), source) == 0 &&
		    strcmp(found_text(row, "destination"), destination) == 0 &&
		    strcmp(found_text(row, "routing_key"), key) == 0)
			json_array_remove(rows, i);
	}
}

void
rig_tell(struct rig *rig)
{
	rig->sight.conf = &rig->conf;
	rig->sight.topology = rig->topology;
	rig->sight.vhost = "/";
	rig->sight.managed = true;
	for (int part = 0; part < FOUND_PARTS; part++)
		assert_int_equal(found_take(&rig->sight.found,
				     (enum found_part)part,
				     json_deep_copy(rig->parts[part])),
		    0);
}

void
rig_findings(const struct rig *rig, struct buf *out)
{
	for (size_t i = 0; i < rig->report.finding_count; i++)
		buf_printf(out, "%s %s\n", rig->report.findings[i].code,
		    rig->report.findings[i].object);
	for (size_t i = 0; i < rig->report.unchecked_count; i++)
		buf_printf(out, "unchecked %s\n",
		    rig->report.unchecked[i].what);
}

const struct report_finding *
rig_finding(const struct rig *rig, const char *code)
{
	for (size_t i = 0; i < rig->report.finding_count; i++) {
		if (strcmp(rig->report.findings[i].code, code) == 0)
			return &rig->report.findings[i];
	}
	return NULL;
}
