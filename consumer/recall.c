/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "consumer/recall.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "consumer/twin.h"
#include "lib/xalloc.h"

struct memory {
	TAILQ_ENTRY(memory) link; /* the oldest first */
	uint8_t digest[DIGEST_BYTES];
	int64_t kept_ms;
	int64_t due_us;
	struct envelope_past past;
};

TAILQ_HEAD(memories, memory);

struct recall {
	struct loop *loop;
	struct twin twin;
	struct memories memories;
	size_t count, kept;
	int64_t keep_ms;
};

struct recall *
recall_new(struct loop *loop, size_t kept, int64_t keep_ms)
{
	struct recall *recall = xcalloc(1, sizeof(*recall));

	recall->loop = loop;
	twin_init(&recall->twin, loop);
	TAILQ_INIT(&recall->memories);
	recall->kept = kept;
	recall->keep_ms = keep_ms;
	return recall;
}

void
recall_limit(struct recall *recall, size_t kept, int64_t keep_ms)
{
	recall->kept = kept;
	recall->keep_ms = keep_ms;
}

static void
forget(struct recall *recall, struct memory *memory)
{
	TAILQ_REMOVE(&recall->memories, memory, link);
	recall->count--;
	envelope_past_clear(&memory->past);
	free(memory);
}

void
recall_free(struct recall *recall)
{
	struct memory *memory;

	if (recall == NULL)
		return;
	while ((memory = TAILQ_FIRST(&recall->memories)) != NULL)
		forget(recall, memory);
	twin_clear(&recall->twin);
	free(recall);
}

static void
forget_old(struct recall *recall)
{
	int64_t since_ms = loop_now_ms(recall->loop) - recall->keep_ms;
	struct memory *memory;

	while ((memory = TAILQ_FIRST(&recall->memories)) != NULL &&
	    (memory->kept_ms < since_ms || recall->count > recall->kept))
		forget(recall, memory);
}

static struct memory *
find(struct recall *recall, const uint8_t digest[DIGEST_BYTES])
{
	struct memory *memory;

	TAILQ_FOREACH(memory, &recall->memories, link)
		if (memcmp(memory->digest, digest, DIGEST_BYTES) == 0)
			return memory;
	return NULL;
}

void
recall_keep(struct recall *recall, const struct envelope *e,
    struct rmq_slice body, int64_t due_us)
{
	uint8_t digest[DIGEST_BYTES];
	struct memory *memory;

	if (twin_digest(&recall->twin, e, body, digest) != 0)
		return;
	memory = find(recall, digest);
	if (memory != NULL)
		forget(recall, memory);
	memory = xcalloc(1, sizeof(*memory));
	memcpy(memory->digest, digest, sizeof(digest));
	memory->kept_ms = loop_now_ms(recall->loop);
	memory->due_us = due_us;
	envelope_past_take(&memory->past, e);
	TAILQ_INSERT_TAIL(&recall->memories, memory, link);
	recall->count++;
	forget_old(recall);
}

bool
recall_take(struct recall *recall, struct envelope *e, struct rmq_slice body,
    int64_t *due_us)
{
	uint8_t digest[DIGEST_BYTES];
	struct memory *memory;

	forget_old(recall);
	if (recall->count == 0 ||
	    twin_digest(&recall->twin, e, body, digest) != 0)
		return false;
	memory = find(recall, digest);
	if (memory == NULL)
		return false;
	envelope_past_give(&memory->past, e);
	*due_us = memory->due_us;
	forget(recall, memory);
	return true;
}
