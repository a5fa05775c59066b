/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* dlo topology plan */
#include "ctl/verb_topology.h"

#include "ctl/advice.h"
#include "ctl/compare.h"
#include "ctl/look.h"
#include "ctl/stale.h"
#include "lib/xalloc.h"

/* Whether apply can bring about all that is wanted, as far as can be seen. */
static bool
is_feasible(const struct report *report)
{
	for (size_t i = 0; i < report->object_count; i++) {
		const struct report_object *object = &report->objects[i];

		if (object->state == REPORT_DIFFERENT ||
		    (object->state == REPORT_MISSING && object->item->foreign))
			return false;
	}
	return report->unchecked_count == 0;
}

static int
plan(const struct verb_call *call, const struct sight *sight)
{
	struct report report = { 0 };
	int code;

	compare_objects(sight, &report);
	if (sight->managed)
		stale_objects(sight, &report);
	else
		report_unchecked(&report,
		    xstrdup("arguments, bindings and policies"),
		    xstrdup(sight->why_not));
	advice_policies(sight, &report);
	code = verb_topology_print(call, &report,
	    REPORT_OBJECTS | REPORT_POLICIES);
	if (code == CLI_OK && !is_feasible(&report))
		code = CLI_DRIFT;
	report_clear(&report);
	return code;
}

int
verb_topology_plan(const struct verb_call *call)
{
	struct look look;
	int code = look_open(&look, call->conf, &look_brisk);

	if (code == CLI_OK)
		code = plan(call, &look.sight);
	look_close(&look);
	return code;
}
