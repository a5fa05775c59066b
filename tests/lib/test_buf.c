/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/unit.h"

#include "lib/buf.h"

static void
reads_what_was_written(void **state)
{
	struct buf buf = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < 1000; i++)
		buf_add_u32(&buf, (uint32_t)i);
	assert_int_equal(buf.len, 4000);
	buf_drop(&buf, 3996);
	assert_memory_equal(buf_peek(&buf), "\0\0\3\347", 4);
	buf_add_str(&buf, "tail");
	assert_memory_equal(buf_peek(&buf) + 4, "tail", 4);
	buf_drop(&buf, 8);
	assert_int_equal(buf.len, 0);
	assert_int_equal(buf.off, 0);
	buf_printf(&buf, "%s-%d", "x", 7);
	assert_string_equal(buf_str(&buf), "x-7");
	buf_clear(&buf);
}

static void
reuses_room_at_the_front(void **state)
{
	struct buf buf = { 0 };
	size_t space, i;

	(void)state;
	memset(buf_reserve(&buf, 4096), 'a', 4096);
	buf_claim(&buf, 4096);
	space = buf.space;
	for (i = 0; i < 100; i++) {
		buf_drop(&buf, 4000);
		memset(buf_reserve(&buf, 4000), 'b', 4000);
		buf_claim(&buf, 4000);
	}
	assert_true(buf.space <= 4 * space);
	assert_int_equal(buf.len, 4096);
	buf_clear(&buf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_was_written),
		cmocka_unit_test(reuses_room_at_the_front),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
