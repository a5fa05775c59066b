/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/unit.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/loop_libevent.h"
#include "lib/notify.h"
#include "lib/text.h"

struct world {
	struct loop *loop;
	struct loop_fd *watch;
	int fd;
	char path[64];
	unsigned beats;
};

/* Receives where systemd would; `name` as it stands in NOTIFY_SOCKET. */
static void
listen_on(struct world *world, const char *name)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", name);
	if (name[0] == '@')
		addr.sun_path[0] = '\0';
	world->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(world->fd, (struct sockaddr *)&addr,
			     (socklen_t)(offsetof(struct sockaddr_un,
					     sun_path) +
				 strlen(name))),
	    0);
	setenv("NOTIFY_SOCKET", name, 1);
}

static void
expect_message(struct world *world, const char *text)
{
	char got[600] = "";

	assert_true(recv(world->fd, got, sizeof(got) - 1, 0) >= 0);
	assert_string_equal(got, text);
}

static void
expect_nothing(struct world *world)
{
	char byte;

	assert_int_equal(recv(world->fd, &byte, 1, 0), -1);
}

static int
set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	unsetenv("NOTIFY_SOCKET");
	world->loop = loop_libevent_new();
	world->fd = -1;
	*state = world;
	return 0;
}

static int
tear_down(void **state)
{
	struct world *world = *state;

	loop_fd_free(world->loop, world->watch);
	loop_free(world->loop);
	close(world->fd);
	if (world->path[0] != '\0')
		assert_int_equal(unlink(world->path), 0);
	free(world);
	return 0;
}

static void
tells_all(void **state)
{
	static const char reloading[] = "RELOADING=1\nMONOTONIC_USEC=";
	struct world *world = *state;
	struct notify *notify;
	char got[200] = "";
	int64_t usec;

	snprintf(world->path, sizeof(world->path), "@dlo-test-notify-%d",
	    (int)getpid());
	listen_on(world, world->path);
	world->path[0] = '\0';
	notify = notify_new(world->loop);
	notify_ready(notify);
	expect_message(world, "READY=1");
	notify_status(notify, "3 pipelines\n%s", "READY=0");
	expect_message(world, "STATUS=3 pipelines READY=0");
	notify_reloading(notify);
	assert_true(recv(world->fd, got, sizeof(got) - 1, 0) > 0);
	assert_memory_equal(got, reloading, sizeof(reloading) - 1);
	assert_int_equal(text_parse_int(got + sizeof(reloading) - 1, 0,
			     INT64_MAX, &usec),
	    0);
	assert_in_range(loop_now_us(world->loop) - usec, 0, 60000000);
	notify_stopping(notify);
	expect_message(world, "STOPPING=1");
	expect_nothing(world);
	notify_free(notify);
}

static void
hear_beat(void *arg, unsigned ready)
{
	struct world *world = arg;

	(void)ready;
	expect_message(world, "WATCHDOG=1");
	if (++world->beats == 3)
		loop_stop(world->loop);
}

static void
beats_for_the_watchdog(void **state)
{
	struct world *world = *state;
	struct notify *notify;
	char pid[16];

	snprintf(world->path, sizeof(world->path), "/tmp/dlo-test-notify-%d",
	    (int)getpid());
	listen_on(world, world->path);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("WATCHDOG_USEC", "20000", 1);
	setenv("WATCHDOG_PID", pid, 1);
	notify = notify_new(world->loop);
	world->watch = loop_fd_new(world->loop, world->fd, hear_beat, world);
	loop_fd_want(world->loop, world->watch, LOOP_READ);
	loop_run(world->loop);
	assert_int_equal(world->beats, 3);
	notify_free(notify);
}

static void
stop(void *arg)
{
	loop_stop(arg);
}

static void
anothers_watchdog_is_left_alone(void **state)
{
	struct world *world = *state;
	struct loop_timer *timer;
	struct notify *notify;

	snprintf(world->path, sizeof(world->path), "/tmp/dlo-test-notify-%d",
	    (int)getpid());
	listen_on(world, world->path);
	setenv("WATCHDOG_USEC", "1000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	notify = notify_new(world->loop);
	timer = loop_timer_new(world->loop, stop, world->loop);
	loop_timer_start(world->loop, timer, 5);
	loop_run(world->loop);
	expect_nothing(world);
	loop_timer_free(world->loop, timer);
	notify_free(notify);
}

static void
swallow(void *arg, const char *line, size_t len)
{
	unsigned *lines = arg;

	(void)line;
	(void)len;
	++*lines;
}

static void
does_nothing_without_a_socket(void **state)
{
	static const char *const names[] = { NULL, "", "relative", "/",
		"/nowhere/to/be/found" };
	struct world *world = *state;
	struct notify *notify;
	unsigned lines = 0;
	size_t i;

	log_set_sink(swallow, &lines);
	for (i = 0; i < array_len(names); i++) {
		if (names[i] != NULL)
			setenv("NOTIFY_SOCKET", names[i], 1);
		notify = notify_new(world->loop);
		notify_ready(notify);
		notify_status(notify, "fine");
		notify_free(notify);
	}
	log_set_sink(NULL, NULL);
	/* Two names that cannot be, two messages that went nowhere. */
	assert_int_equal(lines, 4);
}

#define in_world(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		in_world(tells_all),
		in_world(beats_for_the_watchdog),
		in_world(anothers_watchdog_is_left_alone),
		in_world(does_nothing_without_a_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
