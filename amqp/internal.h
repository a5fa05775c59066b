/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What the files of the engine share. One frame goes this way:
 *
 *	conn.c (input) -> frame.c (split) -> handshake.c (channel 0)
 *	                                  -> dispatch.c -> request.c, ack.c,
 *	                                     confirm.c, content.c (channels)
 *
 * Callbacks run while a frame is handled, so anything may have been closed
 * when one returns; nothing is freed before the next flush.
 */
#ifndef DLO_AMQP_INTERNAL_H
#define DLO_AMQP_INTERNAL_H

#include <sys/queue.h>

#include "amqp/channel.h"
#include "amqp/codec.h"
#include "amqp/conn.h"

/* AMQP reply codes that we send. */
enum {
	RMQ_CODE_OK = 200,
	RMQ_CODE_FRAME_ERROR = 501,
	RMQ_CODE_SYNTAX_ERROR = 502,
	RMQ_CODE_COMMAND_INVALID = 503,
	RMQ_CODE_CHANNEL_ERROR = 504,
	RMQ_CODE_UNEXPECTED_FRAME = 505,
};

enum rmq_frame_type {
	RMQ_FRAME_METHOD = 1,
	RMQ_FRAME_HEADER = 2,
	RMQ_FRAME_BODY = 3,
	RMQ_FRAME_HEARTBEAT = 8,
};

/* Bytes of a frame around its payload. */
#define RMQ_FRAME_OVERHEAD 8

struct rmq_frame {
	enum rmq_frame_type type;
	uint16_t channel;
	struct rmq_slice payload;
};

enum rmq_frame_verdict {
	RMQ_FRAME_WHOLE,
	RMQ_FRAME_PART,
	RMQ_FRAME_BAD,
};

/*
 * Looks for a frame at the start of `bytes`. WHOLE: *frame is set and *need
 * is its size; PART: *need bytes must be there before it is worth asking
 * again; BAD: *error says why.
 */
enum rmq_frame_verdict rmq_frame_peek(struct rmq_slice bytes,
    uint32_t frame_max, struct rmq_frame *frame, size_t *need,
    const char **error) must_use;
/* The method in a method frame. */
amqp_method_number_t rmq_frame_method(const struct rmq_frame *);
/* Starts a frame; returns where, for rmq_frame_end. */
size_t rmq_frame_begin(struct buf *, enum rmq_frame_type, uint16_t channel);
void rmq_frame_end(struct buf *, size_t begin);

/* The unacked window of a channel; tags come one by one from 1. */
struct rmq_acks {
	uint8_t *states; /* ring over [base, next) */
	size_t space;	 /* a power of two */
	uint64_t base, next;
	size_t unacked;
	uint64_t *due; /* tags acked and not yet sent */
	size_t due_count, due_space;
};

typedef void rmq_ack_emit(void *arg, uint64_t tag, bool multiple);

void rmq_ack_init(struct rmq_acks *);
void rmq_ack_clear(struct rmq_acks *);
/* Takes a new delivery in; -1: the tag is not the next one. */
int rmq_ack_track(struct rmq_acks *, uint64_t tag, bool settled) must_use;
/* The caller acked it. */
void rmq_ack_mark(struct rmq_acks *, uint64_t tag);
/* Emits all marked tags in as few acks as possible. */
void rmq_ack_flush(struct rmq_acks *, rmq_ack_emit *, void *arg);

struct rmq_confirm_slot;

/* Publishes without a verdict, by their number on the channel. */
struct rmq_confirms {
	bool on;
	char *header;			/* its value correlates returns */
	struct rmq_confirm_slot *slots; /* ring over [base, next) */
	size_t space;			/* a power of two */
	uint64_t base, next;
	size_t open;
};

void rmq_confirm_init(struct rmq_confirms *);
void rmq_confirm_clear(struct rmq_confirms *);
/* Counts a publish; `cb` may be NULL. */
void rmq_confirm_track(struct rmq_confirms *, const struct rmq_publish *,
    rmq_confirm_cb *, void *arg);
/* Marks every publish that the returned message can be. */
void rmq_confirm_return(struct rmq_confirms *, const struct rmq_message *,
    uint16_t code, const char *text);
/* basic.ack and basic.nack from the broker; -1: it never got that one. */
int rmq_confirm_settle(struct rmq_confirms *, uint64_t tag, bool multiple,
    bool ack) must_use;
/* The channel has gone: all that is open is unknown. */
void rmq_confirm_lose(struct rmq_confirms *);
/* From now on nobody is told. */
void rmq_confirm_mute(struct rmq_confirms *);

enum rmq_content_kind {
	RMQ_CONTENT_DELIVERY,
	RMQ_CONTENT_RETURN,
	RMQ_CONTENT_STRAY, /* for a consumer that has gone */
};

/* A message that is being received on a channel. */
struct rmq_content {
	enum {
		RMQ_CONTENT_NONE,
		RMQ_CONTENT_WANTS_HEADER,
		RMQ_CONTENT_WANTS_BODY,
	} phase;
	enum rmq_content_kind kind;
	struct rmq_consumer *consumer;
	uint64_t tag;
	bool redelivered;
	uint16_t reply_code;
	char reply_text[256];
	uint8_t exchange_len, key_len;
	uint8_t names[2 * UINT8_MAX]; /* exchange, then routing key */
	uint64_t body_size;	      /* as announced */
	uint64_t body_seen;
	struct rmq_message *message;
	size_t body_space;
};

/* Hostile sizes and the like end the connection; 0 or -1 tell. */
int rmq_content_start(struct rmq_channel *, enum rmq_content_kind,
    amqp_bytes_t exchange, amqp_bytes_t key) must_use;
void rmq_content_header(struct rmq_channel *, struct rmq_slice payload);
void rmq_content_body(struct rmq_channel *, struct rmq_slice payload);
void rmq_content_drop(struct rmq_channel *);

struct rmq_consumer {
	TAILQ_ENTRY(rmq_consumer) entry;
	struct rmq_channel *channel;
	uint64_t number; /* in its tag */
	bool no_ack;
	bool begun; /* the broker has said consume-ok */
	bool cancelling;
	bool gone; /* on the list of what is to be freed */
	const struct rmq_consumer_cbs *cbs;
	void *arg;
};
TAILQ_HEAD(rmq_consumers, rmq_consumer);

/* Begun since the last flush: the time of it is not known yet. */
#define RMQ_UNSTAMPED INT64_MIN

/* A request without its answer. */
struct rmq_request {
	TAILQ_ENTRY(rmq_request) entry;
	amqp_method_number_t answer;
	rmq_reply_cb *cb;
	void *arg;
	struct rmq_consumer *consumer; /* of consume and cancel, else NULL */
	int64_t sent_us;	       /* or RMQ_UNSTAMPED */
};
TAILQ_HEAD(rmq_requests, rmq_request);

enum rmq_channel_state {
	RMQ_CHANNEL_OPENING,
	RMQ_CHANNEL_OPEN,
	RMQ_CHANNEL_CLOSING,
	RMQ_CHANNEL_CLOSED,
};

struct rmq_channel {
	TAILQ_ENTRY(rmq_channel) entry; /* dirty or dead */
	struct rmq_conn *conn;
	uint16_t id;
	enum rmq_channel_state state;
	const struct rmq_channel_cbs *cbs;
	void *arg;
	bool dirty;		/* on the list of channels with acks to write */
	bool abandoned;		/* nobody is told anything any more */
	bool flow;		/* the broker lets us publish */
	struct rmq_close close; /* the broker's, while our own is under way */
	struct rmq_requests requests;
	struct rmq_consumers consumers;
	uint64_t consumer_count; /* ever made */
	struct rmq_content content;
	struct rmq_acks acks;
	size_t ack_share; /* acks that are worth a frame at once */
	int64_t acked_us; /* when acks were last written */
	struct rmq_confirms confirms;
};
TAILQ_HEAD(rmq_channels, rmq_channel);

enum rmq_conn_state {
	RMQ_CONN_STARTING,
	RMQ_CONN_LOGIN,
	RMQ_CONN_OPENING,
	RMQ_CONN_OPEN,
	RMQ_CONN_CLOSING,
	RMQ_CONN_CLOSED,
};

struct rmq_conn {
	enum rmq_conn_state state;
	enum rmq_mechanism mechanism;
	const struct rmq_conn_cbs *cbs;
	void *arg;
	char *vhost, *user, *password, *name; /* NULL once used */
	struct buf in;			      /* a frame received in part */
	struct buf out;
	amqp_pool_t pool; /* of the frame at hand */
	unsigned busy;	  /* callbacks on the stack: nothing is freed */
	bool woken;	  /* the owner knows that there is something to flush */
	bool muted;	  /* nobody is told anything any more */
	bool blocked;
	bool reading;
	/* Ours, and what was negotiated from the tune on. */
	uint32_t frame_max;
	uint16_t channel_max;
	uint16_t heartbeat_s;
	int64_t timeout_us; /* of handshake and close */
	int64_t now_us;	    /* at the last call */
	int64_t seen_us;    /* the peer sent something */
	int64_t sent_us;    /* we did */
	int64_t phase_us;   /* start of handshake or close */
	size_t requests;    /* without their answer, on all channels */
	bool unstamped;	    /* some of them are */
	int64_t check_us;   /* when to look for overdue ones */
	int64_t acks_us;    /* when held acks are due; INT64_MAX: none */
	struct rmq_channel **channels; /* by id */
	size_t channel_space;
	struct rmq_channels dirty, dead;
	struct rmq_consumers gone;
	size_t partial_bytes;
	char server_version[64];
};

const char *rmq_conn_state_name(enum rmq_conn_state);
/* Something waits for the next flush. */
void rmq_conn_wake(struct rmq_conn *);
/* What has begun since the last flush begins now. */
void rmq_conn_stamp(struct rmq_conn *);
/* Writes the acks that are due now; acks_us is when the others are. */
void rmq_conn_write_due_acks(struct rmq_conn *);
/* Moves on in the handshake or close; aborts on an illegal move. */
void rmq_conn_enter(struct rmq_conn *, enum rmq_conn_state);
/* The end, for the given reason: tells everybody. */
void rmq_conn_end(struct rmq_conn *, const struct rmq_close *);
/* The peer broke the protocol: says so to it and ends. */
void rmq_conn_abort(struct rmq_conn *, uint16_t code, uint32_t method,
    const char *fmt, ...) printf_like(4, 5);
/* Silent end: no callback from now on. */
void rmq_conn_mute(struct rmq_conn *);
void rmq_close_set(struct rmq_close *, enum rmq_fault, uint16_t code,
    uint32_t method, const char *fmt, ...) printf_like(5, 6);

/* Writes the protocol header. */
void rmq_handshake_begin(struct rmq_conn *);
/* Frees what only the handshake needs, the password above all. */
void rmq_handshake_forget(struct rmq_conn *);
/* A method on channel 0. */
void rmq_handshake_method(struct rmq_conn *, amqp_method_number_t,
    struct rmq_slice fields);
void rmq_handshake_send_close(struct rmq_conn *, uint16_t code, uint32_t method,
    const char *text);

/* A frame for an open connection's channel. */
void rmq_dispatch_frame(struct rmq_conn *, const struct rmq_frame *);

/* Remembers what answer is due. On a channel that ends it will be "no". */
struct rmq_request *rmq_request_push(struct rmq_channel *,
    amqp_method_number_t answer, rmq_reply_cb *, void *arg);
/*
 * An answer came, about a consumer or about none (NULL): true if it was the
 * one due; then it is told.
 */
bool rmq_request_answer(struct rmq_channel *, amqp_method_number_t,
    const struct rmq_consumer *, struct rmq_reply *);
/* All are answered "no". */
void rmq_request_lose(struct rmq_channel *, const struct rmq_close *);
/* One that was sent before that time; NULL: none. */
const struct rmq_request *rmq_request_overdue(struct rmq_conn *,
    int64_t before_us, uint16_t *channel);
/* Those sent since the last flush were sent now. */
void rmq_request_stamp(struct rmq_conn *);
/* The clock of all starts anew: nothing could be answered until now. */
void rmq_request_restart(struct rmq_conn *);

/* Requests can be written: not closing, not closed. */
bool rmq_channel_live(const struct rmq_channel *);
void rmq_channel_enter(struct rmq_channel *, enum rmq_channel_state);
/* Ends it: answers all, tells `closed`, gives its number back. */
void rmq_channel_end(struct rmq_channel *, const struct rmq_close *);
/* From now on nobody is told anything. */
void rmq_channel_mute(struct rmq_channel *);
void rmq_channel_free(struct rmq_channel *);
void rmq_channel_write_acks(struct rmq_channel *);

/* The consumer with that tag. False: never one of ours; else NULL: gone. */
bool rmq_consumer_find(struct rmq_channel *, amqp_bytes_t tag,
    struct rmq_consumer **, bool *no_ack);
/* Its consume-ok has come: what waited for that is written. */
void rmq_consumer_begin(struct rmq_consumer *);
/* It is void; its memory goes with the next flush. Twice is fine. */
void rmq_consumer_drop(struct rmq_consumer *);

#endif
