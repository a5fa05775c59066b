/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Starting a process, for child.c alone. */
#ifndef DLO_LIB_CHILD_SPAWN_H
#define DLO_LIB_CHILD_SPAWN_H

#include "lib/child.h"

/* Our ends of a new process: close-on-exec, non-blocking; -1: none. */
struct child_ends {
	pid_t pid;
	int pidfd;  /* readable when it has ended */
	int in;	    /* its stdin */
	int out;    /* its stdout, if wanted */
	int err;    /* its stderr */
	int status; /* an int, the errno, if the program cannot be executed */
};

/* 0, or the errno of why there is no process; then nothing is left open. */
int child_spawn(const struct child_params *, struct child_ends *) must_use;

#endif
