/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/office.h"

#include <stdlib.h>

#include "lib/log.h"
#include "lib/xalloc.h"
#include "redrive/audit_log.h"
#include "redrive/board.h"
#include "redrive/jobs_link.h"

#define TICK_MS 1000
/* A stop waits no longer for what is on its way to the broker. */
#define STOP_MS 5000

struct office {
	struct office_env env;
	const struct office_cbs *cbs;
	void *arg;
	struct jobs_link *link;
	struct registry *registry;
	struct audit_log *audit;
	struct rmq_conn *conn; /* of the channel; NULL: none */
	struct loop_timer *tick;
	bool stopping, closing;
	int64_t stop_ms; /* closes then at the latest */
};

/* The registry's wishes. */

static void
on_publish(void *arg, uint64_t token, const char *body, size_t len)
{
	jobs_link_publish(((struct office *)arg)->link, "jobs", token, body,
	    len);
}

static void
on_ack(void *arg, uint64_t tag)
{
	jobs_link_ack(((struct office *)arg)->link, tag);
}

static void
on_leave(void *arg, const char *why)
{
	log_warn("jobs_left", LOG_STR("why", why));
	jobs_link_leave(((struct office *)arg)->link);
}

static void
on_active(void *arg, bool active)
{
	struct office *o = arg;

	if (active) {
		log_info("active",
		    LOG_UINT("jobs", registry_count(o->registry)));
		audit_log_open(o->audit, o->conn);
	} else {
		log_event(o->stopping ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
		    "no_longer_active");
		audit_log_close(o->audit);
	}
	o->cbs->active(o->arg, active);
}

static void
on_run(void *arg, const struct registry_job *job)
{
	struct office *o = arg;

	o->cbs->run(o->arg, job);
}

static void
on_pause(void *arg, const struct registry_job *job, const char *why)
{
	struct office *o = arg;

	o->cbs->pause(o->arg, job, why);
}

static void
on_resume(void *arg, const struct registry_job *job)
{
	struct office *o = arg;

	o->cbs->resume(o->arg, job);
}

static void
on_cancel(void *arg, const struct registry_job *job)
{
	struct office *o = arg;

	o->cbs->cancel(o->arg, job);
}

static bool
on_look(void *arg, const struct registry_job *job, struct job_report *report)
{
	struct office *o = arg;

	return o->cbs->look(o->arg, job, report);
}

static void
on_enter(void *arg, json_t *entry, const char *job, unsigned bit)
{
	audit_log_add(((struct office *)arg)->audit, entry, job, bit);
}

static void
on_tell(void *arg, const struct registry_job *job)
{
	struct office *o = arg;

	o->cbs->tell(o->arg, job);
}

static void
on_changed(void *arg)
{
	struct office *o = arg;

	o->cbs->changed(o->arg);
}

/* The audit's. */

static void
on_audit_publish(void *arg, uint64_t token, const char *text, size_t len)
{
	jobs_link_publish(((struct office *)arg)->link, "audit", token, text,
	    len);
}

static void
on_entered(void *arg, const char *job, unsigned bit)
{
	registry_entered(((struct office *)arg)->registry, job, bit);
}

/* The channel's. */

static void
on_joined(void *arg, struct rmq_conn *conn)
{
	struct office *o = arg;

	o->conn = conn;
	board_joined(registry_board(o->registry));
	on_changed(o);
}

static void
on_lost(void *arg)
{
	struct office *o = arg;

	o->conn = NULL;
	audit_log_close(o->audit);
	board_lost(registry_board(o->registry));
	on_changed(o);
}

static void
on_delivered(void *arg, const struct board_delivery *delivery)
{
	struct office *o = arg;

	board_delivered(registry_board(o->registry), delivery,
	    loop_now_ms(o->env.loop));
}

static void
on_confirmed(void *arg, uint64_t token, bool ok)
{
	struct office *o = arg;

	if (!audit_log_confirmed(o->audit, token, ok))
		board_confirmed(registry_board(o->registry), token, ok,
		    loop_now_ms(o->env.loop));
}

static void
on_down(void *arg, const struct rmq_close *why, bool tried_all)
{
	struct office *o = arg;

	o->cbs->down(o->arg, why, tried_all);
}

static void
on_refused(void *arg)
{
	struct office *o = arg;

	o->cbs->refused(o->arg);
}

static void
on_stopped(void *arg)
{
	struct office *o = arg;

	loop_timer_stop(o->env.loop, o->tick);
	o->cbs->stopped(o->arg);
}

static bool
may_close(const struct office *o)
{
	return o->conn == NULL || loop_now_ms(o->env.loop) >= o->stop_ms ||
	    (registry_is_settled(o->registry) &&
		audit_log_waiting(o->audit) == 0);
}

static void
on_tick(void *arg)
{
	struct office *o = arg;

	if (o->stopping && !o->closing && may_close(o)) {
		o->closing = true;
		jobs_link_stop(o->link);
		return;
	}
	jobs_link_tick(o->link);
	registry_tick(o->registry);
	loop_timer_start(o->env.loop, o->tick, o->stopping ? 20 : TICK_MS);
}

struct office *
office_new(const struct office_env *env, const struct office_cbs *cbs,
    void *arg)
{
	static const struct registry_cbs registry_cbs = { on_publish, on_ack,
		on_leave, on_active, on_run, on_pause, on_resume, on_cancel,
		on_look, on_enter, on_tell };
	static const struct jobs_link_cbs link_cbs = { on_joined, on_lost,
		on_delivered, on_confirmed, on_down, on_refused, on_stopped };
	static const struct audit_log_cbs audit_cbs = { on_audit_publish,
		on_entered };
	const struct registry_env registry_env = { env->loop, env->conf,
		env->instance };
	struct office *o = xcalloc(1, sizeof(*o));
	char *name = xasprintf("dlo-redrive jobs %s", env->instance);
	const struct jobs_link_env link_env = {
		.loop = env->loop,
		.net = env->net,
		.broker = conf_broker_for(env->conf, CONF_ROLE_REDRIVE),
		.names = env->names,
		.name = name,
	};

	o->env = *env;
	o->cbs = cbs;
	o->arg = arg;
	o->registry = registry_new(&registry_env, &registry_cbs, o);
	registry_on_change(o->registry, on_changed, o);
	o->audit = audit_log_new(env->loop, env->names->audit, &audit_cbs, o);
	o->link = jobs_link_new(&link_env, &link_cbs, o);
	o->tick = loop_timer_new(env->loop, on_tick, o);
	free(name);
	return o;
}

void
office_start(struct office *o)
{
	jobs_link_start(o->link);
	loop_timer_start(o->env.loop, o->tick, TICK_MS);
}

void
office_join(struct office *o)
{
	jobs_link_join(o->link);
}

void
office_stop(struct office *o)
{
	if (o->stopping)
		return;
	o->stopping = true;
	o->stop_ms = loop_now_ms(o->env.loop) + STOP_MS;
	loop_timer_start(o->env.loop, o->tick, 0);
}

void
office_free(struct office *o)
{
	if (o == NULL)
		return;
	loop_timer_free(o->env.loop, o->tick);
	audit_log_free(o->audit);
	jobs_link_free(o->link);
	registry_free(o->registry);
	free(o);
}

struct registry *
office_registry(const struct office *o)
{
	return o->registry;
}

bool
office_is_up(const struct office *o, struct buf *why)
{
	if (jobs_link_is_joined(o->link))
		return true;
	if (why != NULL && !jobs_link_is_up(o->link))
		buf_printf(why, "jobs connection down, node %s",
		    jobs_link_node(o->link));
	else if (why != NULL)
		buf_add_str(why, "the jobs queue is not consumed yet");
	return false;
}
