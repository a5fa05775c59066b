/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Wanted against found: the state of each object. Pure. */
#ifndef DLO_CTL_COMPARE_H
#define DLO_CTL_COMPARE_H

#include "ctl/report.h"
#include "ctl/sight.h"

/*
 * Adds every object of the topology with its state, and what could not be
 * seen.
 */
void compare_objects(const struct sight *, struct report *);

#endif
