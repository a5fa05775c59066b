/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What surrounds the core of a daemon: libevent's loop and streams, metrics,
 * signals, the pages /healthz, /readyz and /metrics, systemd.
 *
 * The program opens it, makes its core with what it offers, runs it, and
 * frees its core in `free`, while the loop is still there.
 */
#ifndef DLO_LIB_DAEMON_H
#define DLO_LIB_DAEMON_H

#include <stdbool.h>

#include "lib/buf.h"
#include "lib/compiler.h"
#include "lib/loop.h"
#include "lib/metrics.h"
#include "lib/stream.h"

struct daemon;
struct http_server;
struct http_server_limits;

/* The core; `arg` is that of daemon_run. */
struct daemon_core {
	void (*start)(void *arg);
	/* Ends well, and daemon_end then. */
	void (*drain)(void *arg);
	/* HUP came: takes a new configuration; not after drain. */
	void (*reload)(void *arg);
	/* False: `why` gets a line for people. True: it may get one. */
	bool (*is_ready)(void *arg, struct buf *why);
	void (*free)(void *arg);
};

/*
 * `address` is where the pages are served, and `limits` how, as
 * http_server_open takes them; address NULL: nowhere. NULL when that cannot be
 * had, which is logged.
 */
struct daemon *daemon_open(const char *address,
    const struct http_server_limits *limits) must_use;
/*
 * Runs the core until daemon_end or a second TERM or INT, frees it, and
 * returns the exit code.
 */
int daemon_run(struct daemon *, const struct daemon_core *, void *arg) must_use;
/* NULL is fine. */
void daemon_close(struct daemon *);

/* For the core: everything runs for the first time. */
void daemon_ready(struct daemon *);
/*
 * For the core: no broker answers yet. Being up and waiting is all that can be
 * asked of it, so systemd must not take it for hung.
 */
void daemon_waiting(struct daemon *);
/* For the core: a reload begins, and is over, whatever came of it. */
void daemon_reloading(struct daemon *);
void daemon_reloaded(struct daemon *);
/* For the core: it is over. */
void daemon_end(struct daemon *, int exit_code);

/* NULL: it serves nothing. */
struct http_server *daemon_http(struct daemon *);
struct loop *daemon_loop(struct daemon *);
struct stream_net *daemon_net(struct daemon *);
struct metrics *daemon_metrics(struct daemon *);
/* "host:pid": who holds a connection, as the broker shows it. */
const char *daemon_instance(const struct daemon *);

#endif
