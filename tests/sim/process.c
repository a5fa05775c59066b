/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/sim/process.h"

#include <assert.h>
#include <stdlib.h>

#include "config/conf_change.h"
#include "consumer/consumer.h"
#include "lib/xalloc.h"
#include "redrive/redrive.h"

/* What ended with an error is started again after that time. */
#define RESTART_MS 2000

struct process {
	enum process_kind kind;
	struct process_env env;
	struct sim_net *net;
	struct metrics *metrics;
	struct consumer *consumer; /* NULL: not running, or another kind */
	struct redrive *redrive;
	struct loop_timer *start;
	bool ended, draining, reloading;
	const struct conf *conf; /* in force */
	int exit_code;
	unsigned failures, deaths;
};

/* A message has killed it; systemd starts it again. */
static void
die(void *arg)
{
	struct process *process = arg;

	process->deaths++;
	(void)process_kill(process);
	if (!process->draining)
		process_start(process, RESTART_MS);
}

static struct handler *
make_handler(void *arg, const struct conf_downstream *conf)
{
	(void)conf;
	return fakes_handler_new(((struct process *)arg)->env.fakes, die, arg);
}

static struct probe_driver *
make_driver(void *arg, const struct conf_downstream *conf)
{
	(void)conf;
	return fakes_driver_new(((struct process *)arg)->env.fakes);
}

static void
on_ready(void *arg)
{
	(void)arg;
}

static void
on_unreachable(void *arg)
{
	(void)arg;
}

static void
on_ended(void *arg, int exit_code)
{
	struct process *process = arg;

	process->ended = true;
	process->exit_code = exit_code;
	if (exit_code == 0 || process->draining)
		return;
	process->failures++;
	loop_timer_start(process->env.loop, process->start, RESTART_MS);
}

static void
on_reloaded(void *arg, const struct roster_change *change)
{
	(void)change;
	((struct process *)arg)->reloading = false;
}

static void
start_consumer(struct process *process)
{
	static const struct consumer_cbs cbs = {
		.ready = on_ready,
		.unreachable = on_unreachable,
		.reloaded = on_reloaded,
		.ended = on_ended,
	};
	const struct consumer_env env = {
		.loop = process->env.loop,
		.net = sim_net_streams(process->net),
		.metrics = process->metrics,
		.instance = "sim:1",
		.handler_new = make_handler,
		.driver_new = make_driver,
		.arg = process,
	};

	process->reloading = false;
	process->conf = process->env.conf;
	process->consumer =
	    consumer_new(&env, process->env.conf, &cbs, process);
	consumer_start(process->consumer);
}

static void
start_redrive(struct process *process)
{
	static const struct redrive_cbs cbs = {
		.ready = on_ready,
		.unreachable = on_unreachable,
		.ended = on_ended,
	};
	const struct redrive_env env = {
		.loop = process->env.loop,
		.net = sim_net_streams(process->net),
		.metrics = process->metrics,
		.instance = "sim:2",
		/* Few, so that a chain of them is needed. */
		.scan_prefetch = 3,
		.driver_new = make_driver,
		.arg = process,
	};

	process->redrive =
	    redrive_new(&env, process->env.conf, NULL, &cbs, process);
	redrive_start(process->redrive);
}

static void
on_start(void *arg)
{
	struct process *process = arg;

	(void)process_kill(process);
	process->metrics = metrics_new();
	process->ended = false;
	process->exit_code = 0;
	if (process->kind == PROCESS_CONSUMER)
		start_consumer(process);
	else
		start_redrive(process);
}

struct process *
process_new(enum process_kind kind, const struct process_env *env)
{
	struct process *process = xcalloc(1, sizeof(*process));

	process->kind = kind;
	process->env = *env;
	process->net = sim_net_new(env->loop, &model_server, env->model);
	process->start = loop_timer_new(env->loop, on_start, process);
	return process;
}

void
process_free(struct process *process)
{
	assert(process->metrics == NULL);
	loop_timer_free(process->env.loop, process->start);
	sim_net_free(process->net);
	free(process);
}

void
process_start(struct process *process, int64_t delay_ms)
{
	if (process->metrics == NULL)
		loop_timer_start(process->env.loop, process->start, delay_ms);
}

bool
process_kill(struct process *process)
{
	if (process->metrics == NULL)
		return false;
	loop_timer_stop(process->env.loop, process->start);
	sim_net_cut(process->net, 1);
	consumer_free(process->consumer);
	redrive_free(process->redrive);
	process->consumer = NULL;
	process->redrive = NULL;
	/* What it frees at the end of the turn may still count. */
	loop_run_tasks(process->env.loop);
	metrics_free(process->metrics);
	process->metrics = NULL;
	return true;
}

void
process_drain(struct process *process)
{
	process->draining = true;
	loop_timer_stop(process->env.loop, process->start);
	if (process_is_over(process))
		return;
	if (process->consumer != NULL)
		consumer_drain(process->consumer);
	else
		redrive_drain(process->redrive);
}

bool
process_reload(struct process *process, const struct conf *conf)
{
	struct conf_errors errors = { 0 };

	if (process->consumer == NULL || process->ended || process->draining ||
	    process->reloading || process->conf == conf)
		return false;
	conf_change_refused(process->conf, conf, CONF_ROLE_CONSUMER, &errors);
	assert(errors.count == 0);
	conf_errors_clear(&errors);
	process->reloading = true;
	process->conf = conf;
	consumer_reload(process->consumer, conf);
	return true;
}

bool
process_is_over(const struct process *process)
{
	return process->metrics == NULL || process->ended;
}

int
process_exit_code(const struct process *process)
{
	return process->exit_code;
}

unsigned
process_failures(const struct process *process)
{
	return process->failures;
}

unsigned
process_deaths(const struct process *process)
{
	return process->deaths;
}

struct sim_net *
process_net(struct process *process)
{
	return process->net;
}
