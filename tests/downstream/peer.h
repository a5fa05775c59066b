/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * An HTTP server for tests, on loopback and on the test's own loop: it keeps
 * the last request and does what it was told, be it good HTTP or not.
 */
#ifndef DLO_TESTS_DOWNSTREAM_PEER_H
#define DLO_TESTS_DOWNSTREAM_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/loop.h"

struct peer;

/* What it does with a whole request. */
enum peer_mode {
	PEER_ANSWER,	   /* answers, and keeps the connection */
	PEER_ANSWER_CLOSE, /* answers, and closes without a word about it */
	PEER_SILENT,	   /* nothing, ever */
	PEER_CLOSE,	   /* closes without an answer */
	PEER_CLOSE_REUSED, /* answers a connection's first, closes on others */
};

/* Listens on a free port of 127.0.0.1; answers 204. */
struct peer *peer_new(struct loop *);
void peer_free(struct peer *);
uint16_t peer_port(const struct peer *);
/* `answer` (not copied) from the status line on; NULL: 204. */
void peer_set(struct peer *, enum peer_mode, const char *answer, size_t len);
/* Listens at that path, and no longer at its port. */
void peer_listen_unix(struct peer *, const char *path);
/* Closes the listening socket: connections are refused from now on. */
void peer_refuse(struct peer *);
/* Called after each whole request, before the answer. */
void peer_on_request(struct peer *, loop_cb *, void *arg);

unsigned peer_accepted(const struct peer *);
unsigned peer_requests(const struct peer *);
/* The last request: its head, up to the empty line, as a C string. */
const char *peer_head(struct peer *);
/* The last request's body; valid until the next. */
const struct buf *peer_body(const struct peer *);
/* A header of the last request, valid until the next call; NULL: none. */
const char *peer_header(struct peer *, const char *name);

#endif
