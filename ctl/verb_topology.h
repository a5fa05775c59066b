/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* dlo topology: its verbs, and what they share. */
#ifndef DLO_CTL_VERB_TOPOLOGY_H
#define DLO_CTL_VERB_TOPOLOGY_H

#include "ctl/report.h"
#include "ctl/verbs.h"

int verb_topology_plan(const struct verb_call *);
int verb_topology_apply(const struct verb_call *);
int verb_topology_check(const struct verb_call *);

/* Writes it to stdout, as text or JSON; CLI_FAILED when that does not go. */
int verb_topology_print(const struct verb_call *, const struct report *,
    unsigned parts) must_use;

#endif
