/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * One AMQP 0-9-1 connection as a machine without I/O and without a clock:
 * bytes go in, bytes and callbacks come out. link.h drives it on a stream;
 * the tests and the simulator feed it by hand.
 *
 * The owner creates it, sends what rmq_conn_output holds, feeds what arrives,
 * calls rmq_conn_tick when rmq_conn_deadline_us says so, and frees it after
 * `closed`. Channels belong to the connection (channel.h). Callbacks may call
 * anything here but rmq_conn_free.
 */
#ifndef DLO_AMQP_CONN_H
#define DLO_AMQP_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/compiler.h"

struct rmq_conn;

enum rmq_mechanism {
	RMQ_MECHANISM_PLAIN,	/* user and password */
	RMQ_MECHANISM_EXTERNAL, /* the certificate of the TLS connection */
};

/* Copied by rmq_conn_new. */
struct rmq_conn_options {
	enum rmq_mechanism mechanism;
	const char *vhost;
	const char *user;     /* PLAIN; else NULL is fine */
	const char *password; /* PLAIN; else NULL is fine */
	const char *name;     /* shown by the management UI */
	uint16_t heartbeat_s; /* offered; 0: as the broker likes */
	uint16_t channel_max; /* offered; 0: 2047 */
	uint32_t frame_max;   /* offered; 0: 131072 */
	int64_t timeout_ms;   /* of handshake and close, each; 0: 10 s */
};

/* Why a connection or channel ended. */
enum rmq_fault {
	RMQ_FAULT_NONE,	    /* closed by us, in order */
	RMQ_FAULT_IO,	    /* the network or TLS; never connected too */
	RMQ_FAULT_SILENT,   /* heartbeats missed, or no answer in time */
	RMQ_FAULT_AUTH,	    /* user, password or mechanism refused */
	RMQ_FAULT_VHOST,    /* vhost missing or not allowed */
	RMQ_FAULT_SERVER,   /* closed by the broker: see code */
	RMQ_FAULT_PROTOCOL, /* the peer does not speak AMQP 0-9-1 properly */
};
const char *rmq_fault_name(enum rmq_fault);

struct rmq_close {
	enum rmq_fault fault;
	uint16_t code;		      /* AMQP reply code; 0: none */
	uint16_t class_id, method_id; /* what the broker blames; 0: nothing */
	char text[256];		      /* for people; hostile bytes possible */
};

struct rmq_conn_cbs {
	/* Handshake done: channels can be opened. */
	void (*opened)(void *arg);
	/*
	 * It is over, for whatever reason, once. Every channel has had its
	 * own `closed` before.
	 */
	void (*closed)(void *arg, const struct rmq_close *);
	/* The broker stopped reading publishes, or reads again. */
	void (*blocked)(void *arg, bool blocked, const char *reason);
	/* There is something to flush: call rmq_conn_flush soon. */
	void (*wake)(void *arg);
};

/* `cbs` must outlive it. `now_us`: monotonic, as in all calls below. */
struct rmq_conn *rmq_conn_new(const struct rmq_conn_options *,
    const struct rmq_conn_cbs *, void *arg, int64_t now_us);
/* Frees it and its channels, no callbacks. NULL is fine. */
void rmq_conn_free(struct rmq_conn *);

/* Takes bytes from the peer, cut anywhere. */
void rmq_conn_input(struct rmq_conn *, const uint8_t *bytes, size_t len,
    int64_t now_us);
/*
 * Writes the acks that are due, reaps closed channels and gives the bytes to
 * send; the caller drops what it took from the buffer. Once per loop turn.
 */
struct buf *rmq_conn_flush(struct rmq_conn *, int64_t now_us) must_use;
/* When rmq_conn_tick is due; INT64_MAX: never. */
int64_t rmq_conn_deadline_us(const struct rmq_conn *);
/* Heartbeats, both ways, held acks, the limits of handshake and close. */
void rmq_conn_tick(struct rmq_conn *, int64_t now_us);
/*
 * Orderly close: flush, then `closed` comes after the broker's answer. A
 * connection that is not open yet is `closed` at once.
 */
void rmq_conn_close(struct rmq_conn *);
/* The stream ended: `closed` comes at once with RMQ_FAULT_IO. */
void rmq_conn_lost(struct rmq_conn *, const char *why);

/*
 * The owner does not read for now, or does again: meanwhile silence is not
 * held against the peer.
 */
void rmq_conn_set_reading(struct rmq_conn *, bool on, int64_t now_us);

bool rmq_conn_is_open(const struct rmq_conn *);
bool rmq_conn_is_blocked(const struct rmq_conn *);
/* As negotiated; 0 before the connection is open. */
uint32_t rmq_conn_frame_max(const struct rmq_conn *);
/* How many channels it may have, as negotiated. */
uint16_t rmq_conn_channel_max(const struct rmq_conn *);
/* Bytes of bodies received in part; they count as memory in use. */
size_t rmq_conn_partial_bytes(const struct rmq_conn *);
/* The broker's version text, "" if it did not say. */
const char *rmq_conn_server_version(const struct rmq_conn *);

#endif
