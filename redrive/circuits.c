/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/circuits.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/xalloc.h"

/* One process's breaker of one downstream; those not closed. */
struct circuit {
	LIST_ENTRY(circuit) entry;
	char downstream[NEWS_NAME_SPACE];
	char *instance;
	enum breaker_state state;
	int64_t heard_ms;
	int64_t since_ms; /* it has that state */
};

struct circuits {
	LIST_HEAD(, circuit) list;
};

struct circuits *
circuits_new(void)
{
	struct circuits *circuits = xcalloc(1, sizeof(*circuits));

	LIST_INIT(&circuits->list);
	return circuits;
}

static void
forget(struct circuit *circuit)
{
	LIST_REMOVE(circuit, entry);
	free(circuit->instance);
	free(circuit);
}

void
circuits_free(struct circuits *circuits)
{
	struct circuit *circuit;

	if (circuits == NULL)
		return;
	while ((circuit = LIST_FIRST(&circuits->list)) != NULL)
		forget(circuit);
	free(circuits);
}

static bool
is_stale(const struct circuit *circuit, int64_t now_ms)
{
	return now_ms >= circuit->heard_ms + CIRCUITS_STALE_MS;
}

/* The one that the news are of, or NULL; drops stale ones on its way. */
static struct circuit *
find(struct circuits *circuits, const struct news *news, int64_t now_ms)
{
	struct circuit *circuit, *next, *found = NULL;

	for (circuit = LIST_FIRST(&circuits->list); circuit != NULL;
	     circuit = next) {
		next = LIST_NEXT(circuit, entry);
		if (is_stale(circuit, now_ms))
			forget(circuit);
		else if (strcmp(circuit->downstream, news->downstream) == 0 &&
		    strcmp(circuit->instance, news->instance) == 0)
			found = circuit;
	}
	return found;
}

static struct circuit *
add(struct circuits *circuits, const struct news *news)
{
	struct circuit *circuit = xcalloc(1, sizeof(*circuit));

	memcpy(circuit->downstream, news->downstream,
	    sizeof(circuit->downstream));
	circuit->instance = xstrdup(news->instance);
	LIST_INSERT_HEAD(&circuits->list, circuit, entry);
	return circuit;
}

void
circuits_heard(struct circuits *circuits, const struct news *news,
    int64_t now_ms, int64_t wall_ms)
{
	struct circuit *circuit = find(circuits, news, now_ms);

	if (wall_ms - news->at_ms >= CIRCUITS_STALE_MS)
		return;
	if (news->state == BREAKER_CLOSED) {
		if (circuit != NULL)
			forget(circuit);
		return;
	}
	if (circuit == NULL)
		circuit = add(circuits, news);
	if (circuit->state != news->state)
		circuit->since_ms = now_ms;
	circuit->state = news->state;
	circuit->heard_ms = now_ms;
}

/* When it no longer says no, unless it is heard of again. */
static int64_t
ends_ms(const struct circuit *circuit)
{
	int64_t stale_ms = circuit->heard_ms + CIRCUITS_STALE_MS;
	int64_t half_ms = circuit->since_ms + CIRCUITS_HALF_MS;

	return circuit->state == BREAKER_HALF_OPEN && half_ms < stale_ms
	    ? half_ms
	    : stale_ms;
}

bool
circuits_is_open(const struct circuits *circuits, const char *downstream,
    int64_t now_ms)
{
	const struct circuit *circuit;

	LIST_FOREACH(circuit, &circuits->list, entry) {
		if (strcmp(circuit->downstream, downstream) == 0 &&
		    now_ms < ends_ms(circuit))
			return true;
	}
	return false;
}

int64_t
circuits_due_ms(const struct circuits *circuits, int64_t now_ms)
{
	const struct circuit *circuit;
	int64_t due_ms = INT64_MAX;

	LIST_FOREACH(circuit, &circuits->list, entry) {
		if (ends_ms(circuit) > now_ms && ends_ms(circuit) < due_ms)
			due_ms = ends_ms(circuit);
	}
	return due_ms;
}
