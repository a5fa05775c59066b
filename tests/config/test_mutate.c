/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The full sample, damaged in every place: whatever comes out, the parser
 * neither crashes nor leaks, and either takes it or says what is wrong with
 * it, at a place that exists. The sanitizers watch.
 */
#include "tests/config/support.h"

#include <stdlib.h>

#include "config/conf_parse.h"
#include "lib/xalloc.h"

static struct buf sample;

static unsigned
count_lines(const char *bytes, size_t len)
{
	unsigned lines = 1;
	size_t i;

	for (i = 0; i < len; i++)
		lines += bytes[i] == '\n';
	return lines;
}

static void
check(const char *bytes, size_t len)
{
	struct conf_errors errors = { 0 };
	struct conf *conf =
	    conf_parse("dlo.yaml", bytes, len, false, SUPPORT_ROLES, &errors);
	/* A carriage return ends a line too. */
	unsigned lines = count_lines(bytes, len) + (unsigned)len;
	size_t i;

	assert_true((conf == NULL) == (errors.count > 0));
	for (i = 0; i < errors.count; i++) {
		assert_in_range(errors.items[i].line, 1, lines);
		assert_in_range(errors.items[i].column, 1, len + 1);
		assert_true(errors.items[i].problem[0] != '\0');
		if (i > 0)
			assert_true(
			    errors.items[i - 1].line <= errors.items[i].line);
	}
	conf_errors_clear(&errors);
	conf_free(conf);
}

static int
setup(void **state)
{
	support_read("config/dlo.full.yaml", &sample);
	return support_setup(state);
}

static int
teardown(void **state)
{
	(void)state;
	buf_clear(&sample);
	return 0;
}

static void
cut_short_everywhere(void **state)
{
	char *copy;
	size_t len;

	(void)state;
	for (len = 0; len < sample.len; len++) {
		/* A copy of that very size, so that an overrun is seen. */
		copy = xmalloc(len + 1);
		memcpy(copy, buf_peek(&sample), len);
		copy = xrealloc(copy, len == 0 ? 1 : len);
		check(copy, len);
		free(copy);
	}
}

/* Each byte once replaced by each of some that mean something to YAML. */
static void
one_byte_wrong_everywhere(void **state)
{
	static const char bytes[] = "\0\n :{[\"&*!\xff";
	char *text = (char *)buf_peek(&sample), kept;
	size_t i;

	(void)state;
	for (i = 0; i < sample.len; i++) {
		kept = text[i];
		text[i] = bytes[i % (sizeof(bytes) - 1)];
		check(text, sample.len);
		text[i] = kept;
	}
}

static void
a_line_gone_or_twice(void **state)
{
	const char *text = (const char *)buf_peek(&sample);
	struct buf copy = { 0 };
	size_t start, len;

	(void)state;
	for (start = 0; start < sample.len; start += len) {
		len = strcspn(text + start, "\n") + 1;
		buf_add(&copy, text, start);
		buf_add(&copy, text + start + len, sample.len - start - len);
		check((const char *)buf_peek(&copy), copy.len);
		buf_reset(&copy);
		buf_add(&copy, text, start + len);
		buf_add(&copy, text + start, sample.len - start);
		check((const char *)buf_peek(&copy), copy.len);
		buf_reset(&copy);
	}
	buf_clear(&copy);
}

/* `head`, then `body` again and again, then `tail`, a mebibyte in all. */
static void
check_bomb(const char *head, const char *body, const char *tail)
{
	struct buf bomb = { 0 };

	buf_add_str(&bomb, head);
	while (bomb.len + strlen(body) + strlen(tail) < 1 << 20)
		buf_add_str(&bomb, body);
	buf_add_str(&bomb, tail);
	check((const char *)buf_peek(&bomb), bomb.len);
	buf_clear(&bomb);
}

static void
bombs_do_not_go_off(void **state)
{
	(void)state;
	check_bomb("", "[", "");
	check_bomb("", "{a: ", "");
	check_bomb("", "- ", "");
	check_bomb("", "? ", "");
	check_bomb("a: &a [x, x]\nb: [", "*a,", "]\n");
	check_bomb("", "a: 1\n", "");
	check_bomb("broker: {nodes: [", "amqp://a,", "]}\n");
	check_bomb("broker: {user: \"", "\\u00e9", "\"}\n" SUPPORT_REST);
	check_bomb("broker: {user: ", "u", "}\n" SUPPORT_REST);
	check_bomb("", "u", ": 1\n" SUPPORT_REST);
	check_bomb("pipelines: {p: {retry: {rules: [", "{class: a},", "]}}}\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_short_everywhere),
		cmocka_unit_test(one_byte_wrong_everywhere),
		cmocka_unit_test(a_line_gone_or_twice),
		cmocka_unit_test(bombs_do_not_go_off),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
