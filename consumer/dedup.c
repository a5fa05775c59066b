/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "consumer/dedup.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/digest.h"
#include "lib/xalloc.h"

struct finished {
	LIST_ENTRY(finished) link; /* in its bucket */
	uint8_t digest[DIGEST_BYTES];
};

LIST_HEAD(bucket, finished);

struct dedup {
	struct digest *digest;
	/* So that nobody can write messages that meet in one bucket. */
	uint64_t salt;
	struct finished *ring; /* of `kept`; the oldest goes first */
	size_t kept, count, next;
	struct bucket *buckets;
	size_t mask; /* their number less one, a power of two */
};

struct dedup *
dedup_new(struct loop *loop, size_t kept)
{
	struct dedup *dedup = xcalloc(1, sizeof(*dedup));
	size_t buckets = 1;

	while (buckets < kept)
		buckets *= 2;
	dedup->digest = digest_new();
	dedup->salt = loop_random(loop);
	dedup->ring = xcalloc(kept, sizeof(*dedup->ring));
	dedup->kept = kept;
	dedup->buckets = xcalloc(buckets, sizeof(*dedup->buckets));
	dedup->mask = buckets - 1;
	return dedup;
}

void
dedup_free(struct dedup *dedup)
{
	if (dedup == NULL)
		return;
	digest_free(dedup->digest);
	free(dedup->ring);
	free(dedup->buckets);
	free(dedup);
}

static void
add(struct digest *digest, struct rmq_slice slice)
{
	digest_add(digest, slice.ptr, slice.len);
}

/* Ours, and the broker's: x-delivery-count is another each time. */
static bool
is_passing(struct rmq_slice name)
{
	return (name.len >= 2 && memcmp(name.ptr, "x-", 2) == 0) ||
	    (name.len >= 4 && memcmp(name.ptr, "dlo-", 4) == 0);
}

/* All that the publisher said beside the body. */
static void
add_props(struct digest *digest, const struct rmq_props *props)
{
	struct rmq_slice headers = props->value[RMQ_PROP_HEADERS];
	struct rmq_header header;

	for (int i = 0; i < RMQ_PROP_COUNT; i++) {
		/* A redelivery can be the first to have any. */
		if (i == RMQ_PROP_HEADERS)
			continue;
		digest_add(digest, &props->has[i], sizeof(props->has[i]));
		add(digest, props->value[i]);
	}
	while (rmq_table_next(&headers, &header) == 1)
		if (!is_passing(header.name))
			add(digest, header.raw);
}

/* -1: it is not to be known. */
static int
take_digest(struct dedup *dedup, const struct envelope *e,
    struct rmq_slice body, uint8_t out[DIGEST_BYTES])
{
	struct digest *digest = dedup->digest;

	if (e->verdict != RMQ_PROPS_OK ||
	    e->props.value[RMQ_PROP_MESSAGE_ID].len == 0)
		return -1;
	digest_start(digest);
	digest_add(digest, &dedup->salt, sizeof(dedup->salt));
	add(digest, e->id);
	digest_add(digest, &e->redrives, sizeof(e->redrives));
	add(digest, e->exchange);
	add(digest, e->routing_key);
	add_props(digest, &e->props);
	add(digest, body);
	return digest_end(digest, out);
}

static struct bucket *
bucket_of(struct dedup *dedup, const uint8_t digest[DIGEST_BYTES])
{
	size_t start;

	memcpy(&start, digest, sizeof(start));
	return &dedup->buckets[start & dedup->mask];
}

void
dedup_remember(struct dedup *dedup, const struct envelope *e,
    struct rmq_slice body)
{
	struct finished *finished = &dedup->ring[dedup->next];
	uint8_t digest[DIGEST_BYTES];

	if (take_digest(dedup, e, body, digest) != 0)
		return;
	if (dedup->count == dedup->kept)
		LIST_REMOVE(finished, link);
	else
		dedup->count++;
	dedup->next = (dedup->next + 1) % dedup->kept;
	memcpy(finished->digest, digest, sizeof(digest));
	LIST_INSERT_HEAD(bucket_of(dedup, digest), finished, link);
}

bool
dedup_knows(struct dedup *dedup, const struct envelope *e,
    struct rmq_slice body)
{
	const struct finished *finished;
	uint8_t digest[DIGEST_BYTES];

	if (take_digest(dedup, e, body, digest) != 0)
		return false;
	LIST_FOREACH(finished, bucket_of(dedup, digest), link)
		if (memcmp(finished->digest, digest, sizeof(digest)) == 0)
			return true;
	return false;
}
