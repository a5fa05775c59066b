/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "consumer/program.h"

#include <stdlib.h>

#include "consumer/consumer.h"
#include "consumer/reload.h"
#include "lib/cli.h"
#include "lib/daemon.h"

struct program {
	struct daemon *daemon;
	struct consumer *consumer;
	struct reload reload;
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
on_reloaded(void *arg, const struct roster_change *change)
{
	reload_done(&((struct program *)arg)->reload, change);
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
	struct program *p = arg;

	reload_end(&p->reload);
	consumer_drain(p->consumer);
}

static void
core_reload(void *arg)
{
	reload_begin(&((struct program *)arg)->reload);
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
program_run(const struct conf *conf, const struct conf_listen *listen,
    bool verbose)
{
	static const struct consumer_cbs cbs = {
		.ready = on_ready,
		.unreachable = on_unreachable,
		.reloaded = on_reloaded,
		.ended = on_ended,
	};
	static const struct daemon_core core = {
		.start = core_start,
		.drain = core_drain,
		.reload = core_reload,
		.is_ready = core_is_ready,
		.free = core_free,
	};
	char *address = listen->kind == CONF_LISTEN_NONE
	    ? NULL
	    : conf_listen_address(listen);
	struct program p = { .daemon = daemon_open(address, NULL) };
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
	p.reload.daemon = p.daemon;
	p.reload.consumer = p.consumer;
	p.reload.first = conf;
	p.reload.verbose = verbose;
	exit_code = daemon_run(p.daemon, &core, &p);
	reload_clear(&p.reload);
	daemon_close(p.daemon);
	return exit_code;
}
