/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A channel of a connection: requests with a callback for the answer, several
 * under way at once; deliveries; acks, coalesced at each flush; publishes
 * with confirms and returns.
 *
 * A channel belongs to its connection. `closed` comes exactly once, before it
 * the callbacks of everything outstanding (answers with ok = false, publishes
 * with RMQ_CONFIRM_UNKNOWN); afterwards the pointer is void. On a channel
 * that is closing or closed requests answer ok = false (from the next flush
 * on, never inside the call) and publishes answer RMQ_CONFIRM_UNKNOWN.
 */
#ifndef DLO_AMQP_CHANNEL_H
#define DLO_AMQP_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "amqp/conn.h"
#include "amqp/message.h"
#include "lib/compiler.h"

struct rmq_channel;
struct rmq_consumer;

struct rmq_channel_cbs {
	void (*opened)(void *arg);
	/* fault NONE: closed by us; else the broker or the connection. */
	void (*closed)(void *arg, const struct rmq_close *);
	/* The broker said whether to publish (channel.flow); may be NULL. */
	void (*flow)(void *arg, bool active);
};

/* Opens a channel; NULL when the connection has none left or is not open. */
struct rmq_channel *rmq_channel_open(struct rmq_conn *,
    const struct rmq_channel_cbs *, void *arg) must_use;
/* Orderly close; deliveries stop at once, `closed` comes later. */
void rmq_channel_close(struct rmq_channel *);
/* Orderly close, and no callback of any kind from now on; void pointer. */
void rmq_channel_abandon(struct rmq_channel *);
bool rmq_channel_is_open(const struct rmq_channel *);

/* The answer to a request. */
struct rmq_reply {
	bool ok;
	const struct rmq_close *error; /* why not ok; valid in the callback */
	uint32_t message_count;	       /* queue declare: ready messages */
	uint32_t consumer_count;       /* queue declare */
	struct rmq_slice queue;	       /* queue declare: its name */
};
/* `cb` may be NULL: then only `closed` tells of trouble. */
typedef void rmq_reply_cb(void *arg, const struct rmq_reply *);

enum {
	RMQ_PASSIVE = 1, /* exists? nothing is made */
	RMQ_DURABLE = 2,
	RMQ_EXCLUSIVE = 4,
	RMQ_AUTO_DELETE = 8,
	RMQ_INTERNAL = 16,
	RMQ_IF_UNUSED = 32,
	RMQ_IF_EMPTY = 64,
	RMQ_NO_ACK = 128,
};

/* `args`: a table without its length word (props.h), or an empty slice. */
void rmq_exchange_declare(struct rmq_channel *, const char *name,
    const char *type, unsigned flags, struct rmq_slice args, rmq_reply_cb *,
    void *arg);
void rmq_exchange_delete(struct rmq_channel *, const char *name, unsigned flags,
    rmq_reply_cb *, void *arg);
void rmq_exchange_bind(struct rmq_channel *, const char *destination,
    const char *source, const char *key, struct rmq_slice args, rmq_reply_cb *,
    void *arg);
void rmq_queue_declare(struct rmq_channel *, const char *name, unsigned flags,
    struct rmq_slice args, rmq_reply_cb *, void *arg);
void rmq_queue_delete(struct rmq_channel *, const char *name, unsigned flags,
    rmq_reply_cb *, void *arg);
void rmq_queue_bind(struct rmq_channel *, const char *queue,
    const char *exchange, const char *key, struct rmq_slice args,
    rmq_reply_cb *, void *arg);
void rmq_queue_unbind(struct rmq_channel *, const char *queue,
    const char *exchange, const char *key, struct rmq_slice args,
    rmq_reply_cb *, void *arg);

/* Deliveries under way at most, for each consumer: 1 to 65535. */
void rmq_qos(struct rmq_channel *, uint16_t prefetch, rmq_reply_cb *,
    void *arg);

struct rmq_delivery {
	uint64_t tag; /* for rmq_ack; means nothing on another channel */
	bool redelivered;
	struct rmq_message *message; /* now the callback's: free it */
};

struct rmq_consumer_cbs {
	void (*delivery)(void *arg, const struct rmq_delivery *);
	/* The broker cancelled it (queue gone, leader moved); it is void. */
	void (*cancelled)(void *arg);
};

/*
 * Subscribes; `done` tells whether it worked. The consumer belongs to the
 * channel and goes with it, after rmq_cancel's answer, or after `cancelled`.
 */
struct rmq_consumer *rmq_consume(struct rmq_channel *, const char *queue,
    unsigned flags, struct rmq_slice args, const struct rmq_consumer_cbs *,
    void *arg, rmq_reply_cb *done);
/*
 * Ends it; deliveries already on their way still come until the answer.
 * `done` gets the consumer's arg.
 */
void rmq_cancel(struct rmq_consumer *, rmq_reply_cb *done);

/*
 * Acks one delivery of this channel, sent within a millisecond and before any
 * close, in as few frames as possible. Each tag once.
 */
void rmq_ack(struct rmq_channel *, uint64_t tag);
/* Deliveries of this channel not yet acked. */
size_t rmq_channel_unacked(const struct rmq_channel *);

enum rmq_confirm {
	RMQ_CONFIRM_OK,	      /* the broker has it, routed to a queue */
	RMQ_CONFIRM_RETURNED, /* no queue takes it */
	RMQ_CONFIRM_NACKED,   /* a queue refused it (full, or in trouble) */
	RMQ_CONFIRM_UNKNOWN,  /* the channel went first: maybe, maybe not */
};
const char *rmq_confirm_name(enum rmq_confirm);

/* Read during rmq_publish only. */
struct rmq_publish {
	const char *exchange;	 /* at most 255 bytes */
	const char *routing_key; /* at most 255 bytes */
	struct rmq_slice props;	 /* flags word first; must fit one frame */
	struct rmq_slice body;
	bool mandatory;
	/*
	 * Matches a return to its publish together with exchange and routing
	 * key: the value of the header that rmq_confirm_select named, which
	 * `props` must carry. A return marks every outstanding publish that it
	 * matches: better one copy too many than one too few.
	 */
	struct rmq_slice correlation;
};
typedef void rmq_confirm_cb(void *arg, enum rmq_confirm,
    const char *return_text);

/* Puts the channel into confirm mode. */
void rmq_confirm_select(struct rmq_channel *, const char *correlation_header,
    rmq_reply_cb *, void *arg);
/*
 * Publishes; the bytes are copied into the output. With `cb` (confirm mode
 * only) exactly one verdict follows, never inside this call; without, none.
 */
void rmq_publish(struct rmq_channel *, const struct rmq_publish *,
    rmq_confirm_cb *cb, void *arg);
/* Whether properties of that size can be published. */
bool rmq_publish_fits(const struct rmq_conn *, size_t props_bytes);
/* False while the broker asked this channel to hold back (channel.flow). */
bool rmq_channel_may_publish(const struct rmq_channel *);
/* Publishes without a verdict yet. */
size_t rmq_channel_unconfirmed(const struct rmq_channel *);

#endif
