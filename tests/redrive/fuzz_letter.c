/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A libFuzzer target: any bytes as a message out of a queue (`m`: a length in
 * two bytes, the properties, the body), as a letter in JSON (`j`), and as a
 * filter (`f`), through all that reads them. What goes out as JSON must come
 * back as it was.
 */
#include <stdlib.h>
#include <string.h>

#include "amqp/message.h"
#include "dlx/envelope.h"
#include "lib/buf.h"
#include "lib/js.h"
#include "redrive/filter.h"
#include "redrive/filter_json.h"
#include "redrive/fingerprint.h"
#include "redrive/groups.h"
#include "redrive/letter_json.h"
#include "redrive/news.h"
#include "tests/sim/sim_loop.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static const char *const guest = "guest";
static const struct conf_texts trusted = { &guest, 1 };

static void
expect(bool good)
{
	if (!good)
		abort();
}

static struct rmq_slice
slice_of(const struct buf *buf)
{
	return (struct rmq_slice){ buf_peek(buf), buf->len };
}

static bool
is_same(struct rmq_slice slice, const struct buf *buf)
{
	return slice.len == buf->len &&
	    (slice.len == 0 ||
		memcmp(slice.ptr, buf_peek(buf), slice.len) == 0);
}

/* As people send it: as text. */
static json_t *
parsed(const json_t *value)
{
	struct buf text = { 0 };
	json_t *again;

	js_write(&text, value);
	again =
	    json_loadb(buf_str(&text), text.len, JSON_REJECT_DUPLICATES, NULL);
	expect(again != NULL);
	buf_clear(&text);
	return again;
}

/* Out and in again. */
static void
check_export(const struct rmq_message *message)
{
	struct buf props = { 0 }, body = { 0 };
	json_t *letter = json_object(), *again;
	const char *why = NULL;

	letter_json_set_props(letter, message->props);
	letter_json_set_body(letter, message->body);
	again = parsed(letter);
	expect(letter_json_read(again, &props, &body, &why) == 0);
	expect(is_same(message->body, &body));
	expect(is_same(message->props, &props));
	json_decref(again);
	json_decref(letter);
	buf_clear(&props);
	buf_clear(&body);
}

static void
read_message(struct loop *loop, const struct rmq_message *message, bool dead)
{
	static const struct conf_filter broad = {
		.error = "e",
		.older_than_ms = 1,
		.routing_key = "*a?b*",
		.has_redrives_above = true,
	};
	const struct envelope_origin origin = { "orders", dead, true };
	struct groups groups = { 0 };
	struct envelope e;
	struct buf out = { 0 };
	struct news news;

	envelope_read(&e, message, &origin, &trusted, loop);
	(void)filter_match(&broad, &e, loop_wall_ms(loop));
	groups_add(&groups, &e);
	groups_clear(&groups);
	(void)!envelope_write_moved(&e, guest, 4096, &out);
	envelope_redriven(&e, "job-1");
	(void)envelope_write(&e, guest, 4096, &out);
	buf_clear(&out);
	envelope_clear(&e);
	(void)!news_read(&news, message, &trusted);
}

static void
fuzz_message(struct loop *loop, const uint8_t *bytes, size_t len)
{
	char fingerprint[FINGERPRINT_SPACE];
	struct rmq_message message = { 0 };
	size_t n;

	if (len < 2)
		return;
	n = (size_t)(bytes[0] << 8 | bytes[1]);
	bytes += 2;
	len -= 2;
	if (n > len)
		n = len;
	message.props = (struct rmq_slice){ bytes, n };
	message.body = (struct rmq_slice){ bytes + n, len - n };
	read_message(loop, &message, true);
	read_message(loop, &message, false);
	check_export(&message);
	expect(strlen(fingerprint_of(fingerprint, bytes + n, len - n)) <
	    FINGERPRINT_SPACE);
}

static void
fuzz_letter(struct loop *loop, json_t *letter)
{
	struct buf props = { 0 }, body = { 0 };
	struct rmq_message message = { 0 };
	const char *why = NULL;

	if (letter_json_read(letter, &props, &body, &why) == 0) {
		message.props = slice_of(&props);
		message.body = slice_of(&body);
		read_message(loop, &message, true);
		check_export(&message);
	} else {
		expect(why != NULL);
	}
	buf_clear(&props);
	buf_clear(&body);
}

static void
fuzz_filter(json_t *json)
{
	struct filter_json filter, second;
	char problem[256] = "";
	json_t *shown, *again, *last;

	if (filter_json_read(&filter, json, problem, sizeof(problem)) == 0) {
		/* What it says of itself is the same filter. */
		shown = filter_json_of(&filter.filter);
		again = parsed(shown);
		expect(filter_json_read(&second, again, problem,
			   sizeof(problem)) == 0);
		last = filter_json_of(&second.filter);
		expect(json_equal(shown, last));
		expect(filter_is_empty(&filter.filter) ==
		    filter_is_empty(&second.filter));
		json_decref(last);
		json_decref(again);
		json_decref(shown);
		filter_json_clear(&second);
	} else {
		expect(problem[0] != '\0');
	}
	filter_json_clear(&filter);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static struct loop *loop;
	json_t *json;

	if (len == 0)
		return 0;
	if (loop == NULL)
		loop = sim_loop_new(1);
	if (bytes[0] == 'm') {
		fuzz_message(loop, bytes + 1, len - 1);
		return 0;
	}
	json = json_loadb((const char *)bytes + 1, len - 1,
	    JSON_REJECT_DUPLICATES, NULL);
	if (json == NULL)
		return 0;
	if (bytes[0] == 'f')
		fuzz_filter(json);
	else
		fuzz_letter(loop, json);
	json_decref(json);
	return 0;
}
