/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * dlo-redrive with its surroundings: libevent's loop and streams, signals,
 * the pages for probes and metrics, systemd.
 */
#ifndef DLO_REDRIVE_DAEMON_H
#define DLO_REDRIVE_DAEMON_H

#include "config/conf.h"
#include "lib/compiler.h"
#include "redrive/once.h"

/*
 * Runs until it has drained or cannot go on, or, with `once` not NULL, until
 * the jobs that it asks for have ended and their results are on stdout;
 * returns the exit code. `listen` is where the pages are served.
 */
int daemon_run(const struct conf *, const struct conf_listen *listen,
    const struct once_options *once) must_use;

#endif
