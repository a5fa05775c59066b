/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/unit.h"

#include <stdlib.h>

#include "amqp/props.h"
#include "lib/compiler.h"
#include "lib/xalloc.h"

#define BYTES(text) \
	{ \
		(const uint8_t *)(text), sizeof(text) - 1 \
	}

static struct rmq_slice
slice_of_buf(const struct buf *buf)
{
	return (struct rmq_slice){ buf_peek(buf), buf->len };
}

/* One header of each type that RabbitMQ knows, and what it reads as. */
static const struct {
	struct rmq_slice raw;
	char type;
	size_t value_len;
	bool is_int;
	int64_t value;
} fields[] = {
	{ BYTES("\1kt\1"), 't', 1, false, 0 },
	{ BYTES("\1kb\377"), 'b', 1, true, -1 },
	{ BYTES("\1kB\377"), 'B', 1, true, 255 },
	{ BYTES("\1ks\377\376"), 's', 2, true, -2 },
	{ BYTES("\1ku\377\376"), 'u', 2, true, 65534 },
	{ BYTES("\1kI\377\377\377\375"), 'I', 4, true, -3 },
	{ BYTES("\1ki\377\377\377\375"), 'i', 4, true, 4294967293 },
	{ BYTES("\1kl\377\377\377\377\377\377\377\374"), 'l', 8, true, -4 },
	{ BYTES("\1kL\0\0\0\0\0\0\0\5"), 'L', 8, true, 5 },
	{ BYTES("\1kL\377\377\377\377\377\377\377\374"), 'L', 8, true, -4 },
	{ BYTES("\1kT\377\377\377\377\377\377\377\374"), 'T', 8, false, 0 },
	{ BYTES("\1kT\0\0\0\0\0\0\1\0"), 'T', 8, true, 256 },
	{ BYTES("\1kf\0\0\0\0"), 'f', 4, false, 0 },
	{ BYTES("\1kd\0\0\0\0\0\0\0\0"), 'd', 8, false, 0 },
	{ BYTES("\1kD\2\0\0\1\0"), 'D', 5, false, 0 },
	{ BYTES("\1kS\0\0\0\3abc"), 'S', 3, false, 0 },
	{ BYTES("\1kx\0\0\0\2\0\1"), 'x', 2, false, 0 },
	{ BYTES("\1kA\0\0\0\3tV\0"), 'A', 3, false, 0 },
	{ BYTES("\1kA\0\0\0\2VV"), 'A', 2, false, 0 },
	{ BYTES("\1kF\0\0\0\3\1aV"), 'F', 3, false, 0 },
	{ BYTES("\1kV"), 'V', 0, false, 0 },
	{ BYTES("\0V"), 'V', 0, false, 0 }, /* an empty name is a name */
};

static void
reads_every_field_type(void **state)
{
	struct rmq_header header;
	int64_t value;
	size_t i;

	(void)state;
	for (i = 0; i < array_len(fields); i++) {
		struct rmq_slice rest = fields[i].raw;

		assert_int_equal(rmq_table_next(&rest, &header), 1);
		assert_int_equal(rest.len, 0);
		assert_int_equal(header.type, fields[i].type);
		assert_int_equal(header.value.len, fields[i].value_len);
		assert_ptr_equal(header.raw.ptr, fields[i].raw.ptr);
		assert_int_equal(header.raw.len, fields[i].raw.len);
		assert_int_equal(rmq_header_int(&header, &value),
		    fields[i].is_int);
		if (fields[i].is_int)
			assert_int_equal(value, fields[i].value);
		assert_int_equal(rmq_table_next(&rest, &header), 0);
	}
}

static void
refuses_every_field_cut_short(void **state)
{
	struct rmq_header header;
	size_t i, len;

	(void)state;
	for (i = 0; i < array_len(fields); i++) {
		for (len = 1; len < fields[i].raw.len; len++) {
			/* Exactly sized, so that ASan sees a byte too far. */
			uint8_t *copy = xmalloc(len);
			struct rmq_slice rest = { copy, len };

			memcpy(copy, fields[i].raw.ptr, len);
			assert_int_equal(rmq_table_next(&rest, &header), -1);
			rest = (struct rmq_slice){ copy, len };
			assert_int_equal(rmq_table_check(rest),
			    RMQ_PROPS_BAD_HEADERS);
			free(copy);
		}
	}
}

static void
refuses_what_lies(void **state)
{
	static const struct rmq_slice bad[] = {
		BYTES("\1k?"),			  /* unknown type */
		BYTES("\377k"),			  /* name too long */
		BYTES("\1kS\377\377\377\377abc"), /* length wraps */
		BYTES("\1kF\0\0\0\2\1a"),	  /* cut inside the table */
		BYTES("\1kF\0\0\0\4\1aVV"),	  /* left-over in the table */
		BYTES("\1kA\0\0\0\1S"),		  /* cut inside the array */
		BYTES("\1kA\0\0\0\1zV"),	  /* unknown type in it */
	};
	size_t i;

	(void)state;
	for (i = 0; i < array_len(bad); i++)
		assert_int_equal(rmq_table_check(bad[i]),
		    RMQ_PROPS_BAD_HEADERS);
}

/* A table `levels` deep: each holds the next one, as table or array. */
static struct buf
nested(size_t levels, char type)
{
	const size_t step = type == 'F' ? 7 : 5;
	struct buf buf = { 0 };
	size_t i;

	/* The top is a table and needs a name for what it holds. */
	for (i = 1; i < levels; i++) {
		if (type == 'F' || i == 1)
			buf_add(&buf, "\1n", 2);
		buf_add_u8(&buf, (uint8_t)type);
		buf_add_u32(&buf, (uint32_t)((levels - 1 - i) * step));
	}
	return buf;
}

static void
stops_at_the_depth_limit(void **state)
{
	static const struct {
		size_t levels;
		enum rmq_props_verdict verdict;
	} cases[] = {
		{ 1, RMQ_PROPS_OK },
		{ 2, RMQ_PROPS_OK },
		{ RMQ_TABLE_MAX_DEPTH, RMQ_PROPS_OK },
		{ RMQ_TABLE_MAX_DEPTH + 1, RMQ_PROPS_TOO_DEEP },
		{ 100000, RMQ_PROPS_TOO_DEEP },
	};
	static const char types[] = { 'F', 'A' };
	size_t i, t;

	(void)state;
	for (i = 0; i < array_len(cases); i++) {
		for (t = 0; t < array_len(types); t++) {
			struct buf bomb = nested(cases[i].levels, types[t]);

			assert_int_equal(rmq_table_check(slice_of_buf(&bomb)),
			    cases[i].verdict);
			buf_clear(&bomb);
		}
	}
}

static void
fill_props(struct rmq_props *props, struct buf *table)
{
	static const uint8_t mode[] = { 2 }, when[8] = { 0, 0, 0, 0, 1 };
	unsigned prop;

	memset(props, 0, sizeof(*props));
	rmq_table_add_text(table, "text", "caf\303\251", 5);
	rmq_table_add_int(table, "int", -7);
	rmq_table_add_bool(table, "bool", true);
	rmq_table_add_bytes(table, "bytes", "\0\1", 2);
	for (prop = 0; prop < RMQ_PROP_COUNT; prop++) {
		props->has[prop] = true;
		props->value[prop] = rmq_slice_of("some text");
	}
	props->value[RMQ_PROP_HEADERS] = slice_of_buf(table);
	props->value[RMQ_PROP_DELIVERY_MODE] = (struct rmq_slice){ mode, 1 };
	props->value[RMQ_PROP_PRIORITY] = (struct rmq_slice){ mode, 1 };
	props->value[RMQ_PROP_TIMESTAMP] = (struct rmq_slice){ when, 8 };
	props->value[RMQ_PROP_REPLY_TO] = rmq_slice_of("");
}

/* Every subset of properties comes back as it went out. */
static void
writes_what_it_reads(void **state)
{
	struct buf table = { 0 }, out = { 0 };
	struct rmq_props props, subset, again;
	unsigned set, prop;

	(void)state;
	fill_props(&props, &table);
	for (set = 0; set < 1u << RMQ_PROP_COUNT; set++) {
		memset(&subset, 0, sizeof(subset));
		for (prop = 0; prop < RMQ_PROP_COUNT; prop++) {
			if ((set & (1u << prop)) == 0)
				continue;
			subset.has[prop] = true;
			subset.value[prop] = props.value[prop];
		}
		buf_reset(&out);
		rmq_props_write(&out, &subset);
		assert_int_equal(rmq_props_parse(&again, slice_of_buf(&out)),
		    RMQ_PROPS_OK);
		for (prop = 0; prop < RMQ_PROP_COUNT; prop++) {
			assert_int_equal(again.has[prop], subset.has[prop]);
			assert_int_equal(again.value[prop].len,
			    subset.value[prop].len);
			if (subset.value[prop].len > 0)
				assert_memory_equal(again.value[prop].ptr,
				    subset.value[prop].ptr,
				    subset.value[prop].len);
		}
	}
	buf_clear(&table);
	buf_clear(&out);
}

static void
finds_headers_by_name(void **state)
{
	struct buf table = { 0 };
	struct rmq_header header;
	struct rmq_props props;
	struct rmq_slice text;
	int64_t value;

	(void)state;
	fill_props(&props, &table);
	rmq_table_add_int(&table, "int", 8);
	assert_true(rmq_table_find(slice_of_buf(&table), "int", &header));
	assert_true(rmq_header_int(&header, &value));
	assert_int_equal(value, -7);
	assert_false(rmq_header_text(&header, &text));
	assert_true(rmq_table_find(slice_of_buf(&table), "text", &header));
	assert_true(rmq_header_text(&header, &text));
	assert_memory_equal(text.ptr, "caf\303\251", 5);
	assert_false(rmq_table_find(slice_of_buf(&table), "in", &header));
	assert_false(rmq_table_find(slice_of_buf(&table), "intt", &header));
	/* What lies behind broken bytes is not found. */
	buf_add(&table, "\1z", 2);
	rmq_table_add_int(&table, "late", 9);
	assert_false(rmq_table_find(slice_of_buf(&table), "late", &header));
	buf_clear(&table);
}

static void
reads_arrays(void **state)
{
	struct rmq_slice array = BYTES("S\0\0\0\1aI\0\0\1\0z");
	struct rmq_header header;

	(void)state;
	assert_int_equal(rmq_array_next(&array, &header), 1);
	assert_int_equal(header.type, 'S');
	assert_int_equal(header.name.len, 0);
	assert_int_equal(rmq_array_next(&array, &header), 1);
	assert_int_equal(header.type, 'I');
	assert_int_equal(rmq_array_next(&array, &header), -1);
}

static void
tells_bad_headers_from_broken_properties(void **state)
{
	static const struct {
		struct rmq_slice raw;
		enum rmq_props_verdict verdict;
		bool has_content_type, has_headers;
	} cases[] = {
		{ BYTES("\0\0"), RMQ_PROPS_OK, false, false },
		{ BYTES("\200\0\1t"), RMQ_PROPS_OK, true, false },
		{ BYTES("\240\0\1t\0\0\0\0"), RMQ_PROPS_OK, true, true },
		{ BYTES("\240\0\1t\0\0\0\2\1z"), RMQ_PROPS_BAD_HEADERS, true,
		    false },
		{ BYTES(""), RMQ_PROPS_BROKEN, false, false },
		{ BYTES("\0"), RMQ_PROPS_BROKEN, false, false },
		{ BYTES("\200\0\2t"), RMQ_PROPS_BROKEN, false, false },
		{ BYTES("\240\0\1t\0\0\0\1"), RMQ_PROPS_BROKEN, false, false },
		/* Bytes left over. */
		{ BYTES("\200\0\1tx"), RMQ_PROPS_BROKEN, false, false },
		/* The continuation bit, and the bit without a property. */
		{ BYTES("\200\1\1t\0\0"), RMQ_PROPS_BROKEN, false, false },
		{ BYTES("\200\2\1t"), RMQ_PROPS_BROKEN, false, false },
	};
	struct rmq_props props;
	size_t i;

	(void)state;
	for (i = 0; i < array_len(cases); i++) {
		assert_int_equal(rmq_props_parse(&props, cases[i].raw),
		    cases[i].verdict);
		assert_int_equal(props.has[RMQ_PROP_CONTENT_TYPE],
		    cases[i].has_content_type);
		assert_int_equal(props.has[RMQ_PROP_HEADERS],
		    cases[i].has_headers);
	}
}

static void
too_deep_headers_keep_the_top_level(void **state)
{
	struct buf bomb = nested(100000, 'F'), out = { 0 };
	struct rmq_props props = { 0 }, again;
	struct rmq_header header;

	(void)state;
	rmq_table_add_int(&bomb, "dlo-attempt", 3);
	props.has[RMQ_PROP_HEADERS] = true;
	props.value[RMQ_PROP_HEADERS] = slice_of_buf(&bomb);
	rmq_props_write(&out, &props);
	assert_int_equal(rmq_props_parse(&again, slice_of_buf(&out)),
	    RMQ_PROPS_TOO_DEEP);
	assert_true(rmq_table_find(again.value[RMQ_PROP_HEADERS], "dlo-attempt",
	    &header));
	buf_clear(&bomb);
	buf_clear(&out);
}

/* Whatever one byte is changed to, nothing is read outside. */
static void
survives_any_byte_changed(void **state)
{
	struct buf table = { 0 }, out = { 0 };
	struct rmq_props props, again;
	unsigned value;
	size_t i, left;

	(void)state;
	fill_props(&props, &table);
	for (i = 0; i < array_len(fields); i++)
		buf_add(&table, fields[i].raw.ptr, fields[i].raw.len);
	props.value[RMQ_PROP_HEADERS] = slice_of_buf(&table);
	rmq_props_write(&out, &props);
	for (i = 0; i < out.len; i++) {
		uint8_t *copy = xmalloc(out.len);

		for (value = 0; value < 256; value++) {
			struct rmq_header header;

			memcpy(copy, buf_peek(&out), out.len);
			copy[i] = (uint8_t)value;
			(void)!rmq_props_parse(&again,
			    (struct rmq_slice){ copy, out.len });
			left = again.value[RMQ_PROP_HEADERS].len;
			while (rmq_table_next(&again.value[RMQ_PROP_HEADERS],
				   &header) == 1) {
				assert_true(
				    again.value[RMQ_PROP_HEADERS].len < left);
				left = again.value[RMQ_PROP_HEADERS].len;
			}
		}
		free(copy);
	}
	buf_clear(&table);
	buf_clear(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_every_field_type),
		cmocka_unit_test(refuses_every_field_cut_short),
		cmocka_unit_test(refuses_what_lies),
		cmocka_unit_test(stops_at_the_depth_limit),
		cmocka_unit_test(writes_what_it_reads),
		cmocka_unit_test(finds_headers_by_name),
		cmocka_unit_test(reads_arrays),
		cmocka_unit_test(tells_bad_headers_from_broken_properties),
		cmocka_unit_test(too_deep_headers_keep_the_top_level),
		cmocka_unit_test(survives_any_byte_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
