/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/plugin_check.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/conf.h"
#include "config/conf_errors.h"
#include "downstream/exec_env.h"
#include "downstream/plugin_verdict.h"
#include "downstream/plugin_worker.h"
#include "lib/child.h"
#include "lib/loop_libevent.h"
#include "lib/xalloc.h"

/* For loading it: some link a lot. */
#define WAIT_MS 5000
/* Of what is said about it. */
#define SAID_MAX 4096

struct check {
	struct loop *loop;
	struct buf said;
	struct exec_tail tail;
	struct child_exit exit;
	bool ended;
};

static void
on_out(void *arg, const void *bytes, size_t len)
{
	struct check *check = arg;

	if (check->said.len < SAID_MAX)
		buf_add(&check->said, bytes, len);
}

static void
on_err(void *arg, const void *bytes, size_t len)
{
	struct check *check = arg;

	exec_tail_add(&check->tail, bytes, len);
}

static void
on_exited(void *arg, const struct child_exit *exit)
{
	struct check *check = arg;

	check->exit = *exit;
	check->ended = true;
	loop_stop(check->loop);
}

static void
on_late(void *arg)
{
	struct check *check = arg;

	loop_stop(check->loop);
}

/* What is wrong, from how its process ended; false: nothing is. */
static bool
judge(struct check *check)
{
	struct verdict crash;

	if (!check->ended) {
		buf_reset(&check->said);
		buf_add_str(&check->said, "is not loaded in 5 s");
		return true;
	}
	if (check->exit.how == CHILD_EXITED && check->exit.code == 0)
		return false;
	if (check->exit.how == CHILD_EXITED && check->said.len > 0)
		return true;
	buf_reset(&check->said);
	if (check->exit.how == CHILD_NOT_STARTED) {
		buf_printf(&check->said, "cannot be checked: %s",
		    strerror(check->exit.code));
	} else {
		plugin_verdict_crash(&crash, &check->exit, &check->tail);
		buf_printf(&check->said, "crashes while it is loaded: %s: %s",
		    crash.class, crash.error);
	}
	return true;
}

static void
check_one(const struct conf_downstream *conf, struct conf_errors *errors)
{
	static const struct child_cbs cbs = {
		.out = on_out,
		.err = on_err,
		.exited = on_exited,
	};
	struct exec_env env = { 0 };
	struct check check = { .loop = loop_libevent_new() };
	struct children *children = children_new(check.loop);
	struct loop_timer *late = loop_timer_new(check.loop, on_late, &check);
	char name[] = "dlo-plugin", word[] = PLUGIN_WORKER_CHECK;
	char *path = xstrdup(conf->plugin.path);
	char *key = xasprintf("downstreams.%s.plugin.path", conf->name);
	char *argv[] = { name, word, path, NULL };
	struct child_params params = {
		.program = "/proc/self/exe",
		.argv = argv,
		.output = true,
	};
	struct child *child;

	/* Code of it may run: what is ours alone is not for that. */
	exec_env_fill(&env, NULL);
	params.env = env.list;
	child = child_open(children, &params, &cbs, &check);
	child_send(child, NULL, 0, NULL, 0, true);
	loop_timer_start(check.loop, late, WAIT_MS);
	loop_run(check.loop);
	if (judge(&check))
		conf_errors_add(errors, conf->plugin.line, conf->plugin.column,
		    key, "%s %s", path, buf_str(&check.said));
	child_close(child);
	children_free(children);
	loop_timer_free(check.loop, late);
	loop_free(check.loop);
	buf_clear(&check.said);
	exec_env_clear(&env);
	free(path);
	free(key);
}

void
plugin_check(const struct conf *conf, struct conf_errors *errors)
{
	size_t i;

	for (i = 0; i < conf->downstream_count; i++)
		if (conf->downstreams[i].kind == CONF_KIND_PLUGIN)
			check_one(&conf->downstreams[i], errors);
}
