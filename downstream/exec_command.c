/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/exec_command.h"

#include <stdlib.h>
#include <string.h>

#include "config/conf.h"
#include "lib/xalloc.h"

void
exec_command_init(struct exec_command *command, struct loop *loop,
    const struct conf_exec *conf)
{
	size_t i;

	memset(command, 0, sizeof(*command));
	command->argv =
	    xcalloc(conf->command.count + 1, sizeof(*command->argv));
	for (i = 0; i < conf->command.count; i++)
		command->argv[i] = xstrdup(conf->command.items[i]);
	command->workers = conf->workers;
	command->timeout_ms = conf->timeout_ms;
	command->memory_bytes = conf->memory_bytes;
	command->cpu_ms = conf->cpu_ms;
	command->children = children_new(loop);
}

void
exec_command_clear(struct exec_command *command)
{
	size_t i;

	children_free(command->children);
	exec_env_clear(&command->env);
	for (i = 0; command->argv[i] != NULL; i++)
		free(command->argv[i]);
	free(command->argv);
}

struct child *
exec_command_open(struct exec_command *command, const struct attempt *attempt,
    bool output, const struct child_cbs *cbs, void *arg)
{
	struct child_params params = {
		.argv = command->argv,
		.output = output,
		.memory_bytes = command->memory_bytes,
		.cpu_ms = command->cpu_ms,
	};

	exec_env_fill(&command->env, attempt);
	params.env = command->env.list;
	return child_open(command->children, &params, cbs, arg);
}
