/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/unit.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/log.h"

static struct buf lines;

static void
collect(void *arg, const char *line, size_t len)
{
	(void)arg;
	assert_int_equal(strlen(line), len);
	buf_reset(&lines);
	buf_add(&lines, line, len);
}

static int64_t
noon(void *arg)
{
	(void)arg;
	return 1738324805007;
}

static int
set_up(void **state)
{
	(void)state;
	log_set_sink(collect, NULL);
	log_set_clock(noon, NULL);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	log_set_sink(NULL, NULL);
	log_set_clock(NULL, NULL);
	buf_clear(&lines);
	return 0;
}

#define expect_line(text) \
	assert_string_equal(buf_str(&lines), "2025-01-31T12:00:05.007Z " text)
#define expect_json(text) \
	assert_string_equal(buf_str(&lines), \
	    "{\"ts\":\"2025-01-31T12:00:05.007Z\"," text)

static void
writes_typed_fields(void **state)
{
	(void)state;
	log_open(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
	log_warn("plain");
	expect_line("warn plain");
	log_info("attempt", LOG_STR("pipeline", "orders"), LOG_INT("n", -3),
	    LOG_UINT("tag", UINT64_MAX), LOG_DBL("handler_ms", 12.5),
	    LOG_BOOL("last", true), LOG_STR("left_out", NULL),
	    LOG_STR("empty", ""), LOG_BYTES("id", "abcdef", 3));
	expect_line("info attempt pipeline=orders n=-3 "
		    "tag=18446744073709551615 handler_ms=12.5 last=true "
		    "empty=\"\" id=abc");
	log_open(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	log_error("attempt", LOG_STR("pipeline", "orders"), LOG_INT("n", 3),
	    LOG_DBL("nan", (double)NAN), LOG_DBL("inf", (double)INFINITY),
	    LOG_BOOL("last", false), LOG_STR("left_out", NULL));
	expect_json("\"level\":\"error\",\"event\":\"attempt\","
		    "\"pipeline\":\"orders\",\"n\":3,\"nan\":null,"
		    "\"inf\":null,\"last\":false}");
}

static void
defuses_hostile_values(void **state)
{
	static const struct {
		const char *value, *logfmt, *json;
	} cases[] = {
		{ "a b", "\"a b\"", "\"a b\"" },
		{ "a=b", "\"a=b\"", "\"a=b\"" },
		{ "say \"hi\"", "\"say \\\"hi\\\"\"", "\"say \\\"hi\\\"\"" },
		{ "c:\\x", "\"c:\\\\x\"", "\"c:\\\\x\"" },
		{ "a\nts error faked\r", "\"a\\nts error faked\\u000d\"",
		    "\"a\\nts error faked\\u000d\"" },
		{ "\t\x1b[2J\x7f", "\"\\t\\u001b[2J\\u007f\"",
		    "\"\\t\\u001b[2J\\u007f\"" },
		{ "caf\xc3\xa9", "\"caf\xc3\xa9\"", "\"caf\xc3\xa9\"" },
		{ "\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\"",
		    "\"\xf0\x9f\x98\x80\"" },
		{ "bad\xff\xc3", "\"bad\\ufffd\\ufffd\"",
		    "\"bad\\ufffd\\ufffd\"" },
		/* CSI as one character; right-to-left override; BOM. */
		{ "\xc2\x9b", "\"\\u009b\"", "\"\\u009b\"" },
		{ "\xe2\x80\xae", "\"\\u202e\"", "\"\\u202e\"" },
		{ "\xef\xbb\xbf", "\"\\ufeff\"", "\"\\ufeff\"" },
	};
	char expected[200];
	size_t i;

	(void)state;
	for (i = 0; i < array_len(cases); i++) {
		log_open(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
		log_info("e", LOG_STR("v", cases[i].value));
		snprintf(expected, sizeof(expected),
		    "2025-01-31T12:00:05.007Z info e v=%s", cases[i].logfmt);
		assert_string_equal(buf_str(&lines), expected);
		log_open(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
		log_info("e", LOG_STR("v", cases[i].value));
		snprintf(expected, sizeof(expected),
		    "{\"ts\":\"2025-01-31T12:00:05.007Z\",\"level\":\"info\","
		    "\"event\":\"e\",\"v\":%s}",
		    cases[i].json);
		assert_string_equal(buf_str(&lines), expected);
	}
	log_open(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
	log_info("e", LOG_BYTES("v", "a\0b", 3));
	expect_line("info e v=\"a\\u0000b\"");
}

static void
cuts_long_values(void **state)
{
	char value[10000];

	(void)state;
	memset(value, 'a', sizeof(value));
	log_open(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
	log_info("e", LOG_BYTES("v", value, sizeof(value)), LOG_INT("n", 1));
	assert_in_range(lines.len, 1000, 3000);
	assert_string_equal(buf_str(&lines) + lines.len - 10, "aa...\" n=1");
}

static int
count(unsigned *calls)
{
	return (int)++*calls;
}

static void
evaluates_only_what_is_written(void **state)
{
	unsigned calls = 0;

	(void)state;
	log_open(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
	log_debug("e", LOG_INT("n", count(&calls)));
	assert_int_equal(calls, 0);
	log_open(LOG_LEVEL_DEBUG, LOG_FORMAT_LOGFMT);
	log_debug("e", LOG_INT("n", count(&calls)));
	assert_int_equal(calls, 1);
	expect_line("debug e n=1");
	log_open(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
	assert_false(log_on(LOG_LEVEL_WARN));
	assert_true(log_on(LOG_LEVEL_ERROR));
}

static void
knows_names(void **state)
{
	static const char *const levels[] = { "error", "warn", "info",
		"debug" };
	enum log_format format;
	enum log_level level;
	size_t i;

	(void)state;
	for (i = 0; i < array_len(levels); i++) {
		assert_int_equal(log_level_parse(levels[i], &level), 0);
		assert_int_equal(level, i);
		assert_string_equal(log_level_name(level), levels[i]);
	}
	assert_int_equal(log_level_parse("INFO", &level), -1);
	assert_int_equal(log_format_parse("json", &format), 0);
	assert_int_equal(format, LOG_FORMAT_JSON);
	assert_string_equal(log_format_name(LOG_FORMAT_LOGFMT), "logfmt");
	assert_int_equal(log_format_parse("", &format), -1);
}

struct reader {
	int fd;
	struct buf got;
};

static void *
read_all(void *arg)
{
	struct reader *reader = arg;
	ssize_t n;

	while ((n = read(reader->fd, buf_reserve(&reader->got, 512), 512)) > 0)
		buf_claim(&reader->got, (size_t)n);
	return NULL;
}

/* A full pipe that does not block must not cost half a line. */
static void
writes_whole_lines_to_stderr(void **state)
{
	struct reader reader = { 0 };
	char value[2000];
	pthread_t thread;
	size_t i, newlines = 0;
	int pipe_fds[2], saved;

	(void)state;
	memset(value, 'a', sizeof(value));
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(fcntl(pipe_fds[1], F_SETFL, O_NONBLOCK), 0);
	saved = dup(STDERR_FILENO);
	assert_true(dup2(pipe_fds[1], STDERR_FILENO) >= 0);
	close(pipe_fds[1]);
	reader.fd = pipe_fds[0];
	log_set_sink(NULL, NULL);
	log_open(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
	pthread_create(&thread, NULL, read_all, &reader);
	for (i = 0; i < 200; i++)
		log_info("e", LOG_BYTES("v", value, sizeof(value)));
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	close(saved);
	pthread_join(thread, NULL);
	close(pipe_fds[0]);
	for (i = 0; i < reader.got.len; i++)
		newlines += buf_peek(&reader.got)[i] == '\n';
	assert_int_equal(newlines, 200);
	assert_int_equal(reader.got.len,
	    200 * (strlen("2025-01-31T12:00:05.007Z info e v=\n") + 2000));
	buf_clear(&reader.got);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(writes_typed_fields, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(defuses_hostile_values, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(cuts_long_values, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(evaluates_only_what_is_written,
		    set_up, tear_down),
		cmocka_unit_test(knows_names),
		cmocka_unit_test_setup_teardown(writes_whole_lines_to_stderr,
		    set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
