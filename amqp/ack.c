/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Which deliveries of a channel are acked, and in how few frames that can be
 * said: what is contiguous from the oldest unacked delivery on goes as one
 * multiple ack, anything behind a gap tag by tag. A multiple ack names a tag
 * that the broker still holds, and covers nothing that was not acked.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "amqp/internal.h"
#include "lib/xalloc.h"

enum ack_state {
	UNACKED,
	MARKED,	 /* acked by the caller, not yet sent */
	SETTLED, /* sent, or never to be acked */
};

void
rmq_ack_init(struct rmq_acks *acks)
{
	memset(acks, 0, sizeof(*acks));
	acks->base = acks->next = 1;
}

void
rmq_ack_clear(struct rmq_acks *acks)
{
	free(acks->states);
	free(acks->due);
	rmq_ack_init(acks);
}

static uint8_t *
state_of(struct rmq_acks *acks, uint64_t tag)
{
	return &acks->states[tag & (acks->space - 1)];
}

static void
grow(struct rmq_acks *acks)
{
	struct rmq_acks old = *acks;
	uint64_t tag;

	acks->space = old.space == 0 ? 64 : 2 * old.space;
	acks->states = xmalloc(acks->space);
	for (tag = acks->base; tag < acks->next; tag++)
		*state_of(acks, tag) = *state_of(&old, tag);
	free(old.states);
}

int
rmq_ack_track(struct rmq_acks *acks, uint64_t tag, bool settled)
{
	if (tag != acks->next)
		return -1;
	if (acks->next - acks->base == acks->space)
		grow(acks);
	acks->next++;
	*state_of(acks, tag) = settled ? SETTLED : UNACKED;
	if (!settled)
		acks->unacked++;
	return 0;
}

void
rmq_ack_mark(struct rmq_acks *acks, uint64_t tag)
{
	assert(tag >= acks->base && tag < acks->next);
	assert(*state_of(acks, tag) == UNACKED);
	*state_of(acks, tag) = MARKED;
	acks->unacked--;
	if (acks->due_count == acks->due_space) {
		acks->due_space =
		    acks->due_space == 0 ? 64 : 2 * acks->due_space;
		acks->due =
		    xrealloc(acks->due, acks->due_space * sizeof(acks->due[0]));
	}
	acks->due[acks->due_count++] = tag;
}

/* Moves past all that is settled or acked at the front. */
static void
flush_front(struct rmq_acks *acks, rmq_ack_emit *emit, void *arg)
{
	uint64_t last = 0;
	size_t count = 0;

	while (
	    acks->base < acks->next && *state_of(acks, acks->base) != UNACKED) {
		if (*state_of(acks, acks->base) == MARKED) {
			last = acks->base;
			count++;
		}
		acks->base++;
	}
	if (count > 0)
		emit(arg, last, count > 1);
}

void
rmq_ack_flush(struct rmq_acks *acks, rmq_ack_emit *emit, void *arg)
{
	size_t i;

	if (acks->due_count == 0)
		return;
	flush_front(acks, emit, arg);
	for (i = 0; i < acks->due_count; i++) {
		if (acks->due[i] < acks->base)
			continue;
		*state_of(acks, acks->due[i]) = SETTLED;
		emit(arg, acks->due[i], false);
	}
	acks->due_count = 0;
}
