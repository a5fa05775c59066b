/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "lib/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/resolve.h"
#include "lib/text.h"
#include "lib/xalloc.h"

/* More addresses of one name than this are not tried. */
#define ADDRESSES_MAX 8

struct dial {
	struct loop *loop;
	struct loop_timer *timer; /* NULL: closed */
	struct loop_task reap;
	char *host;
	uint16_t port;
	int64_t timeout_ms, deadline_us;
	struct resolve *resolve;
	const struct addrinfo *addr; /* tried now; NULL: resolving */
	unsigned left;		     /* addresses, with this one */
	int fd;
	struct loop_fd *watch;
	struct buf errors;
	dial_cb *cb;
	void *arg;
};

static void
dial_reap(void *arg)
{
	free(arg);
}

static void
dial_hang_up(struct dial *dial)
{
	loop_fd_free(dial->loop, dial->watch);
	dial->watch = NULL;
	if (dial->fd != -1)
		close(dial->fd);
	dial->fd = -1;
}

/* `why` is what came of all addresses, or of the name. */
static void
dial_give_up(struct dial *dial, const char *verb, const char *why)
{
	char *error;

	loop_timer_stop(dial->loop, dial->timer);
	if (dial->addr == NULL)
		error = xasprintf("cannot %s %s: %s", verb, dial->host, why);
	else
		error = xasprintf("cannot %s %s port %u: %s", verb, dial->host,
		    (unsigned)dial->port, why);
	dial->cb(dial->arg, -1, error);
	free(error);
}

/* Remembers why the address at hand is no good. */
static void
dial_note(struct dial *dial, const char *why)
{
	char name[64]; /* IPv6 with a zone */

	if (dial->errors.len > 0)
		buf_add_str(&dial->errors, "; ");
	if (getnameinfo(dial->addr->ai_addr, dial->addr->ai_addrlen, name,
		sizeof(name), NULL, 0, NI_NUMERICHOST) == 0 &&
	    strcmp(name, dial->host) != 0)
		buf_printf(&dial->errors, "%s: ", name);
	buf_add_str(&dial->errors, why);
}

static void dial_ready(void *, unsigned);

/* -1: this address cannot be tried at all (errno). */
static int
dial_try(struct dial *dial)
{
	struct sockaddr_storage addr = { 0 };
	const int on = 1;

	memcpy(&addr, dial->addr->ai_addr, dial->addr->ai_addrlen);
	if (addr.ss_family == AF_INET6)
		((struct sockaddr_in6 *)(void *)&addr)->sin6_port =
		    htons(dial->port);
	else
		((struct sockaddr_in *)(void *)&addr)->sin_port =
		    htons(dial->port);
	dial->fd = socket(addr.ss_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (dial->fd == -1 ||
	    setsockopt(dial->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ==
		-1)
		return -1;
	if (connect(dial->fd, (struct sockaddr *)&addr,
		dial->addr->ai_addrlen) == -1 &&
	    errno != EINPROGRESS)
		return -1;
	dial->watch = loop_fd_new(dial->loop, dial->fd, dial_ready, dial);
	loop_fd_want(dial->loop, dial->watch, LOOP_WRITE);
	loop_timer_start_us(dial->loop, dial->timer,
	    (dial->deadline_us - loop_now_us(dial->loop)) / dial->left);
	return 0;
}

/* The address at hand is no good: the next one that can be tried. */
static void
dial_next(struct dial *dial, const char *why)
{
	for (;;) {
		dial_note(dial, why);
		dial_hang_up(dial);
		if (--dial->left == 0)
			break;
		dial->addr = dial->addr->ai_next;
		if (dial_try(dial) == 0)
			return;
		why = strerror(errno);
	}
	dial_give_up(dial, "connect to", buf_str(&dial->errors));
}

static void
dial_ready(void *arg, unsigned ready)
{
	struct dial *dial = arg;
	socklen_t len = sizeof(int);
	int error, fd = dial->fd;

	(void)ready;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
		error = errno;
	if (error != 0) {
		dial_next(dial, strerror(error));
		return;
	}
	dial->fd = -1;
	dial_hang_up(dial);
	loop_timer_stop(dial->loop, dial->timer);
	dial->cb(dial->arg, fd, NULL);
}

static void
dial_timed_out(void *arg)
{
	char duration[TEXT_DURATION_SPACE];
	struct dial *dial = arg;

	if (dial->addr != NULL) {
		dial_next(dial, "timed out");
		return;
	}
	resolve_close(dial->resolve);
	dial->resolve = NULL;
	text_duration(duration, dial->timeout_ms);
	buf_printf(&dial->errors, "timed out after %s", duration);
	dial_give_up(dial, "resolve", buf_str(&dial->errors));
}

static void
dial_resolved(void *arg, const struct addrinfo *list, const char *error)
{
	const struct addrinfo *addr;
	struct dial *dial = arg;

	if (list == NULL) {
		dial_give_up(dial, "resolve", error);
		return;
	}
	for (addr = list; addr != NULL && dial->left < ADDRESSES_MAX;
	     addr = addr->ai_next)
		dial->left++;
	dial->addr = list;
	if (dial_try(dial) == -1)
		dial_next(dial, strerror(errno));
}

struct dial *
dial_open(struct loop *loop, const char *host, uint16_t port,
    int64_t timeout_ms, dial_cb *cb, void *arg)
{
	struct dial *dial = xcalloc(1, sizeof(*dial));

	dial->loop = loop;
	dial->host = xstrdup(host);
	dial->port = port;
	dial->timeout_ms = timeout_ms;
	dial->deadline_us = loop_now_us(loop) + timeout_ms * 1000;
	dial->fd = -1;
	dial->cb = cb;
	dial->arg = arg;
	loop_task_init(&dial->reap, dial_reap, dial);
	dial->timer = loop_timer_new(loop, dial_timed_out, dial);
	loop_timer_start(loop, dial->timer, timeout_ms);
	dial->resolve = resolve_open(loop, host, dial_resolved, dial);
	return dial;
}

void
dial_close(struct dial *dial)
{
	if (dial == NULL || dial->timer == NULL)
		return;
	dial_hang_up(dial);
	resolve_close(dial->resolve);
	loop_timer_free(dial->loop, dial->timer);
	dial->timer = NULL;
	buf_clear(&dial->errors);
	free(dial->host);
	loop_defer(dial->loop, &dial->reap);
}
