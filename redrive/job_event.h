/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* What the active daemon tells of its jobs on `dlo.events`; see dlx/teller.h.
 */
#ifndef DLO_REDRIVE_JOB_EVENT_H
#define DLO_REDRIVE_JOB_EVENT_H

#include "dlx/teller.h"

struct job_events;
struct registry_job;

/* `app` and kinds are its own. */
struct job_events *job_events_new(const struct teller_env *);
/* NULL is fine. */
void job_events_free(struct job_events *);
/* How the job is now. */
void job_events_tell(struct job_events *, const struct registry_job *);

#endif
