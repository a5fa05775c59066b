/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A connection on the bench: bytes of a scripted broker go in, and all that
 * happens (callbacks, bytes sent) comes out as lines in `log`.
 */
#ifndef DLO_TESTS_AMQP_RIG_H
#define DLO_TESTS_AMQP_RIG_H

#include "amqp/channel.h"
#include "amqp/conn.h"
#include "tests/amqp/wire.h"

struct rig {
	struct rmq_conn *conn;
	struct buf in; /* what the broker will say next */
	struct buf log;
	int64_t now_us;
	size_t chunk; /* bytes fed at once; 0: all */
	size_t wakes;
	bool no_heartbeat;		 /* offers none */
	bool external;			 /* logs in by its certificate */
	void (*on_opened)(struct rig *); /* connection; may be NULL */
	void (*on_delivery)(struct rig *, const struct rmq_delivery *);
	struct rmq_channel *channels[8];
};

/* One of the rig's channels or consumers: the arg of its callbacks. */
struct rig_end {
	struct rig *rig;
	const char *name;
};

extern const struct rmq_conn_options rig_options;
extern const struct rmq_channel_cbs rig_channel_cbs;
extern const struct rmq_consumer_cbs rig_consumer_cbs;

/* A new connection, its header already taken off the log. */
void rig_init(struct rig *);
/* The same, opened: heartbeat 10 s, frame_max 4096. */
void rig_open(struct rig *);
void rig_clear(struct rig *);
/* Feeds what is in `in`, by chunks, then flushes. */
void rig_feed(struct rig *);
/* Flushes: what is sent goes to the log. */
void rig_flush(struct rig *);
/* Lets time pass, by calling tick when it is due. */
void rig_sleep(struct rig *, int64_t us);
/* The log since last time is exactly this; starts it anew. */
void rig_expect(struct rig *, const char *lines);

/* An open channel. `end` must live as long. */
struct rmq_channel *rig_channel(struct rig *, struct rig_end *end);
/* Logs `name: ok`, or `name: no (code text)`. */
void rig_reply(void *end, const struct rmq_reply *);
/* Logs `name: verdict`. */
void rig_confirm(void *end, enum rmq_confirm, const char *return_text);

#endif
