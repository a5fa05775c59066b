/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The control API of dlo-redrive, one request after the other. It blocks: this
 * is for commands. What goes wrong is said on stderr, with what to do about
 * it, and comes back as an exit code. The token appears in no text.
 */
#ifndef DLO_CTL_REMOTE_H
#define DLO_CTL_REMOTE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "config/conf.h"
#include "lib/buf.h"
#include "lib/compiler.h"

struct remote;

/* The one of redrive.listen; NULL: there can be none, which is said. */
struct remote *remote_open(const struct conf *) must_use;
/* NULL is fine. */
void remote_close(struct remote *);

/*
 * Asks for `path` ("/v1/jobs"). CLI_OK: `answer` is the caller's to
 * json_decref; else what is wrong has been said.
 */
int remote_get(struct remote *, const char *path, json_t **answer) must_use;
/* Posts `body` (borrowed; NULL: none). `answer` as above. */
int remote_post(struct remote *, const char *path, const json_t *body,
    json_t **answer) must_use;

/* A line of an answer in JSON lines; false: no more of it is wanted. */
typedef bool remote_line_cb(void *arg, const char *line, size_t len);
/* Asks for `path` as JSON lines, each as soon as it comes. */
int remote_lines(struct remote *, const char *path, remote_line_cb *,
    void *arg) must_use;

/* Appends text with all that is special in a path or query escaped. */
void remote_escape(struct buf *path, const char *text);
/* Appends `key=value` to a query under construction: "/v1/x?". */
void remote_add(struct buf *path, const char *key, const char *value);

#endif
