/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* What consumers tell, and which breakers are open by that. */
#include "tests/unit.h"

#include <stdio.h>

#include "amqp/props.h"
#include "config/conf.h"
#include "lib/compiler.h"
#include "redrive/circuits.h"
#include "redrive/news.h"

static const char *const users[] = { "dlo", "dlo-consumer" };
static const struct conf_texts trusted = { users, array_len(users) };

#define OUTCOME(more) \
	"{\"version\":1,\"event\":\"outcome\",\"at\":\"x\"," \
	"\"instance\":\"h:1\",\"pipeline\":\"orders\"," more \
	",\"redrives\":1,\"attempt\":1,\"class\":\"http.503\"}"
#define JOB	"\"job\":\"j1\""
#define ID	"\"id\":\"m-1\""
#define RETRY	"\"outcome\":\"retry\""
#define BREAKER "{\"version\":1,\"event\":\"breaker\",\"instance\":\"h:1\","

/* Reads an event of that user (NULL: without one). */
static const char *
read_from(struct news *news, const char *user, const char *json)
{
	static const uint8_t stamp[8] = { 0, 0, 0, 0, 0, 0, 1, 0 };
	struct rmq_message message = { .body = rmq_slice_of(json) };
	struct rmq_props props = { 0 };
	struct buf raw = { 0 };
	const char *why;

	props.has[RMQ_PROP_USER_ID] = user != NULL;
	props.value[RMQ_PROP_USER_ID] = rmq_slice_of(user);
	props.has[RMQ_PROP_TIMESTAMP] = true;
	props.value[RMQ_PROP_TIMESTAMP] =
	    (struct rmq_slice){ stamp, sizeof(stamp) };
	rmq_props_write(&raw, &props);
	message.props = (struct rmq_slice){ buf_peek(&raw), raw.len };
	why = news_read(news, &message, &trusted);
	buf_clear(&raw);
	return why;
}

static void
reads_outcomes(void **state)
{
	struct news news;

	(void)state;
	assert_null(
	    read_from(&news, "dlo-consumer", OUTCOME(JOB "," ID "," RETRY)));
	assert_int_equal(news.kind, NEWS_OUTCOME);
	assert_string_equal(news.pipeline, "orders");
	assert_string_equal(news.job, "j1");
	assert_int_equal(news.id_len, 3);
	assert_memory_equal(news.id, "m-1", 3);
	assert_false(news.good || news.refused);
	assert_int_equal(news.at_ms, 256000);
	assert_null(
	    read_from(&news, "dlo", OUTCOME(JOB "," ID ",\"outcome\":\"ok\"")));
	assert_true(news.good);
	assert_null(read_from(&news, "dlo",
	    OUTCOME(JOB "," ID ",\"outcome\":\"reject\"")));
	assert_true(news.refused);
}

static void
reads_ids_of_any_bytes(void **state)
{
	struct news news;

	(void)state;
	assert_null(read_from(&news, "dlo",
	    OUTCOME(JOB ",\"id\":\"a\\u0000b\"," RETRY)));
	assert_int_equal(news.id_len, 3);
	assert_memory_equal(news.id, "a\0b", 3);
	assert_null(read_from(&news, "dlo",
	    OUTCOME(JOB ",\"id\":\"?\",\"id_hex\":\"00ff7a\"," RETRY)));
	assert_int_equal(news.id_len, 3);
	assert_memory_equal(news.id, "\x00\xffz", 3);
}

static void
believes_nobody_else(void **state)
{
	static const char *const strangers[] = { NULL, "", "guest", "dlo-",
		"DLO" };
	struct news news;

	(void)state;
	for (size_t i = 0; i < array_len(strangers); i++) {
		assert_string_equal(read_from(&news, strangers[i],
					OUTCOME(JOB "," ID "," RETRY)),
		    "its user is none of ours");
		assert_int_equal(news.kind, NEWS_NOTHING);
	}
}

static void
understands_nothing_else(void **state)
{
	static const char *const wrong[] = {
		"",
		"x",
		"[]",
		"null",
		"{}",
		OUTCOME(ID "," RETRY),
		OUTCOME(JOB "," RETRY),
		OUTCOME(JOB "," ID),
		OUTCOME(JOB "," ID ",\"outcome\":\"maybe\""),
		OUTCOME(JOB "," ID ",\"outcome\":7"),
		OUTCOME(JOB ",\"id\":\"\"," RETRY),
		OUTCOME(JOB ",\"id\":\"?\",\"id_hex\":\"0\"," RETRY),
		OUTCOME(JOB ",\"id\":\"?\",\"id_hex\":\"0g\"," RETRY),
		OUTCOME("\"job\":\"j\\u0000\"," ID "," RETRY),
		"{\"version\":2,\"event\":\"outcome\"}",
		BREAKER "\"downstream\":\"shop\",\"state\":\"ajar\"}",
		BREAKER "\"state\":\"open\"}",
		BREAKER "\"downstream\":[],\"state\":\"open\"}",
	};
	struct news news;

	(void)state;
	for (size_t i = 0; i < array_len(wrong); i++) {
		assert_non_null(read_from(&news, "dlo", wrong[i]));
		assert_int_equal(news.kind, NEWS_NOTHING);
	}
	/* What is new is no mistake. */
	assert_null(
	    read_from(&news, "dlo", "{\"version\":1,\"event\":\"dead\"}"));
	assert_int_equal(news.kind, NEWS_NOTHING);
}

static void
tell(struct circuits *circuits, const char *instance, enum breaker_state to,
    int64_t now_ms)
{
	struct news news = { .kind = NEWS_BREAKER,
		.state = to,
		.downstream = "shop",
		.at_ms = now_ms };

	(void)snprintf(news.instance, sizeof(news.instance), "%s", instance);
	circuits_heard(circuits, &news, now_ms, now_ms);
}

static void
one_open_breaker_is_enough(void **state)
{
	struct circuits *circuits = circuits_new();
	struct news news;

	(void)state;
	assert_false(circuits_is_open(circuits, "shop", 0));
	assert_null(read_from(&news, "dlo",
	    BREAKER "\"downstream\":\"shop\",\"state\":\"open\"}"));
	circuits_heard(circuits, &news, 1000, news.at_ms + 2000);
	assert_true(circuits_is_open(circuits, "shop", 1000));
	assert_false(circuits_is_open(circuits, "bank", 1000));
	tell(circuits, "h:2", BREAKER_CLOSED, 1100);
	assert_true(circuits_is_open(circuits, "shop", 1100));
	tell(circuits, "h:1", BREAKER_CLOSED, 1200);
	assert_false(circuits_is_open(circuits, "shop", 1200));
	assert_true(circuits_due_ms(circuits, 1200) == INT64_MAX);
	circuits_free(circuits);
}

static void
old_news_are_no_news(void **state)
{
	struct circuits *circuits = circuits_new();
	struct news news;

	(void)state;
	/* Waited in the broker. */
	assert_null(read_from(&news, "dlo",
	    BREAKER "\"downstream\":\"shop\",\"state\":\"open\"}"));
	circuits_heard(circuits, &news, 1000, news.at_ms + CIRCUITS_STALE_MS);
	assert_false(circuits_is_open(circuits, "shop", 1000));
	/* Not heard of any more. */
	tell(circuits, "h:1", BREAKER_OPEN, 1000);
	tell(circuits, "h:2", BREAKER_OPEN, 3000);
	assert_int_equal(circuits_due_ms(circuits, 3000),
	    1000 + CIRCUITS_STALE_MS);
	tell(circuits, "h:1", BREAKER_OPEN, 6000);
	assert_int_equal(circuits_due_ms(circuits, 6000),
	    3000 + CIRCUITS_STALE_MS);
	assert_true(
	    circuits_is_open(circuits, "shop", 5999 + CIRCUITS_STALE_MS));
	assert_false(
	    circuits_is_open(circuits, "shop", 6000 + CIRCUITS_STALE_MS));
	circuits_free(circuits);
}

/* Nobody else may be there to send the message that it waits for. */
static void
half_open_for_long_is_given_a_message(void **state)
{
	struct circuits *circuits = circuits_new();

	(void)state;
	tell(circuits, "h:1", BREAKER_OPEN, 0);
	tell(circuits, "h:1", BREAKER_HALF_OPEN, 5000);
	assert_true(circuits_is_open(circuits, "shop", 5000));
	tell(circuits, "h:1", BREAKER_HALF_OPEN, 10000);
	assert_int_equal(circuits_due_ms(circuits, 10000),
	    5000 + CIRCUITS_HALF_MS);
	assert_false(
	    circuits_is_open(circuits, "shop", 5000 + CIRCUITS_HALF_MS));
	tell(circuits, "h:1", BREAKER_OPEN, 12000);
	assert_true(circuits_is_open(circuits, "shop", 12000));
	circuits_free(circuits);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_outcomes),
		cmocka_unit_test(reads_ids_of_any_bytes),
		cmocka_unit_test(believes_nobody_else),
		cmocka_unit_test(understands_nothing_else),
		cmocka_unit_test(one_open_breaker_is_enough),
		cmocka_unit_test(old_news_are_no_news),
		cmocka_unit_test(half_open_for_long_is_given_a_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
