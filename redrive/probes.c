/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/probes.h"

#include <stdlib.h>

#include "lib/xalloc.h"
#include "redrive/probe_amqp.h"

struct entry {
	struct probes *probes;
	const struct conf_downstream *conf;
	struct probe *probe; /* NULL: nobody asks */
};

struct probes {
	struct probes_env env;
	probes_changed_cb *changed;
	void *arg;
	struct entry *entries; /* one for each downstream, in its order */
};

static struct entry *
entry_of(const struct probes *p, const struct conf_downstream *conf)
{
	return &p->entries[conf - p->env.conf->downstreams];
}

static void
on_probe(void *arg, const struct probe_event *event)
{
	const struct entry *entry = arg;
	struct probes *p = entry->probes;
	bool healthy = event->health == PROBE_HEALTHY;

	if (!event->changed)
		return;
	tally_probe(p->env.tally, entry->conf->name, healthy);
	p->changed(p->arg, entry->conf, healthy);
}

struct probes *
probes_new(const struct probes_env *env, probes_changed_cb *changed, void *arg)
{
	struct probes *p = xcalloc(1, sizeof(*p));

	p->env = *env;
	p->changed = changed;
	p->arg = arg;
	p->entries = xcalloc(env->conf->downstream_count, sizeof(*p->entries));
	for (size_t i = 0; i < env->conf->downstream_count; i++) {
		p->entries[i].probes = p;
		p->entries[i].conf = &env->conf->downstreams[i];
	}
	return p;
}

/* NULL: without a probe it is healthy. */
static struct probe_driver *
make_driver(const struct probes_env *env, const struct conf_downstream *conf)
{
	if (conf->probe.kind == CONF_PROBE_NONE)
		return NULL;
	if (env->driver_new != NULL)
		return env->driver_new(env->driver_arg, conf);
	if (conf->probe.kind == CONF_PROBE_AMQP)
		return probe_amqp_new(env->loop, env->conn, env->conf, conf);
	return probe_driver_new(env->loop, env->net, conf);
}

void
probes_ask(struct probes *p, const struct conf_downstream *conf)
{
	const struct probe_params params =
	    probe_params_of(conf->name, &conf->probe);
	struct entry *entry = entry_of(p, conf);

	entry->probe = probe_new(p->env.loop, &params,
	    make_driver(&p->env, conf), on_probe, entry);
	tally_probe(p->env.tally, conf->name, false);
}

enum probe_health
probes_health(const struct probes *p, const struct conf_downstream *conf)
{
	const struct entry *entry = entry_of(p, conf);

	if (conf->probe.kind == CONF_PROBE_NONE)
		return PROBE_HEALTHY;
	return entry->probe != NULL ? probe_health(entry->probe)
				    : PROBE_UNKNOWN;
}

void
probes_free(struct probes *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->env.conf->downstream_count; i++) {
		const struct entry *entry = &p->entries[i];

		if (entry->probe != NULL)
			tally_no_probe(p->env.tally, entry->conf->name);
		probe_free(entry->probe);
	}
	free(p->entries);
	free(p);
}
