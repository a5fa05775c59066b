/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A lookup is shared by the loop and the thread, and belongs to whoever lets
 * go of it last. The thread writes its result, then `done`, then the eventfd;
 * the loop reads in the opposite order.
 */
#include "lib/resolve.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/xalloc.h"

struct lookup {
	atomic_uint holders;
	atomic_bool done; /* the result is there */
	char *host;
	int event_fd;
	int rc, saved_errno;
	struct addrinfo *list;
};

struct resolve {
	struct loop *loop;
	struct loop_fd *watch; /* NULL: answered at once, no thread */
	struct loop_task answer, reap;
	struct lookup *lookup;
	resolve_cb *cb;
	void *arg;
};

static void
lookup_release(struct lookup *lookup)
{
	if (atomic_fetch_sub(&lookup->holders, 1) > 1)
		return;
	if (lookup->list != NULL)
		freeaddrinfo(lookup->list);
	if (lookup->event_fd != -1)
		close(lookup->event_fd);
	free(lookup->host);
	free(lookup);
}

static void
lookup_run(struct lookup *lookup, int flags)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = flags };

	lookup->rc = getaddrinfo(lookup->host, NULL, &hints, &lookup->list);
	lookup->saved_errno = errno;
}

static void *
lookup_thread(void *arg)
{
	const uint64_t one = 1;
	struct lookup *lookup = arg;

	lookup_run(lookup, 0);
	atomic_store(&lookup->done, true);
	/* A fresh eventfd cannot be full. */
	if (write(lookup->event_fd, &one, sizeof(one)) == -1)
		abort();
	lookup_release(lookup);
	return NULL;
}

/* Signals stay with the thread that runs the loop. An errno, or 0. */
static int
lookup_start(struct lookup *lookup)
{
	sigset_t all, former;
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	lookup->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (lookup->event_fd == -1)
		return errno;
	atomic_fetch_add(&lookup->holders, 1);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &former);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	rc = pthread_create(&thread, &attr, lookup_thread, lookup);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &former, NULL);
	if (rc != 0)
		lookup_release(lookup);
	return rc;
}

static void
answer(void *arg)
{
	struct resolve *resolve = arg;
	const struct lookup *lookup = resolve->lookup;
	const char *error = NULL;

	if (lookup->rc == EAI_SYSTEM)
		error = strerror(lookup->saved_errno);
	else if (lookup->rc != 0)
		error = gai_strerror(lookup->rc);
	resolve->cb(resolve->arg, lookup->list, error);
}

static void
thread_ended(void *arg, unsigned ready)
{
	struct resolve *resolve = arg;

	(void)ready;
	if (!atomic_load(&resolve->lookup->done))
		return;
	loop_fd_want(resolve->loop, resolve->watch, 0);
	answer(resolve);
}

static void
reap(void *arg)
{
	free(arg);
}

struct resolve *
resolve_open(struct loop *loop, const char *host, resolve_cb *cb, void *arg)
{
	struct resolve *resolve = xcalloc(1, sizeof(*resolve));
	struct lookup *lookup = xcalloc(1, sizeof(*lookup));
	int error;

	atomic_init(&lookup->holders, 1);
	atomic_init(&lookup->done, false);
	lookup->host = xstrdup(host);
	lookup->event_fd = -1;
	resolve->loop = loop;
	resolve->lookup = lookup;
	resolve->cb = cb;
	resolve->arg = arg;
	loop_task_init(&resolve->answer, answer, resolve);
	loop_task_init(&resolve->reap, reap, resolve);
	lookup_run(lookup, AI_NUMERICHOST);
	if (lookup->rc == 0) {
		loop_defer(loop, &resolve->answer);
		return resolve;
	}
	error = lookup_start(lookup);
	if (error != 0) {
		lookup->rc = EAI_SYSTEM;
		lookup->saved_errno = error;
		loop_defer(loop, &resolve->answer);
		return resolve;
	}
	resolve->watch =
	    loop_fd_new(loop, lookup->event_fd, thread_ended, resolve);
	loop_fd_want(loop, resolve->watch, LOOP_READ);
	return resolve;
}

void
resolve_close(struct resolve *resolve)
{
	if (resolve == NULL || resolve->lookup == NULL)
		return;
	loop_undefer(resolve->loop, &resolve->answer);
	loop_fd_free(resolve->loop, resolve->watch);
	lookup_release(resolve->lookup);
	resolve->lookup = NULL;
	loop_defer(resolve->loop, &resolve->reap);
}
