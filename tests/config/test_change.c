/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Two configurations compared, as a reload does. */
#include "tests/config/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/conf_change.h"
#include "config/conf_table.h"
#include "lib/xalloc.h"

/* Every list and map of names in it has an element. */
static const char everything[] =
    "broker:\n"
    "  nodes: [amqp://a:1, amqp://b:2]\n"
    "  trusted_users: [t]\n"
    "downstreams:\n"
    "  d:\n"
    "    http:\n"
    "      url: http://h/\n"
    "      headers: {A: b}\n"
    "      forward_headers: [c]\n"
    "    probe: {tcp: {address: h:1}}\n"
    "  e: {exec: {command: [x]}, probe: {exec: {command: [y]}}}\n"
    "pipelines:\n"
    "  p:\n"
    "    queue: {name: q, declare: {type: quorum}}\n"
    "    downstream: d\n"
    "    retry: {rules: [{class: http, attempts: 3}]}\n"
    "    redrive:\n"
    "      when: [{every: 1h}]\n"
    "      only: {reason: [rejected], class: [c], id: [i],\n"
    "          header: {k: v}}\n"
    "    dead_letter: {queue: dq, parked: pq, archive: aq}\n"
    "redrive: {listen: none}\n";

/* What only the second downstream has. */
static bool
is_of_command(const char *path)
{
	static const char *const keys[] = { "downstreams.*.exec",
		"downstreams.*.probe.exec" };

	for (size_t i = 0; i < array_len(keys); i++) {
		if (strncmp(path, keys[i], strlen(keys[i])) == 0)
			return true;
	}
	return false;
}

static char *
element_of(struct conf *conf, const char *path, char *element)
{
	const struct conf_key *row = NULL;
	size_t count;
	char *items;

	for (const char *at = path; *at != '\0'; at++) {
		char *prefix;

		if (strncmp(at, ".*", 2) != 0 && strncmp(at, "[]", 2) != 0)
			continue;
		/* Its own last name is a row beside the others. */
		prefix = xstrndup(path, (size_t)(at - path));
		row = conf_table_row(prefix);
		free(prefix);
		assert_non_null(row);
		memcpy(&items, element + row->offset, sizeof(items));
		memcpy(&count, element + row->offset + sizeof(items),
		    sizeof(count));
		/* The second downstream is a command. */
		if (row->type == CONF_TYPE_NAMED && is_of_command(path) &&
		    element == (char *)conf)
			items += row->size;
		if (count == 0)
			fail_msg("the test has no element for %s", path);
		element = items;
	}
	return element;
}

/* How much of it put_another touches, from its offset on. */
static size_t
size_of(const struct conf_key *key)
{
	switch (key->type) {
	case CONF_TYPE_TEXT:
	case CONF_TYPE_PATH:
	case CONF_TYPE_ANY:
	case CONF_TYPE_LINK:
		return sizeof(void *);
	case CONF_TYPE_SECRET:
		return sizeof(struct conf_secret);
	case CONF_TYPE_NAMED:
	case CONF_TYPE_LIST:
		return sizeof(void *) + sizeof(size_t);
	case CONF_TYPE_NODE:
		return sizeof(struct conf_node);
	case CONF_TYPE_ADDRESS:
		return sizeof(struct conf_address);
	case CONF_TYPE_LISTEN:
		return sizeof(struct conf_listen);
	default:
		return 1;
	}
}

/* Writes another value there. */
static void
put_another(const struct conf_key *key, char *at)
{
	static const struct conf_downstream another = { .name = "another" };
	static const char *const text = "another";
	const void *link = &another;
	size_t count;

	switch (key->type) {
	case CONF_TYPE_TEXT:
	case CONF_TYPE_PATH:
	case CONF_TYPE_ANY:
		memcpy(at, &text, sizeof(text));
		break;
	case CONF_TYPE_SECRET:
		memcpy(at + offsetof(struct conf_secret, env), &text,
		    sizeof(text));
		break;
	case CONF_TYPE_LINK:
		memcpy(at, &link, sizeof(link));
		break;
	case CONF_TYPE_NAMED:
	case CONF_TYPE_LIST:
		memcpy(&count, at + sizeof(void *), sizeof(count));
		count = count > 0 ? count - 1 : 1;
		memcpy(at + sizeof(void *), &count, sizeof(count));
		break;
	case CONF_TYPE_NODE:
		at[offsetof(struct conf_node, port)] ^= 1;
		break;
	case CONF_TYPE_ADDRESS:
		at[offsetof(struct conf_address, port)] ^= 1;
		break;
	case CONF_TYPE_LISTEN:
		at[offsetof(struct conf_listen, port)] ^= 1;
		break;
	default:
		at[0] ^= 1;
	}
}

static bool
is_below(const struct conf_key *key, const char *section)
{
	return strncmp(key->path, section, strlen(section)) == 0;
}

static void
check_key(const struct conf_key *key, struct conf *from, struct conf *to)
{
	struct conf_errors errors = { 0 };
	char *at = element_of(to, key->path, (char *)to) + key->offset;
	size_t i = is_of_command(key->path) ? 1 : 0;
	char before[sizeof(struct conf_listen)];
	size_t size = size_of(key);

	memcpy(before, at, size);
	put_another(key, at);
	conf_change_refused(from, to,
	    is_below(key, "redrive") ? CONF_ROLE_REDRIVE : CONF_ROLE_CONSUMER,
	    &errors);
	if ((errors.count == 0) != conf_table_live(key))
		fail_msg("%s: %s", key->path,
		    errors.count == 0 ? "nobody sees that it has changed"
				      : "may change, and is refused");
	if (is_below(key, "downstreams.*") &&
	    !conf_change_downstream(&from->downstreams[i], &to->downstreams[i]))
		fail_msg("%s: the downstream is the same", key->path);
	if (is_below(key, "pipelines.*") &&
	    !conf_change_pipeline(&from->pipelines[0], &to->pipelines[0]))
		fail_msg("%s: the pipeline is the same", key->path);
	memcpy(at, before, size);
	conf_errors_clear(&errors);
}

static void
each_key_is_compared_or_live(void **state)
{
	struct conf *from = support_parse(everything);
	struct conf *to = support_parse(everything);
	struct conf_errors errors = { 0 };
	unsigned checked = 0;

	(void)state;
	for (const struct conf_key *key = conf_table + 1;
	     key < conf_table + conf_table_len; key++) {
		if (key->type == CONF_TYPE_MAP)
			continue;
		check_key(key, from, to);
		checked++;
	}
	assert_true(checked > 100);
	/* And all is as it was. */
	conf_change_refused(from, to, CONF_ROLE_CONSUMER, &errors);
	assert_int_equal(errors.count, 0);
	for (size_t i = 0; i < 2; i++)
		assert_false(conf_change_downstream(&from->downstreams[i],
		    &to->downstreams[i]));
	assert_false(
	    conf_change_pipeline(&from->pipelines[0], &to->pipelines[0]));
	conf_errors_clear(&errors);
	conf_free(from);
	conf_free(to);
}

/* What a reload from one text to the other is refused for. */
static void
refused(const char *before, const char *after, struct buf *out)
{
	struct conf *from = support_parse(before), *to = support_parse(after);
	struct conf_errors errors = { 0 };

	conf_change_refused(from, to, CONF_ROLE_CONSUMER, &errors);
	support_show(&errors, out);
	conf_errors_clear(&errors);
	conf_free(from);
	conf_free(to);
}

static void
what_needs_a_restart_is_named_with_its_line(void **state)
{
	struct buf out = { 0 };

	(void)state;
	refused("broker: {vhost: a}\n" SUPPORT_REST,
	    "broker:\n  vhost: b\n"
	    "topology: {prefix: x}\n"
	    "downstreams: {d: {noop: {}}}\n"
	    "pipelines:\n"
	    "  p:\n"
	    "    queue: other\n"
	    "    downstream: d\n"
	    "consumer: {listen: none}\n",
	    &out);
	assert_string_equal(buf_str(&out),
	    "2:10: broker.vhost: has changed, which needs a restart\n"
	    "3:20: topology.prefix: has changed, which needs a restart\n"
	    "7:12: pipelines.p.queue: has changed, which needs a restart\n"
	    "9:20: consumer.listen: has changed, which needs a restart\n");
	buf_clear(&out);
}

static void
what_is_no_longer_given_has_the_line_of_what_it_was_in(void **state)
{
	struct buf out = { 0 };

	(void)state;
	refused("broker: {vhost: a, user: u}\n" SUPPORT_REST,
	    "broker:\n  user: u\n" SUPPORT_REST, &out);
	assert_string_equal(buf_str(&out),
	    "1:1: broker.vhost: has changed, which needs a restart\n");
	buf_clear(&out);
}

static void
an_empty_map_counts_where_it_says_something(void **state)
{
	static const char plain[] =
	    "downstreams: {d: {noop: {}}}\n"
	    "pipelines: {p: {queue: {name: q}, downstream: d}}\n";
	static const char declared[] =
	    "downstreams: {d: {noop: {}}}\n"
	    "pipelines: {p: {queue: {name: q, declare: {}}, "
	    "downstream: d}}\n";
	struct buf out = { 0 };

	(void)state;
	refused(plain, declared, &out);
	assert_non_null(strstr(buf_str(&out), "pipelines.p.queue.declare: "));
	buf_reset(&out);
	refused("consumer: {broker: {user: u, password: x}}\n" SUPPORT_REST,
	    "consumer: {broker: {user: u, password: x, tls: "
	    "{}}}\n" SUPPORT_REST,
	    &out);
	assert_non_null(strstr(buf_str(&out), "consumer.broker.tls: "));
	buf_clear(&out);
}

static void
an_ordered_prefetch_only_grows(void **state)
{
	static const char *const texts[] = {
		"downstreams: {d: {noop: {}}}\n"
		"pipelines: {p: {queue: q, downstream: d, order: strict, "
		"retry: {attempts: 1}, prefetch: 20}}\n",
		"downstreams: {d: {noop: {}}}\n"
		"pipelines: {p: {queue: q, downstream: d, order: strict, "
		"retry: {attempts: 1}, prefetch: 19}}\n",
		"downstreams: {d: {noop: {}}}\n"
		"pipelines: {p: {queue: q, downstream: d, prefetch: 20}}\n",
		"downstreams: {d: {noop: {}}}\n"
		"pipelines: {p: {queue: q, downstream: d, prefetch: 19}}\n",
	};
	struct buf out = { 0 };

	(void)state;
	refused(texts[0], texts[1], &out);
	assert_string_equal(buf_str(&out),
	    "2:89: pipelines.p.prefetch: has changed, which needs a "
	    "restart\n");
	buf_reset(&out);
	refused(texts[1], texts[0], &out);
	refused(texts[2], texts[3], &out);
	assert_int_equal(out.len, 0);
	buf_clear(&out);
}

static void
pipelines_and_downstreams_come_and_go(void **state)
{
	struct buf out = { 0 };

	(void)state;
	refused("downstreams: {d: {noop: {}}, e: {noop: {}}}\n"
		"pipelines: {p: {queue: q, downstream: d}}\n",
	    "downstreams: {f: {noop: {}}, d: {exec: {command: [x]}}}\n"
	    "pipelines: {o: {queue: q, downstream: d}}\n",
	    &out);
	assert_string_equal(buf_str(&out), "");
	buf_clear(&out);
}

static void
what_is_the_other_daemons_does_not_count(void **state)
{
	struct buf out = { 0 };

	(void)state;
	refused(SUPPORT_REST,
	    "redrive: {listen: \"127.0.0.1:1\"}\n" SUPPORT_REST, &out);
	assert_string_equal(buf_str(&out), "");
	buf_clear(&out);
}

static void
write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/* Reads `text`, where %1$s is the file's path, before and after it changed. */
static void
rotate(const char *fmt, const char *one, const char *other,
    struct conf **before, struct conf **after)
{
	char path[] = "/tmp/dlo-test-XXXXXX";
	int fd = mkstemp(path);
	char *text;

	assert_true(fd != -1);
	close(fd);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	text = xasprintf(fmt, path);
#pragma GCC diagnostic pop
	write_text(path, one);
	*before = support_parse(text);
	write_text(path, other);
	*after = support_parse(text);
	free(text);
	unlink(path);
}

static void
another_value_of_a_header_changes_the_downstream(void **state)
{
	static const char text[] =
	    "downstreams: {d: {http: {url: http://h/, "
	    "headers: {A: {file: %s}}}}}\n"
	    "pipelines: {p: {queue: q, downstream: d}}\n";
	struct conf *a, *b;

	(void)state;
	rotate(text, "one", "other", &a, &b);
	assert_true(conf_change_downstream(a->downstreams, b->downstreams));
	assert_false(conf_change_pipeline(a->pipelines, b->pipelines));
	conf_free(a);
	conf_free(b);
	rotate(text, "one", "one", &a, &b);
	conf_free(a);
	conf_free(b);
}

static void
a_renewed_certificate_changes_the_downstream(void **state)
{
	static const char text[] =
	    "downstreams: {d: {http: {url: https://h/, ca: %s}}}\n"
	    "pipelines: {p: {queue: q, downstream: d}}\n";
	struct conf *a, *b;

	(void)state;
	rotate(text, "-----BEGIN A", "-----BEGIN B", &a, &b);
	assert_true(conf_change_downstream(a->downstreams, b->downstreams));
	conf_free(a);
	conf_free(b);
	rotate(text, "-----BEGIN A", "-----BEGIN A", &a, &b);
	assert_false(strcmp(a->downstreams->http.pem_digest,
			 b->downstreams->http.pem_digest) != 0);
	conf_free(a);
	conf_free(b);
}

static void
a_password_file_is_known_by_its_name(void **state)
{
	struct conf_errors errors = { 0 };
	struct conf *a, *b;

	(void)state;
	rotate("broker: {password: {file: %s}}\n" SUPPORT_REST, "one", "other",
	    &a, &b);
	conf_change_refused(a, b, CONF_ROLE_CONSUMER, &errors);
	assert_int_equal(errors.count, 0);
	conf_errors_clear(&errors);
	conf_free(a);
	conf_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_key_is_compared_or_live),
		cmocka_unit_test(what_needs_a_restart_is_named_with_its_line),
		cmocka_unit_test(
		    what_is_no_longer_given_has_the_line_of_what_it_was_in),
		cmocka_unit_test(an_empty_map_counts_where_it_says_something),
		cmocka_unit_test(an_ordered_prefetch_only_grows),
		cmocka_unit_test(pipelines_and_downstreams_come_and_go),
		cmocka_unit_test(what_is_the_other_daemons_does_not_count),
		cmocka_unit_test(
		    another_value_of_a_header_changes_the_downstream),
		cmocka_unit_test(a_renewed_certificate_changes_the_downstream),
		cmocka_unit_test(a_password_file_is_known_by_its_name),
	};

	return cmocka_run_group_tests(tests, support_setup, NULL);
}
