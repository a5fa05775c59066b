/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "consumer/consumer.h"

#include <limits.h>
#include <stdlib.h>

#include "amqp/link.h"
#include "consumer/budget.h"
#include "consumer/meter.h"
#include "consumer/pipeline.h"
#include "consumer/rights.h"
#include "consumer/settle.h"
#include "dlx/broker.h"
#include "dlx/provision.h"
#include "dlx/topology.h"
#include "lib/backoff.h"
#include "lib/cli.h"
#include "lib/log.h"
#include "lib/xalloc.h"

/* AMQP reply codes that mean: somebody has to mend something. */
enum {
	CODE_DENIED = 403,
	CODE_NOT_FOUND = 404,
	CODE_LOCKED = 405,
	CODE_PRECONDITION = 406,
};

/* A wall clock that runs away from the monotonic one by this has jumped. */
#define CLOCK_JUMP_MS 1000

enum consumer_state {
	CONSUMER_STARTING,
	CONSUMER_RUNNING,
	CONSUMER_DRAINING,
	CONSUMER_CLOSING,
	CONSUMER_ENDED,
};

/* One of the two connections. */
struct connection {
	struct consumer *consumer;
	enum meter_link which;
	struct rmq_link *link;
	bool up;
	bool stopped;
};

struct consumer {
	struct consumer_env env;
	const struct conf *conf;
	const struct consumer_cbs *cbs;
	void *arg;
	enum consumer_state state;
	int exit_code;
	struct meter meter;
	struct budget budget;
	struct topology_names names;
	struct connection consume, publish;
	struct settle *settle;
	struct provision *provision;
	/* The topology was seen to since the consume connection came up. */
	bool provisioned;
	struct loop_timer *redeclare_timer;
	unsigned redeclares;   /* in a row that did not help */
	struct rights *rights; /* while asking, at start */
	bool rights_known;
	struct downstream **downstreams; /* as in conf; NULL: not used */
	struct pipeline **pipelines;	 /* as in conf */
	struct loop_timer *drain_timer;
	struct loop_task end;
	int64_t clock_offset_ms; /* wall less monotonic */
};

static const char *
state_name(enum consumer_state state)
{
	static const char *const names[] = {
		[CONSUMER_STARTING] = "starting",
		[CONSUMER_RUNNING] = "running",
		[CONSUMER_DRAINING] = "draining",
		[CONSUMER_CLOSING] = "closing",
		[CONSUMER_ENDED] = "ended",
	};

	return names[state];
}

#define TO(state) (1u << CONSUMER_##state)

/* The moves are those of consumer.h. */
static void
consumer_enter(struct consumer *c, enum consumer_state to)
{
	static const unsigned char legal[] = {
		[CONSUMER_STARTING] = TO(RUNNING) | TO(DRAINING) | TO(CLOSING),
		[CONSUMER_RUNNING] = TO(DRAINING),
		[CONSUMER_DRAINING] = TO(CLOSING),
		[CONSUMER_CLOSING] = TO(ENDED),
		[CONSUMER_ENDED] = 0,
	};

	log_info("consumer", LOG_STR("from", state_name(c->state)),
	    LOG_STR("to", state_name(to)));
	if ((legal[c->state] & 1u << to) == 0)
		abort();
	c->state = to;
}

/* Closes the connections; the rest follows when they are closed. */
static void
close_down(struct consumer *c, int exit_code)
{
	c->exit_code = exit_code;
	consumer_enter(c, CONSUMER_CLOSING);
	loop_timer_stop(c->env.loop, c->drain_timer);
	loop_timer_stop(c->env.loop, c->redeclare_timer);
	rights_free(c->rights);
	c->rights = NULL;
	provision_stop(c->provision);
	rmq_link_stop(c->consume.link);
	rmq_link_stop(c->publish.link);
}

/* Something that only an operator can mend, found while starting. */
static void
give_up(struct consumer *c, int exit_code, const char *what, const char *text,
    const char *hint)
{
	log_error("start_failed", LOG_STR("what", what), LOG_STR("text", text),
	    LOG_STR("hint", hint), LOG_INT("exit", exit_code));
	close_down(c, exit_code);
}

bool
consumer_is_ready(const struct consumer *c, struct buf *why)
{
	const struct connection *down = NULL;

	if (c->state > CONSUMER_RUNNING) {
		if (why != NULL)
			buf_add_str(why, state_name(c->state));
		return false;
	}
	if (!c->consume.up)
		down = &c->consume;
	else if (!c->publish.up)
		down = &c->publish;
	if (down != NULL) {
		if (why != NULL)
			buf_printf(why, "%s connection down, node %s",
			    down == &c->consume ? "consume" : "publish",
			    rmq_link_node(down->link));
		return false;
	}
	for (size_t i = 0; i < c->conf->pipeline_count; i++)
		if (!pipeline_is_well(c->pipelines[i], why))
			return false;
	return true;
}

static void
check_ready(struct consumer *c)
{
	if (c->state != CONSUMER_STARTING || !consumer_is_ready(c, NULL))
		return;
	consumer_enter(c, CONSUMER_RUNNING);
	c->cbs->ready(c->arg);
}

static void resume(struct consumer *);

static void
on_rights(void *arg, const struct rights_result *result)
{
	struct consumer *c = arg;
	char *what;

	rights_free(c->rights);
	c->rights = NULL;
	c->rights_known = true;
	if (result->exchange == NULL) {
		resume(c);
		return;
	}
	what = xasprintf("publish to exchange %s", result->exchange);
	if (result->code == CODE_DENIED)
		give_up(c, CLI_DENIED, what, result->text,
		    "grant the user write permission on it");
	else
		give_up(c, CLI_FAILED, what, result->text,
		    "declare the topology");
	free(what);
}

static void
ask_rights(struct consumer *c)
{
	size_t space = 1, count = 0;
	const char **exchanges;

	if (c->rights != NULL || !c->publish.up)
		return;
	for (size_t i = 0; i < c->conf->pipeline_count; i++)
		space += pipeline_names(c->pipelines[i])->levels;
	exchanges = xcalloc(space, sizeof(*exchanges));
	exchanges[count++] = c->names.dead;
	for (size_t i = 0; i < c->conf->pipeline_count; i++) {
		const struct topology_pipeline_names *names =
		    pipeline_names(c->pipelines[i]);

		for (unsigned level = 0; level < names->levels; level++)
			exchanges[count++] = names->level[level];
	}
	c->rights = rights_new(settle_publisher(c->settle), exchanges, count,
	    on_rights, c);
	free(exchanges);
}

/* Lets the pipelines consume, when all that comes before is done. */
static void
resume(struct consumer *c)
{
	struct rmq_conn *conn = rmq_link_conn(c->consume.link);

	if (c->state > CONSUMER_RUNNING || conn == NULL || !c->provisioned)
		return;
	if (!c->rights_known) {
		ask_rights(c);
		return;
	}
	for (size_t i = 0; i < c->conf->pipeline_count; i++)
		pipeline_connect(c->pipelines[i], conn);
}

/* The topology is not what it should be: once more, not too often. */
static void
redeclare_later(struct consumer *c)
{
	static const struct backoff backoff = {
		.first_ms = 1000,
		.factor = 2,
		.cap_ms = 60000,
	};

	if (c->state != CONSUMER_RUNNING ||
	    loop_timer_pending(c->env.loop, c->redeclare_timer))
		return;
	loop_timer_start(c->env.loop, c->redeclare_timer,
	    backoff_delay_ms(&backoff, ++c->redeclares, 0));
}

static void
on_redeclare(void *arg)
{
	struct consumer *c = arg;

	/* Otherwise the next connection does it. */
	if (c->consume.up)
		provision_start(c->provision);
}

static void
on_provisioned(void *arg, const struct topology_result *result)
{
	struct consumer *c = arg;
	bool denied = false;

	topology_run_log(result);
	for (size_t i = 0; i < result->problem_count; i++)
		if (result->problems[i].fault == TOPOLOGY_DENIED)
			denied = true;
	if (!result->usable && c->state == CONSUMER_STARTING) {
		give_up(c, denied ? CLI_DENIED : CLI_FAILED, "topology",
		    "objects are missing or different, see above",
		    denied ? "grant the user configure permission, or declare"
			     " them as another one (topology.broker)"
			   : "declare them, or mend the configuration");
		return;
	}
	if (!result->usable)
		redeclare_later(c);
	c->provisioned = true;
	resume(c);
}

static void
log_down(const char *connection, const char *node, bool was_up,
    const struct rmq_close *why)
{
	log_warn(was_up ? "broker_lost" : "broker_unreachable",
	    LOG_STR("connection", connection), LOG_STR("node", node),
	    LOG_STR("fault", rmq_fault_name(why->fault)),
	    LOG_UINT("code", why->code), LOG_STR("text", why->text));
}

/* Whether it has ended a daemon that is starting. */
static bool
refused_entry(struct consumer *c, const char *connection,
    const struct rmq_close *why)
{
	if (c->state != CONSUMER_STARTING)
		return false;
	if (why->fault == RMQ_FAULT_AUTH)
		give_up(c, CLI_DENIED, connection, why->text,
		    "check user and password");
	else if (why->fault == RMQ_FAULT_VHOST)
		give_up(c, CLI_DENIED, connection, why->text,
		    "check that the vhost exists and the user may use it");
	return c->state != CONSUMER_STARTING;
}

static void
on_provision_down(void *arg, const struct rmq_close *why)
{
	log_down("topology", NULL, false, why);
	(void)refused_entry(arg, "topology connection", why);
}

static const char *
connection_name(const struct connection *connection)
{
	return connection->which == METER_CONSUME ? "consume" : "publish";
}

static void
on_up(void *arg, struct rmq_conn *conn)
{
	struct connection *connection = arg;
	struct consumer *c = connection->consumer;

	connection->up = true;
	metrics_set(c->meter.connected[connection->which], 1);
	log_info("broker_connected",
	    LOG_STR("connection", connection_name(connection)),
	    LOG_STR("node", rmq_link_node(connection->link)),
	    LOG_STR("version", rmq_conn_server_version(conn)));
	if (connection->which == METER_PUBLISH) {
		settle_attach(c->settle, conn);
		resume(c);
	} else if (c->state <= CONSUMER_RUNNING) {
		c->provisioned = false;
		c->redeclares = 0;
		provision_start(c->provision);
	}
	check_ready(c);
}

static void
on_down(void *arg, const struct rmq_close *why)
{
	struct connection *connection = arg;
	struct consumer *c = connection->consumer;
	bool was_up = connection->up;

	connection->up = false;
	metrics_set(c->meter.connected[connection->which], 0);
	metrics_set(c->meter.blocked[connection->which], 0);
	if (connection->which == METER_PUBLISH)
		settle_detach(c->settle);
	else {
		for (size_t i = 0; i < c->conf->pipeline_count; i++)
			pipeline_disconnect(c->pipelines[i]);
		budget_reset(&c->budget);
	}
	if (c->state >= CONSUMER_CLOSING)
		return;
	if (was_up)
		metrics_inc(c->meter.faults[METER_CONNECTION_LOST]);
	log_down(connection_name(connection), rmq_link_node(connection->link),
	    was_up, why);
	(void)refused_entry(c, connection_name(connection), why);
}

static void
on_blocked(void *arg, bool blocked, const char *reason)
{
	struct connection *connection = arg;
	struct consumer *c = connection->consumer;

	metrics_set(c->meter.blocked[connection->which], blocked);
	if (blocked)
		metrics_inc(c->meter.faults[METER_BLOCKED]);
	log_warn(blocked ? "broker_blocked" : "broker_unblocked",
	    LOG_STR("connection", connection_name(connection)),
	    LOG_STR("reason", reason));
	if (connection->which != METER_PUBLISH)
		return;
	settle_wake(c->settle);
	/* Consuming is what helps the broker: do not wait for the answer. */
	if (blocked && c->rights != NULL) {
		rights_free(c->rights);
		c->rights = NULL;
		c->rights_known = true;
		resume(c);
	}
}

static void
on_end(void *arg)
{
	struct consumer *c = arg;

	consumer_enter(c, CONSUMER_ENDED);
	c->cbs->ended(c->arg, c->exit_code);
}

static void
on_stopped(void *arg)
{
	struct connection *connection = arg;
	struct consumer *c = connection->consumer;

	connection->stopped = true;
	if (c->consume.stopped && c->publish.stopped)
		loop_defer(c->env.loop, &c->end);
}

static void
on_pipeline_changed(void *arg, struct pipeline *pipeline)
{
	struct consumer *c = arg;

	(void)pipeline;
	check_ready(c);
	if (c->state != CONSUMER_DRAINING)
		return;
	for (size_t i = 0; i < c->conf->pipeline_count; i++)
		if (!pipeline_is_stopped(c->pipelines[i]))
			return;
	close_down(c, CLI_OK);
}

static void
on_pipeline_refused(void *arg, struct pipeline *pipeline,
    const struct rmq_close *why)
{
	struct consumer *c = arg;
	const char *queue = pipeline_conf(pipeline)->queue;
	char *what;

	if (c->state != CONSUMER_STARTING)
		return;
	what = xasprintf("consume from queue %s", queue);
	switch (why->code) {
	case CODE_DENIED:
		give_up(c, CLI_DENIED, what, why->text,
		    "grant the user read permission on it");
		break;
	case CODE_NOT_FOUND:
		give_up(c, CLI_FAILED, what, why->text,
		    "declare the queue, or mend the configuration");
		break;
	case CODE_LOCKED:
	case CODE_PRECONDITION:
		give_up(c, CLI_FAILED, what, why->text,
		    "see who else uses the queue, and how it is declared");
		break;
	default:
		break;
	}
	free(what);
}

static void
on_astray(void *arg)
{
	redeclare_later(arg);
}

static void
on_drain_timeout(void *arg)
{
	struct consumer *c = arg;

	log_warn("drain_timeout",
	    LOG_INT("after_ms", c->conf->consumer.drain_timeout_ms));
	for (size_t i = 0; i < c->conf->pipeline_count; i++)
		pipeline_abort(c->pipelines[i]);
}

static void
on_budget(void *arg, bool full)
{
	struct consumer *c = arg;

	log_info(full ? "reading_paused" : "reading_resumed",
	    LOG_UINT("used_bytes", c->budget.used_bytes),
	    LOG_UINT("max_bytes", c->budget.max_bytes));
	rmq_link_read_enable(c->consume.link, !full);
}

static uint64_t
partial_bytes(void *arg)
{
	const struct consumer *c = arg;
	struct rmq_conn *conn = rmq_link_conn(c->consume.link);

	return conn == NULL ? 0 : rmq_conn_partial_bytes(conn);
}

static int64_t
clock_offset_ms(const struct consumer *c)
{
	return loop_wall_ms(c->env.loop) - loop_now_ms(c->env.loop);
}

/* Before the metrics are read. */
static void
on_render(void *arg)
{
	struct consumer *c = arg;
	int64_t offset_ms = clock_offset_ms(c);
	int64_t jump_ms = offset_ms - c->clock_offset_ms;

	for (size_t i = 0; i < c->conf->pipeline_count; i++)
		pipeline_gauge(c->pipelines[i]);
	metrics_set(c->meter.inflight_bytes, (double)c->budget.used_bytes);
	c->clock_offset_ms = offset_ms;
	if (jump_ms > -CLOCK_JUMP_MS && jump_ms < CLOCK_JUMP_MS)
		return;
	metrics_inc(c->meter.faults[METER_CLOCK_JUMP]);
	log_warn("clock_jump", LOG_INT("by_ms", jump_ms));
}

static void
make_connection(struct consumer *c, struct connection *connection,
    enum meter_link which)
{
	static const struct rmq_link_cbs cbs = {
		.up = on_up,
		.down = on_down,
		.blocked = on_blocked,
		.stopped = on_stopped,
	};
	char *name;

	connection->consumer = c;
	connection->which = which;
	name = xasprintf("dlo-consumer %s %s", connection_name(connection),
	    c->env.instance);
	connection->link = broker_link_new(c->env.loop, c->env.net,
	    &c->conf->consumer_broker, name, &cbs, connection);
	free(name);
}

static void
make_provision(struct consumer *c)
{
	static const struct provision_cbs cbs = {
		.done = on_provisioned,
		.down = on_provision_down,
	};
	char *name = xasprintf("dlo-consumer topology %s", c->env.instance);

	c->provision = provision_new(c->env.loop, c->env.net, c->conf,
	    CONF_ROLE_CONSUMER, name, &cbs, c);
	free(name);
}

/* The downstream of index `i` with the concurrency of all who use it. */
static struct downstream *
make_downstream(const struct consumer *c, size_t i)
{
	const struct downstream_env env = {
		.loop = c->env.loop,
		.net = c->env.net,
		.metrics = c->env.metrics,
		.handler_new = c->env.handler_new,
		.driver_new = c->env.driver_new,
		.arg = c->env.arg,
	};
	const struct conf_downstream *conf = &c->conf->downstreams[i];
	uint64_t concurrency = 0;

	for (size_t k = 0; k < c->conf->pipeline_count; k++)
		if (c->conf->pipelines[k].downstream == conf)
			concurrency += c->conf->pipelines[k].concurrency;
	if (concurrency == 0)
		return NULL;
	return downstream_new(&env, conf,
	    concurrency < UINT_MAX ? (unsigned)concurrency : UINT_MAX);
}

static void
make_pipelines(struct consumer *c)
{
	static const struct pipeline_cbs cbs = {
		.changed = on_pipeline_changed,
		.refused = on_pipeline_refused,
		.astray = on_astray,
	};
	const struct pipeline_env env = {
		.loop = c->env.loop,
		.conf = c->conf,
		.names = &c->names,
		.settle = c->settle,
		.meter = &c->meter,
		.budget = &c->budget,
		.cbs = &cbs,
		.arg = c,
	};

	c->downstreams =
	    xcalloc(c->conf->downstream_count, sizeof(*c->downstreams));
	for (size_t i = 0; i < c->conf->downstream_count; i++)
		c->downstreams[i] = make_downstream(c, i);
	c->pipelines = xcalloc(c->conf->pipeline_count, sizeof(*c->pipelines));
	for (size_t i = 0; i < c->conf->pipeline_count; i++) {
		const struct conf_pipeline *conf = &c->conf->pipelines[i];

		c->pipelines[i] = pipeline_new(&env, conf,
		    c->downstreams[conf->downstream - c->conf->downstreams]);
	}
}

struct consumer *
consumer_new(const struct consumer_env *env, const struct conf *conf,
    const struct consumer_cbs *cbs, void *arg)
{
	static const struct settle_cbs settle_cbs = { .astray = on_astray };
	struct consumer *c = xcalloc(1, sizeof(*c));

	c->env = *env;
	c->conf = conf;
	c->cbs = cbs;
	c->arg = arg;
	meter_init(&c->meter, env->metrics);
	c->budget.max_bytes = conf->consumer.max_inflight_bytes;
	c->budget.changed = on_budget;
	c->budget.partial_bytes = partial_bytes;
	c->budget.arg = c;
	topology_names_init(&c->names, conf);
	make_connection(c, &c->consume, METER_CONSUME);
	make_connection(c, &c->publish, METER_PUBLISH);
	make_provision(c);
	c->settle = settle_new(env->loop, conf->consumer_broker.user, &c->meter,
	    &settle_cbs, c);
	c->redeclare_timer = loop_timer_new(env->loop, on_redeclare, c);
	c->drain_timer = loop_timer_new(env->loop, on_drain_timeout, c);
	loop_task_init(&c->end, on_end, c);
	make_pipelines(c);
	c->clock_offset_ms = clock_offset_ms(c);
	metrics_on_render(env->metrics, on_render, c);
	return c;
}

void
consumer_start(struct consumer *c)
{
	rmq_link_start(c->consume.link);
	rmq_link_start(c->publish.link);
}

void
consumer_drain(struct consumer *c)
{
	if (c->state > CONSUMER_RUNNING)
		return;
	consumer_enter(c, CONSUMER_DRAINING);
	provision_stop(c->provision);
	loop_timer_start(c->env.loop, c->drain_timer,
	    c->conf->consumer.drain_timeout_ms);
	for (size_t i = 0; i < c->conf->pipeline_count; i++)
		pipeline_drain(c->pipelines[i]);
}

void
consumer_free(struct consumer *c)
{
	if (c == NULL)
		return;
	metrics_off_render(c->env.metrics, on_render, c);
	for (size_t i = 0; i < c->conf->pipeline_count; i++)
		pipeline_free(c->pipelines[i]);
	for (size_t i = 0; i < c->conf->downstream_count; i++)
		downstream_free(c->downstreams[i]);
	free(c->pipelines);
	free(c->downstreams);
	rights_free(c->rights);
	settle_free(c->settle);
	provision_free(c->provision);
	rmq_link_free(c->consume.link);
	rmq_link_free(c->publish.link);
	loop_timer_free(c->env.loop, c->redeclare_timer);
	loop_timer_free(c->env.loop, c->drain_timer);
	loop_undefer(c->env.loop, &c->end);
	topology_names_clear(&c->names);
	free(c);
}
