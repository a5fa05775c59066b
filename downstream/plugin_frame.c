/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/plugin_frame.h"

#include <string.h>

/* The texts of a message, in their order in the frame; the body is last. */
#define TEXT_COUNT 11

/* Follows the head; then come the texts, the headers, the body. */
struct fixed {
	int64_t attempt, redrives, timestamp_s;
	uint64_t body_bytes;
	uint64_t headers_bytes;
	uint32_t lens[TEXT_COUNT];
	uint32_t reserved;
};

/* What a header begins with; then come its name and its text. */
struct header_fixed {
	uint64_t value; /* of a text: its length */
	uint32_t name_len;
	uint32_t type;
};

static void
add_text(struct buf *out, const struct attempt_text *text)
{
	if (text->len > 0)
		buf_add(out, text->ptr, text->len);
	buf_add_u8(out, 0);
}

static void
add_header(struct buf *out, const struct attempt_field *field)
{
	static const uint32_t types[] = {
		[ATTEMPT_FIELD_TEXT] = DLO_TEXT,
		[ATTEMPT_FIELD_BYTES] = DLO_BYTES,
		[ATTEMPT_FIELD_INT] = DLO_INT,
		[ATTEMPT_FIELD_TIME] = DLO_TIME,
		[ATTEMPT_FIELD_FLOAT] = DLO_REAL,
		[ATTEMPT_FIELD_DOUBLE] = DLO_REAL,
		[ATTEMPT_FIELD_BOOL] = DLO_BOOL,
	};
	struct header_fixed fixed = {
		.name_len = (uint32_t)field->name.len,
		.type = types[field->type],
	};

	switch (field->type) {
	case ATTEMPT_FIELD_TEXT:
	case ATTEMPT_FIELD_BYTES:
		fixed.value = field->value.text.len;
		break;
	case ATTEMPT_FIELD_INT:
	case ATTEMPT_FIELD_TIME:
		memcpy(&fixed.value, &field->value.number, sizeof(uint64_t));
		break;
	case ATTEMPT_FIELD_FLOAT:
	case ATTEMPT_FIELD_DOUBLE:
		memcpy(&fixed.value, &field->value.real, sizeof(uint64_t));
		break;
	case ATTEMPT_FIELD_BOOL:
		fixed.value = field->value.truth;
		break;
	}
	buf_add(out, &fixed, sizeof(fixed));
	add_text(out, &field->name);
	if (fixed.type == DLO_TEXT || fixed.type == DLO_BYTES)
		add_text(out, &field->value.text);
}

static void
add_headers(struct buf *out, const struct attempt_fields *fields)
{
	struct attempt_text rest = fields->table;
	struct attempt_field field;

	if (fields->next == NULL)
		return;
	while (fields->next(&rest, &field))
		add_header(out, &field);
}

void
plugin_frame_message(struct buf *out, uint64_t call,
    const struct attempt *attempt)
{
	const struct attempt_text *const texts[TEXT_COUNT] = {
		&attempt->pipeline, &attempt->queue, &attempt->id,
		&attempt->exchange, &attempt->routing_key,
		&attempt->content_type, &attempt->content_encoding,
		&attempt->message_id, &attempt->correlation_id, &attempt->type,
		&attempt->traceparent
	};
	struct plugin_frame head = { .call = call,
		.kind = PLUGIN_FRAME_MESSAGE };
	struct fixed fixed = {
		.attempt = attempt->number,
		.redrives = attempt->redrives,
		.timestamp_s = attempt->timestamp_s,
		.body_bytes = attempt->body_bytes,
	};
	const struct attempt_text body = { attempt->body, attempt->body_bytes };
	size_t start = out->len, headers, i;

	for (i = 0; i < TEXT_COUNT; i++)
		fixed.lens[i] = (uint32_t)texts[i]->len;
	buf_add(out, &head, sizeof(head));
	buf_add(out, &fixed, sizeof(fixed));
	for (i = 0; i < TEXT_COUNT; i++)
		add_text(out, texts[i]);
	headers = out->len;
	add_headers(out, &attempt->fields);
	fixed.headers_bytes = out->len - headers;
	add_text(out, &body);
	/* What was not known before. */
	head.bytes = out->len - start;
	memcpy(buf_peek(out) + start, &head, sizeof(head));
	memcpy(buf_peek(out) + start + sizeof(head), &fixed, sizeof(fixed));
}

void
plugin_frame_add(struct buf *out, enum plugin_frame_kind kind, uint64_t call,
    const void *bytes, size_t len)
{
	struct plugin_frame head = { .call = call, .kind = kind };

	head.bytes = sizeof(head) + len;
	buf_add(out, &head, sizeof(head));
	if (len > 0)
		buf_add(out, bytes, len);
}

/* Bytes that are still to be read. */
struct rest {
	const uint8_t *at;
	size_t len;
};

/* `len` bytes and the NUL behind them; NULL: they are not there. */
static const char *
take_text(struct rest *rest, uint64_t len)
{
	const char *text = (const char *)rest->at;

	if (rest->len == 0 || len > rest->len - 1 || text[len] != '\0')
		return NULL;
	rest->at += len + 1;
	rest->len -= len + 1;
	return text;
}

static int
take_texts(struct rest *rest, const struct fixed *fixed,
    struct dlo_message *message)
{
	struct dlo_text *const texts[TEXT_COUNT] = { &message->pipeline,
		&message->queue, &message->id, &message->exchange,
		&message->routing_key, &message->content_type,
		&message->content_encoding, &message->message_id,
		&message->correlation_id, &message->type,
		&message->traceparent };
	size_t i;

	for (i = 0; i < TEXT_COUNT; i++) {
		texts[i]->len = fixed->lens[i];
		texts[i]->ptr = take_text(rest, fixed->lens[i]);
		if (texts[i]->ptr == NULL)
			return -1;
	}
	return 0;
}

int
plugin_frame_read(const uint8_t *frame, size_t len, struct dlo_message *message,
    struct plugin_headers *headers)
{
	struct rest rest = { frame, len };
	struct plugin_frame head;
	struct fixed fixed;

	if (len < sizeof(head) + sizeof(fixed))
		return -1;
	memcpy(&head, frame, sizeof(head));
	memcpy(&fixed, frame + sizeof(head), sizeof(fixed));
	rest.at += sizeof(head) + sizeof(fixed);
	rest.len -= sizeof(head) + sizeof(fixed);
	*message = (struct dlo_message){
		.size = sizeof(*message),
		.call = head.call,
		.attempt = fixed.attempt,
		.redrives = fixed.redrives,
		.timestamp_s = fixed.timestamp_s,
	};
	if (head.kind != PLUGIN_FRAME_MESSAGE || head.bytes != len ||
	    take_texts(&rest, &fixed, message) == -1 ||
	    fixed.headers_bytes > rest.len)
		return -1;
	headers->bytes = rest.at;
	headers->len = fixed.headers_bytes;
	rest.at += fixed.headers_bytes;
	rest.len -= fixed.headers_bytes;
	message->body.len = fixed.body_bytes;
	message->body.ptr = take_text(&rest, fixed.body_bytes);
	return message->body.ptr == NULL || rest.len != 0 ? -1 : 0;
}

static bool
take_value(struct rest *rest, const struct header_fixed *fixed,
    struct dlo_header *header)
{
	header->number = 0;
	header->real = 0;
	header->truth = 0;
	header->text = (struct dlo_text){ "", 0 };
	switch (header->type) {
	case DLO_TEXT:
	case DLO_BYTES:
		header->text.len = fixed->value;
		header->text.ptr = take_text(rest, fixed->value);
		return header->text.ptr != NULL;
	case DLO_INT:
	case DLO_TIME:
		memcpy(&header->number, &fixed->value, sizeof(fixed->value));
		return true;
	case DLO_REAL:
		memcpy(&header->real, &fixed->value, sizeof(fixed->value));
		return true;
	case DLO_BOOL:
		header->truth = fixed->value != 0;
		return true;
	default:
		return false;
	}
}

bool
plugin_frame_header(const struct plugin_headers *headers, uint64_t *offset,
    struct dlo_header *header)
{
	struct rest rest;
	struct header_fixed fixed;

	if (*offset > headers->len || headers->len - *offset < sizeof(fixed))
		return false;
	memcpy(&fixed, headers->bytes + *offset, sizeof(fixed));
	rest.at = headers->bytes + *offset + sizeof(fixed);
	rest.len = headers->len - *offset - sizeof(fixed);
	header->type = (int32_t)fixed.type;
	header->name.len = fixed.name_len;
	header->name.ptr = take_text(&rest, fixed.name_len);
	if (header->name.ptr == NULL || !take_value(&rest, &fixed, header))
		return false;
	*offset = headers->len - rest.len;
	return true;
}
