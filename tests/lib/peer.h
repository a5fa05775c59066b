/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The other end of a stream: a listener on 127.0.0.1 with one connection at a
 * time, plain or TLS, on the test's own loop.
 */
#ifndef DLO_TESTS_LIB_PEER_H
#define DLO_TESTS_LIB_PEER_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/loop.h"

struct bufferevent;
struct evconnlistener;

struct peer {
	struct loop *loop;
	SSL_CTX *ctx; /* NULL: plain; owned */
	struct evconnlistener *listener;
	struct bufferevent *bev; /* NULL: nobody has come, or is gone */
	uint16_t port;
	bool echo;
	struct buf got;
	bool ended;	    /* the other end has closed */
	loop_cb *on_accept; /* NULL: nothing to do */
	loop_cb *on_read;   /* more has come to `got` */
	loop_cb *on_end;
	void *arg;
};

/* Listens on a port of its own; the callbacks are the test's to set. */
void peer_open(struct peer *, struct loop *, SSL_CTX *);
void peer_close(struct peer *);
/* To the one that is connected. */
void peer_write(struct peer *, const void *bytes, size_t len);
/* What was written goes first. */
void peer_shut(struct peer *);
/* At once, with a reset. */
void peer_reset(struct peer *);
/* Reads from now on, or does not. */
void peer_read_enable(struct peer *, bool on);
/* Bytes written that are not with the kernel yet. */
size_t peer_unsent(const struct peer *);

#endif
