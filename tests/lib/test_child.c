/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Real processes on the real loop. */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/child.h"
#include "lib/loop_libevent.h"
#include "lib/xalloc.h"

#define MEGABYTE (1024 * 1024)
/* For what must happen; nothing waits as long. */
#define PATIENCE_MS 60000

struct world {
	struct loop *loop;
	struct children *set;
	struct child *child;
	struct child_params params;
	const char *argv[8];
	struct buf out, err;
	struct child_exit exit;
	unsigned sent, exits;
	bool stop_at_line; /* when stdout has told one */
	bool close_at_out; /* by the callback */
	char folder[32];
};

static int
set_up(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));

	w->loop = loop_libevent_new();
	w->set = children_new(w->loop);
	w->params.argv = (char *const *)(uintptr_t)w->argv;
	w->params.env = environ;
	w->params.output = true;
	strcpy(w->folder, "/tmp/dlo-child-XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	*state = w;
	return 0;
}

static int
tear_down(void **state)
{
	struct world *w = *state;

	children_free(w->set);
	loop_free(w->loop);
	buf_clear(&w->out);
	buf_clear(&w->err);
	assert_int_equal(rmdir(w->folder), 0);
	free(w);
	/* None is left, not even as a zombie. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	return 0;
}

static void
on_out(void *arg, const void *bytes, size_t len)
{
	struct world *w = arg;

	buf_add(&w->out, bytes, len);
	if (w->close_at_out) {
		child_close(w->child);
		w->child = NULL;
		loop_stop(w->loop);
	}
	if (w->stop_at_line && memchr(bytes, '\n', len) != NULL)
		loop_stop(w->loop);
}

static void
on_err(void *arg, const void *bytes, size_t len)
{
	struct world *w = arg;

	buf_add(&w->err, bytes, len);
}

static void
on_sent(void *arg)
{
	((struct world *)arg)->sent++;
}

static void
on_exited(void *arg, const struct child_exit *end)
{
	struct world *w = arg;

	w->exit = *end;
	w->exits++;
	loop_stop(w->loop);
}

/* In a process of its own: a loop that it does not share. */
static void
be_another(struct world *w)
{
	w->loop = loop_libevent_new();
	w->set = children_new(w->loop);
}

static void
start(struct world *w)
{
	static const struct child_cbs cbs = { on_out, on_err, on_sent,
		on_exited };

	buf_reset(&w->out);
	buf_reset(&w->err);
	w->exits = w->sent = 0;
	w->child = child_open(w->set, &w->params, &cbs, w);
	assert_non_null(w->child);
	assert_int_equal(w->exits, 0);
}

static void
start_shell(struct world *w, const char *script)
{
	w->argv[0] = "/bin/sh";
	w->argv[1] = "-c";
	w->argv[2] = script;
	w->argv[3] = NULL;
	start(w);
}

/* Runs to the end of the child. */
static void
await_exit(struct world *w)
{
	loop_run(w->loop);
	assert_int_equal(w->exits, 1);
	child_close(w->child);
	w->child = NULL;
}

/* Until it has said a line. */
static void
await_line(struct world *w)
{
	w->stop_at_line = true;
	loop_run(w->loop);
	w->stop_at_line = false;
	assert_int_equal(w->exits, 0);
}

static void
shell(struct world *w, const char *script)
{
	start_shell(w, script);
	child_send(w->child, NULL, 0, NULL, 0, true);
	await_exit(w);
}

/* Waits until a process that is not ours is dead (or was not there). */
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
	assert_int_equal(poll(&process, 1, PATIENCE_MS), 1);
	close(process.fd);
}

static int
open_fds(void)
{
	int fd, count = 0;

	for (fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) != -1;
	return count;
}

static void
tells_how_it_ended(void **state)
{
	static const struct {
		const char *script;
		enum child_how how;
		int code;
	} ends[] = {
		{ "exit 0", CHILD_EXITED, 0 },
		{ "exit 65", CHILD_EXITED, 65 },
		{ "exit 255", CHILD_EXITED, 255 },
		{ "exec /no/such/thing 2>/dev/null", CHILD_EXITED, 127 },
		{ "kill -9 $$", CHILD_SIGNALED, SIGKILL },
		{ "kill -TERM $$", CHILD_SIGNALED, SIGTERM },
		{ "kill -SEGV $$", CHILD_SIGNALED, SIGSEGV },
	};
	struct world *w = *state;
	size_t i;

	for (i = 0; i < array_len(ends); i++) {
		shell(w, ends[i].script);
		assert_int_equal(w->exit.how, ends[i].how);
		assert_int_equal(w->exit.code, ends[i].code);
	}
}

static void
tells_why_it_did_not_start(void **state)
{
	static const struct {
		const char *program;
		int error;
	} bad[] = {
		{ "/no/such/program", ENOENT },
		{ "no-such-program-of-ours", ENOENT },
		{ "/etc/passwd", EACCES },
		{ "/tmp", EACCES },
		{ "", ENOENT },
	};
	struct world *w = *state;
	size_t i;

	for (i = 0; i < array_len(bad); i++) {
		w->argv[0] = bad[i].program;
		w->argv[1] = NULL;
		start(w);
		child_send(w->child, "x", 1, "y", 1, true);
		await_exit(w);
		assert_int_equal(w->exit.how, CHILD_NOT_STARTED);
		assert_int_equal(w->exit.code, bad[i].error);
	}
}

/* A script without #! is not handed to a shell. */
static void
knows_no_shell(void **state)
{
	struct world *w = *state;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/script", w->folder);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	assert_int_equal(write(fd, "exit 0\n", 7), 7);
	close(fd);
	w->argv[0] = path;
	w->argv[1] = NULL;
	start(w);
	await_exit(w);
	assert_int_equal(w->exit.how, CHILD_NOT_STARTED);
	assert_int_equal(w->exit.code, ENOEXEC);
	assert_int_equal(unlink(path), 0);
}

static void
looks_into_the_path(void **state)
{
	struct world *w = *state;
	char *former = xstrdup(getenv("PATH"));

	w->argv[0] = "true";
	w->argv[1] = NULL;
	start(w);
	await_exit(w);
	assert_int_equal(w->exit.how, CHILD_EXITED);
	/* Not where we happen to be. */
	assert_int_equal(chdir("/bin"), 0);
	setenv("PATH", ":.:/no/such:", 1);
	start(w);
	await_exit(w);
	assert_int_equal(w->exit.how, CHILD_NOT_STARTED);
	assert_int_equal(w->exit.code, ENOENT);
	assert_int_equal(chdir("/"), 0);
	setenv("PATH", former, 1);
	free(former);
}

static void
carries_bytes_both_ways(void **state)
{
	struct world *w = *state;
	uint8_t *body = xmalloc(MEGABYTE);
	size_t i;

	for (i = 0; i < MEGABYTE; i++)
		body[i] = (uint8_t)(i * 7919 >> 8);
	w->argv[0] = "/bin/cat";
	w->argv[1] = NULL;
	start(w);
	child_send(w->child, "head ", 5, body, MEGABYTE, true);
	assert_true(child_unsent(w->child) > 0);
	await_exit(w);
	assert_int_equal(w->sent, 1);
	assert_int_equal(w->out.len, MEGABYTE + 5);
	assert_memory_equal(buf_peek(&w->out), "head ", 5);
	assert_memory_equal(buf_peek(&w->out) + 5, body, MEGABYTE);
	free(body);
}

static void
outlives_one_that_does_not_read(void **state)
{
	static const char *const scripts[] = { "exit 0", "exec <&-; exit 0",
		"read -r line; exit 0", "exec <&-; exec sleep 0.1" };
	struct world *w = *state;
	char *body = xcalloc(1, MEGABYTE);
	size_t i;

	for (i = 0; i < array_len(scripts); i++) {
		start_shell(w, scripts[i]);
		child_send(w->child, NULL, 0, body, MEGABYTE, true);
		await_exit(w);
		assert_int_equal(w->exit.how, CHILD_EXITED);
		assert_int_equal(w->exit.code, 0);
	}
	free(body);
}

/* All of it, though the pipe holds more than is read at once. */
static void
hears_the_last_words(void **state)
{
	struct world *w = *state;
	siginfo_t info;

	w->argv[0] = "/usr/bin/python3";
	w->argv[1] = "-c";
	w->argv[2] = "import fcntl, os\n"
		     "fcntl.fcntl(2, fcntl.F_SETPIPE_SZ, 1 << 19)\n"
		     "os.write(2, b'x' * 300000)\n"
		     "os.write(1, b'end')\n"
		     "os._exit(3)";
	w->argv[3] = NULL;
	start(w);
	assert_int_equal(waitid(P_PID, (id_t)child_pid(w->child), &info,
			     WEXITED | WNOWAIT),
	    0);
	await_exit(w);
	assert_int_equal(w->exit.code, 3);
	assert_int_equal(w->err.len, 300000);
	assert_string_equal(buf_str(&w->out), "end");
}

/* But for 32 and 33, which belong to the C library and are as they were. */
static void
check_no_signals(const char *status, const char *name)
{
	const char *line = strstr(status, name);

	assert_non_null(line);
	assert_int_equal(strtoull(line + strlen(name), NULL, 16) &
		~(UINT64_C(3) << 31),
	    0);
}

static void
has_nothing_of_ours(void **state)
{
	struct world *w = *state;
	int fd = open("/dev/null", O_RDONLY); /* not close-on-exec */
	sigset_t some;

	assert_true(fd >= 0);
	sigemptyset(&some);
	sigaddset(&some, SIGUSR1);
	sigprocmask(SIG_BLOCK, &some, NULL);
	(void)signal(SIGUSR2, SIG_IGN);
	(void)signal(SIGCHLD, SIG_IGN);
	/* ls itself has opened 3. */
	shell(w, "ls /proc/self/fd");
	assert_string_equal(buf_str(&w->out), "0\n1\n2\n3\n");
	w->argv[0] = "/bin/grep";
	w->argv[1] = "Sig[BI]";
	w->argv[2] = "/proc/self/status";
	w->argv[3] = NULL;
	start(w);
	await_exit(w);
	check_no_signals(buf_str(&w->out), "SigBlk:\t");
	check_no_signals(buf_str(&w->out), "SigIgn:\t");
	(void)signal(SIGUSR2, SIG_DFL);
	sigprocmask(SIG_UNBLOCK, &some, NULL);
	close(fd);
}

/* As a daemon may be started: its own first descriptors are closed. */
static void
works_without_a_stdin_of_ours(void **state)
{
	struct world *w = *state;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		be_another(w);
		close(0);
		close(2);
		shell(w, "cat; echo out; echo err >&2");
		_exit(strcmp(buf_str(&w->out), "out\n") == 0 &&
			    strcmp(buf_str(&w->err), "err\n") == 0
			? 0
			: 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
has_limits(void **state)
{
	struct world *w = *state;

	w->params.memory_bytes = 64 * MEGABYTE;
	w->params.cpu_ms = 1001;
	shell(w, "ulimit -v; ulimit -t; ulimit -Ht");
	assert_string_equal(buf_str(&w->out), "65536\n2\n3\n");
	w->params.cpu_ms = 1;
	shell(w, "while :; do :; done");
	assert_int_equal(w->exit.how, CHILD_SIGNALED);
	assert_int_equal(w->exit.code, SIGXCPU);
}

/* Whoever holds its pipes on does not hold us up, and is killed. */
static void
ends_with_its_process(void **state)
{
	struct world *w = *state;

	shell(w, "sleep 1000 & echo $!; exit 3");
	assert_int_equal(w->exit.code, 3);
	await_death((pid_t)atoi(buf_str(&w->out)));
}

/* One that has left the group lives on; we do not wait for it. */
static void
does_not_wait_for_a_daemon(void **state)
{
	struct world *w = *state;
	pid_t pid;

	start_shell(w,
	    "setsid sh -c 'echo $$; exec sleep 1000' & read -r x; exit 4");
	await_line(w);
	child_send(w->child, "\n", 1, NULL, 0, true);
	await_exit(w);
	assert_int_equal(w->exit.code, 4);
	pid = (pid_t)atoi(buf_str(&w->out));
	assert_true(pid > 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	await_death(pid);
}

static void
is_killed_when_closed(void **state)
{
	struct world *w = *state;
	pid_t pid, its;

	start_shell(w, "sleep 1000 & echo $!; wait");
	pid = child_pid(w->child);
	await_line(w);
	its = (pid_t)atoi(buf_str(&w->out));
	child_close(w->child);
	await_death(pid);
	await_death(its);
	assert_int_equal(w->exits, 0);
}

static void
may_be_closed_from_its_callback(void **state)
{
	struct world *w = *state;
	unsigned i;

	w->close_at_out = true;
	for (i = 0; i < 2; i++) {
		/* While it runs; and from what was in the pipe at its end. */
		start_shell(w, i == 0 ? "echo 1; exec sleep 1000" : "echo 1");
		loop_run(w->loop);
		assert_null(w->child);
		assert_int_equal(w->exits, 0);
	}
}

/* kill -9 of whoever has started it. */
static void
dies_with_its_parent(void **state)
{
	struct world *w = *state;
	int ends[2], status;
	pid_t pid, child;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		be_another(w);
		/* Does not look at its stdin. */
		start_shell(w, "echo; exec sleep 1000");
		await_line(w);
		child = child_pid(w->child);
		(void)!write(ends[1], &child, sizeof(child));
		raise(SIGKILL);
	}
	assert_int_equal(read(ends[0], &child, sizeof(child)), sizeof(child));
	await_death(child);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(ends[0]);
	close(ends[1]);
}

static void
leaks_no_descriptor(void **state)
{
	struct world *w = *state;
	int before;
	unsigned i;

	shell(w, "exit 0");
	before = open_fds();
	for (i = 0; i < 5; i++) {
		shell(w, "exit 0");
		w->argv[0] = "/no/such/program";
		start(w);
		await_exit(w);
		w->params.output = !w->params.output;
	}
	assert_int_equal(open_fds(), before);
}

static void
says_what_it_listens_to(void **state)
{
	struct world *w = *state;

	start_shell(w,
	    "echo 1; read -r x; echo 2; read -r x; exec <&-; echo 3;"
	    " exec sleep 1000");
	await_line(w);
	assert_true(child_is_listening(w->child));
	assert_false(child_has_output(w->child));
	child_send(w->child, "\n", 1, NULL, 0, false);
	while (!child_has_output(w->child))
		poll(NULL, 0, 1);
	child_send(w->child, "\n", 1, NULL, 0, false);
	await_line(w);
	while (w->out.len < 6)
		await_line(w);
	assert_false(child_is_listening(w->child));
	child_close(w->child);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(tells_how_it_ended),
		TEST(tells_why_it_did_not_start),
		TEST(knows_no_shell),
		TEST(looks_into_the_path),
		TEST(carries_bytes_both_ways),
		TEST(outlives_one_that_does_not_read),
		TEST(hears_the_last_words),
		TEST(has_nothing_of_ours),
		TEST(works_without_a_stdin_of_ours),
		TEST(has_limits),
		TEST(ends_with_its_process),
		TEST(does_not_wait_for_a_daemon),
		TEST(is_killed_when_closed),
		TEST(may_be_closed_from_its_callback),
		TEST(dies_with_its_parent),
		TEST(leaks_no_descriptor),
		TEST(says_what_it_listens_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
