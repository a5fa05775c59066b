/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "lib/cron.h"

#include <stdio.h>
#include <time.h>

#include "lib/text.h"
#include "tests/unit.h"

/* Ms since the epoch, of "2026-01-31 12:00:59". */
static int64_t
time_of(const char *text)
{
	struct tm tm = { 0 };

	assert_non_null(strptime(text, "%Y-%m-%d %H:%M:%S", &tm));
	return (int64_t)timegm(&tm) * 1000;
}

static void
finds_the_next_time(void **state)
{
	static const struct {
		const char *text, *after, *next;
	} cases[] = {
		{ "* * * * *", "2026-01-31 12:00:00", "2026-01-31 12:01:00" },
		{ "* * * * *", "2026-01-31 12:00:59", "2026-01-31 12:01:00" },
		{ "0 3 * * *", "2026-01-31 02:59:59", "2026-01-31 03:00:00" },
		{ "0 3 * * *", "2026-01-31 03:00:00", "2026-02-01 03:00:00" },
		{ "*/20 * * * *", "2026-01-31 12:40:00",
		    "2026-01-31 13:00:00" },
		{ "5/20 * * * *", "2026-01-31 12:40:00",
		    "2026-01-31 12:45:00" },
		{ "1,3 8-10/2 * * *", "2026-01-31 08:01:30",
		    "2026-01-31 08:03:00" },
		{ "1,3 8-10/2 * * *", "2026-01-31 08:03:00",
		    "2026-01-31 10:01:00" },
		{ "0 0 31 * *", "2026-01-31 00:00:00", "2026-03-31 00:00:00" },
		{ "0 0 29 2 *", "2026-01-01 00:00:00", "2028-02-29 00:00:00" },
		{ "0 0 29 feb *", "2096-03-01 00:00:00",
		    "2104-02-29 00:00:00" },
		/* 2026-01-31 is a Saturday. */
		{ "0 0 * * 0", "2026-01-31 12:00:00", "2026-02-01 00:00:00" },
		{ "0 0 * * 7", "2026-01-31 12:00:00", "2026-02-01 00:00:00" },
		{ "0 0 * * MON-FRI", "2026-01-31 12:00:00",
		    "2026-02-02 00:00:00" },
		{ "0 0 * * 5-7", "2026-02-02 12:00:00", "2026-02-06 00:00:00" },
		{ "0 0 13 * 5", "2026-01-31 12:00:00", "2026-02-06 00:00:00" },
		{ "0 0 13 * */2", "2026-01-31 12:00:00",
		    "2026-06-13 00:00:00" },
		{ " 0  0 1 jan * ", "2026-01-31 12:00:00",
		    "2027-01-01 00:00:00" },
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		char got[TEXT_ISO8601_SPACE], want[TEXT_ISO8601_SPACE];
		const char *why = NULL;
		struct cron cron;

		if (cron_parse(cases[i].text, &cron, &why) == -1)
			fail_msg("%s: %s", cases[i].text, why);
		text_iso8601(got, cron_next_ms(&cron, time_of(cases[i].after)));
		text_iso8601(want, time_of(cases[i].next));
		if (strcmp(got, want) != 0)
			fail_msg("%s after %s: %s, not %s", cases[i].text,
			    cases[i].after, got, want);
	}
}

static void
some_times_never_come(void **state)
{
	const char *why;
	struct cron cron;

	(void)state;
	assert_int_equal(cron_parse("0 0 30 2 *", &cron, &why), 0);
	assert_true(cron_next_ms(&cron, 0) == INT64_MAX);
}

static void
refuses_what_is_none(void **state)
{
	static const char *const cases[] = { "", "0 3 * *", "0 3 * * * *",
		"@daily", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *",
		"* * * 0 *", "* * * 13 *", "* * * * 8", "5-3 * * * *",
		"*/0 * * * *", "1, * * * *", ",1 * * * *", "1- * * * *",
		"1/ * * * *", "-1 * * * *", "* * * foo *", "* * * * monday",
		"mon * * * *", "99999999999 * * * *", "1;2 * * * *" };

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		const char *why = NULL;
		struct cron cron;

		if (cron_parse(cases[i], &cron, &why) == 0)
			fail_msg("taken: '%s'", cases[i]);
		assert_non_null(why);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_next_time),
		cmocka_unit_test(some_times_never_come),
		cmocka_unit_test(refuses_what_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
