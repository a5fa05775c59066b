/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/unit.h"

#include "lib/text.h"

static void
parses_addresses(void **state)
{
	static const struct {
		const char *text;
		int default_port;
		const char *host; /* NULL: refused */
		unsigned port;
	} cases[] = {
		{ "127.0.0.1:8671", -1, "127.0.0.1", 8671 },
		{ "localhost:0", -1, "localhost", 0 },
		{ "a-b_c.example:65535", -1, "a-b_c.example", 65535 },
		{ "[::1]:80", -1, "::1", 80 },
		{ "[fe80::1%eth0]:80", -1, "fe80::1%eth0", 80 },
		{ "[::1]", 5672, "::1", 5672 },
		{ "rabbit", 5672, "rabbit", 5672 },
		{ "rabbit:1", 5672, "rabbit", 1 },
		{ "rabbit", -1, NULL, 0 },
		{ "[::1]", -1, NULL, 0 },
		{ "", 1, NULL, 0 },
		{ ":80", -1, NULL, 0 },
		{ "[]:80", -1, NULL, 0 },
		{ "[::1", 80, NULL, 0 },
		{ "[::1]80", 80, NULL, 0 },
		{ "[127.0.0.1]:80", -1, NULL, 0 },
		{ "::1", 80, NULL, 0 },
		{ "::1:80", 80, NULL, 0 },
		{ "a:65536", 80, NULL, 0 },
		{ "a:-1", 80, NULL, 0 },
		{ "a:", 80, NULL, 0 },
		{ "a: 80", 80, NULL, 0 },
		{ "a:80x", 80, NULL, 0 },
		{ "a b:80", 80, NULL, 0 },
		{ "a/b:80", 80, NULL, 0 },
		{ "a\n:80", 80, NULL, 0 },
	};
	struct text_address address;
	char text[400];
	size_t i;
	int rc;

	(void)state;
	for (i = 0; i < array_len(cases); i++) {
		rc = text_parse_address(cases[i].text, cases[i].default_port,
		    &address);
		assert_int_equal(rc, cases[i].host == NULL ? -1 : 0);
		if (cases[i].host == NULL)
			continue;
		assert_string_equal(address.host, cases[i].host);
		assert_int_equal(address.port, cases[i].port);
	}
	memset(text, 'a', sizeof(text));
	memcpy(text + TEXT_HOST_SPACE, ":80", 4);
	assert_int_equal(text_parse_address(text, 80, &address), -1);
	memcpy(text + TEXT_HOST_SPACE - 1, ":80", 4);
	assert_int_equal(text_parse_address(text, 80, &address), 0);
}

static void
parses_whole_numbers(void **state)
{
	static const char *const bad[] = { "", "-", "+1", " 1", "1 ", "0x1",
		"1.0", "99999999999999999999", "101", "-11", "--1" };
	int64_t value;
	size_t i;

	(void)state;
	for (i = 0; i < array_len(bad); i++)
		assert_int_equal(text_parse_int(bad[i], -10, 100, &value), -1);
	assert_int_equal(text_parse_int("100", -10, 100, &value), 0);
	assert_int_equal(value, 100);
	assert_int_equal(text_parse_int("-10", -10, 100, &value), 0);
	assert_int_equal(value, -10);
	assert_int_equal(text_parse_int("-9223372036854775808", INT64_MIN,
			     INT64_MAX, &value),
	    0);
	assert_true(value == INT64_MIN);
}

static void
knows_utf8(void **state)
{
	static const struct {
		const char *text;
		bool valid;
		const char *clean;
	} cases[] = {
		{ "", true, "" },
		{ "plain", true, "plain" },
		{ "\xc3\xa9", true, "\xc3\xa9" },
		{ "\xe2\x82\xac", true, "\xe2\x82\xac" },
		{ "\xf0\x9f\x98\x80", true, "\xf0\x9f\x98\x80" },
		{ "\xf4\x8f\xbf\xbf", true, "\xf4\x8f\xbf\xbf" },
		{ "\xed\x9f\xbf\xee\x80\x80", true,
		    "\xed\x9f\xbf\xee\x80\x80" },
		{ "a\x80z", false, "a\xef\xbf\xbdz" },
		{ "\xc3", false, "\xef\xbf\xbd" },
		{ "\xc3(", false, "\xef\xbf\xbd(" },
		{ "\xc0\x80", false, "\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xc1\xbf", false, "\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xe0\x9f\xbf", false,
		    "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xed\xa0\x80", false,
		    "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xe2\x82", false, "\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xf0\x8f\xbf\xbf", false,
		    "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xf4\x90\x80\x80", false,
		    "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xf5\x80\x80\x80", false,
		    "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xff", false, "\xef\xbf\xbd" },
	};
	struct buf out = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < array_len(cases); i++) {
		assert_int_equal(text_utf8_valid(cases[i].text,
				     strlen(cases[i].text)),
		    cases[i].valid);
		buf_reset(&out);
		text_utf8_clean(&out, cases[i].text, strlen(cases[i].text));
		assert_string_equal(buf_str(&out), cases[i].clean);
	}
	buf_clear(&out);
}

static void
cuts_between_characters(void **state)
{
	static const struct {
		const char *text;
		size_t max, len;
	} cases[] = {
		{ "abc", 5, 3 },
		{ "abc", 3, 3 },
		{ "abc", 2, 2 },
		{ "abc", 0, 0 },
		{ "a\xc3\xa9", 2, 1 },
		{ "a\xc3\xa9z", 3, 3 },
		{ "a\xe2\x82\xac", 3, 1 },
		{ "a\xe2\x82\xac", 2, 1 },
		{ "\xe2\x82\xac", 2, 0 },
		{ "a\xf0\x9f\x98\x80", 4, 1 },
		{ "a\xf0\x9f\x98\x80", 1, 1 },
		/* What is no UTF-8 is cut where asked. */
		{ "\x80\x80\x80\x80\x80\x80", 5, 5 },
		{ "a\xc3zzz", 2, 2 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < array_len(cases); i++)
		assert_int_equal(text_utf8_cut(cases[i].text,
				     strlen(cases[i].text), cases[i].max),
		    cases[i].len);
}

static void
percent_encodes(void **state)
{
	static const char in[] = "a b%\r\n\0\x7f\xc3\xa9~";
	struct buf out = { 0 };

	(void)state;
	text_percent(&out, in, sizeof(in) - 1);
	assert_string_equal(buf_str(&out), "a b%25%0D%0A%00%7F%C3%A9~");
	buf_clear(&out);
}

static void
formats_times(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} stamps[] = {
		{ 0, "1970-01-01T00:00:00.000Z" },
		{ 1738324805007, "2025-01-31T12:00:05.007Z" },
		{ -1, "1969-12-31T23:59:59.999Z" },
		{ INT64_MAX, "9999-12-31T23:59:59.999Z" },
		{ INT64_MIN, "0000-01-01T00:00:00.000Z" },
	}, durations[] = {
		{ -5, "0ms" },
		{ 0, "0ms" },
		{ 999, "999ms" },
		{ 1000, "1s" },
		{ 1500, "1.5s" },
		{ 1050, "1s" },
		{ 59999, "59.9s" },
		{ 60000, "1m" },
		{ 61500, "1m 1s" },
		{ 3600000, "1h" },
		{ 3659999, "1h" },
		{ 7500000, "2h 5m" },
		{ 604800000, "7d" },
		{ 608400000, "7d 1h" },
		{ INT64_MAX, "106751991167d 7h" },
	};
	char stamp[TEXT_ISO8601_SPACE], duration[TEXT_DURATION_SPACE];
	size_t i;

	(void)state;
	for (i = 0; i < array_len(stamps); i++)
		assert_string_equal(text_iso8601(stamp, stamps[i].ms),
		    stamps[i].text);
	for (i = 0; i < array_len(durations); i++)
		assert_string_equal(text_duration(duration, durations[i].ms),
		    durations[i].text);
}

static void
formats_sizes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{ 0, "0 B" },
		{ 1023, "1023 B" },
		{ 1024, "1 KiB" },
		{ 1536, "1.5 KiB" },
		{ 16 << 20, "16 MiB" },
		{ (16 << 20) - 1, "15.9 MiB" },
		{ UINT64_MAX, "15.9 EiB" },
	};
	char size[TEXT_SIZE_SPACE];
	size_t i;

	(void)state;
	for (i = 0; i < array_len(cases); i++)
		assert_string_equal(text_size(size, cases[i].bytes),
		    cases[i].text);
}

static void
makes_uuids(void **state)
{
	char uuid[TEXT_UUID_SPACE];

	(void)state;
	assert_string_equal(text_uuid4(uuid, 0, 0),
	    "00000000-0000-4000-8000-000000000000");
	assert_string_equal(text_uuid4(uuid, UINT64_MAX, UINT64_MAX),
	    "ffffffff-ffff-4fff-bfff-ffffffffffff");
	assert_string_equal(text_uuid4(uuid, 0x0123456789abcdef,
				0x1122334455667788),
	    "01234567-89ab-4def-9122-334455667788");
}

static void
compares_secrets(void **state)
{
	(void)state;
	assert_true(text_equal_secret("token", 5, "token", 5));
	assert_true(text_equal_secret("", 0, "", 0));
	assert_false(text_equal_secret("token", 5, "tokem", 5));
	assert_false(text_equal_secret("token", 5, "toke", 4));
	assert_false(text_equal_secret("toketoke", 8, "toke", 4));
	assert_false(text_equal_secret("toke", 4, "toketoke", 8));
	assert_false(text_equal_secret("x", 1, "", 0));
	assert_false(text_equal_secret("", 0, "x", 1));
}

static void
measures_distance(void **state)
{
	static const struct {
		const char *a, *b;
		unsigned distance;
	} cases[] = {
		{ "", "", 0 },
		{ "prefetch", "prefetch", 0 },
		{ "prefech", "prefetch", 1 },
		{ "prefetchh", "prefetch", 1 },
		{ "prafetch", "prefetch", 1 },
		{ "perfetch", "prefetch", 1 },
		{ "abc", "", 3 },
		{ "", "abc", 3 },
		{ "kitten", "sitting", 3 },
		{ "queue", "vhost", 5 },
	};
	char word[100];
	size_t i;

	(void)state;
	for (i = 0; i < array_len(cases); i++)
		assert_int_equal(text_distance(cases[i].a, cases[i].b),
		    cases[i].distance);
	memset(word, 'a', sizeof(word));
	word[65] = '\0';
	assert_int_equal(text_distance(word, word), 65);
	word[64] = '\0';
	assert_int_equal(text_distance(word, word + 1), 1);
}

static void
knows_the_first_words(void **state)
{
	static const struct {
		const char *prefix, *text;
		bool is;
	} cases[] = {
		{ "http", "http.503", true },
		{ "http.503", "http.503", true },
		{ "exec.signal", "exec.signal.9", true },
		{ "http.5", "http.503", false },
		{ "http.503.", "http.503", false },
		{ "http.503.1", "http.503", false },
		{ "503", "http.503", false },
		{ "", "http.503", false },
		{ "http", "", false },
		{ "", "", false },
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++)
		assert_int_equal(text_dotted_prefix(cases[i].prefix,
				     cases[i].text, strlen(cases[i].text)),
		    cases[i].is);
	/* Nothing behind the text is looked at. */
	assert_true(text_dotted_prefix("a.b", "a.bc", 3));
	assert_false(text_dotted_prefix("a.bc", "a.bc", 3));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses_addresses),
		cmocka_unit_test(parses_whole_numbers),
		cmocka_unit_test(knows_utf8),
		cmocka_unit_test(cuts_between_characters),
		cmocka_unit_test(percent_encodes),
		cmocka_unit_test(formats_times),
		cmocka_unit_test(formats_sizes),
		cmocka_unit_test(makes_uuids),
		cmocka_unit_test(compares_secrets),
		cmocka_unit_test(measures_distance),
		cmocka_unit_test(knows_the_first_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
