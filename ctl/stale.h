/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Bindings of our own exchanges that the configuration does not know, as a
 * renamed queue leaves them: one message goes two ways. Pure.
 */
#ifndef DLO_CTL_STALE_H
#define DLO_CTL_STALE_H

#include "ctl/report.h"
#include "ctl/sight.h"

enum stale_kind {
	STALE_NOT,    /* wanted, or none of ours */
	STALE_WRONG,  /* takes messages of a pipeline that we know */
	STALE_ORPHAN, /* of a pipeline that is not in this configuration */
};

/* The bindings that are wanted, to look others up in. */
struct stale;
struct stale *stale_new(const struct sight *);
void stale_free(struct stale *);
/* What that binding is. */
enum stale_kind stale_judge(const struct stale *, const struct found_binding *);

/* Adds those that are wrong, as objects. */
void stale_objects(const struct sight *, struct report *);
/* Adds all of them, as findings. */
void stale_findings(const struct sight *, struct report *);

#endif
