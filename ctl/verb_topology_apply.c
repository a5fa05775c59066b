/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * dlo topology apply: look, declare, look again, and then remove what is
 * stale: a message always has the way that it should have before it loses the
 * one that it should not.
 */
#include "ctl/verb_topology.h"

#include <stdlib.h>

#include "ctl/compare.h"
#include "ctl/look.h"
#include "ctl/stale.h"
#include "ctl/visit.h"
#include "lib/xalloc.h"

struct apply {
	struct look *look;
	struct visit visit;
	struct report before, after;
	bool denied;
};

static bool
is_gone(const struct report_object *object)
{
	return object->state == REPORT_MISSING ||
	    object->state == REPORT_FAILED;
}

/*
 * Whether it is a binding without one of its ends, which come before it: then
 * it is missing because they are.
 */
static bool
has_no_end(const struct report *report, const struct topology_item *item)
{
	return topology_is_binding(item) &&
	    (is_gone(&report->objects[item->target_index]) ||
		is_gone(&report->objects[item->source_index]));
}

/* What became of an object that the management API does not show. */
static void
judge_unseen(const struct apply *a, size_t i)
{
	struct report_object *object = &a->after.objects[i];
	const struct sight_item *item = &a->visit.items[i];

	if (has_no_end(&a->after, object->item) ||
	    (item->problem && item->fault == TOPOLOGY_MISSING)) {
		object->state = REPORT_MISSING;
	} else if (!item->problem) {
		if (object->state == REPORT_MISSING)
			object->state = REPORT_CREATED;
		else if (object->state == REPORT_UNKNOWN &&
		    a->visit.unseen == 0)
			object->state = REPORT_EXISTS;
	} else if (item->fault == TOPOLOGY_DIFFERENT) {
		object->state = REPORT_DIFFERENT;
	} else if (item->fault != TOPOLOGY_UNKNOWN) {
		object->state = REPORT_FAILED;
	}
}

/* What became of one that it shows, now. */
static void
judge_seen(const struct apply *a, size_t i)
{
	struct report_object *object = &a->after.objects[i];

	if (object->state == REPORT_EXISTS &&
	    a->before.objects[i].state == REPORT_MISSING)
		object->state = REPORT_CREATED;
	else if (object->state == REPORT_MISSING && !object->item->foreign &&
	    !has_no_end(&a->after, object->item))
		object->state = REPORT_FAILED;
}

static void
judge_objects(struct apply *a)
{
	const struct sight *sight = &a->look->sight;

	for (size_t i = 0; i < sight->topology->count; i++) {
		struct report_object *object = &a->after.objects[i];
		const struct sight_item *item = &a->visit.items[i];

		if (sight->managed)
			judge_seen(a, i);
		else
			judge_unseen(a, i);
		if (item->problem && object->state != REPORT_EXISTS) {
			free(object->problem);
			object->problem = xstrdup(item->text);
		}
	}
}

/* Whether each message has the way that it should have. */
static bool
is_all_there(const struct report *after)
{
	return report_count(after, REPORT_EXISTS) +
	    report_count(after, REPORT_CREATED) ==
	    after->object_count;
}

static void
remove_one(struct apply *a, const struct found_binding *binding, bool all_there)
{
	struct report_object *object;
	char *problem = NULL;
	enum api_result result;

	report_stale(&a->after, binding->source, binding->destination,
	    binding->to_queue, binding->key);
	object = &a->after.objects[a->after.object_count - 1];
	if (!all_there) {
		object->problem = xstrdup("it stays until all that is wanted "
					  "is declared");
		return;
	}
	result = api_unbind(a->look->api, binding, &problem);
	if (result == API_OK || result == API_GONE) {
		object->state = REPORT_REMOVED;
		free(problem);
	} else {
		object->state = REPORT_FAILED;
		object->problem = problem;
		a->denied |= result == API_DENIED;
	}
}

static void
remove_stale(struct apply *a)
{
	const struct found *found = &a->look->sight.found;
	struct stale *stale = stale_new(&a->look->sight);
	bool all_there = is_all_there(&a->after);

	for (size_t i = 0; i < found->binding_count; i++) {
		if (stale_judge(stale, &found->bindings[i]) == STALE_WRONG)
			remove_one(a, &found->bindings[i], all_there);
	}
	stale_free(stale);
}

static int
exit_code(const struct apply *a)
{
	static const enum report_state bad[] = { REPORT_MISSING,
		REPORT_DIFFERENT, REPORT_UNKNOWN, REPORT_STALE, REPORT_FAILED };

	if (a->denied || a->visit.denied)
		return CLI_DENIED;
	for (size_t i = 0; i < array_len(bad); i++) {
		if (report_count(&a->after, bad[i]) > 0)
			return CLI_DRIFT;
	}
	return a->after.unchecked_count > 0 ? CLI_DRIFT : CLI_OK;
}

/* After the declarations. */
static int
finish(struct apply *a, const struct verb_call *call)
{
	struct sight *sight = &a->look->sight;
	int code;

	code = look_again(a->look);
	if (code != CLI_OK)
		return code;
	compare_objects(sight, &a->after);
	judge_objects(a);
	if (sight->managed)
		remove_stale(a);
	else
		report_unchecked(&a->after, xstrdup("stale bindings"),
		    xstrdup(sight->why_not));
	code = verb_topology_print(call, &a->after, REPORT_CHANGES);
	return code != CLI_OK ? code : exit_code(a);
}

static int
apply(struct apply *a, const struct verb_call *call)
{
	int code;

	compare_objects(&a->look->sight, &a->before);
	visit_run(call->conf, TOPOLOGY_DECLARE, &a->visit);
	if (a->visit.exit_code == CLI_OK) {
		code = finish(a, call);
	} else {
		look_complain(a->visit.problem, a->visit.hint);
		code = a->visit.exit_code;
	}
	visit_free_items(a->visit.items, a->look->topology->count);
	free(a->visit.problem);
	report_clear(&a->before);
	report_clear(&a->after);
	return code;
}

int
verb_topology_apply(const struct verb_call *call)
{
	struct look look;
	struct apply a = { .look = &look };
	int code;

	if (call->dry_run)
		return verb_topology_plan(call);
	code = look_open(&look, call->conf, &look_brisk);
	if (code == CLI_OK)
		code = apply(&a, call);
	look_close(&look);
	return code;
}
