/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/action.h"

#include <string.h>

#include "dlx/topology.h"

static const char *const action_names[ACTION_COUNT] = {
	[ACTION_REDRIVE] = "redrive",
	[ACTION_DELETE] = "delete",
	[ACTION_RESTORE] = "restore",
	[ACTION_PARK] = "park",
	[ACTION_UNPARK] = "unpark",
};

const char *
action_name(enum action action)
{
	return action_names[action];
}

int
action_parse(const char *name, enum action *out)
{
	for (int i = 0; i < ACTION_COUNT; i++) {
		if (strcmp(action_names[i], name) == 0) {
			*out = (enum action)i;
			return 0;
		}
	}
	return -1;
}

const char *
action_source(enum action action, const struct topology_pipeline_names *names)
{
	switch (action) {
	case ACTION_RESTORE:
		return names->archive;
	case ACTION_UNPARK:
		return names->parked;
	default:
		return names->dead;
	}
}

struct action_target
action_target(enum action action, const struct topology_names *all,
    const struct topology_pipeline_names *names)
{
	struct action_target target = { all->dead, names->dead_key,
		names->dead };

	switch (action) {
	case ACTION_REDRIVE:
		target.exchange = all->redrive;
		target.queue = names->work;
		break;
	case ACTION_DELETE:
		target.key = names->archive_key;
		target.queue = names->archive;
		break;
	case ACTION_PARK:
		target.key = names->parked_key;
		target.queue = names->parked;
		break;
	default:
		break;
	}
	return target;
}
