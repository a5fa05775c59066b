/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Requests about exchanges, queues and the prefetch. */
#include "amqp/internal.h"

/* Acks of such a part of the prefetch do not wait: it must not run dry. */
#define ACK_SHARES 8

/* Sends a request, or leaves it to be answered when the channel ends. */
static void
ask(struct rmq_channel *ch, amqp_method_number_t number, void *method,
    size_t args_bytes, amqp_method_number_t answer, rmq_reply_cb *cb, void *arg)
{
	rmq_request_push(ch, answer, cb, arg);
	if (rmq_channel_live(ch))
		rmq_codec_write(ch->conn, ch->id, number, method, args_bytes);
}

void
rmq_exchange_declare(struct rmq_channel *ch, const char *name, const char *type,
    unsigned flags, struct rmq_slice args, rmq_reply_cb *cb, void *arg)
{
	amqp_exchange_declare_t method = {
		.exchange = rmq_codec_text(name),
		.type = rmq_codec_text(type),
		.passive = (flags & RMQ_PASSIVE) != 0,
		.durable = (flags & RMQ_DURABLE) != 0,
		.auto_delete = (flags & RMQ_AUTO_DELETE) != 0,
		.internal = (flags & RMQ_INTERNAL) != 0,
		.arguments = rmq_codec_table(ch->conn, args),
	};

	ask(ch, AMQP_EXCHANGE_DECLARE_METHOD, &method, args.len,
	    AMQP_EXCHANGE_DECLARE_OK_METHOD, cb, arg);
}

void
rmq_exchange_delete(struct rmq_channel *ch, const char *name, unsigned flags,
    rmq_reply_cb *cb, void *arg)
{
	amqp_exchange_delete_t method = {
		.exchange = rmq_codec_text(name),
		.if_unused = (flags & RMQ_IF_UNUSED) != 0,
	};

	ask(ch, AMQP_EXCHANGE_DELETE_METHOD, &method, 0,
	    AMQP_EXCHANGE_DELETE_OK_METHOD, cb, arg);
}

void
rmq_exchange_bind(struct rmq_channel *ch, const char *destination,
    const char *source, const char *key, struct rmq_slice args,
    rmq_reply_cb *cb, void *arg)
{
	amqp_exchange_bind_t method = {
		.destination = rmq_codec_text(destination),
		.source = rmq_codec_text(source),
		.routing_key = rmq_codec_text(key),
		.arguments = rmq_codec_table(ch->conn, args),
	};

	ask(ch, AMQP_EXCHANGE_BIND_METHOD, &method, args.len,
	    AMQP_EXCHANGE_BIND_OK_METHOD, cb, arg);
}

void
rmq_queue_declare(struct rmq_channel *ch, const char *name, unsigned flags,
    struct rmq_slice args, rmq_reply_cb *cb, void *arg)
{
	amqp_queue_declare_t method = {
		.queue = rmq_codec_text(name),
		.passive = (flags & RMQ_PASSIVE) != 0,
		.durable = (flags & RMQ_DURABLE) != 0,
		.exclusive = (flags & RMQ_EXCLUSIVE) != 0,
		.auto_delete = (flags & RMQ_AUTO_DELETE) != 0,
		.arguments = rmq_codec_table(ch->conn, args),
	};

	ask(ch, AMQP_QUEUE_DECLARE_METHOD, &method, args.len,
	    AMQP_QUEUE_DECLARE_OK_METHOD, cb, arg);
}

void
rmq_queue_delete(struct rmq_channel *ch, const char *name, unsigned flags,
    rmq_reply_cb *cb, void *arg)
{
	amqp_queue_delete_t method = {
		.queue = rmq_codec_text(name),
		.if_unused = (flags & RMQ_IF_UNUSED) != 0,
		.if_empty = (flags & RMQ_IF_EMPTY) != 0,
	};

	ask(ch, AMQP_QUEUE_DELETE_METHOD, &method, 0,
	    AMQP_QUEUE_DELETE_OK_METHOD, cb, arg);
}

void
rmq_queue_bind(struct rmq_channel *ch, const char *queue, const char *exchange,
    const char *key, struct rmq_slice args, rmq_reply_cb *cb, void *arg)
{
	amqp_queue_bind_t method = {
		.queue = rmq_codec_text(queue),
		.exchange = rmq_codec_text(exchange),
		.routing_key = rmq_codec_text(key),
		.arguments = rmq_codec_table(ch->conn, args),
	};

	ask(ch, AMQP_QUEUE_BIND_METHOD, &method, args.len,
	    AMQP_QUEUE_BIND_OK_METHOD, cb, arg);
}

void
rmq_queue_unbind(struct rmq_channel *ch, const char *queue,
    const char *exchange, const char *key, struct rmq_slice args,
    rmq_reply_cb *cb, void *arg)
{
	amqp_queue_unbind_t method = {
		.queue = rmq_codec_text(queue),
		.exchange = rmq_codec_text(exchange),
		.routing_key = rmq_codec_text(key),
		.arguments = rmq_codec_table(ch->conn, args),
	};

	ask(ch, AMQP_QUEUE_UNBIND_METHOD, &method, args.len,
	    AMQP_QUEUE_UNBIND_OK_METHOD, cb, arg);
}

void
rmq_qos(struct rmq_channel *ch, uint16_t prefetch, rmq_reply_cb *cb, void *arg)
{
	amqp_basic_qos_t method = { .prefetch_count = prefetch };

	ch->ack_share = prefetch / ACK_SHARES;
	ask(ch, AMQP_BASIC_QOS_METHOD, &method, 0, AMQP_BASIC_QOS_OK_METHOD, cb,
	    arg);
}
