/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "ctl/found.h"

#include <stdlib.h>
#include <string.h>

#include "lib/xalloc.h"

const char *
found_part_path(enum found_part part)
{
	static const char *const paths[FOUND_PARTS] = {
		[FOUND_OVERVIEW] = "overview",
		[FOUND_EXCHANGES] = "exchanges",
		[FOUND_QUEUES] = "queues",
		[FOUND_BINDINGS] = "bindings",
		[FOUND_POLICIES] = "policies",
	};

	return paths[part];
}

const char *
found_part_columns(enum found_part part)
{
	static const char *const columns[FOUND_PARTS] = {
		[FOUND_OVERVIEW] = "rabbitmq_version",
		[FOUND_EXCHANGES] = "name,type,durable,internal,auto_delete,"
				    "policy",
		[FOUND_QUEUES] = "name,type,durable,exclusive,auto_delete,"
				 "policy,operator_policy,"
				 "effective_policy_definition,messages,"
				 "messages_ready,messages_unacknowledged",
		[FOUND_BINDINGS] = "source,destination,destination_type,"
				   "routing_key,properties_key",
		[FOUND_POLICIES] = "name,priority,definition",
	};

	return columns[part];
}

bool
found_number(const json_t *object, const char *key, int64_t *out)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_integer(value))
		return false;
	*out = json_integer_value(value);
	return true;
}

const char *
found_text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static const char *
text_or_empty(const json_t *object, const char *key)
{
	const char *text = found_text(object, key);

	return text != NULL ? text : "";
}

static bool
is_true(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

/* An Erlang list without members is [] where an object is meant. */
static const json_t *
object_in(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_object(value) ? value : NULL;
}

static int
exchange_read(void *out, const json_t *row)
{
	struct found_exchange *exchange = out;

	exchange->name = found_text(row, "name");
	exchange->type = found_text(row, "type");
	exchange->durable = is_true(row, "durable");
	exchange->internal = is_true(row, "internal");
	exchange->auto_delete = is_true(row, "auto_delete");
	exchange->policy = text_or_empty(row, "policy");
	exchange->arguments = object_in(row, "arguments");
	return exchange->name == NULL || exchange->type == NULL ? -1 : 0;
}

static int
queue_read(void *out, const json_t *row)
{
	struct found_queue *queue = out;
	int64_t total, ready, unacked;

	queue->name = found_text(row, "name");
	queue->type = found_text(row, "type");
	queue->durable = is_true(row, "durable");
	queue->exclusive = is_true(row, "exclusive");
	queue->auto_delete = is_true(row, "auto_delete");
	queue->arguments = object_in(row, "arguments");
	queue->policy = text_or_empty(row, "policy");
	queue->operator_policy = text_or_empty(row, "operator_policy");
	queue->policies = object_in(row, "effective_policy_definition");
	queue->told =
	    json_object_get(row, "effective_policy_definition") != NULL;
	queue->counted = found_number(row, "messages", &total) &&
	    found_number(row, "messages_ready", &ready) &&
	    found_number(row, "messages_unacknowledged", &unacked);
	if (queue->counted)
		queue->stuck = total - ready - unacked;
	return queue->name == NULL || queue->type == NULL ? -1 : 0;
}

static int
binding_read(void *out, const json_t *row)
{
	struct found_binding *binding = out;
	const char *type = found_text(row, "destination_type");

	binding->source = found_text(row, "source");
	binding->destination = found_text(row, "destination");
	binding->key = found_text(row, "routing_key");
	binding->properties_key = found_text(row, "properties_key");
	if (binding->source == NULL || binding->destination == NULL ||
	    binding->key == NULL || binding->properties_key == NULL ||
	    type == NULL)
		return -1;
	binding->to_queue = strcmp(type, "queue") == 0;
	return 0;
}

static int
policy_read(void *out, const json_t *row)
{
	struct found_policy *policy = out;

	policy->name = found_text(row, "name");
	policy->definition = object_in(row, "definition");
	(void)found_number(row, "priority", &policy->priority);
	return policy->name == NULL ? -1 : 0;
}

/* All structs with a name have it first. */
static int
by_name(const void *left, const void *right)
{
	return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static int
by_ends(const void *left, const void *right)
{
	const struct found_binding *l = left, *r = right;
	int order = strcmp(l->source, r->source);

	if (order == 0)
		order = strcmp(l->destination, r->destination);
	if (order == 0)
		order = strcmp(l->key, r->key);
	return order != 0 ? order : l->to_queue - r->to_queue;
}

/*
 * Whether a text in it holds a NUL, as a name that a client chose can: as a C
 * string it would be taken for another one.
 */
static bool
has_nul(json_t *value)
{
	const char *text = json_string_value(value), *key;
	json_t *member;

	if (text != NULL)
		return strlen(text) != json_string_length(value);
	json_object_foreach(value, key,
	    member) if (has_nul(member)) return true;
	return false;
}

/* How the rows of a part become structs. */
struct shape {
	size_t size;
	int (*read)(void *out, const json_t *row);
	int (*order)(const void *, const void *);
};

static const struct shape shapes[FOUND_PARTS] = {
	[FOUND_EXCHANGES] = { sizeof(struct found_exchange), exchange_read,
	    by_name },
	[FOUND_QUEUES] = { sizeof(struct found_queue), queue_read, by_name },
	[FOUND_BINDINGS] = { sizeof(struct found_binding), binding_read,
	    by_ends },
	[FOUND_POLICIES] = { sizeof(struct found_policy), policy_read,
	    by_name },
};

/*
 * The rows as a sorted array, without those that hold a NUL; NULL: one of them
 * is wrong.
 */
static void *
rows_read(const struct shape *shape, const json_t *rows, size_t *count)
{
	size_t size = json_array_size(rows);
	char *all = xcalloc(size + 1, shape->size);

	*count = 0;
	for (size_t i = 0; i < size; i++) {
		json_t *row = json_array_get(rows, i);

		if (has_nul(row))
			continue;
		if (shape->read(all + *count * shape->size, row) == -1) {
			free(all);
			return NULL;
		}
		++*count;
	}
	qsort(all, *count, shape->size, shape->order);
	return all;
}

static int
take_version(struct found *found, const json_t *overview)
{
	const char *version = found_text(overview, "rabbitmq_version");
	char *end;

	if (version == NULL)
		return -1;
	found->major = (unsigned)strtoul(version, &end, 10);
	found->minor = *end == '.' ? (unsigned)strtoul(end + 1, NULL, 10) : 0;
	return 0;
}

static int
take_rows(struct found *found, enum found_part part, const json_t *answer)
{
	void *rows = NULL;
	size_t count;

	if (json_is_array(answer))
		rows = rows_read(&shapes[part], answer, &count);
	if (rows == NULL)
		return -1;
	found->unreadable[part] = json_array_size(answer) - count;
	switch (part) {
	case FOUND_EXCHANGES:
		free(found->exchanges);
		found->exchanges = rows;
		found->exchange_count = count;
		break;
	case FOUND_QUEUES:
		free(found->queues);
		found->queues = rows;
		found->queue_count = count;
		break;
	case FOUND_BINDINGS:
		free(found->bindings);
		found->bindings = rows;
		found->binding_count = count;
		break;
	default:
		free(found->policies);
		found->policies = rows;
		found->policy_count = count;
	}
	return 0;
}

int
found_take(struct found *found, enum found_part part, json_t *answer)
{
	int ret = part == FOUND_OVERVIEW ? take_version(found, answer)
					 : take_rows(found, part, answer);

	if (ret == -1) {
		json_decref(answer);
		return -1;
	}
	json_decref(found->answers[part]);
	found->answers[part] = answer;
	return 0;
}

int
found_take_arguments(struct found *found, enum found_part part,
    const char *name, json_t *answer)
{
	const void *row = part == FOUND_EXCHANGES
	    ? (const void *)found_exchange(found, name)
	    : found_queue(found, name);
	const json_t *arguments = object_in(answer, "arguments");

	if (!json_is_object(answer) || row == NULL) {
		json_decref(answer);
		return -1;
	}
	if (found->details == NULL)
		found->details = json_array();
	if (json_array_append_new(found->details, answer) == -1)
		abort();
	if (part == FOUND_EXCHANGES)
		((struct found_exchange *)(uintptr_t)row)->arguments =
		    arguments;
	else
		((struct found_queue *)(uintptr_t)row)->arguments = arguments;
	return 0;
}

void
found_clear(struct found *found)
{
	json_decref(found->details);
	free(found->exchanges);
	free(found->queues);
	free(found->bindings);
	free(found->policies);
	for (size_t i = 0; i < FOUND_PARTS; i++)
		json_decref(found->answers[i]);
	memset(found, 0, sizeof(*found));
}

/* In rows that are sorted by_name. */
static const void *
find(const void *rows, size_t count, size_t size, const char *name)
{
	return count == 0 ? NULL : bsearch(&name, rows, count, size, by_name);
}

const struct found_exchange *
found_exchange(const struct found *found, const char *name)
{
	return find(found->exchanges, found->exchange_count,
	    sizeof(*found->exchanges), name);
}

const struct found_queue *
found_queue(const struct found *found, const char *name)
{
	return find(found->queues, found->queue_count, sizeof(*found->queues),
	    name);
}

const struct found_policy *
found_policy(const struct found *found, const char *name)
{
	return find(found->policies, found->policy_count,
	    sizeof(*found->policies), name);
}

bool
found_has_binding(const struct found *found, const char *source,
    const char *destination, const char *key, bool to_queue)
{
	const struct found_binding wanted = {
		.source = source,
		.destination = destination,
		.key = key,
		.to_queue = to_queue,
	};

	return found->binding_count > 0 &&
	    bsearch(&wanted, found->bindings, found->binding_count,
		sizeof(wanted), by_ends) != NULL;
}

bool
found_has_stuck(const struct found *found)
{
	for (size_t i = 0; i < found->queue_count; i++) {
		if (found->queues[i].stuck > 0)
			return true;
	}
	return false;
}

void
found_settle(struct found *found, const struct found *later)
{
	for (size_t i = 0; i < found->queue_count; i++) {
		struct found_queue *queue = &found->queues[i];
		const struct found_queue *now = found_queue(later, queue->name);

		if (now == NULL)
			queue->stuck = 0;
		else if (now->counted && now->stuck < queue->stuck)
			queue->stuck = now->stuck;
	}
}

void
found_sort_bindings(struct found *found)
{
	qsort(found->bindings, found->binding_count, sizeof(*found->bindings),
	    by_ends);
}

bool
found_is_before(const struct found *found, unsigned major, unsigned minor)
{
	if (found->major == 0)
		return false;
	return found->major < major ||
	    (found->major == major && found->minor < minor);
}
