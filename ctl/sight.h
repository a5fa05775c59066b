/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * All that was seen of a broker, beside what the configuration wants there:
 * what the judges (compare.h, doctor.h, stale.h, advice.h) look at.
 */
#ifndef DLO_CTL_SIGHT_H
#define DLO_CTL_SIGHT_H

#include <stdbool.h>

#include "config/conf.h"
#include "ctl/found.h"
#include "dlx/topology.h"
#include "dlx/topology_run.h"

/* What AMQP told of one item of the topology. */
struct sight_item {
	bool seen;    /* it was asked about at all */
	bool problem; /* and this was the answer; else it is there */
	enum topology_fault fault;
	char *text; /* the broker's words; NULL: none */
};

struct sight {
	const struct conf *conf;
	const struct topology *topology;
	const char *vhost;
	/*
	 * The management API told all of `found`; else only existence was
	 * seen, in `items` (one for each of the topology's).
	 */
	bool managed;
	struct found found;
	struct sight_item *items;
	char *why_not; /* why it did not; NULL: it did */
};

#endif
