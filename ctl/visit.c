/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "ctl/visit.h"

#include <stdlib.h>
#include <string.h>

#include "dlx/provision.h"
#include "dlx/startup.h"
#include "lib/cli.h"
#include "lib/loop_libevent.h"
#include "lib/stream_libevent.h"
#include "lib/xalloc.h"

/* A broker that answers, and yet never comes to an end. */
#define VISIT_MS (10 * 60 * 1000)

struct visitor {
	struct loop *loop;
	struct provision *provision;
	enum topology_mode mode;
	struct visit *visit;
};

static void
give_up(struct visitor *v, int exit_code, const char *problem, const char *hint)
{
	free(v->visit->problem);
	v->visit->exit_code = exit_code;
	v->visit->problem = xstrdup(problem);
	v->visit->hint = hint;
	loop_stop(v->loop);
}

/* A binding is looked for by nobody but who declares it. */
static bool
was_asked(const struct visitor *v, const struct topology_item *item)
{
	return v->mode == TOPOLOGY_DECLARE || !topology_is_binding(item);
}

static void
on_done(void *arg, const struct topology_result *result)
{
	struct visitor *v = arg;
	const struct topology *topology = provision_topology(v->provision);
	struct sight_item *items = xcalloc(topology->count, sizeof(*items));

	for (size_t i = 0; i < topology->count; i++)
		items[i].seen = was_asked(v, &topology->items[i]);
	for (size_t i = 0; i < result->problem_count; i++) {
		const struct topology_problem *problem = &result->problems[i];
		struct sight_item *item =
		    &items[problem->item - topology->items];

		item->problem = true;
		item->fault = problem->fault;
		item->text = xstrdup(problem->text);
		v->visit->denied |= problem->fault == TOPOLOGY_DENIED;
	}
	v->visit->items = items;
	v->visit->unseen = result->unseen;
	loop_stop(v->loop);
}

static void
on_down(void *arg, const struct rmq_close *why)
{
	struct visitor *v = arg;
	struct startup_fault fault = startup_connection(why);

	if (fault.exit_code != CLI_OK)
		give_up(v, fault.exit_code, why->text, fault.hint);
	else if (provision_tried_all(v->provision))
		give_up(v, CLI_UNREACHABLE, why->text,
		    "check broker.nodes, and that the broker runs");
}

static void
on_late(void *arg)
{
	give_up(arg, CLI_UNREACHABLE, "the broker does not come to an end",
	    "see the broker's log");
}

void
visit_run(const struct conf *conf, enum topology_mode mode, struct visit *visit)
{
	static const struct provision_cbs cbs = {
		.done = on_done,
		.down = on_down,
	};
	struct visitor v = { .mode = mode, .visit = visit };
	struct stream_net *net;
	struct loop_timer *late;

	memset(visit, 0, sizeof(*visit));
	v.loop = loop_libevent_new();
	net = stream_libevent_new(v.loop);
	late = loop_timer_new(v.loop, on_late, &v);
	v.provision = provision_new(v.loop, net, conf, CONF_ROLE_TOPOLOGY,
	    "dlo topology", &cbs, &v);
	provision_set_mode(v.provision, mode);
	loop_timer_start(v.loop, late, VISIT_MS);
	provision_start(v.provision);
	loop_run(v.loop);
	provision_free(v.provision);
	loop_timer_free(v.loop, late);
	loop_run_tasks(v.loop);
	stream_libevent_free(net);
	loop_free(v.loop);
}

void
visit_free_items(struct sight_item *items, size_t count)
{
	for (size_t i = 0; items != NULL && i < count; i++)
		free(items[i].text);
	free(items);
}
