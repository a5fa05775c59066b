/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Letters as people and scripts see them: fingerprints, groups, JSON. */
#include "tests/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "amqp/props.h"
#include "redrive/fingerprint.h"
#include "redrive/groups.h"
#include "redrive/letter_json.h"

static void
test_fingerprints(void **state)
{
	static const char *const cases[][2] = {
		{ "", "" },
		{ "connection refused", "connection refused" },
		{ "order 4711 of 10.0.0.7:5672", "order # of #" },
		{ "http2 says 503", "http2 says #" },
		{ "id 7b1f4c3e-9d2a-4f10-8c77-0123456789ab!", "id #!" },
		{ "key 0xDEADBEEF gone", "key # gone" },
		{ "deadbeefdeadbeef", "#" },
		{ "a facade fed", "a facade fed" },
		{ "2026-01-31T12:00:00.000Z late", "# late" },
		{ "took 250ms", "took #" },
		{ "row x7f9k2 of table users2", "row # of table users2" },
		{ "1, 2, 3", "#, #, #" },
		{ "na\xc3\xafve \xff", "na\xc3\xafve \xef\xbf\xbd" },
	};
	char out[FINGERPRINT_SPACE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(fingerprint_of(out, cases[i][0],
					strlen(cases[i][0])),
		    cases[i][1]);
	/* Nothing may have no address. */
	assert_string_equal(fingerprint_of(out, NULL, 0), "");
}

static void
test_a_long_fingerprint_is_cut(void **state)
{
	char text[1000], out[FINGERPRINT_SPACE];

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_int_equal(strlen(fingerprint_of(out, text, sizeof(text))),
	    FINGERPRINT_SPACE - 1);
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = i % 2 == 0 ? '\xc3' : '\xa4';
	assert_int_equal(strlen(fingerprint_of(out, text, sizeof(text))),
	    FINGERPRINT_SPACE - 1);
}

static void
add_letter(struct groups *groups, enum envelope_reason reason,
    const char *class, const char *error, int64_t at_ms)
{
	const struct envelope e = {
		.reason = reason,
		.class = rmq_slice_of(class),
		.error = rmq_slice_of(error),
		.last_failed_ms = at_ms,
	};

	groups_add(groups, &e);
}

static void
test_groups(void **state)
{
	struct groups groups = { 0 };
	const struct group **list;

	(void)state;
	assert_null(groups_list(&groups));
	add_letter(&groups, ENVELOPE_REJECTED, "http.422", "row 1", 30);
	add_letter(&groups, ENVELOPE_DEADLINE, "http.503", "row 1", 10);
	add_letter(&groups, ENVELOPE_DEADLINE, "http.503", "row 22", 5);
	add_letter(&groups, ENVELOPE_DEADLINE, "http.503", "row 33", 20);
	add_letter(&groups, ENVELOPE_DEADLINE, "", "", 0);
	list = groups_list(&groups);
	assert_int_equal(groups.count, 3);
	assert_int_equal(list[0]->count, 3);
	assert_int_equal(list[0]->oldest_ms, 5);
	assert_int_equal(list[0]->newest_ms, 20);
	assert_string_equal(list[0]->class, "http.503");
	assert_string_equal(list[0]->error, "row #");
	assert_int_equal(list[1]->reason, ENVELOPE_REJECTED);
	assert_string_equal(list[2]->class, "");
	free(list);
	groups_clear(&groups);
}

static void
test_groups_are_bounded(void **state)
{
	struct groups groups = { 0 };
	char class[16];

	(void)state;
	for (unsigned i = 0; i < GROUPS_MAX + 7; i++) {
		(void)snprintf(class, sizeof(class), "c%u", i);
		add_letter(&groups, ENVELOPE_REJECTED, class, "x", 1);
	}
	add_letter(&groups, ENVELOPE_REJECTED, "c3", "x", 1);
	assert_int_equal(groups.count, GROUPS_MAX);
	assert_int_equal(groups.others, 7);
	groups_clear(&groups);
}

/* Every field type, with values that JSON has and has not. */
static void
add_fields(struct buf *table)
{
	static const struct {
		char type;
		const char *bytes;
		size_t len;
	} fields[] = {
		{ 'V', "", 0 },
		{ 't', "\1", 1 },
		{ 't', "\7", 1 },
		{ 'b', "\x80", 1 },
		{ 'B', "\xff", 1 },
		{ 's', "\x80\0", 2 },
		{ 'u', "\xff\xff", 2 },
		{ 'I', "\x80\0\0\0", 4 },
		{ 'i', "\xff\xff\xff\xff", 4 },
		{ 'l', "\x80\0\0\0\0\0\0\0", 8 },
		{ 'L', "\x7f\xff\xff\xff\xff\xff\xff\xff", 8 },
		{ 'T', "\0\0\0\0\x69\x7d\0\0", 8 },
		{ 'T', "\xff\xff\xff\xff\xff\xff\xff\xff", 8 },
		{ 'f', "\x3f\x80\0\0", 4 },
		{ 'f', "\x3d\xcc\xcc\xcd", 4 },
		{ 'f', "\x7f\xc0\0\1", 4 },
		{ 'd', "\x3f\xb9\x99\x99\x99\x99\x99\x9a", 8 },
		{ 'd', "\x80\0\0\0\0\0\0\0", 8 },
		{ 'd', "\xff\xf0\0\0\0\0\0\0", 8 },
		{ 'D', "\2\0\0\1\0", 5 },
		{ 'S', "\0\0\0\2hi", 6 },
		{ 'S', "\0\0\0\3a\0b", 7 },
		{ 'S', "\0\0\0\1\xff", 5 },
		{ 'x', "\0\0\0\2\0\1", 6 },
		{ 'A', "\0\0\0\4Vt\1V", 8 },
		{ 'F', "\0\0\0\7\1nF\0\0\0\0", 11 },
		{ 'F',
		    "\0\0\0\3\1\xff"
		    "V",
		    7 },
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		buf_add_u8(table, 1);
		buf_add_u8(table, (uint8_t)('a' + i));
		buf_add_u8(table, (uint8_t)fields[i].type);
		buf_add(table, fields[i].bytes, fields[i].len);
	}
}

static struct rmq_slice
slice(const struct buf *buf)
{
	return (struct rmq_slice){ buf_peek(buf), buf->len };
}

static json_t *
through_text(const json_t *value)
{
	struct buf text = { 0 };
	json_t *again;

	js_write(&text, value);
	again = json_loadb((const char *)buf_peek(&text), text.len, 0, NULL);
	assert_non_null(again);
	buf_clear(&text);
	return again;
}

static void
check_round_trip(struct rmq_slice props, struct rmq_slice body)
{
	struct buf props_again = { 0 }, body_again = { 0 };
	json_t *object = json_object(), *again;
	const char *why = NULL;

	letter_json_set_props(object, props);
	letter_json_set_body(object, body);
	again = through_text(object);
	if (letter_json_read(again, &props_again, &body_again, &why) == -1)
		fail_msg("%s", why);
	assert_int_equal(props_again.len, props.len);
	assert_memory_equal(buf_peek(&props_again), props.ptr, props.len);
	assert_int_equal(body_again.len, body.len);
	if (body.len > 0)
		assert_memory_equal(buf_peek(&body_again), body.ptr, body.len);
	json_decref(object);
	json_decref(again);
	buf_clear(&props_again);
	buf_clear(&body_again);
}

static void
test_letters_survive_json(void **state)
{
	static const char *const bodies[] = { "", "plain", "\xff\xfe" };
	struct rmq_props props = { 0 };
	struct buf table = { 0 }, raw = { 0 };

	(void)state;
	add_fields(&table);
	for (unsigned i = 0; i < RMQ_PROP_COUNT; i++) {
		props.has[i] = true;
		props.value[i] = rmq_slice_of(i % 2 ? "text" : "\xc3");
	}
	props.value[RMQ_PROP_HEADERS] = slice(&table);
	props.value[RMQ_PROP_DELIVERY_MODE] = rmq_slice_of("\2");
	props.value[RMQ_PROP_PRIORITY] = rmq_slice_of("\xff");
	props.value[RMQ_PROP_TIMESTAMP] = rmq_slice_of("\xff\xff\xff\xff\xff"
						       "\xff\xff\xff");
	rmq_props_write(&raw, &props);
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		check_round_trip(slice(&raw), rmq_slice_of(bodies[i]));
	/* None at all, and what does not decode. */
	check_round_trip((struct rmq_slice){ (const uint8_t *)"\0\0", 2 },
	    rmq_slice_of("a"));
	check_round_trip((struct rmq_slice){ (const uint8_t *)"\0\1\2", 3 },
	    rmq_slice_of("a"));
	buf_clear(&table);
	buf_clear(&raw);
}

static void
test_what_is_no_letter_is_refused(void **state)
{
	static const char *const cases[] = {
		"[]",
		"{}",
		"{\"properties\":{}}",
		"{\"properties\":{},\"body\":7}",
		"{\"properties\":{},\"body_base64\":\"?\"}",
		"{\"properties\":{},\"body_base64\":\"QUJD=\"}",
		"{\"properties\":{\"prio\":1},\"body\":\"\"}",
		"{\"properties\":{\"priority\":256},\"body\":\"\"}",
		"{\"properties\":{\"priority\":\"1\"},\"body\":\"\"}",
		"{\"properties\":{\"type\":1},\"body\":\"\"}",
		"{\"properties_base64\":\"?\",\"body\":\"\"}",
		"{\"properties\":{},\"headers\":{},\"body\":\"\"}",
		"{\"properties\":{},\"headers\":[{}],\"body\":\"\"}",
		"{\"properties\":{},\"headers\":[{\"type\":\"V\"}],"
		"\"body\":\"\"}",
		"{\"properties\":{},\"headers\":[{\"name\":\"a\","
		"\"type\":\"?\",\"value\":1}],\"body\":\"\"}",
		"{\"properties\":{},\"headers\":[{\"name\":\"a\","
		"\"type\":\"b\",\"value\":128}],\"body\":\"\"}",
		"{\"properties\":{},\"headers\":[{\"name\":\"a\","
		"\"type\":\"B\",\"value\":-1}],\"body\":\"\"}",
		"{\"properties\":{},\"headers\":[{\"name\":\"a\","
		"\"type\":\"i\",\"value\":4294967296}],\"body\":\"\"}",
		"{\"properties\":{},\"headers\":[{\"name\":\"a\","
		"\"type\":\"d\",\"value_base64\":\"AAAA\"}],\"body\":\"\"}",
		"{\"properties\":{},\"headers\":[{\"name\":\"a\","
		"\"type\":\"F\",\"value\":7}],\"body\":\"\"}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf props = { 0 }, body = { 0 };
		json_t *object = json_loads(cases[i], 0, NULL);
		const char *why = NULL;

		assert_non_null(object);
		if (letter_json_read(object, &props, &body, &why) == 0)
			fail_msg("taken: %s", cases[i]);
		assert_non_null(why);
		json_decref(object);
		buf_clear(&props);
		buf_clear(&body);
	}
}

static void
test_nesting_is_bounded(void **state)
{
	struct buf text = { 0 }, props = { 0 }, body = { 0 };
	const char *why = NULL;
	json_t *object;

	(void)state;
	buf_add_str(&text, "{\"body\":\"\",\"properties\":{},\"headers\":[");
	for (int i = 0; i < 200; i++)
		buf_add_str(&text,
		    "{\"name\":\"a\",\"type\":\"F\",\"value\":[");
	for (int i = 0; i < 200; i++)
		buf_add_str(&text, "]}");
	buf_add_str(&text, "]}");
	object = json_loads(buf_str(&text), 0, NULL);
	assert_non_null(object);
	assert_int_equal(letter_json_read(object, &props, &body, &why), -1);
	assert_non_null(why);
	json_decref(object);
	buf_clear(&text);
	buf_clear(&props);
	buf_clear(&body);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fingerprints),
		cmocka_unit_test(test_a_long_fingerprint_is_cut),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_groups_are_bounded),
		cmocka_unit_test(test_letters_survive_json),
		cmocka_unit_test(test_what_is_no_letter_is_refused),
		cmocka_unit_test(test_nesting_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
