/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Files, their modes, and secrets that stand elsewhere. */
#include "tests/config/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/xalloc.h"

#define CONSUMER CONF_ROLE_CONSUMER
#define REDRIVE	 CONF_ROLE_REDRIVE
#define TOPOLOGY CONF_ROLE_TOPOLOGY

static char folder[] = "/tmp/dlo-test-XXXXXX";

static char *
in_folder(const char *name)
{
	return xasprintf("%s/%s", folder, name);
}

static void
write_file(const char *name, mode_t mode, const char *bytes, size_t len)
{
	char *path = in_folder(name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, mode), 0);
	free(path);
}

static void
write_text(const char *name, mode_t mode, const char *text)
{
	write_file(name, mode, text, strlen(text));
}

static int
setup(void **state)
{
	if (mkdtemp(folder) == NULL)
		return -1;
	return support_setup(state);
}

static int
teardown(void **state)
{
	static const char *const names[] = { "dlo.yaml", "password", "empty",
		"nul", "large", "folder", "fifo" };
	char *path;
	size_t i;

	(void)state;
	for (i = 0; i < array_len(names); i++) {
		path = in_folder(names[i]);
		(void)remove(path);
		free(path);
	}
	return rmdir(folder);
}

/* Loads dlo.yaml; its errors, without the folder, when it is refused. */
static struct conf *
load(unsigned roles, struct buf *problems)
{
	struct conf_errors errors = { 0 };
	char *path = in_folder("dlo.yaml");
	struct conf *conf = conf_load(path, roles, &errors);

	assert_true((conf == NULL) == (errors.count > 0));
	assert_string_equal(errors.path, path);
	support_show(&errors, problems);
	conf_errors_clear(&errors);
	free(path);
	return conf;
}

static void
assert_refused(unsigned roles, const char *fragment)
{
	struct buf problems = { 0 };
	struct conf *conf = load(roles, &problems);

	assert_null(conf);
	if (strstr(buf_str(&problems), fragment) == NULL)
		fail_msg("no \"%s\" in:\n%s", fragment, buf_str(&problems));
	assert_null(strstr(buf_str(&problems), "hunter2"));
	buf_clear(&problems);
}

static struct conf *
assert_loads(unsigned roles)
{
	struct buf problems = { 0 };
	struct conf *conf = load(roles, &problems);

	if (conf == NULL)
		fail_msg("%s", buf_str(&problems));
	buf_clear(&problems);
	return conf;
}

static void
what_cannot_be_read_says_why(void **state)
{
	struct conf_errors errors = { 0 };
	static const char *const paths[] = { "/", "/dev/null", "/nonexistent",
		"/nonexistent/dlo.yaml", "" };
	static const char *const whys[] = { "is a directory",
		"is not a regular file", "No such file or directory",
		"No such file or directory", "No such file or directory" };
	size_t i;

	(void)state;
	for (i = 0; i < array_len(paths); i++) {
		assert_null(conf_load(paths[i], CONSUMER, &errors));
		assert_int_equal(errors.count, 1);
		assert_int_equal(errors.items[0].line, 0);
		assert_non_null(strstr(errors.items[0].problem, whys[i]));
		conf_errors_clear(&errors);
	}
}

static void
a_fifo_does_not_keep_us_waiting(void **state)
{
	struct conf_errors errors = { 0 };
	char *path = in_folder("fifo");

	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_null(conf_load(path, CONSUMER, &errors));
	assert_string_equal(errors.items[0].problem,
	    "cannot be read: is not a regular file");
	conf_errors_clear(&errors);
	free(path);
}

static void
a_file_of_a_gigabyte_is_refused(void **state)
{
	struct conf_errors errors = { 0 };
	char *path = in_folder("large");

	(void)state;
	write_text("large", 0600, "");
	assert_int_equal(truncate(path, 1 << 30), 0);
	assert_null(conf_load(path, CONSUMER, &errors));
	assert_int_equal(errors.count, 1);
	assert_non_null(strstr(errors.items[0].problem, "larger"));
	conf_errors_clear(&errors);
	free(path);
}

static void
a_literal_password_wants_a_private_file(void **state)
{
	static const char text[] = "broker: {password: hunter2}\n" SUPPORT_REST;
	static const mode_t fine[] = { 0600, 0640, 0400 };
	static const mode_t wrong[] = { 0644, 0604, 0444 };
	struct conf *conf;
	size_t i;

	(void)state;
	for (i = 0; i < array_len(fine); i++) {
		write_text("dlo.yaml", fine[i], text);
		conf = assert_loads(CONSUMER);
		assert_string_equal(conf->broker.password.text, "hunter2");
		conf_free(conf);
	}
	for (i = 0; i < array_len(wrong); i++) {
		write_text("dlo.yaml", wrong[i], text);
		assert_refused(CONSUMER,
		    "1:20: broker.password: a password "
		    "here needs a file that others");
	}
	/* One for another role is there for all to read as well. */
	write_text("dlo.yaml", 0644,
	    "redrive: {broker: {password: hunter2}}\n" SUPPORT_REST);
	assert_refused(CONSUMER, "1:30: redrive.broker.password: a password");
}

static void
a_password_file_loses_one_newline(void **state)
{
	static const struct {
		const char *bytes, *text;
	} rows[] = {
		{ "hunter2", "hunter2" },
		{ "hunter2\n", "hunter2" },
		{ "hunter2\r\n", "hunter2" },
		{ "hunter2\n\n", "hunter2\n" },
		{ " hunter2 \n", " hunter2 " },
		{ "\r", "\r" },
	};
	struct conf *conf;
	size_t i;

	(void)state;
	write_text("dlo.yaml", 0644,
	    "broker: {password: {file: password}}\n" SUPPORT_REST);
	for (i = 0; i < array_len(rows); i++) {
		write_text("password", 0600, rows[i].bytes);
		conf = assert_loads(CONSUMER);
		assert_string_equal(conf->broker.password.text, rows[i].text);
		assert_non_null(
		    strstr(conf->broker.password.file, "/password"));
		assert_null(conf->broker.password.env);
		conf_free(conf);
	}
}

static void
a_password_file_must_hold_one(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *why;
	} rows[] = {
		{ "", 0, "is empty" },
		{ "\n", 1, "is empty" },
		{ "\r\n", 2, "is empty" },
		{ "hunter2\0x", 9, "NUL" },
	};
	char *large = xcalloc(1, 70000);
	size_t i;

	(void)state;
	write_text("dlo.yaml", 0644,
	    "broker: {password: {file: password}}\n" SUPPORT_REST);
	for (i = 0; i < array_len(rows); i++) {
		write_file("password", 0600, rows[i].bytes, rows[i].len);
		assert_refused(CONSUMER, rows[i].why);
	}
	memset(large, 'p', 70000);
	write_file("password", 0600, large, 70000);
	assert_refused(CONSUMER, "larger");
	free(large);
}

/* Only root can read what has no mode bits at all. */
static void
an_unreadable_password_file_says_why(void **state)
{
	(void)state;
	write_text("dlo.yaml", 0644,
	    "broker: {password: {file: password}}\n" SUPPORT_REST);
	write_text("password", 0000, "hunter2");
	if (geteuid() == 0) {
		conf_free(assert_loads(CONSUMER));
		return;
	}
	assert_refused(CONSUMER, "password: Permission denied");
}

static void
an_environment_variable_must_be_set(void **state)
{
	struct conf *conf;

	(void)state;
	write_text("dlo.yaml", 0644, SUPPORT_REST);
	unsetenv("DLO_PASSWORD");
	assert_refused(CONSUMER,
	    "1:1: broker.password: environment variable DLO_PASSWORD is not "
	    "set, and this key is not given");
	setenv("DLO_PASSWORD", "", 1);
	assert_refused(CONSUMER, "DLO_PASSWORD is empty");
	setenv("DLO_PASSWORD", "xyzzy", 1);
	conf = assert_loads(CONSUMER);
	assert_string_equal(conf->broker.password.text, "xyzzy");
	conf_free(conf);
}

/* A process must not need what another's user may read. */
static void
secrets_are_read_for_the_asked_roles_only(void **state)
{
	struct conf *conf;

	(void)state;
	write_text("dlo.yaml", 0644,
	    "broker: {password: {file: /nonexistent/base}}\n"
	    "topology:\n"
	    "  declare: false\n"
	    "  broker: {user: t, password: {file: /nonexistent/topology}}\n"
	    "consumer: {broker: {user: c, password: {env: DLO_PASSWORD}}}\n"
	    "redrive: {broker: {user: r, password: {env: DLO_TEST_UNSET}}}\n"
	    "downstreams:\n"
	    "  d: {http: {url: 'http://a', headers: {X: {file: password}}}}\n"
	    "pipelines: {p: {queue: q, downstream: d}}\n");
	write_text("password", 0600, "value\n");
	conf = assert_loads(CONSUMER);
	assert_string_equal(conf->consumer_broker.password.text, "xyzzy");
	assert_null(conf->redrive_broker.password.text);
	assert_string_equal(conf->redrive_broker.password.env,
	    "DLO_TEST_UNSET");
	assert_null(conf->broker.password.text);
	assert_string_equal(conf->downstreams[0].http.headers.items[0].value,
	    "value");
	conf_free(conf);
	conf = assert_loads(0);
	assert_null(conf->consumer_broker.password.text);
	assert_null(conf->downstreams[0].http.headers.items[0].value);
	assert_non_null(conf->downstreams[0].http.headers.items[0].file);
	conf_free(conf);
	assert_refused(REDRIVE, "redrive.broker.password: environment");
	assert_refused(TOPOLOGY, "topology.broker.password: /nonexistent");
}

/* A certificate takes the place of the passwords for AMQP, of no other. */
static void
external_needs_the_other_passwords(void **state)
{
	struct conf *conf;

	(void)state;
	write_text("dlo.yaml", 0644,
	    "broker:\n"
	    "  nodes: [amqps://rabbit]\n"
	    "  mechanism: external\n"
	    "  password: {file: /nonexistent/base}\n"
	    "  tls: {cert: c, key: k}\n"
	    "  management: {url: 'https://rabbit', user: m,\n"
	    "    password: {file: password}}\n"
	    "topology:\n"
	    "  broker: {user: t, password: {file: /none}}\n" SUPPORT_REST);
	write_text("password", 0600, "value\n");
	conf = assert_loads(TOPOLOGY);
	assert_string_equal(conf->topology_broker.management.password.text,
	    "value");
	assert_null(conf->topology_broker.password.text);
	conf_free(conf);
	write_text("password", 0600, "");
	assert_refused(TOPOLOGY, "broker.management.password: ");
	conf_free(assert_loads(CONSUMER));
}

static void
who_declares_needs_the_password_for_it(void **state)
{
	(void)state;
	write_text("dlo.yaml", 0644,
	    "broker: {password: {file: /nonexistent/base}}\n"
	    "consumer: {broker: {user: c, password: {env: "
	    "DLO_PASSWORD}}}\n" SUPPORT_REST);
	assert_refused(CONSUMER, "broker.password: /nonexistent/base: No");
}

static void
a_header_file_must_be_a_header_value(void **state)
{
	(void)state;
	write_text("dlo.yaml", 0644,
	    "downstreams:\n"
	    "  d: {http: {url: 'http://a', headers: {X: {file: password}}}}\n"
	    "pipelines: {p: {queue: q, downstream: d}}\n");
	write_text("password", 0600, "hunter2\r\nX-Other: b\n");
	assert_refused(CONSUMER, "headers.X.file: ");
	assert_refused(CONSUMER, "contains a control character");
}

static void
the_default_path(void **state)
{
	(void)state;
	unsetenv("DLO_CONFIG");
	assert_string_equal(conf_default_path(), SYSCONFDIR "/dlo.yaml");
	setenv("DLO_CONFIG", "", 1);
	assert_string_equal(conf_default_path(), SYSCONFDIR "/dlo.yaml");
	setenv("DLO_CONFIG", "/x.yaml", 1);
	assert_string_equal(conf_default_path(), "/x.yaml");
	unsetenv("DLO_CONFIG");
}

/* What the programs' -t prints, from a file of the descriptor's own. */
static void
errors_are_printed_one_a_line(void **state)
{
	struct conf_errors errors = { 0 };
	char *text = NULL, *path = in_folder("dlo.yaml"), *expected;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	assert_non_null(out);
	write_text("dlo.yaml", 0644,
	    "\"a\\e[31m\\nb\\u009b\": 1\nlog: {level: loud}\n" SUPPORT_REST);
	assert_null(conf_load(path, CONSUMER, &errors));
	conf_errors_print(&errors, out);
	assert_int_equal(fclose(out), 0);
	expected = xasprintf("%s:1:1: a\\x1b[31m\\x0ab\\u009b: unknown key\n"
			     "%s:2:14: log.level: must be one of: error, "
			     "warn, info, debug\n",
	    path, path);
	assert_string_equal(text, expected);
	conf_errors_clear(&errors);
	free(expected);
	free(text);
	free(path);
}

static void
check_main_gives_the_exit_code(void **state)
{
	char *path = in_folder("dlo.yaml");

	(void)state;
	write_text("dlo.yaml", 0644, SUPPORT_REST);
	assert_int_equal(conf_check_main(path, CONSUMER), EX_OK);
	write_text("dlo.yaml", 0644, "");
	assert_int_equal(conf_check_main(path, CONSUMER), EX_CONFIG);
	assert_int_equal(conf_check_main("/nonexistent", CONSUMER), EX_CONFIG);
	free(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_cannot_be_read_says_why),
		cmocka_unit_test(a_fifo_does_not_keep_us_waiting),
		cmocka_unit_test(a_file_of_a_gigabyte_is_refused),
		cmocka_unit_test(a_literal_password_wants_a_private_file),
		cmocka_unit_test(a_password_file_loses_one_newline),
		cmocka_unit_test(a_password_file_must_hold_one),
		cmocka_unit_test(an_unreadable_password_file_says_why),
		cmocka_unit_test(an_environment_variable_must_be_set),
		cmocka_unit_test(secrets_are_read_for_the_asked_roles_only),
		cmocka_unit_test(external_needs_the_other_passwords),
		cmocka_unit_test(who_declares_needs_the_password_for_it),
		cmocka_unit_test(a_header_file_must_be_a_header_value),
		cmocka_unit_test(the_default_path),
		cmocka_unit_test(errors_are_printed_one_a_line),
		cmocka_unit_test(check_main_gives_the_exit_code),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
