/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/unit.h"

#include <stdlib.h>

#include "lib/compiler.h"
#include "tests/dlx/letter.h"

#define LITERAL(text) text, sizeof(text) - 1

static const struct envelope_failure failure_503 = {
	.class = "http.503",
	.error = { (const uint8_t *)"busy", 4 },
	.at_ms = LETTER_NOW_MS + 5,
	.handler_ms = 12,
	.delay_ms = 1000,
};

/* Copies an envelope in its present state and compares all its headers. */
static void
assert_copy(const struct envelope *e, const char *expected)
{
	struct letter copy;
	struct buf text = { 0 };

	assert_int_equal(letter_copy(e, 0, &copy), ENVELOPE_FIT_WHOLE);
	assert_string_equal(letter_headers(&copy, &text), expected);
	buf_clear(&text);
	letter_clear(&copy);
}

static void
tells_the_story_of_a_retry(void **state)
{
	struct letter letter = { .user = "shop",
		.message_id = "m-1",
		.exchange = "shop",
		.routing_key = "o.new",
		.expiration = "60000",
		.delivery_mode = 1 };
	struct envelope_failure second = failure_503;
	struct envelope e;

	(void)state;
	letter_read(&letter, &letter_work, &e);
	envelope_failed(&e, &failure_503);
	assert_copy(&e,
	    " dlo-id=m-1 dlo-attempt=1"
	    " dlo-first-failed-at=1700000000005"
	    " dlo-last-failed-at=1700000000005"
	    " dlo-deadline=1700000060000 dlo-class=http.503"
	    " dlo-delivery-mode=1 dlo-exchange=shop"
	    " dlo-routing-key=o.new dlo-queue=orders"
	    " dlo-user-id=shop dlo-error=busy"
	    " dlo-history=1700000000005;http.503;12;1000");

	/* A second failure while it is still in memory. */
	second.class = "http.timeout";
	second.error = (struct rmq_slice){ NULL, 0 };
	second.at_ms += 1000;
	envelope_failed(&e, &second);
	envelope_dead(&e, ENVELOPE_ATTEMPTS_EXHAUSTED, second.at_ms, NULL);
	assert_copy(&e,
	    " dlo-id=m-1 dlo-attempt=2 dlo-reason=attempts_exhausted"
	    " dlo-first-failed-at=1700000000005"
	    " dlo-last-failed-at=1700000001005"
	    " dlo-deadline=1700000060000 dlo-class=http.timeout"
	    " dlo-delivery-mode=1 dlo-exchange=shop"
	    " dlo-routing-key=o.new dlo-queue=orders"
	    " dlo-user-id=shop"
	    " dlo-history=1700000000005;http.503;12;1000"
	    " 1700000001005;http.timeout;12;1000");
	envelope_clear(&e);
	letter_clear(&letter);
}

/* What is written is read back alike, by the next process. */
static void
reads_back_what_it_wrote(void **state)
{
	struct letter letter = { .user = "shop",
		.expiration = "60000",
		.routing_key = "o.new",
		.delivery_mode = 1 };
	struct letter copy, again;
	struct buf first = { 0 }, second = { 0 };
	struct envelope e, back;

	(void)state;
	letter_add_text(&letter, "foreign", "yes");
	letter_read(&letter, &letter_work, &e);
	envelope_failed(&e, &failure_503);
	e.redrives = 2;
	e.job = rmq_slice_of("j-1");
	envelope_dead(&e, ENVELOPE_CRASH, LETTER_NOW_MS + 9, "SIGSEGV");
	letter_copy(&e, 0, &copy);
	letter_read(&copy, &letter_dead, &back);
	assert_true(back.known);
	assert_int_equal(envelope_reason_of(&back), ENVELOPE_CRASH);
	assert_int_equal(envelope_dead_since_ms(&back), LETTER_NOW_MS + 9);
	/* The copy came from dlo.x, persistent and without expiration. */
	letter_copy(&back, 0, &again);
	assert_string_equal(letter_headers(&again, &second),
	    letter_headers(&copy, &first));
	buf_clear(&first);
	buf_clear(&second);
	envelope_clear(&e);
	envelope_clear(&back);
	letter_clear(&letter);
	letter_clear(&copy);
	letter_clear(&again);
}

/* Every field type, in an order that is not sorted, some names twice. */
static void
add_every_type(struct letter *letter)
{
	static const struct {
		const char *name;
		char type;
		const char *value;
		size_t len;
	} fields[] = {
		{ "zt", 't', LITERAL("\1") },
		{ "b", 'b', LITERAL("\377") },
		{ "B", 'B', LITERAL("\377") },
		{ "s", 's', LITERAL("\377\376") },
		{ "u", 'u', LITERAL("\377\376") },
		{ "I", 'I', LITERAL("\377\377\377\375") },
		{ "i", 'i', LITERAL("\377\377\377\375") },
		{ "l", 'l', LITERAL("\200\0\0\0\0\0\0\0") },
		{ "L", 'L', LITERAL("\200\0\0\0\0\0\0\0") },
		{ "f", 'f', LITERAL("\177\300\0\1") },
		{ "d", 'd', LITERAL("\177\370\0\0\0\0\0\1") },
		{ "D", 'D', LITERAL("\2\0\0\1\0") },
		{ "S", 'S', LITERAL("\0\0\0\3a\0\377") },
		{ "T", 'T', LITERAL("\0\0\0\0\145\123\360\0") },
		{ "x", 'x', LITERAL("\0\0\0\2\0\1") },
		{ "A", 'A', LITERAL("\0\0\0\3Vt\1") },
		{ "F", 'F', LITERAL("\0\0\0\6\4dlo-V") },
		{ "V", 'V', LITERAL("") },
		{ "", 'V', LITERAL("") },
		{ "V", 't', LITERAL("\0") },
		/* Nearly ours, nearly removed. */
		{ "Dlo-Id", 't', LITERAL("\0") },
		{ "dlo", 't', LITERAL("\0") },
		{ "x-deat", 't', LITERAL("\0") },
		{ "x-deaths", 't', LITERAL("\0") },
		{ "x-first-death", 't', LITERAL("\0") },
		{ "cc", 't', LITERAL("\0") },
		{ "C", 't', LITERAL("\0") },
		{ "x-stream-offsets", 't', LITERAL("\0") },
		{ "x-original-delay", 't', LITERAL("\0") },
	};
	size_t i;

	for (i = 0; i < array_len(fields); i++)
		letter_add_raw(letter, fields[i].name, fields[i].type,
		    fields[i].value, fields[i].len);
}

/* Own headers first, then those bytes and no other. */
static void
assert_foreign(const struct letter *copy, const struct buf *foreign)
{
	size_t own = copy->headers.len - foreign->len;
	struct rmq_slice rest = { buf_peek(&copy->headers), own };
	struct rmq_header header;
	int ret;

	assert_true(copy->headers.len >= foreign->len);
	while ((ret = rmq_table_next(&rest, &header)) == 1)
		assert_memory_equal(header.name.ptr, "dlo-", 4);
	assert_int_equal(ret, 0);
	assert_memory_equal(buf_peek(&copy->headers) + own, buf_peek(foreign),
	    foreign->len);
}

static void
keeps_every_foreign_header_as_it_is(void **state)
{
	struct letter letter = { 0 }, copy, again;
	struct envelope e, back;

	(void)state;
	add_every_type(&letter);
	letter_read(&letter, &letter_work, &e);
	envelope_failed(&e, &failure_503);
	letter_copy(&e, 0, &copy);
	assert_foreign(&copy, &letter.headers);
	/* And over the second lap. */
	letter_read(&copy, &letter_dead, &back);
	envelope_redriven(&back, "j-1");
	letter_copy(&back, 0, &again);
	assert_foreign(&again, &letter.headers);
	envelope_clear(&e);
	envelope_clear(&back);
	letter_clear(&letter);
	letter_clear(&copy);
	letter_clear(&again);
}

static void
removes_what_loses_or_diverts_messages(void **state)
{
	static const char *const removed[] = { "x-death", "x-first-death-queue",
		"x-first-death-reason", "x-first-death-exchange",
		"x-first-death-", "x-last-death-queue", "x-last-death-reason",
		"x-delivery-count", "x-acquired-count", "x-stream-offset",
		"x-delay", "CC", "BCC", "dlo-", "dlo-id", "dlo-unheard-of" };
	struct letter letter = { 0 }, copy;
	struct buf kept = { 0 };
	struct envelope e;
	size_t i;

	(void)state;
	add_every_type(&letter);
	buf_add(&kept, buf_peek(&letter.headers), letter.headers.len);
	for (i = 0; i < array_len(removed); i++) {
		letter_add_text(&letter, removed[i], "here");
		letter_add_raw(&letter, removed[i], 'A', "\0\0\0\1V", 5);
	}
	letter_read(&letter, &letter_work, &e);
	letter_copy(&e, 0, &copy);
	assert_foreign(&copy, &kept);
	buf_clear(&kept);
	envelope_clear(&e);
	letter_clear(&letter);
	letter_clear(&copy);
}

/* All properties but headers, delivery mode, expiration and user id stay. */
static void
keeps_every_other_property(void **state)
{
	static const char *const texts[RMQ_PROP_COUNT] = {
		[RMQ_PROP_CONTENT_TYPE] = "application/json",
		[RMQ_PROP_CONTENT_ENCODING] = "gzip",
		[RMQ_PROP_DELIVERY_MODE] = "\1",
		[RMQ_PROP_PRIORITY] = "\7",
		[RMQ_PROP_CORRELATION_ID] = "c-1",
		[RMQ_PROP_REPLY_TO] = "",
		[RMQ_PROP_EXPIRATION] = "60000",
		[RMQ_PROP_MESSAGE_ID] = "m-\xff",
		[RMQ_PROP_TIMESTAMP] = "12345678",
		[RMQ_PROP_TYPE] = "order",
		[RMQ_PROP_USER_ID] = "shop",
		[RMQ_PROP_APP_ID] = "till",
		[RMQ_PROP_CLUSTER_ID] = "c",
	};
	struct rmq_props props = { 0 }, got;
	struct letter letter = { 0 }, copy;
	struct rmq_slice raw;
	struct envelope e;
	unsigned i;

	(void)state;
	for (i = 0; i < RMQ_PROP_COUNT; i++) {
		props.has[i] = texts[i] != NULL;
		props.value[i] = rmq_slice_of(texts[i]);
	}
	rmq_props_write(&letter.props, &props);
	letter_read(&letter, &letter_work, &e);
	letter_copy(&e, 0, &copy);
	raw = (struct rmq_slice){ buf_peek(&copy.props), copy.props.len };
	assert_int_equal(rmq_props_parse(&got, raw), RMQ_PROPS_OK);
	for (i = 0; i < RMQ_PROP_COUNT; i++) {
		if (i == RMQ_PROP_HEADERS || i == RMQ_PROP_DELIVERY_MODE ||
		    i == RMQ_PROP_EXPIRATION || i == RMQ_PROP_USER_ID)
			continue;
		assert_true(got.has[i]);
		assert_slice(got.value[i], texts[i]);
	}
	envelope_clear(&e);
	letter_clear(&letter);
	letter_clear(&copy);
}

static void
starts_anew_when_redriven(void **state)
{
	struct letter letter = { .user = LETTER_SELF };
	struct envelope e;

	(void)state;
	letter_add_text(&letter, "dlo-id", "d-1");
	letter_add_int(&letter, "dlo-attempt", 6);
	letter_add_text(&letter, "dlo-reason", "attempts_exhausted");
	letter_add_text(&letter, "dlo-class", "http.503");
	letter_add_text(&letter, "dlo-error", "busy");
	letter_add_int(&letter, "dlo-first-failed-at", 11);
	letter_add_int(&letter, "dlo-last-failed-at", 12);
	letter_add_int(&letter, "dlo-deadline", 13);
	letter_add_text(&letter, "dlo-history", "1;a;2;3");
	letter_add_text(&letter, "dlo-routing-key", "o.new");
	letter_add_int(&letter, "dlo-redrives", 1);
	letter_add_text(&letter, "dlo-job", "old");
	letter_read(&letter, &letter_dead, &e);
	envelope_redriven(&e, "j-2");
	assert_copy(&e,
	    " dlo-id=d-1 dlo-attempt=0 dlo-deadline=13"
	    " dlo-redrives=2 dlo-job=j-2 dlo-routing-key=o.new"
	    " dlo-history=1;a;2;3");
	envelope_clear(&e);

	/* What died of its deadline is wanted without it. */
	letter_read(&letter, &letter_dead, &e);
	e.reason = ENVELOPE_EXPIRED;
	envelope_redriven(&e, "j-2");
	assert_int_equal(e.deadline_ms, 0);
	envelope_clear(&e);
	letter_clear(&letter);
}

/* A broker's death, as in the read tests, at 1,699,999,744 s. */
static void
add_maxlen_death(struct letter *letter)
{
	letter_add_raw(letter, "x-death", 'A',
	    LITERAL("\0\0\0\45F\0\0\0\40"
		    "\6reasonS\0\0\0\6maxlen"
		    "\4timeT\0\0\0\0\x65\x53\xf0\0"));
}

static void
parks_with_the_reason_that_the_broker_gave(void **state)
{
	struct letter letter = { .user = LETTER_SELF };
	struct envelope e;

	(void)state;
	letter_add_text(&letter, "dlo-id", "d-1");
	letter_add_text(&letter, "dlo-reason", "deadline");
	letter_add_int(&letter, "dlo-redrives", 3);
	letter_add_text(&letter, "dlo-job", "j-1");
	add_maxlen_death(&letter);
	letter_read(&letter, &letter_dead, &e);
	envelope_parked(&e);
	assert_copy(&e,
	    " dlo-id=d-1 dlo-attempt=0 dlo-reason=broker_maxlen"
	    " dlo-last-failed-at=1699999744000 dlo-redrives=3"
	    " dlo-job=j-1");
	envelope_clear(&e);

	/* One that cannot be moved at all is parked as what it is. */
	letter_read(&letter, &letter_dead, &e);
	envelope_dead(&e, ENVELOPE_TOO_LARGE, 99, "refused");
	envelope_parked(&e);
	assert_int_equal(e.reason, ENVELOPE_TOO_LARGE);
	assert_int_equal(e.last_failed_ms, 99);
	envelope_clear(&e);
	letter_clear(&letter);
}

/* Moves it as what was read, and compares the bytes. */
static void
assert_moved(struct letter *from, struct letter *to, uint32_t frame_max)
{
	struct buf copy = { 0 };
	struct envelope e;

	/* Reading puts its properties together. */
	letter_read(to, &letter_dead, &e);
	envelope_clear(&e);
	letter_read(from, &letter_dead, &e);
	assert_int_equal(envelope_write_moved(&e, LETTER_SELF, frame_max,
			     &copy),
	    ENVELOPE_FIT_WHOLE);
	assert_int_equal(copy.len, to->message.props.len);
	assert_memory_equal(buf_peek(&copy), to->message.props.ptr, copy.len);
	envelope_clear(&e);
	buf_clear(&copy);
	letter_clear(from);
	letter_clear(to);
}

/* In an order that we would not write, with what we would not add. */
static void
add_some(struct letter *letter)
{
	letter_add_text(letter, "zebra", "z");
	letter_add_text(letter, "dlo-job", "j-1");
	letter_add_int(letter, "dlo-unknown", 7);
	letter_add_text(letter, "dlo-id", "d-1");
	letter_add_text(letter, "a", "a");
}

static void
moves_a_letter_as_it_is(void **state)
{
	static const char *const users[] = { NULL, LETTER_SELF };
	struct letter bare = { .message_id = "m" };
	struct letter bare_moved = { .message_id = "m", .delivery_mode = 2 };

	(void)state;
	for (size_t i = 0; i < array_len(users); i++) {
		struct letter letter = { .user = users[i],
			.message_id = "m",
			.delivery_mode = 2 };
		struct letter same = letter;

		add_some(&letter);
		letter_add_int(&letter, "x-delivery-count", 3);
		letter_add_text(&letter, "CC", "elsewhere");
		add_some(&same);
		assert_moved(&letter, &same, 0);
	}
	/* The broker's count was all the headers that there were. */
	letter_add_int(&bare, "x-delivery-count", 1);
	bare.expiration = "1000";
	assert_moved(&bare, &bare_moved, 0);
}

static void
moves_a_friend_s_letter_as_ours(void **state)
{
	struct letter letter = { .user = LETTER_FRIEND, .delivery_mode = 2 };
	struct letter ours = { .user = LETTER_SELF, .delivery_mode = 2 };

	(void)state;
	add_some(&letter);
	add_some(&ours);
	assert_moved(&letter, &ours, 0);
}

/* Under our name a stranger's words would be believed. */
static void
moves_no_stranger_s_word_as_ours(void **state)
{
	struct letter letter = { .user = "stranger", .message_id = "m" };
	struct letter copy = { 0 };
	struct envelope e, back;

	(void)state;
	add_some(&letter);
	letter_read(&letter, &letter_dead, &e);
	assert_int_equal(envelope_write_moved(&e, LETTER_SELF, 0, &copy.props),
	    ENVELOPE_FIT_WHOLE);
	letter_read(&copy, &letter_dead, &back);
	assert_int_equal(back.job.len, 0);
	assert_int_equal(back.id.len, 1);
	assert_memory_equal(back.id.ptr, "m", 1);
	assert_memory_equal(back.user_id.ptr, "stranger", back.user_id.len);
	envelope_clear(&back);
	envelope_clear(&e);
	letter_clear(&copy);
	letter_clear(&letter);
}

static void
moves_what_the_broker_buried_with_its_reason(void **state)
{
	struct letter letter = { .message_id = "m" }, copy = { 0 };
	struct envelope e, back;

	(void)state;
	add_maxlen_death(&letter);
	letter_read(&letter, &letter_dead, &e);
	assert_int_equal(envelope_write_moved(&e, LETTER_SELF, 0, &copy.props),
	    ENVELOPE_FIT_WHOLE);
	letter_read(&copy, &letter_dead, &back);
	assert_false(back.x_death.found);
	assert_int_equal(back.reason, ENVELOPE_BROKER_MAXLEN);
	envelope_clear(&back);
	envelope_clear(&e);
	letter_clear(&copy);
	letter_clear(&letter);
}

static void
moves_nothing_that_does_not_fit(void **state)
{
	struct letter letter = { .user = LETTER_SELF };
	struct buf copy = { 0 };
	struct envelope e;
	static char big[5000];

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	letter_add_text(&letter, "big", big);
	letter_read(&letter, &letter_dead, &e);
	assert_int_equal(envelope_write_moved(&e, LETTER_SELF, 4096, &copy),
	    ENVELOPE_FIT_CUT);
	envelope_clear(&e);
	buf_clear(&copy);
	letter_clear(&letter);
}

static void
redrives_a_letter_that_was_never_ours(void **state)
{
	struct letter letter = { .message_id = "m-1",
		.exchange = "dlo.dead",
		.routing_key = "orders",
		.delivery_mode = 2 };
	struct envelope e;

	(void)state;
	letter_add_text(&letter, "foreign", "yes");
	letter_read(&letter, &letter_dead, &e);
	envelope_redriven(&e, "j-1");
	assert_copy(&e,
	    " dlo-id=m-1 dlo-attempt=0 dlo-redrives=1 dlo-job=j-1"
	    " dlo-exchange=dlo.dead dlo-routing-key=orders"
	    " dlo-queue=orders foreign=yes");
	envelope_clear(&e);
	letter_clear(&letter);
}

static void
makes_words_of_classes(void **state)
{
	static const struct {
		const char *class, *expected;
	} cases[] = {
		{ "exec.signal.9", "exec.signal.9" },
		{ "", "" },
		{ "a b;c\n\xff", "a_b_c__" },
		{ "0123456789012345678901234567890123456789"
		  "0123456789012345678901234567890123456789",
		    "0123456789012345678901234567890123456789"
		    "012345678901234567890123" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < array_len(cases); i++) {
		struct letter letter = { 0 };
		struct envelope_failure failure = failure_503;
		struct envelope e;

		failure.class = cases[i].class;
		letter_read(&letter, &letter_work, &e);
		envelope_failed(&e, &failure);
		assert_slice(e.class, cases[i].expected);
		envelope_clear(&e);
		letter_clear(&letter);
	}
}

static void
bounds_and_cleans_the_error(void **state)
{
	struct letter letter = { 0 };
	struct envelope_failure failure = failure_503;
	struct buf text = { 0 };
	struct envelope e;
	size_t lead, i;

	(void)state;
	letter_read(&letter, &letter_work, &e);
	/* A cut inside a character, and one that cleaning makes longer. */
	for (lead = 0; lead < 4; lead++) {
		buf_reset(&text);
		for (i = 0; i < lead; i++)
			buf_add_u8(&text, 'a');
		for (i = 0; i < 200; i++)
			buf_add_str(&text, "\xf0\x9f\x92\xa9");
		failure.error = (struct rmq_slice){ buf_peek(&text), text.len };
		envelope_failed(&e, &failure);
		assert_true(e.error.len <= ENVELOPE_ERROR_MAX);
		assert_true(e.error.len > ENVELOPE_ERROR_MAX - 4);
		assert_true(text_utf8_valid(e.error.ptr, e.error.len));
	}
	buf_reset(&text);
	for (i = 0; i < 400; i++)
		buf_add_u8(&text, i % 2 == 0 ? 0xff : 'b');
	failure.error = (struct rmq_slice){ buf_peek(&text), text.len };
	envelope_failed(&e, &failure);
	assert_true(e.error.len <= ENVELOPE_ERROR_MAX);
	assert_true(text_utf8_valid(e.error.ptr, e.error.len));
	buf_clear(&text);
	envelope_clear(&e);
	letter_clear(&letter);
}

/* The newest attempts stay, whole. */
static void
bounds_the_history(void **state)
{
	struct letter letter = { 0 };
	struct envelope_failure failure = failure_503;
	struct buf tail = { 0 };
	struct envelope e;
	int i;

	(void)state;
	letter_read(&letter, &letter_work, &e);
	for (i = 0; i < 100; i++) {
		failure.handler_ms = i;
		envelope_failed(&e, &failure);
		assert_true(e.history.len <= ENVELOPE_HISTORY_MAX);
	}
	assert_true(e.history.len > ENVELOPE_HISTORY_MAX - 40);
	assert_memory_equal(e.history.ptr, "1700000000005;http.503;", 23);
	buf_printf(&tail, " %lld;http.503;98;1000 %lld;http.503;99;1000",
	    (long long)failure.at_ms, (long long)failure.at_ms);
	assert_memory_equal(e.history.ptr + e.history.len - tail.len,
	    buf_peek(&tail), tail.len);
	/* A long one drives out several short ones. */
	failure.class =
	    "0123456789012345678901234567890123456789012345678901234567890123";
	envelope_failed(&e, &failure);
	assert_true(e.history.len <= ENVELOPE_HISTORY_MAX);
	assert_memory_equal(e.history.ptr, "1700000000005;http.503;", 23);
	buf_clear(&tail);
	envelope_clear(&e);
	letter_clear(&letter);
}

static struct rmq_slice
long_text(size_t len)
{
	static uint8_t bytes[1024];

	memset(bytes, 'w', sizeof(bytes));
	return (struct rmq_slice){ bytes, len };
}

/* As much of everything as there may be. */
static void
fill_story(struct envelope *e)
{
	struct envelope_failure failure = failure_503;
	char class[ENVELOPE_CLASS_MAX + 1] = "";
	int i;

	memset(class, 'c', ENVELOPE_CLASS_MAX);
	e->id = long_text(255);
	e->exchange = e->routing_key = e->queue = e->user_id = long_text(255);
	e->job = long_text(ENVELOPE_JOB_MAX);
	e->transient = true;
	e->deadline_ms = LETTER_NOW_MS;
	e->redrives = INT32_MAX;
	failure.class = class;
	failure.error = long_text(1024);
	for (i = 0; i < 100; i++)
		envelope_failed(e, &failure);
	envelope_dead(e, ENVELOPE_BROKER_DELIVERY_LIMIT, LETTER_NOW_MS, NULL);
}

static void
stays_within_4_kib_of_its_own(void **state)
{
	struct letter letter = { 0 }, copy;
	struct envelope e;

	(void)state;
	letter_read(&letter, &letter_work, &e);
	fill_story(&e);
	assert_int_equal(letter_copy(&e, 0, &copy), ENVELOPE_FIT_WHOLE);
	assert_true(copy.headers.len > 3000);
	assert_true(copy.headers.len <= 4096);
	envelope_clear(&e);
	letter_clear(&letter);
	letter_clear(&copy);
}

static bool
has_header(const struct letter *letter, const char *name)
{
	struct rmq_slice table = { buf_peek(&letter->headers),
		letter->headers.len };
	struct rmq_header header;

	return rmq_table_find(table, name, &header);
}

/* Names of own headers: those that steer, then the others, last to go first. */
static const char *const steering[] = { "dlo-id", "dlo-attempt", "dlo-reason",
	"dlo-first-failed-at", "dlo-last-failed-at", "dlo-deadline",
	"dlo-redrives", "dlo-job", "dlo-class" };
static const char *const talking[] = { "dlo-delivery-mode", "dlo-routing-key",
	"dlo-queue", "dlo-user-id", "dlo-error", "dlo-history" };

/* How many of the talking headers have gone. */
static size_t
assert_fit(const struct letter *copy, enum envelope_fit fit)
{
	size_t i, gone = 0;

	for (i = 0; i < array_len(steering); i++)
		assert_true(has_header(copy, steering[i]));
	for (i = 0; i < array_len(talking); i++) {
		if (!has_header(copy, talking[i]))
			gone++;
	}
	/* Once one has gone, all that go before it have gone. */
	for (i = 0; i < array_len(talking) - gone; i++)
		assert_true(has_header(copy, talking[i]));
	assert_int_equal(gone > 0, fit != ENVELOPE_FIT_WHOLE);
	assert_int_equal(has_header(copy, "dlo-exchange"),
	    has_header(copy, "dlo-routing-key"));
	assert_int_equal(has_header(copy, "big"), fit != ENVELOPE_FIT_CUT);
	assert_true(has_header(copy, "small"));
	return gone;
}

/* Foreign headers that fill a frame to each of its last 5,000 bytes. */
static void
fits_one_frame_whatever_it_takes(void **state)
{
	static const uint32_t frames[] = { 4096, 8192, 131072 };
	unsigned seen[array_len(talking) + 1] = { 0 };
	size_t i, big;

	(void)state;
	for (i = 0; i < array_len(frames); i++) {
		size_t least = frames[i] > 6000 ? frames[i] - 6000 : 0;

		for (big = least; big < frames[i] - 50; big += 23) {
			struct letter letter = { 0 }, copy;
			uint8_t *text = malloc(big + 1);
			enum envelope_fit fit;
			struct envelope e;

			assert_non_null(text);
			memset(text, 'b', big);
			letter_add_text(&letter, "small", "s");
			rmq_table_add_text(&letter.headers, "big", text, big);
			letter_add_text(&letter, "also-small", "s");
			letter_read(&letter, &letter_work, &e);
			fill_story(&e);
			/* letter_copy asserts that it fits. */
			fit = letter_copy(&e, frames[i], &copy);
			seen[assert_fit(&copy, fit)]++;
			envelope_clear(&e);
			letter_clear(&letter);
			letter_clear(&copy);
			free(text);
		}
	}
	for (i = 0; i < array_len(seen); i++)
		assert_true(seen[i] > 0);
}

/* All texts that a publisher can fill, and the smallest frame there is. */
static void
fits_the_smallest_frame(void **state)
{
	struct rmq_props props = { 0 };
	struct letter letter = { 0 }, copy;
	struct envelope e;
	unsigned i;

	(void)state;
	for (i = 0; i < RMQ_PROP_COUNT; i++) {
		props.has[i] = i != RMQ_PROP_HEADERS;
		props.value[i] = long_text(255);
	}
	props.value[RMQ_PROP_DELIVERY_MODE].len = 1;
	props.value[RMQ_PROP_PRIORITY].len = 1;
	props.value[RMQ_PROP_TIMESTAMP].len = 8;
	rmq_props_write(&letter.props, &props);
	letter_read(&letter, &letter_work, &e);
	fill_story(&e);
	letter_copy(&e, 4096, &copy);
	for (i = 0; i < array_len(steering); i++)
		assert_true(has_header(&copy, steering[i]));
	envelope_clear(&e);
	letter_clear(&letter);
	letter_clear(&copy);
}

/* The header `deep`: tables within tables. */
static void
add_deep(struct letter *letter, unsigned depth)
{
	struct buf inner = { 0 }, outer = { 0 };
	struct buf swap;

	while (depth-- > 0) {
		struct rmq_slice nested = { buf_peek(&inner), inner.len };

		buf_reset(&outer);
		rmq_table_add_table(&outer, "n", nested);
		swap = inner;
		inner = outer;
		outer = swap;
	}
	buf_reset(&outer);
	buf_add_u32(&outer, (uint32_t)inner.len);
	buf_add(&outer, buf_peek(&inner), inner.len);
	letter_add_raw(letter, "deep", 'F', buf_peek(&outer), outer.len);
	buf_clear(&inner);
	buf_clear(&outer);
}

static void
keeps_headers_that_nest_too_deep(void **state)
{
	struct letter letter = { .user = "shop", .message_id = "m-1" }, copy;
	struct envelope e, back;

	(void)state;
	add_deep(&letter, 10000);
	letter_read(&letter, &letter_work, &e);
	assert_int_equal(e.verdict, RMQ_PROPS_TOO_DEEP);
	assert_slice(e.id, "m-1");
	assert_int_equal(e.raw_props.len, 0);
	envelope_dead(&e, ENVELOPE_MALFORMED, LETTER_NOW_MS,
	    envelope_malformed_text(&e));
	assert_slice(e.error, "headers nest too deep");
	assert_int_equal(letter_copy(&e, 0, &copy), ENVELOPE_FIT_WHOLE);
	assert_foreign(&copy, &letter.headers);
	letter_read(&copy, &letter_dead, &back);
	assert_int_equal(back.verdict, RMQ_PROPS_TOO_DEEP);
	assert_int_equal(envelope_reason_of(&back), ENVELOPE_MALFORMED);
	envelope_clear(&e);
	envelope_clear(&back);
	letter_clear(&letter);
	letter_clear(&copy);
}

static const struct {
	const char *raw;
	size_t len;
	enum rmq_props_verdict verdict;
	const char *id;
} malformed[] = {
	/* A header of unknown type, beside a message id. */
	{ LITERAL("\x20\x80\0\0\0\3\1a?\3m-1"), RMQ_PROPS_BAD_HEADERS, "m-1" },
	{ LITERAL("\x20\x80\0\0\0\3\1a?\0"), RMQ_PROPS_BAD_HEADERS,
	    LETTER_UUID },
	/* A length that lies; flags that mean nothing; next to nothing. */
	{ LITERAL("\x80\0\xff"), RMQ_PROPS_BROKEN, LETTER_UUID },
	{ LITERAL("\0\2"), RMQ_PROPS_BROKEN, LETTER_UUID },
	{ LITERAL("\0"), RMQ_PROPS_BROKEN, LETTER_UUID },
};

static void
keeps_undecodable_properties_as_bytes(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < array_len(malformed); i++) {
		struct letter letter = { .exchange = "shop" }, copy, again;
		struct envelope e, back;

		buf_add(&letter.props, malformed[i].raw, malformed[i].len);
		letter_read(&letter, &letter_work, &e);
		assert_int_equal(e.verdict, malformed[i].verdict);
		assert_true(strlen(envelope_malformed_text(&e)) > 0);
		assert_slice(e.id, malformed[i].id);
		envelope_dead(&e, ENVELOPE_MALFORMED, LETTER_NOW_MS,
		    envelope_malformed_text(&e));
		assert_int_equal(letter_copy(&e, 0, &copy), ENVELOPE_FIT_WHOLE);

		/* It decodes now, and carries the bytes on for ever. */
		letter_read(&copy, &letter_dead, &back);
		assert_int_equal(back.verdict, RMQ_PROPS_OK);
		envelope_parked(&back);
		letter_copy(&back, 0, &again);
		envelope_clear(&back);
		letter_read(&again, &letter_dead, &back);
		assert_int_equal(back.raw_props.len, malformed[i].len);
		assert_memory_equal(back.raw_props.ptr, malformed[i].raw,
		    malformed[i].len);
		assert_int_equal(envelope_reason_of(&back), ENVELOPE_MALFORMED);
		assert_slice(back.exchange, "shop");
		envelope_clear(&e);
		envelope_clear(&back);
		letter_clear(&letter);
		letter_clear(&copy);
		letter_clear(&again);
	}
}

static void
cuts_undecodable_properties_that_fill_the_frame(void **state)
{
	enum envelope_fit fit = ENVELOPE_FIT_WHOLE, last;
	size_t len;

	(void)state;
	/* letter_copy asserts that it fits. */
	for (len = 3000; len <= 8192 - 20; len += 5) {
		struct letter letter = { 0 }, copy;
		struct envelope e;

		memset(buf_reserve(&letter.props, len), 0xff, len);
		buf_claim(&letter.props, len);
		letter_read(&letter, &letter_work, &e);
		assert_int_equal(e.verdict, RMQ_PROPS_BROKEN);
		fill_story(&e);
		last = fit;
		fit = letter_copy(&e, 8192, &copy);
		assert_true(fit >= last);
		assert_true(has_header(&copy, "dlo-raw-properties"));
		envelope_clear(&e);
		letter_clear(&letter);
		letter_clear(&copy);
	}
	assert_int_equal(fit, ENVELOPE_FIT_CUT);
}

/* Nothing else is: no attempt was made. */
static void
marks_a_suspect_by_its_class(void **state)
{
	static const struct {
		const char *class;
		bool suspect;
		unsigned deaths;
	} classes[] = {
		{ "crash.suspected", true, 0 },
		{ "crash.suspected.1", true, 1 },
		{ "crash.suspected.x", true, 0 },
		{ "crash.suspected.10", true, 0 },
		{ "crash.suspected.", true, 0 },
		{ "crash.suspectedly", false, 0 },
		{ "crash", false, 0 },
		{ "", false, 0 },
	};
	struct letter letter = { .message_id = "m-1", .delivery_mode = 2 };
	struct envelope e;

	(void)state;
	letter_read(&letter, &letter_work, &e);
	assert_false(envelope_is_suspect(&e));
	envelope_suspect(&e, 0);
	assert_true(envelope_is_suspect(&e));
	assert_copy(&e,
	    " dlo-id=m-1 dlo-attempt=0 dlo-class=crash.suspected"
	    " dlo-exchange= dlo-routing-key= dlo-queue=orders");
	envelope_suspect(&e, 2);
	assert_int_equal(envelope_suspect_deaths(&e), 2);
	envelope_clear(&e);
	letter_clear(&letter);
	for (size_t i = 0; i < array_len(classes); i++) {
		e = (struct envelope){
			.class = rmq_slice_of(classes[i].class),
		};
		assert_int_equal(envelope_is_suspect(&e), classes[i].suspect);
		assert_int_equal(envelope_suspect_deaths(&e),
		    classes[i].deaths);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_the_story_of_a_retry),
		cmocka_unit_test(marks_a_suspect_by_its_class),
		cmocka_unit_test(reads_back_what_it_wrote),
		cmocka_unit_test(keeps_every_foreign_header_as_it_is),
		cmocka_unit_test(removes_what_loses_or_diverts_messages),
		cmocka_unit_test(keeps_every_other_property),
		cmocka_unit_test(starts_anew_when_redriven),
		cmocka_unit_test(parks_with_the_reason_that_the_broker_gave),
		cmocka_unit_test(moves_a_letter_as_it_is),
		cmocka_unit_test(moves_a_friend_s_letter_as_ours),
		cmocka_unit_test(moves_no_stranger_s_word_as_ours),
		cmocka_unit_test(moves_what_the_broker_buried_with_its_reason),
		cmocka_unit_test(moves_nothing_that_does_not_fit),
		cmocka_unit_test(redrives_a_letter_that_was_never_ours),
		cmocka_unit_test(makes_words_of_classes),
		cmocka_unit_test(bounds_and_cleans_the_error),
		cmocka_unit_test(bounds_the_history),
		cmocka_unit_test(stays_within_4_kib_of_its_own),
		cmocka_unit_test(fits_one_frame_whatever_it_takes),
		cmocka_unit_test(fits_the_smallest_frame),
		cmocka_unit_test(keeps_headers_that_nest_too_deep),
		cmocka_unit_test(keeps_undecodable_properties_as_bytes),
		cmocka_unit_test(
		    cuts_undecodable_properties_that_fill_the_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
