/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/board_wire.h"

#include <stdlib.h>
#include <string.h>

/* Copies a text of 1 to space - 1 bytes; false: it is not one. */
static bool
take_text(const json_t *object, const char *name, char *out, size_t space)
{
	const json_t *value = json_object_get(object, name);
	size_t len = json_string_length(value);

	if (len == 0 || len >= space)
		return false;
	memcpy(out, json_string_value(value), len + 1);
	return true;
}

static bool
take_count(const json_t *object, const char *name, uint64_t *out)
{
	const json_t *value = json_object_get(object, name);

	if (!json_is_integer(value) || json_integer_value(value) <= 0)
		return false;
	*out = (uint64_t)json_integer_value(value);
	return true;
}

/* Keys are ours: they go into logs and further. */
static bool
key_is_plain(const char *key)
{
	return strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789/_-") ==
	    strlen(key);
}

static bool
read_state(struct board_wire *wire)
{
	const json_t *ended = json_object_get(wire->body, "ended_at");

	wire->data = json_object_get(wire->body, "data");
	wire->ended_ms = json_integer_value(ended);
	return take_text(wire->body, "key", wire->key, sizeof(wire->key)) &&
	    key_is_plain(wire->key) &&
	    take_count(wire->body, "epoch", &wire->stamp.epoch) &&
	    take_count(wire->body, "version", &wire->stamp.version) &&
	    json_is_integer(ended) && wire->ended_ms >= 0 &&
	    json_is_object(wire->data);
}

static enum board_wire_kind
kind_of(struct board_wire *wire, const char *name)
{
	if (!take_text(wire->body, "writer", wire->stamp.writer,
		sizeof(wire->stamp.writer)))
		return BOARD_WIRE_JUNK;
	if (strcmp(name, "hello") == 0)
		return BOARD_WIRE_HELLO;
	if (strcmp(name, "marker") == 0)
		return BOARD_WIRE_MARKER;
	if (strcmp(name, "state") == 0 && read_state(wire))
		return BOARD_WIRE_STATE;
	return BOARD_WIRE_JUNK;
}

void
board_wire_read(struct board_wire *wire, const struct board_delivery *delivery)
{
	const json_t *kind, *version;

	memset(wire, 0, sizeof(*wire));
	wire->why = "too long";
	if (delivery->len > BOARD_MESSAGE_BYTES)
		return;
	wire->why = "not a JSON object";
	wire->body = json_loadb(delivery->body, delivery->len,
	    JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(wire->body))
		return;
	kind = json_object_get(wire->body, "kind");
	if (kind == NULL) {
		wire->kind = BOARD_WIRE_REQUEST;
		return;
	}
	wire->why = "from a user who is not trusted";
	if (!delivery->trusted)
		return;
	wire->why = "not as we write it";
	version = json_object_get(wire->body, "v");
	if (!json_is_string(kind) || !json_is_integer(version))
		return;
	wire->kind = json_integer_value(version) > BOARD_WIRE_VERSION
	    ? BOARD_WIRE_NEWER
	    : kind_of(wire, json_string_value(kind));
}

void
board_wire_clear(struct board_wire *wire)
{
	json_decref(wire->body);
	wire->body = NULL;
}

int
board_stamp_compare(const struct board_stamp *a, const struct board_stamp *b)
{
	if (a->epoch != b->epoch)
		return a->epoch < b->epoch ? -1 : 1;
	if (a->version != b->version)
		return a->version < b->version ? -1 : 1;
	return strcmp(a->writer, b->writer);
}

/* Takes the object. */
static char *
dump(json_t *object)
{
	char *text = json_dumps(object, JSON_COMPACT);

	json_decref(object);
	/* Only memory or bytes that are not UTF-8 could be missing. */
	if (text == NULL)
		abort();
	return text;
}

char *
board_wire_sign(const char *kind, const char *writer)
{
	return dump(json_pack("{s:i, s:s, s:s}", "v", BOARD_WIRE_VERSION,
	    "kind", kind, "writer", writer));
}

char *
board_wire_state(const char *key, const struct board_stamp *stamp,
    int64_t ended_ms, json_t *data)
{
	return dump(json_pack("{s:i, s:s, s:s, s:I, s:I, s:s, s:I, s:O}", "v",
	    BOARD_WIRE_VERSION, "kind", "state", "key", key, "epoch",
	    (json_int_t)stamp->epoch, "version", (json_int_t)stamp->version,
	    "writer", stamp->writer, "ended_at", (json_int_t)ended_ms, "data",
	    data));
}
