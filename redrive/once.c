/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/once.h"

#include <stdlib.h>
#include <string.h>

#include "lib/cli.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/xalloc.h"
#include "redrive/lane.h"

/* The broker's reply code for what the user may not do. */
#define ACCESS_REFUSED 403

enum item_state {
	ITEM_WAITING, /* for the connections, or for health */
	ITEM_RUNNING,
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
};

struct once {
	struct loop *loop;
	const struct once_options *options;
	once_result_cb *result;
	void *arg;
	struct item **items;
	size_t count;
	bool started;
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

/* Runs it, or not, or waits, as the health is. */
static void
item_decide(struct item *item)
{
	struct once *once = item->once;
	const struct conf_pipeline *pipeline = lane_pipeline(item->lane);
	struct job_order order = once->options->order;

	if (item->state != ITEM_WAITING || !once->started)
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
	item->state = ITEM_RUNNING;
	loop_timer_stop(once->loop, item->timer);
	order.filter = once->options->filtered ? &once->options->filter
					       : &pipeline->redrive.only;
	order.census = item->census;
	lane_run(item->lane, &order);
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

struct once *
once_new(struct loop *loop, const struct once_options *options,
    once_result_cb *result, void *arg)
{
	struct once *once = xcalloc(1, sizeof(*once));

	once->loop = loop;
	once->options = options;
	once->result = result;
	once->arg = arg;
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
once_start(struct once *once)
{
	once->started = true;
	for (size_t i = 0; i < once->count; i++)
		item_decide(once->items[i]);
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

	once->moved += report_moved(r) + r->unknown;
	if (r->code == ACCESS_REFUSED)
		once->denied = true;
	else if (r->end != JOB_COMPLETE && !item->stopped)
		once->incomplete = true;
	item_done(item, NULL, r);
}

void
once_stop(struct once *once)
{
	for (size_t i = 0; i < once->count; i++) {
		if (once->items[i]->state != ITEM_WAITING)
			continue;
		once->incomplete = true;
		item_done(once->items[i], "stopped before it began", NULL);
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
