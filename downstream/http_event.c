/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The HTTP binding decodes values once, and refuses what then is not UTF-8.
 * A value that is not is percent-encoded before it is encoded as a header:
 * everybody can read it, and no two values become one.
 */
#include "downstream/http_event.h"

#include <string.h>
#include <strings.h>

#include "downstream/http_line.h"
#include "lib/compiler.h"
#include "lib/text.h"

#define ALNUM "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
/* What stands for itself in the path of a URI. */
#define UNRESERVED ALNUM "-._~"
/* The binding says at most 20; some take longer ones. */
#define NAME_MAX_BYTES 64
/* The end of the year 9999, the last that RFC 3339 can write. */
#define TIMESTAMP_MAX_S INT64_C(253402300799)

static const char media_type[] = "application/cloudevents";

static struct attempt_text
text_of(const char *string)
{
	return (struct attempt_text){ string, strlen(string) };
}

static bool
begins(const struct attempt_text *text, const char *with)
{
	return text->len >= strlen(with) &&
	    memcmp(text->ptr, with, strlen(with)) == 0;
}

/* The name of the attribute that a header stands for; empty: for none. */
static struct attempt_text
name_of(const struct attempt_text *header)
{
	static const char *const prefixes[] = { "cloudEvents:",
		"cloudEvents_" };
	struct attempt_text name = { NULL, 0 };
	size_t i;

	for (i = 0; i < array_len(prefixes); i++)
		if (begins(header, prefixes[i])) {
			name = *header;
			name.ptr += strlen(prefixes[i]);
			name.len -= strlen(prefixes[i]);
		}
	if (name.len > NAME_MAX_BYTES)
		name.len = 0;
	for (i = 0; i < name.len; i++)
		if ((name.ptr[i] < 'a' || name.ptr[i] > 'z') &&
		    (name.ptr[i] < '0' || name.ptr[i] > '9'))
			name.len = 0;
	return name;
}

bool
http_event_is_attribute(const struct attempt_text *header)
{
	return name_of(header).len > 0;
}

static bool
is_same(const struct attempt_text *a, const struct attempt_text *b)
{
	return a->len == b->len && memcmp(a->ptr, b->ptr, a->len) == 0;
}

/* Whether the attribute is there, with a value. */
static bool
has(const struct http_carry *carry, const char *attribute)
{
	const struct attempt_text wanted = text_of(attribute);
	struct attempt_text name;
	size_t i;

	for (i = 0; i < carry->count; i++) {
		name = name_of(&carry->items[i].name);
		if (is_same(&name, &wanted))
			return carry->items[i].value.len > 0;
	}
	return false;
}

/* Whether the body is a whole event. */
static bool
is_structured(const struct attempt *attempt)
{
	const struct attempt_text *type = &attempt->content_type;

	return type->len >= strlen(media_type) &&
	    strncasecmp(type->ptr, media_type, strlen(media_type)) == 0;
}

bool
http_event_carried(const struct attempt *attempt,
    const struct http_carry *carry)
{
	return !is_structured(attempt) && has(carry, "id") &&
	    has(carry, "source") && has(carry, "specversion") &&
	    has(carry, "type");
}

static void
add_percent(struct buf *lines, const char *percent, uint8_t byte)
{
	static const char hex[] = "0123456789ABCDEF";

	buf_add_str(lines, percent);
	buf_add_u8(lines, (uint8_t)hex[byte >> 4]);
	buf_add_u8(lines, (uint8_t)hex[byte & 15]);
}

static void
add_line(struct buf *lines, const struct attempt_text *name,
    const struct attempt_text *value)
{
	const uint8_t *p = (const uint8_t *)value->ptr;
	bool text = text_utf8_valid(p, value->len);
	size_t i;

	buf_add_str(lines, "ce-");
	buf_add(lines, name->ptr, name->len);
	buf_add_str(lines, ": ");
	for (i = 0; i < value->len; i++) {
		if (p[i] == ' ' || p[i] == '"')
			add_percent(lines, "%", p[i]);
		else if (p[i] < 0x20 || p[i] > 0x7e || p[i] == '%')
			add_percent(lines, text ? "%" : "%25", p[i]);
		else
			buf_add_u8(lines, p[i]);
	}
	http_line_end(lines);
}

void
http_event_attribute(const struct http_carry *carry, size_t item,
    struct buf *lines)
{
	struct attempt_text name = name_of(&carry->items[item].name), other;
	const struct attempt_text type = text_of("datacontenttype");
	size_t i;

	/* The content type is its own header in both bindings. */
	if (name.len == 0 || carry->items[item].value.len == 0 ||
	    is_same(&name, &type))
		return;
	for (i = 0; i < item; i++) {
		other = name_of(&carry->items[i].name);
		if (is_same(&name, &other))
			return;
	}
	add_line(lines, &name, &carry->items[item].value);
}

/* `/dlo/PIPELINE/EXCHANGE`, whose percent signs are encoded once more. */
static void
add_source(const struct attempt *attempt, struct buf *lines)
{
	const struct attempt_text *exchange = &attempt->exchange;
	size_t i;

	buf_add_str(lines, "ce-source: /dlo/");
	text_percent(lines, attempt->pipeline.ptr, attempt->pipeline.len);
	if (exchange->len > 0)
		buf_add_str(lines, "/");
	for (i = 0; i < exchange->len; i++) {
		if (exchange->ptr[i] != '\0' &&
		    strchr(UNRESERVED, exchange->ptr[i]) != NULL)
			buf_add_u8(lines, (uint8_t)exchange->ptr[i]);
		else
			add_percent(lines, "%25", (uint8_t)exchange->ptr[i]);
	}
	http_line_end(lines);
}

static void
add_made(struct buf *lines, const char *name, const struct attempt_text *value)
{
	const struct attempt_text text = text_of(name);

	if (value->len > 0)
		add_line(lines, &text, value);
}

void
http_event_make(const struct attempt *attempt, struct buf *lines)
{
	const struct attempt_text version = text_of("1.0");
	struct attempt_text type = attempt->type, time;
	char iso[TEXT_ISO8601_SPACE];

	if (is_structured(attempt))
		return;
	if (type.len == 0)
		type = text_of("dlo.message");
	add_made(lines, "specversion", &version);
	add_made(lines, "id", &attempt->id);
	add_source(attempt, lines);
	add_made(lines, "type", &type);
	add_made(lines, "subject", &attempt->routing_key);
	if (attempt->timestamp_s <= 0 || attempt->timestamp_s > TIMESTAMP_MAX_S)
		return;
	time = text_of(text_iso8601(iso, attempt->timestamp_s * 1000));
	add_made(lines, "time", &time);
}
