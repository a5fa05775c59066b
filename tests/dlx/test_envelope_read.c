/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/unit.h"

#include "lib/compiler.h"
#include "tests/dlx/letter.h"

#define LITERAL(text) text, sizeof(text) - 1

static void
reads_a_new_message(void **state)
{
	struct letter letter = { .exchange = "shop", .routing_key = "o.new" };
	struct envelope e;

	(void)state;
	letter_read(&letter, &letter_work, &e);
	assert_int_equal(e.verdict, RMQ_PROPS_OK);
	assert_false(e.trusted);
	assert_false(e.known);
	assert_slice(e.id, LETTER_UUID);
	assert_int_equal(e.attempt, 0);
	assert_int_equal(e.deadline_ms, 0);
	assert_slice(e.exchange, "shop");
	assert_slice(e.routing_key, "o.new");
	assert_slice(e.queue, "orders");
	assert_int_equal(e.user_id.len, 0);
	assert_true(e.transient);
	assert_string_equal(envelope_malformed_text(&e), "");
	envelope_clear(&e);
	letter_clear(&letter);
}

static void
takes_its_id_from_what_there_is(void **state)
{
	static char long_id[256], longer_id[257];
	const struct {
		const char *user, *dlo_id, *message_id, *expected;
		bool known;
	} cases[] = {
		{ NULL, NULL, NULL, LETTER_UUID, false },
		{ NULL, NULL, "", LETTER_UUID, false },
		{ NULL, NULL, "m-1", "m-1", false },
		{ NULL, NULL, long_id, long_id, false },
		{ NULL, "forged", "m-1", "m-1", false },
		{ "mallory", "forged", NULL, LETTER_UUID, false },
		{ LETTER_SELF, "d-1", "m-1", "d-1", true },
		{ LETTER_FRIEND, "d-1", NULL, "d-1", true },
		{ LETTER_SELF, long_id, NULL, long_id, true },
		{ LETTER_SELF, longer_id, "m-1", "m-1", false },
		{ LETTER_SELF, "", "m-1", "m-1", false },
		{ "dlo2", "d-1", "m-1", "m-1", false },
		{ "dl", "d-1", "m-1", "m-1", false },
	};
	size_t i;

	(void)state;
	memset(long_id, 'i', 255);
	memset(longer_id, 'i', 256);
	for (i = 0; i < array_len(cases); i++) {
		struct letter letter = { .user = cases[i].user,
			.message_id = cases[i].message_id };
		struct envelope e;

		if (cases[i].dlo_id != NULL)
			letter_add_text(&letter, "dlo-id", cases[i].dlo_id);
		letter_read(&letter, &letter_work, &e);
		assert_slice(e.id, cases[i].expected);
		assert_int_equal(e.known, cases[i].known);
		envelope_clear(&e);
		letter_clear(&letter);
	}
}

/* All own headers, as somebody else than us may have written them too. */
static void
add_story(struct letter *letter)
{
	letter_add_text(letter, "dlo-id", "d-1");
	letter_add_int(letter, "dlo-attempt", 3);
	letter_add_text(letter, "dlo-reason", "deadline");
	letter_add_text(letter, "dlo-class", "http.503");
	letter_add_text(letter, "dlo-error", "no luck");
	letter_add_int(letter, "dlo-first-failed-at", 1600000000001);
	letter_add_int(letter, "dlo-last-failed-at", 1600000000002);
	letter_add_int(letter, "dlo-deadline", 1600000000003);
	letter_add_text(letter, "dlo-history", "1;a;2;3");
	letter_add_text(letter, "dlo-exchange", "");
	letter_add_text(letter, "dlo-routing-key", "o.first");
	letter_add_text(letter, "dlo-queue", "elsewhere");
	letter_add_text(letter, "dlo-user-id", "shop");
	letter_add_int(letter, "dlo-delivery-mode", 1);
	letter_add_int(letter, "dlo-redrives", 2);
	letter_add_text(letter, "dlo-job", "j-1");
}

static void
believes_trusted_users(void **state)
{
	struct letter letter = { .user = LETTER_FRIEND,
		.exchange = "shop",
		.delivery_mode = 2 };
	struct envelope e;

	(void)state;
	add_story(&letter);
	/* The first of two equal names wins. */
	letter_add_int(&letter, "dlo-attempt", 9);
	letter_add_text(&letter, "dlo-unheard-of", "x");
	letter_read(&letter, &letter_work, &e);
	assert_true(e.trusted);
	assert_true(e.known);
	assert_int_equal(e.attempt, 3);
	assert_int_equal(e.reason, ENVELOPE_DEADLINE);
	assert_slice(e.class, "http.503");
	assert_slice(e.error, "no luck");
	assert_int_equal(e.first_failed_ms, 1600000000001);
	assert_int_equal(e.last_failed_ms, 1600000000002);
	assert_int_equal(envelope_dead_since_ms(&e), 1600000000002);
	assert_int_equal(e.deadline_ms, 1600000000003);
	assert_slice(e.history, "1;a;2;3");
	assert_non_null(e.exchange.ptr);
	assert_int_equal(e.exchange.len, 0);
	assert_slice(e.routing_key, "o.first");
	assert_slice(e.queue, "elsewhere");
	assert_slice(e.user_id, "shop");
	assert_true(e.transient);
	assert_int_equal(e.redrives, 2);
	assert_slice(e.job, "j-1");
	envelope_clear(&e);
	letter_clear(&letter);
}

static void
drops_what_strangers_forge(void **state)
{
	static const char *const users[] = { NULL, "mallory", "", "dlo ",
		"guests" };
	size_t i;

	(void)state;
	for (i = 0; i < array_len(users); i++) {
		struct letter letter = { .user = users[i],
			.exchange = "shop",
			.routing_key = "o.new",
			.delivery_mode = 2 };
		struct letter copy;
		struct buf text = { 0 };
		struct envelope e;

		add_story(&letter);
		letter_read(&letter, &letter_work, &e);
		assert_false(e.trusted);
		assert_false(e.known);
		assert_int_equal(e.attempt, 0);
		assert_int_equal(e.reason, ENVELOPE_REASON_NONE);
		assert_int_equal(e.redrives, 0);
		assert_int_equal(e.deadline_ms, 0);
		assert_int_equal(e.first_failed_ms, 0);
		assert_int_equal(e.job.len, 0);
		assert_int_equal(e.history.len, 0);
		assert_slice(e.exchange, "shop");
		assert_slice(e.queue, "orders");
		assert_false(e.transient);

		letter_copy(&e, 0, &copy);
		letter_headers(&copy, &text);
		assert_null(strstr(buf_str(&text), "d-1"));
		assert_null(strstr(buf_str(&text), "deadline"));
		assert_null(strstr(buf_str(&text), "no luck"));
		buf_clear(&text);
		letter_clear(&copy);
		envelope_clear(&e);
		letter_clear(&letter);
	}
}

/* A header that is out of range or of the wrong type counts as absent. */
static void
ignores_what_is_out_of_range(void **state)
{
	static const struct {
		const char *name;
		char type;
		const char *value;
		size_t len;
		int64_t attempt; /* what it leads to */
	} cases[] = {
		{ "dlo-attempt", 'l', LITERAL("\0\0\0\0\0\0\0\7"), 7 },
		{ "dlo-attempt", 'b', LITERAL("\7"), 7 },
		{ "dlo-attempt", 'I', LITERAL("\0\0\0\7"), 7 },
		{ "dlo-attempt", 'l', LITERAL("\0\0\0\0\x7f\xff\xff\xff"),
		    INT32_MAX },
		{ "dlo-attempt", 'l', LITERAL("\0\0\0\0\x80\0\0\0"), 0 },
		{ "dlo-attempt", 'l',
		    LITERAL("\xff\xff\xff\xff\xff\xff\xff\xff"), 0 },
		{ "dlo-attempt", 'l', LITERAL("\x80\0\0\0\0\0\0\0"), 0 },
		{ "dlo-attempt", 'T', LITERAL("\x80\0\0\0\0\0\0\0"), 0 },
		{ "dlo-attempt", 'S',
		    LITERAL("\0\0\0\1"
			    "7"),
		    0 },
		{ "dlo-attempt", 'V', LITERAL(""), 0 },
		{ "dlo-attempt", 'd', LITERAL("\x40\x1c\0\0\0\0\0\0"), 0 },
		{ "dlo-attempt", 'F', LITERAL("\0\0\0\0"), 0 },
		{ "dlo-attemp", 'b', LITERAL("\7"), 0 },
		{ "dlo-", 'b', LITERAL("\7"), 0 },
		{ "dlo-redrives", 'l', LITERAL("\x80\0\0\0\0\0\0\0"), 0 },
		/* Past the year 9999. */
		{ "dlo-first-failed-at", 'l',
		    LITERAL("\x7f\xff\xff\xff\xff\xff\xff\xff"), 0 },
		{ "dlo-last-failed-at", 'l',
		    LITERAL("\x7f\xff\xff\xff\xff\xff\xff\xff"), 0 },
		{ "dlo-deadline", 'l',
		    LITERAL("\x7f\xff\xff\xff\xff\xff\xff\xff"), 0 },
		{ "dlo-deadline", 'l',
		    LITERAL("\xff\xff\xff\xff\xff\xff\xff\xff"), 0 },
		{ "dlo-class", 'b', LITERAL("\7"), 0 },
		{ "dlo-class", 'x',
		    LITERAL("\0\0\0\1"
			    "c"),
		    0 },
		{ "dlo-error", 'S',
		    LITERAL("\0\0\0\1"
			    "\xff"),
		    0 },
		{ "dlo-reason", 'S',
		    LITERAL("\0\0\0\4"
			    "none"),
		    0 },
		{ "dlo-reason", 'S', LITERAL("\0\0\0\0"), 0 },
		{ "dlo-reason", 'b', LITERAL("\1"), 0 },
		{ "dlo-raw-properties", 'S',
		    LITERAL("\0\0\0\1"
			    "c"),
		    0 },
		{ "dlo-delivery-mode", 'b', LITERAL("\3"), 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < array_len(cases); i++) {
		struct letter letter = { .user = LETTER_SELF,
			.delivery_mode = 2 };
		struct envelope e;

		letter_add_text(&letter, "dlo-id", "d-1");
		letter_add_raw(&letter, cases[i].name, cases[i].type,
		    cases[i].value, cases[i].len);
		letter_read(&letter, &letter_work, &e);
		assert_int_equal(e.attempt, cases[i].attempt);
		assert_int_equal(e.redrives, 0);
		assert_int_equal(e.first_failed_ms, 0);
		assert_int_equal(e.last_failed_ms, 0);
		assert_int_equal(e.deadline_ms, 0);
		assert_int_equal(e.class.len, 0);
		assert_int_equal(e.error.len, 0);
		assert_int_equal(e.reason, ENVELOPE_REASON_NONE);
		assert_int_equal(e.raw_props.len, 0);
		assert_false(e.transient);
		envelope_clear(&e);
		letter_clear(&letter);
	}
}

static void
takes_the_deadline_from_the_expiration(void **state)
{
	static const struct {
		const char *expiration;
		int64_t deadline_ms;
	} cases[] = {
		{ NULL, 0 },
		{ "", 0 },
		{ "0", LETTER_NOW_MS },
		{ "60000", LETTER_NOW_MS + 60000 },
		{ "4294967295", LETTER_NOW_MS + 4294967295 },
		{ "99999999999", 0 },
		{ "-1", 0 },
		{ "12x", 0 },
		{ " 1", 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < array_len(cases); i++) {
		struct letter letter = { .expiration = cases[i].expiration };
		struct envelope e;

		letter_read(&letter, &letter_work, &e);
		assert_int_equal(e.deadline_ms, cases[i].deadline_ms);
		envelope_clear(&e);
		/* In a DLQ it is that queue's business. */
		letter_read(&letter, &letter_dead, &e);
		assert_int_equal(e.deadline_ms, 0);
		envelope_clear(&e);
		letter_clear(&letter);
	}
}

static void
keeps_a_deadline_once_set(void **state)
{
	struct letter letter = { .user = LETTER_SELF, .expiration = "5" };
	struct envelope e;

	(void)state;
	letter_add_int(&letter, "dlo-deadline", 77);
	letter_read(&letter, &letter_work, &e);
	assert_int_equal(e.deadline_ms, 77);
	envelope_clear(&e);
	letter_clear(&letter);
}

static void
reads_foreign_headers_of_use(void **state)
{
	struct letter letter = { 0 };
	struct envelope_origin first_time = { .queue = "orders" };
	struct envelope e;

	(void)state;
	letter_add_text(&letter, "traceparent", "00-ab-cd-01");
	letter_add_int(&letter, "tracestate", 1);
	letter_add_text(&letter, "tracestate", "v=1");
	letter_add_text(&letter, "traceparent", "second");
	letter_add_int(&letter, "x-delivery-count", 4);
	letter_add_raw(&letter, "", 'V', "", 0);
	letter_read(&letter, &letter_work, &e);
	assert_slice(e.traceparent, "00-ab-cd-01");
	assert_slice(e.tracestate, "v=1");
	assert_int_equal(e.delivery_count, 4);
	envelope_clear(&e);
	/* A publisher may have put it there: the broker has not counted. */
	letter_read(&letter, &first_time, &e);
	assert_int_equal(e.delivery_count, 0);
	envelope_clear(&e);
	letter_clear(&letter);
}

/* x-death tables, as values: array of a table. */
#define DEATH(reason_len, reason, time) \
	"\6reasonS\0\0\0" reason_len reason "\5countl\0\0\0\0\0\0\0\1" \
	"\10exchangeS\0\0\0\4shop" \
	"\5queueS\0\0\0\6orders" \
	"\4timeT\0\0\0\0" time "\14routing-keysA\0\0\0\12S\0\0\0\5o.new"

static void
add_death(struct letter *letter, const void *entry, size_t len)
{
	struct buf array = { 0 };

	buf_add_u32(&array, (uint32_t)len + 5);
	buf_add_u8(&array, 'F');
	buf_add_u32(&array, (uint32_t)len);
	buf_add(&array, entry, len);
	letter_add_raw(letter, "x-death", 'A', buf_peek(&array), array.len);
	buf_clear(&array);
}

static void
reads_what_the_broker_says_of_a_death(void **state)
{
	static const struct {
		const char *entry;
		size_t len;
		enum envelope_reason reason;
		int64_t at_ms;
	} cases[] = {
		/* 0x6553f000: 1,699,999,744 s, four minutes ago. */
		{ LITERAL(DEATH("\7", "expired", "\x65\x53\xf0\0")),
		    ENVELOPE_BROKER_EXPIRED, 1699999744000 },
		{ LITERAL(DEATH("\10", "rejected", "\x65\x53\xf0\0")),
		    ENVELOPE_BROKER_REJECTED, 1699999744000 },
		{ LITERAL(DEATH("\6", "maxlen", "\x65\x53\xf0\0")),
		    ENVELOPE_BROKER_MAXLEN, 1699999744000 },
		{ LITERAL(DEATH("\16", "delivery_limit", "\x65\x53\xf0\0")),
		    ENVELOPE_BROKER_DELIVERY_LIMIT, 1699999744000 },
		{ LITERAL(DEATH("\3", "new", "\x65\x53\xf0\0")),
		    ENVELOPE_REASON_NONE, 1699999744000 },
		/* Four hours ahead. */
		{ LITERAL(DEATH("\7", "expired", "\x65\x54\x30\0")),
		    ENVELOPE_BROKER_EXPIRED, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < array_len(cases); i++) {
		struct letter letter = { .exchange = "dlo.dead",
			.routing_key = "orders" };
		struct envelope e;

		add_death(&letter, cases[i].entry, cases[i].len);
		letter_read(&letter, &letter_dead, &e);
		assert_true(e.x_death.found);
		assert_int_equal(envelope_reason_of(&e), cases[i].reason);
		assert_int_equal(envelope_dead_since_ms(&e), cases[i].at_ms);
		assert_slice(e.exchange, "shop");
		assert_slice(e.routing_key, "o.new");
		assert_slice(e.queue, "orders");
		envelope_clear(&e);
		/* On the work queue it is history. */
		letter_read(&letter, &letter_work, &e);
		assert_false(e.x_death.found);
		assert_slice(e.exchange, "dlo.dead");
		envelope_clear(&e);
		letter_clear(&letter);
	}
}

static void
believes_the_broker_before_a_stale_reason(void **state)
{
	struct letter letter = { .user = LETTER_SELF, .exchange = "dlo.dead" };
	struct envelope e;

	(void)state;
	add_story(&letter);
	add_death(&letter, LITERAL(DEATH("\6", "maxlen", "\x65\x53\xf0\0")));
	letter_read(&letter, &letter_dead, &e);
	assert_int_equal(envelope_reason_of(&e), ENVELOPE_BROKER_MAXLEN);
	assert_int_equal(envelope_dead_since_ms(&e), 1699999744000);
	assert_slice(e.routing_key, "o.first");
	envelope_clear(&e);
	letter_clear(&letter);
}

#define TRUE_REASON "\6reasonS\0\0\0\6maxlen"

static void
survives_a_hostile_x_death(void **state)
{
	static const struct {
		char type;
		const char *value;
		size_t len;
	} cases[] = {
		{ 'V', LITERAL("") },
		{ 'S', LITERAL("\0\0\0\4text") },
		{ 'l', LITERAL("\0\0\0\0\0\0\0\1") },
		{ 'F', LITERAL("\0\0\0\0") },
		{ 'A', LITERAL("\0\0\0\0") },
		{ 'A', LITERAL("\0\0\0\6S\0\0\0\1a") },
		{ 'A', LITERAL("\0\0\0\5A\0\0\0\0") },
		{ 'A', LITERAL("\0\0\0\5F\0\0\0\0") },
		/* Bytes of a true one, in the wrong places. */
		{ 'S', LITERAL("\0\0\0\27F\0\0\0\22" TRUE_REASON) },
		{ 'F', LITERAL("\0\0\0\27F\0\0\0\22" TRUE_REASON) },
		{ 'A', LITERAL("\0\0\0\27S\0\0\0\22" TRUE_REASON) },
		{ 'A', LITERAL("\0\0\0\27A\0\0\0\22" TRUE_REASON) },
		/* Right names, wrong types. */
		{ 'A', LITERAL("\0\0\0\15F\0\0\0\10\6reasonV") },
		{ 'A', LITERAL("\0\0\0\16F\0\0\0\11\6reasont\1") },
	};
	size_t i;

	(void)state;
	for (i = 0; i < array_len(cases); i++) {
		struct letter letter = { .exchange = "dlo.dead",
			.routing_key = "orders" };
		struct envelope e;

		letter_add_raw(&letter, "x-death", cases[i].type,
		    cases[i].value, cases[i].len);
		letter_read(&letter, &letter_dead, &e);
		assert_false(e.x_death.found);
		assert_int_equal(envelope_reason_of(&e), ENVELOPE_REASON_NONE);
		assert_int_equal(envelope_dead_since_ms(&e), 0);
		assert_slice(e.exchange, "dlo.dead");
		envelope_clear(&e);
		letter_clear(&letter);
	}
}

/* A death whose details are of wrong types or absent is still a death. */
static void
takes_half_an_x_death(void **state)
{
	static const char entry[] = "\6reasonS\0\0\0\7expired"
				    "\4timeS\0\0\0\4soon"
				    "\10exchangel\0\0\0\0\0\0\0\1"
				    "\14routing-keysA\0\0\0\2t\1";
	struct letter letter = { .exchange = "dlo.dead" };
	struct envelope e;

	(void)state;
	add_death(&letter, entry, sizeof(entry) - 1);
	letter_read(&letter, &letter_dead, &e);
	assert_int_equal(envelope_reason_of(&e), ENVELOPE_BROKER_EXPIRED);
	assert_int_equal(envelope_dead_since_ms(&e), 0);
	assert_int_equal(e.exchange.len, 0);
	assert_int_equal(e.routing_key.len, 0);
	envelope_clear(&e);
	letter_clear(&letter);
}

static void
names_reasons_both_ways(void **state)
{
	unsigned i;

	(void)state;
	for (i = 1; i < ENVELOPE_REASON_COUNT; i++) {
		const char *name =
		    envelope_reason_name((enum envelope_reason)i);

		assert_true(strlen(name) > 0);
		assert_int_equal(envelope_reason_parse(name, strlen(name)), i);
		assert_int_equal(envelope_reason_parse(name, strlen(name) - 1),
		    0);
	}
	assert_string_equal(envelope_reason_name(ENVELOPE_REASON_NONE), "");
	assert_int_equal(envelope_reason_parse(NULL, 0), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_a_new_message),
		cmocka_unit_test(takes_its_id_from_what_there_is),
		cmocka_unit_test(believes_trusted_users),
		cmocka_unit_test(drops_what_strangers_forge),
		cmocka_unit_test(ignores_what_is_out_of_range),
		cmocka_unit_test(takes_the_deadline_from_the_expiration),
		cmocka_unit_test(keeps_a_deadline_once_set),
		cmocka_unit_test(reads_foreign_headers_of_use),
		cmocka_unit_test(reads_what_the_broker_says_of_a_death),
		cmocka_unit_test(believes_the_broker_before_a_stale_reason),
		cmocka_unit_test(survives_a_hostile_x_death),
		cmocka_unit_test(takes_half_an_x_death),
		cmocka_unit_test(names_reasons_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
