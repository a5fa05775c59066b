/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "consumer/program.h"

#include <stdlib.h>

#include "consumer/consumer.h"
#include "lib/cli.h"
#include "lib/daemon.h"

struct program {
	struct daemon *daemon;
	struct consumer *consumer;
};

static void
on_ready(void *arg)
{
	daemon_ready(((struct program *)arg)->daemon);
}

static void
on_unreachable(void *arg)
{
	daemon_waiting(((struct program *)arg)->daemon);
}

static void
on_ended(void *arg, int exit_code)
{
	daemon_end(((struct program *)arg)->daemon, exit_code);
}

static void
core_start(void *arg)
{
	consumer_start(((struct program *)arg)->consumer);
}

static void
core_drain(void *arg)
{
	consumer_drain(((struct program *)arg)->consumer);
}

static bool
core_is_ready(void *arg, struct buf *why)
{
	return consumer_is_ready(((struct program *)arg)->consumer, why);
}

static void
core_free(void *arg)
{
	consumer_free(((struct program *)arg)->consumer);
}

int
program_run(const struct conf *conf, const struct conf_listen *listen)
{
	static const struct consumer_cbs cbs = {
		.ready = on_ready,
		.unreachable = on_unreachable,
		.ended = on_ended,
	};
	static const struct daemon_core core = {
		.start = core_start,
		.drain = core_drain,
		.is_ready = core_is_ready,
		.free = core_free,
	};
	char *address = listen->kind == CONF_LISTEN_NONE
	    ? NULL
	    : conf_listen_address(listen);
	struct program p = { .daemon = daemon_open(address) };
	struct consumer_env env = { 0 };
	int exit_code;

	free(address);
	if (p.daemon == NULL)
		return CLI_FAILED;
	env.loop = daemon_loop(p.daemon);
	env.net = daemon_net(p.daemon);
	env.metrics = daemon_metrics(p.daemon);
	env.instance = daemon_instance(p.daemon);
	p.consumer = consumer_new(&env, conf, &cbs, &p);
	exit_code = daemon_run(p.daemon, &core, &p);
	daemon_close(p.daemon);
	return exit_code;
}
