/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "consumer/session.h"

#include <stdlib.h>

#include "dlx/broker.h"
#include "dlx/provision.h"
#include "dlx/rights.h"
#include "dlx/topology.h"
#include "lib/backoff.h"
#include "lib/log.h"
#include "lib/xalloc.h"

/* After so much time without trouble its history is forgotten. */
#define CALM_MS 600000

/*
 * How often the topology is seen to when nothing asks for it. Only a publish
 * shows that its exchange has gone; where the broker itself should move a
 * message on (down the ladder, or dead) it would wait there for ever.
 */
#define LOOK_MS 600000

/* One of the two connections. */
struct connection {
	struct session *session;
	enum meter_link which;
	const char *name;
	struct rmq_link *link;
	bool up;
	bool stopped;
};

struct session {
	struct session_env env;
	const struct conf *conf; /* env.conf, or what it follows since */
	const struct session_cbs *cbs;
	void *arg;
	struct connection consume, publish;
	struct provision *provision;
	/* The topology was seen to since the consume connection came up, … */
	bool provisioned;
	bool provisioned_once; /* … or ever */
	bool winding_down;
	struct loop_timer *redeclare_timer, *look_timer;
	unsigned redeclares;   /* not long after each other */
	int64_t redeclared_ms; /* the last of them */
	/* What copies are published to. */
	struct topology_names names;
	struct topology_pipeline_names *pipeline_names;
	struct rights *rights; /* while asking */
	bool rights_known;
	struct loop_task end, advance;
};

static void session_advance(struct session *);

static void
on_rights(void *arg, const struct rights_result *result)
{
	struct session *s = arg;
	struct startup_fault fault = startup_rights(result);
	struct rights *rights = s->rights;

	s->rights = NULL;
	s->rights_known = true;
	if (fault.exit_code != CLI_OK)
		s->cbs->fault(s->arg, &fault, result->exchange, result->text);
	session_advance(s);
	rights_free(rights);
}

static void
ask_rights(struct session *s)
{
	const size_t pipelines = s->conf->pipeline_count;
	size_t space = 1, count = 0;
	const char **exchanges;

	if (s->rights != NULL || !s->publish.up)
		return;
	for (size_t i = 0; i < pipelines; i++)
		space += s->pipeline_names[i].levels;
	exchanges = xcalloc(space, sizeof(*exchanges));
	exchanges[count++] = s->names.dead;
	for (size_t i = 0; i < pipelines; i++) {
		const struct topology_pipeline_names *n = &s->pipeline_names[i];

		for (unsigned level = 0; level < n->levels; level++)
			exchanges[count++] = n->level[level];
	}
	s->rights = rights_new(settle_publisher(s->env.settle),
	    s->env.conf->consumer_broker.user, exchanges, count, on_rights, s);
	free(exchanges);
}

/* Goes on to what comes next on the way to consuming. */
static void
session_advance(struct session *s)
{
	struct rmq_conn *conn = rmq_link_conn(s->consume.link);

	if (s->winding_down || conn == NULL || !s->provisioned)
		return;
	if (s->rights_known)
		s->cbs->open(s->arg, conn);
	else
		ask_rights(s);
}

static void
on_advance(void *arg)
{
	session_advance(arg);
}

/* Is the topology still whole? */
static void
on_redeclare(void *arg)
{
	struct session *s = arg;

	/* Otherwise the next connection does it. */
	if (s->consume.up)
		provision_start(s->provision);
}

void
session_redeclare(struct session *s)
{
	static const struct backoff backoff = {
		.first_ms = 1000,
		.factor = 2,
		.cap_ms = 60000,
	};

	int64_t now_ms = loop_now_ms(s->env.loop);

	if (s->winding_down ||
	    loop_timer_pending(s->env.loop, s->redeclare_timer))
		return;
	if (now_ms - s->redeclared_ms > CALM_MS)
		s->redeclares = 0;
	s->redeclared_ms = now_ms;
	loop_timer_start(s->env.loop, s->redeclare_timer,
	    backoff_delay_ms(&backoff, ++s->redeclares, 0));
}

static void
on_provisioned(void *arg, const struct topology_result *result)
{
	struct session *s = arg;
	struct startup_fault fault = startup_topology(result);

	topology_run_log(result);
	if (fault.exit_code != CLI_OK) {
		s->cbs->fault(s->arg, &fault, "topology", NULL);
		session_redeclare(s);
	}
	s->provisioned = s->provisioned_once = true;
	loop_timer_start(s->env.loop, s->look_timer, LOOK_MS);
	session_advance(s);
}

static void
report_down(struct session *s, const char *connection,
    const struct rmq_close *why)
{
	struct startup_fault fault = startup_connection(why);

	if (fault.exit_code != CLI_OK)
		s->cbs->fault(s->arg, &fault, connection, why->text);
}

static void
on_provision_down(void *arg, const struct rmq_close *why)
{
	struct session *s = arg;

	report_down(s, "topology connection", why);
	/* It worked before: consuming must not wait for, say, a password. */
	if (!s->provisioned_once)
		return;
	s->provisioned = true;
	session_advance(s);
}

/* Each pipeline has a channel of its own. */
static void
check_channels(struct session *s, const struct rmq_conn *conn)
{
	const size_t allowed = rmq_conn_channel_max(conn);
	const size_t wanted = s->conf->pipeline_count;
	struct startup_fault fault = startup_channels(allowed, wanted);
	char *text;

	if (fault.exit_code == CLI_OK)
		return;
	log_error("too_few_channels", LOG_UINT("allowed", allowed),
	    LOG_UINT("wanted", wanted), LOG_STR("hint", fault.hint));
	text =
	    xasprintf("channel_max is %zu, pipelines are %zu", allowed, wanted);
	s->cbs->fault(s->arg, &fault, "consume connection", text);
	free(text);
}

static void
on_up(void *arg, struct rmq_conn *conn)
{
	struct connection *connection = arg;
	struct session *s = connection->session;

	if (connection->which == METER_CONSUME && !s->winding_down)
		check_channels(s, conn);
	connection->up = true;
	metrics_set(s->env.meter->connected[connection->which], 1);
	if (connection->which == METER_PUBLISH) {
		settle_attach(s->env.settle, conn);
		if (!s->rights_known)
			session_advance(s);
	} else if (!s->winding_down) {
		s->provisioned = false;
		s->redeclares = 0;
		provision_start(s->provision);
	}
	s->cbs->changed(s->arg);
}

static void
on_down(void *arg, const struct rmq_close *why)
{
	struct connection *connection = arg;
	struct session *s = connection->session;
	bool was_up = connection->up;

	connection->up = false;
	metrics_set(s->env.meter->connected[connection->which], 0);
	metrics_set(s->env.meter->blocked[connection->which], 0);
	if (connection->which == METER_PUBLISH)
		settle_detach(s->env.settle);
	else
		s->cbs->lost(s->arg);
	s->cbs->changed(s->arg);
	if (was_up && why->fault != RMQ_FAULT_NONE)
		metrics_inc(s->env.meter->faults[METER_CONNECTION_LOST]);
	report_down(s, connection->name, why);
	if (!was_up && rmq_link_tried_all(connection->link))
		s->cbs->unreachable(s->arg);
}

static void
on_blocked(void *arg, bool blocked, const char *reason)
{
	(void)reason;
	struct connection *connection = arg;
	struct session *s = connection->session;

	metrics_set(s->env.meter->blocked[connection->which], blocked);
	if (blocked)
		metrics_inc(s->env.meter->faults[METER_BLOCKED]);
	if (connection->which != METER_PUBLISH)
		return;
	settle_wake(s->env.settle);
	/* Consuming is what helps the broker: do not wait for the answer. */
	if (blocked && s->rights != NULL) {
		rights_free(s->rights);
		s->rights = NULL;
		s->rights_known = true;
		session_advance(s);
	}
}

static void
on_end(void *arg)
{
	struct session *s = arg;

	s->cbs->stopped(s->arg);
}

static void
on_stopped(void *arg)
{
	struct connection *connection = arg;
	struct session *s = connection->session;

	connection->stopped = true;
	if (s->consume.stopped && s->publish.stopped)
		loop_defer(s->env.loop, &s->end);
}

static void
make_connection(struct session *s, struct connection *connection,
    enum meter_link which, const char *name)
{
	static const struct rmq_link_cbs cbs = {
		.up = on_up,
		.down = on_down,
		.blocked = on_blocked,
		.stopped = on_stopped,
	};
	char *full;

	connection->session = s;
	connection->which = which;
	connection->name = name;
	full = xasprintf("dlo-consumer %s %s", name, s->env.instance);
	connection->link = broker_link_new(s->env.loop, s->env.net,
	    &s->env.conf->consumer_broker, full, &cbs, connection);
	free(full);
}

static void
make_provision(struct session *s)
{
	static const struct provision_cbs cbs = {
		.done = on_provisioned,
		.down = on_provision_down,
	};
	char *name = xasprintf("dlo-consumer topology %s", s->env.instance);

	s->provision = provision_new(s->env.loop, s->env.net, s->env.conf,
	    CONF_ROLE_CONSUMER, name, &cbs, s);
	free(name);
}

static void
name_pipelines(struct session *s, const struct conf *conf)
{
	s->conf = conf;
	s->pipeline_names =
	    xcalloc(conf->pipeline_count, sizeof(*s->pipeline_names));
	for (size_t i = 0; i < conf->pipeline_count; i++)
		topology_pipeline_names_init(&s->pipeline_names[i], conf,
		    &conf->pipelines[i]);
}

static void
unname_pipelines(struct session *s)
{
	for (size_t i = 0; i < s->conf->pipeline_count; i++)
		topology_pipeline_names_clear(&s->pipeline_names[i]);
	free(s->pipeline_names);
}

struct session *
session_new(const struct session_env *env, const struct session_cbs *cbs,
    void *arg)
{
	struct session *s = xcalloc(1, sizeof(*s));
	const struct conf *conf = env->conf;

	s->env = *env;
	s->cbs = cbs;
	s->arg = arg;
	make_connection(s, &s->consume, METER_CONSUME, "consume");
	make_connection(s, &s->publish, METER_PUBLISH, "publish");
	make_provision(s);
	s->env.instance = NULL;
	s->redeclare_timer = loop_timer_new(env->loop, on_redeclare, s);
	s->look_timer = loop_timer_new(env->loop, on_redeclare, s);
	loop_task_init(&s->end, on_end, s);
	loop_task_init(&s->advance, on_advance, s);
	topology_names_init(&s->names, conf);
	name_pipelines(s, conf);
	return s;
}

bool
session_follow(struct session *s, const struct conf *conf)
{
	bool other = provision_follow(s->provision, conf);

	/* The question points to the names, and is asked again. */
	rights_free(s->rights);
	s->rights = NULL;
	unname_pipelines(s);
	name_pipelines(s, conf);
	if (other && s->consume.up && !s->winding_down) {
		s->provisioned = false;
		if (!provision_busy(s->provision))
			provision_start(s->provision);
		return true;
	}
	if (!s->rights_known)
		loop_defer(s->env.loop, &s->advance);
	return false;
}

void
session_start(struct session *s)
{
	rmq_link_start(s->consume.link);
	rmq_link_start(s->publish.link);
}

void
session_wind_down(struct session *s)
{
	s->winding_down = true;
	loop_timer_stop(s->env.loop, s->redeclare_timer);
	loop_timer_stop(s->env.loop, s->look_timer);
	rights_free(s->rights);
	s->rights = NULL;
	provision_stop(s->provision);
}

void
session_stop(struct session *s)
{
	session_wind_down(s);
	rmq_link_stop(s->consume.link);
	rmq_link_stop(s->publish.link);
}

void
session_free(struct session *s)
{
	if (s == NULL)
		return;
	rights_free(s->rights);
	provision_free(s->provision);
	rmq_link_free(s->consume.link);
	rmq_link_free(s->publish.link);
	loop_timer_free(s->env.loop, s->redeclare_timer);
	loop_timer_free(s->env.loop, s->look_timer);
	loop_undefer(s->env.loop, &s->end);
	loop_undefer(s->env.loop, &s->advance);
	unname_pipelines(s);
	topology_names_clear(&s->names);
	free(s);
}

bool
session_is_up(const struct session *s, struct buf *why)
{
	const struct connection *down = NULL;

	if (!s->consume.up)
		down = &s->consume;
	else if (!s->publish.up)
		down = &s->publish;
	if (down == NULL)
		return true;
	if (why != NULL)
		buf_printf(why, "%s connection down, node %s", down->name,
		    rmq_link_node(down->link));
	return false;
}

void
session_read_enable(struct session *s, bool on)
{
	rmq_link_read_enable(s->consume.link, on);
}

uint64_t
session_partial_bytes(const struct session *s)
{
	struct rmq_conn *conn = rmq_link_conn(s->consume.link);

	return conn == NULL ? 0 : rmq_conn_partial_bytes(conn);
}

size_t
session_unsent(const struct session *s)
{
	return rmq_link_unsent(s->publish.link);
}
