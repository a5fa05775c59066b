/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * How many messages are ready in a queue, asked every few seconds (count.h). A
 * "no" of the broker (the queue is gone, or we may not ask) means "unknown".
 */
#ifndef DLO_REDRIVE_DEPTH_H
#define DLO_REDRIVE_DEPTH_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/loop.h"

#define DEPTH_EVERY_MS 5000

struct depth;
struct rmq_conn;

/* `ready` messages; -1: unknown. From the loop. */
typedef void depth_cb(void *arg, int64_t ready);

/* `queue` must outlive it. */
struct depth *depth_new(struct loop *, const char *queue, depth_cb *,
    void *arg);
/* NULL is fine. */
void depth_free(struct depth *);
/* The connection is up, or gone (NULL). */
void depth_link(struct depth *, struct rmq_conn *);
/*
 * On: asks no more, and forgets the answer on its way, since it would be
 * wrong. Off: asks again, in a second, when the broker has counted again.
 */
void depth_hold(struct depth *, bool on);
/* Asks at once, if it may. */
void depth_ask(struct depth *);
/* An answer is on its way, or due in a moment. */
bool depth_is_asking(const struct depth *);

#endif
