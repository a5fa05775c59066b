/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/chain.h"

#include <stdlib.h>

#include "lib/log.h"
#include "lib/xalloc.h"
#include "redrive/count.h"

/* So often the broker is asked whether a channel's messages are back ... */
#define BACK_LOOK_MS 5
/* ... for so long; messages may go elsewhere meanwhile. */
#define BACK_MAX_MS 5000

struct chain_link {
	struct chain *chain;
	struct rmq_channel *channel;   /* NULL: gone */
	struct rmq_consumer *consumer; /* NULL: none (yet, or any more) */
	uint16_t want;
	uint32_t received, acked;
	bool cancelling;
	uint64_t *acks; /* tags to ack when the consumer is gone */
	size_t ack_count;
};

struct chain {
	struct loop *loop;
	struct rmq_conn *conn;
	const char *queue;
	const struct chain_cbs *cbs;
	void *arg;
	struct chain_link **links;
	size_t length;
	struct chain_link *filling; /* NULL: none */
	struct chain_link *closing; /* until its messages are back */
	struct loop_task done;	    /* tells `closed` */
	/* Closing: */
	bool patient;		  /* waits until messages are back */
	struct count *count;	  /* asked for; else NULL */
	struct loop_timer *timer; /* the next question */
	uint64_t back;		  /* ready ones when they are, at least */
	int64_t consumers;	  /* ... and consumers, at most; or -1 */
	int64_t closed_ms;	  /* `closing` */
	uint64_t received, acked, orphans;
	int64_t acked_ms;
};

static uint64_t
link_held(const struct chain_link *link)
{
	return link->received - link->acked;
}

/*
 * Closing: the first channel that is still there; the next one when its
 * messages are back.
 */
static void
close_next(struct chain *chain)
{
	for (size_t i = 0; i < chain->length; i++) {
		if (chain->links[i]->channel != NULL) {
			chain->closing = chain->links[i];
			rmq_channel_close(chain->closing->channel);
			return;
		}
	}
	chain->closing = NULL;
	loop_defer(chain->loop, &chain->done);
}

static void
wait_no_more(struct chain *chain)
{
	chain->patient = false;
	close_next(chain);
}

static uint32_t
holders(const struct chain *chain)
{
	uint32_t count = 0;

	for (size_t i = 0; i < chain->length; i++)
		count += chain->links[i]->channel != NULL &&
		    link_held(chain->links[i]) > 0;
	return count;
}

/*
 * Messages that others send look like those that are awaited. But a quorum
 * queue counts a cancelled consumer as long as it holds messages.
 */
static bool
is_back(struct chain *chain, const struct rmq_reply *reply)
{
	int64_t consumers = reply->consumer_count;

	if (chain->closing == NULL) /* it is the first count */
		chain->consumers = consumers >= holders(chain) ? consumers : -1;
	else if (reply->message_count < chain->back ||
	    (chain->consumers >= 0 && consumers > chain->consumers))
		return false;
	else if (chain->consumers >= 0)
		chain->consumers = consumers;
	chain->back = reply->message_count;
	return true;
}

static void
on_count(void *arg, const struct rmq_reply *reply)
{
	struct chain *chain = arg;

	chain->count = NULL;
	if (!reply->ok || !chain->patient) {
		wait_no_more(chain);
	} else if (is_back(chain, reply)) {
		close_next(chain);
	} else if (loop_now_ms(chain->loop) - chain->closed_ms > BACK_MAX_MS) {
		log_info("dlq_gives_back_less", LOG_STR("queue", chain->queue),
		    LOG_UINT("ready", reply->message_count),
		    LOG_UINT("expected", chain->back));
		wait_no_more(chain);
	} else {
		loop_timer_start(chain->loop, chain->timer, BACK_LOOK_MS);
	}
}

static void
ask_count(void *arg)
{
	struct chain *chain = arg;

	if (chain->conn != NULL)
		chain->count =
		    count_ask(chain->conn, chain->queue, on_count, chain);
	if (chain->count == NULL)
		wait_no_more(chain);
}

/* The channel that was being closed is gone. */
static void
on_link_closed(struct chain *chain)
{
	uint64_t held = link_held(chain->closing);

	if (!chain->patient || held == 0) {
		close_next(chain);
		return;
	}
	chain->back += held;
	if (chain->consumers > 0)
		chain->consumers--;
	chain->closed_ms = loop_now_ms(chain->loop);
	ask_count(chain);
}

/* Nothing more comes on this link. */
static void
stop_filling(struct chain_link *link)
{
	struct chain *chain = link->chain;

	link->consumer = NULL;
	chain->filling = NULL;
	for (size_t i = 0; i < link->ack_count; i++)
		rmq_ack(link->channel, link->acks[i]);
	if (link->ack_count > 0)
		chain->acked_ms = loop_now_ms(chain->loop);
	link->ack_count = 0;
}

static void
link_cancelled(void *arg, const struct rmq_reply *reply)
{
	struct chain_link *link = arg;

	/* Not ok: the channel is going, and `closed` says so. */
	if (!reply->ok || link->consumer == NULL)
		return;
	stop_filling(link);
	link->chain->cbs->filled(link->chain->arg);
}

static void
cancel(struct chain_link *link)
{
	if (link->cancelling)
		return;
	link->cancelling = true;
	if (link->consumer != NULL)
		rmq_cancel(link->consumer, link_cancelled);
}

static void
link_delivery(void *arg, const struct rmq_delivery *delivery)
{
	struct chain_link *link = arg;
	struct chain *chain = link->chain;
	const struct chain_ref ref = { link, delivery->tag };

	chain->received++;
	if (++link->received >= link->want)
		cancel(link);
	chain->cbs->message(chain->arg, ref, delivery->message,
	    delivery->redelivered);
}

static void
link_revoked(void *arg)
{
	static const struct rmq_close why = {
		.fault = RMQ_FAULT_SERVER,
		.text = "the broker cancelled the consumer",
	};
	struct chain_link *link = arg;

	stop_filling(link);
	link->chain->cbs->lost(link->chain->arg, &why);
}

static void
link_taking(void *arg, const struct rmq_reply *reply)
{
	struct chain_link *link = arg;

	if (reply->ok)
		link->chain->cbs->taking(link->chain->arg);
}

static void
link_opened(void *arg)
{
	static const struct rmq_consumer_cbs cbs = { link_delivery,
		link_revoked };
	struct chain_link *link = arg;

	/* Cancelled before it began. */
	if (link->cancelling) {
		stop_filling(link);
		link->chain->cbs->filled(link->chain->arg);
		return;
	}
	rmq_qos(link->channel, link->want, NULL, NULL);
	link->consumer = rmq_consume(link->channel, link->chain->queue, 0,
	    rmq_slice_of(NULL), &cbs, link, link_taking);
}

static void
link_closed(void *arg, const struct rmq_close *why)
{
	struct chain_link *link = arg;
	struct chain *chain = link->chain;

	link->channel = NULL;
	link->consumer = NULL;
	link->acked -= link->ack_count;
	chain->acked -= link->ack_count;
	chain->orphans += link->ack_count;
	link->ack_count = 0;
	if (chain->filling == link)
		chain->filling = NULL;
	if (chain->closing == link)
		on_link_closed(chain);
	else if (chain->closing == NULL)
		chain->cbs->lost(chain->arg, why);
}

static void
tell_closed(void *arg)
{
	struct chain *chain = arg;

	chain->cbs->closed(chain->arg);
}

struct chain *
chain_new(struct loop *loop, struct rmq_conn *conn, const char *queue,
    const struct chain_cbs *cbs, void *arg)
{
	struct chain *chain = xcalloc(1, sizeof(*chain));

	chain->loop = loop;
	chain->conn = conn;
	chain->queue = queue;
	chain->cbs = cbs;
	chain->arg = arg;
	chain->timer = loop_timer_new(loop, ask_count, chain);
	loop_task_init(&chain->done, tell_closed, chain);
	return chain;
}

void
chain_free(struct chain *chain)
{
	if (chain == NULL)
		return;
	loop_undefer(chain->loop, &chain->done);
	loop_timer_free(chain->loop, chain->timer);
	count_cancel(chain->count);
	for (size_t i = 0; i < chain->length; i++) {
		if (chain->links[i]->channel != NULL)
			rmq_channel_abandon(chain->links[i]->channel);
		free(chain->links[i]->acks);
		free(chain->links[i]);
	}
	free(chain->links);
	free(chain);
}

int
chain_take(struct chain *chain, uint16_t want)
{
	static const struct rmq_channel_cbs cbs = {
		.opened = link_opened,
		.closed = link_closed,
	};
	struct chain_link *link = xcalloc(1, sizeof(*link));

	link->chain = chain;
	link->want = want;
	link->channel = rmq_channel_open(chain->conn, &cbs, link);
	if (link->channel == NULL) {
		free(link);
		return -1;
	}
	chain->links = xrealloc(chain->links,
	    (chain->length + 1) * sizeof(struct chain_link *));
	chain->links[chain->length++] = link;
	chain->filling = link;
	return 0;
}

bool
chain_is_filling(const struct chain *chain)
{
	return chain->filling != NULL;
}

void
chain_cancel(struct chain *chain)
{
	if (chain->filling != NULL)
		cancel(chain->filling);
}

void
chain_ack(struct chain *chain, struct chain_ref ref)
{
	struct chain_link *link = ref.link;

	if (link->channel == NULL) {
		chain->orphans++;
		return;
	}
	chain->acked++;
	link->acked++;
	/* More than it wanted: a broker that does not heed qos. */
	if (link != chain->filling || link->ack_count == link->want) {
		rmq_ack(link->channel, ref.tag);
		chain->acked_ms = loop_now_ms(chain->loop);
		return;
	}
	if (link->acks == NULL)
		link->acks = xcalloc(link->want, sizeof(*link->acks));
	link->acks[link->ack_count++] = ref.tag;
}

void
chain_close(struct chain *chain)
{
	chain->patient = true;
	chain->closed_ms = loop_now_ms(chain->loop);
	if (chain_held(chain) > 0)
		ask_count(chain);
	else
		close_next(chain);
}

void
chain_hurry(struct chain *chain)
{
	chain->patient = false;
}

void
chain_detach(struct chain *chain)
{
	chain->conn = NULL;
}

uint64_t
chain_held(const struct chain *chain)
{
	return chain->received - chain->acked;
}

uint64_t
chain_orphans(const struct chain *chain)
{
	return chain->orphans;
}

int64_t
chain_acked_ms(const struct chain *chain)
{
	return chain->acked_ms;
}
