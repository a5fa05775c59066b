/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The last words of a command, in whatever pieces they come. */
#include "tests/unit.h"

#include <errno.h>
#include <stdlib.h>

#include "downstream/exec_verdict.h"
#include "lib/compiler.h"
#include "lib/xalloc.h"

static const struct child_exit exit_75 = { CHILD_EXITED, 75 };

static void
check_error(const struct exec_tail *tail, const char *error)
{
	struct verdict v;

	exec_verdict_once(&v, "brew", &exit_75, tail);
	assert_string_equal(v.class, "exec.75");
	assert_string_equal(v.error, error);
}

static void
takes_the_last_line(void **state)
{
	static const char *const rows[][2] = {
		{ "", "" },
		{ "\n", "" },
		{ " \n\r\n\t\n", "" },
		{ "one", "one" },
		{ "one\n", "one" },
		{ "one\ntwo", "two" },
		{ "one\r\ntwo\r\n", "two" },
		{ "one\ntwo\n\n \n", "two" },
		{ "\n\none\n", "one" },
	};
	struct exec_tail tail;
	size_t i, piece, at, len, n;

	(void)state;
	for (i = 0; i < array_len(rows); i++)
		for (piece = 1, len = strlen(rows[i][0]); piece < 9; piece++) {
			tail.len = 0;
			for (at = 0; at < len; at += n) {
				n = len - at < piece ? len - at : piece;
				exec_tail_add(&tail, rows[i][0] + at, n);
			}
			check_error(&tail, rows[i][1]);
		}
}

/* Any number of bytes in, the last of them kept. */
static void
keeps_the_end(void **state)
{
	static const size_t sizes[] = { 1, 511, 4095, 4096, 4097, 65536 };
	char *flood = xmalloc(65536), error[VERDICT_ERROR_MAX + 1];
	struct exec_tail tail;
	size_t i, k;

	(void)state;
	memset(flood, 'x', 65536);
	memset(error, 'x', sizeof(error));
	error[VERDICT_ERROR_MAX] = '\0';
	for (i = 0; i < array_len(sizes); i++)
		for (k = 0; k < array_len(sizes); k++) {
			tail.len = 0;
			exec_tail_add(&tail, flood, sizes[i]);
			exec_tail_add(&tail, "\nfoo", 4);
			exec_tail_add(&tail, "bar", 3);
			check_error(&tail, "foobar");
			exec_tail_add(&tail, "\n", 1);
			exec_tail_add(&tail, flood, sizes[k]);
			check_error(&tail,
			    sizes[k] < VERDICT_ERROR_MAX
				? error + VERDICT_ERROR_MAX - sizes[k]
				: error);
		}
	free(flood);
}

static void
names_what_happened(void **state)
{
	static const struct exec_tail silent, said = { 4, "said" };
	struct verdict v;

	(void)state;
	exec_verdict_once(&v, "brew", &(struct child_exit){ CHILD_EXITED, 0 },
	    &said);
	assert_int_equal(v.outcome, OUTCOME_OK);
	assert_string_equal(v.class, "exec.0");
	assert_string_equal(v.error, "");
	/* In the middle of a message no end is a good one. */
	exec_verdict_stream(&v, "brew", &(struct child_exit){ CHILD_EXITED, 0 },
	    &silent);
	assert_int_equal(v.outcome, OUTCOME_RETRY);
	assert_string_equal(v.class, "exec.exit.0");
	assert_string_equal(v.error, "ended without an answer");
	exec_verdict_stream(&v, "brew",
	    &(struct child_exit){ CHILD_SIGNALED, 11 }, &silent);
	assert_string_equal(v.class, "exec.signal.11");
	assert_string_equal(v.error, "ended by signal 11 (Segmentation fault)");
	/* A real-time one, which has no name. */
	exec_verdict_once(&v, "brew",
	    &(struct child_exit){ CHILD_SIGNALED, 40 }, &silent);
	assert_string_equal(v.class, "exec.signal.40");
	assert_string_equal(v.error, "ended by signal 40 (?)");
	exec_verdict_once(&v, "brew",
	    &(struct child_exit){ CHILD_NOT_STARTED, ENOENT }, &silent);
	assert_int_equal(v.outcome, OUTCOME_RETRY);
	assert_string_equal(v.class, "exec.start");
	assert_string_equal(v.error, "brew: No such file or directory");
	exec_verdict_timeout(&v, 1500, &silent);
	assert_string_equal(v.class, "exec.timeout");
	assert_string_equal(v.error, "not done in 1.5s, killed");
	exec_verdict_timeout(&v, 1500, &said);
	assert_string_equal(v.error, "said");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_the_last_line),
		cmocka_unit_test(keeps_the_end),
		cmocka_unit_test(names_what_happened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
