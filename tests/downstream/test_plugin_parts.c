/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The pure parts of the plugin handler: handshake, frame, page, verdicts. */
#include "tests/unit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "downstream/plugin_frame.h"
#include "downstream/plugin_load.h"
#include "downstream/plugin_page.h"
#include "downstream/plugin_said.h"
#include "downstream/plugin_verdict.h"
#include "lib/xalloc.h"

#define TEXT(s) \
	{ \
		s, sizeof(s) - 1 \
	}

/* ---- the handshake */

static const char *
init(const struct dlo_host *host, const struct dlo_setup *setup, void **self)
{
	(void)host;
	(void)setup;
	(void)self;
	return NULL;
}

static void
handle(void *self, const struct dlo_message *message)
{
	(void)self;
	(void)message;
}

static void
cancel(void *self, uint64_t call)
{
	(void)self;
	(void)call;
}

/* One of tomorrow: with a member that we do not know. */
struct larger {
	struct dlo_handler today;
	void (*more)(void);
};

static const struct dlo_handler good = { DLO_HANDLER_HEAD, "good", init, handle,
	cancel, NULL };

static void
refuse_table(const void *table, size_t bytes, const char *expected)
{
	struct dlo_handler out;
	struct buf why = { 0 };

	assert_int_equal(plugin_load_table(table, bytes, &out, &why), -1);
	assert_non_null(strstr(buf_str(&why), expected));
	buf_clear(&why);
}

static void
takes_tables_of_any_size(void **state)
{
	struct dlo_handler out, small = good;
	struct larger large = { .today = good };
	struct buf why = { 0 };

	(void)state;
	assert_int_equal(plugin_load_table(&good, sizeof(good), &out, &why), 0);
	assert_memory_equal(&out, &good, sizeof(good));
	large.today.size = sizeof(large);
	assert_int_equal(plugin_load_table(&large, sizeof(large), &out, &why),
	    0);
	assert_ptr_equal(out.cancel, cancel);
	/* One of yesterday: what stands behind it is not its. */
	small.size = offsetof(struct dlo_handler, cancel);
	assert_int_equal(plugin_load_table(&small, small.size, &out, &why), 0);
	assert_ptr_equal(out.handle, handle);
	assert_null(out.cancel);
	assert_null(out.shutdown);
	assert_int_equal(why.len, 0);
}

static void
refuses_tables_that_are_none(void **state)
{
	struct dlo_handler other = good;

	(void)state;
	refuse_table(&good, 8, "no table");
	other.abi = DLO_HANDLER_ABI + 1;
	refuse_table(&other, sizeof(other), "its ABI is 2, ours is 1");
	other = good;
	other.size = sizeof(other) + 1;
	refuse_table(&other, sizeof(other), "says that it has");
	other.size = offsetof(struct dlo_handler, handle);
	refuse_table(&other, sizeof(other), "says that it has");
	other = good;
	other.init = NULL;
	refuse_table(&other, sizeof(other), "must be there");
	other = good;
	other.handle = NULL;
	refuse_table(&other, sizeof(other), "must be there");
	other = good;
	other.name = NULL;
	refuse_table(&other, sizeof(other), "must be there");
}

static void
refuse_file(const char *path, const char *expected)
{
	struct dlo_handler out;
	struct buf why = { 0 };

	assert_int_equal(plugin_load(path, &out, &why), -1);
	if (strstr(buf_str(&why), expected) == NULL)
		fail_msg("%s: %s", path, buf_str(&why));
	buf_clear(&why);
}

static void
says_what_is_wrong_with_a_file(void **state)
{
	(void)state;
	refuse_file("/nonexistent/x.so", "cannot be read: No such file");
	refuse_file("/etc/passwd", "cannot be loaded: ");
	/* A shared object, and no plugin. */
	refuse_file("tests/downstream/no_plugin.so", "exports no dlo_handler");
	refuse_file("tests/downstream/acrobat_of_old.so", "its ABI is 0");
}

/* ---- the frame */

static const struct attempt_field fields[] = {
	{ TEXT("tenant"), ATTEMPT_FIELD_TEXT, { .text = TEXT("a\0b") } },
	{ TEXT("count"), ATTEMPT_FIELD_INT, { .number = -7 } },
	{ TEXT("share"), ATTEMPT_FIELD_DOUBLE, { .real = 0.5 } },
	{ TEXT("third"), ATTEMPT_FIELD_FLOAT, { .real = 0.25 } },
	{ TEXT("raw"), ATTEMPT_FIELD_BYTES, { .text = TEXT("\xff") } },
	{ TEXT("when"), ATTEMPT_FIELD_TIME, { .number = 1234567890 } },
	{ TEXT("fine"), ATTEMPT_FIELD_BOOL, { .truth = true } },
	{ TEXT(""), ATTEMPT_FIELD_TEXT, { .text = { NULL, 0 } } },
};

/* Counts its way through `fields` by the length of what is left. */
static bool
next_field(struct attempt_text *left, struct attempt_field *out)
{
	if (left->len == 0)
		return false;
	*out = fields[array_len(fields) - left->len--];
	return true;
}

static const struct attempt an_attempt = {
	.pipeline = TEXT("orders"),
	.queue = TEXT("orders.q"),
	.id = TEXT("id-1"),
	.number = 3,
	.redrives = 1,
	.exchange = TEXT("shop"),
	.routing_key = TEXT("order.new"),
	.content_type = TEXT("text/plain"),
	.content_encoding = TEXT("gzip"),
	.message_id = TEXT("m-1"),
	.correlation_id = TEXT("c-1"),
	.type = TEXT("order"),
	.timestamp_s = 1234567890,
	.traceparent = TEXT("00-1-2-01"),
	.fields = { { "", array_len(fields) }, next_field },
	.body = "a\0b",
	.body_bytes = 3,
};

static void
check_text(const struct dlo_text *text, const char *bytes, size_t len)
{
	assert_int_equal(text->len, len);
	assert_memory_equal(text->ptr, bytes, len);
	assert_int_equal(text->ptr[len], '\0');
}

static void
check_headers(const struct plugin_headers *headers)
{
	struct dlo_header h = DLO_HEADER_INIT;
	uint64_t at = 0;

	assert_true(plugin_frame_header(headers, &at, &h));
	check_text(&h.name, "tenant", 6);
	assert_int_equal(h.type, DLO_TEXT);
	check_text(&h.text, "a\0b", 3);
	assert_true(plugin_frame_header(headers, &at, &h));
	assert_int_equal(h.type, DLO_INT);
	assert_int_equal(h.number, -7);
	assert_true(plugin_frame_header(headers, &at, &h));
	assert_int_equal(h.type, DLO_REAL);
	assert_true(h.real == 0.5);
	assert_true(plugin_frame_header(headers, &at, &h));
	assert_int_equal(h.type, DLO_REAL);
	assert_true(h.real == 0.25);
	assert_true(plugin_frame_header(headers, &at, &h));
	assert_int_equal(h.type, DLO_BYTES);
	check_text(&h.text, "\xff", 1);
	assert_true(plugin_frame_header(headers, &at, &h));
	assert_int_equal(h.type, DLO_TIME);
	assert_int_equal(h.number, 1234567890);
	assert_true(plugin_frame_header(headers, &at, &h));
	assert_int_equal(h.type, DLO_BOOL);
	assert_int_equal(h.truth, 1);
	assert_true(plugin_frame_header(headers, &at, &h));
	check_text(&h.name, "", 0);
	check_text(&h.text, "", 0);
	assert_false(plugin_frame_header(headers, &at, &h));
}

static void
carries_all_of_a_message(void **state)
{
	static const struct attempt least = { .id = TEXT("x"), .number = 1 };
	struct plugin_headers headers;
	struct dlo_message m;
	struct buf frame = { 0 };

	(void)state;
	plugin_frame_message(&frame, 77, &an_attempt);
	assert_int_equal(plugin_frame_read(buf_peek(&frame), frame.len, &m,
			     &headers),
	    0);
	assert_int_equal(m.call, 77);
	check_text(&m.pipeline, "orders", 6);
	check_text(&m.queue, "orders.q", 8);
	check_text(&m.id, "id-1", 4);
	assert_int_equal(m.attempt, 3);
	assert_int_equal(m.redrives, 1);
	check_text(&m.exchange, "shop", 4);
	check_text(&m.routing_key, "order.new", 9);
	check_text(&m.content_type, "text/plain", 10);
	check_text(&m.content_encoding, "gzip", 4);
	check_text(&m.message_id, "m-1", 3);
	check_text(&m.correlation_id, "c-1", 3);
	check_text(&m.type, "order", 5);
	assert_int_equal(m.timestamp_s, 1234567890);
	check_text(&m.traceparent, "00-1-2-01", 9);
	check_text(&m.body, "a\0b", 3);
	check_headers(&headers);
	buf_reset(&frame);
	plugin_frame_message(&frame, 1, &least);
	assert_int_equal(plugin_frame_read(buf_peek(&frame), frame.len, &m,
			     &headers),
	    0);
	check_text(&m.exchange, "", 0);
	check_text(&m.body, "", 0);
	assert_int_equal(headers.len, 0);
	buf_clear(&frame);
}

/* Cut anywhere, and with any byte changed, it is read within its bounds. */
static void
reads_no_byte_beyond_a_frame(void **state)
{
	struct plugin_headers headers;
	struct dlo_header header = DLO_HEADER_INIT;
	struct dlo_message m;
	struct buf frame = { 0 };
	uint64_t at;
	uint8_t *copy;
	size_t i;

	(void)state;
	plugin_frame_message(&frame, 77, &an_attempt);
	for (i = 0; i < frame.len; i++) {
		copy = xmalloc(i + 1);
		memcpy(copy, buf_peek(&frame), i);
		assert_int_equal(plugin_frame_read(copy, i, &m, &headers), -1);
		free(copy);
	}
	for (i = 0; i < frame.len; i++) {
		copy = xmalloc(frame.len);
		memcpy(copy, buf_peek(&frame), frame.len);
		copy[i] ^= 0x81;
		at = 0;
		if (plugin_frame_read(copy, frame.len, &m, &headers) == 0)
			while (plugin_frame_header(&headers, &at, &header))
				continue;
		free(copy);
	}
	buf_clear(&frame);
}

/* ---- the page */

static void
page_carries_answers_in_order(void **state)
{
	int fd;
	struct plugin_page *page = plugin_page_new(&fd);
	struct plugin_page *its;
	struct dlo_verdict verdict = DLO_VERDICT_INIT;
	struct plugin_answer answer;
	uint64_t taken = 0, i;

	(void)state;
	assert_non_null(page);
	its = plugin_page_map(fd);
	assert_non_null(its);
	/* Nobody can make it shorter: that would be a SIGBUS of ours. */
	assert_int_equal(ftruncate(fd, 0), -1);
	close(fd);
	verdict.class_text = "a.b";
	assert_int_equal(plugin_page_take(page, &taken, &answer), 0);
	for (i = 0; i < 3 * PLUGIN_PAGE_SLOTS; i++) {
		plugin_page_add(its, i, &verdict);
		assert_int_equal(plugin_page_take(page, &taken, &answer), 1);
		assert_int_equal(answer.call, i);
		assert_int_equal(answer.class_len, 3);
	}
	for (i = 0; i < PLUGIN_PAGE_SLOTS; i++)
		plugin_page_add(its, i, &verdict);
	for (i = 0; i < PLUGIN_PAGE_SLOTS; i++)
		assert_int_equal(plugin_page_take(page, &taken, &answer), 1);
	assert_int_equal(plugin_page_take(page, &taken, &answer), 0);
	plugin_page_free(page);
	plugin_page_free(its);
}

static void
page_is_not_believed(void **state)
{
	int fd;
	struct plugin_page *page = plugin_page_new(&fd);
	struct plugin_answer answer;
	uint64_t taken = 5;

	(void)state;
	assert_non_null(page);
	close(fd);
	page->answered = 4;
	assert_int_equal(plugin_page_take(page, &taken, &answer), -1);
	page->answered = taken + PLUGIN_PAGE_SLOTS + 1;
	assert_int_equal(plugin_page_take(page, &taken, &answer), -1);
	page->answered = UINT64_MAX;
	assert_int_equal(plugin_page_take(page, &taken, &answer), -1);
	page->answered = 6;
	page->answers[5].class_len = sizeof(answer.class) + 1;
	assert_int_equal(plugin_page_take(page, &taken, &answer), -1);
	page->answers[5].class_len = sizeof(answer.class);
	page->answers[5].error_len = UINT32_MAX;
	assert_int_equal(plugin_page_take(page, &taken, &answer), -1);
	page->answers[5].error_len = sizeof(answer.error);
	assert_int_equal(plugin_page_take(page, &taken, &answer), 1);
	plugin_page_free(page);
}

/* ---- what workers say */

static void
words_are_read_when_they_are_whole(void **state)
{
	static const uint8_t log[] = "L\x02\x03\x00"
				     "abcA";
	static const uint8_t failed[] = "F\x02\x00no";
	static const uint8_t wrong[][5] = { "B", "\0", "L\x04", "L\xff",
		"F\x01\x04", "F\xff\xff" };
	struct plugin_said said;
	size_t i;

	(void)state;
	for (i = 1; i < 7; i++)
		assert_int_equal(plugin_said_read(log, i, &said), 0);
	assert_int_equal(plugin_said_read(log, 8, &said), 7);
	assert_int_equal(said.word, PLUGIN_WORKER_LOG);
	assert_int_equal(said.level, LOG_LEVEL_INFO);
	assert_int_equal(said.text_len, 3);
	assert_memory_equal(said.text, "abc", 3);
	assert_int_equal(plugin_said_read(log + 7, 1, &said), 1);
	assert_int_equal(said.word, PLUGIN_WORKER_ANSWERED);
	assert_int_equal(plugin_said_read(failed, 5, &said), 5);
	assert_memory_equal(said.text, "no", 2);
	for (i = 0; i < array_len(wrong); i++)
		assert_int_equal(plugin_said_read(wrong[i], 5, &said), -1);
}

/* ---- verdicts */

static void
answer_of(struct verdict *out, int32_t outcome, int32_t code, const char *class,
    const char *error, int64_t delay_ms)
{
	struct dlo_verdict verdict = { sizeof(verdict), outcome, code, class,
		error, delay_ms };
	struct plugin_answer answer;

	memset(&answer, 0xff, sizeof(answer));
	plugin_answer_set(&answer, 1, &verdict);
	plugin_verdict_answer(out, &answer);
}

static void
judges_answers(void **state)
{
	struct verdict v;
	char long_text[2000];

	(void)state;
	answer_of(&v, DLO_OK, 7, NULL, "unsaid", 5);
	assert_int_equal(v.outcome, OUTCOME_OK);
	assert_string_equal(v.class, "plugin.0");
	assert_string_equal(v.error, "");
	assert_int_equal(v.delay_ms, -1);
	assert_true(v.counts);
	answer_of(&v, DLO_RETRY, 12, "", "busy", 300);
	assert_int_equal(v.outcome, OUTCOME_RETRY);
	assert_string_equal(v.class, "plugin.12");
	assert_string_equal(v.error, "busy");
	assert_int_equal(v.delay_ms, 300);
	answer_of(&v, DLO_REJECT, -3, NULL, NULL, 300);
	assert_int_equal(v.outcome, OUTCOME_REJECT);
	assert_string_equal(v.class, "plugin.-3");
	assert_int_equal(v.delay_ms, -1);
	assert_false(v.counts);
	/* What no plugin should say. */
	answer_of(&v, 99, 1, "a b\n\"\x1b[1m\xff", "x\x1b[1m\xff", INT64_MIN);
	assert_int_equal(v.outcome, OUTCOME_RETRY);
	assert_string_equal(v.class, "a_b____1m_");
	assert_string_equal(v.error, "x [1m\xef\xbf\xbd");
	assert_int_equal(v.delay_ms, -1);
	answer_of(&v, DLO_RETRY, 1, "crash.SIGSEGV", NULL, INT64_MAX);
	assert_string_equal(v.class, "plugin.crash.SIGSEGV");
	assert_true(v.delay_ms > 0);
	answer_of(&v, DLO_RETRY, 1, "crash", NULL, 0);
	assert_string_equal(v.class, "plugin.crash");
	assert_int_equal(v.delay_ms, -1);
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	answer_of(&v, DLO_RETRY, 1, long_text, long_text, 0);
	assert_int_equal(strlen(v.class), VERDICT_CLASS_SPACE - 1);
	assert_int_equal(strlen(v.error), VERDICT_ERROR_MAX);
}

static void
judges_ends(void **state)
{
	const struct child_exit segv = { CHILD_SIGNALED, SIGSEGV };
	const struct child_exit odd = { CHILD_SIGNALED, 40 };
	const struct child_exit status = { CHILD_EXITED, 3 };
	struct exec_tail none = { 0 }, some = { 0 };
	struct verdict v;

	(void)state;
	exec_tail_add(&some, "one\ntwo\n", 8);
	plugin_verdict_crash(&v, &segv, &none);
	assert_int_equal(v.outcome, OUTCOME_RETRY);
	assert_string_equal(v.class, "crash.SIGSEGV");
	assert_string_equal(v.error, "ended by signal 11 (Segmentation fault)");
	assert_false(v.counts);
	plugin_verdict_crash(&v, &segv, &some);
	assert_string_equal(v.error,
	    "ended by signal 11 (Segmentation fault): two");
	plugin_verdict_crash(&v, &odd, &none);
	assert_string_equal(v.class, "crash.signal.40");
	plugin_verdict_crash(&v, &status, &none);
	assert_string_equal(v.class, "crash.exit");
	assert_string_equal(v.error, "exit status 3 without an answer");
	plugin_verdict_timeout(&v, 1500, &some);
	assert_string_equal(v.class, "plugin.timeout");
	assert_string_equal(v.error, "not done in 1.5s, killed: two");
	assert_true(v.counts);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_tables_of_any_size),
		cmocka_unit_test(refuses_tables_that_are_none),
		cmocka_unit_test(says_what_is_wrong_with_a_file),
		cmocka_unit_test(carries_all_of_a_message),
		cmocka_unit_test(reads_no_byte_beyond_a_frame),
		cmocka_unit_test(page_carries_answers_in_order),
		cmocka_unit_test(page_is_not_believed),
		cmocka_unit_test(words_are_read_when_they_are_whole),
		cmocka_unit_test(judges_answers),
		cmocka_unit_test(judges_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
