/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A turn is one pass of the event_base: its callbacks, then the deferred
 * tasks, then the next wait. Timers are counted from the moment they are
 * started, so that none fires early by what loop_now_us says. They are ours:
 * libevent knows one descriptor, which is set only when something is due
 * before what it was set for. Its own precise timers are set at each wait, a
 * third of all system calls when messages come a few at a time.
 */
#include "lib/loop_libevent.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/timers.h"
#include "lib/xalloc.h"

/* A timer further away than this (100 years) fires then. */
#define DELAY_MAX_US (INT64_C(100) * 365 * 86400 * 1000000)

struct loop_libevent {
	struct loop loop;
	struct event_base *base;
	uint64_t random[4];
	int64_t turn_us; /* 0: not asked for since it was forgotten */
	struct timers timers;
	int timer_fd;
	int64_t armed_us; /* when it is to wake us; INT64_MAX: never */
	struct event timers_event;
	bool stopping;
};

struct loop_fd {
	struct event event;
	struct event_base *base;
	int fd;
	unsigned want;
	loop_fd_cb *cb;
	void *arg;
};

static struct loop_libevent *
self(struct loop *loop)
{
	return container_of(loop, struct loop_libevent, loop);
}

static int64_t
now_us(struct loop *loop)
{
	struct timespec ts;

	(void)loop;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int64_t
turn_us(struct loop *loop)
{
	struct loop_libevent *ev = self(loop);

	if (ev->turn_us == 0)
		ev->turn_us = now_us(loop);
	return ev->turn_us;
}

static int64_t
wall_ms(struct loop *loop)
{
	struct timespec ts;

	(void)loop;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static uint64_t
rotate(uint64_t bits, unsigned n)
{
	return bits << n | bits >> (64 - n);
}

/* xoshiro256**, by Blackman and Vigna (public domain). */
static uint64_t
next_random(struct loop *loop)
{
	uint64_t *s = self(loop)->random;
	uint64_t result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate(s[3], 45);
	return result;
}

static struct loop_timer *
timer_new(struct loop *loop, loop_cb *cb, void *arg)
{
	return timers_new(&self(loop)->timers, loop, cb, arg);
}

static void
timer_start(struct loop_timer *timer, int64_t delay_us)
{
	if (delay_us < 0)
		delay_us = 0;
	if (delay_us > DELAY_MAX_US)
		delay_us = DELAY_MAX_US;
	timers_start(timer, now_us(timer->loop) + delay_us);
}

/* Wakes the wait when the first timer is due, or for nothing before that. */
static void
timers_arm(struct loop_libevent *ev)
{
	const struct loop_timer *first = timers_first(&ev->timers);
	struct itimerspec when = { 0 };

	if (first == NULL || first->due_us >= ev->armed_us)
		return;
	when.it_value.tv_sec = (time_t)(first->due_us / 1000000);
	when.it_value.tv_nsec = (long)(first->due_us % 1000000 * 1000);
	if (timerfd_settime(ev->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) == -1)
		abort(); /* a time that we made */
	ev->armed_us = first->due_us;
}

static void
timers_fired(evutil_socket_t fd, short what, void *arg)
{
	struct loop_libevent *ev = arg;
	int64_t until_us = now_us(&ev->loop);
	struct loop_timer *timer;
	uint64_t times;
	ssize_t n = read(fd, &times, sizeof(times));

	(void)what;
	(void)n;
	ev->armed_us = INT64_MAX;
	while ((timer = timers_first(&ev->timers)) != NULL &&
	    timer->due_us <= until_us) {
		timers_stop(timer);
		timer->cb(timer->arg);
	}
}

static void
fd_ready(evutil_socket_t fd, short what, void *arg)
{
	struct loop_fd *watch = arg;

	(void)fd;
	watch->cb(watch->arg,
	    (what & EV_READ ? LOOP_READ : 0U) |
		(what & EV_WRITE ? LOOP_WRITE : 0U));
}

static struct loop_fd *
fd_new(struct loop *loop, int fd, loop_fd_cb *cb, void *arg)
{
	struct loop_fd *watch = xcalloc(1, sizeof(*watch));

	watch->base = self(loop)->base;
	watch->fd = fd;
	watch->cb = cb;
	watch->arg = arg;
	event_assign(&watch->event, watch->base, fd, EV_PERSIST, fd_ready,
	    watch);
	return watch;
}

static void
fd_want(struct loop_fd *watch, unsigned events)
{
	if (events == watch->want)
		return;
	watch->want = events;
	event_del(&watch->event);
	if (events == 0)
		return;
	event_assign(&watch->event, watch->base, watch->fd,
	    (short)(EV_PERSIST | (events & LOOP_READ ? EV_READ : 0) |
		(events & LOOP_WRITE ? EV_WRITE : 0)),
	    fd_ready, watch);
	/* What cannot be watched (a file) is ready: using it says why. */
	if (event_add(&watch->event, NULL) == -1)
		event_active(&watch->event, EV_READ | EV_WRITE, 0);
}

static void
fd_free(struct loop_fd *watch)
{
	event_del(&watch->event);
	free(watch);
}

/* Tasks are looked for after every turn: there is nothing to wake. */
static void
wake(struct loop *loop)
{
	(void)loop;
}

/* Neither the callbacks' time nor that of the tasks is good after them. */
static void
run_tasks(struct loop_libevent *ev)
{
	ev->turn_us = 0;
	loop_run_tasks(&ev->loop);
	ev->turn_us = 0;
}

static void
run(struct loop *loop)
{
	struct loop_libevent *ev = self(loop);

	run_tasks(ev);
	while (!ev->stopping) {
		timers_arm(ev);
		event_base_loop(ev->base,
		    EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY);
		run_tasks(ev);
	}
	ev->stopping = false;
}

static void
stop(struct loop *loop)
{
	self(loop)->stopping = true;
}

static void
loop_free_libevent(struct loop *loop)
{
	struct loop_libevent *ev = self(loop);

	loop_run_tasks(loop);
	event_del(&ev->timers_event);
	close(ev->timer_fd);
	event_base_free(ev->base);
	timers_clear(&ev->timers);
	free(ev);
}

static const struct loop_ops ops = {
	.now_us = now_us,
	.turn_us = turn_us,
	.wall_ms = wall_ms,
	.random = next_random,
	.timer_new = timer_new,
	.timer_start = timer_start,
	.timer_stop = timers_stop,
	.timer_pending = timers_pending,
	.timer_free = timers_free,
	.fd_new = fd_new,
	.fd_want = fd_want,
	.fd_free = fd_free,
	.wake = wake,
	.run = run,
	.stop = stop,
	.free = loop_free_libevent,
};

static void
log_libevent(int severity, const char *message)
{
	if (severity == EVENT_LOG_WARN || severity == EVENT_LOG_ERR)
		log_warn("libevent", LOG_STR("message", message));
}

static struct event_base *
base_new(void)
{
	event_set_mem_functions(xmalloc, xrealloc, free);
	event_set_log_callback(log_libevent);
	return event_base_new();
}

struct loop *
loop_libevent_new(void)
{
	struct loop_libevent *ev = xcalloc(1, sizeof(*ev));

	loop_init(&ev->loop, &ops);
	ev->base = base_new();
	ev->armed_us = INT64_MAX;
	ev->timer_fd =
	    timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (ev->base == NULL || ev->timer_fd == -1 ||
	    getrandom(ev->random, sizeof(ev->random), 0) !=
		(ssize_t)sizeof(ev->random)) {
		log_error("loop",
		    LOG_STR("error", "cannot make an event loop"));
		abort();
	}
	event_assign(&ev->timers_event, ev->base, ev->timer_fd,
	    EV_READ | EV_PERSIST, timers_fired, ev);
	event_add(&ev->timers_event, NULL);
	/* A write to a closed socket or pipe is an error, not the end. */
	(void)signal(SIGPIPE, SIG_IGN);
	return &ev->loop;
}

struct event_base *
loop_libevent_base(struct loop *loop)
{
	return self(loop)->base;
}
