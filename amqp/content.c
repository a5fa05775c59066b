/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Messages put together from their frames: a method that announces one, a
 * header with the size and the properties, and bodies until the size is
 * reached. The message is one allocation, which for small messages has its
 * final size at once; a large one grows with the bytes that arrive, so that
 * an announced size costs nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "amqp/internal.h"
#include "lib/xalloc.h"

#define BASIC_CLASS 60

/* Body bytes that are allocated on the header's word alone. */
#define TRUSTED_BODY 131072

static uint64_t
read_u64(const uint8_t *bytes)
{
	uint64_t value = 0;
	unsigned i;

	for (i = 0; i < 8; i++)
		value = value << 8 | bytes[i];
	return value;
}

int
rmq_content_start(struct rmq_channel *ch, enum rmq_content_kind kind,
    amqp_bytes_t exchange, amqp_bytes_t key)
{
	struct rmq_content *content = &ch->content;

	if (exchange.len > UINT8_MAX || key.len > UINT8_MAX)
		return -1;
	content->phase = RMQ_CONTENT_WANTS_HEADER;
	content->kind = kind;
	content->exchange_len = (uint8_t)exchange.len;
	content->key_len = (uint8_t)key.len;
	if (exchange.len > 0)
		memcpy(content->names, exchange.bytes, exchange.len);
	if (key.len > 0)
		memcpy(content->names + exchange.len, key.bytes, key.len);
	return 0;
}

static void
count_partial(struct rmq_channel *ch, size_t body_space)
{
	ch->conn->partial_bytes -= ch->content.body_space;
	ch->conn->partial_bytes += body_space;
	ch->content.body_space = body_space;
}

/* Where the slices point, once the memory lies still. */
static void
set_slices(struct rmq_content *content, size_t props_len)
{
	struct rmq_message *message = content->message;
	uint8_t *at = (uint8_t *)(message + 1);

	message->exchange = (struct rmq_slice){ at, content->exchange_len };
	at += content->exchange_len;
	message->routing_key = (struct rmq_slice){ at, content->key_len };
	at += content->key_len;
	message->props = (struct rmq_slice){ at, props_len };
	at += props_len;
	message->body = (struct rmq_slice){ at, (size_t)content->body_seen };
}

static size_t
size_before_body(const struct rmq_content *content, size_t props_len)
{
	return sizeof(*content->message) + content->exchange_len +
	    content->key_len + props_len;
}

static void
make_message(struct rmq_channel *ch, struct rmq_slice props)
{
	struct rmq_content *content = &ch->content;
	size_t names_len = content->exchange_len + content->key_len;
	size_t space = TRUSTED_BODY;
	uint8_t *at;

	if (content->body_size < space)
		space = (size_t)content->body_size;
	/* The body of a return or a stray is of no use. */
	if (content->kind != RMQ_CONTENT_DELIVERY)
		space = 0;
	content->message =
	    xmalloc(size_before_body(content, props.len) + space);
	at = (uint8_t *)(content->message + 1);
	memcpy(at, content->names, names_len);
	memcpy(at + names_len, props.ptr, props.len);
	count_partial(ch, space);
	set_slices(content, props.len);
}

static void
grow_body(struct rmq_channel *ch, size_t need)
{
	struct rmq_content *content = &ch->content;
	size_t props_len = content->message->props.len;
	size_t space = 2 * content->body_space;

	if (need <= content->body_space)
		return;
	if (space < need)
		space = need;
	if (space > content->body_size)
		space = (size_t)content->body_size;
	content->message = xrealloc(content->message,
	    size_before_body(content, props_len) + space);
	count_partial(ch, space);
	set_slices(content, props_len);
}

static void
emit_reject(struct rmq_channel *ch, uint64_t tag)
{
	amqp_basic_reject_t method = { .delivery_tag = tag, .requeue = 1 };

	rmq_codec_write(ch->conn, ch->id, AMQP_BASIC_REJECT_METHOD, &method, 0);
}

/* Everything is there: hands it over. */
static void
finish(struct rmq_channel *ch)
{
	struct rmq_content *content = &ch->content;
	struct rmq_message *message = content->message;
	struct rmq_consumer *consumer = content->consumer;
	struct rmq_delivery delivery = { .tag = content->tag,
		.redelivered = content->redelivered,
		.message = message };

	content->phase = RMQ_CONTENT_NONE;
	content->message = NULL;
	count_partial(ch, 0);
	switch (content->kind) {
	case RMQ_CONTENT_DELIVERY:
		if (!ch->abandoned) {
			consumer->cbs->delivery(consumer->arg, &delivery);
			return;
		}
		break;
	case RMQ_CONTENT_RETURN:
		rmq_confirm_return(&ch->confirms, message, content->reply_code,
		    content->reply_text);
		break;
	case RMQ_CONTENT_STRAY:
		/* Nobody would ever ack it: back to its queue. */
		if (content->tag != 0)
			emit_reject(ch, content->tag);
		break;
	}
	rmq_message_free(message);
}

void
rmq_content_header(struct rmq_channel *ch, struct rmq_slice payload)
{
	struct rmq_content *content = &ch->content;
	struct rmq_slice props = { payload.ptr + 12, payload.len - 12 };
	unsigned class_id = (unsigned)payload.ptr[0] << 8 | payload.ptr[1];

	if (content->phase != RMQ_CONTENT_WANTS_HEADER) {
		rmq_conn_abort(ch->conn, RMQ_CODE_UNEXPECTED_FRAME, 0,
		    "header frame without its method on channel %u", ch->id);
		return;
	}
	if (class_id != BASIC_CLASS) {
		rmq_conn_abort(ch->conn, RMQ_CODE_FRAME_ERROR, 0,
		    "content of class %u on channel %u", class_id, ch->id);
		return;
	}
	content->body_size = read_u64(payload.ptr + 4);
	content->body_seen = 0;
	content->phase = RMQ_CONTENT_WANTS_BODY;
	make_message(ch, props);
	if (content->body_size == 0)
		finish(ch);
}

void
rmq_content_body(struct rmq_channel *ch, struct rmq_slice payload)
{
	struct rmq_content *content = &ch->content;
	struct rmq_slice *body;

	if (content->phase != RMQ_CONTENT_WANTS_BODY) {
		rmq_conn_abort(ch->conn, RMQ_CODE_UNEXPECTED_FRAME, 0,
		    "body frame without its header on channel %u", ch->id);
		return;
	}
	if (payload.len > content->body_size - content->body_seen) {
		rmq_conn_abort(ch->conn, RMQ_CODE_FRAME_ERROR, 0,
		    "body longer than its header says on channel %u", ch->id);
		return;
	}
	if (content->kind == RMQ_CONTENT_DELIVERY) {
		grow_body(ch, (size_t)content->body_seen + payload.len);
		body = &content->message->body;
		if (payload.len > 0)
			memcpy((uint8_t *)content->message +
				(body->ptr - (uint8_t *)content->message) +
				content->body_seen,
			    payload.ptr, payload.len);
		body->len += payload.len;
	}
	content->body_seen += payload.len;
	if (content->body_seen == content->body_size)
		finish(ch);
}

void
rmq_content_drop(struct rmq_channel *ch)
{
	ch->content.phase = RMQ_CONTENT_NONE;
	count_partial(ch, 0);
	rmq_message_free(ch->content.message);
	ch->content.message = NULL;
}
