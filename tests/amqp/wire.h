/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The broker's side of the wire, as the tests script it: frames made with
 * librabbitmq's encoder, and what the client sent told as lines of text.
 */
#ifndef DLO_TESTS_AMQP_WIRE_H
#define DLO_TESTS_AMQP_WIRE_H

#include "amqp/codec.h"
#include "lib/buf.h"

/* `wire_method(b, 1, BASIC_ACK, amqp_basic_ack_t, .delivery_tag = 1)` */
#define wire_method(buf, channel, NAME, type, ...) \
	wire_encode(buf, channel, AMQP_##NAME##_METHOD, &(type){ __VA_ARGS__ })

void wire_encode(struct buf *, uint16_t channel, amqp_method_number_t,
    void *method);
/* Any frame, lies included. */
void wire_frame(struct buf *, uint8_t type, uint16_t channel,
    const void *payload, size_t len);
void wire_header(struct buf *, uint16_t channel, uint64_t body_size,
    struct rmq_slice props);
void wire_body(struct buf *, uint16_t channel, const char *text);

/* start, tune (channel_max, frame_max, heartbeat), open-ok. */
void wire_start(struct buf *);
void wire_tune(struct buf *, uint16_t channel_max, uint32_t frame_max,
    uint16_t heartbeat);
void wire_open_ok(struct buf *);
void wire_channel_open_ok(struct buf *, uint16_t channel);
void wire_channel_close(struct buf *, uint16_t channel, uint16_t code,
    const char *text);
/* basic.deliver to consumer `tag`, with exchange "x" and key "k". */
void wire_deliver(struct buf *, uint16_t channel, const char *consumer,
    uint64_t tag);
void wire_ack(struct buf *, uint16_t channel, uint64_t tag, bool multiple);
void wire_nack(struct buf *, uint16_t channel, uint64_t tag, bool multiple);
/* basic.return of exchange "x" and key `key` with its content. */
void wire_return(struct buf *, uint16_t channel, const char *key,
    struct rmq_slice props);

/*
 * Takes whole frames off `from` and appends a line for each to `to`, such as
 * `> 1 basic.ack 3 multiple`.
 */
void wire_tell(struct buf *from, struct buf *to);

#endif
