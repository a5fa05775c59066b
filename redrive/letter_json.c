/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/letter_json.h"

#include <math.h>
#include <string.h>

#include "amqp/props.h"

static const char *const prop_names[RMQ_PROP_COUNT] = {
	[RMQ_PROP_CONTENT_TYPE] = "content_type",
	[RMQ_PROP_CONTENT_ENCODING] = "content_encoding",
	[RMQ_PROP_HEADERS] = "headers",
	[RMQ_PROP_DELIVERY_MODE] = "delivery_mode",
	[RMQ_PROP_PRIORITY] = "priority",
	[RMQ_PROP_CORRELATION_ID] = "correlation_id",
	[RMQ_PROP_REPLY_TO] = "reply_to",
	[RMQ_PROP_EXPIRATION] = "expiration",
	[RMQ_PROP_MESSAGE_ID] = "message_id",
	[RMQ_PROP_TIMESTAMP] = "timestamp",
	[RMQ_PROP_TYPE] = "type",
	[RMQ_PROP_USER_ID] = "user_id",
	[RMQ_PROP_APP_ID] = "app_id",
	[RMQ_PROP_CLUSTER_ID] = "cluster_id",
};

/* Bytes of a property that is a number; 0: it is text. */
static size_t
prop_width(unsigned prop)
{
	switch (prop) {
	case RMQ_PROP_DELIVERY_MODE:
	case RMQ_PROP_PRIORITY:
		return 1;
	case RMQ_PROP_TIMESTAMP:
		return 8;
	default:
		return 0;
	}
}

/* Bytes of an integer type; 0: it is none. */
static size_t
int_width(char type)
{
	switch (type) {
	case 'b':
	case 'B':
		return 1;
	case 's':
	case 'u':
		return 2;
	case 'I':
	case 'i':
		return 4;
	case 'l':
	case 'L':
	case 'T':
		return 8;
	default:
		return 0;
	}
}

static uint64_t
read_bits(struct rmq_slice bytes)
{
	uint64_t bits = 0;

	for (size_t i = 0; i < bytes.len; i++)
		bits = bits << 8 | bytes.ptr[i];
	return bits;
}

static void
add_bits(struct buf *out, uint64_t bits, size_t width)
{
	while (width-- > 0)
		buf_add_u8(out, (uint8_t)(bits >> (8 * width)));
}

static double
real_of(const struct rmq_header *header)
{
	uint64_t bits = read_bits(header->value);
	uint32_t half = (uint32_t)bits;
	double real;
	float single;

	if (header->type == 'd') {
		memcpy(&real, &bits, sizeof(real));
		return real;
	}
	memcpy(&single, &half, sizeof(single));
	return (double)single;
}

static void
add_real(struct buf *out, char type, double real)
{
	float single = (float)real;
	uint64_t bits;
	uint32_t half;

	if (type == 'd') {
		memcpy(&bits, &real, sizeof(bits));
		add_bits(out, bits, sizeof(bits));
	} else {
		memcpy(&half, &single, sizeof(half));
		add_bits(out, half, sizeof(half));
	}
}

static json_t *fields_of(struct rmq_slice table, bool named);

/* NULL: JSON has no form for it. */
static json_t *
value_of(const struct rmq_header *header)
{
	int64_t number;

	switch (header->type) {
	case 'V':
		return json_null();
	case 't':
		return header->value.ptr[0] <= 1
		    ? json_boolean(header->value.ptr[0])
		    : NULL;
	case 'f':
	case 'd':
		return isfinite(real_of(header)) ? json_real(real_of(header))
						 : NULL;
	case 'A':
	case 'F':
		return fields_of(header->value, header->type == 'F');
	default:
		return rmq_header_int(header, &number) ? json_integer(number)
						       : NULL;
	}
}

static json_t *
field_of(const struct rmq_header *header, bool named)
{
	const char type[2] = { header->type, '\0' };
	json_t *field = json_object(), *value;

	if (named)
		js_set_bytes(field, "name", header->name.ptr, header->name.len);
	js_set(field, "type", json_string(type));
	value = header->type == 'S' ? NULL : value_of(header);
	if (value != NULL)
		js_set(field, "value", value);
	else if (header->type == 'S')
		js_set_bytes(field, "value", header->value.ptr,
		    header->value.len);
	else
		js_set_base64(field, "value", header->value.ptr,
		    header->value.len);
	return field;
}

/* Nested no deeper than RMQ_TABLE_MAX_DEPTH: it was checked. */
static json_t *
fields_of(struct rmq_slice table, bool named)
{
	json_t *fields = json_array();
	struct rmq_header header;

	while ((named ? rmq_table_next(&table, &header)
		      : rmq_array_next(&table, &header)) == 1)
		js_append(fields, field_of(&header, named));
	return fields;
}

void
letter_json_set_props(json_t *object, struct rmq_slice raw)
{
	struct rmq_props props;
	json_t *values;

	if (rmq_props_parse(&props, raw) != RMQ_PROPS_OK) {
		js_set_base64(object, "properties", raw.ptr, raw.len);
		return;
	}
	values = json_object();
	for (unsigned i = 0; i < RMQ_PROP_COUNT; i++) {
		const struct rmq_slice *value = &props.value[i];

		if (!props.has[i] || i == RMQ_PROP_HEADERS)
			continue;
		if (prop_width(i) == 0)
			js_set_bytes(values, prop_names[i], value->ptr,
			    value->len);
		else if (read_bits(*value) <= INT64_MAX)
			js_set_int(values, prop_names[i],
			    (int64_t)read_bits(*value));
		else
			js_set_base64(values, prop_names[i], value->ptr,
			    value->len);
	}
	js_set(object, "properties", values);
	if (props.has[RMQ_PROP_HEADERS])
		js_set(object, "headers",
		    fields_of(props.value[RMQ_PROP_HEADERS], true));
}

void
letter_json_set_body(json_t *object, struct rmq_slice body)
{
	js_set_bytes(object, "body", body.ptr, body.len);
}

/* Says why, and that it is no message. */
static int
refuse(const char **why, const char *text)
{
	*why = text;
	return -1;
}

static bool
fits(int64_t number, char type)
{
	switch (type) {
	case 'b':
		return number >= INT8_MIN && number <= INT8_MAX;
	case 'B':
		return number >= 0 && number <= UINT8_MAX;
	case 's':
		return number >= INT16_MIN && number <= INT16_MAX;
	case 'u':
		return number >= 0 && number <= UINT16_MAX;
	case 'I':
		return number >= INT32_MIN && number <= INT32_MAX;
	case 'i':
		return number >= 0 && number <= UINT32_MAX;
	case 'T':
		return number >= 0;
	default:
		return int_width(type) == sizeof(number);
	}
}

static int read_fields(const json_t *fields, bool named, unsigned depth,
    struct buf *out, const char **why);

/* Appends a length of four bytes, and what `value` holds. */
static void
add_counted(struct buf *out, const struct buf *value)
{
	buf_add_u32(out, (uint32_t)value->len);
	buf_add(out, buf_peek(value), value->len);
}

static bool
is_counted(char type)
{
	return type == 'S' || type == 'x' || type == 'A' || type == 'F';
}

/* The bytes of a value as they were on the wire. */
static int
read_raw(const json_t *field, char type, struct buf *out, const char **why)
{
	struct buf raw = { 0 };
	int ret = js_get_bytes(field, "value", &raw);

	if (ret == -1)
		ret = refuse(why, "a header's value is not base64");
	else if (is_counted(type))
		add_counted(out, &raw);
	else
		buf_add(out, buf_peek(&raw), raw.len);
	buf_clear(&raw);
	return ret;
}

static int
read_nested(const json_t *value, char type, unsigned depth, struct buf *out,
    const char **why)
{
	struct buf nested = { 0 };
	int ret = read_fields(value, type == 'F', depth + 1, &nested, why);

	if (ret == 0)
		add_counted(out, &nested);
	buf_clear(&nested);
	return ret;
}

static int
read_value(const json_t *field, char type, unsigned depth, struct buf *out,
    const char **why)
{
	const json_t *value = json_object_get(field, "value");

	if (value == NULL || type == 'S')
		return read_raw(field, type, out, why);
	if (type == 'A' || type == 'F')
		return read_nested(value, type, depth, out, why);
	if (type == 'V' && json_is_null(value))
		return 0;
	if (type == 't' && json_is_boolean(value)) {
		buf_add_u8(out, json_is_true(value));
		return 0;
	}
	if ((type == 'f' || type == 'd') && json_is_number(value)) {
		add_real(out, type, json_number_value(value));
		return 0;
	}
	if (json_is_integer(value) && fits(json_integer_value(value), type)) {
		add_bits(out, (uint64_t)json_integer_value(value),
		    int_width(type));
		return 0;
	}
	return refuse(why, "a header's value does not fit its type");
}

static int
read_name(const json_t *field, struct buf *out, const char **why)
{
	struct buf name = { 0 };
	int ret = js_get_bytes(field, "name", &name);

	if (ret == -1 || name.len > UINT8_MAX) {
		ret = refuse(why, "a header's name is missing or too long");
	} else {
		buf_add_u8(out, (uint8_t)name.len);
		buf_add(out, buf_peek(&name), name.len);
	}
	buf_clear(&name);
	return ret;
}

static int
read_fields(const json_t *fields, bool named, unsigned depth, struct buf *out,
    const char **why)
{
	const char *type;
	json_t *field;
	size_t i;

	if (!json_is_array(fields) || depth > RMQ_TABLE_MAX_DEPTH)
		return refuse(why, "headers are no list, or nest too deep");
	json_array_foreach(fields, i, field)
	{
		type = json_string_value(json_object_get(field, "type"));
		if (type == NULL || strlen(type) != 1)
			return refuse(why, "a header has no type");
		if (named && read_name(field, out, why) == -1)
			return -1;
		buf_add_u8(out, (uint8_t)*type);
		if (read_value(field, *type, depth, out, why) == -1)
			return -1;
	}
	return 0;
}

/* A property's bytes; the headers are apart. */
static int
read_prop(const json_t *values, unsigned prop, struct buf *out,
    const char **why)
{
	const char *name = prop_names[prop];
	const json_t *value = json_object_get(values, name);
	size_t width = prop_width(prop);
	int64_t number;

	if (width > 0 && value != NULL) {
		number = json_integer_value(value);
		if (!json_is_integer(value) || number < 0 ||
		    (width == 1 && number > UINT8_MAX))
			return refuse(why, "a property is no such number");
		add_bits(out, (uint64_t)number, width);
		return 0;
	}
	if (js_get_bytes(values, name, out) == -1 ||
	    (width > 0 ? out->len != width : out->len > UINT8_MAX))
		return refuse(why, "a property is no text, or too long");
	return 0;
}

/* Every key is one of ours: nothing is lost unseen. */
static bool
are_known(const json_t *values)
{
	size_t known = 0;

	for (unsigned i = 0; i < RMQ_PROP_COUNT; i++) {
		if (i != RMQ_PROP_HEADERS &&
		    js_has_bytes(values, prop_names[i]))
			known++;
	}
	return known == json_object_size(values);
}

static int
read_all(const json_t *object, struct buf values[RMQ_PROP_COUNT],
    struct rmq_props *props, const char **why)
{
	const json_t *named = json_object_get(object, "properties");
	const json_t *headers = json_object_get(object, "headers");

	if (!json_is_object(named) || !are_known(named))
		return refuse(why,
		    "properties are missing, or one of them "
		    "has no such name");
	for (unsigned i = 0; i < RMQ_PROP_COUNT; i++) {
		if (i == RMQ_PROP_HEADERS)
			props->has[i] = headers != NULL;
		else
			props->has[i] = js_has_bytes(named, prop_names[i]);
		if (!props->has[i])
			continue;
		if (i == RMQ_PROP_HEADERS
			? read_fields(headers, true, 1, &values[i], why) == -1
			: read_prop(named, i, &values[i], why) == -1)
			return -1;
		props->value[i] =
		    (struct rmq_slice){ buf_peek(&values[i]), values[i].len };
	}
	return 0;
}

static int
read_props(const json_t *object, struct buf *out, const char **why)
{
	struct buf values[RMQ_PROP_COUNT] = { 0 };
	struct rmq_props props = { 0 };
	int ret;

	if (json_object_get(object, "properties_base64") != NULL)
		return js_get_bytes(object, "properties", out) == 0
		    ? 0
		    : refuse(why, "properties_base64 is not base64");
	ret = read_all(object, values, &props, why);
	if (ret == 0)
		rmq_props_write(out, &props);
	for (unsigned i = 0; i < RMQ_PROP_COUNT; i++)
		buf_clear(&values[i]);
	return ret;
}

int
letter_json_read(const json_t *object, struct buf *props, struct buf *body,
    const char **why)
{
	struct rmq_props parsed;
	struct rmq_slice raw;

	if (!json_is_object(object))
		return refuse(why, "it is no JSON object");
	if (read_props(object, props, why) == -1)
		return -1;
	raw = (struct rmq_slice){ buf_peek(props), props->len };
	if (json_object_get(object, "properties_base64") == NULL &&
	    rmq_props_parse(&parsed, raw) != RMQ_PROPS_OK)
		return refuse(why, "the properties do not encode");
	if (js_get_bytes(object, "body", body) == -1)
		return refuse(why, "the body is missing, or not base64");
	return 0;
}
