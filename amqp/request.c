/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Requests and their answers. Several can be under way, since RabbitMQ
 * answers those of a channel in their order; but for consume-ok and
 * cancel-ok, which come when the queue has spoken, maybe after the answers
 * to later requests, and name their consumer. An answer that is not due
 * breaks the protocol.
 */
#include <stdlib.h>

#include "amqp/internal.h"
#include "lib/xalloc.h"

/* How often overdue answers are looked for. */
#define CHECK_EVERY_US (10LL * 1000000)

struct rmq_request *
rmq_request_push(struct rmq_channel *ch, amqp_method_number_t answer,
    rmq_reply_cb *cb, void *arg)
{
	struct rmq_request *request = xcalloc(1, sizeof(*request));
	struct rmq_conn *conn = ch->conn;

	request->answer = answer;
	request->cb = ch->abandoned ? NULL : cb;
	request->arg = arg;
	request->sent_us = RMQ_UNSTAMPED;
	TAILQ_INSERT_TAIL(&ch->requests, request, entry);
	if (conn->requests++ == 0)
		conn->check_us = RMQ_UNSTAMPED;
	conn->unstamped = true;
	return request;
}

static void
settle(struct rmq_channel *ch, struct rmq_request *request,
    struct rmq_reply *reply)
{
	struct rmq_consumer *consumer = request->consumer;
	bool cancelled = request->answer == AMQP_BASIC_CANCEL_OK_METHOD;

	if (consumer != NULL && !cancelled && reply->ok)
		rmq_consumer_begin(consumer);
	TAILQ_REMOVE(&ch->requests, request, entry);
	ch->conn->requests--;
	if (request->cb != NULL)
		request->cb(request->arg, reply);
	if (consumer != NULL && (cancelled || !reply->ok))
		rmq_consumer_drop(consumer);
	free(request);
}

bool
rmq_request_answer(struct rmq_channel *ch, amqp_method_number_t answer,
    const struct rmq_consumer *consumer, struct rmq_reply *reply)
{
	struct rmq_request *request;

	TAILQ_FOREACH(request, &ch->requests, entry) {
		if (request->consumer != consumer)
			continue;
		if (request->answer != answer)
			return false;
		break;
	}
	if (request == NULL)
		return false;
	reply->ok = true;
	settle(ch, request, reply);
	return true;
}

void
rmq_request_lose(struct rmq_channel *ch, const struct rmq_close *close)
{
	struct rmq_reply reply = { .ok = false, .error = close };

	while (!TAILQ_EMPTY(&ch->requests))
		settle(ch, TAILQ_FIRST(&ch->requests), &reply);
}

const struct rmq_request *
rmq_request_overdue(struct rmq_conn *conn, int64_t before_us, uint16_t *channel)
{
	struct rmq_request *request;
	size_t id;

	conn->check_us = conn->now_us + CHECK_EVERY_US;
	for (id = 0; id < conn->channel_space; id++) {
		if (conn->channels[id] == NULL)
			continue;
		request = TAILQ_FIRST(&conn->channels[id]->requests);
		if (request != NULL && request->sent_us != RMQ_UNSTAMPED &&
		    request->sent_us <= before_us) {
			*channel = (uint16_t)id;
			return request;
		}
	}
	return NULL;
}

void
rmq_request_stamp(struct rmq_conn *conn)
{
	struct rmq_request *request;
	size_t id;

	if (!conn->unstamped)
		return;
	conn->unstamped = false;
	if (conn->check_us == RMQ_UNSTAMPED)
		conn->check_us = conn->now_us + CHECK_EVERY_US;
	for (id = 0; id < conn->channel_space; id++) {
		if (conn->channels[id] == NULL)
			continue;
		TAILQ_FOREACH_REVERSE(request, &conn->channels[id]->requests,
		    rmq_requests, entry)
		{
			if (request->sent_us != RMQ_UNSTAMPED)
				break;
			request->sent_us = conn->now_us;
		}
	}
}

void
rmq_request_restart(struct rmq_conn *conn)
{
	struct rmq_request *request;
	size_t id;

	for (id = 0; id < conn->channel_space; id++) {
		if (conn->channels[id] == NULL)
			continue;
		TAILQ_FOREACH(request, &conn->channels[id]->requests, entry)
			request->sent_us = conn->now_us;
	}
	conn->check_us = conn->now_us + CHECK_EVERY_US;
}
