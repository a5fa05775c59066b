/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Commands for an operator to copy: above all the policy that makes a work
 * queue of somebody else's dead-letter into its pipeline's DLQ. Pure.
 */
#ifndef DLO_CTL_ADVICE_H
#define DLO_CTL_ADVICE_H

#include "ctl/report.h"
#include "ctl/sight.h"

/* Appends a word so that a shell takes it as it is. */
void advice_quote(struct buf *, const char *word);
/*
 * The rabbitmqctl line, or lines joined by backslashes, for the work queue of
 * that pipeline; NULL: it has what it needs, or a policy cannot give it, then
 * *note says why. The caller frees both.
 */
char *advice_policy(const struct sight *, const struct conf_pipeline *,
    char **note);
/* Adds that for every work queue that is not ours to declare. */
void advice_policies(const struct sight *, struct report *);
/* "rabbitmqctl clear_policy -p / NAME", or of an operator's. */
char *advice_clear(const struct sight *, const char *policy, bool by_operator);

#endif
