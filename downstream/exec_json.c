/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/exec_json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/js.h"
#include "lib/text.h"

/* What a worker can ask for; the pipeline's cap is below it anyway. */
#define DELAY_MAX_MS (365 * INT64_C(86400000))

static json_t *
clean_string(const struct attempt_text *text, struct buf *scratch)
{
	buf_reset(scratch);
	text_utf8_clean(scratch, text->ptr, text->len);
	return json_stringn(buf_str(scratch), scratch->len);
}

/* NULL: JSON has none. */
static json_t *
header_value(const struct attempt_field *header, struct buf *scratch)
{
	switch (header->type) {
	case ATTEMPT_FIELD_TEXT:
		return clean_string(&header->value.text, scratch);
	case ATTEMPT_FIELD_BYTES:
		return NULL;
	case ATTEMPT_FIELD_INT:
	case ATTEMPT_FIELD_TIME:
		return json_integer(header->value.number);
	case ATTEMPT_FIELD_FLOAT:
	case ATTEMPT_FIELD_DOUBLE:
		/* JSON has none that is not finite. */
		return isfinite(header->value.real)
		    ? json_real(header->value.real)
		    : json_null();
	case ATTEMPT_FIELD_BOOL:
		return json_boolean(header->value.truth);
	}
	abort();
}

/* Of two headers with one name, the first. */
static json_t *
headers_of(const struct attempt *attempt, struct buf *scratch)
{
	struct attempt_text rest = attempt->fields.table;
	struct attempt_field header;
	struct buf name = { 0 };
	json_t *object = json_object(), *value;

	while (attempt->fields.next != NULL &&
	    attempt->fields.next(&rest, &header)) {
		value = header_value(&header, scratch);
		if (value == NULL)
			continue;
		/* Many a reader of JSON takes no NUL in a name. */
		buf_reset(&name);
		js_clean(&name, header.name.ptr, header.name.len);
		if (json_object_get(object, buf_str(&name)) != NULL)
			json_decref(value);
		else
			js_set(object, buf_str(&name), value);
	}
	buf_clear(&name);
	return object;
}

void
exec_json_request(const struct attempt *attempt, struct buf *out)
{
	struct buf scratch = { 0 };
	json_t *line = json_object();

	text_percent(&scratch, attempt->id.ptr, attempt->id.len);
	js_set(line, "id", json_stringn(buf_str(&scratch), scratch.len));
	js_set(line, "pipeline", clean_string(&attempt->pipeline, &scratch));
	js_set_int(line, "attempt", attempt->number);
	js_set_int(line, "redrives", attempt->redrives);
	js_set(line, "routing_key",
	    clean_string(&attempt->routing_key, &scratch));
	js_set(line, "exchange", clean_string(&attempt->exchange, &scratch));
	js_set(line, "content_type",
	    clean_string(&attempt->content_type, &scratch));
	js_set(line, "headers", headers_of(attempt, &scratch));
	js_set_int(line, "length", (int64_t)attempt->body_bytes);
	js_write(out, line);
	buf_add_u8(out, '\n');
	json_decref(line);
	buf_clear(&scratch);
}

static bool
refuse(struct verdict *v, const char *why)
{
	verdict_init(v, OUTCOME_RETRY, "exec.protocol");
	verdict_set_text(v, why);
	return false;
}

static int
outcome_of(const json_t *value, enum outcome *outcome)
{
	static const enum outcome all[] = { OUTCOME_OK, OUTCOME_RETRY,
		OUTCOME_REJECT };
	const char *name = json_string_value(value);
	size_t i;

	if (name == NULL || strlen(name) != json_string_length(value))
		return -1;
	for (i = 0; i < array_len(all); i++)
		if (strcmp(name, verdict_outcome_name(all[i])) == 0) {
			*outcome = all[i];
			return 0;
		}
	return -1;
}

/* Absent, or null, which is what some languages write then. */
static bool
is_absent(const json_t *value)
{
	return value == NULL || json_is_null(value);
}

/* Whether it is none, or a number of milliseconds that can be waited. */
static bool
read_delay(const json_t *value, int64_t *delay_ms)
{
	double ms;

	*delay_ms = -1;
	if (is_absent(value))
		return true;
	if (!json_is_number(value))
		return false;
	ms = json_number_value(value);
	if (ms < 0)
		return false;
	if (ms >= (double)DELAY_MAX_MS)
		*delay_ms = DELAY_MAX_MS;
	else if (ms > 0) /* 0 asks for nothing, as a Retry-After of 0 */
		*delay_ms = (int64_t)ms + ((double)(int64_t)ms < ms);
	return true;
}

/* An answer may name the message that it is about. */
static bool
is_about(const json_t *value, const struct attempt *attempt)
{
	struct buf id = { 0 };
	bool same;

	if (is_absent(value))
		return true;
	text_percent(&id, attempt->id.ptr, attempt->id.len);
	same = json_is_string(value) && json_string_length(value) == id.len &&
	    memcmp(json_string_value(value), buf_str(&id), id.len) == 0;
	buf_clear(&id);
	return same;
}

static bool
read_answer(const json_t *answer, const struct attempt *attempt,
    struct verdict *v)
{
	const json_t *class = json_object_get(answer, "class");
	const json_t *error = json_object_get(answer, "error");
	enum outcome outcome;
	int64_t delay_ms;

	if (!json_is_object(answer))
		return refuse(v, "the answer is no JSON object");
	if (outcome_of(json_object_get(answer, "outcome"), &outcome) == -1)
		return refuse(v, "outcome is not ok, retry or reject");
	if (!is_absent(class) && !json_is_string(class))
		return refuse(v, "class is no text");
	if (!is_absent(error) && !json_is_string(error))
		return refuse(v, "error is no text");
	if (!read_delay(json_object_get(answer, "delay_ms"), &delay_ms))
		return refuse(v, "delay_ms is no number from 0");
	if (!is_about(json_object_get(answer, "id"), attempt))
		return refuse(v, "the answer is about another id");
	verdict_init(v, outcome, "exec.%s", verdict_outcome_name(outcome));
	if (!is_absent(class))
		verdict_set_class(v, json_string_value(class),
		    json_string_length(class));
	if (outcome != OUTCOME_OK && !is_absent(error))
		verdict_set_error(v, json_string_value(error),
		    json_string_length(error));
	if (outcome == OUTCOME_RETRY)
		v->delay_ms = delay_ms;
	return true;
}

bool
exec_json_answer(const void *line, size_t len, const struct attempt *attempt,
    struct verdict *v)
{
	struct buf clean = { 0 };
	json_error_t error;
	json_t *answer;
	bool good;

	/* An error text in another encoding is no reason to do it again. */
	text_utf8_clean(&clean, line, len);
	answer = json_loadb(buf_str(&clean), clean.len,
	    JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	good = answer != NULL ? read_answer(answer, attempt, v)
			      : refuse(v, error.text);
	json_decref(answer);
	buf_clear(&clean);
	return good;
}
