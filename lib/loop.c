/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "lib/loop.h"

#include <stddef.h>

void
loop_init(struct loop *loop, const struct loop_ops *ops)
{
	loop->ops = ops;
	loop->tasks = NULL;
	loop->tasks_tail = &loop->tasks;
}

void
loop_run(struct loop *loop)
{
	loop->ops->run(loop);
}

void
loop_stop(struct loop *loop)
{
	loop->ops->stop(loop);
}

void
loop_free(struct loop *loop)
{
	if (loop != NULL)
		loop->ops->free(loop);
}

int64_t
loop_now_us(struct loop *loop)
{
	return loop->ops->now_us(loop);
}

int64_t
loop_now_ms(struct loop *loop)
{
	return loop->ops->now_us(loop) / 1000;
}

int64_t
loop_turn_ms(struct loop *loop)
{
	return loop->ops->turn_us(loop) / 1000;
}

int64_t
loop_wall_ms(struct loop *loop)
{
	return loop->ops->wall_ms(loop);
}

uint64_t
loop_random(struct loop *loop)
{
	return loop->ops->random(loop);
}

double
loop_random_unit(struct loop *loop)
{
	/* The 53 bits that a double holds exactly. */
	return (double)(loop_random(loop) >> 11) * 0x1.0p-53;
}

struct loop_timer *
loop_timer_new(struct loop *loop, loop_cb *cb, void *arg)
{
	return loop->ops->timer_new(loop, cb, arg);
}

void
loop_timer_start(struct loop *loop, struct loop_timer *timer, int64_t delay_ms)
{
	if (delay_ms > INT64_MAX / 1000)
		delay_ms = INT64_MAX / 1000;
	if (delay_ms < 0)
		delay_ms = 0;
	loop->ops->timer_start(timer, delay_ms * 1000);
}

void
loop_timer_start_us(struct loop *loop, struct loop_timer *timer,
    int64_t delay_us)
{
	loop->ops->timer_start(timer, delay_us);
}

void
loop_timer_stop(struct loop *loop, struct loop_timer *timer)
{
	loop->ops->timer_stop(timer);
}

bool
loop_timer_pending(struct loop *loop, const struct loop_timer *timer)
{
	return loop->ops->timer_pending(timer);
}

void
loop_timer_free(struct loop *loop, struct loop_timer *timer)
{
	if (timer != NULL)
		loop->ops->timer_free(timer);
}

struct loop_fd *
loop_fd_new(struct loop *loop, int fd, loop_fd_cb *cb, void *arg)
{
	return loop->ops->fd_new(loop, fd, cb, arg);
}

void
loop_fd_want(struct loop *loop, struct loop_fd *watch, unsigned events)
{
	loop->ops->fd_want(watch, events);
}

void
loop_fd_free(struct loop *loop, struct loop_fd *watch)
{
	if (watch != NULL)
		loop->ops->fd_free(watch);
}

void
loop_task_init(struct loop_task *task, loop_cb *cb, void *arg)
{
	task->cb = cb;
	task->arg = arg;
	task->next = NULL;
	task->prev = NULL;
}

void
loop_defer(struct loop *loop, struct loop_task *task)
{
	if (task->prev != NULL)
		return;
	task->next = NULL;
	task->prev = loop->tasks_tail;
	*loop->tasks_tail = task;
	loop->tasks_tail = &task->next;
	if (loop->tasks == task)
		loop->ops->wake(loop);
}

void
loop_undefer(struct loop *loop, struct loop_task *task)
{
	if (task->prev == NULL)
		return;
	*task->prev = task->next;
	if (task->next != NULL)
		task->next->prev = task->prev;
	else
		loop->tasks_tail = task->prev;
	task->prev = NULL;
}

void
loop_run_tasks(struct loop *loop)
{
	struct loop_task *task;

	while ((task = loop->tasks) != NULL) {
		loop_undefer(loop, task);
		task->cb(task->arg);
	}
}
