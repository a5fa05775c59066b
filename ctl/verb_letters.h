/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Verbs that look at pipelines and their dead letters. */
#ifndef DLO_CTL_VERB_LETTERS_H
#define DLO_CTL_VERB_LETTERS_H

#include "ctl/verbs.h"

int verb_status(const struct verb_call *);
int verb_groups(const struct verb_call *);
int verb_peek(const struct verb_call *);
int verb_edit(const struct verb_call *);
int verb_export(const struct verb_call *);
int verb_import(const struct verb_call *);

#endif
