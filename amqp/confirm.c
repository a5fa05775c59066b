/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The verdicts on publishes. Confirms name a publish by its number on the
 * channel, come in any order, singly or for all up to a number. Returns come
 * before their confirm and name nothing: they are matched by a hash of
 * exchange, routing key and the value of the correlation header, and mark
 * every publish that fits. Where nothing fits, the match is widened until
 * something does, since a return that is lost would be a message lost.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amqp/internal.h"
#include "amqp/props.h"
#include "lib/xalloc.h"

struct rmq_confirm_slot {
	rmq_confirm_cb *cb;
	void *arg;
	uint64_t route; /* hash of exchange and routing key */
	uint64_t full;	/* and of the correlation value */
	char *return_text;
	bool open;
};

/* FNV-1a; a collision costs a duplicate, nothing more. */
#define HASH_START 0xcbf29ce484222325u

static uint64_t
hash_slice(uint64_t hash, struct rmq_slice slice)
{
	size_t i;

	for (i = 0; i < slice.len; i++)
		hash = (hash ^ slice.ptr[i]) * 0x100000001b3u;
	/* So that "a" + "bc" is not "ab" + "c". */
	return (hash ^ slice.len) * 0x100000001b3u;
}

const char *
rmq_confirm_name(enum rmq_confirm verdict)
{
	switch (verdict) {
	case RMQ_CONFIRM_OK:
		return "ok";
	case RMQ_CONFIRM_RETURNED:
		return "returned";
	case RMQ_CONFIRM_NACKED:
		return "nacked";
	case RMQ_CONFIRM_UNKNOWN:
		return "unknown";
	}
	return "?";
}

void
rmq_confirm_init(struct rmq_confirms *confirms)
{
	memset(confirms, 0, sizeof(*confirms));
	confirms->base = confirms->next = 1;
}

static struct rmq_confirm_slot *
slot_of(struct rmq_confirms *confirms, uint64_t number)
{
	return &confirms->slots[number & (confirms->space - 1)];
}

void
rmq_confirm_clear(struct rmq_confirms *confirms)
{
	uint64_t number;

	for (number = confirms->base; number < confirms->next; number++) {
		if (slot_of(confirms, number)->open)
			free(slot_of(confirms, number)->return_text);
	}
	free(confirms->slots);
	free(confirms->header);
	rmq_confirm_init(confirms);
}

static void
grow(struct rmq_confirms *confirms)
{
	struct rmq_confirms old = *confirms;
	uint64_t number;

	confirms->space = old.space == 0 ? 64 : 2 * old.space;
	confirms->slots = xcalloc(confirms->space, sizeof(*confirms->slots));
	for (number = old.base; number < old.next; number++)
		*slot_of(confirms, number) = *slot_of(&old, number);
	free(old.slots);
}

void
rmq_confirm_track(struct rmq_confirms *confirms,
    const struct rmq_publish *publish, rmq_confirm_cb *cb, void *arg)
{
	struct rmq_confirm_slot *slot;

	if (confirms->next - confirms->base == confirms->space)
		grow(confirms);
	slot = slot_of(confirms, confirms->next++);
	slot->cb = cb;
	slot->arg = arg;
	slot->route = hash_slice(HASH_START, rmq_slice_of(publish->exchange));
	slot->route =
	    hash_slice(slot->route, rmq_slice_of(publish->routing_key));
	slot->full = hash_slice(slot->route, publish->correlation);
	slot->return_text = NULL;
	slot->open = true;
	confirms->open++;
}

enum match {
	MATCH_FULL,
	MATCH_ROUTE,
	MATCH_ALL,
};

/* Marks what matches; returns how many did. */
static size_t
mark_returned(struct rmq_confirms *confirms, enum match match, uint64_t hash,
    const char *text)
{
	struct rmq_confirm_slot *slot;
	size_t count = 0;
	uint64_t number;

	for (number = confirms->base; number < confirms->next; number++) {
		slot = slot_of(confirms, number);
		if (!slot->open || (match == MATCH_FULL && slot->full != hash))
			continue;
		if (match == MATCH_ROUTE && slot->route != hash)
			continue;
		if (slot->return_text == NULL)
			slot->return_text = xstrdup(text);
		count++;
	}
	return count;
}

/* The value that correlates; false when the message does not carry it. */
static bool
find_correlation(const struct rmq_confirms *confirms, struct rmq_slice raw,
    struct rmq_slice *value)
{
	enum rmq_props_verdict verdict;
	struct rmq_header header;
	struct rmq_props props;

	verdict = rmq_props_parse(&props, raw);
	if (verdict == RMQ_PROPS_BROKEN || verdict == RMQ_PROPS_BAD_HEADERS ||
	    confirms->header == NULL)
		return false;
	if (!rmq_table_find(props.value[RMQ_PROP_HEADERS], confirms->header,
		&header))
		return false;
	*value = header.value;
	return true;
}

void
rmq_confirm_return(struct rmq_confirms *confirms,
    const struct rmq_message *message, uint16_t code, const char *text)
{
	uint64_t route = hash_slice(HASH_START, message->exchange);
	struct rmq_slice value;
	char why[300];

	route = hash_slice(route, message->routing_key);
	snprintf(why, sizeof(why), "%u %s", code, text);
	if (find_correlation(confirms, message->props, &value) &&
	    mark_returned(confirms, MATCH_FULL, hash_slice(route, value), why) >
		0)
		return;
	if (mark_returned(confirms, MATCH_ROUTE, route, why) > 0)
		return;
	(void)mark_returned(confirms, MATCH_ALL, 0, why);
}

/* Closes one and tells; the callback may do anything but free. */
static void
settle_one(struct rmq_confirms *confirms, uint64_t number,
    enum rmq_confirm verdict)
{
	struct rmq_confirm_slot slot = *slot_of(confirms, number);

	slot_of(confirms, number)->open = false;
	slot_of(confirms, number)->return_text = NULL;
	confirms->open--;
	while (confirms->base < confirms->next &&
	    !slot_of(confirms, confirms->base)->open)
		confirms->base++;
	if (slot.return_text != NULL && verdict != RMQ_CONFIRM_UNKNOWN)
		verdict = RMQ_CONFIRM_RETURNED;
	if (slot.cb != NULL)
		slot.cb(slot.arg, verdict,
		    verdict == RMQ_CONFIRM_RETURNED ? slot.return_text : NULL);
	free(slot.return_text);
}

int
rmq_confirm_settle(struct rmq_confirms *confirms, uint64_t tag, bool multiple,
    bool ack)
{
	enum rmq_confirm verdict = ack ? RMQ_CONFIRM_OK : RMQ_CONFIRM_NACKED;

	/* The broker cannot confirm what it never got. */
	if (tag == 0 || tag >= confirms->next)
		return -1;
	while (multiple && confirms->base <= tag &&
	    confirms->base < confirms->next)
		settle_one(confirms, confirms->base, verdict);
	if (!multiple && tag >= confirms->base && slot_of(confirms, tag)->open)
		settle_one(confirms, tag, verdict);
	return 0;
}

void
rmq_confirm_lose(struct rmq_confirms *confirms)
{
	while (confirms->base < confirms->next)
		settle_one(confirms, confirms->base, RMQ_CONFIRM_UNKNOWN);
}

void
rmq_confirm_mute(struct rmq_confirms *confirms)
{
	uint64_t number;

	for (number = confirms->base; number < confirms->next; number++)
		slot_of(confirms, number)->cb = NULL;
}
