/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Drift and dangerous settings, each with what goes wrong and what mends it.
 * Pure. The numbers in the comments are those of docs/broker-facts.md.
 */
#ifndef DLO_CTL_DOCTOR_H
#define DLO_CTL_DOCTOR_H

#include "ctl/report.h"
#include "ctl/sight.h"

/*
 * Adds what is wrong, and what could not be seen; the objects must be in the
 * report already (compare_objects).
 */
void doctor_findings(const struct sight *, struct report *);

#endif
