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

struct program {
	struct daemon *daemon;
	struct redrive *redrive;
	struct api *api; /* NULL: none */
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
on_result(void *arg, const struct once_result *result)
{
	struct buf text = { 0 };

	(void)arg;
	print_result(&text, result);
	(void)fwrite(buf_peek(&text), 1, text.len, stdout);
	(void)fflush(stdout);
	buf_clear(&text);
}

static void
core_start(void *arg)
{
	redrive_start(((struct program *)arg)->redrive);
}

static void
core_drain(void *arg)
{
	redrive_drain(((struct program *)arg)->redrive);
}

static void
core_reload(void *arg)
{
	(void)arg;
	log_warn("reload_not_supported",
	    LOG_STR("text",
		"dlo-redrive reads its configuration only at start: "
		"restart it"));
}

static bool
core_is_ready(void *arg, struct buf *why)
{
	return redrive_is_ready(((struct program *)arg)->redrive, why);
}

static void
core_free(void *arg)
{
	struct program *p = arg;

	api_free(p->api);
	redrive_free(p->redrive);
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
    const struct once_options *once)
{
	static const struct redrive_cbs cbs = {
		.ready = on_ready,
		.unreachable = on_unreachable,
		.result = on_result,
		.ended = on_ended,
	};
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
	struct redrive_env env = { 0 };
	struct program p = { 0 };
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
	env.loop = daemon_loop(p.daemon);
	env.net = daemon_net(p.daemon);
	env.metrics = daemon_metrics(p.daemon);
	env.instance = daemon_instance(p.daemon);
	p.redrive = redrive_new(&env, conf, once, &cbs, &p);
	if (once == NULL && daemon_http(p.daemon) != NULL) {
		const struct api_env api = { env.loop, daemon_http(p.daemon),
			p.redrive, conf, listen };

		p.api = api_new(&api);
	}
	exit_code = daemon_run(p.daemon, &core, &p);
	daemon_close(p.daemon);
	return exit_code;
}
