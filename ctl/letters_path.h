/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Where the control API has a pipeline's dead letters. */
#ifndef DLO_CTL_LETTERS_PATH_H
#define DLO_CTL_LETTERS_PATH_H

#include "ctl/verbs.h"
#include "lib/buf.h"

/* "/v1/pipelines/P/WHAT?…" with the call's filter and queue. */
void letters_path(struct buf *, const struct verb_call *, const char *what);

#endif
