/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A connection that is kept up: node list, reconnect with jittered capped
 * backoff, TCP or TLS, heartbeats, one write per loop turn. Each connection
 * it makes is a new rmq_conn; nothing of the old one lives on.
 */
#ifndef DLO_AMQP_LINK_H
#define DLO_AMQP_LINK_H

#include "amqp/conn.h"
#include "lib/loop.h"
#include "lib/stream.h"

struct rmq_link;

struct rmq_node {
	const char *host;
	uint16_t port;
	bool tls;
};

/* Deep-copied by rmq_link_new. */
struct rmq_link_options {
	const struct rmq_node *nodes; /* tried in turn */
	size_t node_count;
	struct stream_tls tls;
	struct rmq_conn_options conn;
	/*
	 * Where conn.password was read from; it is read again before each
	 * attempt. NULL: from nowhere.
	 */
	const char *password_file;
	int64_t connect_timeout_ms; /* stream and handshake, each */
};

struct rmq_link_cbs {
	/* Connected: open channels now. */
	void (*up)(void *arg, struct rmq_conn *);
	/*
	 * A connection ended, or an attempt did not lead to one. The next
	 * attempt follows by itself until rmq_link_stop.
	 */
	void (*down)(void *arg, const struct rmq_close *);
	void (*blocked)(void *arg, bool blocked, const char *reason);
	/* rmq_link_stop is through. */
	void (*stopped)(void *arg);
};

/* Idle until rmq_link_start. `cbs` must outlive it. */
struct rmq_link *rmq_link_new(struct loop *, struct stream_net *,
    const struct rmq_link_options *, const struct rmq_link_cbs *, void *arg);
void rmq_link_start(struct rmq_link *);
/* Orderly close, bounded in time, then `stopped`; no `up` any more. */
void rmq_link_stop(struct rmq_link *);
/* Frees at the end of the turn; no callback after this. NULL is fine. */
void rmq_link_free(struct rmq_link *);

/* The open connection, or NULL. */
struct rmq_conn *rmq_link_conn(const struct rmq_link *);
/* True once every node has been tried since the last `up` (or start). */
bool rmq_link_tried_all(const struct rmq_link *);
/* The node of the current or last attempt, "host:port". */
const char *rmq_link_node(const struct rmq_link *);
/*
 * Off: nothing is read, neither deliveries nor answers, until it is on again;
 * also over a reconnect, but a handshake is always read. The broker's silence
 * does not count meanwhile; our own heartbeats go on.
 */
void rmq_link_read_enable(struct rmq_link *, bool on);
/* Bytes waiting to be sent. */
size_t rmq_link_unsent(const struct rmq_link *);

#endif
