/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/depth.h"

#include <stdlib.h>

#include "lib/log.h"
#include "lib/xalloc.h"
#include "redrive/count.h"

/* After a hold, and when an answer is doubtful. */
#define AGAIN_MS 1000

struct depth {
	struct loop *loop;
	const char *queue;
	depth_cb *cb;
	void *arg;
	struct rmq_conn *conn; /* NULL: none */
	struct count *count;   /* NULL: not asking */
	struct loop_timer *timer;
	int64_t last; /* what it told; 0: nothing yet, -1: unknown */
	bool doubts;  /* "nothing" came once */
	bool held;
	bool due; /* the timer is that of a question that is wanted now */
};

/*
 * A leader that is slow to answer makes the broker say "nothing" (count.h):
 * where there was something, it has to say so twice.
 */
static bool
is_doubtful(struct depth *depth, const struct rmq_reply *reply)
{
	bool nothing = reply->ok && reply->message_count == 0 &&
	    reply->consumer_count == 0;

	depth->doubts = nothing && depth->last > 0 && !depth->doubts;
	return depth->doubts;
}

static void
answer(void *arg, const struct rmq_reply *reply)
{
	struct depth *depth = arg;

	depth->count = NULL;
	if (is_doubtful(depth, reply)) {
		depth->due = true;
		loop_timer_start(depth->loop, depth->timer, AGAIN_MS);
		return;
	}
	if (!reply->ok)
		log_debug("depth_unknown", LOG_STR("queue", depth->queue),
		    LOG_INT("code", reply->error->code),
		    LOG_STR("text", reply->error->text));
	depth->last = reply->ok ? (int64_t)reply->message_count : -1;
	if (depth->conn != NULL && !depth->held)
		loop_timer_start(depth->loop, depth->timer, DEPTH_EVERY_MS);
	depth->cb(depth->arg, depth->last);
}

static void
ask(void *arg)
{
	struct depth *depth = arg;

	depth->due = false;
	if (depth->conn == NULL || depth->count != NULL)
		return;
	depth->count = count_ask(depth->conn, depth->queue, answer, depth);
	if (depth->count == NULL)
		loop_timer_start(depth->loop, depth->timer, DEPTH_EVERY_MS);
}

struct depth *
depth_new(struct loop *loop, const char *queue, depth_cb *cb, void *arg)
{
	struct depth *depth = xcalloc(1, sizeof(*depth));

	depth->loop = loop;
	depth->queue = queue;
	depth->cb = cb;
	depth->arg = arg;
	depth->timer = loop_timer_new(loop, ask, depth);
	return depth;
}

void
depth_free(struct depth *depth)
{
	if (depth == NULL)
		return;
	count_cancel(depth->count);
	loop_timer_free(depth->loop, depth->timer);
	free(depth);
}

void
depth_link(struct depth *depth, struct rmq_conn *conn)
{
	depth->conn = conn;
	depth->due = false;
	if (conn == NULL)
		loop_timer_stop(depth->loop, depth->timer);
	else if (!depth->held)
		loop_timer_start(depth->loop, depth->timer, 0);
}

void
depth_hold(struct depth *depth, bool on)
{
	if (depth->held == on)
		return;
	depth->held = on;
	count_cancel(depth->count);
	depth->count = NULL;
	depth->due = !on && depth->conn != NULL;
	if (depth->due)
		loop_timer_start(depth->loop, depth->timer, AGAIN_MS);
	else
		loop_timer_stop(depth->loop, depth->timer);
}

void
depth_ask(struct depth *depth)
{
	if (depth->held || depth->conn == NULL || depth_is_asking(depth))
		return;
	depth->due = true;
	loop_timer_start(depth->loop, depth->timer, 0);
}

bool
depth_is_asking(const struct depth *depth)
{
	return depth->count != NULL || depth->due;
}
