/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/board.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/log.h"
#include "lib/xalloc.h"
#include "redrive/board_wire.h"

#define ENDED_MAX	 1000
#define ENDED_KEEP_MS	 (INT64_C(7) * 24 * 3600 * 1000)
#define REWRITE_AFTER_MS (5 * 60 * 1000)
#define ECHO_MS		 (60 * 1000)

/* A message of ours on its way through the queue. */
struct write {
	uint64_t token; /* 0: none is under way */
	bool confirmed;
	bool back; /* it was delivered to us */
	int64_t confirmed_ms;
};

struct record {
	TAILQ_ENTRY(record) entry;
	char key[BOARD_KEY_SPACE];
	json_t *data;	  /* the newest, written or not */
	int64_t ended_ms; /* 0: it has not */
	bool owned;
	/* The copy that we hold. */
	bool held;
	uint64_t tag;
	struct board_stamp held_stamp;
	int64_t held_since_ms;
	/* The newest copy that we know of, held or being written. */
	struct board_stamp top;
	struct write write;
	/* Puts counted: all, those in the write under way, those safe. */
	uint64_t put, writing, safe;
};
TAILQ_HEAD(records, record);

/* A request that has no answer yet, or waits for a record. */
struct waiting {
	TAILQ_ENTRY(waiting) entry;
	uint64_t tag;
	/* Before it is handed over */
	json_t *body; /* NULL: handed over */
	char *user, *message_id;
	bool trusted;
	/* After it was dealt with */
	struct record *record; /* NULL: not dealt with */
	uint64_t put;	       /* safe when the record's `safe` is here */
};
TAILQ_HEAD(waitings, waiting);

struct board {
	struct board_options options;
	const struct board_cbs *cbs;
	void *arg;
	char *instance;
	enum board_state state;
	bool leaving;
	unsigned session;
	char writer[BOARD_WRITER_SPACE];
	uint64_t last_token;
	struct write hello, marker;
	bool has_lease;
	uint64_t lease; /* its tag */
	int64_t lease_since_ms;
	struct records records;
	struct waitings waitings;
	size_t held;
};

const char *
board_state_name(enum board_state state)
{
	static const char *const names[] = { "off", "standby", "reading",
		"active" };

	return names[state];
}

/* Legal moves: see board.h. */
static void
board_enter(struct board *b, enum board_state to)
{
	static const unsigned legal[] = {
		[BOARD_OFF] = 1u << BOARD_STANDBY,
		[BOARD_STANDBY] = 1u << BOARD_READING | 1u << BOARD_OFF,
		[BOARD_READING] = 1u << BOARD_ACTIVE | 1u << BOARD_OFF,
		[BOARD_ACTIVE] = 1u << BOARD_OFF,
	};

	log_debug("board_state", LOG_STR("from", board_state_name(b->state)),
	    LOG_STR("to", board_state_name(to)));
	if ((legal[b->state] & 1u << to) == 0)
		abort();
	b->state = to;
}

static void
leave(struct board *b, const char *why)
{
	if (b->leaving)
		return;
	b->leaving = true;
	b->cbs->leave(b->arg, why);
}

static void
ack(struct board *b, uint64_t tag)
{
	b->held--;
	b->cbs->ack(b->arg, tag);
}

static void
start_write(struct board *b, struct write *write, char *text)
{
	*write = (struct write){ .token = ++b->last_token };
	b->cbs->publish(b->arg, write->token, text, strlen(text));
	free(text);
}

static void
say_hello(struct board *b)
{
	start_write(b, &b->hello, board_wire_sign("hello", b->writer));
}

/* Records. */

static struct record *
record_find(const struct board *b, const char *key)
{
	struct record *record;

	TAILQ_FOREACH(record, &b->records, entry) {
		if (strcmp(record->key, key) == 0)
			return record;
	}
	return NULL;
}

static struct record *
record_new(struct board *b, const char *key)
{
	struct record *record = xcalloc(1, sizeof(*record));

	memcpy(record->key, key, strlen(key) + 1);
	TAILQ_INSERT_TAIL(&b->records, record, entry);
	return record;
}

static void
record_free(struct board *b, struct record *record)
{
	TAILQ_REMOVE(&b->records, record, entry);
	json_decref(record->data);
	free(record);
}

static bool
is_ours(const struct board *b, const struct board_stamp *stamp)
{
	return strcmp(stamp->writer, b->writer) == 0;
}

/* Publishes its newest content as the next copy. */
static void
record_write(struct board *b, struct record *record)
{
	struct board_stamp *top = &record->top;
	char *text;

	if (record->write.token != 0)
		return;
	/* Above all that others may still be sending. */
	if (!is_ours(b, top))
		top->epoch++;
	top->version++;
	memcpy(top->writer, b->writer, sizeof(top->writer));
	record->writing = record->put;
	text =
	    board_wire_state(record->key, top, record->ended_ms, record->data);
	start_write(b, &record->write, text);
}

/* Acks the requests that have waited for it. */
static void
settle_waiting(struct board *b, const struct record *record)
{
	struct waiting *w, *next;

	for (w = TAILQ_FIRST(&b->waitings); w != NULL; w = next) {
		next = TAILQ_NEXT(w, entry);
		if (w->record != record || w->put > record->safe)
			continue;
		TAILQ_REMOVE(&b->waitings, w, entry);
		ack(b, w->tag);
		free(w);
	}
}

/* When its write is both confirmed and back, it is in the queue and ours. */
static void
check_written(struct board *b, struct record *record)
{
	if (record->write.token == 0 || !record->write.confirmed ||
	    !record->write.back)
		return;
	record->write.token = 0;
	record->safe = record->writing;
	settle_waiting(b, record);
	if (record->put > record->safe)
		record_write(b, record);
	if (!record->owned) {
		record->owned = true;
		b->cbs->owned(b->arg, record->key);
	}
}

/* Holds this copy, and lets the one before go. */
static void
record_hold(struct board *b, struct record *record, uint64_t tag,
    const struct board_stamp *stamp, int64_t now_ms)
{
	if (record->held)
		ack(b, record->tag);
	record->held = true;
	record->tag = tag;
	record->held_stamp = *stamp;
	record->held_since_ms = now_ms;
}

/* Whether this message is the last news of the record. */
static void
own_copy(struct board *b, struct record *record, uint64_t tag,
    const struct board_stamp *stamp, int64_t now_ms)
{
	/* One that was forgotten while it was being written. */
	if (record == NULL ||
	    (record->held &&
		board_stamp_compare(stamp, &record->held_stamp) <= 0)) {
		ack(b, tag);
		return;
	}
	record_hold(b, record, tag, stamp, now_ms);
	if (board_stamp_compare(stamp, &record->top) == 0) {
		record->write.back = true;
		check_written(b, record);
	}
}

static void
adopt(struct board *b, struct record *record)
{
	b->cbs->found(b->arg, record->key, record->data, record->ended_ms);
	if (record->ended_ms == 0)
		record_write(b, record);
}

/*
 * While we are the active one, what others wrote is late: of a record that we
 * know our content counts, and is written above that copy.
 */
static void
outrank(struct board *b, struct record *record, const struct board_stamp *late)
{
	record->top.epoch = late->epoch + 1;
	record->top.version = late->version;
	memcpy(record->top.writer, b->writer, sizeof(record->top.writer));
	/* One under way is too low now, and acked away when it comes. */
	record->write.token = 0;
	record_write(b, record);
}

static void
foreign_copy(struct board *b, struct record *record,
    const struct board_wire *wire, uint64_t tag, int64_t now_ms)
{
	bool known = record != NULL;

	if (!known)
		record = record_new(b, wire->key);
	if (record->held &&
	    board_stamp_compare(&wire->stamp, &record->held_stamp) <= 0) {
		ack(b, tag);
		return;
	}
	record_hold(b, record, tag, &wire->stamp, now_ms);
	if (board_stamp_compare(&wire->stamp, &record->top) <= 0)
		return; /* ours is on its way, and is higher */
	if (known && b->state == BOARD_ACTIVE) {
		outrank(b, record, &wire->stamp);
		return;
	}
	record->top = wire->stamp;
	json_decref(record->data);
	record->data = json_incref(wire->data);
	record->ended_ms = wire->ended_ms;
	if (b->state == BOARD_ACTIVE)
		adopt(b, record);
}

/* Messages. */

static void
on_hello(struct board *b, uint64_t tag, const char *writer, int64_t now_ms)
{
	if (b->has_lease)
		ack(b, b->lease);
	b->has_lease = true;
	b->lease = tag;
	b->lease_since_ms = now_ms;
	if (strcmp(writer, b->writer) == 0)
		b->hello.back = true;
}

static void
hand_over(struct board *b, struct waiting *w)
{
	struct board_request request = { w->tag, w->body, w->user, w->trusted,
		w->message_id };
	json_t *body = w->body;
	char *user = w->user, *message_id = w->message_id;

	w->body = NULL;
	w->user = w->message_id = NULL;
	/* It may be settled, and gone, on return. */
	b->cbs->request(b->arg, &request);
	json_decref(body);
	free(user);
	free(message_id);
}

static void
on_request(struct board *b, const struct board_wire *wire,
    const struct board_delivery *delivery)
{
	struct waiting *w = xcalloc(1, sizeof(*w));

	w->tag = delivery->tag;
	w->body = json_incref(wire->body);
	w->user = xstrdup(delivery->user);
	w->message_id = xstrdup(delivery->message_id);
	w->trusted = delivery->trusted;
	TAILQ_INSERT_TAIL(&b->waitings, w, entry);
	if (b->state == BOARD_ACTIVE)
		hand_over(b, w);
}

/* All that was in the queue before us is known. */
static void
become_active(struct board *b)
{
	struct record *record, *next;
	struct waiting *w;

	board_enter(b, BOARD_ACTIVE);
	b->marker.token = 0;
	for (record = TAILQ_FIRST(&b->records); record != NULL; record = next) {
		next = TAILQ_NEXT(record, entry);
		adopt(b, record);
	}
	b->cbs->active(b->arg, true);
	/* Others can only come behind it, when they are handed over. */
	TAILQ_FOREACH(w, &b->waitings, entry) {
		if (w->body != NULL)
			break;
	}
	while (w != NULL) {
		struct waiting *after = TAILQ_NEXT(w, entry);

		hand_over(b, w);
		w = after;
	}
}

static void
take(struct board *b, const struct board_wire *wire,
    const struct board_delivery *delivery, int64_t now_ms)
{
	struct record *record;

	switch (wire->kind) {
	case BOARD_WIRE_JUNK:
		log_warn("jobs_message_refused",
		    LOG_STR("user", delivery->user), LOG_STR("why", wire->why),
		    LOG_UINT("bytes", delivery->len));
		ack(b, delivery->tag);
		return;
	case BOARD_WIRE_NEWER:
		/* Not ours to judge: it stays for one who knows. */
		log_warn("jobs_message_newer",
		    LOG_STR("hint", "upgrade this dlo-redrive"));
		return;
	case BOARD_WIRE_HELLO:
		on_hello(b, delivery->tag, wire->stamp.writer, now_ms);
		return;
	case BOARD_WIRE_MARKER:
		ack(b, delivery->tag);
		if (b->state == BOARD_READING && is_ours(b, &wire->stamp))
			become_active(b);
		return;
	case BOARD_WIRE_STATE:
		record = record_find(b, wire->key);
		if (is_ours(b, &wire->stamp))
			own_copy(b, record, delivery->tag, &wire->stamp,
			    now_ms);
		else
			foreign_copy(b, record, wire, delivery->tag, now_ms);
		return;
	case BOARD_WIRE_REQUEST:
		on_request(b, wire, delivery);
		return;
	}
}

void
board_delivered(struct board *b, const struct board_delivery *delivery,
    int64_t now_ms)
{
	struct board_wire wire;

	b->held++;
	if (b->leaving || b->state == BOARD_OFF)
		return;
	if (b->state == BOARD_STANDBY) {
		board_enter(b, BOARD_READING);
		/* It may have been given to the one that was active. */
		b->hello.token = 0;
		start_write(b, &b->marker,
		    board_wire_sign("marker", b->writer));
	}
	board_wire_read(&wire, delivery);
	take(b, &wire, delivery, now_ms);
	board_wire_clear(&wire);
}

/* Confirms and time. */

static bool
confirm(struct write *write, uint64_t token, int64_t now_ms)
{
	if (write->token != token)
		return false;
	write->confirmed = true;
	write->confirmed_ms = now_ms;
	return true;
}

static void
on_unconfirmed(struct board *b, uint64_t token)
{
	struct record *record;

	TAILQ_FOREACH(record, &b->records, entry) {
		if (record->write.token == token) {
			/* board_tick writes it again. */
			record->write.token = 0;
			record->put++;
			return;
		}
	}
	if (token == b->hello.token && b->state > BOARD_STANDBY)
		b->hello.token = 0; /* board_tick says it again */
	else if (token == b->hello.token || token == b->marker.token)
		leave(b, "the jobs queue takes no message");
}

void
board_confirmed(struct board *b, uint64_t token, bool ok, int64_t now_ms)
{
	struct record *record;

	if (b->leaving || b->state == BOARD_OFF)
		return;
	if (!ok) {
		on_unconfirmed(b, token);
		return;
	}
	if (confirm(&b->hello, token, now_ms) ||
	    confirm(&b->marker, token, now_ms))
		return;
	TAILQ_FOREACH(record, &b->records, entry) {
		if (confirm(&record->write, token, now_ms)) {
			check_written(b, record);
			return;
		}
	}
}

/* What the broker has taken and does not give us goes to somebody else. */
static bool
is_lost(const struct board *b, const struct write *write, int64_t now_ms)
{
	return write->token != 0 && write->confirmed && !write->back &&
	    now_ms - write->confirmed_ms > b->options.echo_ms;
}

static void
forget(struct board *b, struct record *record)
{
	char key[BOARD_KEY_SPACE];

	memcpy(key, record->key, sizeof(key));
	if (record->held)
		ack(b, record->tag);
	record_free(b, record);
	b->cbs->forgotten(b->arg, key);
}

/* Drops ended ones that are too old; the oldest of too many that are left. */
static struct record *
forget_old(struct board *b, int64_t wall_ms)
{
	struct record *record, *next, *oldest = NULL;
	size_t ended = 0;

	for (record = TAILQ_FIRST(&b->records); record != NULL; record = next) {
		next = TAILQ_NEXT(record, entry);
		if (record->ended_ms == 0 || record->put > record->safe ||
		    record->write.token != 0)
			continue;
		if (wall_ms - record->ended_ms > b->options.ended_keep_ms) {
			forget(b, record);
			continue;
		}
		ended++;
		if (oldest == NULL || record->ended_ms < oldest->ended_ms)
			oldest = record;
	}
	return ended > b->options.ended_max ? oldest : NULL;
}

static bool
is_due(const struct board *b, int64_t since_ms, int64_t now_ms)
{
	return now_ms - since_ms >= b->options.rewrite_after_ms;
}

void
board_tick(struct board *b, int64_t now_ms, int64_t wall_ms)
{
	struct record *record;

	if (b->state < BOARD_READING || b->leaving)
		return;
	if (is_lost(b, &b->hello, now_ms) || is_lost(b, &b->marker, now_ms)) {
		leave(b, "our own message was given to another daemon");
		return;
	}
	if ((!b->has_lease || is_due(b, b->lease_since_ms, now_ms)) &&
	    (b->hello.token == 0 || b->hello.back))
		say_hello(b);
	if (b->state != BOARD_ACTIVE)
		return;
	while ((record = forget_old(b, wall_ms)) != NULL)
		forget(b, record);
	TAILQ_FOREACH(record, &b->records, entry) {
		if (is_lost(b, &record->write, now_ms)) {
			leave(b, "our own job was given to another daemon");
			return;
		}
		/* One that is back needs no confirm to be written anew. */
		if (record->held && is_due(b, record->held_since_ms, now_ms)) {
			if (record->write.back)
				record->write.token = 0;
			record_write(b, record);
		} else if (record->put > record->safe) {
			record_write(b, record);
		}
	}
}

/* From outside. */

struct board *
board_new(const struct board_options *options, const struct board_cbs *cbs,
    void *arg)
{
	struct board *b = xcalloc(1, sizeof(*b));

	b->options = *options;
	if (b->options.ended_max == 0)
		b->options.ended_max = ENDED_MAX;
	if (b->options.ended_keep_ms == 0)
		b->options.ended_keep_ms = ENDED_KEEP_MS;
	if (b->options.rewrite_after_ms == 0)
		b->options.rewrite_after_ms = REWRITE_AFTER_MS;
	if (b->options.echo_ms == 0)
		b->options.echo_ms = ECHO_MS;
	b->instance = xstrdup(options->instance);
	b->cbs = cbs;
	b->arg = arg;
	TAILQ_INIT(&b->records);
	TAILQ_INIT(&b->waitings);
	return b;
}

static void
forget_all(struct board *b)
{
	struct waiting *w;

	while (!TAILQ_EMPTY(&b->records))
		record_free(b, TAILQ_FIRST(&b->records));
	while ((w = TAILQ_FIRST(&b->waitings)) != NULL) {
		TAILQ_REMOVE(&b->waitings, w, entry);
		json_decref(w->body);
		free(w->user);
		free(w->message_id);
		free(w);
	}
	b->held = 0;
	b->has_lease = false;
	b->hello.token = b->marker.token = 0;
}

void
board_free(struct board *b)
{
	if (b == NULL)
		return;
	forget_all(b);
	free(b->instance);
	free(b);
}

void
board_joined(struct board *b)
{
	board_enter(b, BOARD_STANDBY);
	b->leaving = false;
	/* Sessions differ: what an old one sent is another's. */
	(void)snprintf(b->writer, sizeof(b->writer), "%s/%u", b->instance,
	    ++b->session);
	say_hello(b);
}

void
board_lost(struct board *b)
{
	bool was_active = b->state == BOARD_ACTIVE;

	if (b->state == BOARD_OFF)
		return;
	board_enter(b, BOARD_OFF);
	forget_all(b);
	if (was_active)
		b->cbs->active(b->arg, false);
}

void
board_put(struct board *b, const char *key, const json_t *data,
    int64_t ended_ms)
{
	struct record *record = record_find(b, key);

	if (b->state != BOARD_ACTIVE)
		return;
	if (record == NULL)
		record = record_new(b, key);
	json_decref(record->data);
	record->data = json_deep_copy(data);
	record->ended_ms = ended_ms;
	record->put++;
	record_write(b, record);
}

static struct waiting *
waiting_find(const struct board *b, uint64_t tag)
{
	struct waiting *w;

	TAILQ_FOREACH(w, &b->waitings, entry) {
		if (w->tag == tag)
			return w;
	}
	return NULL;
}

void
board_settle(struct board *b, uint64_t tag, const char *key)
{
	struct waiting *w = waiting_find(b, tag);
	struct record *record = key == NULL ? NULL : record_find(b, key);

	/* Lost meanwhile: it is asked again. */
	if (w == NULL)
		return;
	if (record != NULL && record->put > record->safe) {
		w->record = record;
		w->put = record->put;
		return;
	}
	TAILQ_REMOVE(&b->waitings, w, entry);
	free(w);
	ack(b, tag);
}

enum board_state
board_state(const struct board *b)
{
	return b->state;
}

bool
board_owns(const struct board *b, const char *key)
{
	const struct record *record = record_find(b, key);

	return record != NULL && record->owned;
}

bool
board_is_settled(const struct board *b, const char *key)
{
	const struct record *record = record_find(b, key);

	return record == NULL || record->put == record->safe;
}

bool
board_stamp(const struct board *b, const char *key, uint64_t *epoch,
    uint64_t *version)
{
	const struct record *record = record_find(b, key);

	if (record == NULL)
		return false;
	*epoch = record->top.epoch;
	*version = record->top.version;
	return true;
}

size_t
board_held(const struct board *b)
{
	return b->held;
}
