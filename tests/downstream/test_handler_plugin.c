/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The plugin handler with a real shared object, which does what bodies say
 * (acrobat.c), in real processes and in this one. The workers are this
 * program again.
 */
#include "tests/unit.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/conf.h"
#include "downstream/handler.h"
#include "downstream/plugin_worker.h"
#include "lib/buf.h"
#include "lib/log.h"
#include "lib/loop_libevent.h"
#include "lib/xalloc.h"

#define TEXT(s) \
	{ \
		s, sizeof(s) - 1 \
	}
#define SHORT_MS 200
#define LONG_MS	 60000 /* longer than any test: never waited for */
#define MANY	 1000
#define TICK_MS	 5 /* of the pool */
#define ACROBAT	 "tests/downstream/acrobat.so"
#define BARE	 "tests/downstream/acrobat_bare.so"

struct world;

/* A message, and what was said of it. */
struct letter {
	struct world *world;
	struct attempt attempt;
	char body[64];
	struct handler_call *call; /* NULL: over */
	struct verdict verdict;
	unsigned verdicts, crashes;
};

struct world {
	struct loop *loop;
	struct handler *handler;
	struct conf_plugin conf;
	struct letter letters[MANY];
	size_t count;
	unsigned under_way;
	bool again; /* a crash is tried once more, alone */
	bool alone; /* what is put from now on */
	struct buf log;
	const char *awaited; /* in the log; NULL: nothing */
};

static const struct attempt an_attempt = {
	.pipeline = TEXT("orders"),
	.queue = TEXT("orders.q"),
	.id = TEXT("id-1"),
	.number = 1,
	.exchange = TEXT("shop"),
	.routing_key = TEXT("order.new"),
	.content_type = TEXT("text/plain"),
};

static void
keep_line(void *arg, const char *line, size_t len)
{
	struct world *w = arg;

	buf_add(&w->log, line, len);
	buf_add_u8(&w->log, '\n');
	if (w->awaited != NULL && strstr(buf_str(&w->log), w->awaited) != NULL)
		loop_stop(w->loop);
}

static int
setup(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));

	log_open(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
	log_set_sink(keep_line, w);
	w->loop = loop_libevent_new();
	w->conf = (struct conf_plugin){
		.path = ACROBAT,
		.config = "null",
		.workers = 2,
		.timeout_ms = LONG_MS,
	};
	*state = w;
	return 0;
}

static int
setup_inside(void **state)
{
	if (setup(state) == -1)
		return -1;
	((struct world *)*state)->conf.workers = 0;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	handler_free(w->handler);
	log_set_sink(NULL, NULL);
	loop_free(w->loop);
	buf_clear(&w->log);
	free(w);
	/* None is left, not even as a zombie. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	return 0;
}

static void send(struct letter *);

static void
done(void *arg, const struct verdict *verdict)
{
	struct letter *l = arg;
	struct world *w = l->world;

	l->call = NULL;
	l->verdict = *verdict;
	l->verdicts++;
	w->under_way--;
	if (strncmp(verdict->class, "crash", 5) == 0 && ++l->crashes == 1 &&
	    w->again) {
		l->attempt.alone = true;
		send(l);
	}
	if (w->under_way == 0)
		loop_stop(w->loop);
}

static void
send(struct letter *l)
{
	struct world *w = l->world;

	if (w->handler == NULL)
		w->handler = handler_plugin_new(w->loop, "shop", &w->conf);
	w->under_way++;
	l->call = handler_start(w->handler, &l->attempt, done, l);
	assert_non_null(l->call);
}

static struct letter *
put(struct world *w, const char *body)
{
	struct letter *l = &w->letters[w->count++];

	assert_true(w->count <= MANY);
	l->world = w;
	l->attempt = an_attempt;
	l->attempt.alone = w->alone;
	snprintf(l->body, sizeof(l->body), "%s", body);
	l->attempt.body = l->body;
	l->attempt.body_bytes = strlen(body);
	send(l);
	return l;
}

/* Until all have their verdicts. */
static void
await(struct world *w)
{
	loop_run(w->loop);
	assert_int_equal(w->under_way, 0);
}

static const struct verdict *
attempt(struct world *w, const char *body)
{
	struct letter *l = put(w, body);

	await(w);
	assert_int_equal(l->verdicts, 1);
	return &l->verdict;
}

static void
check(const struct verdict *v, enum outcome outcome, const char *class,
    const char *error)
{
	assert_string_equal(v->class, class);
	assert_string_equal(v->error, error);
	assert_int_equal(v->outcome, outcome);
}

static bool
is_logged(struct world *w, const char *text)
{
	return strstr(buf_str(&w->log), text) != NULL;
}

/* A worker's lines and its answers go different ways. */
static void
await_log(struct world *w, const char *text)
{
	w->awaited = text;
	if (!is_logged(w, text))
		loop_run(w->loop);
	w->awaited = NULL;
	assert_true(is_logged(w, text));
}

static unsigned
count_logged(struct world *w, const char *text)
{
	const char *at = buf_str(&w->log);
	unsigned count = 0;

	for (; (at = strstr(at, text)) != NULL; at++)
		count++;
	return count;
}

/* ---- in both homes */

static void
takes_answers(void **state)
{
	struct world *w = *state;
	const struct verdict *v;

	check(attempt(w, ""), OUTCOME_OK, "plugin.0", "");
	check(attempt(w, "reject 65"), OUTCOME_REJECT, "plugin.65", "");
	check(attempt(w, "retry 75 error busy, later"), OUTCOME_RETRY,
	    "plugin.75", "busy, later");
	v = attempt(w, "retry 0 delay 1234 class a.b/c");
	check(v, OUTCOME_RETRY, "a.b_c", "");
	assert_int_equal(v->delay_ms, 1234);
	check(attempt(w, "thread reject 1"), OUTCOME_REJECT, "plugin.1", "");
	check(attempt(w, "print"), OUTCOME_OK, "plugin.0", "");
	check(attempt(w, "tell"), OUTCOME_RETRY, "plugin.1",
	    "orders orders.q id-1 1 0 shop order.new text/plain 0 4");
}

static void
second_answers_are_harmless(void **state)
{
	struct world *w = *state;

	check(attempt(w, "twice"), OUTCOME_OK, "plugin.0", "");
	await_log(w, "answered twice");
	buf_reset(&w->log);
	check(attempt(w, "twice thread"), OUTCOME_OK, "plugin.0", "");
	if (w->conf.workers > 0) {
		await_log(w, "answered twice");
		return;
	}
	/* Its thread has ended after this. */
	handler_free(w->handler);
	w->handler = NULL;
	assert_true(is_logged(w, "answered twice"));
}

static void
logs_what_the_plugin_says(void **state)
{
	struct world *w = *state;

	w->conf.config = "{\"echo\":[1,\"\\\"\"]}";
	check(attempt(w, "say a \"quoted\" \x1b[1m word"), OUTCOME_OK,
	    "plugin.0", "");
	await_log(w, "a \\\"quoted\\\" \\u001b[1m word");
	await_log(w, "{\\\"echo\\\":[1,");
	assert_true(is_logged(w, "warn plugin downstream=shop"));
}

static void
many_at_once(void **state)
{
	struct world *w = *state;
	size_t i;

	w->conf.config = "\"late\"";
	for (i = 0; i < MANY; i++)
		put(w, i % 2 == 0 ? "" : "reject 3");
	await(w);
	for (i = 0; i < MANY; i++) {
		assert_int_equal(w->letters[i].verdicts, 1);
		assert_int_equal(w->letters[i].verdict.outcome,
		    i % 2 == 0 ? OUTCOME_OK : OUTCOME_REJECT);
	}
}

static void
a_body_of_megabytes(void **state)
{
	static const char word[] = { 't', 'e', 'l', 'l' };
	struct world *w = *state;
	size_t bytes = 3 << 20;
	char *body = xcalloc(1, bytes), error[64];
	struct letter *l;

	memset(body, ' ', bytes);
	memcpy(body, word, sizeof(word));
	l = put(w, "");
	l->attempt.body = body;
	await(w);
	l->attempt.body_bytes = bytes;
	send(l);
	/* Others go their ways meanwhile. */
	put(w, "");
	await(w);
	snprintf(error, sizeof(error), " %zu", bytes);
	assert_non_null(strstr(l->verdict.error, error));
	free(body);
}

static void
time_is_limited(void **state)
{
	struct world *w = *state;
	const struct verdict *v;

	w->conf.timeout_ms = SHORT_MS;
	v = attempt(w, "never");
	assert_string_equal(v->class, "plugin.timeout");
	assert_int_equal(v->outcome, OUTCOME_RETRY);
	assert_true(v->counts);
	check(attempt(w, ""), OUTCOME_OK, "plugin.0", "");
}

static void
can_be_cancelled(void **state)
{
	struct world *w = *state;
	struct letter *l = put(w, "never");

	handler_cancel(l->call);
	w->under_way--;
	check(attempt(w, ""), OUTCOME_OK, "plugin.0", "");
	l = put(w, "thread");
	handler_cancel(l->call);
	w->under_way--;
	check(attempt(w, ""), OUTCOME_OK, "plugin.0", "");
	assert_int_equal(l->verdicts, 0);
	/* What is under way at the end is cancelled too. */
	put(w, "never");
	put(w, "thread");
}

static void
says_why_it_does_not_start(void **state)
{
	struct world *w = *state;
	const struct verdict *v;

	w->conf.config = "\"refuse\"";
	w->conf.timeout_ms = SHORT_MS;
	v = attempt(w, "");
	assert_int_equal(v->outcome, OUTCOME_RETRY);
	assert_non_null(strstr(v->error, "the configuration says so"));
	assert_true(v->counts);
	assert_true(is_logged(w, "class=plugin.init"));
}

/* ---- in this one */

/* The answers that are held come, all of them, from their threads. */
static void
release_held(const struct world *w)
{
	void *object = dlopen(w->conf.path, RTLD_NOW | RTLD_NOLOAD);
	void (*release)(void);

	assert_non_null(object);
	*(void **)&release = dlsym(object, "acrobat_release");
	assert_non_null(release);
	release();
	dlclose(object);
}

/*
 * As a reload does it: a second handler of the same object, while a call of
 * the first is under way. The object's variables are then the second's.
 */
static void
an_answer_is_that_of_its_own_call(void **state)
{
	struct world *w = *state;
	struct handler *former;
	struct letter *a, *b;

	a = put(w, "hold");
	former = w->handler;
	w->handler = NULL;
	b = put(w, "never");
	w->under_way--;
	release_held(w);
	await(w);
	assert_int_equal(b->verdicts, 0);
	assert_int_equal(a->verdicts, 1);
	check(&a->verdict, OUTCOME_OK, "plugin.0", "");
	/* And when the first one is gone. */
	handler_free(former);
	check(attempt(w, ""), OUTCOME_OK, "plugin.0", "");
	assert_int_equal(b->verdicts, 0);
	assert_false(is_logged(w, "never given"));
}

/* It has no cancel and no shutdown: its threads outlive the handler. */
static void
an_answer_may_come_after_the_handler(void **state)
{
	struct world *w = *state;
	struct letter *l;

	w->conf.path = BARE;
	l = put(w, "hold twice");
	w->under_way--;
	handler_free(w->handler);
	w->handler = NULL;
	release_held(w);
	assert_int_equal(l->verdicts, 0);
	assert_true(is_logged(w, "downstream=shop"));
	assert_true(is_logged(w, "answered too late"));
	assert_true(is_logged(w, "answered twice, or never given"));
}

/* A handler whose init fails is gone, but init has kept its table. */
static void
a_table_outlives_an_init_that_fails(void **state)
{
	struct world *w = *state;
	struct handler *former;
	struct letter *l = put(w, "hold");

	former = w->handler;
	w->conf.config = "\"refuse\"";
	w->handler = handler_plugin_new(w->loop, "shop", &w->conf);
	handler_free(w->handler);
	w->handler = former;
	release_held(w);
	await(w);
	check(&l->verdict, OUTCOME_OK, "plugin.0", "");
}

/* ---- in processes */

static void
a_crash_is_the_message_s(void **state)
{
	struct world *w = *state;
	const struct verdict *v;

	v = attempt(w, "crash");
	check(v, OUTCOME_RETRY, "crash.SIGSEGV",
	    "ended by signal 11 (Segmentation fault)");
	assert_false(v->counts);
	check(attempt(w, "abort"), OUTCOME_RETRY, "crash.SIGABRT",
	    "ended by signal 6 (Aborted): an assertion");
	check(attempt(w, "exit 3"), OUTCOME_RETRY, "crash.exit",
	    "exit status 3 without an answer");
	check(attempt(w, "exit 0"), OUTCOME_RETRY, "crash.exit",
	    "exit status 0 without an answer");
	check(attempt(w, ""), OUTCOME_OK, "plugin.0", "");
}

/* One in fifty crashes: it twice, and nothing else ever. */
static void
crashes_hit_nobody_else(void **state)
{
	struct world *w = *state;
	size_t i;

	w->again = true;
	for (i = 0; i < MANY; i++)
		put(w, i % 50 == 7 ? "crash" : "");
	await(w);
	for (i = 0; i < MANY; i++) {
		const struct letter *l = &w->letters[i];

		assert_int_equal(l->crashes, i % 50 == 7 ? 2 : 0);
		assert_int_equal(l->verdicts, i % 50 == 7 ? 2 : 1);
		assert_string_equal(l->verdict.class,
		    i % 50 == 7 ? "crash.SIGSEGV" : "plugin.0");
	}
}

/* Of those that were in its hands, the guilty one is found. */
static void
suspects_are_tried_alone(void **state)
{
	struct world *w = *state;
	size_t i;

	w->conf.workers = 1;
	w->conf.timeout_ms = 2000;
	check(attempt(w, ""), OUTCOME_OK, "plugin.0", "");
	/* These are in hand until the third of them ends their worker. */
	put(w, "never");
	put(w, "never");
	put(w, "crash");
	put(w, "");
	await(w);
	for (i = 1; i < w->count; i++)
		assert_int_equal(w->letters[i].verdicts, 1);
	assert_string_equal(w->letters[1].verdict.class, "plugin.timeout");
	assert_string_equal(w->letters[2].verdict.class, "plugin.timeout");
	assert_string_equal(w->letters[3].verdict.class, "crash.SIGSEGV");
	assert_string_equal(w->letters[4].verdict.class, "plugin.0");
	/* Alone, each had its whole time, in a worker of its own. */
	assert_int_equal(count_logged(w, "class=plugin.timeout"), 2);
	assert_int_equal(count_logged(w, "class=crash.SIGSEGV"), 2);
}

static void
alone_is_alone(void **state)
{
	struct world *w = *state;
	size_t i;

	w->conf.workers = 1;
	w->conf.timeout_ms = SHORT_MS;
	check(attempt(w, ""), OUTCOME_OK, "plugin.0", "");
	/* Were another beside it, both would be suspected first. */
	for (i = 0; i < 20; i++) {
		w->alone = i % 4 == 0;
		put(w, w->alone ? "crash" : "never");
	}
	await(w);
	for (i = 1; i < w->count; i++)
		assert_string_equal(w->letters[i].verdict.class,
		    (i - 1) % 4 == 0 ? "crash.SIGSEGV" : "plugin.timeout");
	assert_int_equal(count_logged(w, "class=crash.SIGSEGV"), 5);
}

/* Whatever it writes where it should not: its message's crash, nobody else's.
 */
static void
a_liar_is_not_believed(void **state)
{
	struct world *w = *state;
	char body[16];
	size_t i, k;

	w->conf.workers = 1;
	check(attempt(w, ""), OUTCOME_OK, "plugin.0", "");
	for (k = 1; k <= 6; k++) {
		w->count = 0;
		memset(w->letters, 0, sizeof(w->letters));
		snprintf(body, sizeof(body), "lie %zu", k);
		for (i = 0; i < 30; i++)
			put(w, i == 15 ? body : "");
		await(w);
		for (i = 0; i < 30; i++) {
			const struct letter *l = &w->letters[i];

			assert_int_equal(l->verdicts, 1);
			if (i != 15)
				check(&l->verdict, OUTCOME_OK, "plugin.0", "");
			else
				assert_memory_equal(l->verdict.class, "crash.",
				    6);
		}
	}
}

/* A worker that hangs is killed; those behind it are not charged. */
static void
a_hang_hits_nobody_else(void **state)
{
	struct world *w = *state;
	size_t i;

	w->conf.workers = 1;
	w->conf.timeout_ms = SHORT_MS;
	put(w, "hang");
	for (i = 0; i < 100; i++)
		put(w, "");
	put(w, "spin");
	await(w);
	assert_string_equal(w->letters[0].verdict.class, "plugin.timeout");
	assert_string_equal(w->letters[101].verdict.class, "plugin.timeout");
	for (i = 1; i <= 100; i++)
		check(&w->letters[i].verdict, OUTCOME_OK, "plugin.0", "");
}

static void
cpu_is_limited(void **state)
{
	struct world *w = *state;

	w->conf.cpu_ms = 1000;
	check(attempt(w, "spin"), OUTCOME_RETRY, "crash.SIGXCPU",
	    "ended by signal 24 (CPU time limit exceeded)");
	check(attempt(w, ""), OUTCOME_OK, "plugin.0", "");
}

#ifndef __SANITIZE_ADDRESS__ /* which has taken its memory before */
static void
memory_is_limited(void **state)
{
	struct world *w = *state;

	check(attempt(w, "eat 200"), OUTCOME_OK, "plugin.0", "");
	handler_free(w->handler);
	w->conf.memory_bytes = 64 << 20;
	w->handler = NULL;
	check(attempt(w, "eat 200"), OUTCOME_RETRY, "plugin.1", "no memory");
	check(attempt(w, "eat 10"), OUTCOME_OK, "plugin.0", "");
}
#endif

/* It kept a worker free, which others get then. */
static void
a_cancelled_loner_keeps_no_worker(void **state)
{
	struct world *w = *state;
	struct letter *busy, *lone, *next;

	w->conf.workers = 1;
	check(attempt(w, ""), OUTCOME_OK, "plugin.0", "");
	busy = put(w, "never");
	w->alone = true;
	lone = put(w, "");
	w->alone = false;
	next = put(w, "");
	handler_cancel(lone->call);
	w->under_way -= 2; /* it, and the busy one */
	await(w);
	assert_int_equal(busy->verdicts, 0);
	assert_int_equal(next->verdicts, 1);
}

static void
stop_loop(void *arg)
{
	loop_stop(arg);
}

/* Timers come in their order: in each round a tick comes before ours. */
static void
let_ticks_pass(struct world *w, unsigned count)
{
	struct loop_timer *timer = loop_timer_new(w->loop, stop_loop, w->loop);

	while (count-- > 0) {
		loop_timer_start(w->loop, timer, 2 * TICK_MS);
		loop_run(w->loop);
	}
	loop_timer_free(w->loop, timer);
}

/* However many it took just before: one is caught there at most. */
static void
few_are_caught_behind_a_slow_one(void **state)
{
	struct world *w = *state;
	struct letter *slow;
	size_t i;

	check(attempt(w, ""), OUTCOME_OK, "plugin.0", "");
	for (i = 0; i < MANY / 2 - 2; i++)
		put(w, "");
	slow = put(w, "hang");
	w->under_way--;
	await(w);
	await_log(w, "hanging");
	let_ticks_pass(w, 3);
	for (i = 0; i < MANY / 2; i++)
		put(w, "");
	w->under_way--;
	await(w);
	assert_int_equal(slow->verdicts, 0);
}

/* A crash in init is nobody's, and not tried again at once. */
static void
a_crash_in_init_charges_nobody(void **state)
{
	struct world *w = *state;
	const struct verdict *v;

	w->conf.config = "\"crash\"";
	w->conf.timeout_ms = SHORT_MS;
	v = attempt(w, "");
	assert_string_equal(v->class, "plugin.start");
	assert_non_null(strstr(v->error, "crash.SIGSEGV"));
	assert_true(count_logged(w, "worker_ended") < 20);
}

/* What a worker says before it is up has bounds. */
static void
no_start_is_told_at_length(void **state)
{
	struct world *w = *state;
	const struct verdict *v;

	w->conf.config = "\"stammer\"";
	w->conf.timeout_ms = SHORT_MS;
	v = attempt(w, "");
	assert_string_equal(v->class, "plugin.start");
	assert_non_null(strstr(v->error, "crash.protocol"));
}

static void
an_init_that_chatters_is_cut_short(void **state)
{
	struct world *w = *state;

	w->conf.config = "\"chatter\"";
	w->conf.workers = 1;
	check(attempt(w, ""), OUTCOME_OK, "plugin.0", "");
	assert_int_equal(count_logged(w, "text=chatter"), 1000);
	/* It is up, and is heard. */
	check(attempt(w, "say something"), OUTCOME_OK, "plugin.0", "");
	await_log(w, "something");
}

int
main(int argc, char **argv)
{
#define BOTH(test) \
	cmocka_unit_test_setup_teardown(test, setup, teardown), \
	{ \
#test "_inside", test, setup_inside, teardown, NULL \
	}
#define OUTSIDE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
#define INSIDE(test) \
	cmocka_unit_test_setup_teardown(test, setup_inside, teardown)
	const struct CMUnitTest tests[] = {
		BOTH(takes_answers),
		BOTH(second_answers_are_harmless),
		BOTH(logs_what_the_plugin_says),
		BOTH(many_at_once),
		BOTH(a_body_of_megabytes),
		BOTH(time_is_limited),
		BOTH(can_be_cancelled),
		BOTH(says_why_it_does_not_start),
		INSIDE(an_answer_is_that_of_its_own_call),
		INSIDE(an_answer_may_come_after_the_handler),
		INSIDE(a_table_outlives_an_init_that_fails),
		OUTSIDE(a_crash_is_the_message_s),
		OUTSIDE(crashes_hit_nobody_else),
		OUTSIDE(suspects_are_tried_alone),
		OUTSIDE(alone_is_alone),
		OUTSIDE(a_liar_is_not_believed),
		OUTSIDE(a_hang_hits_nobody_else),
		OUTSIDE(a_cancelled_loner_keeps_no_worker),
		OUTSIDE(few_are_caught_behind_a_slow_one),
		OUTSIDE(cpu_is_limited),
#ifndef __SANITIZE_ADDRESS__
		OUTSIDE(memory_is_limited),
#endif
		OUTSIDE(a_crash_in_init_charges_nobody),
		OUTSIDE(no_start_is_told_at_length),
		OUTSIDE(an_init_that_chatters_is_cut_short),
	};
	int code = plugin_worker_main(argc, argv);

	if (code >= 0)
		return code;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
