/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The verbs of dlo, as a table: a group has verbs below it, a verb has words
 * and options of its own and a function in a file of its own.
 */
#ifndef DLO_CTL_VERBS_H
#define DLO_CTL_VERBS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/conf.h"
#include "lib/cli.h"
#include "lib/compiler.h"

#define VERB_WORDS_MAX 2

struct options;

/* What a verb was called with. */
struct verb_call {
	const struct conf *conf;
	const char *words[VERB_WORDS_MAX]; /* as many as the verb has */
	size_t word_count;
	bool json;
	bool dry_run;
	bool force;
	bool wait;
	bool all;	   /* every letter, without a filter */
	bool body;	   /* show bodies too */
	json_t *filter;	   /* as POST /v1/jobs takes it; NULL: none */
	const char *queue; /* as GET …/dead takes it; NULL: none given */
	/* -1: not given. */
	int64_t rate, max, canary, limit, since_ms;
};

struct verb {
	const char *name;
	const char *help;	     /* some words, for the group's help */
	const char *summary;	     /* for its own */
	const char *words;	     /* what follows it: "P", "NAME on|off" */
	size_t word_count;	     /* how many words that is */
	const struct options *takes; /* NULL: none */
	const struct verb *below;    /* a group; no run then */
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

/*
 * Returns -1 when the program is to go on, else the exit code. To be cleared
 * in either case.
 */
int verbs_parse(struct verbs_line *, int argc, char *const *argv) must_use;
void verbs_clear(struct verbs_line *);

#endif
