/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* dlo topology check */
#include "ctl/verb_topology.h"

#include "ctl/compare.h"
#include "ctl/doctor.h"
#include "ctl/look.h"
#include "lib/xalloc.h"

static int
check(const struct verb_call *call, const struct sight *sight)
{
	struct report report = { 0 };
	int code;

	compare_objects(sight, &report);
	doctor_findings(sight, &report);
	if (!sight->managed)
		report_unchecked(&report,
		    xstrdup("arguments, bindings and policies"),
		    xstrdup(sight->why_not));
	code = verb_topology_print(call, &report, REPORT_FINDINGS);
	if (code == CLI_OK &&
	    (report_alarms(&report) > 0 || report.unchecked_count > 0))
		code = CLI_DRIFT;
	report_clear(&report);
	return code;
}

int
verb_topology_check(const struct verb_call *call)
{
	struct look look;
	int code = look_open(&look, call->conf, &look_patient);

	if (code == CLI_OK)
		code = check(call, &look.sight);
	look_close(&look);
	return code;
}
