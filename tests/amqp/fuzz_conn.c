/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What a broker could send: any bytes, in pieces, after a handshake that left
 * the client consuming, publishing and asking. The first byte tells how the
 * rest is cut, and whether the handshake is fuzzed too.
 */
#include <stdlib.h>
#include <string.h>

#include "amqp/channel.h"
#include "amqp/conn.h"
#include "amqp/props.h"
#include "lib/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static const struct rmq_slice none = { NULL, 0 };

struct client {
	struct rmq_conn *conn;
	struct rmq_channel *channels[2];
	struct rmq_consumer *consumer;
	unsigned deliveries;
};

static void open_channel(struct client *, unsigned);

/* Reads all there is to read of what came in. */
static void
read_message(const struct rmq_message *message)
{
	struct rmq_header header;
	struct rmq_slice table;
	struct rmq_props props;
	int64_t value;

	(void)!rmq_props_parse(&props, message->props);
	table = props.value[RMQ_PROP_HEADERS];
	while (rmq_table_next(&table, &header) == 1)
		(void)rmq_header_int(&header, &value);
	if (rmq_message_bytes(message) == 0)
		abort();
}

static void
on_delivery(void *arg, const struct rmq_delivery *delivery)
{
	struct client *client = arg;

	read_message(delivery->message);
	rmq_message_free(delivery->message);
	if (++client->deliveries % 3 != 0)
		rmq_ack(client->channels[0], delivery->tag);
	if (client->deliveries == 7)
		rmq_channel_close(client->channels[0]);
}

static void
on_cancelled(void *arg)
{
	struct client *client = arg;

	client->consumer = NULL;
}

static void
on_reply(void *arg, const struct rmq_reply *reply)
{
	(void)arg;
	if (!reply->ok && reply->error == NULL)
		abort();
}

static void
on_confirm(void *arg, enum rmq_confirm verdict, const char *return_text)
{
	(void)arg;
	if ((verdict == RMQ_CONFIRM_RETURNED) != (return_text != NULL))
		abort();
}

static void
on_opened(void *arg)
{
	(void)arg;
}

static void
on_closed_0(void *arg, const struct rmq_close *close)
{
	(void)close;
	open_channel(arg, 0);
}

static void
on_closed_1(void *arg, const struct rmq_close *close)
{
	(void)close;
	open_channel(arg, 1);
}

static void
publish(struct rmq_channel *ch, const char *key)
{
	struct rmq_publish publish = {
		.exchange = "x",
		.routing_key = key,
		.props = { (const uint8_t *)"\20\0\2", 3 },
		.body = rmq_slice_of("body"),
		.mandatory = true,
		.correlation = rmq_slice_of("id-1"),
	};

	rmq_publish(ch, &publish, on_confirm, NULL);
}

static void
open_channel(struct client *client, unsigned i)
{
	static const struct rmq_consumer_cbs consumer_cbs = { on_delivery,
		on_cancelled };
	static const struct rmq_channel_cbs cbs[2] = {
		{ on_opened, on_closed_0, NULL },
		{ on_opened, on_closed_1, NULL },
	};
	struct rmq_channel *ch;

	ch = rmq_channel_open(client->conn, &cbs[i], client);
	client->channels[i] = ch;
	if (ch == NULL)
		return;
	if (i == 0) {
		rmq_qos(ch, 10, on_reply, NULL);
		client->consumer = rmq_consume(ch, "q", 0, none, &consumer_cbs,
		    client, on_reply);
	} else {
		rmq_confirm_select(ch, "id", on_reply, NULL);
		publish(ch, "k");
		publish(ch, "l");
		rmq_queue_declare(ch, "q", RMQ_PASSIVE, none, on_reply, NULL);
	}
}

static void
conn_opened(void *arg)
{
	open_channel(arg, 0);
	open_channel(arg, 1);
}

static void
conn_closed(void *arg, const struct rmq_close *close)
{
	(void)arg;
	if (memchr(close->text, '\0', sizeof(close->text)) == NULL)
		abort();
}

static void
conn_blocked(void *arg, bool blocked, const char *reason)
{
	(void)arg;
	(void)blocked;
	(void)reason;
}

static void
conn_wake(void *arg)
{
	(void)arg;
}

static const struct rmq_conn_cbs conn_cbs = {
	.opened = conn_opened,
	.closed = conn_closed,
	.blocked = conn_blocked,
	.wake = conn_wake,
};

/* start, tune, open-ok, and the first answers on both channels. */
static const uint8_t handshake[] =
    "\1\0\0\0\0\0\34\0\12\0\12\0\11\0\0\0\0\0\0\0\5PLAIN\0\0\0\5en_US"
    "\xce"
    "\1\0\0\0\0\0\14\0\12\0\36\7\377\0\0\20\0\0\74\xce"
    "\1\0\0\0\0\0\5\0\12\0\51\0\xce"
    "\1\0\1\0\0\0\10\0\24\0\13\0\0\0\0\xce"
    "\1\0\2\0\0\0\10\0\24\0\13\0\0\0\0\xce"
    "\1\0\1\0\0\0\4\0\74\0\13\xce"
    "\1\0\1\0\0\0\7\0\74\0\25\2c1\xce"
    "\1\0\2\0\0\0\4\0\125\0\13\xce";

static void
feed(struct rmq_conn *conn, const uint8_t *bytes, size_t len, size_t piece)
{
	int64_t now_us = 2000;
	uint8_t *copy;
	size_t n;

	for (; len > 0; bytes += n, len -= n) {
		n = len < piece ? len : piece;
		/* Exactly sized: a byte too far is seen. */
		copy = malloc(n);
		if (copy == NULL)
			abort();
		memcpy(copy, bytes, n);
		rmq_conn_input(conn, copy, n, ++now_us);
		free(copy);
		buf_reset(rmq_conn_flush(conn, now_us));
		if (now_us > rmq_conn_deadline_us(conn))
			rmq_conn_tick(conn, now_us);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const struct rmq_conn_options options = {
		.vhost = "/",
		.user = "u",
		.password = "p",
		.heartbeat_s = 10,
	};
	struct client client = { 0 };
	struct rmq_slice raw = { bytes, len };
	struct rmq_props props;

	if (len == 0)
		return 0;
	log_open(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
	(void)!rmq_props_parse(&props, raw);
	(void)!rmq_table_check(raw);
	client.conn = rmq_conn_new(&options, &conn_cbs, &client, 1000);
	buf_reset(rmq_conn_flush(client.conn, 1000));
	if ((bytes[0] & 0x80) == 0) {
		feed(client.conn, handshake, sizeof(handshake) - 1,
		    sizeof(handshake));
		if (!rmq_channel_is_open(client.channels[1]))
			abort();
	}
	feed(client.conn, bytes + 1, len - 1, (bytes[0] & 0x7fu) + 1);
	/* All ends, whatever came. */
	if ((bytes[0] & 1) != 0)
		rmq_conn_lost(client.conn, "over");
	else
		rmq_conn_close(client.conn);
	rmq_conn_free(client.conn);
	return 0;
}
