/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The headers that handlers see, type by type. */
#include "tests/unit.h"

#include "consumer/headers.h"
#include "lib/buf.h"
#include "lib/compiler.h"

#define TABLE(s) \
	{ \
		s, sizeof(s) - 1 \
	}

static void
take(struct attempt_text *rest, const char *name, enum attempt_field_type type,
    struct attempt_field *header)
{
	assert_true(headers_next(rest, header));
	assert_int_equal(header->name.len, strlen(name));
	assert_memory_equal(header->name.ptr, name, strlen(name));
	assert_int_equal(header->type, type);
}

static void
reads_every_scalar(void **state)
{
	static const struct {
		char type;
		struct attempt_text value;
		int64_t number;
	} integers[] = {
		{ 'b', TABLE("\xff"), -1 },
		{ 'B', TABLE("\xff"), 255 },
		{ 's', TABLE("\xff\xfe"), -2 },
		{ 'u', TABLE("\xff\xfe"), 65534 },
		{ 'I', TABLE("\x80\0\0\0"), INT32_MIN },
		{ 'i', TABLE("\x80\0\0\0"), 2147483648 },
		{ 'l', TABLE("\x80\0\0\0\0\0\0\0"), INT64_MIN },
		{ 'L', TABLE("\x7f\xff\xff\xff\xff\xff\xff\xff"), INT64_MAX },
	};
	struct attempt_text rest;
	struct attempt_field header;
	struct buf table = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < array_len(integers); i++) {
		buf_reset(&table);
		buf_printf(&table, "\001a%c", integers[i].type);
		buf_add(&table, integers[i].value.ptr, integers[i].value.len);
		rest.ptr = (const char *)buf_peek(&table);
		rest.len = table.len;
		take(&rest, "a", ATTEMPT_FIELD_INT, &header);
		assert_true(header.value.number == integers[i].number);
		assert_false(headers_next(&rest, &header));
	}
	buf_clear(&table);
}

static void
reads_texts_reals_times_and_booleans(void **state)
{
	static const char table[] = "\001aS\0\0\0\003x\0y"
				    "\001bf\x3f\0\0\0"
				    "\001cd\xbf\xe0\0\0\0\0\0\0"
				    "\001dt\0"
				    "\001et\002"
				    "\001fS\0\0\0\0"
				    "\001gx\0\0\0\001\xff"
				    "\001hT\0\0\0\0\x65\x53\xf1\0";
	struct attempt_text rest = TABLE(table);
	struct attempt_field header;

	(void)state;
	take(&rest, "a", ATTEMPT_FIELD_TEXT, &header);
	assert_int_equal(header.value.text.len, 3);
	assert_memory_equal(header.value.text.ptr, "x\0y", 3);
	take(&rest, "b", ATTEMPT_FIELD_FLOAT, &header);
	assert_true(header.value.real == 0.5);
	take(&rest, "c", ATTEMPT_FIELD_DOUBLE, &header);
	assert_true(header.value.real == -0.5);
	take(&rest, "d", ATTEMPT_FIELD_BOOL, &header);
	assert_false(header.value.truth);
	take(&rest, "e", ATTEMPT_FIELD_BOOL, &header);
	assert_true(header.value.truth);
	take(&rest, "f", ATTEMPT_FIELD_TEXT, &header);
	assert_int_equal(header.value.text.len, 0);
	take(&rest, "g", ATTEMPT_FIELD_BYTES, &header);
	assert_int_equal(header.value.text.len, 1);
	assert_memory_equal(header.value.text.ptr, "\xff", 1);
	take(&rest, "h", ATTEMPT_FIELD_TIME, &header);
	assert_true(header.value.number == 1700000000);
	assert_false(headers_next(&rest, &header));
	assert_false(headers_next(&rest, &header));
}

static void
passes_over_the_rest(void **state)
{
	static const char table[] = "\001aV"
				    "\001bF\0\0\0\0"
				    "\001cA\0\0\0\0"
				    "\001eD\001\0\0\0\005"
				    "\001fT\xff\xff\xff\xff\xff\xff\xff\xff"
				    /* ours, or forged */
				    "\013dlo-attemptI\0\0\0\001"
				    "\004dlo-S\0\0\0\0"
				    "\003dlot\001"
				    "\005Dlo-xt\001";
	struct attempt_text rest = TABLE(table);
	struct attempt_field header;

	(void)state;
	take(&rest, "dlo", ATTEMPT_FIELD_BOOL, &header);
	take(&rest, "Dlo-x", ATTEMPT_FIELD_BOOL, &header);
	assert_false(headers_next(&rest, &header));
}

/* Tables are checked before; still, a lie ends them. */
static void
ends_at_a_lie(void **state)
{
	static const struct attempt_text tables[] = {
		TABLE(""),
		TABLE("\001"),
		TABLE("\001a"),
		TABLE("\001aI\0\0"),
		TABLE("\001aS\0\0\0\002x"),
		TABLE("\001a?"),
		{ NULL, 0 },
	};
	struct attempt_field header;
	struct attempt_text rest;
	size_t i;

	(void)state;
	for (i = 0; i < array_len(tables); i++) {
		rest = tables[i];
		assert_false(headers_next(&rest, &header));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_every_scalar),
		cmocka_unit_test(reads_texts_reals_times_and_booleans),
		cmocka_unit_test(passes_over_the_rest),
		cmocka_unit_test(ends_at_a_lie),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
