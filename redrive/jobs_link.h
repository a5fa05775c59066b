/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The jobs connection: one channel that consumes `dlo.jobs` and publishes to
 * `dlo.control`, so that nothing of a daemon that was active follows the loss
 * of its channel. Whatever ends the channel, a new one follows.
 */
#ifndef DLO_REDRIVE_JOBS_LINK_H
#define DLO_REDRIVE_JOBS_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/conf.h"
#include "dlx/topology.h"
#include "lib/loop.h"
#include "lib/stream.h"

struct board_delivery;
struct jobs_link;
struct rmq_close;
struct rmq_conn;

/* Copied; what it points to must outlive the link, but `name`. */
struct jobs_link_env {
	struct loop *loop;
	struct stream_net *net;
	const struct conf_broker *broker;
	const struct topology_names *names;
	const char *name; /* of the connection */
};

/* Called from the loop, never inside a call. */
struct jobs_link_cbs {
	/* The channel is there and is about to consume: publish now. */
	void (*joined)(void *arg, struct rmq_conn *);
	/* It is gone, and all that was on it. */
	void (*lost)(void *arg);
	void (*delivered)(void *arg, const struct board_delivery *);
	/* What became of a publish whose token was not 0. */
	void (*confirmed)(void *arg, uint64_t token, bool ok);
	/* The connection did not come up or went; `tried_all`: everywhere. */
	void (*down)(void *arg, const struct rmq_close *, bool tried_all);
	/* Queue, exchange or binding may be gone. */
	void (*refused)(void *arg);
	/* jobs_link_stop is through. */
	void (*stopped)(void *arg);
};

/* Idle until jobs_link_start. `cbs` must outlive it. */
struct jobs_link *jobs_link_new(const struct jobs_link_env *,
    const struct jobs_link_cbs *, void *arg);
void jobs_link_start(struct jobs_link *);
/*
 * Joins now; before, it only connects. Queue and exchange are there by then.
 */
void jobs_link_join(struct jobs_link *);
/* Closes in order, then `stopped`; no other callback but `lost`. */
void jobs_link_stop(struct jobs_link *);
/* No callback after this; NULL is fine. Not from a callback. */
void jobs_link_free(struct jobs_link *);

/*
 * Publishes JSON to `dlo.control` with this key ("jobs", "audit"), persistent
 * and mandatory; dropped when there is no channel (`lost` has come, or comes).
 */
void jobs_link_publish(struct jobs_link *, const char *key, uint64_t token,
    const char *body, size_t len);
void jobs_link_ack(struct jobs_link *, uint64_t tag);
/* Closes the channel soon: `lost`, and later a new one. */
void jobs_link_leave(struct jobs_link *);
/* To be called about once a second: watches over the confirms. */
void jobs_link_tick(struct jobs_link *);
/* The channel consumes. */
bool jobs_link_is_joined(const struct jobs_link *);
/* The node of the current or last attempt, "host:port". */
const char *jobs_link_node(const struct jobs_link *);
bool jobs_link_is_up(const struct jobs_link *);

#endif
