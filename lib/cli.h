/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The command line that the daemons share, and what each adds to it:
 *
 *	-c, --config FILE   -t, --check   -v, --verbose
 *	--listen ADDR|none  --help        --version
 *
 * `dlo` has verbs: its parse stops at the first word that is no option, and
 * the verb's own table goes on from there with cli_parse_more.
 *
 * Long options take `--name VALUE` and `--name=VALUE` and are never
 * abbreviated; letters can be joined (`-tv`). What is wrong is said on stderr
 * with a hint.
 */
#ifndef DLO_LIB_CLI_H
#define DLO_LIB_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/compiler.h"

/* How our programs end. */
enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_DRIFT = 2,	      /* or unchecked, or a job not complete */
	CLI_USAGE = 64,	      /* the command line is wrong */
	CLI_UNREACHABLE = 69, /* no broker */
	CLI_UNHEALTHY = 75,   /* the downstream is; nothing moved */
	CLI_DENIED = 77,      /* password, vhost or permission */
	CLI_CONFIG = 78,      /* the configuration is wrong */
};

/* One option. */
struct cli_option {
	const char *name; /* long name without its dashes */
	char letter;	  /* short name; 0: none */
	const char
	    *value;	  /* what the help calls its value; NULL: it has none */
	const char *help; /* some words, without a full stop */
	/*
	 * Takes the value (NULL when it has none; else valid as long as argv);
	 * returns NULL, or what is wrong with it in static text.
	 */
	const char *(*take)(void *arg, const char *value);
};

/* A program: its name, its own options, and where those put their values. */
struct cli_program {
	const char *name;
	const char *summary; /* one sentence */
	const char *usage;   /* what follows the name; lines joined by \n */
	const struct cli_option *options;
	size_t option_count;
	void *arg; /* given to each take */
	/*
	 * Takes a word that is no option; returns NULL, or what is wrong with
	 * it. NULL: it has none.
	 */
	const char *(*take_word)(void *arg, const char *word);
	bool has_verbs; /* a word ends the parse; there is no --listen */
	bool is_verb;	/* there is no --listen, no --check */
};

/* The values of the shared options. */
struct cli {
	const char *config; /* NULL: not given */
	const char *listen; /* NULL: not given */
	bool check;	    /* -t */
	bool verbose;	    /* -v: log at debug level */
	char *const *rest;  /* has_verbs: the first word, NULL at the end */
};

/*
 * Reads the command line. Returns -1 when the program is to go on, else the
 * exit code: 0 after --help or --version, CLI_USAGE after a mistake.
 */
int cli_parse(const struct cli_program *, struct cli *out, int argc,
    char *const *argv) must_use;
/*
 * The same for what follows a verb: `argv` begins behind it, and what `out`
 * holds already stays.
 */
int cli_parse_more(const struct cli_program *, struct cli *out,
    char *const *argv) must_use;
/* Says on stderr what is wrong with the command line; returns CLI_USAGE. */
int cli_usage_error(const struct cli_program *, const char *fmt, ...)
    printf_like(2, 3) must_use;

#endif
