/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/jobs_link.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "amqp/channel.h"
#include "amqp/link.h"
#include "amqp/props.h"
#include "dlx/broker.h"
#include "dlx/envelope.h"
#include "lib/backoff.h"
#include "lib/log.h"
#include "lib/xalloc.h"
#include "redrive/board.h"

/* Far more than a board holds: what it writes must always come back. */
#define PREFETCH 65535

static const struct backoff rejoin_backoff = { 500, 2, 30000, 0.5 };

/* A confirm takes no longer, but in an alarm. */
#define CONFIRM_TIMEOUT_MS 30000

/* A publish without a verdict. */
struct pending {
	LIST_ENTRY(pending) entry;
	struct jobs_link *link;
	uint64_t token;
	int64_t sent_ms;
};
LIST_HEAD(pendings, pending);

/* One that waits until the broker lets us publish (channel.flow). */
struct unsent {
	STAILQ_ENTRY(unsent) entry;
	char key[16];
	uint64_t token;
	char *body;
	size_t len;
};
STAILQ_HEAD(unsents, unsent);

struct jobs_link {
	struct jobs_link_env env;
	const struct jobs_link_cbs *cbs;
	void *arg;
	struct rmq_link *link;
	struct rmq_channel *channel; /* NULL: none */
	struct pendings pending;
	struct unsents unsent;
	bool wanted; /* jobs_link_join was called */
	bool told;   /* `joined` was called, `lost` is due */
	bool consuming;
	bool refused; /* the last publish was */
	bool stopping;
	unsigned losses; /* channels in a row that did not consume for long */
	int64_t joined_ms;
	struct loop_timer *timer; /* to the next channel */
	struct loop_task leave;
};

static void join(void *);
static void on_flow(void *, bool active);

static void
forget_pending(struct jobs_link *l)
{
	struct pending *p;
	struct unsent *u;

	while ((p = LIST_FIRST(&l->pending)) != NULL) {
		LIST_REMOVE(p, entry);
		free(p);
	}
	while ((u = STAILQ_FIRST(&l->unsent)) != NULL) {
		STAILQ_REMOVE_HEAD(&l->unsent, entry);
		free(u->body);
		free(u);
	}
}

/* The channel is no more, or no longer of use. */
static void
lose(struct jobs_link *l)
{
	l->channel = NULL;
	l->consuming = false;
	forget_pending(l);
	if (l->told) {
		l->told = false;
		l->cbs->lost(l->arg);
	}
}

static void
join_later(struct jobs_link *l)
{
	int64_t wait_ms;

	if (l->stopping || rmq_link_conn(l->link) == NULL)
		return;
	/* One that has lasted begins anew. */
	if (l->joined_ms != 0 &&
	    loop_now_ms(l->env.loop) - l->joined_ms > 60 * 1000)
		l->losses = 0;
	wait_ms = backoff_delay_ms(&rejoin_backoff, ++l->losses,
	    loop_random_unit(l->env.loop));
	loop_timer_start(l->env.loop, l->timer, wait_ms);
}

static void
on_closed(void *arg, const struct rmq_close *why)
{
	struct jobs_link *l = arg;

	if (!l->stopping)
		log_warn("jobs_channel_lost",
		    LOG_STR("why", rmq_fault_name(why->fault)),
		    LOG_INT("code", why->code), LOG_STR("text", why->text));
	lose(l);
	if (why->fault == RMQ_FAULT_SERVER && !l->stopping)
		l->cbs->refused(l->arg);
	join_later(l);
}

/* Drops the channel at once; whatever was on it is over. */
static void
drop(struct jobs_link *l)
{
	struct rmq_channel *channel = l->channel;

	if (channel == NULL)
		return;
	rmq_channel_abandon(channel);
	lose(l);
}

static void
leave(void *arg)
{
	drop(arg);
	join_later(arg);
}

static void
on_delivery(void *arg, const struct rmq_delivery *d)
{
	struct jobs_link *l = arg;
	const struct conf_texts *trusted = &l->env.broker->trusted_users;
	struct board_delivery delivery = {
		.tag = d->tag,
		.body = d->message->body.ptr,
		.len = d->message->body.len,
	};
	char *user = NULL, *id = NULL;
	struct rmq_props props;

	/* Only user and id are of use; what does not decode has none. */
	if (rmq_props_parse(&props, d->message->props) != RMQ_PROPS_BROKEN) {
		struct rmq_slice text = props.value[RMQ_PROP_USER_ID];

		if (props.has[RMQ_PROP_USER_ID] && text.len > 0)
			user = xstrndup((const char *)text.ptr, text.len);
		text = props.value[RMQ_PROP_MESSAGE_ID];
		if (props.has[RMQ_PROP_MESSAGE_ID] && text.len > 0)
			id = xstrndup((const char *)text.ptr, text.len);
	}
	for (size_t i = 0; user != NULL && i < trusted->count; i++) {
		if (strcmp(trusted->items[i], user) == 0)
			delivery.trusted = true;
	}
	delivery.user = user;
	delivery.message_id = id;
	l->cbs->delivered(l->arg, &delivery);
	free(user);
	free(id);
	rmq_message_free(d->message);
}

/* The queue is gone, or its leader moves. */
static void
on_cancelled(void *arg)
{
	struct jobs_link *l = arg;

	log_warn("jobs_consumer_cancelled",
	    LOG_STR("queue", l->env.names->jobs));
	drop(l);
	l->cbs->refused(l->arg);
	join_later(l);
}

static void
on_consuming(void *arg, const struct rmq_reply *reply)
{
	struct jobs_link *l = arg;

	if (!reply->ok)
		return; /* `closed` says more */
	l->consuming = true;
	l->joined_ms = loop_now_ms(l->env.loop);
}

static void
on_opened(void *arg)
{
	static const struct rmq_consumer_cbs cbs = { on_delivery,
		on_cancelled };
	struct jobs_link *l = arg;

	rmq_confirm_select(l->channel, ENVELOPE_ID_HEADER, NULL, NULL);
	rmq_qos(l->channel, PREFETCH, NULL, NULL);
	l->told = true;
	l->cbs->joined(l->arg, rmq_link_conn(l->link));
	if (l->channel != NULL)
		(void)rmq_consume(l->channel, l->env.names->jobs, 0,
		    rmq_slice_of(NULL), &cbs, l, on_consuming);
}

static void
join(void *arg)
{
	static const struct rmq_channel_cbs cbs = { .opened = on_opened,
		.closed = on_closed,
		.flow = on_flow };
	struct jobs_link *l = arg;
	struct rmq_conn *conn = rmq_link_conn(l->link);

	if (!l->wanted || l->stopping || conn == NULL || l->channel != NULL)
		return;
	l->joined_ms = 0;
	l->channel = rmq_channel_open(conn, &cbs, l);
	if (l->channel == NULL)
		join_later(l);
}

static void
on_up(void *arg, struct rmq_conn *conn)
{
	(void)conn;
	join(arg);
}

static void
on_down(void *arg, const struct rmq_close *why)
{
	struct jobs_link *l = arg;

	loop_timer_stop(l->env.loop, l->timer);
	if (!l->stopping)
		l->cbs->down(l->arg, why, rmq_link_tried_all(l->link));
}

/* The broker reads nothing, acks neither, until its alarm is over. */
static void
on_blocked(void *arg, bool blocked, const char *reason)
{
	(void)arg, (void)blocked, (void)reason;
}

static void
on_stopped(void *arg)
{
	struct jobs_link *l = arg;

	l->cbs->stopped(l->arg);
}

struct jobs_link *
jobs_link_new(const struct jobs_link_env *env, const struct jobs_link_cbs *cbs,
    void *arg)
{
	static const struct rmq_link_cbs link_cbs = {
		.up = on_up,
		.down = on_down,
		.blocked = on_blocked,
		.stopped = on_stopped,
	};
	struct jobs_link *l = xcalloc(1, sizeof(*l));

	l->env = *env;
	l->cbs = cbs;
	l->arg = arg;
	l->link = broker_link_new(env->loop, env->net, env->broker, env->name,
	    &link_cbs, l);
	LIST_INIT(&l->pending);
	STAILQ_INIT(&l->unsent);
	l->timer = loop_timer_new(env->loop, join, l);
	loop_task_init(&l->leave, leave, l);
	return l;
}

void
jobs_link_start(struct jobs_link *l)
{
	rmq_link_start(l->link);
}

void
jobs_link_join(struct jobs_link *l)
{
	if (l->wanted)
		return;
	l->wanted = true;
	join(l);
}

void
jobs_link_stop(struct jobs_link *l)
{
	if (l->stopping)
		return;
	l->stopping = true;
	loop_timer_stop(l->env.loop, l->timer);
	rmq_link_stop(l->link);
}

void
jobs_link_free(struct jobs_link *l)
{
	if (l == NULL)
		return;
	if (l->channel != NULL)
		rmq_channel_abandon(l->channel);
	forget_pending(l);
	loop_timer_free(l->env.loop, l->timer);
	loop_undefer(l->env.loop, &l->leave);
	rmq_link_free(l->link);
	free(l);
}

static void
on_verdict(void *arg, enum rmq_confirm verdict, const char *text)
{
	struct pending *p = arg;
	struct jobs_link *l = p->link;
	uint64_t token = p->token;

	LIST_REMOVE(p, entry);
	free(p);
	/* The channel's end says all. */
	if (verdict == RMQ_CONFIRM_UNKNOWN || !l->told)
		return;
	if (verdict != RMQ_CONFIRM_OK && !l->refused)
		log_warn("jobs_publish_refused",
		    LOG_STR("result", rmq_confirm_name(verdict)),
		    LOG_STR("text", text));
	/* Said once as long as it lasts. */
	l->refused = verdict != RMQ_CONFIRM_OK;
	if (verdict == RMQ_CONFIRM_RETURNED)
		l->cbs->refused(l->arg);
	if (token != 0)
		l->cbs->confirmed(l->arg, token, verdict == RMQ_CONFIRM_OK);
}

static void
write_props(struct buf *out, const char *user, const char *id)
{
	static const uint8_t persistent = 2;
	struct rmq_props props = { 0 };
	struct buf headers = { 0 };

	rmq_table_add_text(&headers, ENVELOPE_ID_HEADER, id, strlen(id));
	props.has[RMQ_PROP_CONTENT_TYPE] = true;
	props.value[RMQ_PROP_CONTENT_TYPE] = rmq_slice_of("application/json");
	props.has[RMQ_PROP_HEADERS] = true;
	props.value[RMQ_PROP_HEADERS] =
	    (struct rmq_slice){ buf_peek(&headers), headers.len };
	props.has[RMQ_PROP_DELIVERY_MODE] = true;
	props.value[RMQ_PROP_DELIVERY_MODE] =
	    (struct rmq_slice){ &persistent, 1 };
	props.has[RMQ_PROP_USER_ID] = true;
	props.value[RMQ_PROP_USER_ID] = rmq_slice_of(user);
	rmq_props_write(out, &props);
	buf_clear(&headers);
}

static void
send_now(struct jobs_link *l, const char *key, uint64_t token, const char *body,
    size_t len)
{
	struct rmq_publish publish = {
		.exchange = l->env.names->control,
		.routing_key = key,
		.body = { (const uint8_t *)body, len },
		.mandatory = true,
	};
	struct buf props = { 0 };
	struct pending *p;
	char id[32];

	p = xcalloc(1, sizeof(*p));
	p->link = l;
	p->token = token;
	p->sent_ms = loop_now_ms(l->env.loop);
	LIST_INSERT_HEAD(&l->pending, p, entry);
	(void)snprintf(id, sizeof(id), "%s-%" PRIu64, key, token);
	write_props(&props, l->env.broker->user, id);
	publish.props = (struct rmq_slice){ buf_peek(&props), props.len };
	publish.correlation = rmq_slice_of(id);
	rmq_publish(l->channel, &publish, on_verdict, p);
	buf_clear(&props);
}

void
jobs_link_publish(struct jobs_link *l, const char *key, uint64_t token,
    const char *body, size_t len)
{
	struct unsent *u;

	if (l->channel == NULL || !l->told)
		return;
	if (STAILQ_EMPTY(&l->unsent) && rmq_channel_may_publish(l->channel)) {
		send_now(l, key, token, body, len);
		return;
	}
	u = xcalloc(1, sizeof(*u));
	(void)snprintf(u->key, sizeof(u->key), "%s", key);
	u->token = token;
	u->body = xstrndup(body, len);
	u->len = len;
	STAILQ_INSERT_TAIL(&l->unsent, u, entry);
}

/* The broker says whether to publish. */
static void
on_flow(void *arg, bool active)
{
	struct jobs_link *l = arg;
	struct unsent *u;

	while (active && l->channel != NULL && l->told &&
	    (u = STAILQ_FIRST(&l->unsent)) != NULL) {
		STAILQ_REMOVE_HEAD(&l->unsent, entry);
		send_now(l, u->key, u->token, u->body, u->len);
		free(u->body);
		free(u);
	}
}

void
jobs_link_ack(struct jobs_link *l, uint64_t tag)
{
	if (l->channel != NULL && l->told)
		rmq_ack(l->channel, tag);
}

void
jobs_link_leave(struct jobs_link *l)
{
	loop_defer(l->env.loop, &l->leave);
}

void
jobs_link_tick(struct jobs_link *l)
{
	struct rmq_conn *conn = rmq_link_conn(l->link);
	int64_t now_ms = loop_now_ms(l->env.loop);
	struct pending *p;

	if (l->channel == NULL || conn == NULL)
		return;
	LIST_FOREACH(p, &l->pending, entry) {
		/* An alarm may last, and says so. */
		if (rmq_conn_is_blocked(conn))
			p->sent_ms = now_ms;
		if (now_ms - p->sent_ms < CONFIRM_TIMEOUT_MS)
			continue;
		log_warn("jobs_confirm_timeout",
		    LOG_INT("waited_ms", now_ms - p->sent_ms));
		leave(l);
		return;
	}
}

bool
jobs_link_is_joined(const struct jobs_link *l)
{
	return l->consuming;
}

bool
jobs_link_is_up(const struct jobs_link *l)
{
	return rmq_link_conn(l->link) != NULL;
}

const char *
jobs_link_node(const struct jobs_link *l)
{
	return rmq_link_node(l->link);
}
