/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * SIGTERM, SIGINT and SIGHUP as calls from the loop. One at a time a
 * process. The handler only writes to a pipe: no signal is blocked, and a
 * program that is executed gets them as they were.
 */
#ifndef DLO_LIB_SIGNALS_H
#define DLO_LIB_SIGNALS_H

#include "lib/loop.h"

struct signals;

typedef void signals_cb(void *arg, int signo);

/* From now on `cb` is called from the loop for each signal that came. */
struct signals *signals_new(struct loop *, signals_cb *, void *arg);
/* Gives the signals their former meaning; NULL is fine. */
void signals_free(struct signals *);

#endif
