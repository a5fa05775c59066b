/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The command line of dlo-redrive. */
#ifndef DLO_REDRIVE_ARGS_H
#define DLO_REDRIVE_ARGS_H

#include <stdbool.h>

#include "lib/cli.h"
#include "lib/compiler.h"
#include "redrive/once.h"

struct conf;

/* A list under construction; the texts are argv's. */
struct args_texts {
	const char **items;
	size_t count;
};

/* What was asked for. */
struct args {
	struct cli cli;
	bool is_once;
	struct once_options once; /* its arrays are these: */
	struct args_texts pipelines, reasons, classes, ids;
	struct conf_match *headers;
	char **header_names;
	size_t header_count;
};

/*
 * Reads the command line. Returns -1 when the program is to go on, else the
 * exit code. To be freed with args_clear in either case.
 */
int args_parse(struct args *, int argc, char *const *argv) must_use;
/*
 * Checks what only the configuration can tell (that the pipelines exist) and
 * chooses where to listen. Returns -1 or an exit code.
 */
int args_apply(const struct args *, const struct conf *,
    struct conf_listen *listen) must_use;
void args_clear(struct args *);

#endif
