/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* dlo-redrive as a daemon, or as a run to the end of some jobs. */
#ifndef DLO_REDRIVE_PROGRAM_H
#define DLO_REDRIVE_PROGRAM_H

#include "config/conf.h"
#include "lib/compiler.h"
#include "redrive/once.h"

/*
 * Runs until it has drained or cannot go on, or, with `once` not NULL, until
 * the jobs that it asks for have ended and their results are on stdout;
 * returns the exit code. `listen` is where the pages are served;
 * `verbose`: log.level does not count.
 */
int program_run(const struct conf *, const struct conf_listen *listen,
    const struct once_options *once, bool verbose) must_use;

#endif
