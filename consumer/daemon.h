/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The consumer with its surroundings: libevent's loop and streams, signals,
 * the pages for probes and metrics, systemd.
 */
#ifndef DLO_CONSUMER_DAEMON_H
#define DLO_CONSUMER_DAEMON_H

#include "config/conf.h"
#include "lib/compiler.h"

/*
 * Runs until it has drained or cannot go on; returns the exit code. `listen`
 * is where the pages are served.
 */
int daemon_run(const struct conf *, const struct conf_listen *listen) must_use;

#endif
