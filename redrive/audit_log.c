/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/audit_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "amqp/channel.h"
#include "amqp/props.h"
#include "lib/log.h"
#include "lib/text.h"
#include "lib/xalloc.h"
#include "redrive/audit.h"
#include "redrive/report.h"

/* A stream gives nothing without one. */
#define PREFETCH 1000
/* Messages to go back first, when the last chunk holds no entry. */
#define GO_BACK 64
/* Above the board's tokens. */
#define TOKEN_BASE (UINT64_C(1) << 62)
/* What cannot be read or written is tried again after so long. */
#define AGAIN_MS 5000
/* As long as the audit takes nothing, no more than these wait. */
#define WAITING_MAX 10000

struct waiting {
	TAILQ_ENTRY(waiting) entry;
	json_t *json;
	char job[REPORT_ID_SPACE];
	unsigned bit;
};
TAILQ_HEAD(waitings, waiting);

struct audit_log {
	struct loop *loop;
	const char *stream;
	const struct audit_log_cbs *cbs;
	void *arg;
	struct rmq_conn *conn;	     /* NULL: closed */
	struct rmq_channel *channel; /* reads; NULL: does not */
	struct audit_chain chain;
	bool known; /* the chain is */
	bool ended; /* the marker has come */
	/*
	 * Where the reading begins; -1: with the last chunk. Markers of others
	 * may be all that is there: then it begins earlier.
	 */
	int64_t from;
	int64_t first; /* offset of the first message read; -1: none yet */
	int64_t back;  /* how far to go back the next time */
	char marker[TEXT_UUID_SPACE];
	struct waitings waitings;
	size_t count;
	uint64_t last_token;
	uint64_t token;		   /* of the first waiting one; 0: not sent */
	struct audit_chain before; /* ... and the chain before it */
	struct loop_timer *timer;
	struct loop_task task;
};

static void
waiting_free(struct audit_log *a, struct waiting *w)
{
	TAILQ_REMOVE(&a->waitings, w, entry);
	a->count--;
	json_decref(w->json);
	free(w);
}

static void
stop_reading(struct audit_log *a)
{
	if (a->channel != NULL)
		rmq_channel_abandon(a->channel);
	a->channel = NULL;
}

static void
send_next(struct audit_log *a)
{
	struct waiting *w = TAILQ_FIRST(&a->waitings);
	char *text;

	if (!a->known || a->conn == NULL || w == NULL || a->token != 0)
		return;
	a->before = a->chain;
	text = audit_add(&a->chain, w->json);
	if (text == NULL) {
		log_error("audit_entry_lost", LOG_STR("job", w->job));
		a->chain = a->before;
		waiting_free(a, w);
		return;
	}
	a->token = TOKEN_BASE + ++a->last_token;
	a->cbs->publish(a->arg, a->token, text, strlen(text));
	free(text);
}

/* No entry was among what was read, but there may be one before. */
static bool
must_go_back(struct audit_log *a)
{
	if (*a->chain.last != '\0' || a->first <= 0 ||
	    (a->from >= 0 && a->first > a->from))
		return false;
	a->from = a->first > a->back ? a->first - a->back : 0;
	a->back *= 4;
	return true;
}

static void
on_message(void *arg, const struct rmq_delivery *d)
{
	struct audit_log *a = arg;
	struct rmq_slice body = d->message->body;
	bool end = audit_is_marker(body.ptr, body.len, a->marker);

	if (a->first == -1)
		a->first = rmq_props_offset(d->message->props);
	if (end)
		a->known = !must_go_back(a);
	else if (audit_verify(&a->chain, body.ptr, body.len) == AUDIT_BROKEN)
		log_error("audit_broken", LOG_STR("stream", a->stream));
	rmq_ack(a->channel, d->tag);
	rmq_message_free(d->message);
	a->ended = end;
	if (end)
		loop_defer(a->loop, &a->task);
}

static void start_reading(void *);

/* All is read: writes. Or begins to read once more, earlier. */
static void
on_task(void *arg)
{
	struct audit_log *a = arg;

	if (a->known) {
		stop_reading(a);
		send_next(a);
	} else if (a->ended) {
		stop_reading(a);
		start_reading(a);
	}
}

static void
again(struct audit_log *a)
{
	if (a->conn != NULL)
		loop_timer_start(a->loop, a->timer, AGAIN_MS);
}

static void
on_cancelled(void *arg)
{
	struct audit_log *a = arg;

	stop_reading(a);
	again(a);
}

static void
on_closed(void *arg, const struct rmq_close *why)
{
	struct audit_log *a = arg;

	a->channel = NULL;
	log_warn("audit_unreadable", LOG_STR("queue", a->stream),
	    LOG_INT("code", why->code), LOG_STR("text", why->text));
	again(a);
}

static void
on_consuming(void *arg, const struct rmq_reply *reply)
{
	struct audit_log *a = arg;
	char *text;

	/* Read once more: the marker is there. */
	if (!reply->ok || a->from >= 0)
		return;
	text = audit_marker(a->marker);
	a->cbs->publish(a->arg, TOKEN_BASE, text, strlen(text));
	free(text);
}

static void
on_opened(void *arg)
{
	static const struct rmq_consumer_cbs cbs = { on_message, on_cancelled };
	struct audit_log *a = arg;
	struct buf args = { 0 };

	if (a->from < 0)
		rmq_table_add_text(&args, "x-stream-offset", "last",
		    strlen("last"));
	else
		rmq_table_add_int(&args, "x-stream-offset", a->from);
	rmq_qos(a->channel, PREFETCH, NULL, NULL);
	(void)rmq_consume(a->channel, a->stream, 0,
	    (struct rmq_slice){ buf_peek(&args), args.len }, &cbs, a,
	    on_consuming);
	buf_clear(&args);
}

static void
start_reading(void *arg)
{
	static const struct rmq_channel_cbs cbs = { .opened = on_opened,
		.closed = on_closed };
	struct audit_log *a = arg;

	if (a->conn == NULL || a->channel != NULL)
		return;
	if (a->known) {
		send_next(a);
		return;
	}
	memset(&a->chain, 0, sizeof(a->chain));
	a->first = -1;
	a->ended = false;
	a->channel = rmq_channel_open(a->conn, &cbs, a);
	if (a->channel == NULL)
		again(a);
}

/* From the end, with a marker of its own. */
static void
begin_reading(void *arg)
{
	struct audit_log *a = arg;

	if (!a->known && a->channel == NULL) {
		a->from = -1;
		a->back = GO_BACK;
		(void)text_uuid4(a->marker, loop_random(a->loop),
		    loop_random(a->loop));
	}
	start_reading(a);
}

struct audit_log *
audit_log_new(struct loop *loop, const char *stream,
    const struct audit_log_cbs *cbs, void *arg)
{
	struct audit_log *a = xcalloc(1, sizeof(*a));

	a->loop = loop;
	a->stream = stream;
	a->cbs = cbs;
	a->arg = arg;
	TAILQ_INIT(&a->waitings);
	a->timer = loop_timer_new(loop, begin_reading, a);
	loop_task_init(&a->task, on_task, a);
	return a;
}

void
audit_log_free(struct audit_log *a)
{
	if (a == NULL)
		return;
	stop_reading(a);
	while (!TAILQ_EMPTY(&a->waitings))
		waiting_free(a, TAILQ_FIRST(&a->waitings));
	loop_timer_free(a->loop, a->timer);
	loop_undefer(a->loop, &a->task);
	free(a);
}

void
audit_log_open(struct audit_log *a, struct rmq_conn *conn)
{
	a->conn = conn;
	a->known = false;
	a->token = 0;
	begin_reading(a);
}

void
audit_log_close(struct audit_log *a)
{
	struct waiting *w, *next;

	stop_reading(a);
	loop_timer_stop(a->loop, a->timer);
	a->conn = NULL;
	a->known = false;
	a->token = 0;
	for (w = TAILQ_FIRST(&a->waitings); w != NULL; w = next) {
		next = TAILQ_NEXT(w, entry);
		if (w->bit != 0)
			waiting_free(a, w);
	}
}

void
audit_log_add(struct audit_log *a, json_t *entry, const char *job, unsigned bit)
{
	struct waiting *w;

	if (entry == NULL || a->count == WAITING_MAX) {
		log_error("audit_entry_lost", LOG_STR("job", job));
		json_decref(entry);
		return;
	}
	w = xcalloc(1, sizeof(*w));
	w->json = entry;
	(void)snprintf(w->job, sizeof(w->job), "%s", job);
	w->bit = bit;
	TAILQ_INSERT_TAIL(&a->waitings, w, entry);
	a->count++;
	loop_defer(a->loop, &a->task);
}

bool
audit_log_confirmed(struct audit_log *a, uint64_t token, bool ok)
{
	struct waiting *w = TAILQ_FIRST(&a->waitings), done;

	if (token < TOKEN_BASE)
		return false;
	if (token != a->token)
		return true;
	a->token = 0;
	if (!ok) {
		/* It is not in the chain. */
		a->chain = a->before;
		again(a);
		return true;
	}
	done = *w;
	waiting_free(a, w);
	if (done.bit != 0)
		a->cbs->entered(a->arg, done.job, done.bit);
	send_next(a);
	return true;
}

size_t
audit_log_waiting(const struct audit_log *a)
{
	return a->count;
}
