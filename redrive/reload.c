/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/reload.h"

#include "config/conf_reload.h"
#include "lib/log.h"

const struct conf *
reload_in_force(const struct reload *r)
{
	return r->current != NULL ? r->current : r->first;
}

static void
heed_log(const struct reload *r)
{
	const struct conf *conf = reload_in_force(r);

	if (!r->verbose)
		log_open(conf->log.level, conf->log.format);
}

bool
reload_begin(struct reload *r)
{
	if (r->next != NULL || r->trying) {
		log_info("reload_queued",
		    LOG_STR("text", "one is under way, it comes after that"));
		r->again = true;
		return false;
	}
	daemon_reloading(r->daemon);
	log_info("reloading", LOG_STR("path", reload_in_force(r)->path));
	r->next = conf_reload(reload_in_force(r), CONF_ROLE_REDRIVE, NULL);
	if (r->next == NULL)
		daemon_reloaded(r->daemon);
	return r->next != NULL;
}

bool
reload_turn(struct reload *r, bool failed)
{
	if (r->next != NULL) {
		r->former = r->current;
		r->current = r->next;
		r->next = NULL;
		r->trying = true;
	} else if (r->trying && failed) {
		conf_free(r->current);
		r->current = r->former;
		r->former = NULL;
		r->trying = false;
		log_error("reload_failed", LOG_UINT("errors", 1),
		    LOG_STR("text",
			"it could not start: the former configuration is "
			"taken again"));
		daemon_reloaded(r->daemon);
	} else {
		return false;
	}
	heed_log(r);
	return true;
}

void
reload_settled(struct reload *r, bool ready)
{
	if (!r->trying)
		return;
	daemon_reloaded(r->daemon);
	if (!ready)
		return;
	conf_free(r->former);
	r->former = NULL;
	r->trying = false;
	log_info("reloaded",
	    LOG_UINT("pipelines", reload_in_force(r)->pipeline_count),
	    LOG_UINT("downstreams", reload_in_force(r)->downstream_count));
}

bool
reload_is_due(struct reload *r)
{
	bool due = r->again && !r->trying && r->next == NULL;

	if (due)
		r->again = false;
	return due;
}

void
reload_clear(struct reload *r)
{
	conf_free(r->current);
	conf_free(r->former);
	conf_free(r->next);
}
