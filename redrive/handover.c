/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/handover.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "amqp/channel.h"
#include "amqp/props.h"
#include "amqp/publisher.h"
#include "dlx/envelope.h"
#include "lib/log.h"
#include "lib/xalloc.h"

#define LOOK_MS 2000
/* Looks without a daemon after which it counts as gone: it may restart. */
#define GONE_LOOKS 15
/* A stream gives nothing without one. */
#define PREFETCH 100
/* What cannot be read is tried again after so long. */
#define AGAIN_MS 2000

/* A request on its way to a daemon, or done by one. */
struct wish {
	TAILQ_ENTRY(wish) entry;
	struct handover *handover;
	json_t *body;
	char *text;
	struct buf props;
	struct rmq_ticket *ticket;
	bool sent;
};
TAILQ_HEAD(wishes, wish);

struct handover {
	struct handover_env env;
	const struct handover_cbs *cbs;
	void *arg;
	struct rmq_conn *conn;
	struct rmq_channel *look;   /* a passive declare; or NULL */
	struct rmq_channel *reader; /* of the audit; or NULL */
	bool reading;
	int64_t last_offset; /* -1: none was read */
	bool known, there;
	unsigned missed; /* looks in a row without a daemon */
	struct wishes wishes;
	struct loop_timer *timer; /* the next look */
	struct loop_timer *again; /* the next reader */
};

/* Is a daemon there? */

static void
seen(struct handover *h, bool there)
{
	h->look = NULL;
	if (h->conn != NULL)
		loop_timer_start(h->env.loop, h->timer, LOOK_MS);
	h->missed = there ? 0 : h->missed + 1;
	if (h->known && (h->there == there || h->missed % GONE_LOOKS != 0))
		return;
	h->known = true;
	h->there = there;
	h->cbs->daemon(h->arg, there);
}

static void
on_declared(void *arg, const struct rmq_reply *reply)
{
	struct handover *h = arg;

	if (!reply->ok)
		return; /* `closed` follows */
	rmq_channel_abandon(h->look);
	seen(h, reply->consumer_count > 0);
}

static void
on_look_opened(void *arg)
{
	struct handover *h = arg;

	rmq_queue_declare(h->look, h->env.names->jobs, RMQ_PASSIVE,
	    rmq_slice_of(NULL), on_declared, h);
}

/* The broker does not say. */
static void
on_look_closed(void *arg, const struct rmq_close *why)
{
	struct handover *h = arg;

	log_debug("daemon_unknown", LOG_STR("queue", h->env.names->jobs),
	    LOG_INT("code", why->code), LOG_STR("text", why->text));
	h->look = NULL;
	/* Without the connection nothing is known, nor new. */
	if (why->fault == RMQ_FAULT_SERVER)
		seen(h, false);
}

static void
look(void *arg)
{
	static const struct rmq_channel_cbs cbs = { .opened = on_look_opened,
		.closed = on_look_closed };
	struct handover *h = arg;

	if (h->conn == NULL || h->look != NULL)
		return;
	h->look = rmq_channel_open(h->conn, &cbs, h);
	if (h->look == NULL)
		seen(h, false);
}

/* The way there. */

static void
wish_free(struct wish *wish)
{
	struct handover *h = wish->handover;

	TAILQ_REMOVE(&h->wishes, wish, entry);
	if (wish->ticket != NULL)
		rmq_publisher_forget(h->env.publisher, wish->ticket);
	json_decref(wish->body);
	free(wish->text);
	buf_clear(&wish->props);
	free(wish);
}

static const char *
request_of(const json_t *body)
{
	const char *request =
	    json_string_value(json_object_get(body, "request"));

	return request != NULL ? request : "";
}

static void
finish(struct wish *wish, const json_t *job, const char *why)
{
	struct handover *h = wish->handover;
	json_t *body = json_incref(wish->body);

	wish_free(wish);
	h->cbs->ended(h->arg, request_of(body), job, why);
	json_decref(body);
}

static void
on_sent(void *arg, const struct rmq_sent_result *result)
{
	struct wish *wish = arg;

	wish->ticket = NULL;
	if (result->sent != RMQ_SENT_OK)
		finish(wish, NULL, "the broker does not take the request");
}

static void
write_props(struct buf *out, const char *user, const char *id)
{
	struct rmq_props props = { 0 };
	struct buf headers = { 0 };

	rmq_table_add_text(&headers, ENVELOPE_ID_HEADER, id, strlen(id));
	props.has[RMQ_PROP_HEADERS] = true;
	props.value[RMQ_PROP_HEADERS] =
	    (struct rmq_slice){ buf_peek(&headers), headers.len };
	props.has[RMQ_PROP_USER_ID] = true;
	props.value[RMQ_PROP_USER_ID] = rmq_slice_of(user);
	rmq_props_write(out, &props);
	buf_clear(&headers);
}

static void
send_wish(struct wish *wish)
{
	struct handover *h = wish->handover;
	struct rmq_publish publish = {
		.exchange = h->env.names->control,
		.routing_key = "jobs",
		.mandatory = true,
		.correlation = rmq_slice_of(request_of(wish->body)),
	};

	wish->sent = true;
	wish->text = json_dumps(wish->body, JSON_COMPACT);
	write_props(&wish->props, h->env.user, request_of(wish->body));
	publish.props =
	    (struct rmq_slice){ buf_peek(&wish->props), wish->props.len };
	publish.body = rmq_slice_of(wish->text);
	wish->ticket =
	    rmq_publisher_send(h->env.publisher, &publish, on_sent, wish);
}

/* What the audit says. */

static const char *
text_in(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}

static void
take_entry(struct handover *h, const json_t *entry)
{
	const json_t *job = json_object_get(entry, "state");
	bool ended = strcmp(text_in(entry, "what"), "job_ended") == 0;
	bool refused = strcmp(text_in(entry, "what"), "request_refused") == 0;
	const char *request = request_of(ended ? job : entry);
	struct wish *wish;

	if (!ended && !refused)
		return;
	TAILQ_FOREACH(wish, &h->wishes, entry) {
		if (strcmp(request_of(wish->body), request) != 0)
			continue;
		finish(wish, ended ? job : NULL, text_in(entry, "why"));
		return;
	}
}

static void
note_offset(struct handover *h, const struct rmq_message *message)
{
	struct rmq_header header;
	struct rmq_props props;

	if (rmq_props_parse(&props, message->props) == RMQ_PROPS_OK &&
	    props.has[RMQ_PROP_HEADERS] &&
	    rmq_table_find(props.value[RMQ_PROP_HEADERS], "x-stream-offset",
		&header))
		(void)rmq_header_int(&header, &h->last_offset);
}

static void
on_message(void *arg, const struct rmq_delivery *d)
{
	struct handover *h = arg;
	struct rmq_slice body = d->message->body;
	json_t *entry = json_loadb((const char *)body.ptr, body.len,
	    JSON_REJECT_DUPLICATES, NULL);

	note_offset(h, d->message);
	rmq_ack(h->reader, d->tag);
	take_entry(h, entry);
	json_decref(entry);
	rmq_message_free(d->message);
}

static void
read_again(struct handover *h)
{
	h->reader = NULL;
	h->reading = false;
	if (h->conn != NULL)
		loop_timer_start(h->env.loop, h->again, AGAIN_MS);
}

static void
on_cancelled(void *arg)
{
	struct handover *h = arg;

	rmq_channel_abandon(h->reader);
	read_again(h);
}

static void
on_reader_closed(void *arg, const struct rmq_close *why)
{
	struct handover *h = arg;

	log_warn("audit_unreadable", LOG_STR("queue", h->env.names->audit),
	    LOG_INT("code", why->code), LOG_STR("text", why->text));
	read_again(h);
}

static void
on_consuming(void *arg, const struct rmq_reply *reply)
{
	struct handover *h = arg;
	struct wish *wish;

	if (!reply->ok)
		return; /* `closed` follows */
	h->reading = true;
	TAILQ_FOREACH(wish, &h->wishes, entry) {
		if (!wish->sent)
			send_wish(wish);
	}
}

/* From where it has read to; at first from the end, before it asks. */
static void
on_reader_opened(void *arg)
{
	static const struct rmq_consumer_cbs cbs = { on_message, on_cancelled };
	struct handover *h = arg;
	struct buf args = { 0 };

	if (h->last_offset >= 0)
		rmq_table_add_int(&args, "x-stream-offset", h->last_offset + 1);
	else
		rmq_table_add_text(&args, "x-stream-offset", "last",
		    strlen("last"));
	rmq_qos(h->reader, PREFETCH, NULL, NULL);
	(void)rmq_consume(h->reader, h->env.names->audit, 0,
	    (struct rmq_slice){ buf_peek(&args), args.len }, &cbs, h,
	    on_consuming);
	buf_clear(&args);
}

static void
read_audit(void *arg)
{
	static const struct rmq_channel_cbs cbs = { .opened = on_reader_opened,
		.closed = on_reader_closed };
	struct handover *h = arg;

	if (h->conn == NULL || h->reader != NULL || TAILQ_EMPTY(&h->wishes))
		return;
	h->reader = rmq_channel_open(h->conn, &cbs, h);
	if (h->reader == NULL)
		read_again(h);
}

struct handover *
handover_new(const struct handover_env *env, const struct handover_cbs *cbs,
    void *arg)
{
	struct handover *h = xcalloc(1, sizeof(*h));

	h->env = *env;
	h->cbs = cbs;
	h->arg = arg;
	h->last_offset = -1;
	TAILQ_INIT(&h->wishes);
	h->timer = loop_timer_new(env->loop, look, h);
	h->again = loop_timer_new(env->loop, read_audit, h);
	return h;
}

static void
drop_channels(struct handover *h)
{
	if (h->look != NULL)
		rmq_channel_abandon(h->look);
	if (h->reader != NULL)
		rmq_channel_abandon(h->reader);
	h->look = h->reader = NULL;
	h->reading = false;
}

void
handover_free(struct handover *h)
{
	if (h == NULL)
		return;
	drop_channels(h);
	while (!TAILQ_EMPTY(&h->wishes))
		wish_free(TAILQ_FIRST(&h->wishes));
	loop_timer_free(h->env.loop, h->timer);
	loop_timer_free(h->env.loop, h->again);
	free(h);
}

void
handover_link(struct handover *h, struct rmq_conn *conn)
{
	/* Of a connection that is gone they have had their `closed`. */
	if (conn == NULL && h->conn != NULL)
		drop_channels(h);
	h->conn = conn;
	if (conn == NULL) {
		loop_timer_stop(h->env.loop, h->timer);
		loop_timer_stop(h->env.loop, h->again);
		return;
	}
	look(h);
	read_audit(h);
}

void
handover_ask(struct handover *h, json_t *body)
{
	struct wish *wish = xcalloc(1, sizeof(*wish));

	wish->handover = h;
	wish->body = body;
	TAILQ_INSERT_TAIL(&h->wishes, wish, entry);
	if (h->reading)
		send_wish(wish);
	else
		read_audit(h);
}
