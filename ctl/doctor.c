/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "ctl/doctor.h"

#include <stdlib.h>
#include <string.h>

#include "ctl/advice.h"
#include "ctl/doctor_queue.h"
#include "ctl/stale.h"
#include "lib/xalloc.h"

static char *
describe(const struct report_object *object)
{
	struct buf text = { 0 };
	char *copy;

	report_describe(object, &text);
	copy = xstrdup(buf_str(&text));
	buf_clear(&text);
	return copy;
}

/* Which end of a binding is missing says all about the binding. */
static bool
has_ends(const struct report *report, const struct topology_item *item)
{
	return report->objects[item->target_index].state != REPORT_MISSING &&
	    report->objects[item->source_index].state != REPORT_MISSING;
}

static void
missing(struct report *report, const struct report_object *object)
{
	const struct topology_item *item = object->item;

	if (topology_is_binding(item)) {
		if (has_ends(report, item))
			report_finding(report, "missing", REPORT_ERROR,
			    describe(object),
			    xstrdup("messages do not get through here"),
			    xstrdup("dlo topology apply"));
		return;
	}
	report_finding(report, "missing", REPORT_ERROR, describe(object),
	    xstrdup("it is not in the broker"),
	    item->foreign
		? xasprintf("declare it, or let dlo do so: queue: {name: %s, "
			    "declare: {type: quorum}}",
		      item->name)
		: xstrdup("dlo topology apply"));
}

static const char *
different_code(const struct sight *sight, const struct topology_item *item)
{
	const struct found_queue *queue;

	if (!sight->managed || item->kind != TOPOLOGY_QUEUE)
		return "different";
	queue = found_queue(&sight->found, item->name);
	return strcmp(item->type, "quorum") == 0 &&
		strcmp(queue->type, "classic") == 0
	    ? "classic_queue"
	    : "different";
}

static void
different(const struct sight *sight, struct report *report,
    const struct report_object *object)
{
	report_finding(report, different_code(sight, object->item),
	    REPORT_ERROR, describe(object), xstrdup(object->problem),
	    xstrdup("what exists is never changed: stop the daemons, see that "
		    "no message is in it, delete it, and dlo topology apply"));
}

/* Fact 2: it takes the returns away. */
static void
alternate_exchange(const struct sight *sight, struct report *report,
    const struct report_object *object)
{
	const struct found_exchange *exchange =
	    found_exchange(&sight->found, object->item->name);
	const struct found_policy *policy =
	    found_policy(&sight->found, exchange->policy);
	char *fix, *command = NULL;

	if (found_text(exchange->arguments, "alternate-exchange") != NULL) {
		fix = xstrdup("stop the daemons, delete the exchange, and dlo "
			      "topology apply");
	} else if (policy != NULL &&
	    json_object_get(policy->definition, "alternate-exchange") != NULL) {
		fix = xasprintf("narrow the pattern of policy %s, or remove "
				"it:",
		    policy->name);
		command = advice_clear(sight, policy->name, false);
	} else {
		return;
	}
	report_finding(report, "alternate_exchange", REPORT_ERROR,
	    describe(object),
	    xstrdup("it has an alternate exchange: a message without a route "
		    "goes there, and looks as if it had arrived"),
	    fix);
	report_command(report, command);
}

static void
look_closer(const struct sight *sight, struct report *report,
    const struct report_object *object)
{
	const struct topology_item *item = object->item;

	if (item->kind == TOPOLOGY_EXCHANGE)
		alternate_exchange(sight, report, object);
	else if (item->kind == TOPOLOGY_QUEUE)
		doctor_queue(sight, item,
		    found_queue(&sight->found, item->name), report);
}

/* Facts 4, of the configuration itself. */
static void
classic_by_choice(const struct sight *sight, struct report *report)
{
	if (sight->conf->topology.queue_type != CONF_QUEUE_CLASSIC)
		return;
	report_finding(report, "at_most_once", REPORT_WARNING,
	    xstrdup("topology.queue_type"),
	    xstrdup("classic queues dead-letter at most once: a ladder of them "
		    "can lose messages"),
	    xstrdup("queue_type: quorum, for any broker that matters"));
}

void
doctor_findings(const struct sight *sight, struct report *report)
{
	classic_by_choice(sight, report);
	for (size_t i = 0; i < report->object_count; i++) {
		const struct report_object *object = &report->objects[i];

		if (object->item == NULL)
			continue;
		if (object->state == REPORT_MISSING)
			missing(report, object);
		else if (object->state == REPORT_DIFFERENT)
			different(sight, report, object);
		if (sight->managed && object->state != REPORT_MISSING)
			look_closer(sight, report, object);
	}
	if (sight->managed)
		stale_findings(sight, report);
}
