/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "lib/js.h"

#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/text.h"

/* Keys with a second form are ours, and short. */
#define KEY_SPACE 64

void
js_set(json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, value) == -1)
		abort();
}

void
js_append(json_t *list, json_t *value)
{
	if (json_array_append_new(list, value) == -1)
		abort();
}

void
js_clean(struct buf *out, const void *bytes, size_t len)
{
	const char *text = bytes;
	size_t at = 0, run;

	for (; at < len; at += run + 1) {
		run = strnlen(text + at, len - at);
		text_utf8_clean(out, text + at, run);
		if (at + run < len)
			buf_add_str(out, "\xef\xbf\xbd");
	}
}

void
js_set_clean(json_t *object, const char *key, const void *bytes, size_t len)
{
	struct buf valid = { 0 };

	js_clean(&valid, bytes, len);
	js_set(object, key, json_string(buf_str(&valid)));
	buf_clear(&valid);
}

void
js_set_text(json_t *object, const char *key, const char *text)
{
	if (text != NULL)
		js_set_clean(object, key, text, strlen(text));
}

void
js_set_int(json_t *object, const char *key, int64_t value)
{
	js_set(object, key, json_integer(value));
}

void
js_set_bool(json_t *object, const char *key, bool value)
{
	js_set(object, key, json_boolean(value));
}

void
js_set_time(json_t *object, const char *key, int64_t wall_ms)
{
	char text[TEXT_ISO8601_SPACE];

	if (wall_ms != 0)
		js_set(object, key, json_string(text_iso8601(text, wall_ms)));
}

static const char *
base64_key(char out[KEY_SPACE], const char *key)
{
	int len = snprintf(out, KEY_SPACE, "%s_base64", key);

	if (len < 0 || len >= KEY_SPACE)
		abort();
	return out;
}

static json_t *
base64_value(const void *bytes, size_t len)
{
	struct buf text = { 0 };
	json_t *value;
	uint8_t *room;
	int n;

	if (len > INT_MAX / 2)
		abort();
	room = buf_reserve(&text, len / 3 * 4 + 5);
	n = EVP_EncodeBlock(room, bytes, (int)len);
	value = json_stringn((const char *)room, (size_t)n);
	buf_clear(&text);
	return value;
}

void
js_set_base64(json_t *object, const char *key, const void *bytes, size_t len)
{
	char other[KEY_SPACE];

	js_set(object, base64_key(other, key), base64_value(bytes, len));
}

void
js_set_bytes(json_t *object, const char *key, const void *bytes, size_t len)
{
	if (len == 0)
		js_set(object, key, json_string(""));
	else if (text_utf8_valid(bytes, len) && memchr(bytes, 0, len) == NULL)
		js_set(object, key, json_stringn(bytes, len));
	else
		js_set_base64(object, key, bytes, len);
}

bool
js_has_bytes(const json_t *object, const char *key)
{
	char other[KEY_SPACE];

	return json_object_get(object, key) != NULL ||
	    json_object_get(object, base64_key(other, key)) != NULL;
}

static int
decode(const char *text, size_t len, struct buf *out)
{
	uint8_t *room;
	size_t pad = 0;
	int n;

	if (len == 0)
		return 0;
	if (len % 4 != 0 || len > INT_MAX)
		return -1;
	while (pad < 2 && text[len - 1 - pad] == '=')
		pad++;
	room = buf_reserve(out, len / 4 * 3);
	n = EVP_DecodeBlock(room, (const uint8_t *)text, (int)len);
	if (n < 0 || (size_t)n < pad)
		return -1;
	buf_claim(out, (size_t)n - pad);
	return 0;
}

int
js_get_bytes(const json_t *object, const char *key, struct buf *out)
{
	const json_t *value = json_object_get(object, key);
	char other[KEY_SPACE];

	if (json_is_string(value)) {
		buf_add(out, json_string_value(value),
		    json_string_length(value));
		return 0;
	}
	value = json_object_get(object, base64_key(other, key));
	if (!json_is_string(value))
		return -1;
	return decode(json_string_value(value), json_string_length(value), out);
}

static int
add_bytes(const char *bytes, size_t len, void *arg)
{
	buf_add(arg, bytes, len);
	return 0;
}

void
js_write(struct buf *out, const json_t *value)
{
	if (json_dump_callback(value, add_bytes, out,
		JSON_COMPACT | JSON_ENCODE_ANY) == -1)
		abort();
}
