/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* What verbs write for people. */
#include "ctl/table.h"

#include "ctl/job_text.h"
#include "ctl/output.h"
#include "lib/cli.h"
#include "tests/unit.h"

static const struct table_column columns[] = {
	{ .title = "N", .is_number = true },
	{ .title = "NAME", .may_cut = true },
	{ .title = "ERROR", .may_cut = true },
};

static void
expect_table(const char *const *cells, size_t count, const char *want)
{
	struct table table;
	struct buf out = { 0 };

	table_init(&table, columns, array_len(columns));
	for (size_t i = 0; i < count; i++)
		table_add(&table, cells[i]);
	table_write(&table, &out);
	assert_string_equal(buf_str(&out), want);
	buf_clear(&out);
	table_clear(&table);
}

static void
columns_are_aligned_and_harmless(void **state)
{
	static const char *const cells[] = { "7", "a", "x\33[2Jy", "100",
		"\xc3\xa4\xc3\xb6", NULL };

	(void)state;
	expect_table(NULL, 0, "N  NAME  ERROR\n");
	expect_table(cells, array_len(cells),
	    "  N  NAME  ERROR\n"
	    "  7  a     x\\x1b[2Jy\n"
	    "100  \xc3\xa4\xc3\xb6    -\n");
}

static void
the_widest_is_cut(void **state)
{
	struct buf out = { 0 };
	struct table table;
	char wide[201];

	(void)state;
	memset(wide, 'w', sizeof(wide) - 1);
	wide[sizeof(wide) - 1] = '\0';
	table_init(&table, columns, array_len(columns));
	table_add_int(&table, -1);
	table_add(&table, "short");
	table_add(&table, wide);
	table_write(&table, &out);
	assert_string_equal(buf_str(&out) + out.len - 4, "\xe2\x80\xa6\n");
	/* The ellipsis has three bytes and one column. */
	assert_int_equal(strlen(strchr(buf_str(&out), '\n') + 1) - 1,
	    TABLE_COLUMNS + 2);
	buf_clear(&out);
	table_clear(&table);
}

static void
expect_job(const char *text, const char *want, int code)
{
	json_t *job = json_loads(text, 0, NULL);
	struct buf out = { 0 };

	assert_non_null(job);
	job_text_brief(&out, job);
	assert_string_equal(buf_str(&out), want);
	assert_int_equal(job_text_exit_code(job), code);
	buf_clear(&out);
	json_decref(job);
}

static void
jobs_are_told(void **state)
{
	(void)state;
	expect_job("{\"id\":\"0abc\",\"state\":\"running\",\"progress\":0.42}",
	    "0abc running 42 %", CLI_OK);
	expect_job("{\"id\":\"0abc\",\"state\":\"ended\",\"end\":\"complete\"}",
	    "0abc complete", CLI_OK);
	expect_job("{\"passed_on\":true}", "passed on to the active daemon",
	    CLI_OK);
	expect_job("{\"id\":\"0abc\",\"state\":\"ended\",\"end\":\"partial\","
		   "\"why\":\"no verdicts\"}",
	    "0abc partial: no verdicts", CLI_DRIFT);
}

static void
ages_are_told(void **state)
{
	char age[OUTPUT_AGE_SPACE];
	json_t *job = json_pack("{s:s, s:s, s:i}", "past",
	    "2000-01-01T00:00:00.000Z", "bad", "yesterday", "number", 7);

	(void)state;
	assert_string_equal(output_age(age, job, "bad"), "-");
	assert_string_equal(output_age(age, job, "number"), "-");
	assert_string_equal(output_age(age, job, "none"), "-");
	assert_non_null(strchr(output_age(age, job, "past"), 'd'));
	json_decref(job);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_are_aligned_and_harmless),
		cmocka_unit_test(the_widest_is_cut),
		cmocka_unit_test(jobs_are_told),
		cmocka_unit_test(ages_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
