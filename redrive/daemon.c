/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/daemon.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/conf_listen.h"
#include "lib/build.h"
#include "lib/cli.h"
#include "lib/http_server.h"
#include "lib/log.h"
#include "lib/loop_libevent.h"
#include "lib/notify.h"
#include "lib/signals.h"
#include "lib/stream_libevent.h"
#include "lib/xalloc.h"
#include "redrive/print.h"
#include "redrive/redrive.h"

#define TEXT_PLAIN "text/plain; charset=utf-8"

struct daemon {
	struct loop *loop;
	struct stream_net *net;
	struct metrics *metrics;
	struct notify *notify;
	struct signals *signals;
	struct http_server *http; /* NULL: none */
	struct redrive *redrive;
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

	if (redrive_is_ready(d->redrive, &why))
		answer(request, 200, "ready");
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

/* The default socket's folder is ours to make; any other must be there. */
static int
make_folder(const struct conf_listen *listen, char **error)
{
	struct conf_listen ours;

	conf_listen_redrive(&ours);
	if (listen->kind != CONF_LISTEN_UNIX ||
	    strcmp(listen->path, ours.path) != 0)
		return 0;
	*strrchr(ours.path, '/') = '\0';
	if (mkdir(ours.path, 0755) == 0 || errno == EEXIST)
		return 0;
	*error = xasprintf("cannot make %s: %s", ours.path, strerror(errno));
	return -1;
}

static int
open_pages(struct daemon *d, const struct conf_listen *listen)
{
	char *address, *error = NULL;

	if (listen->kind == CONF_LISTEN_NONE)
		return 0;
	address = conf_listen_address(listen);
	if (make_folder(listen, &error) == 0)
		d->http = http_server_open(d->loop, address, NULL, &error);
	if (d->http == NULL) {
		log_error("listen_failed", LOG_STR("address", address),
		    LOG_STR("text", error),
		    LOG_STR("hint", "choose another with --listen"));
	} else {
		log_info("listening", LOG_STR("address", address),
		    LOG_UINT("port", http_server_port(d->http)));
		http_server_handle(d->http, "GET", "/healthz", on_healthz, d);
		http_server_handle(d->http, "GET", "/readyz", on_readyz, d);
		http_server_handle(d->http, "GET", "/metrics", on_metrics, d);
	}
	free(address);
	free(error);
	return d->http != NULL ? 0 : -1;
}

static void
on_signal(void *arg, int signo)
{
	struct daemon *d = arg;

	if (signo == SIGHUP) {
		log_warn("reload_not_supported",
		    LOG_STR("text", "restart to read the configuration anew"));
		return;
	}
	log_info("signal", LOG_STR("name", sigabbrev_np(signo)));
	if (d->draining) {
		/* The broker takes back what is held. */
		log_warn("not_drained", LOG_STR("text", "asked twice"));
		d->exit_code = CLI_FAILED;
		loop_stop(d->loop);
		return;
	}
	d->draining = true;
	notify_stopping(d->notify);
	redrive_drain(d->redrive);
}

static void
on_ready(void *arg)
{
	struct daemon *d = arg;

	log_info("ready", LOG_STR("version", PACKAGE_VERSION));
	notify_ready(d->notify);
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
on_ended(void *arg, int exit_code)
{
	struct daemon *d = arg;

	d->exit_code = exit_code;
	loop_stop(d->loop);
}

/* "host:pid": who holds a connection, as the broker shows it. */
static char *
instance_name(void)
{
	char host[HOST_NAME_MAX + 1] = "";

	if (gethostname(host, sizeof(host) - 1) == -1)
		host[0] = '\0';
	return xasprintf("%s:%ld", host, (long)getpid());
}

static void
run(struct daemon *d, const struct conf *conf, const struct once_options *once)
{
	static const struct redrive_cbs cbs = {
		.ready = on_ready,
		.result = on_result,
		.ended = on_ended,
	};
	char *instance = instance_name();
	const struct redrive_env env = {
		.loop = d->loop,
		.net = d->net,
		.metrics = d->metrics,
		.instance = instance,
	};

	d->redrive = redrive_new(&env, conf, once, &cbs, d);
	free(instance);
	d->notify = notify_new(d->loop);
	d->signals = signals_new(d->loop, on_signal, d);
	redrive_start(d->redrive);
	loop_run(d->loop);
	log_info("exit", LOG_INT("code", d->exit_code));
	signals_free(d->signals);
	notify_free(d->notify);
	redrive_free(d->redrive);
}

int
daemon_run(const struct conf *conf, const struct conf_listen *listen,
    const struct once_options *once)
{
	struct daemon d = { .exit_code = CLI_FAILED };

	d.loop = loop_libevent_new();
	d.net = stream_libevent_new(d.loop);
	d.metrics = metrics_new();
	if (open_pages(&d, listen) == 0)
		run(&d, conf, once);
	http_server_close(d.http);
	metrics_free(d.metrics);
	stream_libevent_free(d.net);
	loop_free(d.loop);
	return d.exit_code;
}
