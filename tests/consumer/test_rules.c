/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/unit.h"

#include <stdlib.h>
#include <string.h>

#include "consumer/rules.h"
#include "lib/buf.h"

#define COLUMNS_MAX 100

static const struct conf_downstream shop = { .name = "shop",
	.kind = CONF_KIND_HTTP };
static const struct conf_downstream nowhere = { .name = "nowhere",
	.kind = CONF_KIND_NOOP };
static const struct conf_rule rules[] = {
	{ "http.409", CONF_THEN_OK, 6, 1000, 300000 },
	{ "http.422", CONF_THEN_RETRY, 6, 1000, 300000 },
	{ "http.429", CONF_THEN_SAME, 20, 10000, 3600000 },
	{ "http.503", CONF_THEN_REJECT, 6, 1000, 300000 },
};

static const struct conf_pipeline pipelines[] = {
	{ .name = "orders",
	    .downstream = &shop,
	    .retry = { .attempts = 6,
		.first_ms = 1000,
		.cap_ms = 300000,
		.rules = rules,
		.rule_count = array_len(rules) } },
	{ .name = "trash",
	    .downstream = &nowhere,
	    .retry = { .attempts = 6, .first_ms = 1000, .cap_ms = 300000 } },
};

static const struct conf conf = {
	.pipelines = pipelines,
	.pipeline_count = array_len(pipelines),
	.features = { .retry = true },
};

static void
shows_rules_in_their_order(void **state)
{
	static const char expected[] =
	    "The first rule that matches the class of an attempt counts; what "
	    "is ok stays ok.\n"
	    "pipeline orders\n"
	    "  rule      class         then      attempts  first  cap\n"
	    "  rules[0]  http.409      ok\n"
	    "  rules[1]  http.422      retry     6         1s     5m\n"
	    "  rules[2]  http.429      as below  20        10s    1h\n"
	    "  rules[3]  http.503      reject\n"
	    "  built in  http.2xx      ok\n"
	    "  built in  http.401      retry     6         1s     5m\n"
	    "  built in  http.403      retry     6         1s     5m\n"
	    "  built in  http.407      retry     6         1s     5m\n"
	    "  built in  http.408      retry     6         1s     5m\n"
	    "  built in  http.425      retry     6         1s     5m\n"
	    "  built in  http.429      retry     6         1s     5m\n"
	    "  built in  http.3xx      reject\n"
	    "  built in  http.4xx      reject\n"
	    "  built in  http.5xx      retry     6         1s     5m\n"
	    "  built in  http.connect  retry     6         1s     5m\n"
	    "  built in  http.dns      retry     6         1s     5m\n"
	    "  built in  http.tls      retry     6         1s     5m\n"
	    "  built in  http.timeout  retry     6         1s     5m\n"
	    "  built in  http.broken   retry     6         1s     5m\n"
	    "  built in  http          retry     6         1s     5m\n"
	    "pipeline trash\n"
	    "  rule      class  then  attempts  first  cap\n"
	    "  built in  noop   ok\n";
	struct buf out = { 0 };

	(void)state;
	rules_show(&conf, &out);
	assert_string_equal(buf_str(&out), expected);
	buf_clear(&out);
}

static void
says_when_nothing_is_retried(void **state)
{
	struct conf without = conf;
	struct buf out = { 0 };

	(void)state;
	without.features.retry = false;
	rules_show(&without, &out);
	assert_non_null(strstr(buf_str(&out), "features.retry is false"));
	buf_clear(&out);
}

/* The largest values, and as many rules as there may be. */
static void
fits_its_columns(void **state)
{
	struct conf_rule *many = calloc(1000, sizeof(*many));
	struct conf_pipeline pipeline = pipelines[0];
	const struct conf wide = { .pipelines = &pipeline,
		.pipeline_count = 1 };
	struct buf out = { 0 };
	char name[64], class[256];
	const char *line;

	(void)state;
	assert_non_null(many);
	memset(name, 'n', 63);
	memset(class, 'c', 255);
	name[63] = class[255] = '\0';
	for (size_t i = 0; i < 1000; i++)
		many[i] = (struct conf_rule){ class, CONF_THEN_SAME, 2147483647,
			INT64_C(49) * 86400000 - 1,
			INT64_C(49) * 86400000 - 1 };
	pipeline.name = name;
	pipeline.retry.rules = many;
	pipeline.retry.rule_count = 1000;
	rules_show(&wide, &out);
	for (line = buf_str(&out); *line != '\0';
	     line = strchr(line, '\n') + 1) {
		size_t len = strcspn(line, "\n");

		assert_true(len <= COLUMNS_MAX);
		assert_int_not_equal(line[len - 1], ' ');
	}
	assert_non_null(strstr(buf_str(&out), "ccc...  as below  2147483647"));
	buf_clear(&out);
	free(many);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shows_rules_in_their_order),
		cmocka_unit_test(says_when_nothing_is_retried),
		cmocka_unit_test(fits_its_columns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
