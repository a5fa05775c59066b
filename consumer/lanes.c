/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "consumer/lanes.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "amqp/props.h"
#include "lib/xalloc.h"

#define BUCKETS_MAX 65536

/* FNV-1a, 64 bits. */
#define HASH_BASIS UINT64_C(0xcbf29ce484222325)
#define HASH_PRIME UINT64_C(0x100000001b3)

struct lane {
	LIST_ENTRY(lane) link; /* in its bucket, or spare */
	TAILQ_HEAD(lane_members, lane_member) members; /* never empty */
};

static struct lane_key
text_key(struct rmq_slice bytes)
{
	return (struct lane_key){ 'S', 0, bytes };
}

/*
 * One number is one key, whatever integer type its sender chose, and one text
 * is, be it a string or bytes: two lanes too many would lose the order, one
 * too few only costs time.
 */
static struct lane_key
header_key(const struct envelope *e, const char *name)
{
	const struct lane_key none = { 0 };
	struct rmq_header header;
	int64_t number;

	if (!rmq_table_find(e->props.value[RMQ_PROP_HEADERS], name, &header))
		return none;
	if (rmq_header_int(&header, &number))
		return (struct lane_key){ 'l', number, { NULL, 0 } };
	switch (header.type) {
	case 'S':
	case 'x':
		return text_key(header.value);
	case 'A':
	case 'F':
	case 'V':
		return none;
	default:
		return (struct lane_key){ header.type, 0, header.value };
	}
}

struct lane_key
lane_key_of(const struct conf_pipeline *pipeline, const struct envelope *e)
{
	switch (pipeline->order) {
	case CONF_ORDER_HEADER:
		return header_key(e, pipeline->order_header);
	case CONF_ORDER_ROUTING_KEY:
		return text_key(e->routing_key);
	case CONF_ORDER_NONE:
	case CONF_ORDER_STRICT:
		break;
	}
	return (struct lane_key){ 0 };
}

void
lanes_init(struct lanes *lanes, unsigned members, uint64_t seed)
{
	unsigned i, count = 1;

	while (count < members && count < BUCKETS_MAX)
		count *= 2;
	*lanes = (struct lanes){
		.buckets = xcalloc(count, sizeof(*lanes->buckets)),
		.bucket_count = count,
		.seed = seed,
	};
	for (i = 0; i < count; i++)
		LIST_INIT(&lanes->buckets[i]);
	LIST_INIT(&lanes->spare);
}

void
lanes_clear(struct lanes *lanes)
{
	struct lane *lane;
	unsigned i;

	for (i = 0; i < lanes->bucket_count; i++)
		assert(LIST_EMPTY(&lanes->buckets[i]));
	while ((lane = LIST_FIRST(&lanes->spare)) != NULL) {
		LIST_REMOVE(lane, link);
		free(lane);
	}
	free(lanes->buckets);
	*lanes = (struct lanes){ 0 };
}

static uint64_t
hash_bytes(uint64_t hash, const void *bytes, size_t len)
{
	const uint8_t *at = bytes, *end = at + len;

	while (at < end)
		hash = (hash ^ *at++) * HASH_PRIME;
	return hash;
}

static struct lane_list *
bucket_of(const struct lanes *lanes, const struct lane_key *key)
{
	uint64_t hash = HASH_BASIS ^ lanes->seed;

	hash = hash_bytes(hash, &key->type, sizeof(key->type));
	hash = hash_bytes(hash, &key->number, sizeof(key->number));
	if (key->bytes.len > 0)
		hash = hash_bytes(hash, key->bytes.ptr, key->bytes.len);
	return &lanes->buckets[(hash ^ hash >> 32) & (lanes->bucket_count - 1)];
}

static bool
is_same(const struct lane_key *a, const struct lane_key *b)
{
	return a->type == b->type && a->number == b->number &&
	    a->bytes.len == b->bytes.len &&
	    (a->bytes.len == 0 ||
		memcmp(a->bytes.ptr, b->bytes.ptr, a->bytes.len) == 0);
}

static struct lane *
take_spare(struct lanes *lanes)
{
	struct lane *lane = LIST_FIRST(&lanes->spare);

	if (lane == NULL)
		lane = xcalloc(1, sizeof(*lane));
	else
		LIST_REMOVE(lane, link);
	TAILQ_INIT(&lane->members);
	return lane;
}

bool
lanes_join(struct lanes *lanes, struct lane_member *member,
    const struct lane_key *key)
{
	struct lane_list *bucket = bucket_of(lanes, key);
	struct lane *lane;

	LIST_FOREACH(lane, bucket, link)
		if (is_same(&TAILQ_FIRST(&lane->members)->key, key))
			break;
	if (lane == NULL) {
		lane = take_spare(lanes);
		LIST_INSERT_HEAD(bucket, lane, link);
	}
	member->key = *key;
	member->lane = lane;
	TAILQ_INSERT_TAIL(&lane->members, member, link);
	return TAILQ_FIRST(&lane->members) == member;
}

struct lane_member *
lanes_leave(struct lanes *lanes, struct lane_member *member)
{
	struct lane *lane = member->lane;
	bool first = TAILQ_FIRST(&lane->members) == member;

	TAILQ_REMOVE(&lane->members, member, link);
	member->lane = NULL;
	if (TAILQ_EMPTY(&lane->members)) {
		LIST_REMOVE(lane, link);
		LIST_INSERT_HEAD(&lanes->spare, lane, link);
		return NULL;
	}
	return first ? TAILQ_FIRST(&lane->members) : NULL;
}

struct lane_member *
lane_first(const struct lane_member *member)
{
	return TAILQ_FIRST(&member->lane->members);
}
