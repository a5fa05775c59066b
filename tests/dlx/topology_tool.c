/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * For the tests against a real broker: puts a configuration's topology into
 * it, as the daemons do, or says where a delayed message has to go.
 *
 *	topology_tool run CONF consumer|redrive|topology
 *	topology_tool route CONF PIPELINE DELAY_MS
 *
 * `run` prints a line a problem, then one with the counts; exit 0 when the
 * topology can be worked with, 1 when not, 2 when there is no connection.
 * `route` prints exchange, routing key and the rounded delay in ms.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/conf.h"
#include "dlx/provision.h"
#include "dlx/topology.h"
#include "lib/log.h"
#include "lib/loop_libevent.h"
#include "lib/stream_libevent.h"
#include "lib/text.h"

struct tool {
	struct loop *loop;
	int exit_code;
};

static void
on_done(void *arg, const struct topology_result *result)
{
	struct tool *tool = arg;
	struct buf text = { 0 };
	size_t i;

	for (i = 0; i < result->problem_count; i++) {
		const struct topology_problem *problem = &result->problems[i];

		buf_reset(&text);
		topology_item_describe(problem->item, &text);
		printf("%s %s: %s\n", topology_fault_name(problem->fault),
		    buf_str(&text), problem->text);
	}
	printf("usable=%d alike=%zu unseen=%zu problems=%zu\n", result->usable,
	    result->alike, result->unseen, result->problem_count);
	topology_run_log(result);
	tool->exit_code = result->usable ? 0 : 1;
	buf_clear(&text);
	loop_stop(tool->loop);
}

static void
on_down(void *arg, const struct rmq_close *why)
{
	struct tool *tool = arg;

	printf("%s: %s\n", rmq_fault_name(why->fault), why->text);
	tool->exit_code = 2;
	loop_stop(tool->loop);
}

static int
tool_run(const struct conf *conf, const char *role_name)
{
	static const struct provision_cbs cbs = {
		.done = on_done,
		.down = on_down,
	};
	struct tool tool = { .exit_code = 2 };
	struct stream_net *net;
	struct provision *provision;
	enum conf_role role = CONF_ROLE_TOPOLOGY;

	if (strcmp(role_name, "consumer") == 0)
		role = CONF_ROLE_CONSUMER;
	else if (strcmp(role_name, "redrive") == 0)
		role = CONF_ROLE_REDRIVE;
	tool.loop = loop_libevent_new();
	net = stream_libevent_new(tool.loop);
	provision = provision_new(tool.loop, net, conf, role, "topology_tool",
	    &cbs, &tool);
	provision_start(provision);
	loop_run(tool.loop);
	provision_free(provision);
	stream_libevent_free(net);
	loop_free(tool.loop);
	return tool.exit_code;
}

static int
tool_route(const struct conf *conf, const char *name, const char *delay)
{
	const struct conf_pipeline *pipeline = conf_pipeline_find(conf, name);
	struct topology_pipeline_names names;
	struct ladder_route route;
	int64_t delay_ms;
	uint32_t units;

	if (pipeline == NULL ||
	    text_parse_int(delay, 0, INT64_MAX, &delay_ms) == -1) {
		fprintf(stderr, "no such pipeline, or not a delay\n");
		return 1;
	}
	topology_pipeline_names_init(&names, conf, pipeline);
	units = ladder_units(delay_ms);
	ladder_route(&route, units);
	printf("%s %s %lld\n", names.level[route.level], route.key,
	    (long long)ladder_delay_ms(units));
	topology_pipeline_names_clear(&names);
	return 0;
}

int
main(int argc, char **argv)
{
	const unsigned roles =
	    CONF_ROLE_CONSUMER | CONF_ROLE_REDRIVE | CONF_ROLE_TOPOLOGY;
	struct conf_errors errors = { 0 };
	struct conf *conf;
	int exit_code = 64;

	if (argc < 4)
		return 64;
	conf = conf_load(argv[2], roles, &errors);
	if (conf == NULL)
		conf_errors_print(&errors, stderr);
	conf_errors_clear(&errors);
	if (conf == NULL)
		return 78;
	log_open(LOG_LEVEL_DEBUG, LOG_FORMAT_LOGFMT);
	if (strcmp(argv[1], "run") == 0)
		exit_code = tool_run(conf, argv[3]);
	else if (strcmp(argv[1], "route") == 0 && argc == 5)
		exit_code = tool_route(conf, argv[3], argv[4]);
	conf_free(conf);
	return exit_code;
}
