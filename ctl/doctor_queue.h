/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The part of the doctor that looks at one queue. */
#ifndef DLO_CTL_DOCTOR_QUEUE_H
#define DLO_CTL_DOCTOR_QUEUE_H

#include "ctl/places.h"
#include "ctl/report.h"
#include "ctl/sight.h"

/* What is dangerous about a queue that is there. */
void doctor_queue(const struct sight *, const struct topology_item *,
    const struct found_queue *, struct report *);

#endif
