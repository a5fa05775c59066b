/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "dlx/topology.h"

#include <stdlib.h>
#include <string.h>

#include "lib/xalloc.h"

static char *
own_name(const struct conf *conf, const char *what)
{
	return xasprintf("%s.%s", conf->topology.prefix, what);
}

void
topology_names_init(struct topology_names *names, const struct conf *conf)
{
	names->dead = own_name(conf, "dead");
	names->redrive = own_name(conf, "redrive");
	names->events = own_name(conf, "events");
	names->control = own_name(conf, "control");
	names->jobs = own_name(conf, "jobs");
	names->verdicts = own_name(conf, "verdicts");
	names->audit = own_name(conf, "audit");
}

void
topology_names_clear(struct topology_names *names)
{
	free(names->dead);
	free(names->redrive);
	free(names->events);
	free(names->control);
	free(names->jobs);
	free(names->verdicts);
	free(names->audit);
	memset(names, 0, sizeof(*names));
}

/* The longest delay that the pipeline can ask of its ladder. */
static int64_t
longest_delay_ms(const struct conf_retry *retry)
{
	int64_t cap_ms = retry->cap_ms;
	size_t i;

	for (i = 0; i < retry->rule_count; i++) {
		if (retry->rules[i].cap_ms > cap_ms)
			cap_ms = retry->rules[i].cap_ms;
	}
	return cap_ms;
}

void
topology_pipeline_names_init(struct topology_pipeline_names *names,
    const struct conf *conf, const struct conf_pipeline *pipeline)
{
	unsigned i;

	memset(names, 0, sizeof(*names));
	names->foot =
	    xasprintf("%s.retry.%s", conf->topology.prefix, pipeline->name);
	names->levels = ladder_levels(longest_delay_ms(&pipeline->retry));
	for (i = 0; i < names->levels; i++)
		names->level[i] = xasprintf("%s.%u", names->foot, i);
	names->work = xstrdup(pipeline->queue);
	names->dead = xstrdup(pipeline->dead_letter.queue);
	names->parked = xstrdup(pipeline->dead_letter.parked);
	names->archive = xstrdup(pipeline->dead_letter.archive);
	names->dead_key = xstrdup(pipeline->name);
	names->parked_key = xasprintf("%s.parked", pipeline->name);
	names->archive_key = xasprintf("%s.archive", pipeline->name);
}

void
topology_pipeline_names_clear(struct topology_pipeline_names *names)
{
	unsigned i;

	for (i = 0; i < names->levels; i++)
		free(names->level[i]);
	free(names->foot);
	free(names->work);
	free(names->dead);
	free(names->parked);
	free(names->archive);
	free(names->dead_key);
	free(names->parked_key);
	free(names->archive_key);
	memset(names, 0, sizeof(*names));
}
