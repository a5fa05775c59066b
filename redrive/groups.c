/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/groups.h"

#include <stdlib.h>
#include <string.h>

#include "lib/xalloc.h"

/* Cut to the space that there is. */
static void
set_class(struct group *group, struct rmq_slice class)
{
	size_t len =
	    class.len < ENVELOPE_CLASS_MAX ? class.len : ENVELOPE_CLASS_MAX;

	if (len > 0)
		memcpy(group->class, class.ptr, len);
	group->class[len] = '\0';
}

/* FNV-1a. */
static uint32_t
add_hash(uint32_t hash, const char *text)
{
	for (; *text != '\0'; text++)
		hash = (hash ^ (uint8_t)*text) * UINT32_C(16777619);
	return hash;
}

static uint32_t
hash_of(const struct group *group)
{
	uint32_t hash = UINT32_C(2166136261) + group->reason;

	return add_hash(add_hash(hash, group->class), group->error);
}

static bool
is_same(const struct group *a, const struct group *b)
{
	return a->reason == b->reason && strcmp(a->class, b->class) == 0 &&
	    strcmp(a->error, b->error) == 0;
}

static void
count(struct group *group, int64_t since_ms)
{
	group->count++;
	if (since_ms <= 0)
		return;
	if (group->oldest_ms == 0 || since_ms < group->oldest_ms)
		group->oldest_ms = since_ms;
	if (since_ms > group->newest_ms)
		group->newest_ms = since_ms;
}

void
groups_add(struct groups *groups, const struct envelope *e)
{
	struct group key = { .reason = envelope_reason_of(e) };
	struct group_bucket *bucket;
	struct group *group;

	set_class(&key, e->class);
	fingerprint_of(key.error, e->error.ptr, e->error.len);
	bucket = &groups->buckets[hash_of(&key) % GROUPS_BUCKETS];
	SLIST_FOREACH(group, bucket, entry) {
		if (is_same(group, &key))
			break;
	}
	if (group == NULL && groups->count == GROUPS_MAX) {
		groups->others++;
		return;
	}
	if (group == NULL) {
		group = xcalloc(1, sizeof(*group));
		*group = key;
		SLIST_INSERT_HEAD(bucket, group, entry);
		groups->count++;
	}
	count(group, envelope_dead_since_ms(e));
}

static int
compare(const void *a, const void *b)
{
	const struct group *left = *(const struct group *const *)a;
	const struct group *right = *(const struct group *const *)b;
	int order;

	if (left->count != right->count)
		return left->count < right->count ? 1 : -1;
	if (left->reason != right->reason)
		return left->reason < right->reason ? -1 : 1;
	order = strcmp(left->class, right->class);
	return order != 0 ? order : strcmp(left->error, right->error);
}

const struct group **
groups_list(const struct groups *groups)
{
	const struct group **list, *group;
	size_t n = 0;

	if (groups->count == 0)
		return NULL;
	list = xcalloc(groups->count, sizeof(struct group *));
	for (size_t i = 0; i < GROUPS_BUCKETS; i++) {
		SLIST_FOREACH(group, &groups->buckets[i], entry)
			list[n++] = group;
	}
	qsort(list, n, sizeof(struct group *), compare);
	return list;
}

void
groups_clear(struct groups *groups)
{
	struct group *group;

	for (size_t i = 0; i < GROUPS_BUCKETS; i++) {
		while ((group = SLIST_FIRST(&groups->buckets[i])) != NULL) {
			SLIST_REMOVE_HEAD(&groups->buckets[i], entry);
			free(group);
		}
	}
	memset(groups, 0, sizeof(*groups));
}
