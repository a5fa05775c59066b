/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/unit.h"

#include <signal.h>
#include <unistd.h>

#include "lib/loop_libevent.h"
#include "lib/signals.h"

struct world {
	struct loop *loop;
	struct signals *signals;
	int took[4];
	unsigned count;
};

static void
take(void *arg, int signo)
{
	struct world *world = arg;

	world->took[world->count++] = signo;
	if (world->count == 3)
		loop_stop(world->loop);
}

static void
take_and_free(void *arg, int signo)
{
	struct world *world = arg;

	assert_int_equal(signo, SIGINT);
	signals_free(world->signals);
	loop_stop(world->loop);
}

static volatile sig_atomic_t former_calls;

static void
former(int signo)
{
	(void)signo;
	former_calls++;
}

static void
signals_come_from_the_loop(void **state)
{
	struct world world = { .loop = loop_libevent_new() };

	(void)state;
	world.signals = signals_new(world.loop, take, &world);
	raise(SIGHUP);
	raise(SIGTERM);
	raise(SIGINT);
	raise(SIGPIPE);
	assert_int_equal(world.count, 0);
	loop_run(world.loop);
	assert_int_equal(world.took[0], SIGHUP);
	assert_int_equal(world.took[1], SIGTERM);
	assert_int_equal(world.took[2], SIGINT);
	signals_free(world.signals);
	loop_free(world.loop);
}

static void
gives_back_what_was(void **state)
{
	struct world world = { .loop = loop_libevent_new() };

	(void)state;
	assert_true(signal(SIGINT, former) != SIG_ERR);
	world.signals = signals_new(world.loop, take_and_free, &world);
	raise(SIGINT);
	assert_int_equal(former_calls, 0);
	loop_run(world.loop);
	raise(SIGINT);
	assert_int_equal(former_calls, 1);
	loop_free(world.loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signals_come_from_the_loop),
		cmocka_unit_test(gives_back_what_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
