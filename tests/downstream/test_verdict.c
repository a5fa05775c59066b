/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Verdicts: texts made safe, answers judged, delays read. */
#include "tests/unit.h"

#include <stdio.h>

#include "downstream/builtin.h"
#include "downstream/http_verdict.h"
#include "downstream/verdict.h"

#define BYTES(s) s, sizeof(s) - 1
#define BAD_BYTE "\xef\xbf\xbd"

static void
names_outcomes(void **state)
{
	(void)state;
	assert_string_equal(verdict_outcome_name(OUTCOME_OK), "ok");
	assert_string_equal(verdict_outcome_name(OUTCOME_RETRY), "retry");
	assert_string_equal(verdict_outcome_name(OUTCOME_REJECT), "reject");
}

static void
begins_empty(void **state)
{
	struct verdict v;

	(void)state;
	memset(&v, 0xaa, sizeof(v));
	verdict_init(&v, OUTCOME_RETRY, "exec.%d", 75);
	assert_string_equal(v.class, "exec.75");
	assert_string_equal(v.error, "");
	assert_int_equal(v.delay_ms, -1);
	assert_true(v.counts);
	verdict_init(&v, OUTCOME_REJECT, "%0200d", 1);
	assert_int_equal(strlen(v.class), VERDICT_CLASS_SPACE - 1);
	assert_false(v.counts);
	verdict_init(&v, OUTCOME_OK, "noop");
	assert_true(v.counts);
}

static const struct {
	const char *bytes;
	size_t len;
	const char *error;
} errors[] = {
	{ BYTES(""), "" },
	{ BYTES("plain"), "plain" },
	{ BYTES("  a\r\n\tb \x7f c \n"), "a b c" },
	{ BYTES("nul\0here"), "nul here" },
	{ BYTES("\x1b[31mred"), "[31mred" },
	{ BYTES("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"),
	    "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
	{ BYTES("a\xff"
		"b\xc3"),
	    "a" BAD_BYTE "b" BAD_BYTE },
	{ BYTES("\xc0\xaf\xed\xa0\x80"),
	    BAD_BYTE BAD_BYTE BAD_BYTE BAD_BYTE BAD_BYTE },
};

static void
cleans_errors(void **state)
{
	struct verdict v;
	size_t i;

	(void)state;
	for (i = 0; i < array_len(errors); i++) {
		verdict_init(&v, OUTCOME_RETRY, "x");
		verdict_set_error(&v, errors[i].bytes, errors[i].len);
		assert_string_equal(v.error, errors[i].error);
	}
}

/* 4096 bytes of what takes 1 to 4 bytes, from each place on. */
static void
cuts_errors_between_characters(void **state)
{
	static const char *const characters[] = { "x", "\xc3\xa4",
		"\xe2\x82\xac", "\xf0\x9f\x98\x80" };
	static const size_t kept[] = { 512, 512, 510, 512 };
	char bytes[4096];
	struct verdict v;
	size_t i, k, len;

	(void)state;
	for (i = 0; i < array_len(characters); i++) {
		len = strlen(characters[i]);
		for (k = 0; k + len <= sizeof(bytes); k += len)
			memcpy(bytes + k, characters[i], len);
		verdict_init(&v, OUTCOME_RETRY, "x");
		verdict_set_error(&v, bytes, k);
		assert_int_equal(strlen(v.error), kept[i]);
		assert_memory_equal(v.error, bytes, kept[i]);
	}
	memset(bytes, 0xff, sizeof(bytes));
	verdict_set_error(&v, bytes, sizeof(bytes));
	assert_int_equal(strlen(v.error), 510);
}

static void
judges_statuses(void **state)
{
	static const unsigned retried[] = { 401, 403, 407, 408, 425, 429 };
	struct http_client_answer answer = { .result = HTTP_CLIENT_ANSWER };
	enum outcome expected;
	struct verdict v;
	char class[16];
	unsigned status;
	size_t i;

	(void)state;
	for (status = 0; status < 1000; status++) {
		expected = OUTCOME_RETRY;
		if (status >= 200 && status < 300)
			expected = OUTCOME_OK;
		else if (status >= 300 && status < 500)
			expected = OUTCOME_REJECT;
		for (i = 0; i < array_len(retried); i++)
			if (status == retried[i])
				expected = OUTCOME_RETRY;
		answer.status = status;
		http_verdict(&v, &answer, 0);
		assert_int_equal(v.outcome, expected);
		assert_int_equal(v.counts, expected != OUTCOME_REJECT);
		snprintf(class, sizeof(class), "http.%u", status);
		assert_string_equal(v.class, class);
	}
}

static void
judges_lack_of_an_answer(void **state)
{
	static const char *const classes[] = {
		[HTTP_CLIENT_DNS] = "http.dns",
		[HTTP_CLIENT_CONNECT] = "http.connect",
		[HTTP_CLIENT_TLS] = "http.tls",
		[HTTP_CLIENT_TIMEOUT] = "http.timeout",
		[HTTP_CLIENT_BROKEN] = "http.broken",
	};
	struct http_client_answer answer = { .error = "it\nbroke",
		.retry_after = "5" };
	struct verdict v;
	unsigned i;

	(void)state;
	for (i = HTTP_CLIENT_DNS; i <= HTTP_CLIENT_BROKEN; i++) {
		answer.result = (enum http_client_result)i;
		http_verdict(&v, &answer, 0);
		assert_int_equal(v.outcome, OUTCOME_RETRY);
		assert_true(v.counts);
		assert_string_equal(v.class, classes[i]);
		assert_string_equal(v.error, "it broke");
		assert_int_equal(v.delay_ms, -1);
	}
}

#define YEAR_MS (365 * 86400000LL)
/* Sun, 06 Nov 1994 08:49:37 GMT, the date of the RFC. */
#define DATE_MS 784111777000

static const struct {
	const char *value;
	int64_t wall_ms;
	int64_t delay_ms;
} delays[] = {
	{ "120", DATE_MS, 120000 },
	{ " 120 ", DATE_MS, 120000 },
	{ "0", DATE_MS, -1 },
	{ "-5", DATE_MS, -1 },
	{ "1.5", DATE_MS, -1 },
	{ "", DATE_MS, -1 },
	{ "soon", DATE_MS, -1 },
	{ "31536001", DATE_MS, YEAR_MS },
	{ "99999999999999999999999999", DATE_MS, YEAR_MS },
	{ "00000000000000000000000007", DATE_MS, 7000 },
	{ "Sun, 06 Nov 1994 08:49:37 GMT", DATE_MS - 10000, 10000 },
	{ "Sun, 06 Nov 1994 08:49:37 GMT", DATE_MS - 9001, 10000 },
	{ "Sunday, 06-Nov-94 08:49:37 GMT", DATE_MS - 10000, 10000 },
	{ "Sun Nov  6 08:49:37 1994", DATE_MS - 10000, 10000 },
	{ "Sun, 06 Nov 1994 08:49:37 GMT", DATE_MS, -1 },
	{ "Sun, 06 Nov 1994 08:49:37 GMT", DATE_MS + 5000, -1 },
	{ "Sun, 06 Nov 2094 08:49:37 GMT", DATE_MS, YEAR_MS },
};

static void
reads_retry_after(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < array_len(delays); i++)
		assert_int_equal(http_verdict_retry_after_ms(delays[i].value,
				     delays[i].wall_ms),
		    delays[i].delay_ms);
}

/* A rule of the configuration may have a reject tried again: not before. */
static void
a_reject_may_ask_for_a_delay(void **state)
{
	struct http_client_answer answer = { .result = HTTP_CLIENT_ANSWER,
		.retry_after = "5" };
	static const struct {
		unsigned status;
		int64_t delay_ms;
	} rows[] = { { 503, 5000 }, { 409, 5000 }, { 200, -1 } };
	struct verdict v;

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		answer.status = rows[i].status;
		http_verdict(&v, &answer, 0);
		assert_int_equal(v.delay_ms, rows[i].delay_ms);
	}
}

static void
built_in_rules_leave_nothing_open(void **state)
{
	static const struct {
		enum conf_kind kind;
		const char *all;
	} kinds[] = { { CONF_KIND_HTTP, "http" }, { CONF_KIND_NOOP, "noop" } };

	(void)state;
	for (size_t i = 0; i < array_len(kinds); i++) {
		struct builtin_rules rules = builtin_rules(kinds[i].kind);

		assert_true(rules.count > 0);
		assert_string_equal(rules.items[rules.count - 1].class,
		    kinds[i].all);
	}
	assert_int_equal(builtin_outcome(CONF_KIND_HTTP, "http.4040"),
	    OUTCOME_RETRY);
	assert_int_equal(builtin_outcome(CONF_KIND_HTTP, "http.4x"),
	    OUTCOME_RETRY);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_outcomes),
		cmocka_unit_test(begins_empty),
		cmocka_unit_test(cleans_errors),
		cmocka_unit_test(cuts_errors_between_characters),
		cmocka_unit_test(judges_statuses),
		cmocka_unit_test(judges_lack_of_an_answer),
		cmocka_unit_test(reads_retry_after),
		cmocka_unit_test(a_reject_may_ask_for_a_delay),
		cmocka_unit_test(built_in_rules_leave_nothing_open),
	};

	return cmocka_run_group_tests_name("verdict", tests, NULL, NULL);
}
