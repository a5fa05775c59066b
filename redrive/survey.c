/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/survey.h"

#include <stdlib.h>

#include "amqp/message.h"
#include "dlx/envelope.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/xalloc.h"
#include "redrive/filter.h"
#include "redrive/job_env.h"
#include "redrive/scan.h"
#include "redrive/stash.h"

struct survey {
	struct survey_options options;
	const struct survey_cbs *cbs;
	void *arg;
	struct loop *loop;
	struct scan *scan;
	struct loop_timer *timer; /* see on_timer */
	struct loop_task end;
	int64_t now_ms; /* wall clock at its start: what ages are taken from */
	uint64_t count; /* letters shown */
	const char *why;
	bool over; /* no more is shown */
};

/* Shows no more, says so at the end of the turn, gives back. */
static void
finish(struct survey *s, const char *why)
{
	if (s->over)
		return;
	s->over = true;
	s->why = why;
	loop_defer(s->loop, &s->end);
}

static void
on_end_task(void *arg)
{
	struct survey *s = arg;

	scan_close(s->scan, 0);
	s->cbs->shown(s->arg, s->why);
}

static void
on_letter(void *arg, struct chain_ref ref, struct rmq_message *message,
    bool redelivered)
{
	struct survey *s = arg;
	const struct envelope_origin origin = {
		.queue = s->options.work_queue,
		.dead = true,
		.redelivered = redelivered,
	};
	struct envelope e;

	(void)ref; /* never acked */
	if (!s->over) {
		envelope_read(&e, message, &origin, s->options.env->trusted,
		    s->loop);
		if (filter_match(s->options.filter, &e, s->now_ms)) {
			s->count++;
			s->cbs->letter(s->arg, &e, message);
		}
		envelope_clear(&e);
		s->cbs->seen(s->arg);
	}
	rmq_message_free(message);
	if (s->options.limit != 0 && s->count >= s->options.limit)
		finish(s, NULL);
}

static void
on_end(void *arg)
{
	struct survey *s = arg;

	finish(s,
	    scan_is_cut(s->scan)
		? "more letters than the connection's channels hold"
		: NULL);
}

static void
on_lost(void *arg, const struct rmq_close *why)
{
	struct survey *s = arg;

	log_warn("survey_interrupted", LOG_STR("queue", s->options.queue),
	    LOG_INT("code", why->code), LOG_STR("text", why->text));
	finish(s, "the broker closed the channel");
}

static void
on_closed(void *arg)
{
	struct survey *s = arg;

	loop_timer_stop(s->loop, s->timer);
	s->cbs->ended(s->arg);
}

/* Time is up, be it hold_max or what is left to give back. */
static void
on_timer(void *arg)
{
	struct survey *s = arg;

	if (s->over)
		scan_hurry(s->scan);
	else
		survey_drain(s, "it takes longer than hold_max");
}

struct survey *
survey_new(const struct survey_options *options, struct rmq_conn *conn,
    const struct survey_cbs *cbs, void *arg)
{
	static const struct scan_cbs scan_cbs = { on_letter, on_end, on_lost,
		on_closed };
	const struct scan_options scan = {
		.queue = options->queue,
		.prefetch = options->env->scan_prefetch,
		.channel_bytes = options->env->stash->limit / 4,
		.known = -1,
	};
	struct survey *s = xcalloc(1, sizeof(*s));

	s->options = *options;
	s->cbs = cbs;
	s->arg = arg;
	s->loop = options->env->loop;
	s->now_ms = loop_wall_ms(s->loop);
	s->timer = loop_timer_new(s->loop, on_timer, s);
	loop_task_init(&s->end, on_end_task, s);
	s->scan = scan_new(s->loop, conn, &scan, &scan_cbs, s);
	loop_timer_start(s->loop, s->timer, options->env->hold_max_ms);
	return s;
}

void
survey_free(struct survey *s)
{
	if (s == NULL)
		return;
	scan_free(s->scan);
	loop_timer_free(s->loop, s->timer);
	loop_undefer(s->loop, &s->end);
	free(s);
}

void
survey_detach(struct survey *s)
{
	scan_detach(s->scan);
	finish(s, "the connection to the broker was lost");
}

void
survey_stop(struct survey *s, const char *why)
{
	finish(s, why);
}

void
survey_drain(struct survey *s, const char *why)
{
	finish(s, why);
	loop_timer_start(s->loop, s->timer, s->options.env->settle_ms);
}

void
survey_pull(struct survey *s, bool on)
{
	if (!s->over)
		scan_pull(s->scan, on);
}

uint64_t
survey_seen(const struct survey *s)
{
	return scan_seen(s->scan);
}

uint64_t
survey_total(const struct survey *s)
{
	return scan_total(s->scan);
}
