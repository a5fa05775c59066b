/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* A command that exits 0 when the downstream is healthy. */
#include "downstream/probe.h"

#include <stdlib.h>

#include "config/conf.h"
#include "downstream/exec_command.h"
#include "downstream/exec_verdict.h"
#include "lib/xalloc.h"

struct probe_exec {
	struct probe_driver base;
	struct exec_command command;
	struct child *child; /* NULL: idle */
	struct exec_tail tail;
	probe_driver_cb *cb;
	void *arg;
};

static void
exec_cancel(struct probe_driver *driver)
{
	struct probe_exec *exec = container_of(driver, struct probe_exec, base);

	if (exec->child != NULL)
		child_close(exec->child);
	exec->child = NULL;
}

static void
on_err(void *arg, const void *bytes, size_t len)
{
	struct probe_exec *exec = arg;

	exec_tail_add(&exec->tail, bytes, len);
}

static void
on_exited(void *arg, const struct child_exit *end)
{
	struct probe_exec *exec = arg;
	bool good = end->how == CHILD_EXITED && end->code == 0;
	struct verdict verdict;

	exec_verdict_once(&verdict, exec->command.argv[0], end, &exec->tail);
	exec_cancel(&exec->base);
	if (good)
		exec->cb(exec->arg, true, NULL);
	else
		exec->cb(exec->arg, false,
		    verdict.error[0] != '\0' ? verdict.error : verdict.class);
}

static void
exec_start(struct probe_driver *driver, int64_t timeout_ms, probe_driver_cb *cb,
    void *arg)
{
	static const struct child_cbs cbs = {
		.err = on_err,
		.exited = on_exited,
	};
	struct probe_exec *exec = container_of(driver, struct probe_exec, base);

	(void)timeout_ms; /* the probe cancels */
	exec->cb = cb;
	exec->arg = arg;
	exec->tail.len = 0;
	exec->child =
	    exec_command_open(&exec->command, NULL, false, &cbs, exec);
	child_send(exec->child, NULL, 0, NULL, 0, true);
}

static void
exec_free(struct probe_driver *driver)
{
	struct probe_exec *exec = container_of(driver, struct probe_exec, base);

	exec_cancel(driver);
	exec_command_clear(&exec->command);
	free(exec);
}

struct probe_driver *
probe_exec_new(struct loop *loop, const struct conf_probe *conf)
{
	static const struct probe_driver_ops ops = {
		.start = exec_start,
		.cancel = exec_cancel,
		.free = exec_free,
	};
	const struct conf_exec command = {
		.command = conf->command,
		.workers = 1,
		.timeout_ms = conf->timeout_ms,
	};
	struct probe_exec *exec = xcalloc(1, sizeof(*exec));

	exec->base.ops = &ops;
	exec_command_init(&exec->command, loop, &command);
	return &exec->base;
}
