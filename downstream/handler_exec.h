/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The two modes of the exec handler, for handler_exec.c alone. */
#ifndef DLO_DOWNSTREAM_HANDLER_EXEC_H
#define DLO_DOWNSTREAM_HANDLER_EXEC_H

#include "downstream/handler.h"

struct conf_exec;

/* A process an attempt: body on stdin, the exit status is the answer. */
struct handler *exec_once_new(struct loop *, const struct conf_exec *);
/*
 * Processes that live on, each with one message at a time, in and out by
 * lines of JSON. `name` is the downstream's, for the log; copied.
 */
struct handler *exec_stream_new(struct loop *, const char *name,
    const struct conf_exec *);

#endif
