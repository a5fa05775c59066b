/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "consumer/subscription.h"

#include <stddef.h>

void
subscription_init(struct subscription *s, const char *queue,
    const struct subscription_cbs *cbs, void *arg)
{
	*s = (struct subscription){ .queue = queue, .cbs = cbs, .arg = arg };
}

static void
on_begun(void *arg, const struct rmq_reply *reply)
{
	struct subscription *s = arg;

	/* A refusal closes the channel too: `closed` tells of it. */
	if (reply->ok && s->consumer != NULL && !s->cancelling)
		s->cbs->begun(s->arg);
}

static void
on_delivery(void *arg, const struct rmq_delivery *delivery)
{
	struct subscription *s = arg;

	s->cbs->delivery(s->arg, delivery);
}

static void
on_ended(struct subscription *s, bool by_broker)
{
	s->consumer = NULL;
	s->cancelling = false;
	s->cbs->ended(s->arg, by_broker);
}

static void
on_cancelled(void *arg, const struct rmq_reply *reply)
{
	struct subscription *s = arg;

	if (reply->ok && s->cancelling)
		on_ended(s, false);
}

static void
on_broker_cancelled(void *arg)
{
	on_ended(arg, true);
}

static void
consume(struct subscription *s)
{
	static const struct rmq_consumer_cbs cbs = {
		.delivery = on_delivery,
		.cancelled = on_broker_cancelled,
	};
	const struct rmq_slice no_args = { NULL, 0 };

	rmq_qos(s->channel, s->prefetch, NULL, NULL);
	s->consumer =
	    rmq_consume(s->channel, s->queue, 0, no_args, &cbs, s, on_begun);
}

static void
on_opened(void *arg)
{
	struct subscription *s = arg;

	if (!s->cancelling)
		consume(s);
}

static void
on_closed(void *arg, const struct rmq_close *why)
{
	struct subscription *s = arg;

	s->channel = NULL;
	s->consumer = NULL;
	s->cancelling = false;
	s->cbs->closed(s->arg, why);
}

int
subscription_open(struct subscription *s, struct rmq_conn *conn,
    uint16_t prefetch)
{
	static const struct rmq_channel_cbs cbs = {
		.opened = on_opened,
		.closed = on_closed,
	};

	s->prefetch = prefetch;
	s->channel = rmq_channel_open(conn, &cbs, s);
	return s->channel != NULL ? 0 : -1;
}

void
subscription_resume(struct subscription *s, uint16_t prefetch)
{
	s->prefetch = prefetch;
	consume(s);
}

void
subscription_cancel(struct subscription *s)
{
	if (s->cancelling)
		return;
	s->cancelling = true;
	if (s->consumer != NULL)
		rmq_cancel(s->consumer, on_cancelled);
}

void
subscription_leave(struct subscription *s)
{
	if (s->channel != NULL)
		rmq_channel_abandon(s->channel);
	s->channel = NULL;
	s->consumer = NULL;
	s->cancelling = false;
}
