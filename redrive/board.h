/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The protocol of `dlo.jobs`: who is the active redrive daemon, and which copy
 * of a record counts. Pure: it is told what comes out of the queue and what
 * time it is, and says what is to be published and acked; jobs_link.h is its
 * channel, registry.h the jobs that its records describe.
 *
 *	off ------- the channel consumes ----------------> standby
 *	standby --- the first delivery (or own hello) ---> reading
 *	reading --- its own marker comes back -----------> active
 *	any ------- the channel is gone -----------------> off
 *
 * The queue has a single active consumer, so that a delivery tells who gets it
 * that it is the active one. There is always something to deliver: each
 * session publishes a hello, and the active one holds the newest unacked, as
 * the lease. What an active one held comes to the next one when its channel
 * goes; a marker, published at the first delivery, comes back behind all of
 * it.
 *
 * A record is a JSON object under a key ("job/0abc", "feature/redrive"), held
 * as an unacked message. Copies are ordered by epoch, then version, then
 * writer; of two the higher one counts and the lower one is acked away. The
 * active one writes each unfinished record of others anew with epoch + 1, and
 * `owned` comes when that copy is confirmed and has come back: only now may it
 * be acted on. What others wrote and comes behind the marker is late: it can
 * bring a record that nobody knew, but changes none. A write that is confirmed
 *and does not come back means that another one is active: the session leaves. A
 *record has one write under way at a time. Those that have ended are kept for a
 *while, so that a late copy revives nothing.
 *
 * States, hellos and markers are believed only from trusted users; requests
 * come from whoever may publish to `dlo.control`. What is none of these is
 * acked away, with a line in the log.
 */
#ifndef DLO_REDRIVE_BOARD_H
#define DLO_REDRIVE_BOARD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOARD_KEY_SPACE	    80
#define BOARD_WRITER_SPACE  96
#define BOARD_MESSAGE_BYTES (256 * 1024) /* a longer one is junk */

struct board;

enum board_state {
	BOARD_OFF,     /* no channel */
	BOARD_STANDBY, /* subscribed; nothing was delivered */
	BOARD_READING, /* active for the broker; what is there is being read */
	BOARD_ACTIVE,
};
/* "off", "standby", "reading", "active". */
const char *board_state_name(enum board_state);

/* 0: the default in brackets. Times in milliseconds. */
struct board_options {
	const char *instance;	  /* unique to this process; copied */
	size_t ended_max;	  /* ended records kept at most (1,000) */
	int64_t ended_keep_ms;	  /* and for so long (7 days) */
	int64_t rewrite_after_ms; /* nothing is held for longer (5 min) */
	int64_t echo_ms; /* from a write's confirm to its coming back (60 s) */
};

/* One message out of the queue. */
struct board_delivery {
	uint64_t tag;
	const void *body;
	size_t len;
	const char *user;	/* the broker-checked user_id; NULL: none */
	bool trusted;		/* it is our own or a trusted one */
	const char *message_id; /* NULL: none */
};

/* A message that wants something done; gone when the callback returns. */
struct board_request {
	uint64_t tag;		/* for board_settle */
	json_t *body;		/* borrowed */
	const char *user;	/* NULL: nobody knows */
	bool trusted;		/* what the body says of who and where counts */
	const char *message_id; /* NULL: none */
};

/*
 * What it wants done. The callbacks may call anything here but board_free, and
 * must not deliver or confirm at once.
 */
struct board_cbs {
	/*
	 * Publish this to the jobs queue, mandatory, and tell board_confirmed
	 * with the token.
	 */
	void (
	    *publish)(void *arg, uint64_t token, const char *body, size_t len);
	void (*ack)(void *arg, uint64_t tag);
	/* Close the channel; board_lost must follow, but not at once. */
	void (*leave)(void *arg, const char *why);
	/* It is active now, all that was in the queue is known; or not. */
	void (*active)(void *arg, bool active);
	/*
	 * A record that another one wrote (or we did, before a loss). Ended:
	 * `ended_ms` is not 0. Not to be acted on before `owned`.
	 */
	void (*found)(void *arg, const char *key, const json_t *data,
	    int64_t ended_ms);
	/* Our copy of it is in the queue: from here on it is ours to act on. */
	void (*owned)(void *arg, const char *key);
	/* An ended record has become too old, or there are too many. */
	void (*forgotten)(void *arg, const char *key);
	/* Somebody wants something; board_settle it, now or later. */
	void (*request)(void *arg, const struct board_request *);
};

struct board *board_new(const struct board_options *, const struct board_cbs *,
    void *arg);
/* No callbacks; NULL is fine. */
void board_free(struct board *);

/* The channel is open and about to consume; publishes the hello. */
void board_joined(struct board *);
/* It is gone. All records are forgotten: the truth is in the broker. */
void board_lost(struct board *);
/* A message of the channel's one consumer. */
void board_delivered(struct board *, const struct board_delivery *,
    int64_t now_ms);
/* What became of a publish; not `ok`: nacked or returned. */
void board_confirmed(struct board *, uint64_t token, bool ok, int64_t now_ms);
/* To be called about once a second. */
void board_tick(struct board *, int64_t now_ms, int64_t wall_ms);

/*
 * Writes a record: a new one or the next version of one. Its owner is told
 * with `owned` the first time. While a write of it is under way only the
 * newest of further ones is kept. `ended_ms` (wall clock) not 0: it has ended.
 * Only while active; `data` is copied.
 */
void board_put(struct board *, const char *key, const json_t *data,
    int64_t ended_ms);
/*
 * A request is dealt with: acks it, when all that was put under `key` so far
 * is in the queue; at once when `key` is NULL or nothing is under way.
 */
void board_settle(struct board *, uint64_t tag, const char *key);
enum board_state board_state(const struct board *);
/* Whether the record may be acted on. */
bool board_owns(const struct board *, const char *key);
/* Whether all that was put under that key is in the queue. */
bool board_is_settled(const struct board *, const char *key);
/* Of its newest copy; false: there is no such record. */
bool board_stamp(const struct board *, const char *key, uint64_t *epoch,
    uint64_t *version);
/* Messages held unacked. */
size_t board_held(const struct board *);

#endif
