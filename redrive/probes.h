/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The downstreams' probes: one for each downstream that is asked about, which
 * the pipelines that lead to it share, with its metric.
 */
#ifndef DLO_REDRIVE_PROBES_H
#define DLO_REDRIVE_PROBES_H

#include "config/conf.h"
#include "downstream/probe.h"
#include "lib/loop.h"
#include "lib/stream.h"
#include "redrive/tally.h"

struct probes;
struct rmq_conn;

/* Copied; what it points to must outlive the probes. */
struct probes_env {
	struct loop *loop;
	struct stream_net *net;
	const struct conf *conf;
	struct tally *tally;
	/* Where the connection is when there is one, else NULL. */
	struct rmq_conn *const *conn;
	/* NULL: what the configuration asks for; called only for a probe. */
	struct probe_driver *(
	    *driver_new)(void *arg, const struct conf_downstream *);
	void *driver_arg;
};

/* Its health has changed. From the loop, never inside a call. */
typedef void probes_changed_cb(void *arg, const struct conf_downstream *,
    bool healthy);

struct probes *probes_new(const struct probes_env *, probes_changed_cb *,
    void *arg);
/* Begins to ask how it is; once for each downstream. */
void probes_ask(struct probes *, const struct conf_downstream *);
/* PROBE_HEALTHY without a probe; PROBE_UNKNOWN if nobody asks. */
enum probe_health probes_health(const struct probes *,
    const struct conf_downstream *);
/* NULL is fine. */
void probes_free(struct probes *);

#endif
