/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/redrive.h"

#include <stdlib.h>
#include <string.h>

#include "dlx/topology.h"
#include "lib/cli.h"
#include "lib/log.h"
#include "lib/xalloc.h"
#include "redrive/circuits.h"
#include "redrive/duty.h"
#include "redrive/job_env.h"
#include "redrive/job_event.h"
#include "redrive/lane.h"
#include "redrive/probes.h"
#include "redrive/scan.h"
#include "redrive/stash.h"
#include "redrive/tally.h"
#include "redrive/uplink.h"
#include "redrive/verdicts.h"

/* Bytes of messages in our hands, of all jobs together. */
#define HELD_MAX (256u << 20)

enum redrive_state {
	REDRIVE_STARTING,
	REDRIVE_RUNNING,
	REDRIVE_DRAINING,
	REDRIVE_CLOSING,
	REDRIVE_ENDED,
};

struct redrive {
	struct redrive_env env;
	const struct conf *conf;
	const struct once_options *once_options; /* NULL: a daemon */
	const struct redrive_cbs *cbs;
	void *arg;
	enum redrive_state state;
	int exit_code;
	struct uplink *uplink;
	struct topology_names names;
	struct stash stash;
	struct tally tally;
	struct job_env job_env;
	struct lane **lanes;
	size_t lane_count;
	struct probes *probes;
	struct rmq_conn *conn; /* to scan on; NULL: none */
	bool active;	       /* this daemon has the jobs */
	struct verdicts *verdicts;
	struct circuits *circuits;
	struct loop_timer *circuits_timer; /* when one grows old */
	struct once *once;		   /* NULL: a daemon */
	struct duty *duty;		   /* NULL: --once */
	struct job_events *events;	   /* NULL: --once */
	bool unlinked;			   /* the uplink has stopped */
	bool left;			   /* and the duty */
	redrive_counted_cb *counted;	   /* NULL: nobody waits for it */
	void *counted_arg;
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

/* They go to one daemon: to the one that has the jobs. */
static void
link_verdicts(struct redrive *r)
{
	verdicts_link(r->verdicts,
	    r->once != NULL || r->active ? r->conn : NULL);
}

static void
link_lanes(struct redrive *r, struct rmq_conn *conn)
{
	r->conn = conn;
	link_verdicts(r);
	for (size_t i = 0; i < r->lane_count; i++)
		lane_link(r->lanes[i], conn);
}

/* Nothing is held any more: closes the connections. */
static void
close_all(struct redrive *r, int exit_code)
{
	redrive_enter(r, REDRIVE_CLOSING);
	r->exit_code = exit_code;
	link_lanes(r, NULL);
	if (r->once != NULL)
		once_link(r->once, NULL);
	uplink_stop(r->uplink);
	if (r->duty != NULL)
		office_stop(duty_office(r->duty));
}

/* --once: after a job's end, or when there is nothing to wait for. */
static void
check_ended(struct redrive *r)
{
	if (r->once == NULL)
		return;
	if ((r->state == REDRIVE_DRAINING && !is_busy(r)) ||
	    (r->state == REDRIVE_RUNNING && once_is_done(r->once)))
		close_all(r, once_exit_code(r->once));
}

static void
on_lane_ended(void *arg, struct lane *lane, const struct job_report *report)
{
	struct redrive *r = arg;

	if (r->once != NULL) {
		once_ended(r->once, lane, report);
		check_ended(r);
		return;
	}
	/* It may have found something gone: the next one needs it. */
	if (report->end == JOB_PARTIAL && r->state == REDRIVE_RUNNING)
		uplink_redeclare(r->uplink);
	duty_ended(r->duty, lane, report);
}

static bool
on_lane_fired(void *arg, struct lane *lane, const char *trigger)
{
	return duty_fired(((struct redrive *)arg)->duty, lane, trigger);
}

static void
on_lane_looked(void *arg)
{
	struct redrive *r = arg;

	if (r->duty != NULL)
		duty_looked(r->duty);
}

static void
on_lane_counted(void *arg, struct lane *lane)
{
	struct redrive *r = arg;

	(void)lane;
	for (size_t i = 0; i < r->lane_count; i++)
		if (lane_is_counting(r->lanes[i]))
			return;
	if (r->counted != NULL)
		r->counted(r->counted_arg);
}

static void
on_once_changed(void *arg)
{
	check_ended(arg);
}

static void
on_result(void *arg, const struct once_result *result)
{
	struct redrive *r = arg;

	r->cbs->result(r->arg, result);
}

static void
on_open(void *arg, struct rmq_conn *conn)
{
	struct redrive *r = arg;
	bool first = r->state == REDRIVE_STARTING;

	r->job_env.frame_max = uplink_frame_max(r->uplink);
	uplink_read_enable(r->uplink, !r->stash.over);
	if (first) {
		redrive_enter(r, REDRIVE_RUNNING);
		r->cbs->ready(r->arg);
	}
	link_lanes(r, conn);
	if (r->once != NULL)
		once_link(r->once, conn);
	else if (first)
		office_join(duty_office(r->duty));
	check_ended(r);
}

static void
on_lost(void *arg)
{
	struct redrive *r = arg;

	link_lanes(r, NULL);
	if (r->once != NULL)
		once_link(r->once, NULL);
}

static void
on_fault(void *arg, const struct startup_fault *fault, const char *what,
    const char *text)
{
	struct redrive *r = arg;

	if (r->state != REDRIVE_STARTING)
		return;
	log_error("start_failed", LOG_STR("what", what), LOG_STR("text", text),
	    LOG_STR("hint", fault->hint), LOG_INT("exit", fault->exit_code));
	close_all(r, fault->exit_code);
}

/* A daemon waits for the broker; --once does not. */
static void
on_unreachable(void *arg, const char *why)
{
	static const struct startup_fault fault = { CLI_UNREACHABLE,
		"every node was tried: check broker.nodes" };
	struct redrive *r = arg;

	if (r->once == NULL) {
		if (r->state == REDRIVE_STARTING)
			r->cbs->unreachable(r->arg);
		return;
	}
	on_fault(r, &fault, "broker", why);
	for (size_t i = 0; i < r->lane_count; i++)
		lane_stop(r->lanes[i], JOB_PARTIAL,
		    "the broker cannot be reached");
}

static void
check_stopped(struct redrive *r)
{
	if (!r->unlinked || (r->duty != NULL && !r->left))
		return;
	redrive_enter(r, REDRIVE_ENDED);
	r->cbs->ended(r->arg, r->exit_code);
}

static void
on_stopped(void *arg)
{
	struct redrive *r = arg;

	r->unlinked = true;
	check_stopped(r);
}

/* What the duty says. */

static void
on_active(void *arg, bool active)
{
	struct redrive *r = arg;

	r->active = active;
	metrics_set(r->tally.active, active);
	link_verdicts(r);
}

static void
on_idle(void *arg)
{
	close_all(arg, CLI_OK);
}

static void
on_jobs_down(void *arg, const struct rmq_close *why, bool tried_all)
{
	struct startup_fault found = startup_connection(why);

	if (found.exit_code != 0)
		on_fault(arg, &found, "jobs", why->text);
	else if (tried_all)
		on_unreachable(arg, why->text);
}

static void
on_job_told(void *arg, const struct registry_job *job)
{
	job_events_tell(((struct redrive *)arg)->events, job);
}

static void
on_jobs_refused(void *arg)
{
	uplink_redeclare(((struct redrive *)arg)->uplink);
}

static void
on_jobs_stopped(void *arg)
{
	struct redrive *r = arg;

	r->left = true;
	check_stopped(r);
}

static void
on_stash(void *arg)
{
	struct redrive *r = arg;

	log_debug("reading", LOG_BOOL("on", !r->stash.over),
	    LOG_UINT("held_bytes", r->stash.held));
	uplink_read_enable(r->uplink, !r->stash.over);
	for (size_t i = 0; r->stash.over && i < r->lane_count; i++)
		lane_relieve(r->lanes[i]);
}

static void
on_health(void *arg, const struct conf_downstream *downstream, bool healthy)
{
	struct redrive *r = arg;

	if (r->state >= REDRIVE_DRAINING)
		return;
	for (size_t i = 0; i < r->lane_count; i++) {
		if (lane_pipeline(r->lanes[i])->downstream != downstream)
			continue;
		if (r->once != NULL)
			once_health(r->once, r->lanes[i], healthy);
		else
			lane_health(r->lanes[i], healthy);
	}
	check_ended(r);
}

/* Tells each pipeline whether a breaker of its downstream is open. */
static void
look_at_circuits(void *arg)
{
	struct redrive *r = arg;
	int64_t now_ms = loop_now_ms(r->env.loop);
	int64_t due_ms = circuits_due_ms(r->circuits, now_ms);

	for (size_t i = 0; i < r->lane_count; i++)
		lane_breaker(r->lanes[i],
		    circuits_is_open(r->circuits,
			lane_pipeline(r->lanes[i])->downstream->name, now_ms));
	if (due_ms != INT64_MAX)
		loop_timer_start(r->env.loop, r->circuits_timer,
		    due_ms - now_ms);
}

static void
on_news(void *arg, const struct news *news)
{
	struct redrive *r = arg;

	if (news->kind == NEWS_BREAKER) {
		circuits_heard(r->circuits, news, loop_now_ms(r->env.loop),
		    loop_wall_ms(r->env.loop));
		look_at_circuits(r);
		return;
	}
	for (size_t i = 0; i < r->lane_count; i++) {
		if (strcmp(lane_pipeline(r->lanes[i])->name, news->pipeline) ==
		    0)
			lane_heard(r->lanes[i], news);
	}
}

static void
on_render(void *arg)
{
	struct redrive *r = arg;

	for (size_t i = 0; i < r->lane_count; i++)
		lane_refresh(r->lanes[i]);
}

static void
make_uplink(struct redrive *r)
{
	static const struct uplink_cbs cbs = {
		.open = on_open,
		.lost = on_lost,
		.unreachable = on_unreachable,
		.fault = on_fault,
		.stopped = on_stopped,
	};
	const struct uplink_env env = {
		.loop = r->env.loop,
		.net = r->env.net,
		.conf = r->conf,
		.names = &r->names,
		.instance = r->env.instance,
	};

	r->uplink = uplink_new(&env, &cbs, r);
}

static void
make_once(struct redrive *r)
{
	static const struct once_cbs cbs = { on_result, on_once_changed };
	const struct handover_env env = {
		.loop = r->env.loop,
		.publisher = uplink_publisher(r->uplink),
		.names = &r->names,
		.user = conf_broker_for(r->conf, CONF_ROLE_REDRIVE)->user,
	};

	r->once = once_new(&env, r->once_options, r->env.instance, &cbs, r);
}

static void
make_probes(struct redrive *r)
{
	const struct probes_env env = {
		.loop = r->env.loop,
		.net = r->env.net,
		.conf = r->conf,
		.tally = &r->tally,
		.conn = &r->conn,
		.driver_new = r->env.driver_new,
		.driver_arg = r->env.arg,
	};

	r->probes = probes_new(&env, on_health, r);
}

static size_t
unsent(void *arg)
{
	const struct redrive *r = arg;

	return uplink_unsent(r->uplink);
}

static void
make_duty(struct redrive *r)
{
	static const struct duty_cbs cbs = {
		.active = on_active,
		.idle = on_idle,
		.tell = on_job_told,
		.down = on_jobs_down,
		.refused = on_jobs_refused,
		.stopped = on_jobs_stopped,
	};
	const struct office_env env = {
		.loop = r->env.loop,
		.net = r->env.net,
		.conf = r->conf,
		.names = &r->names,
		.instance = r->env.instance,
	};
	const struct teller_env event_env = {
		.loop = r->env.loop,
		.publisher = uplink_publisher(r->uplink),
		.exchange = r->names.events,
		.user = conf_broker_for(r->conf, CONF_ROLE_REDRIVE)->user,
		.instance = r->env.instance,
		.metrics = r->env.metrics,
		.unsent = unsent,
		.arg = r,
	};

	r->events = job_events_new(&event_env);
	r->duty = duty_new(&env, &cbs, r);
}

static void
make_lanes(struct redrive *r)
{
	static const struct lane_cbs cbs = { on_lane_ended, on_lane_fired,
		on_lane_looked, on_lane_counted };

	r->lanes = xcalloc(r->conf->pipeline_count, sizeof(struct lane *));
	for (size_t i = 0; i < r->conf->pipeline_count; i++) {
		const struct conf_pipeline *pipeline = &r->conf->pipelines[i];
		const struct lane_options options = {
			.env = &r->job_env,
			.conf = r->conf,
			.pipeline = pipeline,
			.tally = &r->tally,
			.watches = r->once == NULL,
		};
		struct lane *lane;

		if (r->once != NULL &&
		    !once_wants(r->once_options, pipeline->name))
			continue;
		lane = lane_new(&options, &cbs, r);
		r->lanes[r->lane_count++] = lane;
		if (r->once != NULL)
			once_add(r->once, lane, &pipeline->downstream->probe);
		else
			duty_add(r->duty, lane);
	}
}

struct redrive *
redrive_new(const struct redrive_env *env, const struct conf *conf,
    const struct once_options *once, const struct redrive_cbs *cbs, void *arg)
{
	const struct conf_broker *broker =
	    conf_broker_for(conf, CONF_ROLE_REDRIVE);
	struct redrive *r = xcalloc(1, sizeof(*r));

	r->env = *env;
	r->conf = conf;
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
	make_uplink(r);
	make_probes(r);
	r->job_env = (struct job_env){
		.loop = env->loop,
		.publisher = uplink_publisher(r->uplink),
		.trusted = &broker->trusted_users,
		.names = &r->names,
		.stash = &r->stash,
		.user = broker->user,
		.scan_prefetch =
		    env->scan_prefetch > 0 ? env->scan_prefetch : SCAN_PREFETCH,
		.hold_max_ms = conf->consumer.hold_max_ms,
		.settle_ms = conf->consumer.drain_timeout_ms,
	};
	r->circuits = circuits_new();
	r->circuits_timer = loop_timer_new(env->loop, look_at_circuits, r);
	r->verdicts = verdicts_new(env->loop, r->names.verdicts,
	    &broker->trusted_users, on_news, r);
	if (once != NULL)
		make_once(r);
	else
		make_duty(r);
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

void
redrive_start(struct redrive *r)
{
	for (size_t i = 0; i < r->conf->downstream_count; i++) {
		if (is_asked_for(r, &r->conf->downstreams[i]))
			probes_ask(r->probes, &r->conf->downstreams[i]);
	}
	uplink_start(r->uplink);
	if (r->duty != NULL)
		office_start(duty_office(r->duty));
}

void
redrive_drain(struct redrive *r)
{
	if (r->state >= REDRIVE_DRAINING)
		return;
	redrive_enter(r, REDRIVE_DRAINING);
	if (r->duty != NULL) {
		duty_drain(r->duty);
		return;
	}
	once_stop(r->once);
	for (size_t i = 0; i < r->lane_count; i++)
		lane_drain(r->lanes[i], JOB_CANCELLED, "told to stop");
	check_ended(r);
}

bool
redrive_is_ready(const struct redrive *r, struct buf *why)
{
	if (r->state >= REDRIVE_DRAINING) {
		if (why != NULL)
			buf_add_str(why, redrive_state_name(r->state));
		return false;
	}
	if (!uplink_is_up(r->uplink, why) ||
	    (r->duty != NULL && !office_is_up(duty_office(r->duty), why)))
		return false;
	for (size_t i = 0; i < r->lane_count; i++) {
		if (!lane_is_well(r->lanes[i], why))
			return false;
	}
	if (r->state == REDRIVE_STARTING && why != NULL)
		buf_add_str(why, redrive_state_name(r->state));
	else if (r->duty != NULL && why != NULL &&
	    !registry_is_active(redrive_registry(r)))
		buf_add_str(why, registry_role(redrive_registry(r)));
	return r->state == REDRIVE_RUNNING;
}

struct registry *
redrive_registry(const struct redrive *r)
{
	return r->duty != NULL ? office_registry(duty_office(r->duty)) : NULL;
}

struct lane *
redrive_lane(const struct redrive *r, const struct conf_pipeline *pipeline)
{
	for (size_t i = 0; i < r->lane_count; i++) {
		if (lane_pipeline(r->lanes[i]) == pipeline)
			return r->lanes[i];
	}
	return NULL;
}

const struct job_env *
redrive_job_env(const struct redrive *r)
{
	return &r->job_env;
}

bool
redrive_recount(struct redrive *r)
{
	bool any = false;

	for (size_t i = 0; i < r->lane_count; i++)
		any = lane_recount(r->lanes[i]) || any;
	return any;
}

void
redrive_on_counted(struct redrive *r, redrive_counted_cb *counted, void *arg)
{
	r->counted = counted;
	r->counted_arg = arg;
}

struct rmq_conn *
redrive_conn(const struct redrive *r)
{
	return r->conn;
}

enum probe_health
redrive_health(const struct redrive *r, const struct conf_downstream *conf)
{
	return probes_health(r->probes, conf);
}

void
redrive_free(struct redrive *r)
{
	if (r == NULL)
		return;
	metrics_off_render(r->env.metrics, on_render, r);
	probes_free(r->probes);
	duty_free(r->duty);
	job_events_free(r->events);
	for (size_t i = 0; i < r->lane_count; i++)
		lane_free(r->lanes[i]);
	free(r->lanes);
	once_free(r->once);
	verdicts_free(r->verdicts);
	loop_timer_free(r->env.loop, r->circuits_timer);
	circuits_free(r->circuits);
	uplink_free(r->uplink);
	topology_names_clear(&r->names);
	free(r);
}
