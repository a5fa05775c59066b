/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/cli.h"

struct own {
	bool once;
	const char *pipelines[4];
	size_t pipeline_count;
};

static const char *
take_once(void *arg, const char *value)
{
	assert_null(value);
	((struct own *)arg)->once = true;
	return NULL;
}

static const char *
take_pipeline(void *arg, const char *value)
{
	struct own *own = arg;

	if (strcmp(value, "bad") == 0)
		return "there is no such pipeline";
	own->pipelines[own->pipeline_count++] = value;
	return NULL;
}

static const struct cli_option options[] = {
	{ "once", 0, NULL, "run one redrive and exit", take_once },
	{ "pipeline", 'P', "NAME", "only this one", take_pipeline },
};
static struct own own;
static const struct cli_program program = {
	.name = "prog",
	.summary = "Does what it is told.",
	.usage = "[-c FILE]\n--once",
	.options = options,
	.option_count = array_len(options),
	.arg = &own,
};

/* Parses with what goes to `stream` caught in `said`. */
static int
parse(struct cli *cli, FILE *stream, char *said, size_t space,
    char *const *args)
{
	FILE *caught = tmpfile();
	int saved = dup(fileno(stream)), argc = 0, code;
	size_t len;

	while (args[argc] != NULL)
		argc++;
	memset(&own, 0, sizeof(own));
	assert_non_null(caught);
	(void)fflush(stream);
	assert_true(dup2(fileno(caught), fileno(stream)) >= 0);
	code = cli_parse(&program, cli, argc, args);
	(void)fflush(stream);
	assert_true(dup2(saved, fileno(stream)) >= 0);
	(void)close(saved);
	rewind(caught);
	len = fread(said, 1, space - 1, caught);
	said[len] = '\0';
	(void)fclose(caught);
	return code;
}

#define ARGS(...) \
	(char *const[]) \
	{ \
		(char[]){ "prog" }, __VA_ARGS__, NULL \
	}
#define A(text) ((char[]){ text })

static void
reads_all_forms(void **state)
{
	struct cli cli;
	char said[256];

	(void)state;
	assert_int_equal(parse(&cli, stderr, said, sizeof(said),
			     ARGS(A("-tvc"), A("file"), A("--listen=none"),
				 A("--once"), A("-Pa"), A("--pipeline"), A("b"),
				 A("--pipeline=c"))),
	    -1);
	assert_string_equal(said, "");
	assert_true(cli.check && cli.verbose && own.once);
	assert_string_equal(cli.config, "file");
	assert_string_equal(cli.listen, "none");
	assert_int_equal(own.pipeline_count, 3);
	assert_string_equal(own.pipelines[0], "a");
	assert_string_equal(own.pipelines[1], "b");
	assert_string_equal(own.pipelines[2], "c");
}

static void
nothing_is_asked_for(void **state)
{
	struct cli cli;
	char said[256];

	(void)state;
	assert_int_equal(parse(&cli, stderr, said, sizeof(said),
			     (char *const[]){ A("prog"), NULL }),
	    -1);
	assert_false(cli.check || cli.verbose);
	assert_null(cli.config);
	assert_null(cli.listen);
}

static void
help_and_version_go_to_stdout(void **state)
{
	static const char *const parts[] = {
		"usage: prog [-c FILE]\n       prog --once\n",
		"Does what it is told.\n",
		"      --once ",
		"  -P, --pipeline NAME ",
		"  -c, --config FILE ",
		"dlo.yaml",
		"      --listen ADDR|none ",
	};
	struct cli cli;
	char said[4096], *path;

	(void)state;
	assert_int_equal(parse(&cli, stdout, said, sizeof(said),
			     ARGS(A("--help"), A("--nonsense"))),
	    CLI_OK);
	for (size_t i = 0; i < array_len(parts); i++)
		if (strstr(said, parts[i]) == NULL)
			fail_msg("no `%s` in:\n%s", parts[i], said);
	/* How long that path is, whoever configures decides. */
	path = strstr(said, SYSCONFDIR);
	assert_non_null(path);
	memmove(path, path + strlen(SYSCONFDIR),
	    strlen(path + strlen(SYSCONFDIR)) + 1);
	for (const char *line = said; *line != '\0';
	     line = strchr(line, '\n') + 1)
		assert_true(strcspn(line, "\n") <= 80);
	assert_int_equal(parse(&cli, stdout, said, sizeof(said), ARGS(A("-h"))),
	    CLI_OK);
	assert_int_equal(parse(&cli, stdout, said, sizeof(said),
			     ARGS(A("--version"))),
	    CLI_OK);
	assert_true(strncmp(said, "prog ", 5) == 0);
}

static const struct {
	const char *args[3];
	const char *said;
} mistakes[] = {
	{ { "--lisen", "none" },
	    "unknown option --lisen: did you mean --listen?" },
	{ { "--pipline=x" },
	    "unknown option --pipline: did you mean --pipeline?" },
	{ { "--frobnicate" }, "unknown option --frobnicate\n" },
	{ { "--onc" }, "unknown option --onc: did you mean --once?" },
	{ { "-x" }, "unknown option -x" },
	{ { "-tx" }, "unknown option -x" },
	{ { "-c" }, "-c needs a value: FILE" },
	{ { "--config" }, "--config needs a value: FILE" },
	{ { "--config=" }, "--config: a file name is needed" },
	{ { "--check=yes" }, "--check takes no value" },
	{ { "--pipeline", "bad" }, "--pipeline: there is no such pipeline" },
	{ { "stray" }, "unexpected argument: stray" },
	{ { "-" }, "unexpected argument: -" },
	{ { "--" }, "unexpected argument: --" },
	{ { "" }, "unexpected argument: " },
};

static void
mistakes_are_64_with_a_hint(void **state)
{
	struct cli cli;
	char said[1024];

	(void)state;
	for (size_t i = 0; i < array_len(mistakes); i++) {
		char args[3][64] = { "prog", "", "" };
		char *argv[4] = { args[0], args[1], NULL, NULL };

		(void)snprintf(args[1], sizeof(args[1]), "%s",
		    mistakes[i].args[0]);
		if (mistakes[i].args[1] != NULL) {
			(void)snprintf(args[2], sizeof(args[2]), "%s",
			    mistakes[i].args[1]);
			argv[2] = args[2];
		}
		assert_int_equal(parse(&cli, stderr, said, sizeof(said), argv),
		    CLI_USAGE);
		if (strncmp(said, "prog: ", 6) != 0 ||
		    strstr(said, mistakes[i].said) == NULL ||
		    strstr(said, "prog --help") == NULL)
			fail_msg("%s: %s", mistakes[i].args[0], said);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_all_forms),
		cmocka_unit_test(nothing_is_asked_for),
		cmocka_unit_test(help_and_version_go_to_stdout),
		cmocka_unit_test(mistakes_are_64_with_a_hint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
