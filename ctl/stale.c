/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "ctl/stale.h"

#include <stdlib.h>
#include <string.h>

#include "ctl/places.h"
#include "lib/xalloc.h"

struct stale {
	const struct conf *conf;
	struct found wanted; /* its bindings alone */
};

struct stale *
stale_new(const struct sight *sight)
{
	const struct topology *topology = sight->topology;
	struct stale *stale = xcalloc(1, sizeof(*stale));
	struct found *wanted = &stale->wanted;

	stale->conf = sight->conf;
	wanted->bindings =
	    xcalloc(topology->count + 1, sizeof(*wanted->bindings));
	for (size_t i = 0; i < topology->count; i++) {
		const struct topology_item *item = &topology->items[i];

		if (!topology_is_binding(item))
			continue;
		wanted->bindings[wanted->binding_count++] =
		    (struct found_binding){
			    .source = item->source,
			    .destination = item->name,
			    .key = item->key,
			    .to_queue = item->kind == TOPOLOGY_QUEUE_BINDING,
		    };
	}
	found_sort_bindings(wanted);
	return stale;
}

void
stale_free(struct stale *stale)
{
	if (stale == NULL)
		return;
	free(stale->wanted.bindings);
	free(stale);
}

enum stale_kind
stale_judge(const struct stale *stale, const struct found_binding *binding)
{
	struct place place;

	if (found_has_binding(&stale->wanted, binding->source,
		binding->destination, binding->key, binding->to_queue))
		return STALE_NOT;
	place = places_exchange(stale->conf, binding->source);
	switch (place.kind) {
	case PLACE_DEAD:
	case PLACE_REDRIVE:
		return places_key(stale->conf, binding->key) != NULL
		    ? STALE_WRONG
		    : STALE_ORPHAN;
	case PLACE_FOOT:
		return place.pipeline != NULL ? STALE_WRONG : STALE_ORPHAN;
	case PLACE_LADDER:
		return STALE_WRONG;
	default:
		return STALE_NOT;
	}
}

void
stale_objects(const struct sight *sight, struct report *report)
{
	struct stale *stale = stale_new(sight);

	for (size_t i = 0; i < sight->found.binding_count; i++) {
		const struct found_binding *b = &sight->found.bindings[i];

		if (stale_judge(stale, b) == STALE_WRONG)
			report_stale(report, b->source, b->destination,
			    b->to_queue, b->key);
	}
	stale_free(stale);
}

static char *
describe(const struct found_binding *b)
{
	return xasprintf("binding %s -> %s (%s)", b->source, b->destination,
	    b->key);
}

void
stale_findings(const struct sight *sight, struct report *report)
{
	struct stale *stale = stale_new(sight);

	for (size_t i = 0; i < sight->found.binding_count; i++) {
		const struct found_binding *b = &sight->found.bindings[i];

		switch (stale_judge(stale, b)) {
		case STALE_WRONG:
			report_finding(report, "stale_binding", REPORT_ERROR,
			    describe(b),
			    xasprintf("the configuration does not know it, and "
				      "%s %s gets what is meant for others: "
				      "one message, two copies",
				b->to_queue ? "queue" : "exchange",
				b->destination),
			    xstrdup("dlo topology apply removes it"));
			break;
		case STALE_ORPHAN:
			report_finding(report, "orphan_binding", REPORT_NOTE,
			    describe(b),
			    xstrdup("it belongs to a pipeline that is not in "
				    "this configuration"),
			    xstrdup("if no other configuration of this "
				    "virtual host has it either, remove it"));
			break;
		case STALE_NOT:
			break;
		}
	}
	stale_free(stale);
}
