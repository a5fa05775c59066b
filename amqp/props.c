/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Properties and tables as raw bytes. Every length is checked against what
 * is there before it is used, and the walk into nested tables keeps its own
 * stack of RMQ_TABLE_MAX_DEPTH levels, so that no input can exhaust ours.
 * Field types are those of RabbitMQ ('s' is a 16-bit integer, not a string).
 */
#include "amqp/props.h"

#include <assert.h>
#include <string.h>

/* Bits of the flags word that stand for a property. */
#define KNOWN_FLAGS 0xfffc

static uint64_t
read_uint(const uint8_t *bytes, size_t len)
{
	uint64_t value = 0;
	size_t i;

	for (i = 0; i < len; i++)
		value = value << 8 | bytes[i];
	return value;
}

/* Takes `len` bytes off the start of `from`; -1: there are fewer. */
static int
take(struct rmq_slice *from, size_t len, struct rmq_slice *out)
{
	if (from->len < len)
		return -1;
	out->ptr = from->ptr;
	out->len = len;
	from->ptr += len;
	from->len -= len;
	return 0;
}

/* Takes a length of `width` bytes, then that many bytes. */
static int
take_counted(struct rmq_slice *from, size_t width, struct rmq_slice *out)
{
	struct rmq_slice word;

	if (take(from, width, &word) == -1)
		return -1;
	return take(from, (size_t)read_uint(word.ptr, width), out);
}

/* Takes type and value of a field. */
static int
take_field(struct rmq_slice *from, struct rmq_header *header)
{
	struct rmq_slice type;

	if (take(from, 1, &type) == -1)
		return -1;
	header->type = (char)type.ptr[0];
	switch (header->type) {
	case 'V':
		return take(from, 0, &header->value);
	case 't':
	case 'b':
	case 'B':
		return take(from, 1, &header->value);
	case 's':
	case 'u':
		return take(from, 2, &header->value);
	case 'I':
	case 'i':
	case 'f':
		return take(from, 4, &header->value);
	case 'D':
		return take(from, 5, &header->value);
	case 'l':
	case 'L':
	case 'd':
	case 'T':
		return take(from, 8, &header->value);
	case 'S':
	case 'x':
	case 'A':
	case 'F':
		return take_counted(from, 4, &header->value);
	default:
		return -1;
	}
}

static int
next_field(struct rmq_slice *from, bool named, struct rmq_header *header)
{
	const uint8_t *start = from->ptr;

	if (from->len == 0)
		return 0;
	header->name = (struct rmq_slice){ start, 0 };
	if (named && take_counted(from, 1, &header->name) == -1)
		return -1;
	if (take_field(from, header) == -1)
		return -1;
	header->raw.ptr = start;
	header->raw.len = (size_t)(from->ptr - start);
	return 1;
}

int
rmq_table_next(struct rmq_slice *table, struct rmq_header *header)
{
	return next_field(table, true, header);
}

int
rmq_array_next(struct rmq_slice *array, struct rmq_header *header)
{
	return next_field(array, false, header);
}

bool
rmq_table_find(struct rmq_slice table, const char *name,
    struct rmq_header *header)
{
	size_t len = strlen(name);

	while (rmq_table_next(&table, header) == 1) {
		if (header->name.len == len &&
		    memcmp(header->name.ptr, name, len) == 0)
			return true;
	}
	return false;
}

bool
rmq_header_int(const struct rmq_header *header, int64_t *value)
{
	uint64_t raw;

	switch (header->type) {
	case 'b':
		*value = (int8_t)header->value.ptr[0];
		return true;
	case 's':
		*value = (int16_t)read_uint(header->value.ptr, 2);
		return true;
	case 'I':
		*value = (int32_t)read_uint(header->value.ptr, 4);
		return true;
	case 'l':
	case 'L': /* signed, as the broker takes it */
		*value = (int64_t)read_uint(header->value.ptr, 8);
		return true;
	case 'B':
	case 'u':
	case 'i':
	case 'T':
		raw = read_uint(header->value.ptr, header->value.len);
		if (raw > INT64_MAX)
			return false;
		*value = (int64_t)raw;
		return true;
	default:
		return false;
	}
}

bool
rmq_header_text(const struct rmq_header *header, struct rmq_slice *text)
{
	if (header->type != 'S')
		return false;
	*text = header->value;
	return true;
}

enum rmq_props_verdict
rmq_table_check(struct rmq_slice table)
{
	struct level {
		struct rmq_slice rest;
		bool named;
	} levels[RMQ_TABLE_MAX_DEPTH] = { { table, true } };
	size_t depth = 1;
	bool too_deep = false;
	struct rmq_header header;

	while (depth > 0) {
		struct level *top = &levels[depth - 1];

		switch (next_field(&top->rest, top->named, &header)) {
		case 0:
			depth--;
			continue;
		case -1:
			return RMQ_PROPS_BAD_HEADERS;
		}
		if (header.type != 'F' && header.type != 'A')
			continue;
		if (depth == RMQ_TABLE_MAX_DEPTH) {
			too_deep = true;
			continue;
		}
		levels[depth].rest = header.value;
		levels[depth].named = header.type == 'F';
		depth++;
	}
	return too_deep ? RMQ_PROPS_TOO_DEEP : RMQ_PROPS_OK;
}

/* Bytes of a property's length word, 0 when its length is fixed. */
static size_t
length_width(unsigned prop)
{
	switch (prop) {
	case RMQ_PROP_HEADERS:
		return 4;
	case RMQ_PROP_DELIVERY_MODE:
	case RMQ_PROP_PRIORITY:
	case RMQ_PROP_TIMESTAMP:
		return 0;
	default:
		return 1;
	}
}

static size_t
fixed_len(unsigned prop)
{
	return prop == RMQ_PROP_TIMESTAMP ? 8 : 1;
}

/* Finds where each property lies; the headers are not looked into. */
static int
split_props(struct rmq_props *props, struct rmq_slice raw)
{
	struct rmq_slice word;
	unsigned flags, prop;
	size_t width;
	int ret;

	if (take(&raw, 2, &word) == -1)
		return -1;
	flags = (unsigned)read_uint(word.ptr, 2);
	/* More flag words (bit 0) or unknown properties (bit 1). */
	if ((flags & ~(unsigned)KNOWN_FLAGS) != 0)
		return -1;
	while (flags != 0) {
		/* The highest bit is the first property's. */
		prop = (unsigned)__builtin_clz(flags << 16);
		flags &= ~(1u << (15 - prop));
		width = length_width(prop);
		if (width > 0)
			ret = take_counted(&raw, width, &props->value[prop]);
		else
			ret = take(&raw, fixed_len(prop), &props->value[prop]);
		if (ret == -1)
			return -1;
		props->has[prop] = true;
	}
	return raw.len == 0 ? 0 : -1;
}

enum rmq_props_verdict
rmq_props_parse(struct rmq_props *props, struct rmq_slice raw)
{
	enum rmq_props_verdict verdict = RMQ_PROPS_OK;

	memset(props, 0, sizeof(*props));
	if (split_props(props, raw) == -1) {
		memset(props, 0, sizeof(*props));
		return RMQ_PROPS_BROKEN;
	}
	if (props->has[RMQ_PROP_HEADERS])
		verdict = rmq_table_check(props->value[RMQ_PROP_HEADERS]);
	if (verdict == RMQ_PROPS_BAD_HEADERS) {
		props->has[RMQ_PROP_HEADERS] = false;
		props->value[RMQ_PROP_HEADERS] = (struct rmq_slice){ NULL, 0 };
	}
	return verdict;
}

void
rmq_props_write(struct buf *out, const struct rmq_props *props)
{
	uint16_t flags = 0;
	unsigned prop;
	size_t width;

	for (prop = 0; prop < RMQ_PROP_COUNT; prop++) {
		if (props->has[prop])
			flags |= (uint16_t)(1u << (15 - prop));
	}
	buf_add_u16(out, flags);
	for (prop = 0; prop < RMQ_PROP_COUNT; prop++) {
		const struct rmq_slice *value = &props->value[prop];

		if (!props->has[prop])
			continue;
		width = length_width(prop);
		if (width == 1) {
			assert(value->len <= UINT8_MAX);
			buf_add_u8(out, (uint8_t)value->len);
		} else if (width == 4) {
			assert(value->len <= UINT32_MAX);
			buf_add_u32(out, (uint32_t)value->len);
		} else {
			assert(value->len == fixed_len(prop));
		}
		buf_add(out, value->ptr, value->len);
	}
}

static void
add_name(struct buf *table, const char *name, char type)
{
	size_t len = strlen(name);

	assert(len <= UINT8_MAX);
	buf_add_u8(table, (uint8_t)len);
	buf_add(table, name, len);
	buf_add_u8(table, (uint8_t)type);
}

static void
add_counted(struct buf *table, const void *bytes, size_t len)
{
	assert(len <= UINT32_MAX);
	buf_add_u32(table, (uint32_t)len);
	buf_add(table, bytes, len);
}

void
rmq_table_add_text(struct buf *table, const char *name, const void *text,
    size_t len)
{
	add_name(table, name, 'S');
	add_counted(table, text, len);
}

void
rmq_table_add_int(struct buf *table, const char *name, int64_t value)
{
	add_name(table, name, 'l');
	buf_add_u64(table, (uint64_t)value);
}

void
rmq_table_add_bool(struct buf *table, const char *name, bool value)
{
	add_name(table, name, 't');
	buf_add_u8(table, value ? 1 : 0);
}

void
rmq_table_add_bytes(struct buf *table, const char *name, const void *bytes,
    size_t len)
{
	add_name(table, name, 'x');
	add_counted(table, bytes, len);
}

void
rmq_table_add_table(struct buf *table, const char *name,
    struct rmq_slice nested)
{
	add_name(table, name, 'F');
	add_counted(table, nested.ptr, nested.len);
}

int64_t
rmq_props_offset(struct rmq_slice raw)
{
	struct rmq_header header;
	struct rmq_props props;
	int64_t offset;

	if (rmq_props_parse(&props, raw) == RMQ_PROPS_OK &&
	    props.has[RMQ_PROP_HEADERS] &&
	    rmq_table_find(props.value[RMQ_PROP_HEADERS], "x-stream-offset",
		&header) &&
	    rmq_header_int(&header, &offset))
		return offset;
	return -1;
}
