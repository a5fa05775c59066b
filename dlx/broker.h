/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The configuration's broker section as the AMQP layer wants it. */
#ifndef DLO_DLX_BROKER_H
#define DLO_DLX_BROKER_H

#include "amqp/link.h"
#include "config/conf.h"

/*
 * A link to that broker, idle until rmq_link_start. `name` is shown by the
 * management UI. `cbs` must outlive it, `broker` and `name` need not.
 */
struct rmq_link *broker_link_new(struct loop *, struct stream_net *,
    const struct conf_broker *broker, const char *name,
    const struct rmq_link_cbs *cbs, void *arg);

#endif
