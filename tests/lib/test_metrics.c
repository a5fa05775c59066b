/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/metrics.h"

static void
renders_each_type(void **state)
{
	static const double bounds[] = { 0.1, 1, 2.5 };
	struct metrics *metrics = metrics_new();
	struct metrics_family *attempts, *seconds;
	struct metrics_cell *cell;
	struct buf out = { 0 };

	(void)state;
	attempts = metrics_counter(metrics, "dlo_attempts_total",
	    "Attempts made.", "pipeline,outcome");
	metrics_set(metrics_cell(metrics_gauge(metrics, "dlo_inflight",
			"Now.\nSee \\ \"there\".", NULL)),
	    -1.5);
	seconds = metrics_histogram(metrics, "dlo_handler_seconds", "Time.",
	    "pipeline", bounds, array_len(bounds));
	metrics_counter(metrics, "dlo_never_total", "Not yet.", "pipeline");
	metrics_counter(metrics, "dlo_nothing_total", "Zero.", NULL);
	cell = metrics_cell(attempts, "orders", "ok");
	metrics_inc(cell);
	metrics_add(cell, 2);
	metrics_inc(metrics_cell(attempts, "orders", "retry"));
	metrics_inc(metrics_cell(attempts, "orders", "ok"));
	cell = metrics_cell(seconds, "orders");
	metrics_observe(cell, 0.1);
	metrics_observe(cell, 0.2);
	metrics_observe(cell, 100);
	metrics_render(metrics, &out);
	assert_string_equal(buf_str(&out),
	    "# HELP dlo_attempts_total Attempts made.\n"
	    "# TYPE dlo_attempts_total counter\n"
	    "dlo_attempts_total{pipeline=\"orders\",outcome=\"ok\"} 4\n"
	    "dlo_attempts_total{pipeline=\"orders\",outcome=\"retry\"} 1\n"
	    "# HELP dlo_inflight Now.\\nSee \\\\ \"there\".\n"
	    "# TYPE dlo_inflight gauge\n"
	    "dlo_inflight -1.5\n"
	    "# HELP dlo_handler_seconds Time.\n"
	    "# TYPE dlo_handler_seconds histogram\n"
	    "dlo_handler_seconds_bucket{pipeline=\"orders\",le=\"0.1\"} 1\n"
	    "dlo_handler_seconds_bucket{pipeline=\"orders\",le=\"1\"} 2\n"
	    "dlo_handler_seconds_bucket{pipeline=\"orders\",le=\"2.5\"} 2\n"
	    "dlo_handler_seconds_bucket{pipeline=\"orders\",le=\"+Inf\"} 3\n"
	    "dlo_handler_seconds_sum{pipeline=\"orders\"} 100.3\n"
	    "dlo_handler_seconds_count{pipeline=\"orders\"} 3\n"
	    "# HELP dlo_nothing_total Zero.\n"
	    "# TYPE dlo_nothing_total counter\n"
	    "dlo_nothing_total 0\n");
	buf_clear(&out);
	metrics_free(metrics);
}

static void
renders_any_number(void **state)
{
	static const struct {
		double value;
		const char *text; /* NULL: any that reads back the same */
	} cases[] = {
		{ 0, "0\n" },
		{ 123456789012345, "123456789012345\n" },
		{ 0.1, "0.1\n" },
		{ (double)INFINITY, "+Inf\n" },
		{ -(double)INFINITY, "-Inf\n" },
		{ (double)NAN, "NaN\n" },
		{ 9007199254740991, NULL },
		{ 1.0 / 3, NULL },
	};
	struct metrics *metrics = metrics_new();
	struct metrics_family *gauge;
	struct buf out = { 0 };
	const char *value;
	size_t i;

	(void)state;
	gauge = metrics_gauge(metrics, "g", "A gauge.", NULL);
	for (i = 0; i < array_len(cases); i++) {
		metrics_set(metrics_cell(gauge), cases[i].value);
		buf_reset(&out);
		metrics_render(metrics, &out);
		value = strrchr(buf_str(&out), ' ') + 1;
		if (cases[i].text != NULL)
			assert_string_equal(value, cases[i].text);
		else
			assert_true(strtod(value, NULL) == cases[i].value);
	}
	buf_clear(&out);
	metrics_free(metrics);
}

static void
keeps_cells_apart(void **state)
{
	struct metrics *metrics = metrics_new();
	struct metrics_family *family;
	struct buf out = { 0 };

	(void)state;
	family = metrics_gauge(metrics, "g", "A gauge.", "a,b");
	assert_ptr_equal(family,
	    metrics_gauge(metrics, "g", "A gauge.", "a,b"));
	assert_ptr_equal(metrics_cell(family, "x", "y"),
	    metrics_cell(family, "x", "y"));
	assert_ptr_not_equal(metrics_cell(family, "xy", ""),
	    metrics_cell(family, "x", "y"));
	assert_ptr_not_equal(metrics_cell(family, "", "xy"),
	    metrics_cell(family, "xy", ""));
	/* Two bad texts that look the same are one series, not two. */
	assert_ptr_equal(metrics_cell(family, "x", "\xff"),
	    metrics_cell(family, "x", "\xfe"));
	metrics_free(metrics);

	metrics = metrics_new();
	family = metrics_gauge(metrics, "g", "A gauge.", "a,b");
	metrics_set(metrics_cell(family, "x\\\"\n}", "\xffz"), 7);
	metrics_render(metrics, &out);
	assert_non_null(strstr(buf_str(&out),
	    "\ng{a=\"x\\\\\\\"\\n}\",b=\"\xef\xbf\xbdz\"} 7\n"));
	buf_clear(&out);
	metrics_free(metrics);
}

static void
bounds_the_last_label(void **state)
{
	struct metrics *metrics = metrics_new();
	struct metrics_family *family;
	struct buf out = { 0 };
	const char *at;
	char class[200];
	unsigned i, series = 0;

	(void)state;
	family =
	    metrics_counter(metrics, "c_total", "A counter.", "pipeline,class");
	for (i = 0; i < METRICS_VALUES_MAX + 50; i++) {
		snprintf(class, sizeof(class), "http.%u", i);
		metrics_inc(metrics_cell(family, "orders", class));
	}
	/* Those that came in time keep their cell; others are unharmed. */
	metrics_inc(metrics_cell(family, "orders", "http.0"));
	metrics_inc(metrics_cell(family, "mail", "http.0"));
	/* A very long one counts as its beginning. */
	memset(class, 'a', sizeof(class) - 1);
	class[sizeof(class) - 1] = '\0';
	metrics_inc(metrics_cell(family, "mail", class));
	assert_ptr_equal(metrics_cell(family, "mail", class),
	    metrics_cell(family, "mail", class));
	metrics_render(metrics, &out);
	assert_non_null(strstr(buf_str(&out),
	    "c_total{pipeline=\"orders\",class=\"other\"} 50\n"));
	assert_non_null(strstr(buf_str(&out),
	    "c_total{pipeline=\"orders\",class=\"http.0\"} 2\n"));
	assert_non_null(strstr(buf_str(&out),
	    "c_total{pipeline=\"mail\",class=\"http.0\"} 1\n"));
	for (at = buf_str(&out); (at = strstr(at, "\nc_total{")) != NULL; at++)
		series++;
	assert_int_equal(series, METRICS_VALUES_MAX + 3);
	buf_clear(&out);
	metrics_free(metrics);
}

static void
set_seven(void *arg)
{
	metrics_add(arg, 7);
}

static void
refreshes_before_a_render(void **state)
{
	struct metrics *metrics = metrics_new();
	struct metrics_cell *a, *b;
	struct buf out = { 0 };

	(void)state;
	a = metrics_cell(metrics_gauge(metrics, "a", "A.", NULL));
	b = metrics_cell(metrics_gauge(metrics, "b", "B.", NULL));
	metrics_on_render(metrics, set_seven, a);
	metrics_on_render(metrics, set_seven, b);
	metrics_render(metrics, &out);
	metrics_off_render(metrics, set_seven, b);
	metrics_off_render(metrics, set_seven, b);
	metrics_render(metrics, &out);
	assert_true(a->value == 14 && b->value == 7);
	metrics_on_render(metrics, set_seven, b);
	metrics_render(metrics, &out);
	assert_true(a->value == 21 && b->value == 14);
	buf_clear(&out);
	metrics_free(metrics);
}

static void
hides_what_is_gone(void **state)
{
	struct metrics *metrics = metrics_new();
	struct metrics_family *family =
	    metrics_gauge(metrics, "g", "G.", "name");
	struct metrics_cell *a = metrics_cell(family, "a");
	struct buf out = { 0 };

	(void)state;
	metrics_set(a, 7);
	metrics_set(metrics_cell(family, "b"), 8);
	metrics_hide(a);
	metrics_render(metrics, &out);
	assert_null(strstr(buf_str(&out), "\"a\""));
	assert_non_null(strstr(buf_str(&out), "g{name=\"b\"} 8"));
	assert_ptr_equal(metrics_cell(family, "a"), a);
	buf_reset(&out);
	metrics_render(metrics, &out);
	assert_non_null(strstr(buf_str(&out), "g{name=\"a\"} 0"));
	buf_clear(&out);
	metrics_free(metrics);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(renders_each_type),
		cmocka_unit_test(renders_any_number),
		cmocka_unit_test(keeps_cells_apart),
		cmocka_unit_test(bounds_the_last_label),
		cmocka_unit_test(refreshes_before_a_render),
		cmocka_unit_test(hides_what_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
