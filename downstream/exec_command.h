/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* What both modes of the exec handler share: the command and its children. */
#ifndef DLO_DOWNSTREAM_EXEC_COMMAND_H
#define DLO_DOWNSTREAM_EXEC_COMMAND_H

#include "downstream/attempt.h"
#include "downstream/exec_env.h"
#include "lib/child.h"
#include "lib/loop.h"

struct conf_exec;

struct exec_command {
	char **argv;
	unsigned workers;
	int64_t timeout_ms;
	uint64_t memory_bytes;
	int64_t cpu_ms;
	struct exec_env env; /* scratch */
	struct children *children;
};

/* Copies what it needs of the configuration. */
void exec_command_init(struct exec_command *, struct loop *,
    const struct conf_exec *);
/* Kills and reaps what is still running. */
void exec_command_clear(struct exec_command *);
/*
 * Starts a process. `attempt`: what its environment tells of, NULL: nothing.
 * `output`: as in struct child_params.
 */
struct child *exec_command_open(struct exec_command *,
    const struct attempt *attempt, bool output, const struct child_cbs *,
    void *arg) must_use;

#endif
