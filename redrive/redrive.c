/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/redrive.h"

#include <stdlib.h>

#include "amqp/link.h"
#include "amqp/publisher.h"
#include "dlx/broker.h"
#include "dlx/envelope.h"
#include "dlx/provision.h"
#include "dlx/topology.h"
#include "downstream/probe.h"
#include "lib/cli.h"
#include "lib/log.h"
#include "lib/xalloc.h"
#include "redrive/job_env.h"
#include "redrive/lane.h"
#include "redrive/scan.h"
#include "redrive/stash.h"
#include "redrive/tally.h"

/* Bytes of messages in our hands, of all jobs together. */
#define HELD_MAX (256u << 20)
/* Copies without a confirm, of all jobs together. */
#define PUBLISH_WINDOW 2048
/* Silence of the broker while confirms are awaited. */
#define CONFIRM_TIMEOUT_MS 30000

enum redrive_state {
	REDRIVE_STARTING,
	REDRIVE_RUNNING,
	REDRIVE_DRAINING,
	REDRIVE_CLOSING,
	REDRIVE_ENDED,
};

/* A downstream's probe; pipelines share it. */
struct health {
	struct redrive *redrive;
	const struct conf_downstream *conf;
	struct probe *probe; /* NULL: nobody asks */
};

struct redrive {
	struct redrive_env env;
	const struct conf *conf;
	const struct conf_broker *broker;
	const struct once_options *once_options; /* NULL: a daemon */
	const struct redrive_cbs *cbs;
	void *arg;
	enum redrive_state state;
	int exit_code;
	struct provision *provision;
	bool provisioned; /* the last look found all that is needed */
	struct rmq_link *scan, *publish;
	bool scan_stopped, publish_stopped;
	struct rmq_publisher *publisher;
	struct topology_names names;
	struct stash stash;
	struct tally tally;
	struct job_env job_env;
	struct lane **lanes;
	size_t lane_count;
	struct health *healths; /* one for each downstream */
	struct once *once;	/* NULL: a daemon */
};

static const char *
redrive_state_name(enum redrive_state state)
{
	static const char *const names[] = { "starting", "running", "draining",
		"closing", "ended" };

	return names[state];
}

/* Legal moves: see redrive.h. */
static void
redrive_enter(struct redrive *r, enum redrive_state to)
{
	static const unsigned legal[] = {
		[REDRIVE_STARTING] = 1u << REDRIVE_RUNNING |
		    1u << REDRIVE_DRAINING | 1u << REDRIVE_CLOSING,
		[REDRIVE_RUNNING] =
		    1u << REDRIVE_DRAINING | 1u << REDRIVE_CLOSING,
		[REDRIVE_DRAINING] = 1u << REDRIVE_CLOSING,
		[REDRIVE_CLOSING] = 1u << REDRIVE_ENDED,
		[REDRIVE_ENDED] = 0,
	};

	log_debug("redrive_state",
	    LOG_STR("from", redrive_state_name(r->state)),
	    LOG_STR("to", redrive_state_name(to)));
	if ((legal[r->state] & 1u << to) == 0)
		abort();
	r->state = to;
}

static bool
is_busy(const struct redrive *r)
{
	for (size_t i = 0; i < r->lane_count; i++) {
		if (lane_is_busy(r->lanes[i]))
			return true;
	}
	return false;
}

/* Nothing is held any more: closes the connections. */
static void
close_all(struct redrive *r, int exit_code)
{
	redrive_enter(r, REDRIVE_CLOSING);
	r->exit_code = exit_code;
	metrics_set(r->tally.active, 0);
	provision_stop(r->provision);
	rmq_link_stop(r->scan);
	rmq_link_stop(r->publish);
}

static void
link_lanes(struct redrive *r, struct rmq_conn *conn)
{
	for (size_t i = 0; i < r->lane_count; i++)
		lane_link(r->lanes[i], conn);
}

/* After a job's end, or when there is nothing to wait for. */
static void
check_ended(struct redrive *r)
{
	if (r->state == REDRIVE_DRAINING && !is_busy(r))
		close_all(r,
		    r->once != NULL ? once_exit_code(r->once) : CLI_OK);
	else if (r->state == REDRIVE_RUNNING && r->once != NULL &&
	    once_is_done(r->once))
		close_all(r, once_exit_code(r->once));
}

/* Goes from starting to running once everything is there. */
static void
check_started(struct redrive *r)
{
	if (r->state != REDRIVE_STARTING || !r->provisioned ||
	    rmq_link_conn(r->scan) == NULL || rmq_link_conn(r->publish) == NULL)
		return;
	redrive_enter(r, REDRIVE_RUNNING);
	metrics_set(r->tally.active, 1);
	r->cbs->ready(r->arg);
	link_lanes(r, rmq_link_conn(r->scan));
	if (r->once != NULL)
		once_start(r->once);
	check_ended(r);
}

static void
on_lane_ended(void *arg, struct lane *lane, const struct job_report *report)
{
	struct redrive *r = arg;

	if (r->once != NULL)
		once_ended(r->once, lane, report);
	/* It may have found something gone: the next one needs it. */
	else if (report->end == JOB_PARTIAL && r->state == REDRIVE_RUNNING)
		provision_start(r->provision);
	check_ended(r);
}

static void
on_result(void *arg, const struct once_result *result)
{
	struct redrive *r = arg;

	r->cbs->result(r->arg, result);
}

/* Something that only an operator can mend, found while starting. */
static void
give_up(struct redrive *r, int exit_code, const char *what, const char *text,
    const char *hint)
{
	log_error("start_failed", LOG_STR("what", what), LOG_STR("text", text),
	    LOG_STR("hint", hint), LOG_INT("exit", exit_code));
	close_all(r, exit_code);
}

/* --once does not wait for a broker of which no node answers. */
static void
out_of_nodes(struct redrive *r, const char *text)
{
	if (r->state == REDRIVE_STARTING) {
		give_up(r, CLI_UNREACHABLE, "broker", text,
		    "every node was tried: check broker.nodes");
		return;
	}
	for (size_t i = 0; i < r->lane_count; i++)
		lane_stop(r->lanes[i], JOB_PARTIAL,
		    "the broker cannot be reached");
}

/* An attempt failed, or a connection ended; the link tries again by itself. */
static void
handle_down(struct redrive *r, const char *what, const struct rmq_link *link,
    const struct rmq_close *why)
{
	if (r->state >= REDRIVE_CLOSING)
		return;
	if (r->state == REDRIVE_STARTING && why->fault == RMQ_FAULT_AUTH)
		give_up(r, CLI_DENIED, what, why->text,
		    "check user and password");
	else if (r->state == REDRIVE_STARTING && why->fault == RMQ_FAULT_VHOST)
		give_up(r, CLI_DENIED, what, why->text,
		    "check that the vhost exists and the user may use it");
	else if (r->once != NULL && link != NULL && rmq_link_tried_all(link))
		out_of_nodes(r, why->text);
}

static void
on_scan_up(void *arg, struct rmq_conn *conn)
{
	struct redrive *r = arg;

	rmq_link_read_enable(r->scan, !r->stash.over);
	if (r->state == REDRIVE_STARTING) {
		check_started(r);
		return;
	}
	if (r->state == REDRIVE_RUNNING)
		provision_start(r->provision);
	link_lanes(r, conn);
}

static void
on_scan_down(void *arg, const struct rmq_close *why)
{
	struct redrive *r = arg;

	link_lanes(r, NULL);
	handle_down(r, "scan", r->scan, why);
}

/* It publishes nothing, so that an alarm does not stop its acks. */
static void
on_scan_blocked(void *arg, bool blocked, const char *reason)
{
	(void)arg;
	(void)blocked;
	(void)reason;
}

static void
check_stopped(struct redrive *r)
{
	if (!r->scan_stopped || !r->publish_stopped)
		return;
	redrive_enter(r, REDRIVE_ENDED);
	r->cbs->ended(r->arg, r->exit_code);
}

static void
on_scan_stopped(void *arg)
{
	struct redrive *r = arg;

	r->scan_stopped = true;
	check_stopped(r);
}

static void
on_publish_up(void *arg, struct rmq_conn *conn)
{
	struct redrive *r = arg;

	r->job_env.frame_max = rmq_conn_frame_max(conn);
	rmq_publisher_attach(r->publisher, conn);
	check_started(r);
}

static void
on_publish_down(void *arg, const struct rmq_close *why)
{
	struct redrive *r = arg;

	rmq_publisher_detach(r->publisher);
	handle_down(r, "publish", r->publish, why);
}

static void
on_publish_blocked(void *arg, bool blocked, const char *reason)
{
	struct redrive *r = arg;

	/* The link has said it; jobs wait for their confirms. */
	(void)blocked;
	(void)reason;
	rmq_publisher_wake(r->publisher);
}

static void
on_publish_stopped(void *arg)
{
	struct redrive *r = arg;

	r->publish_stopped = true;
	check_stopped(r);
}

/* The topology is not what it should be, at start. */
static void
not_usable(struct redrive *r, const struct topology_result *result)
{
	static const char text[] =
	    "objects are missing or different, see above";

	for (size_t i = 0; i < result->problem_count; i++) {
		if (result->problems[i].fault != TOPOLOGY_DENIED)
			continue;
		give_up(r, CLI_DENIED, "topology", text,
		    "grant the user configure permission, or declare them as "
		    "another one (topology.broker)");
		return;
	}
	give_up(r, CLI_FAILED, "topology", text,
	    "declare them, or mend the configuration");
}

static void
on_provisioned(void *arg, const struct topology_result *result)
{
	struct redrive *r = arg;

	topology_run_log(result);
	r->provisioned = result->usable;
	if (!result->usable && r->state == REDRIVE_STARTING)
		not_usable(r, result);
	else
		check_started(r);
}

static void
on_provision_down(void *arg, const struct rmq_close *why)
{
	handle_down(arg, "topology", NULL, why);
}

static void
on_stash(void *arg)
{
	struct redrive *r = arg;

	log_debug("reading", LOG_BOOL("on", !r->stash.over),
	    LOG_UINT("held_bytes", r->stash.held));
	rmq_link_read_enable(r->scan, !r->stash.over);
	for (size_t i = 0; r->stash.over && i < r->lane_count; i++)
		lane_relieve(r->lanes[i]);
}

static void
on_probe(void *arg, const struct probe_event *event)
{
	struct health *health = arg;
	struct redrive *r = health->redrive;
	bool healthy = event->health == PROBE_HEALTHY;

	if (!event->changed || r->state >= REDRIVE_DRAINING)
		return;
	tally_probe(&r->tally, health->conf->name, healthy);
	for (size_t i = 0; i < r->lane_count; i++) {
		if (lane_pipeline(r->lanes[i])->downstream != health->conf)
			continue;
		if (r->once != NULL)
			once_health(r->once, r->lanes[i], healthy);
		else
			lane_health(r->lanes[i], healthy);
	}
	check_ended(r);
}

static void
on_render(void *arg)
{
	struct redrive *r = arg;

	for (size_t i = 0; i < r->lane_count; i++)
		lane_refresh(r->lanes[i]);
}

static struct rmq_link *
make_link(struct redrive *r, const char *what, const struct rmq_link_cbs *cbs)
{
	char *name = xasprintf("dlo-redrive %s %s", what, r->env.instance);
	struct rmq_link *link =
	    broker_link_new(r->env.loop, r->env.net, r->broker, name, cbs, r);

	free(name);
	return link;
}

static void
make_links(struct redrive *r)
{
	static const struct rmq_link_cbs scan_cbs = {
		.up = on_scan_up,
		.down = on_scan_down,
		.blocked = on_scan_blocked,
		.stopped = on_scan_stopped,
	};
	static const struct rmq_link_cbs publish_cbs = {
		.up = on_publish_up,
		.down = on_publish_down,
		.blocked = on_publish_blocked,
		.stopped = on_publish_stopped,
	};
	static const struct provision_cbs provision_cbs = {
		.done = on_provisioned,
		.down = on_provision_down,
	};
	static const struct rmq_publisher_options options = {
		.correlation_header = ENVELOPE_ID_HEADER,
		.window = PUBLISH_WINDOW,
		.confirm_timeout_ms = CONFIRM_TIMEOUT_MS,
	};
	char *name = xasprintf("dlo-redrive topology %s", r->env.instance);

	r->scan = make_link(r, "scan", &scan_cbs);
	r->publish = make_link(r, "publish", &publish_cbs);
	r->publisher = rmq_publisher_new(r->env.loop, &options);
	r->provision = provision_new(r->env.loop, r->env.net, r->conf,
	    CONF_ROLE_REDRIVE, name, &provision_cbs, r);
	free(name);
}

static void
make_lanes(struct redrive *r)
{
	r->lanes = xcalloc(r->conf->pipeline_count, sizeof(struct lane *));
	for (size_t i = 0; i < r->conf->pipeline_count; i++) {
		const struct conf_pipeline *pipeline = &r->conf->pipelines[i];
		const struct lane_options options = {
			.env = &r->job_env,
			.conf = r->conf,
			.pipeline = pipeline,
			.tally = &r->tally,
			.automatic = r->once == NULL,
		};
		struct lane *lane;

		if (r->once != NULL &&
		    !once_wants(r->once_options, pipeline->name))
			continue;
		lane = lane_new(&options, on_lane_ended, r);
		r->lanes[r->lane_count++] = lane;
		if (r->once != NULL)
			once_add(r->once, lane, &pipeline->downstream->probe);
	}
}

struct redrive *
redrive_new(const struct redrive_env *env, const struct conf *conf,
    const struct once_options *once, const struct redrive_cbs *cbs, void *arg)
{
	struct redrive *r = xcalloc(1, sizeof(*r));

	r->env = *env;
	r->conf = conf;
	r->broker = conf_broker_for(conf, CONF_ROLE_REDRIVE);
	r->once_options = once;
	r->cbs = cbs;
	r->arg = arg;
	topology_names_init(&r->names, conf);
	tally_init(&r->tally, env->metrics);
	r->stash = (struct stash){ .limit = env->held_max_bytes > 0
		    ? env->held_max_bytes
		    : HELD_MAX,
		.changed = on_stash,
		.arg = r };
	make_links(r);
	r->job_env = (struct job_env){
		.loop = env->loop,
		.publisher = r->publisher,
		.trusted = &r->broker->trusted_users,
		.names = &r->names,
		.stash = &r->stash,
		.user = r->broker->user,
		.scan_prefetch =
		    env->scan_prefetch > 0 ? env->scan_prefetch : SCAN_PREFETCH,
		.hold_max_ms = conf->consumer.hold_max_ms,
		.settle_ms = conf->consumer.drain_timeout_ms,
	};
	if (once != NULL)
		r->once = once_new(env->loop, once, on_result, r);
	make_lanes(r);
	metrics_on_render(env->metrics, on_render, r);
	return r;
}

/* Whether anybody asks how this downstream is. */
static bool
is_asked_for(const struct redrive *r, const struct conf_downstream *downstream)
{
	if (r->once != NULL && !r->once_options->when_healthy)
		return false;
	for (size_t i = 0; i < r->lane_count; i++) {
		if (lane_pipeline(r->lanes[i])->downstream == downstream)
			return true;
	}
	return false;
}

static void
start_probes(struct redrive *r)
{
	r->healths = xcalloc(r->conf->downstream_count, sizeof(*r->healths));
	for (size_t i = 0; i < r->conf->downstream_count; i++) {
		const struct conf_downstream *conf = &r->conf->downstreams[i];
		const struct probe_params params =
		    probe_params_of(conf->name, &conf->probe);
		struct probe_driver *driver = NULL;

		if (!is_asked_for(r, conf))
			continue;
		if (conf->probe.kind != CONF_PROBE_NONE)
			driver = r->env.driver_new != NULL
			    ? r->env.driver_new(r->env.arg, conf)
			    : probe_driver_new(r->env.loop, r->env.net,
				  &conf->probe);
		r->healths[i].redrive = r;
		r->healths[i].conf = conf;
		r->healths[i].probe = probe_new(r->env.loop, &params, driver,
		    on_probe, &r->healths[i]);
		tally_probe(&r->tally, conf->name, false);
	}
}

void
redrive_start(struct redrive *r)
{
	start_probes(r);
	provision_start(r->provision);
	rmq_link_start(r->scan);
	rmq_link_start(r->publish);
}

void
redrive_drain(struct redrive *r)
{
	if (r->state >= REDRIVE_DRAINING)
		return;
	redrive_enter(r, REDRIVE_DRAINING);
	if (r->once != NULL)
		once_stop(r->once);
	for (size_t i = 0; i < r->lane_count; i++)
		lane_stop(r->lanes[i], JOB_CANCELLED, "told to stop");
	check_ended(r);
}

bool
redrive_is_ready(const struct redrive *r, struct buf *why)
{
	const char *text = NULL;

	if (r->state >= REDRIVE_DRAINING)
		text = "stopping";
	else if (rmq_link_conn(r->scan) == NULL ||
	    rmq_link_conn(r->publish) == NULL)
		text = "not connected to the broker";
	else if (!r->provisioned)
		text = "something is missing in the broker, see the log";
	if (text != NULL && why != NULL)
		buf_add_str(why, text);
	return text == NULL;
}

void
redrive_free(struct redrive *r)
{
	if (r == NULL)
		return;
	metrics_off_render(r->env.metrics, on_render, r);
	for (size_t i = 0; r->healths != NULL && i < r->conf->downstream_count;
	     i++)
		probe_free(r->healths[i].probe);
	free(r->healths);
	for (size_t i = 0; i < r->lane_count; i++)
		lane_free(r->lanes[i]);
	free(r->lanes);
	once_free(r->once);
	rmq_publisher_free(r->publisher);
	provision_free(r->provision);
	rmq_link_free(r->scan);
	rmq_link_free(r->publish);
	topology_names_clear(&r->names);
	free(r);
}
