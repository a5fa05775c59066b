/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/plugin_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include "downstream/plugin_host.h"
#include "downstream/plugin_page.h"
#include "lib/text.h"
#include "lib/xalloc.h"

/* Read at once. A message that is longer gets its own memory. */
#define READ_BYTES (256 * 1024)
/* So many answers wait for the end of what was read, at most. */
#define ANSWERS_MAX 64
#define FIRST_FD    4 /* above what both sides know */
#define STATM_SPACE 128
#define MS	    1000

struct worker {
	int in, out;
	struct plugin_page *page;
	struct plugin_host *host;
	struct plugin_worker_setup setup;
	char *texts[3]; /* path, downstream, config */
	uint64_t begun;
	unsigned quiet;	   /* answers that the parent was not told of */
	int64_t cpu_end_s; /* where RLIMIT_CPU stands */
	size_t at, have;   /* in bytes */
	uint8_t bytes[READ_BYTES];
};

/* Whether this is the thread that hands over: it tells of answers later. */
static __thread bool hands_over;

/* The parent is gone, or talks nonsense: there is nobody to tell. */
static void __attribute__((noreturn)) leave(void)
{
	_exit(EXIT_FAILURE);
}

/* One write: no other thread's comes between. Up to PIPE_BUF they are whole. */
static void
say(const struct worker *w, const struct iovec *pieces, int count)
{
	ssize_t n;

	do
		n = writev(w->out, pieces, count);
	while (n == -1 && errno == EINTR);
	if (n == -1)
		leave();
}

static void
say_word(const struct worker *w, uint8_t word)
{
	struct iovec piece = { &word, 1 };

	say(w, &piece, 1);
}

static void
say_text(const struct worker *w, const uint8_t *head, size_t head_len,
    const char *text, size_t len)
{
	uint16_t cut =
	    (uint16_t)text_utf8_cut(text, len, PLUGIN_WORKER_TEXT_MAX);
	struct iovec pieces[] = { { (void *)(uintptr_t)head, head_len },
		{ &cut, sizeof(cut) }, { (void *)(uintptr_t)text, cut } };

	say(w, pieces, array_len(pieces));
}

static void
on_log(void *arg, const char *downstream, enum log_level level,
    const char *text, size_t len)
{
	const uint8_t head[] = { PLUGIN_WORKER_LOG, (uint8_t)level };

	(void)downstream; /* the parent knows */
	say_text(arg, head, sizeof(head), text, len);
}

/* Tells the parent, unless it has been told and has not looked yet. */
static void
announce(struct worker *w)
{
	if (atomic_exchange(&w->page->told, 1) == 0)
		say_word(w, PLUGIN_WORKER_ANSWERED);
}

static void
on_answered(void *arg, void *owner, uint64_t call,
    const struct dlo_verdict *verdict)
{
	struct worker *w = arg;

	(void)owner;
	plugin_page_add(w->page, call, verdict);
	if (!hands_over)
		announce(w);
	else if (++w->quiet == ANSWERS_MAX) {
		w->quiet = 0;
		announce(w);
	}
}

/* Before waiting for more: nobody else will tell. */
static void
tell_quiet(struct worker *w)
{
	if (w->quiet == 0)
		return;
	w->quiet = 0;
	announce(w);
}

/* Reads something into `to`; 0: that was the end. */
static size_t
read_some(struct worker *w, uint8_t *to, size_t space)
{
	ssize_t n;

	tell_quiet(w);
	do
		n = read(w->in, to, space);
	while (n == -1 && errno == EINTR);
	if (n == -1)
		leave();
	return (size_t)n;
}

static void
read_all(struct worker *w, uint8_t *to, size_t len)
{
	size_t n;

	for (; len > 0; to += n, len -= n)
		if ((n = read_some(w, to, len)) == 0)
			leave();
}

/* Until `len` bytes are there, at most all of the space; false: the end. */
static bool
read_until(struct worker *w, size_t len)
{
	size_t n;

	if (w->at > 0 && w->have - w->at < len) {
		memmove(w->bytes, w->bytes + w->at, w->have - w->at);
		w->have -= w->at;
		w->at = 0;
	}
	while (w->have - w->at < len) {
		n = read_some(w, w->bytes + w->have, READ_BYTES - w->have);
		if (n == 0)
			return false;
		w->have += n;
	}
	return true;
}

/* `len` bytes of a frame, part of which has been read already. */
static void
take_bytes(struct worker *w, uint8_t *to, size_t len)
{
	size_t here = w->have - w->at;

	if (here > len)
		here = len;
	memcpy(to, w->bytes + w->at, here);
	w->at += here;
	read_all(w, to + here, len - here);
}

/* Counts CPU time from here on, in steps of a second as the kernel does. */
static void
allow_cpu(struct worker *w)
{
	struct rusage used;
	struct rlimit limit;
	int64_t end_s, used_s;

	if (w->setup.cpu_ms == 0 || getrusage(RUSAGE_SELF, &used) == -1)
		return;
	used_s = used.ru_utime.tv_sec + used.ru_stime.tv_sec;
	/* What of a second has been used is not counted against it. */
	end_s = used_s + 1 + (w->setup.cpu_ms + MS - 1) / MS;
	if (end_s == w->cpu_end_s || getrlimit(RLIMIT_CPU, &limit) == -1)
		return;
	w->cpu_end_s = end_s;
	limit.rlim_cur = (rlim_t)end_s;
	if (limit.rlim_max != RLIM_INFINITY && limit.rlim_cur > limit.rlim_max)
		limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_CPU, &limit);
}

/* So much more than the process has before the plugin is there. */
static void
limit_memory(uint64_t more_bytes)
{
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	char text[STATM_SPACE] = "";
	struct rlimit limit;

	if (fd == -1)
		return;
	if (read(fd, text, sizeof(text) - 1) > 0 &&
	    getrlimit(RLIMIT_AS, &limit) == 0) {
		/* The first number is the address space, in pages. */
		more_bytes +=
		    strtoull(text, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
		if (more_bytes < limit.rlim_max)
			limit.rlim_cur = limit.rlim_max = more_bytes;
		(void)setrlimit(RLIMIT_AS, &limit);
	}
	close(fd);
}

static void
take_message(struct worker *w, const struct plugin_frame *head)
{
	struct plugin_call *call;

	/* From here on it is this message that we die of. */
	atomic_store_explicit(&w->page->begun, ++w->begun,
	    memory_order_release);
	allow_cpu(w);
	call = plugin_call_new(head->bytes);
	take_bytes(w, plugin_call_frame(call), head->bytes);
	hands_over = true;
	if (plugin_host_handle(w->host, call, NULL) == -1)
		leave();
	hands_over = false;
}

/* False: that was the end. */
static bool
take_frame(struct worker *w)
{
	struct plugin_frame head;

	if (!read_until(w, sizeof(head)))
		return false;
	memcpy(&head, w->bytes + w->at, sizeof(head));
	if (head.bytes < sizeof(head))
		leave();
	/* What is small comes as a whole: until then it is not at it. */
	if (head.bytes <= READ_BYTES && !read_until(w, head.bytes))
		return false;
	switch (head.kind) {
	case PLUGIN_FRAME_MESSAGE:
		take_message(w, &head);
		return true;
	case PLUGIN_FRAME_CANCEL:
		w->at += sizeof(head);
		plugin_host_cancel(w->host, head.call);
		return true;
	default:
		leave();
	}
}

static void
read_setup(struct worker *w)
{
	struct plugin_frame head;
	size_t i;

	if (!read_until(w, sizeof(head) + sizeof(w->setup)))
		leave();
	w->at += sizeof(head);
	memcpy(&w->setup, w->bytes + w->at, sizeof(w->setup));
	w->at += sizeof(w->setup);
	for (i = 0; i < array_len(w->texts); i++) {
		w->texts[i] = xmalloc(w->setup.lens[i]);
		take_bytes(w, (uint8_t *)w->texts[i], w->setup.lens[i]);
	}
}

/* Loads and starts the plugin, or says why not. */
static bool
start(struct worker *w)
{
	static const struct plugin_host_cbs cbs = { on_answered };
	static const uint8_t failed = PLUGIN_WORKER_FAILED;
	struct buf why = { 0 };
	struct dlo_setup setup = {
		.size = sizeof(setup),
		.downstream = w->texts[1],
		.config = w->texts[2],
		.config_len = w->setup.lens[2] - 1,
		.workers = w->setup.workers,
	};
	const char *text;

	if (w->setup.memory_bytes > 0)
		limit_memory(w->setup.memory_bytes);
	w->host = plugin_host_open(w->texts[0], &why);
	if (w->host != NULL) {
		text = plugin_host_init(w->host, &setup, &cbs, on_log, w);
		if (text == NULL)
			return true;
		buf_add_str(&why, text);
	}
	say_text(w, &failed, 1, buf_str(&why), why.len);
	buf_clear(&why);
	return false;
}

/* Descriptors that no plugin's printf finds. */
static void
take_ends(struct worker *w)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	w->in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, FIRST_FD);
	w->out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, FIRST_FD);
	w->page = plugin_page_map(PLUGIN_WORKER_PAGE);
	if (null == -1 || w->in == -1 || w->out == -1 || w->page == NULL ||
	    dup2(null, STDIN_FILENO) == -1 ||
	    dup2(STDERR_FILENO, STDOUT_FILENO) == -1)
		leave();
	close(null);
	close(PLUGIN_WORKER_PAGE);
}

static int
run(void)
{
	struct worker *w = xcalloc(1, sizeof(*w));

	/* As in the daemon: a closed socket is an error, not the end. */
	(void)signal(SIGPIPE, SIG_IGN);
	(void)prctl(PR_SET_NAME, "dlo-plugin");
	take_ends(w);
	read_setup(w);
	if (!start(w))
		leave();
	say_word(w, PLUGIN_WORKER_READY);
	while (take_frame(w))
		continue;
	plugin_host_close(w->host);
	/* Its threads should have ended; those that have not are not met. */
	_exit(EXIT_SUCCESS);
}

/* Says on stdout what is wrong with a plugin; init is not called. */
static int
check(const char *path)
{
	struct buf why = { 0 };
	struct plugin_host *host = plugin_host_open(path, &why);

	if (host != NULL)
		_exit(EXIT_SUCCESS);
	(void)fputs(buf_str(&why), stdout);
	(void)fflush(stdout);
	leave();
}

int
plugin_worker_main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], PLUGIN_WORKER_RUN) == 0)
		return run();
	if (argc == 3 && strcmp(argv[1], PLUGIN_WORKER_CHECK) == 0)
		return check(argv[2]);
	return -1;
}
