/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What the broker sends on a channel. Only methods that a broker may send
 * are decoded; none of them holds a table.
 */
#include "amqp/internal.h"

static void
refuse(struct rmq_channel *ch, amqp_method_number_t number, const char *what)
{
	rmq_conn_abort(ch->conn, RMQ_CODE_COMMAND_INVALID, number,
	    "%s: method %u.%u on channel %u", what, number >> 16,
	    number & 0xffff, ch->id);
}

static void
on_open_ok(struct rmq_channel *ch)
{
	struct rmq_reply reply = { 0 };

	if (!rmq_request_answer(ch, AMQP_CHANNEL_OPEN_OK_METHOD, NULL,
		&reply)) {
		refuse(ch, AMQP_CHANNEL_OPEN_OK_METHOD, "not asked for");
		return;
	}
	rmq_channel_enter(ch, RMQ_CHANNEL_OPEN);
	if (!ch->abandoned)
		ch->cbs->opened(ch->arg);
}

static void
on_close(struct rmq_channel *ch, const amqp_channel_close_t *method)
{
	amqp_channel_close_ok_t close_ok = { 0 };
	struct rmq_close close = { .fault = RMQ_FAULT_SERVER,
		.code = method->reply_code,
		.class_id = method->class_id,
		.method_id = method->method_id };

	rmq_codec_copy(close.text, sizeof(close.text), method->reply_text);
	rmq_codec_write(ch->conn, ch->id, AMQP_CHANNEL_CLOSE_OK_METHOD,
	    &close_ok, 0);
	if (ch->state == RMQ_CHANNEL_CLOSING) {
		/* Both at once; the answer to ours is still to come. */
		ch->close = close;
		return;
	}
	rmq_channel_end(ch, &close);
}

static void
on_flow(struct rmq_channel *ch, const amqp_channel_flow_t *method)
{
	amqp_channel_flow_ok_t flow_ok = { .active = method->active };

	ch->flow = method->active;
	rmq_codec_write(ch->conn, ch->id, AMQP_CHANNEL_FLOW_OK_METHOD, &flow_ok,
	    0);
	if (!ch->abandoned && ch->cbs->flow != NULL)
		ch->cbs->flow(ch->arg, ch->flow);
}

static void
on_deliver(struct rmq_channel *ch, const amqp_basic_deliver_t *method)
{
	struct rmq_content *content = &ch->content;
	struct rmq_consumer *consumer;
	enum rmq_content_kind kind;
	bool no_ack;

	if (!rmq_consumer_find(ch, method->consumer_tag, &consumer, &no_ack)) {
		refuse(ch, AMQP_BASIC_DELIVER_METHOD, "unknown consumer");
		return;
	}
	kind = consumer == NULL ? RMQ_CONTENT_STRAY : RMQ_CONTENT_DELIVERY;
	if (rmq_ack_track(&ch->acks, method->delivery_tag,
		no_ack || consumer == NULL) == -1) {
		refuse(ch, AMQP_BASIC_DELIVER_METHOD, "wrong delivery tag");
		return;
	}
	content->consumer = consumer;
	/* A stray without acks cannot be given back. */
	content->tag = consumer == NULL && no_ack ? 0 : method->delivery_tag;
	content->redelivered = method->redelivered;
	if (rmq_content_start(ch, kind, method->exchange,
		method->routing_key) == -1)
		refuse(ch, AMQP_BASIC_DELIVER_METHOD, "name too long");
}

static void
on_return(struct rmq_channel *ch, const amqp_basic_return_t *method)
{
	struct rmq_content *content = &ch->content;

	content->reply_code = method->reply_code;
	rmq_codec_copy(content->reply_text, sizeof(content->reply_text),
	    method->reply_text);
	if (rmq_content_start(ch, RMQ_CONTENT_RETURN, method->exchange,
		method->routing_key) == -1)
		refuse(ch, AMQP_BASIC_RETURN_METHOD, "name too long");
}

static void
on_confirm(struct rmq_channel *ch, amqp_method_number_t number, uint64_t tag,
    bool multiple)
{
	if (!ch->confirms.on ||
	    rmq_confirm_settle(&ch->confirms, tag, multiple,
		number == AMQP_BASIC_ACK_METHOD) == -1)
		refuse(ch, number, "confirm of what was not published");
}

/* The broker ended a consumer: its queue went, or moved. */
static void
on_cancel(struct rmq_channel *ch, const amqp_basic_cancel_t *method)
{
	amqp_basic_cancel_ok_t cancel_ok = { .consumer_tag =
						 method->consumer_tag };
	struct rmq_reply begun = { 0 };
	struct rmq_consumer *consumer;
	bool no_ack;

	if (!rmq_consumer_find(ch, method->consumer_tag, &consumer, &no_ack)) {
		refuse(ch, AMQP_BASIC_CANCEL_METHOD, "unknown consumer");
		return;
	}
	if (!method->nowait)
		rmq_codec_write(ch->conn, ch->id, AMQP_BASIC_CANCEL_OK_METHOD,
		    &cancel_ok, 0);
	/* What has ended had begun; its consume-ok is due, so never refused. */
	if (consumer != NULL && !consumer->begun)
		(void)rmq_request_answer(ch, AMQP_BASIC_CONSUME_OK_METHOD,
		    consumer, &begun);
	/* Where we cancel too, our own answer is on its way. */
	if (consumer == NULL || consumer->cancelling)
		return;
	if (!ch->abandoned)
		consumer->cbs->cancelled(consumer->arg);
	rmq_consumer_drop(consumer);
}

static void
on_answer(struct rmq_channel *ch, amqp_method_number_t number,
    const void *method)
{
	const amqp_queue_declare_ok_t *declared = method;
	struct rmq_reply reply = { 0 };

	if (number == AMQP_QUEUE_DECLARE_OK_METHOD) {
		reply.message_count = declared->message_count;
		reply.consumer_count = declared->consumer_count;
		reply.queue.ptr = declared->queue.bytes;
		reply.queue.len = declared->queue.len;
	}
	if (!rmq_request_answer(ch, number, NULL, &reply))
		refuse(ch, number, "not asked for");
}

static void
on_consumer_answer(struct rmq_channel *ch, amqp_method_number_t number,
    amqp_bytes_t tag)
{
	struct rmq_consumer *consumer;
	struct rmq_reply reply = { 0 };
	bool no_ack;

	if (!rmq_consumer_find(ch, tag, &consumer, &no_ack)) {
		refuse(ch, number, "unknown consumer");
		return;
	}
	/* The broker has cancelled it before it says that it had begun. */
	if (consumer == NULL && number == AMQP_BASIC_CONSUME_OK_METHOD)
		return;
	if (consumer == NULL ||
	    !rmq_request_answer(ch, number, consumer, &reply))
		refuse(ch, number, "not asked for");
}

static void
run_method(struct rmq_channel *ch, amqp_method_number_t number, void *method)
{
	const amqp_basic_ack_t *ack = method;
	const amqp_basic_nack_t *nack = method;
	const amqp_basic_consume_ok_t *consume_ok = method;
	const amqp_basic_cancel_ok_t *cancel_ok = method;

	switch (number) {
	case AMQP_BASIC_DELIVER_METHOD:
		on_deliver(ch, method);
		break;
	case AMQP_BASIC_ACK_METHOD:
		on_confirm(ch, number, ack->delivery_tag, ack->multiple);
		break;
	case AMQP_BASIC_NACK_METHOD:
		on_confirm(ch, number, nack->delivery_tag, nack->multiple);
		break;
	case AMQP_BASIC_RETURN_METHOD:
		on_return(ch, method);
		break;
	case AMQP_BASIC_CANCEL_METHOD:
		on_cancel(ch, method);
		break;
	case AMQP_BASIC_CONSUME_OK_METHOD:
		on_consumer_answer(ch, number, consume_ok->consumer_tag);
		break;
	case AMQP_BASIC_CANCEL_OK_METHOD:
		on_consumer_answer(ch, number, cancel_ok->consumer_tag);
		break;
	case AMQP_CHANNEL_OPEN_OK_METHOD:
		on_open_ok(ch);
		break;
	case AMQP_CHANNEL_CLOSE_METHOD:
		on_close(ch, method);
		break;
	case AMQP_CHANNEL_FLOW_METHOD:
		on_flow(ch, method);
		break;
	default:
		on_answer(ch, number, method);
		break;
	}
}

/* Methods that a broker sends on a channel. */
static bool
is_expected(amqp_method_number_t number)
{
	switch (number) {
	case AMQP_BASIC_DELIVER_METHOD:
	case AMQP_BASIC_ACK_METHOD:
	case AMQP_BASIC_NACK_METHOD:
	case AMQP_BASIC_RETURN_METHOD:
	case AMQP_BASIC_CANCEL_METHOD:
	case AMQP_BASIC_CANCEL_OK_METHOD:
	case AMQP_BASIC_CONSUME_OK_METHOD:
	case AMQP_BASIC_QOS_OK_METHOD:
	case AMQP_CHANNEL_OPEN_OK_METHOD:
	case AMQP_CHANNEL_CLOSE_METHOD:
	case AMQP_CHANNEL_CLOSE_OK_METHOD:
	case AMQP_CHANNEL_FLOW_METHOD:
	case AMQP_CONFIRM_SELECT_OK_METHOD:
	case AMQP_EXCHANGE_BIND_OK_METHOD:
	case AMQP_EXCHANGE_DECLARE_OK_METHOD:
	case AMQP_EXCHANGE_DELETE_OK_METHOD:
	case AMQP_QUEUE_BIND_OK_METHOD:
	case AMQP_QUEUE_DECLARE_OK_METHOD:
	case AMQP_QUEUE_DELETE_OK_METHOD:
	case AMQP_QUEUE_UNBIND_OK_METHOD:
		return true;
	default:
		return false;
	}
}

/* On a channel that we are closing only the end of it counts. */
static void
on_method_closing(struct rmq_channel *ch, amqp_method_number_t number,
    struct rmq_slice fields)
{
	void *method;

	if (number == AMQP_CHANNEL_CLOSE_OK_METHOD) {
		rmq_channel_end(ch, &ch->close);
		return;
	}
	if (number != AMQP_CHANNEL_CLOSE_METHOD)
		return;
	method = rmq_codec_read(ch->conn, number, fields);
	if (method == NULL)
		refuse(ch, number, "does not decode");
	else
		on_close(ch, method);
}

static void
on_method(struct rmq_channel *ch, amqp_method_number_t number,
    struct rmq_slice fields)
{
	void *method;

	if (ch->content.phase != RMQ_CONTENT_NONE) {
		rmq_conn_abort(ch->conn, RMQ_CODE_UNEXPECTED_FRAME, number,
		    "method %u.%u within a message on channel %u", number >> 16,
		    number & 0xffff, ch->id);
		return;
	}
	if (!is_expected(number)) {
		refuse(ch, number, "not for clients");
		return;
	}
	/* Before it is open only that, or a close, can come. */
	if (ch->state == RMQ_CHANNEL_OPENING &&
	    number != AMQP_CHANNEL_OPEN_OK_METHOD &&
	    number != AMQP_CHANNEL_CLOSE_METHOD) {
		refuse(ch, number, "the channel is not open");
		return;
	}
	method = rmq_codec_read(ch->conn, number, fields);
	if (method == NULL)
		rmq_conn_abort(ch->conn, RMQ_CODE_SYNTAX_ERROR, number,
		    "method %u.%u does not decode on channel %u", number >> 16,
		    number & 0xffff, ch->id);
	else
		run_method(ch, number, method);
}

void
rmq_dispatch_frame(struct rmq_conn *conn, const struct rmq_frame *frame)
{
	struct rmq_slice fields = frame->payload;
	struct rmq_channel *ch = NULL;

	if (frame->channel < conn->channel_space)
		ch = conn->channels[frame->channel];
	if (ch == NULL) {
		rmq_conn_abort(conn, RMQ_CODE_CHANNEL_ERROR, 0,
		    "frame of type %u for channel %u, which is not open",
		    (unsigned)frame->type, frame->channel);
		return;
	}
	if (frame->type == RMQ_FRAME_METHOD) {
		fields.ptr += 4;
		fields.len -= 4;
		if (ch->state == RMQ_CHANNEL_CLOSING)
			on_method_closing(ch, rmq_frame_method(frame), fields);
		else
			on_method(ch, rmq_frame_method(frame), fields);
		return;
	}
	if (ch->state == RMQ_CHANNEL_CLOSING)
		return;
	if (frame->type == RMQ_FRAME_HEADER)
		rmq_content_header(ch, fields);
	else
		rmq_content_body(ch, fields);
}
