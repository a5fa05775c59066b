/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Which headers of a message are carried to its downstream, and as what. */
#include "tests/unit.h"

#include <stdio.h>

#include "amqp/props.h"
#include "config/conf.h"
#include "consumer/carry.h"
#include "lib/buf.h"

static const char *const names[] = { "a", "b", "c" };
static const struct conf_http forwarding = {
	.forward_headers = { names, array_len(names) },
};
static const struct conf_http events = { .format = CONF_FORMAT_CLOUDEVENTS };

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

static struct rmq_slice
slice_of(const struct buf *table)
{
	return (struct rmq_slice){ buf_peek(table), table->len };
}

static void
check_item(const struct carry *carry, size_t i, const char *name,
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
	struct carry carry = { 0 };
	struct buf table = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < array_len(values); i++) {
		buf_reset(&table);
		add_header(&table, "a", values[i].type, values[i].bytes,
		    values[i].len);
		carry_fill(&carry, slice_of(&table), &forwarding);
		assert_int_equal(carry.count, values[i].text != NULL);
		if (values[i].text != NULL)
			check_item(&carry, 0, "a", values[i].text,
			    strlen(values[i].text));
	}
	carry_clear(&carry);
	buf_clear(&table);
}

static void
takes_what_is_named_once(void **state)
{
	struct carry carry = { 0 };
	struct buf table = { 0 };

	(void)state;
	rmq_table_add_int(&table, "c", 1);
	rmq_table_add_text(&table, "A", "no", 2);
	rmq_table_add_text(&table, "ab", "no", 2);
	rmq_table_add_text(&table, "cloudEvents:id", "no", 2);
	rmq_table_add_text(&table, "a", "one", 3);
	rmq_table_add_text(&table, "a", "two", 3);
	rmq_table_add_int(&table, "b", 2);
	carry_fill(&carry, slice_of(&table), &forwarding);
	assert_int_equal(carry.count, 3);
	check_item(&carry, 0, "c", "1", 1);
	check_item(&carry, 1, "a", "one", 3);
	check_item(&carry, 2, "b", "2", 1);
	carry_fill(&carry, slice_of(&table), &events);
	assert_int_equal(carry.count, 1);
	check_item(&carry, 0, "cloudEvents:id", "no", 2);
	carry_fill(&carry, slice_of(&table), &(struct conf_http){ 0 });
	assert_int_equal(carry.count, 0);
	carry_clear(&carry);
	buf_clear(&table);
}

/* Numbers stay in their place while the memory grows. */
static void
is_bounded(void **state)
{
	struct carry carry = { 0 };
	struct buf table = { 0 };
	char name[32], text[16];
	size_t i;

	(void)state;
	for (i = 0; i < 2 * CARRY_MAX; i++) {
		snprintf(name, sizeof(name), "cloudEvents:n%zu", i);
		rmq_table_add_int(&table, name, (int64_t)i);
	}
	carry_fill(&carry, slice_of(&table), &events);
	assert_int_equal(carry.count, CARRY_MAX);
	for (i = 0; i < CARRY_MAX; i++) {
		snprintf(name, sizeof(name), "cloudEvents:n%zu", i);
		snprintf(text, sizeof(text), "%zu", i);
		check_item(&carry, i, name, text, strlen(text));
	}
	carry_clear(&carry);
	buf_clear(&table);
}

/* What begins as an attribute and is none takes no room from those. */
static void
leaves_junk_out(void **state)
{
	static const char *const junk[] = { "cloudEvents",
		"cloudEvents:", "cloudEventsid", "cloudEvents-id",
		"cloudEvents:ID", "cloudEvents:a b", "cloudEvents_\xc3\xa9",
		"CloudEvents:id" };
	struct carry carry = { 0 };
	struct buf table = { 0 };
	char name[32];
	size_t i;

	(void)state;
	for (i = 0; i < array_len(junk); i++)
		rmq_table_add_text(&table, junk[i], "no", 2);
	for (i = 0; i < CARRY_MAX; i++) {
		snprintf(name, sizeof(name), "cloudEvents-n%zu", i);
		rmq_table_add_text(&table, name, "no", 2);
	}
	rmq_table_add_text(&table, "cloudEvents:id", "1", 1);
	rmq_table_add_text(&table, "cloudEvents_source", "s", 1);
	carry_fill(&carry, slice_of(&table), &events);
	assert_int_equal(carry.count, 2);
	check_item(&carry, 0, "cloudEvents:id", "1", 1);
	check_item(&carry, 1, "cloudEvents_source", "s", 1);
	carry_clear(&carry);
	buf_clear(&table);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_values_as_text),
		cmocka_unit_test(takes_what_is_named_once),
		cmocka_unit_test(is_bounded),
		cmocka_unit_test(leaves_junk_out),
	};

	return cmocka_run_group_tests_name("carry", tests, NULL, NULL);
}
