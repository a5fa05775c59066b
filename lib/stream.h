/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A byte stream to a peer: TCP, or TLS with the peer and its name verified.
 * The programs bind it to libevent's bufferevents (stream_libevent.c), the
 * simulator to memory. Writing never blocks and never reports an error at
 * once: trouble of any kind arrives as `down`, once, with a reason that names
 * what to mend. Callbacks never run inside a call of this interface.
 */
#ifndef DLO_LIB_STREAM_H
#define DLO_LIB_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/compiler.h"

struct stream;

/* Files and the name to verify; NULL members: the system's default or none. */
struct stream_tls {
	const char *ca;		 /* PEM file of trusted roots */
	const char *cert;	 /* our certificate chain, PEM */
	const char *key;	 /* its key, PEM */
	const char *server_name; /* verified name; NULL: the host */
};

/* Where to connect; read during stream_connect only, not kept. */
struct stream_target {
	const char *host; /* name or address (IPv6 without brackets) */
	uint16_t port;
	const struct stream_tls *tls; /* NULL: plain TCP */
	int64_t connect_timeout_ms;   /* name, TCP and TLS together */
};

struct stream_cbs {
	void (*up)(void *arg); /* connected, TLS verified */
	/* All `len` bytes (≥ 1) are taken; they are gone on return. */
	void (*data)(void *arg, const uint8_t *bytes, size_t len);
	/* The peer or the network ended it; stream_close is still yours. */
	void (*down)(void *arg, const char *why);
};

/* What a binding provides; call the functions below instead. */
struct stream_net {
	struct stream *(*connect)(struct stream_net *,
	    const struct stream_target *, const struct stream_cbs *, void *arg);
	void (*write)(struct stream *, const void *bytes, size_t len);
	void (*read_enable)(struct stream *, bool on);
	size_t (*unsent)(const struct stream *);
	void (*close)(struct stream *);
};

/* The common part of every binding's stream; its first member. */
struct stream {
	struct stream_net *net;
};

/*
 * Starts to connect; never NULL. `cbs` must outlive the stream. A host that
 * cannot be reached is reported by `down`.
 */
struct stream *stream_connect(struct stream_net *, const struct stream_target *,
    const struct stream_cbs *, void *arg);
/* Copies `bytes` for sending, in order; ignored after `down`. */
void stream_write(struct stream *, const void *bytes, size_t len);
/* Off: no `data` until it is on again, and TCP holds the peer back. */
void stream_read_enable(struct stream *, bool on);
/* Bytes accepted by stream_write and not yet given to the kernel. */
size_t stream_unsent(const struct stream *);
/*
 * Ends it: no callback after this call, the memory goes at the end of the
 * loop turn. What was written goes out first if the peer takes it within a
 * second. NULL is fine.
 */
void stream_close(struct stream *);

#endif
