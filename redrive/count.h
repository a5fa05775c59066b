/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * How many messages are ready in a queue, asked once: a passive declare on a
 * throw-away channel, because a "no" of the broker closes it.
 */
#ifndef DLO_REDRIVE_COUNT_H
#define DLO_REDRIVE_COUNT_H

#include "amqp/channel.h"
#include "lib/compiler.h"

struct count;

/*
 * NULL: the connection has no channel left, or is gone. The answer is the
 * broker's, or not ok when the channel went; it comes from the loop, and the
 * count is void by then. When the leader of a quorum queue is slow to answer
 * the broker tells of no message and no consumer.
 */
struct count *count_ask(struct rmq_conn *, const char *queue, rmq_reply_cb *,
    void *arg) must_use;
/* No answer is wanted any more; NULL is fine. */
void count_cancel(struct count *);

#endif
