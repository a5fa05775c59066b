/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* What a filter takes, and what a job does with one dead letter. */
#include "tests/unit.h"

#include <stdio.h>

#include "config/conf.h"
#include "dlx/envelope.h"
#include "redrive/census.h"
#include "redrive/filter.h"
#include "redrive/judge.h"
#include "redrive/stash.h"

#define NOW_MS	INT64_C(1800000000000)
#define HOUR_MS 3600000

static const char *const two_reasons[] = { "rejected", "broker_expired" };
static const char *const http_class[] = { "exec", "http.50", "http" };
static const char *const short_class[] = { "http.50" };
static const char *const whole_class[] = { "http.503" };
static const char *const ids[] = { "other", "m-1" };
static const char *const other_id[] = { "m-10" };
static const struct conf_match text_header[] = { { "customer", "acme" } };
static const struct conf_match wrong_text[] = { { "customer", "acm" } };
static const struct conf_match int_header[] = { { "n", "-7" } };
static const struct conf_match bool_header[] = { { "vip", "true" } };
static const struct conf_match wrong_bool[] = { { "vip", "1" } };
static const struct conf_match no_header[] = { { "nobody", "" } };
static const struct conf_match two_headers[] = { { "customer", "acme" },
	{ "n", "8" } };

#define TEXTS(a) \
	{ \
		a, sizeof(a) / sizeof((a)[0]) \
	}
#define HEADERS(h) .headers = (h), .header_count = sizeof(h) / sizeof((h)[0])

/* Against the letter that fill_letter makes. */
static const struct {
	const char *name;
	struct conf_filter filter;
	bool want;
} cases[] = {
	{ "nothing asked", { .error = NULL }, true },
	{ "reason", { .reasons = TEXTS(two_reasons) }, true },
	{ "reason of another", { .reasons = { &two_reasons[1], 1 } }, false },
	{ "class prefix", { .classes = TEXTS(http_class) }, true },
	{ "class cut within a word", { .classes = TEXTS(short_class) }, false },
	{ "whole class", { .classes = TEXTS(whole_class) }, true },
	{ "error text", { .error = "refused" }, true },
	{ "error text that is not there", { .error = "Refused" }, false },
	{ "id", { .ids = TEXTS(ids) }, true },
	{ "a longer id", { .ids = TEXTS(other_id) }, false },
	{ "older", { .older_than_ms = HOUR_MS - 1 }, true },
	{ "not older", { .older_than_ms = HOUR_MS }, false },
	{ "newer", { .newer_than_ms = HOUR_MS + 1 }, true },
	{ "not newer", { .newer_than_ms = HOUR_MS }, false },
	{ "between", { .older_than_ms = 1, .newer_than_ms = 2 * HOUR_MS },
	    true },
	{ "key", { .routing_key = "order.eu.new" }, true },
	{ "key glob", { .routing_key = "order.*" }, true },
	{ "key glob in the middle", { .routing_key = "o*.eu.n?w" }, true },
	{ "key glob that needs to go back", { .routing_key = "*e*w" }, true },
	{ "key glob of all", { .routing_key = "*" }, true },
	{ "empty key glob", { .routing_key = "" }, false },
	{ "key glob too short", { .routing_key = "order.eu.?" }, false },
	{ "key glob too long", { .routing_key = "order.eu.new?" }, false },
	{ "key glob's literal end", { .routing_key = "*.old" }, false },
	{ "text header", { HEADERS(text_header) }, true },
	{ "prefix of a text header", { HEADERS(wrong_text) }, false },
	{ "int header", { HEADERS(int_header) }, true },
	{ "bool header", { HEADERS(bool_header) }, true },
	{ "bool header as a number", { HEADERS(wrong_bool) }, false },
	{ "missing header", { HEADERS(no_header) }, false },
	{ "one header of two", { HEADERS(two_headers) }, false },
	{ "redrives above", { .has_redrives_above = true }, true },
	{ "redrives not above",
	    { .has_redrives_above = true, .redrives_above = 2 }, false },
	{ "one of two", { .error = "refused", .ids = TEXTS(other_id) }, false },
	{ "both", { .error = "refused", .ids = TEXTS(ids) }, true },
};

static void
fill_letter(struct envelope *e, struct buf *headers)
{
	rmq_table_add_text(headers, "customer", "acme", 4);
	rmq_table_add_int(headers, "n", -7);
	rmq_table_add_bool(headers, "vip", true);
	*e = (struct envelope){
		.verdict = RMQ_PROPS_OK,
		.id = rmq_slice_of("m-1"),
		.reason = ENVELOPE_REJECTED,
		.class = rmq_slice_of("http.503"),
		.error = rmq_slice_of("connection refused by peer"),
		.routing_key = rmq_slice_of("order.eu.new"),
		.last_failed_ms = NOW_MS - HOUR_MS,
		.redrives = 2,
	};
	e->props.has[RMQ_PROP_HEADERS] = true;
	e->props.value[RMQ_PROP_HEADERS] =
	    (struct rmq_slice){ buf_peek(headers), headers->len };
}

static void
takes_what_is_asked_for(void **state)
{
	struct buf headers = { 0 };
	struct envelope e;

	(void)state;
	fill_letter(&e, &headers);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (filter_match(&cases[i].filter, &e, NOW_MS) != cases[i].want)
			print_error("case: %s\n", cases[i].name);
		assert_int_equal(filter_match(&cases[i].filter, &e, NOW_MS),
		    cases[i].want);
	}
	buf_clear(&headers);
}

static void
a_bare_letter_matches_only_what_asks_for_nothing(void **state)
{
	const struct envelope e = { .id = rmq_slice_of("m-1") };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct conf_filter *filter = &cases[i].filter;
		bool bare = filter_is_empty(filter) ||
		    (filter->ids.items == ids && filter->error == NULL) ||
		    (filter->routing_key != NULL &&
			(strcmp(filter->routing_key, "*") == 0 ||
			    *filter->routing_key == '\0'));

		assert_int_equal(filter_match(filter, &e, NOW_MS), bare);
	}
}

static void
a_time_in_the_future_is_no_age(void **state)
{
	const struct conf_filter newer = { .newer_than_ms = 1 };
	const struct conf_filter older = { .older_than_ms = 1 };
	const struct envelope e = { .last_failed_ms = NOW_MS + HOUR_MS };

	(void)state;
	assert_true(filter_match(&newer, &e, NOW_MS));
	assert_false(filter_match(&older, &e, NOW_MS));
}

static void
judges_letters(void **state)
{
	static const char *const exhausted[] = { "attempts_exhausted" };
	const struct conf_filter filter = { .reasons = TEXTS(exhausted) };
	const struct judge judge = { ACTION_REDRIVE, &filter, "job1", NOW_MS,
		3 };
	const struct envelope good = {
		.verdict = RMQ_PROPS_OK,
		.reason = ENVELOPE_ATTEMPTS_EXHAUSTED,
		.last_failed_ms = NOW_MS - 1,
		.job = rmq_slice_of("job0"),
		.redrives = 2,
	};
	struct envelope e = good;

	(void)state;
	assert_int_equal(judge_letter(&judge, &e), JUDGE_MOVE);
	e.last_failed_ms = 0; /* nobody knows: it was there, so it counts */
	assert_int_equal(judge_letter(&judge, &e), JUDGE_MOVE);
	e.last_failed_ms = NOW_MS + JUDGE_SKEW_MS;
	assert_int_equal(judge_letter(&judge, &e), JUDGE_MOVE);
	e.last_failed_ms++;
	assert_int_equal(judge_letter(&judge, &e), JUDGE_LATER);
	e.x_death.found = true; /* the broker's word counts, and its reason */
	e.x_death.at_ms = NOW_MS;
	assert_int_equal(judge_letter(&judge, &e), JUDGE_UNWANTED);
	e = good;
	e.redrives = 3;
	assert_int_equal(judge_letter(&judge, &e), JUDGE_PARK);
	e.reason = ENVELOPE_REJECTED; /* not asked for: not parked either */
	assert_int_equal(judge_letter(&judge, &e), JUDGE_UNWANTED);
	e = good;
	e.job = rmq_slice_of("job1");
	assert_int_equal(judge_letter(&judge, &e), JUDGE_AGAIN);
	e.job = rmq_slice_of("job10");
	assert_int_equal(judge_letter(&judge, &e), JUDGE_MOVE);
}

static void
leaves_malformed_letters(void **state)
{
	const struct conf_filter all = { .error = NULL };
	const struct judge judge = { ACTION_REDRIVE, &all, "job1", NOW_MS, 3 };
	struct envelope e = { .verdict = RMQ_PROPS_TOO_DEEP };

	(void)state;
	assert_int_equal(judge_letter(&judge, &e), JUDGE_MALFORMED);
	e.verdict = RMQ_PROPS_OK;
	assert_int_equal(judge_letter(&judge, &e), JUDGE_MOVE);
	e.raw_props = rmq_slice_of("x");
	assert_int_equal(judge_letter(&judge, &e), JUDGE_MALFORMED);
	e.raw_props = rmq_slice_of(NULL);
	e.reason = ENVELOPE_MALFORMED;
	assert_int_equal(judge_letter(&judge, &e), JUDGE_MALFORMED);
}

static void
counts_by_reason_and_class(void **state)
{
	static struct census census;
	struct envelope e = { .reason = ENVELOPE_DEADLINE };
	char class[16];

	(void)state;
	census_add(&census, &e);
	e.class = rmq_slice_of("http.503");
	census_add(&census, &e);
	census_add(&census, &e);
	e.reason = ENVELOPE_REJECTED;
	census_add(&census, &e);
	census_sort(&census);
	assert_int_equal(census.sample_count, 4);
	assert_int_equal(census.group_count, 3);
	assert_int_equal(census.groups[0].count, 2);
	assert_int_equal(census.groups[0].reason, ENVELOPE_DEADLINE);
	assert_string_equal(census.groups[0].class, "http.503");
	assert_int_equal(census.groups[1].reason, ENVELOPE_REJECTED);
	assert_string_equal(census.groups[2].class, "");
	for (int i = 0; i < CENSUS_GROUPS_MAX; i++) {
		(void)snprintf(class, sizeof(class), "own.%d", i);
		e.class = rmq_slice_of(class);
		census_add(&census, &e);
	}
	assert_int_equal(census.group_count, CENSUS_GROUPS_MAX);
	assert_int_equal(census.others, 3);
}

static void
note(void *arg)
{
	++*(int *)arg;
}

static void
stash_switches_once(void **state)
{
	int changes = 0;
	struct stash stash = { .limit = 1000,
		.changed = note,
		.arg = &changes };

	(void)state;
	stash_add(&stash, 1000);
	assert_false(stash.over);
	stash_add(&stash, 1);
	stash_add(&stash, 500);
	assert_true(stash.over);
	assert_int_equal(changes, 1);
	stash_sub(&stash, 750);
	assert_true(stash.over);
	stash_sub(&stash, 1);
	assert_false(stash.over);
	assert_int_equal(changes, 2);
	stash_sub(&stash, 750);
	assert_int_equal(stash.held, 0);
	assert_int_equal(changes, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_what_is_asked_for),
		cmocka_unit_test(
		    a_bare_letter_matches_only_what_asks_for_nothing),
		cmocka_unit_test(a_time_in_the_future_is_no_age),
		cmocka_unit_test(judges_letters),
		cmocka_unit_test(leaves_malformed_letters),
		cmocka_unit_test(counts_by_reason_and_class),
		cmocka_unit_test(stash_switches_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
