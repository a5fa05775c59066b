/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "lib/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/xalloc.h"

static const int handled[] = { SIGTERM, SIGINT, SIGHUP };

struct signals {
	struct loop *loop;
	struct loop_fd *watch;
	signals_cb *cb;
	void *arg;
	int pipe_fds[2];
	struct sigaction former[array_len(handled)];
};

/* The handler's end of the pipe; -1 when nobody listens. */
static volatile sig_atomic_t write_fd = -1;

/* A full pipe means that the loop has enough to hear already. */
static void
took(int signo)
{
	unsigned char byte = (unsigned char)signo;
	int saved = errno;
	ssize_t n;

	do
		n = write(write_fd, &byte, 1);
	while (n == -1 && errno == EINTR);
	errno = saved;
}

static void
hear(void *arg, unsigned ready)
{
	struct signals *signals = arg;
	unsigned char byte;

	/* One a turn: the callback may free all this. */
	(void)ready;
	if (read(signals->pipe_fds[0], &byte, 1) == 1)
		signals->cb(signals->arg, byte);
}

struct signals *
signals_new(struct loop *loop, signals_cb *cb, void *arg)
{
	struct signals *signals = xcalloc(1, sizeof(*signals));
	struct sigaction action = { .sa_handler = took,
		.sa_flags = SA_RESTART };
	size_t i;

	if (write_fd != -1 ||
	    pipe2(signals->pipe_fds, O_CLOEXEC | O_NONBLOCK) == -1) {
		perror("signals");
		abort();
	}
	signals->loop = loop;
	signals->cb = cb;
	signals->arg = arg;
	signals->watch = loop_fd_new(loop, signals->pipe_fds[0], hear, signals);
	loop_fd_want(loop, signals->watch, LOOP_READ);
	write_fd = signals->pipe_fds[1];
	sigemptyset(&action.sa_mask);
	for (i = 0; i < array_len(handled); i++)
		(void)sigaction(handled[i], &action, &signals->former[i]);
	return signals;
}

void
signals_free(struct signals *signals)
{
	size_t i;

	if (signals == NULL)
		return;
	for (i = 0; i < array_len(handled); i++)
		(void)sigaction(handled[i], &signals->former[i], NULL);
	write_fd = -1;
	loop_fd_free(signals->loop, signals->watch);
	close(signals->pipe_fds[0]);
	close(signals->pipe_fds[1]);
	free(signals);
}
