/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "consumer/dedup.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "consumer/twin.h"
#include "lib/xalloc.h"

struct finished {
	LIST_ENTRY(finished) link; /* in its bucket */
	uint8_t digest[DIGEST_BYTES];
};

LIST_HEAD(bucket, finished);

struct dedup {
	struct twin twin;
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
	twin_init(&dedup->twin, loop);
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
	twin_clear(&dedup->twin);
	free(dedup->ring);
	free(dedup->buckets);
	free(dedup);
}

/* -1: it is not to be known. */
static int
take_digest(struct dedup *dedup, const struct envelope *e,
    struct rmq_slice body, uint8_t out[DIGEST_BYTES])
{
	if (e->props.value[RMQ_PROP_MESSAGE_ID].len == 0)
		return -1;
	return twin_digest(&dedup->twin, e, body, out);
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
