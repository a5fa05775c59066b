/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The life of a channel. It is freed with its connection or at the first
 * flush after `closed`; its number is free again before `closed` is told, so
 * that a new one can be opened from there.
 */
#include "amqp/channel.h"

#include <stdlib.h>

#include "amqp/internal.h"
#include "lib/log.h"
#include "lib/xalloc.h"

static const char *
state_name(enum rmq_channel_state state)
{
	switch (state) {
	case RMQ_CHANNEL_OPENING:
		return "opening";
	case RMQ_CHANNEL_OPEN:
		return "open";
	case RMQ_CHANNEL_CLOSING:
		return "closing";
	case RMQ_CHANNEL_CLOSED:
		return "closed";
	}
	return "?";
}

/*
 * opening -> open -> closing -> closed; opening -> closing when the caller
 * changes his mind; any -> closed when the broker or the connection ends it.
 */
void
rmq_channel_enter(struct rmq_channel *ch, enum rmq_channel_state state)
{
	if (state <= ch->state)
		abort();
	log_debug("amqp_channel", LOG_UINT("channel", ch->id),
	    LOG_STR("from", state_name(ch->state)),
	    LOG_STR("to", state_name(state)));
	ch->state = state;
}

/* A channel number that is free, with room in the table; 0: none left. */
static uint16_t
take_id(struct rmq_conn *conn)
{
	size_t id = 1, space = conn->channel_space;

	while (id < space && conn->channels[id] != NULL)
		id++;
	if (id > conn->channel_max)
		return 0;
	if (id >= space) {
		space = id < 8 ? 16 : 2 * id;
		conn->channels = xrealloc(conn->channels,
		    space * sizeof(struct rmq_channel *));
		while (conn->channel_space < space)
			conn->channels[conn->channel_space++] = NULL;
	}
	return (uint16_t)id;
}

struct rmq_channel *
rmq_channel_open(struct rmq_conn *conn, const struct rmq_channel_cbs *cbs,
    void *arg)
{
	amqp_channel_open_t method = { .out_of_band = amqp_empty_bytes };
	struct rmq_channel *ch;
	uint16_t id;

	if (!rmq_conn_is_open(conn))
		return NULL;
	id = take_id(conn);
	if (id == 0)
		return NULL;
	ch = xcalloc(1, sizeof(*ch));
	ch->conn = conn;
	ch->id = id;
	ch->cbs = cbs;
	ch->arg = arg;
	ch->flow = true;
	TAILQ_INIT(&ch->requests);
	TAILQ_INIT(&ch->consumers);
	rmq_ack_init(&ch->acks);
	rmq_confirm_init(&ch->confirms);
	conn->channels[id] = ch;
	rmq_request_push(ch, AMQP_CHANNEL_OPEN_OK_METHOD, NULL, NULL);
	rmq_codec_write(conn, id, AMQP_CHANNEL_OPEN_METHOD, &method, 0);
	return ch;
}

void
rmq_channel_close(struct rmq_channel *ch)
{
	amqp_channel_close_t method = { .reply_code = RMQ_CODE_OK,
		.reply_text = amqp_empty_bytes };
	struct rmq_request *request;

	if (!rmq_channel_live(ch))
		return;
	/* What was acked is acked; the rest goes back to its queue. */
	rmq_channel_write_acks(ch);
	rmq_channel_enter(ch, RMQ_CHANNEL_CLOSING);
	rmq_content_drop(ch);
	/* Only the last answer counts now. */
	TAILQ_FOREACH(request, &ch->requests, entry)
		request->sent_us = RMQ_UNSTAMPED;
	rmq_request_push(ch, AMQP_CHANNEL_CLOSE_OK_METHOD, NULL, NULL);
	rmq_codec_write(ch->conn, ch->id, AMQP_CHANNEL_CLOSE_METHOD, &method,
	    0);
}

void
rmq_channel_mute(struct rmq_channel *ch)
{
	struct rmq_request *request;

	ch->abandoned = true;
	TAILQ_FOREACH(request, &ch->requests, entry)
		request->cb = NULL;
	rmq_confirm_mute(&ch->confirms);
}

void
rmq_channel_abandon(struct rmq_channel *ch)
{
	rmq_channel_mute(ch);
	rmq_channel_close(ch);
}

bool
rmq_channel_live(const struct rmq_channel *ch)
{
	return ch->state <= RMQ_CHANNEL_OPEN &&
	    ch->conn->state == RMQ_CONN_OPEN;
}

bool
rmq_channel_is_open(const struct rmq_channel *ch)
{
	return ch->state == RMQ_CHANNEL_OPEN &&
	    ch->conn->state == RMQ_CONN_OPEN;
}

static void
soil(struct rmq_channel *ch)
{
	if (ch->dirty)
		return;
	ch->dirty = true;
	TAILQ_INSERT_TAIL(&ch->conn->dirty, ch, entry);
}

static void
clean(struct rmq_channel *ch)
{
	if (!ch->dirty)
		return;
	ch->dirty = false;
	TAILQ_REMOVE(&ch->conn->dirty, ch, entry);
}

static void
emit_ack(void *arg, uint64_t tag, bool multiple)
{
	amqp_basic_ack_t method = { .delivery_tag = tag, .multiple = multiple };
	struct rmq_channel *ch = arg;

	rmq_codec_write(ch->conn, ch->id, AMQP_BASIC_ACK_METHOD, &method, 0);
}

void
rmq_channel_write_acks(struct rmq_channel *ch)
{
	clean(ch);
	ch->acked_us = ch->conn->now_us;
	rmq_ack_flush(&ch->acks, emit_ack, ch);
}

void
rmq_ack(struct rmq_channel *ch, uint64_t tag)
{
	/* A channel that closes takes no acks: the broker redelivers. */
	if (!rmq_channel_live(ch))
		return;
	rmq_ack_mark(&ch->acks, tag);
	/* Those held since the last flush have their time already. */
	if (!ch->dirty || ch->acks.due_count >= ch->ack_share)
		rmq_conn_wake(ch->conn);
	soil(ch);
}

size_t
rmq_channel_unacked(const struct rmq_channel *ch)
{
	return ch->acks.unacked;
}

void
rmq_channel_end(struct rmq_channel *ch, const struct rmq_close *close)
{
	struct rmq_conn *conn = ch->conn;

	if (ch->state == RMQ_CHANNEL_CLOSED)
		return;
	rmq_channel_enter(ch, RMQ_CHANNEL_CLOSED);
	clean(ch);
	rmq_content_drop(ch);
	if (conn->channels[ch->id] == ch)
		conn->channels[ch->id] = NULL;
	TAILQ_INSERT_TAIL(&conn->dead, ch, entry);
	do {
		rmq_request_lose(ch, close);
		rmq_confirm_lose(&ch->confirms);
		/* A callback may have asked for more. */
	} while (!TAILQ_EMPTY(&ch->requests));
	if (!ch->abandoned)
		ch->cbs->closed(ch->arg, close);
	rmq_conn_wake(conn);
}

void
rmq_channel_free(struct rmq_channel *ch)
{
	struct rmq_consumer *consumer;
	struct rmq_request *request;

	rmq_content_drop(ch);
	while ((consumer = TAILQ_FIRST(&ch->consumers)) != NULL) {
		TAILQ_REMOVE(&ch->consumers, consumer, entry);
		free(consumer);
	}
	while ((request = TAILQ_FIRST(&ch->requests)) != NULL) {
		TAILQ_REMOVE(&ch->requests, request, entry);
		ch->conn->requests--;
		free(request);
	}
	rmq_ack_clear(&ch->acks);
	rmq_confirm_clear(&ch->confirms);
	free(ch);
}
