/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* What the tests of the configuration share. */
#ifndef DLO_TESTS_CONFIG_SUPPORT_H
#define DLO_TESTS_CONFIG_SUPPORT_H

#include "tests/unit.h"

#include "config/conf.h"
#include "lib/buf.h"

#define SUPPORT_ROLES \
	(CONF_ROLE_CONSUMER | CONF_ROLE_REDRIVE | CONF_ROLE_TOPOLOGY)

/* The least that a file must have, for tests to put something before. */
#define SUPPORT_REST \
	"downstreams: {d: {noop: {}}}\n" \
	"pipelines: {p: {queue: q, downstream: d}}\n"

/* Group setup: a known environment, with DLO_PASSWORD=xyzzy. */
int support_setup(void **state);
/* The path of a file of the source tree; the caller frees it. */
char *support_path(const char *name);
/* A file of the source tree, whole; the caller clears it. */
void support_read(const char *name, struct buf *out);
/* All errors, one line each, "LINE:COLUMN: key: problem"; for clearing. */
void support_show(const struct conf_errors *, struct buf *out);
/* Parses text that must be valid; the caller frees the conf. */
struct conf *support_parse(const char *text);
/* Parses text that must not be; the errors as of support_show. */
void support_refuse(const char *text, struct buf *out);

#endif
