/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/uplink.h"

#include <stdlib.h>

#include "amqp/link.h"
#include "amqp/publisher.h"
#include "dlx/broker.h"
#include "dlx/envelope.h"
#include "dlx/provision.h"
#include "dlx/rights.h"
#include "lib/xalloc.h"

/* Copies without a confirm, of all jobs together. */
#define PUBLISH_WINDOW 2048
/* Silence of the broker while confirms are awaited. */
#define CONFIRM_TIMEOUT_MS 30000

/* One of the two connections. */
struct line {
	struct uplink *uplink;
	const char *name;
	struct rmq_link *link;
	bool stopped;
};

struct uplink {
	struct uplink_env env;
	const struct uplink_cbs *cbs;
	void *arg;
	struct line scan, publish;
	struct rmq_publisher *publisher;
	uint32_t frame_max;
	struct provision *provision;
	bool provisioned;      /* the last look found all that is needed */
	struct rights *rights; /* while asking, at start */
	bool rights_known;
	bool opened; /* once: the start is over */
	bool stopping;
};

static void
fault(struct uplink *u, const struct startup_fault *what_to_do,
    const char *what, const char *text)
{
	if (!u->opened && !u->stopping)
		u->cbs->fault(u->arg, what_to_do, what, text);
}

static void check_open(struct uplink *);

static void
on_rights(void *arg, const struct rights_result *result)
{
	struct uplink *u = arg;
	struct startup_fault found = startup_rights(result);

	if (found.exit_code != 0)
		fault(u, &found, result->exchange, result->text);
	rights_free(u->rights);
	u->rights = NULL;
	u->rights_known = true;
	check_open(u);
}

static void
ask_rights(struct uplink *u)
{
	const char *exchanges[] = { u->env.names->redrive, u->env.names->dead,
		u->env.names->control };

	if (u->rights == NULL)
		u->rights =
		    rights_new(u->publisher, u->env.conf->redrive_broker.user,
			exchanges, array_len(exchanges), on_rights, u);
}

/* The end of the start: everything is there. */
static void
check_open(struct uplink *u)
{
	if (u->opened || u->stopping || !u->provisioned ||
	    rmq_link_conn(u->scan.link) == NULL ||
	    rmq_link_conn(u->publish.link) == NULL)
		return;
	if (!u->rights_known) {
		ask_rights(u);
		return;
	}
	u->opened = true;
	u->cbs->open(u->arg, rmq_link_conn(u->scan.link));
}

static void
on_provisioned(void *arg, const struct topology_result *result)
{
	struct uplink *u = arg;
	struct startup_fault found = startup_topology(result);

	topology_run_log(result);
	u->provisioned = result->usable;
	if (found.exit_code != 0)
		fault(u, &found, "topology", "not as it should be");
	else
		check_open(u);
}

static void
handle_down(struct uplink *u, const char *name, const struct rmq_close *why)
{
	struct startup_fault found = startup_connection(why);

	if (found.exit_code != 0)
		fault(u, &found, name, why->text);
}

static void
on_provision_down(void *arg, const struct rmq_close *why)
{
	handle_down(arg, "topology", why);
}

static void
on_up(void *arg, struct rmq_conn *conn)
{
	struct line *line = arg;
	struct uplink *u = line->uplink;

	if (line == &u->publish) {
		u->frame_max = rmq_conn_frame_max(conn);
		rmq_publisher_attach(u->publisher, conn);
	} else if (u->opened) {
		provision_start(u->provision);
		u->cbs->open(u->arg, conn);
	}
	check_open(u);
}

static void
on_down(void *arg, const struct rmq_close *why)
{
	struct line *line = arg;
	struct uplink *u = line->uplink;

	if (line == &u->publish)
		rmq_publisher_detach(u->publisher);
	else if (!u->stopping)
		u->cbs->lost(u->arg);
	handle_down(u, line->name, why);
	if (!u->stopping && rmq_link_tried_all(line->link))
		u->cbs->unreachable(u->arg, why->text);
}

static void
on_blocked(void *arg, bool blocked, const char *reason)
{
	struct line *line = arg;
	struct uplink *u = line->uplink;

	(void)reason; /* the link has said it */
	if (line != &u->publish)
		return;
	rmq_publisher_wake(u->publisher);
	/* An alarm may last: jobs can wait for it as well as we can. */
	if (blocked && u->rights != NULL) {
		rights_free(u->rights);
		u->rights = NULL;
		u->rights_known = true;
		check_open(u);
	}
}

static void
on_stopped(void *arg)
{
	struct line *line = arg;
	struct uplink *u = line->uplink;

	line->stopped = true;
	if (u->scan.stopped && u->publish.stopped)
		u->cbs->stopped(u->arg);
}

static void
line_init(struct line *line, struct uplink *u, const char *name)
{
	static const struct rmq_link_cbs cbs = {
		.up = on_up,
		.down = on_down,
		.blocked = on_blocked,
		.stopped = on_stopped,
	};
	char *full = xasprintf("dlo-redrive %s %s", name, u->env.instance);

	line->uplink = u;
	line->name = name;
	line->link = broker_link_new(u->env.loop, u->env.net,
	    conf_broker_for(u->env.conf, CONF_ROLE_REDRIVE), full, &cbs, line);
	free(full);
}

struct uplink *
uplink_new(const struct uplink_env *env, const struct uplink_cbs *cbs,
    void *arg)
{
	static const struct provision_cbs provision_cbs = {
		.done = on_provisioned,
		.down = on_provision_down,
	};
	static const struct rmq_publisher_options options = {
		.correlation_header = ENVELOPE_ID_HEADER,
		.window = PUBLISH_WINDOW,
		.confirm_timeout_ms = CONFIRM_TIMEOUT_MS,
	};
	struct uplink *u = xcalloc(1, sizeof(*u));
	char *name = xasprintf("dlo-redrive topology %s", env->instance);

	u->env = *env;
	u->cbs = cbs;
	u->arg = arg;
	u->publisher = rmq_publisher_new(env->loop, &options);
	u->provision = provision_new(env->loop, env->net, env->conf,
	    CONF_ROLE_REDRIVE, name, &provision_cbs, u);
	line_init(&u->scan, u, "scan");
	line_init(&u->publish, u, "publish");
	free(name);
	return u;
}

void
uplink_start(struct uplink *u)
{
	provision_start(u->provision);
	rmq_link_start(u->scan.link);
	rmq_link_start(u->publish.link);
}

void
uplink_stop(struct uplink *u)
{
	if (u->stopping)
		return;
	u->stopping = true;
	rights_free(u->rights);
	u->rights = NULL;
	provision_stop(u->provision);
	rmq_link_stop(u->scan.link);
	rmq_link_stop(u->publish.link);
}

void
uplink_free(struct uplink *u)
{
	if (u == NULL)
		return;
	rights_free(u->rights);
	rmq_publisher_free(u->publisher);
	provision_free(u->provision);
	rmq_link_free(u->scan.link);
	rmq_link_free(u->publish.link);
	free(u);
}

struct rmq_publisher *
uplink_publisher(const struct uplink *u)
{
	return u->publisher;
}

size_t
uplink_unsent(const struct uplink *u)
{
	return rmq_link_unsent(u->publish.link);
}

uint32_t
uplink_frame_max(const struct uplink *u)
{
	return u->frame_max;
}

void
uplink_read_enable(struct uplink *u, bool on)
{
	rmq_link_read_enable(u->scan.link, on);
}

void
uplink_redeclare(struct uplink *u)
{
	if (u->opened && !u->stopping && !provision_busy(u->provision))
		provision_start(u->provision);
}

bool
uplink_is_up(const struct uplink *u, struct buf *why)
{
	const struct line *down = NULL;

	if (rmq_link_conn(u->scan.link) == NULL)
		down = &u->scan;
	else if (rmq_link_conn(u->publish.link) == NULL)
		down = &u->publish;
	if (down == NULL && u->provisioned)
		return true;
	if (why != NULL && down != NULL)
		buf_printf(why, "%s connection down, node %s", down->name,
		    rmq_link_node(down->link));
	else if (why != NULL)
		buf_add_str(why,
		    "something is missing in the broker: see "
		    "topology_problem in the log");
	return false;
}
