/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A table of 64-bit hashes with open addressing. Nothing is ever taken out:
 * what did not arrive stays as an entry without copies. Two ids of one hash
 * would count as one; with a million ids that happens once in 37 million
 * jobs.
 */
#include "redrive/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "lib/xalloc.h"

#define FIRST_SPACE 64

enum state {
	STATE_FREE,
	STATE_SENT, /* no verdict; counts as waiting while copies > 0 */
	STATE_GOOD,
	STATE_BAD,
	STATE_COUNT
};

struct entry {
	uint64_t hash;
	uint32_t step;	 /* of the newest copy */
	uint16_t copies; /* sent; two letters may have one id */
	uint8_t state;
};

struct ledger {
	uint64_t seed;
	struct entry *entries;
	size_t space, used; /* space: a power of two */
	uint64_t count[STATE_COUNT];
};

/* The low and the high half of a product, together. */
static uint64_t
fold(uint64_t a, uint64_t b)
{
	__extension__ typedef unsigned __int128 wide;
	wide product = (wide)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t
hash(const struct ledger *ledger, struct rmq_slice id)
{
	const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
	uint64_t sum = fold(ledger->seed ^ id.len, odd), word;
	size_t len;

	for (size_t i = 0; i < id.len; i += sizeof(word)) {
		len = id.len - i < sizeof(word) ? id.len - i : sizeof(word);
		word = 0;
		memcpy(&word, id.ptr + i, len);
		sum = fold(sum ^ word ^ odd, sum ^ ledger->seed);
	}
	return fold(sum ^ ledger->seed, odd);
}

struct ledger *
ledger_new(uint64_t seed)
{
	struct ledger *ledger = xcalloc(1, sizeof(*ledger));

	ledger->seed = seed;
	ledger->space = FIRST_SPACE;
	ledger->entries = xcalloc(ledger->space, sizeof(*ledger->entries));
	return ledger;
}

void
ledger_free(struct ledger *ledger)
{
	if (ledger == NULL)
		return;
	free(ledger->entries);
	free(ledger);
}

/* The entry of that hash, or the free one where it would be. */
static struct entry *
place(struct entry *entries, size_t space, uint64_t sum)
{
	size_t i = sum & (space - 1);

	while (entries[i].state != STATE_FREE && entries[i].hash != sum)
		i = (i + 1) & (space - 1);
	return &entries[i];
}

static struct entry *
find(const struct ledger *ledger, struct rmq_slice id)
{
	struct entry *entry =
	    place(ledger->entries, ledger->space, hash(ledger, id));

	return entry->state == STATE_FREE ? NULL : entry;
}

static void
grow(struct ledger *ledger)
{
	size_t space = 2 * ledger->space;
	struct entry *entries = xcalloc(space, sizeof(*entries));

	for (size_t i = 0; i < ledger->space; i++) {
		if (ledger->entries[i].state != STATE_FREE)
			*place(entries, space, ledger->entries[i].hash) =
			    ledger->entries[i];
	}
	free(ledger->entries);
	ledger->entries = entries;
	ledger->space = space;
}

static struct entry *
find_or_add(struct ledger *ledger, struct rmq_slice id)
{
	struct entry *entry;
	uint64_t sum = hash(ledger, id);

	if (ledger->used >= ledger->space / 4 * 3)
		grow(ledger);
	entry = place(ledger->entries, ledger->space, sum);
	if (entry->state == STATE_FREE) {
		ledger->used++;
		entry->hash = sum;
		entry->state = STATE_SENT;
	}
	return entry;
}

static bool
is_waiting(const struct entry *entry)
{
	return entry->state == STATE_SENT && entry->copies > 0;
}

static void
settle(struct ledger *ledger, struct entry *entry, enum state state)
{
	if (is_waiting(entry))
		ledger->count[STATE_SENT]--;
	else if (entry->state != STATE_SENT)
		ledger->count[entry->state]--;
	entry->state = (uint8_t)state;
	ledger->count[state]++;
}

bool
ledger_sent(struct ledger *ledger, struct rmq_slice id, uint32_t step)
{
	struct entry *entry = find_or_add(ledger, id);
	bool waited = is_waiting(entry);

	entry->step = step;
	if (entry->copies < UINT16_MAX)
		entry->copies++;
	if (waited || !is_waiting(entry))
		return false;
	ledger->count[STATE_SENT]++;
	return true;
}

bool
ledger_unsent(struct ledger *ledger, struct rmq_slice id)
{
	struct entry *entry = find(ledger, id);
	bool waited = entry != NULL && is_waiting(entry);

	if (entry == NULL || entry->copies == 0)
		return false;
	entry->copies--;
	if (!waited || is_waiting(entry))
		return false;
	ledger->count[STATE_SENT]--;
	return true;
}

bool
ledger_judge(struct ledger *ledger, struct rmq_slice id, bool good,
    uint32_t *step)
{
	struct entry *entry = find(ledger, id);

	if (entry == NULL || !is_waiting(entry))
		return false;
	settle(ledger, entry, good ? STATE_GOOD : STATE_BAD);
	*step = entry->step;
	return true;
}

bool
ledger_dead(struct ledger *ledger, struct rmq_slice id, uint32_t *step)
{
	struct entry *entry = find_or_add(ledger, id);

	if (entry->state == STATE_BAD)
		return false;
	*step = is_waiting(entry) ? entry->step : LEDGER_NO_STEP;
	settle(ledger, entry, STATE_BAD);
	return true;
}

uint64_t
ledger_waiting(const struct ledger *ledger)
{
	return ledger->count[STATE_SENT];
}

uint64_t
ledger_good(const struct ledger *ledger)
{
	return ledger->count[STATE_GOOD];
}

uint64_t
ledger_bad(const struct ledger *ledger)
{
	return ledger->count[STATE_BAD];
}
