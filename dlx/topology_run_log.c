/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "dlx/topology_run.h"

#include "lib/log.h"

static enum log_level
problem_level(const struct topology_problem *problem)
{
	if (problem->fault != TOPOLOGY_UNKNOWN)
		return LOG_LEVEL_ERROR;
	/* Rights to look are not asked of anybody. */
	return problem->code == 403 ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN;
}

void
topology_run_log(const struct topology_result *result)
{
	struct buf what = { 0 };
	size_t i;

	for (i = 0; i < result->problem_count; i++) {
		const struct topology_problem *problem = &result->problems[i];

		buf_reset(&what);
		topology_item_describe(problem->item, &what);
		log_event(problem_level(problem), "topology_problem",
		    LOG_STR("item", buf_str(&what)),
		    LOG_STR("fault", topology_fault_name(problem->fault)),
		    LOG_STR("text", problem->text));
	}
	buf_clear(&what);
	log_info("topology", LOG_BOOL("finished", result->finished),
	    LOG_BOOL("usable", result->usable),
	    LOG_UINT("alike", result->alike),
	    LOG_UINT("unseen", result->unseen),
	    LOG_UINT("problems", result->problem_count));
}
