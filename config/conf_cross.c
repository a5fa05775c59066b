/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Every queue of the file has one place in it: a work queue in two pipelines
 * would be settled by two policies, and a dead-letter queue that is another
 * pipeline's work queue would feed failures back for ever. And what other
 * sections have to agree on.
 */
#include "config/conf_cross.h"

#include <stdlib.h>
#include <string.h>

#include "config/conf_scalar.h"
#include "lib/xalloc.h"

/* A queue of the file and where it was named. */
struct queue {
	const char *name;
	const struct conf_pipeline *pipeline;
	const char *path; /* below the pipeline */
	size_t order;	  /* in the file, roughly */
};

static int
by_name(const void *left, const void *right)
{
	const struct queue *l = left, *r = right;
	int order = strcmp(l->name, r->name);

	if (order != 0)
		return order;
	return l->order < r->order ? -1 : 1;
}

/* All queues with a name, sorted; the caller frees them. */
static struct queue *
collect_queues(const struct conf *conf, size_t *count)
{
	struct queue *all = xcalloc(conf->pipeline_count * 4, sizeof(*all));
	size_t i, j;

	*count = 0;
	for (i = 0; i < conf->pipeline_count; i++) {
		const struct conf_pipeline *pipeline = &conf->pipelines[i];
		const struct queue four[] = {
			{ pipeline->queue, pipeline, "queue", 4 * i },
			{ pipeline->dead_letter.queue, pipeline,
			    "dead_letter.queue", 4 * i + 1 },
			{ pipeline->dead_letter.parked, pipeline,
			    "dead_letter.parked", 4 * i + 2 },
			{ pipeline->dead_letter.archive, pipeline,
			    "dead_letter.archive", 4 * i + 3 },
		};

		for (j = 0; j < array_len(four); j++)
			if (four[j].name != NULL)
				all[(*count)++] = four[j];
	}
	qsort(all, *count, sizeof(*all), by_name);
	return all;
}

static struct conf_tree *
pipeline_node(struct conf_parse *p, const struct conf_pipeline *pipeline)
{
	return conf_tree_get(conf_tree_get(p->root, "pipelines"),
	    pipeline->name);
}

static bool
is_named(struct conf_parse *p, const struct queue *queue)
{
	return conf_parse_at(pipeline_node(p, queue->pipeline), queue->path) !=
	    NULL;
}

static void
check_unique(struct conf_parse *p, const struct queue *all, size_t count)
{
	const struct queue *first = all, *queue;

	for (queue = all + 1; queue < all + count; queue++) {
		if (strcmp(first->name, queue->name) != 0) {
			first = queue;
			continue;
		}
		/* Derived twice: from a work queue that was named twice. */
		if (!is_named(p, first) && !is_named(p, queue))
			continue;
		conf_parse_error_at(p, pipeline_node(p, queue->pipeline),
		    queue->path,
		    "queue \"%s\" is already pipelines.%s.%s; a queue has "
		    "one place",
		    queue->name, first->pipeline->name, first->path);
	}
}

/* Names below our own prefix are ours: dlo.jobs, dlo.retry.P.0 … */
static void
check_reserved(struct conf_parse *p, const struct queue *all, size_t count)
{
	static const char *const exact[] = { "jobs", "verdicts", "audit" };
	const char *prefix = p->conf->topology.prefix, *rest;
	const struct queue *queue;
	bool ours;
	size_t i, len;

	if (prefix == NULL)
		return;
	len = strlen(prefix);
	for (queue = all; queue < all + count; queue++) {
		if (strncmp(queue->name, prefix, len) != 0 ||
		    queue->name[len] != '.' || !is_named(p, queue))
			continue;
		rest = queue->name + len + 1;
		ours = strncmp(rest, "retry.", 6) == 0;
		for (i = 0; i < array_len(exact); i++)
			ours = ours || strcmp(rest, exact[i]) == 0;
		if (ours)
			conf_parse_error_at(p,
			    pipeline_node(p, queue->pipeline), queue->path,
			    "queue \"%s\" is one of dlo's own", queue->name);
	}
}

static void
check_broker(struct conf_parse *p)
{
	const struct conf_broker *broker = &p->conf->broker;
	struct conf_tree *tls = conf_parse_at(p->root, "broker.tls");
	size_t i;

	if (broker->heartbeat_ms % 1000 != 0)
		conf_parse_error_at(p, p->root, "broker.heartbeat",
		    "must be whole seconds");
	if (tls == NULL || conf_tree_get(p->root, "broker") == NULL)
		return;
	if (broker->management.url != NULL &&
	    strncmp(broker->management.url, "https://", 8) == 0)
		return;
	for (i = 0; i < broker->node_count; i++)
		if (broker->nodes[i].tls || broker->nodes[i].host == NULL)
			return;
	conf_parse_error_key(p, tls,
	    "has no effect: no node begins with amqps://, nor does "
	    "management.url with https://");
}

/* Adds a user once; NULL is fine. */
static void
trust(struct conf_texts *users, const char **items, const char *user)
{
	size_t i;

	if (user == NULL)
		return;
	for (i = 0; i < users->count; i++)
		if (strcmp(items[i], user) == 0)
			return;
	items[users->count++] = user;
}

static void
fill_role(struct conf_parse *p, const char *section,
    struct conf_identity *identity, struct conf_broker *role)
{
	struct conf_tree *node =
	    conf_tree_get(conf_tree_get(p->root, section), "broker");

	*role = p->conf->broker;
	identity->has_password = conf_tree_get(node, "password") != NULL;
	identity->has_tls = conf_tree_get(node, "tls") != NULL;
	if (identity->user != NULL)
		role->user = identity->user;
	if (identity->has_password)
		role->password = identity->password;
	if (identity->has_tls)
		role->tls = identity->tls;
}

/* A certificate speaks for us only where there is TLS, and one to show. */
static void
check_external(struct conf_parse *p)
{
	static const char key[] = "broker.mechanism";
	const struct conf *conf = p->conf;
	const struct conf_broker *broker = &conf->broker;
	const struct {
		const char *section;
		const struct conf_tls *tls;
		bool used;
	} roles[] = {
		{ "consumer", &conf->consumer_broker.tls, true },
		{ "redrive", &conf->redrive_broker.tls, true },
		{ "topology", &conf->topology_broker.tls,
		    conf->topology.declare },
	};
	size_t i;

	if (broker->mechanism != CONF_MECHANISM_EXTERNAL)
		return;
	for (i = 0; i < broker->node_count; i++)
		if (!broker->nodes[i].tls && broker->nodes[i].host != NULL) {
			conf_parse_error_at(p, p->root, key,
			    "external needs TLS: every node must begin with "
			    "amqps://");
			return;
		}
	for (i = 0; i < array_len(roles); i++)
		if (roles[i].used &&
		    (roles[i].tls->cert == NULL || roles[i].tls->key == NULL)) {
			conf_parse_error_at(p, p->root, key,
			    "external needs cert and key in broker.tls or in "
			    "%s.broker.tls",
			    roles[i].section);
			return;
		}
}

/* Every user that is named in the file, and those that we are. */
static void
fill_trusted(struct conf_parse *p)
{
	struct conf *conf = p->conf;
	struct conf_texts listed = conf->broker.trusted_users, users = { 0 };
	const char **items =
	    conf_pool_get(p->pool, (listed.count + 5) * sizeof(*items));
	size_t i;

	trust(&users, items, conf->consumer_broker.user);
	trust(&users, items, conf->redrive_broker.user);
	trust(&users, items, conf->topology_broker.user);
	if (conf_parse_at(p->root, "broker.user") != NULL)
		trust(&users, items, conf->broker.user);
	trust(&users, items, conf->broker.management.user);
	for (i = 0; i < listed.count; i++)
		trust(&users, items, listed.items[i]);
	users.items = items;
	conf->broker.trusted_users = users;
	conf->consumer_broker.trusted_users = users;
	conf->redrive_broker.trusted_users = users;
	conf->topology_broker.trusted_users = users;
}

/* Attempts and cap of a failure that a rule (NULL: none) matches. */
static void
retry_limits(const struct conf_retry *retry, const struct conf_rule *rule,
    uint32_t *attempts, int64_t *cap_ms)
{
	*attempts = rule == NULL ? retry->attempts : rule->attempts;
	*cap_ms = rule == NULL ? retry->cap_ms : rule->cap_ms;
	if (rule != NULL &&
	    (rule->then == CONF_THEN_OK || rule->then == CONF_THEN_REJECT))
		*attempts = 0;
}

/*
 * The longest delay that can follow attempt `made`, 0 when none can, and up
 * to which attempt that is so.
 */
static int64_t
longest_delay_ms(const struct conf_retry *retry, uint32_t made, uint32_t *until)
{
	int64_t longest_ms = 0;
	size_t i;

	*until = UINT32_MAX;
	for (i = 0; i <= retry->rule_count; i++) {
		uint32_t attempts;
		int64_t cap_ms;

		retry_limits(retry,
		    i < retry->rule_count ? &retry->rules[i] : NULL, &attempts,
		    &cap_ms);
		if (attempts <= made)
			continue;
		if (cap_ms > longest_ms)
			longest_ms = cap_ms;
		if (attempts < *until)
			*until = attempts;
	}
	return longest_ms;
}

int64_t
conf_cross_delays_ms(const struct conf_retry *retry)
{
	int64_t sum_ms = 0, longest_ms;
	uint32_t made = 1, until;

	/* Counts and durations are bounded: it cannot overflow. */
	while ((longest_ms = longest_delay_ms(retry, made, &until)) > 0) {
		sum_ms += longest_ms * (until - made);
		made = until;
	}
	return sum_ms < retry->deadline_ms ? sum_ms : retry->deadline_ms;
}

/* An ordered pipeline waits in memory, where nothing stays for too long. */
static void
check_ordered(struct conf_parse *p, const struct conf_pipeline *pipeline)
{
	int64_t limit_ms = p->conf->consumer.hold_max_ms;
	char limit[CONF_SCALAR_SPACE], shown[CONF_SCALAR_SPACE];
	int64_t sum_ms;

	if (pipeline->order == CONF_ORDER_NONE || limit_ms == 0)
		return;
	sum_ms = conf_cross_delays_ms(&pipeline->retry);
	if (sum_ms <= limit_ms)
		return;
	conf_parse_error_at(p, pipeline_node(p, pipeline), "order",
	    "an ordered message waits for its retries in memory, and they "
	    "can take %s, but consumer.hold_max is %s; lower retry.attempts, "
	    "retry.cap or retry.deadline",
	    conf_scalar_show_duration(shown, sum_ms),
	    conf_scalar_show_duration(limit, limit_ms));
}

void
conf_cross_check(struct conf_parse *p)
{
	struct conf *conf = p->conf;
	struct queue *all;
	size_t count, i;

	for (i = 0; i < conf->pipeline_count; i++)
		check_ordered(p, &conf->pipelines[i]);
	all = collect_queues(conf, &count);
	if (count > 0) {
		check_unique(p, all, count);
		check_reserved(p, all, count);
	}
	free(all);
	check_broker(p);
	fill_role(p, "topology", &conf->topology.broker,
	    &conf->topology_broker);
	fill_role(p, "consumer", &conf->consumer.broker,
	    &conf->consumer_broker);
	fill_role(p, "redrive", &conf->redrive.broker, &conf->redrive_broker);
	check_external(p);
	fill_trusted(p);
}
