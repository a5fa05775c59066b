/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The command line of dlo. */
#include "ctl/verbs.h"

#include <stdlib.h>

#include "tests/unit.h"

#define WORDS_MAX 32

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
		verbs_clear(&line);
	}
}

/* The filter that the options make, as POST /v1/jobs takes it. */
static void
filters_are_gathered(void **state)
{
	static const char *const words[] = { "dlo", "redrive", "orders",
		"--reason", "deadline", "--reason=rejected", "--class", "http",
		"--error", "row", "--older-than", "90s", "--header", "a=b=c",
		"--header", "d=", "--redrives-above", "0", "--rate", "7",
		"--canary", "0", "--wait", "--force" };
	static const char want[] = "{\"class\":[\"http\"],\"error\":\"row\","
				   "\"header\":{\"a\":\"b=c\",\"d\":\"\"},"
				   "\"older_than\":\"90s\","
				   "\"reason\":[\"deadline\",\"rejected\"],"
				   "\"redrives_above\":0}";
	struct verbs_line line;
	char *text;

	(void)state;
	assert_int_equal(parse(&line, words, array_len(words)), -1);
	assert_string_equal(line.verb->name, "redrive");
	assert_string_equal(line.call.words[0], "orders");
	text = json_dumps(line.call.filter, JSON_COMPACT | JSON_SORT_KEYS);
	assert_string_equal(text, want);
	assert_int_equal(line.call.rate, 7);
	assert_int_equal(line.call.canary, 0);
	assert_int_equal(line.call.max, -1);
	assert_true(line.call.wait && line.call.force);
	free(text);
	verbs_clear(&line);
}

static void
words_are_counted(void **state)
{
	static const char *const cases[][WORDS_MAX] = {
		{ "dlo", "redrive" },
		{ "dlo", "redrive", "orders", "payments" },
		{ "dlo", "feature", "redrive" },
		{ "dlo", "feature", "redrive", "on", "off" },
		{ "dlo", "status", "orders" },
		{ "dlo", "peek", "orders", "--limit", "0" },
		{ "dlo", "peek", "orders", "--id", "" },
		{ "dlo", "peek", "orders", "--id", "\xff" },
		{ "dlo", "peek", "orders", "--header", "=x" },
		{ "dlo", "peek", "orders", "--older-than", "soon" },
		{ "dlo", "redrive", "orders", "--rate", "0" },
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct verbs_line line;
		size_t count = 0;

		while (count < WORDS_MAX && cases[i][count] != NULL)
			count++;
		assert_int_equal(parse(&line, cases[i], count), CLI_USAGE);
		verbs_clear(&line);
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
	verbs_clear(&line);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(understands),
		cmocka_unit_test(options_may_stand_anywhere),
		cmocka_unit_test(filters_are_gathered),
		cmocka_unit_test(words_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
