/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A ticket is queued, then sent, then has its verdict:
 *
 *	send -> queue -> sent -> done (OK, RETURNED, NACKED)
 *	          ^        |
 *	          +--------+-> suspects -> sent -> done (also REFUSED)
 *
 * When a channel goes, what was sent goes back to the queue, or, if the
 * broker closed it, to the suspects (isolate.h), which are sent first.
 *
 * Publishes leave in a task at the end of the turn, so that no callback runs
 * inside a call of the owner. `done` may call anything, rmq_publisher_free
 * included: the memory then goes in the task.
 */
#include "amqp/publisher.h"

#include <sys/queue.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amqp/isolate.h"
#include "lib/backoff.h"
#include "lib/log.h"
#include "lib/xalloc.h"

/* Bytes on their way at most (but always one publish). */
#define WINDOW_BYTES (16u << 20)

/* How often a confirm time-out doubles while nothing is confirmed. */
#define PATIENCE_MAX 5

static const struct backoff reopen = {
	.first_ms = 500,
	.factor = 2,
	.cap_ms = 30000,
	.jitter = 0.5,
};

/* How old a channel must be for a nack to end it; more with each. */
static const struct backoff renewal = {
	.first_ms = 1000,
	.factor = 2,
	.cap_ms = 60000,
};

/*
 * News are dropped for so long after the broker refused some: each channel
 * that it closes is an error in its log. One that lasted for longer than the
 * longest pause was not refused at once.
 */
static const struct backoff news_pause = {
	.first_ms = 5000,
	.factor = 2,
	.cap_ms = 60000,
};

/* So long publishes wait for the last confirms of a channel that is to go. */
#define RENEWAL_PATIENCE_MS 5000

struct rmq_ticket {
	TAILQ_ENTRY(rmq_ticket) entry;
	struct rmq_publisher *publisher;
	struct rmq_publish publish;
	rmq_sent_cb *done; /* NULL: forgotten */
	void *arg;
	struct tickets *list; /* queue, suspects or sent */
	size_t bytes;	      /* on the wire, when sent */
	int64_t sent_us;
};
TAILQ_HEAD(tickets, rmq_ticket);

struct rmq_publisher {
	struct loop *loop;
	char *correlation_header;
	size_t window;
	int64_t confirm_timeout_us;
	struct rmq_conn *conn;
	struct rmq_channel *channel, *news;
	bool ready; /* the channel confirms */
	bool freed;
	unsigned failed_opens; /* in a row */
	unsigned timeouts;     /* in a row */
	bool renew;	     /* the channel, once nothing is under way on it */
	unsigned renewals;   /* since nacks began */
	int64_t renew_us;    /* not before */
	int64_t nacked_us;   /* the last nack */
	int64_t progress_us; /* the last confirm, or start of waiting */
	unsigned news_refusals; /* in a row */
	int64_t news_opened_us, news_after_us;
	struct tickets queue, suspects, sent;
	size_t pending, sent_count, sent_bytes;
	struct rmq_isolate isolate;
	bool batch_sent; /* a batch of suspects is under way */
	struct loop_task task;
	struct loop_timer *confirm_timer, *open_timer;
};

const char *
rmq_sent_name(enum rmq_sent sent)
{
	switch (sent) {
	case RMQ_SENT_OK:
		return "ok";
	case RMQ_SENT_RETURNED:
		return "returned";
	case RMQ_SENT_NACKED:
		return "nacked";
	case RMQ_SENT_REFUSED:
		return "refused";
	}
	return "?";
}

static void
leave_sent(struct rmq_ticket *ticket)
{
	struct rmq_publisher *p = ticket->publisher;

	TAILQ_REMOVE(&p->sent, ticket, entry);
	p->sent_count--;
	p->sent_bytes -= ticket->bytes;
}

/* Tells the verdict on a ticket that is on no list any more. */
static void
finish(struct rmq_ticket *ticket, enum rmq_sent sent, uint16_t code,
    const char *text)
{
	struct rmq_publisher *p = ticket->publisher;
	struct rmq_sent_result result = { .sent = sent,
		.code = code,
		.text = text,
		.latency_us = loop_now_us(p->loop) - ticket->sent_us };

	p->pending--;
	if (ticket->done != NULL)
		ticket->done(ticket->arg, &result);
	free(ticket);
}

/* Puts what was sent in front of `list`; what was forgotten goes. */
static void
unsend(struct rmq_publisher *p, struct tickets *list)
{
	struct rmq_ticket *ticket;

	while ((ticket = TAILQ_LAST(&p->sent, tickets)) != NULL) {
		leave_sent(ticket);
		if (ticket->done == NULL) {
			p->pending--;
			free(ticket);
			continue;
		}
		TAILQ_INSERT_HEAD(list, ticket, entry);
		ticket->list = list;
	}
	loop_timer_stop(p->loop, p->confirm_timer);
}

static void
watch_confirms(struct rmq_publisher *p)
{
	int64_t timeout_us = p->confirm_timeout_us << p->timeouts;
	int64_t left = p->progress_us + timeout_us - loop_now_us(p->loop);

	loop_timer_start_us(p->loop, p->confirm_timer, left > 0 ? left : 0);
}

/*
 * Nacks may be the channel's and not the queue's: one that met a quorum queue
 * without its leader is nacked by it for ever after (seen on 3.10). Another
 * channel may fare better; one a minute is no burden where the queue is full.
 */
static void
heed_nack(struct rmq_publisher *p)
{
	int64_t now_us = loop_now_us(p->loop);

	if (now_us - p->nacked_us > 2 * renewal.cap_ms * 1000)
		p->renewals = 0;
	p->nacked_us = now_us;
	if (p->renew || now_us < p->renew_us)
		return;
	p->renew = true;
	loop_timer_start(p->loop, p->open_timer, RENEWAL_PATIENCE_MS);
}

static void
plan_renewal(struct rmq_publisher *p)
{
	p->renew_us = loop_now_us(p->loop) +
	    1000 * backoff_delay_ms(&renewal, p->renewals + 1, 0);
}

/* Something on the channel stays without a confirm: it goes on as it is. */
static void
forgo_renewal(struct rmq_publisher *p)
{
	p->renew = false;
	p->renewals++;
	plan_renewal(p);
	loop_defer(p->loop, &p->task);
}

static void
on_confirm(void *arg, enum rmq_confirm verdict, const char *return_text)
{
	struct rmq_ticket *ticket = arg;
	struct rmq_publisher *p = ticket->publisher;

	/* `closed` follows and decides. */
	if (verdict == RMQ_CONFIRM_UNKNOWN)
		return;
	p->progress_us = loop_now_us(p->loop);
	p->timeouts = 0;
	leave_sent(ticket);
	loop_defer(p->loop, &p->task);
	switch (verdict) {
	case RMQ_CONFIRM_OK:
		finish(ticket, RMQ_SENT_OK, 0, "confirmed");
		break;
	case RMQ_CONFIRM_RETURNED:
		finish(ticket, RMQ_SENT_RETURNED, 0, return_text);
		break;
	case RMQ_CONFIRM_NACKED:
		heed_nack(p);
		finish(ticket, RMQ_SENT_NACKED, 0, "nacked by the broker");
		break;
	case RMQ_CONFIRM_UNKNOWN:
		break;
	}
}

static void
send_ticket(struct rmq_publisher *p, struct rmq_ticket *ticket)
{
	TAILQ_REMOVE(ticket->list, ticket, entry);
	ticket->sent_us = loop_now_us(p->loop);
	if (!rmq_publish_fits(p->conn, ticket->publish.props.len)) {
		finish(ticket, RMQ_SENT_REFUSED, 501,
		    "the properties do not fit one frame");
		return;
	}
	TAILQ_INSERT_TAIL(&p->sent, ticket, entry);
	ticket->list = &p->sent;
	ticket->bytes = ticket->publish.props.len + ticket->publish.body.len;
	p->sent_bytes += ticket->bytes;
	if (p->sent_count++ == 0) {
		p->progress_us = ticket->sent_us;
		if (!loop_timer_pending(p->loop, p->confirm_timer))
			watch_confirms(p);
	}
	rmq_publish(p->channel, &ticket->publish, on_confirm, ticket);
}

static bool
may_send(const struct rmq_publisher *p)
{
	return p->ready && !p->renew && !rmq_conn_is_blocked(p->conn) &&
	    rmq_channel_may_publish(p->channel);
}

/* One batch of suspects after the other; true while there are some. */
static bool
send_suspects(struct rmq_publisher *p)
{
	size_t left;

	if (p->isolate.batch == 0)
		return false;
	if (p->sent_count > 0)
		return true;
	if (p->batch_sent)
		rmq_isolate_passed(&p->isolate);
	p->batch_sent = false;
	if (TAILQ_EMPTY(&p->suspects)) {
		rmq_isolate_done(&p->isolate);
		return false;
	}
	for (left = p->isolate.batch; left > 0; left--) {
		if (!may_send(p) || TAILQ_EMPTY(&p->suspects))
			break;
		p->batch_sent = true;
		send_ticket(p, TAILQ_FIRST(&p->suspects));
	}
	/* What did not fit a frame was never sent: go on. */
	if (p->batch_sent && p->sent_count == 0)
		loop_defer(p->loop, &p->task);
	return true;
}

static void
send_queued(struct rmq_publisher *p)
{
	struct rmq_ticket *ticket;
	size_t bytes;

	while ((ticket = TAILQ_FIRST(&p->queue)) != NULL && may_send(p)) {
		bytes = ticket->publish.props.len + ticket->publish.body.len;
		if (p->sent_count >= p->window ||
		    (p->sent_count > 0 && p->sent_bytes + bytes > WINDOW_BYTES))
			break;
		send_ticket(p, ticket);
	}
}

static void open_channel(struct rmq_publisher *);

/* Whether a publish can be what made the broker end channel or connection. */
static bool
blames_publish(const struct rmq_publisher *p, const struct rmq_close *close)
{
	if (close->fault != RMQ_FAULT_SERVER)
		return false;
	/* Only publishes use the channel; the connection has other users. */
	return rmq_conn_is_open(p->conn) || close->code >= 500 ||
	    (close->class_id == 60 && close->method_id == 40);
}

/* The channel has gone: where does that leave what was sent? */
static void
reclaim_sent(struct rmq_publisher *p, const struct rmq_close *close)
{
	struct rmq_ticket *culprit = NULL;

	p->batch_sent = false;
	if (!blames_publish(p, close)) {
		unsend(p, p->isolate.batch > 0 ? &p->suspects : &p->queue);
		return;
	}
	log_warn("publish_channel_closed", LOG_UINT("code", close->code),
	    LOG_STR("text", close->text),
	    LOG_UINT("unconfirmed", p->sent_count));
	if (rmq_isolate_closed(&p->isolate, p->sent_count)) {
		culprit = TAILQ_FIRST(&p->sent);
		leave_sent(culprit);
	}
	unsend(p, &p->suspects);
	if (culprit != NULL)
		finish(culprit, RMQ_SENT_REFUSED, close->code, close->text);
}

static void
on_closed(void *arg, const struct rmq_close *close)
{
	struct rmq_publisher *p = arg;
	bool was_used = p->ready && p->sent_count > 0;

	p->channel = NULL;
	p->ready = p->renew = false;
	reclaim_sent(p, close);
	if (p->freed || p->conn == NULL || !rmq_conn_is_open(p->conn))
		return;
	if (was_used)
		open_channel(p);
	else /* Not for what we published: no reason for haste. */
		loop_timer_start(p->loop, p->open_timer,
		    backoff_delay_ms(&reopen, ++p->failed_opens,
			loop_random_unit(p->loop)));
}

static void
on_selected(void *arg, const struct rmq_reply *reply)
{
	struct rmq_publisher *p = arg;

	if (!reply->ok)
		return;
	p->ready = true;
	p->failed_opens = 0;
	plan_renewal(p);
	loop_defer(p->loop, &p->task);
}

static void
on_opened(void *arg)
{
	struct rmq_publisher *p = arg;

	rmq_confirm_select(p->channel, p->correlation_header, on_selected, p);
}

static void
on_flow(void *arg, bool active)
{
	struct rmq_publisher *p = arg;

	(void)active;
	loop_defer(p->loop, &p->task);
}

static const struct rmq_channel_cbs channel_cbs = {
	.opened = on_opened,
	.closed = on_closed,
	.flow = on_flow,
};

static void
open_channel(struct rmq_publisher *p)
{
	p->channel = rmq_channel_open(p->conn, &channel_cbs, p);
	if (p->channel != NULL || !rmq_conn_is_open(p->conn))
		return;
	/* No number left: the news give theirs, or another user does. */
	if (p->news != NULL) {
		rmq_channel_abandon(p->news);
		p->news = NULL;
		p->news_after_us =
		    loop_now_us(p->loop) + news_pause.first_ms * 1000;
	}
	loop_timer_start(p->loop, p->open_timer, reopen.first_ms);
}

static void
on_open_timer(void *arg)
{
	struct rmq_publisher *p = arg;

	if (p->renew)
		forgo_renewal(p);
	else if (p->conn != NULL && p->channel == NULL)
		open_channel(p);
}

/* No confirm for too long: another channel may fare better. */
static void
on_confirm_timer(void *arg)
{
	struct rmq_publisher *p = arg;
	int64_t now_us = loop_now_us(p->loop);

	if (p->sent_count == 0)
		return;
	if (rmq_conn_is_blocked(p->conn))
		p->progress_us = now_us;
	if (now_us - p->progress_us < p->confirm_timeout_us << p->timeouts) {
		watch_confirms(p);
		return;
	}
	log_warn("publish_confirm_timeout",
	    LOG_UINT("unconfirmed", p->sent_count),
	    LOG_INT("waited_ms", (now_us - p->progress_us) / 1000));
	/* Each time again would mean a copy each time: wait for longer. */
	if (p->timeouts < PATIENCE_MAX)
		p->timeouts++;
	p->ready = p->renew = false;
	p->batch_sent = false;
	rmq_channel_abandon(p->channel);
	unsend(p, p->isolate.batch > 0 ? &p->suspects : &p->queue);
	open_channel(p);
}

static void
renew_channel(struct rmq_publisher *p)
{
	p->ready = p->renew = false;
	p->renewals++;
	loop_timer_stop(p->loop, p->open_timer);
	log_info("publish_channel_renewed", LOG_UINT("renewals", p->renewals));
	rmq_channel_abandon(p->channel);
	open_channel(p);
}

static void
on_task(void *arg)
{
	struct rmq_publisher *p = arg;

	if (p->freed) {
		loop_timer_free(p->loop, p->confirm_timer);
		loop_timer_free(p->loop, p->open_timer);
		free(p->correlation_header);
		free(p);
		return;
	}
	if (p->renew && p->sent_count == 0)
		renew_channel(p);
	if (!send_suspects(p))
		send_queued(p);
}

struct rmq_publisher *
rmq_publisher_new(struct loop *loop,
    const struct rmq_publisher_options *options)
{
	struct rmq_publisher *p = xcalloc(1, sizeof(*p));

	p->loop = loop;
	p->correlation_header = xstrdup(options->correlation_header);
	p->window = options->window == 0 ? 1 : options->window;
	p->confirm_timeout_us = options->confirm_timeout_ms * 1000;
	TAILQ_INIT(&p->queue);
	TAILQ_INIT(&p->suspects);
	TAILQ_INIT(&p->sent);
	loop_task_init(&p->task, on_task, p);
	p->confirm_timer = loop_timer_new(loop, on_confirm_timer, p);
	p->open_timer = loop_timer_new(loop, on_open_timer, p);
	return p;
}

static void
free_tickets(struct tickets *list)
{
	struct rmq_ticket *ticket;

	while ((ticket = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, ticket, entry);
		free(ticket);
	}
}

void
rmq_publisher_free(struct rmq_publisher *p)
{
	if (p == NULL || p->freed)
		return;
	p->freed = true;
	p->ready = false;
	if (p->channel != NULL)
		rmq_channel_abandon(p->channel);
	if (p->news != NULL)
		rmq_channel_abandon(p->news);
	p->channel = p->news = NULL;
	p->conn = NULL;
	loop_timer_stop(p->loop, p->confirm_timer);
	loop_timer_stop(p->loop, p->open_timer);
	free_tickets(&p->queue);
	free_tickets(&p->suspects);
	free_tickets(&p->sent);
	p->pending = p->sent_count = p->sent_bytes = 0;
	loop_defer(p->loop, &p->task);
}

void
rmq_publisher_attach(struct rmq_publisher *p, struct rmq_conn *conn)
{
	p->conn = conn;
	p->failed_opens = 0;
	p->news_after_us = 0;
	p->news_refusals = 0;
	open_channel(p);
}

void
rmq_publisher_detach(struct rmq_publisher *p)
{
	p->conn = NULL;
	loop_timer_stop(p->loop, p->open_timer);
}

void
rmq_publisher_wake(struct rmq_publisher *p)
{
	/* Time spent blocked is not the confirms' fault. */
	p->progress_us = loop_now_us(p->loop);
	loop_defer(p->loop, &p->task);
}

struct rmq_ticket *
rmq_publisher_send(struct rmq_publisher *p, const struct rmq_publish *publish,
    rmq_sent_cb *done, void *arg)
{
	struct rmq_ticket *ticket = xcalloc(1, sizeof(*ticket));

	ticket->publisher = p;
	ticket->publish = *publish;
	ticket->publish.mandatory = true;
	ticket->done = done;
	ticket->arg = arg;
	ticket->list = &p->queue;
	TAILQ_INSERT_TAIL(&p->queue, ticket, entry);
	p->pending++;
	loop_defer(p->loop, &p->task);
	return ticket;
}

void
rmq_publisher_forget(struct rmq_publisher *p, struct rmq_ticket *ticket)
{
	if (ticket->list == &p->sent) {
		/* Its verdict is still to come, but nobody waits for it. */
		ticket->done = NULL;
		return;
	}
	TAILQ_REMOVE(ticket->list, ticket, entry);
	p->pending--;
	free(ticket);
}

static void
on_news_opened(void *arg)
{
	(void)arg;
}

static void
on_news_closed(void *arg, const struct rmq_close *close)
{
	struct rmq_publisher *p = arg;
	int64_t now_us = loop_now_us(p->loop);

	p->news = NULL;
	if (now_us - p->news_opened_us > news_pause.cap_ms * 1000)
		p->news_refusals = 0;
	p->news_after_us = now_us +
	    backoff_delay_ms(&news_pause, ++p->news_refusals, 0) * 1000;
	if (close->fault == RMQ_FAULT_SERVER && close->code < 500)
		log_warn("news_refused", LOG_UINT("code", close->code),
		    LOG_STR("text", close->text));
}

static const struct rmq_channel_cbs news_cbs = {
	.opened = on_news_opened,
	.closed = on_news_closed,
};

bool
rmq_publisher_tell(struct rmq_publisher *p, const struct rmq_publish *publish)
{
	if (p->conn == NULL || !rmq_conn_is_open(p->conn) ||
	    rmq_conn_is_blocked(p->conn) ||
	    loop_now_us(p->loop) < p->news_after_us ||
	    !rmq_publish_fits(p->conn, publish->props.len))
		return false;
	if (p->news == NULL) {
		p->news = rmq_channel_open(p->conn, &news_cbs, p);
		p->news_opened_us = loop_now_us(p->loop);
	}
	if (p->news == NULL)
		return false;
	rmq_publish(p->news, publish, NULL, NULL);
	return true;
}

size_t
rmq_publisher_pending(const struct rmq_publisher *p)
{
	return p->pending;
}
