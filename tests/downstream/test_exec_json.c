/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The lines of the stream protocol, there and back. */
#include "tests/unit.h"

#include <jansson.h>
#include <math.h>

#include "downstream/exec_json.h"
#include "lib/compiler.h"
#include "tests/downstream/fields.h"

#define TEXT(s) \
	{ \
		s, sizeof(s) - 1 \
	}
#define DAY_MS INT64_C(86400000)

static const struct attempt an_attempt = {
	.pipeline = TEXT("orders"),
	.queue = TEXT("orders.q"),
	.id = TEXT("id-1"),
	.number = 3,
	.redrives = 1,
	.exchange = TEXT("shop"),
	.routing_key = TEXT("order.new"),
	.content_type = TEXT("application/json"),
	.body_bytes = 7,
};

static void
check_request(const struct attempt *attempt, const char *line)
{
	struct buf out = { 0 };
	json_t *object;

	exec_json_request(attempt, &out);
	if (line != NULL)
		assert_string_equal(buf_str(&out), line);
	/* One line, and JSON, whatever is in it. */
	assert_ptr_equal(memchr(buf_peek(&out), '\n', out.len),
	    buf_peek(&out) + out.len - 1);
	object = json_loadb((char *)buf_peek(&out), out.len,
	    JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	assert_non_null(object);
	json_decref(object);
	buf_clear(&out);
}

static void
tells_what_it_is_about(void **state)
{
	(void)state;
	check_request(&an_attempt,
	    "{\"id\":\"id-1\",\"pipeline\":\"orders\",\"attempt\":3,"
	    "\"redrives\":1,\"routing_key\":\"order.new\","
	    "\"exchange\":\"shop\",\"content_type\":\"application/json\","
	    "\"headers\":{},\"length\":7}\n");
}

static void
tells_headers(void **state)
{
	struct attempt attempt = an_attempt;
	const struct attempt_field headers[] = {
		{ TEXT("tenant"), ATTEMPT_FIELD_TEXT,
		    .value.text = TEXT("caf\xc3\xa9 \"\n") },
		{ TEXT("low"), ATTEMPT_FIELD_INT, .value.number = INT64_MIN },
		{ TEXT("then"), ATTEMPT_FIELD_TIME, .value.number = 1 },
		{ TEXT("bytes"), ATTEMPT_FIELD_BYTES, .value.text = TEXT("x") },
		{ TEXT("half"), ATTEMPT_FIELD_FLOAT, .value.real = 0.5 },
		{ TEXT("none"), ATTEMPT_FIELD_DOUBLE,
		    .value.real = (double)NAN },
		{ TEXT("yes"), ATTEMPT_FIELD_BOOL, .value.truth = true },
		{ TEXT("tenant"), ATTEMPT_FIELD_INT, .value.number = 2 },
		{ TEXT(""), ATTEMPT_FIELD_TEXT, .value.text = TEXT("") },
	};

	(void)state;
	attempt.fields = fields_of(headers, array_len(headers));
	check_request(&attempt,
	    "{\"id\":\"id-1\",\"pipeline\":\"orders\",\"attempt\":3,"
	    "\"redrives\":1,\"routing_key\":\"order.new\","
	    "\"exchange\":\"shop\",\"content_type\":\"application/json\","
	    "\"headers\":{\"tenant\":\"caf\xc3\xa9 \\\"\\n\","
	    "\"low\":-9223372036854775808,\"then\":1,\"half\":0.5,\"none\":"
	    "null,"
	    "\"yes\":true,\"\":\"\"},\"length\":7}\n");
}

/* Bytes of any kind, a NUL among them, in a name too. */
static void
is_json_whatever_comes(void **state)
{
	static char bytes[256];
	const struct attempt_field header = { { bytes, sizeof(bytes) },
		ATTEMPT_FIELD_TEXT, .value.text = { bytes, sizeof(bytes) } };
	struct attempt attempt = an_attempt;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)i;
	attempt.routing_key = header.name;
	attempt.exchange = header.name;
	attempt.content_type = header.name;
	attempt.id = header.name;
	attempt.fields = fields_of(&header, 1);
	check_request(&attempt, NULL);
}

/* Our UTF-8 is jansson's: every character, and what looks like one. */
static void
takes_every_character(void **state)
{
	struct attempt attempt = an_attempt;
	struct buf text = { 0 };
	uint32_t c;

	(void)state;
	for (c = 0; c < 0x200000; c++) {
		if (c >= 0x10000)
			buf_add_u8(&text, (uint8_t)(0xf0 | c >> 18));
		buf_add_u8(&text,
		    (uint8_t)(c >= 0x10000 ? 0x80 | (c >> 12 & 0x3f)
					   : 0xe0 | c >> 12));
		buf_add_u8(&text, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
		buf_add_u8(&text, (uint8_t)(0x80 | (c & 0x3f)));
	}
	attempt.routing_key.ptr = (const char *)buf_peek(&text);
	attempt.routing_key.len = text.len;
	check_request(&attempt, NULL);
	buf_clear(&text);
}

/* Ids that differ in bytes that are no text stay different. */
static void
keeps_ids_apart(void **state)
{
	struct attempt attempt = an_attempt;
	struct buf one = { 0 }, other = { 0 };

	(void)state;
	attempt.id = (struct attempt_text)TEXT("a\xff%");
	exec_json_request(&attempt, &one);
	assert_non_null(strstr(buf_str(&one), "{\"id\":\"a%FF%25\","));
	attempt.id = (struct attempt_text)TEXT("a\xfe%");
	exec_json_request(&attempt, &other);
	assert_string_not_equal(buf_str(&one), buf_str(&other));
	buf_clear(&one);
	buf_clear(&other);
}

static const struct {
	const char *line;
	enum outcome outcome;
	const char *class, *error;
	int64_t delay_ms;
} answers[] = {
	{ "{\"outcome\":\"ok\"}", OUTCOME_OK, "exec.ok", "", -1 },
	{ " { \"outcome\" : \"retry\" } \r", OUTCOME_RETRY, "exec.retry", "",
	    -1 },
	{ "{\"outcome\":\"reject\",\"more\":[{}]}", OUTCOME_REJECT,
	    "exec.reject", "", -1 },
	{ "{\"outcome\":\"reject\",\"class\":\"order.decaf\","
	  "\"error\":\"no\\ndecaf\\u0000here\",\"delay_ms\":5}",
	    OUTCOME_REJECT, "order.decaf", "no decaf here", -1 },
	{ "{\"outcome\":\"retry\",\"class\":null,\"error\":null,"
	  "\"delay_ms\":null,\"id\":null}",
	    OUTCOME_RETRY, "exec.retry", "", -1 },
	{ "{\"outcome\":\"ok\",\"error\":\"none\",\"delay_ms\":5}", OUTCOME_OK,
	    "exec.ok", "", -1 },
	{ "{\"outcome\":\"retry\",\"delay_ms\":1500}", OUTCOME_RETRY,
	    "exec.retry", "", 1500 },
	{ "{\"outcome\":\"retry\",\"delay_ms\":0.5}", OUTCOME_RETRY,
	    "exec.retry", "", 1 },
	{ "{\"outcome\":\"retry\",\"delay_ms\":0}", OUTCOME_RETRY, "exec.retry",
	    "", -1 },
	{ "{\"outcome\":\"retry\",\"delay_ms\":9223372036854775807}",
	    OUTCOME_RETRY, "exec.retry", "", 365 * DAY_MS },
	{ "{\"outcome\":\"retry\",\"delay_ms\":1e300}", OUTCOME_RETRY,
	    "exec.retry", "", 365 * DAY_MS },
	{ "{\"outcome\":\"ok\",\"id\":\"id-1\"}", OUTCOME_OK, "exec.ok", "",
	    -1 },
	/* A class is cleaned, and bounded. */
	{ "{\"outcome\":\"retry\",\"class\":\"a;b c\\u0000\xc3\xa9/\"}",
	    OUTCOME_RETRY, "a_b_c____", "", -1 },
	{ "{\"outcome\":\"retry\",\"class\":\"\"}", OUTCOME_RETRY, "exec.retry",
	    "", -1 },
	{ "{\"outcome\":\"retry\",\"class\":"
	  "\"0123456789012345678901234567890123456789"
	  "0123456789012345678901234567890123456789\"}",
	    OUTCOME_RETRY,
	    "0123456789012345678901234567890123456789"
	    "01234567890123456789012",
	    "", -1 },
	/* Latin-1 in a text is no reason to do it again. */
	{ "{\"outcome\":\"reject\",\"error\":\"caf\xe9\"}", OUTCOME_REJECT,
	    "exec.reject", "caf\xef\xbf\xbd", -1 },
};

static void
reads_answers(void **state)
{
	struct verdict v;
	size_t i;

	(void)state;
	for (i = 0; i < array_len(answers); i++) {
		assert_true(exec_json_answer(answers[i].line,
		    strlen(answers[i].line), &an_attempt, &v));
		assert_int_equal(v.outcome, answers[i].outcome);
		assert_int_equal(v.counts,
		    answers[i].outcome != OUTCOME_REJECT);
		assert_string_equal(v.class, answers[i].class);
		assert_string_equal(v.error, answers[i].error);
		assert_int_equal(v.delay_ms, answers[i].delay_ms);
	}
}

static void
refuses_what_is_no_answer(void **state)
{
	static const char *const lines[] = {
		"",
		"ok",
		"null",
		"\"ok\"",
		"[]",
		"[\"outcome\",\"ok\"]",
		"{}",
		"{\"outcome\":null}",
		"{\"outcome\":1}",
		"{\"outcome\":true}",
		"{\"outcome\":\"OK\"}",
		"{\"outcome\":\"ok\\u0000\"}x",
		"{\"outcome\":\"\"}",
		"{\"Outcome\":\"ok\"}",
		"{\"outcome\":\"ok\"",
		"{\"outcome\":\"ok\"}}",
		"{\"outcome\":\"ok\"}{\"outcome\":\"ok\"}",
		"{\"outcome\":\"retry\",\"outcome\":\"ok\"}",
		"{\"outcome\":\"ok\",\"class\":1}",
		"{\"outcome\":\"ok\",\"class\":{}}",
		"{\"outcome\":\"ok\",\"error\":[]}",
		"{\"outcome\":\"retry\",\"delay_ms\":-1}",
		"{\"outcome\":\"retry\",\"delay_ms\":-0.5e9}",
		"{\"outcome\":\"retry\",\"delay_ms\":\"5\"}",
		"{\"outcome\":\"retry\",\"delay_ms\":true}",
		"{\"outcome\":\"retry\",\"delay_ms\":NaN}",
		"{\"outcome\":\"retry\",\"delay_ms\":1e999}",
		"{\"outcome\":\"retry\",\"delay_ms\":9223372036854775808}",
		"{\"outcome\":\"ok\",\"id\":\"id-2\"}",
		"{\"outcome\":\"ok\",\"id\":\"id-\"}",
		"{\"outcome\":\"ok\",\"id\":1}",
	};
	char deep[4096];
	struct verdict v;
	size_t i;

	(void)state;
	for (i = 0; i < array_len(lines); i++) {
		assert_false(exec_json_answer(lines[i], strlen(lines[i]),
		    &an_attempt, &v));
		assert_int_equal(v.outcome, OUTCOME_RETRY);
		assert_true(v.counts);
		assert_string_equal(v.class, "exec.protocol");
		assert_true(v.error[0] != '\0');
		assert_int_equal(v.delay_ms, -1);
	}
	memset(deep, '[', sizeof(deep));
	assert_false(exec_json_answer(deep, sizeof(deep), &an_attempt, &v));
	/* A whole name with a NUL behind it is another name. */
	assert_false(exec_json_answer("{\"outcome\":\"ok\\u0000\"}", 22,
	    &an_attempt, &v));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_what_it_is_about),
		cmocka_unit_test(tells_headers),
		cmocka_unit_test(is_json_whatever_comes),
		cmocka_unit_test(takes_every_character),
		cmocka_unit_test(keeps_ids_apart),
		cmocka_unit_test(reads_answers),
		cmocka_unit_test(refuses_what_is_no_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
