/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The options of verbs; each takes a struct verb_call. */
#ifndef DLO_CTL_OPTIONS_H
#define DLO_CTL_OPTIONS_H

#include "lib/cli.h"

/* A part of an options table: `entries` of them. */
struct options {
	const struct cli_option *items;
	size_t count;
};

extern const struct options options_json;    /* --json */
extern const struct options options_declare; /* --dry-run --json */
extern const struct options options_letter;  /* filters, --json */
extern const struct options options_look;    /* and --parked, --archive */
extern const struct options options_peek;    /* and --limit, --body */
extern const struct options options_move;    /* filters, what a job has */
extern const struct options options_redrive; /* and --canary */
extern const struct options options_audit;   /* --since --json */

#endif
