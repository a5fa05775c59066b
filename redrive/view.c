/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/view.h"

#include "config/conf.h"
#include "dlx/topology.h"
#include "lib/js.h"
#include "redrive/lane.h"
#include "redrive/redrive.h"
#include "redrive/registry.h"

/* -1 is null. */
static void
set_count(json_t *object, const char *key, int64_t count)
{
	js_set(object, key, count >= 0 ? json_integer(count) : json_null());
}

static void
set_health(json_t *object, enum probe_health health)
{
	js_set(object, "healthy",
	    health == PROBE_UNKNOWN ? json_null()
				    : json_boolean(health == PROBE_HEALTHY));
}

static json_t *
pipeline_value(struct redrive *r, const struct conf_pipeline *conf)
{
	const struct lane *lane = redrive_lane(r, conf);
	const struct registry_job *job =
	    registry_current(redrive_registry(r), conf->name);
	json_t *value = json_object();
	struct lane_view view;

	lane_view(lane, &view);
	js_set_text(value, "name", conf->name);
	js_set_text(value, "queue", conf->queue);
	set_count(value, "dead", view.dead);
	js_set_time(value, "oldest", view.oldest_ms);
	set_count(value, "parked", view.parked);
	set_count(value, "archived", view.archived);
	js_set_text(value, "downstream", conf->downstream->name);
	set_health(value, redrive_health(r, conf->downstream));
	js_set_text(value, "breaker", view.breaker_open ? "open" : "closed");
	js_set(value, "job",
	    job != NULL ? registry_job_json(job) : json_null());
	return value;
}

json_t *
view_pipelines(struct redrive *r, const struct conf *conf)
{
	const struct registry *registry = redrive_registry(r);
	json_t *value = json_object(), *list = json_array();

	js_set_text(value, "role", registry_role(registry));
	js_set_bool(value, "redrive", registry_redrive_is_on(registry));
	for (size_t i = 0; i < conf->pipeline_count; i++)
		js_append(list, pipeline_value(r, &conf->pipelines[i]));
	js_set(value, "pipelines", list);
	return value;
}

static const char *
queue_of(const struct topology_pipeline_names *names, enum view_queue queue)
{
	switch (queue) {
	case VIEW_DEAD:
		return names->dead;
	case VIEW_PARKED:
		return names->parked;
	case VIEW_ARCHIVE:
		break;
	}
	return names->archive;
}

struct look *
view_look(struct redrive *r, const struct conf_pipeline *pipeline,
    const struct view_look *wanted, const struct look_cbs *cbs, void *arg,
    struct view_refusal *refusal)
{
	struct lane *lane = redrive_lane(r, pipeline);
	struct looks *looks = lane_looks(lane);
	const struct survey_options options = {
		.env = redrive_job_env(r),
		.work_queue = pipeline->queue,
		.queue = queue_of(lane_names(lane), wanted->queue),
		.filter = wanted->filter,
		.limit = wanted->limit,
	};

	if (!registry_is_active(redrive_registry(r)))
		*refusal = (struct view_refusal){ false, "standby",
			"this daemon is not the active one",
			"ask the active one: see dlo_active" };
	else if (looks->conn == NULL)
		*refusal = (struct view_refusal){ false, "offline",
			"there is no connection to the broker", NULL };
	else if (!lane_make_room(lane))
		*refusal = (struct view_refusal){ true, "busy",
			"a job has the letters, and gave way to a look only a "
			"moment ago",
			"ask again in some seconds, or pause it with "
			"`dlo pause`" };
	else
		return look_new(looks, &options, cbs, arg);
	return NULL;
}
