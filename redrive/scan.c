/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/scan.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/log.h"
#include "lib/xalloc.h"

/*
 * A queue that should have more and delivers nothing is asked after so many
 * looks in a row without a message whether it is empty.
 */
#define QUIET_LOOK_MS 250
#define QUIET_LOOKS   4
/* Of the first channel, when nobody knows yet how large messages are. */
#define FIRST_PREFETCH 256
/* The broker's reply code for what the user may not do. */
#define ACCESS_REFUSED 403

enum scan_state {
	SCAN_COUNTING, /* how many are there? */
	SCAN_READING,
	SCAN_ENDED,   /* all seen, the window held */
	SCAN_BROKEN,  /* a channel went; the others are held */
	SCAN_CLOSING, /* giving back */
	SCAN_CLOSED,
};

struct scan_channel {
	struct scan *scan;
	struct rmq_channel *channel;   /* NULL: gone */
	struct rmq_consumer *consumer; /* NULL: none (yet, or any more) */
	uint16_t want;		       /* its prefetch */
	uint16_t received;
	bool cancelling;
	/* Tags to ack when the consumer is gone. */
	uint64_t *acks;
	size_t ack_count;
};

struct scan {
	struct loop *loop;
	struct rmq_conn *conn;
	struct scan_options options;
	const struct scan_cbs *cbs;
	void *arg;
	enum scan_state state;
	struct scan_channel **chain;
	size_t chain_len;
	struct scan_channel *active;  /* being opened or filled; else NULL */
	struct scan_channel *closing; /* its close is awaited; else NULL */
	struct rmq_channel *counter;  /* for passive declares; else NULL */
	struct loop_timer *look;
	struct loop_task task; /* see later() */
	uint64_t target;       /* the pass ends when so many have come */
	uint64_t seen, acked, orphans;
	uint64_t bytes; /* of all that was seen */
	uint64_t seen_at_look;
	unsigned quiet;
	bool counted; /* target is what the broker said */
	bool pull;
	bool enough; /* no more is to come: end with the consumer */
	bool cut;
	bool stalled; /* said that the queue delivers nothing */
};

static const char *
scan_state_name(enum scan_state state)
{
	static const char *const names[] = { "counting", "reading", "ended",
		"broken", "closing", "closed" };

	return names[state];
}

/*
 * Legal: COUNTING -> READING, ENDED (there is nothing); READING -> ENDED;
 * any of these -> BROKEN, CLOSING; BROKEN -> CLOSING; CLOSING -> CLOSED.
 */
static void
scan_enter(struct scan *scan, enum scan_state to)
{
	static const unsigned legal[] = {
		[SCAN_COUNTING] = 1u << SCAN_READING | 1u << SCAN_ENDED |
		    1u << SCAN_BROKEN | 1u << SCAN_CLOSING,
		[SCAN_READING] =
		    1u << SCAN_ENDED | 1u << SCAN_BROKEN | 1u << SCAN_CLOSING,
		[SCAN_ENDED] = 1u << SCAN_BROKEN | 1u << SCAN_CLOSING,
		[SCAN_BROKEN] = 1u << SCAN_CLOSING,
		[SCAN_CLOSING] = 1u << SCAN_CLOSED,
		[SCAN_CLOSED] = 0,
	};

	log_debug("scan_state", LOG_STR("queue", scan->options.queue),
	    LOG_STR("from", scan_state_name(scan->state)),
	    LOG_STR("to", scan_state_name(to)), LOG_UINT("seen", scan->seen),
	    LOG_UINT("held", scan->seen - scan->acked));
	if ((legal[scan->state] & 1u << to) == 0)
		abort();
	scan->state = to;
	loop_timer_stop(scan->loop, scan->look);
}

static void
drop_counter(struct scan *scan)
{
	if (scan->counter != NULL)
		rmq_channel_abandon(scan->counter);
	scan->counter = NULL;
}

static void
breaks(struct scan *scan, const struct rmq_close *why)
{
	if (scan->state >= SCAN_BROKEN)
		return;
	drop_counter(scan);
	scan_enter(scan, SCAN_BROKEN);
	scan->cbs->lost(scan->arg, why);
}

static void
ends(struct scan *scan)
{
	drop_counter(scan);
	scan_enter(scan, SCAN_ENDED);
	scan->cbs->end(scan->arg);
}

/*
 * Closing: the first channel of the chain that is still there; the next one
 * when that one's close is answered.
 */
static void
close_next(struct scan *scan)
{
	for (size_t i = 0; i < scan->chain_len; i++) {
		if (scan->chain[i]->channel != NULL) {
			scan->closing = scan->chain[i];
			rmq_channel_close(scan->closing->channel);
			return;
		}
	}
	scan->closing = NULL;
	loop_defer(scan->loop, &scan->task);
}

static void open_next(struct scan *);

static void
write_acks(struct scan_channel *link)
{
	for (size_t i = 0; i < link->ack_count; i++)
		rmq_ack(link->channel, link->acks[i]);
	link->ack_count = 0;
}

/* Nothing more comes on the link that was being filled. */
static void
link_done(struct scan_channel *link)
{
	struct scan *scan = link->scan;

	link->consumer = NULL;
	write_acks(link);
	scan->active = NULL;
	if (scan->state == SCAN_CLOSING)
		close_next(scan);
	else if (scan->state == SCAN_READING &&
	    (scan->enough || (scan->counted && scan->seen >= scan->target)))
		ends(scan);
	else
		open_next(scan);
}

static void
link_cancelled(void *arg, const struct rmq_reply *reply)
{
	struct scan_channel *link = arg;

	/* Not ok: the channel is going, and \`closed\` says so. */
	if (reply->ok && link->consumer != NULL)
		link_done(link);
}

/* Ends the consumer of the link being filled. */
static void
cancel_active(struct scan *scan)
{
	struct scan_channel *link = scan->active;

	if (link == NULL || link->consumer == NULL || link->cancelling)
		return;
	link->cancelling = true;
	rmq_cancel(link->consumer, link_cancelled);
}

static void
link_delivery(void *arg, const struct rmq_delivery *delivery)
{
	struct scan_channel *link = arg;
	struct scan *scan = link->scan;
	struct scan_ref ref = { link, delivery->tag };

	scan->seen++;
	scan->bytes += rmq_message_bytes(delivery->message);
	if (++link->received >= link->want)
		cancel_active(scan);
	if (scan->state == SCAN_READING)
		scan->cbs->letter(scan->arg, ref, delivery->message,
		    delivery->redelivered);
	else
		rmq_message_free(delivery->message);
}

static void
link_revoked(void *arg)
{
	static const struct rmq_close why = {
		.fault = RMQ_FAULT_SERVER,
		.text = "the broker cancelled the consumer",
	};
	struct scan_channel *link = arg;
	struct scan *scan = link->scan;

	link->consumer = NULL;
	scan->active = NULL;
	if (scan->state == SCAN_CLOSING)
		close_next(scan);
	else
		breaks(scan, &why);
}

static void
start_looking(struct scan *scan)
{
	scan->quiet = 0;
	scan->seen_at_look = scan->seen;
	loop_timer_start(scan->loop, scan->look, QUIET_LOOK_MS);
}

static void
link_opened(void *arg)
{
	static const struct rmq_consumer_cbs cbs = { link_delivery,
		link_revoked };
	struct scan_channel *link = arg;
	struct scan *scan = link->scan;

	/* Too late: this link is closed in its turn. */
	if (scan->state != SCAN_READING)
		return;
	rmq_qos(link->channel, link->want, NULL, NULL);
	link->consumer = rmq_consume(link->channel, scan->options.queue, 0,
	    rmq_slice_of(NULL), &cbs, link, NULL);
	start_looking(scan);
}

static void
link_closed(void *arg, const struct rmq_close *why)
{
	struct scan_channel *link = arg;
	struct scan *scan = link->scan;
	bool awaited = scan->closing == link ||
	    (scan->closing == NULL && scan->active == link);

	link->channel = NULL;
	link->consumer = NULL;
	scan->orphans += link->ack_count;
	link->ack_count = 0;
	if (scan->active == link)
		scan->active = NULL;
	if (scan->state != SCAN_CLOSING)
		breaks(scan, why);
	else if (awaited)
		close_next(scan);
}

/*
 * How many the next channel takes: no more than there are, and few if they
 * are large, since what is moved of them is not acked before all have come.
 */
static uint16_t
next_prefetch(const struct scan *scan)
{
	uint64_t want = scan->options.prefetch, fit = FIRST_PREFETCH;

	if (scan->seen > 0)
		fit = scan->options.channel_bytes /
		    (scan->bytes / scan->seen + 1);
	if (want > fit)
		want = fit > 0 ? fit : 1;
	if (scan->counted && want > scan->target - scan->seen)
		want = scan->target - scan->seen;
	return (uint16_t)want;
}

static void
open_next(struct scan *scan)
{
	static const struct rmq_channel_cbs cbs = { .opened = link_opened,
		.closed = link_closed };
	struct scan_channel *link;

	if (scan->state != SCAN_READING || scan->active != NULL ||
	    !scan->pull || scan->cut)
		return;
	link = xcalloc(1, sizeof(*link));
	link->scan = scan;
	link->want = next_prefetch(scan);
	link->channel = rmq_channel_open(scan->conn, &cbs, link);
	if (link->channel == NULL) {
		/* The connection has none left; or is gone, and says so. */
		free(link);
		scan->cut = true;
		loop_defer(scan->loop, &scan->task);
		return;
	}
	scan->chain = xrealloc(scan->chain,
	    (scan->chain_len + 1) * sizeof(struct scan_channel *));
	scan->chain[scan->chain_len++] = link;
	scan->active = link;
}

/* The first count: `ready` messages, or nobody may know (-1). */
static void
start_reading(struct scan *scan, int64_t ready)
{
	scan->counted = ready >= 0;
	scan->target = scan->options.at_least;
	if (ready > 0 && (uint64_t)ready > scan->target)
		scan->target = (uint64_t)ready;
	if (scan->counted && scan->target == 0) {
		ends(scan);
		return;
	}
	scan_enter(scan, SCAN_READING);
	open_next(scan);
}

/* A count after a silence. */
static void
look_again(struct scan *scan, int64_t ready)
{
	if (scan->seen != scan->seen_at_look || scan->active == NULL)
		return;
	if (ready > 0) {
		if (!scan->stalled)
			log_warn("dlq_delivers_nothing",
			    LOG_STR("queue", scan->options.queue),
			    LOG_INT("ready", ready));
		scan->stalled = true;
		return;
	}
	scan->enough = true;
	cancel_active(scan);
}

static void
counter_reply(void *arg, const struct rmq_reply *reply)
{
	struct scan *scan = arg;
	int64_t ready = reply->ok ? (int64_t)reply->message_count : -1;

	/* Whoever may not ask still may read. */
	if (!reply->ok && reply->error->code != ACCESS_REFUSED) {
		breaks(scan, reply->error);
		return;
	}
	drop_counter(scan);
	if (scan->state == SCAN_COUNTING)
		start_reading(scan, ready);
	else
		look_again(scan, ready);
}

static void
counter_opened(void *arg)
{
	struct scan *scan = arg;

	rmq_queue_declare(scan->counter, scan->options.queue, RMQ_PASSIVE,
	    rmq_slice_of(NULL), counter_reply, scan);
}

static void
counter_closed(void *arg, const struct rmq_close *why)
{
	struct scan *scan = arg;

	scan->counter = NULL;
	breaks(scan, why);
}

/* Asks how many are ready, on a channel of its own: a "no" closes it. */
static void
count(struct scan *scan)
{
	static const struct rmq_channel_cbs cbs = { .opened = counter_opened,
		.closed = counter_closed };

	if (scan->counter != NULL)
		return;
	scan->counter = rmq_channel_open(scan->conn, &cbs, scan);
	if (scan->counter != NULL)
		return;
	/* No channel left: nobody knows. */
	if (scan->state == SCAN_COUNTING)
		start_reading(scan, -1);
	else
		look_again(scan, -1);
}

/* From time to time while a consumer is there: does it still get any? */
static void
look(void *arg)
{
	struct scan *scan = arg;

	if (scan->active == NULL)
		return;
	scan->quiet = scan->seen == scan->seen_at_look ? scan->quiet + 1 : 0;
	scan->seen_at_look = scan->seen;
	loop_timer_start(scan->loop, scan->look, QUIET_LOOK_MS);
	if (scan->quiet < QUIET_LOOKS || scan->enough)
		return;
	scan->quiet = 0;
	if (scan->state == SCAN_READING)
		count(scan);
	else
		cancel_active(scan);
}

/* What is done from the loop, so that no callback runs inside a call. */
static void
later(void *arg)
{
	struct scan *scan = arg;

	if (scan->state == SCAN_COUNTING) {
		count(scan);
	} else if (scan->state == SCAN_READING) {
		ends(scan);
	} else if (scan->state == SCAN_CLOSING) {
		scan_enter(scan, SCAN_CLOSED);
		scan->cbs->closed(scan->arg);
	}
}

struct scan *
scan_new(struct loop *loop, struct rmq_conn *conn,
    const struct scan_options *options, const struct scan_cbs *cbs, void *arg)
{
	struct scan *scan = xcalloc(1, sizeof(*scan));

	scan->loop = loop;
	scan->conn = conn;
	scan->options = *options;
	scan->cbs = cbs;
	scan->arg = arg;
	scan->pull = true;
	scan->look = loop_timer_new(loop, look, scan);
	loop_task_init(&scan->task, later, scan);
	loop_defer(loop, &scan->task);
	return scan;
}

void
scan_pull(struct scan *scan, bool on)
{
	scan->pull = on;
	open_next(scan);
}

void
scan_ack(struct scan *scan, struct scan_ref ref)
{
	struct scan_channel *link = ref.channel;

	if (link->channel == NULL) {
		scan->orphans++;
		return;
	}
	scan->acked++;
	if (link != scan->active) {
		rmq_ack(link->channel, ref.tag);
		return;
	}
	if (link->acks == NULL)
		link->acks = xcalloc(link->want, sizeof(*link->acks));
	link->acks[link->ack_count++] = ref.tag;
}

void
scan_close(struct scan *scan)
{
	if (scan->state >= SCAN_CLOSING)
		return;
	drop_counter(scan);
	scan_enter(scan, SCAN_CLOSING);
	/*
	 * With a consumer at work, what the chain's head gives back would be
	 * delivered again, behind what is held.
	 */
	if (scan->active != NULL && scan->active->consumer != NULL)
		start_looking(scan);
	else
		close_next(scan);
}

void
scan_detach(struct scan *scan)
{
	scan->conn = NULL;
	drop_counter(scan);
	if (scan->state < SCAN_BROKEN)
		scan_enter(scan, SCAN_BROKEN);
}

void
scan_free(struct scan *scan)
{
	if (scan == NULL)
		return;
	loop_undefer(scan->loop, &scan->task);
	loop_timer_free(scan->loop, scan->look);
	drop_counter(scan);
	for (size_t i = 0; i < scan->chain_len; i++) {
		if (scan->chain[i]->channel != NULL)
			rmq_channel_abandon(scan->chain[i]->channel);
		free(scan->chain[i]->acks);
		free(scan->chain[i]);
	}
	free(scan->chain);
	free(scan);
}

uint64_t
scan_seen(const struct scan *scan)
{
	return scan->seen;
}

uint64_t
scan_held(const struct scan *scan)
{
	return scan->seen - scan->acked;
}

uint64_t
scan_orphans(const struct scan *scan)
{
	return scan->orphans;
}

uint64_t
scan_total(const struct scan *scan)
{
	return scan->target > scan->seen ? scan->target : scan->seen;
}

bool
scan_is_cut(const struct scan *scan)
{
	return scan->cut;
}
