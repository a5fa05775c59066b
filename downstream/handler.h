/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What processes messages: takes an attempt, gives a verdict later. One
 * interface for http, exec, plugin and noop, and for what tests and the
 * simulator bring along.
 *
 * A call belongs to its handler. It ends by its verdict (the callback, once,
 * never inside handler_start) or by handler_cancel (then without a callback);
 * after either the pointer is gone and the attempt is no longer read. From
 * the callback other calls may be started and cancelled. A handler always
 * comes to a verdict: its own time-outs see to it.
 */
#ifndef DLO_DOWNSTREAM_HANDLER_H
#define DLO_DOWNSTREAM_HANDLER_H

#include <limits.h>

#include "downstream/attempt.h"
#include "lib/compiler.h"
#include "lib/loop.h"

struct conf_exec;
struct conf_http;
struct conf_plugin;
struct handler;
struct handler_call;

/* The verdict is gone on return. */
typedef void handler_done_cb(void *arg, const struct verdict *);

/* What a handler provides; call the functions below instead. */
struct handler_ops {
	struct handler_call *(*start)(struct handler *, const struct attempt *,
	    handler_done_cb *, void *arg);
	void (*cancel)(struct handler_call *);
	void (*free)(struct handler *);
};

/* The common part of every handler; first member of its struct. */
struct handler {
	const struct handler_ops *ops;
	unsigned capacity; /* calls at once; HANDLER_ANY: no limit */
};

#define HANDLER_ANY UINT_MAX

/* The common part of every call; first member of its struct. */
struct handler_call {
	struct handler *handler;
};

/*
 * Hands over an attempt; never NULL. The attempt (and what it points to) must
 * last until the verdict. No more than `capacity` calls at once.
 */
struct handler_call *handler_start(struct handler *, const struct attempt *,
    handler_done_cb *, void *arg) must_use;
/* Ends the call without a callback; the downstream may have acted on it. */
void handler_cancel(struct handler_call *);
/*
 * Cancels what is under way and frees it; not from a callback of its own.
 * NULL is fine.
 */
void handler_free(struct handler *);

/*
 * Sends to a URL; 2xx is ok. Copies what it needs of the configuration.
 */
struct handler *handler_http_new(struct loop *, const struct conf_http *);
/*
 * Runs a command, for each message or as workers that live on; `name` is the
 * downstream's, for the log. Copies both.
 */
struct handler *handler_exec_new(struct loop *, const char *name,
    const struct conf_exec *);
/*
 * Hands messages to a shared object, in processes or in this one; `name` is
 * the downstream's, for the log. Copies both.
 */
struct handler *handler_plugin_new(struct loop *, const char *name,
    const struct conf_plugin *);
/* Says ok to everything at the end of the turn: for measuring. */
struct handler *handler_noop_new(struct loop *);

#endif
