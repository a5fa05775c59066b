/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The verbs of dlo, as a table: a group has verbs below it, a verb has options
 * and a function in a file of its own.
 */
#ifndef DLO_CTL_VERBS_H
#define DLO_CTL_VERBS_H

#include <stdbool.h>
#include <stddef.h>

#include "config/conf.h"
#include "lib/cli.h"
#include "lib/compiler.h"

/* What a verb was called with. */
struct verb_call {
	const struct conf *conf;
	bool json;
	bool dry_run;
};

struct verb {
	const char *name;
	const char *help;		  /* some words, for the group's help */
	const char *summary;		  /* for its own */
	const struct cli_option *options; /* take a struct verb_call */
	size_t option_count;
	const struct verb *below; /* a group; no run then */
	size_t below_count;
	unsigned roles; /* whose secrets it needs: set of enum conf_role */
	/* enum cli_exit */
	int (*run)(const struct verb_call *);
};

/* A command line that was understood. */
struct verbs_line {
	struct cli cli;
	struct verb_call call;	 /* but for the configuration */
	const struct verb *verb; /* NULL: only check the configuration */
};

/* Returns -1 when the program is to go on, else the exit code. */
int verbs_parse(struct verbs_line *, int argc, char *const *argv) must_use;

#endif
