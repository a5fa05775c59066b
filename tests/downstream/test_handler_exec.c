/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The exec handler with real processes, in both modes. */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/conf.h"
#include "downstream/handler.h"
#include "lib/buf.h"
#include "lib/log.h"
#include "lib/loop_libevent.h"
#include "lib/xalloc.h"

#define TEXT(s) \
	{ \
		s, sizeof(s) - 1 \
	}
#define MEGABYTE (1024 * 1024)
#define SHORT_MS 200
#define LONG_MS	 60000 /* longer than any test: never waited for */

struct world {
	struct loop *loop;
	struct handler *handler;
	struct conf_exec conf;
	const char *argv[4];
	struct attempt attempt;
	struct verdict verdict; /* the last one */
	unsigned verdicts, wanted;
	struct buf ended; /* restart_ms of the worker_ended lines */
	unsigned ended_wanted;
	char folder[32], path[64];
};

static const struct attempt an_attempt = {
	.pipeline = TEXT("orders"),
	.queue = TEXT("orders.q"),
	.id = TEXT("id-1"),
	.number = 3,
	.redrives = 1,
	.exchange = TEXT("shop"),
	.routing_key = TEXT("order.new"),
	.content_type = TEXT("application/json"),
	.body = "{\"n\":1}",
	.body_bytes = 7,
};

static int
setup(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));

	log_open(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
	w->loop = loop_libevent_new();
	w->conf = (struct conf_exec){
		.command = { .items = w->argv, .count = 3 },
		.workers = 1,
		.timeout_ms = LONG_MS,
	};
	w->argv[0] = "/bin/sh";
	w->argv[1] = "-c";
	w->attempt = an_attempt;
	strcpy(w->folder, "/tmp/dlo-exec-XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	snprintf(w->path, sizeof(w->path), "%s/file", w->folder);
	setenv("FILE", w->path, 1);
	*state = w;
	return 0;
}

static int
setup_stream(void **state)
{
	struct world *w;

	if (setup(state) == -1)
		return -1;
	w = *state;
	w->conf.mode = CONF_EXEC_STREAM;
	w->attempt.body_bytes = 0;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	log_set_sink(NULL, NULL);
	handler_free(w->handler);
	loop_free(w->loop);
	buf_clear(&w->ended);
	(void)unlink(w->path);
	assert_int_equal(rmdir(w->folder), 0);
	free(w);
	/* None is left, not even as a zombie. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	return 0;
}

static void
done(void *arg, const struct verdict *verdict)
{
	struct world *w = arg;

	w->verdict = *verdict;
	if (++w->verdicts == w->wanted)
		loop_stop(w->loop);
}

static struct handler_call *
start(struct world *w)
{
	unsigned before = w->verdicts;
	struct handler_call *call;

	if (w->handler == NULL)
		w->handler = handler_exec_new(w->loop, "shop", &w->conf);
	call = handler_start(w->handler, &w->attempt, done, w);
	assert_non_null(call);
	assert_int_equal(w->verdicts, before);
	return call;
}

/* Runs until this many more verdicts are there. */
static void
await(struct world *w, unsigned count)
{
	w->wanted = w->verdicts + count;
	loop_run(w->loop);
	assert_int_equal(w->verdicts, w->wanted);
}

static void
attempt(struct world *w)
{
	start(w);
	await(w, 1);
}

/* From now on this is what is run. */
static void
use(struct world *w, const char *script)
{
	handler_free(w->handler);
	w->handler = NULL;
	w->argv[2] = script;
}

static void
check(const struct world *w, enum outcome outcome, const char *class)
{
	assert_string_equal(w->verdict.class, class);
	assert_int_equal(w->verdict.outcome, outcome);
	assert_int_equal(w->verdict.counts, outcome != OUTCOME_REJECT);
}

static void
await_death(pid_t pid)
{
	struct pollfd process = { .events = POLLIN };

	assert_true(pid > 1);
	process.fd = pidfd_open(pid, 0);
	if (process.fd == -1) {
		assert_int_equal(errno, ESRCH);
		return;
	}
	assert_int_equal(poll(&process, 1, LONG_MS), 1);
	close(process.fd);
}

/* What the command has written to $FILE. */
static void
read_file(const struct world *w, struct buf *out)
{
	int fd = open(w->path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	assert_true(fd >= 0);
	while ((n = read(fd, buf_reserve(out, 65536), 65536)) > 0)
		buf_claim(out, (size_t)n);
	assert_int_equal(n, 0);
	close(fd);
}

static const struct {
	const char *script;
	enum outcome outcome;
	const char *class;
	const char *error;
} ends[] = {
	{ "exit 0", OUTCOME_OK, "exec.0", "" },
	{ "echo all is well >&2; exit 0", OUTCOME_OK, "exec.0", "" },
	{ "exit 65", OUTCOME_REJECT, "exec.65", "" },
	{ "echo one >&2; echo two >&2; exit 65", OUTCOME_REJECT, "exec.65",
	    "two" },
	{ "exit 75", OUTCOME_RETRY, "exec.75", "" },
	{ "printf 'one\\nno end' >&2; exit 75", OUTCOME_RETRY, "exec.75",
	    "no end" },
	{ "printf 'one\\ntwo\\n\\n \\r\\n' >&2; exit 1", OUTCOME_RETRY,
	    "exec.1", "two" },
	{ "printf 'a\\033[1mb\\000c\\377' >&2; exit 2", OUTCOME_RETRY, "exec.2",
	    "a [1mb c\xef\xbf\xbd" },
	{ "exit 64", OUTCOME_RETRY, "exec.64", "" },
	{ "exit 255", OUTCOME_RETRY, "exec.255", "" },
	{ "kill -9 $$", OUTCOME_RETRY, "exec.signal.9",
	    "ended by signal 9 (Killed)" },
	{ "echo ouch >&2; kill -TERM $$", OUTCOME_RETRY, "exec.signal.15",
	    "ouch" },
	/* Floods hold nobody up. */
	{ "head -c 1000000 /dev/zero; exit 0", OUTCOME_OK, "exec.0", "" },
	{ "head -c 1000000 /dev/zero | tr '\\0' x >&2; echo >&2;"
	  "echo end >&2; exit 3",
	    OUTCOME_RETRY, "exec.3", "end" },
	/* Who holds its pipes on does not, either. */
	{ "sleep 1000 & exit 4", OUTCOME_RETRY, "exec.4", "" },
	{ "[ \"$(cat)\" = '{\"n\":1}' ]", OUTCOME_OK, "exec.0", "" },
	{ "exec <&-; exit 0", OUTCOME_OK, "exec.0", "" },
};

static void
judges_ends(void **state)
{
	struct world *w = *state;
	size_t i;

	for (i = 0; i < array_len(ends); i++) {
		use(w, ends[i].script);
		attempt(w);
		check(w, ends[i].outcome, ends[i].class);
		assert_string_equal(w->verdict.error, ends[i].error);
		assert_int_equal(w->verdict.delay_ms, -1);
	}
}

static void
says_what_cannot_be_run(void **state)
{
	static const char *const bad[][2] = {
		{ "/no/such/program",
		    "/no/such/program: No such file or directory" },
		{ "no-such-program",
		    "no-such-program: No such file or directory" },
		{ "/etc/passwd", "/etc/passwd: Permission denied" },
	};
	struct world *w = *state;
	size_t i;

	for (i = 0; i < 2 * array_len(bad); i++) {
		use(w, "");
		w->argv[0] = bad[i / 2][0];
		w->conf.mode = i % 2 == 0 ? CONF_EXEC_ONCE : CONF_EXEC_STREAM;
		attempt(w);
		check(w, OUTCOME_RETRY, "exec.start");
		assert_string_equal(w->verdict.error, bad[i / 2][1]);
	}
}

/* Out of descriptors: a retry, and nothing is lost or leaked. */
static void
says_what_is_missing(void **state)
{
	struct world *w = *state;
	struct rlimit usual, few;
	int fds[256];
	size_t count = 0, i;

	use(w, "exit 0");
	attempt(w);
	check(w, OUTCOME_OK, "exec.0");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
	few = usual;
	few.rlim_cur = array_len(fds);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	while (count < array_len(fds) && (fds[count] = dup(2)) != -1)
		count++;
	assert_true(count < array_len(fds));
	assert_int_equal(errno, EMFILE);
	attempt(w);
	check(w, OUTCOME_RETRY, "exec.start");
	assert_string_equal(w->verdict.error, "/bin/sh: Too many open files");
	for (i = 0; i < count; i++)
		close(fds[i]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
	attempt(w);
	check(w, OUTCOME_OK, "exec.0");
}

static void
gives_large_bodies(void **state)
{
	static const char *const scripts[] = { "exit 0",
		"[ $(wc -c) = 1048576 ]", "read -r x; exit 0",
		"exec <&-; sleep 0.1" };
	struct world *w = *state;
	char *body = xmalloc(MEGABYTE);
	size_t i;

	memset(body, '\n', MEGABYTE);
	w->attempt.body = body;
	w->attempt.body_bytes = MEGABYTE;
	for (i = 0; i < array_len(scripts); i++) {
		use(w, scripts[i]);
		attempt(w);
		check(w, OUTCOME_OK, "exec.0");
	}
	free(body);
	w->attempt.body = NULL;
	w->attempt.body_bytes = 0;
	use(w, "[ $(wc -c) = 0 ]");
	attempt(w);
	check(w, OUTCOME_OK, "exec.0");
}

/* NAME=VALUE, each ended by a NUL, as in /proc. */
static void
check_environment(struct world *w, const char *text, size_t len)
{
	struct buf there = { 0 };

	attempt(w);
	check(w, OUTCOME_OK, "exec.0");
	read_file(w, &there);
	assert_int_equal(there.len, len);
	assert_memory_equal(buf_peek(&there), text, len);
	buf_clear(&there);
}

#define PARENT "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"

static void
has_this_environment_and_no_other(void **state)
{
	static const char whole[] = "PATH=/bin\0DLOX=1\0"
				    "LISTEN_ADDRESS=::\0DLO_ID=id-1\0"
				    "DLO_PIPELINE=orders\0DLO_QUEUE=orders.q\0"
				    "DLO_ATTEMPT=3\0DLO_REDRIVES=1\0"
				    "DLO_EXCHANGE=shop\0"
				    "DLO_ROUTING_KEY=order.new\0"
				    "DLO_MESSAGE_ID=m\0DLO_CORRELATION_ID=c\0"
				    "DLO_CONTENT_TYPE=application/json\0"
				    "DLO_TRACEPARENT=" PARENT;
	static const char hostile[] = "PATH=/bin\0DLOX=1\0"
				      "LISTEN_ADDRESS=::\0"
				      "DLO_ID=%00%0A%25%FF\0"
				      "DLO_PIPELINE=orders\0"
				      "DLO_QUEUE=orders.q\0DLO_ATTEMPT=3\0"
				      "DLO_REDRIVES=1\0DLO_EXCHANGE=\0"
				      "DLO_ROUTING_KEY=caf%C3%A9 =x\0"
				      "DLO_MESSAGE_ID=\0DLO_CORRELATION_ID=\0"
				      "DLO_CONTENT_TYPE=a%00DLO_ID=b";
	static const char *const ours[] = { "PATH=/bin", "DLO_PASSWORD=secret",
		"DLOX=1", "DLO_ID=ours", "NOTIFY_SOCKET=@x", "WATCHDOG_USEC=1",
		"WATCHDOG_PID=1", "LISTEN_FDS=1", "LISTEN_PID=1",
		"LISTEN_FDNAMES=a", "LISTEN_ADDRESS=::", NULL };
	char **former = environ;
	struct world *w = *state;

	environ = (char **)(uintptr_t)ours;
	w->argv[0] = "/bin/cp";
	w->argv[1] = "/proc/self/environ";
	w->argv[2] = w->path;
	w->attempt.message_id = (struct attempt_text)TEXT("m");
	w->attempt.correlation_id = (struct attempt_text)TEXT("c");
	w->attempt.traceparent = (struct attempt_text)TEXT(PARENT);
	check_environment(w, whole, sizeof(whole));
	w->attempt.id = (struct attempt_text)TEXT("\0\n%\xff");
	w->attempt.exchange.len = 0;
	w->attempt.routing_key = (struct attempt_text)TEXT("caf\xc3\xa9 =x");
	w->attempt.message_id.len = w->attempt.correlation_id.len = 0;
	w->attempt.content_type = (struct attempt_text)TEXT("a\0DLO_ID=b");
	w->attempt.traceparent = (struct attempt_text)TEXT("00-x\nLD_PRELOAD=");
	check_environment(w, hostile, sizeof(hostile));
	environ = former;
}

/* The whole group dies of a time-out. */
static void
ends_in_time(void **state)
{
	struct world *w = *state;
	char byte = 0;
	int fifo;

	assert_int_equal(mkfifo(w->path, 0600), 0);
	fifo = open(w->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(fifo >= 0);
	/* Until it was fast enough to say so. */
	for (w->conf.timeout_ms = SHORT_MS; byte == 0;
	     w->conf.timeout_ms *= 2) {
		use(w, "exec 3>$FILE; (sleep 1000) & echo >&3; wait");
		attempt(w);
		check(w, OUTCOME_RETRY, "exec.timeout");
		assert_true(strstr(w->verdict.error, "not done in") ==
		    w->verdict.error);
		(void)!read(fifo, &byte, 1);
	}
	/* The end of the file: nobody has it open for writing any more. */
	assert_int_equal(fcntl(fifo, F_SETFL, 0), 0);
	assert_int_equal(read(fifo, &byte, 1), 0);
	close(fifo);
}

static void
cancels(void **state)
{
	struct world *w = *state;
	unsigned i;

	w->conf.workers = 2;
	for (i = 0; i < 2; i++) {
		w->conf.mode = i == 0 ? CONF_EXEC_ONCE : CONF_EXEC_STREAM;
		use(w, "exec sleep 1000");
		handler_cancel(start(w));
		start(w);
		start(w);
		assert_int_equal(w->handler->capacity, 2);
	}
	/* What is still under way goes with the handler, without a word. */
	handler_free(w->handler);
	w->handler = NULL;
	assert_int_equal(w->verdicts, 0);
}

/* ---- stream */

#define EACH "while read -r line; do "
#define OK   "echo '{\"outcome\":\"ok\"}'; "
/* Its class is the worker's pid. */
#define WHO EACH "printf '{\"outcome\":\"ok\",\"class\":\"%s\"}\\n' $$; done"

static void
answers_with_one_process(void **state)
{
	struct world *w = *state;
	char class[VERDICT_CLASS_SPACE];

	use(w, WHO);
	attempt(w);
	assert_int_equal(w->verdict.outcome, OUTCOME_OK);
	strcpy(class, w->verdict.class);
	attempt(w);
	check(w, OUTCOME_OK, class);
}

static void
uses_all_its_workers(void **state)
{
	struct world *w = *state;
	struct buf pids = { 0 };
	char *rest;
	long a, b, c;

	/* Each answers when all three have a message: none can be alone. */
	w->conf.workers = 3;
	use(w,
	    EACH "echo $$ >>$FILE; until [ $(wc -l <$FILE) -ge 3 ];"
		 "do sleep 0.01; done; " OK "done");
	start(w);
	start(w);
	start(w);
	await(w, 3);
	read_file(w, &pids);
	a = strtol(buf_str(&pids), &rest, 10);
	b = strtol(rest, &rest, 10);
	c = strtol(rest, NULL, 10);
	assert_true(a != b && b != c && a != c);
	buf_clear(&pids);
}

/* The line and the body, to the byte. */
static void
gives_line_and_body(void **state)
{
	struct world *w = *state;

	w->attempt.body = "a\"b\\\n\nc";
	w->attempt.body_bytes = 7;
	use(w,
	    EACH "head -c 7 >$FILE; printf '%s' \"$line\" >>$FILE; " OK "done");
	attempt(w);
	check(w, OUTCOME_OK, "exec.ok");
	attempt(w);
	check(w, OUTCOME_OK, "exec.ok");
	{
		static const char text[] =
		    "a\"b\\\n\nc"
		    "{\"id\":\"id-1\",\"pipeline\":\"orders\",\"attempt\":3,"
		    "\"redrives\":1,\"routing_key\":\"order.new\","
		    "\"exchange\":\"shop\",\"content_type\":"
		    "\"application/json\",\"headers\":{},\"length\":7}";
		struct buf there = { 0 };

		read_file(w, &there);
		assert_string_equal(buf_str(&there), text);
		buf_clear(&there);
	}
}

/* An answer counts when all of the message has left, not before. */
static void
lets_large_bodies_out(void **state)
{
	struct world *w = *state;
	char *body = xcalloc(1, MEGABYTE);
	unsigned i;

	w->attempt.body = body;
	w->attempt.body_bytes = MEGABYTE;
	use(w, EACH OK "head -c 1048576 >/dev/null; done");
	for (i = 0; i < 3; i++) {
		attempt(w);
		check(w, OUTCOME_OK, "exec.ok");
	}
	/* One that ends instead has answered all the same … */
	use(w, "read -r line; echo '{\"outcome\":\"reject\"}'");
	attempt(w);
	check(w, OUTCOME_REJECT, "exec.reject");
	/* … whoever holds its stdin then. */
	use(w,
	    "exec 3<&0; read -r line; echo '{\"outcome\":\"reject\"}';"
	    "sleep 1000 <&3 & exit 0");
	attempt(w);
	check(w, OUTCOME_REJECT, "exec.reject");
	free(body);
}

static void
passes_on_what_it_says(void **state)
{
	struct world *w = *state;

	use(w,
	    EACH "echo '{\"outcome\":\"retry\",\"class\":\"shop.shut\","
		 "\"error\":\"no key\",\"delay_ms\":1500}'; done");
	attempt(w);
	check(w, OUTCOME_RETRY, "shop.shut");
	assert_string_equal(w->verdict.error, "no key");
	assert_int_equal(w->verdict.delay_ms, 1500);
}

/* One that speaks on and on while its message is still on its way. */
static void
bounds_what_it_hears(void **state)
{
	struct world *w = *state;
	char *body = xcalloc(1, MEGABYTE);

	w->attempt.body = body;
	w->attempt.body_bytes = MEGABYTE;
	use(w, "read -r line; " OK "exec cat /dev/zero");
	attempt(w);
	check(w, OUTCOME_RETRY, "exec.protocol");
	assert_string_equal(w->verdict.error, "an answer without an end");
	free(body);
}

/* Its last words about one message are not the error of the next. */
static void
forgets_what_was_said_before(void **state)
{
	struct world *w = *state;

	use(w, "read -r line; echo old >&2; " OK "read -r line; exit 3");
	attempt(w);
	check(w, OUTCOME_OK, "exec.ok");
	attempt(w);
	check(w, OUTCOME_RETRY, "exec.exit.3");
	assert_string_equal(w->verdict.error, "ended without an answer");
}

static const struct {
	const char *script, *class, *error;
} bad[] = {
	{ EACH "echo nonsense; done", "exec.protocol", NULL },
	{ EACH "echo; done", "exec.protocol", NULL },
	{ EACH "echo '{\"outcome\":\"perhaps\"}'; done", "exec.protocol",
	    "outcome is not ok, retry or reject" },
	{ "read -r line; head -c 100000 /dev/zero; exec sleep 1000",
	    "exec.protocol", "an answer without an end" },
	{ "echo hello; exec sleep 1000", "exec.protocol", NULL },
	{ "read -r line; echo why >&2; exit 3", "exec.exit.3", "why" },
	{ "read -r line; exit 0", "exec.exit.0", "ended without an answer" },
	{ "read -r line; printf '{\"outcome\":\"ok\"}'; exit 0", "exec.exit.0",
	    "ended without an answer" },
	{ "exit 65", "exec.exit.65", "ended without an answer" },
	{ "read -r line; kill -9 $$", "exec.signal.9",
	    "ended by signal 9 (Killed)" },
	{ "read -r line; sleep 1000 & exit 7", "exec.exit.7",
	    "ended without an answer" },
};

static void
retries_what_is_no_answer(void **state)
{
	struct world *w = *state;
	size_t i;

	for (i = 0; i < array_len(bad); i++) {
		use(w, bad[i].script);
		attempt(w);
		check(w, OUTCOME_RETRY, bad[i].class);
		if (bad[i].error != NULL)
			assert_string_equal(w->verdict.error, bad[i].error);
		else
			assert_true(w->verdict.error[0] != '\0');
		/* And another worker takes the next one. */
		attempt(w);
		check(w, OUTCOME_RETRY, bad[i].class);
	}
}

/* Hears how the log tells of the end of workers. */
static void
hear_line(void *arg, const char *line, size_t len)
{
	struct world *w = arg;
	const char *at = strstr(line, " restart_ms=");

	(void)len;
	if (strstr(line, " warn worker_ended downstream=shop ") == NULL)
		return;
	assert_non_null(at);
	buf_printf(&w->ended, "%d ", atoi(strchr(at, '=') + 1));
	if (--w->ended_wanted == 0)
		loop_stop(w->loop);
}

/* From now on; the loop stops at the last of so many. */
static void
hear(struct world *w, unsigned count)
{
	w->ended_wanted = count;
	log_open(LOG_LEVEL_WARN, LOG_FORMAT_LOGFMT);
	log_set_sink(hear_line, w);
}

/*
 * What is said twice is never taken for the answer to the next message:
 * said at once; said later and heard; said later and not heard yet. The
 * second life of each worker rejects.
 */
#define SECOND_LIFE \
	"if [ -e $FILE ]; then " EACH \
	"echo '{\"outcome\":\"reject\"}'; done; exit; fi; "
#define LATE \
	SECOND_LIFE EACH OK "until [ -e $FILE ]; do sleep 0.01; done; " OK \
			    "echo 1 >$FILE; done"

static void
takes_no_answer_for_another(void **state)
{
	struct world *w = *state;
	struct buf said = { 0 };
	unsigned i;

	for (i = 0; i < 3; i++) {
		(void)unlink(w->path);
		use(w,
		    i > 0 ? LATE
			  : SECOND_LIFE
			": >$FILE; read -r line; printf '%s\\n%s\\n' "
			"'{\"outcome\":\"ok\"}' '{\"outcome\":\"ok\"}';"
			"exec sleep 1000");
		attempt(w);
		check(w, OUTCOME_OK, "exec.ok");
		if (i == 1)
			hear(w, 1);
		close(open(w->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
		if (i == 1)
			loop_run(w->loop);
		while (i == 2 && said.len == 0) {
			read_file(w, &said);
			poll(NULL, 0, 1);
		}
		attempt(w);
		check(w, OUTCOME_REJECT, "exec.reject");
	}
	buf_clear(&said);
}

static void
times_out(void **state)
{
	struct world *w = *state;
	struct buf pid = { 0 };

	/* Until it was fast enough to tell its pid. */
	for (w->conf.timeout_ms = SHORT_MS; pid.len == 0;
	     w->conf.timeout_ms *= 2) {
		use(w,
		    "echo $$ >>$FILE; read -r line; echo slow >&2;"
		    "exec sleep 1000");
		attempt(w);
		check(w, OUTCOME_RETRY, "exec.timeout");
		if (access(w->path, F_OK) == 0)
			read_file(w, &pid);
	}
	await_death((pid_t)atoi(buf_str(&pid)));
	buf_clear(&pid);
}

/* A worker that dies while it has nothing to do is not missed. */
static void
replaces_the_dead(void **state)
{
	struct world *w = *state;
	pid_t pid;

	use(w, WHO);
	attempt(w);
	pid = (pid_t)atoi(w->verdict.class);
	assert_int_equal(kill(pid, SIGKILL), 0);
	await_death(pid);
	attempt(w);
	assert_int_equal(w->verdict.outcome, OUTCOME_OK);
	assert_int_not_equal(atoi(w->verdict.class), pid);
}

/* One that ends after each answer is started again at once. */
static void
lets_workers_end(void **state)
{
	struct world *w = *state;
	unsigned i;

	use(w, "read -r line; " OK "exit 0");
	for (i = 0; i < 20; i++) {
		attempt(w);
		if (w->verdict.outcome != OUTCOME_OK)
			/* It was on its way out when it got the message. */
			check(w, OUTCOME_RETRY, "exec.exit.0");
	}
}

/* One that dies at once is started less and less often. */
static void
never_spins(void **state)
{
	struct world *w = *state;
	long restart_ms, expected_ms = 100;
	char *at;
	unsigned i;

	hear(w, 5);
	use(w, "exit 1");
	start(w);
	loop_run(w->loop);
	assert_int_equal(w->verdicts, 1);
	check(w, OUTCOME_RETRY, "exec.exit.1");
	at = (char *)(uintptr_t)buf_str(&w->ended);
	for (i = 0; i < 5; i++, expected_ms *= 2) {
		restart_ms = strtol(at, &at, 10);
		assert_in_range(restart_ms, expected_ms / 2, expected_ms);
	}
}

/* A message for which there is no worker waits, but not for ever. */
static void
says_that_no_worker_comes_up(void **state)
{
	struct world *w = *state;

	w->conf.timeout_ms = 1;
	use(w, "echo broken >&2; exit 1");
	do {
		attempt(w);
		assert_int_equal(w->verdict.outcome, OUTCOME_RETRY);
	} while (strcmp(w->verdict.class, "exec.start") != 0);
	assert_ptr_equal(strstr(w->verdict.error, "no worker: exec."),
	    w->verdict.error);
}

int
main(void)
{
#define ONCE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define STREAM(name) \
	cmocka_unit_test_setup_teardown(name, setup_stream, teardown)
	const struct CMUnitTest tests[] = {
		ONCE(judges_ends),
		ONCE(says_what_cannot_be_run),
		ONCE(says_what_is_missing),
		ONCE(gives_large_bodies),
		ONCE(ends_in_time),
		ONCE(cancels),
		ONCE(has_this_environment_and_no_other),
		STREAM(answers_with_one_process),
		STREAM(uses_all_its_workers),
		STREAM(gives_line_and_body),
		STREAM(lets_large_bodies_out),
		STREAM(passes_on_what_it_says),
		STREAM(bounds_what_it_hears),
		STREAM(forgets_what_was_said_before),
		STREAM(retries_what_is_no_answer),
		STREAM(takes_no_answer_for_another),
		STREAM(times_out),
		STREAM(replaces_the_dead),
		STREAM(lets_workers_end),
		STREAM(never_spins),
		STREAM(says_that_no_worker_comes_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
