/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Publishes go out as a method, a header and as many body frames as needed. */
#include <assert.h>

#include "amqp/internal.h"
#include "lib/xalloc.h"

#define BASIC_CLASS 60

void
rmq_confirm_select(struct rmq_channel *ch, const char *correlation_header,
    rmq_reply_cb *cb, void *arg)
{
	amqp_confirm_select_t method = { .nowait = 0 };

	assert(!ch->confirms.on);
	ch->confirms.on = true;
	ch->confirms.header = xstrdup(correlation_header);
	rmq_request_push(ch, AMQP_CONFIRM_SELECT_OK_METHOD, cb, arg);
	if (rmq_channel_live(ch))
		rmq_codec_write(ch->conn, ch->id, AMQP_CONFIRM_SELECT_METHOD,
		    &method, 0);
}

static void
write_header(struct buf *out, uint16_t channel,
    const struct rmq_publish *publish)
{
	size_t begin = rmq_frame_begin(out, RMQ_FRAME_HEADER, channel);

	buf_add_u16(out, BASIC_CLASS);
	buf_add_u16(out, 0);
	buf_add_u64(out, publish->body.len);
	buf_add(out, publish->props.ptr, publish->props.len);
	rmq_frame_end(out, begin);
}

static void
write_body(struct buf *out, uint16_t channel, struct rmq_slice body,
    size_t piece_max)
{
	size_t begin, len, sent;

	for (sent = 0; sent < body.len; sent += len) {
		len = body.len - sent;
		if (len > piece_max)
			len = piece_max;
		begin = rmq_frame_begin(out, RMQ_FRAME_BODY, channel);
		buf_add(out, body.ptr + sent, len);
		rmq_frame_end(out, begin);
	}
}

bool
rmq_publish_fits(const struct rmq_conn *conn, size_t props_bytes)
{
	return props_bytes + 12 + RMQ_FRAME_OVERHEAD <= conn->frame_max;
}

void
rmq_publish(struct rmq_channel *ch, const struct rmq_publish *publish,
    rmq_confirm_cb *cb, void *arg)
{
	struct rmq_conn *conn = ch->conn;
	amqp_basic_publish_t method = {
		.exchange = rmq_codec_text(publish->exchange),
		.routing_key = rmq_codec_text(publish->routing_key),
		.mandatory = publish->mandatory,
	};

	assert(cb == NULL || ch->confirms.on);
	/* The broker counts them all; and a channel that ends answers all. */
	if (ch->confirms.on)
		rmq_confirm_track(&ch->confirms, publish,
		    ch->abandoned ? NULL : cb, arg);
	if (!rmq_channel_live(ch))
		return;
	assert(rmq_publish_fits(conn, publish->props.len));
	rmq_codec_write(conn, ch->id, AMQP_BASIC_PUBLISH_METHOD, &method, 0);
	write_header(&conn->out, ch->id, publish);
	write_body(&conn->out, ch->id, publish->body,
	    conn->frame_max - RMQ_FRAME_OVERHEAD);
}

bool
rmq_channel_may_publish(const struct rmq_channel *ch)
{
	return rmq_channel_is_open(ch) && ch->flow;
}

size_t
rmq_channel_unconfirmed(const struct rmq_channel *ch)
{
	return ch->confirms.open;
}
