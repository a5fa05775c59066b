/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The two connections of dlo-redrive: one scans (and acks), one publishes, so
 * that a broker in alarm, which stops reading what a publisher sends, still
 * reads the acks. And what a start asks of the broker beside them: that the
 * topology is there, and that we may publish where copies go. After a start
 * nothing ends it: it connects again, has the topology looked at again, and
 * says when scanning can go on.
 */
#ifndef DLO_REDRIVE_UPLINK_H
#define DLO_REDRIVE_UPLINK_H

#include <stdbool.h>
#include <stdint.h>

#include "config/conf.h"
#include "dlx/startup.h"
#include "dlx/topology.h"
#include "lib/buf.h"
#include "lib/loop.h"
#include "lib/stream.h"

struct rmq_conn;
struct rmq_publisher;
struct uplink;

/* Copied; what it points to must outlive the uplink, but `instance`. */
struct uplink_env {
	struct loop *loop;
	struct stream_net *net;
	const struct conf *conf;
	const struct topology_names *names;
	const char *instance; /* "host:pid", for the connections' names */
};

/* Called from the loop, never inside a call. */
struct uplink_cbs {
	/* Scan on this connection; at first when everything is there. */
	void (*open)(void *arg, struct rmq_conn *);
	/* It is gone, its channels are closed. */
	void (*lost)(void *arg);
	/* Each node was tried in vain; it goes on trying, and says so again. */
	void (*unreachable)(void *arg, const char *why);
	/* Before the first `open`: what only an operator can mend. */
	void (*fault)(void *arg, const struct startup_fault *, const char *what,
	    const char *text);
	/* uplink_stop is through. */
	void (*stopped)(void *arg);
};

/* Idle until uplink_start. */
struct uplink *uplink_new(const struct uplink_env *, const struct uplink_cbs *,
    void *arg);
void uplink_start(struct uplink *);
/* Closes in order, then `stopped`; none of the other callbacks any more. */
void uplink_stop(struct uplink *);
/* No callback after this; NULL is fine. Not from a callback. */
void uplink_free(struct uplink *);

/* For jobs; lives as long as the uplink. */
struct rmq_publisher *uplink_publisher(const struct uplink *);
/* Bytes that wait to be sent on its connection. */
size_t uplink_unsent(const struct uplink *);
/* As negotiated where copies are published; 0: not yet. */
uint32_t uplink_frame_max(const struct uplink *);
/* Off: the scan connection is not read. */
void uplink_read_enable(struct uplink *, bool on);
/* Has the topology looked at again: something seems to be missing. */
void uplink_redeclare(struct uplink *);
/*
 * Whether both connections are up and the topology is there; else `why` (may
 * be NULL) gets a line for people.
 */
bool uplink_is_up(const struct uplink *, struct buf *why);

#endif
