/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The pid of a child stays its own until it is reaped, so its group is
 * killed before that, and never after: the number may mean others then.
 */
#include "lib/child.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/child_spawn.h"
#include "lib/log.h"
#include "lib/xalloc.h"

/* Read at once; the usual size of a pipe. */
#define READ_BYTES 65536
/* Of what is in a pipe after the end; the largest one without rights. */
#define DRAIN_BYTES (1024 * 1024)
/* How long children_free waits for the ends of what it killed. */
#define FREE_WAIT_MS 5000

enum child_state {
	CHILD_RUNNING,
	CHILD_ENDED,  /* reaped; its owner has it still */
	CHILD_DYING,  /* closed by its owner, not reaped */
	CHILD_CLOSED, /* to be freed at the end of the turn */
};

/* Our end of a pipe, or the pidfd. */
struct end {
	int fd; /* -1: closed */
	struct loop_fd *watch;
};

struct child {
	struct children *set;
	const struct child_cbs *cbs;
	void *arg;
	enum child_state state;
	pid_t pid;
	struct end process, in, out, err;
	int status_fd;
	struct loop_timer *no_start; /* tells of it, a turn later */
	struct child_exit exit;
	/* Being sent: what is left of it. */
	struct buf head;
	const uint8_t *body;
	size_t body_len;
	bool last;
	LIST_ENTRY(child) entry;
};

LIST_HEAD(child_list, child);

struct children {
	struct loop *loop;
	struct child_list all, closed;
	struct loop_task reap;
	uint8_t scratch[READ_BYTES];
};

static void
child_enter(struct child *child, enum child_state to)
{
	static const char *const names[] = {
		[CHILD_RUNNING] = "running",
		[CHILD_ENDED] = "ended",
		[CHILD_DYING] = "dying",
		[CHILD_CLOSED] = "closed",
	};
	static const unsigned char legal[] = {
		[CHILD_RUNNING] = 1u << CHILD_ENDED | 1u << CHILD_DYING,
		[CHILD_ENDED] = 1u << CHILD_CLOSED,
		[CHILD_DYING] = 1u << CHILD_CLOSED,
		[CHILD_CLOSED] = 0,
	};

	log_debug("child", LOG_INT("pid", child->pid),
	    LOG_STR("from", names[child->state]), LOG_STR("to", names[to]));
	if ((legal[child->state] & 1u << to) == 0)
		abort();
	child->state = to;
	if (to != CHILD_CLOSED)
		return;
	LIST_REMOVE(child, entry);
	LIST_INSERT_HEAD(&child->set->closed, child, entry);
	loop_defer(child->set->loop, &child->set->reap);
}

static void
end_open(struct child *child, struct end *end, int fd, loop_fd_cb *cb,
    unsigned events)
{
	end->fd = fd;
	end->watch = NULL;
	if (fd == -1)
		return;
	end->watch = loop_fd_new(child->set->loop, fd, cb, child);
	loop_fd_want(child->set->loop, end->watch, events);
}

static void
end_close(struct child *child, struct end *end)
{
	if (end->fd == -1)
		return;
	loop_fd_free(child->set->loop, end->watch);
	close(end->fd);
	end->fd = -1;
	end->watch = NULL;
}

static void
close_pipes(struct child *child)
{
	end_close(child, &child->in);
	end_close(child, &child->out);
	end_close(child, &child->err);
}

static void
kill_group(const struct child *child)
{
	/* Those that may not be killed (of another user) are left. */
	(void)kill(-child->pid, SIGKILL);
	/* It may have moved to another group by itself. */
	(void)kill(child->pid, SIGKILL);
}

static void
forget_unsent(struct child *child)
{
	buf_reset(&child->head);
	child->body_len = 0;
}

static void
count_written(struct child *child, size_t written)
{
	size_t of_head = written < child->head.len ? written : child->head.len;

	buf_drop(&child->head, of_head);
	if (written == of_head)
		return;
	child->body += written - of_head;
	child->body_len -= written - of_head;
}

/* Writes what fits. */
static void
write_some(struct child *child)
{
	struct iovec pieces[2] = {
		{ buf_peek(&child->head), child->head.len },
		{ (void *)(uintptr_t)child->body, child->body_len },
	};
	ssize_t n = 0;

	if (child_unsent(child) > 0)
		n = writev(child->in.fd, pieces, array_len(pieces));
	if (n >= 0) {
		count_written(child, (size_t)n);
		if (child_unsent(child) == 0 && child->last)
			end_close(child, &child->in);
	} else if (errno != EAGAIN && errno != EINTR) {
		/* It has closed its stdin, which is its own affair. */
		forget_unsent(child);
		end_close(child, &child->in);
	}
}

static void
want_write(struct child *child)
{
	if (child->in.fd != -1)
		loop_fd_want(child->set->loop, child->in.watch,
		    child_unsent(child) > 0 ? LOOP_WRITE : 0);
}

static void
on_writable(void *arg, unsigned ready)
{
	struct child *child = arg;

	(void)ready;
	write_some(child);
	want_write(child);
	if (child_unsent(child) == 0 && child->cbs->sent != NULL)
		child->cbs->sent(child->arg);
}

/* How much it told; 0: nothing is there now, or ever again. */
static size_t
read_some(struct child *child, struct end *end,
    void (*tell)(void *arg, const void *bytes, size_t len))
{
	uint8_t *scratch = child->set->scratch;
	ssize_t n = read(end->fd, scratch, READ_BYTES);

	if (n > 0) {
		tell(child->arg, scratch, (size_t)n);
		return (size_t)n;
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		end_close(child, end);
	return 0;
}

static void
on_out(void *arg, unsigned ready)
{
	struct child *child = arg;

	(void)ready;
	(void)read_some(child, &child->out, child->cbs->out);
}

static void
on_err(void *arg, unsigned ready)
{
	struct child *child = arg;

	(void)ready;
	(void)read_some(child, &child->err, child->cbs->err);
}

/* What is still in the pipe of one that has ended. */
static void
drain(struct child *child, struct end *end,
    void (*tell)(void *arg, const void *bytes, size_t len))
{
	size_t n, told = 0;

	while (child->state == CHILD_ENDED && end->fd != -1 &&
	    told < DRAIN_BYTES && (n = read_some(child, end, tell)) > 0)
		told += n;
}

/* Whether its program could not be executed: the errno of it, or 0. */
static int
start_error(const struct child *child)
{
	int error;

	if (read(child->status_fd, &error, sizeof(error)) != sizeof(error))
		return 0;
	return error;
}

/* Its process is a zombie: what became of it. */
static void
reap(struct child *child)
{
	siginfo_t info = { 0 };
	int error;

	kill_group(child);
	if (waitid(P_PIDFD, (id_t)child->process.fd, &info, WEXITED) == -1) {
		/* Somebody else has reaped it: nobody knows what it was. */
		child->exit = (struct child_exit){ CHILD_NOT_STARTED, errno };
	} else if (info.si_code == CLD_EXITED) {
		child->exit =
		    (struct child_exit){ CHILD_EXITED, info.si_status };
	} else {
		child->exit =
		    (struct child_exit){ CHILD_SIGNALED, info.si_status };
	}
	if ((error = start_error(child)) != 0)
		child->exit = (struct child_exit){ CHILD_NOT_STARTED, error };
	end_close(child, &child->process);
	close(child->status_fd);
}

static bool
is_zombie(const struct child *child)
{
	siginfo_t info = { 0 };

	return waitid(P_PIDFD, (id_t)child->process.fd, &info,
		   WEXITED | WNOHANG | WNOWAIT) == -1 ||
	    info.si_pid != 0;
}

static void
on_process(void *arg, unsigned ready)
{
	struct child *child = arg;

	(void)ready;
	if (!is_zombie(child))
		return;
	reap(child);
	if (child->state == CHILD_DYING) {
		child_enter(child, CHILD_CLOSED);
		return;
	}
	child_enter(child, CHILD_ENDED);
	drain(child, &child->out, child->cbs->out);
	drain(child, &child->err, child->cbs->err);
	close_pipes(child);
	forget_unsent(child);
	if (child->state == CHILD_ENDED)
		child->cbs->exited(child->arg, &child->exit);
}

static void
on_no_start(void *arg)
{
	struct child *child = arg;

	child->cbs->exited(child->arg, &child->exit);
}

static void
free_closed(void *arg)
{
	struct children *set = arg;
	struct child *child;

	while ((child = LIST_FIRST(&set->closed)) != NULL) {
		LIST_REMOVE(child, entry);
		loop_timer_free(set->loop, child->no_start);
		buf_clear(&child->head);
		free(child);
	}
}

struct children *
children_new(struct loop *loop)
{
	struct children *set = xcalloc(1, sizeof(*set));

	set->loop = loop;
	LIST_INIT(&set->all);
	LIST_INIT(&set->closed);
	loop_task_init(&set->reap, free_closed, set);
	return set;
}

/* Until the process is a zombie, or it is late. */
static void
await_zombie(struct child *child, int64_t until_ms)
{
	struct loop *loop = child->set->loop;
	struct pollfd process = { .fd = child->process.fd, .events = POLLIN };
	int64_t left_ms;

	while ((left_ms = until_ms - loop_now_ms(loop)) > 0 &&
	    poll(&process, 1, (int)left_ms) == -1 && errno == EINTR)
		continue;
}

void
children_end(struct children *set, int64_t wait_ms)
{
	int64_t until_ms = loop_now_ms(set->loop) + wait_ms;
	struct child *child;

	LIST_FOREACH(child, &set->all, entry) {
		forget_unsent(child);
		end_close(child, &child->in);
	}
	LIST_FOREACH(child, &set->all, entry)
		if (child->state == CHILD_RUNNING)
			await_zombie(child, until_ms);
}

/* Waits for the end of one that is dying; it is closed then. */
static void
await_end(struct child *child, int64_t until_ms)
{
	await_zombie(child, until_ms);
	if (is_zombie(child)) {
		reap(child);
	} else {
		end_close(child, &child->process);
		close(child->status_fd);
	}
	child_enter(child, CHILD_CLOSED);
}

void
children_free(struct children *set)
{
	struct child *child, *next;
	int64_t until_ms;

	if (set == NULL)
		return;
	for (child = LIST_FIRST(&set->all); child != NULL; child = next) {
		next = LIST_NEXT(child, entry);
		if (child->state != CHILD_DYING)
			child_close(child);
	}
	until_ms = loop_now_ms(set->loop) + FREE_WAIT_MS;
	while ((child = LIST_FIRST(&set->all)) != NULL)
		await_end(child, until_ms);
	free_closed(set);
	loop_undefer(set->loop, &set->reap);
	free(set);
}

struct child *
child_open(struct children *set, const struct child_params *params,
    const struct child_cbs *cbs, void *arg)
{
	struct child *child = xcalloc(1, sizeof(*child));
	struct child_ends ends;
	int error = child_spawn(params, &ends);

	child->set = set;
	child->cbs = cbs;
	child->arg = arg;
	LIST_INSERT_HEAD(&set->all, child, entry);
	if (error != 0) {
		child->process.fd = child->in.fd = child->out.fd =
		    child->err.fd = -1;
		child->exit = (struct child_exit){ CHILD_NOT_STARTED, error };
		child_enter(child, CHILD_ENDED);
		child->no_start = loop_timer_new(set->loop, on_no_start, child);
		loop_timer_start(set->loop, child->no_start, 0);
		return child;
	}
	child->pid = ends.pid;
	child->status_fd = ends.status;
	end_open(child, &child->process, ends.pidfd, on_process, LOOP_READ);
	end_open(child, &child->in, ends.in, on_writable, 0);
	end_open(child, &child->out, ends.out, on_out, LOOP_READ);
	end_open(child, &child->err, ends.err, on_err, LOOP_READ);
	return child;
}

void
child_send(struct child *child, const void *head, size_t head_len,
    const void *body, size_t body_len, bool last)
{
	if (child_unsent(child) > 0)
		abort();
	if (child->in.fd == -1)
		return;
	buf_add(&child->head, head, head_len);
	child->body = body;
	child->body_len = body_len;
	child->last = last;
	write_some(child);
	want_write(child);
}

size_t
child_unsent(const struct child *child)
{
	return child->head.len + child->body_len;
}

/* Which of the events (and POLLERR) are there now. */
static int
events_of(const struct end *end, short events)
{
	struct pollfd now = { .fd = end->fd, .events = events };

	return poll(&now, 1, 0) == 1 ? now.revents : 0;
}

bool
child_has_output(const struct child *child)
{
	return child->out.fd != -1 &&
	    (events_of(&child->out, POLLIN) & POLLIN) != 0;
}

bool
child_is_listening(const struct child *child)
{
	return child->state == CHILD_RUNNING && child->in.fd != -1 &&
	    (events_of(&child->in, 0) & POLLERR) == 0;
}

pid_t
child_pid(const struct child *child)
{
	return child->pid;
}

void
child_close(struct child *child)
{
	if (child->state == CHILD_RUNNING) {
		kill_group(child);
		close_pipes(child);
		forget_unsent(child);
		child_enter(child, CHILD_DYING);
		return;
	}
	loop_timer_free(child->set->loop, child->no_start);
	child->no_start = NULL;
	close_pipes(child);
	child_enter(child, CHILD_CLOSED);
}
