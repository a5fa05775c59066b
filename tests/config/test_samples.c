/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The files below samples/: good ones load; broken ones say, in comments at
 * their start, exactly the errors that they must give:
 *
 *	# expect: LINE:COLUMN: key: problem
 *
 * Where a broken one holds a secret, it is "hunter2".
 */
#include "tests/config/support.h"

#include <glob.h>
#include <stdlib.h>

#include "config/conf_parse.h"
#include "lib/xalloc.h"

#define SAMPLES	     "tests/config/samples/"
#define EXPECT	     "# expect: "
#define BROKEN_LEAST 50

/* What the comments at the start of a sample expect. */
static void
read_expected(struct buf *sample, struct buf *expected)
{
	const char *line = buf_str(sample), *end;

	while (strncmp(line, EXPECT, sizeof(EXPECT) - 1) == 0) {
		line += sizeof(EXPECT) - 1;
		end = strchr(line, '\n');
		assert_non_null(end);
		end++;
		buf_add(expected, line, (size_t)(end - line));
		line = end;
	}
}

static void
check_broken(const char *name)
{
	struct buf sample = { 0 }, expected = { 0 }, got = { 0 };
	struct conf_errors errors = { 0 };
	struct conf *conf;

	support_read(name, &sample);
	read_expected(&sample, &expected);
	conf = conf_parse(name, buf_peek(&sample), sample.len, true,
	    SUPPORT_ROLES, &errors);
	support_show(&errors, &got);
	if (conf != NULL || strcmp(buf_str(&expected), buf_str(&got)) != 0)
		fail_msg("%s\nexpected:\n%sgot:\n%s", name, buf_str(&expected),
		    buf_str(&got));
	assert_null(strstr(buf_str(&got), "hunter2"));
	conf_errors_clear(&errors);
	buf_clear(&sample);
	buf_clear(&expected);
	buf_clear(&got);
}

static void
check_good(const char *name)
{
	struct buf sample = { 0 };

	support_read(name, &sample);
	conf_free(support_parse(buf_str(&sample)));
	buf_clear(&sample);
}

/* Calls `check` with the name of each sample; how many there are. */
static size_t
for_each(const char *folder, void (*check)(const char *name))
{
	char *path = support_path(folder);
	char *pattern = xasprintf("%s/*.yaml", path), *name;
	glob_t found;
	size_t i, count;

	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	count = found.gl_pathc;
	for (i = 0; i < count; i++) {
		name =
		    xasprintf("%s%s", folder, found.gl_pathv[i] + strlen(path));
		check(name);
		free(name);
	}
	globfree(&found);
	free(pattern);
	free(path);
	return count;
}

static void
broken_ones_say_what_is_wrong_and_where(void **state)
{
	(void)state;
	assert_true(for_each(SAMPLES "broken", check_broken) >= BROKEN_LEAST);
}

static void
good_ones_load(void **state)
{
	(void)state;
	assert_true(for_each(SAMPLES "good", check_good) >= 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(broken_ones_say_what_is_wrong_and_where),
		cmocka_unit_test(good_ones_load),
	};

	return cmocka_run_group_tests(tests, support_setup, NULL);
}
