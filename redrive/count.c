/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/count.h"

#include <stdlib.h>

#include "lib/xalloc.h"

struct count {
	struct rmq_channel *channel;
	const char *queue;
	rmq_reply_cb *cb;
	void *arg;
};

static void
on_reply(void *arg, const struct rmq_reply *reply)
{
	struct count *count = arg;

	rmq_channel_abandon(count->channel);
	count->cb(count->arg, reply);
	free(count);
}

static void
on_opened(void *arg)
{
	struct count *count = arg;

	rmq_queue_declare(count->channel, count->queue, RMQ_PASSIVE,
	    rmq_slice_of(NULL), on_reply, count);
}

static void
on_closed(void *arg, const struct rmq_close *why)
{
	struct count *count = arg;

	count->cb(count->arg, &(struct rmq_reply){ .error = why });
	free(count);
}

struct count *
count_ask(struct rmq_conn *conn, const char *queue, rmq_reply_cb *cb, void *arg)
{
	static const struct rmq_channel_cbs cbs = { .opened = on_opened,
		.closed = on_closed };
	struct count *count = xcalloc(1, sizeof(*count));

	*count = (struct count){ .queue = queue, .cb = cb, .arg = arg };
	count->channel = rmq_channel_open(conn, &cbs, count);
	if (count->channel != NULL)
		return count;
	free(count);
	return NULL;
}

void
count_cancel(struct count *count)
{
	if (count == NULL)
		return;
	rmq_channel_abandon(count->channel);
	free(count);
}
