/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/news.h"

#include <jansson.h>
#include <string.h>

#include "amqp/props.h"
#include "config/conf.h"

/* The newest meaning of the fields that we know. */
#define VERSION 1

/* A text of at most `space` - 1 bytes without a NUL; false: there is none. */
static bool
take_text(const json_t *event, const char *key, char *out, size_t space)
{
	const json_t *value = json_object_get(event, key);
	size_t len = json_string_length(value);

	if (!json_is_string(value) || len >= space ||
	    strlen(json_string_value(value)) != len)
		return false;
	memcpy(out, json_string_value(value), len + 1);
	return true;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
take_hex(struct news *news, const char *hex, size_t len)
{
	if (len == 0 || len % 2 != 0 || len / 2 > NEWS_ID_MAX)
		return false;
	for (size_t i = 0; i < len; i += 2) {
		int high = hex_digit(hex[i]), low = hex_digit(hex[i + 1]);

		if (high < 0 || low < 0)
			return false;
		news->id[i / 2] = (uint8_t)(high * 16 + low);
	}
	news->id_len = len / 2;
	return true;
}

/* Ids are bytes: what is no UTF-8 comes as hex too. */
static bool
take_id(struct news *news, const json_t *event)
{
	const json_t *id = json_object_get(event, "id");
	const json_t *hex = json_object_get(event, "id_hex");

	if (json_is_string(hex))
		return take_hex(news, json_string_value(hex),
		    json_string_length(hex));
	if (!json_is_string(id) || json_string_length(id) == 0 ||
	    json_string_length(id) > NEWS_ID_MAX)
		return false;
	news->id_len = json_string_length(id);
	memcpy(news->id, json_string_value(id), news->id_len);
	return true;
}

static bool
take_outcome(struct news *news, const json_t *event)
{
	char outcome[8];

	if (!take_text(event, "outcome", outcome, sizeof(outcome)) ||
	    !take_text(event, "pipeline", news->pipeline,
		sizeof(news->pipeline)) ||
	    !take_text(event, "job", news->job, sizeof(news->job)) ||
	    !take_id(news, event))
		return false;
	news->good = strcmp(outcome, "ok") == 0;
	news->refused = strcmp(outcome, "reject") == 0;
	return news->good || news->refused || strcmp(outcome, "retry") == 0;
}

static bool
take_breaker(struct news *news, const json_t *event)
{
	static const enum breaker_state states[] = { BREAKER_CLOSED,
		BREAKER_HALF_OPEN, BREAKER_OPEN };
	char state[16];

	if (!take_text(event, "state", state, sizeof(state)) ||
	    !take_text(event, "downstream", news->downstream,
		sizeof(news->downstream)) ||
	    !take_text(event, "instance", news->instance,
		sizeof(news->instance)))
		return false;
	for (size_t i = 0; i < array_len(states); i++) {
		if (strcmp(state, breaker_state_name(states[i])) == 0) {
			news->state = states[i];
			return true;
		}
	}
	return false;
}

static bool
is_trusted(const struct rmq_props *props, const struct conf_texts *trusted)
{
	struct rmq_slice user = props->value[RMQ_PROP_USER_ID];

	for (size_t i = 0; i < trusted->count; i++) {
		if (props->has[RMQ_PROP_USER_ID] && user.len > 0 &&
		    user.len == strlen(trusted->items[i]) &&
		    memcmp(user.ptr, trusted->items[i], user.len) == 0)
			return true;
	}
	return false;
}

static int64_t
timestamp_ms(const struct rmq_props *props)
{
	struct rmq_slice raw = props->value[RMQ_PROP_TIMESTAMP];
	uint64_t seconds = 0;

	for (size_t i = 0; i < raw.len; i++)
		seconds = seconds << 8 | raw.ptr[i];
	return seconds < INT64_MAX / 1000 ? (int64_t)seconds * 1000 : 0;
}

static const char *
read_event(struct news *news, const json_t *event)
{
	char kind[16];

	if (json_integer_value(json_object_get(event, "version")) != VERSION ||
	    !take_text(event, "event", kind, sizeof(kind)))
		return "not one of our events";
	if (strcmp(kind, "outcome") == 0 && take_outcome(news, event))
		news->kind = NEWS_OUTCOME;
	else if (strcmp(kind, "breaker") == 0 && take_breaker(news, event))
		news->kind = NEWS_BREAKER;
	else if (strcmp(kind, "outcome") == 0 || strcmp(kind, "breaker") == 0)
		return "a field is missing or wrong";
	return NULL;
}

const char *
news_read(struct news *news, const struct rmq_message *message,
    const struct conf_texts *trusted)
{
	struct rmq_props props;
	const char *why;
	json_t *event;

	memset(news, 0, sizeof(*news));
	if (rmq_props_parse(&props, message->props) != RMQ_PROPS_OK)
		return "its properties do not decode";
	if (!is_trusted(&props, trusted))
		return "its user is none of ours";
	news->at_ms = timestamp_ms(&props);
	event = json_loadb((const char *)message->body.ptr, message->body.len,
	    JSON_ALLOW_NUL, NULL);
	if (event == NULL)
		return "no JSON";
	why = read_event(news, event);
	json_decref(event);
	return why;
}
