/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/unit.h"

#include <string.h>

#include "consumer/dedup.h"
#include "tests/dlx/letter.h"
#include "tests/sim/sim_loop.h"

#define KEPT 3

static struct loop *loop;
static struct dedup *dedup;

static int
setup(void **state)
{
	(void)state;
	loop = sim_loop_new(1);
	dedup = dedup_new(loop, KEPT);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	dedup_free(dedup);
	loop_free(loop);
	return 0;
}

/* What a test changes of a message; empty is as it was. */
struct change {
	const char *what;
	const char *message_id, *body, *exchange, *routing_key;
	const char *header; /* its value of `tenant`; "": no such header */
	const char *broker; /* x-delivery-count, as text */
	const char *ours;   /* dlo-class */
	const char *expiration;
	int64_t redrives;
};

static const struct change original = { .what = "the same" };

static void
make(const struct change *change, struct letter *letter, struct envelope *e)
{
	*letter = (struct letter){
		.user = LETTER_SELF,
		.message_id =
		    change->message_id == NULL ? "m-1" : change->message_id,
		.expiration = change->expiration,
		.exchange = change->exchange == NULL ? "x" : change->exchange,
		.routing_key =
		    change->routing_key == NULL ? "k" : change->routing_key,
	};
	if (change->header == NULL || change->header[0] != '\0')
		letter_add_text(letter, "tenant",
		    change->header == NULL ? "blue" : change->header);
	if (change->broker != NULL)
		letter_add_text(letter, "x-delivery-count", change->broker);
	if (change->ours != NULL)
		letter_add_text(letter, "dlo-class", change->ours);
	if (change->redrives > 0)
		letter_add_int(letter, "dlo-redrives", change->redrives);
	letter_read(letter, &letter_work, e);
}

static struct rmq_slice
body_of(const struct change *change)
{
	return rmq_slice_of(change->body == NULL ? "body" : change->body);
}

static void
remember(const struct change *change)
{
	struct letter letter;
	struct envelope e;

	make(change, &letter, &e);
	dedup_remember(dedup, &e, body_of(change));
	envelope_clear(&e);
	letter_clear(&letter);
}

static bool
knows(const struct change *change)
{
	struct letter letter;
	struct envelope e;
	bool known;

	make(change, &letter, &e);
	known = dedup_knows(dedup, &e, body_of(change));
	envelope_clear(&e);
	letter_clear(&letter);
	return known;
}

static void
knows_the_same_message_only(void **state)
{
	static const struct change same[] = {
		{ .what = "as it was" },
		{ .what = "delivered more often", .broker = "7" },
		{ .what = "failed before", .ours = "http.503" },
	};
	static const struct change others[] = {
		{ .what = "id", .message_id = "m-2" },
		{ .what = "body", .body = "bodY" },
		{ .what = "length", .body = "body " },
		{ .what = "no body", .body = "" },
		{ .what = "exchange", .exchange = "y" },
		{ .what = "routing key", .routing_key = "l" },
		{ .what = "pieces cut otherwise",
		    .exchange = "xk",
		    .routing_key = "" },
		{ .what = "header", .header = "red" },
		{ .what = "property", .expiration = "1000" },
		{ .what = "redriven", .redrives = 1 },
	};

	(void)state;
	assert_false(knows(&original));
	remember(&original);
	for (size_t i = 0; i < array_len(same); i++)
		if (!knows(&same[i]))
			fail_msg("not known: %s", same[i].what);
	for (size_t i = 0; i < array_len(others); i++)
		if (knows(&others[i]))
			fail_msg("known, but another %s", others[i].what);
}

/* A quorum queue counts from the first redelivery on. */
static void
the_first_headers_may_be_the_brokers(void **state)
{
	static const struct change bare = { .header = "" };
	static const struct change again = { .header = "", .broker = "1" };

	(void)state;
	remember(&bare);
	assert_true(knows(&bare));
	assert_true(knows(&again));
	assert_false(knows(&original));
}

static void
forgets_the_oldest(void **state)
{
	static const char *const ids[] = { "a", "b", "c", "d", "e", "f", "g",
		"h" };

	(void)state;
	for (size_t i = 0; i < array_len(ids); i++) {
		remember(&(struct change){ .message_id = ids[i] });
		for (size_t k = 0; k < array_len(ids); k++)
			assert_int_equal(knows(&(struct change){
					     .message_id = ids[k] }),
			    k <= i && k + KEPT > i);
	}
	/* Twice is twice in the ring, and both go. */
	remember(&(struct change){ .message_id = "h" });
	assert_true(knows(&(struct change){ .message_id = "g" }));
	for (size_t i = 0; i < KEPT; i++)
		remember(&(struct change){ .message_id = ids[i] });
	assert_false(knows(&(struct change){ .message_id = "h" }));
}

static void
grows_with_what_it_knows(void **state)
{
	static const char *const ids[] = { "a", "b", "c", "d", "e", "f", "g",
		"h" };

	(void)state;
	for (size_t i = 0; i < KEPT + 1; i++)
		remember(&(struct change){ .message_id = ids[i] });
	dedup_grow(dedup, KEPT - 1);
	dedup_grow(dedup, KEPT + 2);
	for (size_t i = 0; i < array_len(ids); i++)
		assert_int_equal(knows(
				     &(struct change){ .message_id = ids[i] }),
		    i >= 1 && i <= KEPT);
	/* It is full at another number, and forgets the oldest as before. */
	for (size_t i = KEPT + 1; i < array_len(ids); i++)
		remember(&(struct change){ .message_id = ids[i] });
	for (size_t i = 0; i < array_len(ids); i++)
		assert_int_equal(knows(
				     &(struct change){ .message_id = ids[i] }),
		    i + KEPT + 2 >= array_len(ids));
}

static void
nothing_without_a_message_id(void **state)
{
	static const struct change nameless = { .message_id = "" };

	(void)state;
	remember(&nameless);
	assert_false(knows(&nameless));
}

/* Its headers are not read to their end: no two are known to be the same. */
static void
nothing_that_does_not_decode(void **state)
{
	struct letter letter;
	struct envelope e;

	(void)state;
	make(&original, &letter, &e);
	e.verdict = RMQ_PROPS_TOO_DEEP;
	dedup_remember(dedup, &e, body_of(&original));
	assert_false(dedup_knows(dedup, &e, body_of(&original)));
	assert_false(knows(&original));
	envelope_clear(&e);
	letter_clear(&letter);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(knows_the_same_message_only,
		    setup, teardown),
		cmocka_unit_test_setup_teardown(
		    the_first_headers_may_be_the_brokers, setup, teardown),
		cmocka_unit_test_setup_teardown(forgets_the_oldest, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(grows_with_what_it_knows, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(nothing_without_a_message_id,
		    setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_that_does_not_decode,
		    setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
