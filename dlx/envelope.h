/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What we know of a message beyond its body: read from its properties, kept
 * while it is in our hands, and written onto the copy that we publish. What
 * is not ours is carried on as raw bytes, type for type; what would lose or
 * divert the copy (x-death, CC, expiration, …) is left out.
 *
 * Reading allocates nothing: slices point into the message, which must
 * outlive the envelope, or into the envelope, which must not be moved.
 * The life of a copy: envelope_read, then envelope_failed for each failed
 * attempt, then one of envelope_dead, envelope_redriven, envelope_parked or
 * none of them (a retry), then envelope_write.
 */
#ifndef DLO_DLX_ENVELOPE_H
#define DLO_DLX_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "amqp/message.h"
#include "amqp/props.h"
#include "config/conf.h"
#include "lib/buf.h"
#include "lib/compiler.h"
#include "lib/loop.h"
#include "lib/text.h"

/* Present on everything we publish: for rmq_confirm_select. */
#define ENVELOPE_ID_HEADER   "dlo-id"
#define ENVELOPE_CLASS_MAX   64	  /* bytes of a class; longer ones are cut */
#define ENVELOPE_ERROR_MAX   512  /* bytes of an error text */
#define ENVELOPE_JOB_MAX     64	  /* bytes of a job's id */
#define ENVELOPE_HISTORY_MAX 1024 /* bytes of the history */
/*
 * The class of a message that may have killed who tried it, unrecorded; when
 * it was tried alone and killed again, with how often: `crash.suspected.1`.
 */
#define ENVELOPE_SUSPECTED "crash.suspected"

/* Why a message is dead. */
enum envelope_reason {
	ENVELOPE_REASON_NONE, /* not dead, or nobody said why */
	ENVELOPE_REJECTED,
	ENVELOPE_ATTEMPTS_EXHAUSTED,
	ENVELOPE_DEADLINE,
	ENVELOPE_EXPIRED,
	ENVELOPE_CRASH,
	ENVELOPE_MALFORMED,
	ENVELOPE_TOO_LARGE,
	ENVELOPE_BROKER_EXPIRED,
	ENVELOPE_BROKER_REJECTED,
	ENVELOPE_BROKER_MAXLEN,
	ENVELOPE_BROKER_DELIVERY_LIMIT,
	ENVELOPE_REASON_COUNT
};
/* "rejected", …; NONE is "". */
const char *envelope_reason_name(enum envelope_reason);
/* The reason of that name; NONE for any other text. */
enum envelope_reason envelope_reason_parse(const void *text, size_t len);

/* What the broker's own x-death header says; never to route by. */
struct envelope_x_death {
	bool found;
	enum envelope_reason reason; /* of the newest (first) entry, or NONE */
	int64_t at_ms;		     /* of the newest entry; 0: unknown */
	struct rmq_slice exchange, routing_key, queue;
};

struct envelope {
	struct rmq_props props;
	enum rmq_props_verdict verdict; /* not OK: malformed, dead-letter it */
	bool trusted;			/* dlo-* headers were believed */
	bool known; /* and there were some: we have had it before */

	struct rmq_slice id; /* 1 to 255 bytes, any bytes */
	int64_t attempt;     /* attempts made so far */
	int64_t redrives;
	enum envelope_reason reason; /* dlo-reason; see envelope_reason_of */
	struct rmq_slice class;	     /* of the last failed attempt, or empty */
	struct rmq_slice error;	     /* UTF-8 */
	struct rmq_slice history;
	struct rmq_slice job;
	int64_t first_failed_ms; /* wall clock; 0: never failed */
	int64_t last_failed_ms;
	int64_t deadline_ms; /* wall clock, the publisher's; 0: none */

	/* As first received. */
	struct rmq_slice exchange, routing_key, queue, user_id;
	bool transient;

	/* From the broker, and from foreign headers; empty: none. */
	struct envelope_x_death x_death;
	int64_t delivery_count; /* x-delivery-count; only if redelivered */
	struct rmq_slice traceparent, tracestate;

	/* The undecodable properties of a message dead as malformed. */
	struct rmq_slice raw_props;

	struct buf own_class, own_error, own_history, own_job;
	char uuid[TEXT_UUID_SPACE]; /* the room for an id of our making */
};

/* Where a message was read. */
struct envelope_origin {
	const char *queue; /* the pipeline's work queue */
	bool dead;	   /* read in a DLQ (parked, archive), not in `queue` */
	bool redelivered;
};

/*
 * Reads it; never fails: what does not decode is left out and `verdict` says
 * so. The dlo-* headers of messages from the users in `trusted` (see
 * conf_broker) are believed. `loop` gives the time and, for a message without
 * an id, a UUID. The envelope need not be zeroed before; clear it after use.
 */
void envelope_read(struct envelope *, const struct rmq_message *,
    const struct envelope_origin *, const struct conf_texts *trusted,
    struct loop *loop);
/* Frees what it holds; zeroed memory is fine. */
void envelope_clear(struct envelope *);

/* Why it is dead: what the broker says before what a stale header says. */
enum envelope_reason envelope_reason_of(const struct envelope *);
/* Since when it is dead, wall clock; 0: nobody knows. */
int64_t envelope_dead_since_ms(const struct envelope *);
/* What is wrong with a malformed message, for people; OK: "". */
const char *envelope_malformed_text(const struct envelope *);

/* A failed attempt, as the last one goes into the headers and history. */
struct envelope_failure {
	const char *class;	/* "http.503" */
	struct rmq_slice error; /* any bytes; cut and cleaned here */
	int64_t at_ms;		/* wall clock */
	int64_t handler_ms;	/* how long the handler took */
	int64_t delay_ms;	/* drawn for the next attempt; 0: none */
};
/* Counts one failed attempt. */
void envelope_failed(struct envelope *, const struct envelope_failure *);
/* Marks it as a suspect of so many deaths; no attempt is counted. */
void envelope_suspect(struct envelope *, unsigned deaths);
/* Whether it is marked. */
bool envelope_is_suspect(const struct envelope *);
/* And with how many deaths. */
unsigned envelope_suspect_deaths(const struct envelope *);
/*
 * It is dead, at `at_ms`. `error` (NULL: keep the last attempt's) is for
 * deaths that no attempt explains: malformed, too large.
 */
void envelope_dead(struct envelope *, enum envelope_reason, int64_t at_ms,
    const char *error);
/*
 * Back to the work queue: attempt 0, one redrive more, failure times anew,
 * history kept. A passed deadline of the publisher goes if the message died
 * of it (somebody wants it all the same), else it stays.
 */
void envelope_redriven(struct envelope *, const char *job);
/* To the parked or archive queue: all stays; a broker's reason is kept too. */
void envelope_parked(struct envelope *);

/* The failed attempts of an envelope, apart from it. Zeroed: none. */
struct envelope_past {
	int64_t attempt;
	int64_t first_failed_ms, last_failed_ms;
	struct buf class, error, history;
};
/* Copies them; it must have been zeroed or cleared. */
void envelope_past_take(struct envelope_past *, const struct envelope *);
/* Moves them to an envelope of the same message, in place of its own. */
void envelope_past_give(struct envelope_past *, struct envelope *);
void envelope_past_clear(struct envelope_past *);

/* What did not fit into one frame beside the message's own properties. */
enum envelope_fit {
	ENVELOPE_FIT_WHOLE, /* all of it is there */
	ENVELOPE_FIT_BARE,  /* ours without history, error, origin, … */
	/*
	 * Foreign headers too were left out, largest first: the last resort.
	 * Worth a warning; not to be handed to a handler again.
	 */
	ENVELOPE_FIT_CUT,
};
/*
 * Appends raw properties for a copy in its present state, to be published
 * with e->id as the correlation. `user` is the user of the connection that
 * will publish it, `frame_max` as negotiated there (0: 131072).
 */
enum envelope_fit envelope_write(const struct envelope *, const char *user,
    uint32_t frame_max, struct buf *out);
/*
 * The same for a copy that goes from one queue of dead letters to another: a
 * dead letter's properties as they are, byte for byte, but for what would lose
 * or divert it, the user id if there is one, and the delivery mode (2). Nothing
 * is added, so that the way back gives the same. Two cannot go so and get our
 * headers, as in envelope_parked: one that the broker put there (its x-death
 * must not be copied, and what it says is to be kept), and a stranger's (under
 * our user id its dlo-* headers would be believed). CUT: it does not fit.
 */
enum envelope_fit envelope_write_moved(struct envelope *, const char *user,
    uint32_t frame_max, struct buf *out) must_use;

#endif
