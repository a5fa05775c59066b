/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What people read about keys, against the table: the full sample has every
 * key that works, with its default, and nothing else; so has dlo.yaml(5),
 * whose list of keys is made here. After a change of the table
 *
 *	tests/config/test_docs --man
 *
 * prints that list, for the page between the two lines that say so.
 */
#include "tests/config/support.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/conf_parse.h"
#include "config/conf_scalar.h"
#include "config/conf_table.h"
#include "config/conf_value.h"
#include "lib/xalloc.h"

#define FULL	"config/dlo.full.yaml"
#define MINIMAL "config/dlo.minimal.yaml"
#define PAGE	"man/dlo.yaml.5"
#define START	".\\\" The keys, from the table\n"
#define END	".\\\" End of the keys\n"

/* The sample with all that is switched off switched on. */
static struct buf opened;
static struct conf_pool *pool;
static struct conf_tree *as_it_is, *with_all;

/* Whether the line sets a key: its indent and the length of the key. */
static bool
is_setting(const char *line, size_t *indent, size_t *len, bool *off)
{
	*indent = strspn(line, " ");
	*off = line[*indent] == '#';
	line += *indent + *off;
	*len = strspn(line,
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-");
	return *len > 0 && line[*len] == ':';
}

/*
 * Takes the # from settings that are off. Where one that is on stands right
 * before, as the other way to say it, that one goes.
 */
static void
open_settings(const struct buf *sample, struct buf *out)
{
	const char *at = (const char *)buf_peek(sample);
	const char *end = at + sample->len, *key = "";
	size_t len, indent, key_len, before = 0, last = 0, last_len = 0;
	bool off, setting;

	for (; at < end; at += len) {
		len = strcspn(at, "\n") + 1;
		setting = is_setting(at, &indent, &key_len, &off);
		if (setting && off) {
			if (last == indent && last_len == key_len &&
			    strncmp(key, at + indent + 1, key_len) == 0)
				out->len = before;
			buf_add(out, at, indent);
			buf_add(out, at + indent + 1, len - indent - 1);
		} else if (setting || at[indent] != '#') {
			before = out->len;
			buf_add(out, at, len);
		}
		if (setting) {
			last = indent;
			last_len = key_len;
			key = at + indent + off;
		}
	}
}

static int
setup(void **state)
{
	struct conf_errors errors = { 0 };
	struct buf sample = { 0 };

	support_read(FULL, &sample);
	open_settings(&sample, &opened);
	pool = conf_pool_new();
	as_it_is = conf_tree_read(buf_str(&sample), sample.len, pool, &errors);
	with_all = conf_tree_read(buf_str(&opened), opened.len, pool, &errors);
	buf_clear(&sample);
	if (errors.count > 0 || as_it_is == NULL || with_all == NULL) {
		conf_errors_print(&errors, stderr);
		return -1;
	}
	return support_setup(state);
}

static int
teardown(void **state)
{
	(void)state;
	conf_pool_free(pool);
	buf_clear(&opened);
	return 0;
}

/* Calls `see` for each node at a path of the table; how many there were. */
static unsigned
at_path(const struct conf_tree *node, const char *path,
    void (*see)(const struct conf_key *, const struct conf_tree *),
    const struct conf_key *key)
{
	const struct conf_tree *child;
	size_t len = strcspn(path, ".[");
	unsigned count = 0;

	if (*path == '\0') {
		see(key, node);
		return 1;
	}
	if (*path == '[') {
		len = 2;
		if (node->kind != CONF_TREE_LIST)
			return 0;
	} else if (node->kind != CONF_TREE_MAP) {
		return 0;
	}
	for (child = node->first; child != NULL; child = child->next)
		if (*path == '*' || *path == '[' ||
		    (strlen(child->key) == len &&
			strncmp(child->key, path, len) == 0))
			count += at_path(child, path + len + (path[len] == '.'),
			    see, key);
	return count;
}

static void
see_anything(const struct conf_key *key, const struct conf_tree *node)
{
	(void)key;
	(void)node;
}

/* The node as the table writes defaults: [a, b] {k: v} */
static void
show_flow(const struct conf_tree *node, struct buf *out)
{
	const struct conf_tree *child;
	bool list = node->kind == CONF_TREE_LIST;

	if (node->kind == CONF_TREE_SCALAR) {
		buf_add_str(out, node->text);
		return;
	}
	buf_add_str(out, list ? "[" : "{");
	for (child = node->first; child != NULL; child = child->next) {
		if (child != node->first)
			buf_add_str(out, ", ");
		if (!list)
			buf_printf(out, "%s: ", child->key);
		show_flow(child, out);
	}
	buf_add_str(out, list ? "]" : "}");
}

static void
see_default(const struct conf_key *key, const struct conf_tree *node)
{
	struct buf flow = { 0 };

	show_flow(node, &flow);
	if (strcmp(buf_str(&flow), key->def) != 0)
		fail_msg("%s, line %u: %s is %s, its default is %s", FULL,
		    node->line, key->path, buf_str(&flow), key->def);
	buf_clear(&flow);
}

/* Elements are told with their list; a variable once, with the broker's. */
static bool
is_told_elsewhere(const struct conf_key *key)
{
	return key->doc == NULL ||
	    (strcmp(conf_table_name(key), "env") == 0 &&
		strcmp(key->path, "broker.password.env") != 0);
}

static void
the_full_sample_has_every_key(void **state)
{
	const struct conf_key *key = conf_table + 1;

	(void)state;
	for (; key < conf_table + conf_table_len; key++) {
		if (is_told_elsewhere(key))
			continue;
		if (at_path(as_it_is, key->path, see_anything, key) == 0 &&
		    at_path(with_all, key->path, see_anything, key) == 0)
			fail_msg("%s has no %s", FULL, key->path);
	}
}

static void
the_full_sample_shows_the_defaults(void **state)
{
	const struct conf_key *key = conf_table + 1;

	(void)state;
	for (; key < conf_table + conf_table_len; key++)
		if (key->def != NULL &&
		    at_path(as_it_is, key->path, see_default, key) == 0 &&
		    at_path(with_all, key->path, see_default, key) == 0)
			fail_msg("%s shows no default of %s", FULL, key->path);
}

static void
check_known(const struct conf_key *key, const struct conf_tree *node)
{
	const struct conf_key *row;
	const struct conf_tree *child;

	if (key->type == CONF_TYPE_ANY)
		return;
	for (child = node->first; child != NULL; child = child->next) {
		row = key->type == CONF_TYPE_NAMED || child->key == NULL
		    ? conf_table_below(key, NULL)
		    : conf_table_find(key, child->key);
		if (row != NULL)
			check_known(row, child);
		else
			fail_msg("%s, line %u: unknown key %s", FULL,
			    child->line, child->key);
	}
}

static void
the_full_sample_has_no_other_keys(void **state)
{
	(void)state;
	check_known(conf_table, as_it_is);
	check_known(conf_table, with_all);
}

static void
the_samples_load(void **state)
{
	static const char *const names[] = { FULL, MINIMAL };
	struct conf_errors errors = { 0 };
	struct conf *conf;
	char *path;
	size_t i;

	(void)state;
	for (i = 0; i < array_len(names); i++) {
		path = support_path(names[i]);
		conf = conf_load(path, SUPPORT_ROLES, &errors);
		if (conf == NULL)
			conf_errors_print(&errors, stderr);
		assert_non_null(conf);
		conf_errors_clear(&errors);
		conf_free(conf);
		free(path);
	}
}

static void
show_number(const struct conf_key *key, double number, struct buf *out)
{
	char text[CONF_SCALAR_SPACE];

	if (key->type == CONF_TYPE_DURATION)
		conf_scalar_show_duration(text, (int64_t)number);
	else if (key->type == CONF_TYPE_SIZE)
		conf_scalar_show_size(text, (int64_t)number);
	else
		conf_scalar_show_number(text, number);
	buf_add_str(out, text);
}

/* What may stand there: "duration, 1s to 1h". */
static void
show_type(const struct conf_key *key, struct buf *out)
{
	const struct conf_word *word;

	switch (key->type) {
	case CONF_TYPE_WORD:
		for (word = key->words; word->text != NULL; word++)
			buf_printf(out, "%s%s", word == key->words ? "" : " | ",
			    word->text);
		return;
	case CONF_TYPE_COUNT:
		buf_add_str(out, "whole number, ");
		break;
	case CONF_TYPE_NUMBER:
		buf_add_str(out, "number, ");
		break;
	case CONF_TYPE_DURATION:
		buf_add_str(out, "duration, ");
		break;
	case CONF_TYPE_SIZE:
		buf_add_str(out, "size, ");
		break;
	case CONF_TYPE_NAMED:
	case CONF_TYPE_MAP:
		buf_add_str(out, "map");
		return;
	case CONF_TYPE_LIST:
		buf_add_str(out, "list");
		return;
	default:
		buf_add_str(out, conf_value_noun(key));
		return;
	}
	show_number(key, key->min, out);
	if (key->max > key->min) {
		buf_add_str(out, " to ");
		show_number(key, key->max, out);
	}
}

static void
show_key(const struct conf_key *key, struct buf *out)
{
	buf_printf(out, ".It Cm %s\n", key->path);
	if (key->type == CONF_TYPE_MAP) {
		buf_printf(out, "%s\n", key->doc);
		return;
	}
	buf_add_str(out, "(");
	show_type(key, out);
	if ((key->flags & CONF_REQUIRED) != 0)
		buf_add_str(out, "; required");
	if (key->def != NULL)
		buf_printf(out, "; default %s", key->def);
	if (key->derived != NULL)
		buf_printf(out, "; default: %s", key->derived);
	if (!conf_table_live(key))
		buf_add_str(out, "; restart");
	buf_printf(out, ")\n%s\n", key->doc);
}

/* The list of keys for the manual page. */
static void
show_keys(struct buf *out)
{
	const struct conf_key *key = conf_table + 1;

	for (; key < conf_table + conf_table_len; key++)
		if (key->doc != NULL)
			show_key(key, out);
}

static void
the_manual_has_the_table(void **state)
{
	struct buf page = { 0 }, keys = { 0 };
	const char *start, *end;

	(void)state;
	support_read(PAGE, &page);
	show_keys(&keys);
	start = strstr(buf_str(&page), START);
	assert_non_null(start);
	start += strlen(START);
	end = strstr(start, END);
	assert_non_null(end);
	if ((size_t)(end - start) != keys.len ||
	    memcmp(start, buf_peek(&keys), keys.len) != 0)
		fail_msg("%s: the keys are not those of the table; see "
			 "tests/config/test_docs --man",
		    PAGE);
	buf_clear(&page);
	buf_clear(&keys);
}

static void
every_row_says_what_it_is(void **state)
{
	const struct conf_key *key = conf_table + 1;

	(void)state;
	for (; key < conf_table + conf_table_len; key++) {
		bool element = strchr("*[", conf_table_name(key)[0]) != NULL;

		if (key->doc == NULL && !element)
			fail_msg("%s has no doc line", key->path);
		if (key->doc != NULL &&
		    (key->doc[0] == '.' || key->doc[0] == '\'' ||
			strchr(key->doc, '\\') != NULL))
			fail_msg("the doc line of %s would mean something to "
				 "roff",
			    key->path);
	}
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_full_sample_has_every_key),
		cmocka_unit_test(the_full_sample_shows_the_defaults),
		cmocka_unit_test(the_full_sample_has_no_other_keys),
		cmocka_unit_test(the_samples_load),
		cmocka_unit_test(the_manual_has_the_table),
		cmocka_unit_test(every_row_says_what_it_is),
	};
	struct buf keys = { 0 };

	if (argc > 1 && strcmp(argv[1], "--man") == 0) {
		show_keys(&keys);
		fputs(buf_str(&keys), stdout);
		buf_clear(&keys);
		return 0;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
