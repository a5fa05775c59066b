/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* What a job does with dead letters: from which queue to which. Pure. */
#ifndef DLO_REDRIVE_ACTION_H
#define DLO_REDRIVE_ACTION_H

#include <stdbool.h>

#include "lib/compiler.h"

struct topology_names;
struct topology_pipeline_names;

enum action {
	ACTION_REDRIVE, /* dead letters back to their work queue */
	ACTION_DELETE,	/* dead letters to the archive */
	ACTION_RESTORE, /* and back */
	ACTION_PARK,	/* dead letters to the parked queue */
	ACTION_UNPARK,	/* and back */
	ACTION_COUNT
};

/* "redrive", "delete", "restore", "park", "unpark". */
const char *action_name(enum action);
/* -1: no action has that name. */
int action_parse(const char *name, enum action *out) must_use;

/* Where a copy is published, and which queue it comes to. */
struct action_target {
	const char *exchange, *key, *queue;
};

/* The queue that it takes from. */
const char *action_source(enum action, const struct topology_pipeline_names *);
struct action_target action_target(enum action, const struct topology_names *,
    const struct topology_pipeline_names *);

#endif
