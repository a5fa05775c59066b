/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* As what the headers of a message are told over HTTP, type by type. */
#include "tests/unit.h"

#include <stdio.h>

#include "amqp/props.h"
#include "consumer/headers.h"
#include "downstream/http_carry.h"
#include "lib/buf.h"

/* One header of any type, its value as on the wire. */
static void
add_header(struct buf *table, const char *name, char type, const void *value,
    size_t len)
{
	buf_add_u8(table, (uint8_t)strlen(name));
	buf_add_str(table, name);
	buf_add_u8(table, (uint8_t)type);
	buf_add(table, value, len);
}

static void
fill(struct http_carry *carry, const struct buf *table)
{
	struct attempt_text rest = { (const char *)buf_peek(table),
		table->len };
	struct attempt_field field;

	http_carry_init(carry);
	while (headers_next(&rest, &field))
		http_carry_add(carry, &field);
}

static void
check_item(const struct http_carry *carry, size_t i, const char *name,
    const void *value, size_t len)
{
	assert_in_range(i, 0, carry->count - 1);
	assert_int_equal(carry->items[i].name.len, strlen(name));
	assert_memory_equal(carry->items[i].name.ptr, name, strlen(name));
	assert_int_equal(carry->items[i].value.len, len);
	assert_memory_equal(carry->items[i].value.ptr, value, len);
}

#define BYTES(s) s, sizeof(s) - 1

static const struct {
	char type;
	const char *bytes;
	size_t len;
	const char *text; /* NULL: not carried */
} values[] = {
	{ 'S', BYTES("\0\0\0\003a\r\n"), "a\r\n" },
	{ 'S', BYTES("\0\0\0\0"), "" },
	{ 'x', BYTES("\0\0\0\001\xff"), "\xff" },
	{ 't', BYTES("\0"), "false" },
	{ 't', BYTES("\1"), "true" },
	{ 'b', BYTES("\xff"), "-1" },
	{ 'I', BYTES("\x80\0\0\0"), "-2147483648" },
	{ 'l', BYTES("\x80\0\0\0\0\0\0\0"), "-9223372036854775808" },
	{ 'l', BYTES("\0\0\0\0\0\0\x01\0"), "256" },
	{ 'f', BYTES("\x3d\xcc\xcc\xcd"), "0.1" },
	{ 'd', BYTES("\x3f\xb9\x99\x99\x99\x99\x99\x9a"), "0.1" },
	{ 'd', BYTES("\x3f\xd5\x55\x55\x55\x55\x55\x55"),
	    "0.3333333333333333" },
	{ 'd', BYTES("\xff\xef\xff\xff\xff\xff\xff\xff"),
	    "-1.7976931348623157e+308" },
	{ 'd', BYTES("\x7f\xf0\0\0\0\0\0\0"), "inf" },
	{ 'd', BYTES("\x80\0\0\0\0\0\0\0"), "-0" },
	{ 'f', BYTES("\x7f\xc0\0\0"), "nan" },
	{ 'T', BYTES("\0\0\0\0\x65\x53\xf1\0"), "2023-11-14T22:13:20.000Z" },
	{ 'T', BYTES("\xff\xff\xff\xff\xff\xff\xff\xff"), NULL },
	{ 'V', BYTES(""), NULL },
	{ 'A', BYTES("\0\0\0\0"), NULL },
	{ 'F', BYTES("\0\0\0\0"), NULL },
	{ 'D', BYTES("\1\0\0\0\1"), NULL },
};

static void
writes_values_as_text(void **state)
{
	struct http_carry carry;
	struct buf table = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < array_len(values); i++) {
		buf_reset(&table);
		add_header(&table, "a", values[i].type, values[i].bytes,
		    values[i].len);
		fill(&carry, &table);
		assert_int_equal(carry.count, values[i].text != NULL);
		if (values[i].text != NULL)
			check_item(&carry, 0, "a", values[i].text,
			    strlen(values[i].text));
	}
	buf_clear(&table);
}

static void
takes_each_name_once(void **state)
{
	struct http_carry carry;
	struct buf table = { 0 };

	(void)state;
	rmq_table_add_int(&table, "c", 1);
	/* No text: the next of that name is the first. */
	rmq_table_add_table(&table, "a", (struct rmq_slice){ NULL, 0 });
	add_header(&table, "b", 'T', "\xff\xff\xff\xff\xff\xff\xff", 8);
	add_header(&table, "b", 'T', "\0\0\0\xff\xff\xff\xff\xff", 8);
	rmq_table_add_text(&table, "a", "one", 3);
	rmq_table_add_text(&table, "a", "two", 3);
	rmq_table_add_int(&table, "b", 2);
	rmq_table_add_text(&table, "A", "", 0);
	fill(&carry, &table);
	assert_int_equal(carry.count, 4);
	check_item(&carry, 0, "c", "1", 1);
	check_item(&carry, 1, "a", "one", 3);
	check_item(&carry, 2, "b", "2", 1);
	check_item(&carry, 3, "A", "", 0);
	buf_clear(&table);
}

/* What comes then is counted, but for names that are told of already. */
static void
is_bounded(void **state)
{
	struct http_carry carry;
	struct buf table = { 0 };
	char name[32], text[16];
	size_t i;

	(void)state;
	for (i = 0; i < HTTP_CARRY_MAX + 3; i++) {
		snprintf(name, sizeof(name), "n%zu", i);
		rmq_table_add_int(&table, name, (int64_t)i);
	}
	rmq_table_add_int(&table, "n1", 0);
	fill(&carry, &table);
	assert_int_equal(carry.count, HTTP_CARRY_MAX);
	assert_int_equal(carry.left_out, 3);
	for (i = 0; i < HTTP_CARRY_MAX; i++) {
		snprintf(name, sizeof(name), "n%zu", i);
		snprintf(text, sizeof(text), "%zu", i);
		check_item(&carry, i, name, text, strlen(text));
	}
	buf_clear(&table);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_values_as_text),
		cmocka_unit_test(takes_each_name_once),
		cmocka_unit_test(is_bounded),
	};

	return cmocka_run_group_tests_name("carry", tests, NULL, NULL);
}
