/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Exchanges, bindings and queues. A queue keeps its ready messages in the
 * order of their places; an unacked one is held by its channel (model_wire.c)
 * and comes back to its place. TTL acts at the head only.
 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/xalloc.h"
#include "tests/sim/model_internal.h"
#include "tests/sim/sim_loop.h"

/* After this long a stuck dead-lettering is tried again (3.10). */
#define UNSTICK_MS (180 * 1000)

struct model_binding {
	struct model_binding *next;
	char key[256], destination[256];
	bool to_queue, away;
};

struct model_exchange {
	struct model_exchange *next;
	char name[256], type[16];
	struct model_binding *bindings;
};

void
model_violation(struct model *model, const char *fmt, ...)
{
	char what[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	model->hooks->violation(model->arg, what);
}

/* Safe copies. */

static unsigned *
safe_slot(struct model *model, uint32_t lineage)
{
	size_t space = model->safe_space;

	if (lineage >= space) {
		while (lineage >= space)
			space = space == 0 ? 1024 : 2 * space;
		model->safe = xrealloc(model->safe, space * sizeof(unsigned));
		memset(model->safe + model->safe_space, 0,
		    (space - model->safe_space) * sizeof(unsigned));
		model->safe_space = space;
	}
	return &model->safe[lineage];
}

unsigned
model_safe_copies(const struct model *model, uint32_t lineage)
{
	return lineage < model->safe_space ? model->safe[lineage] : 0;
}

/* Messages. */

static int64_t
expiration_of(struct model *model, amqp_bytes_t raw)
{
	amqp_basic_properties_t *props;
	char digits[32];
	int64_t ms = -1;

	if (amqp_decode_properties(AMQP_BASIC_CLASS, &model->pool, raw,
		(void **)&props) < 0)
		return -1;
	if ((props->_flags & AMQP_BASIC_EXPIRATION_FLAG) &&
	    props->expiration.len < sizeof(digits)) {
		memcpy(digits, props->expiration.bytes, props->expiration.len);
		digits[props->expiration.len] = '\0';
		ms = strtoll(digits, NULL, 10);
	}
	recycle_amqp_pool(&model->pool);
	return ms;
}

struct model_message *
model_message_new(struct model *model, const char *exchange, const char *key,
    amqp_bytes_t props, amqp_bytes_t body, struct model_fate *fate)
{
	struct model_message *message = xcalloc(1, sizeof(*message));
	uint8_t id[4] = { 0 };

	message->refs = 1;
	message->fate = fate != NULL ? fate : xcalloc(1, sizeof(*fate));
	message->fate->refs++;
	snprintf(message->exchange, sizeof(message->exchange), "%s", exchange);
	snprintf(message->key, sizeof(message->key), "%s", key);
	buf_add(&message->props, props.bytes, props.len);
	buf_add(&message->body, body.bytes, body.len);
	/* What is too short has no lineage, nor has JSON: that is talk. */
	message->is_talk =
	    body.len > 0 && ((const uint8_t *)body.bytes)[0] == '{';
	message->is_copy = body.len >= 4 && !message->is_talk;
	if (message->is_copy)
		memcpy(id, body.bytes, 4);
	message->lineage = (uint32_t)id[0] << 24 | (uint32_t)id[1] << 16 |
	    (uint32_t)id[2] << 8 | id[3];
	message->expiration_ms = expiration_of(model, props);
	return message;
}

void
model_message_drop(struct model_message *message)
{
	if (--message->refs > 0)
		return;
	if (--message->fate->refs == 0)
		free(message->fate);
	buf_clear(&message->props);
	buf_clear(&message->body);
	free(message);
}

void
model_message_confirm(struct model *model, struct model_message *message)
{
	if (!message->fate->confirmed)
		*safe_slot(model, message->lineage) += message->fate->entries;
	message->fate->confirmed = true;
}

/* Entries. */

static void
entry_free(struct model_entry *entry)
{
	struct model *model = entry->queue->model;
	struct model_message *message = entry->message;

	model->talk -= message->is_talk;
	message->fate->entries--;
	if (message->fate->confirmed)
		--*safe_slot(model, message->lineage);
	model_message_drop(message);
	free(entry);
}

static void
queue_add(struct model_queue *queue, struct model_message *message)
{
	struct model_entry *entry = xcalloc(1, sizeof(*entry));
	int64_t ttl_ms = queue->ttl_ms;

	if (message->expiration_ms >= 0 &&
	    (ttl_ms < 0 || message->expiration_ms < ttl_ms))
		ttl_ms = message->expiration_ms;
	entry->message = message;
	entry->queue = queue;
	entry->place = queue->next_place++;
	entry->due_us = ttl_ms < 0
	    ? INT64_MAX
	    : loop_now_us(queue->model->loop) + ttl_ms * 1000;
	queue->model->talk += message->is_talk;
	message->refs++;
	message->fate->entries++;
	if (message->fate->confirmed)
		++*safe_slot(queue->model, message->lineage);
	TAILQ_INSERT_TAIL(&queue->ready, entry, link);
	queue->ready_count++;
}

/* How long it has been in alarm in all. */
static int64_t
alarm_us(const struct model *model)
{
	return model->alarm_us +
	    (model->alarm_since_us != 0
		    ? loop_now_us(model->loop) - model->alarm_since_us
		    : 0);
}

/* A consumer lets go of it, in one way or the other. */
static void
check_hold(const struct model_entry *entry)
{
	struct model *model = entry->queue->model;
	int64_t held_us = loop_now_us(model->loop) - entry->taken_us;

	/* Who publishes and acks on one connection can do neither then. */
	if (entry->message->is_talk)
		held_us -= alarm_us(model) - entry->alarm_us;
	if (model->hold_max_us != 0 && held_us > model->hold_max_us)
		model_violation(model,
		    "message %u of %s was unacked for %lld s",
		    entry->message->lineage, entry->queue->name,
		    (long long)held_us / 1000000);
}

static void
entry_delete(struct model_entry *entry)
{
	struct model *model = entry->queue->model;
	uint32_t lineage = entry->message->lineage;

	entry_free(entry);
	if (model->hooks->deleted != NULL)
		model->hooks->deleted(model->arg, lineage);
}

static bool
is_before(const struct model_entry *a, const struct model_entry *b)
{
	return a->in_line != b->in_line ? a->in_line : a->place < b->place;
}

void
model_entry_requeue(struct model_entry *entry)
{
	struct model_queue *queue = entry->queue;
	struct model_entry *other;

	check_hold(entry);
	entry->holder = NULL;
	entry->redelivered = true;
	entry->returns++;
	queue->unacked_count--;
	if (queue->stream) {
		entry_free(entry);
		return;
	}
	if (queue->deleted) {
		entry_delete(entry);
		return;
	}
	queue->ready_count++;
	if (queue->model->return_late_us > 0) {
		entry->in_line = true;
		entry->place = queue->next_in_line++;
	}
	TAILQ_FOREACH(other, &queue->ready, link) {
		if (is_before(entry, other)) {
			TAILQ_INSERT_BEFORE(other, entry, link);
			return;
		}
	}
	TAILQ_INSERT_TAIL(&queue->ready, entry, link);
}

void
model_entry_ack(struct model_entry *entry)
{
	struct model_queue *queue = entry->queue;
	struct model *model = queue->model;
	uint32_t lineage = entry->message->lineage;
	bool is_copy = entry->message->is_copy;

	check_hold(entry);
	queue->unacked_count--;
	entry_free(entry);
	if (is_copy)
		model->hooks->acked(model->arg, lineage, queue->name,
		    model_safe_copies(model, lineage));
}

/* Dead-lettering. */

static void
table_text(amqp_table_entry_t *entry, const char *key, const char *value)
{
	entry->key = amqp_cstring_bytes(key);
	entry->value.kind = AMQP_FIELD_KIND_UTF8;
	entry->value.value.bytes = amqp_cstring_bytes(value);
}

/* True if the x-death array says that it was in `queue` and expired there. */
static bool
died_in(const amqp_array_t *deaths, const char *queue)
{
	int i, j;

	for (i = 0; i < deaths->num_entries; i++) {
		const amqp_table_t *death = &deaths->entries[i].value.table;

		if (deaths->entries[i].kind != AMQP_FIELD_KIND_TABLE)
			continue;
		for (j = 0; j < death->num_entries; j++) {
			const amqp_table_entry_t *pair = &death->entries[j];

			if (pair->key.len == 5 &&
			    memcmp(pair->key.bytes, "queue", 5) == 0 &&
			    pair->value.value.bytes.len == strlen(queue) &&
			    memcmp(pair->value.value.bytes.bytes, queue,
				strlen(queue)) == 0)
				return true;
		}
	}
	return false;
}

/*
 * The copy that dead-lettering publishes: x-death gets this death in front,
 * the expiration goes. Sets *cycle when the message was here before.
 */
static struct model_message *
dead_copy(struct model_queue *queue, const struct model_message *message,
    bool *cycle)
{
	struct model *model = queue->model;
	amqp_bytes_t raw = { message->props.len, buf_peek(&message->props) };
	amqp_basic_properties_t *props;
	amqp_field_value_t deaths[65];
	amqp_table_entry_t death[5], headers[257];
	amqp_array_t old = { 0 };
	struct model_message *copy;
	static uint8_t wire[2 * 131072];
	amqp_bytes_t out = { sizeof(wire), wire };
	int i, count = 0, len;

	if (amqp_decode_properties(AMQP_BASIC_CLASS, &model->pool, raw,
		(void **)&props) < 0)
		abort();
	for (i = 0; (props->_flags & AMQP_BASIC_HEADERS_FLAG) &&
	     i < props->headers.num_entries;
	     i++) {
		amqp_table_entry_t *header = &props->headers.entries[i];

		if (header->key.len == 7 &&
		    memcmp(header->key.bytes, "x-death", 7) == 0 &&
		    header->value.kind == AMQP_FIELD_KIND_ARRAY)
			old = header->value.value.array;
		else
			headers[++count] = *header;
		assert(count < 256);
	}
	*cycle = died_in(&old, queue->name);
	death[0].key = amqp_cstring_bytes("count");
	death[0].value.kind = AMQP_FIELD_KIND_I64;
	death[0].value.value.i64 = 1;
	table_text(&death[1], "reason", "expired");
	table_text(&death[2], "queue", queue->name);
	death[3].key = amqp_cstring_bytes("time");
	death[3].value.kind = AMQP_FIELD_KIND_TIMESTAMP;
	death[3].value.value.u64 = (uint64_t)loop_wall_ms(model->loop) / 1000;
	table_text(&death[4], "exchange", message->exchange);
	deaths[0].kind = AMQP_FIELD_KIND_TABLE;
	deaths[0].value.table.num_entries = 5;
	deaths[0].value.table.entries = death;
	for (i = 0; i < old.num_entries && i < 64; i++)
		deaths[i + 1] = old.entries[i];
	headers[0].key = amqp_cstring_bytes("x-death");
	headers[0].value.kind = AMQP_FIELD_KIND_ARRAY;
	headers[0].value.value.array.num_entries = i + 1;
	headers[0].value.value.array.entries = deaths;
	props->headers.num_entries = count + 1;
	props->headers.entries = headers;
	props->_flags |= AMQP_BASIC_HEADERS_FLAG;
	props->_flags &= ~(amqp_flags_t)AMQP_BASIC_EXPIRATION_FLAG;
	len = amqp_encode_properties(AMQP_BASIC_CLASS, props, out);
	if (len < 0)
		abort();
	out.len = (size_t)len;
	raw.len = message->body.len;
	raw.bytes = buf_peek(&message->body);
	copy = model_message_new(model, queue->dlx,
	    queue->has_dlk ? queue->dlk : message->key, out, raw,
	    message->fate);
	recycle_amqp_pool(&model->pool);
	return copy;
}

/* False: it must stay where it is. */
static bool
dead_letter(struct model_queue *queue, struct model_message *message)
{
	struct model *model = queue->model;
	struct model_message *copy;
	struct model_route route;
	bool cycle, taken;

	if (!queue->has_dlx)
		return true;
	copy = dead_copy(queue, message, &cycle);
	if (cycle)
		model_violation(model,
		    "message %u expired in %s twice "
		    "without a new publish: a cycle",
		    message->lineage, queue->name);
	taken = model_route(model, copy, &route) && route.count > 0 &&
	    model_enqueue(model, &route, copy);
	model_message_drop(copy);
	return taken || !queue->at_least_once;
}

static void
queue_unstick(void *arg)
{
	struct model_queue *queue = arg;
	struct model_entry *entry, *next;

	for (entry = TAILQ_FIRST(&queue->stuck); entry != NULL; entry = next) {
		next = TAILQ_NEXT(entry, link);
		if (!dead_letter(queue, entry->message))
			continue;
		TAILQ_REMOVE(&queue->stuck, entry, link);
		queue->stuck_count--;
		entry_free(entry);
	}
	if (queue->stuck_count > 0)
		loop_timer_start(queue->model->loop, queue->unstick,
		    UNSTICK_MS);
}

static void
queue_expire(void *arg)
{
	struct model_queue *queue = arg;
	struct loop *loop = queue->model->loop;
	struct model_entry *entry;

	while ((entry = TAILQ_FIRST(&queue->ready)) != NULL &&
	    entry->due_us <= loop_now_us(loop)) {
		TAILQ_REMOVE(&queue->ready, entry, link);
		queue->ready_count--;
		if (dead_letter(queue, entry->message)) {
			entry_free(entry);
			continue;
		}
		TAILQ_INSERT_TAIL(&queue->stuck, entry, link);
		queue->stuck_count++;
		if (!loop_timer_pending(loop, queue->unstick))
			loop_timer_start(loop, queue->unstick, UNSTICK_MS);
	}
	if (entry != NULL && entry->due_us != INT64_MAX)
		loop_timer_start_us(loop, queue->expiry,
		    entry->due_us - loop_now_us(loop));
}

/* A copy of each message that a consumer has not had, as far as it has room. */
static void
stream_pump(struct model_queue *queue)
{
	struct model_consumer *consumer;
	struct model_entry *entry, *copy;

	TAILQ_FOREACH(consumer, &queue->consumers, of_queue) {
		TAILQ_FOREACH(entry, &queue->ready, link) {
			if (entry->place < consumer->next_place)
				continue;
			if (consumer->unacked == consumer->prefetch)
				break;
			copy = xcalloc(1, sizeof(*copy));
			copy->message = entry->message;
			copy->queue = queue;
			queue->model->talk += copy->message->is_talk;
			copy->message->refs++;
			copy->message->fate->entries++;
			copy->taken_us = loop_now_us(queue->model->loop);
			copy->alarm_us = alarm_us(queue->model);
			consumer->next_place = entry->place + 1;
			consumer->unacked++;
			queue->unacked_count++;
			model_wire_deliver(consumer, copy);
		}
	}
}

void
model_queue_pump(struct model_queue *queue)
{
	struct model_consumer *consumer;
	struct model_entry *entry;

	if (queue->stream) {
		stream_pump(queue);
		return;
	}
	queue_expire(queue);
	while ((entry = TAILQ_FIRST(&queue->ready)) != NULL) {
		TAILQ_FOREACH(consumer, &queue->consumers, of_queue) {
			if (consumer->unacked < consumer->prefetch)
				break;
			if (queue->single_active)
				return;
		}
		if (consumer == NULL)
			return;
		entry->taken_us = loop_now_us(queue->model->loop);
		entry->alarm_us = alarm_us(queue->model);
		/* Fair: the one that was served goes to the end. */
		if (!queue->single_active) {
			TAILQ_REMOVE(&queue->consumers, consumer, of_queue);
			TAILQ_INSERT_TAIL(&queue->consumers, consumer,
			    of_queue);
		}
		TAILQ_REMOVE(&queue->ready, entry, link);
		queue->ready_count--;
		queue->unacked_count++;
		consumer->unacked++;
		model_wire_deliver(consumer, entry);
		queue_expire(queue);
	}
}

/* Exchanges. */

static struct model_exchange *
exchange_find(const struct model *model, const char *name)
{
	struct model_exchange *exchange;

	for (exchange = model->exchanges; exchange != NULL;
	     exchange = exchange->next)
		if (strcmp(exchange->name, name) == 0)
			return exchange;
	return NULL;
}

bool
model_exchange_exists(const struct model *model, const char *name)
{
	return name[0] == '\0' || exchange_find(model, name) != NULL;
}

bool
model_exchange_declare(struct model *model, const char *name, const char *type)
{
	struct model_exchange *exchange = exchange_find(model, name);

	if (exchange != NULL)
		return strcmp(exchange->type, type) == 0;
	exchange = xcalloc(1, sizeof(*exchange));
	snprintf(exchange->name, sizeof(exchange->name), "%s", name);
	snprintf(exchange->type, sizeof(exchange->type), "%s", type);
	exchange->next = model->exchanges;
	model->exchanges = exchange;
	return true;
}

bool
model_bind(struct model *model, const char *source, const char *destination,
    bool to_queue, const char *key)
{
	struct model_exchange *exchange = exchange_find(model, source);
	struct model_binding *binding;

	if (exchange == NULL ||
	    (to_queue ? model_queue_find(model, destination) == NULL
		      : !model_exchange_exists(model, destination)))
		return false;
	for (binding = exchange->bindings; binding != NULL;
	     binding = binding->next)
		if (binding->to_queue == to_queue &&
		    strcmp(binding->destination, destination) == 0 &&
		    strcmp(binding->key, key) == 0)
			return true;
	binding = xcalloc(1, sizeof(*binding));
	snprintf(binding->key, sizeof(binding->key), "%s", key);
	snprintf(binding->destination, sizeof(binding->destination), "%s",
	    destination);
	binding->to_queue = to_queue;
	binding->next = exchange->bindings;
	exchange->bindings = binding;
	return true;
}

void
model_unbind(struct model *model, const char *name, bool away)
{
	struct model_exchange *exchange = exchange_find(model, name);
	struct model_binding *binding;

	for (binding = exchange == NULL ? NULL : exchange->bindings;
	     binding != NULL; binding = binding->next)
		binding->away = away;
}

/* Topic matching: words by dots, * for one, # for any number. */
static bool
topic_matches(const char *pattern, const char *key)
{
	size_t word = strcspn(pattern, "."), part = strcspn(key, ".");
	const char *rest = pattern + word + (pattern[word] == '.');

	if (pattern[0] == '\0')
		return key[0] == '\0';
	if (word == 1 && pattern[0] == '#') {
		if (rest[0] == '\0' || topic_matches(rest, key))
			return true;
		return key[0] != '\0' &&
		    topic_matches(pattern, key + part + (key[part] == '.'));
	}
	if (key[0] == '\0' ||
	    (!(word == 1 && pattern[0] == '*') &&
		(word != part || strncmp(pattern, key, word) != 0)))
		return false;
	if (key[part] == '.' && rest[0] == '\0' && pattern[word] != '.')
		return false;
	return topic_matches(rest, key + part + (key[part] == '.'));
}

static bool
binding_matches(const struct model_exchange *exchange,
    const struct model_binding *binding, const char *key)
{
	if (binding->away)
		return false;
	if (strcmp(exchange->type, "fanout") == 0)
		return true;
	if (strcmp(exchange->type, "direct") == 0)
		return strcmp(binding->key, key) == 0;
	return topic_matches(binding->key, key);
}

static void
route_add(struct model_route *route, struct model_queue *queue)
{
	size_t i;

	for (i = 0; i < route->count; i++)
		if (route->queue[i] == queue)
			return;
	assert(route->count < 64);
	route->queue[route->count++] = queue;
}

static void
route_exchange(struct model *model, const struct model_exchange *exchange,
    const char *key, struct model_route *route)
{
	const struct model_binding *binding;

	for (binding = exchange->bindings; binding != NULL;
	     binding = binding->next) {
		if (!binding_matches(exchange, binding, key))
			continue;
		if (binding->to_queue)
			route_add(route,
			    model_queue_find(model, binding->destination));
		else
			route_exchange(model,
			    exchange_find(model, binding->destination), key,
			    route);
	}
}

bool
model_route(struct model *model, const struct model_message *message,
    struct model_route *route)
{
	struct model_exchange *exchange;
	struct model_queue *queue;

	route->count = 0;
	if (message->exchange[0] == '\0') {
		queue = model_queue_find(model, message->key);
		if (queue != NULL)
			route_add(route, queue);
		return true;
	}
	exchange = exchange_find(model, message->exchange);
	if (exchange == NULL)
		return false;
	route_exchange(model, exchange, message->key, route);
	return true;
}

bool
model_enqueue(struct model *model, const struct model_route *route,
    struct model_message *message)
{
	struct model_queue *queue;
	size_t i;

	(void)model;
	for (i = 0; i < route->count; i++) {
		queue = route->queue[i];
		if (queue->max_length >= 0 && queue->reject_publish &&
		    (int64_t)queue->ready_count >= queue->max_length)
			return false;
	}
	for (i = 0; i < route->count; i++)
		queue_add(route->queue[i], message);
	for (i = 0; i < route->count; i++)
		model_queue_pump(route->queue[i]);
	return true;
}

/* Queues. */

struct model_queue *
model_queue_find(const struct model *model, const char *name)
{
	struct model_queue *queue;

	TAILQ_FOREACH(queue, &model->queues, link)
		if (strcmp(queue->name, name) == 0)
			return queue;
	return NULL;
}

static int64_t
field_int(const amqp_field_value_t *value)
{
	return value->kind == AMQP_FIELD_KIND_I64 ? value->value.i64
	    : value->kind == AMQP_FIELD_KIND_I32  ? value->value.i32
						  : -1;
}

static void
field_text(const amqp_field_value_t *value, char *text, size_t space)
{
	snprintf(text, space, "%.*s", (int)value->value.bytes.len,
	    (const char *)value->value.bytes.bytes);
}

static void
queue_argument(struct model_queue *queue, const amqp_table_entry_t *arg)
{
	char key[256], text[256];

	snprintf(key, sizeof(key), "%.*s", (int)arg->key.len,
	    (const char *)arg->key.bytes);
	if (strcmp(key, "x-message-ttl") == 0)
		queue->ttl_ms = field_int(&arg->value);
	else if (strcmp(key, "x-max-length") == 0)
		queue->max_length = field_int(&arg->value);
	else if (strcmp(key, "x-single-active-consumer") == 0)
		queue->single_active = arg->value.value.boolean;
	if (arg->value.kind != AMQP_FIELD_KIND_UTF8)
		return;
	field_text(&arg->value, text, sizeof(text));
	if (strcmp(key, "x-queue-type") == 0) {
		queue->stream = strcmp(text, "stream") == 0;
	} else if (strcmp(key, "x-dead-letter-exchange") == 0) {
		queue->has_dlx = true;
		snprintf(queue->dlx, sizeof(queue->dlx), "%s", text);
	} else if (strcmp(key, "x-dead-letter-routing-key") == 0) {
		queue->has_dlk = true;
		snprintf(queue->dlk, sizeof(queue->dlk), "%s", text);
	} else if (strcmp(key, "x-dead-letter-strategy") == 0) {
		queue->at_least_once = strcmp(text, "at-least-once") == 0;
	} else if (strcmp(key, "x-overflow") == 0) {
		queue->reject_publish = strcmp(text, "reject-publish") == 0;
	}
}

bool
model_queue_declare(struct model *model, const char *name,
    const amqp_table_t *args)
{
	struct model_queue *old = model_queue_find(model, name);
	struct model_queue *queue = xcalloc(1, sizeof(*queue));
	bool same;
	int i;

	queue->model = model;
	queue->ttl_ms = queue->max_length = -1;
	snprintf(queue->name, sizeof(queue->name), "%s", name);
	for (i = 0; args != NULL && i < args->num_entries; i++)
		queue_argument(queue, &args->entries[i]);
	/* 3.10 falls back in silence. */
	queue->at_least_once = queue->at_least_once && queue->reject_publish;
	if (old != NULL) {
		same = old->ttl_ms == queue->ttl_ms &&
		    old->max_length == queue->max_length &&
		    old->at_least_once == queue->at_least_once &&
		    strcmp(old->dlx, queue->dlx) == 0 &&
		    strcmp(old->dlk, queue->dlk) == 0;
		free(queue);
		return same;
	}
	TAILQ_INIT(&queue->ready);
	TAILQ_INIT(&queue->stuck);
	TAILQ_INIT(&queue->consumers);
	queue->expiry = loop_timer_new(model->loop, queue_expire, queue);
	queue->unstick = loop_timer_new(model->loop, queue_unstick, queue);
	TAILQ_INSERT_TAIL(&model->queues, queue, link);
	return true;
}

static void
entries_clear(struct model_entries *entries)
{
	struct model_entry *entry;

	while ((entry = TAILQ_FIRST(entries)) != NULL) {
		TAILQ_REMOVE(entries, entry, link);
		entry_free(entry);
	}
}

static void
queue_free(struct model_queue *queue, struct model_queues *from)
{
	struct loop *loop = queue->model->loop;

	entries_clear(&queue->ready);
	entries_clear(&queue->stuck);
	loop_timer_free(loop, queue->expiry);
	loop_timer_free(loop, queue->unstick);
	TAILQ_REMOVE(from, queue, link);
	free(queue);
}

static void
entries_delete(struct model_entries *entries)
{
	struct model_entry *entry;

	while ((entry = TAILQ_FIRST(entries)) != NULL) {
		TAILQ_REMOVE(entries, entry, link);
		entry_delete(entry);
	}
}

/* All bindings to it, wherever they are. */
static void
unbind_destination(struct model *model, const char *name, bool is_queue)
{
	struct model_exchange *exchange;
	struct model_binding **at, *binding;

	for (exchange = model->exchanges; exchange != NULL;
	     exchange = exchange->next) {
		for (at = &exchange->bindings; (binding = *at) != NULL;) {
			if (binding->to_queue != is_queue ||
			    strcmp(binding->destination, name) != 0) {
				at = &binding->next;
				continue;
			}
			*at = binding->next;
			free(binding);
		}
	}
}

/* Those deleted of which nothing is unacked any more. */
static void
forget_deleted(struct model *model)
{
	struct model_queue *queue = TAILQ_FIRST(&model->deleted), *next;

	for (; queue != NULL; queue = next) {
		next = TAILQ_NEXT(queue, link);
		if (queue->unacked_count == 0)
			queue_free(queue, &model->deleted);
	}
}

void
model_delete_queue(struct model *model, const char *name)
{
	struct model_queue *queue = model_queue_find(model, name);

	if (queue == NULL)
		return;
	forget_deleted(model);
	unbind_destination(model, name, true);
	TAILQ_REMOVE(&model->queues, queue, link);
	TAILQ_INSERT_TAIL(&model->deleted, queue, link);
	queue->deleted = true;
	while (!TAILQ_EMPTY(&queue->consumers))
		model_wire_cancel(TAILQ_FIRST(&queue->consumers));
	entries_delete(&queue->ready);
	entries_delete(&queue->stuck);
	queue->ready_count = queue->stuck_count = 0;
	loop_timer_stop(model->loop, queue->expiry);
	loop_timer_stop(model->loop, queue->unstick);
}

static void
exchange_free(struct model_exchange *exchange)
{
	struct model_binding *binding;

	while ((binding = exchange->bindings) != NULL) {
		exchange->bindings = binding->next;
		free(binding);
	}
	free(exchange);
}

void
model_delete_exchange(struct model *model, const char *name)
{
	struct model_exchange **at = &model->exchanges, *exchange;

	while ((exchange = *at) != NULL && strcmp(exchange->name, name) != 0)
		at = &exchange->next;
	if (exchange == NULL)
		return;
	*at = exchange->next;
	exchange_free(exchange);
	unbind_destination(model, name, false);
}

/* The outside. */

struct model *
model_new(struct loop *loop, const struct model_hooks *hooks, void *arg)
{
	struct model *model = xcalloc(1, sizeof(*model));

	model->loop = loop;
	model->hooks = hooks;
	model->arg = arg;
	TAILQ_INIT(&model->queues);
	TAILQ_INIT(&model->deleted);
	init_amqp_pool(&model->pool, 8192);
	model->wire = model_wire_new(model);
	return model;
}

void
model_free(struct model *model)
{
	struct model_exchange *exchange;

	model_wire_free(model->wire);
	while (!TAILQ_EMPTY(&model->queues))
		queue_free(TAILQ_FIRST(&model->queues), &model->queues);
	while (!TAILQ_EMPTY(&model->deleted))
		queue_free(TAILQ_FIRST(&model->deleted), &model->deleted);
	while ((exchange = model->exchanges) != NULL) {
		model->exchanges = exchange->next;
		exchange_free(exchange);
	}
	empty_amqp_pool(&model->pool);
	free(model->safe);
	free(model);
}

void
model_set_trouble(struct model *model, const struct model_trouble *trouble)
{
	model->trouble = *trouble;
}

/* librabbitmq takes bytes without const and only reads them. */
static amqp_bytes_t
bytes_of(const void *bytes, size_t len)
{
	amqp_bytes_t out = { .len = len };

	memcpy(&out.bytes, &bytes, sizeof(out.bytes));
	return out;
}

bool
model_publish_raw(struct model *model, const char *queue, const void *body,
    size_t len, const void *props, size_t props_len)
{
	struct model_message *message;
	struct model_route route;

	if (model_queue_find(model, queue) == NULL)
		return false;
	message = model_message_new(model, "", queue,
	    bytes_of(props, props_len), bytes_of(body, len), NULL);
	model_message_confirm(model, message);
	(void)model_route(model, message, &route);
	assert(route.count == 1);
	(void)model_enqueue(model, &route, message);
	model_message_drop(message);
	return true;
}

bool
model_publish(struct model *model, const char *queue, const void *body,
    size_t len, const char *message_id, int64_t expiration_ms)
{
	amqp_basic_properties_t props = { 0 };
	uint8_t wire[1024];
	amqp_bytes_t out = { sizeof(wire), wire };
	char digits[24];

	props._flags =
	    AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG;
	props.message_id = amqp_cstring_bytes(message_id);
	props.delivery_mode = 2;
	if (expiration_ms > 0) {
		snprintf(digits, sizeof(digits), "%lld",
		    (long long)expiration_ms);
		props._flags |= AMQP_BASIC_EXPIRATION_FLAG;
		props.expiration = amqp_cstring_bytes(digits);
	}
	out.len = (size_t)amqp_encode_properties(AMQP_BASIC_CLASS, &props, out);
	return model_publish_raw(model, queue, body, len, wire, out.len);
}

void
model_restart(struct model *model)
{
	struct model_queue *queue;

	model_wire_drop_all(model->wire);
	TAILQ_FOREACH(queue, &model->queues, link)
		model_queue_pump(queue);
}

void
model_cancel_consumers(struct model *model, const char *name)
{
	struct model_queue *queue = model_queue_find(model, name);

	while (queue != NULL && !TAILQ_EMPTY(&queue->consumers))
		model_wire_cancel(TAILQ_FIRST(&queue->consumers));
}

void
model_age(struct model *model, const char *name, unsigned times)
{
	struct model_queue *queue = model_queue_find(model, name);
	struct model_entry *entry;

	if (queue == NULL || times == 0)
		return;
	TAILQ_FOREACH(entry, &queue->ready, link) {
		if (entry->message->exchange[0] != '\0')
			continue;
		entry->returns += times;
		entry->redelivered = true;
	}
}

void
model_close_a_channel(struct model *model)
{
	model_wire_close_a_channel(model->wire);
}

void
model_block(struct model *model, bool on)
{
	model->alarm_us = alarm_us(model);
	model->alarm_since_us = on ? loop_now_us(model->loop) : 0;
	model_wire_block(model->wire, on);
}

void
model_flow(struct model *model, bool active)
{
	model_wire_flow(model->wire, active);
}

void
model_return_late(struct model *model, int64_t max_ms)
{
	model->return_late_us = max_ms * 1000;
}

void
model_hide_counts(struct model *model, bool on)
{
	model->hides_counts = on;
}

void
model_set_hold_max(struct model *model, int64_t ms)
{
	model->hold_max_us = ms * 1000;
}

const struct model_load *
model_load(const struct model *model)
{
	return &model->load;
}

bool
model_is_alone(const struct model *model)
{
	return model_wire_is_alone(model->wire);
}

size_t
model_depth(const struct model *model, const char *name)
{
	const struct model_queue *queue = model_queue_find(model, name);

	return queue == NULL
	    ? 0
	    : queue->ready_count + queue->unacked_count + queue->stuck_count;
}

size_t
model_total(const struct model *model)
{
	const struct model_queue *queue;
	size_t total = 0;

	TAILQ_FOREACH(queue, &model->queues, link)
		total += model_depth(model, queue->name);
	return total - model->talk;
}

void
model_each(const struct model *model, const char *name,
    void (*cb)(void *arg, const struct model_sight *), void *arg)
{
	const struct model_queue *queue = model_queue_find(model, name);
	const struct model_entry *entry;

	if (queue == NULL)
		return;
	TAILQ_FOREACH(entry, &queue->ready, link) {
		const struct model_message *message = entry->message;
		const struct model_sight sight = { message->lineage, name,
			buf_peek(&message->props), message->props.len,
			entry->returns };

		cb(arg, &sight);
	}
}
