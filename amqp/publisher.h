/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Publishing that can be relied on: one confirm channel, kept open over
 * channel closes and reconnects. A publish stays here until its fate is
 * known: what was sent and not confirmed when a channel ended is sent again
 * (a duplicate is possible, a loss is not). A publish that makes the broker
 * close the channel is found by bisection, so that one message cannot hold up
 * the rest. A confirm that does not come in time ends the channel; so do
 * nacks, when all else is confirmed, a second apart at first and a minute at
 * last.
 *
 * It holds back while the connection is blocked or down and while `window`
 * publishes are unconfirmed; the caller's bytes must stay until `done`.
 */
#ifndef DLO_AMQP_PUBLISHER_H
#define DLO_AMQP_PUBLISHER_H

#include "amqp/channel.h"
#include "lib/loop.h"

struct rmq_publisher;
struct rmq_ticket;

enum rmq_sent {
	RMQ_SENT_OK,	   /* confirmed without a return: safe */
	RMQ_SENT_RETURNED, /* no queue takes it */
	RMQ_SENT_NACKED,   /* a queue refused it */
	RMQ_SENT_REFUSED,  /* it alone makes the broker close the channel */
};
const char *rmq_sent_name(enum rmq_sent);

struct rmq_publisher_options {
	const char *correlation_header; /* see rmq_confirm_select */
	size_t window;			/* unconfirmed at most */
	int64_t confirm_timeout_ms;	/* silence while some are awaited */
};

/* `text` says why, for people; latency: from sending to the verdict. */
struct rmq_sent_result {
	enum rmq_sent sent;
	uint16_t code; /* REFUSED: the reply code (404, 403, 406, …) */
	const char *text;
	int64_t latency_us;
};
typedef void rmq_sent_cb(void *arg, const struct rmq_sent_result *);

struct rmq_publisher *rmq_publisher_new(struct loop *,
    const struct rmq_publisher_options *);
/*
 * No callbacks any more; what was not confirmed is forgotten. NULL is fine.
 * In the same turn as its connection at the latest.
 */
void rmq_publisher_free(struct rmq_publisher *);
/* The connection is up: opens the channel and goes on. */
void rmq_publisher_attach(struct rmq_publisher *, struct rmq_conn *);
/* The connection is gone (its channels have had their `closed`). */
void rmq_publisher_detach(struct rmq_publisher *);
/* Tells it that rmq_conn_is_blocked changed. */
void rmq_publisher_wake(struct rmq_publisher *);

/*
 * Queues one mandatory publish. The struct is copied, but the bytes that it
 * points to stay the caller's until `done`, which comes once, never inside
 * this call; the ticket is void then.
 */
struct rmq_ticket *rmq_publisher_send(struct rmq_publisher *,
    const struct rmq_publish *, rmq_sent_cb *done, void *arg);
/* The caller no longer cares: no `done`; its bytes may go at once. */
void rmq_publisher_forget(struct rmq_publisher *, struct rmq_ticket *);
/*
 * Fire and forget, transient news, on a channel of its own: dropped while the
 * connection is down or blocked, and for a while after the broker refused one.
 * False: it was dropped.
 */
bool rmq_publisher_tell(struct rmq_publisher *, const struct rmq_publish *);
/* Tickets queued or awaiting a confirm. */
size_t rmq_publisher_pending(const struct rmq_publisher *);

#endif
