/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The environment of a command: ours, less what speaks to us alone (DLO_*,
 * and what a service manager told us), plus what tells of the attempt.
 * Values from the wire are percent-encoded as in HTTP headers, so that they
 * hold no NUL and no control characters. Names are ours alone.
 */
#ifndef DLO_DOWNSTREAM_EXEC_ENV_H
#define DLO_DOWNSTREAM_EXEC_ENV_H

#include "downstream/attempt.h"
#include "lib/buf.h"

/* Use it zeroed; it may be filled again and again. */
struct exec_env {
	struct buf text; /* NAME=VALUE, a NUL after each */
	char **list;	 /* into it and into ours; NULL at the end */
	size_t space;	 /* of the list, in pointers */
};

/*
 * Fills it. `attempt` (NULL: none) is told as DLO_ID … DLO_TRACEPARENT: all
 * of them, empty when the message has it not, but an invalid traceparent is
 * left out. The list is valid until the next call.
 */
void exec_env_fill(struct exec_env *, const struct attempt *attempt);
void exec_env_clear(struct exec_env *);

#endif
