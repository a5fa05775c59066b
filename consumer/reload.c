/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "consumer/reload.h"

#include "config/conf_reload.h"
#include "downstream/plugin_check.h"
#include "lib/log.h"

static const struct conf *
in_force(const struct reload *r)
{
	return r->current != NULL ? r->current : r->first;
}

void
reload_begin(struct reload *r)
{
	if (r->next != NULL) {
		log_info("reload_queued",
		    LOG_STR("text", "one is under way, it comes after that"));
		r->again = true;
		return;
	}
	daemon_reloading(r->daemon);
	log_info("reloading", LOG_STR("path", in_force(r)->path));
	r->next = conf_reload(in_force(r), CONF_ROLE_CONSUMER, plugin_check);
	if (r->next == NULL) {
		daemon_reloaded(r->daemon);
		return;
	}
	if (!r->verbose)
		log_open(r->next->log.level, r->next->log.format);
	consumer_reload(r->consumer, r->next);
}

static void
log_change(const struct roster_change *change)
{
	const struct roster_count *p = &change->pipelines;
	const struct roster_count *d = &change->downstreams;

	log_info("reloaded", LOG_UINT("pipelines_added", p->added),
	    LOG_UINT("pipelines_changed", p->changed),
	    LOG_UINT("pipelines_removed", p->removed),
	    LOG_UINT("pipelines_unchanged", p->unchanged),
	    LOG_UINT("downstreams_added", d->added),
	    LOG_UINT("downstreams_changed", d->changed),
	    LOG_UINT("downstreams_removed", d->removed),
	    LOG_UINT("downstreams_unchanged", d->unchanged));
}

void
reload_done(struct reload *r, const struct roster_change *change)
{
	bool again = r->again;

	conf_free(r->current);
	r->current = r->next;
	r->next = NULL;
	r->again = false;
	log_change(change);
	if (again && !r->ended)
		reload_begin(r);
	else
		daemon_reloaded(r->daemon);
}

void
reload_end(struct reload *r)
{
	r->ended = true;
}

void
reload_clear(struct reload *r)
{
	conf_free(r->current);
	conf_free(r->next);
}
