/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * We have threads (name resolution), so between fork and execve the child
 * makes system calls only: all it needs is in its plan before. Signals stay
 * blocked until it has no handlers of ours, which would write into our pipe.
 */
#include "lib/child_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/xalloc.h"

#define SHARED_FD     3 /* above stdin, stdout and stderr */
#define FIRST_FD      4 /* and above that */
#define EXIT_NO_EXEC  127
#define USUAL_PATH    "/usr/local/bin:/usr/bin:/bin"
#define MS_PER_SECOND 1000

/* What the child does, told before it is there. */
struct plan {
	const struct child_params *params;
	char **paths; /* of the program, to be tried in turn */
	size_t path_count;
	pid_t parent;
	int in, out, err, status; /* its ends */
	struct rlimit memory, cpu;
};

/* Both ends of a pipe; ours does not block. */
struct pipe_ends {
	int ours, its;
};

static void
add_path(struct plan *plan, char *path)
{
	plan->paths = xrealloc(plan->paths,
	    (plan->path_count + 1) * sizeof(*plan->paths));
	plan->paths[plan->path_count++] = path;
}

/* Where the program may be. Looking there can take long: the child does. */
static void
plan_paths(struct plan *plan, const char *name)
{
	const char *at = getenv("PATH");
	size_t len;

	if (strchr(name, '/') != NULL) {
		add_path(plan, xstrdup(name));
		return;
	}
	if (at == NULL)
		at = USUAL_PATH;
	for (; name[0] != '\0' && *at != '\0'; at += len + (at[len] == ':')) {
		len = strcspn(at, ":");
		/* An empty or relative one depends on where we happen to be. */
		if (at[0] == '/')
			add_path(plan,
			    xasprintf("%.*s/%s", (int)len, at, name));
	}
}

static void
free_paths(struct plan *plan)
{
	while (plan->path_count > 0)
		free(plan->paths[--plan->path_count]);
	free(plan->paths);
}

/* A limit of `soft`, as far as ours allows. */
static struct rlimit
lower(int resource, rlim_t soft, rlim_t hard)
{
	struct rlimit limit;

	if (getrlimit((__rlimit_resource_t)resource, &limit) == -1)
		limit.rlim_max = RLIM_INFINITY;
	if (limit.rlim_max == RLIM_INFINITY || limit.rlim_max > hard)
		limit.rlim_max = hard;
	limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
	return limit;
}

static void
plan_limits(struct plan *plan)
{
	rlim_t memory = plan->params->memory_bytes;
	rlim_t cpu =
	    ((rlim_t)plan->params->cpu_ms + MS_PER_SECOND - 1) / MS_PER_SECOND;

	plan->memory = lower(RLIMIT_AS, memory, memory);
	/* SIGXCPU first, SIGKILL for those who do not care. */
	plan->cpu = lower(RLIMIT_CPU, cpu, cpu + 1);
}

/* In the child: its ends become 0, 1 and 2; -1: errno says why. */
static int
take_ends(const struct plan *plan)
{
	int in = fcntl(plan->in, F_DUPFD_CLOEXEC, FIRST_FD);
	int out = fcntl(plan->out, F_DUPFD_CLOEXEC, FIRST_FD);
	int err = fcntl(plan->err, F_DUPFD_CLOEXEC, FIRST_FD);
	int shared = plan->params->shared;

	/* All are above first: none overwrites another. */
	if (shared != 0)
		shared = fcntl(shared, F_DUPFD_CLOEXEC, FIRST_FD);
	if (in == -1 || out == -1 || err == -1 || shared == -1 ||
	    dup2(in, 0) == -1 || dup2(out, 1) == -1 || dup2(err, 2) == -1 ||
	    close_range(SHARED_FD, ~0U, CLOSE_RANGE_CLOEXEC) == -1)
		return -1;
	return shared == 0 ? 0 : dup2(shared, SHARED_FD);
}

/* In the child: signals as every program expects them. */
static int
reset_signals(void)
{
	const struct sigaction usual = { .sa_handler = SIG_DFL };
	sigset_t none;
	int signo;

	/* Some cannot be set; they are as they should be. */
	for (signo = 1; signo < NSIG; signo++)
		(void)sigaction(signo, &usual, NULL);
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL);
}

static int
take_limits(const struct plan *plan)
{
	if (plan->params->cpu_ms > 0 && setrlimit(RLIMIT_CPU, &plan->cpu) == -1)
		return -1;
	if (plan->params->memory_bytes > 0 &&
	    setrlimit(RLIMIT_AS, &plan->memory) == -1)
		return -1;
	return 0;
}

/* In the child: returns why the program cannot be executed, an errno. */
static int
execute(const struct plan *plan)
{
	int error = ENOENT;
	size_t i;

	for (i = 0; i < plan->path_count; i++) {
		(void)execve(plan->paths[i], plan->params->argv,
		    plan->params->env);
		if (errno != ENOENT && errno != ENOTDIR)
			error = errno;
		/* Another one of that name may be fine. */
		if (error != ENOENT && error != EACCES)
			break;
	}
	return error;
}

/* The child, from the fork on. */
static void __attribute__((noreturn)) become(const struct plan *plan)
{
	int status = fcntl(plan->status, F_DUPFD_CLOEXEC, FIRST_FD), error = 0;
	ssize_t written;

	if (setpgid(0, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 &&
	    take_ends(plan) != -1 && reset_signals() == 0 &&
	    take_limits(plan) == 0 && getppid() == plan->parent)
		error = execute(plan);
	if (error == 0)
		error = errno;
	/* A new pipe has room; without it, the exit status has to do. */
	written = write(status, &error, sizeof(error));
	(void)written;
	_exit(EXIT_NO_EXEC);
}

/* 0 or an errno; `to_child`: it reads, we write. */
static int
open_pipe(struct pipe_ends *ends, bool to_child)
{
	int fds[2], error;

	if (pipe2(fds, O_CLOEXEC) == -1)
		return errno;
	ends->ours = fds[to_child ? 1 : 0];
	ends->its = fds[to_child ? 0 : 1];
	/* Its end is another description and blocks, as programs expect. */
	if (fcntl(ends->ours, F_SETFL, O_NONBLOCK) == 0)
		return 0;
	error = errno;
	close(ends->ours);
	close(ends->its);
	ends->ours = ends->its = -1;
	return error;
}

static void
close_end(int *fd)
{
	if (*fd != -1)
		close(*fd);
	*fd = -1;
}

static void
close_ours(struct child_ends *ends)
{
	close_end(&ends->pidfd);
	close_end(&ends->in);
	close_end(&ends->out);
	close_end(&ends->err);
	close_end(&ends->status);
}

static void
close_its(struct plan *plan)
{
	close_end(&plan->in);
	close_end(&plan->out);
	close_end(&plan->err);
	close_end(&plan->status);
}

static int
open_ends(struct plan *plan, struct child_ends *ends)
{
	struct pipe_ends in = { -1, -1 }, out = { -1, -1 }, err = { -1, -1 };
	struct pipe_ends status = { -1, -1 };
	int error = open_pipe(&in, true);

	if (error == 0)
		error = open_pipe(&err, false);
	if (error == 0)
		error = open_pipe(&status, false);
	if (error == 0 && plan->params->output)
		error = open_pipe(&out, false);
	if (error == 0 && !plan->params->output &&
	    (out.its = open("/dev/null", O_WRONLY | O_CLOEXEC)) == -1)
		error = errno;
	*ends = (struct child_ends){ .pidfd = -1,
		.in = in.ours,
		.out = out.ours,
		.err = err.ours,
		.status = status.ours };
	plan->in = in.its;
	plan->out = out.its;
	plan->err = err.its;
	plan->status = status.its;
	return error;
}

/* A process that we cannot watch is none. */
static int
watch_process(struct child_ends *ends)
{
	int error;

	ends->pidfd = pidfd_open(ends->pid, 0);
	if (ends->pidfd != -1)
		return 0;
	error = errno;
	(void)kill(ends->pid, SIGKILL);
	(void)waitpid(ends->pid, NULL, 0);
	return error;
}

static int
fork_it(const struct plan *plan, struct child_ends *ends)
{
	sigset_t all, former;
	int error = 0;

	/* Inherited as ignored, it would take the exit status away. */
	(void)signal(SIGCHLD, SIG_DFL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &former);
	ends->pid = fork();
	if (ends->pid == 0)
		become(plan);
	if (ends->pid == -1)
		error = errno;
	pthread_sigmask(SIG_SETMASK, &former, NULL);
	if (error != 0)
		return error;
	/* Whoever of both is first: from here on the group is there. */
	(void)setpgid(ends->pid, ends->pid);
	return watch_process(ends);
}

int
child_spawn(const struct child_params *params, struct child_ends *ends)
{
	struct plan plan = { .params = params, .parent = getpid() };
	int error;

	plan_paths(&plan,
	    params->program != NULL ? params->program : params->argv[0]);
	plan_limits(&plan);
	error = open_ends(&plan, ends);
	if (error == 0)
		error = fork_it(&plan, ends);
	close_its(&plan);
	if (error != 0)
		close_ours(ends);
	free_paths(&plan);
	return error;
}
