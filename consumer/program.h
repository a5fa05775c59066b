/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The consumer as a daemon. */
#ifndef DLO_CONSUMER_PROGRAM_H
#define DLO_CONSUMER_PROGRAM_H

#include <stdbool.h>

#include "config/conf.h"
#include "lib/compiler.h"

/*
 * Runs until it has drained or cannot go on; returns the exit code. `listen`
 * is where the pages are served; `verbose`: log.level does not count.
 */
int program_run(const struct conf *, const struct conf_listen *listen,
    bool verbose) must_use;

#endif
