/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The header lines of a request, and what may be in them. */
#include "tests/unit.h"

#include "config/conf.h"
#include "downstream/http_headers.h"
#include "downstream/trace.h"

#define TEXT(s) \
	{ \
		s, sizeof(s) - 1 \
	}
#define TRACE_ID "0af7651916cd43dd8448eb211c80319c"
#define PARENT	 "00-" TRACE_ID "-b7ad6b7169203331-01"

static const struct {
	struct attempt_text text;
	bool valid;
} parents[] = {
	{ TEXT(PARENT), true },
	{ TEXT("cc-" TRACE_ID "-b7ad6b7169203331-01"), true },
	{ TEXT("cc-" TRACE_ID "-b7ad6b7169203331-01-more"), true },
	{ TEXT("cc-" TRACE_ID "-b7ad6b7169203331-01more"), false },
	{ TEXT("cc-" TRACE_ID "-b7ad6b7169203331-01-\r\n"), false },
	{ TEXT(PARENT "-more"), false },
	{ TEXT("ff-" TRACE_ID "-b7ad6b7169203331-01"), false },
	{ TEXT("ff-" TRACE_ID "-b7ad6b7169203331-01-x"), false },
	{ TEXT("00-" TRACE_ID "-0000000000000000-01"), false },
	{ TEXT("00-00000000000000000000000000000000-b7ad6b7169203331-01"),
	    false },
	{ TEXT("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"),
	    false },
	{ TEXT("00-" TRACE_ID "-b7ad6b7169203331-0g"), false },
	{ TEXT("00-" TRACE_ID "-b7ad6b7169203331-0"), false },
	{ TEXT("00_" TRACE_ID "-b7ad6b7169203331-01"), false },
	{ TEXT(""), false },
	{ { NULL, 0 }, false },
};

static const struct {
	struct attempt_text text;
	bool valid;
} states[] = {
	{ TEXT("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"), true },
	{ TEXT("a=%41"), true },
	{ TEXT("=x"), false },
	{ TEXT("nothing"), false },
	{ TEXT("a=b\r\nEvil: 1"), false },
	{ TEXT("a=\xc3\xa4"), false },
	{ TEXT(""), false },
	{ { NULL, 0 }, false },
};

static void
knows_traces(void **state)
{
	char longest[513];
	struct attempt_text text = { longest, 512 };
	size_t i;

	(void)state;
	for (i = 0; i < array_len(parents); i++)
		assert_int_equal(trace_parent_valid(&parents[i].text),
		    parents[i].valid);
	for (i = 0; i < array_len(states); i++)
		assert_int_equal(trace_state_valid(&states[i].text),
		    states[i].valid);
	memset(longest, '=', sizeof(longest));
	longest[0] = 'a';
	assert_true(trace_state_valid(&text));
	text.len++;
	assert_false(trace_state_valid(&text));
}

static const struct attempt plain = {
	.pipeline = TEXT("orders"),
	.id = TEXT("1"),
	.number = 1,
	.routing_key = TEXT("k"),
};

#define CONTENT "Content-Type:|"
#define REST \
	"Idempotency-Key: 1|Dlo-Id: 1|Dlo-Pipeline: orders|Dlo-Attempt: 1|" \
	"Dlo-Redrives: 0|Dlo-Routing-Key: k|"

/* The lines, each with a | after it. */
static void
check(const struct conf_headers *conf, const struct attempt *attempt,
    const char *expected)
{
	struct http_headers headers;
	struct buf lines = { 0 };
	uint8_t *bytes;
	size_t i;

	http_headers_init(&headers, conf);
	http_headers_write(&headers, attempt, &lines);
	bytes = buf_peek(&lines);
	for (i = 0; i < lines.len; i++)
		if (bytes[i] == '\0')
			bytes[i] = '|';
	assert_string_equal(buf_str(&lines), expected);
	buf_clear(&lines);
	http_headers_clear(&headers);
}

static void
tells_of_the_attempt(void **state)
{
	const struct conf_headers none = { NULL, 0 };
	struct attempt a = plain;

	(void)state;
	check(&none, &a, "Expect:|" CONTENT REST);
	a.content_type = (struct attempt_text)TEXT("text/plain");
	a.content_encoding = (struct attempt_text)TEXT("gzip");
	a.exchange = (struct attempt_text)TEXT("shop");
	a.traceparent = (struct attempt_text)TEXT(PARENT);
	a.tracestate = (struct attempt_text)TEXT("a=%41");
	check(&none, &a,
	    "Expect:|Content-Type: text/plain|Content-Encoding: gzip|" REST
	    "Dlo-Exchange: shop|traceparent: " PARENT "|tracestate: a=%41|");
	a.traceparent.len--;
	check(&none, &a,
	    "Expect:|Content-Type: text/plain|Content-Encoding: gzip|" REST
	    "Dlo-Exchange: shop|");
}

static const struct {
	struct attempt_text id;
	const char *value;
} ids[] = {
	{ TEXT("a b"), "a b" },
	{ TEXT("a%"), "a%25" },
	{ TEXT(" a  "), "%20a%20%20" },
	{ TEXT("  "), "%20%20" },
	{ TEXT("\r\nEvil: 1"), "%0D%0AEvil: 1" },
	{ TEXT("\0\x7f\xc3\xa4"), "%00%7F%C3%A4" },
	{ TEXT("\t"), "%09" },
};

static void
escapes_values(void **state)
{
	const struct conf_headers none = { NULL, 0 };
	struct attempt a = plain;
	struct buf expected = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < array_len(ids); i++) {
		a.id = ids[i].id;
		buf_reset(&expected);
		buf_printf(&expected,
		    "Expect:|" CONTENT "Idempotency-Key: %s|Dlo-Id: %s|"
		    "Dlo-Pipeline: orders|Dlo-Attempt: 1|Dlo-Redrives: 0|"
		    "Dlo-Routing-Key: k|",
		    ids[i].value, ids[i].value);
		check(&none, &a, buf_str(&expected));
	}
	buf_clear(&expected);
}

static void
prefers_the_configured(void **state)
{
	static const struct conf_header items[] = {
		{ "X-Key", "100%", NULL },
		{ "X-Empty", "", NULL },
		{ "X-Blank", "  ", NULL },
		{ "X-Secret", NULL, "/run/secret" },
		{ "content-type", "application/xml", NULL },
		{ "Content-Encoding", "br", NULL },
		{ "Traceparent", "mine", NULL },
	};
	const struct conf_headers conf = { items, array_len(items) };
	struct attempt a = plain;

	(void)state;
	a.content_type = (struct attempt_text)TEXT("text/plain");
	a.content_encoding = (struct attempt_text)TEXT("gzip");
	a.traceparent = (struct attempt_text)TEXT(PARENT);
	a.tracestate = (struct attempt_text)TEXT("a=b");
	check(&conf, &a,
	    "Expect:|X-Key: 100%|X-Empty;|X-Blank;|"
	    "content-type: application/xml|Content-Encoding: br|"
	    "Traceparent: mine|" REST);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_traces),
		cmocka_unit_test(tells_of_the_attempt),
		cmocka_unit_test(escapes_values),
		cmocka_unit_test(prefers_the_configured),
	};

	return cmocka_run_group_tests_name("http_headers", tests, NULL, NULL);
}
