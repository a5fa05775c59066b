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

/* Room for so many, none of them known. */
static void
make_room(struct dedup *dedup, size_t kept)
{
	size_t buckets = 1;

	while (buckets < kept)
		buckets *= 2;
	dedup->ring = xcalloc(kept, sizeof(*dedup->ring));
	dedup->kept = kept;
	dedup->count = dedup->next = 0;
	dedup->buckets = xcalloc(buckets, sizeof(*dedup->buckets));
	dedup->mask = buckets - 1;
}

struct dedup *
dedup_new(struct loop *loop, size_t kept)
{
	struct dedup *dedup = xcalloc(1, sizeof(*dedup));

	twin_init(&dedup->twin, loop);
	make_room(dedup, kept);
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

static void
keep(struct dedup *dedup, const uint8_t digest[DIGEST_BYTES])
{
	struct finished *finished = &dedup->ring[dedup->next];

	if (dedup->count == dedup->kept)
		LIST_REMOVE(finished, link);
	else
		dedup->count++;
	if (++dedup->next == dedup->kept)
		dedup->next = 0;
	memcpy(finished->digest, digest, DIGEST_BYTES);
	LIST_INSERT_HEAD(bucket_of(dedup, digest), finished, link);
}

void
dedup_remember(struct dedup *dedup, const struct envelope *e,
    struct rmq_slice body)
{
	uint8_t digest[DIGEST_BYTES];

	if (take_digest(dedup, e, body, digest) == 0)
		keep(dedup, digest);
}

void
dedup_grow(struct dedup *dedup, size_t kept)
{
	const struct dedup old = *dedup;
	size_t at = old.count < old.kept ? 0 : old.next;

	if (kept <= old.kept)
		return;
	make_room(dedup, kept);
	/* From the oldest on. */
	for (size_t i = 0; i < old.count; i++) {
		keep(dedup, old.ring[at].digest);
		at = at + 1 == old.kept ? 0 : at + 1;
	}
	free(old.ring);
	free(old.buckets);
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
