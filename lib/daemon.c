/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "lib/daemon.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/build.h"
#include "lib/cli.h"
#include "lib/http_server.h"
#include "lib/log.h"
#include "lib/loop_libevent.h"
#include "lib/notify.h"
#include "lib/signals.h"
#include "lib/stream_libevent.h"
#include "lib/xalloc.h"

#define TEXT_PLAIN "text/plain; charset=utf-8"

struct daemon {
	struct loop *loop;
	struct stream_net *net;
	struct metrics *metrics;
	struct notify *notify;
	struct signals *signals;
	struct http_server *http; /* NULL: none */
	char *instance;
	const struct daemon_core *core;
	void *arg;
	bool told; /* systemd, that it is up */
	bool draining;
	int exit_code;
};

static void
answer(struct http_request *request, int code, const char *text)
{
	struct buf body = { 0 };

	buf_printf(&body, "%s\n", text);
	http_server_respond(request, code, TEXT_PLAIN, &body);
	buf_clear(&body);
}

static void
on_healthz(void *arg, struct http_request *request)
{
	(void)arg;
	answer(request, 200, "ok");
}

static void
on_readyz(void *arg, struct http_request *request)
{
	struct daemon *d = arg;
	struct buf why = { 0 };

	if (d->core->is_ready(d->arg, &why))
		answer(request, 200, why.len > 0 ? buf_str(&why) : "ready");
	else
		answer(request, 503, buf_str(&why));
	buf_clear(&why);
}

static void
on_metrics(void *arg, struct http_request *request)
{
	struct daemon *d = arg;
	struct buf body = { 0 };

	metrics_render(d->metrics, &body);
	http_server_respond(request, 200, METRICS_CONTENT_TYPE, &body);
	buf_clear(&body);
}

static int
open_pages(struct daemon *d, const char *address,
    const struct http_server_limits *limits)
{
	char *error = NULL;

	d->http = http_server_open(d->loop, address, limits, &error);
	if (d->http == NULL) {
		log_error("listen_failed", LOG_STR("address", address),
		    LOG_STR("text", error),
		    LOG_STR("hint", "choose another with --listen"));
		free(error);
		return -1;
	}
	log_info("listening", LOG_STR("address", address),
	    LOG_UINT("port", http_server_port(d->http)));
	http_server_handle(d->http, "GET", "/healthz", on_healthz, d);
	http_server_handle(d->http, "GET", "/readyz", on_readyz, d);
	http_server_handle(d->http, "GET", "/metrics", on_metrics, d);
	return 0;
}

static void
on_signal(void *arg, int signo)
{
	struct daemon *d = arg;

	log_info("signal", LOG_STR("name", sigabbrev_np(signo)));
	if (signo == SIGHUP) {
		if (!d->draining)
			d->core->reload(d->arg);
		return;
	}
	if (d->draining) {
		/* The broker takes back what is not acked. */
		log_warn("not_drained", LOG_STR("text", "asked twice"));
		daemon_end(d, CLI_FAILED);
		return;
	}
	d->draining = true;
	notify_stopping(d->notify);
	d->core->drain(d->arg);
}

static char *
instance_name(void)
{
	char host[HOST_NAME_MAX + 1] = "";

	if (gethostname(host, sizeof(host) - 1) == -1)
		host[0] = '\0';
	return xasprintf("%s:%ld", host, (long)getpid());
}

struct daemon *
daemon_open(const char *address, const struct http_server_limits *limits)
{
	struct daemon *d = xcalloc(1, sizeof(*d));

	d->loop = loop_libevent_new();
	d->net = stream_libevent_new(d->loop);
	d->metrics = metrics_new();
	d->instance = instance_name();
	if (address == NULL || open_pages(d, address, limits) == 0)
		return d;
	daemon_close(d);
	return NULL;
}

int
daemon_run(struct daemon *d, const struct daemon_core *core, void *arg)
{
	d->core = core;
	d->arg = arg;
	d->notify = notify_new(d->loop);
	d->signals = signals_new(d->loop, on_signal, d);
	core->start(arg);
	loop_run(d->loop);
	log_info("exit", LOG_INT("code", d->exit_code));
	signals_free(d->signals);
	notify_free(d->notify);
	core->free(arg);
	/* What it frees at the end of the turn. */
	loop_run_tasks(d->loop);
	return d->exit_code;
}

void
daemon_close(struct daemon *d)
{
	if (d == NULL)
		return;
	http_server_close(d->http);
	metrics_free(d->metrics);
	stream_libevent_free(d->net);
	loop_free(d->loop);
	free(d->instance);
	free(d);
}

void
daemon_ready(struct daemon *d)
{
	log_info("ready", LOG_STR("version", PACKAGE_VERSION));
	notify_status(d->notify, "running");
	notify_ready(d->notify);
	d->told = true;
}

void
daemon_waiting(struct daemon *d)
{
	notify_status(d->notify, "waiting for the broker");
	notify_ready(d->notify);
	d->told = true;
}

void
daemon_reloading(struct daemon *d)
{
	/* To one that is still starting, ready would mean that it is up. */
	if (d->told)
		notify_reloading(d->notify);
}

void
daemon_reloaded(struct daemon *d)
{
	if (d->told)
		notify_ready(d->notify);
}

void
daemon_end(struct daemon *d, int exit_code)
{
	d->exit_code = exit_code;
	loop_stop(d->loop);
}

struct http_server *
daemon_http(struct daemon *d)
{
	return d->http;
}

struct loop *
daemon_loop(struct daemon *d)
{
	return d->loop;
}

struct stream_net *
daemon_net(struct daemon *d)
{
	return d->net;
}

struct metrics *
daemon_metrics(struct daemon *d)
{
	return d->metrics;
}

const char *
daemon_instance(const struct daemon *d)
{
	return d->instance;
}
