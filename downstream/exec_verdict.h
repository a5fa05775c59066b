/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* What the end of a command, and its last words, say of a message. Pure. */
#ifndef DLO_DOWNSTREAM_EXEC_VERDICT_H
#define DLO_DOWNSTREAM_EXEC_VERDICT_H

#include <stddef.h>
#include <stdint.h>

#include "downstream/verdict.h"
#include "lib/child.h"

#define EXEC_TAIL_BYTES 4096

/* The end of what was written to stderr; zeroed, it is empty. */
struct exec_tail {
	size_t len;
	char bytes[EXEC_TAIL_BYTES];
};

void exec_tail_add(struct exec_tail *, const void *bytes, size_t len);
/* Makes the last line with anything in it the error, if that is empty. */
void exec_tail_tell(const struct exec_tail *, struct verdict *);

/*
 * A command has ended: 0 is ok, 65 (EX_DATAERR) rejects, other codes and
 * signals are a retry, and so is a program that cannot be executed
 * (`program`: its name). Classes: exec.CODE, exec.signal.N, exec.start. The
 * error is the last line of stderr, or what happened.
 */
void exec_verdict_once(struct verdict *, const char *program,
    const struct child_exit *, const struct exec_tail *);
/*
 * A stream worker has ended in the middle of a message: always a retry, as
 * exec.exit.CODE, exec.signal.N or exec.start.
 */
void exec_verdict_stream(struct verdict *, const char *program,
    const struct child_exit *, const struct exec_tail *);
/* There was no end in time: exec.timeout. */
void exec_verdict_timeout(struct verdict *, int64_t timeout_ms,
    const struct exec_tail *);

#endif
