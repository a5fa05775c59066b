/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * How many messages are ready in a queue, asked once: a passive declare on a
 * throw-away channel, because a "no" of the broker closes it.
 */
#ifndef DLO_REDRIVE_COUNT_H
#define DLO_REDRIVE_COUNT_H

#include <stdint.h>

#include "amqp/channel.h"
#include "lib/compiler.h"

struct count;

/*
 * `ready` messages; -1: nobody knows, for `why`: the broker's "no", or the end
 * of the channel. From the loop; the count is void by then.
 */
typedef void count_cb(void *arg, int64_t ready, const struct rmq_close *why);

/* NULL: the connection has no channel left, or is gone. */
struct count *count_ask(struct rmq_conn *, const char *queue, count_cb *,
    void *arg) must_use;
/* No answer is wanted any more; NULL is fine. */
void count_cancel(struct count *);

#endif
