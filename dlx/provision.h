/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A daemon's topology, put into the broker (or looked for, when
 * topology.declare is false) over a connection of its own: the user who may
 * declare is often another one than the daemon's, and the "no" of a broker
 * must not disturb the daemon's channels. The connection is opened for each
 * run and closed after it.
 *
 * Callbacks come from the loop, never inside a call. They may call anything
 * here but provision_free.
 */
#ifndef DLO_DLX_PROVISION_H
#define DLO_DLX_PROVISION_H

#include "amqp/link.h"
#include "config/conf.h"
#include "dlx/topology_run.h"

struct provision;

struct provision_cbs {
	/* A run has ended; `result->finished` is true. */
	void (*done)(void *arg, const struct topology_result *result);
	/* A connection did not come up or was lost; it tries again. */
	void (*down)(void *arg, const struct rmq_close *);
};

/*
 * For the daemon of `role` (consumer or redrive), or for both (topology).
 * `conf` and `cbs` must outlive it (that `conf` even after provision_follow),
 * `name` (of the connection) need not.
 */
struct provision *provision_new(struct loop *, struct stream_net *,
    const struct conf *conf, enum conf_role role, const char *name,
    const struct provision_cbs *cbs, void *arg);
/* Does that instead of what topology.declare says; before the first start. */
void provision_set_mode(struct provision *, enum topology_mode);
/*
 * Another configuration from now on, with the same broker and topology.broker.
 * True: it asks for another topology; a run under way begins anew with that,
 * but none is started for it.
 */
bool provision_follow(struct provision *, const struct conf *);
/* The list that runs walk, and that the items of their problems are in. */
const struct topology *provision_topology(const struct provision *);
/* True once every node was tried since the last start, for `down`. */
bool provision_tried_all(const struct provision *);
/*
 * Asks for a run. While one is under way another one follows it, since that
 * one may have looked already at what has changed now.
 */
void provision_start(struct provision *);
/* True from provision_start until no run is left. */
bool provision_busy(const struct provision *);
/* Ends what is under way; no callback until the next provision_start. */
void provision_stop(struct provision *);
/* No callback after this. NULL is fine. */
void provision_free(struct provision *);

#endif
