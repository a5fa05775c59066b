/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/verdicts.h"

#include <stdlib.h>

#include "amqp/channel.h"
#include "lib/backoff.h"
#include "lib/log.h"
#include "lib/xalloc.h"

/* Under way to us at most. */
#define PREFETCH 1000
/* Between two words about what is not believed. */
#define SAY_EVERY_MS 60000

static const struct backoff again_backoff = { 1000, 2, 60000, 0 };

struct verdicts {
	struct loop *loop;
	const char *queue;
	const struct conf_texts *trusted;
	verdicts_cb *cb;
	void *arg;
	struct rmq_conn *conn;	     /* NULL: none */
	struct rmq_channel *channel; /* NULL: none */
	struct loop_timer *timer;    /* opens it again */
	unsigned losses;	     /* in a row */
	uint64_t doubted;	     /* since it was last said */
	int64_t said_ms;	     /* 0: never */
};

static void open_channel(void *);

static void
again(struct verdicts *v)
{
	if (v->conn != NULL)
		loop_timer_start(v->loop, v->timer,
		    backoff_delay_ms(&again_backoff, ++v->losses, 0));
}

static void
doubt(struct verdicts *v, const char *why)
{
	int64_t now_ms = loop_now_ms(v->loop);

	v->doubted++;
	if (v->said_ms != 0 && now_ms < v->said_ms + SAY_EVERY_MS)
		return;
	log_warn("verdicts_not_believed", LOG_STR("queue", v->queue),
	    LOG_UINT("count", v->doubted), LOG_STR("why", why));
	v->said_ms = now_ms > 0 ? now_ms : 1;
	v->doubted = 0;
}

static void
on_delivery(void *arg, const struct rmq_delivery *delivery)
{
	struct verdicts *v = arg;
	struct news news;
	const char *why = news_read(&news, delivery->message, v->trusted);

	v->losses = 0;
	rmq_ack(v->channel, delivery->tag);
	if (why != NULL)
		doubt(v, why);
	else if (news.kind != NEWS_NOTHING)
		v->cb(v->arg, &news);
	rmq_message_free(delivery->message);
}

static void
on_cancelled(void *arg)
{
	struct verdicts *v = arg;

	log_warn("verdicts_lost", LOG_STR("queue", v->queue),
	    LOG_INT("code", 0),
	    LOG_STR("text", "the broker cancelled the consumer"));
	rmq_channel_abandon(v->channel);
	v->channel = NULL;
	again(v);
}

static void
on_opened(void *arg)
{
	static const struct rmq_consumer_cbs cbs = { on_delivery,
		on_cancelled };
	struct verdicts *v = arg;

	rmq_qos(v->channel, PREFETCH, NULL, NULL);
	/* Goes with the channel. */
	(void)rmq_consume(v->channel, v->queue, 0, rmq_slice_of(NULL), &cbs, v,
	    NULL);
}

static void
on_closed(void *arg, const struct rmq_close *why)
{
	struct verdicts *v = arg;

	v->channel = NULL;
	if (why->fault == RMQ_FAULT_SERVER)
		log_warn("verdicts_lost", LOG_STR("queue", v->queue),
		    LOG_INT("code", why->code), LOG_STR("text", why->text));
	again(v);
}

static void
open_channel(void *arg)
{
	static const struct rmq_channel_cbs cbs = {
		.opened = on_opened,
		.closed = on_closed,
	};
	struct verdicts *v = arg;

	if (v->conn == NULL || v->channel != NULL)
		return;
	v->channel = rmq_channel_open(v->conn, &cbs, v);
	if (v->channel == NULL)
		again(v);
}

struct verdicts *
verdicts_new(struct loop *loop, const char *queue,
    const struct conf_texts *trusted, verdicts_cb *cb, void *arg)
{
	struct verdicts *v = xcalloc(1, sizeof(*v));

	v->loop = loop;
	v->queue = queue;
	v->trusted = trusted;
	v->cb = cb;
	v->arg = arg;
	v->timer = loop_timer_new(loop, open_channel, v);
	return v;
}

void
verdicts_free(struct verdicts *v)
{
	if (v == NULL)
		return;
	if (v->channel != NULL)
		rmq_channel_abandon(v->channel);
	loop_timer_free(v->loop, v->timer);
	free(v);
}

void
verdicts_link(struct verdicts *v, struct rmq_conn *conn)
{
	v->conn = conn;
	v->losses = 0;
	if (conn != NULL) {
		open_channel(v);
		return;
	}
	loop_timer_stop(v->loop, v->timer);
	if (v->channel != NULL)
		rmq_channel_abandon(v->channel);
	v->channel = NULL;
}
