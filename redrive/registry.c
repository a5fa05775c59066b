/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/xalloc.h"
#include "redrive/registry_core.h"

/* Below this a board's own pace is too slow. */
#define HOLD_MAX_MS (10 * 60 * 1000)

/* What the board says. */

static void
on_publish(void *arg, uint64_t token, const char *body, size_t len)
{
	struct registry *r = arg;

	r->cbs->publish(r->arg, token, body, len);
}

static void
on_ack(void *arg, uint64_t tag)
{
	struct registry *r = arg;

	r->cbs->ack(r->arg, tag);
}

static void
on_leave(void *arg, const char *why)
{
	struct registry *r = arg;

	r->cbs->leave(r->arg, why);
}

static void
forget_all(struct registry *r)
{
	while (!TAILQ_EMPTY(&r->items))
		registry_item_remove(r, TAILQ_FIRST(&r->items));
	r->said = false;
}

static void
on_active(void *arg, bool active)
{
	struct registry *r = arg;

	r->cbs->active(r->arg, active);
	if (!active)
		forget_all(r);
	registry_tell(r);
}

static void
on_found(void *arg, const char *key, const json_t *data, int64_t ended_ms)
{
	struct registry *r = arg;
	struct registry_item *item;
	char its_key[BOARD_KEY_SPACE];

	if (strcmp(key, REGISTRY_FEATURE_KEY) == 0) {
		r->said = true;
		r->redrive_on = json_is_true(json_object_get(data, "on"));
		return;
	}
	item = registry_job_read(data);
	if (item != NULL) {
		registry_key(its_key, item);
		if (strcmp(key, its_key) == 0 &&
		    (ended_ms != 0) == (item->job.state == REGISTRY_ENDED)) {
			(void)board_stamp(r->board, key, &item->job.epoch,
			    &item->job.version);
			registry_item_insert(r, item);
			if (ended_ms != 0 &&
			    (item->audited & REGISTRY_AUDIT_END) == 0)
				registry_enter(r, item, "job_ended", NULL,
				    REGISTRY_AUDIT_END);
			registry_tell(r);
			return;
		}
		registry_job_free(item);
	}
	/* So that it goes away with time. */
	log_warn("job_unreadable", LOG_STR("key", key));
	board_put(r->board, key, data, loop_wall_ms(r->env.loop));
}

static void
on_owned(void *arg, const char *key)
{
	struct registry *r = arg;
	struct registry_item *item = registry_item_of_key(r, key);

	if (item == NULL)
		return;
	item->owned = true;
	registry_begin(r, item);
	registry_tell(r);
}

static void
on_forgotten(void *arg, const char *key)
{
	struct registry *r = arg;
	struct registry_item *item = registry_item_of_key(r, key);

	if (item != NULL)
		registry_item_remove(r, item);
	registry_tell(r);
}

static void
on_request(void *arg, const struct board_request *request)
{
	registry_serve(arg, request);
}

/* From outside. */

static void
tell(void *arg)
{
	struct registry *r = arg;

	if (r->changed != NULL)
		r->changed(r->changed_arg);
}

struct registry *
registry_new(const struct registry_env *env, const struct registry_cbs *cbs,
    void *arg)
{
	static const struct board_cbs board_cbs = { on_publish, on_ack,
		on_leave, on_active, on_found, on_owned, on_forgotten,
		on_request };
	struct registry *r = xcalloc(1, sizeof(*r));
	struct board_options options = { 0 };

	r->env = *env;
	r->cbs = cbs;
	r->arg = arg;
	TAILQ_INIT(&r->items);
	/* A pid comes again: not so chance. */
	r->instance = xasprintf("%.60s:%08x", env->instance,
	    (unsigned)(loop_random(env->loop) >> 32));
	options.instance = r->instance;
	/* Sooner, if nothing may be held for so long. */
	if (env->conf->consumer.hold_max_ms < HOLD_MAX_MS)
		options.rewrite_after_ms = env->conf->consumer.hold_max_ms / 2;
	r->board = board_new(&options, &board_cbs, r);
	loop_task_init(&r->tell, tell, r);
	return r;
}

void
registry_free(struct registry *r)
{
	if (r == NULL)
		return;
	forget_all(r);
	board_free(r->board);
	loop_undefer(r->env.loop, &r->tell);
	free(r->instance);
	free(r);
}

struct board *
registry_board(struct registry *r)
{
	return r->board;
}

bool
registry_is_active(const struct registry *r)
{
	return board_state(r->board) == BOARD_ACTIVE;
}

const char *
registry_role(const struct registry *r)
{
	return board_state_name(board_state(r->board));
}

const struct registry_job *
registry_find(const struct registry *r, const char *id)
{
	const struct registry_item *item = registry_item_find(r, id);

	return item != NULL ? &item->job : NULL;
}

const struct registry_job *
registry_at(const struct registry *r, size_t index)
{
	const struct registry_item *item;

	TAILQ_FOREACH(item, &r->items, entry) {
		if (index-- == 0)
			return &item->job;
	}
	return NULL;
}

size_t
registry_count(const struct registry *r)
{
	return r->count;
}

const struct registry_job *
registry_current(const struct registry *r, const char *pipeline)
{
	const struct registry_item *item = registry_item_current(r, pipeline);

	return item != NULL ? &item->job : NULL;
}

void
registry_on_change(struct registry *r, registry_changed_cb *cb, void *arg)
{
	r->changed = cb;
	r->changed_arg = arg;
}
