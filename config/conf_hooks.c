/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A value that had an error is zero or NULL here, and what is compared with
 * it is let pass: its own error is enough.
 */
#include "config/conf_hooks.h"

#include <string.h>

#include "config/conf_http.h"
#include "config/conf_scalar.h"
#include "config/conf_secret.h"
#include "config/conf_valid.h"
#include "lib/compiler.h"

/*
 * Which one of the keys (ending with NULL) the map has; -1, and an error,
 * when it has none or several. Those that are bad count: they were meant.
 */
static int
one_of(struct conf_parse *p, struct conf_tree *node, const char *const *keys)
{
	struct buf known = { 0 };
	int i, found = -1;

	for (i = 0; keys[i] != NULL; i++) {
		buf_printf(&known, "%s%s", i == 0 ? "" : ", ", keys[i]);
		if (conf_tree_get(node, keys[i]) == NULL)
			continue;
		if (found != -1) {
			conf_parse_error_key(p, conf_tree_get(node, keys[i]),
			    "cannot stand beside %s", keys[found]);
			buf_clear(&known);
			return -1;
		}
		found = i;
	}
	if (found == -1)
		conf_parse_error_key(p, node, "must have one of: %s",
		    buf_str(&known));
	buf_clear(&known);
	return found;
}

/* Whether some key is mistyped: then what is missing is no news. */
static bool
has_mistyped(const struct conf_tree *node)
{
	const struct conf_tree *child;

	for (child = node->first; child != NULL; child = child->next)
		if (child->meant != NULL)
			return true;
	return false;
}

void
conf_hooks_secret(struct conf_parse *p, struct conf_tree *node, void *element)
{
	static const char *const keys[] = { "env", "file", NULL };

	(void)element;
	if (node->kind == CONF_TREE_MAP)
		(void)one_of(p, node, keys);
}

void
conf_hooks_tls(struct conf_parse *p, struct conf_tree *node, void *element)
{
	struct conf_tree *cert = conf_tree_get(node, "cert");
	struct conf_tree *key = conf_tree_get(node, "key");

	(void)element;
	if (cert != NULL && key == NULL)
		conf_parse_error_key(p, cert, "needs its key beside it");
	if (key != NULL && cert == NULL)
		conf_parse_error_key(p, key, "needs its cert beside it");
}

/* Of the map itself: its mechanism may be read after what is below it. */
static bool
is_external(const struct conf_tree *broker)
{
	const struct conf_tree *mechanism = conf_tree_get(broker, "mechanism");

	return mechanism != NULL && mechanism->kind == CONF_TREE_SCALAR &&
	    strcmp(mechanism->text, "external") == 0;
}

void
conf_hooks_management(struct conf_parse *p, struct conf_tree *node,
    void *element)
{
	const struct conf_tree *user = conf_tree_get(node, "user");
	const struct conf_tree *password = conf_tree_get(node, "password");

	(void)element;
	if (user != NULL && password == NULL)
		conf_parse_error_at(p, node, "password",
		    "must be given beside user");
	if (password != NULL && user == NULL)
		conf_parse_error_at(p, node, "user",
		    "must be given beside password");
	if (user == NULL && password == NULL && !has_mistyped(node) &&
	    is_external(node->parent))
		conf_parse_error_at(p, node, "user",
		    "must be given, and password: with mechanism: external "
		    "there is no other password to log in with");
}

void
conf_hooks_header(struct conf_parse *p, struct conf_tree *node, void *element)
{
	struct conf_header *header = element;
	const char *problem;

	if (header->file == NULL || (p->roles & CONF_ROLE_CONSUMER) == 0)
		return;
	problem = conf_secret_file(p, header->file, &header->value);
	if (problem == NULL)
		problem = conf_valid_header_value(header->value);
	if (problem != NULL)
		conf_parse_error_at(p, node, "file", "%s: %s", header->file,
		    problem);
}

void
conf_hooks_headers(struct conf_parse *p, struct conf_tree *node, void *element)
{
	const struct conf_tree *one, *other;

	(void)element;
	for (one = node->first; one != NULL; one = one->next)
		for (other = node->first; other != one; other = other->next)
			if (strcasecmp(one->key, other->key) == 0) {
				conf_parse_error_key(p, one,
				    "given twice, first in line %u",
				    other->key_line);
				break;
			}
}

/* The last name of a path. */
static const char *
leaf(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot == NULL ? path : dot + 1;
}

/* Two durations, the second of which must not be below the first. */
static void
check_order(struct conf_parse *p, struct conf_tree *node, const char *low,
    int64_t low_ms, const char *high, int64_t high_ms)
{
	char shown[CONF_SCALAR_SPACE];
	const char *at = conf_parse_at(node, high) != NULL ? high : low;

	if (low_ms == 0 || high_ms == 0 || low_ms <= high_ms)
		return;
	if (at == high)
		conf_parse_error_at(p, node, at, "is below %s, which is %s",
		    leaf(low), conf_scalar_show_duration(shown, low_ms));
	else
		conf_parse_error_at(p, node, at, "is above %s, which is %s",
		    leaf(high), conf_scalar_show_duration(shown, high_ms));
}

void
conf_hooks_downstream(struct conf_parse *p, struct conf_tree *node,
    void *element)
{
	static const char *const keys[] = { "http", "exec", "plugin", "noop",
		NULL };
	static const enum conf_kind kinds[] = { CONF_KIND_HTTP, CONF_KIND_EXEC,
		CONF_KIND_PLUGIN, CONF_KIND_NOOP };
	struct conf_downstream *downstream = element;
	int kind;

	check_order(p, node, "breaker.open", downstream->breaker.open_ms,
	    "breaker.open_max", downstream->breaker.open_max_ms);
	if (has_mistyped(node))
		return;
	kind = one_of(p, node, keys);
	if (kind != -1)
		downstream->kind = kinds[kind];
	conf_http_check(p, node, downstream);
}

void
conf_hooks_exec(struct conf_parse *p, struct conf_tree *node, void *element)
{
	struct conf_downstream *downstream = element;
	struct conf_texts *command = &downstream->exec.command;
	const struct conf_tree *list = conf_tree_get(node, "command");
	const char **items, *program;

	if (command->count == 0 || (program = command->items[0]) == NULL)
		return;
	if (program[0] == '\0')
		conf_parse_error(p, list->first, "is empty");
	if (strchr(program, '/') == NULL || program[0] == '/')
		return;
	items = conf_pool_get(p->pool, command->count * sizeof(*items));
	memcpy(items, command->items, command->count * sizeof(*items));
	items[0] = conf_pool_printf(p->pool, "%s/%s", p->folder, program);
	command->items = items;
}

void
conf_hooks_plugin(struct conf_parse *p, struct conf_tree *node, void *element)
{
	static const char *const limits[] = { "memory", "cpu" };
	struct conf_downstream *downstream = element;
	const struct conf_tree *path = conf_tree_get(node, "path");
	const struct conf_tree *workers = conf_tree_get(node, "workers");
	struct conf_tree *limit;
	size_t i;

	if (path != NULL) {
		downstream->plugin.line = path->line;
		downstream->plugin.column = path->column;
	}
	if (workers == NULL || workers->bad || downstream->plugin.workers > 0)
		return;
	for (i = 0; i < array_len(limits); i++)
		if ((limit = conf_tree_get(node, limits[i])) != NULL)
			conf_parse_error_key(p, limit,
			    "has no effect with workers: 0, which runs the "
			    "plugin in the daemon itself");
}

void
conf_hooks_probe(struct conf_parse *p, struct conf_tree *node, void *element)
{
	static const char *const keys[] = { "http", "tcp", "exec", "amqp",
		NULL };
	static const enum conf_probe_kind kinds[] = { CONF_PROBE_HTTP,
		CONF_PROBE_TCP, CONF_PROBE_EXEC, CONF_PROBE_AMQP };
	struct conf_downstream *downstream = element;
	int kind;

	if (has_mistyped(node))
		return;
	kind = one_of(p, node, keys);
	if (kind != -1)
		downstream->probe.kind = kinds[kind];
}

/* http.5xx: as people say it, but no class. */
static bool
is_hundred(const char *class)
{
	size_t len = strlen(class);

	return len > 3 && strcmp(class + len - 2, "xx") == 0 &&
	    class[len - 3] >= '1' && class[len - 3] <= '9';
}

void
conf_hooks_rule(struct conf_parse *p, struct conf_tree *node, void *element)
{
	static const char *const schedule[] = { "attempts", "first", "cap" };
	const struct conf_rule *rule = element;
	const struct conf_tree *child;

	if (rule->class != NULL && is_hundred(rule->class))
		conf_parse_error_at(p, node, "class",
		    "matches nothing: words are taken whole, as in http.503 "
		    "or http");
	if (rule->then != CONF_THEN_OK && rule->then != CONF_THEN_REJECT)
		return;
	for (size_t i = 0; i < array_len(schedule); i++)
		if ((child = conf_parse_at(node, schedule[i])) != NULL)
			conf_parse_error_key(p, child,
			    "has no effect: then is %s",
			    rule->then == CONF_THEN_OK ? "ok" : "reject");
}

void
conf_hooks_declare(struct conf_parse *p, struct conf_tree *node, void *element)
{
	(void)p;
	(void)node;
	((struct conf_pipeline *)element)->declare = true;
}

void
conf_hooks_order_header(struct conf_parse *p, struct conf_tree *node,
    void *element)
{
	(void)p;
	(void)node;
	((struct conf_pipeline *)element)->order = CONF_ORDER_HEADER;
}

void
conf_hooks_trigger(struct conf_parse *p, struct conf_tree *node, void *element)
{
	static const char *const keys[] = { "every", "cron", NULL };
	static const enum conf_trigger_kind kinds[] = { CONF_TRIGGER_EVERY,
		CONF_TRIGGER_CRON };
	struct conf_trigger *trigger = element;
	int kind;

	if (node->kind != CONF_TREE_MAP || has_mistyped(node))
		return;
	kind = one_of(p, node, keys);
	if (kind != -1)
		trigger->kind = kinds[kind];
}

void
conf_hooks_only(struct conf_parse *p, struct conf_tree *node, void *element)
{
	struct conf_pipeline *pipeline = element;

	(void)p;
	if (conf_tree_get(node, "reason") == NULL)
		pipeline->redrive.only.reasons = (struct conf_texts){ 0 };
}

void
conf_hooks_redrives_above(struct conf_parse *p, struct conf_tree *node,
    void *element)
{
	(void)p;
	(void)node;
	((struct conf_pipeline *)element)->redrive.only.has_redrives_above =
	    true;
}

/* A name that is not given comes from the work queue's. */
static void
derive_name(struct conf_parse *p, struct conf_tree *node, const char *path,
    const char *queue, const char *suffix, const char **name)
{
	if (*name != NULL || queue == NULL)
		return;
	*name = conf_pool_printf(p->pool, "%s.%s", queue, suffix);
	if (conf_valid_queue(*name) != NULL)
		conf_parse_error_at(p, node, path,
		    "must be given: with .%s the queue's name is longer than "
		    "255 bytes",
		    suffix);
}

/* Whether a probe is written down, be it wrong. */
static bool
has_probe(struct conf_parse *p, const struct conf_downstream *downstream)
{
	const struct conf_tree *all = conf_tree_get(p->root, "downstreams");

	return conf_tree_get(conf_tree_get(all, downstream->name), "probe") !=
	    NULL;
}

static void
derive_triggers(struct conf_parse *p, struct conf_tree *node,
    struct conf_pipeline *pipeline)
{
	struct conf_tree *when = conf_parse_at(node, "redrive.when");
	struct conf_trigger *usual;

	if (pipeline->downstream == NULL)
		return;
	if (pipeline->downstream->probe.kind != CONF_PROBE_NONE) {
		if (when != NULL)
			return;
		usual = conf_pool_get(p->pool, sizeof(*usual));
		usual->kind = CONF_TRIGGER_HEALTHY;
		pipeline->redrive.when = usual;
		pipeline->redrive.when_count = 1;
		return;
	}
	if (when == NULL || has_probe(p, pipeline->downstream))
		return;
	for (when = when->first; when != NULL; when = when->next)
		if (when->kind == CONF_TREE_SCALAR && !when->bad)
			conf_parse_error(p, when,
			    "needs a probe: downstream \"%s\" has none",
			    pipeline->downstream->name);
}

/*
 * What a rule does not say of its schedule is as in the pipeline. That a
 * value was wrong does not make it unsaid.
 */
static void
derive_rule(struct conf_parse *p, struct conf_tree *node,
    const struct conf_retry *retry, struct conf_rule *rule)
{
	bool first = conf_tree_get(node, "first") != NULL;
	bool cap = conf_tree_get(node, "cap") != NULL;

	if (conf_tree_get(node, "attempts") == NULL)
		rule->attempts = retry->attempts;
	if (!first)
		rule->first_ms = retry->first_ms;
	if (!cap)
		rule->cap_ms = retry->cap_ms;
	if (first || cap)
		check_order(p, node, "first", rule->first_ms, "cap",
		    rule->cap_ms);
}

static void
derive_rules(struct conf_parse *p, struct conf_tree *node,
    struct conf_retry *retry)
{
	struct conf_tree *list = conf_parse_at(node, "retry.rules");
	struct conf_tree *child = list == NULL ? NULL : list->first;
	struct conf_rule *rules;
	size_t i;

	if (child == NULL || retry->rule_count == 0)
		return;
	rules = conf_pool_get(p->pool, retry->rule_count * sizeof(*rules));
	memcpy(rules, retry->rules, retry->rule_count * sizeof(*rules));
	for (i = 0; child != NULL; child = child->next)
		derive_rule(p, child, retry, &rules[i++]);
	retry->rules = rules;
}

void
conf_hooks_pipeline(struct conf_parse *p, struct conf_tree *node, void *element)
{
	struct conf_pipeline *pipeline = element;
	struct conf_dead_letter *dead = &pipeline->dead_letter;

	derive_name(p, node, "dead_letter.queue", pipeline->queue, "dlq",
	    &dead->queue);
	derive_name(p, node, "dead_letter.parked", pipeline->queue, "parked",
	    &dead->parked);
	derive_name(p, node, "dead_letter.archive", pipeline->queue, "archive",
	    &dead->archive);
	derive_triggers(p, node, pipeline);
	check_order(p, node, "retry.first", pipeline->retry.first_ms,
	    "retry.cap", pipeline->retry.cap_ms);
	derive_rules(p, node, &pipeline->retry);
}
