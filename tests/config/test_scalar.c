/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/unit.h"

#include "config/conf_scalar.h"
#include "config/conf_valid.h"
#include "lib/compiler.h"

#define NOT INT64_MIN

struct row {
	const char *text;
	int64_t value; /* NOT: it is refused */
};

static void
check_rows(int (*read)(const char *, int64_t *), const struct row *rows,
    size_t count)
{
	int64_t value;
	size_t i;

	for (i = 0; i < count; i++) {
		value = NOT;
		if (read(rows[i].text, &value) == -1)
			value = NOT;
		if (value != rows[i].value)
			fail_msg("\"%s\" gives %lld, not %lld", rows[i].text,
			    (long long)value, (long long)rows[i].value);
	}
}

static void
durations(void **state)
{
	static const struct row rows[] = {
		{ "250ms", 250 },
		{ "5s", 5000 },
		{ "10m", 600000 },
		{ "24h", 86400000 },
		{ "7d", 604800000 },
		{ "0s", 0 },
		{ "0ms", 0 },
		{ "106751991168d", INT64_MAX },
		{ "99999999999999999999s", INT64_MAX },
		{ "5", NOT },
		{ "", NOT },
		{ "s", NOT },
		{ "5 s", NOT },
		{ " 5s", NOT },
		{ "5s ", NOT },
		{ "-5s", NOT },
		{ "+5s", NOT },
		{ "05s", NOT },
		{ "1.5s", NOT },
		{ "1h30m", NOT },
		{ "5S", NOT },
		{ "5sec", NOT },
		{ "5w", NOT },
		{ "0x5s", NOT },
	};

	(void)state;
	check_rows(conf_scalar_duration, rows, array_len(rows));
}

static void
sizes(void **state)
{
	static const struct row rows[] = {
		{ "0", 0 },
		{ "512", 512 },
		{ "64k", 65536 },
		{ "16m", 16777216 },
		{ "2g", INT64_C(2147483648) },
		{ "9999999999g", INT64_MAX },
		{ "16mb", NOT },
		{ "16M", NOT },
		{ "k", NOT },
		{ "-1", NOT },
		{ "1.5m", NOT },
	};

	(void)state;
	check_rows(conf_scalar_size, rows, array_len(rows));
}

static void
counts(void **state)
{
	static const struct row rows[] = {
		{ "0", 0 },
		{ "2147483647", 2147483647 },
		{ "9223372036854775807", INT64_MAX },
		{ "99999999999999999999", INT64_MAX },
		{ "-1", -1 },
		{ "", NOT },
		{ "-", NOT },
		{ "00", NOT },
		{ "010", NOT },
		{ "+1", NOT },
		{ "1_000", NOT },
		{ "0x10", NOT },
		{ "1.0", NOT },
		{ "1e3", NOT },
	};

	(void)state;
	check_rows(conf_scalar_count, rows, array_len(rows));
}

static void
numbers(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		double value;
	} rows[] = {
		{ "0", true, 0 },
		{ "2", true, 2 },
		{ "0.5", true, 0.5 },
		{ ".5", true, 0.5 },
		{ "2.", true, 2 },
		{ "1e3", true, 1000 },
		{ "1.5E-1", true, 0.15 },
		{ "-1", true, -1 },
		{ "", false, 0 },
		{ ".", false, 0 },
		{ "e3", false, 0 },
		{ "1e", false, 0 },
		{ "0x1p3", false, 0 },
		{ ".inf", false, 0 },
		{ ".nan", false, 0 },
		{ "nan", false, 0 },
		{ "1,5", false, 0 },
	};
	double value;
	size_t i;

	(void)state;
	for (i = 0; i < array_len(rows); i++) {
		value = 0;
		if ((conf_scalar_number(rows[i].text, &value) == 0) !=
			rows[i].ok ||
		    (rows[i].ok &&
			(value < rows[i].value || value > rows[i].value)))
			fail_msg("\"%s\" gives %g", rows[i].text, value);
	}
	assert_int_equal(conf_scalar_number("1e999", &value), 0);
	assert_true(value > 1e300);
}

static void
what_yaml_takes_for_no_text(void **state)
{
	static const char *const untext[] = { "", "~", "null", "true", "FALSE",
		"0", "-1", "+1.5", "1e3", "010", "0x1F", "0o17", ".5", ".inf",
		"-.inf", ".NaN" };
	static const char *const text[] = { "a", "nul", "yes", "no", "on", "1a",
		"5s", "0xg", "0o8", "1.2.3", "-", "+", "--1", ".", "127.0.0.1",
		"127.0.0.1:8671", "2025-01-31", "1e", "tRue" };
	size_t i;

	(void)state;
	for (i = 0; i < array_len(untext); i++)
		if (!conf_scalar_untext(untext[i]))
			fail_msg("\"%s\" is no text", untext[i]);
	for (i = 0; i < array_len(text); i++)
		if (conf_scalar_untext(text[i]))
			fail_msg("\"%s\" is text", text[i]);
}

static void
shows_the_shortest(void **state)
{
	char out[CONF_SCALAR_SPACE];

	(void)state;
	assert_string_equal(conf_scalar_show_duration(out, 0), "0s");
	assert_string_equal(out, "0s");
	assert_string_equal(conf_scalar_show_duration(out, 1), "1ms");
	assert_string_equal(conf_scalar_show_duration(out, 90000), "90s");
	assert_string_equal(conf_scalar_show_duration(out, 3600000), "1h");
	assert_string_equal(conf_scalar_show_size(out, 0), "0");
	assert_string_equal(conf_scalar_show_size(out, 1000), "1000");
	assert_string_equal(conf_scalar_show_size(out, 65536), "64k");
	assert_string_equal(conf_scalar_show_number(out, 2147483647),
	    "2147483647");
	assert_string_equal(conf_scalar_show_number(out, 0.001), "0.001");
}

static void
http_urls(void **state)
{
	static const char *const good[] = { "http://a", "https://a.b-c_d/",
		"http://127.0.0.1:9000/charge?a=b&c=%20;d=(e)", "http://a?b",
		"http://[::1]/", "https://[fe80::1%25eth0]:1/x" };
	static const char *const bad[] = { "", "a", "//a", "HTTP://a",
		"http:/a", "http://", "http:///a", "http://:80/", "http://a:/",
		"http://a:0/", "http://a:x/", "http://a:65536/", "http://me@a/",
		"http://me:pw@a/", "http://::1/", "http://[::1/", "http://[a]/",
		"http://a b/", "http://a/\n", "http://a/#b", "http://a/\x7f",
		"http://ä/", "http://a\\b/", "http://a/<b>", "ftp://a/",
		"amqp://a" };
	size_t i;

	(void)state;
	for (i = 0; i < array_len(good); i++)
		if (conf_valid_http_url(good[i]) != NULL)
			fail_msg("%s: %s", good[i],
			    conf_valid_http_url(good[i]));
	for (i = 0; i < array_len(bad); i++)
		if (conf_valid_http_url(bad[i]) == NULL)
			fail_msg("%s is no good URL", bad[i]);
}

static void
socket_urls(void **state)
{
	static const char *const good[] = { "http://a", "https://a/",
		"http+unix://%2Fa", "http+unix://%2fa%20b/c?d=%2F",
		"http+unix://%2Fa?b" };
	static const char *const bad[] = { "http+unix:", "http+unix://",
		"http+unix:///a", "http+unix://a/", "http+unix://run%2Fa/",
		"http+unix://%2Fa%/", "http+unix://%2Fa%2/",
		"http+unix://%2Fa%2x/", "http+unix://%2Fa%00/",
		"http+unix://%2Fa%0A/", "http+unix://%2Fa b/",
		"http+unix://%2Fa/#b", "https+unix://%2Fa/", "unix://%2Fa" };
	char path[CONF_VALID_SOCKET_SPACE], url[256];
	const char *rest;
	size_t i;

	(void)state;
	for (i = 0; i < array_len(good); i++)
		if (conf_valid_place_url(good[i]) != NULL)
			fail_msg("%s: %s", good[i],
			    conf_valid_place_url(good[i]));
	for (i = 0; i < array_len(bad); i++)
		if (conf_valid_place_url(bad[i]) == NULL)
			fail_msg("%s is no good URL", bad[i]);
	assert_null(conf_valid_unix_url(good[3], path, &rest));
	assert_string_equal(path, "/a b");
	assert_string_equal(rest, "/c?d=%2F");
	/* The longest path, and one byte more. */
	memset(url, 'x', sizeof(url));
	memcpy(url, "http+unix://%2F", 15);
	url[15 + sizeof(path) - 2] = '\0';
	assert_null(conf_valid_unix_url(url, path, &rest));
	assert_int_equal(strlen(path), sizeof(path) - 1);
	url[15 + sizeof(path) - 2] = 'x';
	url[15 + sizeof(path) - 1] = '\0';
	assert_non_null(conf_valid_unix_url(url, path, &rest));
}

static void
amqp_urls(void **state)
{
	static const struct {
		const char *text, *host;
		uint16_t port;
		bool tls;
	} good[] = {
		{ "amqp://rabbit", "rabbit", 5672, false },
		{ "amqps://rabbit", "rabbit", 5671, true },
		{ "amqp://127.0.0.1:1", "127.0.0.1", 1, false },
		{ "amqps://[::1]:65535", "::1", 65535, true },
		{ "amqps://[::1]", "::1", 5671, true },
	};
	static const char *const bad[] = { "", "rabbit", "amqp:rabbit",
		"AMQP://rabbit", "amqp://", "amqp://rabbit/", "amqp://a/b",
		"amqp://a?heartbeat=1", "amqp://a#b", "amqp://u:p@a",
		"amqp://u@a", "amqp://a:", "amqp://a:0", "amqp://a b",
		"http://a" };
	struct text_address address;
	bool tls;
	size_t i;

	(void)state;
	for (i = 0; i < array_len(good); i++) {
		assert_null(conf_valid_amqp_url(good[i].text, &address, &tls));
		assert_string_equal(address.host, good[i].host);
		assert_int_equal(address.port, good[i].port);
		assert_true(tls == good[i].tls);
	}
	for (i = 0; i < array_len(bad); i++)
		if (conf_valid_amqp_url(bad[i], &address, &tls) == NULL)
			fail_msg("%s is no good URL", bad[i]);
}

static void
names(void **state)
{
	char longest[65];

	(void)state;
	memset(longest, 'a', 64);
	longest[64] = '\0';
	assert_non_null(conf_valid_name(longest));
	longest[63] = '\0';
	assert_null(conf_valid_name(longest));
	assert_null(conf_valid_name("0_-"));
	assert_non_null(conf_valid_name(""));
	assert_non_null(conf_valid_name("-a"));
	assert_non_null(conf_valid_name("_a"));
	assert_non_null(conf_valid_name("A"));
	assert_non_null(conf_valid_name("a.b"));
	assert_null(conf_valid_queue("amq"));
	assert_non_null(conf_valid_queue("amq.x"));
	assert_non_null(conf_valid_queue("a\tb"));
	assert_null(conf_valid_cron("*/5 0-6 1,15 * MON-FRI"));
	assert_null(conf_valid_cron("0  3 * * *"));
	assert_non_null(conf_valid_cron("0 3 * *"));
	assert_non_null(conf_valid_cron("0 3 * * * *"));
	assert_non_null(conf_valid_cron("@daily"));
	assert_non_null(conf_valid_cron(""));
	assert_null(conf_valid_class("http.503"));
	assert_non_null(conf_valid_class(".http"));
	assert_non_null(conf_valid_class("http."));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations),
		cmocka_unit_test(sizes),
		cmocka_unit_test(counts),
		cmocka_unit_test(numbers),
		cmocka_unit_test(what_yaml_takes_for_no_text),
		cmocka_unit_test(shows_the_shortest),
		cmocka_unit_test(http_urls),
		cmocka_unit_test(socket_urls),
		cmocka_unit_test(amqp_urls),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
