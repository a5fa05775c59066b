/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The header lines of a request, and what may be in them. */
#include "tests/unit.h"

#include <stdio.h>

#include "config/conf.h"
#include "downstream/http_carry.h"
#include "downstream/http_headers.h"
#include "downstream/trace.h"
#include "lib/log.h"
#include "tests/downstream/fields.h"

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
check(const struct conf_http *conf, const struct attempt *attempt,
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
	const struct conf_http none = { 0 };
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
	const struct conf_http none = { 0 };
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
	const struct conf_http conf = {
		.headers = { items, array_len(items) },
	};
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

#define PLAIN	"Expect:|" CONTENT REST
#define MANY_X	4096
#define LONG_ID "x-long: "

static void
forwards_what_is_named(void **state)
{
	static const char *const names[] = { "x-a", "x-b" };
	static const struct attempt_field headers[] = {
		FIELD(TEXT("x-b"), TEXT("\xc3\xa4 %\0\r\n")),
		FIELD(TEXT("X-A"), TEXT("another")),
		FIELD(TEXT("x-a"), { "", 0 }),
		FIELD(TEXT("cloudEvents:id"), TEXT("1")),
	};
	const struct conf_http conf = { .forward_headers = { names, 2 } };
	struct attempt a = plain;

	(void)state;
	a.fields = fields_of(headers, array_len(headers));
	check(&conf, &a, PLAIN "x-b: %C3%A4 %25%00%0D%0A|x-a;|");
}

/* Never cut: half of a value is another value. */
static void
leaves_out_what_is_too_long(void **state)
{
	static const char *const names[] = { "x-long", "x-a" };
	static char text[MANY_X];
	const size_t most = MANY_X - strlen(LONG_ID) - 1; /* a NUL ends it */
	struct attempt_field headers[] = {
		FIELD(TEXT("x-long"), { text, most }),
		FIELD(TEXT("x-a"), TEXT("b")),
	};
	const struct conf_http conf = { .forward_headers = { names, 2 } };
	struct buf expected = { 0 };
	struct attempt a = plain;

	(void)state;
	memset(text, 'x', sizeof(text));
	a.fields = fields_of(headers, array_len(headers));
	buf_printf(&expected, PLAIN LONG_ID "%.*s|x-a: b|", (int)most, text);
	check(&conf, &a, buf_str(&expected));
	headers[0].value.text.len++;
	check(&conf, &a, PLAIN "x-a: b|");
	/* What counts is what is sent. */
	headers[0].value.text.len = most / 2;
	memset(text, '%', sizeof(text));
	check(&conf, &a, PLAIN "x-a: b|");
	buf_clear(&expected);
}

static void
bounds_all_of_them(void **state)
{
	static const char *const names[] = { "x-0", "x-1", "x-2", "x-3" };
	static char text[4000];
	const struct conf_http conf = { .forward_headers = { names, 4 } };
	struct attempt_field headers[4];
	struct buf expected = { 0 };
	struct attempt a = plain;
	size_t i;

	(void)state;
	memset(text, 'x', sizeof(text));
	buf_add_str(&expected, PLAIN);
	for (i = 0; i < array_len(headers); i++) {
		headers[i] = (struct attempt_field){
			.name = { names[i], 3 },
			.type = ATTEMPT_FIELD_TEXT,
			.value.text = { text, i == 3 ? 10 : sizeof(text) },
		};
		/* Two fit, the third does not, the fourth is small. */
		if (i != 2)
			buf_printf(&expected, "%s: %.*s|", names[i],
			    (int)headers[i].value.text.len, text);
	}
	a.fields = fields_of(headers, array_len(headers));
	check(&conf, &a, buf_str(&expected));
	buf_clear(&expected);
}

static const struct conf_http events = { .format = CONF_FORMAT_CLOUDEVENTS };

static void
carries_events(void **state)
{
	struct attempt_field headers[] = {
		FIELD(TEXT("cloudEvents:specversion"), TEXT("1.0")),
		FIELD(TEXT("cloudEvents:id"), TEXT("a \"b\" %\xc3\xa4")),
		FIELD(TEXT("cloudEvents_source"), TEXT("/shop")),
		FIELD(TEXT("cloudEvents:source"), TEXT("/second")),
		FIELD(TEXT("cloudEvents:type"), TEXT("t\r\nEvil: 1")),
		FIELD(TEXT("cloudEvents:raw"), TEXT("\xff%")),
		FIELD(TEXT("cloudEvents:datacontenttype"), TEXT("text/plain")),
		FIELD(TEXT("cloudEvents:Upper"), TEXT("x")),
		FIELD(TEXT("cloudEvents:a: b"), TEXT("x")),
		FIELD(TEXT("cloudEvents:"), TEXT("x")),
		FIELD(TEXT("cloudEvents:none"), { "", 0 }),
		FIELD(TEXT("other"), TEXT("x")),
	};
	struct attempt a = plain;

	(void)state;
	a.type = (struct attempt_text)TEXT("unused");
	a.fields = fields_of(headers, array_len(headers));
	check(&events, &a,
	    PLAIN "ce-specversion: 1.0|ce-id: a%20%22b%22%20%25%C3%A4|"
		  "ce-source: /shop|ce-type: t%0D%0AEvil:%201|"
		  "ce-raw: %25FF%2525|");
	/* One of the four missing: no event. */
	headers[0].value.text.len = 0;
	check(&events, &a,
	    PLAIN "ce-specversion: 1.0|ce-id: 1|ce-source: /dlo/orders|"
		  "ce-type: unused|ce-subject: k|");
	/* A whole event in the body. */
	a.content_type =
	    (struct attempt_text)TEXT("Application/CloudEvents+json; x=y");
	check(&events, &a,
	    "Expect:|Content-Type: Application/CloudEvents+json; x=y|" REST);
	headers[0].value.text.len = 3;
	check(&events, &a,
	    "Expect:|Content-Type: Application/CloudEvents+json; x=y|" REST);
}

/* What begins as an attribute and is none takes no room from those. */
static void
takes_no_junk_for_attributes(void **state)
{
	static const struct attempt_field event[] = {
		FIELD(TEXT("cloudEvents:id"), TEXT("1")),
		FIELD(TEXT("cloudEvents_source"), TEXT("s")),
		FIELD(TEXT("cloudEvents:specversion"), TEXT("1.0")),
		FIELD(TEXT("cloudEvents:type"), TEXT("t")),
	};
	struct attempt_field headers[HTTP_CARRY_MAX + array_len(event)];
	char names[HTTP_CARRY_MAX][32];
	struct attempt a = plain;
	int len;

	(void)state;
	for (size_t i = 0; i < HTTP_CARRY_MAX; i++) {
		len =
		    snprintf(names[i], sizeof(names[i]), "cloudEvents-n%zu", i);
		headers[i] = (struct attempt_field){
			.name = { names[i], (size_t)len },
			.type = ATTEMPT_FIELD_TEXT,
			.value.text = TEXT("no"),
		};
	}
	memcpy(headers + HTTP_CARRY_MAX, event, sizeof(event));
	a.fields = fields_of(headers, array_len(headers));
	check(&events, &a,
	    PLAIN "ce-id: 1|ce-source: s|ce-specversion: 1.0|ce-type: t|");
}

static void
makes_events(void **state)
{
	struct attempt a = plain;

	(void)state;
	check(&events, &a,
	    PLAIN "ce-specversion: 1.0|ce-id: 1|ce-source: /dlo/orders|"
		  "ce-type: dlo.message|ce-subject: k|");
	a.exchange = (struct attempt_text)TEXT("a/\0b");
	a.routing_key = (struct attempt_text)TEXT("");
	a.type = (struct attempt_text)TEXT("order.new");
	a.timestamp_s = 1700000000;
	check(&events, &a,
	    "Expect:|" CONTENT
	    "Idempotency-Key: 1|Dlo-Id: 1|Dlo-Pipeline: orders|Dlo-Attempt: 1|"
	    "Dlo-Redrives: 0|Dlo-Exchange: a/%00b|"
	    "ce-specversion: 1.0|ce-id: 1|ce-source: /dlo/orders/a%252F%2500b|"
	    "ce-type: order.new|ce-time: 2023-11-14T22:13:20.000Z|");
	a.timestamp_s = INT64_MAX;
	a.exchange.len = 0;
	check(&events, &a,
	    "Expect:|" CONTENT
	    "Idempotency-Key: 1|Dlo-Id: 1|Dlo-Pipeline: orders|Dlo-Attempt: 1|"
	    "Dlo-Redrives: 0|"
	    "ce-specversion: 1.0|ce-id: 1|ce-source: /dlo/orders|"
	    "ce-type: order.new|");
}

static int
setup(void **state)
{
	(void)state;
	log_open(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_traces),
		cmocka_unit_test(tells_of_the_attempt),
		cmocka_unit_test(escapes_values),
		cmocka_unit_test(prefers_the_configured),
		cmocka_unit_test(forwards_what_is_named),
		cmocka_unit_test(leaves_out_what_is_too_long),
		cmocka_unit_test(bounds_all_of_them),
		cmocka_unit_test(carries_events),
		cmocka_unit_test(takes_no_junk_for_attributes),
		cmocka_unit_test(makes_events),
	};

	return cmocka_run_group_tests_name("http_headers", tests, setup, NULL);
}
