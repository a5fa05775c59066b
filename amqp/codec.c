/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "amqp/codec.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amqp/internal.h"
#include "amqp/props.h"

/* Fixed fields and short strings of the largest method that we send. */
#define METHOD_FIELDS_MAX 1536

amqp_bytes_t
rmq_codec_bytes(struct rmq_slice slice)
{
	amqp_bytes_t bytes = { .len = slice.len };

	/* librabbitmq takes it without const and only reads it. */
	memcpy(&bytes.bytes, &slice.ptr, sizeof(bytes.bytes));
	return bytes;
}

amqp_bytes_t
rmq_codec_text(const char *text)
{
	return rmq_codec_bytes(rmq_slice_of(text));
}

void
rmq_codec_write(struct rmq_conn *conn, uint16_t channel,
    amqp_method_number_t number, void *method, size_t args_bytes)
{
	const size_t max = METHOD_FIELDS_MAX + args_bytes;
	size_t begin = rmq_frame_begin(&conn->out, RMQ_FRAME_METHOD, channel);
	amqp_bytes_t fields;
	int len;

	buf_add_u32(&conn->out, number);
	fields.bytes = buf_reserve(&conn->out, max);
	fields.len = max;
	len = amqp_encode_method(number, method, fields);
	/* Names of 255 bytes fit; longer ones are a mistake of ours. */
	assert(len >= 0);
	buf_claim(&conn->out, (size_t)len);
	rmq_frame_end(&conn->out, begin);
	rmq_conn_wake(conn);
}

void *
rmq_codec_read(struct rmq_conn *conn, amqp_method_number_t number,
    struct rmq_slice fields)
{
	void *method;

	if (amqp_decode_method(number, &conn->pool, rmq_codec_bytes(fields),
		&method) < 0)
		return NULL;
	return method;
}

amqp_table_t
rmq_codec_table(struct rmq_conn *conn, struct rmq_slice table)
{
	amqp_table_t decoded = amqp_empty_table;
	amqp_bytes_t encoded;
	size_t offset = 0;
	uint8_t *copy;

	if (table.len == 0)
		return decoded;
	/* librabbitmq wants the length word in front; its result points in. */
	copy = amqp_pool_alloc(&conn->pool, table.len + 4);
	assert(copy != NULL && table.len <= UINT32_MAX);
	copy[0] = (uint8_t)(table.len >> 24);
	copy[1] = (uint8_t)(table.len >> 16);
	copy[2] = (uint8_t)(table.len >> 8);
	copy[3] = (uint8_t)table.len;
	memcpy(copy + 4, table.ptr, table.len);
	encoded.bytes = copy;
	encoded.len = table.len + 4;
	if (rmq_table_check(table) != RMQ_PROPS_OK ||
	    amqp_decode_table(encoded, &conn->pool, &decoded, &offset) < 0)
		abort(); /* a table of our own making */
	return decoded;
}

void
rmq_codec_copy(char *to, size_t space, amqp_bytes_t from)
{
	size_t len = from.len < space ? from.len : space - 1;

	if (len > 0)
		memcpy(to, from.bytes, len);
	to[len] = '\0';
}

const char *
rmq_codec_name(amqp_method_number_t number)
{
	static const struct {
		amqp_method_number_t number;
		const char *name;
	} names[] = {
		{ AMQP_CHANNEL_OPEN_OK_METHOD, "channel.open-ok" },
		{ AMQP_CHANNEL_CLOSE_OK_METHOD, "channel.close-ok" },
		{ AMQP_EXCHANGE_DECLARE_OK_METHOD, "exchange.declare-ok" },
		{ AMQP_EXCHANGE_DELETE_OK_METHOD, "exchange.delete-ok" },
		{ AMQP_EXCHANGE_BIND_OK_METHOD, "exchange.bind-ok" },
		{ AMQP_QUEUE_DECLARE_OK_METHOD, "queue.declare-ok" },
		{ AMQP_QUEUE_DELETE_OK_METHOD, "queue.delete-ok" },
		{ AMQP_QUEUE_BIND_OK_METHOD, "queue.bind-ok" },
		{ AMQP_QUEUE_UNBIND_OK_METHOD, "queue.unbind-ok" },
		{ AMQP_BASIC_QOS_OK_METHOD, "basic.qos-ok" },
		{ AMQP_BASIC_CONSUME_OK_METHOD, "basic.consume-ok" },
		{ AMQP_BASIC_CANCEL_OK_METHOD, "basic.cancel-ok" },
		{ AMQP_CONFIRM_SELECT_OK_METHOD, "confirm.select-ok" },
	};
	static char other[16];
	size_t i;

	for (i = 0; i < array_len(names); i++) {
		if (names[i].number == number)
			return names[i].name;
	}
	snprintf(other, sizeof(other), "%u.%u", number >> 16, number & 0xffff);
	return other;
}
