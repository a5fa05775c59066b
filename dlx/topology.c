/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The list of what must be in the broker. Its order is its point: targets
 * come before what hands messages to them (dead-letter queues before the work
 * queue, the ladder from its foot upwards), so that a run that is cut short
 * anywhere leaves nothing that could lose a message.
 *
 * No queue of ours has a length limit or, but for ladder and archive, a TTL.
 * Ladder queues have no delivery limit, since nobody consumes from them.
 */
#include "dlx/topology.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "amqp/props.h"
#include "lib/xalloc.h"

/* Never -1: 3.x drops every message at its first return then. */
#define NO_DELIVERY_LIMIT   2147483647
#define VERDICTS_TTL_MS	    (10 * 60 * 1000)
#define VERDICTS_MAX_LENGTH 100000
#define AUDIT_MAX_AGE	    "90D"
#define AUDIT_MAX_BYTES	    1000000000

/* What the functions below build up. */
struct builder {
	struct topology *topology;
	const struct conf *conf;
	struct topology_names names;
	bool consumer, redrive; /* who is asked for */
};

static struct topology_item *
add_item(struct builder *b, enum topology_kind kind, const char *name)
{
	struct topology *t = b->topology;
	struct topology_item *item;

	t->items = xrealloc(t->items, (t->count + 1) * sizeof(*item));
	item = &t->items[t->count++];
	memset(item, 0, sizeof(*item));
	item->kind = kind;
	item->name = xstrdup(name);
	return item;
}

static void
add_exchange(struct builder *b, const char *name, const char *type)
{
	struct topology_item *item = add_item(b, TOPOLOGY_EXCHANGE, name);

	item->type = xstrdup(type);
}

static void
add_arg(struct topology_item *item, const char *name, const char *value)
{
	rmq_table_add_text(&item->args, name, value, strlen(value));
}

static struct topology_item *
add_queue(struct builder *b, const char *name, const char *type)
{
	struct topology_item *item = add_item(b, TOPOLOGY_QUEUE, name);

	item->type = xstrdup(type);
	add_arg(item, "x-queue-type", type);
	return item;
}

/* A queue of the configured type; *quorum says whether it is one. */
static struct topology_item *
add_typed_queue(struct builder *b, const char *name, bool *quorum)
{
	*quorum = b->conf->topology.queue_type == CONF_QUEUE_QUORUM;
	return add_queue(b, name, *quorum ? "quorum" : "classic");
}

/* The newest exchange or queue of that name. */
static size_t
find_node(const struct builder *b, enum topology_kind kind, const char *name)
{
	const struct topology *t = b->topology;
	size_t i = t->count;

	while (i-- > 0) {
		if (t->items[i].kind == kind &&
		    strcmp(t->items[i].name, name) == 0)
			return i;
	}
	assert(!"a binding comes after what it binds");
	return 0;
}

static void
add_binding(struct builder *b, enum topology_kind kind, const char *name,
    const char *source, const char *key)
{
	struct topology_item *item;
	size_t target, origin;

	target = find_node(b,
	    kind == TOPOLOGY_QUEUE_BINDING ? TOPOLOGY_QUEUE : TOPOLOGY_EXCHANGE,
	    name);
	origin = find_node(b, TOPOLOGY_EXCHANGE, source);
	item = add_item(b, kind, name);
	item->source = xstrdup(source);
	item->key = xstrdup(key);
	item->target_index = target;
	item->source_index = origin;
}

static void
bind_queue(struct builder *b, const char *queue, const char *source,
    const char *key)
{
	add_binding(b, TOPOLOGY_QUEUE_BINDING, queue, source, key);
}

/* A queue that keeps what it is given until we take it, and its binding. */
static void
add_dead_queue(struct builder *b, const char *name, const char *key,
    int64_t ttl_ms)
{
	struct topology_item *item;
	bool quorum;

	item = add_typed_queue(b, name, &quorum);
	item->user_named = true;
	if (quorum) {
		add_arg(item, "x-overflow", "reject-publish");
		rmq_table_add_int(&item->args, "x-delivery-limit",
		    NO_DELIVERY_LIMIT);
	}
	if (ttl_ms > 0)
		rmq_table_add_int(&item->args, "x-message-ttl", ttl_ms);
	bind_queue(b, name, b->names.dead, key);
}

/*
 * A work queue of ours dead-letters into its pipeline's DLQ, at least once:
 * that this has a price on 3.x is told in docs/DECISIONS.md. It has no
 * delivery limit either: up to 4.2 each message that is given back counts,
 * and an outage would kill what never failed. Where the order counts it has
 * one consumer at a time: the broker may still hold what it has delivered to a
 * connection that we know to be lost.
 */
static void
add_work_queue(struct builder *b, const struct conf_pipeline *pipeline)
{
	struct topology_item *item;
	bool quorum = pipeline->declare_type == CONF_QUEUE_QUORUM;

	if (!pipeline->declare) {
		item = add_item(b, TOPOLOGY_QUEUE, pipeline->queue);
		item->user_named = item->foreign = true;
		return;
	}
	item = add_queue(b, pipeline->queue, quorum ? "quorum" : "classic");
	item->user_named = true;
	add_arg(item, "x-dead-letter-exchange", b->names.dead);
	add_arg(item, "x-dead-letter-routing-key", pipeline->name);
	if (pipeline->order != CONF_ORDER_NONE)
		rmq_table_add_bool(&item->args, "x-single-active-consumer",
		    true);
	if (!quorum)
		return;
	add_arg(item, "x-dead-letter-strategy", "at-least-once");
	add_arg(item, "x-overflow", "reject-publish");
	rmq_table_add_int(&item->args, "x-delivery-limit", NO_DELIVERY_LIMIT);
}

/* The key pattern for a bit at that level: `*.*.1.#`. */
static const char *
bit_pattern(struct buf *scratch, unsigned level, char bit)
{
	buf_reset(scratch);
	while (level-- > 0)
		buf_add_str(scratch, "*.");
	buf_printf(scratch, "%c.#", bit);
	return buf_str(scratch);
}

/* One level: its bit set means its queue first, else at once one down. */
static void
add_level(struct builder *b, const char *name, const char *below,
    unsigned level)
{
	struct topology_item *item;
	struct buf pattern = { 0 };
	bool quorum;

	item = add_typed_queue(b, name, &quorum);
	rmq_table_add_int(&item->args, "x-message-ttl",
	    ladder_level_ttl_ms(level));
	add_arg(item, "x-dead-letter-exchange", below);
	if (quorum) {
		add_arg(item, "x-dead-letter-strategy", "at-least-once");
		add_arg(item, "x-overflow", "reject-publish");
	}
	add_exchange(b, name, "topic");
	add_binding(b, TOPOLOGY_EXCHANGE_BINDING, below, name,
	    bit_pattern(&pattern, level, '0'));
	bind_queue(b, name, name, bit_pattern(&pattern, level, '1'));
	buf_clear(&pattern);
}

static void
add_ladder(struct builder *b, const struct topology_pipeline_names *p)
{
	unsigned level;

	add_exchange(b, p->foot, "fanout");
	bind_queue(b, p->work, p->foot, "");
	for (level = 0; level < p->levels; level++)
		add_level(b, p->level[level],
		    level == 0 ? p->foot : p->level[level - 1], level);
}

static void
add_pipeline(struct builder *b, const struct conf_pipeline *pipeline)
{
	struct topology_pipeline_names p;

	topology_pipeline_names_init(&p, b->conf, pipeline);
	add_dead_queue(b, p.dead, p.dead_key, 0);
	if (b->redrive) {
		add_dead_queue(b, p.parked, p.parked_key, 0);
		add_dead_queue(b, p.archive, p.archive_key,
		    pipeline->dead_letter.archive_ttl_ms);
	}
	add_work_queue(b, pipeline);
	if (b->consumer)
		add_ladder(b, &p);
	if (b->redrive)
		bind_queue(b, p.work, b->names.redrive, p.dead_key);
	topology_pipeline_names_clear(&p);
}

/* What the redrive daemons share: jobs, what they hear, what was done. */
static void
add_control(struct builder *b)
{
	const struct topology_names *names = &b->names;
	struct topology_item *item;
	bool quorum;

	item = add_typed_queue(b, names->jobs, &quorum);
	rmq_table_add_bool(&item->args, "x-single-active-consumer", true);
	if (quorum) {
		add_arg(item, "x-overflow", "reject-publish");
		rmq_table_add_int(&item->args, "x-delivery-limit",
		    NO_DELIVERY_LIMIT);
	}
	item = add_queue(b, names->audit, "stream");
	add_arg(item, "x-max-age", AUDIT_MAX_AGE);
	rmq_table_add_int(&item->args, "x-max-length-bytes", AUDIT_MAX_BYTES);
	add_exchange(b, names->control, "direct");
	bind_queue(b, names->jobs, names->control, "jobs");
	bind_queue(b, names->audit, names->control, "audit");

	item = add_typed_queue(b, names->verdicts, &quorum);
	rmq_table_add_int(&item->args, "x-message-ttl", VERDICTS_TTL_MS);
	rmq_table_add_int(&item->args, "x-max-length", VERDICTS_MAX_LENGTH);
	add_arg(item, "x-overflow", "drop-head");
	bind_queue(b, names->verdicts, names->events, "outcome.*");
	bind_queue(b, names->verdicts, names->events, "breaker.*");
}

struct topology *
topology_new(const struct conf *conf, unsigned roles)
{
	struct builder b = { .conf = conf };
	size_t i;

	if ((roles & CONF_ROLE_TOPOLOGY) != 0)
		roles |= CONF_ROLE_CONSUMER | CONF_ROLE_REDRIVE;
	b.consumer = (roles & CONF_ROLE_CONSUMER) != 0;
	b.redrive = (roles & CONF_ROLE_REDRIVE) != 0;
	b.topology = xcalloc(1, sizeof(*b.topology));
	topology_names_init(&b.names, conf);
	add_exchange(&b, b.names.events, "topic");
	add_exchange(&b, b.names.dead, "direct");
	if (b.redrive)
		add_exchange(&b, b.names.redrive, "direct");
	for (i = 0; i < conf->pipeline_count; i++)
		add_pipeline(&b, &conf->pipelines[i]);
	if (b.redrive)
		add_control(&b);
	topology_names_clear(&b.names);
	return b.topology;
}

static bool
texts_differ(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a != b;
	return strcmp(a, b) != 0;
}

static bool
items_differ(const struct topology_item *a, const struct topology_item *b)
{
	return a->kind != b->kind || texts_differ(a->name, b->name) ||
	    texts_differ(a->type, b->type) ||
	    texts_differ(a->source, b->source) ||
	    texts_differ(a->key, b->key) || a->foreign != b->foreign ||
	    a->args.len != b->args.len ||
	    (a->args.len > 0 &&
		memcmp(buf_peek(&a->args), buf_peek(&b->args), a->args.len) !=
		    0);
}

bool
topology_differs(const struct topology *a, const struct topology *b)
{
	size_t i;

	if (a->count != b->count)
		return true;
	for (i = 0; i < a->count; i++)
		if (items_differ(&a->items[i], &b->items[i]))
			return true;
	return false;
}

void
topology_free(struct topology *topology)
{
	size_t i;

	if (topology == NULL)
		return;
	for (i = 0; i < topology->count; i++) {
		struct topology_item *item = &topology->items[i];

		free(item->name);
		free(item->type);
		free(item->source);
		free(item->key);
		buf_clear(&item->args);
	}
	free(topology->items);
	free(topology);
}

bool
topology_is_binding(const struct topology_item *item)
{
	return item->kind == TOPOLOGY_QUEUE_BINDING ||
	    item->kind == TOPOLOGY_EXCHANGE_BINDING;
}

const char *
topology_kind_name(enum topology_kind kind)
{
	switch (kind) {
	case TOPOLOGY_EXCHANGE:
		return "exchange";
	case TOPOLOGY_QUEUE:
		return "queue";
	case TOPOLOGY_QUEUE_BINDING:
	case TOPOLOGY_EXCHANGE_BINDING:
		return "binding";
	}
	return "?";
}

void
topology_item_describe(const struct topology_item *item, struct buf *out)
{
	buf_printf(out, "%s ", topology_kind_name(item->kind));
	if (!topology_is_binding(item))
		buf_add_str(out, item->name);
	else
		buf_printf(out, "%s -> %s (%s)", item->source, item->name,
		    item->key);
}
