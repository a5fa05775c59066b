/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Finding the publish that makes the broker close the channel, when the
 * broker does not say which: those without a confirm are sent again in
 * batches, of half the size after each close, of twice the size after each
 * batch that gets through. What closes the channel alone is the culprit.
 */
#ifndef DLO_AMQP_ISOLATE_H
#define DLO_AMQP_ISOLATE_H

#include <stdbool.h>
#include <stddef.h>

struct rmq_isolate {
	size_t batch; /* how many suspects to send at once; 0: no suspects */
};

/*
 * The broker closed the channel with that many unconfirmed. True: there was
 * one, alone, and it is the culprit. False: they are suspects now.
 */
bool rmq_isolate_closed(struct rmq_isolate *, size_t unconfirmed);
/* A whole batch has been confirmed. */
void rmq_isolate_passed(struct rmq_isolate *);
/* No suspect is left. */
void rmq_isolate_done(struct rmq_isolate *);

#endif
