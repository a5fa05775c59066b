/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * One pass over a dead-letter queue that leaves its order whole (chain.h says
 * how messages are held).
 *
 * The pass is bounded: it takes as many as the queue had ready at the start,
 * or fewer when the queue is empty and stays silent. What comes in meanwhile
 * is not touched. A pass over what was just given back, and nothing else, need
 * not be made: the count tells.
 *
 * It is also whole: told to close early, it takes the rest unread and gives
 * all of it back. A quorum queue keeps what was given back apart, in front of
 * its other messages; a part of it given back once more would go behind the
 * part that was not taken.
 *
 * Acks need time. A busy broker keeps them with the channel, and forgets them
 * when that closes; the messages come again. So a scan rests before it closes
 * its channels, for as long as its owner says.
 *
 * A channel that goes by itself breaks the pass: `lost` says so once, refs
 * into that channel are void, the rest is still held and to be given back.
 */
#ifndef DLO_REDRIVE_SCAN_H
#define DLO_REDRIVE_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "amqp/channel.h"
#include "lib/loop.h"
#include "redrive/chain.h"

#define SCAN_PREFETCH 5000

struct scan;

/* Called from the loop, never inside a call. */
struct scan_cbs {
	/* One message, in the queue's order; it is the callback's to free. */
	void (*letter)(void *arg, struct chain_ref, struct rmq_message *,
	    bool redelivered);
	/* The pass has seen everything; the window is still held. */
	void (*end)(void *arg);
	/* The pass is broken; no letter and no `end` after this. */
	void (*lost)(void *arg, const struct rmq_close *);
	/* scan_close is through: all that was held is back (chain.h). */
	void (*closed)(void *arg);
};

/* Copied. */
struct scan_options {
	const char *queue;    /* must outlive the scan */
	uint16_t prefetch;    /* of each channel, at most */
	size_t channel_bytes; /* of messages on a channel, about; at most */
	/*
	 * So many were all seen just before and given back, and need not be
	 * seen again: when the queue holds just these, the pass ends at once.
	 * -1: it has to see them all.
	 */
	int64_t known;
};

/* Counts and starts to read, on an open connection. */
struct scan *scan_new(struct loop *, struct rmq_conn *,
    const struct scan_options *, const struct scan_cbs *, void *arg);
/* Off: no further channel is opened; the one being filled fills up. */
void scan_pull(struct scan *, bool on);
/* Acks one message, once. */
void scan_ack(struct scan *, struct chain_ref);
/*
 * Takes the rest, rests until `rest_ms` after the last ack, and gives back
 * what is held, in order; `closed` follows.
 */
void scan_close(struct scan *, int64_t rest_ms);
/* Gives back at once, in whatever order: time is up. After scan_close. */
void scan_hurry(struct scan *);
/*
 * The connection is gone, its channels are closed: the pass is broken. No
 * `lost` for it.
 */
void scan_detach(struct scan *);
/*
 * Lets go of everything at once, no callback any more; NULL is fine. From
 * callbacks only from `closed`.
 */
void scan_free(struct scan *);

/* Messages seen so far, and those of them not acked. */
uint64_t scan_seen(const struct scan *);
uint64_t scan_held(const struct scan *);
/* Acks that had no channel any more: these messages come again. */
uint64_t scan_orphans(const struct scan *);
/* How many there are to see, at least; for showing progress. */
uint64_t scan_total(const struct scan *);
/* In the queue at least, once all is given back. */
uint64_t scan_left(const struct scan *);
/* The connection has no channel left: the pass ended before the queue did. */
bool scan_is_cut(const struct scan *);
/* It ended at once: see scan_options.known. */
bool scan_is_known(const struct scan *);

#endif
