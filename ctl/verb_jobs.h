/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Verbs that make jobs, look at them and steer them. */
#ifndef DLO_CTL_VERB_JOBS_H
#define DLO_CTL_VERB_JOBS_H

#include "ctl/verbs.h"

/* verb_move.c */
int verb_redrive(const struct verb_call *);
int verb_delete(const struct verb_call *);
int verb_restore(const struct verb_call *);
int verb_park(const struct verb_call *);
int verb_unpark(const struct verb_call *);
/* verb_jobs.c */
int verb_jobs(const struct verb_call *);
int verb_job(const struct verb_call *);
/* verb_steer.c */
int verb_pause(const struct verb_call *);
int verb_resume(const struct verb_call *);
int verb_cancel(const struct verb_call *);
/* verb_audit.c */
int verb_audit(const struct verb_call *);
/* verb_feature.c */
int verb_feature(const struct verb_call *);

#endif
