/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/unit.h"

#include "tests/amqp/wire.h"

#include <string.h>

#include "amqp/internal.h"
#include "amqp/props.h"

void
wire_encode(struct buf *buf, uint16_t channel, amqp_method_number_t number,
    void *method)
{
	size_t begin = rmq_frame_begin(buf, RMQ_FRAME_METHOD, channel);
	amqp_bytes_t fields = { .len = 4096 };
	int len;

	buf_add_u32(buf, number);
	fields.bytes = buf_reserve(buf, fields.len);
	len = amqp_encode_method(number, method, fields);
	assert_true(len >= 0);
	buf_claim(buf, (size_t)len);
	rmq_frame_end(buf, begin);
}

void
wire_frame(struct buf *buf, uint8_t type, uint16_t channel, const void *payload,
    size_t len)
{
	size_t begin = rmq_frame_begin(buf, type, channel);

	buf_add(buf, payload, len);
	rmq_frame_end(buf, begin);
}

void
wire_header(struct buf *buf, uint16_t channel, uint64_t body_size,
    struct rmq_slice props)
{
	size_t begin = rmq_frame_begin(buf, RMQ_FRAME_HEADER, channel);

	buf_add_u16(buf, 60);
	buf_add_u16(buf, 0);
	buf_add_u64(buf, body_size);
	if (props.len == 0)
		buf_add_u16(buf, 0);
	buf_add(buf, props.ptr, props.len);
	rmq_frame_end(buf, begin);
}

void
wire_body(struct buf *buf, uint16_t channel, const char *text)
{
	wire_frame(buf, RMQ_FRAME_BODY, channel, text, strlen(text));
}

void
wire_start(struct buf *buf)
{
	amqp_table_entry_t entry = {
		.key = amqp_cstring_bytes("version"),
		.value.kind = AMQP_FIELD_KIND_UTF8,
		.value.value.bytes = amqp_cstring_bytes("3.10.8"),
	};

	wire_method(buf, 0, CONNECTION_START, amqp_connection_start_t,
	    .version_minor = 9, .server_properties = { 1, &entry },
	    .mechanisms = amqp_cstring_bytes("AMQPLAIN PLAIN"),
	    .locales = amqp_cstring_bytes("en_US"));
}

void
wire_tune(struct buf *buf, uint16_t channel_max, uint32_t frame_max,
    uint16_t heartbeat)
{
	wire_method(buf, 0, CONNECTION_TUNE, amqp_connection_tune_t,
	    .channel_max = channel_max, .frame_max = frame_max,
	    .heartbeat = heartbeat);
}

void
wire_open_ok(struct buf *buf)
{
	wire_method(buf, 0, CONNECTION_OPEN_OK, amqp_connection_open_ok_t,
	    .known_hosts = amqp_empty_bytes);
}

void
wire_channel_open_ok(struct buf *buf, uint16_t channel)
{
	wire_method(buf, channel, CHANNEL_OPEN_OK, amqp_channel_open_ok_t,
	    .channel_id = amqp_empty_bytes);
}

void
wire_channel_close(struct buf *buf, uint16_t channel, uint16_t code,
    const char *text)
{
	wire_method(buf, channel, CHANNEL_CLOSE, amqp_channel_close_t,
	    .reply_code = code, .reply_text = amqp_cstring_bytes(text),
	    .class_id = 60, .method_id = 40);
}

void
wire_deliver(struct buf *buf, uint16_t channel, const char *consumer,
    uint64_t tag)
{
	wire_method(buf, channel, BASIC_DELIVER, amqp_basic_deliver_t,
	    .consumer_tag = amqp_cstring_bytes(consumer), .delivery_tag = tag,
	    .redelivered = tag % 2 == 0, .exchange = amqp_cstring_bytes("x"),
	    .routing_key = amqp_cstring_bytes("k"));
}

void
wire_ack(struct buf *buf, uint16_t channel, uint64_t tag, bool multiple)
{
	wire_method(buf, channel, BASIC_ACK, amqp_basic_ack_t,
	    .delivery_tag = tag, .multiple = multiple);
}

void
wire_nack(struct buf *buf, uint16_t channel, uint64_t tag, bool multiple)
{
	wire_method(buf, channel, BASIC_NACK, amqp_basic_nack_t,
	    .delivery_tag = tag, .multiple = multiple);
}

void
wire_return(struct buf *buf, uint16_t channel, const char *key,
    struct rmq_slice props)
{
	wire_method(buf, channel, BASIC_RETURN, amqp_basic_return_t,
	    .reply_code = 312, .reply_text = amqp_cstring_bytes("NO_ROUTE"),
	    .exchange = amqp_cstring_bytes("x"),
	    .routing_key = amqp_cstring_bytes(key));
	wire_header(buf, channel, 4, props);
	wire_body(buf, channel, "body");
}

static void
tell_bytes(struct buf *to, amqp_bytes_t bytes)
{
	buf_add_u8(to, ' ');
	buf_add(to, bytes.bytes, bytes.len);
}

static void
tell_connection(struct buf *to, amqp_method_number_t number, void *method)
{
	const amqp_connection_start_ok_t *start_ok = method;
	const amqp_connection_tune_ok_t *tune_ok = method;
	const amqp_connection_open_t *open = method;
	const amqp_connection_close_t *close = method;

	switch (number) {
	case AMQP_CONNECTION_START_OK_METHOD:
		buf_printf(to, " connection.start-ok");
		tell_bytes(to, start_ok->mechanism);
		break;
	case AMQP_CONNECTION_TUNE_OK_METHOD:
		buf_printf(to, " connection.tune-ok %u %u %u",
		    tune_ok->channel_max, tune_ok->frame_max,
		    tune_ok->heartbeat);
		break;
	case AMQP_CONNECTION_OPEN_METHOD:
		buf_printf(to, " connection.open");
		tell_bytes(to, open->virtual_host);
		break;
	case AMQP_CONNECTION_CLOSE_METHOD:
		buf_printf(to, " connection.close %u", close->reply_code);
		break;
	case AMQP_CONNECTION_CLOSE_OK_METHOD:
		buf_printf(to, " connection.close-ok");
		break;
	default:
		buf_printf(to, " method %u.%u", number >> 16, number & 0xffff);
	}
}

static void
tell_channel(struct buf *to, amqp_method_number_t number, void *method)
{
	const amqp_channel_close_t *close = method;
	const amqp_channel_flow_ok_t *flow_ok = method;

	switch (number) {
	case AMQP_CHANNEL_OPEN_METHOD:
		buf_printf(to, " channel.open");
		break;
	case AMQP_CHANNEL_CLOSE_METHOD:
		buf_printf(to, " channel.close %u", close->reply_code);
		break;
	case AMQP_CHANNEL_CLOSE_OK_METHOD:
		buf_printf(to, " channel.close-ok");
		break;
	case AMQP_CHANNEL_FLOW_OK_METHOD:
		buf_printf(to, " channel.flow-ok %d", flow_ok->active);
		break;
	case AMQP_CONFIRM_SELECT_METHOD:
		buf_printf(to, " confirm.select");
		break;
	default:
		tell_connection(to, number, method);
	}
}

static void
tell_basic(struct buf *to, amqp_method_number_t number, void *method)
{
	const amqp_basic_ack_t *ack = method;
	const amqp_basic_reject_t *reject = method;
	const amqp_basic_publish_t *publish = method;
	const amqp_basic_consume_t *consume = method;
	const amqp_basic_cancel_t *cancel = method;
	const amqp_basic_qos_t *qos = method;

	switch (number) {
	case AMQP_BASIC_ACK_METHOD:
		buf_printf(to, " basic.ack %u%s", (unsigned)ack->delivery_tag,
		    ack->multiple ? " multiple" : "");
		break;
	case AMQP_BASIC_REJECT_METHOD:
		buf_printf(to, " basic.reject %u%s",
		    (unsigned)reject->delivery_tag,
		    reject->requeue ? " requeue" : "");
		break;
	case AMQP_BASIC_PUBLISH_METHOD:
		buf_printf(to, " basic.publish");
		tell_bytes(to, publish->exchange);
		tell_bytes(to, publish->routing_key);
		buf_printf(to, "%s", publish->mandatory ? " mandatory" : "");
		break;
	case AMQP_BASIC_CONSUME_METHOD:
		buf_printf(to, " basic.consume");
		tell_bytes(to, consume->queue);
		tell_bytes(to, consume->consumer_tag);
		break;
	case AMQP_BASIC_CANCEL_METHOD:
		buf_printf(to, " basic.cancel");
		tell_bytes(to, cancel->consumer_tag);
		break;
	case AMQP_BASIC_QOS_METHOD:
		buf_printf(to, " basic.qos %u", qos->prefetch_count);
		break;
	default:
		tell_channel(to, number, method);
	}
}

static void
tell_method(struct buf *to, const struct rmq_frame *frame)
{
	amqp_method_number_t number = rmq_frame_method(frame);
	struct rmq_slice fields = { frame->payload.ptr + 4,
		frame->payload.len - 4 };
	amqp_pool_t pool;
	void *method;

	init_amqp_pool(&pool, 4096);
	assert_int_equal(amqp_decode_method(number, &pool,
			     rmq_codec_bytes(fields), &method),
	    0);
	tell_basic(to, number, method);
	empty_amqp_pool(&pool);
}

static void
tell_frame(struct buf *to, const struct rmq_frame *frame)
{
	buf_printf(to, "> %u", frame->channel);
	switch (frame->type) {
	case RMQ_FRAME_METHOD:
		tell_method(to, frame);
		break;
	case RMQ_FRAME_HEADER:
		buf_printf(to, " header %u", (unsigned)frame->payload.ptr[11]);
		break;
	case RMQ_FRAME_BODY:
		buf_printf(to, " body %zu", frame->payload.len);
		break;
	case RMQ_FRAME_HEARTBEAT:
		buf_printf(to, " heartbeat");
		break;
	}
	buf_add_str(to, "\n");
}

void
wire_tell(struct buf *from, struct buf *to)
{
	struct rmq_frame frame;
	const char *error;
	size_t need;

	if (from->len >= 8 && memcmp(buf_peek(from), "AMQP", 4) == 0) {
		buf_drop(from, 8);
		buf_add_str(to, "> AMQP\n");
	}
	while (from->len > 0) {
		struct rmq_slice bytes = { buf_peek(from), from->len };

		assert_int_equal(rmq_frame_peek(bytes, 1u << 24, &frame, &need,
				     &error),
		    RMQ_FRAME_WHOLE);
		tell_frame(to, &frame);
		buf_drop(from, need);
	}
}
