/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Consumers. Their tags are made here, so that a delivery tells whose it is
 * even when the consumer has gone: `c7` acks, `n7` does not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amqp/internal.h"
#include "lib/xalloc.h"

#define TAG_SPACE 24

static amqp_bytes_t
make_tag(const struct rmq_consumer *consumer, char out[TAG_SPACE])
{
	snprintf(out, TAG_SPACE, "%c%llu", consumer->no_ack ? 'n' : 'c',
	    (unsigned long long)consumer->number);
	return rmq_codec_text(out);
}

struct rmq_consumer *
rmq_consume(struct rmq_channel *ch, const char *queue, unsigned flags,
    struct rmq_slice args, const struct rmq_consumer_cbs *cbs, void *arg,
    rmq_reply_cb *done)
{
	struct rmq_consumer *consumer = xcalloc(1, sizeof(*consumer));
	struct rmq_request *request;
	amqp_basic_consume_t method;
	char tag[TAG_SPACE];

	consumer->channel = ch;
	consumer->number = ++ch->consumer_count;
	consumer->no_ack = (flags & RMQ_NO_ACK) != 0;
	consumer->cbs = cbs;
	consumer->arg = arg;
	TAILQ_INSERT_TAIL(&ch->consumers, consumer, entry);
	request = rmq_request_push(ch, AMQP_BASIC_CONSUME_OK_METHOD, done, arg);
	request->consumer = consumer;
	if (!rmq_channel_live(ch))
		return consumer;
	method = (amqp_basic_consume_t){
		.queue = rmq_codec_text(queue),
		.consumer_tag = make_tag(consumer, tag),
		.no_ack = consumer->no_ack,
		.exclusive = (flags & RMQ_EXCLUSIVE) != 0,
		.arguments = rmq_codec_table(ch->conn, args),
	};
	rmq_codec_write(ch->conn, ch->id, AMQP_BASIC_CONSUME_METHOD, &method,
	    args.len);
	return consumer;
}

static void
write_cancel(struct rmq_consumer *consumer)
{
	struct rmq_channel *ch = consumer->channel;
	amqp_basic_cancel_t method = { .nowait = 0 };
	char tag[TAG_SPACE];

	if (!rmq_channel_live(ch))
		return;
	method.consumer_tag = make_tag(consumer, tag);
	rmq_codec_write(ch->conn, ch->id, AMQP_BASIC_CANCEL_METHOD, &method, 0);
}

/*
 * A broker that reads it before it has sent consume-ok may lose the channel,
 * with all that was delivered there (3.10).
 */
void
rmq_cancel(struct rmq_consumer *consumer, rmq_reply_cb *done)
{
	struct rmq_request *request;

	request = rmq_request_push(consumer->channel,
	    AMQP_BASIC_CANCEL_OK_METHOD, done, consumer->arg);
	request->consumer = consumer;
	consumer->cancelling = true;
	if (consumer->begun)
		write_cancel(consumer);
}

void
rmq_consumer_begin(struct rmq_consumer *consumer)
{
	consumer->begun = true;
	if (consumer->cancelling)
		write_cancel(consumer);
}

bool
rmq_consumer_find(struct rmq_channel *ch, amqp_bytes_t tag,
    struct rmq_consumer **found, bool *no_ack)
{
	const uint8_t *bytes = tag.bytes;
	struct rmq_consumer *consumer;
	uint64_t number = 0;
	size_t i;

	*found = NULL;
	if (tag.len < 2 || tag.len >= TAG_SPACE - 4 ||
	    (bytes[0] != 'c' && bytes[0] != 'n'))
		return false;
	*no_ack = bytes[0] == 'n';
	for (i = 1; i < tag.len; i++) {
		if (bytes[i] < '0' || bytes[i] > '9')
			return false;
		number = number * 10 + (bytes[i] - '0');
	}
	TAILQ_FOREACH(consumer, &ch->consumers, entry) {
		if (consumer->number == number)
			break;
	}
	if (consumer != NULL && consumer->no_ack != *no_ack)
		return false;
	*found = consumer;
	return number >= 1 && number <= ch->consumer_count;
}

void
rmq_consumer_drop(struct rmq_consumer *consumer)
{
	struct rmq_channel *ch = consumer->channel;

	if (consumer->gone)
		return;
	consumer->gone = true;
	TAILQ_REMOVE(&ch->consumers, consumer, entry);
	TAILQ_INSERT_TAIL(&ch->conn->gone, consumer, entry);
	rmq_conn_wake(ch->conn);
}
