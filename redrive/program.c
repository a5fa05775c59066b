/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config/conf_listen.h"
#include "lib/cli.h"
#include "lib/daemon.h"
#include "lib/http_server.h"
#include "lib/log.h"
#include "redrive/api.h"
#include "redrive/print.h"
#include "redrive/redrive.h"
#include "redrive/reload.h"

/* Between tries to start again with what has worked before. */
#define RESTART_MS 2000

struct program {
	struct daemon *daemon;
	struct redrive_env env;
	const struct conf_listen *listen;
	const struct once_options *once; /* NULL: a daemon */
	struct redrive *redrive;	 /* NULL: between two of them */
	struct api *api;		 /* NULL: none */
	struct reload reload;
	bool served; /* it was ready once: no fault ends it any more */
	bool draining;
	int exit_code;		/* of the core that has ended */
	struct loop_task ended; /* it has */
	struct loop_task again; /* a reload that came during another */
	struct loop_timer *restart;
};

static void
reload(void *arg)
{
	struct program *p = arg;

	if (p->draining || !reload_begin(&p->reload))
		return;
	if (p->redrive != NULL)
		redrive_drain(p->redrive);
	else
		loop_defer(p->env.loop, &p->ended);
}

static void
reload_if_due(struct program *p)
{
	if (reload_is_due(&p->reload))
		loop_defer(p->env.loop, &p->again);
}

static void
on_ready(void *arg)
{
	struct program *p = arg;

	p->served = true;
	daemon_ready(p->daemon);
	reload_settled(&p->reload, true);
	reload_if_due(p);
}

static void
on_unreachable(void *arg)
{
	struct program *p = arg;

	daemon_waiting(p->daemon);
	reload_settled(&p->reload, false);
}

static void
on_ended(void *arg, int exit_code)
{
	struct program *p = arg;

	p->exit_code = exit_code;
	loop_defer(p->env.loop, &p->ended);
}

static void
on_result(void *arg, const struct once_result *result)
{
	struct buf text = { 0 };

	(void)arg;
	print_result(&text, result);
	(void)fwrite(buf_peek(&text), 1, text.len, stdout);
	(void)fflush(stdout);
	buf_clear(&text);
}

/* Without a redrive it tells that there is none. */
static void
open_api(struct program *p)
{
	const struct api_env env = {
		.loop = p->env.loop,
		.http = daemon_http(p->daemon),
		.redrive = p->redrive,
		.conf = reload_in_force(&p->reload),
		.listen = p->listen,
	};

	api_free(p->api);
	p->api = p->once == NULL && env.http != NULL ? api_new(&env) : NULL;
}

static void
open_core(struct program *p)
{
	static const struct redrive_cbs cbs = {
		.ready = on_ready,
		.unreachable = on_unreachable,
		.result = on_result,
		.ended = on_ended,
	};

	p->redrive =
	    redrive_new(&p->env, reload_in_force(&p->reload), p->once, &cbs, p);
	open_api(p);
}

static void
close_core(struct program *p)
{
	api_free(p->api);
	redrive_free(p->redrive);
	p->api = NULL;
	p->redrive = NULL;
}

static void
restart(void *arg)
{
	struct program *p = arg;

	open_core(p);
	redrive_start(p->redrive);
	reload_if_due(p);
}

static void
wait_to_restart(struct program *p)
{
	open_api(p);
	loop_timer_start(p->env.loop, p->restart, RESTART_MS);
}

/* Not from the core's callback: this frees it. */
static void
turn(void *arg)
{
	struct program *p = arg;
	bool failed = p->exit_code != CLI_OK;
	bool endures = p->served && p->once == NULL;

	close_core(p);
	loop_timer_stop(p->env.loop, p->restart);
	if (!p->draining && reload_turn(&p->reload, failed))
		restart(p);
	else if (!p->draining && failed && endures)
		wait_to_restart(p);
	else /* TERM may come just when a start has failed */
		daemon_end(p->daemon, endures ? CLI_OK : p->exit_code);
}

static void
core_start(void *arg)
{
	redrive_start(((struct program *)arg)->redrive);
}

static void
core_drain(void *arg)
{
	struct program *p = arg;

	p->draining = true;
	if (p->redrive != NULL)
		redrive_drain(p->redrive);
	else
		on_ended(p, CLI_OK);
}

static void
core_reload(void *arg)
{
	struct program *p = arg;

	if (p->once == NULL)
		reload(p);
	else
		log_warn("reload_not_supported",
		    LOG_STR("text", "--once ends by itself"));
}

static bool
core_is_ready(void *arg, struct buf *why)
{
	const struct program *p = arg;

	if (p->redrive != NULL)
		return redrive_is_ready(p->redrive, why);
	if (why != NULL)
		buf_add_str(why, "it cannot start again: see the log");
	return false;
}

static void
core_free(void *arg)
{
	struct program *p = arg;

	loop_undefer(p->env.loop, &p->ended);
	loop_undefer(p->env.loop, &p->again);
	loop_timer_free(p->env.loop, p->restart);
	close_core(p);
}

/* The default socket's folder is ours to make; any other must be there. */
static int
make_folder(const struct conf_listen *listen)
{
	struct conf_listen ours;

	conf_listen_redrive(&ours);
	if (listen->kind != CONF_LISTEN_UNIX ||
	    strcmp(listen->path, ours.path) != 0)
		return 0;
	*strrchr(ours.path, '/') = '\0';
	if (mkdir(ours.path, 0755) == 0 || errno == EEXIST)
		return 0;
	log_error("listen_failed", LOG_STR("address", listen->path),
	    LOG_STR("text", strerror(errno)),
	    LOG_STR("hint", "choose another with --listen"));
	return -1;
}

int
program_run(const struct conf *conf, const struct conf_listen *listen,
    const struct once_options *once, bool verbose)
{
	static const struct daemon_core core = {
		.start = core_start,
		.drain = core_drain,
		.reload = core_reload,
		.is_ready = core_is_ready,
		.free = core_free,
	};
	/* An import of large messages needs much, so only few may come. */
	static const struct http_server_limits limits = {
		.body_bytes = 32u << 20,
		.connections = 32,
	};
	struct program p = { .listen = listen, .once = once };
	int exit_code;
	char *address;

	if (make_folder(listen) == -1)
		return CLI_FAILED;
	address = listen->kind == CONF_LISTEN_NONE
	    ? NULL
	    : conf_listen_address(listen);
	p.daemon = daemon_open(address, &limits);
	free(address);
	if (p.daemon == NULL)
		return CLI_FAILED;
	p.env.loop = daemon_loop(p.daemon);
	p.env.net = daemon_net(p.daemon);
	p.env.metrics = daemon_metrics(p.daemon);
	p.env.instance = daemon_instance(p.daemon);
	p.reload.daemon = p.daemon;
	p.reload.first = conf;
	p.reload.verbose = verbose;
	loop_task_init(&p.ended, turn, &p);
	loop_task_init(&p.again, reload, &p);
	p.restart = loop_timer_new(p.env.loop, restart, &p);
	open_core(&p);
	exit_code = daemon_run(p.daemon, &core, &p);
	reload_clear(&p.reload);
	daemon_close(p.daemon);
	return exit_code;
}
