/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Frames: seven bytes of header, the payload, and the end byte. */
#include "amqp/internal.h"

#include <assert.h>

#define FRAME_HEADER_LEN 7
#define FRAME_END	 0xce

/*
 * RabbitMQ splits bodies to fit frame_max, but never properties: a message
 * whose headers grew in the broker arrives in a frame that is larger. It
 * must get through, else it would stop its queue for ever.
 */
#define PROPERTIES_FRAME_MAX (16u << 20)

static uint32_t
read_u32(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
	    (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Why no frame can have this type and size; NULL: it can. */
static const char *
size_error(uint8_t type, uint32_t len, uint32_t frame_max)
{
	uint32_t min = 0, max = frame_max - RMQ_FRAME_OVERHEAD;

	switch (type) {
	case RMQ_FRAME_METHOD:
		min = 4; /* class, method */
		break;
	case RMQ_FRAME_HEADER:
		min = 14; /* class, weight, body size, flags */
		max = PROPERTIES_FRAME_MAX;
		break;
	case RMQ_FRAME_BODY:
		break;
	case RMQ_FRAME_HEARTBEAT:
		max = 0;
		break;
	default:
		return "unknown frame type";
	}
	if (len < min)
		return "frame too small for its type";
	return len > max ? "frame too large" : NULL;
}

enum rmq_frame_verdict
rmq_frame_peek(struct rmq_slice bytes, uint32_t frame_max,
    struct rmq_frame *frame, size_t *need, const char **error)
{
	const uint8_t *b = bytes.ptr;
	uint32_t len;

	*need = FRAME_HEADER_LEN;
	if (bytes.len < FRAME_HEADER_LEN)
		return RMQ_FRAME_PART;
	len = read_u32(b + 3);
	*error = size_error(b[0], len, frame_max);
	if (*error != NULL)
		return RMQ_FRAME_BAD;
	*need = (size_t)len + RMQ_FRAME_OVERHEAD;
	if (bytes.len < *need)
		return RMQ_FRAME_PART;
	if (b[*need - 1] != FRAME_END) {
		*error = "wrong frame end";
		return RMQ_FRAME_BAD;
	}
	frame->type = b[0];
	frame->channel = (uint16_t)(b[1] << 8 | b[2]);
	frame->payload.ptr = b + FRAME_HEADER_LEN;
	frame->payload.len = len;
	return RMQ_FRAME_WHOLE;
}

amqp_method_number_t
rmq_frame_method(const struct rmq_frame *frame)
{
	return read_u32(frame->payload.ptr);
}

size_t
rmq_frame_begin(struct buf *out, enum rmq_frame_type type, uint16_t channel)
{
	size_t begin = out->len;
	uint8_t *header = buf_reserve(out, FRAME_HEADER_LEN);

	header[0] = (uint8_t)type;
	header[1] = (uint8_t)(channel >> 8);
	header[2] = (uint8_t)channel;
	/* The length follows when it is known. */
	buf_claim(out, FRAME_HEADER_LEN);
	return begin;
}

void
rmq_frame_end(struct buf *out, size_t begin)
{
	size_t len = out->len - begin - FRAME_HEADER_LEN;
	uint8_t *size = buf_peek(out) + begin + 3;

	assert(len <= UINT32_MAX);
	size[0] = (uint8_t)(len >> 24);
	size[1] = (uint8_t)(len >> 16);
	size[2] = (uint8_t)(len >> 8);
	size[3] = (uint8_t)len;
	buf_add_u8(out, FRAME_END);
}
