/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "ctl/options.h"

#include <string.h>

#include "config/conf_scalar.h"
#include "ctl/verbs.h"
#include "lib/js.h"
#include "lib/text.h"

#define FLAG(member) \
	static const char *take_##member(void *arg, const char *value) \
	{ \
		(void)value; \
		((struct verb_call *)arg)->member = true; \
		return NULL; \
	}

FLAG(json)
FLAG(dry_run)
FLAG(force)
FLAG(wait)
FLAG(all)
FLAG(body)

static const char *
take_count(int64_t *out, const char *value, int64_t least)
{
	if (text_parse_int(value, least, INT32_MAX, out) == -1)
		return least > 0 ? "a whole number above 0 is needed"
				 : "a whole number is needed";
	return NULL;
}

static const char *
take_rate(void *arg, const char *value)
{
	return take_count(&((struct verb_call *)arg)->rate, value, 1);
}

static const char *
take_max(void *arg, const char *value)
{
	return take_count(&((struct verb_call *)arg)->max, value, 1);
}

static const char *
take_canary(void *arg, const char *value)
{
	return take_count(&((struct verb_call *)arg)->canary, value, 0);
}

static const char *
take_limit(void *arg, const char *value)
{
	return take_count(&((struct verb_call *)arg)->limit, value, 1);
}

static const char *
take_since(void *arg, const char *value)
{
	int64_t *since_ms = &((struct verb_call *)arg)->since_ms;

	if (conf_scalar_duration(value, since_ms) == 0 && *since_ms > 0)
		return NULL;
	return "a duration is needed, such as 90s, 10m, 24h or 7d";
}

/* The filter, begun with its first option. */
static json_t *
filter_of(void *arg)
{
	struct verb_call *call = arg;

	if (call->filter == NULL)
		call->filter = json_object();
	return call->filter;
}

/* One of several that any may match. */
static const char *
add_item(void *arg, const char *key, const char *value)
{
	json_t *filter = filter_of(arg), *list = json_object_get(filter, key);

	if (*value == '\0' || !text_utf8_valid(value, strlen(value)))
		return "a value in UTF-8 is needed";
	if (list == NULL) {
		list = json_array();
		js_set(filter, key, list);
	}
	js_append(list, json_string(value));
	return NULL;
}

static const char *
take_reason(void *arg, const char *value)
{
	return add_item(arg, "reason", value);
}

static const char *
take_class(void *arg, const char *value)
{
	return add_item(arg, "class", value);
}

static const char *
take_id(void *arg, const char *value)
{
	return add_item(arg, "id", value);
}

static const char *
set_text(void *arg, const char *key, const char *value)
{
	if (*value == '\0' || !text_utf8_valid(value, strlen(value)))
		return "a value in UTF-8 is needed";
	js_set_text(filter_of(arg), key, value);
	return NULL;
}

static const char *
take_error(void *arg, const char *value)
{
	return set_text(arg, "error", value);
}

static const char *
take_routing_key(void *arg, const char *value)
{
	return set_text(arg, "routing_key", value);
}

static const char *
set_age(void *arg, const char *key, const char *value)
{
	int64_t age_ms;

	if (conf_scalar_duration(value, &age_ms) == -1 || age_ms <= 0)
		return "a duration is needed, such as 90s, 10m, 24h or 7d";
	return set_text(arg, key, value);
}

static const char *
take_older_than(void *arg, const char *value)
{
	return set_age(arg, "older_than", value);
}

static const char *
take_newer_than(void *arg, const char *value)
{
	return set_age(arg, "newer_than", value);
}

static const char *
take_header(void *arg, const char *value)
{
	json_t *filter = filter_of(arg);
	json_t *headers = json_object_get(filter, "header");
	const char *equals = strchr(value, '=');

	if (equals == NULL || equals == value ||
	    !text_utf8_valid(value, strlen(value)))
		return "NAME=VALUE is needed";
	if (headers == NULL) {
		headers = json_object();
		js_set(filter, "header", headers);
	}
	if (json_object_setn_new(headers, value, (size_t)(equals - value),
		json_string(equals + 1)) == -1)
		return "NAME=VALUE is needed";
	return NULL;
}

static const char *
take_redrives_above(void *arg, const char *value)
{
	int64_t n;
	const char *why = take_count(&n, value, 0);

	if (why == NULL)
		js_set_int(filter_of(arg), "redrives_above", n);
	return why;
}

static const char *
take_queue(void *arg, const char *queue)
{
	struct verb_call *call = arg;

	if (call->queue != NULL)
		return "one of --parked and --archive, once, is enough";
	call->queue = queue;
	return NULL;
}

static const char *
take_parked(void *arg, const char *value)
{
	(void)value;
	return take_queue(arg, "parked");
}

static const char *
take_archive(void *arg, const char *value)
{
	(void)value;
	return take_queue(arg, "archive");
}

#define JSON \
	{ \
		"json", 0, NULL, "one JSON object instead of text", take_json \
	}
#define FILTERS \
	{ "reason", 0, "R", "why it is dead (repeat for more)", take_reason }, \
	    { "class", 0, "C", \
		    "what failed: http.503, or http (repeat for more)", \
		    take_class }, \
	    { "error", 0, "TEXT", "text in the error", take_error }, \
	    { "id", 0, "ID", "this message (repeat for more)", take_id }, \
	    { "older-than", 0, "AGE", "dead for longer: 90s, 10m, 24h, 7d", \
		    take_older_than }, \
	    { "newer-than", 0, "AGE", "dead for less", take_newer_than }, \
	    { "routing-key", 0, "GLOB", "first routing key; * and ?", \
		    take_routing_key }, \
	    { "header", 0, "K=V", "carries this header (repeat for more)", \
		    take_header }, \
	{ \
		"redrives-above", 0, "N", "redriven more often than that", \
		    take_redrives_above \
	}
#define QUEUES \
	{ "parked", 0, NULL, "those that are parked instead", take_parked }, \
	{ \
		"archive", 0, NULL, "those in the archive instead", \
		    take_archive \
	}
#define MOVES \
	{ "all", 0, NULL, "every letter: instead of a filter", take_all }, \
	    { "max", 0, "N", "at most so many", take_max }, \
	    { "rate", 0, "N", "at most so many a second", take_rate }, \
	    { "dry-run", 0, NULL, "say what would be done, move nothing", \
		    take_dry_run }, \
	    { "wait", 0, NULL, "show the progress until it has ended", \
		    take_wait }, \
	    JSON

static const struct cli_option json[] = { JSON };
static const struct cli_option declare[] = {
	{ "dry-run", 0, NULL, "change nothing: as plan", take_dry_run },
	JSON,
};
static const struct cli_option letter[] = { FILTERS, JSON };
static const struct cli_option look[] = { FILTERS, QUEUES, JSON };
static const struct cli_option peek[] = {
	FILTERS,
	QUEUES,
	{ "limit", 0, "N", "at most so many (default: 20)", take_limit },
	{ "body", 0, NULL, "show bodies too", take_body },
	JSON,
};
static const struct cli_option move[] = { FILTERS, MOVES };
static const struct cli_option redrive[] = {
	FILTERS,
	{ "canary", 0, "N", "prove the downstream with N first; 0: do not",
	    take_canary },
	{ "force", 0, NULL,
	    "also when it is not healthy, or the queue may drop", take_force },
	MOVES,
};
static const struct cli_option audit[] = {
	{ "since", 0, "AGE", "only what is younger: 90s, 10m, 24h, 7d",
	    take_since },
	JSON,
};

#define OPTIONS(name) \
	const struct options options_##name = { name, array_len(name) }

OPTIONS(json);
OPTIONS(declare);
OPTIONS(letter);
OPTIONS(look);
OPTIONS(peek);
OPTIONS(move);
OPTIONS(redrive);
OPTIONS(audit);
