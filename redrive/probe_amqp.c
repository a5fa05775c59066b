/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/probe_amqp.h"

#include <stdlib.h>

#include "amqp/channel.h"
#include "lib/buf.h"
#include "lib/xalloc.h"

struct probe_amqp {
	struct probe_driver base;
	struct loop *loop;
	struct rmq_conn *const *conn;
	const struct conf *conf;
	const struct conf_downstream *downstream;
	struct rmq_channel *channel; /* NULL: idle */
	size_t next;		     /* the pipeline to ask for */
	struct loop_task no_conn;
	probe_driver_cb *cb;
	void *arg;
};

static void
amqp_cancel(struct probe_driver *driver)
{
	struct probe_amqp *amqp = container_of(driver, struct probe_amqp, base);

	if (amqp->channel != NULL)
		rmq_channel_abandon(amqp->channel);
	amqp->channel = NULL;
	loop_undefer(amqp->loop, &amqp->no_conn);
}

/* `why` NULL: it is healthy. */
static void
finish(struct probe_amqp *amqp, const char *why)
{
	amqp_cancel(&amqp->base);
	amqp->cb(amqp->arg, why == NULL, why);
}

static void
on_no_conn(void *arg)
{
	finish(arg, "no connection to the broker");
}

static void ask_next(struct probe_amqp *);

static void
on_reply(void *arg, const struct rmq_reply *reply)
{
	struct probe_amqp *amqp = arg;
	struct buf why = { 0 };

	if (reply->ok && reply->consumer_count > 0) {
		amqp->next++;
		ask_next(amqp);
		return;
	}
	if (reply->ok)
		buf_printf(&why, "queue %s has no consumer",
		    amqp->conf->pipelines[amqp->next].queue);
	else
		buf_add_str(&why, reply->error->text);
	finish(amqp, buf_str(&why));
	buf_clear(&why);
}

/* The queue of the next pipeline that uses it; all of them had consumers. */
static void
ask_next(struct probe_amqp *amqp)
{
	const struct conf *conf = amqp->conf;

	while (amqp->next < conf->pipeline_count &&
	    conf->pipelines[amqp->next].downstream != amqp->downstream)
		amqp->next++;
	if (amqp->next == conf->pipeline_count)
		finish(amqp, NULL);
	else
		rmq_queue_declare(amqp->channel,
		    conf->pipelines[amqp->next].queue, RMQ_PASSIVE,
		    rmq_slice_of(NULL), on_reply, amqp);
}

static void
on_opened(void *arg)
{
	ask_next(arg);
}

static void
on_closed(void *arg, const struct rmq_close *why)
{
	struct probe_amqp *amqp = arg;

	amqp->channel = NULL;
	finish(amqp, why->text);
}

static void
amqp_start(struct probe_driver *driver, int64_t timeout_ms, probe_driver_cb *cb,
    void *arg)
{
	static const struct rmq_channel_cbs cbs = { .opened = on_opened,
		.closed = on_closed };
	struct probe_amqp *amqp = container_of(driver, struct probe_amqp, base);

	(void)timeout_ms; /* the probe cancels */
	amqp->cb = cb;
	amqp->arg = arg;
	amqp->next = 0;
	if (*amqp->conn != NULL)
		amqp->channel = rmq_channel_open(*amqp->conn, &cbs, amqp);
	if (amqp->channel == NULL)
		loop_defer(amqp->loop, &amqp->no_conn);
}

static void
amqp_free(struct probe_driver *driver)
{
	amqp_cancel(driver);
	free(container_of(driver, struct probe_amqp, base));
}

struct probe_driver *
probe_amqp_new(struct loop *loop, struct rmq_conn *const *conn,
    const struct conf *conf, const struct conf_downstream *downstream)
{
	static const struct probe_driver_ops ops = {
		.start = amqp_start,
		.cancel = amqp_cancel,
		.free = amqp_free,
	};
	struct probe_amqp *amqp = xcalloc(1, sizeof(*amqp));

	amqp->base.ops = &ops;
	amqp->loop = loop;
	amqp->conn = conn;
	amqp->conf = conf;
	amqp->downstream = downstream;
	loop_task_init(&amqp->no_conn, on_no_conn, amqp);
	return &amqp->base;
}
