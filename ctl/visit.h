/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The broker by AMQP, as the user who declares: one connection, one or more
 * walks over the topology, and the end. It blocks, on a loop of its own.
 */
#ifndef DLO_CTL_VISIT_H
#define DLO_CTL_VISIT_H

#include "config/conf.h"
#include "ctl/sight.h"
#include "dlx/topology_run.h"

/* What came of it. */
struct visit {
	int exit_code;	  /* CLI_OK: `items` holds what was seen */
	char *problem;	  /* else why not; the caller frees it */
	const char *hint; /* and what to do about it; NULL: nobody knows */
	bool denied;	  /* something may not be made */
	size_t unseen;	  /* objects not compared, or bindings not made */
	struct sight_item *items;
};

/*
 * Looks for (TOPOLOGY_CHECK) or makes (TOPOLOGY_DECLARE) the topology; each
 * node is tried once. `items` gets an entry for each of the topology's; the
 * caller frees it with visit_free_items.
 */
void visit_run(const struct conf *, enum topology_mode, struct visit *);
void visit_free_items(struct sight_item *, size_t count);

#endif
