/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/loop_libevent.h"

/* What a test's callbacks share; each test uses what it needs. */
struct world {
	struct loop *loop;
	struct loop_timer *a, *b;
	struct loop_fd *watch;
	struct loop_task task, second;
	int fds[2];
	int64_t started_us, started_ms;
	unsigned calls, order[8], count;
};

static int
set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	world->loop = loop_libevent_new();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
			     world->fds),
	    0);
	*state = world;
	return 0;
}

static int
tear_down(void **state)
{
	struct world *world = *state;

	loop_timer_free(world->loop, world->a);
	loop_timer_free(world->loop, world->b);
	loop_fd_free(world->loop, world->watch);
	loop_free(world->loop);
	close(world->fds[0]);
	close(world->fds[1]);
	free(world);
	return 0;
}

static void
note(struct world *world, unsigned what)
{
	assert_true(world->count < array_len(world->order));
	world->order[world->count++] = what;
}

static void
stop(void *arg)
{
	struct world *world = arg;

	loop_stop(world->loop);
}

static void
never(void *arg)
{
	(void)arg;
	fail_msg("called");
}

static void
check_not_early(void *arg)
{
	struct world *world = arg;
	int64_t now_us = loop_now_us(world->loop);

	assert_true(now_us >= world->started_us + 3300);
	assert_false(loop_timer_pending(world->loop, world->a));
	if (++world->calls == 20) {
		loop_stop(world->loop);
		return;
	}
	world->started_us = now_us;
	loop_timer_start_us(world->loop, world->a, 3300);
	assert_true(loop_timer_pending(world->loop, world->a));
}

/* Counted from the start, not from the turn's begin; again from itself. */
static void
a_timer_is_never_early(void **state)
{
	struct world *world = *state;

	world->a = loop_timer_new(world->loop, check_not_early, world);
	world->started_us = loop_now_us(world->loop);
	loop_timer_start_us(world->loop, world->a, 3300);
	loop_run(world->loop);
	assert_int_equal(world->calls, 20);
}

static void
note_a(void *arg)
{
	note(arg, 'a');
}

static void
note_b_and_stop(void *arg)
{
	note(arg, 'b');
	stop(arg);
}

static void
timers_restart_and_stop(void **state)
{
	struct world *world = *state;
	struct loop_timer *c;

	world->a = loop_timer_new(world->loop, note_a, world);
	world->b = loop_timer_new(world->loop, note_b_and_stop, world);
	c = loop_timer_new(world->loop, never, world);
	loop_timer_start(world->loop, world->b, 0);
	loop_timer_start(world->loop, world->b, 20);
	loop_timer_start(world->loop, world->a, INT64_MAX);
	loop_timer_start(world->loop, world->a, -5);
	loop_timer_start(world->loop, c, 0);
	loop_timer_stop(world->loop, c);
	loop_timer_stop(world->loop, c);
	loop_run(world->loop);
	assert_int_equal(world->count, 2);
	assert_int_equal(world->order[0], 'a');
	assert_int_equal(world->order[1], 'b');
	loop_timer_start(world->loop, c, 0);
	loop_timer_free(world->loop, c);
}

static void
stop_when_ready(void *arg, unsigned ready)
{
	(void)ready;
	stop(arg);
}

/* The loop has waited for the later one already. */
static void
a_sooner_timer_comes_first(void **state)
{
	struct world *world = *state;

	world->a = loop_timer_new(world->loop, note_b_and_stop, world);
	world->b = loop_timer_new(world->loop, never, world);
	loop_timer_start(world->loop, world->b, 5000);
	world->watch =
	    loop_fd_new(world->loop, world->fds[0], stop_when_ready, world);
	loop_fd_want(world->loop, world->watch, LOOP_WRITE);
	loop_run(world->loop);
	loop_fd_want(world->loop, world->watch, 0);
	loop_timer_start(world->loop, world->a, 1);
	loop_run(world->loop);
	assert_int_equal(world->count, 1);
}

static void
free_itself(void *arg)
{
	struct world *world = arg;

	loop_timer_free(world->loop, world->a);
	world->a = NULL;
	stop(world);
}

static void
a_timer_frees_itself(void **state)
{
	struct world *world = *state;

	world->a = loop_timer_new(world->loop, free_itself, world);
	loop_timer_start(world->loop, world->a, 0);
	loop_run(world->loop);
	assert_null(world->a);
}

static void
task_note(void *arg)
{
	struct world *world = arg;

	note(world, 't');
	loop_defer(world->loop, &world->second);
}

static void
second_note(void *arg)
{
	note(arg, 's');
	stop(arg);
}

static void
both_ready(void *arg)
{
	struct world *world = arg;

	note(world, 'r');
	loop_defer(world->loop, &world->task);
	loop_defer(world->loop, &world->task);
}

/* Tasks wait for the other callbacks of the turn; nothing waits for them. */
static void
tasks_run_at_the_end_of_the_turn(void **state)
{
	struct world *world = *state;

	loop_task_init(&world->task, task_note, world);
	loop_task_init(&world->second, second_note, world);
	world->a = loop_timer_new(world->loop, both_ready, world);
	world->b = loop_timer_new(world->loop, both_ready, world);
	loop_timer_start(world->loop, world->a, 0);
	loop_timer_start(world->loop, world->b, 0);
	loop_run(world->loop);
	assert_int_equal(world->count, 4);
	assert_memory_equal(world->order, ((unsigned[]){ 'r', 'r', 't', 's' }),
	    4 * sizeof(unsigned));
}

static void
tasks_from_outside_run(void **state)
{
	struct world *world = *state;

	loop_task_init(&world->task, stop, world);
	loop_task_init(&world->second, never, world);
	loop_defer(world->loop, &world->second);
	loop_defer(world->loop, &world->task);
	loop_undefer(world->loop, &world->second);
	loop_undefer(world->loop, &world->second);
	loop_run(world->loop);
	/* And what is queued when the loop goes. */
	loop_task_init(&world->task, note_a, world);
	loop_defer(world->loop, &world->task);
	loop_free(world->loop);
	assert_int_equal(world->count, 1);
	world->loop = loop_libevent_new();
}

static void
read_some(void *arg, unsigned ready)
{
	struct world *world = arg;
	char byte;

	note(world, ready);
	if (ready & LOOP_WRITE) {
		loop_fd_want(world->loop, world->watch, LOOP_READ);
		assert_int_equal(write(world->fds[1], "x", 1), 1);
		return;
	}
	assert_int_equal(read(world->fds[0], &byte, 1), 1);
	loop_fd_want(world->loop, world->watch, 0);
	/* There is more, but it is not wanted any longer. */
	assert_int_equal(write(world->fds[1], "yz", 2), 2);
	loop_timer_start(world->loop, world->a, 5);
}

static void
free_watch(void *arg, unsigned ready)
{
	struct world *world = arg;

	assert_int_equal(ready, LOOP_READ);
	loop_fd_free(world->loop, world->watch);
	world->watch = NULL;
	loop_stop(world->loop);
}

static void
watches_descriptors(void **state)
{
	struct world *world = *state;

	world->a = loop_timer_new(world->loop, stop, world);
	world->watch =
	    loop_fd_new(world->loop, world->fds[0], read_some, world);
	loop_fd_want(world->loop, world->watch, LOOP_WRITE);
	loop_run(world->loop);
	assert_int_equal(world->count, 2);
	assert_int_equal(world->order[0], LOOP_WRITE);
	assert_int_equal(world->order[1], LOOP_READ);
	loop_fd_free(world->loop, world->watch);

	world->watch =
	    loop_fd_new(world->loop, world->fds[0], free_watch, world);
	loop_fd_want(world->loop, world->watch, LOOP_READ);
	loop_run(world->loop);
	assert_null(world->watch);
}

static void
check_next_turn(void *arg)
{
	struct world *world = arg;

	assert_true(loop_turn_ms(world->loop) > world->started_ms);
	loop_stop(world->loop);
}

/* As long as it lasts, the time of the turn stands still. */
static void
check_turn(void *arg)
{
	struct world *world = arg;

	assert_true(loop_turn_ms(world->loop) >= world->started_ms + 3);
	world->started_ms = loop_turn_ms(world->loop);
	while (loop_now_ms(world->loop) == world->started_ms)
		continue;
	assert_int_equal(loop_turn_ms(world->loop), world->started_ms);
	loop_defer(world->loop, &world->task);
}

static void
a_turn_has_its_time(void **state)
{
	struct world *world = *state;

	loop_task_init(&world->task, check_next_turn, world);
	world->a = loop_timer_new(world->loop, check_turn, world);
	assert_true(loop_turn_ms(world->loop) <= loop_now_ms(world->loop));
	world->started_ms = loop_now_ms(world->loop);
	loop_timer_start(world->loop, world->a, 3);
	loop_run(world->loop);
}

static void
file_ready(void *arg, unsigned ready)
{
	struct world *world = arg;

	assert_int_equal(ready, LOOP_READ | LOOP_WRITE);
	loop_stop(world->loop);
}

static void
a_file_is_always_ready(void **state)
{
	struct world *world = *state;
	FILE *file = tmpfile();

	assert_non_null(file);
	world->watch =
	    loop_fd_new(world->loop, fileno(file), file_ready, world);
	loop_fd_want(world->loop, world->watch, LOOP_READ);
	loop_run(world->loop);
	assert_int_equal(fclose(file), 0);
}

static void
stops_before_it_runs(void **state)
{
	struct world *world = *state;

	loop_stop(world->loop);
	loop_run(world->loop);
}

static void
draws_numbers(void **state)
{
	struct world *world = *state;
	struct loop *other = loop_libevent_new();
	uint64_t ones = 0, zeros = 0, bits;
	double unit, sum = 0;
	unsigned i;

	assert_int_not_equal(loop_random(world->loop), loop_random(other));
	for (i = 0; i < 1000; i++) {
		bits = loop_random(world->loop);
		ones |= bits;
		zeros |= ~bits;
		unit = loop_random_unit(world->loop);
		assert_true(unit >= 0 && unit < 1);
		sum += unit;
	}
	assert_true(ones == UINT64_MAX && zeros == UINT64_MAX);
	assert_true(sum > 400 && sum < 600);
	loop_free(other);
}

#define in_world(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		in_world(a_timer_is_never_early),
		in_world(timers_restart_and_stop),
		in_world(a_sooner_timer_comes_first),
		in_world(a_timer_frees_itself),
		in_world(tasks_run_at_the_end_of_the_turn),
		in_world(tasks_from_outside_run),
		in_world(watches_descriptors),
		in_world(a_turn_has_its_time),
		in_world(a_file_is_always_ready),
		in_world(stops_before_it_runs),
		in_world(draws_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
