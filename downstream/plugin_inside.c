/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A plugin in this process. Answers come from any thread: they are put into
 * their calls, on a list under a lock, and the loop is woken. A call that is
 * over before its answer leaves the plugin with the message, which the host
 * frees once that answer is there.
 */
#include "downstream/handler_plugin.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include "config/conf.h"
#include "downstream/plugin_frame.h"
#include "downstream/plugin_host.h"
#include "downstream/plugin_page.h"
#include "downstream/plugin_verdict.h"
#include "lib/backoff.h"
#include "lib/log.h"
#include "lib/xalloc.h"

#define RETRY_FIRST_MS 1000
#define RETRY_CAP_MS   60000

struct inside_call {
	struct handler_call base;
	uint64_t number;
	int64_t due_ms;
	bool answered; /* with the lock: on that list, `answer` is set */
	struct plugin_answer answer;
	handler_done_cb *done;
	void *arg;
	TAILQ_ENTRY(inside_call) entry;	       /* of under_way or refused */
	TAILQ_ENTRY(inside_call) answer_entry; /* of answers */
};

TAILQ_HEAD(inside_calls, inside_call);

struct inside {
	struct handler base;
	struct loop *loop;
	char *name, *path, *config;
	int64_t timeout_ms;
	struct plugin_host *host; /* NULL: it was not loaded */
	bool running;
	struct verdict no_start; /* why it is not */
	unsigned failures;
	int64_t retry_ms; /* when it may be started again */
	struct inside_calls under_way, refused;
	unsigned refused_count;
	struct loop_timer *timer; /* the first of under_way is late */
	struct loop_task deliver;
	struct buf frame; /* scratch */
	pthread_t thread; /* the loop's */
	int wake;	  /* an eventfd */
	struct loop_fd *woken;
	pthread_mutex_t lock; /* of the answers */
	struct inside_calls answers;
	unsigned answer_count;
};

/* Calls of all handlers so far: no two may have the same number. */
static uint64_t numbers;

/* From any thread. */
static void
on_answered(void *arg, void *owner, uint64_t number,
    const struct dlo_verdict *verdict)
{
	struct inside *in = arg;
	struct inside_call *call = owner;
	bool first;

	pthread_mutex_lock(&in->lock);
	plugin_answer_set(&call->answer, number, verdict);
	call->answered = true;
	first = TAILQ_EMPTY(&in->answers);
	TAILQ_INSERT_TAIL(&in->answers, call, answer_entry);
	in->answer_count++;
	pthread_mutex_unlock(&in->lock);
	if (pthread_equal(pthread_self(), in->thread))
		loop_defer(in->loop, &in->deliver);
	/* It can only be full of wake-ups that are not heard yet. */
	else if (first && eventfd_write(in->wake, 1) == -1 && errno != EAGAIN)
		abort();
}

/* From any thread, and when the handler is gone. */
static void
on_log(void *arg, const char *downstream, enum log_level level,
    const char *text, size_t len)
{
	(void)arg;
	log_event(level, "plugin", LOG_STR("downstream", downstream),
	    LOG_INT("pid", getpid()), LOG_BYTES("text", text, len));
}

static void
start_timer(struct inside *in)
{
	struct inside_call *first = TAILQ_FIRST(&in->under_way);

	if (first != NULL)
		loop_timer_start(in->loop, in->timer,
		    first->due_ms - loop_now_ms(in->loop));
	else
		loop_timer_stop(in->loop, in->timer);
}

/* Other calls may be gone after it, and others there; the handler is not. */
static void
call_end(struct inside_call *call, const struct verdict *verdict)
{
	handler_done_cb *done = call->done;
	void *arg = call->arg;

	free(call);
	done(arg, verdict);
}

/* An answer that is there; NULL: none. */
static struct inside_call *
next_answer(struct inside *in)
{
	struct inside_call *call;

	pthread_mutex_lock(&in->lock);
	call = TAILQ_FIRST(&in->answers);
	if (call != NULL) {
		TAILQ_REMOVE(&in->answers, call, answer_entry);
		in->answer_count--;
	}
	pthread_mutex_unlock(&in->lock);
	return call;
}

static unsigned
count_answers(struct inside *in)
{
	unsigned count;

	pthread_mutex_lock(&in->lock);
	count = in->answer_count;
	pthread_mutex_unlock(&in->lock);
	return count;
}

/* The answers that are there now; those that they bring have another turn. */
static void
deliver_answers(struct inside *in)
{
	unsigned left = count_answers(in);
	struct inside_call *call;
	struct verdict verdict;

	for (; left > 0 && (call = next_answer(in)) != NULL; left--) {
		plugin_verdict_answer(&verdict, &call->answer);
		TAILQ_REMOVE(&in->under_way, call, entry);
		call_end(call, &verdict);
	}
	if (count_answers(in) > 0)
		loop_defer(in->loop, &in->deliver);
}

static void
deliver_refused(struct inside *in)
{
	unsigned left = in->refused_count;
	struct inside_call *call;

	for (; left > 0 && (call = TAILQ_FIRST(&in->refused)) != NULL; left--) {
		TAILQ_REMOVE(&in->refused, call, entry);
		in->refused_count--;
		call_end(call, &in->no_start);
	}
	if (in->refused_count > 0)
		loop_defer(in->loop, &in->deliver);
}

static void
deliver(void *arg)
{
	struct inside *in = arg;

	deliver_refused(in);
	deliver_answers(in);
	start_timer(in);
}

static void
on_woken(void *arg, unsigned ready)
{
	struct inside *in = arg;
	eventfd_t count;

	(void)ready;
	/* Nothing to read is nothing new. */
	(void)eventfd_read(in->wake, &count);
	deliver(in);
}

/* The plugin keeps the message, but the call is over. */
static void
take_back(struct inside *in, struct inside_call *call)
{
	plugin_host_cancel(in->host, call->number);
	/* No answer can come any more; one may have come before. */
	pthread_mutex_lock(&in->lock);
	if (call->answered) {
		TAILQ_REMOVE(&in->answers, call, answer_entry);
		in->answer_count--;
	}
	pthread_mutex_unlock(&in->lock);
	TAILQ_REMOVE(&in->under_way, call, entry);
}

static void
on_late(void *arg)
{
	struct inside *in = arg;
	int64_t now_ms = loop_now_ms(in->loop);
	struct inside_call *call;
	struct verdict verdict;

	plugin_verdict_timeout(&verdict, in->timeout_ms, NULL);
	/* What is answered by now is not late. */
	deliver_answers(in);
	while ((call = TAILQ_FIRST(&in->under_way)) != NULL &&
	    call->due_ms <= now_ms) {
		take_back(in, call);
		call_end(call, &verdict);
	}
	start_timer(in);
}

static void
set_no_start(struct inside *in, const char *why)
{
	static const struct backoff retry = {
		.first_ms = RETRY_FIRST_MS,
		.factor = 2,
		.cap_ms = RETRY_CAP_MS,
	};
	int64_t delay_ms = backoff_delay_ms(&retry, ++in->failures, 0);

	verdict_init(&in->no_start, OUTCOME_RETRY, "plugin.init");
	verdict_set_text(&in->no_start, why);
	in->retry_ms = loop_now_ms(in->loop) + delay_ms;
	log_warn("worker_ended", LOG_STR("downstream", in->name),
	    LOG_INT("pid", getpid()), LOG_STR("class", in->no_start.class),
	    LOG_STR("error", in->no_start.error),
	    LOG_INT("restart_ms", delay_ms));
}

static void
try_start(struct inside *in)
{
	static const struct plugin_host_cbs cbs = { on_answered };
	struct dlo_setup setup = {
		.size = sizeof(setup),
		.downstream = in->name,
		.config = in->config,
		.config_len = strlen(in->config),
	};
	struct buf why = { 0 };
	const char *text;

	if (in->host == NULL)
		in->host = plugin_host_open(in->path, &why);
	text = in->host == NULL
	    ? buf_str(&why)
	    : plugin_host_init(in->host, &setup, &cbs, on_log, in);
	in->running = text == NULL;
	if (in->running)
		in->failures = 0;
	else
		set_no_start(in, text);
	buf_clear(&why);
}

static void
hand_over(struct inside *in, struct inside_call *call,
    const struct attempt *attempt)
{
	struct plugin_call *plugin_call;

	call->number = ++numbers;
	call->due_ms = loop_now_ms(in->loop) + in->timeout_ms;
	TAILQ_INSERT_TAIL(&in->under_way, call, entry);
	if (!loop_timer_pending(in->loop, in->timer))
		start_timer(in);
	buf_reset(&in->frame);
	plugin_frame_message(&in->frame, call->number, attempt);
	plugin_call = plugin_call_new(in->frame.len);
	memcpy(plugin_call_frame(plugin_call), buf_peek(&in->frame),
	    in->frame.len);
	if (plugin_host_handle(in->host, plugin_call, call) == -1)
		abort();
}

static struct handler_call *
inside_start(struct handler *handler, const struct attempt *attempt,
    handler_done_cb *done, void *arg)
{
	struct inside *in = container_of(handler, struct inside, base);
	struct inside_call *call = xmalloc(sizeof(*call));

	call->base.handler = handler;
	call->number = 0;
	call->answered = false;
	call->done = done;
	call->arg = arg;
	if (!in->running && loop_now_ms(in->loop) >= in->retry_ms)
		try_start(in);
	if (in->running) {
		hand_over(in, call, attempt);
	} else {
		TAILQ_INSERT_TAIL(&in->refused, call, entry);
		in->refused_count++;
		loop_defer(in->loop, &in->deliver);
	}
	return &call->base;
}

static void
inside_cancel(struct handler_call *base)
{
	struct inside_call *call = container_of(base, struct inside_call, base);
	struct inside *in =
	    container_of(call->base.handler, struct inside, base);

	if (call->number != 0) {
		take_back(in, call);
	} else {
		TAILQ_REMOVE(&in->refused, call, entry);
		in->refused_count--;
	}
	free(call);
}

static void
inside_free(struct handler *handler)
{
	struct inside *in = container_of(handler, struct inside, base);
	struct inside_call *call;

	while ((call = TAILQ_FIRST(&in->under_way)) != NULL ||
	    (call = TAILQ_FIRST(&in->refused)) != NULL)
		inside_cancel(&call->base);
	/* No answer comes after this. */
	if (in->host != NULL)
		plugin_host_close(in->host);
	loop_undefer(in->loop, &in->deliver);
	loop_timer_free(in->loop, in->timer);
	loop_fd_free(in->loop, in->woken);
	close(in->wake);
	pthread_mutex_destroy(&in->lock);
	buf_clear(&in->frame);
	free(in->name);
	free(in->path);
	free(in->config);
	free(in);
}

struct handler *
plugin_inside_new(struct loop *loop, const char *name,
    const struct conf_plugin *conf)
{
	static const struct handler_ops ops = {
		.start = inside_start,
		.cancel = inside_cancel,
		.free = inside_free,
	};
	struct inside *in = xcalloc(1, sizeof(*in));

	in->base.ops = &ops;
	in->base.capacity = HANDLER_ANY;
	in->loop = loop;
	in->name = xstrdup(name);
	in->path = xstrdup(conf->path);
	in->config = xstrdup(conf->config);
	in->timeout_ms = conf->timeout_ms;
	in->thread = pthread_self();
	in->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (in->wake == -1 || pthread_mutex_init(&in->lock, NULL) != 0) {
		log_error("loop", LOG_STR("error", strerror(errno)));
		abort();
	}
	in->woken = loop_fd_new(loop, in->wake, on_woken, in);
	loop_fd_want(loop, in->woken, LOOP_READ);
	in->timer = loop_timer_new(loop, on_late, in);
	loop_task_init(&in->deliver, deliver, in);
	TAILQ_INIT(&in->under_way);
	TAILQ_INIT(&in->refused);
	TAILQ_INIT(&in->answers);
	try_start(in);
	return &in->base;
}
