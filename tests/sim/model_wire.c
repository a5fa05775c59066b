/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The model's side of AMQP 0-9-1: handshake, channels, methods, content. What
 * a channel holds unacked goes back to its place when the channel goes. A
 * publish in confirm mode has a timer of its own, so that confirms come late
 * and out of order; a publish whose channel goes first may vanish.
 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/compiler.h"
#include "lib/xalloc.h"
#include "tests/sim/model_internal.h"
#include "tests/sim/sim_loop.h"

#define FRAME_MAX   131072
#define HEARTBEAT_S 10
/* Whoever is silent for so long is taken for dead. */
#define SILENCE_US (2 * HEARTBEAT_S * INT64_C(1000000))

struct model_publish {
	TAILQ_ENTRY(model_publish) link;
	struct model_channel *channel;
	uint64_t tag;
	bool mandatory, nack, enqueued;
	struct model_message *message;
	struct loop_timer *timer;
};
TAILQ_HEAD(model_publishes, model_publish);

struct model_channel {
	TAILQ_ENTRY(model_channel) link;
	struct model_wire_conn *conn;
	uint16_t number;
	struct model_wire *wire;
	struct loop_timer *going; /* closed, gives back; NULL: not so */
	bool closing;		  /* we sent close and await close-ok */
	bool confirms;
	bool held; /* it has agreed not to publish */
	uint16_t prefetch;
	uint64_t next_publish, next_delivery;
	struct model_consumers consumers;
	struct model_entries unacked;
	struct model_publishes publishes;
	/* content under way */
	bool has_publish, has_header, mandatory;
	char exchange[256], key[256];
	uint64_t body_size;
	struct buf props, body;
};
TAILQ_HEAD(model_channels, model_channel);

struct model_wire_conn {
	TAILQ_ENTRY(model_wire_conn) link;
	struct model_wire *wire;
	struct sim_conn *sim;
	struct buf in;
	bool greeted, tuned, published, doomed;
	int64_t heard_us;
	char user[256];
	struct model_channels channels;
	struct loop_timer *heartbeat;
};
TAILQ_HEAD(model_wire_conns, model_wire_conn);

struct model_wire {
	struct model *model;
	struct model_wire_conns conns;
	struct model_channels going;
	bool blocked;
	amqp_pool_t pool;
};

/* Frames out. */

static void
send_frame(struct model_wire_conn *conn, uint8_t type, uint16_t channel,
    const void *payload, size_t len)
{
	struct buf frame = { 0 };

	buf_add_u8(&frame, type);
	buf_add_u16(&frame, channel);
	buf_add_u32(&frame, (uint32_t)len);
	buf_add(&frame, payload, len);
	buf_add_u8(&frame, AMQP_FRAME_END);
	sim_conn_write(conn->sim, buf_peek(&frame), frame.len);
	buf_clear(&frame);
}

static void
send_method(struct model_wire_conn *conn, uint16_t channel,
    amqp_method_number_t method, void *args)
{
	uint8_t payload[8192];
	amqp_bytes_t rest = { sizeof(payload) - 4, payload + 4 };
	int len = amqp_encode_method(method, args, rest);

	assert(len >= 0);
	payload[0] = (uint8_t)(method >> 24);
	payload[1] = (uint8_t)(method >> 16);
	payload[2] = (uint8_t)(method >> 8);
	payload[3] = (uint8_t)method;
	send_frame(conn, AMQP_FRAME_METHOD, channel, payload, (size_t)len + 4);
}

/* Appends the properties with the count among the headers. */
static void
add_count(struct buf *out, const struct model_message *message, unsigned count)
{
	amqp_table_entry_t headers[64];
	amqp_basic_properties_t *props;
	amqp_bytes_t raw = { message->props.len, buf_peek(&message->props) };
	amqp_bytes_t wire = { message->props.len + 64, NULL };
	amqp_pool_t pool;
	int i, used = 0, len;

	init_amqp_pool(&pool, 4096);
	if (amqp_decode_properties(AMQP_BASIC_CLASS, &pool, raw,
		(void **)&props) < 0)
		abort();
	assert(props->headers.num_entries < (int)array_len(headers));
	for (i = 0; i < props->headers.num_entries; i++)
		headers[used++] = props->headers.entries[i];
	headers[used].key = amqp_cstring_bytes("x-delivery-count");
	headers[used].value.kind = AMQP_FIELD_KIND_I64;
	headers[used++].value.value.i64 = count;
	props->_flags |= AMQP_BASIC_HEADERS_FLAG;
	props->headers.entries = headers;
	props->headers.num_entries = used;
	wire.bytes = buf_reserve(out, wire.len);
	len = amqp_encode_properties(AMQP_BASIC_CLASS, props, wire);
	assert(len > 0);
	buf_claim(out, (size_t)len);
	empty_amqp_pool(&pool);
}

/* `count`: of what was requeued; 0: it was not. */
static void
send_content(struct model_channel *channel, const struct model_message *message,
    unsigned count)
{
	struct loop *loop = channel->conn->wire->model->loop;
	struct buf header = { 0 };
	size_t off, len;

	buf_add_u16(&header, AMQP_BASIC_CLASS);
	buf_add_u16(&header, 0);
	buf_add_u64(&header, message->body.len);
	if (count > 0)
		add_count(&header, message, count);
	else
		buf_add(&header, buf_peek(&message->props), message->props.len);
	send_frame(channel->conn, AMQP_FRAME_HEADER, channel->number,
	    buf_peek(&header), header.len);
	buf_clear(&header);
	for (off = 0; off < message->body.len; off += len) {
		len = message->body.len - off;
		if (sim_chance(loop, 0.1))
			len = 1 + (size_t)sim_below(loop, len);
		send_frame(channel->conn, AMQP_FRAME_BODY, channel->number,
		    buf_peek(&message->body) + off, len);
	}
}

static void
tell(const struct model *model,
    void (*hook)(void *arg, const struct model_sight *),
    const struct model_message *message, const char *place, unsigned returns)
{
	const struct model_sight sight = { message->lineage, place,
		buf_peek(&message->props), message->props.len, returns };

	if (hook != NULL && message->is_copy)
		hook(model->arg, &sight);
}

void
model_wire_deliver(struct model_consumer *consumer, struct model_entry *entry)
{
	struct model_channel *channel = consumer->channel;
	amqp_basic_deliver_t deliver = { 0 };

	entry->holder = channel;
	entry->consumer = consumer;
	entry->tag = ++channel->next_delivery;
	TAILQ_INSERT_TAIL(&channel->unacked, entry, link);
	deliver.consumer_tag = amqp_cstring_bytes(consumer->tag);
	deliver.delivery_tag = entry->tag;
	deliver.redelivered = entry->redelivered;
	deliver.exchange = amqp_cstring_bytes(entry->message->exchange);
	deliver.routing_key = amqp_cstring_bytes(entry->message->key);
	send_method(channel->conn, channel->number, AMQP_BASIC_DELIVER_METHOD,
	    &deliver);
	send_content(channel, entry->message, entry->returns);
	tell(entry->queue->model, entry->queue->model->hooks->delivered,
	    entry->message, entry->queue->name, entry->returns);
}

/* Publishes on their way to a verdict. */

static void
publish_free(struct model_publish *publish)
{
	TAILQ_REMOVE(&publish->channel->publishes, publish, link);
	loop_timer_free(publish->channel->conn->wire->model->loop,
	    publish->timer);
	model_message_drop(publish->message);
	free(publish);
}

static void
publish_enqueue(struct model_channel *channel, struct model_publish *publish)
{
	struct model *model = channel->conn->wire->model;
	amqp_basic_return_t ret = { 0 };
	struct model_route route;

	publish->enqueued = true;
	(void)model_route(model, publish->message, &route);
	if (route.count > 0) {
		publish->nack |=
		    !model_enqueue(model, &route, publish->message);
		return;
	}
	if (!publish->mandatory)
		return;
	ret.reply_code = AMQP_NO_ROUTE;
	ret.reply_text = amqp_cstring_bytes("NO_ROUTE");
	ret.exchange = amqp_cstring_bytes(publish->message->exchange);
	ret.routing_key = amqp_cstring_bytes(publish->message->key);
	send_method(channel->conn, channel->number, AMQP_BASIC_RETURN_METHOD,
	    &ret);
	send_content(channel, publish->message, 0);
}

static void
publish_verdict(void *arg)
{
	struct model_publish *publish = arg;
	struct model_channel *channel = publish->channel;
	struct model *model = channel->conn->wire->model;
	amqp_basic_ack_t ack = { publish->tag, 0 };
	amqp_basic_nack_t nack = { publish->tag, 0, 0 };
	struct model_publish *other, *next;
	uint64_t tag = publish->tag;

	if (!publish->enqueued)
		publish_enqueue(channel, publish);
	/* The oldest ones may be told together. */
	ack.multiple = sim_chance(model->loop, 0.5);
	TAILQ_FOREACH(other, &channel->publishes, link)
		if (other->tag < tag &&
		    (other->nack != publish->nack || !other->enqueued))
			ack.multiple = 0;
	nack.multiple = ack.multiple;
	if (publish->nack)
		send_method(channel->conn, channel->number,
		    AMQP_BASIC_NACK_METHOD, &nack);
	else
		send_method(channel->conn, channel->number,
		    AMQP_BASIC_ACK_METHOD, &ack);
	for (other = TAILQ_FIRST(&channel->publishes); other != NULL;
	     other = next) {
		next = TAILQ_NEXT(other, link);
		if (other->tag != tag && (!ack.multiple || other->tag > tag))
			continue;
		if (!other->nack)
			model_message_confirm(model, other->message);
		publish_free(other);
	}
}

static int64_t
verdict_us(struct model *model)
{
	if (sim_chance(model->loop, model->trouble.late))
		return 1000000 + (int64_t)sim_below(model->loop, 20000000);
	return 100 + (int64_t)sim_below(model->loop, 3000);
}

static void
channel_publish(struct model_channel *channel, struct model_message *message)
{
	struct model *model = channel->conn->wire->model;
	struct model_publish *publish;

	/* News: here nobody listens, and no copy may count on it. */
	if (!channel->confirms) {
		model_message_drop(message);
		return;
	}
	model->load.publishes++;
	publish = xcalloc(1, sizeof(*publish));
	tell(model, model->hooks->published, message, message->exchange, 0);
	publish->channel = channel;
	publish->message = message;
	publish->mandatory = channel->mandatory;
	publish->tag = ++channel->next_publish;
	publish->timer = loop_timer_new(model->loop, publish_verdict, publish);
	TAILQ_INSERT_TAIL(&channel->publishes, publish, link);
	if (sim_chance(model->loop, model->trouble.nack)) {
		publish->nack = publish->enqueued = true;
	} else if (!sim_chance(model->loop, model->trouble.vanish)) {
		publish_enqueue(channel, publish);
	}
	if (!sim_chance(model->loop, model->trouble.mute))
		loop_timer_start_us(model->loop, publish->timer,
		    verdict_us(model));
}

/* Channels. */

static void
consumer_free(struct model_consumer *consumer)
{
	struct model_entry *entry;

	TAILQ_FOREACH(entry, &consumer->channel->unacked, link)
		if (entry->consumer == consumer)
			entry->consumer = NULL;
	TAILQ_REMOVE(&consumer->queue->consumers, consumer, of_queue);
	TAILQ_REMOVE(&consumer->channel->consumers, consumer, of_channel);
	free(consumer);
}

/* Nothing goes through it any more; what is unacked is kept. */
static void
channel_stop(struct model_channel *channel)
{
	while (!TAILQ_EMPTY(&channel->consumers))
		consumer_free(TAILQ_FIRST(&channel->consumers));
	while (!TAILQ_EMPTY(&channel->publishes))
		publish_free(TAILQ_FIRST(&channel->publishes));
	channel->has_publish = channel->has_header = false;
	buf_clear(&channel->props);
	buf_clear(&channel->body);
}

/* Gives everything back, in place; the queues are pumped afterwards. */
static void
channel_reset(struct model_channel *channel)
{
	struct model_queue *touched[64];
	struct model_entry *entry;
	size_t count = 0, i;

	channel_stop(channel);
	while ((entry = TAILQ_FIRST(&channel->unacked)) != NULL) {
		TAILQ_REMOVE(&channel->unacked, entry, link);
		for (i = 0; i < count && touched[i] != entry->queue; i++)
			continue;
		if (i == count && count < 64)
			touched[count++] = entry->queue;
		model_entry_requeue(entry);
	}
	for (i = 0; i < count; i++)
		model_queue_pump(touched[i]);
}

static void
channel_free(struct model_channel *channel)
{
	TAILQ_REMOVE(&channel->conn->channels, channel, link);
	channel_reset(channel);
	free(channel);
}

static void
channel_gone(void *arg)
{
	struct model_channel *channel = arg;

	TAILQ_REMOVE(&channel->wire->going, channel, link);
	channel_reset(channel);
	loop_timer_free(channel->wire->model->loop, channel->going);
	free(channel);
}

static void
channels_gone(struct model_wire *wire)
{
	while (!TAILQ_EMPTY(&wire->going))
		channel_gone(TAILQ_FIRST(&wire->going));
}

/* The client has closed it. */
static void
channel_go(struct model_channel *channel)
{
	struct model *model = channel->wire->model;

	if (model->return_late_us == 0) {
		channel_free(channel);
		return;
	}
	channel_stop(channel);
	TAILQ_REMOVE(&channel->conn->channels, channel, link);
	TAILQ_INSERT_TAIL(&channel->wire->going, channel, link);
	channel->conn = NULL;
	channel->going = loop_timer_new(model->loop, channel_gone, channel);
	loop_timer_start_us(model->loop, channel->going,
	    (int64_t)sim_below(model->loop, (uint64_t)model->return_late_us));
}

static struct model_channel *
channel_find(struct model_wire_conn *conn, uint16_t number)
{
	struct model_channel *channel;

	TAILQ_FOREACH(channel, &conn->channels, link)
		if (channel->number == number)
			return channel;
	return NULL;
}

static void
channel_open(struct model_wire_conn *conn, uint16_t number)
{
	struct model_channel *channel = xcalloc(1, sizeof(*channel));
	amqp_channel_open_ok_t ok = { amqp_empty_bytes };

	conn->wire->model->load.channels++;
	channel->conn = conn;
	channel->wire = conn->wire;
	channel->number = number;
	TAILQ_INIT(&channel->consumers);
	TAILQ_INIT(&channel->unacked);
	TAILQ_INIT(&channel->publishes);
	TAILQ_INSERT_TAIL(&conn->channels, channel, link);
	send_method(conn, number, AMQP_CHANNEL_OPEN_OK_METHOD, &ok);
}

static void
channel_error(struct model_channel *channel, uint16_t code,
    amqp_method_number_t blamed, const char *text)
{
	amqp_channel_close_t close = { code, amqp_cstring_bytes(text),
		(uint16_t)(blamed >> 16), (uint16_t)blamed };

	channel->closing = true;
	channel_reset(channel);
	send_method(channel->conn, channel->number, AMQP_CHANNEL_CLOSE_METHOD,
	    &close);
}

static void
text_of(char text[256], amqp_bytes_t bytes)
{
	snprintf(text, 256, "%.*s", (int)bytes.len, (const char *)bytes.bytes);
}

/* Methods. */

static void
on_ack(struct model_channel *channel, const amqp_basic_ack_t *ack)
{
	struct model *model = channel->conn->wire->model;
	struct model_entry *entry, *next;
	struct model_queue *queue = NULL;
	bool found = false;

	for (entry = TAILQ_FIRST(&channel->unacked); entry != NULL;
	     entry = next) {
		next = TAILQ_NEXT(entry, link);
		if (ack->multiple ? entry->tag > ack->delivery_tag
				  : entry->tag != ack->delivery_tag)
			continue;
		found = true;
		queue = entry->queue;
		TAILQ_REMOVE(&channel->unacked, entry, link);
		if (entry->consumer != NULL)
			entry->consumer->unacked--;
		model_entry_ack(entry);
	}
	if (!found) {
		model_violation(model, "ack of unknown delivery tag %llu",
		    (unsigned long long)ack->delivery_tag);
		channel_error(channel, AMQP_PRECONDITION_FAILED,
		    AMQP_BASIC_ACK_METHOD, "unknown delivery tag");
		return;
	}
	model_queue_pump(queue);
}

static void
on_consume(struct model_channel *channel, const amqp_basic_consume_t *args)
{
	struct model *model = channel->conn->wire->model;
	struct model_consumer *consumer;
	struct model_queue *queue;
	amqp_basic_consume_ok_t ok;
	char name[256];

	text_of(name, args->queue);
	queue = model_queue_find(model, name);
	if (queue == NULL) {
		channel_error(channel, AMQP_NOT_FOUND,
		    AMQP_BASIC_CONSUME_METHOD, "NOT_FOUND - no queue");
		return;
	}
	if (sim_chance(model->loop, model->trouble.sick)) {
		channel_error(channel, AMQP_INTERNAL_ERROR,
		    AMQP_BASIC_CONSUME_METHOD, "INTERNAL_ERROR");
		return;
	}
	consumer = xcalloc(1, sizeof(*consumer));
	consumer->queue = queue;
	consumer->channel = channel;
	consumer->prefetch = channel->prefetch == 0 ? 2000 : channel->prefetch;
	if (args->consumer_tag.len > 0)
		text_of(consumer->tag, args->consumer_tag);
	else
		snprintf(consumer->tag, sizeof(consumer->tag), "ctag-%u-%llu",
		    channel->number,
		    (unsigned long long)loop_random(model->loop));
	if (queue->next_place > 0)
		consumer->next_place = queue->next_place - 1;
	TAILQ_INSERT_TAIL(&queue->consumers, consumer, of_queue);
	TAILQ_INSERT_TAIL(&channel->consumers, consumer, of_channel);
	ok.consumer_tag = amqp_cstring_bytes(consumer->tag);
	if (!args->nowait)
		send_method(channel->conn, channel->number,
		    AMQP_BASIC_CONSUME_OK_METHOD, &ok);
	model_queue_pump(queue);
}

static void
on_cancel(struct model_channel *channel, const amqp_basic_cancel_t *args)
{
	amqp_basic_cancel_ok_t ok = { args->consumer_tag };
	struct model_consumer *consumer;
	char tag[256];

	channel->conn->wire->model->load.cancels++;
	text_of(tag, args->consumer_tag);
	TAILQ_FOREACH(consumer, &channel->consumers, of_channel) {
		if (strcmp(consumer->tag, tag) == 0) {
			consumer_free(consumer);
			break;
		}
	}
	if (!args->nowait)
		send_method(channel->conn, channel->number,
		    AMQP_BASIC_CANCEL_OK_METHOD, &ok);
}

void
model_wire_cancel(struct model_consumer *consumer)
{
	amqp_basic_cancel_t cancel = { amqp_cstring_bytes(consumer->tag), 1 };

	send_method(consumer->channel->conn, consumer->channel->number,
	    AMQP_BASIC_CANCEL_METHOD, &cancel);
	consumer_free(consumer);
}

static bool
holds(const struct model_channel *channel, const struct model_queue *queue)
{
	const struct model_entry *entry;

	TAILQ_FOREACH(entry, &channel->unacked, link)
		if (entry->queue == queue && entry->consumer == NULL)
			return true;
	return false;
}

/* Consumers that are cancelled and still hold messages. */
static uint32_t
holders(const struct model_wire *wire, const struct model_queue *queue)
{
	const struct model_wire_conn *conn;
	const struct model_channel *channel;
	uint32_t count = 0;

	TAILQ_FOREACH(channel, &wire->going, link)
		count += holds(channel, queue);
	TAILQ_FOREACH(conn, &wire->conns, link)
		TAILQ_FOREACH(channel, &conn->channels, link)
			count += holds(channel, queue);
	return count;
}

static void
on_queue_declare(struct model_channel *channel,
    const amqp_queue_declare_t *args)
{
	struct model *model = channel->conn->wire->model;
	amqp_queue_declare_ok_t ok = { args->queue, 0, 0 };
	struct model_consumer *consumer;
	struct model_queue *queue;
	char name[256];

	text_of(name, args->queue);
	queue = model_queue_find(model, name);
	if (args->passive && queue == NULL) {
		channel_error(channel, AMQP_NOT_FOUND,
		    AMQP_QUEUE_DECLARE_METHOD, "NOT_FOUND - no queue");
		return;
	}
	if (!args->passive &&
	    !model_queue_declare(model, name, &args->arguments)) {
		channel_error(channel, AMQP_PRECONDITION_FAILED,
		    AMQP_QUEUE_DECLARE_METHOD,
		    "PRECONDITION_FAILED - inequivalent arg");
		return;
	}
	queue = model_queue_find(model, name);
	if (!model->hides_counts) {
		ok.message_count = (uint32_t)queue->ready_count;
		TAILQ_FOREACH(consumer, &queue->consumers, of_queue)
			ok.consumer_count++;
		ok.consumer_count += holders(channel->wire, queue);
	}
	send_method(channel->conn, channel->number,
	    AMQP_QUEUE_DECLARE_OK_METHOD, &ok);
}

static void
on_exchange_declare(struct model_channel *channel,
    const amqp_exchange_declare_t *args)
{
	struct model *model = channel->conn->wire->model;
	amqp_exchange_declare_ok_t ok = { 0 };
	char name[256], type[256];

	text_of(name, args->exchange);
	text_of(type, args->type);
	if (args->passive && !model_exchange_exists(model, name)) {
		channel_error(channel, AMQP_NOT_FOUND,
		    AMQP_EXCHANGE_DECLARE_METHOD, "NOT_FOUND - no exchange");
		return;
	}
	if (!args->passive && !model_exchange_declare(model, name, type)) {
		channel_error(channel, AMQP_PRECONDITION_FAILED,
		    AMQP_EXCHANGE_DECLARE_METHOD,
		    "PRECONDITION_FAILED - inequivalent arg 'type'");
		return;
	}
	send_method(channel->conn, channel->number,
	    AMQP_EXCHANGE_DECLARE_OK_METHOD, &ok);
}

static void
on_bind(struct model_channel *channel, amqp_bytes_t source,
    amqp_bytes_t destination, bool to_queue, amqp_bytes_t key)
{
	struct model *model = channel->conn->wire->model;
	amqp_queue_bind_ok_t queue_ok = { 0 };
	amqp_exchange_bind_ok_t exchange_ok = { 0 };
	char from[256], to[256], pattern[256];

	text_of(from, source);
	text_of(to, destination);
	text_of(pattern, key);
	if (!model_bind(model, from, to, to_queue, pattern))
		channel_error(channel, AMQP_NOT_FOUND, AMQP_QUEUE_BIND_METHOD,
		    "NOT_FOUND");
	else if (to_queue)
		send_method(channel->conn, channel->number,
		    AMQP_QUEUE_BIND_OK_METHOD, &queue_ok);
	else
		send_method(channel->conn, channel->number,
		    AMQP_EXCHANGE_BIND_OK_METHOD, &exchange_ok);
}

static void
channel_method(struct model_channel *channel, amqp_method_number_t method,
    void *decoded)
{
	struct model_wire_conn *conn = channel->conn;
	uint16_t number = channel->number;
	amqp_channel_close_ok_t close_ok = { 0 };
	amqp_basic_qos_ok_t qos_ok = { 0 };
	amqp_confirm_select_ok_t select_ok = { 0 };
	const amqp_basic_publish_t *publish = decoded;
	const amqp_queue_bind_t *bind = decoded;
	const amqp_exchange_bind_t *exchange_bind = decoded;

	switch (method) {
	case AMQP_CHANNEL_CLOSE_METHOD:
		channel_go(channel);
		send_method(conn, number, AMQP_CHANNEL_CLOSE_OK_METHOD,
		    &close_ok);
		break;
	case AMQP_BASIC_QOS_METHOD:
		channel->prefetch =
		    ((const amqp_basic_qos_t *)decoded)->prefetch_count;
		send_method(conn, number, AMQP_BASIC_QOS_OK_METHOD, &qos_ok);
		break;
	case AMQP_BASIC_CONSUME_METHOD:
		on_consume(channel, decoded);
		break;
	case AMQP_BASIC_CANCEL_METHOD:
		on_cancel(channel, decoded);
		break;
	case AMQP_BASIC_ACK_METHOD:
		on_ack(channel, decoded);
		break;
	case AMQP_CHANNEL_FLOW_OK_METHOD:
		channel->held =
		    !((const amqp_channel_flow_ok_t *)decoded)->active;
		break;
	case AMQP_BASIC_PUBLISH_METHOD:
		if (channel->held)
			model_violation(conn->wire->model,
			    "a publish while channel.flow says not to");
		channel->has_publish = true;
		conn->published = true;
		channel->mandatory = publish->mandatory;
		text_of(channel->exchange, publish->exchange);
		text_of(channel->key, publish->routing_key);
		break;
	case AMQP_CONFIRM_SELECT_METHOD:
		channel->confirms = true;
		send_method(conn, number, AMQP_CONFIRM_SELECT_OK_METHOD,
		    &select_ok);
		break;
	case AMQP_QUEUE_DECLARE_METHOD:
		on_queue_declare(channel, decoded);
		break;
	case AMQP_EXCHANGE_DECLARE_METHOD:
		on_exchange_declare(channel, decoded);
		break;
	case AMQP_QUEUE_BIND_METHOD:
		on_bind(channel, bind->exchange, bind->queue, true,
		    bind->routing_key);
		break;
	case AMQP_EXCHANGE_BIND_METHOD:
		on_bind(channel, exchange_bind->source,
		    exchange_bind->destination, false,
		    exchange_bind->routing_key);
		break;
	default:
		model_violation(conn->wire->model, "method %s is not modelled",
		    amqp_method_name(method));
	}
}

/* Content. */

static bool
foreign_user(struct model_wire_conn *conn, amqp_bytes_t raw)
{
	amqp_basic_properties_t *props;
	bool foreign;

	if (amqp_decode_properties(AMQP_BASIC_CLASS, &conn->wire->pool, raw,
		(void **)&props) < 0) {
		model_violation(conn->wire->model,
		    "published properties do not decode");
		return false;
	}
	foreign = (props->_flags & AMQP_BASIC_USER_ID_FLAG) &&
	    (props->user_id.len != strlen(conn->user) ||
		memcmp(props->user_id.bytes, conn->user, props->user_id.len) !=
		    0);
	recycle_amqp_pool(&conn->wire->pool);
	return foreign;
}

static void
content_done(struct model_channel *channel)
{
	struct model *model = channel->conn->wire->model;
	amqp_bytes_t props = { channel->props.len, buf_peek(&channel->props) };
	amqp_bytes_t body = { channel->body.len, buf_peek(&channel->body) };

	channel->has_publish = channel->has_header = false;
	if (!model_exchange_exists(model, channel->exchange))
		channel_error(channel, AMQP_NOT_FOUND,
		    AMQP_BASIC_PUBLISH_METHOD, "NOT_FOUND - no exchange");
	else if (sim_chance(model->loop, model->trouble.sick))
		channel_error(channel, AMQP_INTERNAL_ERROR,
		    AMQP_BASIC_PUBLISH_METHOD, "INTERNAL_ERROR");
	else if (foreign_user(channel->conn, props))
		channel_error(channel, AMQP_PRECONDITION_FAILED,
		    AMQP_BASIC_PUBLISH_METHOD,
		    "PRECONDITION_FAILED - user_id property");
	else
		channel_publish(channel,
		    model_message_new(model, channel->exchange, channel->key,
			props, body, NULL));
	buf_clear(&channel->props);
	buf_clear(&channel->body);
}

static void
channel_content(struct model_channel *channel, uint8_t type,
    const uint8_t *payload, size_t len)
{
	int i;

	if (type == AMQP_FRAME_HEADER && channel->has_publish && len >= 14) {
		channel->body_size = 0;
		for (i = 4; i < 12; i++)
			channel->body_size =
			    channel->body_size << 8 | payload[i];
		buf_add(&channel->props, payload + 12, len - 12);
		channel->has_header = true;
	} else if (type == AMQP_FRAME_BODY && channel->has_header) {
		buf_add(&channel->body, payload, len);
	} else {
		model_violation(channel->conn->wire->model,
		    "content frame %u out of place", type);
		return;
	}
	if (channel->body.len > channel->body_size)
		model_violation(channel->conn->wire->model,
		    "body longer than its header says");
	if (channel->body.len == channel->body_size)
		content_done(channel);
}

/* Connections. */

static void
conn_free(struct model_wire_conn *conn)
{
	while (!TAILQ_EMPTY(&conn->channels))
		channel_free(TAILQ_FIRST(&conn->channels));
	TAILQ_REMOVE(&conn->wire->conns, conn, link);
	loop_timer_free(conn->wire->model->loop, conn->heartbeat);
	buf_clear(&conn->in);
	free(conn);
}

/* Its own heartbeat, and a look at the other's. */
static void
beat(void *arg)
{
	struct model_wire_conn *conn = arg;
	struct loop *loop = conn->wire->model->loop;

	if (loop_now_us(loop) - conn->heard_us > SILENCE_US) {
		sim_conn_close(conn->sim);
		conn_free(conn);
		return;
	}
	if (conn->tuned)
		send_frame(conn, AMQP_FRAME_HEARTBEAT, 0, NULL, 0);
	loop_timer_start(loop, conn->heartbeat, HEARTBEAT_S * 500);
}

static void
send_start(struct model_wire_conn *conn)
{
	static const char *const can[] = { "publisher_confirms",
		"exchange_exchange_bindings", "basic.nack",
		"consumer_cancel_notify", "connection.blocked",
		"authentication_failure_close" };
	amqp_table_entry_t abilities[6], about[2];
	amqp_connection_start_t start = { .version_minor = 9 };
	int i;

	for (i = 0; i < 6; i++) {
		abilities[i].key = amqp_cstring_bytes(can[i]);
		abilities[i].value.kind = AMQP_FIELD_KIND_BOOLEAN;
		abilities[i].value.value.boolean = 1;
	}
	about[0].key = amqp_cstring_bytes("capabilities");
	about[0].value.kind = AMQP_FIELD_KIND_TABLE;
	about[0].value.value.table.num_entries = 6;
	about[0].value.value.table.entries = abilities;
	about[1].key = amqp_cstring_bytes("version");
	about[1].value.kind = AMQP_FIELD_KIND_UTF8;
	about[1].value.value.bytes = amqp_cstring_bytes("3.10.8");
	start.server_properties.num_entries = 2;
	start.server_properties.entries = about;
	start.mechanisms = amqp_cstring_bytes("PLAIN AMQPLAIN");
	start.locales = amqp_cstring_bytes("en_US");
	send_method(conn, 0, AMQP_CONNECTION_START_METHOD, &start);
}

static void
conn_method(struct model_wire_conn *conn, amqp_method_number_t method,
    void *decoded)
{
	const amqp_connection_start_ok_t *start_ok = decoded;
	amqp_connection_tune_t tune = { 2047, FRAME_MAX, HEARTBEAT_S };
	amqp_connection_open_ok_t open_ok = { amqp_empty_bytes };
	amqp_connection_close_ok_t close_ok = { 0 };
	const char *response;

	switch (method) {
	case AMQP_CONNECTION_START_OK_METHOD:
		/* NUL user NUL password */
		response = start_ok->response.bytes;
		snprintf(conn->user, sizeof(conn->user), "%.*s",
		    (int)start_ok->response.len - 1, response + 1);
		send_method(conn, 0, AMQP_CONNECTION_TUNE_METHOD, &tune);
		break;
	case AMQP_CONNECTION_TUNE_OK_METHOD:
		conn->tuned = true;
		break;
	case AMQP_CONNECTION_OPEN_METHOD:
		send_method(conn, 0, AMQP_CONNECTION_OPEN_OK_METHOD, &open_ok);
		break;
	case AMQP_CONNECTION_CLOSE_METHOD:
		send_method(conn, 0, AMQP_CONNECTION_CLOSE_OK_METHOD,
		    &close_ok);
		conn->doomed = true;
		break;
	case AMQP_CONNECTION_CLOSE_OK_METHOD:
		conn->doomed = true;
		break;
	default:
		model_violation(conn->wire->model, "method %s on channel 0",
		    amqp_method_name(method));
	}
}

static void
conn_frame(struct model_wire_conn *conn, uint8_t type, uint16_t number,
    uint8_t *payload, size_t len)
{
	struct model_channel *channel = channel_find(conn, number);
	amqp_method_number_t method = 0;
	amqp_bytes_t args;
	void *decoded;

	if (type == AMQP_FRAME_HEARTBEAT)
		return;
	if (type != AMQP_FRAME_METHOD) {
		if (channel == NULL)
			model_violation(conn->wire->model,
			    "content on a closed channel");
		else if (!channel->closing)
			channel_content(channel, type, payload, len);
		return;
	}
	assert(len >= 4);
	method = (amqp_method_number_t)payload[0] << 24 |
	    (amqp_method_number_t)payload[1] << 16 |
	    (amqp_method_number_t)payload[2] << 8 | payload[3];
	args.len = len - 4;
	args.bytes = payload + 4;
	if (amqp_decode_method(method, &conn->wire->pool, args, &decoded) < 0) {
		model_violation(conn->wire->model, "method %08x: undecodable",
		    method);
		return;
	}
	if (number == 0)
		conn_method(conn, method, decoded);
	else if (channel == NULL && method == AMQP_CHANNEL_OPEN_METHOD)
		channel_open(conn, number);
	else if (channel == NULL)
		model_violation(conn->wire->model, "%s on a closed channel",
		    amqp_method_name(method));
	else if (!channel->closing)
		channel_method(channel, method, decoded);
	else if (method == AMQP_CHANNEL_CLOSE_OK_METHOD)
		channel_free(channel);
	else if (method == AMQP_CHANNEL_CLOSE_METHOD)
		send_method(conn, number, AMQP_CHANNEL_CLOSE_OK_METHOD,
		    &(amqp_channel_close_ok_t){ 0 });
}

/* Takes whole frames; may free the connection. */
static void
conn_input(struct model_wire_conn *conn)
{
	const uint8_t *bytes;
	uint8_t type, *payload;
	uint16_t number;
	size_t len;

	if (!conn->greeted && conn->in.len >= 8) {
		if (memcmp(buf_peek(&conn->in), "AMQP\0\0\11\1", 8) != 0)
			model_violation(conn->wire->model, "bad greeting");
		buf_drop(&conn->in, 8);
		conn->greeted = true;
		send_start(conn);
	}
	while (conn->greeted && !conn->doomed && conn->in.len >= 8 &&
	    !(conn->wire->blocked && conn->published)) {
		bytes = buf_peek(&conn->in);
		type = bytes[0];
		number = (uint16_t)(bytes[1] << 8 | bytes[2]);
		len = (size_t)bytes[3] << 24 | (size_t)bytes[4] << 16 |
		    (size_t)bytes[5] << 8 | bytes[6];
		if (conn->in.len < len + 8)
			break;
		if (bytes[len + 7] != AMQP_FRAME_END || len + 8 > FRAME_MAX) {
			model_violation(conn->wire->model, "bad frame");
			conn->doomed = true;
			break;
		}
		payload = xmalloc(len + 1);
		memcpy(payload, bytes + 7, len);
		buf_drop(&conn->in, len + 8);
		conn_frame(conn, type, number, payload, len);
		free(payload);
		recycle_amqp_pool(&conn->wire->pool);
	}
	if (conn->doomed) {
		sim_conn_close(conn->sim);
		conn_free(conn);
	}
}

static void *
wire_accept(void *arg, struct sim_conn *sim)
{
	struct model *model = arg;
	struct model_wire_conn *conn = xcalloc(1, sizeof(*conn));

	conn->wire = model->wire;
	conn->sim = sim;
	TAILQ_INIT(&conn->channels);
	conn->heard_us = loop_now_us(model->loop);
	conn->heartbeat = loop_timer_new(model->loop, beat, conn);
	beat(conn);
	TAILQ_INSERT_TAIL(&model->wire->conns, conn, link);
	model->load.connections++;
	return conn;
}

static void
wire_data(void *arg, const uint8_t *bytes, size_t len)
{
	struct model_wire_conn *conn = arg;

	conn->heard_us = loop_now_us(conn->wire->model->loop);
	buf_add(&conn->in, bytes, len);
	conn_input(conn);
}

static void
wire_gone(void *arg)
{
	conn_free(arg);
}

const struct sim_server model_server = { wire_accept, wire_data, wire_gone };

struct model_wire *
model_wire_new(struct model *model)
{
	struct model_wire *wire = xcalloc(1, sizeof(*wire));

	wire->model = model;
	TAILQ_INIT(&wire->conns);
	TAILQ_INIT(&wire->going);
	init_amqp_pool(&wire->pool, 8192);
	return wire;
}

void
model_wire_free(struct model_wire *wire)
{
	assert(TAILQ_EMPTY(&wire->conns));
	channels_gone(wire);
	empty_amqp_pool(&wire->pool);
	free(wire);
}

void
model_wire_block(struct model_wire *wire, bool on)
{
	amqp_connection_blocked_t blocked = { amqp_cstring_bytes(
	    "low on memory") };
	amqp_connection_unblocked_t unblocked = { 0 };
	struct model_wire_conn *conn, *next;

	wire->blocked = on;
	for (conn = TAILQ_FIRST(&wire->conns); conn != NULL; conn = next) {
		next = TAILQ_NEXT(conn, link);
		if (!conn->greeted || TAILQ_EMPTY(&conn->channels))
			continue;
		if (on)
			send_method(conn, 0, AMQP_CONNECTION_BLOCKED_METHOD,
			    &blocked);
		else
			send_method(conn, 0, AMQP_CONNECTION_UNBLOCKED_METHOD,
			    &unblocked);
		if (!on)
			conn_input(conn);
	}
}

void
model_wire_flow(struct model_wire *wire, bool active)
{
	amqp_channel_flow_t flow = { active };
	struct model_wire_conn *conn;
	struct model_channel *channel;

	TAILQ_FOREACH(conn, &wire->conns, link)
		TAILQ_FOREACH(channel, &conn->channels, link)
			if (channel->confirms && !channel->closing)
				send_method(conn, channel->number,
				    AMQP_CHANNEL_FLOW_METHOD, &flow);
}

void
model_wire_close_a_channel(struct model_wire *wire)
{
	struct loop *loop = wire->model->loop;
	struct model_wire_conn *conn;
	struct model_channel *channel;

	TAILQ_FOREACH(conn, &wire->conns, link) {
		TAILQ_FOREACH(channel, &conn->channels, link) {
			if (!channel->closing && sim_chance(loop, 0.3)) {
				channel_error(channel, AMQP_INTERNAL_ERROR, 0,
				    "INTERNAL_ERROR");
				return;
			}
		}
	}
}

void
model_wire_drop_all(struct model_wire *wire)
{
	struct model_wire_conn *conn;

	while ((conn = TAILQ_FIRST(&wire->conns)) != NULL) {
		sim_conn_close(conn->sim);
		conn_free(conn);
	}
	channels_gone(wire);
}

bool
model_wire_is_alone(const struct model_wire *wire)
{
	return TAILQ_EMPTY(&wire->conns);
}
