/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The status of all pipelines. Who asks right after a job or an import wants
 * the counts of now, not those of the last regular look at the queues: they are
 * asked for first.
 */
#include <stdlib.h>

#include "lib/xalloc.h"
#include "redrive/api_parts.h"
#include "redrive/redrive.h"
#include "redrive/view.h"

/* A broker that is slower is not waited for. */
#define COUNT_MS 2000

/* One that waits for the counts. */
struct api_glance {
	struct http_request *request;
	LIST_ENTRY(api_glance) entry;
};

static void
answer(struct api *api, struct http_request *request)
{
	api_answer(request, API_OK,
	    view_pipelines(api->env.redrive, api->env.conf));
}

static void
answer_all(void *arg)
{
	struct api *api = arg;
	struct api_glance *glance;

	loop_timer_stop(api->env.loop, api->glance_timer);
	while ((glance = LIST_FIRST(&api->glances)) != NULL) {
		LIST_REMOVE(glance, entry);
		answer(api, glance->request);
		free(glance);
	}
}

void
api_status(struct api *api, struct http_request *request)
{
	struct api_glance *glance;

	if (!redrive_recount(api->env.redrive)) {
		answer(api, request);
		return;
	}
	if (LIST_EMPTY(&api->glances))
		loop_timer_start(api->env.loop, api->glance_timer, COUNT_MS);
	glance = xcalloc(1, sizeof(*glance));
	glance->request = request;
	LIST_INSERT_HEAD(&api->glances, glance, entry);
}

void
api_status_start(struct api *api)
{
	LIST_INIT(&api->glances);
	api->glance_timer = loop_timer_new(api->env.loop, answer_all, api);
	redrive_on_counted(api->env.redrive, answer_all, api);
}

void
api_status_stop(struct api *api)
{
	redrive_on_counted(api->env.redrive, NULL, NULL);
	answer_all(api);
	loop_timer_free(api->env.loop, api->glance_timer);
}
