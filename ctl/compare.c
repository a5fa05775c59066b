/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "ctl/compare.h"

#include <stdlib.h>
#include <string.h>

#include "lib/xalloc.h"

/*
 * Arguments that the broker compares on a declaration: one too many is as
 * wrong as one that is missing. Others (x-queue-leader-locator …) may be.
 */
static const char *const compared[] = {
	"x-dead-letter-exchange",
	"x-dead-letter-routing-key",
	"x-dead-letter-strategy",
	"x-delivery-limit",
	"x-expires",
	"x-max-age",
	"x-max-length",
	"x-max-length-bytes",
	"x-max-priority",
	"x-message-ttl",
	"x-overflow",
	"x-queue-mode",
	"x-single-active-consumer",
};

static void
add_value(struct buf *out, const json_t *value)
{
	char *text;

	if (json_is_string(value)) {
		buf_add_str(out, json_string_value(value));
		return;
	}
	text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
	buf_add_str(out, text != NULL ? text : "?");
	free(text);
}

static bool
is_equal(const struct topology_arg *arg, const json_t *value)
{
	if (arg->text != NULL)
		return json_is_string(value) &&
		    json_string_length(value) == arg->text_len &&
		    memcmp(json_string_value(value), arg->text,
			arg->text_len) == 0;
	if (arg->boolean)
		return json_is_boolean(value) &&
		    json_is_true(value) == (arg->number != 0);
	return json_is_integer(value) &&
	    json_integer_value(value) == arg->number;
}

static void
add_gap(struct buf *out)
{
	if (out->len > 0)
		buf_add_str(out, "; ");
}

/* Says which argument is not as wanted. The type is compared elsewhere. */
static void
compare_wanted(const struct topology_arg *arg, const json_t *found,
    const char *name, struct buf *out)
{
	const json_t *value = json_object_get(found, name);

	if (strcmp(name, "x-queue-type") == 0 || is_equal(arg, value))
		return;
	add_gap(out);
	buf_printf(out, "%s is ", name);
	if (value == NULL)
		buf_add_str(out, "not set");
	else
		add_value(out, value);
	buf_add_str(out, " instead of ");
	if (arg->text != NULL)
		buf_add(out, arg->text, arg->text_len);
	else if (arg->boolean)
		buf_add_str(out, arg->number != 0 ? "true" : "false");
	else
		buf_printf(out, "%lld", (long long)arg->number);
}

static void
compare_args(const struct topology_item *item, const json_t *found,
    struct buf *out)
{
	bool wanted[array_len(compared)] = { false };
	struct topology_arg arg;
	size_t at = 0, i;

	while (topology_arg_next(item, &at, &arg)) {
		char *name = xstrndup(arg.name, arg.name_len);

		compare_wanted(&arg, found, name, out);
		for (i = 0; i < array_len(compared); i++)
			wanted[i] |= strcmp(name, compared[i]) == 0;
		free(name);
	}
	for (i = 0; i < array_len(compared); i++) {
		const json_t *value = json_object_get(found, compared[i]);

		if (wanted[i] || value == NULL)
			continue;
		add_gap(out);
		buf_printf(out, "%s is ", compared[i]);
		add_value(out, value);
		buf_add_str(out, " and should not be set");
	}
}

static void
compare_word(const char *what, const char *is, const char *wanted,
    struct buf *out)
{
	if (strcmp(is, wanted) == 0)
		return;
	add_gap(out);
	buf_printf(out, "%s %s instead of %s", what, is, wanted);
}

static void
queue_differences(const struct topology_item *item,
    const struct found_queue *queue, struct buf *out)
{
	compare_word("type", queue->type, item->type, out);
	if (!queue->durable || queue->exclusive || queue->auto_delete) {
		add_gap(out);
		buf_printf(out, "it is %s",
		    queue->exclusive	 ? "exclusive"
			: queue->durable ? "deleted with its last consumer"
					 : "not durable");
	}
	compare_args(item, queue->arguments, out);
}

static void
exchange_differences(const struct topology_item *item,
    const struct found_exchange *exchange, struct buf *out)
{
	const char *alternate =
	    found_text(exchange->arguments, "alternate-exchange");

	compare_word("type", exchange->type, item->type, out);
	if (!exchange->durable || exchange->internal || exchange->auto_delete) {
		add_gap(out);
		buf_printf(out, "it is %s",
		    exchange->internal	    ? "internal"
			: exchange->durable ? "deleted with its last binding"
					    : "not durable");
	}
	if (alternate != NULL) {
		add_gap(out);
		buf_printf(out,
		    "alternate-exchange is %s and should not be set",
		    alternate);
	}
}

/* What is wrong with an exchange or queue that is there; empty: nothing. */
static void
differences(const struct sight *sight, const struct topology_item *item,
    struct buf *out)
{
	if (item->foreign)
		return;
	if (item->kind == TOPOLOGY_QUEUE)
		queue_differences(item, found_queue(&sight->found, item->name),
		    out);
	else
		exchange_differences(item,
		    found_exchange(&sight->found, item->name), out);
}

static bool
is_there(const struct sight *sight, const struct topology_item *item)
{
	switch (item->kind) {
	case TOPOLOGY_EXCHANGE:
		return found_exchange(&sight->found, item->name) != NULL;
	case TOPOLOGY_QUEUE:
		return found_queue(&sight->found, item->name) != NULL;
	default:
		return found_has_binding(&sight->found, item->source,
		    item->name, item->key,
		    item->kind == TOPOLOGY_QUEUE_BINDING);
	}
}

static void
compare_managed(const struct sight *sight, const struct topology_item *item,
    struct report *report)
{
	struct buf text = { 0 };

	if (!is_there(sight, item)) {
		report_object(report, item, REPORT_MISSING, NULL);
		return;
	}
	if (!topology_is_binding(item))
		differences(sight, item, &text);
	if (text.len == 0)
		report_object(report, item, REPORT_EXISTS, NULL);
	else
		report_object(report, item, REPORT_DIFFERENT,
		    xstrdup(buf_str(&text)));
	buf_clear(&text);
}

static enum report_state
state_seen(const struct sight_item *seen)
{
	if (!seen->seen)
		return REPORT_UNKNOWN;
	if (!seen->problem)
		return REPORT_EXISTS;
	switch (seen->fault) {
	case TOPOLOGY_MISSING:
		return REPORT_MISSING;
	case TOPOLOGY_DIFFERENT:
		return REPORT_DIFFERENT;
	default:
		return REPORT_UNKNOWN;
	}
}

static void
compare_seen(const struct topology_item *item, const struct sight_item *seen,
    struct report *report)
{
	enum report_state state = state_seen(seen);
	struct buf what = { 0 };

	report_object(report, item, state,
	    state == REPORT_MISSING ? NULL : xstrdup(seen->text));
	if (state != REPORT_UNKNOWN || !seen->seen)
		return;
	topology_item_describe(item, &what);
	report_unchecked(report, xstrdup(buf_str(&what)),
	    xstrdup(seen->text != NULL ? seen->text : "not seen"));
	buf_clear(&what);
}

static void
say_unreadable(const struct found *found, struct report *report)
{
	for (int part = 0; part < FOUND_PARTS; part++) {
		if (found->unreadable[part] == 0)
			continue;
		report_unchecked(report,
		    xasprintf("%zu of the %s", found->unreadable[part],
			found_part_path((enum found_part)part)),
		    xstrdup("a name or another text of theirs holds a NUL, as "
			    "none of ours does"));
	}
}

void
compare_objects(const struct sight *sight, struct report *report)
{
	say_unreadable(&sight->found, report);
	for (size_t i = 0; i < sight->topology->count; i++) {
		const struct topology_item *item = &sight->topology->items[i];

		if (sight->managed)
			compare_managed(sight, item, report);
		else
			compare_seen(item, &sight->items[i], report);
	}
}
