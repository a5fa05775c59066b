/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What most verbs do: ask dlo-redrive once and print what it answers, as it is
 * with --json, else as text. Each returns an exit code.
 */
#ifndef DLO_CTL_REMOTE_SHOW_H
#define DLO_CTL_REMOTE_SHOW_H

#include <jansson.h>

#include "ctl/verbs.h"
#include "lib/buf.h"
#include "lib/compiler.h"

/* Appends an answer's text. */
typedef void remote_show_cb(struct buf *out, const struct verb_call *,
    const json_t *answer);

/* Asks for `path` (taken: it is cleared). */
int remote_show_get(const struct verb_call *, struct buf *path,
    remote_show_cb *) must_use;
/* Posts `body` (borrowed; NULL: none). */
int remote_show_post(const struct verb_call *, struct buf *path,
    const json_t *body, remote_show_cb *) must_use;
/* An answer that is there already. */
int remote_show(const struct verb_call *, const json_t *answer,
    remote_show_cb *) must_use;

#endif
