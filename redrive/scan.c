/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/scan.h"

#include <stdlib.h>

#include "lib/log.h"
#include "lib/xalloc.h"
#include "redrive/count.h"

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
	SCAN_ENDED,    /* all seen, the window held */
	SCAN_BROKEN,   /* a channel went; the others are held */
	SCAN_SKIMMING, /* told to close: takes the rest unread */
	SCAN_RESTING,  /* the broker is given time to take the acks */
	SCAN_CLOSING,  /* gives back */
	SCAN_CLOSED,
};

struct scan {
	struct loop *loop;
	struct rmq_conn *conn; /* NULL: gone */
	struct scan_options options;
	const struct scan_cbs *cbs;
	void *arg;
	enum scan_state state;
	struct chain *chain;
	struct count *count;	  /* asked for; else NULL */
	struct loop_timer *timer; /* looks; the end of the rest */
	struct loop_task task;	  /* see later() */
	int64_t rest_ms;
	uint64_t target; /* the pass ends when so many have come */
	uint64_t seen;
	uint64_t bytes; /* of all that was seen */
	uint64_t seen_at_look;
	unsigned quiet;
	bool known;
	bool counted; /* target is what the broker said */
	bool doubt;   /* it said "nothing", which may be no answer */
	bool pull;
	bool enough; /* the queue has no more, whatever was counted */
	bool cut;
	bool stalled; /* said that the queue delivers nothing */
};

static const char *
scan_state_name(enum scan_state state)
{
	static const char *const names[] = { "counting", "reading", "ended",
		"broken", "skimming", "resting", "closing", "closed" };

	return names[state];
}

#define TO(state) (1u << SCAN_##state)

/*
 * Legal: COUNTING -> READING, ENDED (there is nothing); READING -> ENDED;
 * each of these -> BROKEN; READING -> SKIMMING; all of these -> RESTING ->
 * CLOSING -> CLOSED.
 */
static void
scan_enter(struct scan *scan, enum scan_state to)
{
	static const unsigned legal[] = {
		[SCAN_COUNTING] =
		    TO(READING) | TO(ENDED) | TO(BROKEN) | TO(RESTING),
		[SCAN_READING] = TO(ENDED) | TO(BROKEN) | TO(SKIMMING),
		[SCAN_ENDED] = TO(BROKEN) | TO(RESTING),
		[SCAN_BROKEN] = TO(RESTING),
		[SCAN_SKIMMING] = TO(RESTING),
		[SCAN_RESTING] = TO(CLOSING),
		[SCAN_CLOSING] = TO(CLOSED),
		[SCAN_CLOSED] = 0,
	};

	log_debug("scan_state", LOG_STR("queue", scan->options.queue),
	    LOG_STR("from", scan_state_name(scan->state)),
	    LOG_STR("to", scan_state_name(to)), LOG_UINT("seen", scan->seen),
	    LOG_UINT("held", chain_held(scan->chain)));
	if ((legal[scan->state] & 1u << to) == 0)
		abort();
	scan->state = to;
	loop_timer_stop(scan->loop, scan->timer);
}

static void
drop_count(struct scan *scan)
{
	count_cancel(scan->count);
	scan->count = NULL;
}

static void
ends(struct scan *scan)
{
	drop_count(scan);
	scan_enter(scan, SCAN_ENDED);
	scan->cbs->end(scan->arg);
}

static void
give_back(struct scan *scan)
{
	scan_enter(scan, SCAN_CLOSING);
	chain_close(scan->chain);
}

/* Once nothing is being taken, gives the broker time for the acks. */
static void
rest_on(struct scan *scan)
{
	int64_t acked_ms = chain_acked_ms(scan->chain);
	int64_t wait_ms = acked_ms + scan->rest_ms - loop_now_ms(scan->loop);

	if (chain_is_filling(scan->chain))
		return;
	if (acked_ms == 0 || scan->conn == NULL || wait_ms <= 0)
		give_back(scan);
	else
		loop_timer_start(scan->loop, scan->timer, wait_ms);
}

static void
rest(struct scan *scan)
{
	drop_count(scan);
	scan_enter(scan, SCAN_RESTING);
	chain_cancel(scan->chain);
	rest_on(scan);
}

static void
breaks(struct scan *scan, const struct rmq_close *why)
{
	if (scan->state < SCAN_BROKEN) {
		drop_count(scan);
		scan_enter(scan, SCAN_BROKEN);
		scan->cbs->lost(scan->arg, why);
	} else if (scan->state == SCAN_SKIMMING) {
		/* The order is gone: only give back what there is. */
		rest(scan);
	} else if (scan->state == SCAN_RESTING) {
		rest_on(scan);
	}
}

static void
start_looking(struct scan *scan)
{
	scan->quiet = 0;
	scan->seen_at_look = scan->seen;
	loop_timer_start(scan->loop, scan->timer, QUIET_LOOK_MS);
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

/* Takes more, or is through. */
static void
go_on(struct scan *scan)
{
	bool over = scan->enough || scan->cut ||
	    (scan->counted && scan->seen >= scan->target);

	if (chain_is_filling(scan->chain))
		return;
	if (scan->state == SCAN_READING && over)
		ends(scan);
	else if (scan->state == SCAN_SKIMMING && over)
		rest(scan);
	else if ((scan->state == SCAN_READING && scan->pull) ||
	    scan->state == SCAN_SKIMMING) {
		if (chain_take(scan->chain, next_prefetch(scan)) == 0) {
			start_looking(scan);
			return;
		}
		scan->cut = true;
		loop_defer(scan->loop, &scan->task);
	}
}

static void
on_message(void *arg, struct chain_ref ref, struct rmq_message *message,
    bool redelivered)
{
	struct scan *scan = arg;

	scan->seen++;
	scan->bytes += rmq_message_bytes(message);
	if (scan->state == SCAN_READING)
		scan->cbs->letter(scan->arg, ref, message, redelivered);
	else
		rmq_message_free(message);
}

static void count(struct scan *);

static void
on_taking(void *arg)
{
	struct scan *scan = arg;

	if (scan->doubt && scan->seen == 0)
		count(scan);
}

static void
on_filled(void *arg)
{
	struct scan *scan = arg;

	if (scan->state == SCAN_RESTING)
		rest_on(scan);
	else
		go_on(scan);
}

static void
on_lost(void *arg, const struct rmq_close *why)
{
	breaks(arg, why);
}

static void
on_closed(void *arg)
{
	struct scan *scan = arg;

	scan_enter(scan, SCAN_CLOSED);
	scan->cbs->closed(scan->arg);
}

/*
 * The first count: `ready` messages, or nobody may know (-1). "Nothing at all"
 * may mean that the queue's leader did not answer: a consumer tells.
 */
static void
start_reading(struct scan *scan, int64_t ready, uint32_t consumers)
{
	scan->doubt = ready == 0 && consumers == 0;
	scan->counted = ready >= 0 && !scan->doubt;
	scan->target = scan->counted ? (uint64_t)ready : 0;
	scan->known = scan->counted && ready == scan->options.known;
	if (scan->known || (scan->counted && ready == 0)) {
		ends(scan);
		return;
	}
	scan_enter(scan, SCAN_READING);
	go_on(scan);
}

/* A count after a silence; one without our own consumer is none. */
static void
look_again(struct scan *scan, int64_t ready, uint32_t consumers)
{
	if (scan->seen != scan->seen_at_look || (ready == 0 && consumers == 0))
		return;
	if (ready > 0) {
		if (!scan->stalled && !scan->doubt)
			log_warn("dlq_delivers_nothing",
			    LOG_STR("queue", scan->options.queue),
			    LOG_INT("ready", ready));
		scan->stalled = !scan->doubt;
		scan->doubt = false;
		return;
	}
	scan->enough = true;
	chain_cancel(scan->chain);
}

static void
counted(struct scan *scan, int64_t ready, uint32_t consumers)
{
	if (scan->state == SCAN_COUNTING)
		start_reading(scan, ready, consumers);
	else
		look_again(scan, ready, consumers);
}

static void
on_count(void *arg, const struct rmq_reply *reply)
{
	struct scan *scan = arg;

	scan->count = NULL;
	if (reply->ok)
		counted(scan, reply->message_count, reply->consumer_count);
	else if (reply->error->code == ACCESS_REFUSED)
		counted(scan, -1, 0); /* who may not ask still may read */
	else
		breaks(scan, reply->error);
}

/* Asks how many are ready. */
static void
count(struct scan *scan)
{
	if (scan->count != NULL)
		return;
	scan->count =
	    count_ask(scan->conn, scan->options.queue, on_count, scan);
	if (scan->count == NULL)
		counted(scan, -1, 0);
}

/* From time to time while messages are taken: do some still come? */
static void
look(struct scan *scan)
{
	if (!chain_is_filling(scan->chain))
		return;
	scan->quiet = scan->seen == scan->seen_at_look ? scan->quiet + 1 : 0;
	scan->seen_at_look = scan->seen;
	loop_timer_start(scan->loop, scan->timer, QUIET_LOOK_MS);
	if (scan->quiet >= QUIET_LOOKS && !scan->enough) {
		scan->quiet = 0;
		count(scan);
	}
}

static void
on_timer(void *arg)
{
	struct scan *scan = arg;

	if (scan->state == SCAN_RESTING)
		give_back(scan);
	else
		look(scan);
}

/* What is done from the loop, so that no callback runs inside a call. */
static void
later(void *arg)
{
	struct scan *scan = arg;

	if (scan->state == SCAN_COUNTING && scan->conn != NULL)
		count(scan);
	else
		go_on(scan);
}

struct scan *
scan_new(struct loop *loop, struct rmq_conn *conn,
    const struct scan_options *options, const struct scan_cbs *cbs, void *arg)
{
	static const struct chain_cbs chain_cbs = { on_message, on_taking,
		on_filled, on_lost, on_closed };
	struct scan *scan = xcalloc(1, sizeof(*scan));

	scan->loop = loop;
	scan->conn = conn;
	scan->options = *options;
	scan->cbs = cbs;
	scan->arg = arg;
	scan->pull = true;
	scan->chain = chain_new(loop, conn, options->queue, &chain_cbs, scan);
	scan->timer = loop_timer_new(loop, on_timer, scan);
	loop_task_init(&scan->task, later, scan);
	loop_defer(loop, &scan->task);
	return scan;
}

void
scan_pull(struct scan *scan, bool on)
{
	if (on && !scan->pull)
		loop_defer(scan->loop, &scan->task);
	scan->pull = on;
}

void
scan_ack(struct scan *scan, struct chain_ref ref)
{
	chain_ack(scan->chain, ref);
}

void
scan_close(struct scan *scan, int64_t rest_ms)
{
	if (scan->state >= SCAN_SKIMMING)
		return;
	scan->rest_ms = rest_ms;
	if (scan->state != SCAN_READING) {
		rest(scan);
		return;
	}
	scan_enter(scan, SCAN_SKIMMING);
	if (chain_is_filling(scan->chain))
		start_looking(scan);
	else
		go_on(scan);
}

void
scan_hurry(struct scan *scan)
{
	scan->rest_ms = 0;
	if (scan->state == SCAN_SKIMMING) {
		scan->enough = true;
		chain_cancel(scan->chain);
	} else if (scan->state == SCAN_RESTING) {
		rest_on(scan);
	} else if (scan->state == SCAN_CLOSING) {
		chain_hurry(scan->chain);
	}
}

void
scan_detach(struct scan *scan)
{
	scan->conn = NULL;
	chain_detach(scan->chain);
	drop_count(scan);
	if (scan->state < SCAN_BROKEN)
		scan_enter(scan, SCAN_BROKEN);
	else if (scan->state == SCAN_SKIMMING)
		rest(scan);
	else if (scan->state == SCAN_RESTING)
		rest_on(scan);
}

void
scan_free(struct scan *scan)
{
	if (scan == NULL)
		return;
	loop_undefer(scan->loop, &scan->task);
	loop_timer_free(scan->loop, scan->timer);
	drop_count(scan);
	chain_free(scan->chain);
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
	return chain_held(scan->chain);
}

uint64_t
scan_orphans(const struct scan *scan)
{
	return chain_orphans(scan->chain);
}

uint64_t
scan_total(const struct scan *scan)
{
	return scan->target > scan->seen ? scan->target : scan->seen;
}

uint64_t
scan_left(const struct scan *scan)
{
	uint64_t held = chain_held(scan->chain);

	return scan->enough ? held : scan_total(scan) - (scan->seen - held);
}

bool
scan_is_cut(const struct scan *scan)
{
	return scan->cut;
}

bool
scan_is_known(const struct scan *scan)
{
	return scan->known;
}
