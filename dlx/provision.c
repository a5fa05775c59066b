/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "dlx/provision.h"

#include <stdlib.h>

#include "dlx/broker.h"
#include "dlx/topology.h"
#include "lib/xalloc.h"

struct provision {
	struct loop *loop;
	struct stream_net *net;
	const struct conf_broker *broker;
	enum conf_role role;
	enum topology_mode mode;
	struct topology *topology;
	char *name;
	const struct provision_cbs *cbs;
	void *arg;
	struct rmq_link *link;	  /* NULL: nothing to do */
	struct topology_run *run; /* while connected */
	bool ending;		  /* the link is being stopped */
	bool again;		  /* asked for once more meanwhile */
};

static void on_done(void *arg, const struct topology_result *);

static void
start_run(struct provision *p, struct rmq_conn *conn)
{
	p->again = false;
	p->run =
	    topology_run_new(p->loop, conn, p->topology, p->mode, on_done, p);
}

static void
on_done(void *arg, const struct topology_result *result)
{
	struct provision *p = arg;
	struct topology_run *run = p->run;
	struct rmq_conn *conn = rmq_link_conn(p->link);

	p->run = NULL;
	/* Without a connection `down` comes, and `up` starts anew. */
	if (conn != NULL && (!result->finished || p->again))
		start_run(p, conn);
	else if (result->finished) {
		p->ending = true;
		rmq_link_stop(p->link);
		p->cbs->done(p->arg, result);
	}
	topology_run_free(run);
}

static void
on_up(void *arg, struct rmq_conn *conn)
{
	struct provision *p = arg;

	topology_run_free(p->run);
	start_run(p, conn);
}

static void
on_down(void *arg, const struct rmq_close *why)
{
	struct provision *p = arg;

	topology_run_free(p->run);
	p->run = NULL;
	if (!p->ending)
		p->cbs->down(p->arg, why);
}

/* Nothing is published here. */
static void
on_blocked(void *arg, bool blocked, const char *reason)
{
	(void)arg, (void)blocked, (void)reason;
}

static void
on_stopped(void *arg)
{
	struct provision *p = arg;
	bool again = p->again;

	provision_stop(p);
	if (again)
		provision_start(p);
}

static const struct rmq_link_cbs link_cbs = {
	.up = on_up,
	.down = on_down,
	.blocked = on_blocked,
	.stopped = on_stopped,
};

struct provision *
provision_new(struct loop *loop, struct stream_net *net,
    const struct conf *conf, enum conf_role role, const char *name,
    const struct provision_cbs *cbs, void *arg)
{
	struct provision *p = xcalloc(1, sizeof(*p));
	bool declare = conf->topology.declare;

	p->loop = loop;
	p->net = net;
	p->broker = conf_broker_for(conf, declare ? CONF_ROLE_TOPOLOGY : role);
	p->mode = declare ? TOPOLOGY_DECLARE : TOPOLOGY_CHECK;
	p->role = role;
	p->topology = topology_new(conf, role);
	p->name = xstrdup(name);
	p->cbs = cbs;
	p->arg = arg;
	return p;
}

void
provision_set_mode(struct provision *p, enum topology_mode mode)
{
	p->mode = mode;
}

bool
provision_follow(struct provision *p, const struct conf *conf)
{
	struct topology *topology = topology_new(conf, p->role);
	bool running = p->run != NULL;

	if (!topology_differs(topology, p->topology)) {
		topology_free(topology);
		return false;
	}
	topology_run_free(p->run);
	p->run = NULL;
	topology_free(p->topology);
	p->topology = topology;
	if (running)
		start_run(p, rmq_link_conn(p->link));
	return true;
}

const struct topology *
provision_topology(const struct provision *p)
{
	return p->topology;
}

bool
provision_tried_all(const struct provision *p)
{
	return p->link != NULL && rmq_link_tried_all(p->link);
}

void
provision_start(struct provision *p)
{
	if (p->link != NULL) {
		p->again = true;
		return;
	}
	p->link =
	    broker_link_new(p->loop, p->net, p->broker, p->name, &link_cbs, p);
	rmq_link_start(p->link);
}

bool
provision_busy(const struct provision *p)
{
	return p->link != NULL && (!p->ending || p->again);
}

void
provision_stop(struct provision *p)
{
	topology_run_free(p->run);
	p->run = NULL;
	rmq_link_free(p->link);
	p->link = NULL;
	p->ending = false;
	p->again = false;
}

void
provision_free(struct provision *p)
{
	if (p == NULL)
		return;
	provision_stop(p);
	topology_free(p->topology);
	free(p->name);
	free(p);
}
