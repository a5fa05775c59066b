/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The command line of dlo. */
#include "ctl/verbs.h"

#include "tests/unit.h"

#define WORDS_MAX 8

static int
parse(struct verbs_line *line, const char *const *words, size_t count)
{
	char *argv[WORDS_MAX + 1] = { NULL };

	for (size_t i = 0; i < count; i++)
		argv[i] = (char *)(uintptr_t)words[i];
	return verbs_parse(line, (int)count, argv);
}

static void
understands(void **state)
{
	static const struct {
		const char *words[WORDS_MAX];
		int code;
		const char *verb; /* code -1; NULL: only check */
		bool json, dry_run;
	} cases[] = {
		{ { "dlo", "topology", "plan" }, -1, "plan", false, false },
		{ { "dlo", "-v", "topology", "-cf", "check", "--json" }, -1,
		    "check", true, false },
		{ { "dlo", "topology", "apply", "--dry-run", "-c", "f" }, -1,
		    "apply", false, true },
		{ { "dlo", "-t" }, -1, NULL, false, false },
		{ { "dlo", "--help" }, 0, NULL, false, false },
		{ { "dlo", "--version" }, 0, NULL, false, false },
		{ { "dlo", "topology", "--help" }, 0, NULL, false, false },
		{ { "dlo", "topology", "plan", "--help" }, 0, NULL, false,
		    false },
		{ { "dlo" }, CLI_USAGE, NULL, false, false },
		{ { "dlo", "topolgy" }, CLI_USAGE, NULL, false, false },
		{ { "dlo", "topology" }, CLI_USAGE, NULL, false, false },
		{ { "dlo", "topology", "plna" }, CLI_USAGE, NULL, false,
		    false },
		{ { "dlo", "topology", "plan", "more" }, CLI_USAGE, NULL, false,
		    false },
		{ { "dlo", "topology", "plan", "--dry-run" }, CLI_USAGE, NULL,
		    false, false },
		{ { "dlo", "topology", "-t", "plan" }, CLI_USAGE, NULL, false,
		    false },
		{ { "dlo", "-t", "nonsense" }, CLI_USAGE, NULL, false, false },
		{ { "dlo", "-t", "topology", "plan" }, CLI_USAGE, NULL, false,
		    false },
		{ { "dlo", "--listen", "none", "topology" }, CLI_USAGE, NULL,
		    false, false },
		{ { "dlo", "--json" }, CLI_USAGE, NULL, false, false },
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct verbs_line line;
		size_t count = 0;

		while (cases[i].words[count] != NULL)
			count++;
		assert_int_equal(parse(&line, cases[i].words, count),
		    cases[i].code);
		if (cases[i].verb != NULL)
			assert_string_equal(line.verb->name, cases[i].verb);
		else
			assert_null(line.verb);
		assert_int_equal(line.call.json, cases[i].json);
		assert_int_equal(line.call.dry_run, cases[i].dry_run);
	}
}

static void
options_may_stand_anywhere(void **state)
{
	static const char *const words[] = { "dlo", "-c", "a", "topology", "-c",
		"b", "plan", "-v" };
	struct verbs_line line;

	(void)state;
	assert_int_equal(parse(&line, words, array_len(words)), -1);
	assert_string_equal(line.cli.config, "b");
	assert_true(line.cli.verbose);
	assert_int_equal(line.verb->roles, CONF_ROLE_TOPOLOGY);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(understands),
		cmocka_unit_test(options_may_stand_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
