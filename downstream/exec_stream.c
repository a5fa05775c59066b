/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Workers that live on. They are started when they are needed for the first
 * time, and kept from then on:
 *
 *	down -- needed, or its backoff is over ---------------> idle
 *	idle -- gets a message --------------------------------> busy
 *	idle -- ends, or speaks without being asked ----------> down
 *	busy -- its answer is there and its message has left --> idle
 *	busy -- ends, answers nonsense, or not in time ---------> down
 *
 * An answer must never be taken for another message's. So a worker that says
 * more than one line, or anything while it is idle, is killed, and one is
 * looked at before it gets a message. A worker that does not do what it
 * should is started again with backoff; one that has answered and then ends
 * by itself, at once.
 */
#include "downstream/handler_exec.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "config/conf.h"
#include "downstream/exec_command.h"
#include "downstream/exec_json.h"
#include "downstream/exec_verdict.h"
#include "lib/backoff.h"
#include "lib/log.h"
#include "lib/xalloc.h"

#define RESTART_FIRST_MS 100
#define RESTART_CAP_MS	 10000
#define RESTART_JITTER	 0.5

struct stream_worker;

struct stream_call {
	struct handler_call base;
	const struct attempt *attempt;
	struct stream_worker *worker; /* NULL: waiting for one */
	struct loop_timer *timer;
	handler_done_cb *done;
	void *arg;
	TAILQ_ENTRY(stream_call) entry; /* waiting, or with a worker */
};

TAILQ_HEAD(stream_calls, stream_call);

enum worker_state {
	WORKER_DOWN, /* no process; its timer runs */
	WORKER_IDLE,
	WORKER_BUSY,
};

struct stream_worker {
	struct exec_stream *owner;
	enum worker_state state;
	struct child *child;
	struct stream_call *call; /* while busy */
	struct buf answer;	  /* what there is of it */
	struct exec_tail tail;	  /* of stderr, since it got the message */
	struct loop_timer *backoff;
	unsigned failures; /* lives in a row that did not end well */
	bool answered;	   /* in this life */
	LIST_ENTRY(stream_worker) entry;
};

LIST_HEAD(stream_workers, stream_worker);

struct exec_stream {
	struct handler base;
	struct loop *loop;
	char *name;
	struct exec_command command;
	struct stream_calls waiting, given;
	struct stream_workers workers[WORKER_BUSY + 1]; /* by state */
	unsigned count;
	struct buf line;     /* scratch */
	struct verdict last; /* why a worker last went down */
};

static void assign(struct exec_stream *s);

static struct exec_stream *
owner_of(const struct stream_call *call)
{
	return container_of(call->base.handler, struct exec_stream, base);
}

static void
worker_enter(struct stream_worker *w, enum worker_state to)
{
	static const char *const names[] = {
		[WORKER_DOWN] = "down",
		[WORKER_IDLE] = "idle",
		[WORKER_BUSY] = "busy",
	};
	static const unsigned char legal[] = {
		[WORKER_DOWN] = 1u << WORKER_IDLE,
		[WORKER_IDLE] = 1u << WORKER_BUSY | 1u << WORKER_DOWN,
		[WORKER_BUSY] = 1u << WORKER_IDLE | 1u << WORKER_DOWN,
	};

	log_debug("worker", LOG_STR("downstream", w->owner->name),
	    LOG_INT("pid", child_pid(w->child)),
	    LOG_STR("from", names[w->state]), LOG_STR("to", names[to]));
	if ((legal[w->state] & 1u << to) == 0)
		abort();
	w->state = to;
	LIST_REMOVE(w, entry);
	LIST_INSERT_HEAD(&w->owner->workers[to], w, entry);
}

static void
worker_free(struct stream_worker *w)
{
	LIST_REMOVE(w, entry);
	w->owner->count--;
	if (w->child != NULL)
		child_close(w->child);
	loop_timer_free(w->owner->loop, w->backoff);
	buf_clear(&w->answer);
	free(w);
}

/* Off its worker and its lists; its memory is still there. */
static void
call_unlink(struct stream_call *call)
{
	struct exec_stream *s = owner_of(call);

	TAILQ_REMOVE(call->worker != NULL ? &s->given : &s->waiting, call,
	    entry);
	if (call->worker != NULL)
		call->worker->call = NULL;
	loop_timer_free(s->loop, call->timer);
}

/* Its worker and other calls may be gone after it; the handler is not. */
static void
call_end(struct stream_call *call, const struct verdict *verdict)
{
	handler_done_cb *done = call->done;
	void *arg = call->arg;

	call_unlink(call);
	free(call);
	done(arg, verdict);
}

/* Ends its process, if that runs, and starts another after a backoff. */
static void
worker_down(struct stream_worker *w, const struct verdict *why, bool well)
{
	static const struct backoff restart = {
		.first_ms = RESTART_FIRST_MS,
		.factor = 2,
		.cap_ms = RESTART_CAP_MS,
		.jitter = RESTART_JITTER,
	};
	struct exec_stream *s = w->owner;
	int64_t delay_ms = 0;

	w->failures = well ? 0 : w->failures + 1;
	if (!well)
		delay_ms = backoff_delay_ms(&restart, w->failures,
		    loop_random_unit(s->loop));
	log_event(well ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN, "worker_ended",
	    LOG_STR("downstream", s->name), LOG_INT("pid", child_pid(w->child)),
	    LOG_STR("class", why->class), LOG_STR("error", why->error),
	    LOG_INT("restart_ms", delay_ms));
	s->last = *why;
	worker_enter(w, WORKER_DOWN);
	child_close(w->child);
	w->child = NULL;
	loop_timer_start(s->loop, w->backoff, delay_ms);
}

/* It goes down, and with it the message that it has. */
static void
worker_broken(struct stream_worker *w, const struct verdict *why)
{
	struct stream_call *call = w->call;

	worker_down(w, why, false);
	if (call != NULL)
		call_end(call, why);
}

/* Whether a whole answer is there. */
static bool
is_answered(const struct stream_worker *w)
{
	return w->answer.len > 0 &&
	    memchr(buf_peek(&w->answer), '\n', w->answer.len) != NULL;
}

/* It hears nothing any more: it has ended, or is about to. */
static void
worker_leaves(struct stream_worker *w)
{
	struct verdict why;

	verdict_init(&why, OUTCOME_RETRY, "exec.exit");
	verdict_set_text(&why, "it has closed its stdin");
	worker_down(w, &why, w->answered);
}

/* Its message is done with: what becomes of the worker. */
static void
worker_rest(struct stream_worker *w)
{
	struct verdict why;

	if (w->answer.len > 0) {
		verdict_init(&why, OUTCOME_RETRY, "exec.protocol");
		verdict_set_text(&why, "more than one line");
		worker_down(w, &why, false);
	} else if (!child_is_listening(w->child)) {
		worker_leaves(w);
	} else {
		worker_enter(w, WORKER_IDLE);
	}
}

/* Takes the answer, which is there as a whole. */
static void
take_answer(struct stream_worker *w)
{
	const uint8_t *line = buf_peek(&w->answer);
	const uint8_t *end = memchr(line, '\n', w->answer.len);
	size_t len = (size_t)(end - line);
	struct stream_call *call = w->call;
	struct exec_stream *s = w->owner;
	struct verdict verdict;

	if (!exec_json_answer(line, len, call->attempt, &verdict)) {
		worker_broken(w, &verdict);
		return;
	}
	buf_drop(&w->answer, len + 1);
	w->answered = true;
	w->failures = 0;
	worker_rest(w);
	call_end(call, &verdict);
	assign(s);
}

/* It does not keep to the protocol. */
static void
worker_errs(struct stream_worker *w, const char *error)
{
	struct verdict why;

	verdict_init(&why, OUTCOME_RETRY, "exec.protocol");
	verdict_set_text(&why, error);
	worker_broken(w, &why);
}

static void
on_out(void *arg, const void *bytes, size_t len)
{
	struct stream_worker *w = arg;

	if (w->state == WORKER_IDLE) {
		worker_errs(w, "an answer without a message");
		return;
	}
	buf_add(&w->answer, bytes, len);
	if (is_answered(w)) {
		/* Else the next one would begin in the middle of this. */
		if (child_unsent(w->child) == 0)
			take_answer(w);
	} else if (w->answer.len > EXEC_JSON_ANSWER_MAX) {
		worker_errs(w, "an answer without an end");
	}
}

static void
on_sent(void *arg)
{
	struct stream_worker *w = arg;

	if (w->state == WORKER_BUSY && is_answered(w))
		take_answer(w);
}

static void
on_err(void *arg, const void *bytes, size_t len)
{
	struct stream_worker *w = arg;

	exec_tail_add(&w->tail, bytes, len);
}

static void
on_exited(void *arg, const struct child_exit *end)
{
	struct stream_worker *w = arg;
	struct verdict why;

	if (w->state == WORKER_BUSY && is_answered(w)) {
		take_answer(w);
		return;
	}
	exec_verdict_stream(&why, w->owner->command.argv[0], end, &w->tail);
	if (w->state == WORKER_IDLE && w->answered &&
	    end->how == CHILD_EXITED && end->code == 0)
		worker_down(w, &why, true);
	else
		worker_broken(w, &why);
}

static void
worker_start(struct stream_worker *w)
{
	static const struct child_cbs cbs = {
		.out = on_out,
		.err = on_err,
		.sent = on_sent,
		.exited = on_exited,
	};

	buf_reset(&w->answer);
	w->tail.len = 0;
	w->answered = false;
	w->child = exec_command_open(&w->owner->command, NULL, true, &cbs, w);
	worker_enter(w, WORKER_IDLE);
}

static void
on_backoff_over(void *arg)
{
	struct stream_worker *w = arg;

	worker_start(w);
	assign(w->owner);
}

static struct stream_worker *
worker_new(struct exec_stream *s)
{
	struct stream_worker *w = xcalloc(1, sizeof(*w));

	w->owner = s;
	w->backoff = loop_timer_new(s->loop, on_backoff_over, w);
	LIST_INSERT_HEAD(&s->workers[WORKER_DOWN], w, entry);
	s->count++;
	worker_start(w);
	return w;
}

/* An idle worker that is fit for a message; NULL: none now. */
static struct stream_worker *
take_idle(struct exec_stream *s)
{
	struct stream_worker *w;

	while ((w = LIST_FIRST(&s->workers[WORKER_IDLE])) != NULL) {
		if (child_has_output(w->child))
			worker_errs(w, "an answer without a message");
		else if (child_pid(w->child) != 0 &&
		    !child_is_listening(w->child))
			worker_leaves(w);
		else
			return w;
	}
	return s->count < s->command.workers ? worker_new(s) : NULL;
}

static void
give(struct stream_worker *w, struct stream_call *call)
{
	struct exec_stream *s = w->owner;
	const struct attempt *attempt = call->attempt;

	TAILQ_REMOVE(&s->waiting, call, entry);
	TAILQ_INSERT_TAIL(&s->given, call, entry);
	call->worker = w;
	w->call = call;
	w->tail.len = 0;
	worker_enter(w, WORKER_BUSY);
	buf_reset(&s->line);
	exec_json_request(attempt, &s->line);
	child_send(w->child, buf_peek(&s->line), s->line.len, attempt->body,
	    attempt->body_bytes, false);
}

/* Gives what waits to whoever is idle. Never calls back. */
static void
assign(struct exec_stream *s)
{
	struct stream_call *call;
	struct stream_worker *w;

	while ((call = TAILQ_FIRST(&s->waiting)) != NULL &&
	    (w = take_idle(s)) != NULL)
		give(w, call);
}

/* No worker was there for it: what the last one died of. */
static void
verdict_no_worker(const struct exec_stream *s, struct verdict *v)
{
	struct buf why = { 0 };

	verdict_init(v, OUTCOME_RETRY, "exec.start");
	buf_printf(&why, "no worker: %s: %s", s->last.class, s->last.error);
	verdict_set_error(v, buf_peek(&why), why.len);
	buf_clear(&why);
}

static void
on_timeout(void *arg)
{
	struct stream_call *call = arg;
	const struct exec_stream *s = owner_of(call);
	struct verdict verdict;

	if (call->worker == NULL) {
		verdict_no_worker(s, &verdict);
		call_end(call, &verdict);
		return;
	}
	exec_verdict_timeout(&verdict, s->command.timeout_ms,
	    &call->worker->tail);
	worker_broken(call->worker, &verdict);
}

static struct handler_call *
stream_start(struct handler *handler, const struct attempt *attempt,
    handler_done_cb *done, void *arg)
{
	struct exec_stream *s = container_of(handler, struct exec_stream, base);
	struct stream_call *call = xcalloc(1, sizeof(*call));

	call->base.handler = handler;
	call->attempt = attempt;
	call->done = done;
	call->arg = arg;
	call->timer = loop_timer_new(s->loop, on_timeout, call);
	loop_timer_start(s->loop, call->timer, s->command.timeout_ms);
	TAILQ_INSERT_TAIL(&s->waiting, call, entry);
	assign(s);
	return &call->base;
}

/* A worker in the middle of it is of no use for another. */
static void
stream_cancel(struct handler_call *base)
{
	struct stream_call *call = container_of(base, struct stream_call, base);
	struct stream_worker *w = call->worker;

	call_unlink(call);
	free(call);
	if (w != NULL)
		worker_free(w);
}

static void
stream_free(struct handler *handler)
{
	struct exec_stream *s = container_of(handler, struct exec_stream, base);
	struct stream_call *call;
	struct stream_worker *w;
	unsigned state;

	while ((call = TAILQ_FIRST(&s->waiting)) != NULL ||
	    (call = TAILQ_FIRST(&s->given)) != NULL)
		stream_cancel(&call->base);
	for (state = WORKER_DOWN; state <= WORKER_BUSY; state++)
		while ((w = LIST_FIRST(&s->workers[state])) != NULL)
			worker_free(w);
	exec_command_clear(&s->command);
	buf_clear(&s->line);
	free(s->name);
	free(s);
}

struct handler *
exec_stream_new(struct loop *loop, const char *name,
    const struct conf_exec *conf)
{
	static const struct handler_ops ops = {
		.start = stream_start,
		.cancel = stream_cancel,
		.free = stream_free,
	};
	struct exec_stream *s = xcalloc(1, sizeof(*s));
	unsigned state;

	s->base.ops = &ops;
	s->base.capacity = conf->workers;
	s->loop = loop;
	s->name = xstrdup(name);
	exec_command_init(&s->command, loop, conf);
	TAILQ_INIT(&s->waiting);
	TAILQ_INIT(&s->given);
	for (state = WORKER_DOWN; state <= WORKER_BUSY; state++)
		LIST_INIT(&s->workers[state]);
	verdict_init(&s->last, OUTCOME_RETRY, "exec.start");
	return &s->base;
}
