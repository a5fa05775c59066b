/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Whose turn it is: keys, and the lines of those who share one. */
#include "tests/unit.h"

#include <stdlib.h>

#include "amqp/props.h"
#include "consumer/lanes.h"
#include "lib/buf.h"
#include "lib/compiler.h"
#include "lib/xalloc.h"

static struct lane_key
number_key(int64_t number)
{
	return (struct lane_key){ 'l', number, { NULL, 0 } };
}

static struct lane_key
text_key(const char *text)
{
	return (struct lane_key){ 'S', 0, rmq_slice_of(text) };
}

static void
a_lane_is_first_come_first_served(void **state)
{
	struct lane_member a1, a2, a3, b1;
	struct lane_key a = text_key("a"), b = text_key("b");
	struct lanes lanes;

	(void)state;
	lanes_init(&lanes, 4, 1);
	assert_true(lanes_join(&lanes, &a1, &a));
	assert_false(lanes_join(&lanes, &a2, &a));
	assert_true(lanes_join(&lanes, &b1, &b));
	assert_false(lanes_join(&lanes, &a3, &a));
	assert_ptr_equal(lane_first(&a3), &a1);
	assert_ptr_equal(lane_first(&b1), &b1);
	assert_ptr_equal(lanes_leave(&lanes, &a1), &a2);
	assert_null(lanes_leave(&lanes, &b1));
	assert_ptr_equal(lanes_leave(&lanes, &a2), &a3);
	assert_null(lanes_leave(&lanes, &a3));
	lanes_clear(&lanes);
}

static void
leaving_from_within_moves_nobody_up(void **state)
{
	struct lane_member m[4];
	struct lane_key key = number_key(7);
	struct lanes lanes;

	(void)state;
	lanes_init(&lanes, 1, 1);
	for (size_t i = 0; i < array_len(m); i++)
		assert_true(lanes_join(&lanes, &m[i], &key) == (i == 0));
	assert_null(lanes_leave(&lanes, &m[1]));
	assert_null(lanes_leave(&lanes, &m[3]));
	assert_ptr_equal(lanes_leave(&lanes, &m[0]), &m[2]);
	assert_null(lanes_leave(&lanes, &m[2]));
	lanes_clear(&lanes);
}

/* The bytes of who was first may go when it goes. */
static void
a_lane_outlives_its_first_key(void **state)
{
	struct lane_member first, second, third;
	char *bytes = xstrdup("customer");
	struct lane_key mine = text_key(bytes), same = text_key("customer");
	struct lanes lanes;

	(void)state;
	lanes_init(&lanes, 8, 3);
	assert_true(lanes_join(&lanes, &first, &mine));
	assert_false(lanes_join(&lanes, &second, &same));
	assert_ptr_equal(lanes_leave(&lanes, &first), &second);
	free(bytes);
	assert_false(lanes_join(&lanes, &third, &same));
	assert_ptr_equal(lanes_leave(&lanes, &second), &third);
	assert_null(lanes_leave(&lanes, &third));
	lanes_clear(&lanes);
}

static void
keys_differ_in_any_part(void **state)
{
	static const uint8_t yes[] = { 1 };
	const struct lane_key keys[] = {
		{ 0 },
		number_key(0),
		number_key(1),
		number_key(INT64_MIN),
		text_key(""),
		text_key("1"),
		text_key("10"),
		{ 't', 0, { yes, 1 } },
		{ 'x', 0, { yes, 1 } },
	};
	struct lane_member m[array_len(keys)];
	struct lanes lanes;

	(void)state;
	/* One bucket: they are told apart by more than their hashes. */
	lanes_init(&lanes, 1, 5);
	for (size_t i = 0; i < array_len(keys); i++)
		assert_true(lanes_join(&lanes, &m[i], &keys[i]));
	for (size_t i = 0; i < array_len(keys); i++)
		assert_null(lanes_leave(&lanes, &m[i]));
	lanes_clear(&lanes);
}

#define MEMBERS 2000
#define KEYS	50

/* Against a plain array of who stands where. */
static void
any_course_keeps_the_lines(void **state)
{
	struct lane_member *m = xcalloc(MEMBERS, sizeof(*m));
	unsigned *came = xcalloc(MEMBERS, sizeof(*came)), clock = 0;
	struct lanes lanes;
	unsigned seed = 1;

	(void)state;
	lanes_init(&lanes, KEYS / 4, 9);
	for (unsigned step = 0; step < 20000; step++) {
		size_t i, first = MEMBERS, at;

		seed = seed * 1103515245 + 12345;
		at = (seed >> 8) % MEMBERS;
		if (came[at] == 0) {
			struct lane_key key = number_key((int64_t)at % KEYS);

			(void)lanes_join(&lanes, &m[at], &key);
			came[at] = ++clock;
		} else {
			(void)lanes_leave(&lanes, &m[at]);
			came[at] = 0;
		}
		for (i = at % KEYS; i < MEMBERS; i += KEYS)
			if (came[i] != 0 &&
			    (first == MEMBERS || came[i] < came[first]))
				first = i;
		for (i = at % KEYS; i < MEMBERS; i += KEYS)
			if (came[i] != 0)
				assert_ptr_equal(lane_first(&m[i]), &m[first]);
	}
	for (size_t i = 0; i < MEMBERS; i++)
		if (came[i] != 0)
			(void)lanes_leave(&lanes, &m[i]);
	lanes_clear(&lanes);
	free(came);
	free(m);
}

/* The key of a message with one raw header: type and value, after "k". */
static struct lane_key
key_of_header(const void *bytes, size_t len)
{
	const struct conf_pipeline pipeline = {
		.order = CONF_ORDER_HEADER,
		.order_header = "k",
	};
	struct envelope e = { 0 };

	e.props.value[RMQ_PROP_HEADERS] = (struct rmq_slice){ bytes, len };
	return lane_key_of(&pipeline, &e);
}

#define HEADER(bytes) key_of_header("\001k" bytes, sizeof("\001k" bytes) - 1)

static void
one_number_is_one_key(void **state)
{
	const struct lane_key keys[] = {
		HEADER("b\005"),
		HEADER("B\005"),
		HEADER("s\0\005"),
		HEADER("u\0\005"),
		HEADER("I\0\0\0\005"),
		HEADER("i\0\0\0\005"),
		HEADER("l\0\0\0\0\0\0\0\005"),
		HEADER("T\0\0\0\0\0\0\0\005"),
	};

	(void)state;
	for (size_t i = 0; i < array_len(keys); i++) {
		assert_int_equal(keys[i].type, 'l');
		assert_int_equal(keys[i].number, 5);
		assert_int_equal(keys[i].bytes.len, 0);
	}
	assert_int_equal(HEADER("b\377").number, -1);
}

static void
other_scalars_are_their_bytes(void **state)
{
	struct lane_key key = HEADER("S\0\0\0\002ab");

	(void)state;
	assert_int_equal(key.type, 'S');
	assert_memory_equal(key.bytes.ptr, "ab", 2);
	assert_int_equal(HEADER("x\0\0\0\002ab").type, 'S');
	key = HEADER("t\001");
	assert_int_equal(key.type, 't');
	assert_int_equal(key.bytes.len, 1);
	key = HEADER("d\0\0\0\0\0\0\0\0");
	assert_int_equal(key.type, 'd');
	assert_int_equal(key.bytes.len, 8);
}

static void
what_has_no_key_shares_one(void **state)
{
	(void)state;
	assert_int_equal(key_of_header(NULL, 0).type, 0);
	assert_int_equal(HEADER("V").type, 0);
	assert_int_equal(HEADER("F\0\0\0\0").type, 0);
	assert_int_equal(HEADER("A\0\0\0\0").type, 0);
	/* Only another header. */
	assert_int_equal(key_of_header("\001jb\001", 4).type, 0);
}

static void
the_routing_key_is_the_first_one(void **state)
{
	const struct conf_pipeline pipeline = {
		.order = CONF_ORDER_ROUTING_KEY,
	};
	const struct conf_pipeline strict = { .order = CONF_ORDER_STRICT };
	struct envelope e = { .routing_key = rmq_slice_of("first") };
	struct lane_key key = lane_key_of(&pipeline, &e);

	(void)state;
	assert_int_equal(key.type, 'S');
	assert_memory_equal(key.bytes.ptr, "first", 5);
	assert_int_equal(lane_key_of(&strict, &e).type, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lane_is_first_come_first_served),
		cmocka_unit_test(leaving_from_within_moves_nobody_up),
		cmocka_unit_test(a_lane_outlives_its_first_key),
		cmocka_unit_test(keys_differ_in_any_part),
		cmocka_unit_test(any_course_keeps_the_lines),
		cmocka_unit_test(one_number_is_one_key),
		cmocka_unit_test(other_scalars_are_their_bytes),
		cmocka_unit_test(what_has_no_key_shares_one),
		cmocka_unit_test(the_routing_key_is_the_first_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
