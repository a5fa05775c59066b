/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What an event looks like on the wire, whatever it is about: the publisher
 * is the test's, jansson is the judge of the JSON.
 */
#include "tests/unit.h"

#include <jansson.h>
#include <stdlib.h>

#include "config/conf.h"
#include "consumer/events.h"
#include "lib/log.h"
#include "tests/sim/sim_loop.h"

#define BODY_MAX 8192 /* an event is never larger */

static struct {
	struct loop *loop;
	struct metrics *metrics;
	struct events *events;
	size_t unsent;
	bool taken;	  /* what the publisher says */
	unsigned told;	  /* how often it was called */
	struct buf key;	  /* of the last event */
	struct buf props; /* raw */
	struct buf text;  /* its body */
	json_t *json;	  /* the same */
} world;

bool
rmq_publisher_tell(struct rmq_publisher *publisher,
    const struct rmq_publish *publish)
{
	json_error_t error;

	assert_null(publisher);
	assert_string_equal(publish->exchange, "dlo.events");
	assert_false(publish->mandatory);
	assert_true(publish->body.len <= BODY_MAX);
	world.told++;
	buf_reset(&world.key);
	buf_add_str(&world.key, publish->routing_key);
	buf_reset(&world.props);
	buf_add(&world.props, publish->props.ptr, publish->props.len);
	buf_reset(&world.text);
	buf_add(&world.text, publish->body.ptr, publish->body.len);
	json_decref(world.json);
	world.json = json_loadb((const char *)publish->body.ptr,
	    publish->body.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	if (world.json == NULL)
		fail_msg("%s in %s", error.text, buf_str(&world.text));
	return world.taken;
}

static size_t
unsent(void *arg)
{
	(void)arg;
	return world.unsent;
}

static void
quiet(void *arg, const char *line, size_t len)
{
	(void)arg, (void)line, (void)len;
}

static int
setup(void **state)
{
	struct teller_env env;

	(void)state;
	log_set_sink(quiet, NULL);
	memset(&world, 0, sizeof(world));
	world.loop = sim_loop_new(1);
	world.metrics = metrics_new();
	world.taken = true;
	env = (struct teller_env){
		.loop = world.loop,
		.exchange = "dlo.events",
		.user = "shop",
		.instance = "host:1",
		.metrics = world.metrics,
		.unsent = unsent,
	};
	world.events = events_new(&env);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	events_free(world.events);
	json_decref(world.json);
	buf_clear(&world.key);
	buf_clear(&world.props);
	buf_clear(&world.text);
	metrics_free(world.metrics);
	loop_free(world.loop);
	log_set_sink(NULL, NULL);
	return 0;
}

/* The event goes by this key and is exactly this, after what all begin with. */
static void
expect(const char *event, const char *name, const char *rest)
{
	char at[TEXT_ISO8601_SPACE];
	struct buf wanted = { 0 };

	buf_printf(&wanted, "%s.%s", event, name);
	assert_string_equal(buf_str(&world.key), buf_str(&wanted));
	buf_reset(&wanted);
	text_iso8601(at, loop_wall_ms(world.loop));
	buf_printf(&wanted,
	    "{\"version\":1,\"event\":\"%s\",\"at\":\"%s\","
	    "\"instance\":\"host:1\",%s}",
	    event, at, rest);
	assert_string_equal(buf_str(&world.text), buf_str(&wanted));
	buf_clear(&wanted);
}

static void
expect_metric(const char *event, const char *result, double value)
{
	struct buf out = { 0 }, line = { 0 };

	metrics_render(world.metrics, &out);
	buf_printf(&line, "dlo_events_total{event=\"%s\",result=\"%s\"} %.0f\n",
	    event, result, value);
	if (strstr(buf_str(&out), buf_str(&line)) == NULL)
		fail_msg("no %s in %s", buf_str(&line), buf_str(&out));
	buf_clear(&out);
	buf_clear(&line);
}

static struct envelope
redriven(void)
{
	return (struct envelope){ .id = rmq_slice_of("m1"),
		.job = rmq_slice_of("j1"),
		.attempt = 2,
		.redrives = 1 };
}

static void
tell_outcome(const struct envelope *e, enum outcome outcome, const char *error,
    const char *next, int64_t delay_ms)
{
	struct events_attempt attempt = { .outcome = outcome,
		.handler_ms = 12,
		.next = next,
		.delay_ms = delay_ms };
	struct verdict verdict;

	verdict_init(&verdict, outcome, "http.%d",
	    outcome == OUTCOME_OK ? 200 : 503);
	verdict_set_error(&verdict, error, strlen(error));
	attempt.verdict = &verdict;
	events_outcome(world.events, "orders", e, &attempt);
}

static void
tells_what_an_attempt_came_to(void **state)
{
	struct envelope e = redriven();

	(void)state;
	tell_outcome(&e, OUTCOME_OK, "", "ack", 0);
	expect("outcome", "orders",
	    "\"pipeline\":\"orders\","
	    "\"id\":\"m1\","
	    "\"job\":\"j1\","
	    "\"redrives\":1,"
	    "\"attempt\":3,"
	    "\"outcome\":\"ok\","
	    "\"class\":\"http.200\","
	    "\"handler_ms\":12,"
	    "\"next\":\"ack\","
	    "\"delay_ms\":0");
	tell_outcome(&e, OUTCOME_RETRY, "no \"coffee\"", "ladder", 2000);
	expect("outcome", "orders",
	    "\"pipeline\":\"orders\","
	    "\"id\":\"m1\","
	    "\"job\":\"j1\","
	    "\"redrives\":1,"
	    "\"attempt\":3,"
	    "\"outcome\":\"retry\","
	    "\"class\":\"http.503\","
	    "\"error\":\"no \\\"coffee\\\"\","
	    "\"handler_ms\":12,"
	    "\"next\":\"ladder\","
	    "\"delay_ms\":2000");
	expect_metric("outcome", "sent", 2);
}

/* Nobody waits for the verdicts on other messages, and there are many. */
static void
tells_of_redriven_messages_only(void **state)
{
	struct envelope e = redriven();

	(void)state;
	e.job.len = 0;
	tell_outcome(&e, OUTCOME_RETRY, "", "hold", 100);
	assert_int_equal(world.told, 0);
	expect_metric("outcome", "dropped", 0);
}

static void
tells_of_the_dead(void **state)
{
	struct envelope e = redriven();

	(void)state;
	e.reason = ENVELOPE_ATTEMPTS_EXHAUSTED;
	e.class = rmq_slice_of("http.503");
	e.error = rmq_slice_of("down");
	events_dead(world.events, "orders", &e);
	expect("dead", "orders",
	    "\"pipeline\":\"orders\","
	    "\"id\":\"m1\","
	    "\"job\":\"j1\","
	    "\"redrives\":1,"
	    "\"attempt\":2,"
	    "\"reason\":\"attempts_exhausted\","
	    "\"class\":\"http.503\","
	    "\"error\":\"down\"");
	/* One that was never handed over and never redriven. */
	e = (struct envelope){ .id = rmq_slice_of("m2"),
		.reason = ENVELOPE_TOO_LARGE };
	events_dead(world.events, "orders", &e);
	expect("dead", "orders",
	    "\"pipeline\":\"orders\","
	    "\"id\":\"m2\","
	    "\"redrives\":0,"
	    "\"attempt\":0,"
	    "\"reason\":\"too_large\"");
	expect_metric("dead", "sent", 2);
}

/* Text from the wire, and what it is in JSON. */
static const struct {
	const char *bytes;
	size_t len;
	const char *json;   /* as it is written */
	const char *id_hex; /* NULL: the text says it all */
} hostile[] = {
	{ "a\"b\\c/", 6, "a\\\"b\\\\c/", NULL },
	{ "\",\"id\":\"x", 9, "\\\",\\\"id\\\":\\\"x", NULL },
	{ "a\0b", 3, "a\\u0000b", NULL },
	{ "\r\n\t\x1b[31m", 8, "\\u000d\\n\\t\\u001b[31m", NULL },
	{ "\x7f\xc2\x85", 3, "\\u007f\\u0085", NULL },
	{ "\xe2\x80\xae", 3, "\\u202e", NULL },
	{ "caf\xc3\xa9", 5, "caf\xc3\xa9", NULL },
	{ "\xf0\x9f\x98\x80", 4, "\xf0\x9f\x98\x80", NULL },
	{ "\xff", 1, "\\ufffd", "ff" },
	{ "\xc0\xafx", 3, "\\ufffd\\ufffdx", "c0af78" },
	{ "\xed\xa0\x80", 3, "\\ufffd\\ufffd\\ufffd", "eda080" },
	{ "\xe2\x82", 2, "\\ufffd\\ufffd", "e282" },
	{ "%s%n\xfe", 5, "%s%n\\ufffd", "2573256e" },
};

static void
says_any_bytes_in_json(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(hostile); i++) {
		struct envelope e = redriven();
		struct buf wanted = { 0 };
		const char *hex;

		e.id = (struct rmq_slice){ (const uint8_t *)hostile[i].bytes,
			hostile[i].len };
		e.job = e.class = e.error = e.id;
		e.reason = ENVELOPE_REJECTED;
		events_dead(world.events, "orders", &e);
		for (int k = 0; k < 4; k++) {
			static const char *const keys[] = { "id", "job",
				"class", "error" };

			buf_reset(&wanted);
			buf_printf(&wanted, "\"%s\":\"%s\"", keys[k],
			    hostile[i].json);
			assert_non_null(
			    strstr(buf_str(&world.text), buf_str(&wanted)));
		}
		hex = json_string_value(json_object_get(world.json, "id_hex"));
		if (hostile[i].id_hex == NULL)
			assert_null(hex);
		else
			assert_int_equal(strncmp(hex, hostile[i].id_hex,
					     strlen(hostile[i].id_hex)),
			    0);
		/* What is valid comes back as it was. */
		if (hostile[i].id_hex == NULL)
			assert_memory_equal(json_string_value(
						json_object_get(world.json,
						    "id")),
			    hostile[i].bytes, hostile[i].len);
		buf_clear(&wanted);
	}
}

/* The longest texts of the worst bytes stay small enough for one frame. */
static void
is_bounded(void **state)
{
	static uint8_t bytes[4096];
	struct envelope e = redriven();

	(void)state;
	memset(bytes, 0xff, sizeof(bytes));
	e.id = (struct rmq_slice){ bytes, 255 };
	e.job = (struct rmq_slice){ bytes, ENVELOPE_JOB_MAX };
	e.class = (struct rmq_slice){ bytes, ENVELOPE_CLASS_MAX };
	e.error = (struct rmq_slice){ bytes, sizeof(bytes) };
	e.reason = ENVELOPE_REJECTED;
	e.attempt = e.redrives = INT64_MAX;
	events_dead(world.events, "orders", &e);
	assert_int_equal(world.told, 1);
	assert_int_equal(strlen(json_string_value(
			     json_object_get(world.json, "error"))),
	    512 * 3);
}

static void
expect_prop(const struct rmq_props *props, enum rmq_prop prop, const char *text)
{
	assert_true(props->has[prop]);
	assert_int_equal(props->value[prop].len, strlen(text));
	assert_memory_equal(props->value[prop].ptr, text, strlen(text));
}

/* The user id is what the broker vouches for. */
static void
is_transient_and_says_who_sent_it(void **state)
{
	struct envelope e = redriven();
	struct rmq_props props;

	(void)state;
	tell_outcome(&e, OUTCOME_OK, "", "ack", 0);
	assert_int_equal(rmq_props_parse(&props,
			     (struct rmq_slice){ buf_peek(&world.props),
				 world.props.len }),
	    RMQ_PROPS_OK);
	expect_prop(&props, RMQ_PROP_CONTENT_TYPE, "application/json");
	expect_prop(&props, RMQ_PROP_TYPE, "outcome");
	expect_prop(&props, RMQ_PROP_USER_ID, "shop");
	expect_prop(&props, RMQ_PROP_APP_ID, "dlo-consumer");
	expect_prop(&props, RMQ_PROP_DELIVERY_MODE, "\1");
	assert_true(props.has[RMQ_PROP_TIMESTAMP]);
	assert_int_equal(props.value[RMQ_PROP_TIMESTAMP].len, 8);
}

/* What cannot go at once goes never, and is counted. */
static void
drops_what_would_have_to_wait(void **state)
{
	struct envelope e = redriven();

	(void)state;
	world.taken = false;
	tell_outcome(&e, OUTCOME_OK, "", "ack", 0);
	expect_metric("outcome", "dropped", 1);
	world.taken = true;
	world.unsent = 1 << 20;
	tell_outcome(&e, OUTCOME_OK, "", "ack", 0);
	assert_int_equal(world.told, 1);
	expect_metric("outcome", "dropped", 2);
	world.unsent = 0;
	tell_outcome(&e, OUTCOME_OK, "", "ack", 0);
	assert_int_equal(world.told, 2);
	expect_metric("outcome", "sent", 1);
}

static void
tells_how_a_breaker_is(void **state)
{
	static const enum breaker_state half_open = BREAKER_HALF_OPEN;
	const struct conf_downstream conf = {
		.name = "shop",
		.kind = CONF_KIND_NOOP,
		.breaker = { .failures = 1,
		    .ratio = 1,
		    .minimum = 1,
		    .window_ms = 1000,
		    .open_ms = 1000,
		    .open_max_ms = 1000 },
	};
	const struct downstream_env env = { .loop = world.loop,
		.metrics = world.metrics };
	struct downstream *d = downstream_new(&env, &conf, 1);

	(void)state;
	events_breaker(world.events, d, NULL);
	expect("breaker", "shop",
	    "\"downstream\":\"shop\","
	    "\"state\":\"closed\","
	    "\"opened\":0");
	events_breaker(world.events, d, &half_open);
	expect("breaker", "shop",
	    "\"downstream\":\"shop\","
	    "\"state\":\"closed\","
	    "\"previous\":\"half-open\","
	    "\"opened\":0");
	downstream_free(d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(tells_what_an_attempt_came_to,
		    setup, teardown),
		cmocka_unit_test_setup_teardown(tells_of_redriven_messages_only,
		    setup, teardown),
		cmocka_unit_test_setup_teardown(tells_of_the_dead, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(says_any_bytes_in_json, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    is_transient_and_says_who_sent_it, setup, teardown),
		cmocka_unit_test_setup_teardown(drops_what_would_have_to_wait,
		    setup, teardown),
		cmocka_unit_test_setup_teardown(tells_how_a_breaker_is, setup,
		    teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
