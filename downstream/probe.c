/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A try begins `every` after the one before began, and not before that one
 * has ended: the driver's answer or the time-out here, whichever is first.
 */
#include "downstream/probe.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/conf.h"
#include "lib/log.h"
#include "lib/text.h"
#include "lib/xalloc.h"

struct probe {
	struct loop *loop;
	struct probe_params params;
	struct probe_driver *driver; /* NULL: none */
	struct probe_count count;
	struct loop_timer *next;    /* the next try is due */
	struct loop_timer *timeout; /* the try has taken too long */
	int64_t began_ms;
	probe_cb *cb;
	void *arg;
};

const char *
probe_health_name(enum probe_health health)
{
	switch (health) {
	case PROBE_UNKNOWN:
		return "unknown";
	case PROBE_HEALTHY:
		return "healthy";
	case PROBE_UNHEALTHY:
		return "unhealthy";
	}
	abort();
}

void
probe_count_init(struct probe_count *count, unsigned rise, unsigned fall)
{
	*count = (struct probe_count){ .rise = rise, .fall = fall };
}

/* Legal: unknown -> healthy, unhealthy; and these two to each other. */
static bool
count_enter(struct probe_count *count, enum probe_health to)
{
	if (count->health == to)
		return false;
	count->health = to;
	return true;
}

bool
probe_count_add(struct probe_count *count, bool good)
{
	if (good) {
		count->bad = 0;
		if (count->good < count->rise)
			count->good++;
		return count->good >= count->rise &&
		    count_enter(count, PROBE_HEALTHY);
	}
	count->good = 0;
	if (count->bad < count->fall)
		count->bad++;
	return count->bad >= count->fall && count_enter(count, PROBE_UNHEALTHY);
}

static void
log_event_of(const struct probe *probe, enum probe_health before,
    const struct probe_event *event)
{
	if (event->changed)
		log_info("probe", LOG_STR("downstream", probe->params.name),
		    LOG_STR("from", probe_health_name(before)),
		    LOG_STR("to", probe_health_name(event->health)),
		    LOG_STR("why", event->why));
	else
		log_debug("probe", LOG_STR("downstream", probe->params.name),
		    LOG_STR("health", probe_health_name(event->health)),
		    LOG_BOOL("good", event->good), LOG_STR("why", event->why));
}

static void
probe_tell(struct probe *probe, bool good, const char *why)
{
	enum probe_health before = probe->count.health;
	struct probe_event event = { .good = good, .why = why };

	event.changed = probe_count_add(&probe->count, good);
	event.health = probe->count.health;
	log_event_of(probe, before, &event);
	probe->cb(probe->arg, &event);
}

static void
probe_ended(struct probe *probe, bool good, const char *why)
{
	int64_t wait_ms;

	loop_timer_stop(probe->loop, probe->timeout);
	wait_ms =
	    probe->began_ms + probe->params.every_ms - loop_now_ms(probe->loop);
	loop_timer_start(probe->loop, probe->next, wait_ms > 0 ? wait_ms : 0);
	probe_tell(probe, good, why);
}

static void
probe_answered(void *arg, bool good, const char *why)
{
	probe_ended(arg, good, why);
}

static void
probe_timed_out(void *arg)
{
	struct probe *probe = arg;
	char duration[TEXT_DURATION_SPACE], why[64];

	probe->driver->ops->cancel(probe->driver);
	snprintf(why, sizeof(why), "no answer within %s",
	    text_duration(duration, probe->params.timeout_ms));
	probe_ended(probe, false, why);
}

static void
probe_due(void *arg)
{
	struct probe *probe = arg;

	if (probe->driver == NULL) {
		probe_tell(probe, true, NULL);
		return;
	}
	probe->began_ms = loop_now_ms(probe->loop);
	loop_timer_start(probe->loop, probe->timeout, probe->params.timeout_ms);
	probe->driver->ops->start(probe->driver, probe->params.timeout_ms,
	    probe_answered, probe);
}

struct probe *
probe_new(struct loop *loop, const struct probe_params *params,
    struct probe_driver *driver, probe_cb *cb, void *arg)
{
	struct probe *probe = xcalloc(1, sizeof(*probe));

	probe->loop = loop;
	probe->params = *params;
	probe->driver = driver;
	probe->cb = cb;
	probe->arg = arg;
	probe_count_init(&probe->count, driver == NULL ? 1 : params->rise,
	    params->fall);
	probe->next = loop_timer_new(loop, probe_due, probe);
	probe->timeout = loop_timer_new(loop, probe_timed_out, probe);
	loop_timer_start(loop, probe->next, 0);
	return probe;
}

enum probe_health
probe_health(const struct probe *probe)
{
	return probe->driver == NULL ? PROBE_HEALTHY : probe->count.health;
}

void
probe_now(struct probe *probe)
{
	if (loop_timer_pending(probe->loop, probe->next))
		loop_timer_start(probe->loop, probe->next, 0);
}

void
probe_free(struct probe *probe)
{
	if (probe == NULL)
		return;
	if (probe->driver != NULL) {
		probe->driver->ops->cancel(probe->driver);
		probe->driver->ops->free(probe->driver);
	}
	loop_timer_free(probe->loop, probe->next);
	loop_timer_free(probe->loop, probe->timeout);
	free(probe);
}

struct probe_params
probe_params_of(const char *name, const struct conf_probe *conf)
{
	return (struct probe_params){
		.name = name,
		.every_ms = conf->every_ms,
		.timeout_ms = conf->timeout_ms,
		.rise = conf->rise,
		.fall = conf->fall,
	};
}

struct probe_driver *
probe_driver_new(struct loop *loop, struct stream_net *net,
    const struct conf_downstream *conf)
{
	switch (conf->probe.kind) {
	case CONF_PROBE_NONE:
	case CONF_PROBE_AMQP:
		return NULL;
	case CONF_PROBE_HTTP:
		return probe_http_new(loop, conf);
	case CONF_PROBE_TCP:
		return probe_tcp_new(net, &conf->probe.address);
	case CONF_PROBE_EXEC:
		return probe_exec_new(loop, &conf->probe);
	}
	abort();
}
