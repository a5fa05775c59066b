/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/once.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cli.h"
#include "lib/log.h"
#include "lib/text.h"
#include "lib/xalloc.h"
#include "redrive/filter_json.h"
#include "redrive/lane.h"
#include "redrive/registry_job.h"

/* The broker's reply code for what the user may not do. */
#define ACCESS_REFUSED 403

enum item_state {
	ITEM_WAITING, /* for the connections, or for health */
	ITEM_RUNNING,
	ITEM_HANDED, /* to the daemon */
	ITEM_DONE,
};

/* One pipeline. */
struct item {
	struct once *once;
	struct lane *lane;
	enum item_state state;
	struct census *census;	  /* of a dry run; else NULL */
	int64_t patience_ms;	  /* for a probe that cannot decide */
	struct loop_timer *timer; /* of that */
	bool known, healthy;
	bool stopped; /* because the downstream became unhealthy */
	bool moving;  /* stopped, since a daemon has come */
	char request[TEXT_UUID_SPACE];
	struct job_report before; /* what was done here before that */
};

struct once {
	struct loop *loop;
	struct handover *handover;
	char *user, *from;
	const struct once_options *options;
	once_result_cb *result;
	void (*changed)(void *arg);
	void *arg;
	struct item **items;
	size_t count;
	bool known;  /* whether ... */
	bool beside; /* a daemon is there */
	/* For the exit code */
	uint64_t moved;
	bool unhealthy;	 /* a downstream was not healthy */
	bool denied;	 /* we may not read a dead-letter queue */
	bool incomplete; /* a job ended otherwise than complete, or none ran */
};

bool
once_wants(const struct once_options *options, const char *pipeline)
{
	for (size_t i = 0; i < options->pipelines.count; i++) {
		if (strcmp(options->pipelines.items[i], pipeline) == 0)
			return true;
	}
	return options->pipelines.count == 0;
}

static void
item_done(struct item *item, const char *why, const struct job_report *report)
{
	const struct once_result result = {
		.pipeline = lane_pipeline(item->lane),
		.why = why,
		.report = report,
		.census = item->census,
	};

	item->state = ITEM_DONE;
	loop_timer_stop(item->once->loop, item->timer);
	if (item->census != NULL)
		census_sort(item->census);
	item->once->result(item->once->arg, &result);
}

static const struct conf_filter *
filter_of(const struct item *item)
{
	const struct once_options *options = item->once->options;

	return options->filtered ? &options->filter
				 : &lane_pipeline(item->lane)->redrive.only;
}

/* Asks the daemon for the job. */
static void
hand_over(struct item *item)
{
	struct once *once = item->once;
	const char *pipeline = lane_pipeline(item->lane)->name;

	item->state = ITEM_HANDED;
	(void)text_uuid4(item->request, loop_random(once->loop),
	    loop_random(once->loop));
	log_info("job_handed_over", LOG_STR("pipeline", pipeline),
	    LOG_STR("request", item->request));
	handover_ask(once->handover,
	    json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:o}", "request",
		item->request, "pipeline", pipeline, "trigger", "once", "who",
		once->user, "from", once->from, "dry_run", item->census != NULL,
		"filter", filter_json_of(filter_of(item))));
}

/* Runs it, or not, or waits, as the health is. */
static void
item_decide(struct item *item)
{
	struct once *once = item->once;
	struct lane_run run = {
		.order = once->options->order,
		.trigger = "once",
	};

	if (item->state != ITEM_WAITING || !once->known)
		return;
	if (once->options->when_healthy && !item->known) {
		loop_timer_start(once->loop, item->timer, item->patience_ms);
		return;
	}
	if (once->options->when_healthy && !item->healthy) {
		once->unhealthy = true;
		item_done(item, "the downstream is not healthy", NULL);
		return;
	}
	loop_timer_stop(once->loop, item->timer);
	if (once->beside) {
		hand_over(item);
		return;
	}
	item->state = ITEM_RUNNING;
	run.order.filter = filter_of(item);
	run.order.census = item->census;
	lane_run(item->lane, &run);
}

/* Neither so many good ones in a row nor so many bad ones. */
static void
out_of_patience(void *arg)
{
	struct item *item = arg;

	item->known = true;
	item->healthy = false;
	item_decide(item);
}

/* The job has ended, here or in the daemon. */
static void
conclude(struct item *item, const struct job_report *r)
{
	struct once *once = item->once;

	once->moved += report_moved(r) + r->unknown;
	if (r->code == ACCESS_REFUSED)
		once->denied = true;
	else if (r->end != JOB_COMPLETE && !item->stopped)
		once->incomplete = true;
	item_done(item, NULL, r);
}

/* No job came of it, or nobody knows what became of it. */
static void
give_up(struct item *item, const char *why)
{
	item->once->incomplete = true;
	item_done(item, why, NULL);
}

static void
on_daemon(void *arg, bool there)
{
	struct once *once = arg;

	once->known = true;
	once->beside = there;
	for (size_t i = 0; i < once->count; i++) {
		struct item *item = once->items[i];

		if (item->state == ITEM_WAITING) {
			item_decide(item);
		} else if (item->state == ITEM_RUNNING && there) {
			item->moving = true;
			lane_stop(item->lane, JOB_PARTIAL,
			    "a daemon has become active");
		} else if (item->state == ITEM_HANDED && !there) {
			give_up(item,
			    "the daemon is gone; the next one does the job");
		}
	}
	once->changed(once->arg);
}

/* The groups of a dry run that the daemon has made. */
static void
read_groups(struct census *census, const json_t *groups)
{
	const json_t *group;
	size_t i;

	json_array_foreach(groups, i, group)
	{
		struct census_group *to = &census->groups[i];
		const char *reason =
		    json_string_value(json_object_get(group, "reason"));
		const char *class =
		    json_string_value(json_object_get(group, "class"));

		if (i == CENSUS_GROUPS_MAX)
			break;
		if (reason != NULL)
			to->reason =
			    envelope_reason_parse(reason, strlen(reason));
		(void)snprintf(to->class, sizeof(to->class), "%s",
		    class != NULL ? class : "");
		to->count = (uint64_t)json_integer_value(
		    json_object_get(group, "count"));
		census->group_count = i + 1;
	}
}

static void
on_handed_ended(void *arg, const char *request, const json_t *job,
    const char *why)
{
	struct once *once = arg;
	struct job_report report = { 0 };

	for (size_t i = 0; i < once->count; i++) {
		struct item *item = once->items[i];

		if (item->state != ITEM_HANDED ||
		    strcmp(item->request, request) != 0)
			continue;
		if (job == NULL) {
			give_up(item, why);
			break;
		}
		registry_job_report(job, &report);
		report_add(&report, &item->before);
		if (item->census != NULL)
			read_groups(item->census,
			    json_object_get(job, "groups"));
		conclude(item, &report);
		break;
	}
	once->changed(once->arg);
}

struct once *
once_new(const struct handover_env *env, const struct once_options *options,
    const char *from, const struct once_cbs *cbs, void *arg)
{
	static const struct handover_cbs handover_cbs = { on_daemon,
		on_handed_ended };
	struct once *once = xcalloc(1, sizeof(*once));

	once->loop = env->loop;
	once->options = options;
	once->user = xstrdup(env->user);
	once->from = xasprintf("once %s", from);
	once->result = cbs->result;
	once->changed = cbs->changed;
	once->arg = arg;
	once->handover = handover_new(env, &handover_cbs, once);
	return once;
}

void
once_free(struct once *once)
{
	if (once == NULL)
		return;
	for (size_t i = 0; i < once->count; i++) {
		loop_timer_free(once->loop, once->items[i]->timer);
		free(once->items[i]->census);
		free(once->items[i]);
	}
	free(once->items);
	handover_free(once->handover);
	free(once->user);
	free(once->from);
	free(once);
}

void
once_add(struct once *once, struct lane *lane, const struct conf_probe *probe)
{
	struct item *item = xcalloc(1, sizeof(*item));

	item->once = once;
	item->lane = lane;
	if (once->options->dry_run)
		item->census = xcalloc(1, sizeof(*item->census));
	/* Twice what the slowest clear answer takes. */
	item->patience_ms = 2 * ((int64_t)probe->rise + probe->fall) *
	    (probe->every_ms + probe->timeout_ms);
	item->timer = loop_timer_new(once->loop, out_of_patience, item);
	once->items =
	    xrealloc(once->items, (once->count + 1) * sizeof(struct item *));
	once->items[once->count++] = item;
}

void
once_link(struct once *once, struct rmq_conn *conn)
{
	handover_link(once->handover, conn);
}

static struct item *
find(struct once *once, const struct lane *lane)
{
	for (size_t i = 0; i < once->count; i++) {
		if (once->items[i]->lane == lane)
			return once->items[i];
	}
	abort();
}

void
once_health(struct once *once, struct lane *lane, bool healthy)
{
	struct item *item = find(once, lane);

	item->known = true;
	item->healthy = healthy;
	if (item->state == ITEM_RUNNING && !healthy) {
		once->unhealthy = true;
		item->stopped = true;
		lane_stop(lane, JOB_PARTIAL, "the downstream is not healthy");
	}
	item_decide(item);
}

void
once_ended(struct once *once, struct lane *lane, const struct job_report *r)
{
	struct item *item = find(once, lane);

	if (item->moving && r->end == JOB_PARTIAL && r->code == 0) {
		item->before = *r;
		hand_over(item);
	} else {
		conclude(item, r);
	}
}

void
once_stop(struct once *once)
{
	for (size_t i = 0; i < once->count; i++) {
		struct item *item = once->items[i];

		if (item->state == ITEM_WAITING)
			give_up(item, "stopped before it began");
		else if (item->state == ITEM_HANDED)
			give_up(item, "stopped; the daemon goes on with it");
	}
}

bool
once_is_done(const struct once *once)
{
	for (size_t i = 0; i < once->count; i++) {
		if (once->items[i]->state != ITEM_DONE)
			return false;
	}
	return true;
}

int
once_exit_code(const struct once *once)
{
	if (once->denied)
		return CLI_DENIED;
	if (once->incomplete)
		return CLI_DRIFT;
	if (once->unhealthy)
		return once->moved == 0 ? CLI_UNHEALTHY : CLI_DRIFT;
	return CLI_OK;
}
