/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * SIGTERM, SIGINT and SIGHUP as calls from the loop; SIGPIPE is ignored. One
 * at a time a process. Ignored signals are inherited over exec: who starts
 * children sets SIGPIPE back for them.
 */
#ifndef DLO_LIB_SIGNALS_H
#define DLO_LIB_SIGNALS_H

#include "lib/loop.h"

struct signals;

typedef void signals_cb(void *arg, int signo);

/* From now on `cb` is called once for each signal taken by the loop. */
struct signals *signals_new(struct loop *, signals_cb *, void *arg);
/* Gives the signals their former meaning; NULL is fine. */
void signals_free(struct signals *);

#endif
