/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The probe `amqp: {}`: healthy if each work queue of the downstream has a
 * consumer, as a passive declare on a throw-away channel tells. A broker that
 * says no, or that is not there, is a bad one.
 */
#ifndef DLO_REDRIVE_PROBE_AMQP_H
#define DLO_REDRIVE_PROBE_AMQP_H

#include "config/conf.h"
#include "downstream/probe.h"
#include "lib/loop.h"

struct rmq_conn;

/*
 * `conn` is where the connection is when there is one, else NULL; when it goes,
 * its channels have had their `closed`. All must outlive the driver.
 */
struct probe_driver *probe_amqp_new(struct loop *, struct rmq_conn *const *conn,
    const struct conf *, const struct conf_downstream *);

#endif
