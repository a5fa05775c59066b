/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Being connected: one connection to consume on and one to publish on, so
 * that a broker in alarm stops no acks; the topology, seen to at each
 * connect before anything is consumed, and from time to time; and at the
 * first one the question whether we may publish at all.
 *
 * The settler is told of the publish connection; the owner hears when it may
 * consume, and of every fault that an operator may have to mend. Nothing
 * here ends by itself: it tries again until session_stop.
 */
#ifndef DLO_CONSUMER_SESSION_H
#define DLO_CONSUMER_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "amqp/link.h"
#include "config/conf.h"
#include "consumer/meter.h"
#include "consumer/settle.h"
#include "dlx/startup.h"
#include "lib/buf.h"
#include "lib/loop.h"
#include "lib/stream.h"

struct session;

/* From the loop, never inside a call; they may call anything but _free. */
struct session_cbs {
	/* Connected, and all that comes before consuming is done. */
	void (*open)(void *arg, struct rmq_conn *consume);
	/* The consume connection is gone. */
	void (*lost)(void *arg);
	/* Look at session_is_up again. */
	void (*changed)(void *arg);
	/* Every node was tried in vain; it goes on trying. */
	void (*unreachable)(void *arg);
	/* Enough to give up a start: `what` and `text` (or NULL) tell more. */
	void (*fault)(void *arg, const struct startup_fault *, const char *what,
	    const char *text);
	/* session_stop is through. */
	void (*stopped)(void *arg);
};

/* Must outlive the session, but for `instance`. */
struct session_env {
	struct loop *loop;
	struct stream_net *net;
	const struct conf *conf;
	const char *instance; /* for the connections' names */
	struct meter *meter;
	struct settle *settle;
};

/* Idle until session_start. */
struct session *session_new(const struct session_env *,
    const struct session_cbs *, void *arg);
void session_start(struct session *);
/*
 * Another configuration from now on, with the same broker, users and names;
 * the one of session_new must stay. True: its topology is another, and `open`
 * or `lost` follows, once that is seen to.
 */
bool session_follow(struct session *, const struct conf *);
/* Sees to the topology no more: nothing is to be consumed. */
void session_wind_down(struct session *);
/* Closes the connections, then `stopped`. */
void session_stop(struct session *);
/* Ends it at once, no callback. NULL is fine. */
void session_free(struct session *);

/* Something of the topology is missing: sees to it, but not too often. */
void session_redeclare(struct session *);
/* Both connections are up; else `why` (may be NULL) says which is not. */
bool session_is_up(const struct session *, struct buf *why);
/* Off: deliveries are left to the network. */
void session_read_enable(struct session *, bool on);
/* Bytes that wait to be sent on the publish connection. */
size_t session_unsent(const struct session *);
/* Bytes of messages received in part. */
uint64_t session_partial_bytes(const struct session *);

#endif
