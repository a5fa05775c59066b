/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/filter_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/conf_scalar.h"
#include "dlx/envelope.h"
#include "lib/js.h"
#include "lib/xalloc.h"

/* Keys, header names and glob go onto the wire as short strings. */
#define SHORT_MAX 255

struct reader {
	struct filter_json *out;
	const char *key;
	const json_t *value;
	size_t texts; /* used so far */
	char *problem;
	size_t space;
};

static int
wrong(const struct reader *r, const char *what)
{
	(void)snprintf(r->problem, r->space, "filter.%s: %s", r->key, what);
	return -1;
}

static const char *
check_reason(const char *text)
{
	return envelope_reason_parse(text, strlen(text)) == ENVELOPE_REASON_NONE
	    ? "no such reason"
	    : NULL;
}

static const char *
check_text(const char *text)
{
	return *text == '\0' ? "an empty text matches nothing" : NULL;
}

/* A list of texts, or one. */
static int
read_texts(struct reader *r, struct conf_texts *out,
    const char *(*check)(const char *))
{
	size_t count = json_is_array(r->value) ? json_array_size(r->value) : 1;
	const char **to = r->out->texts + r->texts;

	if (count == 0)
		return wrong(r, "an empty list matches nothing");
	for (size_t i = 0; i < count; i++) {
		const json_t *item = json_is_array(r->value)
		    ? json_array_get(r->value, i)
		    : r->value;

		if (!json_is_string(item))
			return wrong(r, "a text or a list of texts is needed");
		to[i] = json_string_value(item);
		if (check(to[i]) != NULL)
			return wrong(r, check(to[i]));
	}
	r->texts += count;
	*out = (struct conf_texts){ to, count };
	return 0;
}

static int
read_text(struct reader *r, const char **out)
{
	*out = json_string_value(r->value);
	if (*out == NULL || **out == '\0' || strlen(*out) > SHORT_MAX)
		return wrong(r, "a text of 1 to 255 bytes is needed");
	return 0;
}

static int
read_age(struct reader *r, int64_t *out_ms)
{
	const char *text = json_string_value(r->value);

	if (text == NULL || conf_scalar_duration(text, out_ms) == -1 ||
	    *out_ms <= 0)
		return wrong(r,
		    "a duration is needed, such as 90s, 10m, 24h or 7d");
	return 0;
}

static int
read_headers(struct reader *r, struct conf_filter *filter)
{
	json_t *object = json_object_get(r->out->json, r->key), *value;
	const char *name;

	if (!json_is_object(object) || json_object_size(object) == 0)
		return wrong(r, "an object of names and values is needed");
	r->out->headers =
	    xcalloc(json_object_size(object), sizeof(struct conf_match));
	filter->headers = r->out->headers;
	json_object_foreach(object, name, value)
	{
		if (!json_is_string(value))
			return wrong(r, "values are texts");
		r->out->headers[filter->header_count++] =
		    (struct conf_match){ name, json_string_value(value) };
	}
	return 0;
}

static int
read_above(struct reader *r, struct conf_filter *filter)
{
	json_int_t n = json_integer_value(r->value);

	if (!json_is_integer(r->value) || n < 0 || n > INT32_MAX)
		return wrong(r, "a whole number is needed");
	filter->has_redrives_above = true;
	filter->redrives_above = (uint32_t)n;
	return 0;
}

static int
read_key(struct reader *r)
{
	struct conf_filter *filter = &r->out->filter;

	if (strcmp(r->key, "reason") == 0)
		return read_texts(r, &filter->reasons, check_reason);
	if (strcmp(r->key, "class") == 0)
		return read_texts(r, &filter->classes, check_text);
	if (strcmp(r->key, "id") == 0)
		return read_texts(r, &filter->ids, check_text);
	if (strcmp(r->key, "error") == 0)
		return read_text(r, &filter->error);
	if (strcmp(r->key, "routing_key") == 0)
		return read_text(r, &filter->routing_key);
	if (strcmp(r->key, "older_than") == 0)
		return read_age(r, &filter->older_than_ms);
	if (strcmp(r->key, "newer_than") == 0)
		return read_age(r, &filter->newer_than_ms);
	if (strcmp(r->key, "header") == 0)
		return read_headers(r, filter);
	if (strcmp(r->key, "redrives_above") == 0)
		return read_above(r, filter);
	return wrong(r, "no such filter");
}

int
filter_json_read(struct filter_json *out, json_t *json, char *problem,
    size_t space)
{
	struct reader r = { .out = out, .problem = problem, .space = space };
	size_t texts = 0;
	json_t *value;
	const char *key;

	memset(out, 0, sizeof(*out));
	if (json == NULL)
		return 0;
	out->json = json_incref(json);
	if (!json_is_object(json)) {
		(void)snprintf(problem, space, "filter: an object is needed");
		return -1;
	}
	json_object_foreach(json, key, value) texts +=
	    json_array_size(value) + 1;
	out->texts = xcalloc(texts + 1, sizeof(char *));
	json_object_foreach(json, key, value)
	{
		r.key = key;
		r.value = value;
		if (read_key(&r) == -1)
			return -1;
	}
	return 0;
}

void
filter_json_clear(struct filter_json *f)
{
	json_decref(f->json);
	free(f->texts);
	free(f->headers);
	memset(f, 0, sizeof(*f));
}

static void
add_texts(json_t *object, const char *key, const struct conf_texts *texts)
{
	json_t *list;

	if (texts->count == 0)
		return;
	list = json_array();
	for (size_t i = 0; i < texts->count; i++)
		js_append(list, json_string(texts->items[i]));
	js_set(object, key, list);
}

static void
add_text(json_t *object, const char *key, const char *text)
{
	if (text != NULL && *text != '\0')
		js_set_text(object, key, text);
}

static void
add_age(json_t *object, const char *key, int64_t ms)
{
	char text[CONF_SCALAR_SPACE];

	if (ms != 0)
		add_text(object, key, conf_scalar_show_duration(text, ms));
}

json_t *
filter_json_of(const struct conf_filter *filter)
{
	json_t *object = json_object(), *headers;

	add_texts(object, "reason", &filter->reasons);
	add_texts(object, "class", &filter->classes);
	add_text(object, "error", filter->error);
	add_texts(object, "id", &filter->ids);
	add_age(object, "older_than", filter->older_than_ms);
	add_age(object, "newer_than", filter->newer_than_ms);
	add_text(object, "routing_key", filter->routing_key);
	if (filter->header_count > 0) {
		headers = json_object();
		for (size_t i = 0; i < filter->header_count; i++)
			js_set_text(headers, filter->headers[i].header,
			    filter->headers[i].value);
		js_set(object, "header", headers);
	}
	if (filter->has_redrives_above)
		js_set_int(object, "redrives_above", filter->redrives_above);
	return object;
}
