/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* A job of the control API for people, and its way to its end. */
#ifndef DLO_CTL_JOB_TEXT_H
#define DLO_CTL_JOB_TEXT_H

#include <jansson.h>
#include <stdbool.h>

#include "lib/buf.h"

/* "redrive", "delete", …; "dry run" of whichever. */
const char *job_text_action(const json_t *job);
/* Appends "0abc running 42 %", or that another daemon has been asked. */
void job_text_brief(struct buf *, const json_t *job);
/* Appends how it is or how it ended: "complete", "partial: no verdicts". */
void job_text_state(struct buf *, const json_t *job);
/* Appends what it did: "17 redriven, 3 parked, 2 left". */
void job_text_did(struct buf *, const json_t *job);
/* Appends what a dry run would have done, as lines. */
void job_text_would(struct buf *, const json_t *job);
/* Appends all there is to say of it, as lines. */
void job_text_whole(struct buf *, const json_t *job);

bool job_text_has_ended(const json_t *job);
/* CLI_OK: not ended, or complete. */
int job_text_exit_code(const json_t *job);

#endif
